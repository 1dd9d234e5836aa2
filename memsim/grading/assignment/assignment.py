"""What an assignment is: its questions, their hidden tests, and the wrong answers they must tell apart.

The grading of an assignment is a Python file that makes one :class:`Assignment` and calls it
``ASSIGNMENT``. It stays with the teacher: the student's notebook holds neither its tests nor its numbers, and
the process that runs the student's code never sees it. The model solutions stand in the source
notebook only, between nbgrader's marks, so that nothing is written twice.

A **test** is a generator function: it yields the arguments of one call at a time, is sent what the
student's function returned, and ends by returning the message of the rule that was broken, or None.

>>> def covers_all(rng, mine):
...     '''Every page of the range is in exactly one chunk.'''
...     start = 1024 * rng.randrange(1 << 20)
...     orders = yield [start, 32768]
...     if sum(1 << order for order in orders) != 32768:
...         return "the chunks do not add up to the range, which online_pages_range() walks to its end"
>>> question = Question("chunk_orders", difficulty=1, pattern="implement", returns=list[int],
...                     tests={covers_all: 2})
>>> question.points, title(covers_all)
(2, 'Every page of the range is in exactly one chunk.')
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memsim.errors import MemsimError
from memsim.grading.sandbox.guest.variants import Variant, variant

if TYPE_CHECKING:
    from memsim.grading.assignment.values import Json

Dialogue = Generator[list[Any], Any, str | None]
Test = Callable[[random.Random, Variant], Dialogue]

PATTERNS = (
    "predict",
    "trace",
    "compute",
    "implement",
    "bug hunt",
    "parsons",
    "who breaks",
    "which kernel",
    "design",
)
HARDEST = 5


class AssignmentError(MemsimError):
    """The grading file of an assignment contradicts itself or its notebook."""


@dataclass(frozen=True)
class Limits:
    """What one question of a submission may use; beyond it the question ends, and no other."""

    cpu_seconds: float = 2
    """Processor time of one process: of all calls, or since the last call that did not end."""
    wall_seconds: float = 60
    """Time on the clock in which answers are waited for, for code that only sleeps.

    At least ten times ``cpu_seconds``, so that no grade depends on what else the machine does.
    """
    memory_mib: int = 512
    """Address space of a process."""
    processes: int = 0
    """Processes and threads beyond the one that answers."""
    file_mib: int = 0
    """Largest file; there is nowhere to write one, but memory can be a file too."""
    output_kib: int = 256
    """What it may print."""
    answer_kib: int = 1024
    """The largest value that a call may return, as JSON."""


@dataclass(frozen=True)
class Wrong:
    """A wrong solution, named after the misconception that leads to it.

    ``source`` is what a student with this misconception writes. It must get exactly ``score`` points and
    ``message`` must occur in the feedback to the question.
    """

    misconception: str
    source: str
    score: int
    message: str


@dataclass(frozen=True)
class Question:
    """One question: a function that the student writes, found by its name wherever it stands."""

    name: str
    difficulty: int
    pattern: str
    returns: Any
    """The type of an answer: int, str, bool, None, list[...], tuple[...], dict[str, ...] and unions of them;
    in ``Like`` also what is like it, as arrays are like lists."""
    tests: Mapping[Test, int]
    """Each hidden test and its points, which it gives whole or not at all."""
    wrong: Sequence[Wrong] = ()
    variant: Mapping[str, Sequence[Json]] = field(default_factory=dict)
    """From what the student's own numbers are chosen: the arguments of ``variant()`` in the notebook."""
    memsim: bool = False
    """Whether the answer may import the simulator. Where it would answer the question, it may not."""
    limits: Limits = Limits()
    different: int = 2
    """A function that gives fewer different answers to all calls, and is not right everywhere, earns nothing.

    Two: a constant earns nothing. Three, where right answers are many: neither does a choice between two.
    """
    one_may_do: bool = False
    """Whether one answer can be right for every call, as where an example of something is asked for.

    Else a function earns nothing of which one answer, given to every call, passes the tests that it passes.
    """
    section: str = ""
    """The heading in the chapter under which the rules are explained."""
    chapter: int = 0
    """The number of that chapter, if it is not the assignment's."""

    def __post_init__(self) -> None:
        """Refuse a question that could not be graded."""
        rules = {
            "has a name that is no Python name": self.name.isidentifier(),
            f"has a difficulty outside 1..{HARDEST}": 1 <= self.difficulty <= HARDEST,
            f"has a pattern that is none of {', '.join(PATTERNS)}": self.pattern in PATTERNS,
            "counts fewer than two different answers": self.different > 1,
            "has no tests": bool(self.tests),
            "has a test without points": all(points > 0 for points in self.tests.values()),
            "has a test without a docstring, its title": all(test.__doc__ for test in self.tests),
        }
        for rule, kept in rules.items():
            if not kept:
                msg = f"question {self.name!r} {rule}"
                raise AssignmentError(msg)

    @property
    def points(self) -> int:
        """The points of all tests."""
        return sum(self.tests.values())

    def variant_of(self, student: str) -> Variant:
        """Return the student's own numbers."""
        return variant(self.name, student, **self.variant)


@dataclass(frozen=True)
class Assignment:
    """What ``exercises/grading/<name>.py`` makes, under the name ``ASSIGNMENT``."""

    name: str
    chapter: int
    questions: Sequence[Question]

    def __post_init__(self) -> None:
        """Refuse two questions of one name."""
        names = [question.name for question in self.questions]
        twice = next((name for name in names if names.count(name) > 1), "")
        if twice:
            msg = f"assignment {self.name!r} has two questions of the same name: {twice}"
            raise AssignmentError(msg)

    @property
    def points(self) -> int:
        """The points of all questions."""
        return sum(question.points for question in self.questions)

    @classmethod
    def load(cls, path: Path | str) -> Assignment:
        """Read a grading file, which is trusted, and return its assignment."""
        try:
            return cls.parse(Path(path).read_text(encoding="utf-8"), str(path))
        except OSError as error:
            msg = f"{path}: {error.strerror}"
            raise AssignmentError(msg) from None

    @classmethod
    def parse(cls, text: str, name: str = "the grading file") -> Assignment:
        """Return the assignment that the text of a grading file makes.

        Raises
        ------
        AssignmentError
            It makes none, or fails.
        """
        made: dict[str, Any] = {"__name__": "grading", "__file__": name}
        try:
            exec(compile(text, name, "exec"), made)  # noqa: S102 (the teacher's own file)
        except (Exception, SystemExit) as error:
            msg = f"{name}: {type(error).__name__}: {error}"
            raise AssignmentError(msg) from error
        assignment = made.get("ASSIGNMENT")
        if not isinstance(assignment, cls):
            msg = f"{name}: it makes no Assignment of the name ASSIGNMENT"
            raise AssignmentError(msg)
        return assignment


def title(test: Test) -> str:
    """Return the title of a test: the first line of its docstring."""
    return (test.__doc__ or "").strip().splitlines()[0]


def fresh(key: str, assignment: str, question: str, test: Test, student: str) -> random.Random:
    """Return the random numbers of one test for one student.

    ``key`` is secret and made anew for each course, and a digest of the file is part of it. So no student can
    know the numbers, and a second hand-in gets others. One file gets the same numbers again, whenever and
    wherever it is graded.
    """
    parts = "\0".join((key, assignment, question, title(test), student))
    return random.Random(parts.encode("utf-8", "surrogatepass"))  # noqa: S311 (no secret is made from it)
