"""States that follow each other, and what leads from one to the next."""

from __future__ import annotations

from dataclasses import dataclass

from memsim.view.charts.chart import WIDTH, Chart, picture, rule, words

_TOP, _HIGH, _ARROW, _LINE = 44, 84, 26, 15


@dataclass(frozen=True)
class State:
    """One state.

    Attributes
    ----------
    name
        What it is called.
    details
        What holds then: a sentence, in the lines in which it is drawn.
    by
        What leads to it.
    colour
        Of the bar above it.
    """

    name: str
    details: tuple[str, ...]
    by: str = ""
    colour: str = "#56B4E9"


@dataclass(frozen=True, repr=False)
class Chain(Chart):
    """States from left to right, in rows of at most four."""

    states: tuple[State, ...]
    in_a_row: int = 4

    def lines(self) -> list[str]:
        """Return a line for each state."""
        return [
            f"{order}. {state.name}{f', by {state.by}' if state.by else ''}: {_sentence(state)}"
            for order, state in enumerate(self.states, start=1)
        ]

    def svg(self) -> str:
        """Return the states as boxes, and what leads to each above it."""
        columns = min(self.in_a_row, len(self.states))
        wide = (WIDTH - 32 - _ARROW * (columns - 1)) / columns
        high = _HIGH + _LINE * (max(len(state.details) for state in self.states) - 2)
        parts = []
        for order, state in enumerate(self.states):
            x = 16 + (wide + _ARROW) * (order % columns)
            y = _TOP + 18 + (high + 34) * (order // columns)
            parts += self._box(state, (x, y, wide, high))
            if order % columns:
                parts.append(rule(x - _ARROW + 4, y + high / 2, x - 6, y + high / 2, "arrow"))
                parts.append(f'<path d="M{x - 11:g} {y + high / 2 - 4:g}l6 4-6 4" class="arrow"/>')
        rows = -(-len(self.states) // columns)
        return picture(_TOP + 10 + (high + 34) * rows, self.title, parts)

    def _box(self, state: State, where: tuple[float, float, float, float]) -> list[str]:
        x, y, wide, high = where
        parts = [
            words(x + 2, y - 6, state.by, "soft"),
            f'<rect x="{x:g}" y="{y:g}" width="{wide:g}" height="{high:g}" rx="6" class="empty"/>',
            f'<rect x="{x:g}" y="{y:g}" width="{wide:g}" height="6" rx="3" fill="{state.colour}"/>',
            words(x + 10, y + 26, state.name, "strong"),
        ]
        return parts + [
            words(x + 10, y + 46 + _LINE * at, detail, room=wide - 16)
            for at, detail in enumerate(state.details)
        ]


def _sentence(state: State) -> str:
    said = " ".join(state.details)
    return said if said.endswith("?") else f"{said}."
