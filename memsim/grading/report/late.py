"""Lateness, by the clock of the collector of the submissions.

A time that comes with a submission (``timestamp.txt``, the date of a file from an archive, metadata of a
notebook) can be anything its author likes, so none of these is looked at. The collector writes a table
instead: ``student,time``, and ``due`` for a student who has an extension.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from memsim.errors import MemsimError
from memsim.grading.report.results import write_json
from memsim.grading.roster.gradescope import METADATA, read_export
from memsim.grading.roster.people import RosterError, read_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from memsim.grading.roster.people import Roster

_T = TypeVar("_T", bound=datetime)
_ALL = 100
_ZONED = re.compile(r"(\S+) +([A-Za-z_]+(?:/[\w+-]+)*)")
_OTHERWISE = "\n"
"""Between the names of one student, in what an export has for a name."""


class LateError(MemsimError):
    """A time cannot be understood; names the file and the student."""


def moment(text: str, where: str) -> datetime:
    """Return a time such as ``2026-11-30T23:59+01:00`` or ``2026-11-30T23:59 Europe/Berlin``.

    With a zone, days added to it end at the same hour, whether the clocks change or not.

    >>> moment("2026-11-30T23:59+01:00", "--due").isoformat()
    '2026-11-30T23:59:00+01:00'
    >>> (moment("2026-10-21T18:00 Europe/Berlin", "--due") + timedelta(days=7)).isoformat()
    '2026-10-28T18:00:00+01:00'

    Raises
    ------
    LateError
        It is not a time, or has no offset from UTC, without which it is no definite moment.
    """
    try:
        zoned = _ZONED.fullmatch(text.strip())
        time = datetime.fromisoformat(zoned[1] if zoned else text.strip())
        if zoned and time.tzinfo is None:
            time = time.replace(tzinfo=_zone(zoned[2], where))
        time.astimezone(UTC)  # which the first and the last day of the calendar may not have
    except (ValueError, OverflowError):
        msg = f"{where}: {text!r} is no time; write it as 2026-11-30T23:59+01:00"
        raise LateError(msg) from None
    if time.tzinfo is None:
        msg = f"{where}: {text!r} does not say how far it is from UTC; write it as 2026-11-30T23:59+01:00"
        raise LateError(msg)
    return time


def _zone(name: str, where: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        msg = f"{where}: this machine knows no time zone {name!r}; one is such as Europe/Berlin"
        raise LateError(msg) from None


def written(time: datetime) -> str:
    """Return a time as :func:`moment` reads it.

    >>> written(moment("2026-11-30T23:59 Europe/Berlin", "--due"))
    '2026-11-30T23:59:00 Europe/Berlin'
    """
    if isinstance(time.tzinfo, ZoneInfo):
        return f"{time.replace(tzinfo=None).isoformat()} {time.tzinfo.key}"
    return time.isoformat()


def collected(path: Path) -> dict[str, datetime]:
    """Read the collector's table, a CSV file with the columns ``student`` and ``time``."""
    return _column(path, "time")


def extensions(path: Path) -> dict[str, datetime]:
    """Read from the collector's table who has a due time of his or her own: the column ``due``."""
    return _column(path, "due")


def _column(path: Path, name: str) -> dict[str, datetime]:
    """Return the times in a column, by the name of the student; the latest, if there are several."""
    try:
        if path.name == METADATA:
            return _exported(path) if name == "time" else {}
        head, rows = read_table(path)
    except RosterError as error:
        raise LateError(str(error)) from None
    if not {"student", "time"} <= set(head):
        msg = f"{path}: its first line must name the columns student and time; it names {', '.join(head)}"
        raise LateError(msg)
    times: dict[str, datetime] = {}
    for number, cells in rows:
        row = dict(zip(head, cells, strict=False))
        student, text = row.get("student", ""), row.get(name, "")
        if student.strip() and text.strip():
            time = moment(text, f"{path}, line {number}, {student}")
            times[student] = max(time, times.get(student, time))
    return times


def _exported(path: Path) -> dict[str, datetime]:
    """Return when each student has handed in by an export of Gradescope's, under all names that it has."""
    times: dict[str, datetime] = {}
    for one in read_export(path).values():
        if one.time is not None:
            for name in map(_OTHERWISE.join, one.submitters):
                times[name] = max(one.time, times.get(name, one.time))
    return times


def matched(named: Mapping[str, _T], roster: Roster) -> tuple[dict[str, _T], list[str]]:
    """Return what a table says of each student by id, and the names in it that belong to no student."""
    found: dict[str, _T] = {}
    strangers = []
    for name, value in named.items():
        names = name.split(_OTHERWISE)
        person = next(filter(None, map(roster.find, names)), None)
        if person:  # in two spellings, the later time counts
            found[person.id] = max(value, found.get(person.id, value))
        else:
            strangers.append(names[0])
    return found, strangers


def own_due_times(roster: Roster, due: datetime) -> dict[str, datetime]:
    """Return the due times that the roster's columns ``due`` and ``extension`` give.

    An extension is counted from the student's own due time, such as that of a section, where there is one.

    Raises
    ------
    LateError
        A time cannot be understood, or an extension is not a number of days.
    """
    times = {}
    for person in roster:
        where = f"roster, {person.id}"
        if person.due or person.extension:
            begin = moment(person.due, where) if person.due else due
            times[person.id] = _extended(begin, person.extension, where) if person.extension else begin
    return times


