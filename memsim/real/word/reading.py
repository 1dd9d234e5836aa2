"""Words as people write them: numbers, names, and what kernels print; and what is guessed about them.

A number alone does not say what it is, of which version and of which configuration. What is guessed is
announced in the word's notes, together with the other readings; see :attr:`memsim.real.word.word.Word.notes`.
"""

from __future__ import annotations

import operator
import re
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from memsim.errors import MemsimError
from memsim.real.dump import Dump, split_names
from memsim.real.layout import MAX_ZONE, plausible
from memsim.real.reading import FLAG_BITS, Reading, labels_of, read_dump, usual_tables
from memsim.real.tables import NONE, TYPE_ENCODINGS, encoding_of_word
from memsim.real.word.meanings import KPF_NAMES
from memsim.real.word.parts import (
    DEBIAN,
    KIND_LABELS,
    WIDTHS,
    encoding_of,
    flag_names_of,
    version_of,
)
from memsim.real.word.word import Word, check_kind, empty_word

if TYPE_CHECKING:
    from typing import SupportsIndex

USUAL = "6.12"
"""The release that is taken where nothing tells which one it is."""
KPF_BITS = sum(1 << bit for bit in KPF_NAMES)
FIRST_TYPE, LAST_TYPE = 0xF0, 0xF8
TYPE_WORDS = frozenset(name for encoding in TYPE_ENCODINGS for _, name in encoding.words) | {"unknown"}
MOST_WORDS = 24
"""More are not the names of one word, but a text."""
FEW_NODES = 4
_MOST_REFERENCES = 1 << 20
_UPPER_BITS = 43
"""No flag of /proc/kpageflags has this bit or a higher one."""
_RELEASE_OF_ENCODING = {
    (4, 18): "6.1",
    (5, 11): "6.1",
    (6, 9): "6.9",
    (6, 10): "6.10",
    (6, 11): "6.11",
    (6, 12): USUAL,
}
_LABEL = re.compile(r"^\s*(?:(?:page |anon |ksm )?(flags|page_type|raw|RAW|head)\s*[:=])\s*")
_WITH_NAMES = re.compile(r"^((?:0x)?[0-9a-fA-F]+)\(([^)]*)\)?\s*$")
_BARE_HEX = re.compile(r"(?=.*[a-fA-F]|0)(?:[0-9a-fA-F]{2}|[0-9a-fA-F]{8}|[0-9a-fA-F]{16})$")


class Guess(NamedTuple):
    """What a number most likely is, why, and what else it may be."""

    kind: str
    release: str
    why: str
    others: tuple[str, ...] = ()


def guess(value: int) -> Guess:
    """Return what a bare number most likely is.

    >>> [guess(word)[:2] for word in (0xFFFFFEFF, 0xBFFFFFFF, 0xF1000000)]
    [('page_type', '6.1'), ('page_type', '6.11'), ('page_type', '6.12')]
    >>> [guess(word)[:2] for word in (1 << 32, 1 << 52, 0x3FFFFFEFF)]
    [('kpageflags', '6.12'), ('flags', '6.12'), ('counts', '6.1')]
    """
    unsigned = value & NONE
    encoding = encoding_of_word(unsigned)
    release = _RELEASE_OF_ENCODING[encoding.first] if encoding is not None else USUAL
    typed = encoding is not None or unsigned == NONE
    if value < 0 or (value == unsigned and typed):
        others = () if value < 0 else ("flags of a 32-bit kernel",)
        return Guess("page_type", release, "its upper bits are those of a page type", others)
    if value > NONE and value >> 32 < _MOST_REFERENCES and typed:
        return Guess("counts", release, "its lower half is a page type", ("/proc/kpageflags",))
    if value >> _UPPER_BITS:
        return Guess("flags", USUAL, "/proc/kpageflags has no bit above 42")
    if value & ~KPF_BITS:
        why = "/proc/kpageflags does not have all of its bits"
        return Guess("flags", USUAL, why, ("page->flags of a 32-bit kernel, which is not modelled",))
    if FIRST_TYPE <= value <= LAST_TYPE:
        why = "Linux 6.12 and later print the top byte of page_type only"
        return Guess("page_type", USUAL, why, ("/proc/kpageflags",))
    others = ("page->flags of zone 0 (DMA) without LAST_CPUPID",)
    return Guess("kpageflags", USUAL, "no bit above 42 is set", others)


