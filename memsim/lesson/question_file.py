"""The questions of a chapter in a file beside it, so that no view of the notebook shows an answer.

Sites and converters that only show a notebook print the code of each cell above its output. What a quiz or a
prediction explains stands in a TOML file instead, a table for each question::

    [recall-1]
    question = "Who sets `PageReserved`?"
    correct = "the kernel"

    [recall-1.explanations]
    "the loader" = "No."
    "the kernel" = "Yes."

The keys are the parameters of :func:`~memsim.lesson.quizzes.quiz` and
:func:`~memsim.lesson.prediction.predict`. A prediction may leave ``options`` out where ``explain`` has one
text for each. TOML has no None: for numbers and words, the explanation of every other answer stands under
``otherwise``.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from memsim.lesson.errors import LessonError
from memsim.lesson.fields import parse_number

OTHERWISE = "otherwise"
_QUIZ = frozenset({"question", "explanations", "correct", "show"})
_PREDICTION = frozenset({"question", "options", "answer", "explain", "show"})


class Questions(dict[str, dict[str, Any]]):
    """The parameters of each question, by its name."""

    def __init__(self, path: Path) -> None:
        """Name the file, for errors."""
        super().__init__()
        self.path = path

    def __missing__(self, name: str) -> dict[str, Any]:
        """Raise LessonError: the file has no such question."""
        msg = f"{self.path}: there is no question {name!r}; it has {', '.join(self)}"
        raise LessonError(msg)


def read_questions(path: Path | str) -> Questions:
    """Return the questions in a file, as parameters of ``quiz()`` and ``predict()``.

    Parameters
    ----------
    path
        A TOML file, such as ``questions/01-one-block-comes-online.toml`` in the folder of the book.

    Raises
    ------
    LessonError
        It cannot be read, is no TOML, or a question has a key that is no parameter.
    """
    path = Path(path)
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        msg = f"{path}: {problem.strerror}"
        raise LessonError(msg) from None
    except ValueError as problem:  # not UTF-8, or not TOML
        msg = f"{path}: {problem}"
        raise LessonError(msg) from None
    questions = Questions(path)
    for name, table in tables.items():
        questions[name] = _parameters(table, f"{path}, {name}")
    return questions


def _parameters(table: object, where: str) -> dict[str, Any]:
    """Return what is passed to ``quiz()`` or ``predict()``."""
    entries = table if isinstance(table, dict) else {}
    given = set(entries)
    known = _QUIZ if "explanations" in given else _PREDICTION
    if "question" not in given or given - known:
        wrong = f"unknown: {', '.join(sorted(given - known))}" if given - known else "there is no question"
        msg = f"{where}: a question has the keys {', '.join(sorted(known))}; {wrong}"
        raise LessonError(msg)
    made: dict[str, Any] = {name: _joined(value) for name, value in entries.items()}
    if "show" in made:
        made["show"] = tuple(made["show"])
    if known is _QUIZ:
        return made
    if isinstance(made.get("explain"), dict):
        made.setdefault("options", list(made["explain"]))
        if isinstance(made["options"], str):
            made["explain"] = {_answer(key): text for key, text in made["explain"].items()}
    return made


def _joined(value: object) -> object:
    """Return texts without their line ends, which are the file's and not the text's."""
    if isinstance(value, dict):
        return {name: _joined(each) for name, each in value.items()}
    return " ".join(value.split()) if isinstance(value, str) else value


def _answer(key: str) -> str | float | None:
    """Return the answer that an explanation is about; None for all others."""
    number = parse_number(key)
    return None if key == OTHERWISE else key if number is None else number
