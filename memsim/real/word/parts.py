"""The parts of a word that tells what a page is: which bits mean something together, by kind and release.

The parts of a word cover all its bits, so that every word can be taken apart and comes back the same, also
one that no kernel would write. The words themselves are in :mod:`memsim.real.word.word`; names
and encodings of other versions than the modelled ones are those of :mod:`memsim.real.tables`.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from memsim.errors import MemsimError
from memsim.linux.include.mmzone import ZONE_NAMES
from memsim.real.layout import KNOWN, Layout
from memsim.real.tables import encoding_for, macro_name, table_for
from memsim.real.versions import Version, parse_version
from memsim.real.word.meanings import KPF_NAMES, PAGE_FLAG_MEANINGS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from memsim.real.tables import TypeEncoding

KINDS = ("flags", "kpageflags", "page_type", "counts")
WIDTHS = {"flags": 64, "kpageflags": 64, "page_type": 32, "counts": 64}
KIND_LABELS = {
    "flags": "page->flags",
    "kpageflags": "/proc/kpageflags",
    "page_type": "page_type (or _mapcount)",
    "counts": "_refcount and page_type (raw word 7)",
}
RELEASES = ("6.14", "6.12", "6.11", "6.10", "6.9", "6.6", "6.1")
"""One release for each numbering of flags and encoding of types; others are read like one of them."""
DEBIAN = KNOWN[0]
"""The layout of Debian's configuration for x86-64, which the modelled kernels have."""
MEANINGS = {
    **PAGE_FLAG_MEANINGS,
    "dropbehind": "to be dropped from the page cache when it has been written back",
    "young": "used since the idle bits were cleared",
    "idle": "not used since the idle bits were set",
    "arch_2": "another of the architecture's",
    "arch_3": "another of the architecture's",
    "tail": "a later page of a compound page",
    "swapcache": "in the swap cache",
}
_LARGE_KMALLOC = 0xF8
"""The one type that 6.12 does not have yet."""
_UPPER = {
    "section": "the section of memory that the page is in (classic sparsemem)",
    "node": "the NUMA node that the page is on",
    "zone": "the zone that the page is in",
    "lastcpupid": "the CPU and process that used the page last, for NUMA balancing; all ones: none yet",
    "kasantag": "the tag of KASAN",
}


def version_of(release: str) -> Version:
    """Return a release as a version; MemsimError if it is none that has tables here."""
    version = parse_version(release)
    if version is None or version < (3, 10):
        msg = f"release {release!r} is not known; write a version of Linux from 3.10 on, such as 6.12"
        raise MemsimError(msg)
    return version


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
    number: bool = False
    """A number, though it is a single bit wide."""

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
    def short(self) -> str:
        """The name without PG_ or KPF_, in words; ``rest`` where the bits have no meaning."""
        return (self.name.partition("_")[2] or ("rest" if self.is_rest else self.name)).replace("_", " ")

    @property
    def is_flag(self) -> bool:
        """Whether this is a single bit that says yes or no."""
        return self.width == 1 and not self.number and self.name not in _UPPER


# ---- the parts of each kind ------------------------------------------------------------------------


@lru_cache(maxsize=64)
def parts_of(
    kind: str, release: str, layout: Layout | None = DEBIAN, names: tuple[str, ...] = ()
) -> tuple[Part, ...]:
    """Return the parts of a kind of word, the highest bit first; they cover every bit once.

    ``layout`` places the fields above the flags of ``page->flags`` (None: nothing is known of them),
    ``names`` are
    those of its flags where they are not the usual ones of the release.
    """
    if kind == "flags":
        parts = _flags_parts(release, layout, names)
    elif kind == "kpageflags":
        parts = _kpageflags_parts()
    else:
        parts = _type_parts(release)
    if kind == "counts":
        parts.append(Part("refcount", 32, 32, "_refcount: how many users the page has"))
    return tuple(_without_holes(parts, WIDTHS[kind]))


def flag_names_of(release: str) -> tuple[str, ...]:
    """Return the names of the flags of a release in the usual x86-64 configuration."""
    return table_for(version_of(release), "x86-64").names


def _flags_parts(release: str, layout: Layout | None, names: tuple[str, ...]) -> list[Part]:
    zones = dict(enumerate(ZONE_NAMES.values()))
    flags = [
        Part(f"PG_{name}", bit, meaning=MEANINGS.get(name, ""))
        for bit, name in enumerate(names or flag_names_of(release))
    ]
    fields = layout.fields if layout is not None else {}
    return [
        *flags,
        *(
            Part(name, low, width, _UPPER[name], names=zones if name == "zone" else {})
            for name, (low, width) in fields.items()
        ),
    ]


def _kpageflags_parts() -> list[Part]:
    return [Part(f"KPF_{name}", bit, meaning=meaning) for bit, (name, meaning) in KPF_NAMES.items()]


def encoding_of(release: str) -> TypeEncoding:
    """Return how a release stores page types; MemsimError before 4.18, which had none."""
    encoding = encoding_for(version_of(release))
    if encoding is None:
        msg = f"Linux {release} has no page types: they came with 4.18"
        raise MemsimError(msg)
    return encoding


def _type_parts(release: str) -> list[Part]:
    encoding = encoding_of(release)
    if not encoding.base:
        names = {**dict(type_names(encoding)), 0xFF: "none"}
        if version_of(release) < (6, 14):
            del names[_LARGE_KMALLOC]
        return [
            Part("type", 24, 8, "one number: a page has one type at most", names=names),
            Part("owner's", 0, 24, "for the code that gave the page its type"),
        ]
    width = encoding.base.bit_count()
    intact = {(1 << width) - 1: "all set"}
    base = Part("base", 32 - width, width, "must all be set in a page type", names=intact, number=True)
    types = [
        Part(name, bit.bit_length() - 1, meaning="a page has this type if the bit is clear", inverted=True)
        for bit, name in type_names(encoding)
    ]
    return [base, *types]


def type_names(encoding: TypeEncoding) -> list[tuple[int, str]]:
    """Return the types of an encoding as the kernel's macros call them: (bit or number, name)."""
    return [(code, macro_name(name)) for code, name in encoding.words]


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
    return [Part(f"rest {bits}", low, end - low, "unused, or used in other configurations")]
