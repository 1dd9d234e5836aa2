"""An assignment that is a source notebook of nbgrader's: its questions are the cells that give points."""

from __future__ import annotations

import ast
import contextlib
import json
import math
import symtable
from dataclasses import dataclass, replace
from typing import Any

from memsim.grading.assignment.assignment import Assignment, AssignmentError, Limits, Question

LIMITS = Limits(cpu_seconds=10, wall_seconds=120, memory_mib=2048, processes=40, output_kib=1024)
"""Of a test cell and of the notebook before it: other courses compute more than ours."""
_PRINTS = frozenset({"redirect_stderr", "capture_output", "capsys", "stderr"})
_LIVE = frozenset(
    {"get_ipython", "globals", "locals", "inspect", "mock", "patch", "input", "In", "Out", "vars"}
)

_ABOUT = frozenset(
    {"__annotations__", "__closure__", "__code__", "__defaults__", "__dict__", "__doc__", "__name__"}
)
"""What a function says of itself: on the teacher's side that would be what stands for it."""


class CellTest:
    """What stands for a hidden test in the tables: the cell of this name."""

    def __init__(self, name: str) -> None:
        """Take the name of the cell, which students see."""
        self.__doc__ = f"The test cell {name} passes."

    def __call__(self, _rng: Any, _mine: Any) -> Any:
        """Do nothing: the cell is executed elsewhere."""
        raise NotImplementedError


@dataclass(frozen=True)
class CellQuestion(Question):
    """A cell that gives points."""

    code: str = ""
    """The test; nothing where a teacher grades by hand."""
    before: tuple[str, ...] = ()
    """The teacher's code before it, without the solutions."""
    solved: tuple[str, ...] = ()
    """The code before it with the solutions, and without tests: what a right answer hands in."""
    theirs: frozenset[str] = frozenset()
    """The names that the solutions define, which come from the student."""
    again: frozenset[str] = frozenset()
    """Those of them that a later cell of the teacher's defines: if that works, they are the teacher's."""
    unsafe: str = ""
    """Why it cannot be judged by what the student's code returns, as far as its text tells."""
    classes: frozenset[str] = frozenset()
    """The classes that the solutions define."""
    tested: frozenset[str] = frozenset()
    """The names of all test cells: a student's copy of one is not executed."""

    def __post_init__(self) -> None:
        """Take any name: nbgrader's may be of any characters."""


def assignment_of(text: str) -> Assignment:
    """Return the assignment in the text of a grading file, or of a source notebook.

    Raises
    ------
    AssignmentError
        There is none in it.
    """
    return parse(text) if text.lstrip().startswith("{") else Assignment.parse(text)


