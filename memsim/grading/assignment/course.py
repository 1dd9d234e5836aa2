"""The folders of a course: where the notebook and the grading file of an assignment are.

``exercises/source/<assignment>/<assignment>.ipynb`` is in nbgrader's format; what students get is made from
it by nbgrader, or by :func:`student_copy`, which does the same without nbgrader.
"""

from __future__ import annotations

import ast
import copy
import re
import warnings
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

import memsim
from memsim.grading.assignment.assignment import AssignmentError
from memsim.scenario.json_check import read_json

STUB = "return ...  # your answer"
_DOTS = STUB.removeprefix("return ")
_BEGIN, _END = "### BEGIN SOLUTION", "### END SOLUTION"
_REGION = re.compile(rf"^([ \t]*){_BEGIN}\n.*?^[ \t]*{_END}(?:\n|\Z)", re.MULTILINE | re.DOTALL)
_MARKS = re.compile(rf"^[ \t]*(?:{_BEGIN}|{_END})\n", re.MULTILINE)

Notebook = dict[str, Any]


def source_of(grading: Path) -> Path:
    """Return the source notebook that belongs to a grading file.

    >>> from pathlib import Path
    >>> source_of(Path("exercises/grading/one_block.py")).as_posix()
    'exercises/source/one-block/one-block.ipynb'
    """
    if grading.suffix == ".ipynb":
        return grading
    name = grading.stem.replace("_", "-")
    return grading.parent.parent / "source" / name / f"{name}.ipynb"


def named(name: str, kind: str) -> Path:
    """Return a file of an assignment that is given by its path or by its name.

    A name is looked for in ``exercises/`` here, and in the one of the checkout that memsim runs from.

    Parameters
    ----------
    name
        A path, or a name such as ``one-block``.
    kind
        ``grading`` or ``source``.

    Raises
    ------
    AssignmentError
        There is no such file; the message says where it was looked for.

    >>> named("one-block", "grading").name, named("one-block", "source").name
    ('one_block.py', 'one-block.ipynb')
    """
    path = Path(name)
    if path.exists() and not path.is_dir():  # a device, too: the reader refuses it by its path
        return path
    if len(path.parts) > 1 or path.suffix:
        msg = f"{name}: there is no such file"
        raise AssignmentError(msg)
    inside = Path(kind, f"{name.replace('-', '_')}.py" if kind == "grading" else f"{name}/{name}.ipynb")
    folders = dict.fromkeys([Path("exercises"), Path(memsim.__file__).parent.parent / "exercises"])
    for folder in folders:
        if (folder / inside).is_file():
            return folder / inside
    places = " or ".join(str(folder / inside) for folder in folders)
    here = sorted({path.stem for folder in folders for path in (folder / "source").glob("*/*.ipynb")})
    advice = (
        f"the assignments here: {', '.join(get_close_matches(name, here, 3) or here)}"
        if here
        else "memsim's assignments come with a clone of the project: copy its exercises/ here, or give a path"
    )
    msg = f"{name}: there is neither such a file nor {places}; {advice}"
    raise AssignmentError(msg)


def load(path: Path) -> Notebook:
    """Read a notebook of ours.

    Raises
    ------
    AssignmentError
        There is none, or it is not JSON.
    """
    return cast("Notebook", read_json(path, AssignmentError))


def student_copy(source: Notebook) -> Notebook:
    """Return the notebook as students get it: each solution has become a line to be replaced."""
    return _rewritten(
        source, lambda text: valid_stubs(_REGION.sub(lambda found: f"{found[1]}{STUB}\n", text))
    )


def valid_stubs(text: str) -> str:
    r"""Return a cell whose stubs Python compiles: outside of a function there is no ``return``.

    >>> valid_stubs("class Mine:\n    return ...  # your answer")
    'class Mine:\n    ...  # your answer'
    """
    if STUB not in text:
        return text
    try:
        with warnings.catch_warnings(action="ignore"):  # about the instructor's own lines
            tree = ast.parse(text)
    except (SyntaxError, ValueError):  # no Python, or more than Python
        return text
    scopes = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    within: dict[int, ast.AST] = {}
    for node in ast.walk(tree):  # from the outermost scope to the innermost
        if isinstance(node, scopes):
            within |= dict.fromkeys(range(node.lineno, (node.end_lineno or node.lineno) + 1), node)
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if isinstance(within.get(number), ast.ClassDef | None):
            lines[number - 1] = line.replace(STUB, _DOTS)
    return "\n".join(lines)


def solution_copy(source: Notebook) -> Notebook:
    """Return the notebook as it is solved: without the marks around the solutions."""
    return _rewritten(source, lambda text: _MARKS.sub("", text))


def _rewritten(source: Notebook, change: Any) -> Notebook:
    made = copy.deepcopy(source)
    for cell in made["cells"]:
        if cell["cell_type"] == "code":
            text = change("".join(cell["source"]) + "\n")
            cell["source"] = text.rstrip("\n").splitlines(keepends=True)
            cell["outputs"], cell["execution_count"] = [], None
    return made


def with_answer(notebook: Notebook, name: str, answer: str) -> Notebook:
    """Return a notebook in which the answer cell of a question holds ``answer``."""
    made = copy.deepcopy(notebook)
    for cell in made["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("grade_id") == f"{name}-answer":
            cell["source"] = answer.splitlines(keepends=True)
    return made


def code_of(notebook: Notebook) -> list[str]:
    """Return the sources of the code cells."""
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
