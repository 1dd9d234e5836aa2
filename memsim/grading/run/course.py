"""One run of ``memsim grade``: from what was collected to the tables."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from memsim.grading.report import class_page, late, outputs
from memsim.grading.report.marks import Marks, applied_to_all, read_marks
from memsim.grading.report.reading import chapter_of
from memsim.grading.report.results import write
from memsim.grading.roster.names import key
from memsim.grading.roster.people import Person, Roster, RosterError, read_roster, write_roster
from memsim.grading.run.batch import Batch, report
from memsim.grading.run.submissions import CollectionError, Handed, file_name, find

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from memsim.grading.report.results import Result


KEPT_ROSTER = "given-roster.csv"
"""The roster of the last run, for one that names none."""


@dataclass(frozen=True)
class Asked:
    """What the instructor asks for."""

    submissions: Sequence[Path]
    roster: Roster | None = None
    choose: Mapping[str, str] = field(default_factory=dict)
    only: Sequence[str] = ()
    forget: Sequence[str] = ()
    """Students whose results of earlier runs are taken away."""
    policy: late.Policy | None = None
    """What lateness costs, with the times by the names in the collector's table."""
    book: str = ""
    """The address of the book's web site."""


@dataclass(frozen=True)
class Made:
    """What came out."""

    counted: list[Result]
    """The results as they count, those of earlier runs too."""
    report: dict[str, Any]
    similar: dict[str, Any]


