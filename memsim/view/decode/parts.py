"""The parts of a word that tells what a page is: which bits mean something together, by kind and release.

The parts of a word cover all its bits, so that every word can be taken apart and comes back the same, also
one that no kernel would write. The words themselves are in :mod:`memsim.view.decode.words`.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from memsim.linux.include.mmzone import ZONE_NAMES
from memsim.linux.include.page_flag_names import (
    BYTE_TYPES,
    INVERTED_TYPE_BITS,
    KPF_NAMES,
    NODES_PGSHIFT,
    NODES_WIDTH,
    PAGE_FLAG_MEANINGS,
    PAGE_FLAG_NAMES,
    TYPE_BASE,
    ZONES_PGSHIFT,
    ZONES_WIDTH,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KINDS = ("flags", "kpageflags", "page_type")
WIDTHS = {"flags": 64, "kpageflags": 64, "page_type": 32}
KIND_LABELS = {
    "flags": "page->flags",
    "kpageflags": "/proc/kpageflags",
    "page_type": "page_type (or _mapcount)",
}


@dataclass(frozen=True)
class Part:
    """Some neighbouring bits of a word that mean something together."""

    name: str
    low: int
    width: int = 1
    meaning: str = ""
    inverted: bool = False
    """A single bit that says yes when it is clear."""
    names: Mapping[int, str] = field(default_factory=dict)
    """What single numbers of a wider part are called."""

    @property
    def mask(self) -> int:
        """The bits of this part, in place."""
        return ((1 << self.width) - 1) << self.low

    @property
    def bits(self) -> str:
        """Which bits these are, such as ``bit 13`` or ``bits 53-51``."""
        if self.width == 1:
            return f"bit {self.low}"
        return f"bits {self.low + self.width - 1}-{self.low}"

    @property
    def is_rest(self) -> bool:
        """Whether this is only what lies between parts with a meaning."""
        return self.name.startswith("rest")

    @property
    def is_flag(self) -> bool:
        """Whether this is a single bit that says yes or no."""
        return self.width == 1


# ---- the parts of each kind ------------------------------------------------------------------------


@lru_cache(maxsize=8)
def parts_of(kind: str, release: str) -> tuple[Part, ...]:
    """Return the parts of a kind of word, the highest bit first; they cover every bit once."""
    named = {"flags": _flags_parts, "kpageflags": _kpageflags_parts, "page_type": _type_parts}[kind]
    return tuple(_without_holes(named(release), WIDTHS[kind]))


def _flags_parts(release: str) -> list[Part]:
    zones = dict(enumerate(ZONE_NAMES.values()))
    flags = [
        Part(f"PG_{name}", bit, meaning=PAGE_FLAG_MEANINGS[name])
        for bit, name in enumerate(PAGE_FLAG_NAMES[release])
    ]
    return [
        *flags,
        Part("zone", ZONES_PGSHIFT, ZONES_WIDTH, "the zone that the page is in", names=zones),
        Part("node", NODES_PGSHIFT, NODES_WIDTH, "the NUMA node that the page is on"),
    ]


def _kpageflags_parts(_release: str) -> list[Part]:
    return [Part(f"KPF_{name}", bit, meaning=meaning) for bit, (name, meaning) in KPF_NAMES.items()]


def _type_parts(release: str) -> list[Part]:
    if release == "6.12":
        return [
            Part("type", 24, 8, "one number: a page has one type at most", names=BYTE_TYPES),
            Part("owner's", 0, 24, "left to whoever gave the page its type"),
        ]
    base = Part("base", 28, 4, "all ones, or the word is no type", names={TYPE_BASE: "intact"})
    types = [
        Part(name, bit, meaning="this type is given by clearing the bit", inverted=True)
        for bit, name in INVERTED_TYPE_BITS.items()
    ]
    return [base, *types]


def _without_holes(parts: Iterable[Part], width: int) -> list[Part]:
    """Return parts from the highest bit down, with parts without a meaning between them."""
    found: list[Part] = []
    end = 0
    for part in sorted(parts, key=operator.attrgetter("low")):
        found += _rest(end, part.low)
        found.append(part)
        end = part.low + part.width
    return [*found, *_rest(end, width)][::-1]


def _rest(low: int, end: int) -> list[Part]:
    if end <= low:
        return []
    bits = f"{low}" if end - low == 1 else f"{end - 1}-{low}"
    return [Part(f"rest {bits}", low, end - low, "nothing, or a matter of the kernel's configuration")]
