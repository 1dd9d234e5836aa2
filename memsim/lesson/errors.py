"""The errors of a chapter's cells."""

from memsim.errors import MemsimError


class LessonError(MemsimError):
    """A cell contradicts itself: an answer that is no option, an option without an explanation."""


class ClaimError(MemsimError):
    """The simulator or a recorded kernel contradicts a claim; names its id and its sentence."""
