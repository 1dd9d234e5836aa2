"""The cells a chapter is made of: predict before you see, check what you read, and look at a real kernel.

>>> from memsim.lesson import quiz
>>> quiz("Who sets `PageReserved`?", {"the loader": "No.", "the kernel": "Yes."}, correct="the kernel")
Question: Who sets `PageReserved`?
  ( ) the loader
  ( ) the kernel
Run this notebook to answer.

Each cell has a text, a static HTML and a live form; the first two are the same on every run, so that a
notebook's stored outputs can be compared strictly and are of use where nothing runs. What needs ipywidgets
is imported when it is first used: claims and problems work in a terminal, too.
"""

from typing import TYPE_CHECKING

from memsim.reexport import imported_on_first_use

if TYPE_CHECKING:
    from memsim.lesson.claim_registry import Claim, claim, claims
    from memsim.lesson.errors import ClaimError, LessonError
    from memsim.lesson.prediction import Prediction, predict
    from memsim.lesson.problems import Problem, answer, ask
    from memsim.lesson.question_file import read_questions
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
    "read_questions",
    "solution",
]

__getattr__ = imported_on_first_use(
    __name__,
    {
        "memsim.lesson.errors": ("ClaimError", "LessonError"),
        "memsim.lesson.claim_registry": ("Claim", "claim", "claims"),
        "memsim.lesson.prediction": ("Prediction", "predict"),
        "memsim.lesson.problems": ("Problem", "answer", "ask"),
        "memsim.lesson.question_file": ("read_questions",),
        "memsim.lesson.quizzes": ("Quiz", "quiz"),
        "memsim.lesson.real_kernel": ("OnARealKernel", "on_a_real_kernel"),
        "memsim.lesson.solutions": ("Solution", "solution"),
    },
)
