"""Find what was handed in, and whose it is.

Understood are a folder of notebooks named after their students (``ada.ipynb``), a folder with a folder for
each student (``ada/anything.ipynb``), nbgrader's ``submitted`` (``ada/<assignment>/<assignment>.ipynb``),
what Canvas, Moodle, Brightspace and Blackboard pack (see :mod:`memsim.grading.roster.labels`), and what
Gradescope exports (:mod:`memsim.grading.roster.gradescope`). The names that the collector gave say who a
student is, never what stands in a file of a student's. Nothing is left out without a reason.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import urllib.parse
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from memsim.errors import MemsimError
from memsim.grading.roster.gradescope import METADATA, read_export
from memsim.grading.roster.labels import Label, label, labels
from memsim.grading.roster.names import key, some, words
from memsim.grading.roster.people import Person, Roster, RosterError, is_hidden
from memsim.grading.run.notebook import UnreadableError, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


_LONGEST_NAME = 150
_SAFE = "@+,= ()'!"
_DEEPEST, _MOST_FILES, _MOST_LISTED = 8, 2000, 50_000
_LARGEST_FOLDER = 512 << 20
_NOTEBOOKS = (".ipynb", ".py")
_ARCHIVES = (".zip", ".gz", ".tgz", ".tar", ".7z", ".rar")
_ASIDE = {
    "desktop.ini": "Windows keeps its view of a folder in it",
    "thumbs.db": "Windows keeps small pictures in it",
    "ehthumbs.db": "Windows keeps small pictures in it",
    "icon\r": "macOS keeps the picture of a folder in it",
    "__macosx": "macOS puts what other systems cannot hold into it",
    "timestamp.txt": "nbgrader's own file",
    "submission_secret.txt": "nbgrader's own file",
    "submission_metadata.yml": "Gradescope's own file",
}
_OF_NOTEBOOKS = (".ipynb.txt", ".ipynb.json", ".ipynb.zip", ".ipynb.html", ".ipynb", ".py.txt", ".py")
_ENDINGS = (".ipynb", ".py", ".txt", ".json", ".zip", ".html")
_COPY = re.compile(r"(?:[\s_-]*copy|[\s_-]*v)?[\s_-]*\(?(\d+)\)?|[\s_-]*copy|", re.IGNORECASE)
_NUMBERED = re.compile(r"(.+?) ?\((\d+)\)")
_TOGETHER = re.compile(r"\s*[+&]\s*")
_SNIFFED = 4096
_BY_NAME = 2


class CollectionError(MemsimError):
    """What should be graded is not there; names the path."""


@dataclass(frozen=True)
class Handed:
    """One student's submission: a file that has not been opened yet."""

    student: str
    path: Path
    remarks: tuple[str, ...] = field(default=())
    names: tuple[str, ...] = ()
    """Every name of the student; the notebook may say any of them. Of a pair, the names of both."""
    linked: bool = False
    """Whether the collector, not a student, has made hard links of it."""
    packed: str = ""
    """The name that the learning management system gave it."""
    shown: str = ""
    """The file, in the folder of the student's where another one has its name."""
    others: tuple[str, ...] = ()
    """What else was handed in and is not graded."""
    top: Path | None = None
    """The folder in which it was found, as the teacher has named it."""

    @property
    def file_name(self) -> str:
        """A file name for what belongs to this student."""
        return file_name(self.student)


@dataclass
class Collection:
    """What was found: each student's submission, who has none, and what was left out."""

    handed: list[Handed] = field(default_factory=list)
    people: dict[str, Person] = field(default_factory=dict)
    """Every student by id: those who handed in, and those who could have."""
    absent: dict[str, str] = field(default_factory=dict)
    """Who has handed in nothing, and how that is known."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Each path that is no submission, and why."""
    unknown: dict[str, str] = field(default_factory=dict)
    """Submissions whose student the roster does not have, and whose id there is nearest."""
    by_name: dict[str, str] = field(default_factory=dict)
    """Students with a file that has a number, of whom the roster has only the name, and that file."""
    by_group: dict[str, list[str]] = field(default_factory=dict)
    """Files that have the name of a group, and for whom they count."""
    old_numbers: list[str] = field(default_factory=list)
    """Students whose number of Moodle's in the roster is that of another assignment."""
    refused: list[str] = field(default_factory=list)
    """Students whose file is there and must not be opened."""


