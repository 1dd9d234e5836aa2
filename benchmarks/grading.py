"""How fast submissions are graded, and how much faster than by nbgrader's autograder.

    python -m benchmarks.grading [--submissions 500] [--nbgrader 30] [--assignment boot]

The same batch goes through both in the same run: all of it through ``memsim grade`` on all processors, some
of it through ``nbgrader autograde``, which works on one after the other. One in four submissions is
untouched or solved; the others have wrong answers. ``--loops`` adds submissions in which every answer is an
endless loop.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.timing import machine
from memsim.grading.assignment.assignment import Assignment
from memsim.grading.assignment.course import load, solution_copy, source_of, student_copy, with_answer

ROOT = Path(__file__).parents[1]
MIB = 1 << 20


def main() -> int:
    """Measure and print; returns 1 if grading took longer or more than it may."""
    arguments = options()
    for what, value in machine().items():
        print(f"{what:>10}: {value}")
    grading = ROOT / "exercises" / "grading" / f"{arguments.assignment.replace('-', '_')}.py"
    assignment = Assignment.load(grading)
    with tempfile.TemporaryDirectory() as folder:
        course = Path(folder)
        students = hand_in(course, grading, arguments.submissions, arguments.loops)
        print(f"{len(students)} submissions of {assignment.name}, {len(assignment.questions)} questions each")
        ours, peak = memsim_grade(course, grading)
        each = ours / len(students)
        print(f"memsim grade: {ours:.1f} s, {1000 * each:.0f} ms each, {peak / MIB:.0f} MiB at most")
        if arguments.nbgrader:
            theirs = nbgrader_autograde(course, assignment.name, students[: arguments.nbgrader])
            one = theirs / arguments.nbgrader
            print(f"nbgrader autograde of {arguments.nbgrader} of them: {theirs:.1f} s, {one:.2f} s each")
            print(f"ratio: memsim grades {one / each:.0f} submissions in the time of one")
    return int(ours > arguments.seconds or peak > arguments.mebibytes * MIB)


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--submissions", type=int, default=500)
    parser.add_argument("--nbgrader", type=int, default=30, help="how many of them nbgrader grades too")
    parser.add_argument("--assignment", default="boot")
    parser.add_argument("--loops", type=int, default=0, help="submissions whose answers never end")
    parser.add_argument("--seconds", type=float, default=60, help="what grading may take")
    parser.add_argument("--mebibytes", type=float, default=1024, help="what all grading processes may hold")
    return parser.parse_args()


def hand_in(course: Path, grading: Path, count: int, loops: int) -> list[str]:
    """Write submissions as nbgrader collects them; returns the students."""
    shutil.copytree(ROOT / "exercises" / "source", course / "source")
    shutil.copy(ROOT / "exercises" / "nbgrader_config.py", course)
    source = load(source_of(grading))
    assignment = Assignment.load(grading)
    rng = random.Random(1)  # noqa: S311 (the same batch on every run)
    students = [f"student{number:04}" for number in range(count)]
    for number, student in enumerate(students):
        notebook = student_copy(source) if number % 20 == 0 else solution_copy(source)
        for question in assignment.questions:
            if number < loops:
                endless = f"def {question.name}(*arguments):\n    while True:\n        pass\n"
                notebook = with_answer(notebook, question.name, endless)
            elif number % 4:
                wrong = rng.choice([None, *question.wrong])
                notebook = with_answer(notebook, question.name, wrong.source) if wrong else notebook
        folder = course / "submitted" / student / assignment.name
        folder.mkdir(parents=True)
        (folder / f"{assignment.name}.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    return students


def memsim_grade(course: Path, grading: Path) -> tuple[float, int]:
    """Grade everything; returns seconds and the most memory that all its processes held at a time."""
    command = [sys.executable, "-m", "memsim", "grade", str(course / "submitted")]
    command += ["--assignment", str(grading), "--out", str(course / "out")]
    started, peak = time.perf_counter(), 0
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **quiet) as batch:  # noqa: S603 (our own command)
        while batch.poll() is None:
            peak = max(peak, held(batch.pid))
            time.sleep(0.2)
    if batch.returncode:
        sys.exit(f"memsim grade ended with status {batch.returncode}")
    return time.perf_counter() - started, peak


def held(pid: int) -> int:
    """Return the resident bytes of a process and of all that it has started."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        children = [child for thread in threads for child in (thread / "children").read_text().split()]
    except OSError:
        return 0  # it has just ended
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(held(int(child)) for child in children)


def nbgrader_autograde(course: Path, assignment: str, students: list[str]) -> float:
    """Let nbgrader grade some of the submissions; returns seconds."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    everybody = course / "submitted"
    few = course / "few"
    few.mkdir()
    for student in students:
        shutil.move(everybody / student, few / student)
    shutil.rmtree(everybody)
    few.rename(everybody)

    def nbgrader(*command: str) -> None:
        subprocess.run(  # noqa: S603 (ours)
            [sys.executable, "-m", "nbgrader", *command],
            cwd=course,
            env=environment,
            check=True,
            capture_output=True,
        )

    nbgrader("generate_assignment", assignment)
    started = time.perf_counter()
    nbgrader("autograde", assignment, "--create")
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
