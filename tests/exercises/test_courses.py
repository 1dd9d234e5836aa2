"""What stands before and behind the grader: names, folders, tables, and grading again."""

import contextlib
import csv
import json
import os
import shutil
import sys
import unicodedata
import zipfile
from pathlib import Path

import pytest

from memsim.grading.roster.labels import label
from memsim.grading.roster.people import Person, Roster, RosterError, read_roster
from memsim.grading.run.submissions import find
from tests.exercises import course as courses
from tests.exercises.course import DUE, RIGHT, WRONG, Course, answered, notebook
from tests.tiers import breadth

QUESTIONS = ["double", "square"]


@pytest.fixture
def judged():
    """Let the answers of a test be executed; others look at what stands around the grader."""


@pytest.fixture
def course(tmp_path, capsys, monkeypatch, request):
    """Lay out a course without submissions."""
    if "judged" in request.fixturenames:
        monkeypatch.setattr("memsim.grading.sandbox.holds.fence_that_holds", courses.once)
    else:
        courses.make_quick(monkeypatch)
    monkeypatch.chdir(tmp_path)
    return Course(tmp_path, capsys)


# ---- no submission stops or spoils the grading of others ---------------------------------------------


@pytest.mark.usefixtures("judged")
def test_an_empty_folder_is_told_to_teacher_and_student(course):
    course.put("ada/doubling.ipynb", answered("ada"))
    course.put("bob")
    graded = course.grade()

    assert graded.status == 0
    assert graded.scores() == {"ada": "5", "bob": ""}
    assert "bob: the folder bob is empty" in graded.said
    assert graded.report()["nothing_handed_in"] == {"bob": "the folder bob is empty"}
    assert "no submission by bob" in graded.page("bob")
    assert "bob" not in graded.table("canvas.csv")  # an import must not turn nothing into 0


@pytest.mark.usefixtures("judged")
def test_a_student_who_handed_in_another_assignment_only_has_none_of_this(course):
    course.put("ada/doubling/doubling.ipynb", answered("ada"))
    course.put("bob/boot/boot.ipynb", notebook("def kernel():\n    return 1\n"))
    course.put("cy/doubling")
    course.put("cy/boot/boot.ipynb", notebook("def kernel():\n    return 1\n"))
    graded = course.grade()

    assert graded.status == 0
    assert graded.scores() == {"ada": "5", "bob": "", "cy": ""}
    assert "answers no question of doubling" in graded.report()["left_out"]["bob/boot/boot.ipynb"]


STRANGE = {
    "a pipe": os.mkfifo,
    "a folder named like a notebook": lambda path: path.mkdir(),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to a folder": lambda path: path.symlink_to("/"),
    "a link to nowhere": lambda path: path.symlink_to("nowhere"),
    "a socket of text": lambda path: path.write_bytes(b""),
    "a name of 255 bytes": lambda path: path.with_name("x" * 249 + ".ipynb").write_bytes(b"{}"),
    "a name that is no UTF-8": lambda path: Path(os.fsdecode(os.fsencode(path) + b"\xff.ipynb")).write_bytes(
        b"{"
    ),
    "a hundred folders deep": lambda path: path.joinpath(*["d"] * 100).mkdir(parents=True),
    "NUL bytes only": lambda path: path.write_bytes(bytes(4096)),
    "a notebook of numbers": lambda path: path.write_text('{"cells": 7, "metadata": [], "nbformat": "x"}'),
    "cells that are no cells": lambda path: path.write_text(
        '{"cells": [1, null, {"source": 3}, {"source": [4]}]}'
    ),
    "metadata of other types": lambda path: path.write_text(
        '{"cells": [{"cell_type": "code", "source": "x = 1", "metadata": 5}],'
        ' "metadata": {"language_info": 3}}'
    ),
}


@pytest.mark.parametrize("strange", STRANGE)
@pytest.mark.usefixtures("judged")
@pytest.mark.parametrize("place", ["bob.ipynb", "bob/doubling.ipynb", "bob/doubling/doubling.ipynb"])
def test_whatever_one_student_hands_in_the_others_are_graded(strange, place, course):
    course.put("ada.ipynb", answered("ada"))
    course.put("zed/doubling/doubling.ipynb", answered("zed"))
    path = course.submitted / place
    path.parent.mkdir(parents=True, exist_ok=True)
    STRANGE[strange](path)
    found = find([course.submitted], "doubling", QUESTIONS)

    assert {"ada", "zed"} <= {one.student for one in found.handed}
    told = {one.student for one in found.handed} | set(found.absent)
    assert len(told) == 3  # bob, under whatever name, is somewhere


@pytest.mark.usefixtures("judged")
def test_everything_strange_at_once_is_graded_around(course):
    course.put("ada.ipynb", answered("ada"))
    for number, make in enumerate(STRANGE.values()):
        folder = course.put(f"student{number:02}")
        make(folder / "doubling.ipynb")
    graded = course.grade()

    assert graded.status in {0, 1}
    assert graded.scores()["ada"] == "5"
    assert len(graded.scores()) == 1 + len(STRANGE)


@pytest.mark.usefixtures("judged")
def test_a_folder_that_cannot_be_read_is_named(course, monkeypatch):
    course.put("ada.ipynb", answered("ada"))
    course.put("bob/doubling.ipynb", answered("bob"))
    listing = Path.iterdir

    def refuse(folder):
        if folder.name == "bob":
            raise PermissionError(13, "Permission denied", str(folder))
        return listing(folder)

    monkeypatch.setattr(Path, "iterdir", refuse)
    graded = course.grade()

    assert graded.status == 1
    assert graded.scores() == {"ada": "5", "bob": ""}
    assert graded.report()["nothing_handed_in"]["bob"] == "it cannot be opened: Permission denied"


ASIDE = [
    *(
        "desktop.ini",
        "Thumbs.db",
        ".DS_Store",
        "grading_worksheet.csv",
        "index.html",
        "submission_metadata.yml",
    ),
    *("__MACOSX/._ada.ipynb", ".ipynb_checkpoints/ada-checkpoint.ipynb", "~$notes.docx", "all.log", "x.xlsx"),
]