def parse(text: str) -> Assignment:
    """Return the assignment in the text of a source notebook.

    Raises
    ------
    AssignmentError
        It is no notebook, or none of its cells gives points.
    """
    try:
        document = json.loads(text)
        cells = [cell for cell in document["cells"] if isinstance(cell, dict)]
        name = document["metadata"]["memsim"]["name"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        msg = f"it is no source notebook of nbgrader's ({type(error).__name__})"
        raise AssignmentError(msg) from None
    _refuse_damaged(name, cells)
    theirs = frozenset(name for cell in cells if _marked(cell, "solution") for name in _bound(_text(cell)))
    questions: list[CellQuestion] = []
    before: list[str] = []
    solved: list[str] = []
    again = set[str]()
    for cell in cells:
        if _marked(cell, "grade") or _marked(cell, "task"):
            question = _question(cell, before, theirs)
            questions.append(replace(question, again=frozenset(again), solved=tuple(solved)))
        if cell.get("cell_type") == "code":
            solved += [_text(cell)] * (_marked(cell, "solution") or not _marked(cell, "grade"))
            before.append(_trusted(cell))
            again = again - _bound(_text(cell)) if _marked(cell, "solution") else again | _bound(before[-1])
    if not questions:
        msg = f"{name}: it is a notebook, and no cell gives points by nbgrader's metadata"
        raise AssignmentError(msg)
    tested = frozenset(question.name for question in questions if question.code)
    classes = _classes(cells)
    return Assignment(name, 0, [replace(q, tested=tested, classes=classes) for q in questions])


def _refuse_damaged(name: str, cells: list[dict[str, Any]]) -> None:
    """Raise AssignmentError for a cell whose text is no text, or whose points are no number of points."""
    for number, cell in enumerate(cells, 1):
        source = cell.get("source", "")
        is_text = type(source) in (str, list) and all(type(line) is str for line in source)
        wrong = "" if is_text else "its source is no text"
        if _marked(cell, "grade") or _marked(cell, "task"):
            points = cell["metadata"]["nbgrader"].get("points", 0)
            if type(points) not in (int, float) or not 0 <= points < math.inf:
                wrong = f"its points are {points!r:.40}, not a number from 0 on"
        if wrong:
            msg = f"{name}: cell {number}: {wrong}"
            raise AssignmentError(msg)


def _question(cell: dict[str, Any], before: list[str], theirs: frozenset[str]) -> CellQuestion:
    mark = cell["metadata"]["nbgrader"]
    name, points = str(mark.get("grade_id", "")), mark.get("points", 0)
    points = int(points) if float(points).is_integer() else float(points)
    by_hand = _marked(cell, "solution") or _marked(cell, "task") or cell.get("cell_type") != "code"
    code = "" if by_hand else _text(cell)
    return CellQuestion(
        name,
        difficulty=1,
        pattern="implement",
        returns=dict,
        tests={CellTest(name): points},  # type: ignore[dict-item]  # nbgrader has half points
        limits=LIMITS,
        code=code,
        before=tuple(before),
        theirs=theirs,
        unsafe="it is graded by hand" if by_hand else _unsafe(code),
    )


def _unsafe(code: str) -> str:
    """Return why a test needs the student's own process, as far as its text tells; or nothing."""
    try:
        nodes = list(ast.walk(ast.parse(code)))
    except SyntaxError:
        return "it is not plain Python"
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    used |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    about = {
        f"{node.value.id}.{node.attr}"
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.attr in _ABOUT
    }
    if about:
        return f"it uses {min(about)}, which means the student's own object"
    if used & _PRINTS:
        return f"it uses {min(used & _PRINTS)} to look at what is printed"
    return f"it uses {min(used & _LIVE)}, which means the student's own process" if used & _LIVE else ""


def _marked(cell: dict[str, Any], name: str) -> bool:
    metadata = cell.get("metadata")
    mark = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    return isinstance(mark, dict) and mark.get(name) is True


def _text(cell: dict[str, Any]) -> str:
    source = cell.get("source", "")
    return (source if isinstance(source, str) else "".join(source)).replace("\r\n", "\n")


def _bound(code: str) -> set[str]:
    r"""Return the names that a cell defines at its top level, but not what it imports.

    What a function calls its own variables, ``sum`` for instance, is no name of the notebook.

    >>> sorted(_bound("def f(x):\n    global g\n    g = sum = x\nfor n in [i for i in 'ab']:\n    import os"))
    ['f', 'g', 'n']
    """
    try:
        top = symtable.symtable(code, "<cell>", "exec")
    except (SyntaxError, ValueError):
        return set()
    names = {one.get_name() for one in top.get_symbols() if one.is_assigned() and not one.is_imported()}
    inside = top.get_children()
    while inside:
        table = inside.pop()
        inside += table.get_children()
        shared = (one for one in table.get_symbols() if one.is_declared_global() and one.is_assigned())
        names |= {one.get_name() for one in shared}
    return names


def _classes(cells: list[dict[str, Any]]) -> frozenset[str]:
    """Return the names of the classes that the solutions define."""
    names = set()
    for cell in cells:
        with contextlib.suppress(SyntaxError):
            tree = ast.parse(_text(cell) if _marked(cell, "solution") else "")
            names |= {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    return frozenset(names)


def _trusted(cell: dict[str, Any]) -> str:
    """Return what later tests may need of a cell of the teacher's.

    Of a test cell that is what it imports and defines; of a solution what it imports, as the rest is the
    student's to do.
    """
    code = _text(cell)
    if not (_marked(cell, "grade") or _marked(cell, "solution")):
        return code
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return ""
    kinds: tuple[type[ast.stmt], ...] = (ast.Import, ast.ImportFrom)
    if not _marked(cell, "solution"):
        kinds = (*kinds, ast.FunctionDef, ast.ClassDef)
    return ast.unparse(ast.Module([node for node in tree.body if isinstance(node, kinds)], []))
