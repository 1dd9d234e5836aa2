"""What each hunk of the patch changes in the models: every function without it, beside the same with it.

A function is shown as it reads once the question is decided: ``if kernel.has(Hunk.X): a`` becomes ``a``, or
nothing. All other hunks are applied on both sides, so that what differs is one hunk.

Left out: docstrings, which say the same on both sides, and :mod:`memsim.walkers`, which it leaves alone.
"""

from __future__ import annotations

import ast
import textwrap
from dataclasses import dataclass
from difflib import SequenceMatcher
from importlib import import_module
from typing import TYPE_CHECKING

from memsim.devices import DEVICE_KINDS
from memsim.patch import AFTER, Hunk, Patch
from memsim.source.listings import Listing, listings
from memsim.state.trace import FUNCTIONS, KERNEL_FILES

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTEXT = 2
"""Lines that are shown around a change."""


@dataclass(frozen=True)
class Row:
    """A line of a function without the hunk, and the same with it; None where one side has no such line."""

    without: str | None
    applied: str | None

    @property
    def changed(self) -> bool:
        """Whether the hunk changes the line."""
        return self.without != self.applied


@dataclass(frozen=True)
class HunkInFunction:
    """What a hunk changes in one function.

    ``kernel_file`` and ``function`` are where the kernel has it; ``listing`` is our model, which may be a
    helper of it, with the line of the file where it begins.
    """

    hunk: Hunk
    kernel_file: str
    function: str
    listing: Listing
    rows: tuple[Row, ...]

    def excerpt(self, context: int = CONTEXT) -> list[Row | None]:
        """Return the rows around the changes, and None in place of each run of rows that is left out."""
        changed = [index for index, row in enumerate(self.rows) if row.changed]
        near = {n for at in changed for n in range(at - context, at + context + 1)}
        shown: list[Row | None] = []
        for index, row in enumerate(self.rows):
            if index in near:
                shown.append(row)
            elif shown and shown[-1] is not None:
                shown.append(None)
        return shown[:-1] if shown and shown[-1] is None else shown


def hunk_changes(hunk: Hunk) -> list[HunkInFunction]:
    """Return what a hunk changes, function by function, in the order of the kernel's files.

    >>> [(each.kernel_file, each.function) for each in hunk_changes(Hunk.MM_INIT)]
    [('mm/mm_init.c', 'memmap_init_range')]
    """
    import_models()
    found: dict[tuple[str, str], HunkInFunction] = {}
    for function in sorted(FUNCTIONS, key=lambda name: (KERNEL_FILES[name], name)):
        for listing in listings(function):
            own = (listing.file, listing.name)
            if hunk in listing.hunks and (own not in found or listing.name == function):
                rows = tuple(rows_of(listing, hunk))
                found[own] = HunkInFunction(hunk, KERNEL_FILES[function], function, listing, rows)
    return list(found.values())


def import_models() -> None:
    """Import the drivers, whose functions are known to the register of models only then."""
    for kind in DEVICE_KINDS.values():
        import_module(kind.module)


def rows_of(listing: Listing, hunk: Hunk) -> Iterator[Row]:
    """Yield the lines of a function without a hunk beside those with it."""
    without, applied = (decided(listing, patch) for patch in (AFTER - {hunk}, AFTER))
    for tag, low, high, other_low, other_high in SequenceMatcher(
        None, without, applied, autojunk=False
    ).get_opcodes():
        left, right = without[low:high], applied[other_low:other_high]
        if tag == "equal":
            yield from (Row(line, line) for line in left)
        else:
            yield from (Row(line, None) for line in left)
            yield from (Row(None, line) for line in right)


