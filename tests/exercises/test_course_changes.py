"""A course as it goes on: extensions, students who come and go, pairs that split, groups of other systems."""

import json
import os
import sys
import unicodedata
import warnings
import zipfile
from pathlib import Path

import pytest

from memsim.grading.report import feedback
from memsim.grading.report import gradebook as gradebooks
from memsim.grading.report.late import Policy, moment
from memsim.grading.roster.people import Person, Roster
from memsim.grading.run import batch
from memsim.grading.run.batch import Batch
from memsim.grading.run.submissions import CollectionError, find
from tests.exercises import course as courses
from tests.exercises.course import DUE, RIGHT, WRONG, Course, answered, make_quick, notebook
from tests.exercises.test_class_page import result

QUESTIONS = ["double", "square"]
HEAD = "id,name,email,group,section,due,extension\n"
LINES = {
    "ada": "ada,Ada Lovelace,ada@example.edu,Team 1,A,,\n",
    "bob": "bob,Bob Stone,bob@example.edu,Team 1,A,,\n",
    "cy": "cy,Cyrille O'Neill,cy@example.edu,,B,,\n",
}
LATE = "student,time\nada,2026-12-02T09:00+01:00\nbob,2026-11-30T09:00+01:00\ncy,2026-11-30T09:00+01:00\n"


@pytest.fixture
def course(tmp_path, capsys, monkeypatch):
    """Lay out a course without submissions."""
    make_quick(monkeypatch)
    monkeypatch.chdir(tmp_path)
    return Course(tmp_path, capsys)


def roster(course, *lines):
    """Write ``roster.csv``, which the command finds."""
    return course.write("roster.csv", HEAD + "".join(lines))


def audit(graded):
    """Return the entries of the audit trail."""
    return [json.loads(line) for line in (graded.out / "audit.jsonl").read_text().splitlines()]


# ---- due times that change ---------------------------------------------------------------------------


def test_an_extension_that_is_given_after_grading_counts(course):
    roster(course, *LINES.values())
    for student in LINES:
        course.put(f"{student}.ipynb", answered(student))
    assert course.grade(*DUE, course.write("times.csv", LATE)).table()["ada"]["final_score"] == "4"

    roster(course, LINES["ada"].replace(",,\n", ",,3\n"), LINES["bob"], LINES["cy"])
    graded = course.grade()

    assert graded.table()["ada"]["final_score"] == "5"
    assert graded.table("canvas.csv")["Ada Lovelace"]["doubling"] == "5"
    assert "an extension" in graded.page("ada")
    assert "ada: 4 -> 5: lateness" in graded.said
    assert [(entry["student"], entry["why"], entry["score"]) for entry in audit(graded)] == [
        ("ada", "lateness", [4, 5])
    ]
    roster(course, *LINES.values())  # and is taken back
    assert course.grade().table()["ada"]["final_score"] == "4"
    assert "lateness" not in course.grade().said


def test_a_section_with_a_due_time_of_its_own_has_no_extension():
    due = moment("2026-12-01T00:00+01:00", "")
    own = {"ada": moment("2026-11-30T00:00+01:00", ""), "bob": moment("2026-12-02T00:00+01:00", "")}
    times = dict.fromkeys(("ada", "bob"), moment("2026-11-30T12:00+01:00", ""))
    policy = Policy(due, times=times, own_due=own)

    first, second = (feedback.page(result(student, "++++"), policy) for student in ("ada", "bob"))
    assert "1 day late" in first
    assert "It was due 30 November 2026, 00:00 UTC+01:00." in first
    assert "It was due 02 December 2026, 00:00 UTC+01:00, an extension." in second


EXTENSIONS = {
    # what the collector's table says, the roster's due time and extension, and the days late on 4 December
    "a later one in the roster": ("2026-12-02T00:00+01:00", "", "4", 0),
    "an earlier one in the roster": ("2026-12-05T00:00+01:00", "", "1", 0),
    "a section and an extension": ("", "2026-11-30T00:00+01:00", "5", 0),
    "a section, an extension that is over": ("", "2026-11-30T00:00+01:00", "1", 3),
}


@pytest.mark.parametrize(("table", "due", "days", "late"), EXTENSIONS.values(), ids=EXTENSIONS)
def test_the_later_one_of_two_due_times_counts_and_the_page_says_so(table, due, days, late, course):
    roster(course, f"ada,Ada Lovelace,,,A,{due},{days}\n")
    course.put("ada.ipynb", answered("ada"))
    times = course.write("times.csv", f"student,time,due\nada,2026-12-04T00:00+01:00,{table}\n")
    graded = course.grade(*DUE, times)

    assert graded.table()["ada"]["late_days"] == str(late)
    assert ", an extension." in graded.page("ada")
    assert ("two due times of one student: 1\n  ada: " in graded.said) == bool(table)
    assert list(graded.report()["two_due_times"]) == (["ada"] if table else [])
    assert course.grade().table()["ada"]["late_days"] == str(late)


