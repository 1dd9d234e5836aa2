"""What the names say that learning management systems give to the files they pack.

========== =========================================================================
Canvas      ``lovelaceada_LATE_4711_998877_one-block.ipynb``: sortable name, number of the user, of the file;
            ``LATE_anon_yVkWT_998877_one-block.ipynb`` where names are hidden
Moodle      ``Ada Lovelace_1234567_assignsubmission_file``, a folder or the beginning of a file's name
Brightspace ``5501-7701 - Ada Lovelace - Nov 30, 2026 1159 PM``, a folder or the beginning of a file's name
Blackboard  ``one-block_ada_attempt_2026-11-30-23-59-00_one-block.ipynb``
ILIAS       ``Lovelace_Ada_ada_1234567``, a folder: last name, first name, login, number
========== =========================================================================

Where students hand in together, the name is that of their group; where names are hidden, Moodle's is
``Participant``.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_CANVAS = re.compile(
    r"(?P<who>[^_].*?)(?P<late>_late)?_(?P<canvas>\d+)_(?P<attempt>\d+|text|link)(?:_(?P<file>.+)|\.html)",
    re.IGNORECASE,
)
_CANVAS_HIDDEN = re.compile(
    r"(?P<late>(?:LATE|late)_)?(?P<who>anon_[1-9A-HJ-NP-Za-km-z]{5})_(?P<attempt>\d+|text|link)"
    r"(?:_(?P<file>.+)|\.html)"
)
_CANVAS_PAGES = {"text": "Canvas's page of an online text", "link": "Canvas's page of a web address"}
_MOODLE = re.compile(
    r"(?P<who>.+?)(?:_(?P<moodle>\d+))?_assignsubmission_(?P<kind>[a-z]+)(?:_(?P<file>.*))?", re.IGNORECASE
)
_BRIGHTSPACE = re.compile(
    r"(?P<brightspace>\d+)-\d+ - (?P<who>.+?) - (?P<date>[^-]*\b\d{4}\b[^-]*?\d{1,4} ?(?:[AP]M)?)"
    r"(?: - (?P<file>.+))?",
    re.IGNORECASE,
)
_BLACKBOARD = re.compile(
    r"(?P<head>.+?)_(?P<who>[^_]+)_attempt_(?P<date>\d{4}(?:-\d\d){5})(?:_(?P<file>.+)|(?P<own>\.txt))?"
)
_ILIAS = re.compile(r"[^_\d]+_[^_\d]+_(?P<who>[^_]+)_\d{5,}")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@dataclass(frozen=True)
class Label:
    """What a name says that a learning management system has given."""

    system: str
    who: str
    """The student, as the system writes its users here."""
    numbers: Mapping[str, str] = field(default_factory=dict)
    attempt: tuple[int, ...] = ()
    """Larger for what was handed in later."""
    file: str = ""
    """The student's own name of the file."""
    late: bool = False
    aside: str = ""
    """Why it is not a file of the student's; empty if it is one."""
    head: str = ""
    """What stands before the student's end of the name: of Blackboard, the assignment and perhaps more of the
    name, since both may hold the underscore that separates them."""


def label(name: str) -> Label | None:
    """Return what a name says, or None if no system that is known gives such names.

    >>> label("turingalan_LATE_4712_998878_one-block-2.ipynb")
    Label(system='Canvas', who='turingalan', numbers={'canvas': '4712'}, attempt=(998878,), \
file='one-block-2.ipynb', late=True, aside='', head='')
    >>> label("ada.ipynb")
    """
    return next(filter(None, (read(name) for read in _READ)), None)


def labels(names: Iterable[str]) -> dict[str, Label]:
    """Return what names say that lie in one folder, and so come from one system: that of most of them.

    A system puts its own words before a student's name of the file, which may be what another one writes.

    >>> found = labels(["lovelaceada_1_8_a.ipynb", "doebob_2_9_hw_ada_attempt_2026-11-30-23-59-00_a.ipynb"])
    >>> [mark.who for mark in found.values()]
    ['lovelaceada', 'doebob']
    """
    found = {name: [mark for read in _READ if (mark := read(name))] for name in names}
    count = Counter(mark.system for marks in found.values() for mark in marks)
    return {name: max(marks, key=lambda mark: count[mark.system]) for name, marks in found.items() if marks}


def _canvas(name: str) -> Label | None:
    found = _CANVAS_HIDDEN.fullmatch(name) or _CANVAS.fullmatch(name)
    if not found:
        return None
    number = found.groupdict().get("canvas")
    aside = _CANVAS_PAGES.get(found["attempt"].lower(), "")
    return Label(
        "Canvas",
        found["who"],
        {"canvas": number} if number else {},
        () if aside else (int(found["attempt"]),),
        found["file"] or "",
        late=bool(found["late"]),
        aside=aside,
    )


def _moodle(name: str) -> Label | None:
    found = _MOODLE.fullmatch(name)
    if not found:
        return None
    kind = found["kind"].lower()
    aside = "" if kind == "file" else "Moodle's copy of an online text"
    numbers = {"moodle": found["moodle"]} if found["moodle"] else {}
    return Label("Moodle", found["who"], numbers, file=found["file"] or "", aside=aside)


def _brightspace(name: str) -> Label | None:
    found = _BRIGHTSPACE.fullmatch(name)
    if not found:
        return None
    numbers = {"brightspace": found["brightspace"]}
    return Label("Brightspace", found["who"], numbers, _date(found["date"]), found["file"] or "")


def _blackboard(name: str) -> Label | None:
    found = _BLACKBOARD.fullmatch(name)
    if not found:
        return None
    attempt = tuple(int(part) for part in found["date"].split("-"))
    aside = "Blackboard's note about an attempt" if found["own"] or not found["file"] else ""
    return Label(
        "Blackboard", found["who"], {}, attempt, found["file"] or "", aside=aside, head=found["head"]
    )


def _ilias(name: str) -> Label | None:
    found = _ILIAS.fullmatch(name)
    return Label("ILIAS", found["who"]) if found else None


_READ = (_moodle, _brightspace, _blackboard, _ilias, _canvas)
"""How to read the names of each system, those first that are mistaken least."""


def _date(text: str) -> tuple[int, ...]:
    """Return Brightspace's date as numbers that sort, as far as it is understood.

    >>> _date("Nov 30, 2026 1159 PM"), _date("2 December, 2026 105 AM")
    ((2026, 11, 30, 23, 59), (2026, 12, 2, 1, 5))
    """
    names = re.findall(r"[^\W\d]{3,}", text.lower())
    month = next((_MONTHS.index(name[:3]) + 1 for name in names if name[:3] in _MONTHS), 0)
    year = re.search(r"\b\d{4}\b", text)
    day = re.search(r"\b\d{1,2}\b", text)
    clock = re.search(r"\b(\d{1,2})(\d\d)(?: ?([AP])M)?$", text.strip(), re.IGNORECASE)
    if not (year and day and clock):
        return ()
    hour = int(clock[1])
    if clock[3]:
        hour = hour % 12 + (12 if clock[3].lower() == "p" else 0)
    return (int(year[0]), month, int(day[0]), hour, int(clock[2]))
