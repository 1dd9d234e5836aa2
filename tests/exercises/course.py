"""A course in a folder: notebooks of students, and ``memsim grade`` on them."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

from memsim.cli import main
from memsim.grading.report.structure import pieces
from memsim.grading.run.engines import opened
from memsim.grading.run.notebook import sources
from memsim.grading.sandbox.fences import BUBBLEWRAP
from memsim.grading.sandbox.guest.variants import variant
from memsim.grading.sandbox.holds import fence_that_holds

MATERIAL = Path(__file__).parents[1] / "material" / "courses"
GRADING = MATERIAL / "doubling.py"
RIGHT = "def double(number):\n    return 2 * number\n"
WRONG = "def double(number):\n    return number\n"
DUE = ("--due", "2026-12-01T00:00+01:00", "--collected")


def notebook(*cells, python=""):
    """Return a notebook as bytes."""
    document = {
        "cells": [
            {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": cell}
            for cell in cells
        ],
        "metadata": {"language_info": {"name": "python", "version": python}} if python else {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(document).encode()


def answered(student, *, double=RIGHT):
    """Return the notebook of a student who typed this id and squared the number that belongs to it."""
    number = variant("square", student, number=range(2, 1000))["number"]
    cells = [f"STUDENT = {student!r}\n", double, f"def square():\n    return {number**2}\n"]
    return notebook(*cells)


@dataclass
class Graded:
    """What ``memsim grade`` left behind."""

    out: Path
    status: int
    said: str

    def table(self, name="grades.csv"):
        """Return the lines of a table, by their first column."""
        rows = csv.reader((self.out / name).read_text(encoding="utf-8").splitlines())
        head, *lines = rows
        return {line[0]: dict(zip(head, line, strict=True)) for line in lines}

    def report(self):
        """Return report.json."""
        return json.loads((self.out / "report.json").read_text(encoding="utf-8"))

    def page(self, student):
        """Return a student's page."""
        return (self.out / "feedback" / f"{student}.html").read_text(encoding="utf-8")

    def scores(self):
        """Return the score of each student."""
        return {student: row["score"] for student, row in self.table().items()}


class Course:
    """A folder with what students handed in."""

    def __init__(self, folder, capsys):
        """Begin with nothing."""
        self.folder, self.capsys = folder, capsys
        self.submitted = folder / "submitted"
        self.submitted.mkdir()

    def put(self, name, content=None):
        """Write a file below ``submitted``; without content an empty folder."""
        path = self.submitted / name
        if content is None:
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return path

    def write(self, name, text):
        """Write a table of the instructor's, and return its path."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    def grade(self, *options, submissions=None, grading=GRADING, out="out"):
        """Grade it."""
        folder = self.folder / out
        paths = [str(path) for path in submissions or [self.submitted]]
        command = ["grade", *paths, "--assignment", str(grading), "--out", str(folder), "--jobs", "1"]
        status = main([*command, *options])
        said = self.capsys.readouterr()
        return Graded(folder, status, said.out + said.err)


HELD = []


def once(secret, *, unfenced, wanted=""):
    """Return the fence that holds; tests/exercises/test_batch.py tries it each time."""
    if not HELD:
        HELD.append(fence_that_holds(secret, unfenced=unfenced, wanted=wanted))
    return HELD[0]


class Quick:
    """An engine that looks for the right answers' text: for tests of what stands around the grader."""

    processes = 1

    def grade(self, setup, handed):
        """Return the results without executing anything."""
        grader = setup.grader()
        for one in handed:
            given = opened(one)
            made = grader.unreadable(given.student, given.file, given.reason, given.data, given.names)
            for question, text in zip(made.questions, (b"2 * number", b"def square"), strict=True):
                for test in question.tests:
                    test.passed = text in given.data
            yield made


class Reads:
    """A reader of files that asks no process of its own."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def pieces(self, data, name):
        """Return the pieces of a notebook that are compared."""
        found = sources(data, name)
        return pieces(found.code, found.text)


def make_quick(monkeypatch):
    """Let ``memsim grade`` start no process."""
    monkeypatch.setattr("memsim.grading.sandbox.holds.fence_that_holds", lambda *_, **__: (BUBBLEWRAP, []))
    monkeypatch.setattr("memsim.cli.grade.engine", lambda _: Quick())
    monkeypatch.setattr("memsim.grading.report.outputs.Reader", Reads)
