"""``memsim gradescope``: an autograder for Gradescope."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from memsim.cli.commands import OK
from memsim.cli.grade import find_grading, grading_text

if TYPE_CHECKING:
    import argparse

    from memsim.cli.commands import Commands


def add_to(commands: Commands) -> None:
    """Add ``gradescope``."""
    gradescope = commands.add_parser(
        "gradescope",
        description="Write the archive that Gradescope takes as an autograder: setup.sh, run_autograder, the "
        "grader with its lock, the grading file, and a key of its own. It grades behind the strongest fence "
        "that holds in Gradescope's container, and refuses where none does.",
    )
    gradescope.add_argument(
        "assignment",
        metavar="A",
        help="the name of an assignment in exercises/, a grading file, or a source notebook of nbgrader's",
    )
    gradescope.add_argument(
        "--out", type=Path, default=Path("autograder.zip"), metavar="ZIP", help="(default: %(default)s)"
    )
    gradescope.add_argument(
        "--free-days", type=int, default=0, metavar="N", help="late days that cost nothing"
    )
    gradescope.add_argument(
        "--late-percent",
        type=int,
        default=0,
        metavar="P",
        help="cost of each other day after Gradescope's due date, extensions included (default: %(default)s)",
    )
    gradescope.set_defaults(command=command_gradescope)


def command_gradescope(arguments: argparse.Namespace) -> int:
    """``memsim gradescope``."""
    archive = import_module("memsim.grading.report.gradescope")
    grading = find_grading(arguments.assignment)
    late = import_module("memsim.grading.report.late")
    late.Policy(late.NO_LATENESS.due, arguments.free_days, arguments.late_percent)  # refused here, not there
    lateness = {"free_days": arguments.free_days, "percent": arguments.late_percent}
    made = archive.write_archive(arguments.out, grading_text(grading), lateness)
    print(f"{arguments.out}: the autograder of {made.name}; upload it under Configure Autograder")
    print(f"the autograder points of the assignment are {made.points:g}: set them so in Gradescope")
    print("it holds the hidden tests and their key: do not share it")
    return OK