class Run:
    """A batch, the roster, and what was collected."""

    def __init__(self, batch: Batch, asked: Asked) -> None:
        """Find what was handed in, and who is in the course."""
        self.batch, self.asked = batch, asked
        questions = [question.name for question in batch.assignment.questions]
        before, name = self._people_before(), batch.assignment.name
        self.found = find(asked.submissions, name, questions, asked.roster, asked.choose, before)
        self.roster = Roster(_merged(self.found.people, self._with_results(before)).values())
        self.handed = self._wanted()
        self.strangers: list[str] = []
        self.marks_changed = 0
        self.policy_before = late.in_force(late.load(batch.out / "late.json"), Roster(before.values()))
        self.kept_policy = self._policy()
        self.policy = late.in_force(self.kept_policy, self.roster)
        self.in_doubt = late.in_doubt(self.kept_policy, self.roster)
        earlier = batch.every(self.found.handed, [], self.roster)
        self.forgotten = self._forgotten(earlier)
        self.earlier = [result for result in earlier if result not in self.forgotten]
        gone = {result.student for result in self.forgotten} - self.found.people.keys()
        self.roster = Roster(person for person in self.roster if person.id not in gone)

    def _people_before(self) -> dict[str, Person]:
        """Return the people whom an earlier run found."""
        try:
            return read_roster(self.batch.out / "roster.csv").people
        except RosterError:
            return {}

    def _with_results(self, people: Mapping[str, Person]) -> dict[str, Person]:
        """Return who still counts: a student who has left the roster does as long as there is a result."""
        graded = self.batch.result_names()
        return {student: person for student, person in people.items() if file_name(student) in graded}

    def _wanted(self) -> list[Handed]:
        """Return the submissions that should be graded."""
        only = {key(name) for name in self.asked.only}
        if not only:
            return self.found.handed
        wanted = [one for one in self.found.handed if key(one.student) in only or only & set(one.names)]
        if not wanted:
            msg = f"--only {' '.join(self.asked.only)}: no student of this name has handed in anything"
            raise CollectionError(msg)
        return wanted

    def _policy(self) -> late.Policy | None:
        """Return what lateness costs, by id; that of an earlier run stays, with the times in its table."""
        asked = self.asked.policy
        if asked is late.NO_LATENESS:
            return None
        before = late.load(self.batch.out / "late.json")
        if asked is None:
            return before and replace(before, times=self._shared(before.times))
        times, self.strangers = late.matched(asked.times, self.roster)
        own_due, _ = late.matched(asked.own_due, self.roster)
        times = (before.times if before else {}) | times
        return replace(asked, times=self._shared(times), own_due=own_due)

    def _keep(self) -> None:
        """Let the roster and what lateness costs stay in force for later runs."""
        path = self.batch.out / "late.json"
        if self.kept_policy is None:
            path.unlink(missing_ok=True)
        else:
            late.save(path, self.kept_policy)
        path = self.batch.out / KEPT_ROSTER
        if self.asked.roster is None:
            path.unlink(missing_ok=True)
        else:
            write(path, write_roster(self.asked.roster))

    def _forgotten(self, earlier: Sequence[Result]) -> list[Result]:
        """Return the results that are taken away."""
        found = []
        for name in self.asked.forget:
            person = self.roster.find(name)
            wanted = {key(name), key(person.id) if person else ""}
            mine = [result for result in earlier if key(result.student) in wanted]
            if not mine:
                has_file = person and any(one.student == person.id for one in self.found.handed)
                why = "has a file here, which would be graded again" if has_file else "has no result here"
                msg = f"--forget {name}: no such student, or one who {why}"
                raise CollectionError(msg)
            found += mine
        return found

    def _forget(self, marks: Marks) -> None:
        """Take results away, with the points by hand."""
        for result in self.forgotten:
            marks.given.pop(result.student, None)
        if self.forgotten:
            marks.save(self.batch.out)  # first: without a result the student could not be found again
        for result in self.forgotten:
            self.batch.forget(result)

    def _shared(self, times: dict[str, Any]) -> dict[str, Any]:
        """Return the times, with that of a pair's file for both."""
        of_file = {one.path: times[one.student] for one in self.found.handed if one.student in times}
        return {one.student: of_file[one.path] for one in self.found.handed if one.path in of_file} | times

    @property
    def absent(self) -> dict[str, str]:
        """Who has nothing here, neither now nor from an earlier run."""
        earlier = {result.student for result in self.earlier}
        return {student: why for student, why in self.found.absent.items() if student not in earlier}

    @property
    def without_time(self) -> list[str]:
        """The students of whom the collector does not say when they handed in."""
        policy = self.policy
        return [one.student for one in self.handed if policy and not policy.is_known(one.student)]

    @property
    def due_earlier(self) -> list[str]:
        """Who has less time than others by the roster, which may be that of the week before."""
        policy = self.policy
        return [one.student for one in self.handed if policy and policy.due_for(one.student) < policy.due]

    def take_marks(self, points: Path | None, drop: Sequence[str], count: Sequence[str]) -> Marks:
        """Take what was decided by hand, now and before."""
        marks = Marks.load(self.batch.out)
        questions = {question.name: question.points for question in self.batch.assignment.questions}
        for name in [*drop, *count]:
            if name not in questions:
                msg = f"--drop or --count: there is no question {name}; there are {', '.join(questions)}"
                raise CollectionError(msg)
        changes = marks.take(read_marks(points, questions, self.roster)) if points else []
        self.marks_changed = len(changes)
        changes += marks.drop(drop, count)
        self.batch.note(changes)
        marks.save(self.batch.out)
        return marks

    def grade(self, marks: Marks, ways: Sequence[str], source: Path | None) -> Made:
        """Grade what has no result yet, and write all that is made from the results."""
        batch = self.batch
        there = [result for result in batch.every([], [], self.roster) if result not in self.forgotten]
        # First: once the policy is kept, a command after one that was killed sees no change of it.
        batch.note_lateness(applied_to_all(marks, there), self.policy_before, self.policy)
        self._keep()
        self._forget(marks)
        results = batch.run(self.handed)
        every = batch.every(self.handed, results, self.roster)
        every += self._by_hand_alone(marks, {result.student for result in every})
        counted = applied_to_all(marks, sorted(every, key=lambda result: result.student))
        told = report(batch, counted, ways) | self._told(marks)
        unknown = self._not_in_roster(result.student for result in counted)
        chapter = chapter_of(batch.assignment, self.asked.book)
        course = outputs.Course(self.roster.people, self.absent, unknown, self.policy, chapter, marks.dropped)
        told = outputs.write_all(batch.out, counted, told, course)
        jobs = batch.engine.processes
        alike = outputs.write_similar(batch.out, self.found.handed, source, results, jobs=jobs)
        about = class_page.Class(batch.assignment, counted, told, alike, self.roster.people, self._together())
        write(batch.out / "index.html", class_page.page(about))
        return Made(counted, told, alike)

    @property
    def left(self) -> list[str]:
        """Who has a result of an earlier run and is not in the roster any more."""
        return sorted(self._not_in_roster(result.student for result in self.earlier))

    def _not_in_roster(self, students: Iterable[str]) -> frozenset[str]:
        """Return those whom the roster does not have; none where there is none."""
        roster = self.asked.roster
        return frozenset(one for one in students if roster is not None and one not in roster.people)

    def _together(self) -> dict[str, list[str]]:
        """Return, for each student who shares a file, the others for whom it counts."""
        of_file: dict[Path, list[str]] = {}
        for one in self.found.handed:
            of_file.setdefault(one.path, []).append(one.student)
        return {
            student: [other for other in students if other != student]
            for students in of_file.values()
            for student in students
            if len(students) > 1
        }

    def _by_hand_alone(self, marks: Marks, graded: set[str]) -> list[Result]:
        """Return a result for each student who has handed in nothing, and was given points all the same."""
        grader = self.batch.setup.grader()
        made = []
        for student, given in marks.given.items():
            if student not in graded and any(mark.points is not None for mark in given.values()):
                result = grader.unreadable(student, "", "")
                result.remarks.append("nothing was handed in; the points are given by hand")
                made.append(result)
        return made

    def _told(self, marks: Marks) -> dict[str, Any]:
        """Return what the report says beyond the results."""
        found = self.found
        return {
            "left_out": found.left_out,
            "nothing_handed_in": self.absent,
            "not_in_roster": found.unknown,
            "by_name_alone": found.by_name,
            "by_group": found.by_group,
            "old_moodle_numbers": found.old_numbers,
            "due_earlier": self.due_earlier,
            "refused": found.refused,
            "earlier": [result.student for result in self.earlier],
            "left": self.left,
            "no_time": self.without_time,
            "no_moodle_number": self._without_moodle_number(),
            "nobody_in_times": self.strangers,
            "two_due_times": self.in_doubt,
            "dropped": marks.dropped,
            "max_score": sum(
                q.points for q in self.batch.assignment.questions if q.name not in marks.dropped
            ),
            "by_hand": {
                s: {q: m.points for q, m in given.items() if m.points is not None}
                for s, given in marks.given.items()
            },
        }

    def _without_moodle_number(self) -> list[str]:
        """Return who has no number of Moodle's where others have one: such as the other one of a pair."""
        people = [self.roster.people[one.student] for one in self.found.handed]
        return [one.id for one in people if not one.moodle] if any(one.moodle for one in people) else []

    def needs_attention(self, told: Mapping[str, Any]) -> bool:
        """Return whether a teacher should look at something."""
        names = ("needs_teacher", "not_graded", "attention", "not_in_roster", "left", "refused", "no_time")
        closed = any("cannot be" in why for why in [*told["unreadable"].values(), *told["left_out"].values()])
        return closed or bool(self.strangers) or any(told[name] for name in names)


def _merged(now: Mapping[str, Person], before: Mapping[str, Person]) -> dict[str, Person]:
    """Return the people of now and of before; one who has another id now is the one of now."""
    known = {name for person in now.values() for name in person.names}
    earlier = {identity: person for identity, person in before.items() if key(identity) not in known}
    return {**earlier, **now}
