"""Every assignment: its notebook and its grading file agree, and every solution gets what it deserves."""

import ast
import re
import subprocess
import sys
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import pytest

from memsim.grading.assignment.assignment import Assignment
from memsim.grading.assignment.course import (
    STUB,
    code_of,
    load,
    solution_copy,
    source_of,
    student_copy,
    with_answer,
)
from memsim.grading.assignment.handout import for_students
from memsim.grading.run.judge import Examiner
from memsim.grading.sandbox.fences import available
from memsim.grading.sandbox.worker import Submitted

GRADING = sorted(Path("exercises/grading").glob("*.py"))
STUDENTS = ("ada", "b.ob@example.org")
REGION = re.compile(r"^( *)### BEGIN SOLUTION\n.*?### END SOLUTION$", re.MULTILINE | re.DOTALL)
BEHIND_A_FENCE = ("one-block", "page-offline", "buddy")
"""Assignments whose wrong answers `make test` judges behind a fence; test_seeds.py judges those of all."""


def assignments(*, quick=None):
    """Return the grading files; those that are not quick are left to the slow tier."""
    for path in GRADING:
        name = path.stem.replace("_", "-")
        yield pytest.param(
            path, id=name, marks=[pytest.mark.slow] * (quick is not None and name not in quick)
        )


every_assignment = pytest.mark.parametrize("grading", list(assignments()))


def examine(assignment, cells, student, key="a key"):
    return {
        result.name: result
        for result in Examiner(assignment, available()[0], key).examine(Submitted(student, cells))
    }


def nbgrader_cells(notebook):
    return {
        cell["metadata"]["nbgrader"]["grade_id"]: cell
        for cell in notebook["cells"]
        if "nbgrader" in cell["metadata"]
    }


def test_each_source_has_a_grading_file_and_each_grading_file_a_source():
    sources = sorted(Path("exercises/source").glob("*/*.ipynb"))

    assert [source_of(path) for path in GRADING] == sources
    assert [path.stem for path in sources] == [path.parent.name for path in sources]
    assert [Assignment.load(path).name for path in GRADING] == [path.stem for path in sources]


def test_a_source_folder_holds_nothing_but_what_students_get():
    left = [
        path for path in Path("exercises/source").rglob("*") if path.is_file() and path.suffix != ".ipynb"
    ]

    assert left == []  # a new kind of file must be allowed here by name: nbgrader releases all of them


@every_assignment
def test_the_notebook_has_the_cells_of_every_question(grading):
    assignment = Assignment.load(grading)
    cells = nbgrader_cells(load(source_of(grading)))

    graded = [name for name, cell in cells.items() if cell["metadata"]["nbgrader"]["grade"]]
    assert graded == [question.name for question in assignment.questions]
    for question in assignment.questions:
        check = cells[question.name]
        answer = cells[f"{question.name}-answer"]
        assert check["metadata"]["nbgrader"]["points"] == question.points
        assert check["metadata"]["nbgrader"]["locked"]
        assert answer["metadata"]["nbgrader"]["solution"]
        assert f"def {question.name}(" in "".join(answer["source"])
        assert f'check(\n    "{question.name}"' in "".join(check["source"]) or (
            f'check("{question.name}"' in "".join(check["source"])
        )
        assert len(question.wrong) >= 2


@pytest.mark.parametrize("student", [STUDENTS[0], pytest.param(STUDENTS[1], marks=pytest.mark.slow)])
@every_assignment
def test_the_solution_gets_all_points_from_every_student(grading, student):
    assignment = Assignment.load(grading)
    results = examine(assignment, code_of(solution_copy(load(source_of(grading)))), student)

    assert [test.message for result in results.values() for test in result.tests if test.message] == []
    assert sum(result.score for result in results.values()) == assignment.points


@every_assignment
def test_the_untouched_student_copy_gets_nothing(grading):
    assignment = Assignment.load(grading)
    results = examine(assignment, code_of(student_copy(load(source_of(grading)))), "ada")

    assert {result.name: result.score for result in results.values()} == {
        question.name: 0 for question in assignment.questions
    }
    for result in results.values():
        assert {test.message for test in result.tests} == {
            f"{result.name}() is not answered yet: it still returns the dots of the starter."
        }
        assert result.problems == []  # the course's own cells run wherever a question is answered


