"""Grade one submission: from the bytes of a file to a result, whatever the bytes are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memsim.grading.assignment.assignment import title
from memsim.grading.assignment.cells import CellQuestion
from memsim.grading.report.results import Result, fingerprint
from memsim.grading.roster.names import key
from memsim.grading.run import newer
from memsim.grading.run.cells import examine
from memsim.grading.run.judge import Examiner, QuestionResult, RuleResult
from memsim.grading.run.notebook import UnreadableError
from memsim.grading.run.reading import READER
from memsim.grading.sandbox.worker import Submitted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memsim.grading.assignment.assignment import Assignment
    from memsim.grading.run.notebook import Sources
    from memsim.grading.sandbox.fences import Fence


@dataclass(frozen=True)
class Grader:
    """Everything that grading needs apart from a submission."""

    assignment: Assignment
    grading: bytes
    """The grading file, which is part of a result's fingerprint."""
    fence: Fence
    key: str

    def grade(self, student: str, file: str, data: bytes, names: Sequence[str] = ()) -> Result:
        """Return the result of a submission; nothing that a submission holds makes this raise.

        ``names`` are the names of the student, any of which the notebook may give as its own.
        """
        try:
            found = READER.sources(data, file, [question.name for question in self.assignment.questions])
        except UnreadableError as reason:
            return self.unreadable(student, file, str(reason), data, names)
        numbers_of, doubt = self._numbers_of(found, student, names)
        submitted = Submitted(numbers_of, found.code, found.text)
        questions = self._examined(found, submitted, student, data)
        for question in questions:
            question.answer = found.answers[question.name]
        made = self._result(student, file, data, names, questions=questions, remarks=found.remarks)
        asked = self.assignment.questions
        made.numbers_of = numbers_of if any(question.variant for question in asked) else ""
        lost = any(q.variant and r.score < r.max_score for q, r in zip(asked, questions, strict=True))
        if doubt and lost:
            (made.attention if (found.typed_id or "").strip() else made.remarks).append(doubt)
        made.attention += newer.doubts(found, questions)
        made.attention += self._doubt_of_assignment(found, questions)
        return made

    def _doubt_of_assignment(self, found: Sources, questions: Sequence[QuestionResult]) -> list[str]:
        """Return that most functions are missing, if they are: even a copy as it was given out has all."""
        missing = [q for q in questions if _is_missing(q) and not found.answers[q.name]]
        there = len(questions) - len(missing)
        name = self.assignment.name
        if 2 * there >= len(questions):
            return []
        what = f"only {there} of {len(questions)} functions of {name} {'is' if there == 1 else 'are'} in it"
        why = what if there else f"no function of {name} is in it"
        return [f"{why}: it may be another assignment's notebook"]

    def _examined(
        self, found: Sources, submitted: Submitted, student: str, data: bytes
    ) -> list[QuestionResult]:
        """Return the result of each question."""
        cells = [question for question in self.assignment.questions if isinstance(question, CellQuestion)]
        if cells:
            return examine(cells, self.fence, found, student)
        # Other numbers for each file: what a student learns of those of one is of no use in the next.
        key = f"{self.key}\0{hashlib.sha256(data).hexdigest()}"
        return Examiner(self.assignment, self.fence, key).examine(submitted, student)

    def _numbers_of(self, found: Sources, student: str, names: Sequence[str]) -> tuple[str, str]:
        """Return the name that makes the student's own numbers, and what is doubtful about it.

        What the notebook says is believed if it is a name of this student's, as the collector knows them.
        """
        typed = found.typed_id
        if typed is None or key(typed) in {key(student), *names}:
            return typed or student, ""
        own = f"own numbers were those of {student!r}"
        if not typed.strip():
            return student, f"STUDENT is empty in the notebook: {own}"
        return student, f"STUDENT is {typed!r} in the notebook, which is not a known name of {student}: {own}"

    def unreadable(
        self, student: str, file: str, reason: str, data: bytes = b"", names: Sequence[str] = ()
    ) -> Result:
        """Return the result of a submission in which there is nothing to grade."""
        questions = [
            QuestionResult(
                question.name,
                question.points,
                [RuleResult(title(test), points, passed=False) for test, points in question.tests.items()],
            )
            for question in self.assignment.questions
        ]
        return self._result(student, file, data, names, questions=questions, unreadable=reason)

    def _result(
        self,
        student: str,
        file: str,
        data: bytes,
        names: Sequence[str],
        *,
        questions: list[QuestionResult],
        unreadable: str = "",
        remarks: list[str] | None = None,
    ) -> Result:
        return Result(
            student=student,
            assignment=self.assignment.name,
            fingerprint=fingerprint(data, student, self.grading, self.key, names),
            file=file,
            questions=questions,
            unreadable=unreadable,
            remarks=remarks or [],
            sha256=hashlib.sha256(data).hexdigest(),
            python=newer.PYTHON,
        )


def _is_missing(question: QuestionResult) -> bool:
    """Return whether the notebook does not have the function at all."""
    return bool(question.tests) and all("There is no function" in test.message for test in question.tests)
