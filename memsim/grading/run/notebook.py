"""Read what a student handed in, whatever state it is in.

The result is the sources of the cells, or a reason that the student understands. Nothing is executed or
parsed as Python here.
"""

from __future__ import annotations

import json
import os
import re
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

LARGEST_FILE = 64 << 20
_LARGEST_SOURCE = 1 << 20
_MOST_CELLS = 5000
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
_SOURCE = re.compile(r'"(source|input|cell_type)"\s*:\s*')
_PIECE = re.compile(r'[\[\s,]*(?=")')
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


def read(path: Path) -> bytes:
    """Return the bytes of a file that a student handed in.

    Raises
    ------
    UnreadableError
        It is no plain file: a link could make the grader copy what belongs to somebody else.
    """
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        is_link = path.is_symlink()
        msg = "it is a symbolic link, not a file" if is_link else f"it cannot be opened: {error.strerror}"
        raise UnreadableError(msg) from None
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            msg = "it is not a plain file"
            raise UnreadableError(msg)
        if status.st_nlink > 1:
            msg = "it is a hard link to another file"
            raise UnreadableError(msg)
        if status.st_size > LARGEST_FILE:
            msg = f"it has {status.st_size >> 20} MiB, more than {LARGEST_FILE >> 20}: clear its outputs"
            raise UnreadableError(msg)
        try:
            return file.read(LARGEST_FILE + 1)
        except OSError as error:
            msg = f"it cannot be read: {error.strerror}"
            raise UnreadableError(msg) from None


def sources(data: bytes, name: str = "") -> Sources:
    r"""Return the cells of a notebook, or of what is left of it.

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
    return found


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
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:4]:
        found.remarks.append("it was saved as UTF-16")
        codec = (
            "utf-16"
            if data[:2] in (b"\xff\xfe", b"\xfe\xff")
            else "utf-16-le"
            if data[1:2] == b"\0"
            else "utf-16-be"
        )
        return data.decode(codec, "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        found.remarks.append("it is not saved as UTF-8")
        return data.decode("utf-8", "replace") if b"\xc3" in data else data.decode("latin-1")


def _script(text: str, found: Sources) -> Sources:
    """Take a file that is no JSON for a Python script if it has a function in it."""
    if not re.search(r"^\s*(def|import|from)\s", text, re.MULTILINE):
        msg = "it is not a notebook: it does not begin as one, and there is no Python function in it"
        raise UnreadableError(msg)
    found.remarks.append("it is a script, not a notebook")
    found.code = re.split(r"^# ?%%[^\n]*\n", text, flags=re.MULTILINE)
    return found


def _from_json(text: str, found: Sources) -> None:
    for attempt in (text, _CONFLICT.sub("", text)):
        try:
            document = json.loads(attempt)
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
    for cell in cells:
        source = _joined(cell.get("source", cell.get("input")))
        if source:
            (found.text if cell.get("cell_type") in _TEXT_CELLS else found.code).append(source)


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
    """Find the sources in a text that is no JSON any more."""
    kind = ""
    decoder = json.JSONDecoder()
    marks = list(_SOURCE.finditer(text))
    for number, mark in enumerate(marks[: 3 * _MOST_CELLS]):
        if mark[1] == "cell_type":
            kind = _string_at(decoder, text, mark.end())[0] or kind
            continue
        end = marks[number + 1].start() if number + 1 < len(marks) else len(text)
        source = _strings(decoder, text[:end] if end < len(text) else text, mark.end())
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
    found.text = [text for text in found.text[:_MOST_CELLS] if len(text) < _LARGEST_SOURCE // 10]
