"""Graded exercises: what a student runs in the notebook, and the grader that an instructor runs."""

from memsim.grading.assignment.assignment import Assignment, Limits, Question, Wrong
from memsim.grading.assignment.checking import check
from memsim.grading.sandbox.guest.variants import variant

__all__ = ["Assignment", "Limits", "Question", "Wrong", "check", "variant"]
