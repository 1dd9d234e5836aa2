"""Student copies of other people's nbgrader notebooks, made by nbgrader's own steps, and searched for leaks.

nbgrader clears what stands between its marks, and whole answer cells without marks. What it does not
recognise as a mark, a copy would give away. So a copy is searched for anything that looks like one before it
is written. Only what a student needs of a notebook gets into it: metadata of editors hold outputs, names and
old texts, and a picture stays attached to a cell when the text that showed it is gone.
"""

from __future__ import annotations

import copy
import difflib
import importlib
import json
import logging
import re
import warnings
from typing import TYPE_CHECKING, Any

from memsim.grading.assignment.assignment import AssignmentError
from memsim.grading.assignment.course import STUB, solution_copy, student_copy, valid_stubs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from memsim.grading.assignment.course import Notebook

_OURS = re.compile(r"^\s*(from|import) memsim\.grading\b", re.MULTILINE)
_MARK = re.compile(
    r"\b(begin|end)[ \t_-]*(solution|hidden[ \t_-]*test|mark[ \t_-]*scheme|marking)", re.IGNORECASE
)
_OTHER_MARK = re.compile(
    r"^.*(?:#+|<!--)[ \t]*((?:(?:model|sample|example|reference)[ \t]+)?solution\b|answer[ \t]+key\b"
    r"|(?:muster)?l\xf6sung\b|soluci\xf3n\b|soluzione\b|solu\xe7\xe3o\b|oplossing\b|corrig\xe9\b"
    r"|(?:hashed[ \t]+)?autotest\b)",
    re.IGNORECASE | re.MULTILINE,
)
_OTHER_TESTS = re.compile(r"^[ \t]*#+[ \t]*(?:(?i:hidden[ \t_-]*tests?)|BEGIN[ \t_]+TESTS?)\b", re.MULTILINE)
_NEARLY = re.compile(
    r"^[ \t]*[^\w\s]+[ \t]*(?:begin|end)[ \t_-]+([a-z]+(?:[ \t_-]+[a-z]+)?)", re.IGNORECASE | re.MULTILINE
)
_WORDS, _AS_NEAR = ("solution", "hidden tests", "mark scheme"), 0.8
"""What a mark that was typed wrong was meant to say, and how near it has to come."""
_ANY_MARK_LINE = re.compile(rf"^.*{_MARK.pattern}.*(?:\n|\Z)", re.IGNORECASE | re.MULTILINE)
_HIDDEN = re.compile(
    r"^[^\n]*\bbegin[ \t]+(hidden[ \t]+tests|mark[ \t]+scheme)\b.*?^[^\n]*\bend[ \t]+\1\b.*?(?:\n|\Z)",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)
_STEPS = (
    "LockCells",
    "ClearSolutions",
    "ClearOutput",
    "CheckCellMetadata",
    "ClearHiddenTests",
    "ClearMarkScheme",
)
_HIDING_STEPS = ("ClearHiddenTests", "ClearMarkScheme")
_CONFIG = "nbgrader_config.py"
_LEVELS = 3
_OF_NOTEBOOK = frozenset({"kernelspec", "language_info", "title", "authors"})
_OF_CELL = frozenset(
    {"nbgrader", "tags", "deletable", "editable", "collapsed", "scrolled", "slideshow", "jupyter", "format"}
)
"""The metadata that a student's notebook keeps."""
_PARTS = frozenset({"cell_type", "id", "metadata", "source", "attachments", "outputs", "execution_count"})


class LeakError(AssignmentError):
    """A student copy would give away a solution or a hidden test; names the notebook and the cell."""


def for_students(source: Notebook, path: Path) -> Notebook:
    """Return the notebook as students get it.

    ``path`` is where the source lies; a ``nbgrader_config.py`` of the course above it is followed.

    Raises
    ------
    LeakError
        Something in it may be a solution or a hidden test that would stay.
    AssignmentError
        nbgrader refuses the notebook, or is needed and not installed.
    """
    plain = _normal(source)
    _refuse_twins(plain, path)
    if _is_ours(plain) and not _has_own_marks(path):
        made = _with_shown_pictures(student_copy(plain))
        if not _leaks(plain, made):
            return made
    made = _with_shown_pictures(_by_nbgrader(plain, path))
    leaks = _leaks(plain, made)
    if leaks:
        msg = f"{path}: a student copy would give something away: {'; '.join(leaks)}"
        raise LeakError(msg)
    return made


