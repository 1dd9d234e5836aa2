"""Graded exercises: what a student runs in the notebook, and the grader that an instructor runs."""

from memsim.grading.assignment.assignment import Assignment, Limits, Question, Wrong
from memsim.grading.assignment.checking import check, form
from memsim.grading.assignment.values import Like, MayRaise, Raised, close
from memsim.grading.sandbox.guest.variants import variant

__all__ = [
    "Assignment",
    "Like",
    "Limits",
    "MayRaise",
    "Question",
    "Raised",
    "Wrong",
    "check",
    "close",
    "form",
    "variant",
]
