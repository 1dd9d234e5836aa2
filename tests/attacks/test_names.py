"""Attacks by names: files and folders that are called as if they were another student's.

A learning management system puts its own words before what a student has called a file, and most let
students change the name that is shown of them. Each test first shows whose a submission is where such words
are believed.
"""

import json
import os
import re
import warnings
import zipfile

import pytest

from memsim.cli import main
from memsim.grading.report.class_page import Class, page
from memsim.grading.report.gradebook import record
from memsim.grading.report.outputs import write_archives
from memsim.grading.report.results import Result
from memsim.grading.roster.labels import label
from memsim.grading.roster.people import Person, Roster, RosterError, read_roster
from memsim.grading.run.submissions import _Collecting, file_name, find
from memsim.grading.sandbox.fences import NONE

from .stage import ASSIGNMENT, GRADING
from .test_files import QUESTIONS, notebook

ADA = Person("a1", "Ada Lovelace", login="ada")
EVE = Person("e3", "Eve Evans", login="eve")
ROSTER = Roster([ADA, Person("b2", "Bob Smith", login="bob"), EVE])
BLACKBOARD = "attacked_{}_attempt_2026-11-30-23-59-00_{}"
NOT_HIS = "x_ada_attempt_2027-11-30-23-59-00_attacked.ipynb"
GREEDY = re.compile(
    r"(?P<head>.+)_(?P<who>[^_]+)_attempt_(?P<date>\d{4}(?:-\d\d){5})(?:_(?P<file>.+)|(?P<own>$))"
)


def whose(folder, roster, files):
    """Return what each student has handed in, and what belongs to nobody for certain."""
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(notebook(f"def double(n): return {file!r}"))
    found = find([folder], "attacked", QUESTIONS, roster)
    return {one.student: str(one.path.relative_to(folder)) for one in found.handed}, found


def by_any_name(names):
    """Return what each name says by itself."""
    return {name: mark for name in names if (mark := label(name))}


def with_a_known_name(self, entries):
    """Return the folders in which a name stands that is a student's, or that a system could have given."""
    folders = [entry for entry in entries if entry.is_dir()]
    return {f for f in folders if any(label(one.name) or self._known(one.stem) for one in f.iterdir())}


