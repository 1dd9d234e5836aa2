"""Read what a student handed in, whatever state it is in.

The result is the sources of the cells, or a reason that the student understands. Nothing is executed or
parsed as Python here.
"""

from __future__ import annotations

import json
import os
import re
import stat
import textwrap
from dataclasses import dataclass, field
from itertools import accumulate, islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

LARGEST_FILE = 64 << 20
_LARGEST_SOURCE = 1 << 20
_MOST_CELLS = 5000
_LONGEST_ANSWER = 4000
_LONGEST_ID = 200
_KINDS = {
    b"PK\x03\x04": "a ZIP archive (or an office document)",
    b"%PDF": "a PDF",
    b"\x1f\x8b": "a gzip archive",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"<!DOCTYPE": "a web page",
    b"<html": "a web page",
    b"\x7fELF": "a program",
    b"SQLite": "a database",
}
_CONFLICT = re.compile(r"^(<{7}|={7}|>{7}|\|{7})[^\n]*\n?", re.MULTILINE)
_WIDE = re.compile(rb"(?:[^\0]\0){2}|(?:\0[^\0]){2}", re.DOTALL)
"""How ASCII text begins in UTF-16 that does not say so."""
_SOURCE = re.compile(r'"(source|input|cell_type)"\s*:\s*')
_PIECE = re.compile(r'[\[\s,]*(?=")')
_STUDENT = re.compile(r"""^STUDENT *(?:: *str *)?= *(['"])(.*?)\1""", re.MULTILINE)
_MARIMO = re.compile(r"^import marimo\b", re.MULTILINE)
_DEFINITION = re.compile(r"^(?:async )?def ", re.MULTILINE)
_TEXT_CELLS = ("markdown", "raw", "heading")


class UnreadableError(Exception):
    """There is nothing to grade; the text says why, in words for the student."""


@dataclass
class Sources:
    """The sources of a notebook's cells."""

    code: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    """What was wrong with the file and has been passed over."""
    grade_ids: list[str] = field(default_factory=list)
    """nbgrader's name of each code cell, or nothing; empty where the file does not say."""
    python: str = ""
    """The version of Python that the notebook says it ran in."""
    typed_id: str | None = None
    """What the student has typed as his or her id; None if the notebook does not ask for one."""
    answers: dict[str, str] = field(default_factory=dict)
    """The text of each function that was asked for, for its student to look at."""


def read(path: Path, *, linked: bool = False, most: int | None = None, top: Path | None = None) -> bytes:
    """Return the bytes of a file that a student handed in.

    Parameters
    ----------
    linked
        Whether it may have a second name: the collector has made it.
    most
        How many bytes are wanted; all of them without it.
    top
        The folder of all submissions, which the teacher has named. No folder between it and the file may be a
        link, also not one that took a folder's place since that was listed.

    Raises
    ------
    UnreadableError
        It is not a plain file: a link could make the grader copy another user's file.
    """
    try:
        fd = _opened(path, top)
    except (OSError, ValueError) as error:
        is_link = path.is_symlink()
        reason = error.strerror if isinstance(error, OSError) else error
        msg = "it is a symbolic link, not a file" if is_link else f"it cannot be opened: {reason}"
        raise UnreadableError(msg) from None
    try:
        _refuse_other_files(os.fstat(fd), linked=linked)
        with os.fdopen(os.dup(fd), "rb") as file:
            return file.read(LARGEST_FILE + 1 if most is None else most)
    except OSError as error:
        msg = f"it cannot be read: {error.strerror}"
        raise UnreadableError(msg) from None
    finally:
        os.close(fd)


