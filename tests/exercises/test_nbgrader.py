"""nbgrader's own commands on every assignment, and our results in its gradebook."""

import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from memsim.grading.assignment.assignment import Assignment
from memsim.grading.assignment.course import load, solution_copy, source_of, student_copy

pytestmark = pytest.mark.slow

GRADING = sorted(Path("exercises/grading").glob("*.py"))
ASSIGNMENTS = {path.stem.replace("_", "-"): path for path in GRADING}
# nbgrader starts alembic and jupyter by name.
BIN = str(Path(sys.executable).parent)
ENVIRONMENT = {**os.environ, "PATH": os.pathsep.join([BIN, os.environ["PATH"]])}
NO_KERNEL = ("Kernel died before replying", "Kernel didn't respond", "Address already in use")
"""What Jupyter says where a kernel did not start: of its ports, looked for first, one was taken meanwhile."""


def run(folder, *command):
    return subprocess.run(  # noqa: S603 (ours)
        [sys.executable, "-m", *command],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """Run each of nbgrader's commands once, over all assignments; Ada has solved everything."""
    folder = tmp_path_factory.mktemp("course")
    shutil.copytree("exercises/source", folder / "source")
    shutil.copy("exercises/nbgrader_config.py", folder)
    for name, grading in ASSIGNMENTS.items():
        submitted = folder / "submitted" / "ada" / name
        submitted.mkdir(parents=True)
        solved = solution_copy(load(source_of(grading)))
        (submitted / f"{name}.ipynb").write_text(json.dumps(solved), encoding="utf-8")
    generated = run(folder, "nbgrader", "generate_assignment", "--assignment=*")
    autograde = ("nbgrader", "autograde", "--assignment=*", "--create")
    graded = run(folder, *autograde)
    if any(words in graded.stderr for words in NO_KERNEL):
        graded = run(folder, *autograde)  # what is left over
    told = run(folder, "nbgrader", "generate_feedback", "--assignment=*")
    return folder, {"generate_assignment": generated, "autograde": graded, "generate_feedback": told}


def gradebook_of(folder):
    with warnings.catch_warnings(action="ignore"):  # nbgrader's own, about its tables
        from nbgrader.api import Gradebook  # noqa: PLC0415 (it is slow, and only needed here)

        return Gradebook(f"sqlite:///{folder / 'gradebook.db'}")


@pytest.mark.parametrize("command", ["generate_assignment", "autograde", "generate_feedback"])
def test_nbgraders_command_runs_on_every_assignment_without_errors(command, course):
    ran = course[1][command]
    said = "\n".join(line for line in ran.stderr.splitlines() if "INFO" not in line and "WARNING" not in line)

    assert ran.returncode == 0, said
    assert "ERROR" not in said


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_what_nbgrader_gives_to_students_is_our_student_copy(name, course):
    released = load(course[0] / "release" / name / f"{name}.ipynb")
    ours = student_copy(load(source_of(ASSIGNMENTS[name])))

    assert [cell["source"] for cell in released["cells"]] == [cell["source"] for cell in ours["cells"]]
    assert sorted(path.name for path in (course[0] / "release" / name).iterdir()) == [f"{name}.ipynb"]


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_nbgraders_autograder_finds_the_public_checks_passed(name, course):
    with warnings.catch_warnings(action="ignore"), gradebook_of(course[0]) as gradebook:
        submission = gradebook.find_submission(name, "ada")

        assert submission.score == submission.max_score == Assignment.load(ASSIGNMENTS[name]).points
    assert (course[0] / "feedback" / "ada" / name / f"{name}.html").stat().st_size > 10_000


def test_validate_does_not_say_that_an_answer_is_right_whose_form_alone_was_looked_at(course):
    (notebook,) = (course[0] / "submitted" / "ada" / "memmap-on-memory").glob("*.ipynb")
    ran = run(course[0], "nbgrader", "validate", str(notebook))

    assert "form ok, not judged" in ran.stdout
    assert "ARE NOT KNOWN TO BE RIGHT" in ran.stdout
    assert "Success" not in ran.stdout


def test_our_results_are_written_into_nbgraders_gradebook(course):
    folder, _ = course
    name = "one-block"
    bob = folder / "submitted" / "bob" / name
    bob.mkdir(parents=True)
    shutil.copy(folder / "release" / name / f"{name}.ipynb", bob)
    with warnings.catch_warnings(action="ignore"), gradebook_of(folder) as gradebook:
        gradebook.update_or_create_student("BOB")  # as a list of accounts writes it
    graded = run(
        Path.cwd(),
        *("memsim", "grade", str(folder / "submitted"), "--assignment", name, "--out", str(folder / "out")),
        *("--gradebook", f"sqlite:///{folder / 'gradebook.db'}"),
    )

    assert graded.returncode == 0, graded.stderr
    assert "8 scores written" in graded.stdout
    assert "Warning" not in graded.stderr
    with warnings.catch_warnings(action="ignore"), gradebook_of(folder) as gradebook:
        scores = {who: gradebook.find_submission(name, who).score for who in ("ada", "BOB")}
        grade = gradebook.find_grade("half_patch", name, name, "BOB")

        assert scores == {"ada": 19, "BOB": 0}
        assert "bob" not in {student.id for student in gradebook.students}
        assert (grade.auto_score, grade.needs_manual_grade) == (0, False)


def test_a_gradebook_that_does_not_know_the_assignment_is_answered_in_one_line(course, tmp_path):
    graded = run(
        Path.cwd(),
        *(
            "memsim",
            "grade",
            str(course[0] / "submitted"),
            "--assignment",
            "one-block",
            "--out",
            str(tmp_path),
        ),
        *("--gradebook", f"sqlite:///{tmp_path / 'new.db'}"),
    )

    assert graded.returncode == 2
    assert graded.stderr.splitlines()[-1].endswith("run nbgrader generate_assignment first")
