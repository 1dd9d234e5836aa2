"""A table of signs: who does what with what, where a colour and a letter say more than a number."""

from __future__ import annotations

from dataclasses import dataclass

from memsim.view.charts.chart import WIDTH, Chart, picture, room_for, words

LEVELS: dict[str, tuple[str, str]] = {
    "good": ("#009E73", ""),
    "told": ("#56B4E9", "dots"),
    "odd": ("#E69F00", "rising"),
    "bad": ("#D55E00", "falling"),
    "dead": ("#000000", ""),
    "none": ("", ""),
}
"""How a cell is meant -> its colour and its pattern."""
_TOP, _ROW = 44, 28


@dataclass(frozen=True, repr=False)
class Signs(Chart):
    """A table.

    Attributes
    ----------
    columns
        Its headings.
    rows
        Name of a row -> for each column the text of the cell and how it is meant (one of ``LEVELS``).
    """

    columns: tuple[str, ...]
    rows: dict[str, tuple[tuple[str, str], ...]]
    groups: tuple[str, ...] = ()
    """Headings above the columns, each over as many as the others."""

    def lines(self) -> list[str]:
        """Return a line for each row, in which a group is named once."""
        return [f"{row}: {'; '.join(self._parts(cells))}." for row, cells in self.rows.items()]

    def _parts(self, cells: tuple[tuple[str, str], ...]) -> list[str]:
        """Return what a row says, in one piece for each group of columns."""
        said = [f"{column} {text}" for column, (text, _) in zip(self.columns, cells, strict=True)]
        if not self.groups:
            return [", ".join(said)]
        each = len(said) // len(self.groups)
        return [
            f"{group}: {', '.join(said[at * each : (at + 1) * each])}" for at, group in enumerate(self.groups)
        ]

    def svg(self) -> str:
        """Return the table."""
        left = room_for(self.rows)
        top = _TOP + (24 if self.groups else 10)
        wide = (WIDTH - 16 - left) / len(self.columns)
        parts = [
            words(left + wide * (at + 0.5), top, column, "mid strong")
            for at, column in enumerate(self.columns)
        ]
        for at, group in enumerate(self.groups):
            x = left + (WIDTH - 16 - left) * (at + 0.5) / len(self.groups)
            parts.append(words(x, _TOP + 4, group, "mid soft"))
        for at, (row, cells) in enumerate(self.rows.items()):
            y = top + 10 + _ROW * at
            parts.append(words(left - 10, y + 17, row, "end"))
            for column, (text, level) in enumerate(cells):
                parts += _cell(left + wide * column, y, wide, (text, level))
        return picture(top + 20 + _ROW * len(self.rows), self.title, parts)


def _cell(x: float, y: float, wide: float, cell: tuple[str, str]) -> list[str]:
    text, level = cell
    colour, pattern = LEVELS[level]
    box = f'x="{x + 1:.1f}" y="{y}" width="{wide - 3:.1f}" height="{_ROW - 3}" rx="3"'
    if not colour:
        return [f'<rect {box} class="empty"/>', words(x + wide / 2, y + 17, text, "mid")]
    over = f'<rect {box} fill="url(#{pattern})"/>' if pattern else ""
    ink = "light" if level in {"dead", "good"} else "dark"
    return [f'<rect {box} fill="{colour}"/>', over, words(x + wide / 2, y + 17, text, f"mid strong {ink}")]
