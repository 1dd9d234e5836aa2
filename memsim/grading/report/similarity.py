"""Which submissions are alike in what their students wrote.

What comes with the starter is no sign of anything, nor is what everybody writes. Code is compared by its
structure: names of variables, numbers, comments and layout do not count, so that renaming hides nothing.
The report is a reason to look at two submissions side by side, never a verdict.
"""

from __future__ import annotations

import hashlib
import io
import keyword
import tokenize
from collections import Counter
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_WINDOW = 12
"""Tokens in a row that must be the same to count."""
_ENOUGH = 25
"""Pieces that two students must share at least: answers of three lines are always alike."""
_SHARE = 0.6
"""And so much of what the shorter of the two has."""
_COMMON = 0.25
"""Pieces that more than this share of all students have are common knowledge."""
_FEW = 4
_LARGEST = 200_000
_LEFT_OUT = frozenset(
    {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENCODING, tokenize.ENDMARKER}
)

Pieces = frozenset[tuple[str, ...]]


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
        for token in tokenize.generate_tokens(io.StringIO(source[:_LARGEST]).readline):
            if token.type in _LEFT_OUT:
                continue
            name = token.type == tokenize.NAME and not keyword.iskeyword(token.string)
            plain = name or token.type in (tokenize.NUMBER, tokenize.STRING)
            found.append(tokenize.tok_name[token.type] if plain else token.string)
    except (tokenize.TokenError, SyntaxError, ValueError):
        pass  # as far as it can be read
    return found


def pieces(cells: Iterable[str]) -> Pieces:
    """Return every row of tokens in any cell."""
    rows = [tokens(cell) for cell in cells]
    return frozenset(
        tuple(row[at : at + _WINDOW]) for row in rows for at in range(max(0, len(row) - _WINDOW + 1))
    )


def similar(
    submissions: Mapping[str, Sequence[str]], content: Mapping[str, bytes], starter: Sequence[str]
) -> dict[str, Any]:
    """Return who is like whom, and how much was not looked at.

    Parameters
    ----------
    submissions, starter
        As :func:`alike` takes them.
    content
        The bytes of each file. Files that are the same byte for byte are named, however many they are, unless
        nothing in them is a student's own.
    """
    given = pieces(starter)
    own = {student: pieces(cells) - given for student, cells in submissions.items()}
    same: dict[bytes, list[str]] = {}
    for student in sorted(content):
        if own.get(student):
            same.setdefault(hashlib.sha256(content[student]).digest(), []).append(student)
    shared = Counter(piece for mine in own.values() for piece in mine)
    common = {piece for piece, count in shared.items() if count > _limit(len(own))}
    return {
        "pairs": [asdict(pair) for pair in alike(submissions, starter)],
        "identical": [students for students in same.values() if len(students) > 1],
        "left_out": {
            "pieces of the starter": len(given),
            "pieces that everybody writes": len(common),
            "students with nothing else": sorted(s for s, mine in own.items() if mine and mine <= common),
        },
    }


def _limit(students: int) -> float:
    """Return how many students may have a piece before it is common knowledge."""
    return max(_FEW, students * _COMMON)


def alike(submissions: Mapping[str, Sequence[str]], starter: Sequence[str]) -> list[Alike]:
    """Return the pairs that are alike, most alike first.

    Parameters
    ----------
    submissions
        The cells of each student.
    starter
        The cells that all of them were given.
    """
    given = pieces(starter)
    own = {student: pieces(cells) - given for student, cells in submissions.items()}
    shared = Counter(piece for mine in own.values() for piece in mine)
    limit = _limit(len(own))
    rare = {
        student: frozenset(piece for piece in mine if shared[piece] <= limit) for student, mine in own.items()
    }
    students_with: dict[tuple[str, ...], list[str]] = {}
    for student, mine in sorted(rare.items()):
        for piece in mine:
            students_with.setdefault(piece, []).append(student)
    both = Counter(pair for students in students_with.values() for pair in combinations(students, 2))
    found = [
        Alike(one, other, count / min(len(rare[one]), len(rare[other])), count)
        for (one, other), count in both.items()
        if count >= _ENOUGH and count >= _SHARE * min(len(rare[one]), len(rare[other]))
    ]
    return sorted(found, key=lambda pair: (-pair.share, -pair.pieces, pair.one, pair.other))