def _opened(path: Path, top: Path | None) -> int:
    """Open a file, folder by folder from ``top`` on, and follow no link."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    if top is None or os.open not in os.supports_dir_fd:
        return os.open(path, flags)
    *folders, name = path.relative_to(top).parts
    at = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for folder in folders:
            inside = os.open(folder, flags | os.O_DIRECTORY, dir_fd=at)
            os.close(at)
            at = inside
        return os.open(name, flags, dir_fd=at)
    finally:
        os.close(at)


def _refuse_other_files(status: os.stat_result, *, linked: bool) -> None:
    """Raise UnreadableError if this is not a plain file, or is too large."""
    msg = ""
    if not stat.S_ISREG(status.st_mode):
        msg = "it is a folder" if stat.S_ISDIR(status.st_mode) else "it is not a plain file"
    elif status.st_nlink > 1 and not linked:
        msg = "it is a hard link to another file"
    elif status.st_size > LARGEST_FILE:
        msg = f"it has {status.st_size >> 20} MiB, more than {LARGEST_FILE >> 20}: clear its outputs"
    if msg:
        raise UnreadableError(msg)


def sources(data: bytes, name: str = "", questions: Sequence[str] = ()) -> Sources:
    r"""Return the cells of a notebook, or of what is left of it, and what is looked for in them.

    >>> sources(b'{"cells": [{"cell_type": "code", "source": ["a = 1\\n", "b = 2"]}]}').code
    ['a = 1\nb = 2']

    Raises
    ------
    UnreadableError
        It is no notebook, and no Python either.
    """
    _refuse_other_kinds(data)
    found = Sources()
    text = _decode(data, found)
    if name.endswith(".py") or not text.lstrip().startswith(("{", "[", "<<<<<<<")):
        found = _script(text, found)
    else:
        _from_json(text, found)
    if not found.code and not found.text:
        msg = "no cell was found in it"
        raise UnreadableError(msg)
    _cut(found)
    found.typed_id = _typed_id(found.code)
    found.answers = {question: _answer(found.code, question) for question in questions}
    return found


def _typed_id(code: Iterable[str]) -> str | None:
    """Return the id in a notebook, as far as ids go: to compare a name of a million accents takes hours."""
    typed = [found[2] for cell in code for found in _STUDENT.finditer(cell)]
    return next((name[:_LONGEST_ID] for name in reversed(typed) if name.strip()), "" if typed else None)


def _answer(code: Iterable[str], name: str) -> str:
    """Return the text of a function; the last one of this name."""
    pattern = re.compile(rf"^def {re.escape(name)}\b[^\n]*\n(?:(?:[ \t)][^\n]*)?(?:\n|\Z))*", re.MULTILINE)
    texts = [found[0].rstrip() for cell in code for found in pattern.finditer(f"{cell}\n")]
    return texts[-1][:_LONGEST_ANSWER] if texts else ""


def _refuse_other_kinds(data: bytes) -> None:
    if not data.strip(b"\0 \t\r\n\xef\xbb\xbf"):
        msg = "it is empty"
        raise UnreadableError(msg)
    start = data.lstrip()[:16]
    for mark, kind in _KINDS.items():
        if start.lower().startswith(mark.lower()):
            msg = f"it is {kind}, not a notebook: hand in the .ipynb file itself"
            raise UnreadableError(msg)


def _decode(data: bytes, found: Sources) -> str:
    """Return the text of a file in whatever encoding it was saved."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or _WIDE.match(data):
        found.remarks.append("it was saved as UTF-16")
        codec = (
            "utf-16"
            if data[:2] in (b"\xff\xfe", b"\xfe\xff")
            else "utf-16-le"
            if data[1:2] == b"\0"
            else "utf-16-be"
        )
        return data.decode(codec, "replace")
    if b"\0" in data:
        found.remarks.append("it has NUL bytes in it, as a bad disk leaves them; they were passed over")
        data = data.replace(b"\0", b"")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        found.remarks.append("it is not saved as UTF-8")
        return data.decode("utf-8", "replace") if b"\xc3" in data else data.decode("latin-1")


def _script(text: str, found: Sources) -> Sources:
    """Take a file that is not JSON for a Python script if it has a function in it."""
    if not re.search(r"^[ \t]*(def|import|from)\s", text, re.MULTILINE):
        msg = "it is not a notebook: it does not begin as one, and there is no Python function in it"
        raise UnreadableError(msg)
    if _MARIMO.search(text):
        found.remarks.append("it is a notebook of marimo's")
        found.code = _marimo(text)
        return found
    found.remarks.append("it is a script, not a notebook")
    found.code = re.split(r"^# ?%%[^\n]*\n", text, flags=re.MULTILINE)
    return found


def _marimo(text: str) -> list[str]:
    """Return the cells of a marimo notebook: functions of ``app``, whose bodies are the cells."""
    cells = []
    parts = re.split(r"^(?=@app\.|with app\.setup)|^(?=if __name__)", text, flags=re.MULTILINE)
    for part in parts[1:]:
        if part.startswith(("@app.function", "@app.class_definition")):
            cells.append(re.sub(r"\A@app\.[^\n]*\n", "", part))
            continue
        inner = textwrap.dedent(_marimo_body(part))
        cells.append(re.sub(r"^return\b.*", "", inner, flags=re.MULTILINE | re.DOTALL))
    return [cell for cell in cells if cell.strip()]


def _marimo_body(part: str) -> str:
    """Return what stands under ``def _(...):`` of an ``@app.cell``, or under ``with app.setup:``."""
    found = _DEFINITION.search(part)
    place = part.find(")", found.start()) if found else 0 if part.startswith("with app.setup") else -1
    colon = part.find(":", place) if place >= 0 else -1
    end = part.find("\n", colon) if colon >= 0 else -1
    return part[end + 1 :] if end >= 0 else ""


