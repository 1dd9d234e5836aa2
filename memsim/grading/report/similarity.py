"""Which submissions are alike in what their students wrote.

Code is compared by its structure (:mod:`memsim.grading.report.structure`). What comes with the starter is no
sign of anything, nor is what everybody writes. The report is a reason to look at two submissions side by
side, never a verdict.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from memsim.grading.report.structure import Pieces

_ENOUGH = 25
"""Pieces that two students must share at least: answers of three lines are always alike."""
_SHARE = 0.6
"""And so much of what the shorter of the two has."""
_COMMON = 0.25
"""Pieces that more than this share of all students have are common knowledge."""
_FEW = 4
_MOST_PAIRS = 5_000_000
"""Comparisons in all; each set of students that share pieces is compared once."""
_Numbers: TypeAlias = np.ndarray[tuple[int], np.dtype[np.uint64]]
"""Pieces of a submission, or of many."""


@dataclass(frozen=True)
class Alike:
    """Two submissions, and the share of the smaller one's own code that both have."""

    one: str
    other: str
    share: float
    pieces: int


def similar(own: Mapping[str, Pieces], content: Mapping[str, bytes], starter: Pieces) -> dict[str, Any]:
    """Return who is like whom, and how much was not looked at.

    Parameters
    ----------
    own, starter
        The pieces of each student's submission, and of what all of them were given.
    content
        A digest of each file. Files that are the same byte for byte are named, however many they are, unless
        nothing in them is a student's own. So are those who wrote the same from beginning to end but for what
        is not compared, where these are too many for pairs: each piece is common knowledge.
    """
    given = np.asarray(starter)
    written = {student: np.setdiff1d(mine, given, assume_unique=True) for student, mine in own.items()}
    files = {student: content[student] for student in content if student in written and written[student].size}
    same = _groups(files)
    common = _common(written)
    rare = {student: np.setdiff1d(mine, common, assume_unique=True) for student, mine in written.items()}
    pairs, skipped = alike(rare)
    whole = {s: mine.tobytes() for s, mine in written.items() if mine.size >= _ENOUGH and not rare[s].size}
    left_out = {
        "pieces of the starter": int(given.size),
        "pieces that everybody writes": int(common.size),
        "students with nothing else": sorted(
            s for s, mine in written.items() if mine.size and not rare[s].size
        ),
    }
    if skipped:
        left_out["pieces beyond what is compared"] = skipped
    return {
        "pairs": [asdict(pair) for pair in pairs],
        "identical": same,
        "same_structure": [each for each in _groups(whole) if not any(set(each) <= set(one) for one in same)],
        "left_out": left_out,
    }


def _groups(of: Mapping[str, bytes]) -> list[list[str]]:
    """Return those who have the same, where several do."""
    groups: dict[bytes, list[str]] = {}
    for student in sorted(of):
        groups.setdefault(of[student], []).append(student)
    return [students for students in groups.values() if len(students) > 1]


def _common(own: Mapping[str, _Numbers]) -> _Numbers:
    """Return the pieces that are common knowledge, since many students have them."""
    every, counts = np.unique(_joined(list(own.values())), return_counts=True)
    return np.asarray(every[counts > max(_FEW, len(own) * _COMMON)])


def alike(rare: Mapping[str, _Numbers]) -> tuple[list[Alike], int]:
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


def _shared(students: Sequence[str], rare: Mapping[str, _Numbers]) -> tuple[Counter[tuple[str, str]], int]:
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


def _joined(arrays: Sequence[_Numbers]) -> _Numbers:
    return np.concatenate([*arrays, np.array([], dtype=np.uint64)])
