"""The roster: who is in the course, and under which names and numbers other systems know them.

``roster.csv`` has a line for each student. Only ``id`` is needed; the other columns are ``name``, ``email``,
``login``, ``sis`` (what Canvas calls SIS User ID, Moodle ID number, Brightspace OrgDefinedId), ``canvas``,
``moodle``, ``brightspace``, ``gradescope`` (the numbers that these systems put into file names), ``group``,
``section``, ``due`` (a time of this student's own), ``extension`` (days) and ``file`` (the file that counts
where several were handed in). A table that Canvas or Moodle has exported is read as it is.
"""

from __future__ import annotations

import csv
import difflib
import io
from collections import Counter
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING

from memsim.errors import MemsimError
from memsim.grading.roster.names import compact, key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

_ALIASES = ("id", "name", "email", "login", "sis", "canvas", "moodle", "brightspace", "gradescope")
_OUR_HEADERS = {
    "student": "id",
    "e-mail": "email",
    "mail": "email",
    "full name": "name",
    "email address": "email",
    "username": "login",
    "id number": "sis",
    "orgdefinedid": "sis",
    "sid": "sis",
    "team": "group",
}
_CANVAS_HEADERS = {
    "student": "name",
    "id": "canvas",
    "sis user id": "sis",
    "sis login id": "login",
    "section": "section",
}
_MOODLE_NUMBER = "participant "


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


class Roster:
    """The students of a course."""

    def __init__(self, people: Iterable[Person] = ()) -> None:
        """Take the students; a name that two of them have tells neither."""
        self.people: dict[str, Person] = {}
        for person in people:
            self.people[person.id] = person
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

    def nearest(self, name: str) -> str:
        """Return the id of the student whose name is nearest, to be asked about; or nothing."""
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
    columns = [translated.get(name, name) for name in head]
    people = [
        person
        for number, row in enumerate(rows, 2)
        if (person := _person(dict(zip(columns, row, strict=False)), f"{path}, line {number}"))
    ]
    twice = [name for name, count in Counter(key(person.id) for person in people).items() if count > 1]
    if twice:
        msg = f"{path}: two lines have the id {twice[0]!r}"
        raise RosterError(msg)
    return Roster(people)


def read_table(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the head of a CSV file, as :func:`~memsim.grading.roster.names.key` has it, and its lines.

    Spreadsheets separate by semicolons where the comma is decimal.

    Raises
    ------
    RosterError
        It cannot be read.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        first = text.partition("\n")[0]
        separator = max(",;\t", key=first.count)
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except (OSError, ValueError, csv.Error) as error:
        msg = f"{path}: {error.strerror if isinstance(error, OSError) else error}"
        raise RosterError(msg) from None
    return [key(name) for name in rows[0]] if rows else [], rows[1:]


def _person(row: dict[str, str], where: str) -> Person | None:
    """Return the student of a line; None for an empty line, and for Canvas's line of possible points."""
    known = {field.name for field in fields(Person)}
    given = {name: value.strip() for name, value in row.items() if name in known}
    number = row.get("identifier", "")
    if key(number).startswith(_MOODLE_NUMBER.strip()):
        given["moodle"] = key(number).removeprefix(_MOODLE_NUMBER)
    if not any(given.values()) or key(given.get("name", "")) == "points possible":
        return None
    given["id"] = given.get("id") or next(
        (given[name] for name in ("login", "email", "sis", "name") if given.get(name)), ""
    )
    if not given["id"]:
        msg = f"{where}: it names no student: the column id is empty"
        raise RosterError(msg)
    return Person(**given)


def write_roster(people: Iterable[Person]) -> str:
    """Return a roster as CSV, with the columns that at least one person uses."""
    rows = [asdict(person) for person in people]
    used = [field.name for field in fields(Person) if field.name == "id" or any(r[field.name] for r in rows)]
    file = io.StringIO()
    writer = csv.DictWriter(file, used, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()