@pytest.mark.usefixtures("judged")
def test_what_systems_leave_beside_the_notebooks_is_no_student(course):
    course.put("ada.ipynb", answered("ada"))
    for name in ASIDE:
        course.put(name, b"[.ShellClassInfo]\n")
    found = find([course.submitted], "doubling", QUESTIONS)

    assert [one.student for one in found.handed] == ["ada"]
    assert found.absent == {}
    assert set(found.left_out) == {name.split("/")[0] for name in ASIDE}
    assert all(found.left_out.values())


@pytest.mark.usefixtures("judged")
def test_a_notebook_with_another_ending_is_still_a_notebook(course):
    for name in ("ada.ipynb.txt", "bob.ipynb.json", "cy.json", "dee"):
        course.put(name, answered("x"))
    course.put("eve", b"no notebook")
    found = find([course.submitted], "doubling", QUESTIONS)

    assert [one.student for one in found.handed] == ["ada", "bob", "cy", "dee"]
    assert list(found.left_out) == ["eve"]


@pytest.mark.usefixtures("judged")
def test_a_notebook_one_folder_down_is_found_and_a_text_is_not_graded_for_it(course):
    course.put("ada/hw1/doubling.ipynb", answered("ada"))
    course.put("ada/notes.txt", b"def double(number): return 0\n")
    graded = course.grade()

    assert graded.scores() == {"ada": "5"}
    assert graded.report()["left_out"] == {"ada/notes.txt": "it lies beside a notebook"}


@pytest.mark.usefixtures("judged")
def test_a_backup_of_hard_links_costs_nobody_anything(course):
    for student in ("ada", "bob"):
        course.put(f"{student}.ipynb", answered(student))
    shutil.copytree(course.submitted, course.folder / "backup", copy_function=os.link)
    graded = course.grade()

    assert graded.status == 0
    assert graded.scores() == {"ada": "5", "bob": "5"}


@pytest.mark.usefixtures("judged")
def test_a_single_hard_link_is_refused_and_the_summary_says_so(course):
    course.put("ada.ipynb", answered("ada"))
    course.put("bob.ipynb", answered("bob"))
    (course.submitted / "eve.ipynb").hardlink_to(course.submitted / "ada.ipynb")
    (course.submitted / "mal.ipynb").hardlink_to(course.submitted / "ada.ipynb")
    graded = course.grade()  # three of four are links, of one file

    assert graded.status == 1
    assert graded.scores() == {"ada": "0", "bob": "5", "eve": "0", "mal": "0"}
    assert "refused: 3" in graded.said
    assert graded.report()["refused"] == ["ada", "eve", "mal"]


@pytest.mark.usefixtures("judged")
def test_nul_bytes_in_the_middle_are_passed_over(course):
    course.put("ada.ipynb", answered("ada").replace(b"return 2", b"return\0\0\0 2"))
    graded = course.grade()

    assert graded.scores() == {"ada": "5"}
    assert "NUL bytes" in graded.table()["ada"]["remark"]


@pytest.mark.usefixtures("judged")
def test_a_notebook_of_marimo_is_graded(course):
    text = (
        "import marimo\n\napp = marimo.App()\n\nwith app.setup:\n    TWO = 2\n\n\n"
        "@app.cell\ndef _():\n    three = 3\n    def square():\n        return three\n"
        "    return square, three\n\n\n"
        "@app.function\ndef double(number):\n    return TWO * number\n\n\n"
        'if __name__ == "__main__":\n    app.run()\n'
    )
    course.put("ada.py", text.encode())
    graded = course.grade()

    assert graded.table()["ada"]["double"] == "2"
    assert "marimo" in graded.table()["ada"]["remark"]


# ---- other Pythons -----------------------------------------------------------------------------------

NEWER = {
    "nested f-string": (
        'def double(number):\n    parts = {"a": 2 * number}\n    return int(f"{parts["a"]}")\n',
        (3, 12),
    ),
    "type parameters": ("def double[T](number: T) -> T:\n    return 2 * number\n", (3, 12)),
    "except without parentheses": (
        "def double(n):\n    try:\n        return 2 * n\n    except ValueError, KeyError:\n        pass\n",
        (3, 14),
    ),
}


@pytest.mark.usefixtures("judged")
@pytest.mark.parametrize("syntax", breadth(NEWER))
def test_what_a_newer_python_reads_is_right_or_for_the_teacher_never_silently_0(syntax, course):
    source, since = NEWER[syntax]
    course.put("ada.ipynb", answered("ada", double=source))
    graded = course.grade()
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"

    assert f"Graded with Python {here}" in graded.page("ada")
    assert graded.report()["python"] == [here]
    if sys.version_info[:2] >= since:
        assert graded.scores() == {"ada": "5"}
    else:
        assert graded.status == 1
        assert f"needs Python {since[0]}.{since[1]} or newer" in graded.said
        assert "needs the teacher" in graded.table()["ada"]["remark"]
        assert "your teacher has been informed" in graded.page("ada")


@pytest.mark.usefixtures("judged")
def test_a_mistake_is_a_mistake_in_a_notebook_of_this_python_and_in_doubt_in_a_newer_one(course):
    broken = "def double(number):\n    return 2 * * number\n"
    course.put("ada.ipynb", notebook(broken, python=f"3.{sys.version_info[1]}.1"))
    course.put("bob.ipynb", notebook(broken, python="3.99.0"))
    graded = course.grade()

    assert "needs the teacher" not in graded.table()["ada"]["remark"]
    assert "needs Python 3.99 or newer" in graded.table()["bob"]["remark"]
    assert graded.scores() == {"ada": "0", "bob": "0"}  # nothing is won by saying so


# ---- names -------------------------------------------------------------------------------------------

MOODLE = "Ada Lovelace_1234567_assignsubmission_file"
ACCENTS = "Émilie du Châtelet_1234569_assignsubmission_file_"


