"""The cells a chapter is made of: predict before you see, check what you read, and look at a real kernel.

>>> from memsim.lesson import quiz
>>> quiz("Who sets `PageReserved`?", {"the loader": "No.", "the kernel": "Yes."}, correct="the kernel")
Question: Who sets `PageReserved`?
  ( ) the loader
  ( ) the kernel
Run this notebook to answer.

Each cell has a text, a static HTML and a live form; the first two are the same on every run, so that a
notebook's stored outputs can be compared strictly and are of use where nothing runs. What needs ipywidgets
is imported when it is first asked for: claims and problems work in a terminal, too.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memsim.lesson.claim_registry import Claim, claim, claims
    from memsim.lesson.errors import ClaimError, LessonError
    from memsim.lesson.prediction import Prediction, predict
    from memsim.lesson.problems import Problem, answer, ask
    from memsim.lesson.quizzes import Quiz, quiz
    from memsim.lesson.real_kernel import OnARealKernel, on_a_real_kernel
    from memsim.lesson.solutions import Solution, solution

__all__ = [
    "Claim",
    "ClaimError",
    "LessonError",
    "OnARealKernel",
    "Prediction",
    "Problem",
    "Quiz",
    "Solution",
    "answer",
    "ask",
    "claim",
    "claims",
    "on_a_real_kernel",
    "predict",
    "quiz",
    "solution",
]

_FOUND_IN = {
    "errors": ("ClaimError", "LessonError"),
    "claim_registry": ("Claim", "claim", "claims"),
    "prediction": ("Prediction", "predict"),
    "problems": ("Problem", "answer", "ask"),
    "quizzes": ("Quiz", "quiz"),
    "real_kernel": ("OnARealKernel", "on_a_real_kernel"),
    "solutions": ("Solution", "solution"),
}
_HOME = {name: module for module, names in _FOUND_IN.items() for name in names}


def __getattr__(name: str) -> object:
    """Import what is asked for the first time."""
    if name not in _HOME:
        msg = f"module 'memsim.lesson' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"memsim.lesson.{_HOME[name]}"), name)
