"""What the grading of one submission brought, as one JSON document.

It holds no time of day and nothing about the machine: the same submission, graded with the same grading
file and the same key, gives the same document, whenever, wherever and in whatever order it is graded.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import zipfile
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from memsim import __version__
from memsim.grading.run.judge import QuestionResult, RuleResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FORMAT = "memsim-result/1"


@dataclass
class Result:
    """The result of one submission."""

    student: str
    assignment: str
    fingerprint: str
    """Changes when the submission, the grading file, the key or memsim changes; then it is graded again."""
    file: str
    questions: list[QuestionResult]
    unreadable: str = ""
    """Why nothing was graded, if nothing was."""
    remarks: list[str] = field(default_factory=list)
    sha256: str = ""
    python: str = ""
    """The version of Python that graded it."""
    numbers_of: str = ""
    """The name from which the student's own numbers were made, if an assignment has some."""
    attention: list[str] = field(default_factory=list)
    """Remarks that a teacher should act on."""
    packed: str = ""
    """The name that a learning management system had given to it."""
    others: list[str] = field(default_factory=list)
    """What else the student had handed in."""
    collected: list[str] = field(default_factory=list)
    """Which of the remarks are about how the file came."""

    @property
    def score(self) -> float:
        """The points of all questions, before lateness."""
        return sum(question.score for question in self.questions)

    @property
    def max_score(self) -> float:
        """The points that the assignment has."""
        return sum(question.max_score for question in self.questions)

    @property
    def needs_teacher(self) -> bool:
        """Whether a test could not judge an answer, or another Python might read it."""
        return any(
            test.needs_teacher
            for question in self.questions
            for test in question.tests
            if question.by_hand is None
        )

    def document(self) -> dict[str, Any]:
        """Return the result as JSON."""
        questions = [{"score": question.score, **asdict(question)} for question in self.questions]
        totals = {"format": FORMAT, "score": self.score, "max_score": self.max_score}
        return totals | asdict(self) | {"questions": questions}

    @classmethod
    def parse(cls, document: dict[str, Any]) -> Self:
        """Return the result that a document holds."""
        questions = [
            QuestionResult(
                name=question["name"],
                max_score=question["max_score"],
                tests=[RuleResult(**test) for test in question["tests"]],
                problems=question["problems"],
                printed=question["printed"],
                answer=question.get("answer", ""),
            )
            for question in document["questions"]
        ]
        needed = ("student", "assignment", "fingerprint", "file", "unreadable", "remarks", "sha256")
        newer = ("python", "numbers_of", "attention", "packed", "others", "collected")
        given = {name: document[name] for name in needed}
        return cls(questions=questions, **given, **{n: document[n] for n in newer if n in document})


def fingerprint(submission: bytes, student: str, grading: bytes, key: str, names: Sequence[str] = ()) -> str:
    """Return what tells whether a submission has been graded already.

    ``names`` are those that the notebook may give as its student's; the own numbers depend on them.
    """
    digest = hashlib.sha256()
    for part in (
        submission,
        student.encode("utf-8", "surrogatepass"),
        grading,
        key.encode(),
        __version__.encode(),
        *(name.encode("utf-8", "surrogatepass") for name in names),
    ):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def write(path: Path, text: str) -> None:
    """Write a file completely or not at all, even if the machine stops halfway; no other user may read it.

    Each writer uses a temporary name of its own, so that two batches in one folder cannot damage each
    other's files.
    """
    with written(path) as file:
        _put(file, text)


def write_derived(path: Path, text: str) -> None:
    """Write a file that each run makes again from the results, unless it is there as it should be.

    There is one for each student, and a disk takes milliseconds to say that it has kept a file: nothing waits
    for that here, as the next run finds what a power cut has spoilt.
    """
    data = _encoded(text)
    try:
        if path.read_bytes() == data:
            return
    except OSError:
        pass
    with written(path) as file:
        file.write(data)


@contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes its place when it is whole; no other user may read it, also before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    try:
        with _naming(path), os.fdopen(fd, "wb") as file:
            yield file
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def append(path: Path, line: str) -> None:
    """Add a line to a file. One that a full disk has cut off does not spoil it."""
    with _naming(path), path.open("a+b") as file:
        file.seek(max(0, file.tell() - 1))
        cut_off = file.read() not in (b"", b"\n")
        _put(file, "\n" * cut_off + line + "\n")


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _put(file: BinaryIO, text: str) -> None:
    """Write a text and wait until the disk has it: a file is not whole before, whatever its name."""
    file.write(_encoded(text))
    file.flush()
    os.fsync(file.fileno())


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let an error tell which file could not be written, which the system does not for a full disk."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def write_json(path: Path, document: Any) -> None:
    """Write a JSON document whole or not at all."""
    write(path, as_json(document))


def as_json(document: Any) -> str:
    """Return a document as the files here have it."""
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def write_zip(path: Path, files: Mapping[str, str]) -> None:
    """Write an archive of texts whole or not at all; the same texts make the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(_inside(name)), _encoded(files[name]))
    with written(path) as file:
        file.write(packed.getvalue())


def _inside(name: str) -> str:
    r"""Return a name in an archive: one that can be written, and that leads nowhere else on any system.

    >>> _inside("Ren\udce9_1/feedback.html") == "Ren\ufffd_1/feedback.html", _inside("a_1_..\\..\\C:x.html")
    (True, 'a_1_.._.._C_x.html')
    """
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join("_" if char in "\\:" or not char.isprintable() else char for char in text)


def stored(path: Path) -> Result | None:
    """Return the result in a file; None if there is none, or not one of this format."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return Result.parse(document) if document["format"] == FORMAT else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
