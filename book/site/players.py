"""The explorers of the book as tapes: every moment drawn beforehand, for a page that has no kernel.

A notebook's code is not executed for that. Of its statements only those run that make what ``explore(...)``
is given; they are looked for from the call backwards. The explorer that results must have the stored output,
to the letter, or the build fails: a site never shows what the notebook does not.

A tape has all moments of a short walk, and of a long one the moments with names. What is said to have changed
has then changed since the moment that is shown before.
"""

from __future__ import annotations

import ast
import json
from contextlib import chdir
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING, Any

from book.site.pages import source
from memsim.view.draw.machine_map import machine_sentence
from memsim.view.draw.markup import classes_in, legend_html, map_source
from memsim.view.explorer.code_pane import code_html
from memsim.view.explorer.explorer import Explorer, machine_source
from memsim.view.explorer.panels import happening_html, map_alt, recorded_html, says_html, tables_html
from memsim.view.model.moments import moment_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from memsim.view.explorer.snapshot import Side, Sight
    from memsim.view.explorer.timeline import Walk

PLAYER = "explore"
MOST = 200
"""A walk with more moments is shown at those with names only."""


# ---- finding them -----------------------------------------------------------------------------------


def explorers(notebook: dict[str, Any], path: Path) -> Iterator[tuple[dict[str, Any], Explorer]]:
    """Return the cells that end with a call of explore(), and the explorer of each."""
    before: list[ast.stmt] = []
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        statements = ast.parse(source(cell)).body
        if statements and is_call(statements[-1]):
            yield cell, explorer_of(statements[-1], [*before, *statements[:-1]], path)
        before += statements


def is_call(statement: ast.stmt) -> bool:
    """Return whether a statement is nothing but a call of explore()."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Call)
        and isinstance(statement.value.func, ast.Name)
        and statement.value.func.id == PLAYER
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


def placeholder(cell: dict[str, Any], tape: str, explorer: Explorer) -> None:
    """Wrap a stored output in the element that the player replaces; ValueError if it is out of date."""
    (output,) = (each for each in cell["outputs"] if "text/html" in each.get("data", {}))
    stored = "".join(output["data"]["text/html"])
    if stored != explorer.stored_html:
        msg = f"{tape}: the stored output is not what the simulator shows; `make book` renews it"
        raise ValueError(msg)
    output["data"]["text/html"] = f'<div class="memsim-player" data-tape="{tape}">{stored}</div>'


# ---- the tape ---------------------------------------------------------------------------------------


def tape_script(name: str, explorer: Explorer) -> str:
    """Return the script that hands a tape to the player; as a script it also loads from a disk."""
    text = json.dumps(tape_of(explorer), ensure_ascii=False, separators=(",", ":"))
    return f"memsimTape({json.dumps(name)}, {text});\n"


def chosen(walk: Walk, start: int) -> list[int]:
    """Return the moments of a tape: all, or where these are many those with names and the first to show."""
    if len(walk.moments) <= MOST:
        return list(range(len(walk.moments)))
    return sorted({0, start, len(walk.moments) - 1, *(index for _, index in walk.named())})


def tape_of(explorer: Explorer) -> dict[str, Any]:
    """Return all that a player needs.

    Most of what is shown stays the same from one moment to the next, so every piece of HTML is kept once, in
    ``parts``; ``moments`` has for each moment the numbers of its pieces, in the order of ``fields``.
    """
    walk, zone = explorer.walk, explorer.walk.zone_of_block()
    indexes = chosen(walk, explorer.start)
    sights = [sight_at(walk, index, before) for before, index in zip([0, *indexes], indexes, strict=False)]
    pieces = [pieces_of(sight, zone) for sight in sights]
    parts = {part: None for piece in pieces for part in piece.values()}
    numbers = {part: number for number, part in enumerate(parts)}
    return {
        "title": explorer.title,
        "note": note(len(indexes), len(walk.moments)),
        "sides": [side.title for side in sights[0].sides],
        "legend": legend_html(classes_in(every_map(sights)), blocks=True),
        "names": [moment_name(walk.moments[index]) for index in indexes],
        "landmarks": [(name, indexes.index(index)) for name, index in walk.named()],
        "start": indexes.index(explorer.start),
        "fields": list(pieces[0]),
        "parts": list(parts),
        "moments": [[numbers[part] for part in piece.values()] for piece in pieces],
    }


def note(shown: int, there: int) -> str:
    """Return which moments are on the page, where not all of them are."""
    if shown == there:
        return ""
    return (
        f"This page has {shown} of {there:,} moments: those with names. What has changed, has changed since "
        "the moment that it shows before. The notebook has them all."
    )


def sight_at(walk: Walk, index: int, before: int) -> Sight:
    """Return what there is to see at a moment if one comes from another."""
    sight = walk.look(index)
    if before >= index - 1:
        return sight
    sides = tuple(replace(side, written=walk.written(index, side.name, since=before)) for side in sight.sides)
    return replace(sight, previous=walk.numbers(before), sides=sides)


def every_map(sights: Sequence[Sight]) -> list[Any]:
    """Return the classes of every page map that is shown."""
    sides = [side for sight in sights for side in sight.sides]
    recorded = [each.page_map.classes for side in sides if (each := side.recorded) and each.page_map]
    return [side.page_map.classes for side in sides] + recorded


def pieces_of(sight: Sight, zone: str) -> dict[str, str]:
    """Return the HTML and the text of a moment by name."""
    pieces = {
        "happening": happening_html(sight),
        "differs": f"<p><b>{escape(sight.differs)}</b></p>",
        "code": code_html(sight),
        "tables": tables_html(sight, zone),
        "recorded": recorded_html(sight),
        "twin": sight.twin(zone),
    }
    for number, side in enumerate(sight.sides):
        pieces |= {f"{name}{number}": piece for name, piece in _side(sight, side).items()}
    return pieces


def _side(sight: Sight, side: Side) -> dict[str, str]:
    shown = side.page_map
    return {
        "machine": machine_source(side.kinds.tobytes()),
        "machineAlt": f"Map of the machine: {machine_sentence(sight.blocks, side.kinds)}",
        "pages": map_source(shown.classes, shown.heads, reproducible=True),
        "pagesAlt": map_alt(side),
        "says": says_html(side),
    }
