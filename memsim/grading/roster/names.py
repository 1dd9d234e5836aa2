"""How two spellings of one name are compared, and how a name is written into a table."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_BEFORE_A_FORMULA = r"(\A|[;\t\n])( *){}(?=[-=+@\uff1d\uff0b\uff0d\uff20])"
"""A cell begins at the start and, where the comma is decimal, at each semicolon and line, even if quoted."""
_BARE, _MARKED = (re.compile(_BEFORE_A_FORMULA.format(mark)) for mark in ("", "'"))

_TYPED = str.maketrans("\u2018\u2019\u02bc\u00b4`\u2010\u2011\u2012\u2013\u2212", "'''''-----")

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202d\u202e]")
"""What a terminal on which a table is shown would obey, and what turns the rest of a line round there."""


def key(name: str) -> str:
    r"""Return what all spellings of a name have in common: Unicode form, case and blanks do not count.

    Nor does the form of an apostrophe or a hyphen, which text processors change.

    >>> key(" E\u0301milie  du Cha\u0302telet") == key("\u00e9milie du Ch\u00e2telet ")
    True
    >>> key("O\u2019Neill, Anne\u2010Marie") == key("O'Neill, Anne-Marie")
    True
    >>> key("\u0130brahim I\u015f\u0131k") == key("Ibrahim I\u015eIK")
    True
    """
    folded = unicodedata.normalize("NFKC", name.translate(_TYPED)).casefold()
    return " ".join(folded.replace("i\u0307", "i").replace("\u0131", "i").split())


def compact(name: str) -> str:
    """Return a name as Canvas writes it into file names: the sortable name without blanks and marks.

    >>> compact("Lovelace, Ada")
    'lovelaceada'
    """
    return "".join(char for char in key(name) if char.isalnum() or unicodedata.category(char)[0] == "M")


def words(name: str) -> str:
    """Return a name with ``-``, ``_`` and ``.`` as blanks, which is how assignments are compared.

    >>> words("One_Block") == words("one-block")
    True
    """
    return " ".join(key(name).replace("-", " ").replace("_", " ").replace(".", " ").split())


def some(names: Sequence[str], most: int = 8) -> str:
    """Return the first of some names, and how many more there are.

    >>> some(["ada", "bob", "cy"], 2)
    'ada, bob and 1 more'
    """
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def harmless(text: str) -> str:
    r"""Return a text of which no spreadsheet takes a part for a formula, whatever separates its cells.

    >>> harmless("=1+1"), harmless("a;=1+1"), harmless("\uff20x"), harmless("a-b; c")
    ("'=1+1", "a;'=1+1", "'\uff20x", 'a-b; c')
    """
    # The csv module writes a carriage return without quotes, and a spreadsheet begins a row after it.
    text = _CONTROL.sub(_spelt_out, text.replace("\r\n", "\n").replace("\r", "\n"))
    return _BARE.sub(r"\1\2'", f"'{text}" if text.startswith(("\t", "\n")) else text)


def _spelt_out(found: re.Match[str]) -> str:
    return ascii(found[0])[1:-1]


def as_it_was(text: str) -> str:
    """Return a text that :func:`harmless` has written into a table.

    >>> as_it_was(harmless("=a;-b")), as_it_was("'tis")
    ('=a;-b', "'tis")
    """
    return _MARKED.sub(r"\1\2", text)
