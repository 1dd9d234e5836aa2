"""The time of the grader's own that judging answers may take."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_JUDGING_SECONDS = 20
_ASTRAY = 0.1
"""The share of that time which is left for a submission when one of its values has used it up."""


class JudgingError(Exception):
    """A test failed in the grader: a fault of the test, or of a value that it was not made for."""


class Judging:
    """What the tests of one submission may take of the grader's own time."""

    def __init__(self) -> None:
        """Nothing has gone astray yet."""
        self.astray = 0
        """How often a value has used up the time of a test."""

    @contextmanager
    def bounded(self) -> Iterator[None]:
        """Interrupt a test that a strange value sends astray; processor time is the same on any machine."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        seconds = _JUDGING_SECONDS * (_ASTRAY if self.astray else 1)

        def interrupt(*_: object) -> None:
            self.astray += 1
            msg = f"no judgement after {seconds:g} seconds of processor time"
            raise JudgingError(msg)

        before = signal.signal(signal.SIGPROF, interrupt)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, before)