@pytest.mark.usefixtures("judged")
def test_moodles_folders_are_its_students(course):
    course.put(f"{MOODLE}/my work.ipynb", answered("Ada Lovelace"))
    course.put(f"{unicodedata.normalize('NFD', ACCENTS)}/doubling.ipynb", answered("Émilie du Châtelet"))
    course.put("Ada Lovelace_1234567_assignsubmission_onlinetext/onlinetext.html", b"<p>Hello</p>")
    graded = course.grade()

    assert graded.status == 0
    assert list(graded.table("moodle.csv")) == ["Participant 1234567", "Participant 1234569"]
    row = graded.table("moodle.csv")["Participant 1234567"]
    # mod/assign/feedback/offline/importgradeslib.php, init(), refuses a worksheet without these three.
    assert {"Identifier", "Grade", "Last modified (grade)"} <= row.keys()
    assert (row["Full name"], row["Grade"], row["Username"]) == ("Ada Lovelace", "5", "")
    assert [row["final_score"] for row in graded.table().values()] == ["5", "5"]
    with zipfile.ZipFile(graded.out / "moodle-feedback.zip") as archive:
        assert f"{MOODLE}/feedback.html" in archive.namelist()
        assert len(archive.namelist()) == 2


def test_two_students_of_one_name_stay_two(course):
    course.put(f"{MOODLE}/doubling.ipynb", answered("Ada Lovelace"))
    course.put(f"{MOODLE.replace('1234567', '1234599')}/doubling.ipynb", notebook(WRONG))
    graded = course.grade()

    assert list(graded.scores()) == ["Ada Lovelace 1234567", "Ada Lovelace 1234599"]
    assert graded.table("moodle.csv")["Participant 1234599"]["Grade"] == "0"


def test_the_latest_attempt_that_canvas_packed_counts(course):
    course.put("lovelaceada_4711_998877_doubling.ipynb", notebook(WRONG))
    course.put("lovelaceada_4711_998899_doubling-1.ipynb", notebook(RIGHT))
    course.put("lovelaceada_4711_998900_data.csv", b"1,2\n")
    course.put("turingalan_LATE_4712_998878_doubling-2.ipynb", notebook(RIGHT))
    graded = course.grade()

    assert graded.scores() == {"lovelaceada": "2", "turingalan": "2"}
    canvas = graded.table("canvas.csv")
    # Canvas's importer looks at ID first, then at SIS User ID, SIS Login ID, and the name.
    assert [canvas[student]["ID"] for student in ("lovelaceada", "turingalan")] == ["4711", "4712"]
    assert "Canvas marks it as late" in graded.table()["turingalan"]["remark"]
    assert graded.report()["several"]["lovelaceada"]["graded"] == "lovelaceada_4711_998899_doubling-1.ipynb"
    with zipfile.ZipFile(graded.out / "canvas-feedback.zip") as archive:
        assert "lovelaceada_4711_998899_doubling-1.html" in archive.namelist()


def test_brightspaces_folders_are_its_students_and_the_later_one_counts(course):
    course.put("5501-7701 - Ada Lovelace - Nov 30, 2026 1159 PM/doubling.ipynb", notebook(RIGHT))
    course.put("5501-7701 - Ada Lovelace - Nov 30, 2026 1000 AM/doubling.ipynb", notebook(WRONG))
    course.put("index.html", b"<html>")
    graded = course.grade()

    assert graded.scores() == {"Ada Lovelace": "2"}
    assert (graded.out / "brightspace.csv").exists()


@pytest.mark.parametrize(
    ("name", "system", "who", "file"),
    [
        ("lovelaceada_4711_998877_one-block.ipynb", "Canvas", "lovelaceada", "one-block.ipynb"),
        ("o_neilltim_late_47_99_a_1_2.ipynb", "Canvas", "o_neilltim", "a_1_2.ipynb"),
        ("Jo Ann_12_assignsubmission_file_a.ipynb", "Moodle", "Jo Ann", "a.ipynb"),
        ("A-B - C_12_assignsubmission_file", "Moodle", "A-B - C", ""),
        ("1-2 - Li Wu - 3 March, 2026 905 AM - a.ipynb", "Brightspace", "Li Wu", "a.ipynb"),
        ("HW 1_ada_attempt_2026-11-30-23-59-00_a.ipynb", "Blackboard", "ada", "a.ipynb"),
        ("HW 1_ada_attempt_2026-11-30-23-59-00.txt", "Blackboard", "ada", ""),
        ("Lovelace_Ada_ada_1234567", "ILIAS", "ada", ""),
    ],
)
def test_the_names_that_systems_give_are_read(name, system, who, file):
    found = label(name)

    assert (found.system, found.who, found.file) == (system, who, file)


@pytest.mark.parametrize("name", ["ada.ipynb", "ada_lovelace", "one-block_1", "2026-11-30", "a - b - c"])
def test_other_names_are_left_alone(name):
    assert label(name) is None


LEES = Roster([Person("a1", "Ann Lee", moodle="11111"), Person("a2", "Ann Lee", moodle="11112")])
OTHERS = Roster(
    [
        Person("ada_b", "Ada Byron", login="ada_b", canvas="4711", sis="0007"),
        Person("bob", "Bob Stone", canvas="4712"),
        Person("dg", "Daniël Groß"),
    ]
)


@pytest.mark.parametrize(
    ("name", "roster", "student"),
    {
        "a login with an underscore": (
            "hw_1_ada_b_attempt_2026-11-30-23-59-00_made.ipynb",
            OTHERS,
            "ada_b",
        ),
        "and without a roster": ("made_ada_b_attempt_2026-11-30-23-59-00_made.ipynb", None, "ada_b"),
        "a word that marks attempts": ("an attempt_bob_attempt_2026-11-30-23-59-00_x.ipynb", OTHERS, "bob"),
        "two of one name": ("Ann Lee_11112_assignsubmission_file/x.ipynb", LEES, "a2"),
        "an ending twice": ("bob.ipynb.ipynb", OTHERS, "bob"),
        "a folder with an ending": ("bob.ipynb/x.ipynb", OTHERS, "bob"),
        "an archive": ("bob.ipynb.zip", OTHERS, "bob"),
    }.values(),
)
def test_the_student_is_who_the_name_says(name, roster, student, course):
    course.put(name, notebook(RIGHT))
    found = find([course.submitted], "made", QUESTIONS, roster)

    assert [one.student for one in found.handed] == [student]
    assert found.unknown == {}


