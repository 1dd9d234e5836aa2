"""The roster: who is in the course, and under which names and numbers other systems know them.

``roster.csv`` has a line for each student. Only ``id`` is needed; the other columns are ``name``, ``email``,
``login``, ``sis`` (what Canvas calls SIS User ID, Moodle ID number, Brightspace OrgDefinedId), ``canvas``,
``moodle``, ``brightspace``, ``gradescope`` (the numbers that these systems put into file names), ``group``,
``section``, ``due`` (a time of this student's own, or of the section), ``extension`` (days after that, or
after ``--due``) and ``file`` (the file that counts where several were handed in). A table that Canvas, Moodle
or Gradescope has exported is read as it is, also in German, French, Spanish, Italian, Portuguese or Dutch.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import difflib
import io
import re
from collections import Counter
from dataclasses import asdict, dataclass, fields, replace
from itertools import product
from typing import TYPE_CHECKING

from memsim.errors import MemsimError
from memsim.grading.roster.names import as_it_was, compact, harmless, key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

_ALIASES = ("id", "name", "email", "login", "sis", "canvas", "moodle", "brightspace", "gradescope")
_HEADERS = {
    "id": "student",
    "name": "full name, fullname, vollständiger name, nom complet, nombre completo, nome completo",
    "first": "first name, firstname, given name, vorname, prénom, nombre, nombre(s), nome, voornaam",
    "last": (
        "last name, lastname, surname, family name, nachname, familienname, nom, nom de famille, apellido, "
        "apellidos, apellido(s), cognome, sobrenome, achternaam"
    ),
    "email": (
        "e-mail, mail, email address, e-mail address, e-mail-adresse, e-mailadresse, adresse de courriel, "
        "adresse e-mail, courriel, dirección de correo, dirección de correo electrónico, correo, "
        "correo electrónico, indirizzo email, endereço de email, e-mailadres"
    ),
    "login": (
        "username, user name, login_id, benutzername, anmeldename, nom d'utilisateur, nombre de usuario, "
        "usuario, gebruikersnaam"
    ),
    "sis": (
        "id number, orgdefinedid, sid, student id, student number, user_id, registration number, "
        "id-nummer, matrikelnummer, matrikel-nr., numéro d'identification, numéro d'étudiant, "
        "número de id, matrícula, matricola, codice identificativo, studentnummer"
    ),
    "canvas": "canvas_user_id",
    "group": "team, gruppe, groupe, grupo, gruppo, groep",
    "section": "sections, groups, gruppen, groupes, grupos, gruppi",  # Moodle's groups are no pairs
}
"""What the tables of other systems, and of other languages, call the columns."""
_OUR_HEADERS = {
    header.strip(): column for column, headers in _HEADERS.items() for header in headers.split(",")
}
_CANVAS_HEADERS = {
    "student": "name",
    "id": "canvas",
    "sis user id": "sis",
    "sis login id": "login",
    "section": "section",
}
_NAMING = ("id", "login", "email", "sis", "name")
"""The columns that can tell who a student is, the best first."""
_SHORTENED = re.compile(r"\d+([.,]\d+)?E[+]\d+", re.IGNORECASE)
_PARTICIPANT = re.compile(r"(?:participante?|teilnehmer/?in|partecipante|deelnemer) ?(\d*)")
"""What Moodle writes for a student whose name it hides, in the language of the site, before the number."""
_MISREAD = ("cp437", "cp850", "cp1252")
_WRITTEN = ("utf-8", "gb18030", "cp932", "cp1251", "cp866")
"""In which encodings names in an archive were written, and how a program that unpacks one misreads them."""
_ALONE = ("email", "login", "sis", "canvas", "gradescope")
"""What no two students should have in common."""


class RosterError(MemsimError):
    """The roster cannot be used; names the file and the line."""


@dataclass(frozen=True)
class Person:
    """One student."""

    id: str
    name: str = ""
    email: str = ""
    login: str = ""
    sis: str = ""
    canvas: str = ""
    moodle: str = ""
    brightspace: str = ""
    gradescope: str = ""
    group: str = ""
    section: str = ""
    due: str = ""
    extension: str = ""
    file: str = ""

    @property
    def names(self) -> frozenset[str]:
        """Every name and number of this student, as :func:`~memsim.grading.roster.names.key` has them."""
        given = [str(getattr(self, name)) for name in _ALIASES]
        last, comma, first = self.name.partition(",")
        both = f"{first.strip()} {last.strip()}" if comma else ""
        return frozenset(key(name) for name in (*given, both) if name.strip())

    @property
    def compact_names(self) -> frozenset[str]:
        """The name as Canvas writes it into file names, the last name first, which may be two words."""
        parts = self.name.replace(",", " ").split()
        turned = [" ".join(parts[at:] + parts[:at]) for at in range(len(parts))]
        return frozenset(compact(name) for name in turned if name)

    def with_numbers(self, numbers: Mapping[str, str]) -> Person:
        """Return this student with the numbers that a system has put into a file's name."""
        return replace(self, **numbers) if numbers else self


