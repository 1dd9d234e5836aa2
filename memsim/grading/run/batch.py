"""A batch: every submission graded once, whatever happens on the way.

Each result is a file of its own, written whole or not at all, the moment it is there. So a batch that was
killed goes on where it was, and a result is made again only if what it was made from has changed.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self, TextIO

from memsim.errors import MemsimError
from memsim.grading.report import tables
from memsim.grading.report.results import Result, append, fingerprint, stored, write, write_json
from memsim.grading.run.engines import Engine, ThisMachine, opened
from memsim.grading.run.process import Setup
from memsim.grading.run.submissions import file_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from memsim.grading.report.late import Policy
    from memsim.grading.roster.people import Roster
    from memsim.grading.run.submissions import Handed
    from memsim.grading.sandbox.fences import Fence

_REPORT_EVERY = 10.0
_TRIES = 9
"""To lock a folder that others may just be removing."""


class FolderError(MemsimError):
    """The folder for the results cannot be used now."""


@dataclass
class Batch:
    """A folder of results and what belongs to it."""

    out: Path
    grading: str
    """The text of the grading file."""
    fence: Fence
    engine: Engine = field(default_factory=lambda: ThisMachine(os.cpu_count() or 1))
    again: bool = False
    """Whether to grade what has a result already."""
    question: str = ""
    """Whether only this question of what has a result is graded again."""
    changed: list[dict[str, Any]] = field(default_factory=list, init=False)
    """Every grade that this run has changed, as the audit trail has it."""
    graded: int = field(default=0, init=False)
    """How many submissions this run has graded."""
    progress: TextIO = field(default_factory=lambda: sys.stderr)

    def __post_init__(self) -> None:
        """Read the key of the folder, or make it one."""
        self._lock = _locked(self.out)
        try:
            for left in self.out.rglob(".writing-*"):
                left.unlink()  # by a batch that was killed
            self.setup = Setup(self.grading, self.fence.name, self._key())
            self.assignment = self.setup.grader().assignment
            self._refuse_other_assignment()
            self._refuse_other_question()
        except BaseException:
            self._lock.close()
            raise

    def __enter__(self) -> Self:
        """Return the batch."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let others use the folder."""
        self._lock.close()

    def run(self, handed: Sequence[Handed]) -> list[Result]:
        """Grade what has no result yet; return the results of all, sorted by student."""
        done = {one.student: self._stored(one) for one in handed}
        again = self.again or bool(self.question)
        todo = [one for one in handed if again or not self._is_current(one, done[one.student])]
        self.graded = len(todo)
        results = {student: result for student, result in done.items() if result}
        by_student = {one.student: one for one in handed}
        for student in by_student.keys() - {one.student for one in todo}:
            self._keep_origin(results[student], by_student[student])
        for result in self._counted(self.engine.grade(self.setup, todo), len(todo)):
            one = by_student[result.student]
            before = results.get(result.student)
            if before and self.question:
                result = self._one_question(before, result)  # noqa: PLW2901 (the rest stays as it was)
            if before and not (before.fingerprint or result.fingerprint):
                result = self._given_up(before, result, one)  # noqa: PLW2901 (no third time)
            self._mark_origin(result, one)
            self._note_change(before, result)
            write_json(self._path(one), result.document())
            results[result.student] = result
        return [results[one.student] for one in handed]

    def _mark_origin(self, result: Result, one: Handed) -> None:
        """Note how the submission came."""
        own = [remark for remark in result.remarks if remark not in {*one.remarks, *result.collected}]
        result.remarks, result.collected = [*one.remarks, *own], list(one.remarks)
        result.file = one.shown or result.file
        result.packed, result.others = one.packed, list(one.others)

    def _keep_origin(self, result: Result, one: Handed) -> None:
        """Note how a submission comes now whose result stands: a file beside it may be gone."""
        before = (result.file, result.packed, list(result.others), list(result.remarks))
        self._mark_origin(result, one)
        if (result.file, result.packed, result.others, result.remarks) != before:
            write_json(self._path(one), result.document())

    def _given_up(self, before: Result, after: Result, one: Handed) -> Result:
        """Return a result that stands if the grader has failed on the same file before.

        Otherwise a student who can make it fail could request run after run; a teacher looks at this one.
        """
        if before.sha256 != after.sha256:
            return after
        current = fingerprint(opened(one).data, one.student, self.grading.encode(), self.setup.key, one.names)
        told = f"{after.unreadable}, twice; look at the file, and use --only {one.student} --again"
        return replace(after, fingerprint=current, attention=[*after.attention, told])

    def _one_question(self, before: Result, after: Result) -> Result:
        """Return the earlier result with one question of the later one.

        If the grading file has changed, the others are out of date, and the next run sees that.
        """
        now = {question.name: question for question in after.questions}
        kept = [
            now[question.name] if question.name == self.question else question
            for question in before.questions
        ]
        current = after.fingerprint if before.fingerprint == after.fingerprint else before.fingerprint
        return replace(after, questions=kept, fingerprint=current)

    def every(self, handed: Sequence[Handed], results: Sequence[Result], roster: Roster) -> list[Result]:
        """Return the results of all who have one in this folder, those of earlier runs too.

        An earlier result under another name of a student who has one now is left out.
        """
        mine = {result.student: result for result in results}
        paths = {self._path(one) for one in handed}
        for path in sorted((self.out / "results").glob("*.json")):
            earlier = None if path in paths else stored(path)
            if earlier and earlier.student not in mine:
                person = roster.find(earlier.student)
                if person is None or person.id not in mine:
                    mine[earlier.student] = earlier
        return [mine[student] for student in sorted(mine)]

    def result_names(self) -> frozenset[str]:
        """Return the file names of everybody who has a result in this folder."""
        return frozenset(path.stem for path in (self.out / "results").glob("*.json"))

    def forget(self, result: Result) -> None:
        """Take a result away, and what was made from it."""
        name = file_name(result.student)
        self.note([{"student": result.student, "why": "forgotten", "score": [result.score, None]}])
        shutil.rmtree(self.out / "gradescope" / name, ignore_errors=True)
        for path in (self.out / "feedback" / f"{name}.html", self.out / "results" / f"{name}.json"):
            path.unlink(missing_ok=True)  # the result last: a command that is killed before can be repeated

    def note_lateness(self, results: Sequence[Result], before: Policy | None, now: Policy | None) -> None:
        """Write into the audit trail whose grade an extension, say, has changed."""
        for result in results:
            score = [tables.final_score(result, before), tables.final_score(result, now)]
            if score[0] != score[1]:
                entry = {"student": result.student, "why": "lateness", "score": score, "questions": {}}
                self.note([entry])
                self.changed.append(entry)

    def _refuse_other_question(self) -> None:
        """Raise FolderError if the question to be graded again does not exist."""
        if self.question and self.question not in {question.name for question in self.assignment.questions}:
            names = ", ".join(question.name for question in self.assignment.questions)
            msg = f"there is no question {self.question} in {self.assignment.name}; there are {names}"
            raise FolderError(msg)

    def _refuse_other_assignment(self) -> None:
        """Raise FolderError if the results here are of another assignment: its tables would be cut."""
        for path in sorted((self.out / "results").glob("*.json")):
            earlier = stored(path)
            if earlier and earlier.assignment != self.assignment.name:
                msg = (
                    f"{self.out}: the results in this folder are of {earlier.assignment}; give "
                    f"{self.assignment.name} a folder of its own, such as {self.out}-{self.assignment.name}"
                )
                raise FolderError(msg)
            if earlier:
                return

    def _path(self, one: Handed) -> Path:
        return self.out / "results" / f"{one.file_name}.json"

    def _stored(self, one: Handed) -> Result | None:
        return stored(self._path(one))

    def _is_current(self, one: Handed, result: Result | None) -> bool:
        """Return whether a result was made from what is there now."""
        if result is None:
            return False
        data = opened(one).data
        now = fingerprint(data, one.student, self.grading.encode(), self.setup.key, one.names)
        return now == result.fingerprint

    def _key(self) -> str:
        """Return the secret of this folder: from it come the fresh numbers of all tests."""
        path = self.out / "key"
        if not path.exists():
            write(path, secrets.token_hex(16) + "\n")
        key = path.read_text(encoding="ascii", errors="replace").strip()
        if not key:
            msg = f"{path}: it is empty, and everybody could know the numbers of the tests. Remove it"
            raise FolderError(msg)
        return key

    def _note_change(self, before: Result | None, after: Result) -> None:
        """Write into the audit trail what another grading has changed, and why there was one."""
        if before is None:
            return
        entry = {
            "student": after.student,
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "why": _why(before, after),
            "score": [before.score, after.score],
            "questions": _changed(before, after),
        }
        append(self.out / "audit.jsonl", json.dumps(entry))
        if before.score != after.score or entry["questions"]:
            self.changed.append(entry)

    def note(self, entries: Sequence[dict[str, Any]]) -> None:
        """Write into the audit trail what was decided by hand."""
        for entry in entries:
            when = datetime.now(UTC).isoformat(timespec="seconds")
            append(self.out / "audit.jsonl", json.dumps({"when": when, **entry}))

    def _counted(self, results: Iterator[Result], total: int) -> Iterator[Result]:
        """Show how far it is and how long it will take."""
        started = shown = time.monotonic()
        live = self.progress.isatty()
        for number, result in enumerate(results, 1):
            yield result
            now = time.monotonic()
            if live or now - shown > _REPORT_EVERY or number == total:
                left = (now - started) / number * (total - number)
                end = "\r" if live and number < total else "\n"
                text = (
                    f"graded {number} of {total}, about {left:.0f} s left"
                    if number < total
                    else f"graded {total}"
                )
                with suppress(BrokenPipeError):  # it is read no more, as behind ``2>&1 | head``
                    print(f"{text:<60}", end=end, file=self.progress, flush=True)
                shown = now


