"""The word of a page, taken apart and put together: ``decode_page(word)``.

Left out: what the word means is in :mod:`memsim.real.word.word`; this is only the widget.
"""

from __future__ import annotations

from dataclasses import replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import traitlets

from memsim.errors import MemsimError
from memsim.real.word.parts import KIND_LABELS, RELEASES, WIDTHS, Part
from memsim.real.word.reading import read_word
from memsim.real.word.word import Word, empty_word
from memsim.view.lab import Board, KernelWidget, choice, row, text_field
from memsim.view.modules import joined

if TYPE_CHECKING:
    from typing import SupportsIndex

STATIC = Path(__file__).with_name("static")
_CELLS = 8
_CELL = "border: 1px solid var(--jp-border-color1, #8a8a8a); text-align: center; padding: 1px 3px"
_NAME = "font: 0.8em sans-serif; overflow-wrap: anywhere"
_LOUD = "background: repeating-linear-gradient(45deg, #56B4E9 0 6px, #7CC6F0 6px 12px); color: #000"


def decode_page(word: SupportsIndex | str, kind: str | None = None, release: str | None = None) -> Decoder:
    """Return a widget that takes a word apart bit by bit, and puts one together from its bits.

    Parameters
    ----------
    word
        A number (``0x0010000000002000``, ``-257``) or names (``"reserved,zone=2"``).
    kind
        ``"flags"`` (page->flags), ``"kpageflags"``, ``"page_type"``, or ``"counts"`` (the raw word of a dump
        that holds ``_refcount`` and the page type); guessed if None.
    release
        The kernel that wrote the word, such as ``"6.12"``; guessed if None, which the text says.

    Raises
    ------
    MemsimError
        It is no such word; typed into the widget the same is answered there.
    """
    return Decoder(read_word(word, kind, release))


class Decoder(Board):
    """A word and its bits, each of which can be changed.

    Attributes
    ----------
    word
        The word that is shown.
    """

    note = "Run this notebook to change bits, kind and kernel."

    def __init__(self, word: Word) -> None:
        """Show ``word``; it is also what a notebook without a kernel shows."""
        self.word = word
        self._busy = False
        self._make_controls()
        self.bits = Bits(spec=spec_of(word))
        super().__init__("A word of a page", [row(self.field, self.kind, self.release), self.bits])
        self.bits.observe(self._pressed, "act")
        self._show()
        self.keep(bits_html(word))

    def spec_without_a_kernel(self) -> dict[str, Any]:
        """Return what the bits need on a page without a kernel."""
        return spec_of(self.word) | {"alone": True}

    # ---- controls ----------------------------------------------------------------------------

    def _make_controls(self) -> None:
        names = "A number such as 0x2000 or -257, or names such as reserved,zone=2; then press Enter"
        self.field = text_field("Word", "", names, "300px")
        kinds = [(label, kind) for kind, label in KIND_LABELS.items()]
        stay = "the bits stay, their names change"
        self.kind = choice("It is a word of", kinds, f"What kind of word it is; {stay}", self.word.kind)
        releases = _releases(self.word)
        self.release = choice(
            "Kernel", releases, f"The kernel that reads the word; {stay}", self.word.release
        )
        self.field.observe(self._typed, "value")
        self.kind.observe(self._read_otherwise, "value")
        self.release.observe(self._read_otherwise, "value")

    # ---- what readers do ---------------------------------------------------------------------

    def _typed(self, change: dict[str, Any]) -> None:
        if not self._busy:
            self._try(lambda: read_word(change["new"], self.word.kind, self.word.release))

    def _read_otherwise(self, _change: object) -> None:
        """Read the same bits as another kind of word; start with an empty one if they do not fit."""
        if self._busy:
            return
        kind, release = self.kind.value, self.release.value
        fits = self.word.value < 1 << WIDTHS[kind]
        self._try(lambda: Word(kind, release, self.word.value) if fits else empty_word(kind, release))

    def _pressed(self, change: dict[str, Any]) -> None:
        word = replace(self.word, value=int(change["new"]["value"], 16), notes=())
        self._try(lambda: word)

    def _try(self, change: Any) -> None:  # noqa: ANN401 (a function without arguments)
        """Make the word another one, or answer why that is impossible."""
        try:
            self.word = change()
        except MemsimError as problem:
            self._show(f"✗ {problem}")
            return
        self._show()

    # ---- showing -----------------------------------------------------------------------------

    def _show(self, problem: str = "") -> None:
        self._busy = True
        if not problem:
            self.field.value = self.word.hex
        self.release.options = _releases(self.word)
        self.kind.value, self.release.value = self.word.kind, self.word.release
        self._busy = False
        self.bits.spec = spec_of(self.word) | {"number": self.bits.act.get("number", 0)}
        self.put(problem, "", self.word.text())


