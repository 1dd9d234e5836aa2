"""A word that tells what a page is, taken apart into its bits, and put together again.

Four kinds of word: ``flags`` (``page->flags``), ``kpageflags`` (a word of /proc/kpageflags), ``page_type``
(which shares its 32 bits with ``_mapcount``) and ``counts`` (the seventh raw word of a dump, which holds
``_refcount`` above the page type). Which parts each has is in
:mod:`memsim.real.word.parts`; how a word is read from what people write, and what was guessed about it, in
:mod:`memsim.real.word.reading`.

Left out: what the page *is*; a word alone does not say whether its section is online.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from memsim.errors import MemsimError
from memsim.real.layout import MAX_ZONE
from memsim.real.reading import signed
from memsim.real.tables import encoding_of_word, macro_name
from memsim.real.word.parts import (
    DEBIAN,
    KIND_LABELS,
    KINDS,
    WIDTHS,
    Part,
    encoding_of,
    parts_of,
    type_names,
    version_of,
)

if TYPE_CHECKING:
    from memsim.real.layout import Layout

# ---- words -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Word:
    """A word of some kind, as a kernel release reads it.

    >>> word = Word("flags", "6.12", 0x0010000000002000)
    >>> word.names()
    ['PG_reserved', 'zone 2 (Normal)']
    >>> Word("flags", "6.1", word.value).names()
    ['PG_private', 'zone 2 (Normal)']
    >>> Word("page_type", "6.1", 0xFFFFFEFF).sentence()
    'Type Offline.'
    """

    kind: str
    release: str
    value: int
    layout: Layout | None = DEBIAN
    """Where zone, node and others are in ``page->flags``; None: not known."""
    flag_names: tuple[str, ...] = ()
    """The names of the flags, if not those of the release for x86-64."""
    notes: tuple[str, ...] = field(default=(), compare=False)
    """What was guessed about the word, and what else it may be."""

    def __post_init__(self) -> None:
        """Refuse what is no word of this kind."""
        check_kind(self.kind, self.release)
        if not 0 <= self.value < 1 << self.width:
            msg = f"{self.value:#x} does not fit: a word of {KIND_LABELS[self.kind]} has {self.width} bits"
            raise MemsimError(msg)

    @property
    def width(self) -> int:
        """Number of bits."""
        return WIDTHS[self.kind]

    @property
    def hex(self) -> str:
        """The word as it is usually written."""
        return f"{self.value:#0{self.width // 4 + 2}x}"

    @property
    def parts(self) -> tuple[Part, ...]:
        """All parts, the highest bit first."""
        return parts_of(self.kind, self.release, self.layout, self.flag_names)

    def part(self, name: str) -> Part:
        """Return a part by its name, with or without PG_ or KPF_, in any case."""
        for part in self.parts:
            if name.lower() in {part.name.lower(), part.name.lower().partition("_")[2]}:
                return part
        known = ", ".join(part.name for part in self.parts)
        msg = (
            f"{name!r} is no part of {KIND_LABELS[self.kind]} in {self.release}; give a number, or "
            f"names; known are {known}"
        )
        raise MemsimError(msg)

    def number(self, part: Part) -> int:
        """Return the bits of a part as a number."""
        return (self.value & part.mask) >> part.low

    def says(self, part: Part) -> bool:
        """Return whether a part says anything: a flag that is set, a number that is not the usual one."""
        number, ones = self.number(part), part.mask >> part.low
        if part.is_flag:
            return bool(number) != part.inverted
        if part.name == "lastcpupid":
            return number not in {0, ones}
        return number != (ones if self.is_type and part.name != "refcount" else 0)

    def shown(self, part: Part) -> str:
        """Return what a part holds in words."""
        number = self.number(part)
        if part.inverted:
            return "1: no" if number else "0: yes" if self.has_base else "0, but without the base no type"
        if part.is_flag:
            return str(number)
        if part.name == "lastcpupid" and number == part.mask >> part.low:
            return f"{number:#x} (no CPU)"
        if part.name == "zone" and self.impossible_zone:
            return f"{number:#x} (not this layout)"
        name = part.names.get(number)
        return f"{number:#x}" if name is None else f"{number:#x} ({name})"

    @property
    def is_type(self) -> bool:
        """Whether the lower 32 bits are a page type or a ``_mapcount``."""
        return self.kind in {"page_type", "counts"}

    @property
    def type_word(self) -> int:
        """The lower 32 bits."""
        return self.value & 0xFFFFFFFF

    @property
    def impossible_zone(self) -> bool:
        """Whether the zone is one that no kernel has, so that the layout is not this one."""
        return (
            self.kind == "flags"
            and self.layout is not None
            and self.layout.read(self.value).get("zone", 0) > MAX_ZONE
        )

    def with_number(self, part: Part, number: int) -> Word:
        """Return the word with other bits in one part."""
        if not 0 <= number <= part.mask >> part.low:
            msg = f"{part.name}: {number:#x} does not fit into {part.bits}"
            raise MemsimError(msg)
        return replace(self, value=self.value & ~part.mask | number << part.low, notes=())

    def names(self) -> list[str]:
        """Return the parts that say something, the lowest bit first."""
        if self.is_type:
            return [*self._types()]
        untrue = {"zone", "node", "lastcpupid"} if self.impossible_zone else set()
        told = [part for part in reversed(self.parts) if self.says(part) and part.name not in untrue]
        return [self._named(part) for part in told if self.layout is not None or not part.is_rest]

    def _named(self, part: Part) -> str:
        if part.is_flag:
            return part.name
        number = self.number(part)
        name = part.names.get(number)
        return f"{part.name} {number}" + (f" ({name})" if name else "")

    # ---- page_type -----------------------------------------------------------------------------

    @property
    def has_base(self) -> bool:
        """Whether the top bits are those of a type in an encoding of cleared bits."""
        base = encoding_of(self.release).base
        return self.type_word & base == base

    def _types(self) -> list[str]:
        """Return the page types; bits below an impossible base are none."""
        encoding = encoding_of(self.release)
        known = type_names(encoding)
        if not encoding.base:
            number = self.type_word >> 24
            return [] if number < 0x80 or number == 0xFF else [dict(known).get(number, f"number {number:#x}")]  # noqa: PLR2004 (top bit, and none)
        if not self.has_base:
            return []
        return [name for bit, name in known if not self.type_word & bit]

    def sentence(self) -> str:
        """Return in one or two sentences what the word says."""
        if self.kind == "counts":
            return f"Refcount {self.value >> 32}. {self._type_sentence()}"
        if self.kind == "page_type":
            return self._type_sentence()
        names = self.names()
        if self.impossible_zone:
            return f"Set: {', '.join(names) or 'no flag'}. {self._other_layout()}"
        if self.kind == "flags" and self.layout is None:
            return f"Set: {', '.join(names) or 'no flag'}. Zone and node depend on the configuration."
        if not names:
            return "No flag, zone 0 (DMA), node 0." if self.kind == "flags" else "Nothing: no bit is set."
        return f"Set: {', '.join(names)}."

    def _other_layout(self) -> str:
        zone = self.number(self.part("zone"))
        return (
            f"Zone would be {zone}, which no kernel has: the layout is not this one, but depends on "
            "the configuration."
        )

    def _type_sentence(self) -> str:
        types = self._types()
        if self.type_word == 0xFFFFFFFF:  # noqa: PLR2004 (-1)
            return "-1: no type, and not mapped."
        if len(types) > 1:
            return f"Types {' and '.join(types)} at once: nothing in this encoding prevents it."
        if types:
            return f"Type {types[0]}.{'' if types[0] in self._known_types() else self._elsewhere()}"
        mapcount = signed(self.type_word)
        if mapcount >= 0:
            times = "once" if mapcount == 0 else f"{mapcount + 1} times"
            return f"No type: a _mapcount of {mapcount}, so the page is mapped {times}."
        other = self._elsewhere()
        if other:
            return f"No type of {self.release}.{other}"
        return f"No type that any version knows, and as a _mapcount it is {mapcount}: corrupt."

    def _known_types(self) -> list[str]:
        return [name for _, name in type_names(encoding_of(self.release))]

    def _elsewhere(self) -> str:
        """Return what the type is in the encoding that the word most likely is in, if in another one."""
        encoding = encoding_of_word(self.type_word)
        types = encoding.types(self.type_word) if encoding is not None else []
        if encoding is None or not types or encoding == encoding_of(self.release):
            return ""
        return f" In the encoding of {encoding.label} it is type {' and '.join(map(macro_name, types))}."

    # ---- text ----------------------------------------------------------------------------------

    @property
    def title(self) -> str:
        """The word, its kind, the kernel and its configuration, in one line."""
        title = (
            f"{self.hex}: {self.width} bits of {KIND_LABELS[self.kind]}, as Linux {self.release} reads them"
        )
        if self.kind != "flags":
            return title
        if self.layout == DEBIAN:
            return f"{title} in Debian's configuration for x86-64"
        if self.layout is None:
            return f"{title}; the layout above the flags is not known"
        return (
            f"{title} "
            f"{f'in the configuration of {self.layout.name}' if self.layout.name else f'with {self.layout}'}"
        )

    def told(self) -> list[Part]:
        """Return the parts worth a line of their own: of a page_type all, else those that say something."""
        return [part for part in self.parts if self.is_type or self._worth_telling(part)]

    def _worth_telling(self, part: Part) -> bool:
        return self.says(part) or (part.name == "lastcpupid" and self.number(part) != 0)

    def lines(self) -> list[str]:
        """Return a line for each part worth one, then the names of the others."""
        told = self.told()
        widths = [
            max((len(column(part)) for part in told), default=0)
            for column in (lambda part: part.bits, lambda part: part.name, self.shown)
        ]
        lines = [
            "  "
            + "  ".join(
                text.ljust(width)
                for text, width in zip((part.bits, part.name, self.shown(part)), widths, strict=True)
            )
            + f"  {part.meaning}"
            for part in told
        ]
        clear = [part.name for part in reversed(self.parts) if part not in told and not part.is_rest]
        return [*lines, f"  Clear: {', '.join(clear)}."] if clear else lines

    def text(self) -> str:
        """Return the word taken apart."""
        digits = f"{self.value:0{self.width}b}"
        nibbles = " ".join(digits[at : at + 4] for at in range(0, self.width, 4))
        return "\n".join([self.title, self.sentence(), *self.notes, f"  {nibbles}", *self.lines()])


def empty_word(kind: str, release: str) -> Word:
    """Return the word of a kind that says nothing: no type, or no bit set."""
    return Word(kind, release, 0xFFFFFFFF if kind in {"page_type", "counts"} else 0)


def check_kind(kind: str, release: str) -> None:
    """Refuse a kind or a release that is not known."""
    if kind not in KINDS:
        msg = f"kind {kind!r} must be one of {', '.join(KINDS)}"
        raise MemsimError(msg)
    version_of(release)
    if kind in {"page_type", "counts"}:
        encoding_of(release)