@pytest.mark.parametrize(
    ("name", "roster", "near"),
    {
        "a number of one, the name of another": ("byronada_4712_99_made.ipynb", OTHERS, "ada_b"),
        "two of one name, another number": ("Ann Lee_99999_assignsubmission_file/x.ipynb", LEES, "a1 or a2"),
        "a number without its zeros": ("7.ipynb", OTHERS, "ada_b"),
        "a zip file in another encoding": ("DaniÃ«l GroÃŸ_12345_assignsubmission_file/x.ipynb", OTHERS, "dg"),
    }.values(),
)
def test_who_is_not_certain_is_asked_about_and_given_to_no_one(name, roster, near, course):
    course.put(name, notebook(RIGHT))
    found = find([course.submitted], "made", QUESTIONS, roster)

    assert found.unknown == {name: near}
    assert not {one.student for one in found.handed} & set(roster.people)


def test_a_section_with_one_student_is_a_section(course):
    course.put("Section 1/bob/made.ipynb", notebook(RIGHT))
    course.put("Section 2/ada_b/made.ipynb", notebook(RIGHT))
    course.put("zed/bob.ipynb", notebook(RIGHT))  # another's file in a folder of who is not in the roster
    found = find([course.submitted], "made", QUESTIONS, OTHERS)

    assert [one.student for one in found.handed] == ["ada_b", "bob", "zed"]
    assert list(found.unknown) == ["zed/bob.ipynb"]


def test_an_assignment_with_a_plus_is_no_pair(course):
    course.put("Charge+Plate.ipynb", notebook(RIGHT))
    found = find([course.submitted], "Charge+Plate", QUESTIONS)
    assert [one.student for one in found.handed] == ["Charge+Plate"]


@pytest.mark.parametrize("name", ["123 (abc)", "[x]*", "a+b", "1.5 (2)", "ü^$|?"])
def test_an_assignment_may_have_any_characters_in_its_name(name, course):
    course.put(f"ada/{name}/{name}.ipynb", notebook(RIGHT))
    course.put(f"bob/{name}/{name} (1).ipynb", notebook(RIGHT))
    course.put("cy/other/other.ipynb", notebook("1"))
    course.put(f"dee_{name}.ipynb", notebook(RIGHT))
    found = find([course.submitted], name, QUESTIONS)

    assert [one.student for one in found.handed] == ["ada", "bob", "dee"]
    assert list(found.absent) == ["cy"]


def test_of_two_notebooks_of_the_latest_attempt_the_one_with_the_assignments_name_counts(course):
    for hour in (11, 17):
        for number in (1, 2):
            course.put(f"hw_ada_attempt_2026-11-30-{hour}-00-00_problem{number}.ipynb", notebook(RIGHT))
    (one,) = find([course.submitted], "problem1", QUESTIONS).handed

    assert one.path.name == "hw_ada_attempt_2026-11-30-17-00-00_problem1.ipynb"
    assert len(one.others) == 0  # the same bytes


def test_an_upload_that_broke_off_does_not_count_before_one_that_did_not(course):
    course.put("ada/made.ipynb", answered("ada"))
    course.put("ada/made (1).ipynb", b"")
    graded = course.grade()

    assert graded.scores() == {"ada": "5"}
    assert "made.ipynb counts, not made (1).ipynb" in graded.said


def test_a_column_that_canvas_passes_over_is_named(course):
    course.put("ada.ipynb", notebook(RIGHT))
    grading = course.write("final.py", courses.GRADING.read_text().replace('"doubling"', '"final-exam"'))

    assert "Canvas passes over a column with 'final'" in course.grade(grading=grading).said
    assert "Canvas passes over" not in course.grade(out="other").said


def test_a_download_unpacked_into_a_folder_is_no_student(course):
    course.put(f"Doubling-12345/{MOODLE}/doubling.ipynb", answered("Ada Lovelace"))
    course.put(f"Doubling-12345/{ACCENTS}/doubling.ipynb", answered("Émilie du Châtelet"))

    assert len(find([course.submitted], "doubling", QUESTIONS).handed) == 2


def test_the_assignments_name_around_the_students_is_no_part_of_it(course):
    for name in ("doubling-ada/doubling.ipynb", "Bob Stone - doubling.ipynb", "cy_Doubling.ipynb"):
        course.put(name, answered("x"))
    found = find([course.submitted], "doubling", QUESTIONS)

    assert [one.student for one in found.handed] == ["Bob Stone", "ada", "cy"]


ROSTER = (
    "id,name,email,canvas,group,section,extension\n"
    "ada,Ada Lovelace,ada@example.edu,4711,1,A,\n"
    "bob,Bob Stone,bob@example.edu,4712,1,A,\n"
    "cy,Cyrille O'Neill,cy@example.edu,4713,,B,3\n"
)


@pytest.mark.usefixtures("judged")
@pytest.mark.parametrize("typed", breadth(["ADA@example.edu ", "ada", "Ada  Lovelace", "4711"]))
def test_any_name_of_the_roster_may_stand_in_the_notebook(typed, course):
    roster = course.write("people.csv", ROSTER)
    course.put(f"{MOODLE}/doubling.ipynb", answered(typed))
    graded = course.grade("--roster", roster)

    assert graded.table()["ada"]["square"] == "3"
    assert graded.table()["ada"]["remark"] == ""


@pytest.mark.usefixtures("judged")
@pytest.mark.parametrize("typed", breadth(["eve", "bob", ""]))
def test_another_name_in_the_notebook_is_told_and_wins_nothing(typed, course):
    roster = course.write("people.csv", ROSTER.replace(",1,A", ",,A"))
    course.put("ada.ipynb", answered(typed))
    graded = course.grade("--roster", roster)

    assert graded.status == bool(typed)
    assert graded.table()["ada"]["square"] == "0"
    told = "not a known name of ada" if typed else "STUDENT is empty in the notebook"
    assert told in graded.table()["ada"]["remark"]
    assert told in graded.page("ada")


@pytest.mark.usefixtures("judged")
def test_without_a_roster_the_name_in_the_notebook_is_told_too(course):
    course.put(f"{MOODLE}/doubling.ipynb", answered("ada"))
    graded = course.grade()

    assert graded.status == 1
    assert "STUDENT is 'ada' in the notebook" in graded.said


