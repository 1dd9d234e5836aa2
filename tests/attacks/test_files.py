"""Attacks by what is handed in: links, names, archives, markup, times, and copies of cells.

Each test first shows what the obvious way of doing it would let happen.
"""

import csv
import gzip
import html
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from memsim.grading.assignment.assignment import Assignment
from memsim.grading.assignment.checking import CheckError, check
from memsim.grading.report import feedback, tables
from memsim.grading.report.late import LateError, Policy, collected, moment
from memsim.grading.report.outputs import write_all
from memsim.grading.run.batch import Batch
from memsim.grading.run.engines import ThisMachine, opened
from memsim.grading.run.grade import Grader
from memsim.grading.run.notebook import LARGEST_FILE, UnreadableError, read, sources
from memsim.grading.run.submissions import find
from memsim.grading.sandbox.guest.variants import variant

from .stage import ASSIGNMENT, FULL, GRADING, SOLVED, examine

QUESTIONS = [question.name for question in ASSIGNMENT.questions]


def notebook(*cells, **metadata):
    return json.dumps(
        {
            "cells": [
                {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": cell}
                for cell in cells
            ],
            "metadata": metadata,
            "nbformat": 4,
            "nbformat_minor": 5,
        }
    ).encode()


def grade(fence, data, student="mallory", name="work.ipynb"):
    return Grader(ASSIGNMENT, GRADING.encode(), fence, "a key").grade(student, name, data)


def scores(result):
    return {question.name: question.score for question in result.questions}


def batch(fence, folder, out):
    handed = find([folder], "attacked", QUESTIONS).handed
    with (
        Path(os.devnull).open("w") as nothing,
        Batch(out, GRADING, fence, ThisMachine(1), progress=nothing) as made,
    ):
        return made.run(handed)


@pytest.mark.parametrize(
    "kind", ["row-15-a-symbolic-link", "own-58-a-hard-link", "own-59-a-link-to-a-device"]
)
def test_what_is_no_file_of_its_own_is_not_opened(kind, batch_fence, tmp_path):
    solution = tmp_path / "solution.ipynb"
    solution.write_bytes(notebook(*SOLVED))
    work = tmp_path / "submitted"
    work.mkdir()
    (work / "honest.ipynb").write_bytes(notebook(*SOLVED))
    stolen = work / "mallory.ipynb"
    if "symbolic" in kind:
        stolen.symlink_to(solution)
    elif "hard" in kind:
        stolen.hardlink_to(solution)
    else:
        stolen.symlink_to("/dev/zero")

    if "device" not in kind:
        assert stolen.read_bytes() == notebook(*SOLVED)  # whoever only opens it grades the solution
    results = {result.student: result for result in batch(batch_fence, work, tmp_path / "out")}
    assert results["mallory"].score == 0
    assert "link" in results["mallory"].unreadable
    assert scores(results["honest"]) == FULL


def test_own_60_a_pipe_that_nobody_writes_to_does_not_stop_the_batch(batch_fence, tmp_path):
    work = tmp_path / "submitted"
    work.mkdir()
    os.mkfifo(work / "mallory.ipynb")
    (work / "honest.ipynb").write_bytes(notebook(*SOLVED))
    opens = [sys.executable, "-c", f"open({str(work / 'mallory.ipynb')!r}).read()"]
    with pytest.raises(subprocess.TimeoutExpired):  # whoever only opens it waits for ever
        subprocess.run(opens, timeout=1, check=False)  # noqa: S603 (ours)

    results = {result.student: result for result in batch(batch_fence, work, tmp_path / "out")}
    assert results["mallory"].unreadable == "it is not a plain file"
    assert scores(results["honest"]) == FULL


def test_own_61_a_folder_that_is_a_link_is_not_entered(batch_fence, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "attacked.ipynb").write_bytes(notebook(*SOLVED))
    work = tmp_path / "submitted"
    work.mkdir()
    (work / "mallory").symlink_to(elsewhere)

    assert list((work / "mallory").glob("*.ipynb"))  # whoever only lists it finds somebody else's work
    (result,) = batch(batch_fence, work, tmp_path / "out")
    assert result.score == 0
    assert "link" in result.unreadable


@pytest.mark.parametrize("place", ["mallory", "mallory/attacked", "mallory/attacked/attacked.ipynb"])
def test_own_254_what_takes_the_place_of_a_folder_while_others_are_graded_is_not_entered(place, tmp_path):
    """Whoever can write there sees by the time of access that the folder was listed, and changes it then."""
    theirs, work = tmp_path / "theirs" / "attacked", tmp_path / "submitted"
    for folder in (theirs, work / "mallory" / "attacked"):
        folder.mkdir(parents=True)
        (folder / "attacked.ipynb").write_bytes(notebook(f"'the work of {folder.parent.name}'"))
    (one,) = find([work], "attacked", QUESTIONS).handed
    assert b"the work of mallory" in opened(one).data

    (work / place).rename(tmp_path / "before")
    (work / place).symlink_to(tmp_path / Path("theirs", *Path(place).parts[1:]))
    assert b"the work of theirs" in one.path.read_bytes()
    assert opened(one).data == b""
    assert "link" in opened(one).reason or "Not a directory" in opened(one).reason
    if place != "mallory/attacked/attacked.ipynb":
        assert (
            b"the work of theirs" in opened(replace(one, top=None)).data
        )  # where only the file's own name counts


def test_row_16_a_module_beside_the_notebook_is_not_imported(batch_fence, tmp_path):
    work = tmp_path / "submitted" / "mallory"
    work.mkdir(parents=True)
    (work / "numpy.py").write_text("def helper(number):\n    return 2 * number\n")
    cells = ["from numpy import helper\ndef double(number):\n    return helper(number)", SOLVED[1]]
    (work / "attacked.ipynb").write_bytes(notebook(*cells))

    imports = [sys.executable, "-c", "import numpy; print(numpy.helper(3))"]
    ran = subprocess.run(imports, cwd=work, capture_output=True, text=True, check=False)  # noqa: S603 (ours)
    assert ran.stdout == "6\n"  # in the student's folder it shadows the installed package
    (result,) = batch(batch_fence, work.parent, tmp_path / "out")
    assert scores(result) == {"double": 0, "plus_one": 2}


def test_row_17_times_come_from_the_collector_only(tmp_path):
    work = tmp_path / "mallory"
    work.mkdir()
    (work / "attacked.ipynb").write_bytes(notebook(*SOLVED, timestamp="2001-01-01"))
    (work / "timestamp.txt").write_text("2001-01-01 00:00:00 UTC")
    os.utime(work / "attacked.ipynb", (978_307_200, 978_307_200))
    late = datetime.fromtimestamp((work / "attacked.ipynb").stat().st_mtime, UTC)
    (tmp_path / "times.csv").write_text("student,time\nmallory,2026-12-02T00:30+00:00\n")

    due = moment("2026-12-01T00:00+00:00", "")
    assert late < due  # by its own account it is early
    policy = Policy(due, times=collected(tmp_path / "times.csv"))
    assert policy.days("mallory") == 2
    with pytest.raises(LateError, match="UTC"):
        moment("2026-12-01T00:00", "--due")


class Tags(HTMLParser):
    """Collects what a browser would make of a page."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"


@pytest.mark.parametrize(
    "cell",
    [
        pytest.param(f"def double(number):\n    raise ValueError({SCRIPT!r})", id="row-18-in-an-exception"),
        pytest.param(f"def double(number):\n    print({SCRIPT!r})", id="row-18-in-what-is-printed"),
        pytest.param(f"def double(number):\n    return {{{SCRIPT!r}: 1}}", id="row-18-in-an-answer"),
        pytest.param(
            f"raise ValueError({SCRIPT!r})\ndef double(number): pass", id="row-18-in-a-cell-that-fails"
        ),
    ],
)
def test_row_18_markup_of_a_student_is_text(cell, fence):
    result = grade(fence, notebook(cell, SOLVED[1]), student=SCRIPT, name=f"{SCRIPT}.ipynb")
    page = feedback.page(result)

    assert SCRIPT in result.student  # as it is, a browser would run it
    assert [tag for tag, _ in Tags(SCRIPT).found] == ["script", "img"]
    assert {tag for tag, _ in Tags(page).found} <= {
        *("html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "br", "span", "pre"),
        *("table", "thead", "tbody", "tr", "th", "td", "ul", "li", "strong", "div"),
    }
    assert not any(name.startswith("on") for _, attributes in Tags(page).found for name in attributes)
    policy = next(attributes["content"] for _, attributes in Tags(page).found if "content" in attributes)
    assert policy.startswith("default-src 'none'; style-src 'sha256-")


def test_own_41_half_a_character_does_not_stop_the_feedback(fence, tmp_path):
    quotes = GRADING.replace('"double", 1, "compute", int', '"double", 1, "compute", str').replace(
        'return None if answer == 6 else "It is not twice three."', 'return f"{answer} is not six."'
    )
    cells = ["def double(number):\n    return '\\ud800'", SOLVED[1]]
    result = Grader(Assignment.parse(quotes), b"", fence, "k").grade("mallory", "w.ipynb", notebook(*cells))
    message = result.questions[0].tests[0].message

    with pytest.raises(UnicodeEncodeError):  # whoever writes it down as it is does not come to the next one
        (tmp_path / "naive.html").write_text(message, encoding="utf-8")
    write_all(tmp_path, [result], {})
    assert "d800 is not six." in (tmp_path / "feedback" / "mallory.html").read_text(encoding="utf-8")


def test_own_184_a_message_that_quotes_an_answer_is_as_long_as_a_message(fence, tmp_path):
    """A test may quote what was answered: as long as answers may be, for every test, in four files each."""
    quotes = GRADING.replace('"double", 1, "compute", int', '"double", 1, "compute", str').replace(
        'return None if answer == 6 else "It is not twice three."', 'return f"{answer * 20} is not six."'
    )
    cells = ["def double(number):\n    return '<' * 50_000", SOLVED[1]]
    result = Grader(Assignment.parse(quotes), b"", fence, "k").grade("mallory", "w.ipynb", notebook(*cells))
    write_all(tmp_path, [result], {})

    (first, _) = Assignment.parse(quotes).questions[0].tests
    judging = first(None, {})
    next(judging)
    with pytest.raises(StopIteration) as end:
        judging.send("<" * 50_000)
    assert len(end.value.value) > 1_000_000  # what the test itself says
    assert len(result.questions[0].tests[0].message) <= 2000
    assert sum(path.stat().st_size for path in written_by_students(tmp_path)) < 100_000


def test_own_62_control_and_direction_characters_are_spelt_out(fence, monkeypatch):
    result = grade(fence, notebook("def double(number):\n    return 0  # \x1b[2J\u202e\x00\ud800"))
    page = feedback.page(result)

    assert "Your answer" in page
    assert not re.search("[\x00\x1b\u202e]", page)
    page.encode()  # half a character would not
    monkeypatch.setattr(
        "memsim.grading.report.feedback.text", html.escape
    )  # what keeps markup out, and no more
    assert len(set(re.findall("[\x00\x1b\u202e]", feedback.page(result)))) == 3


def test_row_19_no_hidden_test_is_in_what_is_given_back(fence):
    result = grade(fence, notebook("def double(number):\n    return 0", SOLVED[1]))
    given = feedback.page(result) + json.dumps(tables.gradescope(result)) + tables.moodle([result])

    for line in GRADING.splitlines():
        if "yield" in line or "randrange" in line or "answer ==" in line or "answer !=" in line:
            assert line.strip() not in given
    assert "It is not twice the number." in given


@pytest.mark.parametrize(
    "cells",
    [
        pytest.param([SOLVED[1]], id="row-26-the-cell-is-deleted"),
        pytest.param([SOLVED[1], "assert True", "double(3)"], id="row-27-the-test-is-edited"),
    ],
)
def test_rows_26_and_27_the_students_copy_of_a_test_decides_nothing(cells, fence):
    assert scores(grade(fence, notebook(*cells))) == {"double": 0, "plus_one": 2}


def test_row_27_points_in_the_metadata_are_not_read(fence):
    document = json.loads(notebook("def double(number):\n    return 0", SOLVED[1]))
    for cell in document["cells"]:
        cell["metadata"]["nbgrader"] = {"grade": True, "points": 1000, "grade_id": "double"}

    result = grade(fence, json.dumps(document).encode())
    assert sum(cell["metadata"]["nbgrader"]["points"] for cell in document["cells"]) == 2000
    assert (result.score, result.max_score) == (2, 5)


def test_row_28_copies_of_cells_with_one_id_do_not_stop_anything(fence):
    document = json.loads(notebook(*SOLVED, *SOLVED))
    for cell in document["cells"]:
        cell["id"] = "same"
        cell["metadata"]["nbgrader"] = {"grade_id": "same"}
    ids = [cell["metadata"]["nbgrader"]["grade_id"] for cell in document["cells"]]

    assert len(set(ids)) < len(ids)  # by id, all but one would be lost
    assert scores(grade(fence, json.dumps(document).encode())) == FULL


LOOK = """
import os, sys
def seen():
    return [repr(sorted(os.environ.items())), repr(sys.argv), os.getcwd(), repr(sys.path), repr(sys.flags)]
"""


def test_row_29_a_check_and_the_grading_cannot_be_told_apart(fence, capsys, monkeypatch):
    shown = {}
    monkeypatch.setenv("NAIVE_GRADING", "1")  # what graders set, and students look for
    monkeypatch.setattr("memsim.grading.assignment.checking._strongest", lambda: fence)

    def keep(value):
        shown["check"] = value

    check("seen", returns=list[str], examples=[([], keep, "")], cells=[LOOK])
    assignment = GRADING.replace('"double", 1, "compute", int', '"seen", 1, "compute", list[str]').replace(
        "answer = yield [3]", "answer = yield []\n    KEPT.append(answer)"
    )
    kept = []
    space = {"__name__": "grading", "KEPT": kept}
    exec(compile(assignment, "grading", "exec"), space)  # noqa: S102 (a grading file)
    Grader(space["ASSIGNMENT"], b"", fence, "k").grade("mallory", "work.ipynb", notebook(LOOK))

    assert kept[0] == shown["check"]
    assert "NAIVE_GRADING" not in kept[0][0]
    assert "seen: 1 of 1" in capsys.readouterr().out


def test_a_check_says_what_the_grading_says(fence, monkeypatch):
    monkeypatch.setattr("memsim.grading.assignment.checking._strongest", lambda: fence)
    cells = ["def double(number):\n    raise SystemExit(7)"]
    graded = grade(fence, notebook(*cells)).questions[0].tests[0].message

    with pytest.raises(CheckError) as caught:
        check("double", returns=int, examples=[([3], 6, "Twice three.")], cells=cells)
    assert graded.startswith("double() raised SystemExit; call it with the numbers of the examples")
    assert "it raised SystemExit: 7 (cell 1, line 2)" in str(caught.value)


def test_row_30_a_notebook_full_of_metadata_and_attachments_is_read_or_refused(fence, tmp_path, monkeypatch):
    document = json.loads(notebook(*SOLVED, junk="x" * (5 << 20)))
    document["cells"][0]["attachments"] = {"a.png": {"image/png": "A" * (5 << 20)}}
    data = json.dumps(document).encode()

    assert len(data) > 10 << 20
    assert scores(grade(fence, data)) == FULL
    monkeypatch.setattr("memsim.grading.run.notebook.LARGEST_FILE", 1 << 20)
    (tmp_path / "large.ipynb").write_bytes(data)
    with pytest.raises(UnreadableError, match="10 MiB, more than 1: clear its outputs"):
        read(tmp_path / "large.ipynb")


def test_own_63_a_bomb_of_brackets_is_not_opened():
    bomb = b'{"cells": ' + b"[" * 1_000_000
    with pytest.raises(RecursionError):
        json.loads(bomb)

    with pytest.raises(UnreadableError, match="no cell"):
        sources(bomb)


def zipped(data):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("work.ipynb", data)
    return packed.getvalue()


def unzipped(data):
    return zipfile.ZipFile(io.BytesIO(data)).read("work.ipynb")


@pytest.mark.parametrize(
    ("pack", "unpack"),
    [
        pytest.param(zipped, unzipped, id="own-64-a-zip-archive"),
        pytest.param(gzip.compress, gzip.decompress, id="own-64-a-gzip-archive"),
    ],
)
def test_an_archive_is_refused_and_never_unpacked(pack, unpack):
    bomb = pack(bytes(LARGEST_FILE + 1))

    assert len(bomb) < LARGEST_FILE / 500  # so that a limit on the file lets it pass
    assert len(unpack(bomb)) > LARGEST_FILE
    with pytest.raises(UnreadableError, match=r"archive.*hand in the"):
        sources(bomb)


def in_its_place(out, path):
    """Return whether a file of a student is where such files belong, with a name that can be passed on."""
    folders = {"feedback": 2, "gradescope": 3}
    parts = path.relative_to(out).parts if path.is_relative_to(out) else ("elsewhere",)
    return folders.get(parts[0]) == len(parts) and str(path).isprintable()


def written_by_students(folder):
    """Return the files that are named after students."""
    ours = {"grades.csv", "canvas.csv", "moodle.csv", "report.json"}
    return [path for path in folder.rglob("*") if path.is_file() and path.name not in ours]


@pytest.mark.parametrize("student", ["../../escaped", "..", "a/b", "x" * 400, "\udcff", "a\nb"])
def test_own_65_a_students_name_is_no_path(student, fence, tmp_path, monkeypatch):
    result = grade(fence, notebook(*SOLVED), student=student)
    out = tmp_path / "out" / "deep"
    write_all(out, [result], {})
    assert len(written_by_students(tmp_path)) == 2
    assert all(in_its_place(out, path) for path in written_by_students(tmp_path))

    monkeypatch.setattr("memsim.grading.report.outputs.file_name", str)
    naive = tmp_path / "naive" / "deep"
    try:
        write_all(naive, [result], {})
    except OSError:  # it ends the batch
        return
    written = written_by_students(tmp_path / "naive") + list(tmp_path.glob("escaped*"))
    assert len(written) < 2 or not all(in_its_place(naive, path) for path in written)


def test_own_66_a_students_name_is_no_formula(fence, monkeypatch):
    result = grade(fence, notebook(*SOLVED), student='=HYPERLINK("http://example.org","ada")')

    def formulas():
        made = [tables.grades([result]), tables.canvas([result]), tables.moodle([result])]
        cells = [cell for table in made for row in csv.reader(table.splitlines()) for cell in row]
        return [cell for cell in cells if cell.startswith("=")]

    assert formulas() == []
    monkeypatch.setattr("memsim.grading.report.tables._harmless", lambda cell: cell)
    assert len(formulas()) == 5  # Canvas and Moodle have the name twice


def test_own_67_a_long_name_that_begins_as_anothers_takes_no_place_of_theirs(fence, tmp_path, monkeypatch):
    names = ["x" * 300, "x" * 300 + "y"]
    results = [grade(fence, notebook(*SOLVED), student=name) for name in names]
    write_all(tmp_path / "out", results, {})
    assert len(written_by_students(tmp_path / "out")) == 4

    monkeypatch.setattr("memsim.grading.report.outputs.file_name", lambda name: name[:150])
    write_all(tmp_path / "naive", results, {})
    assert len(written_by_students(tmp_path / "naive")) == 2  # of the first one nothing is left


def test_own_68_the_students_id_is_the_collectors(fence):
    by_hand = GRADING.replace("limits=LIMITS", "limits=LIMITS, variant={'block': range(1000)}").replace(
        'return None if answer == 6 else "It is not twice three."',
        'return None if answer == mine["block"] else "Not your block."',
    )
    assignment = Assignment.parse(by_hand)
    hers = variant("double", "ada", block=range(1000))["block"]
    copied = [
        "STUDENT = 'ada'",
        f"def double(number):\n    return {hers} if number == 3 else 0",
        SOLVED[1],
    ]

    assert examine(fence, copied, "ada", assignment=assignment)[0]["double"] == 1  # if it were believed
    assert examine(fence, copied, "mallory", assignment=assignment)[0]["double"] == 0


def test_own_69_what_is_left_in_the_output_folder_by_a_student_is_not_there(batch_fence, tmp_path):
    work = tmp_path / "submitted"
    work.mkdir()
    (work / "mallory.ipynb").write_bytes(notebook("def double(number):\n    return 0", SOLVED[1]))
    batch(batch_fence, work, tmp_path / "out")
    stored = tmp_path / "out" / "results" / "mallory.json"
    document = json.loads(stored.read_text())
    shutil.copy(stored, stored.with_name("kept"))
    stored.write_text(
        json.dumps({**document, "score": 1000, "questions": []})[:-40]
    )  # damaged, or forged badly

    (again,) = batch(batch_fence, work, tmp_path / "out")
    assert again.score == 2
    assert json.loads(stored.read_text()) == json.loads(stored.with_name("kept").read_text())


def test_every_row_of_the_list_and_more_of_our_own_are_here():
    folder = Path(__file__).parent
    others = ("exercises/test_[ghs]*.py", "unit/test_own_driver.py")
    modules = [*folder.glob("test_*.py"), *(path for each in others for path in folder.parent.glob(each))]
    texts = "\n".join(path.read_text(encoding="utf-8") for path in modules)
    names = texts + "\n".join(path.stem for path in folder.parent.glob("material/attacks/*/*.py"))
    rows = {int(number) for number in re.findall(r"row[-_](\d\d)", names)}
    own = {int(number) for number in re.findall(r"own[-_](\d{2,3})", names)}

    assert rows == set(range(1, 35))
    # No attack ever had these numbers.
    assert set(range(1, max(own) + 1)) - own <= {76, *range(210, 220), 278, 279}
    assert len(own) >= 20
