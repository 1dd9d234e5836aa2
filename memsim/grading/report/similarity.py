"""Which submissions are alike in what their students wrote.

What was graded is compared: cells as the grader reads them, functions in text cells, and functions in strings
that are Python. What comes with the starter is no sign of anything, nor is what everybody writes.
Code is compared by its structure: names of variables, numbers, comments and layout do not count, so that
renaming hides nothing. The report is a reason to look at two submissions side by side, never a verdict.
"""

from __future__ import annotations

import ast
import hashlib
import io
import keyword
import tokenize
import warnings
from collections import Counter
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from memsim.grading.sandbox.guest.cells import statements

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_WINDOW = 12
"""Tokens in a row that must be the same to count."""
_ENOUGH = 25
"""Pieces that two students must share at least: answers of three lines are always alike."""
_SHARE = 0.6
"""And so much of what the shorter of the two has."""
_COMMON = 0.25
"""Pieces that more than this share of all students have are common knowledge."""
_FEW = 4
_DEEPEST = 3
"""Strings in strings that are read as Python."""
_MOST_PAIRS = 5_000_000
"""Comparisons in all; each set of students that share pieces is compared once."""
_LEFT_OUT = frozenset(
    {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENCODING, tokenize.ENDMARKER}
)
_NO_PYTHON = (SyntaxError, ValueError, RecursionError, MemoryError)

Pieces: TypeAlias = np.ndarray[tuple[int], np.dtype[np.uint64]]
"""Sorted hashes of all rows of tokens in a submission, each once."""


@dataclass(frozen=True)
class Alike:
    """Two submissions, and the share of the smaller one's own code that both have."""

    one: str
    other: str
    share: float
    pieces: int


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
            plain = name or token.type in (tokenize.NUMBER, tokenize.STRING)
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
    return np.array(sorted(hashes), dtype=np.uint64)


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
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [one for one in body if not self._idle(one)] or body[:1]  # type: ignore[attr-defined]
        return node

    def _idle(self, node: ast.stmt) -> bool:
        match node:
            case ast.Pass() | ast.Assert(test=ast.Constant()):
                return True
            case ast.Expr(value=value):
                return _does_nothing(value)
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AugAssign(target=ast.Name(id=name), value=value)
            ):
                return name not in self.read and _does_nothing(value)
            case ast.If(test=ast.Constant(value=value), orelse=[]):
                return not value
        return False


def _does_nothing(value: ast.expr) -> bool:
    """Return whether an expression has no effect but its value."""
    acts = (ast.Call, ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr)
    return not any(isinstance(part, acts) for part in ast.walk(value))


def _text(node: ast.stmt) -> str:
    """Return a statement as text, without what does nothing."""
    inside = ast.walk(node) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else ()
    read = {part.id for part in inside if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)}
    try:
        return ast.unparse(_Plain(read).visit(node) if inside else node)
    except _NO_PYTHON:
        return ""


def similar(own: Mapping[str, Pieces], content: Mapping[str, bytes], starter: Pieces) -> dict[str, Any]:
    """Return who is like whom, and how much was not looked at.

    Parameters
    ----------
    own, starter
        The pieces of each student's submission, and of what all of them were given.
    content
        A digest of each file. Files that are the same byte for byte are named, however many they are, unless
        nothing in them is a student's own.
    """
    own = {student: np.setdiff1d(mine, starter, assume_unique=True) for student, mine in own.items()}
    same: dict[bytes, list[str]] = {}
    for student in sorted(content):
        if student in own and own[student].size:
            same.setdefault(content[student], []).append(student)
    common = _common(own)
    rare = {student: np.setdiff1d(mine, common, assume_unique=True) for student, mine in own.items()}
    pairs, skipped = alike(rare)
    left_out = {
        "pieces of the starter": int(starter.size),
        "pieces that everybody writes": int(common.size),
        "students with nothing else": sorted(s for s, mine in own.items() if mine.size and not rare[s].size),
    }
    if skipped:
        left_out["pieces beyond what is compared"] = skipped
    return {
        "pairs": [asdict(pair) for pair in pairs],
        "identical": [students for students in same.values() if len(students) > 1],
        "left_out": left_out,
    }


def _common(own: Mapping[str, Pieces]) -> Pieces:
    """Return the pieces that are common knowledge, since many students have them."""
    every, counts = np.unique(_joined(list(own.values())), return_counts=True)
    return np.asarray(every[counts > max(_FEW, len(own) * _COMMON)])


def alike(rare: Mapping[str, Pieces]) -> tuple[list[Alike], int]:
    """Return the pairs that are alike, most alike first, and how many pieces were not compared.

    ``rare`` are the pieces of each student that are neither the starter's nor common knowledge.
    """
    both, skipped = _shared(sorted(rare), rare)
    found = [
        Alike(one, other, count / min(rare[one].size, rare[other].size), count)
        for (one, other), count in both.items()
        if count >= _ENOUGH and count >= _SHARE * min(rare[one].size, rare[other].size)
    ]
    return sorted(found, key=lambda pair: (-pair.share, -pair.pieces, pair.one, pair.other)), skipped


def _shared(students: Sequence[str], rare: Mapping[str, Pieces]) -> tuple[Counter[tuple[str, str]], int]:
    """Return how many pieces two students share, and how many pieces were beyond what is compared.

    Pieces that the same students share are counted together: copies of a large file cost no more than copies
    of a small one.
    """
    of = np.repeat(np.arange(len(students)), [rare[student].size for student in students])
    every = _joined([rare[student] for student in students])
    order = np.argsort(every, kind="stable")
    every, of = every[order], of[order]
    starts = np.flatnonzero(np.r_[True, every[1:] != every[:-1]][: every.size])
    lengths = np.diff(np.r_[starts, every.size])
    groups: Counter[bytes] = Counter()
    several = lengths > 1
    for start, length in zip(starts[several].tolist(), lengths[several].tolist(), strict=True):
        groups[of[start : start + length].astype(np.uint32).tobytes()] += 1
    both: Counter[tuple[str, str]] = Counter()
    left, skipped = _MOST_PAIRS, 0
    for group, count in groups.most_common():
        members = [students[at] for at in np.frombuffer(group, dtype=np.uint32)]
        left -= len(members) * (len(members) - 1) // 2
        if left < 0:
            skipped += count
            continue
        for pair in combinations(members, 2):
            both[pair] += count
    return both, skipped


def _joined(arrays: Sequence[Pieces]) -> Pieces:
    return np.concatenate([*arrays, np.array([], dtype=np.uint64)])
