"""What each hunk changes in the kernel, as pseudo-C of our own, for readers who want C before Python."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from memsim.source.hunks import Row

if TYPE_CHECKING:
    from memsim.patch import Hunk


@dataclass(frozen=True)
class PseudoC:
    """A function of the kernel in short, without a hunk and with it."""

    kernel_file: str
    function: str
    rows: tuple[Row, ...]


def pseudo_c(hunk: Hunk) -> list[PseudoC]:
    """Return the functions that a hunk changes, in the order of ``pseudo_c.toml``.

    >>> from memsim import Hunk
    >>> [short] = pseudo_c(Hunk.XEN_BALLOON)
    >>> short.function, [row.without for row in short.rows if row.changed and row.without]
    ('balloon_append', ['    set type Offline of page;'])
    """
    found = []
    for place, diff in _all().get(hunk.name, {}).items():
        kernel_file, function = place.split(": ")
        found.append(PseudoC(kernel_file, function, tuple(map(_row, diff.splitlines()))))
    return found


@cache
def _all() -> dict[str, dict[str, str]]:
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def _row(line: str) -> Row:
    sign, text = line[0], line[1:]
    return Row(None if sign == "+" else text, None if sign == "-" else text)