def read_word(what: SupportsIndex | str, kind: str | None = None, release: str | None = None) -> Word:
    """Return the word that is meant: a number, names of parts, or what a kernel printed.

    Parameters
    ----------
    what
        A number (negative ones are C's ints), its text in any of Python's notations, names such as
        ``"reserved,zone=2"``, or what kernels print: ``"flags: 0x2000(reserved|node=0|zone=2)"``,
        ``"page_type: f1(offline)"``, ``"00000003fffffeff"``.
    kind, release
        One of ``KINDS`` and a release; guessed where they are None, which the word's notes say.

    Raises
    ------
    MemsimError
        Neither a number nor names, or too large for a word of this kind.
    """
    if isinstance(what, str):
        if len(what.split()) > MOST_WORDS or "\n" in what.strip():
            msg = "this is more than one word; memsim explain takes whole dumps and kernel logs"
            raise MemsimError(msg)
        label = _LABEL.match(what)
        if label is not None and label[1] in {"flags", "page_type"}:
            kind = label[1]
        what = what[label.end() :] if label is not None else what
        if label is not None and label[1] in {"raw", "RAW", "head"} and len(what.split()) > 1:
            msg = f"{label[1]}: has several words; give one of them, or the whole dump to memsim explain"
            raise MemsimError(msg)
        printed = _WITH_NAMES.match(what.strip())
        if printed is not None:
            return _printed(printed[1], printed[2], kind, release)
        if _BARE_HEX.match(what.strip()):
            what = f"0x{what.strip()}"
    value = _number(what)
    if value is None:
        return _from_text(str(what), kind, release)
    return _of_number(value, kind, release)


def _of_number(value: int, kind: str | None, release: str | None) -> Word:
    """Return the word of a number, with notes on all that was guessed."""
    guessed = guess(value)
    certain = kind is not None and release is not None
    notes: list[str] = []
    if kind is None:
        others = f"; it may also be {' or '.join(guessed.others)}" if guessed.others else ""
        notes.append(
            f"Taken for {KIND_LABELS[guessed.kind]}, because {guessed.why}{others}: say which with kind= "
            "(on the command line --kind)."
        )
        kind = guessed.kind
    check_kind(kind, release or guessed.release)
    value, release = _of_kind(value, kind, release, notes)
    if -(1 << WIDTHS[kind] - 1) <= value < 0:
        value += 1 << WIDTHS[kind]
    word = Word(kind, release or USUAL, value)
    if release is None and kind in {"page_type", "counts"}:
        encoding = encoding_of_word(value & NONE)
        word = replace(word, release=_RELEASE_OF_ENCODING[encoding.first] if encoding is not None else USUAL)
    if kind == "flags":
        return _with_layout(word, release, notes, certain=certain)
    return replace(word, notes=tuple(notes))


def _of_kind(value: int, kind: str, release: str | None, notes: list[str]) -> tuple[int, str | None]:
    """Return the number in full where a kernel prints a part of the word, or one more than it."""
    if kind != "page_type":
        return value, release
    if FIRST_TYPE <= value <= LAST_TYPE and (release is None or not encoding_of(release).base):
        notes.append(f"{value:#x} is taken for the top byte, which is all that Linux 6.12 and later print.")
        return value << 24, release
    stored = encoding_of_word(value - 1 & NONE)
    if value < 0 and encoding_of_word(value & NONE) is None and stored is not None:
        notes.append(
            f"{value} is taken for a mapcount as kernels up to 6.9 print it, which is one more "
            "than the stored "
            f"word: {value - 1}, {value - 1 & NONE:#010x}."
        )
        return value - 1, release
    return value, release


# ---- page->flags ---------------------------------------------------------------------------------------


def _with_layout(word: Word, release: str | None, notes: list[str], *, certain: bool) -> Word:
    """Return the word with notes on what depends on version and configuration, in a layout that it can have.

    With ``certain`` the layout stays that of Debian's configuration, as who names kind and release expects.
    """
    upper = word.value >> len(flag_names_of(word.release))
    if not _usual_layout(word) and not certain:
        others = [layout for layout in plausible(word.value, FLAG_BITS.bit_length()) if layout != DEBIAN]
        word = replace(word, layout=others[0] if len(others) == 1 else None)
        if len(others) > 1:
            found = [(layout.read(word.value), layout.name) for layout in others]
            texts = [f"zone {at['zone']}, node {at.get('node', 0)} ({name})" for at, name in found]
            notes.append(f"Zone and node depend on the configuration: {'; or '.join(texts)}.")
    if upper:
        notes.append(
            "Where zone and node lie depends on the configuration. A report of a kernel names them behind "
            "the word: flags: 0x...(...|node=...|zone=...)."
        )
    return replace(word, notes=(*notes, *_other_versions(word, release)))


def _usual_layout(word: Word) -> bool:
    """Return whether the fields of Debian's layout hold what they hold in most words."""
    found = DEBIAN.read(word.value)
    untouched = found["lastcpupid"] in {0, (1 << DEBIAN.lastcpupid) - 1}
    return found["zone"] <= MAX_ZONE and found["node"] < FEW_NODES and untouched


