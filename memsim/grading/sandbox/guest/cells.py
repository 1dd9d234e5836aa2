"""From the cells of a notebook to Python statements, as many as can be read.

Students split, join, copy and move cells, leave half a line behind, and type IPython's magic words. One
mistake should cost what stands beside it and nothing else.
"""

from __future__ import annotations

import ast
import importlib
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAGIC = re.compile(r"^\s*([%!?].*|[\w.]+\?{1,2}\s*)$")
_OF_ANOTHER_LANGUAGE = re.compile(r"^\s*%%(?!time|timeit|capture|prun)\w+")
_JOINED_AT_MOST = 4
_UNDER_ANOTHER = 16
_GOES_ON = (" ", "\t", ")", "]", "}", "#")
_SECOND_HALVES = re.compile(r"^(else|elif|except|finally)\b")


class Statement(NamedTuple):
    """One top-level statement and the number of its cell, from 1."""

    cell: int
    node: ast.stmt


class Broken(NamedTuple):
    """A piece that cannot be read as Python."""

    cell: int
    line: int
    problem: str


def statements(cells: list[str]) -> tuple[list[Statement], list[Broken]]:
    r"""Return the top-level statements of all cells, in order, and what could not be read.

    >>> found, broken = statements(["def f(x):\n    a = x", "    return a", "%time f(1)", "oops(\nb = 2"])
    >>> [(part.cell, type(part.node).__name__) for part in found], [part.cell for part in broken]
    ([(1, 'FunctionDef'), (4, 'Assign')], [4])
    """
    cells = _with_second_halves(cells)
    found: list[Statement] = []
    broken: list[Broken] = []
    number = 0
    while number < len(cells):
        nodes, taken = _whole(cells, number)
        if nodes is None:
            pieces = list(_pieces(_without_magic(cells[number])))
            nodes = [node for _, piece in pieces for node in _parse_at(*piece, broken, number + 1)]
        found += [Statement(number + 1, node) for node in nodes]
        number += taken
    return found, broken


def _with_second_halves(cells: list[str]) -> list[str]:
    """Put a cell that goes on inside a function under the cell before it."""
    mended: list[str] = []
    while len(mended) < len(cells):
        start = len(mended)
        end = next((at for at in range(start + 1, len(cells)) if not _goes_on(cells[at])), len(cells))
        mended += _joined(cells[start:end])
    return mended


def _goes_on(cell: str) -> bool:
    """Return whether a cell may go on inside a function of an earlier one."""
    first = next((line for line in cell.split("\n") if line.strip()), "")
    return first.startswith((" ", "\t")) and not re.match(r"\s*(def|import|from|class|@)", first)


def _joined(cells: list[str]) -> list[str]:
    """Put cells under the first one, all at once or else a few: each is parsed a limited number of times."""
    whole = "\n".join(cells)
    if len(cells) > 1 and _parse(whole) is not None:
        return [whole, *[""] * (len(cells) - 1)]
    mended = cells[:1]
    last = 0
    for number, cell in enumerate(cells[1:], 1):
        near = number - last <= _UNDER_ANOTHER
        if near and _parse(f"{mended[last]}\n{cell}") is not None:
            mended[last] += f"\n{cell}"
            mended.append("")
        else:
            mended.append(cell)
            last = number
    return mended


def _whole(cells: list[str], number: int) -> tuple[list[ast.stmt] | None, int]:
    """Parse a cell, or as many after it as belong to the same statement; None if that does not help."""
    text = _without_magic(cells[number])
    nodes = _parse(text)
    if nodes is not None:
        return nodes, 1
    for end in range(number + 2, min(number + _JOINED_AT_MOST, len(cells)) + 1):
        last = _without_magic(cells[end - 1])
        if _parse(last) is not None and not last.startswith((" ", "\t")):
            break  # it stands alone, so it is no second half
        text += "\n" + last
        nodes = _parse(text)
        if nodes is not None:
            return nodes, end - number
    dedent = importlib.import_module("textwrap").dedent  # few notebooks need it
    return _parse(dedent(_without_magic(cells[number]))), 1


def _without_magic(cell: str) -> str:
    """Return a cell with IPython's own lines empty, so that line numbers stay."""
    cell = cell.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").lstrip("\ufeff")
    if _OF_ANOTHER_LANGUAGE.match(cell):
        return ""
    if _parse(cell) is not None:
        return cell
    return "\n".join("" if _MAGIC.match(line) else line.replace("\u00a0", " ") for line in cell.split("\n"))


def _parse(text: str) -> list[ast.stmt] | None:
    """Return the statements of a text, or None."""
    try:
        return ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _pieces(text: str) -> Iterator[tuple[int, tuple[int, str]]]:
    """Cut a text before each line that begins a top-level statement; gives (line, (line, piece))."""
    start, piece = 1, list[str]()
    for number, line in enumerate(text.split("\n"), 1):
        begins = line and not line.startswith(_GOES_ON) and not _SECOND_HALVES.match(line)
        decorated = piece and piece[-1].startswith("@")
        if begins and piece and not decorated:
            yield start, (start, "\n".join(piece))
            start, piece = number, []
        piece.append(line)
    yield start, (start, "\n".join(piece))


def _parse_at(line: int, piece: str, broken: list[Broken], cell: int) -> list[ast.stmt]:
    """Return the statements of a piece with their line numbers, or note that it is broken."""
    try:
        tree = ast.parse(piece)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as problem:
        where = line + (getattr(problem, "lineno", None) or 1) - 1
        broken.append(Broken(cell, where, f"{type(problem).__name__}: {getattr(problem, 'msg', problem)}"))
        return []
    ast.increment_lineno(tree, line - 1)
    return tree.body
