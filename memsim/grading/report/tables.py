"""Grades as the tables and documents that other systems import."""

from __future__ import annotations

import csv
import io
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from memsim.grading.roster.names import harmless
from memsim.grading.roster.people import Person

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from memsim.grading.report.late import Policy
    from memsim.grading.report.results import Result


def grades(
    results: Sequence[Result],
    policy: Policy | None = None,
    people: Mapping[str, Person] | None = None,
    absent: Mapping[str, str] | None = None,
) -> str:
    """Return the complete table, a line for each student; one who handed in nothing has no score."""
    people, absent = people or {}, absent or {}
    names = list(dict.fromkeys(question.name for result in results for question in result.questions))
    head = ["student", "score", "max_score", "late_days", "final_score", *names, "remark"]
    head += ["name", "email", "section", "group"]
    lines = {result.student: _line(result, names, policy) for result in results}
    for student, why in absent.items():
        if student not in lines:
            lines[student] = [
                student,
                "",
                _points(results),
                "",
                "",
                *[""] * len(names),
                f"nothing handed in: {why}",
            ]
    rows = [[*lines[student], *_about(people.get(student))] for student in sorted(lines)]
    return _csv([head, *rows])


def _line(result: Result, names: Sequence[str], policy: Policy | None) -> list[Any]:
    scores = {question.name: question.score for question in result.questions}
    late = policy.days(result.student) if policy else 0
    return [
        result.student,
        result.score,
        result.max_score,
        late if policy is None or policy.is_known(result.student) else "",
        final_score(result, policy),
        *(scores.get(name, "") for name in names),
        remark(result, policy),
    ]


def remark(result: Result, policy: Policy | None = None) -> str:
    """Return what a teacher should know about a result, in one line."""
    parts = [result.unreadable, "needs the teacher" if result.needs_teacher else ""]
    parts += [*result.attention, *result.remarks]
    if policy and result.file and not policy.is_known(result.student):
        parts.append("the collector's table has no time for it")
    return "; ".join(part for part in parts if part)


def _points(results: Sequence[Result]) -> float:
    return results[0].max_score if results else 0


def _about(person: Person | None) -> list[str]:
    return [person.name, person.email, person.section, person.group] if person else ["", "", "", ""]


def canvas(
    results: Sequence[Result], policy: Policy | None = None, people: Mapping[str, Person] | None = None
) -> str:
    """Return the table that Canvas imports.

    It finds a student by ID, its own number, or else by SIS User ID, SIS Login ID, or the name.
    """
    name = results[0].assignment if results else "assignment"
    head = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", name]
    possible = ["    Points Possible", "", "", "", "", _points(results)]
    rows = []
    for result in results:
        person = (people or {}).get(result.student, Person(result.student))
        login = person.login or ("" if person.canvas or person.sis else person.id)
        who = [person.name or person.id, person.canvas, person.sis, login, person.section]
        rows.append([*who, final_score(result, policy)])
    return _csv([head, possible, *rows])


def moodle(
    results: Sequence[Result], policy: Policy | None = None, people: Mapping[str, Person] | None = None
) -> str:
    """Return the table that Moodle imports, as a grading worksheet or into the gradebook.

    A worksheet is matched by Identifier and needs the columns Grade and "Last modified (grade)"; the
    gradebook asks which of the other columns to match.
    """
    head = ["Identifier", "Full name", "Username", "ID number", "Email address", "Grade", "Maximum Grade"]
    head += ["Last modified (grade)", "Feedback comments"]
    rows = []
    for result in results:
        person = (people or {}).get(result.student, Person(result.student))
        number = f"Participant {person.moodle}" if person.moodle else ""
        login = person.login or ("" if person.moodle and person.id == person.name else person.id)
        who = [number, person.name or person.id, login, person.sis, person.email]
        score = [final_score(result, policy), result.max_score, ""]
        rows.append([*who, *score, summary(result)])
    return _csv([head, *rows])


def brightspace(
    results: Sequence[Result], policy: Policy | None = None, people: Mapping[str, Person] | None = None
) -> str:
    """Return the table that Brightspace imports; it finds students by OrgDefinedId or Username."""
    name = results[0].assignment if results else "assignment"
    head = ["OrgDefinedId", "Username", f"{name} Points Grade", "End-of-Line Indicator"]
    rows = []
    for result in results:
        person = (people or {}).get(result.student, Person(result.student))
        rows.append([person.sis, person.login or person.id, final_score(result, policy), "#"])
    return _csv([head, *rows])


def gradescope(result: Result, policy: Policy | None = None) -> dict[str, Any]:
    """Return the results.json that Gradescope's autograder reads."""
    return {
        "score": final_score(result, policy),
        "output": summary(result),
        "output_format": "text",
        "visibility": "visible",
        "tests": [
            {
                "name": f"{question.name}: {test.title}",
                "score": test.points if test.passed else 0,
                "max_score": test.points,
                "status": "passed" if test.passed else "failed",
                "output": test.message,
                "output_format": "text",
            }
            for question in result.questions
            for test in question.tests
        ],
    }


def final_score(result: Result, policy: Policy | None) -> float:
    """Return the score after lateness, to two digits."""
    if policy is None:
        return result.score
    exact = round(float(Fraction(result.score) * policy.factor(result.student)), 2)
    return int(exact) if exact.is_integer() else exact


def summary(result: Result) -> str:
    """Return how the score came about, in one line."""
    if result.unreadable:
        return f"Nothing could be graded: {result.unreadable}."
    parts = [f"{q.name} {q.score}/{q.max_score}" for q in result.questions]
    parts += [f"{q.name}: {q.comment}" for q in result.questions if q.comment]
    return "; ".join(parts)


def _csv(rows: Iterable[Sequence[Any]]) -> str:
    """Return a table as CSV whose texts no spreadsheet takes for a formula."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerows([[_harmless(cell) for cell in row] for row in rows])
    return file.getvalue()


def _harmless(cell: Any) -> Any:
    return harmless(cell) if isinstance(cell, str) else cell