def test_who_is_not_in_the_roster_is_told_before_anything_is_graded(course):
    roster = course.write("roster.csv", ROSTER)  # found without being named
    course.put("ada.ipynb", answered("ada"))
    course.put("bobb.ipynb", answered("bob"))
    graded = course.grade()

    assert graded.status == 1
    assert f"roster: {Path(roster).name}, 3 students" in graded.said
    before, _, after = graded.said.partition("not in the roster: 1")
    assert "graded" not in before
    assert "is it bob?" in after
    assert set(graded.scores()) == {"ada", "bob", "bobb", "cy"}
    assert "bobb" not in (graded.out / "canvas.csv").read_text()
    assert graded.scores()["cy"] == ""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("id,name\nada,A\nADA ,B\n", "two lines have the id 'ada'"),
        ("colour\nred\n", "no column says who a student is, .* its columns are colour"),
        ("id,name\nada,A\n,\n", None),
        ("id;name\nada;A\n", None),
        (
            (
                "Student,ID,SIS User ID,SIS Login ID,Section\n    Points Possible,,,,\n"
                '"Lovelace, Ada",4711,S1,ada,A\n'
            ),
            None,
        ),
        ("Identifier,Full name,Email address\nParticipant 77,Ada Lovelace,ada@example.edu\n", None),
    ],
)
def test_a_roster_is_read_or_refused_with_the_line(text, told, tmp_path):
    path = tmp_path / "roster.csv"
    path.write_text(text)
    if told:
        with pytest.raises(RosterError, match=told):
            read_roster(path)
    else:
        people = list(read_roster(path))
        assert [person.id for person in people] in (["ada"], ["ada@example.edu"])
        assert all(person.name in ("A", "Lovelace, Ada", "Ada Lovelace") for person in people)


def test_a_column_of_the_roster_that_nothing_reads_is_named(course):
    roster = course.write("roster.csv", "id,name,extensions,Current Score\nada,Ada Lovelace,3,\n")
    course.put("ada.ipynb", answered("ada"))
    graded = course.grade()

    assert f"roster: {Path(roster).name}, 1 student\n" in graded.said
    assert "columns not used: extensions (is it extension?), current score" in graded.said


def test_a_roster_whose_columns_are_all_read_has_nothing_to_tell(course):
    head = "Vorname,Nachname,ID-Nummer,Gruppe,Gruppen,extension\n"
    course.write("roster.csv", f"{head}Ada,Lovelace,S1,1,Lab A,2\nBob,Stone,S2,1,Lab A,\n")
    course.put("S1.ipynb", answered("S1"))
    assert course.grade().scores() == {"S1": "5", "S2": "5"}  # a pair; Moodle's Gruppen are sections

    assert "not used" not in course.grade().said


def test_a_name_that_two_have_means_neither():
    roster = Roster([Person("a1", "Ada Lovelace"), Person("a2", "ada  LOVELACE"), Person("b", "Bob")])

    assert roster.find("Ada Lovelace") is None
    assert roster.find("a2").id == "a2"


# ---- pairs, attempts, times --------------------------------------------------------------------------


@pytest.mark.usefixtures("judged")
def test_one_notebook_of_a_pair_counts_for_both(course):
    course.put("ada+bob.ipynb", answered("bob"))
    graded = course.grade()

    assert graded.scores() == {"ada": "5", "bob": "5"}
    assert graded.table()["ada"]["remark"] == ""
    assert {"ada", "bob"} <= set(graded.table("canvas.csv"))
    assert "Handed in by bob" in graded.page("bob")
    assert json.loads((graded.out / "similar.json").read_text())["identical"] == []


def test_the_page_that_goes_back_to_a_system_is_the_one_of_who_handed_in(course):
    course.write("roster.csv", "id,name,canvas,group\nada,Ada Lovelace,4711,1\nbob,Bob Stone,4712,1\n")
    course.put("lovelaceada_4711_9001_doubling.ipynb", answered("ada"))
    points = course.write("points.csv", "student,question,points,comment\nbob,double,0,Only Ada was here.\n")
    graded = course.grade("--points", points)

    assert graded.scores() == {"ada": "5", "bob": "3"}
    with zipfile.ZipFile(graded.out / "canvas-feedback.zip") as archive:
        assert archive.namelist() == ["lovelaceada_4711_9001_doubling.html"]
        page = archive.read("lovelaceada_4711_9001_doubling.html").decode()
    assert "Handed in by ada" in page
    assert "Only Ada" not in page


def test_who_has_no_number_of_moodles_is_named_as_a_worksheet_passes_over_the_line(course):
    course.write("roster.csv", "id,name,group\nada,Ada Lovelace,1\nbob,Bob Stone,1\n")
    course.put(f"{MOODLE}/doubling.ipynb", answered("ada"))
    graded = course.grade()

    assert graded.table("moodle.csv")[""]["Full name"] == "Bob Stone"
    assert "moodle.csv: a grading worksheet passes over bob" in graded.said


def test_a_group_of_the_roster_shares_what_one_of_it_hands_in(course):
    roster = course.write("people.csv", ROSTER)
    times = course.write("times.csv", "student,time\nada,2026-12-02T09:00+01:00\n")
    course.put("ada.ipynb", answered("ada"))
    graded = course.grade("--roster", roster, *DUE, times)

    assert [graded.table()[student]["final_score"] for student in ("ada", "bob")] == ["4", "4"]
    assert graded.status == 0


def test_a_group_whose_members_all_hand_in_keeps_each_ones_own(course):
    roster = course.write("people.csv", ROSTER)
    course.put("ada.ipynb", answered("ada"))
    course.put("bob.ipynb", notebook(WRONG))
    graded = course.grade("--roster", roster)

    assert (graded.scores()["ada"], graded.scores()["bob"]) == ("5", "0")


def test_of_two_downloads_the_later_counts_and_the_teacher_is_told(course):
    course.put("ada/doubling.ipynb", notebook(WRONG))
    course.put("ada/doubling (1).ipynb", notebook(RIGHT))
    graded = course.grade()

    assert graded.scores() == {"ada": "2"}
    assert "doubling (1).ipynb counts, not doubling.ipynb" in graded.said
    assert "also handed in: doubling.ipynb" in graded.table()["ada"]["remark"]
    assert graded.report()["several"]["ada"]["not graded"] == ["doubling.ipynb"]

    chosen = course.grade("--choose", "ada=doubling.ipynb")
    assert chosen.scores() == {"ada": "0"}
    assert "ada: 2 -> 0" in chosen.said


