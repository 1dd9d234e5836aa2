"""Grade one submission in Gradescope's container: ``python -m memsim.grading.run.gradescope /autograder``.

Gradescope puts the submission into ``/autograder/submission`` and what it knows of it into
``/autograder/submission_metadata.json``, and reads ``/autograder/results/results.json``. Its containers
forbid namespaces, so bubblewrap does not work there; the result says which fence holds. Where
nothing holds, student code could read the tests and write the score: then nothing is graded and nothing is
written, and Gradescope tells the instructor that the autograder failed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memsim.errors import MemsimError
from memsim.grading.assignment.cells import assignment_of
from memsim.grading.report import tables
from memsim.grading.report.feedback import lateness
from memsim.grading.report.late import LateError, Policy, moment
from memsim.grading.report.results import write_json
from memsim.grading.roster.people import Person
from memsim.grading.run.engines import opened
from memsim.grading.run.grade import Grader
from memsim.grading.run.submissions import CollectionError, find_one
from memsim.grading.sandbox.fences import BUBBLEWRAP, CONTAINER, compile_worker, worker_uids
from memsim.grading.sandbox.probe import open_ways

if TYPE_CHECKING:
    from memsim.grading.report.results import Result
    from memsim.grading.sandbox.fences import Fence


class GradescopeError(MemsimError):
    """A submission cannot be graded here; nothing is written."""


def main(base: Path) -> None:
    """Grade what lies in a folder that is laid out as Gradescope's ``/autograder``."""
    source = base / "source"
    grading = (source / "grading.txt").read_text(encoding="utf-8")
    secret = [source / "grading.txt", source / "key", base / "results", base / "submission"]
    for path in (source, base / "results", base / "submission"):
        path.mkdir(exist_ok=True)
        path.chmod(0o700)
    # If this run fails, there is no score, not that of a run before.
    (base / "results" / "results.json").unlink(missing_ok=True)
    fence = _fence(secret)
    key = (source / "key").read_text(encoding="ascii").strip()
    grader = Grader(assignment_of(grading), grading.encode(), fence, key)
    metadata = _metadata(base / "submission_metadata.json")
    people = _people(metadata, base / "submission_metadata.json")
    policy = _policy(source / "late.json", metadata, people[0].id)
    result = _graded(grader, base, people)
    _end_all()
    document = tables.gradescope(result, policy)
    document["output"] = "\n".join([document["output"], *_told(result, fence, policy)])
    document["stdout_visibility"] = "hidden"
    write_json(base / "results" / "results.json", document)
    (base / "results" / "results.json").chmod(0o644)


def _fence(secret: list[Path]) -> Fence:
    """Return the strongest fence that holds in this container."""
    compile_worker()
    tried = []
    fences = [BUBBLEWRAP, CONTAINER] if os.geteuid() == 0 else [BUBBLEWRAP]
    for fence in fences:
        ways = open_ways(fence, secret)
        if not ways:
            return fence
        tried.append(f"{fence.name}: {'; '.join(ways[:3])}")
    msg = f"no fence holds in this container, so nothing is graded. Tried: {' | '.join(tried)}"
    raise GradescopeError(msg)


def _graded(grader: Grader, base: Path, people: list[Person]) -> Result:
    """Return the result of the submission."""
    names = tuple(sorted({name for person in people for name in person.names}))
    questions = [question.name for question in grader.assignment.questions]
    student = people[0].id
    try:
        handed = find_one(base / "submission", student, grader.assignment.name, questions)
    except CollectionError as nothing:
        return grader.unreadable(student, "", str(nothing), names=names)
    given = opened(handed)
    if given.reason:
        return grader.unreadable(student, given.file, given.reason, names=names)
    result = grader.grade(student, given.file, given.data, names)
    result.remarks[:0] = handed.remarks
    return result


def _metadata(path: Path) -> Any:
    """Return what Gradescope knows of the submission."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{path}: it does not say who has handed in ({type(error).__name__})"
        raise GradescopeError(msg) from None


def _policy(path: Path, metadata: Any, student: str) -> Policy | None:
    """Return what lateness costs, by Gradescope's clock; None if it does not say when it was due.

    Each user has a due date with the own extension; of a group the latest counts, as there is one score.
    """
    try:
        users = [user.get("assignment") or {} for user in metadata["users"]]
        dues = [each["due_date"] for each in users if each.get("due_date")]
        dues = dues or [(metadata.get("assignment") or {}).get("due_date")]
        due = max(moment(text, "due_date") for text in dues)
        time = moment(metadata["created_at"], "created_at")
    except (KeyError, TypeError, AttributeError, LateError):
        return None
    lateness = json.loads(path.read_text(encoding="utf-8"))
    return Policy(due, times={student: time}, **lateness)


def _people(metadata: Any, path: Path) -> list[Person]:
    """Return who has handed in, by the metadata; the first one's id makes the numbers of the tests."""
    try:
        users: list[dict[str, Any]] = metadata["users"]
        people = [
            Person(
                str(user.get("sid") or user.get("email") or user["id"]),
                name=str(user.get("name") or ""),
                email=str(user.get("email") or ""),
                login=str(user.get("email") or "").partition("@")[0],
                gradescope=str(user.get("id") or ""),
            )
            for user in users
        ]
    except (KeyError, TypeError, AttributeError) as error:
        msg = f"{path}: it does not say who has handed in ({type(error).__name__})"
        raise GradescopeError(msg) from None
    if not people:
        msg = f"{path}: it names no student"
        raise GradescopeError(msg)
    return sorted(people, key=lambda person: person.id)


def _told(result: Result, fence: Fence, policy: Policy | None) -> list[str]:
    """Return what the student should know besides the tests."""
    return [
        *([lateness(result, policy)] if policy and policy.days(result.student) else []),
        f"Graded with Python {result.python}; fence: {fence.told}.",
        *(f"About the file: {remark}." for remark in [*result.attention, *result.remarks]),
    ]


def _end_all() -> None:
    """End what student code may have left, before the score is written."""
    for path in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if path.name.isdigit() and path.stat().st_uid in worker_uids():
                os.kill(int(path.name), signal.SIGKILL)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except MemsimError as failed:
        sys.exit(f"memsim: {ascii(str(failed))[1:-1]}")  # it may name a student's file
