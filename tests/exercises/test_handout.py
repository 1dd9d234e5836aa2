"""Student copies of other people's notebooks: what nbgrader clears goes, what it cannot see is refused."""

import json
import warnings

import pytest

from memsim.cli import main
from memsim.cli.grade import find_grading

SOLUTION = {"grade": False, "solution": True, "locked": False, "task": False, "schema_version": 3}
TEST = {"grade": True, "solution": False, "locked": True, "task": False, "schema_version": 3, "points": 2}


def cell(source, grade_id="", kind="code", **metadata):
    made = {"cell_type": kind, "id": f"c{abs(hash((source, grade_id))) % 10**8}", "source": source}
    made["metadata"] = {"nbgrader": {**metadata, "grade_id": grade_id}} if grade_id else {}
    return made | ({"outputs": [], "execution_count": None} if kind == "code" else {})


def handed_out(folder, *cells, options=(), config="", **metadata):
    """Return (exit status, text of the student copy or None)."""
    (folder / "ps.ipynb").write_text(
        json.dumps({"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})
    )
    if config:
        (folder / "nbgrader_config.py").write_text(f"c = get_config()\n{config}\n")
    status = main(["handout", str(folder / "ps.ipynb"), "--out", str(folder / "out"), *options])
    made = folder / "out" / "ps.ipynb"
    return status, made.read_text() if made.exists() else None


HIDDEN = "assert f(1) == 1\n{0}BEGIN HIDDEN TESTS\nassert f(2) == 'HIDDEN'\n{0}END HIDDEN TESTS\n"
ANSWERS = {
    "without a blank": "def f(x):\n    ###BEGIN SOLUTION\n    return 'SECRET'\n    ###END SOLUTION\n",
    "a blank behind it": "def f(x):\n    ### BEGIN SOLUTION \n    return 'SECRET'\n    ### END SOLUTION\t\n",
    "two marks": "def f(x):\n    # BEGIN SOLUTION\n    return 'SECRET'\n    ## END SOLUTION now\n",
    "lines of Windows": "def f():\r\n    ### BEGIN SOLUTION\r\n    return 'SECRET'\r\n    ### END SOLUTION",
    "lines of an old Mac": "def f(x):\r    ### BEGIN SOLUTION\r    return 'SECRET'\r    ### END SOLUTION\r",
    "no marks": "def f(x):\n    return 'SECRET'\n",
    "marks in small letters": "def f(x):\n    ### begin solution\n    return 'SECRET'\n    ### end solution",
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_a_solution_between_any_marks_is_cleared(kind, tmp_path):
    answer = cell(ANSWERS[kind], "f-answer", **SOLUTION)
    status, made = handed_out(tmp_path, answer, cell(HIDDEN.format("### "), "f", **TEST))

    assert status == 0
    assert "SECRET" not in made
    assert "HIDDEN" not in made
    assert "YOUR CODE HERE" in made


OURS = "from memsim.grading import check\n"
SOLVED = "    BEGIN\n    secret = 'SECRET'\n    END\n"
INNER = SOLVED.replace("    ", "        ")
PLACES = {
    "a function": f"def f(x):\n{SOLVED}",
    "a method": f"class C:\n    async def f(self):\n        '\\d'\n{INNER}",
    "a class": f"class C:\n{SOLVED}",
    "a class in a function": f"def f(x):\n    class C:\n{INNER}    return C\n",
    "a branch": f"if True:\n{SOLVED}",
    "no block": SOLVED.replace("    ", ""),
}


@pytest.mark.parametrize("ours", [True, False], ids=["ours", "theirs"])
@pytest.mark.parametrize("mark", ["###", "#"])  # the second is known to nbgrader only
@pytest.mark.parametrize("place", PLACES)
def test_every_cell_compiles_wherever_the_marks_are(place, mark, ours, tmp_path):
    source = PLACES[place].replace("BEGIN", f"{mark} BEGIN SOLUTION").replace("END", f"{mark} END SOLUTION")
    first = cell(OURS if ours else "x = 1\n")
    status, made = handed_out(tmp_path, first, cell(source, "f-answer", **SOLUTION))

    assert status == 0
    assert "SECRET" not in made
    with warnings.catch_warnings(action="ignore"):  # about '\d'
        for each in json.loads(made)["cells"]:
            compile("".join(each["source"]), place, "exec")


@pytest.mark.parametrize("mark", ["###", "#  ", "%%%% ", "##"])
def test_hidden_tests_between_any_marks_are_cleared(mark, tmp_path):
    status, made = handed_out(tmp_path, cell(HIDDEN.format(mark), "f", **TEST))

    assert status == 0
    assert "HIDDEN" not in made
    assert "assert f(1) == 1" in made


def test_written_answers_and_mark_schemes_are_cleared(tmp_path):
    essay = cell("The answer is SECRET.", "essay", "markdown", **{**SOLUTION, "grade": True, "points": 3})
    scheme = "Explain.\n=== BEGIN MARK SCHEME ===\nSECRET\n=== END MARK SCHEME ===\n"
    task = cell(
        scheme,
        "task",
        "markdown",
        **{**SOLUTION, "solution": False, "task": True, "points": 2, "locked": True},
    )
    status, made = handed_out(tmp_path, essay, task)

    assert status == 0
    assert "SECRET" not in made
    assert "YOUR ANSWER HERE" in made


def test_outputs_and_the_state_of_widgets_go_too(tmp_path):
    shown = cell("2 + 2")
    shown["outputs"] = [
        {
            "output_type": "execute_result",
            "execution_count": 1,
            "metadata": {},
            "data": {"text/plain": "SECRET"},
        }
    ]
    status, made = handed_out(tmp_path, shown, widgets={"state": "SECRET"})

    assert status == 0
    assert "SECRET" not in made


def test_the_courses_own_settings_are_followed(tmp_path):
    config = 'c.ClearSolutions.begin_solution_delimeter = "ANSWER STARTS"\n'
    config += 'c.ClearSolutions.end_solution_delimeter = "ANSWER ENDS"\n'
    config += 'c.ClearSolutions.code_stub = {"python": "..."}'
    source = "def f(x):\n    # ANSWER STARTS\n    return 'SECRET'\n    # ANSWER ENDS\n"
    status, made = handed_out(tmp_path, cell(source, "f-answer", **SOLUTION), config=config)

    assert status == 0
    assert "SECRET" not in made
    assert "def f(x):" in made


REFUSED = {
    "hidden tests in small letters": cell(HIDDEN.lower().format("### "), "f", **TEST),
    "a solution outside an answer cell": cell(ANSWERS["two marks"]),
    "hidden tests outside a test cell": cell(HIDDEN.format("### ")),
    "no end": cell("### BEGIN SOLUTION\nreturn 'SECRET'\n", "f-answer", **SOLUTION),
    "a mark of another tool": cell("x = 'SECRET'  # SOLUTION\n"),
    "a region of another tool": cell("# BEGIN_SOLUTION\nx = 'SECRET'\n# END_SOLUTION\n"),
    "a test that the solution fills in": cell("### AUTOTEST f(2)\n", "f", **TEST),
    "a mark in a text": cell("### BEGIN SOLUTION\nSECRET\n### END SOLUTION\n", kind="markdown"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_would_stay_is_refused_and_nothing_is_written(kind, tmp_path, capsys):
    status, made = handed_out(tmp_path, REFUSED[kind])

    assert status == 2
    assert made is None
    assert "ps.ipynb: " in capsys.readouterr().err


def test_two_cells_of_one_name_are_named(tmp_path, capsys):
    twins = [cell("assert f(1) == 1\n", "t", **TEST), cell("assert f(2) == 4\n", "t", **TEST)]
    status, made = handed_out(tmp_path, *twins)

    assert (status, made) == (2, None)
    assert "the cells 1 and 2 have one grade_id, 't'; give one of them another" in capsys.readouterr().err


def test_one_leak_keeps_all_of_a_command_from_being_written(tmp_path):
    good = tmp_path / "good.ipynb"
    good.write_text(
        json.dumps({"cells": [cell("x = 1")], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    handed_out(tmp_path, REFUSED["a mark of another tool"])

    assert main(["handout", str(good), str(tmp_path / "ps.ipynb"), "--out", str(tmp_path / "both")]) == 2
    assert not (tmp_path / "both").exists()


def test_without_nbgrader_another_notebook_is_refused_and_ours_is_not(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "nbgrader.preprocessors", None)
    assert handed_out(tmp_path, cell(ANSWERS["no marks"], "f-answer", **SOLUTION)) == (2, None)
    assert "pip install nbgrader" in capsys.readouterr().err
    ours = "exercises/source/one-block/one-block.ipynb"

    assert main(["handout", ours, "--out", str(tmp_path / "ours")]) == 0


def test_the_solved_copy_has_the_solution_and_no_marks_or_hidden_tests(tmp_path):
    cells = [
        cell(ANSWERS["without a blank"], "f-answer", **SOLUTION),
        cell(HIDDEN.format("###"), "f", **TEST),
    ]
    status, made = handed_out(tmp_path, *cells, options=["--solutions"])

    assert status == 0
    assert "SECRET" in made
    assert "BEGIN" not in made
    assert "HIDDEN" not in made


def test_an_assignment_goes_by_its_name_wherever_the_course_is(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # an instructor's folder, without exercises/
    assert main(["handout", "one-block", "--out", "out"]) == 0
    assert "BEGIN SOLUTION" not in (tmp_path / "out" / "one-block.ipynb").read_text(encoding="utf-8")
    assert find_grading("one-block").name == "one_block.py"
    assert main(["handout", "no-such", "--out", "out"]) == 2
    assert (
        "there is neither such a file nor exercises/source/no-such/no-such.ipynb" in capsys.readouterr().err
    )
