"""Tables of any spreadsheet, system and language; what is wrong is named by its line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from memsim.grading.report.late import LateError, Policy, collected, moment, own_due_times
from memsim.grading.roster.people import Person, Roster, RosterError, read_roster

MOODLE = {
    "English": "First name,Last name,ID number,Email address,Groups",
    "German": "Vorname;Nachname;ID-Nummer;E-Mail-Adresse;Gruppen",
    "French": "Prénom;Nom de famille;Numéro d'identification;Adresse de courriel;Groupes",
    "Spanish": "Nombre;Apellido(s);Número de ID;Dirección de correo;Grupos",
    "Italian": "Nome;Cognome;Matricola;Indirizzo email;Gruppi",
}


@pytest.fixture
def table(tmp_path):
    """Write a table, and return its path."""

    def write(content, encoding="utf-8"):
        path = tmp_path / "table.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return write


def only(path):
    (person,) = read_roster(path)
    return person


@pytest.mark.parametrize("language", MOODLE)
def test_moodles_participants_are_read_in_the_language_of_the_site(language, table):
    separator = "," if "," in MOODLE[language] else ";"
    line = separator.join(["Élie", "Dû Châtelet", "0012", "elie@example.edu", "Tuesday"])
    person = only(table(f"{MOODLE[language]}\n{line}\n"))

    assert person.id == "elie@example.edu"
    assert (person.name, person.sis, person.section) == ("Élie Dû Châtelet", "0012", "Tuesday")
    assert person.group == ""  # of a group of Moodle's, nobody has handed in for another


@pytest.mark.parametrize(
    ("head", "number"),
    [
        ("Identifier;Full name;Email address", "Participant 900001"),
        ("ID;Vollständiger Name;E-Mail-Adresse", "Teilnehmer/in900001"),
    ],
)
def test_a_grading_worksheet_has_the_number_that_is_in_file_names(head, number, table):
    person = only(table(f"{head}\n{number};Ada Lovelace;ada@example.edu\n"))
    assert (person.id, person.moodle, person.name) == ("ada@example.edu", "900001", "Ada Lovelace")


def test_gradescopes_and_canvass_other_tables_are_read(table):
    gradescope = "First Name,Last Name,SID,Email,Section\nAda,Lovelace,0012,ada@example.edu,A\n"
    assert only(table(gradescope)).name == "Ada Lovelace"
    head = "name,canvas_user_id,user_id,login_id,sections,group_name"
    person = only(table(f"{head}\nAda Lovelace,4711,0012,ada,A,G1\n"))
    assert (person.id, person.canvas, person.sis, person.group) == ("ada", "4711", "0012", "")


def test_lines_of_a_gradebook_that_are_no_students_are_passed_over(table):
    head = "Student,ID,SIS User ID,SIS Login ID,Section,One (1)\n"
    lines = ',,,,,Manual Posting\n    Points Possible,,,,,19\n"Lovelace, Ada",4711,,ada,A,12\n'
    person = only(table(head + lines))
    assert (person.id, person.canvas, person.name) == ("ada", "4711", "Lovelace, Ada")


def test_columns_of_a_campus_system_are_read(table):
    head = "REGISTRATION_NUMBER;FAMILY_NAME_OF_STUDENT;FIRST_NAME_OF_STUDENT;EMAIL_ADDRESS_OF_STUDENT"
    person = only(table(f"{head}\n03700001;Dû;Élie;elie@example.edu\n"))
    assert (person.sis, person.name, person.email) == ("03700001", "Élie Dû", "elie@example.edu")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ('id;name\r\n007;"Dû; Élie"\r\n', "utf-8-sig"),
        ("id\tname\r\n007\tDû; Élie\r\n", "utf-16"),
        ('sep=;\nid;name\n007;"Dû; Élie"\n', "utf-8"),
        ('\n\nid;name\n;\n007;"Dû; Élie";\n\n', "utf-8"),
        ('id;name\r007;"Dû; Élie"\r', "utf-8"),
        ('id;name\n007;"Dû;\n Élie"\n', "utf-8"),
    ],
    ids=["BOM, CRLF and quotes", "Excel's Unicode", "sep=", "empty lines", "CR", "a line end in a name"],
)
def test_what_spreadsheets_write_is_read(text, encoding, table):
    assert only(table(text, encoding)) == Person("007", "Dû; Élie")


@pytest.mark.parametrize(
    ("text", "said"),
    {
        "nothing": ("", "no column says who a student is, .* its columns are none"),
        "a byte order mark": ("\ufeff", "its columns are none"),
        "no head": ("ada,Ada Lovelace\nbob,Bob\n", "its columns are ada, ada lovelace"),
        "a title above": ("Course 101;;\nid;name\nada;Ada\n", "its columns are course 101"),
        "a head alone": ("id,name\n", "there is no student below its first line"),
        "two columns of one name": ("id,id,name\nada,bob,Ada\n", "two columns are called 'id'"),
        "two of one id": ("id,name\nada,A\n ADA,B\n", "two lines have the id 'ada'"),
        "a comma in a name": ("id,name\nada,Lovelace, Ada\n", "line 2: it has 3 values for 2 columns"),
        "an open quote": ('id,name\nada,"Ada\nbob,Bob\n', "line 3: .* a quotation mark may be missing"),
        "a number that was shortened": ("id,name\n1.23E+11,Ada\n", "line 2: .* the number 1.23E\\+11 in"),
        "an id that is missing": ("id,name,group\nada,A,1\n,,2\n", "line 3: it names no student"),
        "Windows-1252": ("id,name\nada,A\njosé,B\n".encode("cp1252"), "line 3: it is not saved as UTF-8"),
    }.values(),
)
def test_a_roster_that_cannot_be_right_is_refused_with_file_and_line(text, said, table):
    with pytest.raises(RosterError, match=f"table.csv.*{said}"):
        read_roster(table(text))


# ---- times -------------------------------------------------------------------------------------------


def test_a_time_that_is_none_is_named_by_its_line(table):
    with pytest.raises(LateError, match=r"table.csv, line 3, bob: '30.11.2026' is no time"):
        collected(table("student;time\nada;2026-11-30T12:00+01:00\nbob;30.11.2026\n"))
    with pytest.raises(LateError, match="must name the columns student and time; it names name, zeit"):
        collected(table("Name;Zeit\nada;2026-11-30T12:00+01:00\n"))


def test_an_hour_that_exists_twice_is_two_hours(table):
    """On 25 October 2026 clocks in Berlin go from 03:00 +02:00 back to 02:00 +01:00."""
    due = moment("2026-10-25T02:30:00+02:00", "--due")
    times = collected(
        table(
            "student,time\nada,2026-10-25T02:30:00+02:00\nbob,2026-10-25T02:30:01+02:00\n"
            "cy,2026-10-25T02:30:00+01:00\ndee,2026-10-26T01:30:00+01:00\neve,2026-10-26T01:30:01+01:00\n"
        )
    )
    policy = Policy(due, times=times)
    assert {name: policy.days(name) for name in times} == {"ada": 0, "bob": 1, "cy": 1, "dee": 1, "eve": 2}


@pytest.mark.parametrize(("text", "days"), [("3", 3), ("1.5", 1.5), ("1,5", 1.5), ("2 days", 2), ("0", 0)])
def test_an_extension_may_have_a_decimal_comma(text, days):
    due = datetime(2026, 12, 1, tzinfo=UTC)
    assert own_due_times(Roster([Person("ada", extension=text)]), due) == {"ada": due + timedelta(days=days)}


@pytest.mark.parametrize("text", ["-1", "nan", "1e9", "soon", "9999", "1,5,2"])
def test_an_extension_that_is_no_number_of_days_is_named_by_its_student(text):
    with pytest.raises(LateError, match=f"roster, ada: the extension '{text}' is not a number of days"):
        own_due_times(Roster([Person("ada", extension=text)]), datetime(2026, 12, 1, tzinfo=UTC))


# ---- numbers -----------------------------------------------------------------------------------------


def test_a_number_without_its_zeros_is_asked_about_and_never_taken():
    roster = Roster([Person("ada", sis="0007"), Person("bob", sis="0070"), Person("cy", sis="0700")])
    assert roster.find("7") is None
    assert roster.nearest("7") == "ada"
    assert roster.nearest("8") == ""
    two = Roster([Person("007"), Person("07")])
    assert two.find("7") is None
    assert two.nearest("7") == "007 or 07"
