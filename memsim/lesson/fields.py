"""Where a reader answers: one of several options, a number, or a few words."""

from __future__ import annotations

import math
import operator
import re
from typing import TYPE_CHECKING, Any, Protocol

from memsim.lesson.errors import LessonError
from memsim.lesson.markup import inline, plain

if TYPE_CHECKING:
    from collections.abc import Iterable

Value = str | int | float

_GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")


class Field(Protocol):
    """Base class of the three kinds of field."""

    options: tuple[str, ...]

    def parse(self, value: object) -> Value:
        """Return a value from elsewhere as this field would have read it, or raise LessonError."""

    def spec(self) -> dict[str, Any]:
        """Return what the browser needs to show the field."""

    def text(self) -> list[str]:
        """Return the lines that replace the field where nothing runs."""

    def html(self) -> str:
        """Return the HTML that replaces the field where nothing runs."""


class Choice:
    """One of at least two options; none is chosen at first."""

    def __init__(self, options: Iterable[str]) -> None:
        """Offer ``options``, which must differ."""
        self.options = tuple(options)
        labels = [plain(option) for option in self.options]
        if len(set(labels)) < max(2, len(labels)):
            msg = f"the options must be at least two and differ from each other: {self.options}"
            raise LessonError(msg)

    def parse(self, value: object) -> Value:
        """Return ``value`` if it is an option."""
        if value not in self.options:
            msg = f"{value!r} is none of the options {self.options}"
            raise LessonError(msg)
        return str(value)

    def spec(self) -> dict[str, Any]:
        """Return the options."""
        return {"options": [{"value": option, "label": inline(option)} for option in self.options]}

    def text(self) -> list[str]:
        """Return a line for each option."""
        return [f"  ( ) {option}" for option in self.options]

    def html(self) -> str:
        """Return the options as a list."""
        items = "".join(f"<li>{inline(option)}</li>" for option in self.options)
        return f"<ul>{items}</ul>"


class _Line:
    """A line that the reader types in."""

    options: tuple[str, ...] = ()
    kind = ""
    blank = ""

    def spec(self) -> dict[str, Any]:
        """Return what is to be typed."""
        return {"field": self.kind}

    def text(self) -> list[str]:
        """Return a line with a blank in it."""
        return [f"  {self.blank}: ____"]

    def html(self) -> str:
        """Return a paragraph with a blank in it."""
        return f"<p>{self.blank}: ____</p>"


class Number(_Line):
    """A number as people write it: 32768, 32,768, 32_768, 0x8000, 1.5."""

    kind = "number"
    blank = "A number"

    def parse(self, value: object) -> Value:
        """Return a number of any type, numpy's too, as one of Python's."""
        if isinstance(value, str) and (number := parse_number(value)) is not None:
            return number
        if hasattr(value, "__index__"):
            return operator.index(value)
        if hasattr(value, "__float__"):
            return float(value)
        msg = f"{value!r} is not a number"
        raise LessonError(msg)


class Words(_Line):
    """A few words of the reader's own."""

    kind = "words"
    blank = "In your own words"

    def parse(self, value: object) -> Value:
        """Return the value as text."""
        return str(value)


def parse_number(text: str) -> int | float | None:
    """Return the number that ``text`` is, or None.

    >>> [parse_number(text) for text in ("32,768", "0x8000", "-3", "1.50", "many", "1,5", "inf")]
    [32768, 32768, -3, 1.5, None, None, None]
    """
    text = text.strip()
    if _GROUPED.fullmatch(text):
        text = text.replace(",", "")
    try:
        return int(text, 0)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() else number


def written(value: Value) -> str:
    """Return an answer in the one spelling that the browser compares.

    >>> written(32768), written(2.0), written(1.5), written("Movable")
    ('32768', '2', '1.5', 'Movable')
    """
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if whole else str(value)


def tell(value: Value) -> str:
    """Return an answer as it is shown.

    >>> tell(32768), tell("Movable")
    ('32,768', 'Movable')
    """
    return value if isinstance(value, str) else f"{value:,}"