@contextmanager
def kept_if_used(out: Path) -> Iterator[None]:
    """Make a folder for results; a command that ends before there is any takes it away again."""
    is_new = not out.exists()
    out.mkdir(mode=0o700, parents=True, exist_ok=True)  # names of files tell, too
    try:
        yield
    except MemsimError:
        if is_new:
            _remove_if_unused(out)
        raise


def _remove_if_unused(out: Path) -> None:
    """Remove a folder without results, unless another command has begun to use it."""
    with suppress(FolderError, OSError), _locked(out):
        if {path.name for path in out.iterdir()} <= {"key", "lock"}:
            shutil.rmtree(out, ignore_errors=True)  # NFS keeps the lock, which is open, under another name
    with suppress(OSError):
        out.rmdir()  # if nothing is in it: another's lock would be


def _locked(out: Path) -> TextIO:
    """Return an open file that no other batch has while this one does.

    Raises
    ------
    FolderError
        Another batch is at work in this folder, or it cannot be locked.
    """
    for _ in range(_TRIES):
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            file = (out / "lock").open("w", encoding="ascii")
        except FileNotFoundError:  # another command has just removed the folder
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            taken = isinstance(error, BlockingIOError)
            msg = f"{out}: {'another batch is writing to this folder' if taken else error.strerror}"
            raise FolderError(msg) from None
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # the folder was removed meanwhile, and no other command sees this lock
    msg = f"{out}: the file lock cannot be made in it"
    raise FolderError(msg)


