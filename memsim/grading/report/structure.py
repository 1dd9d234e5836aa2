"""The structure of what a student wrote, which is compared with that of others.

What was graded counts: cells as the grader reads them, functions in text cells, and functions in strings that
are Python. Names of variables, numbers, comments and layout do not count, so that renaming hides nothing.

A process that reads submissions imports this module and is forked for each: it does without numpy.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import io
import keyword
import tokenize
import warnings
from array import array
from typing import TYPE_CHECKING, Any, TypeAlias

from memsim.grading.run.notebook import UnreadableError
from memsim.grading.sandbox.guest.cells import statements

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_WINDOW = 12
"""Tokens in a row that must be the same to count."""
_DEEPEST = 3
"""Strings in strings that are read as Python."""
_LEFT_OUT = frozenset(
    {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENCODING, tokenize.ENDMARKER}
)
_BLOCKS = ("body", "orelse", "finalbody")
_HARMLESS = frozenset(
    {
        "abs",
        "bool",
        "callable",
        "dict",
        "float",
        "hash",
        "id",
        "int",
        "isinstance",
        "len",
        "list",
        "max",
        "min",
    }
    | {"print", "range", "repr", "set", "sorted", "str", "sum", "tuple", "type"}
)
"""Functions whose calls change no answer if nothing uses what they return."""
_NO_PYTHON = (SyntaxError, ValueError, RecursionError, MemoryError)

Pieces: TypeAlias = "array[int]"
"""Sorted hashes of 64 bits of all rows of tokens in a submission, each once."""


def tokens(source: str) -> list[str]:
    """Return the structure of a piece of code.

    >>> tokens("total = a + 1  # sum") == tokens("x=y+22")
    True
    """
    found: list[str] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type in _LEFT_OUT:
                continue
            name = token.type == tokenize.NAME and not keyword.iskeyword(token.string)
            plain = name or token.type in (tokenize.NUMBER, tokenize.STRING, tokenize.INDENT)
            found.append(tokenize.tok_name[token.type] if plain else token.string)
    except (tokenize.TokenError, SyntaxError, ValueError):
        pass  # as far as it can be read
    return found


def pieces(cells: Iterable[str], notes: Iterable[str] = ()) -> Pieces:
    r"""Return every row of tokens in a submission; of its text cells only the functions.

    >>> hidden = 'exec("def f(a, b):\\n    return [a * b + 1 for a in range(b) if a > b - 1]")'
    >>> plain = "def g(x, y):\n    return [x*y+7 for x in range(y) if x > y-2]  # mine"
    >>> bool(set(pieces([plain]).tolist()) <= set(pieces([hidden]).tolist()))
    True
    """
    with warnings.catch_warnings(action="ignore"):  # of what Python thinks of a student's code
        rows = [tokens(_text(node)) for node in _graded(list(cells), list(notes))]
    hashes = {
        int.from_bytes(hashlib.blake2b("\0".join(row[at : at + _WINDOW]).encode(), digest_size=8).digest())
        for row in rows
        for at in range(max(0, len(row) - _WINDOW + 1))
    }
    return array("Q", sorted(hashes))


def _graded(cells: list[str], notes: list[str]) -> Iterator[ast.stmt]:
    """Return the statements that the grader executes, and those in strings that it may execute."""
    for _, node in statements(cells)[0]:
        yield node
        yield from _in_strings(node, _DEEPEST)
    fenced = ["\n".join(line for line in note.split("\n") if not line.startswith("```")) for note in notes]
    for _, node in statements([note for note in fenced if "def " in note])[0]:
        if isinstance(node, ast.FunctionDef):
            yield node


def _in_strings(node: ast.AST, depth: int) -> Iterator[ast.stmt]:
    """Return the statements in all strings of a statement that are Python with a function in it."""
    waiting = [node] if depth else []
    while waiting:
        part = waiting.pop()
        terms = _terms(part)
        text = _all_text("", terms)
        if text is None:
            waiting += terms if len(terms) > 1 else ast.iter_child_nodes(part)
        elif "def" in text or "lambda" in text:
            try:
                inside = ast.parse(text).body
            except _NO_PYTHON:
                continue
            for statement in inside:
                yield statement
                yield from _in_strings(statement, depth - 1)


def _constant_text(node: ast.AST) -> str | None:
    """Return the text that an expression of constants is: a string, bytes, a sum or a ``join()`` of strings.

    >>> _constant_text(ast.parse("'-'.join(['a' + 'b', 'c'])", mode="eval").body)
    'ab-c'
    """
    if isinstance(node, ast.Constant):
        value = node.value.decode("utf-8", "replace") if isinstance(node.value, bytes) else node.value
        return value if isinstance(value, str) else None
    terms = _terms(node)
    if len(terms) > 1:
        return _all_text("", terms)
    match node:
        case ast.Call(
            func=ast.Attribute(value=ast.Constant(value=str(between)), attr="join"),
            args=[ast.List(elts=parts) | ast.Tuple(elts=parts)],
        ):
            return _all_text(between, parts)
    return None


def _terms(node: ast.AST) -> list[ast.AST]:
    """Return the terms of a sum, or the expression alone."""
    terms = list[ast.AST]()
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        terms.append(node.right)
        node = node.left
    return [node, *reversed(terms)]


def _all_text(between: str, nodes: Sequence[ast.AST]) -> str | None:
    texts = []
    for node in nodes:
        text = _constant_text(node)
        if text is None:
            return None
        texts.append(text)
    return between.join(texts)


class _Plain(ast.NodeTransformer):
    """Takes away what a copy can add without a change of what it does."""

    def __init__(self, read: set[str]) -> None:
        """``read`` are the names that something reads."""
        self.read = read

    def visit(self, node: ast.AST) -> Any:
        """Take away annotations, and statements that do nothing."""
        if isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            node = ast.copy_location(ast.Assign([node.target], node.value), node)
        self.generic_visit(node)
        for part in _BLOCKS:
            block = getattr(node, part, None)
            if isinstance(block, list):
                kept = [one for one in block if not self._idle(one)]
                setattr(node, part, kept if kept or part == "orelse" else block[:1])
        return node

    def _idle(self, node: ast.stmt) -> bool:  # noqa: PLR0911 (one for each kind of statement)
        match node:
            case ast.Pass() | ast.Global() | ast.Nonlocal() | ast.Import() | ast.ImportFrom():
                return True
            case ast.AnnAssign(value=None):
                return True
            case ast.Expr(value=value) | ast.Assert(test=value):
                return self._does_nothing(value)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Name(id=same)) if name == same:
                return True
            case ast.Assign(targets=targets, value=value):
                return all(map(self._is_unread, targets)) and self._does_nothing(value)
            case ast.AugAssign(target=target, value=value):
                return self._is_unread(target) and self._does_nothing(value)
            case ast.If(test=ast.Constant(value=value), orelse=[]) if not value:
                return True
            case ast.If(test=head) | ast.While(test=head) | ast.For(iter=head):
                return self._does_nothing(head) and self._all_idle(node)
            case ast.Try():
                return self._all_idle(node)
        return False

    def _all_idle(self, node: ast.stmt) -> bool:
        """Return whether everything in a statement does nothing."""
        parts = [one for part in _BLOCKS for one in getattr(node, part, ())]
        parts += [one for handler in getattr(node, "handlers", ()) for one in handler.body]
        return all(map(self._idle, parts))

    def _is_unread(self, target: ast.AST) -> bool:
        return isinstance(target, ast.Name) and target.id not in self.read

    def _does_nothing(self, value: ast.expr) -> bool:
        """Return whether an expression has no effect on an answer but by its value."""
        return not any(
            isinstance(part, ast.Await | ast.Yield | ast.YieldFrom)
            or (isinstance(part, ast.NamedExpr) and not self._is_unread(part.target))
            or (isinstance(part, ast.Call) and getattr(part.func, "id", "") not in _HARMLESS)
            for part in ast.walk(value)
        )


def _text(node: ast.stmt) -> str:
    """Return a statement as text, without what does nothing."""
    inside = ast.walk(node) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else ()
    read = {part.id for part in inside if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)}
    with contextlib.suppress(RecursionError):
        node = _Plain(read).visit(node) if inside else node
    return "\n".join(_written(node))


def _written(node: ast.AST) -> Iterator[str]:
    """Return a statement as text, in parts where an expression in it cannot be written.

    Raises
    ------
    UnreadableError
        An expression is nested so deeply that it cannot be compared; the teacher should hear of it.
    """
    waiting = [node]
    while waiting:
        part = waiting.pop()
        try:
            yield ast.unparse(part)
        except _NO_PYTHON as problem:
            if isinstance(problem, RecursionError) and isinstance(part, ast.expr):
                msg = "an expression in it is nested too deeply to be compared"
                raise UnreadableError(msg) from None
            waiting += reversed(list(ast.iter_child_nodes(part)))