def _extended(begin: datetime, extension: str, where: str) -> datetime:
    """Return a due time with an extension."""
    days = _days(extension, where)
    try:
        time = begin + days
        time.astimezone(UTC)
    except OverflowError:
        msg = f"{where}: the extension {extension!r} leads beyond the last day of the calendar"
        raise LateError(msg) from None
    return time


def _days(text: str, where: str) -> timedelta:
    """Return an extension, such as ``3``, ``1.5`` or, where the comma is decimal, ``1,5``."""
    found = re.fullmatch(r"(\d{1,3}(?:[.,]\d+)?)(?: ?days?)?", text.strip(), re.IGNORECASE)
    if found is None:
        msg = f"{where}: the extension {text!r} is not a number of days"
        raise LateError(msg)
    return timedelta(days=float(found[1].replace(",", ".")))


def in_force(policy: Policy | None, roster: Roster) -> Policy | None:
    """Return a policy with the due times in the roster, which may have other ones than when it was made.

    Where the collector's table has another one, the later counts: neither takes an extension away.
    """
    if policy is None:
        return None
    own_due = own_due_times(roster, policy.due)
    for student, due in policy.own_due.items():
        own_due[student] = max(due, own_due.get(student, due))
    extended = frozenset(person.id for person in roster if person.extension)
    return replace(policy, own_due=own_due, extended=extended)


def in_doubt(policy: Policy | None, roster: Roster) -> dict[str, str]:
    """Return who has two due times of the own, and which one counts."""
    if policy is None:
        return {}
    listed = own_due_times(roster, policy.due)
    return {
        student: f"{due.isoformat()} in the collector's table, {listed[student].isoformat()} by the roster; "
        "the later counts"
        for student, due in sorted(policy.own_due.items())
        if listed.get(student, due) != due
    }


def load(path: Path) -> Policy | None:
    """Return the policy of an earlier run, or None if it had none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        moments = {
            name: {student: moment(text, str(path)) for student, text in document[name].items()}
            for name in ("times", "own_due")
        }
        due = moment(document["due"], str(path))
        return Policy(due, document["free_days"], document["percent"], moments["times"], moments["own_due"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, LateError) as error:
        msg = f"{path}: it is damaged ({type(error).__name__}); give --due and --collected again"
        raise LateError(msg) from None


def save(path: Path, policy: Policy) -> None:
    """Keep what lateness costs for later runs."""
    moments = {
        name: {student: written(time) for student, time in sorted(times.items())}
        for name, times in (("times", policy.times), ("own_due", policy.own_due))
    }
    due = {"due": written(policy.due), "free_days": policy.free_days, "percent": policy.percent}
    write_json(path, due | moments)


@dataclass(frozen=True)
class Policy:
    """What lateness costs."""

    due: datetime
    free_days: int = 0
    percent: int = 10
    """What each day costs after the free ones, 0 to 100."""
    times: dict[str, datetime] = field(default_factory=dict)
    own_due: dict[str, datetime] = field(default_factory=dict)
    """The due times of those who have one of their own."""
    extended: frozenset[str] = frozenset()
    """Who has an extension by the roster."""

    def __post_init__(self) -> None:
        """Refuse a policy by which lateness would be worth something."""
        if self.free_days < 0 or not 0 <= self.percent <= _ALL:
            msg = f"{self.free_days} free days and {self.percent} % a day: days are not negative, 0 to 100 %"
            raise LateError(msg)

    def due_for(self, student: str) -> datetime:
        """Return when it was due for a student."""
        return self.own_due.get(student, self.due)

    def is_extended(self, student: str) -> bool:
        """Return whether a student has longer than others."""
        return student in self.extended or self.due_for(student) > self.due

    def is_known(self, student: str) -> bool:
        """Return whether the collector says when a submission came."""
        return student in self.times

    def days(self, student: str) -> int:
        """Return how many days late a submission was, begun days in full; 0 if its time is not known.

        Where the due time has a zone, a day may have 23 or 25 hours.
        """
        due = self.due_for(student)
        time = self.times.get(student, due).astimezone(UTC)
        days = max(0, math.ceil((time - due.astimezone(UTC)) / timedelta(days=1)) - 1)
        while (due + timedelta(days=days)).astimezone(UTC) < time:
            days += 1
        return days

    def factor(self, student: str) -> Fraction:
        """Return what the score is multiplied by.

        >>> due = moment("2026-11-30T12:00+00:00", "")
        >>> at = {"ada": moment("2026-12-02T12:00+00:00", ""), "bob": moment("2026-11-30T13:01+01:00", "")}
        >>> policy = Policy(due, free_days=1, times=at)
        >>> policy.days("ada"), policy.factor("ada"), policy.days("bob"), policy.factor("bob")
        (2, Fraction(9, 10), 1, Fraction(1, 1))
        """
        charged = max(0, self.days(student) - self.free_days)
        return max(Fraction(0), 1 - Fraction(self.percent * charged, 100))


NO_LATENESS = Policy(datetime.max.replace(tzinfo=UTC))
"""Nothing is late any more, whatever the policy of an earlier run."""