def _from_json(text: str, found: Sources) -> None:
    for attempt in (text, _CONFLICT.sub("", text)):
        try:
            document = json.loads(attempt, strict=False)
        except (ValueError, RecursionError, MemoryError):
            continue
        if attempt is not text:
            found.remarks.append("it has the marks of a merge that was never finished")
        _from_document(document, found)
        if found.code or found.text:
            return
    found.remarks.append("the file is damaged; what could be read was graded")
    _salvage(_CONFLICT.sub("", text), found)


def _from_document(document: Any, found: Sources) -> None:
    """Take the cells of a notebook of any format."""
    if isinstance(document, dict) and isinstance(document.get("worksheets"), list):
        found.remarks.append("it is a notebook of an old format")
        cells = [cell for sheet in document["worksheets"] for cell in _cells_of(sheet)]
    else:
        cells = list(_cells_of(document))
    found.python = _python_of(document)
    for cell in cells:
        source = _joined(cell.get("source", cell.get("input")))
        if source and cell.get("cell_type") in _TEXT_CELLS:
            found.text.append(source)
        elif source:
            found.code.append(source)
            found.grade_ids.append(_grade_id(cell))


def _python_of(document: Any) -> str:
    """Return the version of Python in which a notebook says that it was executed last."""
    for name in ("metadata", "language_info", "version"):
        document = document.get(name) if isinstance(document, dict) else None
    return document if isinstance(document, str) and re.fullmatch(r"3(\.\d{1,3}){1,2}", document) else ""


def _grade_id(cell: dict[str, Any]) -> str:
    """Return the name that nbgrader has given to a cell."""
    found: Any = cell
    for name in ("metadata", "nbgrader", "grade_id"):
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""


def _cells_of(document: Any) -> Iterable[dict[str, Any]]:
    cells = document.get("cells") if isinstance(document, dict) else document
    return [cell for cell in cells if isinstance(cell, dict)] if isinstance(cells, list) else []


def _joined(source: Any) -> str:
    if isinstance(source, str):
        return source
    if isinstance(source, list):
        return "".join(line for line in source if isinstance(line, str))
    return ""


def _salvage(text: str, found: Sources) -> None:
    """Find the sources in a text that is no longer JSON."""
    kind = ""
    decoder = json.JSONDecoder()
    marks = list(islice(_SOURCE.finditer(text), 3 * _MOST_CELLS + 1))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    for mark, end in zip(marks[: 3 * _MOST_CELLS], ends, strict=False):
        piece = text[mark.end() : end]  # each letter is looked at once, however many marks there are
        if mark[1] == "cell_type":
            kind = _string_at(decoder, piece, 0)[0] or kind
            continue
        source = _strings(decoder, piece, 0)
        if source:
            (found.text if kind in _TEXT_CELLS else found.code).append(source)


def _strings(decoder: json.JSONDecoder, text: str, start: int) -> str:
    """Return the string at ``start``, or all strings of the list at ``start``, as far as it goes."""
    lines = []
    is_list = text[start : start + 1] == "["
    while True:
        skipped = _PIECE.match(text, start)
        if not skipped:
            break
        line, end = _string_at(decoder, text, skipped.end())
        if line is None:
            break
        lines.append(line)
        start = end
        if not is_list:
            break
    return "".join(lines)


def _string_at(decoder: json.JSONDecoder, text: str, start: int) -> tuple[str | None, int]:
    try:
        value, end = decoder.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None, start
    return (value, end) if isinstance(value, str) else (None, start)


def _cut(found: Sources) -> None:
    """Keep no more than a worker should be given."""
    size, kept = 0, list[str]()
    for cell in found.code[:_MOST_CELLS]:
        size += len(cell)
        if size > _LARGEST_SOURCE:
            break
        kept.append(cell.encode("utf-8", "backslashreplace").decode())
    if len(kept) < len(found.code):
        found.remarks.append("it has more code than is read; the rest was left out")
    found.code = kept
    found.grade_ids = [name[:_LONGEST_ID] for name in found.grade_ids[: len(kept)]]
    found.text = _first([text for text in found.text[:_MOST_CELLS] if len(text) < _LARGEST_SOURCE // 10])


def _first(texts: list[str]) -> list[str]:
    """Return as many texts as are read, with what no encoding has spelt out."""
    sizes = accumulate(map(len, texts))
    kept = [text for text, size in zip(texts, sizes, strict=True) if size <= _LARGEST_SOURCE]
    return [text.encode("utf-8", "backslashreplace").decode() for text in kept]