_PERSON = frozenset(field.name for field in fields(Person))
_READ = _PERSON | {"first", "last", "identifier", ""}
"""What is read of a table; a column without a name cannot be meant."""


class Roster:
    """The students of a course."""

    def __init__(self, people: Iterable[Person] = (), unused: Sequence[str] = ()) -> None:
        """Take the students; a name that two of them have tells neither."""
        self.unused = unused
        """The columns of its table that say nothing here."""
        self.people: dict[str, Person] = {}
        for person in people:
            self.people[person.id] = person
        self._all_by_name: dict[str, list[str]] = {}
        for person in self.people.values():
            for name in person.names | person.compact_names:
                self._all_by_name.setdefault(name, []).append(person.id)
        self._groups: dict[str, dict[str, list[Person]]] = {"group": {}, "section": {}}
        for person in self.people.values():
            for column, members in self._groups.items():
                for name in re.split(r"[,;]", getattr(person, column)):
                    for spelt in {key(name), compact(name)} - {""}:
                        members.setdefault(spelt, []).append(person)
        self._by_id = {key(identity): identity for identity in self.people}
        self._by_name = _unambiguous((name, p.id) for p in self.people.values() for name in p.names)
        self._by_compact = _unambiguous(
            (name, p.id) for p in self.people.values() for name in p.compact_names
        )

    def __len__(self) -> int:
        """Return how many students there are."""
        return len(self.people)

    def __iter__(self) -> Iterator[Person]:
        """Return the students, as they are listed."""
        return iter(self.people.values())

    def find(self, name: str) -> Person | None:
        """Return the student whom a name or number means; None if it means none, or more than one.

        >>> roster = Roster([Person("ada", "Ada Lovelace", "ada@example.edu"), Person("al", "Alan Turing")])
        >>> roster.find(" ADA@example.edu").id, roster.find("turingalan").id, roster.find("eve")
        ('ada', 'al', None)
        """
        wanted = key(name)
        found = self._by_id.get(wanted) or self._by_name.get(wanted) or self._by_compact.get(wanted)
        return self.people[found] if found else None

    def called(self, name: str) -> list[Person]:
        """Return everybody who has a name; two may have the same."""
        return [self.people[identity] for identity in self._all_by_name.get(key(name), ())]

    def members(self, name: str, *, sections: bool = False) -> list[Person]:
        """Return everybody in the group of a name, or else in the section: Moodle lists both as groups.

        >>> roster = Roster([Person("ada", group="Team 1"), Person("bob", group="team 1"), Person("cy")])
        >>> [person.id for person in roster.members("Team 1")], roster.members("Team 2")
        (['ada', 'bob'], [])
        """
        found = self._groups["group"].get(key(name), [])
        return found if found or not sections else self._groups["section"].get(key(name), [])

    def in_common(self) -> list[str]:
        """Return what two students have in common that should tell them apart."""
        whose: dict[tuple[str, str], list[str]] = {}
        for person in self:
            for column in _ALONE:
                if getattr(person, column):
                    whose.setdefault((column, key(getattr(person, column))), []).append(person.id)
        return [
            f"{column} {value}: {', '.join(ids)}" for (column, value), ids in whose.items() if len(ids) > 1
        ]

    def nearest(self, name: str) -> str:
        """Return the id of the student whose name is nearest, to be asked about; or nothing.

        Where two have this very name, it is both. A number without its leading zeros, which spreadsheets
        leave out, is nearest to the number, and a name in a wrong encoding, as of a zip file, to the name.
        """
        same = self.called(name)
        bare = key(name).lstrip("0")
        if bare.isdecimal():
            same = same or [person for person in self if bare in {n.lstrip("0") for n in person.names}]
        if same:
            return " or ".join(person.id for person in same)
        for misread, written in product(_MISREAD, _WRITTEN):
            with contextlib.suppress(ValueError):
                mended = self.find(name.encode(misread).decode(written))
                if mended:
                    return mended.id
        known = {**self._by_compact, **self._by_name, **self._by_id}
        near = difflib.get_close_matches(key(name), known, 1, 0.75)
        return known[near[0]] if near else ""

    def group_of(self, person: Person) -> list[Person]:
        """Return everybody in the group of a student; the student alone without a group."""
        if not person.group.strip():
            return [person]
        return [other for other in self if key(other.group) == key(person.group)]