def test_files_of_one_name_are_told_apart_by_their_folders(course):
    first, second = (f"5501-7701 - Ada - Nov {day}, 2026 1159 PM" for day in (29, 30))
    course.put(f"{first}/doubling.ipynb", notebook(WRONG))
    course.put(f"{second}/doubling.ipynb", notebook(RIGHT))
    graded = course.grade()

    assert f"Ada: {second}/doubling.ipynb counts, not {first}/doubling.ipynb" in graded.said
    assert f"also handed in: {first}/doubling.ipynb" in graded.table()["Ada"]["remark"]


def test_what_was_said_of_a_file_that_is_gone_is_not_said_again(course):
    course.put("ada/doubling.ipynb", notebook(RIGHT))
    other = course.put("ada/doubling (1).ipynb", notebook(RIGHT, "x = 1"))
    course.grade("--choose", "ada=doubling.ipynb")
    other.unlink()
    graded = course.grade()

    assert "several files" not in graded.said
    assert graded.table()["ada"]["remark"] == ""


def test_an_archive_that_was_unpacked_beside_itself_is_no_second_file(course):
    course.put("lovelaceada_4711_9001_hw.zip", b"PK\3\4")
    course.put("lovelaceada_4711_9001_hw/hw/doubling.ipynb", notebook(RIGHT))
    graded = course.grade()

    assert graded.scores() == {"lovelaceada": "2"}
    assert graded.report()["several"] == {}
    assert graded.report()["left_out"] == {
        "lovelaceada_4711_9001_hw.zip": "it was unpacked: a folder of its name lies beside it"
    }


@pytest.mark.usefixtures("judged")
@pytest.mark.parametrize("name", breadth(["ada/hw.zip", "ada.zip", "lovelaceada_4711_9001_hw.zip"]))
def test_an_archive_says_to_the_teacher_how_it_is_graded(name, course):
    course.put(name, b"PK\3\4")
    course.put("bob.ipynb", answered("bob"))

    assert "unpack it into a folder of its name" in course.grade().said


def test_many_files_that_are_left_out_for_one_reason_are_told_in_one_line(course):
    for student in ("ada", "bob"):
        course.put(f"{student}/doubling/doubling.ipynb", answered(student))
        course.put(f"{student}/doubling/timestamp.txt", b"2026-11-30 06:52:44.405983 UTC")
        course.put(f"{student}/doubling/submission_secret.txt", b"secret")
    course.put("ada/doubling/notes.txt", b"secret")
    graded = course.grade()

    assert (
        "left out: 5\n  4 files, such as ada/doubling/submission_secret.txt: nbgrader's own file\n"
        in graded.said
    )
    assert "  ada/doubling/notes.txt: it lies beside a notebook" in graded.said
    assert len(graded.report()["left_out"]) == 5


@pytest.mark.usefixtures("judged")
def test_the_notebook_of_another_assignment_is_told_to_the_teacher(course):
    course.put("ada.ipynb", notebook("def kernel():\n    return 1\n"))
    graded = course.grade()

    assert graded.status == 1
    assert "for the teacher: 1\n  ada: no function of doubling is in it" in graded.said


def test_a_notebook_that_was_renamed_in_the_folder_of_its_assignment_is_graded(course):
    course.put("ada/doubling/my work q3.ipynb", answered("ada"))
    course.put("ada/doubling/desktop.ini", b"[.ShellClassInfo]")
    course.put("ada/boot/boot.ipynb", notebook("def kernel():\n    return 1\n"))

    assert course.grade().scores() == {"ada": "5"}


def test_two_copies_of_one_file_are_nothing_to_tell(course):
    course.put("ada/doubling.ipynb", notebook(RIGHT))
    course.put("ada/doubling-Copy1.ipynb", notebook(RIGHT))

    assert course.grade().table()["ada"]["remark"] == ""


TIMES = "student,time\n Ada,2026-12-09T12:00+01:00\nbob ,2026-12-09T12:00+01:00\nzed,2026-12-09T12:00+01:00\n"


def test_times_are_matched_by_name_and_what_does_not_match_is_told_first(course):
    for student in ("ada", "bob", "cy"):
        course.put(f"{student}.ipynb", answered(student))
    graded = course.grade(*DUE, course.write("times.csv", TIMES))
    rows = graded.table()

    assert graded.status == 1
    assert [rows[student]["late_days"] for student in ("ada", "bob", "cy")] == ["9", "9", ""]
    before, _, _ = graded.said.partition("graded 3")
    assert "no time in the collector's table: 1\n  cy" in before
    assert "in the collector's table and not in the course: 1\n  zed" in before
    assert "does not say when it was handed in" in graded.page("cy")
    assert "on time" not in graded.page("ada") + graded.page("cy")


def test_an_extension_leaves_the_collectors_time_as_it_was(course):
    times = course.write(
        "times.csv",
        "student,time,due\nada,2026-12-03T12:00+01:00,2026-12-04T00:00+01:00\n"
        "bob,2026-12-03T12:00+01:00,\ncy,2026-12-03T12:00+01:00,\n",
    )
    roster = course.write("people.csv", ROSTER.replace(",1,A", ",,A"))
    for student in ("ada", "bob", "cy"):
        course.put(f"{student}.ipynb", answered(student))
    graded = course.grade("--roster", roster, *DUE, times)
    rows = graded.table()

    assert {student: rows[student]["late_days"] for student in rows} == {"ada": "0", "bob": "3", "cy": "0"}
    assert "an extension" in graded.page("cy")  # three days, by the roster


def test_what_lateness_costs_stays_in_force_for_the_next_run(course):
    course.put("ada.ipynb", answered("ada"))
    times = course.write("times.csv", "student,time\nada,2026-12-02T09:00+01:00\n")
    assert course.grade(*DUE, times).table()["ada"]["final_score"] == "4"

    assert course.grade("--again").table()["ada"]["final_score"] == "4"
    assert course.grade("--due", "none").table()["ada"]["final_score"] == "5"


