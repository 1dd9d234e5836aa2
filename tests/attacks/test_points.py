"""Attacks on points by hand, by who a student is called and what lies in a submission.

Each first shows what the obvious way of taking such a table would do.
"""

import csv
import html
import io
import json
import re

import pytest

from memsim.grading.report.feedback import text
from memsim.grading.report.marks import Marks, MarksError, read_marks
from memsim.grading.report.tables import _csv
from memsim.grading.roster.names import as_it_was
from memsim.grading.roster.people import Person, Roster, read_roster, write_roster
from memsim.grading.run.submissions import find
from tests.exercises.course import RIGHT, notebook

POINTS = {"double": 2, "square": 3}


def taken(folder, people, *lines):
    """Return the marks that a table gives."""
    table = folder / "points.csv"
    table.write_text("\n".join(["student,question,points,comment", *lines]) + "\n")
    marks = Marks()
    marks.take(read_marks(table, POINTS, Roster(people)))
    return {student: {q: mark.points for q, mark in given.items()} for student, given in marks.given.items()}


def test_own_91_a_student_who_is_called_as_anothers_id_gets_no_points_of_the_others(tmp_path):
    people = [Person("bob", "Bob Stone"), Person("mallory", "bob")]

    naive = {name: person.id for person in people for name in (person.id, person.name)}
    assert naive["bob"] == "mallory"  # whoever puts all names into one table
    assert taken(tmp_path, people, "bob,double,2,") == {"bob": {"double": 2}}


def test_own_92_a_student_with_anothers_name_makes_it_mean_neither(tmp_path):
    people = [Person("s1", "Ada Lovelace"), Person("mallory", "ADA  lovelace")]

    assert [p.id for p in people if p.name.casefold().split() == ["ada", "lovelace"]][-1] == "mallory"
    with pytest.raises(MarksError, match="'Ada Lovelace' is no student"):
        taken(tmp_path, people, "Ada Lovelace,double,2,")
    assert taken(tmp_path, people, "s1,double,2,") == {"s1": {"double": 2}}


@pytest.mark.parametrize("points", ["nan", "inf", "1e999", "-0.5", "2.0001"])
def test_own_93_no_number_of_points_is_more_than_there_are(points, tmp_path):
    assert not (
        0 <= float(points) <= 2
    )  # a check for too many by `points > 2` alone lets nan and -0.5 through
    with pytest.raises(MarksError, match="line 2"):
        taken(tmp_path, [Person("ada")], f"ada,double,{points},")


def test_own_94_a_table_in_a_submission_is_nobodys_table(tmp_path):
    work = tmp_path / "submitted" / "mallory"
    work.mkdir(parents=True)
    (work / "doubling.ipynb").write_bytes(notebook(RIGHT))
    (work / "points.csv").write_text("student,question,points\nmallory,square,3\n")
    (work / "marks.json").write_text(
        json.dumps({"given": {"mallory": {"square": {"points": 3}}}, "dropped": []})
    )

    assert (
        len(list((tmp_path / "submitted").rglob("points.csv"))) == 1
    )  # whoever looks for tables finds this one
    found = find([tmp_path / "submitted"], "doubling", list(POINTS))
    assert set(found.left_out) == {"mallory/marks.json", "mallory/points.csv"}
    assert Marks.load(tmp_path / "submitted").given == {}


def test_own_95_a_comment_that_quotes_a_student_is_text():
    quoted = "<img src=x onerror=alert(1)>\x1b[2J"

    assert "<img" in f"<p>{quoted}</p>"  # as it is, a browser would load it
    assert "\x1b" in html.escape(quoted)
    assert text(quoted) == "&lt;img src=x onerror=alert(1)&gt;\\x1b[2J"
    made = list(csv.reader(_csv([["=cmd|' /C calc'!A1"]]).splitlines()))
    assert made == [["'=cmd|' /C calc'!A1"]]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\n", "\r", "\r\n"])
def test_own_95_a_cell_that_a_spreadsheet_would_compute_is_text(start):
    # The characters that OWASP lists for CSV injection: spreadsheets take such cells for formulas.
    (row,) = csv.reader(io.StringIO(_csv([[f"{start}1+1"]]), newline=""))
    assert row == [f"'{start}1+1".replace("\r\n", "\n").replace("\r", "\n")]


