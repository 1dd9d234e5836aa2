"""The cells a chapter is made of: predict before you see, check what you read, and look at a real kernel.

>>> from memsim.lesson import quiz
>>> quiz("Who sets `PageReserved`?", {"the loader": "No.", "the kernel": "Yes."}, correct="the kernel")
Question: Who sets `PageReserved`?
  ( ) the loader
  ( ) the kernel
Run this notebook to answer.

Each cell has a text, a static HTML and a live form; the first two are the same on every run, so that a
notebook's stored outputs can be compared strictly and are of use where nothing runs.
"""

from memsim.lesson.errors import ClaimError, LessonError
from memsim.lesson.ledger import Claim, claim, claims
from memsim.lesson.prediction import Prediction, predict
from memsim.lesson.quizzes import Quiz, quiz
from memsim.lesson.real_kernel import OnARealKernel, on_a_real_kernel

__all__ = [
    "Claim",
    "ClaimError",
    "LessonError",
    "OnARealKernel",
    "Prediction",
    "Quiz",
    "claim",
    "claims",
    "on_a_real_kernel",
    "predict",
    "quiz",
]
