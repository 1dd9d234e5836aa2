"""What could leave the building with the notebooks that students get: pictures, metadata, mistyped marks.

Each test first shows what leaves where its one defence is missing.
"""

import json
from pathlib import Path

import pytest

from memsim.cli import main
from memsim.grading.report.gradescope import write_archive
from tests.attacks.stage import GRADING
from tests.exercises.test_handout import SOLUTION, TEST, cell, handed_out

PICTURE = {"s.png": {"image/png": "U0VDUkVUSECRET"}}
SHOWN = {"q.png": {"image/png": "QUESTION"}}
WRITTEN = {**SOLUTION, "grade": True, "points": 3}
TASK = {**SOLUTION, "solution": False, "task": True, "points": 2, "locked": True}
REGION = "def f(x):\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION\n"


def drawn(source, **metadata):
    """Return a text cell with two pictures, that of the question and that of the solution."""
    made = cell(source, "drawn", "markdown", **metadata)
    return made | {"attachments": {**PICTURE, **SHOWN}}


PICTURES = {
    "own-248-of-a-written-answer": drawn("![](attachment:s.png)", **WRITTEN),
    "own-248-of-a-mark-scheme": drawn(
        "![](attachment:q.png)\n=== BEGIN MARK SCHEME ===\n![](attachment:s.png)\n=== END MARK SCHEME ===\n",
        **TASK,
    ),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_goes_with_the_text_that_showed_it(name, tmp_path, monkeypatch):
    """nbgrader clears the text, and the picture stays in the file (nbgrader issue 1782)."""
    with monkeypatch.context() as patched:
        patched.setattr("memsim.grading.assignment.handout._with_shown_pictures", lambda notebook: notebook)
        assert "SECRET" in handed_out(tmp_path, PICTURES[name])[1]

    status, made = handed_out(tmp_path, PICTURES[name])
    assert status == 0
    assert "SECRET" not in made
    assert ("QUESTION" in made) == ("scheme" in name)


def editors(kind):
    """Return a notebook's cell and metadata, as an editor leaves them behind."""
    answer, metadata = cell(REGION, "f-answer", **SOLUTION), {}
    if kind == "cell":
        answer["metadata"]["executionInfo"] = {"user": {"displayName": "SECRET"}, "elapsed": 3}
    elif kind == "notebook":
        metadata["papermill"] = {"parameters": {"answer": "SECRET"}}
    else:
        answer["input"] = "return 'SECRET'"
    return answer, metadata


@pytest.mark.parametrize("first", ["", "from memsim.grading import check\n"])
@pytest.mark.parametrize("kind", ["cell", "notebook", "part"])
def test_own_249_what_editors_keep_beside_the_text_stays_here(kind, first, tmp_path, monkeypatch):
    answer, metadata = editors(kind)
    with monkeypatch.context() as patched:
        patched.setattr("memsim.grading.assignment.handout._kept", lambda given, _: dict(given))
        patched.setattr("memsim.grading.assignment.handout._OF_NOTEBOOK", {*metadata, "kernelspec"})
        assert "SECRET" in handed_out(tmp_path, cell(f"{first}x = 1"), answer, **metadata)[1]

    status, made = handed_out(tmp_path, cell(f"{first}x = 1"), answer, **metadata)
    assert status == 0
    assert "SECRET" not in made
    assert json.loads(made)["cells"][1]["metadata"]["nbgrader"]["grade_id"] == "f-answer"


HALF = REGION + "def g(x):\n    ### BEGIN {0}\n    return 'SECRET'\n    ### END {0}\n"
MISTYPED = {
    "own-250-a-second-solution": cell(HALF.format("SOLUTON"), "f-answer", **SOLUTION),
    "own-250-with-a-blank-too-much": cell(HALF.format("SOLUTI ON"), "f-answer", **SOLUTION),
    "own-250-hidden-tests": cell(
        "### BEGIN HIDEN TESTS\nassert f(2) == 'SECRET'\n### END HIDEN TESTS\n", "f", **TEST
    ),
    "own-250-tests-of-another-tool": cell("# BEGIN TESTS\nassert f(2) == 'SECRET'\n# END TESTS\n"),
    "own-250-tests-under-a-heading": cell(
        "assert f(1)\n### HIDDEN TESTS\nassert f(2) == 'SECRET'\n", "f", **TEST
    ),
    "own-250-a-mark-scheme": drawn("=== BEGIN MARK SCEME ===\nSECRET\n=== END MARK SCEME ===\n", **TASK),
    "own-250-a-solution-in-another-language": cell("## L\xf6sung\nSECRET", kind="markdown"),
    "own-250-a-solution-in-a-comment": cell("Which?\n<!-- model solution: SECRET -->", kind="markdown"),
}


@pytest.mark.parametrize("name", MISTYPED)
def test_what_may_be_meant_for_a_mark_is_refused(name, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patched:
        patched.setattr("memsim.grading.assignment.handout._mark_in", lambda text, *, code: "")  # noqa: ARG005
        assert "SECRET" in handed_out(tmp_path, MISTYPED[name])[1]
    (tmp_path / "out" / "ps.ipynb").unlink()
    capsys.readouterr()

    assert handed_out(tmp_path, MISTYPED[name]) == (2, None)
    assert "cell 1 has the mark " in capsys.readouterr().err


HONEST = [
    "### START CODE HERE ###\nx = 1\n### END CODE HERE ###\n",
    "#  END OF YOUR CODE  #\n",
    "# begin with the first page, end with the last\n",
    "# the end solves nothing\nx = 1  # end of loop\n",
]


@pytest.mark.parametrize("text", HONEST)
def test_other_comments_are_handed_out(text, tmp_path):
    status, made = handed_out(
        tmp_path, cell(text), cell("## Hidden tests\nYou get points by them.", kind="markdown")
    )
    assert status == 0
    assert text.splitlines()[0] in json.loads(made)["cells"][0]["source"][0]


def test_own_251_solved_copies_are_nobody_elses_to_read_before_the_deadline(tmp_path):
    """On a course server students have accounts, and a file can be read by all of them by default."""
    (tmp_path / "naive").write_text("the solution")
    assert (tmp_path / "naive").stat().st_mode & 0o044  # as files are by default
    for options, closed in ((["--solutions"], True), ([], False)):
        out = tmp_path / f"out{len(options)}"
        assert main(["handout", "one-block", "--out", str(out), *options]) == 0
        assert (not (out / "one-block.ipynb").stat().st_mode & 0o077) == closed


def test_own_308_no_moment_leaves_the_tests_of_an_archive_to_other_accounts(tmp_path, monkeypatch):
    """It was written as files are by default, and closed when it was whole: hidden tests, and the key."""
    path = tmp_path / "autograder.zip"

    def ends(*_):
        raise KeyboardInterrupt

    for step in ("chmod", "replace"):
        monkeypatch.setattr(Path, step, ends)
    with pytest.raises(KeyboardInterrupt):
        write_archive(path, GRADING)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    write_archive(path, GRADING)
    assert path.stat().st_mode & 0o777 == 0o600


AT_OTHER_MARKS = (
    'c.ClearHiddenTests.begin_test_delimeter = "VERSTECKT AN"\n'
    'c.ClearHiddenTests.end_test_delimeter = "VERSTECKT AUS"'
)
OF_THE_COURSE = "# VERSTECKT AN\nassert f(2) == 'SECRET'\n# VERSTECKT AUS\n"
KEPT_HIDDEN = {
    "a mark without an end": "### BEGIN HIDDEN TESTS\nassert f(2) == 'SECRET'\n",
    "a mark that is typed wrong": "### BEGIN HIDEN TESTS\nassert f(2) == 'SECRET'\n### END HIDEN TESTS\n",
    "marks of another tool": "# BEGIN TESTS\nassert f(2) == 'SECRET'\n# END TESTS\n",
    "a heading": "assert f(1)\n### HIDDEN TESTS\nassert f(2) == 'SECRET'\n",
}


@pytest.mark.parametrize("kind", KEPT_HIDDEN)
def test_own_272_a_solved_copy_gives_no_hidden_test_away(kind, tmp_path, monkeypatch, capsys):
    """Where the tests are used again next year, the solved copies of this year had them."""
    cells = [cell(REGION, "f-answer", **SOLUTION), cell(KEPT_HIDDEN[kind], "f", **TEST)]
    with monkeypatch.context() as patched:
        patched.setattr("memsim.grading.assignment.handout._mark_of_tests", lambda text, *, code: "")  # noqa: ARG005
        assert "SECRET" in handed_out(tmp_path, *cells, options=["--solutions"])[1]
    (tmp_path / "out" / "ps.ipynb").unlink()
    capsys.readouterr()

    assert handed_out(tmp_path, *cells, options=["--solutions"]) == (2, None)
    assert "a solved copy would give a hidden test away: cell 2" in capsys.readouterr().err


@pytest.mark.parametrize("options", [[], ["--solutions"]])
@pytest.mark.parametrize("first", ["", "from memsim.grading import check\n"])
def test_own_273_what_stands_between_the_marks_of_a_course_stays_here(first, options, tmp_path, monkeypatch):
    """Solved copies, and those of notebooks with checks of memsim's, knew nbgrader's usual marks only."""
    cells = [
        cell(f"{first}x = 1"),
        cell(REGION, "f-answer", **SOLUTION),
        cell(OF_THE_COURSE, "f", **TEST),
    ]
    with monkeypatch.context() as patched:
        patched.setattr("memsim.grading.assignment.handout._has_own_marks", lambda _: False)
        naive = handed_out(tmp_path, *cells, options=options, config=AT_OTHER_MARKS)[1]
        assert ("SECRET" in naive) == bool(options or first)

    status, made = handed_out(tmp_path, *cells, options=options, config=AT_OTHER_MARKS)
    assert status == 0
    assert "SECRET" not in made


DAMAGED = {
    "points without end": (TEST | {"points": float("inf")}, "assert f(1)"),
    "points that are none": (TEST | {"points": float("nan")}, "assert f(1)"),
    "points below zero": (TEST | {"points": -5}, "assert f(1)"),
    "points that are a list": (TEST | {"points": [1]}, "assert f(1)"),
    "a text that is a number": (TEST, 5),
    "a line that is none": (TEST, ["assert f(1)", None]),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_own_274_a_damaged_source_notebook_is_told_in_one_line(kind, tmp_path, capsys):
    metadata, text = DAMAGED[kind]
    source = tmp_path / "ps.ipynb"
    bad = cell("", "f", **metadata) | {"source": text}
    source.write_text(json.dumps({"cells": [bad], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))

    assert main(["gradescope", str(source), "--out", str(tmp_path / "a.zip")]) == 2
    assert "cell 1: its " in capsys.readouterr().err


def test_own_274_a_grading_notebook_of_brackets_is_told_in_one_line(tmp_path, capsys):
    source = tmp_path / "ps.ipynb"
    source.write_text('{"a":' * 50_000)
    assert main(["gradescope", str(source), "--out", str(tmp_path / "a.zip")]) == 2
    assert "it is no notebook" in capsys.readouterr().err
