"""Grade one submission: from the bytes of a file to a result, whatever the bytes are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memsim.grading.assignment.assignment import title
from memsim.grading.report.results import Result, fingerprint
from memsim.grading.run.judge import Examiner, QuestionResult, RuleResult
from memsim.grading.run.notebook import UnreadableError, sources
from memsim.grading.sandbox.worker import Submitted

if TYPE_CHECKING:
    from memsim.grading.assignment.assignment import Assignment
    from memsim.grading.sandbox.fences import Fence


@dataclass(frozen=True)
class Grader:
    """Everything that grading needs apart from a submission."""

    assignment: Assignment
    grading: bytes
    """The grading file, which is part of a result's fingerprint."""
    fence: Fence
    key: str

    def fingerprint(self, data: bytes, student: str) -> str:
        """Return the fingerprint of a submission's result."""
        return fingerprint(data, student, self.grading, self.key)

    def grade(self, student: str, file: str, data: bytes) -> Result:
        """Return the result of a submission; nothing that a submission holds makes this raise."""
        try:
            found = sources(data, file)
        except UnreadableError as reason:
            return self.unreadable(student, file, str(reason), data)
        submitted = Submitted(student, found.code, found.text)
        questions = Examiner(self.assignment, self.fence, self.key).examine(submitted)
        return self._result(student, file, data, questions=questions, remarks=found.remarks)

    def unreadable(self, student: str, file: str, reason: str, data: bytes = b"") -> Result:
        """Return the result of a submission in which there is nothing to grade."""
        questions = [
            QuestionResult(
                question.name,
                question.points,
                [RuleResult(title(test), points, passed=False) for test, points in question.tests.items()],
            )
            for question in self.assignment.questions
        ]
        return self._result(student, file, data, questions=questions, unreadable=reason)

    def _result(
        self,
        student: str,
        file: str,
        data: bytes,
        *,
        questions: list[QuestionResult],
        unreadable: str = "",
        remarks: list[str] | None = None,
    ) -> Result:
        return Result(
            student=student,
            assignment=self.assignment.name,
            fingerprint=self.fingerprint(data, student),
            file=file,
            questions=questions,
            unreadable=unreadable,
            remarks=remarks or [],
            sha256=hashlib.sha256(data).hexdigest(),
        )
