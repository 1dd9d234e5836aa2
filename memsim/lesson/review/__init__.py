"""Patches to review: proposals of our own to the models, applied for real while a block of code runs."""

from memsim.lesson.review.proposals import PROPOSALS, Proposal, applied, show_proposal
from memsim.lesson.review.stories import STEPS, Played, faults, play

__all__ = ["PROPOSALS", "STEPS", "Played", "Proposal", "applied", "faults", "play", "show_proposal"]
