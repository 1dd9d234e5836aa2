"""``memsim grade``: grade what students handed in."""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import redirect_stdout
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from memsim.cli.commands import NOT_OK, OK, plain, print_no_more
from memsim.errors import MemsimError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from memsim.cli.commands import Commands

_NAMED = 6
"""Names in one line."""
_SHOWN = 12
"""Lines of one kind on the terminal; report.json has them all."""
_ROSTER = Path("roster.csv")
_BY_NAME = "the roster has no such number for them, and students can change the name that is shown"
_PARTNER = "whose partner handed in; see feedback/"
_NO_PAGE = {"moodle": "whose number the roster does not have; Moodle's grading worksheet has it"}
_NOBODY = Path("none")


def add_to(commands: Commands) -> None:
    """Add ``grade``."""
    grade = commands.add_parser(
        "grade",
        description="Grade submissions and write results, feedback and tables into a folder. A batch that "
        "was stopped continues where it was. Exit status 1 if a teacher should look at something.",
    )
    grade.add_argument(
        "submissions",
        nargs="+",
        type=Path,
        metavar="SUBMISSIONS",
        help="notebooks, a folder of them, a folder with a folder for each student, nbgrader's submitted/, "
        "or what Canvas, Moodle, Brightspace or Blackboard packed, unpacked",
    )
    grade.add_argument(
        "--assignment",
        required=True,
        metavar="A",
        help="the name of an assignment in exercises/, a grading file, or a source notebook of nbgrader's",
    )
    grade.add_argument("--out", required=True, type=Path, metavar="DIR", help="where everything is written")
    add_ways(grade)
    add_course(grade)
    add_lateness(grade)
    grade.set_defaults(command=command_grade)


def add_ways(grade: argparse.ArgumentParser) -> None:
    """Add the options that say how to grade."""
    grade.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (default: %(default)s)"
    )
    grade.add_argument("--scheduler", metavar="tls://...", help="let a Dask cluster grade instead")
    grade.add_argument("--again", action="store_true", help="grade also what has a result; see audit.jsonl")
    grade.add_argument(
        "--only", action="append", default=[], metavar="STUDENT", help="grade only this student; repeatable"
    )
    grade.add_argument(
        "--forget",
        action="append",
        default=[],
        metavar="STUDENT",
        help="take away the result of who has left the course, say; repeatable",
    )
    grade.add_argument("--question", default="", metavar="Q", help="grade only this question again")
    grade.add_argument(
        "--gradebook", metavar="URL", help="nbgrader's gradebook, such as sqlite:///gradebook.db"
    )
    grade.add_argument(
        "--unfenced",
        action="store_true",
        help="run student code even where no fence holds; it can then read, write and send what you can",
    )


def add_course(grade: argparse.ArgumentParser) -> None:
    """Add the options that say who is in the course, and what the teacher decides."""
    grade.add_argument(
        "--roster",
        type=Path,
        metavar="CSV",
        help=f"who is in the course (default: {_ROSTER}, or else that of the run before; 'none': no roster)",
    )
    grade.add_argument(
        "--choose",
        action="append",
        default=[],
        metavar="STUDENT=FILE",
        help="the file that counts where a student handed in several; repeatable",
    )
    grade.add_argument(
        "--book", default="", metavar="URL", help="the book's web site, for links in the feedback"
    )
    grade.add_argument(
        "--points", type=Path, metavar="CSV", help="points by hand: a table student,question,points,comment"
    )
    grade.add_argument(
        "--drop", action="append", default=[], metavar="Q", help="let a question not count; repeatable"
    )
    grade.add_argument(
        "--count", action="append", default=[], metavar="Q", help="let a dropped question count again"
    )


def add_lateness(grade: argparse.ArgumentParser) -> None:
    """Add the options that say what lateness costs."""
    grade.add_argument(
        "--due",
        metavar="TIME",
        help="when it was due, such as 2026-11-30T23:59+01:00 or '2026-11-30T23:59 Europe/Berlin'; goes with "
        "--collected, and stays in force for later runs; 'none' ends that",
    )
    grade.add_argument(
        "--collected",
        type=Path,
        metavar="CSV",
        help="the collector's times: a table student,time, and due for who has an extension; or the "
        "submission_metadata.yml of an export of Gradescope's",
    )
    grade.add_argument("--free-days", type=int, default=0, metavar="N", help="late days that cost nothing")
    grade.add_argument(
        "--late-percent",
        type=int,
        default=10,
        metavar="P",
        help="cost of each other day (default: %(default)s)",
    )