CLOCKS = {
    # In Berlin the clocks go back on 25 October 2026 and forward on 28 March 2027.
    "an extension over the night": ("2026-10-21T18:00", "7", "2026-10-28T17:30+01:00", 0),
    "a day of 25 hours": ("2026-10-24T20:00", "", "2026-10-25T19:30+01:00", 1),
    "a day of 23 hours": ("2027-03-27T20:00", "", "2027-03-28T20:30+02:00", 2),
    "in time": ("2026-10-24T20:00", "", "2026-10-24T20:00+02:00", 0),
}


@pytest.mark.parametrize(("due", "days", "time", "late"), CLOCKS.values(), ids=CLOCKS)
def test_a_day_ends_at_the_same_hour_in_a_zone(due, days, time, late, course):
    roster(course, LINES["ada"].replace(",,\n", f",,{days}\n"))
    course.put("ada.ipynb", answered("ada"))
    times = course.write("times.csv", f"student,time\nada,{time}\n")
    graded = course.grade("--due", f"{due} Europe/Berlin", "--collected", times)

    assert graded.table()["ada"]["late_days"] == str(late)
    assert course.grade().table()["ada"]["late_days"] == str(late)


def test_columns_that_nothing_reads_are_named_in_every_table(course):
    """A misspelt one would take an extension or a comment away silently."""
    course.put("ada.ipynb", answered("ada"))
    times = "student,time,due_date\nada,2026-12-02T09:00+01:00,2026-12-03T09:00+01:00\n"
    points = course.write("points.csv", "student,question,points,feedback\nada,double,1,Well said.\n")
    graded = course.grade(*DUE, course.write("times.csv", times), "--points", points)

    assert "times.csv: columns not used: due_date; those that are read: student, time, due\n" in graded.said
    assert "points.csv: columns not used: feedback; " in graded.said
    assert "points.csv: 1 answer changed\n" in graded.said
    assert "points.csv: no answers changed\n" in course.grade("--points", points).said


def test_a_zone_that_is_none_is_refused_in_one_line(course):
    course.put("ada.ipynb", answered("ada"))
    times = course.write("times.csv", "student,time\nada,2026-10-28T17:30+01:00\n")
    graded = course.grade("--due", "2026-10-21T18:00 Europe/Nowhere", "--collected", times)

    assert graded.status == 2
    assert "--due: this machine knows no time zone 'Europe/Nowhere'" in graded.said


def test_a_due_time_of_the_week_before_is_told(course):
    lines = [LINES["ada"].replace(",,\n", ",2026-11-24T00:00+01:00,\n"), LINES["bob"], LINES["cy"]]
    roster(course, *lines)
    for student in LINES:
        course.put(f"{student}.ipynb", answered(student))
    graded = course.grade(*DUE, course.write("times.csv", LATE))

    before, _, _ = graded.said.partition("graded 3")
    assert "due before the others: 1\n  ada: the roster's column due; is it of another assignment?" in before
    assert graded.report()["due_earlier"] == ["ada"]


# ---- students who come and go ------------------------------------------------------------------------


def test_the_roster_of_the_run_before_stays_in_force(course):
    course.put("Ada Lovelace_1234567_assignsubmission_file/doubling.ipynb", answered("ada"))
    people = course.write("people.csv", HEAD + LINES["ada"])
    course.grade("--roster", people)
    again = course.grade()

    assert again.scores() == {"ada": "5"}
    assert "given-roster.csv, 1 student" in again.said
    assert course.grade("--roster", "none").report()["not_in_roster"] == {}


def test_who_has_left_is_told_and_not_given_to_other_systems(course):
    roster(course, *LINES.values())
    for student in LINES:
        course.put(f"{student}.ipynb", answered(student))
    course.grade()
    roster(course, LINES["ada"], LINES["bob"])
    (course.submitted / "cy.ipynb").unlink()
    graded = course.grade()

    assert graded.status == 1
    assert "not in the roster any more: 1\n  cy: the result stands; --forget takes it away" in graded.said
    assert graded.scores()["cy"] == "5"
    assert "cy" not in graded.table("canvas.csv")
    assert "not in the roster any more" in (graded.out / "index.html").read_text()

    forgotten = course.grade("--forget", "cy")
    assert forgotten.status == 0
    assert list(forgotten.scores()) == ["ada", "bob"]
    assert not (forgotten.out / "feedback" / "cy.html").exists()
    assert not (forgotten.out / "gradescope" / "cy").exists()
    assert "cy" not in (forgotten.out / "roster.csv").read_text()
    assert audit(forgotten)[-1] | {"when": ""} == {
        "student": "cy",
        "why": "forgotten",
        "score": [5, None],
        "when": "",
    }


class KilledError(BaseException):
    """The command ends here, as if somebody had killed it."""


