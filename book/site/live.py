"""Questions that live on a page without a kernel.

Texts and answers are known when the site is built. The statements of a chapter that its questions depend on
are run, in order, and each question is asked what it would show. Its static form must be the stored output,
to the letter, or the build fails: a site never shows what the notebook does not.
"""

from __future__ import annotations

import ast
import io
import json
from contextlib import chdir, redirect_stdout
from html import escape
from typing import TYPE_CHECKING, Any, Protocol

from book.site.pages import source
from memsim.lesson.live import STATIC as LESSON
from memsim.view.buddy_lab.widget import STATIC as ORDERS
from memsim.view.decode import STATIC as DECODE
from memsim.view.driver_lab.widget import SHEET as DRIVER
from memsim.view.half_patch.matrix_lab import STATIC as HALF_PATCH
from memsim.view.lab import STATIC as TOUR
from memsim.view.modules import joined

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUESTIONS = {
    "ask": "question",
    "predict": "question",
    "quiz": "question",
    "solution": "question",
    "half_patch": "matrix",
    "decode_page": "bits",
    "buddy_lab": "tour",
    "driver_lab": "tour",
}
"""Function that a cell ends with -> the widget that shows what it returns."""
_FILES = {
    "question": LESSON / "question",
    "matrix": HALF_PATCH / "matrix",
    "bits": DECODE / "bits",
    "orders": ORDERS / "picture",
    "tour": TOUR / "tour",
}
"""Widget -> its script and its style sheet, without their endings."""
SHOWN_ONLY = {"claim", "display", "on_a_real_kernel", "print"}
"""Functions that change nothing that a question could depend on."""
MORE = 5
"""So many problems of a kind can be had on a page."""


class Shown(Protocol):
    """What a question has."""

    def html(self) -> str:
        """Return the static form."""

    def spec_without_a_kernel(self) -> dict[str, Any]:
        """Return what the browser needs."""


def live_cells(notebook: dict[str, Any], path: Path) -> Iterator[tuple[dict[str, Any], str, Shown]]:
    """Return the cells that end with a question, the name of its widget, and the question."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    statements = [(cell, statement) for cell in cells for statement in ast.parse(source(cell)).body]
    wanted = needed([statement for _, statement in statements])
    names: dict[str, Any] = {}
    with chdir(path.parent), redirect_stdout(io.StringIO()):
        for cell, statement in statements:
            if (function := called(statement)) in QUESTIONS:
                expression = compile(ast.Expression(statement.value), path.name, "eval")  # type: ignore[attr-defined]
                shown = eval(expression, names)  # noqa: S307 (our book)
                if hasattr(shown, "spec_without_a_kernel"):
                    yield cell, QUESTIONS[function], shown
            elif statement in wanted:
                exec(compile(ast.Module([statement], []), path.name, "exec"), names)  # noqa: S102 (our book)


def called(statement: ast.stmt) -> str:
    """Return the name of the function of which a statement is nothing but a call; "" for all else."""
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Name(id=name))):
            return name
    return ""


def needed(statements: list[ast.stmt]) -> set[ast.stmt]:
    """Return the statements that the questions among others depend on.

    A call of a method counts if the question needs the object: it may change it.

    >>> lines = ast.parse("import a, b\\nc = a.c()\\nd = 1\\nc.move()\\nprint(c)\\nquiz(b.e(c))").body
    >>> sorted(ast.unparse(each) for each in needed(lines))
    ['c = a.c()', 'c.move()', 'import a, b']
    """
    wanted = {name for statement in statements if called(statement) in QUESTIONS for name in read(statement)}
    found: set[ast.stmt] = set()
    while True:
        # Again and again: a function may name what stands below it.
        new = {
            each
            for each in statements
            if (bound(each) | changed(each)) & wanted and called(each) not in SHOWN_ONLY
        } - found
        if not new:
            return found
        found |= new
        wanted |= {name for statement in new for name in read(statement)}


def read(node: ast.AST) -> set[str]:
    """Return the names that a piece of code reads."""
    names = [each for each in ast.walk(node) if isinstance(each, ast.Name)]
    grown = [each.target for each in ast.walk(node) if isinstance(each, ast.AugAssign)]
    loaded = {each.id for each in names if isinstance(each.ctx, ast.Load)}
    return loaded | {each.id for each in grown if isinstance(each, ast.Name)}


def bound(statement: ast.stmt) -> set[str]:
    """Return the names that a statement binds."""
    match statement:
        case ast.Import() | ast.ImportFrom():
            return {alias.asname or alias.name for alias in statement.names}
        case ast.FunctionDef() | ast.ClassDef():
            return {statement.name}
    stored = [each for each in ast.walk(statement) if isinstance(each, ast.Name)]
    return {each.id for each in stored if isinstance(each.ctx, ast.Store)}


def changed(statement: ast.stmt) -> set[str]:
    """Return the objects on which a statement calls a method for its effect, or whose parts it sets."""
    targets: list[ast.AST] = []
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Attribute() as function)):
            targets = [function]
        case ast.Assign():
            targets = list(statement.targets)
    return {name for target in targets for name in read(target)}


def make_live(cell: dict[str, Any], widget: str, shown: Shown, run: str) -> None:
    """Wrap a stored output in the element that the widget replaces; ValueError if it is out of date.

    ``run`` is the address at which a reader can do more than a page without a kernel can.
    """
    found = [each for each in cell["outputs"] if "text/html" in each.get("data", {})]
    if len(found) != 1:
        msg = f"{cell['id']}: the cell has no stored output that a page could show; `make book` renews it"
        raise ValueError(msg)
    (output,) = found
    stored = "".join(output["data"]["text/html"])
    if stored != shown.html():
        msg = f"{cell['id']}: the stored output is not what the cell shows; `make book` renews it"
        raise ValueError(msg)
    state = {"widget": widget, "state": {"spec": more(shown) | {"run": run}}}
    given = escape(json.dumps(state, ensure_ascii=False, separators=(",", ":")))
    output["data"]["text/html"] = f'<div data-memsim-live="{given}">{stored}</div>'


def more(shown: Shown) -> dict[str, Any]:
    """Return what a question needs, and for a problem others of its kind."""
    from memsim.lesson.problems import Problem, problem  # noqa: PLC0415

    spec = shown.spec_without_a_kernel()
    if isinstance(shown, Problem):
        others = [problem(shown.kind, shown.seed + number) for number in range(1, MORE + 1)]
        spec["more"] = [other.spec_without_a_kernel() for other in others]
    return spec


def script() -> str:
    """Return the widgets' code as one classic script, which also loads from a disk."""
    made = [f"  {name}: (() => {{\n{_code(file)}}})(),\n" for name, file in _FILES.items()]
    return f"const memsimWidgets = {{\n{''.join(made)}}};\n"


def _code(file: Path) -> str:
    """Return a module as the body of a function that returns what the module exports."""
    return joined(file.with_suffix(".js")).replace("export default", "return")


def style() -> str:
    """Return the widgets' style sheets."""
    sheets = [*(file.with_suffix(".css") for file in _FILES.values()), DRIVER]
    return "".join(sheet.read_text(encoding="utf-8") for sheet in sheets)
