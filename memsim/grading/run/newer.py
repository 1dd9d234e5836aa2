"""Notebooks that a newer Python would read and the Python that grades does not."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memsim.grading.run.judge import QuestionResult
    from memsim.grading.run.notebook import Sources

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
_SYNTAX = re.compile(r"SyntaxError|IndentationError")
_SINCE = {
    (3, 12): re.compile(
        r"^[ \t]*type \w+(\[.*\])? *=|^[ \t]*(async )?def \w+\[|^[ \t]*class \w+\[", re.MULTILINE
    ),
    (3, 14): re.compile(r"""^[ \t]*except\*? +[\w.]+ *(, *[\w.]+ *)+:|\b[tT][rR]?["']""", re.MULTILINE),
}
_FORMATTED = "f-string"


def doubts(found: Sources, questions: Sequence[QuestionResult]) -> list[str]:
    """Return why a teacher should look at answers that could not be read, if one should.

    The tests that failed are marked: they cost points for a reason that may not be the student's.
    """
    problems = [problem for question in questions for problem in question.problems]
    broken = [problem for problem in problems if _SYNTAX.search(problem)]
    needed = _needed(found, broken)
    failed = [q for q in questions if q.score < q.max_score and any(map(_SYNTAX.search, q.problems))]
    if not needed or not failed:
        return []
    reason = f"it needs Python {needed} or newer and was graded with Python {PYTHON}"
    for test in (test for question in failed for test in question.tests if not test.passed):
        test.needs_teacher = True
        test.message = f"{test.message} But {reason}; your teacher has been informed.".strip()
    return [f"{reason} ({broken[0]})"]


def _needed(found: Sources, broken: Sequence[str]) -> str:
    """Return the version that may read it, if that is newer than this one."""
    here = sys.version_info[:2]
    if not broken:
        return ""
    code = "\n".join(found.code)
    for version, sign in _SINCE.items():
        if here < version and sign.search(code):
            return f"{version[0]}.{version[1]}"
    if here < (3, 12) and any(_FORMATTED in problem for problem in broken):
        return "3.12"
    said = tuple(map(int, found.python.split(".")[:2])) if found.python else here
    return f"{said[0]}.{said[1]}" if said > here else ""