@dataclass(frozen=True)
class _Found:
    """A file that may be a student's submission."""

    who: str
    path: Path
    mark: Label | None = None
    shown: str = ""
    named: bool = False
    """Whether only the file's name says whose it is, so that it says nothing of the assignment."""
    packed: str = ""
    """What a system has called it, or the folder in which it lies."""
    shared: bool = False
    """Whether the name is that of several."""
    top: Path | None = None
    """The folder of all submissions."""


def file_name(student: str) -> str:
    """Return a student's id as a name that is safe on every system, and different for different students.

    >>> file_name("ada"), file_name("../b"), file_name("x" * 300)[-20:]
    ('ada', '%2E%2E%2Fb', 'xxx-0d4e2ca9e9cbced7')
    """
    quoted = urllib.parse.quote(student, safe=_SAFE, errors="surrogatepass")
    if quoted.startswith("."):
        quoted = quoted.replace(".", "%2E")
    if len(quoted) <= _LONGEST_NAME:
        return quoted
    digest = hashlib.sha256(student.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{quoted[:_LONGEST_NAME]}-{digest}"


def find(
    paths: Sequence[Path],
    assignment: str,
    questions: Sequence[str],
    roster: Roster | None = None,
    choose: Mapping[str, str] | None = None,
    earlier: Iterable[str] = (),
) -> Collection:
    """Return what lies below ``paths``.

    Parameters
    ----------
    questions
        The names of the functions that answer the assignment.
    roster
        Who is in the course; without it, everybody who has a file or a folder is.
    choose
        For a student's id, the name of the file that counts where there are several.
    earlier
        The ids of who was found before.

    Raises
    ------
    CollectionError
        A path does not exist, or there is nothing in any of them.
    """
    collecting = _Collecting(assignment, questions, roster, choose or {})
    collecting.earlier = {key(student) for student in earlier}
    collecting.several = len(paths) > 1
    marks = labels(path.name for path in paths)
    if len(paths) == 1 and not marks and paths[0].suffix.lower() in _ARCHIVES and paths[0].is_file():
        msg = f"{paths[0]}: it is an archive; unpack it into a folder, and give that"
        raise CollectionError(msg)
    for path in paths:
        if not path.exists() and not path.is_symlink():
            msg = f"{path}: there is no such file or folder"
            raise CollectionError(msg)
        collecting.take(path, marks.get(path.name))
    made = collecting.made()
    if not made.handed and not made.absent:
        left_out = list(made.left_out.items())[:3]
        told = "; ".join(f"{name}: {why}" for name, why in left_out).replace("\n", "\\n")
        msg = f"there are no submissions in {', '.join(map(str, paths))}{f' ({told})' if told else ''}"
        raise CollectionError(msg)
    return made


def find_one(folder: Path, student: str, assignment: str, questions: Sequence[str]) -> Handed:
    """Return what a student has handed in whose files alone lie in a folder.

    Raises
    ------
    CollectionError
        It holds nothing that may answer the assignment.
    """
    collecting = _Collecting(assignment, questions, None, {})
    collecting.take_folder_of(student, folder)
    made = collecting.made()
    if not made.handed:
        told = "; ".join(f"{name}: {why}" for name, why in made.left_out.items())
        msg = f"nothing was handed in for {assignment}{f' ({told})' if told else ''}"
        raise CollectionError(msg)
    return made.handed[0]


class _Collecting:
    """The files found so far, by the names that stand on them."""

    def __init__(
        self, assignment: str, questions: Sequence[str], roster: Roster | None, choose: Mapping[str, str]
    ) -> None:
        self.assignment, self.questions, self.roster = assignment, questions, roster
        self.choose = {key(student): file for student, file in choose.items()}
        self.found: list[_Found] = []
        self.empty: dict[str, tuple[str, Label | None]] = {}
        self.earlier, self.several = set[str](), False
        self.left_out: dict[str, str] = {}
        self._top = Path()
        self._left = _MOST_FILES
        self._counted: dict[Path, int] = {}
        self._near: dict[str, str] = {}

    # ---- files -----------------------------------------------------------------------------------

    def take(self, path: Path, mark: Label | None) -> None:
        """Take a path that was named on the command line."""
        self._top = path if path.is_dir() else path.parent
        if path.is_symlink() or not path.is_dir():
            who = self._who(mark) if mark else self._bare(path.stem)
            self._take(_Found(who, path, mark, path.name, named=True, packed=path.name))
        elif (mark and not mark.aside) or self._is_of_one(path):
            self._top = path.parent
            self._folder(path, mark)
        else:
            self._entries(path)

    def _is_of_one(self, folder: Path) -> bool:
        """Return whether a folder is one student's: it has the name of one, or only its name can be one.

        That is so where several are given, as ``submitted/*`` does, and all in it has the assignment's name.
        """
        names = [entry.name for entry in self._listed(folder) if not _is_aside(entry.name)]
        stems = [_stem(name) for name in names]
        if any(map(label, names)) or sum(map(self._known, stems)) > 1:
            return False
        if self._known(folder.name) or key(folder.name) in self.earlier:
            return True
        return self.several and bool(stems) and all(map(self._is_assignments, stems))

    def _is_assignments(self, stem: str) -> bool:
        """Return whether a name is the assignment's, perhaps with the number of a copy."""
        end = stem[len(self.assignment) :]
        return words(stem) == words(self.assignment) or (
            words(stem[: len(self.assignment)]) == words(self.assignment) and bool(_COPY.fullmatch(end))
        )

    def take_folder_of(self, student: str, folder: Path) -> None:
        """Take a folder whose files are all of one student."""
        self._top = folder
        self._folder(folder, Label("", student))

    def _take(self, one: _Found) -> None:
        self.found.append(replace(one, top=self._top))

    def _entries(self, folder: Path) -> None:
        """Take what lies in a folder of submissions."""
        entries = self._listed(folder)
        stems = {_stem(entry.name) for entry in entries}
        marks = labels(entry.name for entry in entries)
        sections = self._sections([entry for entry in entries if not _is_aside(entry.name)])
        of_gradescope = self._export_of_gradescope(folder, entries)
        for entry in entries:
            reason = _is_aside(entry.name)
            mark = marks.get(entry.name)
            if not reason and _is_unpacked(entry):
                reason = "it was unpacked: a folder of its name lies beside it"
            if not reason and mark and mark.aside:
                reason = mark.aside
                self.empty.setdefault(self._who(mark), (f"only {reason} is there", mark))
            if reason:
                self._leave(entry, reason)
            elif entry.name in of_gradescope and _is_folder(entry) and not entry.is_symlink():
                for who in of_gradescope[entry.name]:
                    self._folder(entry, Label("Gradescope", who))
            elif entry.is_symlink() or not _is_folder(entry):
                self._file(entry, mark, stems)
            elif not mark and entry in sections:
                self._entries(entry)
            else:
                self._folder(entry, mark)

    def _export_of_gradescope(self, folder: Path, entries: Sequence[Path]) -> dict[str, list[str]]:
        """Return whose each folder of an export of Gradescope's is, if this is one."""
        path = folder / METADATA
        if folder != self._top or path not in entries or path.is_symlink():  # below it is what students wrote
            return {}
        try:
            export = read_export(path)
        except RosterError as error:
            self._leave(path, str(error).removeprefix(f"{path}: "))
            return {}
        return {
            name: [next((one for one in names if self._known(one)), names[0]) for names in made.submitters]
            for name, made in export.items()
            if made.submitters
        }

    def _file(self, entry: Path, mark: Label | None, stems: set[str]) -> None:
        """Take a file that lies beside those of other students."""
        if mark:
            who = self._who(mark)
            self._take(_Found(who, entry, mark, entry.name, named=not mark.file, packed=entry.name))
            return
        who = self._bare(_stem(entry.name))
        again = _NUMBERED.fullmatch(who)
        if again and (again[1] in stems or (self.roster and self.roster.find(again[1]))):
            who = again[1]
        named = entry.suffix.lower() in _NOTEBOOKS or self._known(who)
        if named or entry.is_symlink() or _looks_like_a_notebook(entry):
            self._take(_Found(who, entry, None, entry.name, named=True))
        else:
            archive = "it is an archive: unpack it into a folder of its name, beside it"
            other = "it is no notebook, and beside the students' folders and notebooks"
            self._leave(entry, archive if entry.suffix.lower() in _ARCHIVES else other)

    def _folder(self, folder: Path, mark: Label | None) -> None:
        """Take the folder of one student."""
        name = _stem(folder.name) if folder.suffix.lower() in _NOTEBOOKS else folder.name
        who = self._who(mark) if mark else self._bare(name)
        self._left = _MOST_FILES
        files = self._within_limits(list(self._below(folder)))
        mine = [file for file in files if words(file.relative_to(folder).parts[0]) == words(self.assignment)]
        mine = [file for file in mine if len(file.relative_to(folder).parts) > 1]
        place = mine[0].relative_to(folder).parts[0] if mine else ""
        chosen, others = self._answers_of(folder / place, mine or files)
        if mine:
            others = others | {
                file: "it is in the folder of another assignment" for file in files if file not in mine
            }
        for file, why in others.items():
            self._leave(file, why)
        for file in chosen:
            self._take(_Found(who, file, mark, str(file.relative_to(folder)), packed=folder.name))
        if not chosen:
            why = (
                f"its folder has nothing for {self.assignment}"
                if files
                else f"the folder {folder.name} is empty"
            )
            self.empty.setdefault(who, (self.left_out.get(self._shown(folder), why), mark))

    def _within_limits(self, files: list[Path]) -> list[Path]:
        """Return the files that are looked at: a student's folder could hold more than a day's reading."""
        total, kept = 0, []
        for file in files:
            status = _status(file)
            total += status.st_size if status else 0
            if total > _LARGEST_FOLDER:
                self._leave(file, f"there are more than {_LARGEST_FOLDER >> 20} MiB in its folder")
            else:
                kept.append(file)
        return kept

    def _answers_of(self, folder: Path, files: list[Path]) -> tuple[list[Path], dict[Path, str]]:
        """Return the files of a student's folder that may answer the assignment, and why others do not."""
        notebooks = [
            file for file in files if file.suffix.lower() == ".ipynb" or _looks_like_a_notebook(file)
        ]
        kind = notebooks or [file for file in files if file.suffix.lower() == ".py"] or files
        others = {file: "it lies beside a notebook" for file in files if file not in kind}
        # One that lies deeper may belong to another assignment.
        right = [file for file in kind if file.parent == folder or self._match(file)]
        why = f"it answers no question of {self.assignment}, and its name does not say so"
        return right, others | {file: why for file in kind if file not in right}

    def _answers_in(self, file: Path) -> int:
        """Return how many questions a file seems to answer; it is read once."""
        if file not in self._counted:
            self._counted[file] = _answers(file, self.questions)
        return self._counted[file]

    def _match(self, file: Path) -> int:
        """Return how surely a file belongs to the assignment: 2 by its name, 1 by its answers, 0."""
        mark = label(file.name)
        stem = _stem(mark.file if mark and mark.file else file.name)
        if f" {words(self.assignment)} " in f" {words(stem)} ":
            return _BY_NAME
        return int(self._answers_in(file) > 0)

    def _below(self, folder: Path, depth: int = 0) -> Iterable[Path]:
        """Return the files of a student's folder and of the folders in it."""
        for entry in self._listed(folder):
            reason = _is_aside(entry.name)
            self._left -= 1
            if self._left < 0:
                self._leave(folder, f"there are more than {_MOST_FILES} files and folders in this student's")
                return
            if reason:
                self._leave(entry, reason)
            elif entry.is_symlink() or not _is_folder(entry):
                yield entry
            elif depth < _DEEPEST:
                yield from self._below(entry, depth + 1)
            else:
                self._leave(entry, f"it lies deeper than {_DEEPEST} folders")

    def _listed(self, folder: Path) -> list[Path]:
        """Return what a folder holds; a folder that cannot be read holds nothing, and that is noted."""
        listed, most = (None, None) if folder == self._top else (_MOST_LISTED, _MOST_FILES)
        try:
            entries = sorted(islice(folder.iterdir(), listed))
        except OSError as error:
            self._leave(folder, f"it cannot be opened: {error.strerror}")
            return []
        if most and len(entries) > most:
            self._leave(folder, f"there are more than {most} files in it, and not all are looked at")
        return entries[:most]

    def _sections(self, entries: Iterable[Path]) -> set[Path]:
        """Return the folders that hold the submissions of a section, if most of these folders do.

        A student's folder can hold anything, names that systems give to files of others too.
        """
        folders = [entry for entry in entries if not entry.is_symlink() and _is_folder(entry)]
        found = {folder for folder in folders if self._holds_submissions(folder)}
        return found if 2 * len(found) > len(folders) else set()

    def _holds_submissions(self, folder: Path) -> bool:
        """Return whether a folder seems to hold the submissions of several, as that of a section does."""
        if self._known(folder.name) or self._known(self._bare(folder.name)):
            return False
        try:
            inside = [entry for entry in islice(folder.iterdir(), _MOST_FILES) if not _is_aside(entry.name)]
        except OSError:
            return False
        if any(label(entry.name) for entry in inside):
            return True
        known = [entry for entry in inside if self._known(_stem(entry.name))]
        return len(known) > 1 or any(_is_folder(entry) and not entry.is_symlink() for entry in known)

    def _leave(self, path: Path, why: str) -> None:
        self.left_out.setdefault(self._shown(path), why)

    def _shown(self, path: Path) -> str:
        return str(path.relative_to(self._top) if path.is_relative_to(self._top) else path) or "."

    def _known(self, who: str) -> bool:
        return bool(self.roster and self.roster.find(who))

    def _who(self, mark: Label) -> str:
        """Return whose file a learning management system names, where a login may hold what separates it."""
        if not mark.head:
            # Until 4.0 Moodle has put the group before the name: Team 1-Ada Lovelace.
            parts = mark.who.split("-") if mark.system == "Moodle" and not self._known(mark.who) else []
            names = ["-".join(parts[at:]) for at in range(1, len(parts))]
            return next((name for name in names if self._known(name)), mark.who)
        parts = [*mark.head.split("_"), mark.who]
        names = ["_".join(parts[at:]) for at in range(1, len(parts))]
        bare = self._bare("_".join(parts))
        return next((name for name in names if self._known(name)), bare if bare in names else mark.who)

    def _bare(self, name: str) -> str:
        """Return a name without the assignment's, which some systems put before or after it.

        The name of the assignment alone stays: a student may have handed in one file without renaming it.
        """
        pattern = r"[\s_.-]+".join(map(re.escape, words(self.assignment).split()))
        found = re.fullmatch(rf"(?:{pattern}[\s_-]+)?(.*?)(?:[\s_-]+{pattern})?", name, re.IGNORECASE)
        bare = found[1].strip() if found else ""
        return bare if bare and not _COPY.fullmatch(bare) and words(bare) != words(self.assignment) else name

    # ---- students --------------------------------------------------------------------------------

    def made(self) -> Collection:
        """Return what was found, student by student."""
        made = Collection(left_out=self.left_out)
        self._identities = self._ids()
        of_student: dict[str, list[_Found]] = {}
        for one in self.found:
            people = self._people(one.who, one.mark, made, self._shown(one.path))
            for person in people:
                of_student.setdefault(person.id, []).append(replace(one, shared=len(people) > 1))
        self._share_groups(of_student)
        self._forget_old_numbers(made)
        links = _Links([one.path for files in of_student.values() for one in files])
        for student in sorted(of_student):
            files = of_student[student]
            handed = self._chosen(made.people.get(student) or self._listed_person(student), files)
            made.people.setdefault(student, self._listed_person(student))
            linked = links.made_by_collector(handed.path, {one.path for one in files})
            made.handed.append(replace(handed, linked=linked))
        made.refused = [one.student for one in made.handed if not one.linked and links.is_link(one.path)]
        self._note_absent(made, of_student)
        return made

    def _ids(self) -> dict[str, str]:
        """Return the id of each name that stands on a submission: as it is first written, whatever its form.

        Two students of one name have an id with the number that their system gave them.
        """
        marks = [(one.who, one.mark) for one in self.found] + [
            (who, mark) for who, (_, mark) in self.empty.items()
        ]
        numbers: dict[str, set[tuple[tuple[str, str], ...]]] = {}
        first: dict[str, str] = {}
        for who, mark in marks:
            first.setdefault(key(who), who)
            if mark and mark.numbers:
                numbers.setdefault(key(who), set()).add(tuple(mark.numbers.items()))
        self._ambiguous = {who for who, given in numbers.items() if len(given) > 1}
        return first

    def _people(self, who: str, mark: Label | None, made: Collection, shown: str) -> list[Person]:
        """Return the students whose submission stands under a name: one, the two of a pair, or a group."""
        parts = _TOGETHER.split(who)
        is_pair = mark is None and len(parts) > 1 and all(parts) and "@" not in who
        if is_pair and not self._known(who) and words(who) != words(self.assignment):
            return [person for part in parts for person in self._people(part, None, made, shown)]
        person = self._listed_of(who, mark)
        if person and self._may_be_a_groups(person, who, mark):
            person = None
        members = [] if person else self._members(who, mark)
        if members:
            made.by_group[shown] = [one.id for one in members]
            made.people.update({one.id: made.people.get(one.id, one) for one in members})
            return members
        if person is None:
            identity = self._identities.get(key(who), who)
            if key(who) in self._ambiguous and mark:
                identity = f"{identity} {' '.join(mark.numbers.values())}"
            name = identity if mark and mark.system in ("Moodle", "Brightspace") else ""
            person = Person(identity, name=name)
            if self.roster is not None:
                made.unknown[shown] = self._nearest(who)
        elif mark and mark.numbers and not self._has_number(person, mark):
            made.by_name.setdefault(person.id, shown)
        person = made.people.get(person.id, person)
        if mark:
            person = person.with_numbers(mark.numbers)
        made.people[person.id] = person
        return [person]

    def _nearest(self, who: str) -> str:
        """Return who has the nearest name, a group too; it is looked for once, for all files of one."""
        if self.roster and who not in self._near:
            group = f"the group {who}" if self.roster.members(who, sections=True) else ""
            self._near[who] = " or ".join(filter(None, (self.roster.nearest(who), group)))
        return self._near.get(who, "")

    def _members(self, who: str, mark: Label | None) -> list[Person]:
        """Return the group that has a name; an empty list where the name may be another's.

        Two groups or a student outside may have it, it may be a number without its zeros, or Canvas's number,
        which is that of the member who handed in, may be a stranger's.
        """
        if self.roster is None or key(who) in self._ambiguous or (mark is None and who.isdecimal()):
            return []
        members = self._named_members(who, mark)
        if any(person not in members for person in self.roster.called(who)):
            return []
        known = [person.canvas for person in members]
        number = mark.numbers.get("canvas", "") if mark else ""
        return [] if number and all(known) and number not in known else members

    def _named_members(self, who: str, mark: Label | None) -> list[Person]:
        is_moodles = mark is not None and mark.system == "Moodle"
        return self.roster.members(who, sections=is_moodles) if self.roster else []

    def _may_be_a_groups(self, person: Person, who: str, mark: Label | None) -> bool:
        """Return whether a student's name with a number not known to be the student's is a group's, too."""
        if mark is None or not mark.numbers or self._has_number(person, mark):
            return False
        members = self._named_members(who, mark)
        return bool(members) and person not in members

    def _listed_of(self, who: str, mark: Label | None) -> Person | None:
        """Return the student of the roster whom a system's number means, or else the name.

        Moodle's numbers are other ones in each assignment: they only tell two students of one name apart, or
        show whose name it hides. A number of one student with the name of another means neither;
        nor does a name alone that stands with two numbers, as most systems let students choose the name that
        is shown.
        """
        if self.roster is None:
            return None
        named = self.roster.called(who)
        for system, number in mark.numbers.items() if mark else ():
            found = next((p for p in self.roster if getattr(p, system) == number), None)
            if found and (found in named or not (named or (system == "moodle" and not is_hidden(who)))):
                return found
            if found and system != "moodle":
                return None
        person = self.roster.find(who)
        return person if person and self._fits(person, who, mark) else None

    def _has_number(self, person: Person, mark: Label) -> bool:
        """Return whether a system's number, which students cannot choose, is that of this student."""
        return any(getattr(person, system) == number for system, number in mark.numbers.items())

    def _fits(self, person: Person, who: str, mark: Label | None) -> bool:
        """Return whether a file with a name that is a student's can be this student's by its number."""
        if mark is None or not mark.numbers:
            return True
        known = {getattr(person, system) for system in mark.numbers if system != "moodle"}
        return key(who) not in self._ambiguous and not any(known)

    def _listed_person(self, student: str) -> Person:
        return (self.roster.people.get(student) if self.roster else None) or Person(student)

    def _share_groups(self, of_student: dict[str, list[_Found]]) -> None:
        """Let one submission count for everybody of its group who has none."""
        for person in self.roster or ():
            if person.id in of_student and person.group.strip() and self.roster:
                for other in self.roster.group_of(person):
                    if other.id not in of_student:
                        of_student[other.id] = list(of_student[person.id])

    def _forget_old_numbers(self, made: Collection) -> None:
        """Take Moodle's numbers in the roster for those of another assignment if one is: each has its own."""
        here = {
            one.who: one.mark.numbers["moodle"]
            for one in self.found
            if one.mark and "moodle" in one.mark.numbers
        }
        current = set(here.values())
        found = [made.people[person.id] for person in self.roster or () if person.id in made.people]
        listed = {person.id: person.moodle for person in self.roster or () if person.moodle}
        if any(listed.get(person.id, person.moodle) != person.moodle for person in found):
            made.old_numbers = [student for student, number in listed.items() if number not in current]
        for student in made.old_numbers:
            person = made.people.get(student) or self._listed_person(student)
            if person.moodle not in current:
                made.people[student] = replace(person, moodle="")

    def _note_absent(self, made: Collection, of_student: Mapping[str, object]) -> None:
        """Note who has handed in nothing."""
        for who, (why, mark) in self.empty.items():
            for person in self._people(who, mark, made, who):
                if person.id not in of_student:
                    made.absent[person.id] = why
        for person in self.roster or ():
            made.people.setdefault(person.id, person)
            if person.id not in of_student:
                made.absent.setdefault(person.id, "the roster has this student, and no file was found")
        for student in made.absent:
            made.unknown.pop(student, None)

    def _chosen(self, person: Person, files: list[_Found]) -> Handed:
        """Choose one of a student's files; the report names the rule."""
        partners = self.roster.group_of(person) if self.roster else [person]
        names = {name for one in partners for name in (self._listed_person(one.id).names | one.names)}
        names |= {key(part) for one in files for part in _TOGETHER.split(one.who)}
        names |= {key(one.who) for one in files}
        names |= person.names
        wanted = self.choose.get(key(person.id)) or person.file
        best = max(files, key=lambda one: self._rank(one, wanted)) if len(files) > 1 else files[0]
        beside = {
            one.path: one.shown for one in files if one.path != best.path and not _same(one.path, best.path)
        }
        shown = best.shown
        if shown in beside.values():  # in folders of the same student's, such as those of two attempts
            beside = {path: self._shown(path) for path in beside}
            shown = self._shown(best.path)
        others = sorted(set(beside.values()))
        remarks = (f"{shown} was graded; also handed in: {some(others)}",) if others else ()
        if best.mark and best.mark.late:
            remarks = (*remarks, f"{best.mark.system} marks it as late")
        if wanted and not self._is_wanted(best, wanted):
            remarks = (*remarks, f"there is no file {wanted}, which was chosen for {person.id}")
        packed = best.packed if best.mark else ""
        return Handed(
            person.id,
            best.path,
            remarks,
            tuple(sorted(names)),
            packed=packed,
            shown=shown,
            others=tuple(others),
            top=best.top,
        )

    def _is_wanted(self, one: _Found, wanted: str) -> bool:
        return key(wanted) in (key(one.shown), key(one.path.name), key(str(one.path)))

    def _rank(self, one: _Found, wanted: str) -> tuple[object, ...]:
        """Return what makes a file the one that counts.

        First the one that was chosen, then one that is not empty, as after an upload that broke off; then by
        name or answers, and the student's own before that of several; then the latest attempt by the learning
        management system, the highest number of a copy, the most answers.
        """
        stem = _stem(one.mark.file if one.mark and one.mark.file else one.path.name)
        match = 1 if one.named and not (one.mark and one.mark.file) else self._match(one.path)
        copy = _copy_number(stem, self.assignment if match == _BY_NAME else one.who)
        attempt = one.mark.attempt if one.mark else ()
        answers = self._answers_in(one.path)
        return (
            bool(wanted) and self._is_wanted(one, wanted),
            not _is_empty(one.path),
            min(match, 1) if attempt else match,
            not one.shared,
            attempt,
            match,
            copy,
            answers,
            one.shown,
        )


class _Links:
    """Which files are hard links, and whether the collector has made them.

    ``cp -al`` makes every file one. A student could make one only where students can write, or in an archive;
    that is a single file, or the file of another student of the batch.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self.status = {path: status for path in set(paths) if (status := _status(path))}
        self.links = {path for path, status in self.status.items() if status.st_nlink > 1}
        self.places = Counter((status.st_dev, status.st_ino) for status in self.status.values())

    def is_link(self, path: Path) -> bool:
        return path in self.links

    def made_by_collector(self, path: Path, own: set[Path]) -> bool:
        status = self.status.get(path)
        if status is None or path not in self.links or 2 * len(self.links) <= len(self.status):
            return False
        same = [one for one, other in self.status.items() if os.path.samestat(status, other)]
        folder = _status(path.parent)
        return bool(folder and _only_ours(folder) and set(same) <= own)


def _only_ours(folder: os.stat_result) -> bool:
    """Return whether no other user can write in a folder."""
    mine = not hasattr(os, "geteuid") or folder.st_uid == os.geteuid()
    group = not folder.st_mode & stat.S_IWGRP or folder.st_gid == folder.st_uid
    return mine and group and not folder.st_mode & stat.S_IWOTH


def _status(path: Path) -> os.stat_result | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return status if not stat.S_ISLNK(status.st_mode) else None


def _is_empty(path: Path) -> bool:
    status = _status(path)
    return status is not None and status.st_size == 0


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _is_unpacked(path: Path) -> bool:
    """Return whether a file is an archive beside the folder into which it was unpacked."""
    return path.suffix.lower() in _ARCHIVES and _is_folder(path.with_suffix("")) and not path.is_symlink()


def _is_aside(name: str) -> str:
    """Return why a file of this name is no submission, or an empty string."""
    if name.startswith((".", "~$")):
        return "its name is that of a hidden or temporary file"
    return _ASIDE.get(name.lower(), "")


def _stem(name: str) -> str:
    """Return a file's name without its endings, of which a browser or a mail program adds some.

    >>> _stem("ada.ipynb.txt"), _stem("ada.b.ipynb"), _stem("ada"), _stem("ada.ipynb.ipynb")
    ('ada', 'ada.b', 'ada', 'ada')
    """
    bare = name
    while bare.lower().endswith(_ENDINGS) and Path(bare).stem:
        bare = Path(bare).stem
    return bare if bare != name and name.lower().endswith(_OF_NOTEBOOKS) else Path(name).stem


def _looks_like_a_notebook(path: Path) -> bool:
    """Return whether a file of another name begins as a notebook does."""
    try:
        start = read(path, linked=True, most=_SNIFFED)
    except UnreadableError:
        return False
    return start.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"{") and (
        b'"cell' in start or b'"nbformat' in start
    )


def _copy_number(stem: str, name: str) -> int:
    """Return the number that a browser, Canvas or JupyterLab has put behind a name; 0 if there is none.

    >>> [_copy_number(f"one-block{end}", "one-block") for end in ("", " (1)", "-2", "-Copy3", "_final")]
    [0, 1, 2, 3, 0]
    """
    if not stem.lower().startswith(name.lower()):
        return 0
    found = _COPY.fullmatch(stem[len(name) :])
    return int(found[1] or 0) if found else 0


def _same(one: Path, other: Path) -> bool:
    """Return whether two files hold the same bytes."""
    sizes = {status.st_size for path in (one, other) if (status := _status(path))}
    try:
        return len(sizes) == 1 and read(one, linked=True) == read(other, linked=True)
    except UnreadableError:
        return False


def _answers(file: Path, questions: Sequence[str]) -> int:
    """Return how many questions a file seems to answer."""
    try:
        data = read(file, linked=True).replace(b"\0", b"")
    except UnreadableError:
        return -1
    return sum(_has_word(name.encode(), data) for name in questions)


def _has_word(word: bytes, data: bytes) -> bool:
    """Return whether a word stands in a file, which may be large and full of what is nearly the word."""
    return word in data and bool(re.search(rb"\b" + re.escape(word) + rb"\b", data))
