"""``memsim grade``: grade what students handed in."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memsim.cli.options import NOT_OK, OK
from memsim.errors import MemsimError

if TYPE_CHECKING:
    import argparse

    from memsim.cli.options import Commands


def add_to(commands: Commands) -> None:
    """Add ``grade``."""
    grade = commands.add_parser(
        "grade",
        help="grade notebooks that students handed in",
        description="Grade submissions and write results, feedback and tables into a folder. A batch that "
        "was stopped goes on where it was. Exit status 1 if a submission needs the teacher, or could not be "
        "graded.",
    )
    grade.add_argument(
        "submissions",
        nargs="+",
        type=Path,
        metavar="SUBMISSIONS",
        help="notebooks, a folder of them, a folder with a folder for each student, or nbgrader's submitted/",
    )
    grade.add_argument(
        "--assignment",
        required=True,
        metavar="A",
        help="a grading file, or its assignment's name when exercises/grading/ is in this folder",
    )
    grade.add_argument("--out", required=True, type=Path, metavar="DIR", help="where everything is written")
    add_ways(grade)
    add_lateness(grade)
    grade.set_defaults(command=command_grade)


def add_ways(grade: argparse.ArgumentParser) -> None:
    """Add the options that say how to grade."""
    grade.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (default: %(default)s)"
    )
    grade.add_argument("--scheduler", metavar="tcp://...", help="let a Dask cluster grade instead")
    grade.add_argument("--again", action="store_true", help="grade also what has a result; see audit.jsonl")
    grade.add_argument(
        "--gradebook", metavar="URL", help="nbgrader's gradebook, such as sqlite:///gradebook.db"
    )
    grade.add_argument(
        "--fence", choices=["bubblewrap", "user"], default="", help="this fence, not the strongest that holds"
    )
    grade.add_argument(
        "--unfenced",
        action="store_true",
        help="run student code even where no fence holds; it can then read, write and send what you can",
    )


def add_lateness(grade: argparse.ArgumentParser) -> None:
    """Add the options that say what lateness costs."""
    grade.add_argument(
        "--due",
        metavar="TIME",
        help="when it was due, such as 2026-11-30T23:59+01:00; goes with --collected",
    )
    grade.add_argument(
        "--collected", type=Path, metavar="CSV", help="the collector's times: a table with student,time"
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
    batches, outputs = (
        import_module("memsim.grading.run.batch"),
        import_module("memsim.grading.report.outputs"),
    )
    grading, late = find_grading(arguments.assignment), policy(arguments)
    arguments.out.mkdir(parents=True, exist_ok=True)
    secret = [grading, arguments.out, *arguments.submissions]
    fence, ways = batches.fence_that_holds(secret, unfenced=arguments.unfenced, wanted=arguments.fence)
    print(f"fence: {fence.told}")
    for way in ways:
        print(f"  open: {way}")
    text = grading.read_text(encoding="utf-8")
    find = import_module("memsim.grading.run.submissions").find
    with batches.Batch(arguments.out, text, fence, engine(arguments), again=arguments.again) as batch:
        names = [question.name for question in batch.assignment.questions]
        handed = find(arguments.submissions, batch.assignment.name, names)
        results = batch.run(handed)
        report = batches.report(batch, results, ways)
        outputs.write_all(arguments.out, results, report, late)
        pairs = outputs.write_similar(arguments.out, handed, source(grading))
        if arguments.gradebook:
            record = import_module("memsim.grading.report.gradebook").record
            print(f"{record(results, arguments.gradebook, late)} scores written to {arguments.gradebook}")
    return tell(report, pairs, arguments.out)


def engine(arguments: argparse.Namespace) -> Any:  # noqa: ANN401 (imported when used)
    """Return who grades."""
    engines = import_module("memsim.grading.run.engines")
    if arguments.scheduler:
        return engines.Cluster(arguments.scheduler)
    return engines.ThisMachine(max(1, arguments.jobs))


def find_grading(name: str) -> Path:
    """Return the grading file that ``--assignment`` means."""
    path = Path(name)
    if not path.is_file():
        path = Path("exercises", "grading", f"{name.replace('-', '_')}.py")
    if not path.is_file():
        msg = f"--assignment {name}: there is neither such a file nor {path}"
        raise MemsimError(msg)
    return path


def source(grading: Path) -> Path | None:
    """Return the source notebook, which the similarity report should know, if it is where it belongs."""
    found: Path = import_module("memsim.grading.assignment.course").source_of(grading)
    return found if found.is_file() else None


def policy(arguments: argparse.Namespace) -> Any:  # noqa: ANN401 (imported when used)
    """Return what lateness costs, or None if nobody asked."""
    if not arguments.due and not arguments.collected:
        return None
    if not arguments.due or not arguments.collected:
        msg = "--due and --collected go together: lateness is from the one to the times in the other"
        raise MemsimError(msg)
    late = import_module("memsim.grading.report.late")
    due, times = late.moment(arguments.due, "--due"), late.collected(arguments.collected)
    return late.Policy(due, arguments.free_days, arguments.late_percent, times)


def tell(report: dict[str, Any], pairs: int, out: Path) -> int:
    """Print what came out; returns the exit status."""
    print(f"{report['submissions']} submissions of {report['assignment']}, {report['max_score']} points")
    for student, reason in report["unreadable"].items():
        print(f"  {student}: nothing graded: {reason}")
    for student in report["needs_teacher"]:
        print(f"  {student}: a test could not judge an answer; see {out / 'results'}")
    if report["not_graded"]:
        print(f"  {len(report['not_graded'])} could not be graded now: run the same command again")
    if pairs:
        print(f"  {pairs} pairs are alike beyond what the starter explains: see {out / 'similar.json'}")
    print(f"feedback, results and tables are in {out}")
    return NOT_OK if report["needs_teacher"] or report["not_graded"] else OK