def compile_cells(notebook):
    for number, cell in enumerate(code_of(notebook), 1):
        compile(cell, f"code cell {number}", "exec")


@every_assignment
def test_every_cell_that_a_student_gets_compiles(grading):
    source = load(source_of(grading))
    compile_cells(for_students(source, source_of(grading)))
    for cell in source["cells"]:  # nbgrader writes the same stub wherever the marks are
        cell["source"] = REGION.sub(rf"\1{STUB}", "".join(cell["source"]))

    compile_cells(source)


def test_what_students_import_needs_no_widgets():
    wanted = {
        ast.unparse(node)
        for path in GRADING
        for cell in code_of(load(source_of(path)))
        for node in ast.walk(ast.parse(cell))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    blocked = "import sys\nsys.modules |= dict.fromkeys(('anywidget', 'ipywidgets', 'plotly', 'IPython'))\n"
    command = [sys.executable, "-c", blocked + "\n".join(sorted(wanted))]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (ours)

    assert "from memsim.lesson.own_driver.explorer import explore_drive" in wanted
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize("grading", list(assignments(quick=BEHIND_A_FENCE)))
def test_every_wrong_solution_gets_its_score_and_its_message(grading):
    assignment = Assignment.load(grading)
    solved = solution_copy(load(source_of(grading)))
    for question in assignment.questions:
        alone = replace(assignment, questions=[question])
        # That the seed changes nothing is for test_seeds.py, without a fence.
        for wrong, student, key in zip(question.wrong, cycle(STUDENTS), cycle(("a key", "another key"))):
            cells = code_of(with_answer(solved, question.name, wrong.source))
            result = examine(alone, cells, student, key)[question.name]
            messages = [test.message for test in result.tests if test.message]

            assert (wrong.misconception, result.score) == (wrong.misconception, wrong.score), messages
            assert any(wrong.message in message for message in messages), (wrong.misconception, messages)
            assert not any(test.needs_teacher for test in result.tests), (wrong.misconception, messages)


@every_assignment
def test_a_right_answer_is_waited_for_on_a_machine_that_is_ten_times_slower(grading):
    for question in Assignment.load(grading).questions:
        assert question.limits.wall_seconds >= 10 * question.limits.cpu_seconds, question.name


@every_assignment
def test_the_variant_in_the_notebook_is_that_of_the_grader(grading):
    assignment = Assignment.load(grading)
    student = "\n".join(code_of(load(source_of(grading))))
    for question in assignment.questions:
        called = re.search(
            rf'variant\(\s*"{question.name}",\s*STUDENT,(.*?)\)$', student, re.MULTILINE | re.DOTALL
        )

        assert bool(called) == bool(question.variant), question.name
        if called:
            choices = eval(f"dict({called[1]})")  # noqa: S307 (our own notebook)
            assert {name: list(options) for name, options in choices.items()} == {
                name: list(options) for name, options in question.variant.items()
            }


@every_assignment
def test_nothing_of_the_solutions_or_hidden_tests_is_in_the_student_copy(grading):
    source = load(source_of(grading))
    copied = "\n".join("".join(cell["source"]) for cell in student_copy(source)["cells"])
    solved = "\n".join(code_of(source))
    solutions = re.findall(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", solved, re.DOTALL)
    secret = [line.strip() for solution in solutions for line in solution.splitlines()]
    secret += [line.strip() for line in grading.read_text(encoding="utf-8").splitlines()]

    copied_lines = {line.strip() for line in copied.splitlines()}
    public = ("from ", "import ", "def ", "returns=")
    long_enough = {line for line in secret if len(line) > 25 and not line.startswith(public)}
    assert long_enough & copied_lines == set()
    assert len(solutions) >= len(Assignment.load(grading).questions)
    assert "SOLUTION" not in copied
