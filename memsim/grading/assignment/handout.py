"""Student copies of other people's nbgrader notebooks, made by nbgrader's own steps, and searched for leaks.

nbgrader clears what stands between its marks, and whole answer cells without marks. What it does not
recognise as a mark, a copy would give away. So a copy is searched for anything that looks like one before it
is written.
"""

from __future__ import annotations

import copy
import importlib
import json
import logging
import re
import warnings
from typing import TYPE_CHECKING, Any

from memsim.grading.assignment.assignment import AssignmentError
from memsim.grading.assignment.course import STUB, solution_copy, student_copy

if TYPE_CHECKING:
    from pathlib import Path

    from memsim.grading.assignment.course import Notebook

_OURS = re.compile(r"^\s*(from|import) memsim\.grading\b", re.MULTILINE)
_MARK = re.compile(
    r"\b(begin|end)[ \t_-]*(solution|hidden[ \t_-]*test|mark[ \t_-]*scheme|marking)", re.IGNORECASE
)
_OTHER_MARK = re.compile(r"^.*#+[ \t]*(solution\b|(hashed[ \t]+)?autotest\b)", re.IGNORECASE | re.MULTILINE)
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
_CONFIG = "nbgrader_config.py"
_LEVELS = 3


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
    if _is_ours(plain):
        made = student_copy(plain)
        if not _leaks(plain, made):
            return made
    made = _by_nbgrader(plain, path)
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


def solved(source: Notebook) -> Notebook:
    """Return the notebook as it is solved: without any marks, and without hidden tests."""
    made = solution_copy(_normal(source))
    for cell in made["cells"]:
        text = _ANY_MARK_LINE.sub("", _HIDDEN.sub("", _text(cell)))
        cell["source"] = text.splitlines(keepends=True)
    return made


def _normal(source: Notebook) -> Notebook:
    """Return the notebook with plain line ends, and without the state of widgets, which may hold answers."""
    made = copy.deepcopy(source)
    made.get("metadata", {}).pop("widgets", None)
    for cell in made["cells"]:
        text = _text(cell).replace("\r\n", "\n").replace("\r", "\n")
        cell["source"] = text.splitlines(keepends=True)
    return made


def _text(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def _is_ours(notebook: Notebook) -> bool:
    return any(cell["cell_type"] == "code" and _OURS.search(_text(cell)) for cell in notebook["cells"])


def _by_nbgrader(source: Notebook, path: Path) -> Notebook:
    """Return the copy that ``nbgrader generate_assignment`` makes, without its gradebook."""
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
    if _is_ours(source):
        config.ClearSolutions.code_stub = {"python": STUB}
    try:
        notebook = nbformat.reads(json.dumps(source), as_version=4)
        notebook = formats.MetadataValidator().upgrade_notebook_metadata(notebook)
        resources: dict[str, Any] = {}
        for name in _STEPS:
            step = getattr(steps, name)(config=config, log=logger)
            step.enabled = True
            notebook, resources = step.preprocess(notebook, resources)
        made: Notebook = json.loads(nbformat.writes(notebook))
    except Exception as error:
        msg = f"{path}: nbgrader refuses it: {str(error).partition(chr(10))[0]}"
        raise AssignmentError(msg) from error
    return made


def _config(path: Path) -> Any:
    """Return nbgrader's settings of the course in which a notebook lies, which may name other marks."""
    loaders = importlib.import_module("traitlets.config.loader")
    for folder in list(path.resolve().parents)[:_LEVELS]:
        if (folder / _CONFIG).is_file():
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
        mark = _MARK.search(text) or _OTHER_MARK.search(text)
        if mark:
            found.append(f"cell {number} has the mark {mark[0].strip()!r}")
        elif _is_answer(before) and text.strip() == _text(before).strip() and not _is_stub(text):
            found.append(f"the answer in cell {number} would stay")
        elif after.get("outputs"):
            found.append(f"cell {number} has outputs")
    return found


def _is_answer(cell: dict[str, Any]) -> bool:
    return bool(cell.get("metadata", {}).get("nbgrader", {}).get("solution"))


def _is_stub(text: str) -> bool:
    """Return whether an answer cell has nothing in it yet."""
    return not text.strip() or any(
        word in text for word in ("YOUR CODE HERE", "YOUR ANSWER HERE", "NotImplementedError", "return ...")
    )