def killed_after(owner, name, course, *options):
    """Grade with a command of which one function is the last."""

    def last(*given, **named):
        function(*given, **named)
        raise KilledError

    function = getattr(owner, name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, last)
        with pytest.raises(KilledError):
            course.grade(*options)


def test_a_command_that_is_killed_forgets_all_of_a_student_or_nothing(course):
    """The result had gone and the points by hand stayed: they counted, and nobody could forget them."""
    for student in ("ada", "cy"):
        course.put(f"{student}.ipynb", answered(student))
    course.grade("--points", course.write("points.csv", "student,question,points\ncy,square,1\n"))
    (course.submitted / "cy.ipynb").unlink()
    killed_after(batch.shutil, "rmtree", course, "--forget", "cy")
    assert list(course.grade("--forget", "cy").scores()) == ["ada"]
    assert not (course.grade().out / "feedback" / "cy.html").exists()


def test_a_command_that_is_killed_later_has_forgotten_the_points_by_hand_too(course):
    for student in ("ada", "cy"):
        course.put(f"{student}.ipynb", answered(student))
    course.grade("--points", course.write("points.csv", "student,question,points\ncy,square,1\n"))
    (course.submitted / "cy.ipynb").unlink()
    killed_after(Batch, "forget", course, "--forget", "cy")
    assert list(course.grade().scores()) == ["ada"]


def test_a_command_that_is_killed_leaves_no_other_due_time_unsaid(course):
    """The new due time was kept before the audit trail had it, and the next command saw no change."""
    roster(course, *LINES.values())
    course.put("ada.ipynb", answered("ada"))
    times = course.write("times.csv", LATE)
    course.grade(*DUE, times)
    killed_after(Batch, "run", course, "--due", "2026-12-05T00:00+01:00", "--collected", times)
    told = [entry for entry in audit(course.grade()) if entry["why"] == "lateness"]
    assert [(entry["student"], entry["score"][1]) for entry in told] == [("ada", 5)]


def test_an_extension_of_a_due_time_at_the_end_of_the_calendar_is_told(course):
    roster(course, LINES["ada"].replace(",,\n", ",,3\n"))
    course.put("ada.ipynb", answered("ada"))
    refused = course.grade("--due", "9999-12-31T23:59+00:00", "--collected", course.write("times.csv", LATE))
    assert refused.status == 2
    assert "roster, ada: the extension '3' leads beyond the last day of the calendar" in refused.said


@pytest.mark.parametrize("student", ["zoe", "ada"])
def test_only_a_result_that_is_there_without_a_file_can_be_forgotten(student, course):
    course.put("ada.ipynb", answered("ada"))
    course.grade()
    refused = course.grade("--forget", student)

    assert refused.status == 2
    assert f"--forget {student}: no such student, or one who has " in refused.said
    assert refused.scores() == {"ada": "5"}


def test_who_comes_late_is_graded_when_there_is_something(course):
    roster(course, LINES["ada"])
    course.put("ada.ipynb", answered("ada"))
    course.grade()
    roster(course, LINES["ada"], LINES["cy"])
    waiting = course.grade()
    assert waiting.scores() == {"ada": "5", "cy": ""}

    course.put("cy.ipynb", answered("cy"))
    graded = course.grade()
    assert graded.scores() == {"ada": "5", "cy": "5"}
    assert "nothing handed in" not in graded.said


def test_who_left_and_comes_back_is_in_the_course_again(course):
    everybody = [LINES["ada"], LINES["cy"]]
    for student in ("ada", "cy"):
        course.put(f"{student}.ipynb", answered(student))
    roster(course, *everybody)
    course.grade()
    roster(course, LINES["ada"])
    away = course.grade()
    assert away.report()["not_in_roster"] == {"cy.ipynb": ""}
    assert "cy" not in away.table("canvas.csv")

    roster(course, *everybody)
    back = course.grade()
    assert back.status == 0
    assert back.table("canvas.csv")["Cyrille O'Neill"]["doubling"] == "5"


def test_results_that_stand_without_a_file_are_told(course):
    for student in ("ada", "bob", "cy"):
        course.put(f"{student}.ipynb", answered(student))
    assert "earlier runs" not in course.grade().said
    (course.submitted / "bob.ipynb").unlink()
    graded = course.grade()

    assert "results of earlier runs stand, and nothing was collected now: 1 (bob)" in graded.said
    assert graded.report()["earlier"] == ["bob"]
    assert "earlier runs" not in course.grade("--only", "ada").said


def test_a_part_that_has_not_changed_is_told(course):
    course.put("ada.ipynb", answered("ada"))
    course.grade()

    assert "graded before, and nothing has changed: --again" in course.grade("--only", "ada").said
    assert "nothing has changed" not in course.grade("--only", "ada", "--again").said


# ---- pairs and groups --------------------------------------------------------------------------------