FOLDERS = {
    "own-227-in-canvas-a-name-of-blackboards": (
        ["lovelaceada_11_98_attacked.ipynb", "smithbob_22_99_attacked.ipynb"],
        f"evanseve_33_100_{NOT_HIS.replace('2027', '9999')}",
        ("memsim.grading.run.submissions.labels", by_any_name),
    ),
    "own-228-in-blackboard-two-names-of-blackboards": (
        [BLACKBOARD.format("ada", "attacked.ipynb"), BLACKBOARD.format("bob", "attacked.ipynb")],
        BLACKBOARD.format("eve", NOT_HIS),
        ("memsim.grading.roster.labels._BLACKBOARD", GREEDY),
    ),
    "own-229-in-a-folder-of-ones-own-a-name-of-canvass": (
        ["ada/attacked.ipynb", "bob/attacked.ipynb"],
        "eve/lovelaceada_4711_99887766_attacked.ipynb",
        ("memsim.grading.run.submissions._Collecting._sections", with_a_known_name),
    ),
    "own-230-in-a-repository-of-ones-own-folders-of-others": (
        ["attacked-ada/attacked.ipynb", "attacked-bob/attacked.ipynb"],
        "attacked-eve/ada/attacked.ipynb",
        ("memsim.grading.run.submissions._Collecting._sections", with_a_known_name),
    ),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_file_is_of_the_student_whom_the_collector_names(name, tmp_path, monkeypatch):
    honest, hostile, (defence, naive) = FOLDERS[name]
    with monkeypatch.context() as patched:
        patched.setattr(defence, naive)
        handed, _ = whose(tmp_path, ROSTER, [*honest, hostile])
        assert "e3" not in handed  # and ada has a second file
        assert sum(len(one.others) for one in find([tmp_path], "attacked", QUESTIONS, ROSTER).handed) or (
            handed["a1"] == hostile
        )

    handed, found = whose(tmp_path, ROSTER, [])
    assert handed == {"a1": honest[0], "b2": honest[1], "e3": hostile}
    assert not any(one.others for one in found.handed)
    assert found.unknown == {}


NUMBERED = {
    "own-231-in-moodle-the-name-of-another": "{}_{}_assignsubmission_file/{}attacked.ipynb",
    "own-232-in-brightspace-the-name-of-another": "{1}-77 - {0} - Nov 30, 2026 1159 PM - {2}attacked.ipynb",
}


@pytest.mark.parametrize("shown", ["Ada Lovelace", "\uff21da  LOVELACE"])
@pytest.mark.parametrize("name", NUMBERED)
def test_two_who_are_called_alike_are_asked_about(name, shown, tmp_path, monkeypatch):
    """The roster knows one of them, and by the name alone that could be either."""
    theirs, own = NUMBERED[name].format("Ada Lovelace", 111, ""), NUMBERED[name].format(shown, 333, "z")
    with monkeypatch.context() as patched:
        patched.setattr(_Collecting, "_fits", lambda *_: True)
        handed, _ = whose(tmp_path, ROSTER, [theirs, own])
        assert list(handed) == ["a1"]  # one of the two files is lost

    handed, found = whose(tmp_path, ROSTER, [])
    assert "a1" not in handed
    assert sorted(handed.values()) == sorted([theirs, own])
    assert found.unknown == {theirs: "a1", own: "a1"}


def test_own_233_a_name_with_another_number_than_the_rosters_is_asked_about(tmp_path, monkeypatch):
    roster = Roster([Person("a1", "Ada Lovelace", canvas="11"), EVE])
    file = "lovelaceada_33_99_attacked.ipynb"
    with monkeypatch.context() as patched:
        patched.setattr(_Collecting, "_fits", lambda *_: True)
        assert whose(tmp_path, roster, [file])[0] == {"a1": file}

    handed, found = whose(tmp_path, roster, [])
    assert "a1" not in handed
    assert found.unknown == {file: "a1"}


def test_own_234_a_folder_in_a_submission_takes_nobodys_place_in_the_feedback(tmp_path):
    """The pages go back under the names that the system gave: two of one name, and one is lost."""
    theirs = "Ada Lovelace_111_assignsubmission_file/attacked.ipynb"
    own = f"Eve Evans_333_assignsubmission_file/{theirs}"
    _, found = whose(tmp_path, ROSTER, [theirs, own])
    innermost = [next(filter(label, reversed(one.path.parts))) for one in found.handed]
    assert len(set(innermost)) == 1

    assert [one.packed for one in found.handed] == [theirs.partition("/")[0], own.partition("/")[0]]


def test_own_219_a_file_in_the_name_of_an_absent_student_is_told(tmp_path, capsys, monkeypatch):
    """Where the roster has no number, the name decides, and most systems let students choose that."""
    roster = Roster([Person("a1", "Ada Lovelace"), Person("b2", "Bob Smith", canvas="22"), EVE])
    files = ["lovelaceada_33_99_attacked.ipynb", "smithbob_22_98_attacked.ipynb"]
    handed, found = whose(tmp_path / "work", roster, files)
    assert handed == {"a1": files[0], "b2": files[1]}  # it may be Eve's: nothing shows that it is not
    assert found.by_name == {"a1": files[0]}

    (tmp_path / "roster.csv").write_text("id,name,canvas\na1,Ada Lovelace,\nb2,Bob Smith,22\ne3,Eve Evans,\n")
    (tmp_path / "attacked.py").write_text(GRADING)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("memsim.grading.sandbox.holds.fence_that_holds", lambda *_, **__: (NONE, []))
    main(["grade", "work", "--assignment", "attacked.py", "--out", "out"])
    said = capsys.readouterr().out
    assert f"known by a name alone: 1\n  a1 ({files[0]}): the roster has no such number" in said
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["by_name_alone"] == {"a1": files[0]}
    shown = (tmp_path / "out" / "index.html").read_text().replace("<wbr>", "")
    why = f"the roster does not have the number in {files[0]}"
    assert f"<td>known by a name alone</td><td>{why}</td>" in shown


LONGEST_CELL = 32_767
"""Letters in a cell of Excel; what is longer goes on in the next row (Excel specifications and limits)."""


def test_own_238_many_files_with_long_names_fit_into_a_cell(tmp_path):
    files = [f"eve/attacked {number:04} {'=x;' * 60}.ipynb" for number in range(200)]
    _, found = whose(tmp_path, ROSTER, files)
    (one,) = found.handed
    assert len(", ".join(one.others)) > LONGEST_CELL

    assert len(one.others) == 199
    assert sum(map(len, one.remarks)) < LONGEST_CELL
    assert one.remarks[0].endswith(" and 191 more")


def test_own_239_a_page_about_the_class_is_no_list_of_one_students_files():
    left_out = {f"eve/{number}": "it lies beside a notebook" for number in range(100_000)}
    shown = page(Class(ASSIGNMENT, [], {"left_out": left_out}, {}))
    assert len("".join(left_out)) > len(shown)

    assert "<td>eve/0</td>" in shown
    assert "<td>99500 more</td><td>left out</td><td>report.json names them</td>" in shown


IN_NO_ENCODING = os.fsdecode(b"Ren\xe9 Magritte")
"""As unzip writes a name of an old Windows archive: not UTF-8, and so half a character here."""


def result_of(student, **origin):
    return Result(student, "attacked", "its fingerprint", "attacked.ipynb", [], **origin)


@pytest.mark.parametrize("name", [IN_NO_ENCODING, "..\\..\\Startup\\x", "C:x", "\x1b[2J"])
def test_own_247_a_name_of_a_file_keeps_no_pages_from_going_back(name, tmp_path, monkeypatch):
    """It would end the batch before report and class page, or lead out of the folder on Windows."""
    packed = {"ada": "Ada_1_assignsubmission_file", name: f"{name}_2_assignsubmission_file"}
    results = [result_of(student, packed=folder) for student, folder in packed.items()]
    (tmp_path / "feedback").mkdir()
    for student in packed:
        (tmp_path / "feedback" / f"{file_name(student)}.html").write_text(f"the page of {student!a}")

    def names():
        write_archives(tmp_path, results, {})
        with zipfile.ZipFile(tmp_path / "moodle-feedback.zip") as archive:
            return archive.namelist()

    with monkeypatch.context() as patched:
        patched.setattr("memsim.grading.report.results._inside", str)
        try:
            leads_elsewhere = any(set("\\:\x1b") & set(inside) for inside in names())
        except UnicodeEncodeError:
            leads_elsewhere = True
        assert leads_elsewhere
    (theirs,) = set(names()) - {"Ada_1_assignsubmission_file/feedback.html"}
    assert theirs.endswith("_2_assignsubmission_file/feedback.html")
    assert theirs.isprintable()
    assert not set("\\:") & set(theirs)


def test_own_247_such_a_name_keeps_no_scores_from_nbgraders_gradebook(tmp_path):
    with warnings.catch_warnings(action="ignore"):  # nbgrader's, about its tables
        from nbgrader.api import Gradebook  # noqa: PLC0415 (it is slow, and only needed here)

        url = f"sqlite:///{tmp_path / 'gradebook.db'}"
        with Gradebook(url) as gradebook:
            gradebook.add_assignment("attacked")
            gradebook.add_notebook("attacked", "attacked")
            with pytest.raises(UnicodeEncodeError):
                gradebook.update_or_create_student(IN_NO_ENCODING)  # as it is
        results = [result_of(student) for student in (IN_NO_ENCODING, "ada", "'; DROP TABLE student; --")]
        record(results, url)
        with Gradebook(url) as gradebook:
            known = {student.id for student in gradebook.students}
    assert known == {"Ren\\udce9 Magritte", "ada", "'; DROP TABLE student; --"}


MOODLE = "Full name,Email address,ID number\nAda Lovelace,ada@example.edu,7\n{},eve@example.edu,8\n"


@pytest.mark.parametrize("shown", ["1E+10", "3.5e+2", "Points Possible", "Participant 4", "sep=;"])
def test_own_261_a_name_that_is_shown_ends_no_reading_of_a_roster(shown, tmp_path):
    """Students choose the name that is shown; only numbers that a spreadsheet has rounded are refused."""
    (tmp_path / "roster.csv").write_text(MOODLE.format(shown))
    assert [person.id for person in read_roster(tmp_path / "roster.csv")] == [
        "ada@example.edu",
        "eve@example.edu",
    ]

    (tmp_path / "roster.csv").write_text(MOODLE.format("Eve").replace(",8", ",1.2E+10"))
    with pytest.raises(RosterError, match=r"line 3: a spreadsheet has shortened the number 1\.2E\+10"):
        read_roster(tmp_path / "roster.csv")


def test_own_258_a_folder_full_of_files_is_not_looked_at_without_end(tmp_path, monkeypatch):
    """A repository may hold a million; each name is read, and each stranger's compared with the roster."""
    files = [f"stranger/attacked {number:05}.ipynb" for number in range(2100)]
    asked, marks = [], []
    monkeypatch.setattr(Roster, "nearest", lambda _, who: asked.append(who) or "")
    monkeypatch.setattr("memsim.grading.run.submissions.label", marks.append)
    _, found = whose(tmp_path, ROSTER, ["ada/attacked.ipynb", *files])

    assert len(files) > 2000  # as many would be asked about, and read twice
    assert asked == ["stranger"]
    assert len(marks) <= 3 * 2000
    assert found.left_out == {"stranger": "there are more than 2000 files in it, and not all are looked at"}