# ---- grading again -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("judged")
def test_one_student_graded_again_leaves_the_tables_whole(course):
    for student in ("ada", "bob", "cy"):
        course.put(f"{student}.ipynb", answered(student))
    course.grade()
    course.put("bob.ipynb", notebook(WRONG))
    again = course.grade(submissions=[course.submitted / "bob.ipynb"])

    assert again.scores() == {"ada": "5", "bob": "0", "cy": "5"}
    for name in ("canvas.csv", "moodle.csv"):
        assert len((again.out / name).read_text().splitlines()) == (5 if name == "canvas.csv" else 4)
    assert again.report()["submissions"] == 3
    assert "bob: 5 -> 0 (double 2 -> 0, square 3 -> 0): another submission" in again.said
    assert len((again.out / "audit.jsonl").read_text().splitlines()) == 1

    only = course.grade("--only", "cy", "--again")
    assert only.scores() == {"ada": "5", "bob": "0", "cy": "5"}
    assert course.grade("--only", "nobody").status == 2


@pytest.mark.usefixtures("judged")
def test_one_question_graded_again_leaves_the_others_as_they_were(course):
    course.put("ada.ipynb", notebook(RIGHT))
    course.grade()
    harder = course.folder / "harder.py"
    text = (
        courses.GRADING.read_text()
        .replace("== 2 * number", "== 3 * number")
        .replace("{own_number: 3}", "{own_number: 4}")
    )
    harder.write_text(text)
    again = course.grade("--question", "double", grading=harder)

    assert "ada: 2 -> 0 (double 2 -> 0)" in again.said
    assert again.table()["ada"]["max_score"] == "5"
    whole = course.grade(grading=harder)  # the other question has changed too, and this run sees it
    assert whole.table()["ada"]["max_score"] == "6"
    assert course.grade("--question", "nosuch").status == 2


MISTYPED = {
    "a folder that is not there": (["--only", "ada"], "weeek1"),
    "a student who is not there": (["--only", "zoe"], "submitted"),
    "a table that is not there": (["--points", "nothing.csv"], "submitted"),
    "a table of points with an error, beside one of times": (
        [*DUE, "times.csv", "--points", "times.csv"],
        "submitted",
    ),
}


@pytest.mark.parametrize("kind", MISTYPED)
def test_a_mistyped_command_leaves_no_folder_behind(kind, course):
    options, folder = MISTYPED[kind]
    course.put("ada.ipynb", answered("ada"))
    course.write("times.csv", "student,time\nada,2026-12-09T12:00+01:00\n")

    assert course.grade(*options, submissions=[course.folder / folder]).status == 2
    assert not (course.folder / "out").exists()


def test_a_command_that_was_refused_changes_nothing_that_counts(course):
    course.put("ada.ipynb", answered("ada"))
    course.grade()
    times = course.write("times.csv", "student,time\nada,2026-12-09T12:00+01:00\n")
    before = {path.name: path.read_bytes() for path in (course.folder / "out").glob("*.*")}

    assert course.grade(*DUE, times, "--points", times).status == 2
    assert {path.name: path.read_bytes() for path in (course.folder / "out").glob("*.*")} == before


def test_another_assignment_into_the_same_folder_is_refused(course):
    course.put("ada.ipynb", answered("ada"))
    before = course.grade().scores()
    other = course.folder / "other.py"
    other.write_text(courses.GRADING.read_text().replace('"doubling"', '"other"'))
    refused = course.grade(grading=other)

    assert refused.status == 2
    assert "the results in this folder are of doubling" in refused.said
    assert refused.scores() == before


def test_a_roster_that_comes_later_makes_no_second_student(course):
    course.put(f"{MOODLE}/doubling.ipynb", answered("ada"))
    assert list(course.grade().scores()) == ["Ada Lovelace"]
    graded = course.grade("--roster", course.write("people.csv", ROSTER))

    assert graded.scores() == {"ada": "5", "bob": "5", "cy": ""}


def test_points_by_hand_and_a_comment_count_and_stay(course):
    course.put("ada.ipynb", notebook(WRONG))
    course.put("bob.ipynb", notebook(RIGHT))
    points = course.write(
        "points.csv", "student,question,points,comment\nADA,double,1.5,Nearly.\nbob,double,,Well done\n"
    )
    graded = course.grade("--points", points)

    assert graded.scores() == {"ada": "1.5", "bob": "2"}
    assert "Your teacher gave 1.5 points; the tests gave 0." in graded.page("ada")
    assert "Your teacher says: Well done" in graded.page("bob")
    again = course.grade("--again")
    assert again.scores() == {"ada": "1.5", "bob": "2"}
    assert again.report()["by_hand"] == {"ada": {"double": 1.5}, "bob": {}}
    taken_back = course.grade(
        "--points", course.write("points.csv", "student,question,points\nada,double,\n")
    )
    assert taken_back.scores() == {"ada": "0", "bob": "2"}
    trail = [json.loads(line) for line in (again.out / "audit.jsonl").read_text().splitlines()]
    by_hand = [entry["questions"] for entry in trail if entry["why"] == "by hand"]
    assert by_hand == [{"double": [None, 1.5]}, {"double": [None, None]}, {"double": [1.5, None]}]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("eve,double,1", "'eve' is no student"),
        ("ada,treble,1", "there is no question 'treble'"),
        ("ada,double,3", "'3' is not a number of points from 0 to 2"),
        ("ada,double,-1", "not a number of points"),
        ("ada,double,nan", "not a number of points"),
        ("ada,double,all", "not a number of points"),
    ],
)
def test_points_by_hand_that_make_no_sense_are_refused_with_the_line(line, told, course):
    course.put("ada.ipynb", notebook(RIGHT))
    course.grade()
    graded = course.grade("--points", course.write("points.csv", f"student,question,points\n{line}\n"))

    assert graded.status == 2
    assert "line 2" in graded.said
    assert told in graded.said
    assert graded.scores() == {"ada": "2"}


def test_two_lines_that_contradict_each_other_are_refused_and_nothing_is_taken(course):
    course.put("ada.ipynb", notebook(WRONG))
    table = course.write("points.csv", "student,question,points\nada,double,1\nADA,double,2\n")
    graded = course.grade("--points", table)

    assert graded.status == 2
    assert "points.csv, line 3: an earlier line says something else about double of ada" in graded.said
    assert course.grade().scores() == {"ada": "0"}