def _refuse_twins(source: Notebook, path: Path) -> None:
    """Raise AssignmentError for two cells of one grade_id, as a copied cell has it."""
    given = [cell["metadata"].get("nbgrader", {}).get("grade_id") for cell in source["cells"]]
    twice = next((name for name in given if name is not None and given.count(name) > 1), None)
    if twice is not None:
        first, second = [at for at, name in enumerate(given, 1) if name == twice][:2]
        msg = f"{path}: the cells {first} and {second} have one grade_id, {twice!r}; give one of them another"
        raise AssignmentError(msg)


def solved(source: Notebook, path: Path) -> Notebook:
    """Return the notebook as it is solved: without any marks, and without hidden tests.

    Raises
    ------
    LeakError
        Something in it may be a hidden test that would stay.
    """
    made = solution_copy(_normal(source))
    if _has_own_marks(path):
        made = _by_nbgrader(made, path, _HIDING_STEPS)
    for number, cell in enumerate(made["cells"], 1):
        text = _HIDDEN.sub("", _text(cell))
        mark = _mark_of_tests(text, code=cell["cell_type"] == "code")
        if mark:
            msg = f"{path}: a solved copy would give a hidden test away: cell {number} has the mark {mark!r}"
            raise LeakError(msg)
        cell["source"] = _ANY_MARK_LINE.sub("", text).splitlines(keepends=True)
    return made


def _mark_of_tests(text: str, *, code: bool) -> str:
    """Return what looks like a mark of hidden tests or of a mark scheme, or nothing."""
    found = [mark[0] for mark in _MARK.finditer(text) if mark[2].lower() != "solution"]
    found += [mark[0].strip() for mark in _OTHER_TESTS.finditer(text) if code]
    return next(iter([*found, *_nearly(text, [word for word in _WORDS if word != "solution"])]), "")


def _normal(source: Notebook) -> Notebook:
    """Return the notebook with plain line ends, and without what no student needs, which may hold answers."""
    made: Notebook = {name: source[name] for name in ("nbformat", "nbformat_minor") if name in source}
    made["metadata"] = _kept(source.get("metadata", {}), _OF_NOTEBOOK)
    made["cells"] = [_kept(cell, _PARTS) for cell in source["cells"]]
    for cell in made["cells"]:
        text = _text(cell).replace("\r\n", "\n").replace("\r", "\n")
        cell["source"] = text.splitlines(keepends=True)
        cell["metadata"] = _kept(cell.get("metadata", {}), _OF_CELL)
    return made