def _unambiguous(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the names that mean one student each."""
    unique = set(pairs)
    count = Counter(name for name, _ in unique)
    return {name: identity for name, identity in unique if count[name] == 1}


def read_roster(path: Path) -> Roster:
    """Return the roster in a CSV file.

    Raises
    ------
    RosterError
        It cannot be read, has no column ``id``, or two lines for one student.
    """
    head, rows = read_table(path)
    translated = _CANVAS_HEADERS if "sis login id" in head else _OUR_HEADERS
    spaced = [name.replace("_", " ").removesuffix(" of student") for name in head]
    columns = [
        translated.get(name) or translated.get(other, name) for name, other in zip(head, spaced, strict=True)
    ]
    if not {*_NAMING, "last"} & set(columns):
        names = ", ".join(filter(None, head)) or "none"
        msg = f"{path}: no column says who a student is, such as id, name or email; its columns are {names}"
        raise RosterError(msg)
    people = [
        person
        for number, row in rows
        if (person := _person(dict(zip(columns, row, strict=False)), f"{path}, line {number}"))
    ]
    if not people:
        msg = f"{path}: there is no student below its first line"
        raise RosterError(msg)
    twice = [name for name, count in Counter(key(person.id) for person in people).items() if count > 1]
    if twice:
        msg = f"{path}: two lines have the id {twice[0]!r}"
        raise RosterError(msg)
    return Roster(people, [name for name, column in zip(head, columns, strict=True) if column not in _READ])


def is_hidden(name: str) -> bool:
    """Return whether this is what Moodle writes instead of a student's name.

    >>> is_hidden("Participant"), is_hidden("Ada")
    (True, False)
    """
    return _PARTICIPANT.fullmatch(key(name)) is not None


def nearest_column(name: str) -> str:
    """Return the column of a roster that may be meant by one that nothing reads, or nothing.

    >>> nearest_column("extensions"), nearest_column("familiename"), nearest_column("colour")
    ('extension', 'last', '')
    """
    near = difflib.get_close_matches(name, [*_PERSON, *_OUR_HEADERS], 1, 0.8)
    return _OUR_HEADERS.get(near[0], near[0]) if near else ""


def read_table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the head of a CSV file and its lines by number.

    The head is as :func:`~memsim.grading.roster.names.key` has it. Spreadsheets separate by semicolons where
    the comma is decimal, and may say so in a first line ``sep=;``. Empty lines are passed over.

    Raises
    ------
    RosterError
        It cannot be read, or a line does not fit its head; names the line.
    """
    lines = _decoded(path).splitlines(keepends=True)
    start = next((n for n, line in enumerate(lines) if line.strip() and not _says_separator(line)), 0)
    first = lines[start] if lines else ""
    reader = csv.reader(lines[start:], delimiter=max(",;\t", key=first.count), strict=True)
    rows = []
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append((start + reader.line_num, list(map(as_it_was, row))))  # noqa: PERF401 (line_num is of this row)
    except csv.Error as error:
        msg = f"{path}, line {start + reader.line_num}: {error}; a quotation mark may be missing"
        raise RosterError(msg) from None
    if not rows:
        return [], []
    head = [key(name) for name in rows[0][1]]
    _refuse_what_does_not_fit(path, head, rows[1:])
    return head, rows[1:]


def _decoded(path: Path) -> str:
    """Return the text of a table; what Excel calls Unicode Text is UTF-16."""
    try:
        data = path.read_bytes()
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise RosterError(msg) from None
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except ValueError as error:
        at = error.start if isinstance(error, UnicodeDecodeError) else 0
        line = data.count(b"\n", 0, at) + 1
        msg = f"{path}, line {line}: it is not saved as UTF-8; a spreadsheet has the format 'CSV UTF-8'"
        raise RosterError(msg) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _says_separator(line: str) -> bool:
    return re.fullmatch(r"sep=.\s*", line, re.IGNORECASE) is not None


def _refuse_what_does_not_fit(path: Path, head: list[str], rows: list[tuple[int, list[str]]]) -> None:
    """Raise RosterError for two columns of one name, and for a line with more values than columns."""
    twice = next((name for name, count in Counter(filter(None, head)).items() if count > 1), "")
    if twice:
        msg = f"{path}: two columns are called {twice!r}"
        raise RosterError(msg)
    for number, row in rows:
        if any(cell.strip() for cell in row[len(head) :]):
            msg = (
                f"{path}, line {number}: it has {len(row)} values for {len(head)} columns; a value with a "
                "comma or a semicolon must stand in quotation marks"
            )
            raise RosterError(msg)


def _person(row: dict[str, str], where: str) -> Person | None:
    """Return the student of a line; None for an empty line, and for Canvas's line of possible points."""
    row = {name: " ".join(value.split()) for name, value in row.items()}
    given = {name: value for name, value in row.items() if name in _PERSON}
    given["name"] = given.get("name") or f"{row.get('first', '')} {row.get('last', '')}".strip()
    for column in ("identifier", "id"):
        participant = _PARTICIPANT.fullmatch(key(row.get(column, "")))
        if participant and participant[1]:
            given |= {"moodle": participant[1], "id": ""}
    alone = not any(given.get(name) for name in _NAMING if name != "name")
    if not any(given.values()) or (alone and key(given["name"]) == "points possible"):
        return None
    _refuse_shortened(given, where)
    given["id"] = next((given[name] for name in _NAMING if given.get(name)), "")
    if not given["id"]:
        msg = f"{where}: it names no student: the column id is empty"
        raise RosterError(msg)
    return Person(**given)


def _refuse_shortened(given: Mapping[str, str], where: str) -> None:
    """Raise RosterError for numbers that a spreadsheet has rounded. A name is what its student likes."""
    for name, value in given.items():
        if name in _ALIASES and name != "name" and _SHORTENED.fullmatch(value):
            msg = f"{where}: a spreadsheet has shortened the number {value} in the column {name}"
            raise RosterError(msg)


def write_roster(people: Iterable[Person]) -> str:
    """Return a roster as CSV, with the columns that at least one person uses."""
    rows = [asdict(person) for person in people]
    used = [field.name for field in fields(Person) if field.name == "id" or any(r[field.name] for r in rows)]
    file = io.StringIO()
    writer = csv.DictWriter(file, used, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: harmless(value) for name, value in row.items()} for row in rows)
    return file.getvalue()