@pytest.mark.usefixtures("judged")
def test_points_for_what_could_not_be_read_stand_with_the_comment_on_the_page(course):
    course.put("ada/photo.png", b"\x89PNG\r\n\x1a\n")
    points = course.write("points.csv", "student,question,points,comment\nada,double,1,Shown in the lab.\n")
    graded = course.grade("--points", points)

    assert graded.scores() == {"ada": "1"}
    assert "Nothing could be graded" in graded.page("ada")
    assert "Your teacher says: Shown in the lab." in graded.page("ada")
    assert "square" not in graded.page("ada")


def test_points_for_who_handed_in_nothing_count_and_are_no_submission(course):
    course.put("ada.ipynb", answered("ada"))
    roster = ("--roster", course.write("people.csv", ROSTER))
    points = course.write("points.csv", "student;question;points;comment\ncy;double;1,5;Told in the lab.\n")
    times = course.write("times.csv", "student,time\nada,2026-11-30T12:00+01:00\n")
    graded = course.grade(*roster, *DUE, times, "--points", points)

    assert graded.scores() == {"ada": "5", "bob": "5", "cy": "1.5"}
    assert graded.table()["cy"]["remark"] == "nothing was handed in; the points are given by hand"
    assert "has handed in nothing" in graded.page("cy")
    assert "Told in the lab." in graded.page("cy")
    assert "collector" not in graded.page("cy")
    assert "cy" in graded.report()["nothing_handed_in"]
    course.put("cy.ipynb", answered("cy"))
    assert course.grade(*roster).scores() == {"ada": "5", "bob": "5", "cy": "4.5"}


def test_a_question_can_be_dropped_and_count_again(course):
    course.put("ada.ipynb", notebook(RIGHT))
    dropped = course.grade("--drop", "square")

    assert (dropped.table()["ada"]["score"], dropped.table()["ada"]["max_score"]) == ("2", "2")
    assert "<h2>square" not in dropped.page("ada")
    assert "square does not count: your teacher dropped it." in dropped.page("ada")
    assert course.grade().table()["ada"]["max_score"] == "2"
    assert course.grade("--count", "square").table()["ada"]["max_score"] == "5"
    assert course.grade("--drop", "nosuch").status == 2


def test_files_that_are_the_same_are_named_however_many_they_are(course):
    long = "def double(number):\n" + "".join(
        f"    a{n} = number + {n} * (number - a0 if {n} else 1)\n" for n in range(9)
    )
    for number in range(5):
        course.put(f"copy{number}.ipynb", notebook(long + "    return 2 * number\n"))
    for number in range(3):
        course.put(
            f"own{number}.ipynb",
            notebook(f"def double(number):\n    return {'+'.join(['number'] * (number + 2))}\n"),
        )
    graded = course.grade()
    similar = json.loads((graded.out / "similar.json").read_text())

    assert similar["identical"] == [[f"copy{number}" for number in range(5)]]
    assert similar["left_out"]["pieces that everybody writes"] > 0
    assert "copy0" in similar["left_out"]["students with nothing else"]


@pytest.mark.usefixtures("judged")
def test_a_notebook_is_no_grading_file(course):
    course.put("ada.ipynb", notebook(RIGHT))
    graded = course.grade(grading=course.submitted / "ada.ipynb")

    assert graded.status == 2
    assert "it is a notebook" in graded.said


# ---- back to the students ----------------------------------------------------------------------------


@pytest.mark.usefixtures("judged")
def test_feedback_returns_to_logins_with_accents_and_who_has_none_is_named(course, monkeypatch):
    for student in ("ada", "josé", "zoë"):
        for name, content in (
            ("doubling.ipynb", answered(student)),
            ("timestamp.txt", b"2026"),
            ("submission_secret.txt", b"s"),
        ):
            course.put(f"{student}/doubling/{name}", content)
    (course.submitted / "zoë" / "doubling" / "submission_secret.txt").unlink()
    course.grade(out="graded")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "exercises" / "hub"))
    returned, missing = __import__("return_feedback").main("doubling", course.folder)

    assert returned == ["ada", "josé"]
    assert missing == {"zoë": "its folder has no submission_secret.txt"}
    pages = sorted(
        path.relative_to(course.folder).as_posix() for path in (course.folder / "feedback").rglob("*.html")
    )
    assert pages == ["feedback/ada/doubling/doubling.html", "feedback/josé/doubling/doubling.html"]
    assert "Handed in by josé" in (course.folder / pages[1]).read_text(encoding="utf-8")


@pytest.mark.usefixtures("judged")
def test_feedback_of_a_time_before_the_roster_is_not_returned(course, monkeypatch):
    """The page by the login, of the first run, was taken before the one by the id that the roster gives."""
    for name, content in (("timestamp.txt", b"2026"), ("submission_secret.txt", b"s")):
        course.put(f"ada/doubling/{name}", content)
    course.put("ada/doubling/doubling.ipynb", answered("ada"))
    course.grade(out="graded")
    course.put("ada/doubling/doubling.ipynb", notebook(WRONG))
    course.grade("--roster", course.write("people.csv", "id,name,login\n17,Ada Lovelace,ada\n"), out="graded")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "exercises" / "hub"))
    assert __import__("return_feedback").main("doubling", course.folder) == (["ada"], {})

    returned = course.folder / "feedback" / "ada" / "doubling" / "doubling.html"
    assert returned.read_bytes() == (course.folder / "graded" / "feedback" / "17.html").read_bytes()


def test_tables_are_tables_whatever_a_name_holds(course):
    roster = course.write("people.csv", 'id,name\n"a,b","=1+1 ""x"""\n')
    course.put("a,b.ipynb", notebook(RIGHT))
    graded = course.grade("--roster", roster)

    for name in ("grades.csv", "canvas.csv", "moodle.csv"):
        rows = list(csv.reader((graded.out / name).read_text().splitlines()))
        assert len({len(row) for row in rows}) == 1
        assert not any(cell.startswith("=") for row in rows for cell in row)
    with contextlib.suppress(FileNotFoundError):
        assert read_roster(graded.out / "roster.csv").people["a,b"].name == '=1+1 "x"'
