"""Find what was handed in, and whose it is.

Understood are a folder of notebooks named after their students (``ada.ipynb``), a folder with a folder for
each student (``ada/anything.ipynb``, which is also how Moodle packs them), and nbgrader's ``submitted``
folder (``ada/<assignment>/<assignment>.ipynb``). Who a student is, is told by the names that the collector
gave, never by what stands in a file.
"""

from __future__ import annotations

import hashlib
import re
import urllib.parse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from memsim.errors import MemsimError
from memsim.grading.run.notebook import UnreadableError, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_LONGEST_NAME = 150
_SAFE = "@+,= ()'!"


class CollectionError(MemsimError):
    """What should be graded is not there; names the path."""


@dataclass(frozen=True)
class Handed:
    """One student's submission: a file that has not been opened yet."""

    student: str
    path: Path
    remarks: tuple[str, ...] = field(default=())

    @property
    def file_name(self) -> str:
        """A file name for what belongs to this student."""
        return file_name(self.student)


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


def find(paths: Sequence[Path], assignment: str, questions: Sequence[str]) -> list[Handed]:
    """Return every submission below ``paths``, sorted by student.

    Raises
    ------
    CollectionError
        A path does not exist, or there is nothing in any of them.
    """
    found: dict[str, list[Path]] = {}
    for path in paths:
        if not path.exists() and not path.is_symlink():
            msg = f"{path}: there is no such file or folder"
            raise CollectionError(msg)
        for student, file in _below(path, assignment):
            found.setdefault(student, []).append(file)
    if not found:
        msg = f"there are no submissions in {', '.join(map(str, paths))}"
        raise CollectionError(msg)
    return [_chosen(student, files, assignment, questions) for student, files in sorted(found.items())]


def _below(path: Path, assignment: str) -> Iterable[tuple[str, Path]]:
    """Return (student, file) of each file that is handed in below a path."""
    if path.is_symlink() or not path.is_dir():
        yield path.stem, path
        return
    for entry in sorted(path.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_symlink() or not entry.is_dir():
            yield entry.stem, entry
            continue
        folder = entry / assignment
        for file in _files(folder if folder.is_dir() and not folder.is_symlink() else entry):
            yield entry.name, file


def _files(folder: Path) -> Iterable[Path]:
    """Return the files of one student; notebooks if there are any, else whatever there is."""
    files = [file for file in sorted(folder.iterdir()) if file.is_symlink() or not file.is_dir()]
    files = [file for file in files if not file.name.startswith(".") and file.name != "timestamp.txt"]
    notebooks = [file for file in files if file.suffix == ".ipynb"]
    return notebooks or files or [folder]


def _chosen(student: str, files: list[Path], assignment: str, questions: Sequence[str]) -> Handed:
    """Choose one of several files: the one with the right name, else the one with most answers."""
    if len(files) == 1:
        return Handed(student, files[0])
    right = [file for file in files if file.stem == assignment]
    best = right[0] if len(right) == 1 else max(files, key=lambda file: _answers(file, questions))
    others = ", ".join(file.name for file in files if file != best)
    return Handed(student, best, (f"{best.name} was graded; also handed in: {others}",))


def _answers(file: Path, questions: Sequence[str]) -> int:
    """Return how many questions a file seems to answer."""
    try:
        data = read(file)
    except UnreadableError:
        return -1
    return sum(bool(re.search(rf"def\s+{name}\b".encode(), data)) for name in questions)