def _kept(given: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return copy.deepcopy({name: value for name, value in given.items() if name in names})


def _with_shown_pictures(notebook: Notebook) -> Notebook:
    """Return the notebook without pictures that no text shows any more: they were part of an answer."""
    for cell in notebook["cells"]:
        attached = cell.pop("attachments", None) or {}
        shown = {name: picture for name, picture in attached.items() if f"attachment:{name}" in _text(cell)}
        if shown:
            cell["attachments"] = shown
    return notebook


def _text(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def _is_ours(notebook: Notebook) -> bool:
    return any(cell["cell_type"] == "code" and _OURS.search(_text(cell)) for cell in notebook["cells"])


def _by_nbgrader(source: Notebook, path: Path, steps_: Sequence[str] = _STEPS) -> Notebook:
    """Return the copy that ``nbgrader generate_assignment`` makes by these steps, without its gradebook."""
    try:
        with warnings.catch_warnings(action="ignore"):
            steps = importlib.import_module("nbgrader.preprocessors")
            formats = importlib.import_module("nbgrader.nbgraderformat")
            nbformat = importlib.import_module("nbformat")
    except ImportError:
        msg = f"{path}: it needs nbgrader, which knows where the solutions are: pip install nbgrader"
        raise AssignmentError(msg) from None
    logger = logging.getLogger("memsim.handout")
    logger.disabled = True  # what is wrong is in the exception
    config = _config(path)
    config.ClearMarkScheme.check_attachment_leakage = False  # what no text shows is taken out below
    if _is_ours(source):
        config.ClearSolutions.code_stub = {"python": STUB}
    try:
        notebook = nbformat.reads(json.dumps(source), as_version=4)
        notebook = formats.MetadataValidator().upgrade_notebook_metadata(notebook)
        resources: dict[str, Any] = {}
        for name in steps_:
            step = getattr(steps, name)(config=config, log=logger)
            step.enabled = True
            notebook, resources = step.preprocess(notebook, resources)
        made: Notebook = json.loads(nbformat.writes(notebook))
        for cell in made["cells"]:
            if cell["cell_type"] == "code":
                cell["source"] = valid_stubs(_text(cell)).splitlines(keepends=True)
    except Exception as error:
        msg = f"{path}: nbgrader refuses it: {str(error).strip().partition(chr(10))[0]}"
        raise AssignmentError(msg) from error
    return made


def _folders_of_config(path: Path) -> list[Path]:
    """Return the folders above a notebook that have settings of nbgrader's, the nearest first."""
    return [folder for folder in list(path.resolve().parents)[:_LEVELS] if (folder / _CONFIG).is_file()]


def _has_own_marks(path: Path) -> bool:
    """Return whether the course in which a notebook lies may have other marks than nbgrader's."""
    return any(b"_delim" in (folder / _CONFIG).read_bytes() for folder in _folders_of_config(path)[:1])


def _config(path: Path) -> Any:
    """Return nbgrader's settings of the course in which a notebook lies, which may name other marks."""
    loaders = importlib.import_module("traitlets.config.loader")
    for folder in _folders_of_config(path):
        try:
            return loaders.PyFileConfigLoader(_CONFIG, str(folder)).load_config()
        except Exception as error:
            msg = f"{folder / _CONFIG}: {type(error).__name__}: {error}"
            raise AssignmentError(msg) from error
    return loaders.Config()


def _leaks(source: Notebook, made: Notebook) -> list[str]:
    """Return what in a copy may be a solution or a hidden test, cell by cell."""
    found = []
    for number, (before, after) in enumerate(zip(source["cells"], made["cells"], strict=True), 1):
        text = _text(after)
        mark = _mark_in(text, code=after["cell_type"] == "code")
        if mark:
            found.append(f"cell {number} has the mark {mark.strip()!r}")
        elif _is_answer(before) and text.strip() == _text(before).strip() and not _is_stub(text):
            found.append(f"the answer in cell {number} would stay")
        elif after.get("outputs"):
            found.append(f"cell {number} has outputs")
    return found


def _mark_in(text: str, *, code: bool) -> str:
    """Return what looks like a mark of a solution or a hidden test, or nothing."""
    marks = (_MARK, _OTHER_MARK, _OTHER_TESTS) if code else (_MARK, _OTHER_MARK)
    found = next((mark for kind in marks if (mark := kind.search(text))), None)
    if found:
        return found[0]
    return next(_nearly(text, _WORDS), "")


def _nearly(text: str, words: Sequence[str]) -> Iterator[str]:
    """Return what may be meant for marks with one of these words."""
    for mark in _NEARLY.finditer(text):
        if difflib.get_close_matches(re.sub(r"[ \t_-]+", " ", mark[1].lower()), words, 1, _AS_NEAR):
            yield mark[0].strip()


def _is_answer(cell: dict[str, Any]) -> bool:
    return bool(cell.get("metadata", {}).get("nbgrader", {}).get("solution"))


def _is_stub(text: str) -> bool:
    """Return whether an answer cell has nothing in it yet."""
    return not text.strip() or any(
        word in text
        for word in (
            "YOUR CODE HERE",
            "YOUR ANSWER HERE",
            "NotImplementedError",
            "return ...",
            "...  # your answer",
        )
    )