def test_of_a_pair_that_has_split_each_ones_own_counts(course):
    course.put("cy+dee.ipynb", answered("cy"))
    assert course.grade().scores() == {"cy": "5", "dee": "5"}
    course.put("cy.ipynb", notebook(RIGHT))
    graded = course.grade()

    assert graded.scores() == {"cy": "2", "dee": "5"}
    assert "cy: cy.ipynb counts, not cy+dee.ipynb" in graded.said


def test_a_group_that_has_split_leaves_no_result_behind_unsaid(course):
    roster(course, *LINES.values())
    course.put("ada.ipynb", answered("ada"))
    assert course.grade().scores()["bob"] == "5"
    roster(course, LINES["ada"], LINES["bob"].replace("Team 1", ""), LINES["cy"])

    assert "nothing was collected now: 1 (bob)" in course.grade().said
    assert course.grade("--forget", "bob").scores() == {"ada": "5", "bob": "", "cy": ""}


def test_who_joins_a_group_later_has_its_result(course):
    roster(course, LINES["ada"], LINES["bob"], LINES["cy"])
    course.put("ada.ipynb", answered("ada"))
    assert course.grade().scores()["cy"] == ""
    roster(course, LINES["ada"], LINES["bob"], LINES["cy"].replace(",,B", ",Team 1,B"))

    graded = course.grade()
    assert graded.scores() == {"ada": "5", "bob": "5", "cy": "5"}
    assert "nothing handed in" not in graded.said


def test_who_joins_a_pair_later_has_the_time_of_its_file(course):
    roster(course, LINES["ada"].replace("Team 1", ""), LINES["bob"].replace("Team 1", ""))
    course.put("ada.ipynb", answered("ada"))
    course.grade(*DUE, course.write("times.csv", "student,time\nada,2026-12-02T09:00+01:00\n"))
    roster(course, LINES["ada"], LINES["bob"])
    graded = course.grade()

    assert "no time in the collector's table" not in graded.said
    assert {student: row["late_days"] for student, row in graded.table().items()} == {"ada": "2", "bob": "2"}


TEAMS = Roster(
    [
        Person("ada", "Ada Lovelace", canvas="4711", group="Team 1"),
        Person("bob", "Bob Stone", group="Team 1"),
        Person("cy", "Cyrille O'Neill", moodle="900003", section="Tuesday, Team 2"),
        Person("dee", "Anne-Marie Dee", section="Team 2"),
    ]
)


@pytest.mark.parametrize(
    ("name", "students"),
    {
        "Canvas, a member's number": ("team1_4711_9001_made.ipynb", ["ada", "bob"]),
        "Canvas, another number": ("team1_4799_9001_made.ipynb", ["ada", "bob"]),
        # mod/assign/classes/downloader.php: the name of the group, and its number
        "Moodle, a group": ("Team 1_17_assignsubmission_file/x.ipynb", ["ada", "bob"]),
        "Moodle, a group in its list": ("Team 2_18_assignsubmission_file/x.ipynb", ["cy", "dee"]),
        # mod/assign/locallib.php before 4.1: each member with the group before the name
        "Moodle, a member": ("Team 1-Bob Stone_44_assignsubmission_file_/x.ipynb", ["ada", "bob"]),
        "Moodle, a hyphen": ("Team 2-Anne-Marie Dee_45_assignsubmission_file_/x.ipynb", ["dee"]),
        "Moodle, hidden": ("Participant_900003_assignsubmission_file/x.ipynb", ["cy"]),
        "Brightspace": ("55-77 - Team 1 - Nov 30, 2026 1159 PM/x.ipynb", ["ada", "bob"]),
        "Blackboard": ("made_Team 1_attempt_2026-11-30-23-59-00_x.ipynb", ["ada", "bob"]),
        "a folder": ("Team 1/x.ipynb", ["ada", "bob"]),
    }.values(),
)
def test_what_has_the_name_of_a_group_counts_for_the_group(name, students, course):
    course.put(name, notebook(RIGHT))
    found = find([course.submitted], "made", QUESTIONS, TEAMS)

    assert [one.student for one in found.handed] == students
    assert found.unknown == {}
    by_number_or_name = "4711" in name or "Bob" in name or len(students) == 1
    assert list(found.by_group.values()) == ([] if by_number_or_name else [students])


@pytest.mark.parametrize(
    "names",
    [
        ["Team 1_17_assignsubmission_file/x.ipynb", "Team 1_99_assignsubmission_file/x.ipynb"],
        ["x-Bob Stone_44_assignsubmission_file/x.ipynb", "Bob Stone_45_assignsubmission_file/x.ipynb"],
        ["Tuesday/x.ipynb"],
        ["Participant_900099_assignsubmission_file/x.ipynb"],
    ],
    ids=["two of one group's name", "a student's name behind a hyphen", "a section", "an unknown number"],
)
def test_what_may_be_anybodys_counts_for_nobody(names, course):
    for name in names:
        course.put(name, notebook(RIGHT))
    found = find([course.submitted], "made", QUESTIONS, TEAMS)

    assert not {one.student for one in found.handed} & set(TEAMS.people)
    assert len(found.unknown) == len(names)


