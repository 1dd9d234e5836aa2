"""A word that tells what a page is, taken apart into its bits, and put together again.

Three kinds of word: ``flags`` (``page->flags``), ``kpageflags`` (a word of /proc/kpageflags) and
``page_type`` (which shares its 32 bits with ``_mapcount``). Which parts each has is in
:mod:`memsim.view.decode.parts`.

Left out: what the page *is*; a word alone does not say whether its section is online.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from memsim.errors import MemsimError
from memsim.linux.include.page_flag_names import (
    BYTE_TYPES,
    INVERTED_TYPE_BITS,
    RELEASE_NAMES,
    TYPE_BASE,
    ZONES_PGSHIFT,
)
from memsim.view.decode.parts import KIND_LABELS, KINDS, WIDTHS, Part, parts_of

if TYPE_CHECKING:
    from typing import SupportsIndex

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
        return parts_of(self.kind, self.release)

    def part(self, name: str) -> Part:
        """Return a part by its name, with or without PG_ or KPF_, in any case."""
        for part in self.parts:
            if name.lower() in {part.name.lower(), part.name.lower().partition("_")[2]}:
                return part
        known = ", ".join(part.name for part in self.parts)
        msg = f"{name!r} is no part of {KIND_LABELS[self.kind]} in {self.release}; known are {known}"
        raise MemsimError(msg)

    def number(self, part: Part) -> int:
        """Return the bits of a part as a number."""
        return (self.value & part.mask) >> part.low

    def says(self, part: Part) -> bool:
        """Return whether a part says anything: a flag that is set, a number that is not the usual one."""
        usual = part.mask >> part.low if self.kind == "page_type" else 0
        return bool(self.number(part)) != part.inverted if part.is_flag else self.number(part) != usual

    def shown(self, part: Part) -> str:
        """Return what a part holds in words."""
        number = self.number(part)
        if part.inverted:
            return "1: no" if number else "0: yes" if self.has_base else "0, but without the base no type"
        if part.is_flag:
            return str(number)
        name = part.names.get(number)
        return f"{number:#x}" if name is None else f"{number:#x} ({name})"

    def with_number(self, part: Part, number: int) -> Word:
        """Return the word with other bits in one part."""
        if not 0 <= number <= part.mask >> part.low:
            msg = f"{part.name}: {number:#x} does not fit into {part.bits}"
            raise MemsimError(msg)
        return replace(self, value=self.value & ~part.mask | number << part.low)

    def with_flag(self, part: Part, *, on: bool) -> Word:
        """Return the word in which a flag says yes or no."""
        return self.with_number(part, int(on != part.inverted))

    def names(self) -> list[str]:
        """Return the parts that say something, the lowest bit first."""
        if self.kind == "page_type":
            return [*self._types()]
        return [self._named(part) for part in reversed(self.parts) if self.says(part)]

    def _named(self, part: Part) -> str:
        if part.is_flag:
            return part.name
        number = self.number(part)
        name = part.names.get(number)
        return f"{part.name} {number}" + (f" ({name})" if name else "")

    # ---- page_type -----------------------------------------------------------------------------

    @property
    def signed(self) -> int:
        """The word as C's int."""
        return self.value - (1 << 32) if self.value >> 31 else self.value

    @property
    def has_base(self) -> bool:
        """Whether the top four bits are those of a type in the encoding of 6.1."""
        return self.value >> 28 == TYPE_BASE

    def _types(self) -> list[str]:
        """Return the page types; bits below an impossible base are none."""
        if self.release == "6.12":
            number = self.value >> 24
            return [] if number < 0x80 or number == 0xFF else [BYTE_TYPES.get(number, f"number {number:#x}")]  # noqa: PLR2004 (top bit, and none)
        if not self.has_base:
            return []
        return [name for bit, name in INVERTED_TYPE_BITS.items() if not self.value >> bit & 1]

    def sentence(self) -> str:
        """Return in one or two sentences what the word says."""
        if self.kind == "page_type":
            return self._type_sentence()
        names = self.names()
        if not names:
            return "No flag, zone 0 (DMA), node 0." if self.kind == "flags" else "Nothing: no bit is set."
        return f"Set: {', '.join(names)}."

    def _type_sentence(self) -> str:
        types = self._types()
        if self.value == 0xFFFFFFFF:  # noqa: PLR2004 (-1)
            return "-1: no type, and mapped by nobody."
        if len(types) > 1:
            return f"Types {' and '.join(types)} at once: nothing in this encoding prevents it."
        if types:
            return f"Type {types[0]}."
        if self.signed >= 0:
            times = "once" if self.signed == 0 else f"{self.signed + 1} times"
            return f"No type: a _mapcount of {self.signed}, so the page is mapped {times}."
        return f"No type that {self.release} knows, and as a _mapcount it is {self.signed}: corrupt."

    # ---- text ----------------------------------------------------------------------------------

    @property
    def title(self) -> str:
        """The word, its kind and the kernel, in one line."""
        return (
            f"{self.hex}: {self.width} bits of {KIND_LABELS[self.kind]}, as Linux {self.release} reads them"
        )

    def told(self) -> list[Part]:
        """Return the parts worth a line of their own: of a page_type all, else those that say something."""
        return [part for part in self.parts if self.kind == "page_type" or self.says(part)]

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
        return "\n".join([self.title, self.sentence(), f"  {nibbles}", *self.lines()])


