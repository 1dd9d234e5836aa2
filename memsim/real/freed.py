"""Which tests of ``page_bad_reason()`` a page fails, as far as its words were printed.

``mm/page_alloc.c``: ``page_expected_state()`` asks whether any test fails, and ``page_bad_reason()`` keeps
the last one that does, so the reason in a report is one of several. Left out: the bits of multi-gen LRU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from memsim.real.reading import signed, word_of_counts
from memsim.real.tables import NONE, macro_name

if TYPE_CHECKING:
    from memsim.real.reading import Reading
    from memsim.real.versions import Version

PAGE_POOL = 0xDEAD000000000040
NOT_WHEN_FREED = (
    *("locked", "lru", "active", "slab", "reserved", "private", "private_2", "writeback", "unevictable"),
    "mlocked",
)
"""Flags of PAGE_FLAGS_CHECK_AT_FREE in every version that prints this reason."""
_MAPPING_FLAGS = 3
"""Low bits of ``mapping`` that say "no file"; free_pages_prepare() sets such a mapping to NULL first."""
_MAPPING_MOVABLE = 2
"""The bit of ``mapping`` that alone says "movable_ops", __PageMovable()."""
_MEMCG_DATA_KMEM = 2
"""Kernel memory of a cgroup: free_pages_prepare() takes back the charge first."""
_POOL_TESTED_SINCE: Version = (6, 8)
_MLOCKED_CLEARED_SINCE: Version = (6, 12)
_MEMCG_DATA_SINCE: Version = (5, 11)
_TYPES_RESET_SINCE: Version = (6, 17)
_MOVABLE_BY_FLAG_SINCE: Version = (6, 17)


class Test(NamedTuple):
    """One test: the kernel's words for it, and what the page has; None: not known."""

    reason: str
    has: str | None


def bad_reasons(reading: Reading, *, reported: bool) -> list[Test]:
    """Return the tests that a page fails, and those that cannot be made, in the kernel's order.

    Parameters
    ----------
    reading
        The page.
    reported
        Whether bad_page() printed the page, so that its words are those that were tested. Otherwise it is
        judged as if its last reference were dropped now: what free_pages_prepare() tidies up first is fine.
    """
    tests = (
        Test("nonzero mapcount", "" if not reported and _forgiven(reading) else _mapcount(reading)),
        Test("non-NULL mapping", _mapping(reading, reported=reported)),
        Test("nonzero _refcount", _refcount(reading) if reported else ""),
        Test(_flags_reason(reading), _flags(reading, reported=reported)),
        Test("page still charged to cgroup", _charge(reading, reported=reported)),
        Test("page_pool leak", _page_pool(reading)),
    )
    return [test for test in tests if test.has != ""]


def movable_ops(reading: Reading) -> bool:
    """Return whether a driver can move the page: __PageMovable(), or page_has_movable_ops() since 6.17."""
    if reading.versions[0] >= _MOVABLE_BY_FLAG_SINCE:
        return "uptodate" in (reading.names or ()) and bool({"offline", "zsmalloc"} & set(reading.types))
    marked = bool(reading.raw) and reading.raw[3] & _MAPPING_FLAGS == _MAPPING_MOVABLE
    return marked and not reading.slab and not reading.damaged


def _forgiven(reading: Reading) -> bool:
    """Return whether free_pages_prepare() resets the type of the page before it checks."""
    return bool(reading.types) and reading.versions[0] >= _TYPES_RESET_SINCE


def _mapcount(reading: Reading) -> str | None:
    """Say why ``_mapcount`` is not -1: a page type makes it another number, too."""
    if reading.type_choices:
        return "it has a page type"
    if reading.types:
        return f"it has page type {' and '.join(map(macro_name, reading.types))}"
    counts = word_of_counts(reading)
    if counts is not None and not reading.filled:
        word: int | None = counts[0]
    else:
        word = reading.type_word
    if word is None:
        mapcount = None if reading.dump.order else reading.dump.mapcount
        word = None if mapcount is None else mapcount - 1 & NONE
    if word is None or word == NONE:
        return None if word is None else ""
    count = signed(word)
    if count < 0:
        return f"_mapcount is {count}"
    return "mapped once" if count == 0 else f"mapped {count + 1} times"


def _mapping(reading: Reading, *, reported: bool) -> str | None:
    if reading.raw:
        word = reading.raw[3]
        return f"mapping is {word:#x}" if word and (reported or not word & _MAPPING_FLAGS) else ""
    text = reading.dump.mapping
    if not text:
        return None
    tidied = reading.dump.kind and not reported
    return f"mapping is {text}" if text.strip("0x") not in {"", "(null)"} and not tidied else ""


def _refcount(reading: Reading) -> str | None:
    return None if reading.refcount is None else f"refcount is {reading.refcount}" * bool(reading.refcount)


def _when_allocated(reading: Reading) -> bool:
    return reading.dump.caller == "allocated" or "CHECK_AT_PREP" in reading.dump.reason


def _flags_reason(reading: Reading) -> str:
    return f"PAGE_FLAGS_CHECK_AT_{'PREP' if _when_allocated(reading) else 'FREE'} flag(s) set"


def _flags(reading: Reading, *, reported: bool) -> str | None:
    if reading.names is None:
        return None
    wrong = [
        name for name in reading.names if name in NOT_WHEN_FREED or (reported and _when_allocated(reading))
    ]
    if not reported and reading.versions[0] >= _MLOCKED_CLEARED_SINCE:
        wrong = [name for name in wrong if name != "mlocked"]
    if not wrong and reading.dump.names_cut:
        return None
    return ", ".join(f"PG_{name}" for name in wrong) + (" is set" if len(wrong) == 1 else " are set") * bool(
        wrong
    )


def _charge(reading: Reading, *, reported: bool) -> str | None:
    at = 8 if reading.bits == 32 else 7  # noqa: PLR2004 (the word behind the counts)
    if any(line.startswith("memcg:") for line in reading.dump.said) and not reading.raw[at:]:
        return "a memory cgroup is charged for it"
    if not reading.raw[at:]:
        return None
    word = reading.raw[at]
    tidied = reading.versions[0] >= _MEMCG_DATA_SINCE and word & _MEMCG_DATA_KMEM and not reported
    return f"memcg_data is {word:#x}" if word and not tidied else ""


def _page_pool(reading: Reading) -> str | None:
    if reading.versions[1] < _POOL_TESTED_SINCE:
        return ""
    if not reading.raw:
        return None
    return "its second word is the signature of page_pool" if reading.raw[1] & ~3 == PAGE_POOL else ""
