"""The source of the model of a kernel function, with the branches of the patch in it.

A function of the model may ask for a hunk in a helper beside it: such helpers are shown, too. The source is
that of the installed package, a wheel or a working copy; an interpreter without files shows only the name.

Left out: the kernel's own source; docstrings say where it stands.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import dataclass
from functools import lru_cache
from types import FunctionType
from typing import TYPE_CHECKING, Any

from memsim.patch import Hunk
from memsim.state.trace import FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Branch:
    """Lines (from 1, of the listing) that run only with a hunk, or only without; or that ask for it."""

    hunk: Hunk
    kind: str
    """``asks``, ``with`` or ``without``."""
    first: int
    last: int


@dataclass(frozen=True)
class Listing:
    """The source of one function: name, file, number of the first line there, lines, branches."""

    name: str
    file: str
    first_line: int
    lines: tuple[str, ...]
    branches: tuple[Branch, ...]

    @property
    def hunks(self) -> list[Hunk]:
        """The hunks that the function asks for, in the order of the series."""
        return [hunk for hunk in Hunk if any(branch.hunk is hunk for branch in self.branches)]

    def marks(self, number: int) -> list[Branch]:
        """Return the branches that a line (from 1, of the listing) is in."""
        return [branch for branch in self.branches if branch.first <= number <= branch.last]


@lru_cache(maxsize=256)
def listings(function: str) -> tuple[Listing, ...]:
    """Return the source of a kernel function's model, then of its helpers that ask for a hunk.

    >>> [listing.name for listing in listings("memmap_init_range")]
    ['memmap_init_range', 'first_state']
    >>> [hunk.name for listing in listings("memmap_init_range") for hunk in listing.hunks]
    ['MM_INIT']
    """
    model = FUNCTIONS.get(function)
    if model is None:
        return ()
    helpers = [listing_of(helper) for helper in _helpers(model)]
    return (listing_of(model), *(listing for listing in helpers if listing.branches))


def _helpers(model: FunctionType) -> list[FunctionType]:
    """Return the plain functions of the same module that a function calls."""
    named = [model.__globals__.get(name) for name in model.__code__.co_names]
    return [
        helper
        for helper in named
        if isinstance(helper, FunctionType)
        and helper.__module__ == model.__module__
        and not hasattr(helper, "__wrapped__")
    ]


def listing_of(function: FunctionType) -> Listing:
    """Return the source of one function."""
    name, file = function.__name__, f"{function.__module__.replace('.', '/')}.py"
    try:
        lines, first = inspect.getsourcelines(function)
    except OSError:  # no source on this machine
        return Listing(name, file, function.__code__.co_firstlineno, (), ())
    text = textwrap.dedent("".join(lines))
    return Listing(name, file, first, tuple(text.splitlines()), tuple(_branches(ast.parse(text))))


def _branches(tree: ast.Module) -> Iterator[Branch]:
    """Yield what asks for hunks, and what runs with them or without."""
    for node in ast.walk(tree):
        for block in (getattr(node, "body", None), getattr(node, "orelse", None)):
            if isinstance(block, list):
                yield from _rests(block)
        if isinstance(node, ast.If):
            yield from _branches_of_if(node)
        elif isinstance(node, ast.Return | ast.Assign | ast.Expr):
            for hunk, _ in _hunks(node):
                yield Branch(hunk, "asks", *_extent([node]))


def _branches_of_if(node: ast.If) -> Iterator[Branch]:
    for hunk, wanted in _hunks(node.test):
        yield Branch(hunk, "asks", *_extent([node.test]))
        for kind, body in (("with", node.body), ("without", node.orelse)):
            if body:
                yield Branch(hunk, kind if wanted else _OTHER[kind], *_extent(body))


def _rests(block: list[Any]) -> Iterator[Branch]:
    """Yield what follows a branch that returns: it runs where the branch does not."""
    for at, node in enumerate(block[:-1]):
        if isinstance(node, ast.If) and not node.orelse and isinstance(node.body[-1], ast.Return | ast.Raise):
            for hunk, wanted in _hunks(node.test):
                yield Branch(hunk, _OTHER["with" if wanted else "without"], *_extent(block[at + 1 :]))


_OTHER = {"with": "without", "without": "with"}


def _extent(nodes: list[Any]) -> tuple[int, int]:
    return nodes[0].lineno, nodes[-1].end_lineno


def _hunks(node: ast.AST) -> list[tuple[Hunk, bool]]:
    """Return the hunks that an expression asks for, and whether it wants them there (or missing)."""
    missing = {
        id(leaf) for part in ast.walk(node) if isinstance(part, ast.UnaryOp) for leaf in ast.walk(part)
    }
    return [
        (Hunk[leaf.attr], id(leaf) not in missing)
        for leaf in ast.walk(node)
        if isinstance(leaf, ast.Attribute) and isinstance(leaf.value, ast.Name) and leaf.value.id == "Hunk"
    ]
