"""Lateness, by the clock of whoever collected the submissions.

A time that comes with a submission (``timestamp.txt``, the date of a file from an archive, metadata of a
notebook) can be anything its author likes, so none of these is looked at. The collector writes a table
instead: ``student,time``.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING

from memsim.errors import MemsimError

if TYPE_CHECKING:
    from pathlib import Path


class LateError(MemsimError):
    """A time cannot be understood; names the file and the student."""


def moment(text: str, where: str) -> datetime:
    """Return a time such as ``2026-11-30T23:59+01:00``.

    >>> moment("2026-11-30T23:59+01:00", "--due").isoformat()
    '2026-11-30T23:59:00+01:00'

    Raises
    ------
    LateError
        It is none, or does not say its distance to UTC: then nobody knows when it is.
    """
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        msg = f"{where}: {text!r} is no time; write it as 2026-11-30T23:59+01:00"
        raise LateError(msg) from None
    if time.tzinfo is None:
        msg = f"{where}: {text!r} does not say how far it is from UTC; write it as 2026-11-30T23:59+01:00"
        raise LateError(msg)
    return time


def collected(path: Path) -> dict[str, datetime]:
    """Read the collector's table, a CSV file with the columns ``student`` and ``time``."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError) as error:
        msg = f"{path}: {error}"
        raise LateError(msg) from None
    if rows and not {"student", "time"} <= rows[0].keys():
        msg = f"{path}: its first line must name the columns student and time"
        raise LateError(msg)
    return {row["student"]: moment(row["time"] or "", f"{path}, {row['student']}") for row in rows}


@dataclass(frozen=True)
class Policy:
    """What lateness costs."""

    due: datetime
    free_days: int = 0
    percent: int = 10
    """What each day costs after the free ones."""
    times: dict[str, datetime] = field(default_factory=dict)

    def days(self, student: str) -> int:
        """Return how many days late a submission was, begun days in full; 0 if its time is not known."""
        late = self.times.get(student, self.due) - self.due
        return max(0, math.ceil(late / timedelta(days=1)))

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
