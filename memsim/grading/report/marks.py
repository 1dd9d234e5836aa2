"""What a teacher decides by hand: points, comments, and questions that do not count.

It is kept in ``marks.json`` beside the results and stays in force when a submission is graded again. The
results themselves say what the grader found.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from memsim.errors import MemsimError
from memsim.grading.report.results import write_json
from memsim.grading.roster.people import RosterError, read_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from memsim.grading.report.results import Result
    from memsim.grading.roster.people import Roster


class MarksError(MemsimError):
    """A table of points by hand contradicts the assignment; names the file and the line."""


@dataclass(frozen=True)
class Mark:
    """What a teacher gave for one answer."""

    points: float | None = None
    """Instead of the grader's points; None leaves those."""
    comment: str = ""


@dataclass
class Marks:
    """All that was decided by hand about an assignment."""

    given: dict[str, dict[str, Mark]] = field(default_factory=dict)
    """By student and question."""
    dropped: list[str] = field(default_factory=list)
    """Questions that do not count."""
    set_aside: dict[str, dict[str, float]] = field(default_factory=dict)
    """Points by hand that nbgrader's gradebook had for a dropped question, by its names of students."""

    @classmethod
    def load(cls, out: Path) -> Marks:
        """Return what lies in a folder of results.

        Raises
        ------
        MarksError
            The file is damaged: what was decided must not get lost silently.
        """
        path = out / "marks.json"
        if not path.exists():
            return cls()
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            given = {
                student: {question: Mark(**mark) for question, mark in marks.items()}
                for student, marks in document["given"].items()
            }
            return cls(given, list(document["dropped"]), dict(document.get("set_aside", {})))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            msg = f"{path}: it is damaged ({type(error).__name__}); mend it, or remove it to start again"
            raise MarksError(msg) from None

    def save(self, out: Path) -> None:
        """Keep it."""
        if self.given or self.dropped or (out / "marks.json").exists():
            given = {s: {q: vars(mark) for q, mark in marks.items()} for s, marks in self.given.items()}
            kept = {"given": given, "dropped": self.dropped, "set_aside": self.set_aside}
            write_json(out / "marks.json", kept)

    def take(self, rows: Iterable[tuple[str, str, Mark]]) -> list[dict[str, Any]]:
        """Take (student, question, mark); returns what changes, for the audit trail."""
        changes = []
        for student, question, mark in rows:
            before = self.given.get(student, {}).get(question)
            if mark == (before or Mark()):
                continue
            marks = self.given.setdefault(student, {})
            if mark == Mark():
                del marks[question]
            else:
                marks[question] = mark
            pair = [before.points if before else None, mark.points]
            changes.append({"student": student, "why": "by hand", "questions": {question: pair}})
        return changes

    def drop(self, questions: Iterable[str], counted: Iterable[str]) -> list[dict[str, Any]]:
        """Let questions not count, or count again; returns what changes, for the audit trail."""
        after = [name for name in dict.fromkeys([*self.dropped, *questions]) if name not in set(counted)]
        changes = [
            {"question": name, "why": "dropped" if name in after else "counts again"}
            for name in sorted(set(after) ^ set(self.dropped))
        ]
        self.dropped = after
        return changes

    def applied(self, result: Result) -> Result:
        """Return a result as it counts."""
        marks = self.given.get(result.student, {})
        if not marks and not self.dropped:
            return result
        made = copy.deepcopy(result)
        made.questions = [question for question in made.questions if question.name not in self.dropped]
        for question in made.questions:
            mark = marks.get(question.name, Mark())
            question.by_hand, question.comment = mark.points, mark.comment
        return made


def read_marks(path: Path, questions: Mapping[str, float], roster: Roster) -> list[tuple[str, str, Mark]]:
    """Return the lines of a table ``student,question,points,comment``.

    ``questions`` are the points that each question has. A line without points gives a comment only; one
    without both takes back what was given.

    Raises
    ------
    MarksError
        A line names no student or question, or more points than there are. Nothing is taken then.
    """
    try:
        head, rows = read_table(path)
    except RosterError as error:
        raise MarksError(str(error)) from None
    if not {"student", "question", "points"} <= set(head):
        msg = (
            f"{path}: its first line must name the columns student, question, points and perhaps comment; "
            f"it names {', '.join(head)}"
        )
        raise MarksError(msg)
    found: dict[tuple[str, str], Mark] = {}
    for number, row in rows:
        line = {name: cell.strip() for name, cell in zip(head, row, strict=False)}
        where = f"{path}, line {number}"
        student, question, mark = _mark(line, where, questions, roster)
        if found.get((student, question), mark) != mark:
            msg = f"{where}: an earlier line says something else about {question} of {student}"
            raise MarksError(msg)
        found[student, question] = mark
    return [(student, question, mark) for (student, question), mark in found.items()]


def _mark(
    line: Mapping[str, str], where: str, questions: Mapping[str, float], roster: Roster
) -> tuple[str, str, Mark]:
    person = roster.find(line.get("student", ""))
    if person is None:
        near = roster.nearest(line.get("student", ""))
        asked = f"; is it {near}?" if near else ""
        msg = f"{where}: {line.get('student')!r} is no student of this course{asked}"
        raise MarksError(msg)
    question = line.get("question", "")
    if question not in questions:
        msg = f"{where}: there is no question {question!r}; there are {', '.join(questions)}"
        raise MarksError(msg)
    return (
        person.id,
        question,
        Mark(_points(line["points"], where, questions[question]), line.get("comment", "")),
    )


def _points(text: str, where: str, most: float) -> float | None:
    if not text:
        return None
    try:
        points = float(text.replace(",", "."))
    except ValueError:
        points = -1.0
    if not 0 <= points <= most:
        msg = f"{where}: {text!r} is not a number of points from 0 to {most:g}"
        raise MarksError(msg)
    return int(points) if points.is_integer() else points


def applied_to_all(marks: Marks, results: Sequence[Result]) -> list[Result]:
    """Return results as they count."""
    return [marks.applied(result) for result in results]
