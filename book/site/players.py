"""The explorers of the book on the web site: the same modules, with the same data in the page.

A notebook's code is not executed for that. Of its statements only those run that make what ``explore(...)``
is given; they are looked for from the call backwards. The explorer that results must have the stored output,
to the letter, or the build fails: a site never shows what the notebook does not.
"""

from __future__ import annotations

import ast
import base64
import json
from contextlib import chdir
from typing import TYPE_CHECKING, Any

from book.site.pages import source
from memsim.patch import Patch
from memsim.view.explorer.explorer import Explorer
from memsim.view.explorer.export import acting
from memsim.view.lab import WIDGET_VIEW

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PLAYERS = {"explore", "explore_drive"}
"""The functions that return an explorer."""


# ---- finding them -----------------------------------------------------------------------------------


def explorers(notebook: dict[str, Any], path: Path) -> Iterator[tuple[dict[str, Any], Explorer]]:
    """Return the cells that end with a call of explore() or explore_drive(), and the explorer of each."""
    before: list[ast.stmt] = []
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        statements = ast.parse(source(cell)).body
        if statements and is_call(statements[-1]):
            yield cell, explorer_of(statements[-1], [*before, *statements[:-1]], path)
        before += statements


def is_call(statement: ast.stmt) -> bool:
    """Return whether a statement is nothing but a call that returns an explorer."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Call)
        and isinstance(statement.value.func, ast.Name)
        and statement.value.func.id in PLAYERS
    )


def explorer_of(call: ast.Expr, before: Sequence[ast.stmt], path: Path) -> Explorer:
    """Return what a call of explore() returns, in the folder of its notebook."""
    names: dict[str, Any] = {}
    with chdir(path.parent):
        exec(compile(ast.Module(needed(call, before), []), path.name, "exec"), names)  # noqa: S102 (our book)
        found = eval(compile(ast.Expression(call.value), path.name, "eval"), names)  # noqa: S307
    if not isinstance(found, Explorer):
        msg = f"{path.name}: {ast.unparse(call)} is no explorer: {found!r}"
        raise TypeError(msg)
    return found


def needed(call: ast.stmt, before: Sequence[ast.stmt]) -> list[ast.stmt]:
    """Return the statements that a call depends on, in order.

    >>> lines = ast.parse("import a, b\\nc = a.c()\\nd = 1\\ne = b.e(c)\\nprint(d)").body
    >>> [ast.unparse(each) for each in needed(ast.parse("f = e").body[0], lines)]
    ['import a, b', 'c = a.c()', 'e = b.e(c)']
    """
    wanted, found = _read(call), []
    for statement in reversed(before):
        if _bound(statement) & wanted:
            wanted = (wanted - _bound(statement)) | _read(statement)
            found.insert(0, statement)
            if isinstance(statement, ast.Import | ast.ImportFrom):
                wanted -= _bound(statement)
    return found


def _read(node: ast.AST) -> set[str]:
    return {
        each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)
    }


def _bound(statement: ast.stmt) -> set[str]:
    match statement:
        case ast.Import() | ast.ImportFrom():
            return {alias.asname or alias.name for alias in statement.names}
        case ast.Assign():
            return {each.id for each in ast.walk(statement) if isinstance(each, ast.Name)} - _read(statement)
        case ast.FunctionDef() | ast.ClassDef():
            return {statement.name}
    return set()


# ---- on the page ------------------------------------------------------------------------------------


def placeholder(
    cell: dict[str, Any], name: str, explorer: Explorer, plotly: str = "", hunks: Sequence[str] = ()
) -> None:
    """Wrap a stored output in the element that the explorer takes the place of.

    ``plotly`` is the address of plotly's script, fetched when a reader opens a chart; "": there is none.
    ``hunks`` are those for which there is the data of :func:`walks_without_a_hunk`.

    Raises
    ------
    ValueError
        There is no stored output, as after reading the book in JupyterLab, or it is out of date.
    """
    output = next((each for each in cell["outputs"] if "text/html" in each.get("data", {})), None)
    if output is None:
        gone = any(WIDGET_VIEW in each.get("data", {}) for each in cell["outputs"])
        why = "was replaced by a live widget when the notebook was saved" if gone else "is not there"
        msg = f"{name}: the stored output {why}; `git checkout book` or `make book` brings it back"
        raise ValueError(msg)
    stored = "".join(output["data"]["text/html"])
    if stored != explorer.stored_html:
        msg = f"{name}: the stored output is not what the simulator shows; `make book` renews it"
        raise ValueError(msg)
    given = {"explorer": name, "plotly": plotly, "hunks": " ".join(hunks)}
    data = "".join(f' data-{key}="{value}"' for key, value in given.items() if value)
    output["data"]["text/html"] = f'<div class="memsim-player"{data}>{stored}</div>'


def walks_without_a_hunk(explorer: Explorer) -> Iterator[tuple[str, bytes]]:
    """Yield each hunk that acts in a walk, and the data of the walk without it."""
    for hunk in acting(explorer.walk):
        yield hunk.name, explorer.without(Patch({hunk}))


def data_script(name: str, data: bytes) -> str:
    """Return the script that gives an explorer its data; as a script it also loads from a disk."""
    return f"memsimExplorer({json.dumps(name)}, {json.dumps(base64.b64encode(data).decode())});\n"