NAMESAKES = [
    Person("ada", "Ada Lovelace", canvas="4711", group="Kim Lee"),
    Person("bob", "Bob Stone", canvas="4712", group="Kim Lee"),
    Person("blue", "Blue Sky", canvas="4715", group=""),
    Person("cy", "Cy Young", canvas="4716", group="Blue Sky"),
]
TWO = [Person("kim1", "Kim Lee"), Person("kim2", "Kim Lee")]


@pytest.mark.parametrize(
    ("name", "others", "students"),
    {
        "two students outside have the name": ("Kim Lee/x.ipynb", TWO, ["Kim Lee"]),
        "one student outside has it": ("Kim Lee/x.ipynb", TWO[:1], ["kim1"]),
        "Moodle, a student or a group": ("Kim Lee_17_assignsubmission_file/x.ipynb", TWO[:1], ["Kim Lee"]),
        "Canvas, the student's number": ("skyblue_4715_9001_x.ipynb", [], ["blue"]),
        "Canvas, a member's number": ("kimlee_4711_9001_x.ipynb", [], ["ada", "bob"]),
        "Canvas, nobody's number": ("kimlee_4799_9001_x.ipynb", [], ["kimlee"]),
    }.values(),
)
def test_a_group_and_somebody_else_of_one_name_are_not_mixed_up(name, others, students, course):
    course.put(name, notebook(RIGHT))
    found = find([course.submitted], "made", QUESTIONS, Roster([*NAMESAKES, *others]))

    assert [one.student for one in found.handed] == students
    asked = [near for near in found.unknown.values() if "the group" in near]
    assert len(asked) == (students not in (["kim1"], ["blue"], ["ada", "bob"]))


def test_a_files_name_takes_nobodys_own_work_away(course):
    course.put("stonebob_4712_9001_made.ipynb", notebook(RIGHT))
    course.put("team1_4799_9999_made.ipynb", notebook(WRONG))
    handed = {one.student: one.path.name for one in find([course.submitted], "made", QUESTIONS, TEAMS).handed}

    assert handed["bob"] == "stonebob_4712_9001_made.ipynb"


def test_each_member_of_a_group_gets_its_page_back_from_moodle(course):
    """mod/assign/feedback/file/importziplib.php reads the number in a name as a participant's.

    A group's folder has the group's number, which may be that of another student.
    """
    course.write(
        "roster.csv",
        "id,name,moodle,group\nada,Ada Lovelace,900001,Team 1\nbob,Bob Stone,900002,Team 1\n"
        "cy,C Y,,Team 1\ndee,D E,17,\n",
    )
    course.put("Team 1_17_assignsubmission_file/doubling.ipynb", answered("bob"))
    graded = course.grade()

    assert graded.scores() == {"ada": "5", "bob": "5", "cy": "5", "dee": ""}
    pages = {
        f"{name}_assignsubmission_file/feedback.html": who
        for name, who in {"Ada Lovelace_900001": "ada", "Bob Stone_900002": "bob"}.items()
    }
    with zipfile.ZipFile(graded.out / "moodle-feedback.zip") as archive:
        assert archive.namelist() == list(pages)
        for name, who in pages.items():
            assert f"Handed in by {who}" in archive.read(name).decode()
    assert "moodle-feedback.zip: it has no page for cy, whose number the roster does not have" in graded.said
    assert "Participant 17" not in (graded.out / "moodle.csv").read_text()


def test_a_group_without_numbers_has_no_page_that_moodle_would_give_to_others(course):
    roster(course, *LINES.values())
    course.put("Team 1_17_assignsubmission_file_doubling.ipynb", answered("bob"))
    graded = course.grade()

    assert not list(graded.out.glob("*-feedback.zip"))
    assert graded.report()["no_page"] == {"moodle": ["ada", "bob"]}
    assert "moodle-feedback.zip" in graded.said


def test_the_other_one_of_a_pair_gets_a_page_where_moodles_number_is_known(course):
    mine = "Ada Lovelace_900001_assignsubmission_file"
    course.write(
        "roster.csv", "id,name,moodle,group\nada,Ada Lovelace,,1\nbob,Bob Stone,900002,1\ncy,C Y,,1\n"
    )
    course.put(f"{mine}/doubling.ipynb", answered("ada"))
    graded = course.grade()

    with zipfile.ZipFile(graded.out / "moodle-feedback.zip") as archive:
        other = "Bob Stone_900002_assignsubmission_file/feedback.html"
        assert archive.namelist() == [f"{mine}/feedback.html", other]
        assert "Handed in by bob" in archive.read(other).decode()
    assert "moodle-feedback.zip: it has no page for cy, whose number the roster does not have" in graded.said
    assert graded.report()["no_page"] == {"moodle": ["cy"]}