def command_grade(arguments: argparse.Namespace) -> int:
    """``memsim grade``."""
    with redirect_stdout(Unread(sys.stdout)) as out:
        status = in_folder(arguments)
        out.flush()
        return status


def in_folder(arguments: argparse.Namespace) -> int:
    """Make the folder for the results, and grade."""
    batches = import_module("memsim.grading.run.batch")
    grading, given = find_grading(arguments.assignment), lateness(arguments)
    roster, choose = find_roster(arguments.roster, arguments.out), chosen_files(arguments.choose)
    with batches.kept_if_used(arguments.out):
        return grade(arguments, batches, grading, asked=(roster, choose, given))


class Unread(io.TextIOBase):
    """Standard output that may not be read to its end, as by ``head`` or ``less``: grading goes on."""

    def __init__(self, stream: TextIO | None) -> None:
        """Write to this stream while it is read; there is none where standard output was closed."""
        self._stream = stream

    def write(self, text: str) -> int:
        """Print a text."""
        self._done(lambda stream: stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Print what is waiting."""
        self._done(lambda stream: stream.flush())

    def _done(self, do: Callable[[TextIO], object]) -> None:
        if self._stream is None:
            return
        try:
            do(self._stream)
        except BrokenPipeError:
            print_no_more(self._stream)


def grade(arguments: argparse.Namespace, batches: Any, grading: Path, *, asked: tuple[Any, Any, Any]) -> int:  # noqa: ANN401
    """Grade into the folder that is there now; returns the exit status."""
    roster, choose, given = asked
    secret = [grading, arguments.out, *arguments.submissions]
    holds = import_module("memsim.grading.sandbox.holds")
    fence, ways = holds.fence_that_holds(secret, unfenced=arguments.unfenced)
    print(f"fence: {fence.told}")
    for way in ways:
        print(f"  open: {way}")
    text = grading_text(grading)
    again = {"again": arguments.again, "question": arguments.question}
    with batches.Batch(arguments.out, text, fence, engine(arguments), **again) as batch:
        course = import_module("memsim.grading.run.course")
        wanted = course.Asked(
            arguments.submissions,
            roster,
            choose,
            arguments.only,
            arguments.forget,
            given,
            arguments.book,
        )
        run = course.Run(batch, wanted)
        gradebook = import_module("memsim.grading.report.gradebook")
        if arguments.gradebook:
            names = [question.name for question in batch.assignment.questions]
            gradebook.check(arguments.gradebook, batch.assignment.name, names)
        marks = run.take_marks(arguments.points, arguments.drop, arguments.count)
        if arguments.points:
            tell_unused(arguments.points, ("student", "question", "points", "comment"))
            count = run.marks_changed
            print(f"{arguments.points}: {count or 'no'} answer{'s' * (count != 1)} changed")
        tell_before(run)
        made = run.grade(marks, ways, source(grading))
        if arguments.gradebook:
            known, keep = run.roster.people, partial(marks.save, arguments.out)
            scores = gradebook.record(made.counted, arguments.gradebook, run.policy, known, marks, keep)
            keep()
            print(f"{scores} scores written to {arguments.gradebook}")
    return tell_after(run, made, arguments.out)


def engine(arguments: argparse.Namespace) -> Any:  # noqa: ANN401 (imported when used)
    """Return who grades."""
    engines = import_module("memsim.grading.run.engines")
    if arguments.scheduler:
        return engines.Cluster(arguments.scheduler)
    return engines.ThisMachine(max(1, arguments.jobs))


def find_grading(name: str) -> Path:
    """Return the grading file that ``--assignment`` means."""
    path: Path = import_module("memsim.grading.assignment.course").named(name, "grading")
    return path


def grading_text(path: Path) -> str:
    """Return the text of a grading file; that of a notebook says how the assignment is called."""
    try:
        import_module("memsim.scenario.json_check").refuse_device(path)
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"{path}: it is not saved as UTF-8: byte {error.start} is {error.object[error.start]:#x}"
        raise MemsimError(msg) from None
    if path.suffix != ".ipynb":
        return text
    try:
        document = json.loads(text)
        document.setdefault("metadata", {})["memsim"] = {"name": path.stem}
    except (ValueError, AttributeError, TypeError, RecursionError):
        msg = f"{path}: it is no notebook"
        raise MemsimError(msg) from None
    return json.dumps(document)


def find_roster(path: Path | None, out: Path) -> Any:  # noqa: ANN401 (imported when used)
    """Return the roster, or None if there is none; it stays in force for later runs."""
    kept = out / import_module("memsim.grading.run.course").KEPT_ROSTER
    path = path or next((each for each in (_ROSTER, kept) if each.is_file()), None)
    if path is None or path == _NOBODY:
        return None
    roster = import_module("memsim.grading.roster.people").read_roster(path)
    print(f"roster: {path}, {len(roster)} student{'s' * (len(roster) != 1)}")
    if roster.unused:
        print(plain(f"  columns not used: {columns(roster.unused)}"))
    section("the same for several students", dict.fromkeys(roster.in_common()))
    return roster


def tell_unused(path: Path, used: Sequence[str]) -> None:
    """Print the columns of a table that nothing reads; one of them may be misspelt."""
    head, _ = import_module("memsim.grading.roster.people").read_table(path)
    unused = [name for name in head if name and name not in used]
    if unused:
        print(plain(f"{path}: columns not used: {some(unused)}; those that are read: {', '.join(used)}"))


def columns(names: Sequence[str]) -> str:
    """Return the columns that nothing reads, those first that may be meant for something."""
    nearest_column = import_module("memsim.grading.roster.people").nearest_column
    nearest = [(name, nearest_column(name)) for name in names]
    asked = [f"{name} (is it {near}?)" for name, near in nearest if near]
    return some([*asked, *(name for name, near in nearest if not near)])


def some(names: Sequence[str]) -> str:
    """Return some names, not all where there are many."""
    shown: str = import_module("memsim.grading.roster.names").some(names, _NAMED)
    return shown


def chosen_files(texts: Iterable[str]) -> dict[str, str]:
    """Return what ``--choose`` says."""
    chosen = {}
    for text in texts:
        student, equals, file = text.partition("=")
        if not (equals and student and file):
            msg = f"--choose {text}: it must be STUDENT=FILE"
            raise MemsimError(msg)
        chosen[student] = file
    return chosen


def source(grading: Path) -> Path | None:
    """Return the source notebook, which the similarity report should know, if it is where it belongs."""
    found: Path = import_module("memsim.grading.assignment.course").source_of(grading)
    return found if found.is_file() else None


def lateness(arguments: argparse.Namespace) -> Any:  # noqa: ANN401 (imported when used)
    """Return what this command says of lateness, or None if it says nothing."""
    if not arguments.due and not arguments.collected:
        return None
    late = import_module("memsim.grading.report.late")
    if arguments.due == "none" and not arguments.collected:
        return late.NO_LATENESS
    if not arguments.due or not arguments.collected:
        msg = "--due and --collected go together: lateness is from the one to the times in the other"
        raise MemsimError(msg)
    due = late.moment(arguments.due, "--due")
    times, own_due = late.collected(arguments.collected), late.extensions(arguments.collected)
    if arguments.collected.name != late.METADATA:
        tell_unused(arguments.collected, ("student", "time", "due"))
    return late.Policy(due, arguments.free_days, arguments.late_percent, times, own_due)


def tell_before(run: Any) -> None:  # noqa: ANN401 (imported when used)
    """Print what does not fit together, before anything is graded."""
    found = run.found
    if run.asked.roster is None:
        s = "s" * (len(found.people) != 1)
        print(f"no roster: {len(found.people)} student{s} by the names of what was collected, see roster.csv")
    lines = {
        f"{path}: the roster does not have this student{near(nearest)}": None
        for path, nearest in found.unknown.items()
    }
    section("not in the roster", lines)
    section("left out", by_reason(found.left_out), len(found.left_out))
    section("nothing handed in", run.absent)
    by_name = [f"{student} ({file})" for student, file in found.by_name.items()]
    section("known by a name alone", {some(by_name): _BY_NAME} if by_name else {}, len(by_name))
    old = {
        some(found.old_numbers): "each assignment has its own, and those in the roster are not of this one"
    }
    section("Moodle's numbers not used", old if found.old_numbers else {}, len(found.old_numbers))
    groups = [f"{path} counts for {some(members)}" for path, members in found.by_group.items()]
    section("by the name of a group", dict.fromkeys(groups))
    section("refused", dict.fromkeys(found.refused, "a hard link that a student may have made"))
    section("no time in the collector's table", dict.fromkeys(run.without_time))
    if run.earlier and not run.asked.only:
        who = plain(some([result.student for result in run.earlier]))
        count = len(run.earlier)
        print(f"results of earlier runs stand, and nothing was collected now: {count} ({who})")
    left = dict.fromkeys(run.left, "the result stands; --forget takes it away")
    section("not in the roster any more", left)
    section("two due times of one student", run.in_doubt)
    earlier = {some(run.due_earlier): "the roster's column due; is it of another assignment?"}
    section("due before the others", earlier if run.due_earlier else {}, len(run.due_earlier))
    strangers = {name: near(run.roster.nearest(name)).removeprefix("; ") for name in run.strangers}
    section("in the collector's table and not in the course", strangers)


def near(student: str) -> str:
    """Return a question after a student with a name like that."""
    return f"; is it {student}?" if student else ""


def by_reason(paths: Mapping[str, str]) -> dict[str, str]:
    """Return why files were left out, in one line where it is one reason for several."""
    reasons: dict[str, list[str]] = {}
    for path, why in paths.items():
        reasons.setdefault(why, []).append(path)
    return {
        names[0] if len(names) == 1 else f"{len(names)} files, such as {names[0]}": why
        for why, names in reasons.items()
    }


def section(title: str, lines: Mapping[str, str | None], count: int = 0) -> None:
    """Print some lines under a title, not all where there are many."""
    if lines:
        print(f"{title}: {count or len(lines)}")
    for name, why in list(lines.items())[:_SHOWN]:
        print(plain(f"  {name}: {why}" if why else f"  {name}"))
    if len(lines) > _SHOWN:
        print(f"  and {len(lines) - _SHOWN} more, see report.json")


def tell_after(run: Any, made: Any, out: Path) -> int:  # noqa: ANN401 (imported when used)
    """Print what came out; returns the exit status."""
    report = made.report
    s = "s" * (report["submissions"] != 1)
    print(f"{report['submissions']} submission{s} of {report['assignment']}, {report['max_score']:g} points")
    for student, reason in report["unreadable"].items():
        print(plain(f"  {student}: nothing graded: {reason}"))
    if any("ZIP archive" in reason for reason in report["unreadable"].values()):
        print("  an archive: unpack it into a folder of its name, beside it, and grade again")
    section(
        "questions for you to judge (--points)",
        {name: f"{some(q['students'])}: {q['why']}" for name, q in report["to_judge"].items()},
    )
    section("for the teacher", {name: "; ".join(told) for name, told in report["attention"].items()})
    section(
        "several files",
        {s: f"{f['graded']} counts, not {some(f['not graded'])}" for s, f in several(report)},
    )
    if run.asked.only and not run.batch.graded:
        print("graded before, and nothing has changed: --again grades it all the same")
    section("grades that changed", {entry["student"]: change(entry) for entry in run.batch.changed})
    if report["not_graded"]:
        print(f"  {len(report['not_graded'])} could not be graded now: run the same command again")
    groups = [*made.similar["identical"], *made.similar["same_structure"]]
    same = [set(group) for group in groups]
    pairs = [p for p in made.similar["pairs"] if not any({p["one"], p["other"]} <= group for group in same)]
    alike = len(same) + len(pairs)
    if alike:
        what = "pair or group is" if alike == 1 else "pairs or groups are"
        print(f"  {alike} {what} alike beyond the starter: see {out / 'similar.json'}")
    for system, students in report["no_page"].items():
        who = plain(some(students))
        print(f"{system}-feedback.zip: it has no page for {who}, {_NO_PAGE.get(system, _PARTNER)}")
    if report["no_moodle_number"]:
        who = plain(some(report["no_moodle_number"]))
        print(f"moodle.csv: a grading worksheet passes over {who}, whose number it does not have")
    if "final" in report["assignment"].lower():
        print("canvas.csv: Canvas passes over a column with 'final' in its name; give it another one first")
    section("graded and not compared with others", made.similar.get("not_compared", {}))
    print(f"feedback, results and tables are in {out}; the class is in {out / 'index.html'}")
    return NOT_OK if run.needs_attention(report) else OK


def several(report: Mapping[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    """Return who has handed in several files."""
    return list(report["several"].items())


def change(entry: Mapping[str, Any]) -> str:
    """Return one line of the audit trail in words."""
    questions = ", ".join(f"{name} {old} -> {new}" for name, (old, new) in entry["questions"].items())
    before, after = entry["score"]
    return f"{before} -> {after}{f' ({questions})' if questions else ''}: {entry['why']}"