def empty_word(kind: str, release: str) -> Word:
    """Return the word of a kind that says nothing: a page_type of -1, or no bit set."""
    return Word(kind, release, 0xFFFFFFFF if kind == "page_type" else 0)


def check_kind(kind: str, release: str) -> None:
    """Refuse a kind or a release that is not known."""
    if kind not in KINDS:
        msg = f"kind {kind!r} must be one of {', '.join(KINDS)}"
        raise MemsimError(msg)
    if release not in RELEASE_NAMES:
        msg = f"release {release!r} is not modelled; known are {', '.join(RELEASE_NAMES)}"
        raise MemsimError(msg)


# ---- reading what people write ---------------------------------------------------------------------


def guess_kind(value: int) -> tuple[str, str]:
    """Return the (kind, release) that a bare number most likely is.

    A negative number, or one of 32 bits that begins with a nibble of ones, is a page_type; of its encodings
    the inverted bits use numbers from 0xff000000 on. A zone or node number makes it ``page->flags``.

    >>> guess_kind(0xFFFFFEFF), guess_kind(0xF1000000), guess_kind(1 << 32), guess_kind(1 << 52)
    (('page_type', '6.1'), ('page_type', '6.12'), ('kpageflags', '6.12'), ('flags', '6.12'))
    """
    if value < 0 or value >> 28 == TYPE_BASE:
        unsigned = value & 0xFFFFFFFF
        return "page_type", "6.1" if 0xFF000000 <= unsigned < 0xFFFFFFFF else "6.12"  # noqa: PLR2004 (top byte ff, not -1)
    return "flags" if value >> ZONES_PGSHIFT else "kpageflags", "6.12"


def read_word(what: SupportsIndex | str, kind: str | None = None, release: str | None = None) -> Word:
    """Return the word that somebody means: a number, or names of parts with commas between them.

    Parameters
    ----------
    what
        A number (negative ones are C's ints), its text in any of Python's notations, or names such as
        ``"reserved,zone=2"``.
    kind, release
        One of ``KINDS`` and a release; guessed where they are None (see :func:`guess_kind`).

    Raises
    ------
    MemsimError
        Neither a number nor names, or too large for a word of this kind.
    """
    value = _number(what)
    guessed = guess_kind(value) if value is not None else guess_kind_of_names(str(what))
    kind, release = kind or guessed[0], release or guessed[1]
    check_kind(kind, release)
    if value is None:
        return _from_names(str(what), kind, release)
    if -(1 << WIDTHS[kind] - 1) <= value < 0:
        value += 1 << WIDTHS[kind]
    return Word(kind, release, value)


def guess_kind_of_names(text: str) -> tuple[str, str]:
    """Return the first (kind, release) that knows all these names; ``page->flags`` if none does.

    >>> guess_kind_of_names("reserved, zone=2"), guess_kind_of_names("Offline"), guess_kind_of_names("NOPAGE")
    (('flags', '6.12'), ('page_type', '6.12'), ('kpageflags', '6.12'))
    """
    for kind in ("flags", "page_type", "kpageflags"):
        try:
            _from_names(text, kind, "6.12")
        except MemsimError:
            continue
        return kind, "6.12"
    return "flags", "6.12"


def _number(what: SupportsIndex | str) -> int | None:
    if not isinstance(what, str):
        return operator.index(what)
    text = what.strip().replace(",", "") if re.fullmatch(r"[\d,\s-]+", what) else what.strip()
    try:
        return int(text, 0)
    except ValueError:
        return None


def _from_names(text: str, kind: str, release: str) -> Word:
    """Return the word in which the named parts say yes, or hold the number behind ``=``."""
    items = [item for item in re.split(r"[,+\s]+", text) if item]
    if not items:
        msg = "no word: write a number such as 0x2000, or names such as reserved,zone=2"
        raise MemsimError(msg)
    word = empty_word(kind, release)
    if kind == "page_type" and release == "6.12" and "=" not in text:
        return _of_one_type(word, items)
    for item in items:
        name, equals, number = item.partition("=")
        part = word.part(name)
        if not equals and not part.is_flag:
            msg = f"{name!r} is a number of {part.width} bits: write {name}=..."
            raise MemsimError(msg)
        value = _number(number) if equals else int(not part.inverted)
        if value is None:
            msg = f"{item!r}: {number!r} is not a number"
            raise MemsimError(msg)
        word = word.with_number(part, value)
    return word


def _of_one_type(word: Word, names: list[str]) -> Word:
    """Return the word of a page type in the encoding of 6.12."""
    if len(names) > 1:
        msg = f"in 6.12 a page has one type at most, not {' and '.join(names)}"
        raise MemsimError(msg)
    return word.with_number(word.part("type"), _type_number(names[0])).with_number(word.part("owner's"), 0)


def _type_number(name: str) -> int:
    for number, known in BYTE_TYPES.items():
        if known.lower() == name.lower():
            return number
    msg = f"{name!r} is neither a number nor a page type of 6.12; known are {', '.join(BYTE_TYPES.values())}"
    raise MemsimError(msg)