def test_moodles_numbers_of_another_assignment_are_not_used(course):
    """mod/assign/locallib.php: get_uniqueid_for_user() makes them for each assignment anew."""
    course.write(
        "roster.csv", "id,name,moodle,group\nada,Ada Lovelace,1,1\nbob,Bob Stone,2,1\ncy,C Y,3,\ndee,D E,4,\n"
    )
    course.put("Ada Lovelace_61_assignsubmission_file/doubling.ipynb", answered("ada"))
    course.put("C Y_3_assignsubmission_file/doubling.ipynb", answered("cy"))
    graded = course.grade()

    told = "each assignment has its own, and those in the roster are not of this one"
    assert f"Moodle's numbers not used: 3\n  ada, bob, dee: {told}" in graded.said
    assert graded.report()["no_page"] == {"moodle": ["bob"]}
    assert "Participant 2," not in (graded.out / "moodle.csv").read_text()
    assert "Participant 61,Ada" in (graded.out / "moodle.csv").read_text()


EXPORT = """---
submission_4711:
  :submitters:
  - :name: Ada Lovelace
    :sid: 'S101'
    :email: ada@example.edu
  :created_at: 2026-12-02 08:05:12.123456789 Z
  :score: 3.0
  :status: graded
  :history: []
submission_4712:
  :submitters:
  - :name: Bob Stone
    :sid:
    :email: bob@example.edu
  - :name: C Y
    :email: cy@example.edu
  :created_at: 2026-11-30 08:05:12.0 +01:00
submission_4713:
  :submitters:
  - :name: Eve
    :email: eve@example.edu
  :created_at: 2026-11-30 08:05:12 Z
"""


def test_an_export_of_gradescopes_is_graded_by_its_metadata(course):
    course.write(
        "roster.csv",
        "id,name,email,sis\nada,A. Lovelace,ada@example.edu,\nbob,Bob Stone,bob@example.edu,\ncy,C Y,,\n",
    )
    course.put("submission_metadata.yml", EXPORT.encode())
    course.put("submission_4711/hw/doubling.ipynb", answered("ada"))
    course.put("submission_4712/doubling.ipynb", notebook(RIGHT))
    course.put("submission_4713/doubling.ipynb", notebook(WRONG))
    graded = course.grade(*DUE, str(course.submitted / "submission_metadata.yml"))
    rows = graded.table()

    assert graded.scores() == {"ada": "5", "bob": "2", "cy": "2", "eve@example.edu": "0"}
    assert {student: row["late_days"] for student, row in rows.items()} == {
        "ada": "2",
        "bob": "0",
        "cy": "0",
        "eve@example.edu": "0",
    }
    assert "not in the roster: 1\n  submission_4713/doubling.ipynb" in graded.said
    assert "in the collector's table and not in the course" not in graded.said


@pytest.mark.parametrize("beside", ["notes.txt", "zed_1_2_x.ipynb"], ids=["a student", "as if of several"])
def test_a_student_cannot_hand_in_an_export_and_be_others(beside, course):
    """Where students write, nothing says whose a file is: a wrong answer would be Ada's."""
    claimed = "submission_1:\n  :submitters:\n  - :name: ada\n  :created_at: 2026-11-01 08:00:00 Z\n"
    course.put("eve/submission_metadata.yml", claimed.encode())
    course.put("eve/submission_1/doubling.ipynb", notebook(WRONG))
    course.put(f"eve/{beside}", notebook(WRONG))

    assert "ada" not in course.grade().scores()


def test_an_export_is_no_link_to_what_others_keep(course):
    elsewhere = course.folder / "elsewhere.yml"
    elsewhere.write_text(EXPORT)
    (course.submitted / "submission_metadata.yml").symlink_to(elsewhere)
    course.put("submission_4711/doubling.ipynb", answered("ada"))

    assert "S101" not in course.grade().scores()


@pytest.mark.parametrize("text", ["[]", "submission_1: 7", "a: [", "submission_1:\n  :submitters: []"])
def test_damaged_metadata_of_gradescopes_are_told_and_end_nothing(text, course):
    course.put("submission_metadata.yml", text.encode())
    course.put("submission_1/doubling.ipynb", answered("ada"))
    course.put("ada/doubling.ipynb", answered("ada"))
    graded = course.grade()

    assert graded.scores()["ada"] == "5"
    assert "submission_metadata.yml" in graded.report()["left_out"]


# ---- nbgrader's gradebook ----------------------------------------------------------------------------


