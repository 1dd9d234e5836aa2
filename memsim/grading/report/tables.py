"""Grades as the tables and documents that other systems import."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from memsim.grading.report.late import Policy
    from memsim.grading.report.results import Result

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def grades(results: Sequence[Result], policy: Policy | None = None) -> str:
    """Return all there is to know, a line for each student."""
    names = [question.name for question in results[0].questions] if results else []
    head = ["student", "score", "max_score", "late_days", "final_score", *names, "remark"]
    rows = [
        [
            result.student,
            result.score,
            result.max_score,
            policy.days(result.student) if policy else 0,
            final_score(result, policy),
            *(question.score for question in result.questions),
            result.unreadable or ("needs the teacher" if result.needs_teacher else ""),
        ]
        for result in results
    ]
    return _csv([head, *rows])


def canvas(results: Sequence[Result], policy: Policy | None = None) -> str:
    """Return the table that Canvas imports; it finds students by their login."""
    name = results[0].assignment if results else "assignment"
    points = results[0].max_score if results else 0
    head = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", name]
    possible = ["    Points Possible", "", "", "", "", points]
    rows = [[result.student, "", "", result.student, "", final_score(result, policy)] for result in results]
    return _csv([head, possible, *rows])


def moodle(results: Sequence[Result], policy: Policy | None = None) -> str:
    """Return the table that Moodle imports; it asks what to match the first column with."""
    name = results[0].assignment if results else "assignment"
    head = ["Username", name, "Feedback comments"]
    rows = [[result.student, final_score(result, policy), summary(result)] for result in results]
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


def final_score(result: Result, policy: Policy | None) -> float | int:
    """Return the score after lateness, to two digits."""
    if policy is None:
        return result.score
    exact = round(float(result.score * policy.factor(result.student)), 2)
    return int(exact) if exact.is_integer() else exact


def summary(result: Result) -> str:
    """Return how the score came about, in one line."""
    if result.unreadable:
        return f"Nothing could be graded: {result.unreadable}."
    return "; ".join(f"{q.name} {q.score}/{q.max_score}" for q in result.questions)


def _csv(rows: Iterable[Sequence[Any]]) -> str:
    """Return a table as CSV whose texts no spreadsheet takes for a formula."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerows([[_harmless(cell) for cell in row] for row in rows])
    return file.getvalue()


def _harmless(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
