"""Everything that a batch writes besides its results: feedback, tables, similarity, and the report.

All of it is made from the results each time, so that it is never older than they are.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING, Any

from memsim.grading.assignment.assignment import AssignmentError
from memsim.grading.assignment.course import code_of, load, student_copy
from memsim.grading.assignment.handout import for_students
from memsim.grading.report import feedback, tables
from memsim.grading.report.results import as_json, write, write_derived, write_json, write_zip
from memsim.grading.report.similarity import similar
from memsim.grading.report.structure import pieces
from memsim.grading.roster.labels import labels
from memsim.grading.roster.names import key
from memsim.grading.roster.people import Roster, is_hidden, write_roster
from memsim.grading.run.notebook import UnreadableError, read
from memsim.grading.run.reading import Reader
from memsim.grading.run.submissions import file_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from memsim.grading.assignment.course import Notebook
    from memsim.grading.report.late import Policy
    from memsim.grading.report.reading import Chapter
    from memsim.grading.report.results import Result
    from memsim.grading.report.structure import Pieces
    from memsim.grading.roster.labels import Label
    from memsim.grading.roster.people import Person
    from memsim.grading.run.submissions import Handed

_FILES_OF_A_READER = 16
"""A process that reads starts in the time in which it reads this many files."""


@dataclass
class Course:
    """What the outputs need to know besides the results."""

    people: Mapping[str, Person] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    unknown: frozenset[str] = frozenset()
    """Students whom the roster does not have: a learning management system could not find them either."""
    policy: Policy | None = None
    chapter: Chapter | None = None
    """The chapter that the assignment goes with."""
    dropped: Sequence[str] = ()
    """The questions that do not count."""


def write_all(
    out: Path, results: Sequence[Result], report: Mapping[str, Any], course: Course | None = None
) -> dict[str, Any]:
    """Write feedback, tables and the report; returns the report."""
    course = course or Course()
    people, policy = course.people, course.policy
    for result in results:
        name = file_name(result.student)
        person = people.get(result.student)
        shown = person.name if person else ""
        text = feedback.page(result, policy, shown, course.chapter, course.dropped)
        write_derived(out / "feedback" / f"{name}.html", text)
        scores = as_json(tables.gradescope(result, policy))
        write_derived(out / "gradescope" / name / "results.json", scores)
    graded = {result.student for result in results}
    for student, why in course.absent.items():
        if student not in graded:
            text = feedback.page_of_absent(str(report.get("assignment", "")), student, why)
            write_derived(out / "feedback" / f"{file_name(student)}.html", text)
    write(out / "grades.csv", tables.grades(results, policy, people, course.absent))
    known = [result for result in results if result.student not in course.unknown]
    for name, table in (
        ("canvas", tables.canvas),
        ("moodle", tables.moodle),
        ("brightspace", tables.brightspace),
    ):
        if name != "brightspace" or any(person.brightspace for person in people.values()):
            write(out / f"{name}.csv", table(known, policy, people))
    if people:
        write(out / "roster.csv", write_roster(people[student] for student in sorted(people)))
    told = {**report, "no_page": write_archives(out, results, people)}
    write_json(out / "report.json", told)
    return told


def write_archives(
    out: Path, results: Sequence[Result], people: Mapping[str, Person]
) -> dict[str, list[str]]:
    """Write the pages as the learning management system takes them back, under the names that it gave.

    What one of a pair has handed in has that one's name, and Moodle's folder of a group has the group's; the
    page of any other has a name only where Moodle's number is known. Returns who gets no page, by system.
    In other systems a group's page goes to all of it.
    """
    systems: dict[str, dict[str, str]] = {}
    lacking: dict[str, list[str]] = {}
    of_file: dict[str, list[str]] = {}
    for result in results:
        of_file.setdefault(result.packed, []).append(result.student)
    marks = labels(of_file)
    shared = {
        packed: Roster(people[student] for student in students if student in people)
        for packed, students in of_file.items()
        if packed in marks and len(students) > 1
    }
    for result in results:
        mark = marks.get(result.packed)
        if mark is None:
            continue
        roster, inside = shared.get(result.packed), ""
        if _is_anothers_in_moodle(mark, people.get(result.student)):
            inside = _own_name(mark, people[result.student])
        elif roster is None or result.student == _whose(mark, of_file[result.packed], roster):
            inside = f"{result.packed}/feedback.html" if not mark.file else f"{Path(result.packed).stem}.html"
        elif roster.find(mark.who):
            inside = _own_name(mark, people[result.student])
        else:
            continue
        if inside:
            page = (out / "feedback" / f"{file_name(result.student)}.html").read_text(encoding="utf-8")
            systems.setdefault(mark.system.lower(), {})[inside] = page
        else:
            lacking.setdefault(mark.system.lower(), []).append(result.student)
    for system in lacking.keys() - systems.keys():
        (out / f"{system}-feedback.zip").unlink(missing_ok=True)  # of a run before
    for system, pages in systems.items():
        write_zip(out / f"{system}-feedback.zip", pages)
    return lacking


def _is_anothers_in_moodle(mark: Label, person: Person | None) -> bool:
    """Return whether a name is Moodle's and not this student's, but a partner's or a group's.

    Moodle takes the number of a group for a participant's, who may be anybody.
    """
    if mark.system != "Moodle" or person is None or is_hidden(mark.who):
        return False
    parts = mark.who.split("-")  # until 4.0 with the group before the name: Team 1-Ada Lovelace
    names = {key("-".join(parts[at:])) for at in range(len(parts))}
    return person.moodle != mark.numbers.get("moodle", "") and not names & person.names


def _own_name(mark: Label, person: Person) -> str:
    """Return the name under which a system takes the page of a student who has handed in nothing there."""
    if mark.system != "Moodle" or not person.moodle:
        return ""
    name = (person.name or person.id).replace("_", " ").replace("/", " ")
    return f"{name}_{person.moodle}_assignsubmission_file/feedback.html"


def _whose(mark: Label, students: Sequence[str], roster: Roster) -> str:
    """Return the student whose name or number stands on a file that counts for all of these."""
    named = roster.find(mark.who)
    numbered = (p for p in roster for system, n in mark.numbers.items() if getattr(p, system) == n)
    found = named or next(numbered, None)
    return found.id if found else students[0]


def write_similar(
    out: Path, handed: Sequence[Handed], source: Path | None, results: Sequence[Result] = (), *, jobs: int = 1
) -> dict[str, Any]:
    """Write which submissions are alike, and return that.

    ``source`` is the source notebook: what it gives to all students is no sign of copying. A pair that has
    handed in one file is no pair of copies. What was graded, by ``results``, and cannot be compared is named.
    ``jobs`` processes read the files, where these are many.
    """
    own, content, not_compared = {}, {}, {}
    graded = {result.student: result.sha256 for result in results if not result.unreadable}
    first = {one.path: one.student for one in reversed(handed)}
    once = [one for one in handed if first[one.path] == one.student]
    jobs = max(1, min(jobs, len(once) // _FILES_OF_A_READER))
    with ExitStack() as stack, ThreadPoolExecutor(jobs) as pool:
        readers = Queue[Reader]()
        for _ in range(jobs):
            readers.put(stack.enter_context(Reader()))
        told = pool.map(lambda one: _compared(one, graded.get(one.student, ""), readers), once)
        for one, (mine, digest, why) in zip(once, told, strict=True):
            if mine is not None:
                own[one.student], content[one.student] = mine, digest
            elif one.student in graded:
                not_compared[one.student] = why
    found = similar(own, content, pieces(code_of(_starter(source)) if source else []))
    found["not_compared"] = not_compared
    write_json(out / "similar.json", found)
    return found


def _compared(one: Handed, graded: str, readers: Queue[Reader]) -> tuple[Pieces | None, bytes, str]:
    """Return the pieces of a submission and its digest, or why it is not compared.

    ``graded`` is the digest of what was graded, as text, or nothing if nothing was.
    """
    reader = readers.get()
    try:
        data = read(one.path, linked=one.linked, top=one.top)
        digest = hashlib.sha256(data)
        if graded and graded != digest.hexdigest():
            return None, b"", "its file has changed since it was graded"
        return reader.pieces(data, one.path.name), digest.digest(), ""
    except UnreadableError as reason:
        return None, b"", str(reason)
    finally:
        readers.put(reader)


def _starter(source: Path) -> Notebook:
    """Return the notebook that students were given."""
    notebook = load(source)
    try:
        return for_students(notebook, source)
    except AssignmentError:
        return student_copy(notebook)