def gradebook_of(course):
    """Make nbgrader's gradebook of the assignment, and return its address and how to open it."""
    with warnings.catch_warnings(action="ignore"):  # nbgrader's own, about its tables
        from nbgrader.api import Gradebook  # noqa: PLC0415 (it is slow, and only needed here)
    url = f"sqlite:///{course.folder / 'gradebook.db'}"
    with Gradebook(url) as gradebook:
        gradebook.add_assignment("doubling")
        gradebook.add_notebook("doubling", "doubling")
        for name, points in {"double": 2, "square": 3}.items():
            gradebook.add_grade_cell(name, "doubling", "doubling", max_score=points, cell_type="code")
    return url, Gradebook


def test_a_dropped_question_counts_nothing_in_nbgraders_gradebook_until_it_counts_again(course, monkeypatch):
    bin_of_python = str(Path(sys.executable).parent)  # nbgrader starts alembic by name
    monkeypatch.setenv("PATH", os.pathsep.join([bin_of_python, os.environ["PATH"]]))
    url, open_gradebook = gradebook_of(course)
    course.put("ada.ipynb", answered("ada"))
    course.put("bob.ipynb", notebook(WRONG))
    course.put("cy.ipynb", answered("cy"))
    course.grade("--gradebook", url)
    with open_gradebook(url) as gradebook:  # as formgrader does
        gradebook.find_grade("square", "doubling", "doubling", "bob").manual_score = 1
        gradebook.db.commit()

    def points(*options):
        assert course.grade("--gradebook", url, *options).status == 0
        with open_gradebook(url) as gradebook:
            found = {
                s.student.id: (s.score, s.max_score) for s in gradebook.assignment_submissions("doubling")
            }
            return found, gradebook.find_assignment("doubling").max_score

    by_hand = course.write("points.csv", "student,question,points\ncy,square,2\n")
    before = {"ada": (5, 5), "bob": (1, 5), "cy": (4, 5)}
    dropped = {"ada": (2, 2), "bob": (0, 2), "cy": (2, 2)}
    assert points("--points", by_hand) == (before, 5)
    assert points("--drop", "square") == (dropped, 2)
    assert points() == (dropped, 2)
    taken_back = course.write("points.csv", "student,question,points\ncy,square,\n")
    assert points("--count", "square", "--points", taken_back) == (before | {"cy": (5, 5)}, 5)


def test_points_that_a_gradebook_loses_as_a_question_is_dropped_are_kept_before(course, monkeypatch):
    """They were in no file between nbgrader's commit and the end of the command."""
    bin_of_python = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", os.pathsep.join([bin_of_python, os.environ["PATH"]]))
    url, open_gradebook = gradebook_of(course)
    course.put("bob.ipynb", notebook(WRONG))
    course.grade("--gradebook", url)
    with open_gradebook(url) as gradebook:
        gradebook.find_grade("square", "doubling", "doubling", "bob").manual_score = 1
        gradebook.db.commit()
    for option in ("--drop", "--count"):
        killed_after(gradebooks, "_record_dropped", course, "--gradebook", url, option, "square")
        if option == "--drop":
            assert course.grade("--gradebook", url).status == 0
    assert course.grade("--gradebook", url).status == 0
    with open_gradebook(url) as gradebook:
        assert gradebook.find_grade("square", "doubling", "doubling", "bob").manual_score == 1


# ---- another assignment ------------------------------------------------------------------------------


def test_a_notebook_with_few_functions_of_the_assignment_is_told_to_the_teacher(course, monkeypatch):
    """Two assignments may have a question of one name, and one counts for the other silently."""
    monkeypatch.undo()
    monkeypatch.setattr("memsim.grading.sandbox.holds.fence_that_holds", courses.once)
    grading = Path(course.write("three.py", THREE))
    course.put("ada.ipynb", notebook(RIGHT, "def other():\n    return 1\n"))
    course.put("bob.ipynb", notebook(RIGHT, RIGHT.replace("double", "treble"), "def square(\n"))
    graded = course.grade(grading=grading)

    assert graded.report()["attention"] == {
        "ada": ["only 1 of 3 functions of three is in it: it may be another assignment's notebook"]
    }


THREE = (
    (courses.MATERIAL / "doubling.py")
    .read_text(encoding="utf-8")
    .replace('"doubling"', '"three"')
    .replace(
        '        Question("square"',
        '        Question("treble", 1, "compute", int, {twice: 1}),\n        Question("square"',
    )
)


# ---- nbgrader's gradebook ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "modules", "told"),
    [
        ("sqlite:///nothing.db", {}, "there is no such file; run nbgrader generate_assignment first"),
        ("mongo:nothing", {}, "no gradebook that can be used"),
        ("sqlite:///book.db", {"nbgrader.api": None}, "nbgrader is not installed"),
    ],
)
def test_a_gradebook_that_cannot_be_used_is_told_before_anything_is_graded(
    url, modules, told, course, monkeypatch
):
    course.put("ada.ipynb", answered("ada"))
    (course.folder / "book.db").touch()
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    refused = course.grade("--gradebook", url)

    assert refused.status == 2
    assert told in refused.said
    assert not refused.out.exists()
    assert not (course.folder / "nothing.db").exists()