def _why(before: Result, after: Result) -> str:
    if not after.fingerprint:
        return "the grader failed"
    if not before.fingerprint:
        return "the grader had failed"
    if before.sha256 != after.sha256:
        return "another submission"
    if before.fingerprint != after.fingerprint:
        return "the grading file, the key, the roster or memsim changed"
    return "asked for"


def _changed(before: Result, after: Result) -> dict[str, list[float | None]]:
    """Return [score before, score after] of each question that changed."""
    old = {question.name: question.score for question in before.questions}
    new = {question.name: question.score for question in after.questions}
    names = [*old, *(name for name in new if name not in old)]
    return {name: [old.get(name), new.get(name)] for name in names if old.get(name) != new.get(name)}


def report(batch: Batch, results: Sequence[Result], ways: Sequence[str]) -> dict[str, Any]:
    """Return what an instructor should know about the batch as a whole."""
    return {
        "assignment": batch.assignment.name,
        "max_score": batch.assignment.points,
        "submissions": len(results),
        "fence": batch.fence.name,
        "fence_told": batch.fence.told,
        "open_ways": list(ways),
        "python": sorted({result.python for result in results if result.python}),
        "unreadable": {result.student: result.unreadable for result in results if result.unreadable},
        "attention": {result.student: result.attention for result in results if result.attention},
        "remarks": {result.student: result.remarks for result in results if result.remarks},
        "several": {
            result.student: {"graded": result.file, "not graded": result.others}
            for result in results
            if result.others
        },
        "needs_teacher": [result.student for result in results if result.needs_teacher],
        "to_judge": _to_judge(results),
        "not_graded": [result.student for result in results if not result.fingerprint],
    }


def _to_judge(results: Sequence[Result]) -> dict[str, dict[str, Any]]:
    """Return the questions whose answers a teacher should judge: of whom, and why."""
    questions: dict[str, dict[str, Any]] = {}
    for result in results:
        for question in result.questions:
            why = next((test.message for test in question.tests if test.needs_teacher), None)
            if why is not None and question.by_hand is None:
                questions.setdefault(question.name, {"why": why, "students": []})
                questions[question.name]["students"].append(result.student)
    return questions