def test_own_95_a_carriage_return_begins_no_row():
    (row,) = csv.reader(io.StringIO(_csv([["ada\r=1+1", 2]]), newline=""))
    assert row == ["ada\n'=1+1", "2"]


ONLY_THE_START = re.compile(r"(\A)()(?=[-=+@])")


def cells_of_any_spreadsheet(table):
    """Return all cells, as they are where the comma separates them, the semicolon, or the tabulator."""
    return [cell for mark in ",;\t" for row in csv.reader(table.split("\n"), delimiter=mark) for cell in row]


@pytest.mark.parametrize("text", ["ada;=1+1", "ada; =1+1", "a;b\t=1+1", 'ada, "x"\n=1+1', "\uff1d1+1"])
def test_own_235_a_part_of_a_text_is_no_formula_where_semicolons_separate_cells(text, monkeypatch):
    """A German Excel splits there. It takes the wide signs of Japanese keyboards, too (OWASP)."""

    def formulas():
        table = _csv([["x", text]])
        return [
            cell for cell in cells_of_any_spreadsheet(table) if cell.strip(" ").startswith(("=", "\uff1d"))
        ]

    assert formulas() == []
    (row,) = csv.reader(io.StringIO(_csv([[text]]), newline=""))
    assert as_it_was(row[0]) == text
    monkeypatch.setattr("memsim.grading.roster.names._BARE", ONLY_THE_START)
    assert formulas()


def test_own_236_a_name_is_no_formula_in_the_roster_that_a_teacher_opens(tmp_path, monkeypatch):
    """Moodle lets students choose the name that is shown of them, and without a roster that makes one."""
    people = [Person("=1+1", "@x;=2", email="-y@example.org")]

    def formulas():
        (tmp_path / "roster.csv").write_text(write_roster(people))
        table = (tmp_path / "roster.csv").read_text()
        return [cell for cell in cells_of_any_spreadsheet(table) if cell.startswith(("=", "@", "-"))]

    assert formulas() == []
    assert list(read_roster(tmp_path / "roster.csv")) == people
    monkeypatch.setattr("memsim.grading.roster.people.harmless", str)
    assert len(formulas()) >= 3


def test_own_245_a_name_in_a_table_gives_the_teachers_terminal_no_orders(monkeypatch):
    people = [Person("ada", "Ada \x1b]0;owned\x07\x1b[2J\x9b2JLovelace")]

    def shown():
        return _csv([["Ada\x1b[2J", 1]]) + write_roster(people)  # as by cat grades.csv roster.csv

    assert all(char.isprintable() or char == "\n" for char in shown())
    assert "Ada\\x1b[2J" in shown()
    assert (
        _csv([["Zo\u00eb \u0631\u200c\u0627"]]) == "Zo\u00eb \u0631\u200c\u0627\n"
    )  # what joins letters stays
    monkeypatch.setattr("memsim.grading.roster.names._CONTROL", re.compile("(?!)"))
    assert "\x1b[2J" in shown()


def test_own_310_a_name_in_a_table_does_not_turn_its_line_round(monkeypatch):
    """Where a line is shown from right to left, its first points are its last ones."""
    line = [["\u202eyrollam", 0, 5]]
    assert _csv(line) == "\\u202eyrollam,0,5\n"
    monkeypatch.setattr("memsim.grading.roster.names._CONTROL", re.compile("(?!)"))
    assert _csv(line) == "\u202eyrollam,0,5\n"


@pytest.mark.parametrize(
    "damage", ["", "[]", '{"given": {"ada": {"double": {"points": 2}}}}', '{"given": 7, "dropped": []}']
)
def test_own_96_a_damaged_file_of_marks_is_no_reason_to_forget_them(damage, tmp_path):
    (tmp_path / "marks.json").write_text(damage)

    try:
        naive = json.loads(damage or "{}")["given"]
    except (ValueError, KeyError, TypeError):
        naive = {}
    assert naive in ({}, 7) or "dropped" not in json.loads(damage)  # whoever shrugs goes on without them
    with pytest.raises(MarksError, match="it is damaged"):
        Marks.load(tmp_path)
