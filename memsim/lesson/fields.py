"""Where a reader answers: one of several options, a number, or a few words."""

from __future__ import annotations

import math
import operator
import re
from typing import TYPE_CHECKING, Protocol

import ipywidgets

from memsim.lesson.errors import LessonError
from memsim.lesson.markup import inline, plain

if TYPE_CHECKING:
    from collections.abc import Iterable

Value = str | int | float

_GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")


class Unanswered(Exception):  # noqa: N818 (a state of the form, told to the reader, not an error)
    """The reader has not answered yet, or not in a way that can be understood."""


class Field(Protocol):
    """What the three kinds of field have in common."""

    control: ipywidgets.Widget
    options: tuple[str, ...]

    def read(self) -> Value:
        """Return the reader's answer, or raise Unanswered with what to do."""

    def parse(self, value: object) -> Value:
        """Return a value from elsewhere as this field would have read it, or raise LessonError."""

    def text(self) -> list[str]:
        """Return the lines that stand for the field where nothing runs."""

    def html(self) -> str:
        """Return the HTML that stands for the field where nothing runs."""

    def clear(self) -> None:
        """Empty the field."""

    def close(self, *, closed: bool) -> None:
        """Take no more answers, or take them again."""


class Choice:
    """One of at least two options, a button each; none is chosen at first.

    Not RadioButtons: those are no group to a browser, and JupyterLab takes the arrow keys away from them
    and moves to another cell. Buttons are reached by Tab and pressed by Space or Enter.
    """

    def __init__(self, options: Iterable[str]) -> None:
        """Offer ``options``, which must differ."""
        self.options = tuple(options)
        labels = [plain(option) for option in self.options]
        if len(set(labels)) < max(2, len(labels)):
            msg = f"the options must be at least two and differ from each other: {self.options}"
            raise LessonError(msg)
        self.chosen: str | None = None
        self.buttons = {option: self._button(option) for option in self.options}
        self.control = ipywidgets.VBox(list(self.buttons.values()))
        self._mark(None)

    def read(self) -> Value:
        """Return the chosen option."""
        if self.chosen is None:
            msg = "Choose one of the options first."
            raise Unanswered(msg)
        return self.chosen

    def parse(self, value: object) -> Value:
        """Return ``value`` if it is an option."""
        if value not in self.options:
            msg = f"{value!r} is none of the options {self.options}"
            raise LessonError(msg)
        return str(value)

    def text(self) -> list[str]:
        """Return a line for each option."""
        return [f"  ( ) {option}" for option in self.options]

    def html(self) -> str:
        """Return the options as a list."""
        items = "".join(f"<li>{inline(option)}</li>" for option in self.options)
        return f"<ul>{items}</ul>"

    def clear(self) -> None:
        """Choose none."""
        self._mark(None)

    def close(self, *, closed: bool) -> None:
        """Keep the choice, or let it be changed again."""
        for button in self.buttons.values():
            button.disabled = closed

    def _button(self, option: str) -> ipywidgets.Button:
        button = ipywidgets.Button(tooltip="Choose this", tabbable=True)
        button.add_class("memsim-option")
        button.on_click(lambda _: self._mark(option))
        return button

    def _mark(self, chosen: str | None) -> None:
        """Say on the buttons which is chosen, in words too: not everybody sees a filled circle."""
        self.chosen = chosen
        for option, button in self.buttons.items():
            is_it = option == chosen
            button.description = f"● {plain(option)} (chosen)" if is_it else f"○ {plain(option)}"


class _Line:
    """A line that the reader types in."""

    options: tuple[str, ...] = ()
    blank = ""

    def __init__(self, description: str, placeholder: str) -> None:
        """Make an empty line."""
        self.control = ipywidgets.Text(
            description=description,
            placeholder=placeholder,
            tooltip=placeholder,
            continuous_update=True,
            style={"description_width": "initial"},
            tabbable=True,
        )

    def text(self) -> list[str]:
        """Return a line with a blank in it."""
        return [f"  {self.blank}: ____"]

    def html(self) -> str:
        """Return a paragraph with a blank in it."""
        return f"<p>{self.blank}: ____</p>"

    def clear(self) -> None:
        """Empty the line."""
        self.control.value = ""

    def close(self, *, closed: bool) -> None:
        """Keep the line, or let it be changed again."""
        self.control.disabled = closed


class Number(_Line):
    """A number as people write it: 32768, 32,768, 32_768, 0x8000, 1.5."""

    blank = "A number"

    def __init__(self, description: str) -> None:
        """Make an empty field: a zero in it would look like an answer."""
        super().__init__(description, "a number, such as 32768 or 0x8000")

    def read(self) -> Value:
        """Return the number typed."""
        value = parse_number(self.control.value)
        if value is None:
            msg = "Type a number first, such as 32768, 32,768, 0x8000 or 1.5."
            raise Unanswered(msg)
        return value

    def parse(self, value: object) -> Value:
        """Return a number of any type, numpy's too, as one of Python's."""
        if hasattr(value, "__index__"):
            return operator.index(value)
        if hasattr(value, "__float__"):
            return float(value)
        msg = f"{value!r} is not a number"
        raise LessonError(msg)


class Words(_Line):
    """A few words of the reader's own."""

    blank = "In your own words"

    def __init__(self, description: str) -> None:
        """Make an empty field."""
        super().__init__(description, "a few words")

    def read(self) -> Value:
        """Return the words typed."""
        words = str(self.control.value).strip()
        if not words:
            msg = "Write a few words first."
            raise Unanswered(msg)
        return words

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


def tell(value: Value) -> str:
    """Return an answer as it is shown.

    >>> tell(32768), tell("Movable")
    ('32,768', 'Movable')
    """
    return value if isinstance(value, str) else f"{value:,}"
