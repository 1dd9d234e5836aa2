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

from memsim.grading.report.packed import unpacked
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
_AROUND = frozenset({"nullcontext", "suppress"})
"""What ``with`` takes and does nothing."""
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
        nodes = list(_graded(list(cells), list(notes)))
        idle = _idle_functions(nodes)
        rows = [tokens(_text(node, idle)) for node in nodes]
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
        packed = part.value if isinstance(part, ast.Constant) else text
        if isinstance(packed, str | bytes):
            for code in unpacked(packed):
                yield from _in_text(code, depth)
        if text is None:
            waiting += terms if len(terms) > 1 else ast.iter_child_nodes(part)
        elif "def" in text or "lambda" in text:
            yield from _in_text(text, depth)


def _in_text(text: str, depth: int) -> Iterator[ast.stmt]:
    """Return the statements of a text, if it is Python."""
    try:
        inside = ast.parse(text).body
    except _NO_PYTHON:
        return
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

    def __init__(self, live: set[str], idle: frozenset[str]) -> None:
        """``live`` are the names on which something depends, ``idle`` the functions that change nothing."""
        self.live, self.idle = live, idle

    def visit(self, node: ast.AST) -> Any:
        """Take away annotations, statements that do nothing, and what only stands around others."""
        if isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        if isinstance(node, ast.stmt):
            node = _plainly_set(node)
        self.generic_visit(node)
        for part in _BLOCKS:
            block = getattr(node, part, None)
            if isinstance(block, list):
                kept = [one for one in self._opened(block) if not self._idle(one)]
                setattr(node, part, kept if kept or part == "orelse" else block[:1])
        return _without_detour(node)

    def _opened(self, block: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
        """Return the statements of a block, and those of a statement around some that changes nothing."""
        for node in block:
            match node:
                case ast.If(test=ast.Constant(value=value)):
                    yield from node.body if value else node.orelse
                case ast.With(items=items) if not any(one.optional_vars for one in items) and all(
                    self._does_nothing(one.context_expr) for one in items
                ):
                    yield from node.body
                case ast.Try(handlers=[]) if all(map(self._idle, node.finalbody)):
                    yield from [*node.body, *node.orelse]
                case _:
                    yield node

    def _idle(self, node: ast.stmt) -> bool:
        match node:
            case ast.If(test=ast.Constant(value=value), orelse=[]) if not value:
                return True
            case ast.If(test=head) | ast.While(test=head) | ast.For(iter=head) | ast.Match(subject=head):
                return self._does_nothing(head) and self._all_idle(node)
            case ast.Try():
                return self._all_idle(node)
            case ast.FunctionDef(name=name, decorator_list=[]):
                return name not in self.live
            case ast.ClassDef(name=name, bases=[], keywords=[], decorator_list=[]):
                return name not in self.live and all(map(self._idle, node.body))
        return self._is_idle_line(node)

    def _is_idle_line(self, node: ast.stmt) -> bool:  # noqa: PLR0911 (one for each kind of statement)
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
            case ast.Delete(targets=targets):
                return all(map(self._is_unread, targets))
        return False

    def _all_idle(self, node: ast.stmt) -> bool:
        """Return whether everything in a statement does nothing."""
        inside = [node, *getattr(node, "handlers", ()), *getattr(node, "cases", ())]
        return all(self._idle(one) for each in inside for part in _BLOCKS for one in getattr(each, part, ()))

    def _is_unread(self, target: ast.AST) -> bool:
        if isinstance(target, ast.Tuple | ast.List):
            return all(map(self._is_unread, target.elts))
        return isinstance(target, ast.Name) and target.id not in self.live

    def _does_nothing(self, value: ast.expr) -> bool:
        """Return whether an expression has no effect on an answer but by its value."""
        return not any(
            isinstance(part, ast.Await | ast.Yield | ast.YieldFrom)
            or (isinstance(part, ast.NamedExpr) and not self._is_unread(part.target))
            or (isinstance(part, ast.Call) and not self._is_harmless(part.func))
            for part in ast.walk(value)
        )

    def _is_harmless(self, function: ast.expr) -> bool:
        """Return whether a call of this changes nothing: a lambda's body is looked at like the rest."""
        match function:
            case ast.Name(id=name):
                return name in self.idle
            case ast.Attribute(value=ast.Constant() | ast.JoinedStr()) | ast.Lambda():
                return True
            case ast.Attribute(attr=name):
                return name in _AROUND
        return False


def _plainly_set(node: ast.stmt) -> ast.stmt:
    """Return an assignment that is written as such, whatever is written around it."""
    match node:
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            pass
        case ast.Expr(value=ast.NamedExpr(target=target, value=value)):
            pass
        case ast.Assign(
            targets=[ast.Tuple(elts=[target]) | ast.List(elts=[target])],
            value=ast.Tuple(elts=[value]) | ast.List(elts=[value]),
        ):
            pass
        case _:
            return node
    return ast.copy_location(ast.Assign([target], value), node)


def _without_detour(node: ast.AST) -> ast.AST:
    """Return what is computed by an expression that adds nothing, denies twice, or packs and unpacks.

    >>> ast.unparse(_without_detour(ast.parse("(a,)[0]", mode="eval").body))
    'a'
    """
    match node:
        case ast.UnaryOp(op=ast.Not(), operand=ast.UnaryOp(op=ast.Not(), operand=inside)):
            return inside
        case ast.BinOp(left=inside, op=ast.Add() | ast.Sub(), right=ast.Constant(value=0)):
            return inside
        case ast.BinOp(left=inside, op=ast.Mult(), right=ast.Constant(value=1)):
            return inside
        case ast.Subscript(
            value=ast.Tuple(elts=[inside]) | ast.List(elts=[inside]), slice=ast.Constant(value=0)
        ):
            return inside
    return node


def _live_names(function: ast.stmt) -> set[str]:
    r"""Return the names on which something depends that a function does but setting names.

    A name that is read only to set itself, or another one that nothing reads, is none of them.

    >>> code = "def f(a):\n    b = c = 1\n    b = b + c\n    def g():\n        return c\n    return a"
    >>> sorted(_live_names(ast.parse(code).body[0]))
    ['a']
    """
    live, sets = set[str](), dict[str, list[set[str]]]()
    waiting: list[ast.AST] = list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop()
        match node:
            case ast.Assign() | ast.AugAssign() | ast.AnnAssign() if not _attributes_of_target(node):
                names = [part for part in ast.walk(node) if isinstance(part, ast.Name)]
                targets, reads = _names(names, ast.Store), _names(names, ast.Load)
            case ast.FunctionDef(name=name, decorator_list=[]) | ast.ClassDef(name=name, decorator_list=[]):
                names = [part for part in ast.walk(node) if isinstance(part, ast.Name)]
                targets, reads = {name}, _names(names, ast.Load)
            case ast.Name(id=name, ctx=ast.Load()):
                live.add(name)
                continue
            case _:
                waiting += ast.iter_child_nodes(node)
                continue
        for target in targets:
            sets.setdefault(target, []).append(reads)
    follow = list(live)
    while follow:  # each name once, and what it is set from once
        for reads in sets.pop(follow.pop(), ()):
            follow += reads - live
            live |= reads
            reads.clear()
    return live


def _attributes_of_target(node: ast.Assign | ast.AugAssign | ast.AnnAssign) -> bool:
    """Return whether a part of an object is set, which others may see, or whether a call may do more."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    parts = (part for target in targets for part in ast.walk(target))
    return any(isinstance(part, ast.Attribute | ast.Subscript) for part in parts)


def _names(names: Iterable[ast.Name], context: type[ast.expr_context]) -> set[str]:
    return {name.id for name in names if isinstance(name.ctx, context)}


def _idle_functions(nodes: Iterable[ast.stmt]) -> frozenset[str]:
    r"""Return the functions that change nothing: some of Python's, empty ones, and other names for these.

    >>> sorted(_idle_functions(ast.parse("def z(*a):\n    pass\nq = print").body) - _HARMLESS)
    ['q', 'z']
    """
    found = set(_HARMLESS)
    for node in nodes:
        match node:
            case ast.FunctionDef(name=name, decorator_list=[]) if all(map(_is_empty, node.body)):
                found.add(name)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Name(id=same)) if same in found:
                found.add(name)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Attribute(attr=same)) if same in _AROUND:
                found.add(name)
    return frozenset(found)


def _is_empty(node: ast.stmt) -> bool:
    match node:
        case ast.Pass() | ast.Expr(value=ast.Constant()) | ast.Return(value=None | ast.Constant()):
            return True
    return False


def _text(node: ast.stmt, idle: frozenset[str]) -> str:
    """Return a statement as text, without what does nothing."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        with contextlib.suppress(RecursionError):
            node = _Plain(_live_names(node), idle).visit(node)
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