def decided(listing: Listing, patch: Patch) -> list[str]:
    """Return the lines of a function as it reads on a kernel with ``patch``, without docstring and decorator.

    >>> [listing] = [each for each in listings("generic_online_page") if each.branches]
    >>> len(decided(listing, Patch("before"))) - len(decided(listing, Patch("after")))
    1
    """
    text = "\n".join(listing.lines)
    function = ast.parse(text).body[0]
    assert isinstance(function, ast.FunctionDef)  # noqa: S101 (a listing is one function)
    lines = list(listing.lines)
    for node in sorted(_asking(function), key=lambda each: each.lineno, reverse=True):
        lines[node.lineno - 1 : node.end_lineno] = _replaced(node, lines, patch)
    start = function.body[0]
    if isinstance(start, ast.Expr) and isinstance(start.value, ast.Constant):
        del lines[start.lineno - 1 : start.end_lineno]
    return lines[function.lineno - 1 :]  # without the decorator


def _asking(function: ast.FunctionDef) -> list[ast.stmt]:
    """Return the innermost statements that ask for a hunk themselves."""
    found: list[ast.stmt] = []
    for node in ast.walk(function):
        if isinstance(node, ast.If):
            asked: ast.AST | None = node.test
        elif isinstance(node, ast.Return | ast.Assign | ast.Expr):
            asked = node.value
        else:
            continue
        if asked is not None and any(_hunk_of(leaf) for leaf in ast.walk(asked)):
            found.append(node)
    return found


def _hunk_of(node: ast.AST) -> Hunk | None:
    """Return the hunk that a call ``kernel.has(Hunk.X)`` asks for, or None for anything else."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "has":
        argument = node.args[0]
        if isinstance(argument, ast.Attribute):
            return Hunk[argument.attr]
    return None


def _replaced(node: ast.stmt, lines: list[str], patch: Patch) -> list[str]:
    """Return the lines that stand for a statement once its questions are answered."""
    indent = " " * node.col_offset
    if not isinstance(node, ast.If):
        return textwrap.indent(ast.unparse(_Answers(patch).visit(node)), indent).splitlines()
    test = _Answers(patch).visit(node.test)
    header = node.test.end_lineno or node.test.lineno
    keyword = lines[node.lineno - 1].split()[0]  # if or elif
    body = lines[header : node.body[-1].end_lineno]
    if not isinstance(test, ast.Constant):
        return [f"{indent}{keyword} {ast.unparse(test)}:", *lines[header : node.end_lineno]]
    if not test.value:
        if not node.orelse:
            return []
        start = node.orelse[0].lineno - 1
        body = lines[start : node.end_lineno]
        if body[0].startswith(f"{indent}elif "):
            return [body[0].replace("elif", keyword, 1), *body[1:]]
    return [f"{indent}else:", *body] if keyword == "elif" else _dedented(body)


def _dedented(lines: list[str]) -> list[str]:
    return [line.removeprefix("    ") for line in lines]


class _Answers(ast.NodeTransformer):
    """Puts the answer in place of each ``has(Hunk.X)``, and simplifies what it decides."""

    def __init__(self, patch: Patch) -> None:
        self.patch = patch

    def visit_Call(self, node: ast.Call) -> ast.AST:
        hunk = _hunk_of(node)
        return ast.Constant(hunk in self.patch) if hunk else self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        operand = self.visit(node.operand)
        if isinstance(node.op, ast.Not) and isinstance(operand, ast.Constant):
            return ast.Constant(not operand.value)
        return ast.UnaryOp(node.op, operand)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        decisive = isinstance(node.op, ast.Or)  # the value that decides on its own
        left = []
        for value in map(self.visit, node.values):
            if isinstance(value, ast.Constant) and isinstance(value.value, bool):
                if value.value == decisive:
                    return ast.Constant(decisive)
            else:
                left.append(value)
        if not left:
            return ast.Constant(not decisive)
        return left[0] if len(left) == 1 else ast.BoolOp(node.op, left)

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        test = self.visit(node.test)
        if isinstance(test, ast.Constant):
            chosen: ast.AST = self.visit(node.body if test.value else node.orelse)
            return chosen
        return self.generic_visit(node)