# ---- names -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["LATE_anon_yVkWT_998878_made.ipynb", "anon_yVkWT_998877_2_made.ipynb"])
def test_of_a_student_whose_name_canvas_hides_the_later_file_counts(name, course):
    course.put("anon_yVkWT_998870_made.ipynb", notebook(WRONG))
    course.put(name, notebook(RIGHT))
    (one,) = find([course.submitted], "made", QUESTIONS).handed

    assert (one.student, one.path.name) == ("anon_yVkWT", name)


@pytest.mark.parametrize(
    "name",
    [
        "lovelaceada_4711_text.html",
        "lovelaceada_LATE_4711_link.html",
        "Ada Lovelace_123_assignsubmission_onlinetext/onlinetext.html",
    ],
)
def test_who_handed_in_a_text_alone_has_handed_in_no_file_and_is_listed(name, course):
    course.put(name, b"<p>def double(number)</p>")
    course.put("stonebob_4712_9001_doubling.ipynb", answered("stonebob"))
    graded = course.grade()

    (student,) = graded.report()["nothing_handed_in"]
    assert student in ("lovelaceada", "Ada Lovelace")
    assert graded.scores()[student] == ""
    assert "only " in graded.page(student)


NAMES = {
    "\u0130brahim I\u015f\u0131k": "ibrahim i\u015f\u0131k",
    "Jörg Weiß": "JÖRG WEISS",
    "王小明": "王小明",
    "Đặng Thị Hồng": unicodedata.normalize("NFD", "đặng thị hồng"),
    "अमित शर्मा": "अमित शर्मा",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_any_language_is_found(name, course):
    people = Roster([Person("one", name), Person("two", "Somebody Else")])
    first, *rest = NAMES[name].split()
    canvas = "".join([*rest, first]).lower()
    course.put(f"{NAMES[name]}_12_assignsubmission_file/x.ipynb", notebook(RIGHT))
    assert [one.student for one in find([course.submitted], "made", QUESTIONS, people).handed] == ["one"]
    flat = course.folder / "canvas"
    flat.mkdir()
    (flat / f"{canvas}_12_99_x.ipynb").write_bytes(notebook(RIGHT))
    assert [one.student for one in find([flat], "made", QUESTIONS, people).handed] == ["one"]


@pytest.mark.parametrize(
    ("written", "misread"),
    [("utf-8", "cp437"), ("gb18030", "cp437"), ("cp932", "cp437"), ("cp1251", "cp850")],
)
def test_a_name_that_an_archive_has_garbled_is_asked_about(written, misread):
    name = "Иван Петров" if written == "cp1251" else "王小明"
    people = Roster([Person("one", name), Person("two", "Somebody Else")])

    assert people.nearest(name.encode(written).decode(misread)) == "one"


def test_an_address_that_two_students_have_is_told(course):
    roster(course, LINES["ada"], LINES["bob"].replace("bob@", "ada@"))
    course.put("ada.ipynb", answered("ada"))

    said = course.grade().said
    assert "the same for several students: 1\n  email ada@example.edu: ada, bob\n" in said


# ---- what is given on the command line ---------------------------------------------------------------


def test_an_archive_is_to_be_unpacked_first(course):
    path = course.put("submissions.zip", b"PK\3\4")
    with pytest.raises(CollectionError, match=r"submissions\.zip: it is an archive; unpack it into a folder"):
        find([path], "made", QUESTIONS)
    course.put("ada.ipynb", notebook(RIGHT))
    both = find([path, course.submitted / "ada.ipynb"], "made", QUESTIONS)
    assert "ada" in [one.student for one in both.handed]  # as `submitted/*` is, one student's among them


@pytest.mark.parametrize("inside", ["doubling.ipynb", "doubling (1).ipynb", "doubling/doubling.ipynb"])
def test_the_folder_of_a_student_can_be_given_alone(inside, course):
    for student in ("ada", "bob"):
        course.put(f"{student}/{inside}", answered(student))
    course.grade()
    course.put(f"bob/{inside}", notebook(WRONG))

    again = course.grade(submissions=[course.submitted / "bob"])
    assert again.scores() == {"ada": "5", "bob": "0"}
    every = course.grade(submissions=sorted(course.submitted.iterdir()))
    assert every.scores() == {"ada": "5", "bob": "0"}


@pytest.mark.parametrize("names", [["ada.ipynb", "bob.ipynb"], ["lovelaceada_1_2_made.ipynb"]])
def test_a_folder_of_several_students_may_have_the_name_of_one(names, course):
    people = Roster([Person("ada", "Ada Lovelace", sis="101"), Person("bob", "Bob Stone")])
    folder = course.folder / "101"
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(notebook(RIGHT))
    assert len(find([folder], "made", QUESTIONS, people).handed) == len(names)