def _other_versions(word: Word, release: str | None) -> list[str]:
    """Return how other versions and architectures name the flags that are set, if not alike."""
    reading = Reading(Dump(0))
    if release is not None:
        reading.versions = (version_of(release), version_of(release))
    choices: dict[tuple[str, ...], list[str]] = {}
    for label, table in usual_tables(reading).items():
        choices.setdefault(tuple(table.set_names(word.value & FLAG_BITS)), []).append(label)
    mine = tuple(name.removeprefix("PG_") for name in word.names() if name.startswith("PG_"))
    others = [
        f"{', '.join(names) or 'none'} ({labels_of(labels)})"
        for names, labels in choices.items()
        if names != mine
    ]
    if not others:
        return []
    return [
        (
            f"Which flags they are depends on the version; taken for {word.release}. Others: "
            f"{'. '.join(others)}."
        )
    ]


def _printed(number: str, names: str, kind: str | None, release: str | None) -> Word:
    """Return the word that stands with its names, as ``%pGp`` and ``%pGt`` print it."""
    flags, numbers = split_names(names)
    value = int(number.removeprefix("0x"), 16)
    if kind is None:
        is_type = (
            not numbers and value <= NONE and set(flags) <= TYPE_WORDS and (bool(flags) or value == NONE)
        )
        kind = "page_type" if is_type and (value >> 28 or not number.startswith("0x")) else "flags"
    if kind == "page_type":
        return _printed_type(value, flags, release)
    return _printed_flags(read_dump(Dump(0, flags=value, names=flags, numbers=numbers)), names, release)


def _printed_flags(reading: Reading, names: str, release: str | None) -> Word:
    """Return a flags word in the layout and with the names that a kernel printed."""
    table, layouts = reading.table, reading.layouts
    word = Word("flags", release or USUAL, reading.flags or 0, layout=None)
    notes = [f"The kernel printed: {names}."]
    if table is not None and reading.names:
        other = not table.has(version_of(word.release))
        first = max(table.first, (3, 10))
        word = replace(
            word, flag_names=table.names, release=f"{first[0]}.{first[1]}" if other else word.release
        )
        notes.append(f"These are the names of Linux {table.label}.")
    if layouts:
        word = replace(word, layout=DEBIAN if DEBIAN in layouts else layouts[0])
    if len(layouts) > 1:
        notes.append("Several layouts give the printed numbers, so the widths of the fields are not certain.")
    notes += [problem.text for problem in reading.problems]
    return replace(word, notes=tuple(notes))


def _printed_type(value: int, names: list[str], release: str | None) -> Word:
    """Return the word of a page type that stands with its name; of one byte it is the upper one."""
    notes: list[str] = []
    if FIRST_TYPE <= value <= 0xFF:  # noqa: PLR2004 (a byte)
        value <<= 24
        notes.append("Linux 6.12 and later print the top byte of page_type only.")
    encoding = encoding_of_word(value)
    likely = _RELEASE_OF_ENCODING[encoding.first] if encoding is not None else USUAL
    word = Word("page_type", release or likely, value)
    if names and {name.lower() for name in word.names()} != set(names):
        word = replace(word, release=likely)  # the printed name decides
    mine = {name.lower() for name in word.names()}
    if "large_kmalloc" in names or value >> 24 == LAST_TYPE:
        word = replace(word, release="6.14")
    elif names and names != ["unknown"] and mine != set(names):
        notes.append(
            f"The kernel printed {', '.join(names)}, which is not what {word.hex} means in {word.release}."
        )
    return replace(word, notes=tuple(notes))


# ---- names ---------------------------------------------------------------------------------------------


def _from_text(text: str, kind: str | None, release: str | None) -> Word:
    guessed = guess_kind_of_names(text)
    kind, release = kind or guessed[0], release or guessed[1]
    check_kind(kind, release)
    return _from_names(text, kind, release)


def guess_kind_of_names(text: str) -> tuple[str, str]:
    """Return the first (kind, release) that knows all these names; ``page->flags`` if none does.

    >>> guess_kind_of_names("reserved, zone=2"), guess_kind_of_names("Offline"), guess_kind_of_names("NOPAGE")
    (('flags', '6.12'), ('page_type', '6.12'), ('kpageflags', '6.12'))
    """
    for kind in ("flags", "page_type", "kpageflags"):
        try:
            _from_names(text, kind, USUAL)
        except MemsimError:
            continue
        return kind, USUAL
    return "flags", USUAL


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
    items = [item for item in re.split(r"[,+|\s]+", text) if item]
    if not items:
        msg = "no word: write a number such as 0x2000, or names such as reserved,zone=2"
        raise MemsimError(msg)
    word = empty_word(kind, release)
    if kind == "page_type" and not encoding_of(release).base and "=" not in text:
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
        msg = f"in {word.release} a page has one type at most, not {' and '.join(names)}"
        raise MemsimError(msg)
    kind = word.part("type")
    number = next((code for code, known in kind.names.items() if known.lower() == names[0].lower()), None)
    if number is None:
        known = ", ".join(kind.names.values())
        msg = f"{names[0]!r} is neither a number nor a page type of {word.release}; known are {known}"
        raise MemsimError(msg)
    return word.with_number(kind, number).with_number(word.part("owner's"), 0)