def _releases(word: Word) -> list[str]:
    """Return the releases to choose from: one for each numbering, and the word's own."""
    return list(dict.fromkeys([*RELEASES, word.release]))


# ---- the bits --------------------------------------------------------------------------------------


class Bits(KernelWidget):
    """The bits in the browser.

    Attributes
    ----------
    spec
        The word and its parts; see :func:`spec_of`.
    act
        The word that a reader made of it, as ``value`` in hexadecimal.
    """

    _esm = joined(STATIC / "bits.js")
    _css = STATIC / "bits.css"

    spec = traitlets.Dict().tag(sync=True)
    act = traitlets.Dict().tag(sync=True)


def spec_of(word: Word) -> dict[str, Any]:
    """Return a word as the browser shows it: numbers of 64 bits go as text."""
    return {
        "value": word.hex,
        "width": word.width,
        "about": word.title.partition(": ")[2],
        "sentence": word.sentence(),
        "ones": word.kind == "page_type",
        "parts": [
            {
                "name": part.name,
                "short": "" if part.is_rest else part.short,
                "low": part.low,
                "width": part.width,
                "meaning": part.meaning,
                "inverted": part.inverted,
                "names": {str(number): name for number, name in part.names.items()},
                "flag": part.is_flag,
                "rest": part.is_rest,
            }
            for part in word.parts
        ],
    }


# ---- the picture -----------------------------------------------------------------------------------


def bits_html(word: Word) -> str:
    """Return all bits of a word as a table of 8 to a row, and what the parts that are set say."""
    rows = "".join(_row_html(word, high) for high in range(word.width - 1, 0, -_CELLS))
    caption = f"{escape(word.title)}. <b>{escape(word.sentence())}</b>"
    return (
        '<table style="border-collapse: collapse; font-family: monospace; table-layout: fixed; width: 100%; '
        'min-width: 48em"><colgroup><col style="width: 4em"></colgroup>'
        f'<caption style="text-align: left">{caption}</caption><tbody>{rows}</tbody></table>'
        '<p style="margin: 2px 0 8px; font-size: 0.85em">■ striped: says something; □ plain: does not.</p>'
    )


def _row_html(word: Word, high: int) -> str:
    """Return one row of bits, from ``high`` down; a part that goes on in the next row is cut."""
    low = max(high - _CELLS + 1, 0)
    cells = ""
    for part in word.parts:
        top, bottom = min(part.low + part.width - 1, high), max(part.low, low)
        if top >= bottom:
            cells += _cell_html(word, part, top, bottom)
    style = "padding: 1px 6px; text-align: right; white-space: nowrap"
    return f'<tr><th scope="row" style="{style}">{high}-{low}</th>{cells}</tr>'


def _cell_html(word: Word, part: Part, top: int, bottom: int) -> str:
    digits = f"{word.value >> bottom & (1 << top - bottom + 1) - 1:0{top - bottom + 1}b}"
    says = word.says(part)
    return (
        f'<td colspan="{top - bottom + 1}" style="{_CELL}{f"; {_LOUD}" if says else ""}">'
        f'{"■" if says else "□"} <b>{digits}</b><br><span style="{_NAME}">'
        f"{escape(part.short)}</span></td>"
    )
