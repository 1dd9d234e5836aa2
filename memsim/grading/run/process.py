"""A process that grades one submission after the other: ``python -m memsim.grading.run.process BATCH``.

It belongs to the grader and is trusted; it is a process of its own so that grading uses all processors, and
so that a batch goes on when one of them dies. It reads JSON lines: first what grading needs, then a
submission at a time; and writes a result for each. It ends when its standard input does, and in the middle
of a submission when ``BATCH``, the process that started it, is gone. That process passes its id: a
batch that is killed early is gone before this process could look it up.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import resource
import select
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from memsim.errors import MemsimError
from memsim.grading.assignment.cells import assignment_of
from memsim.grading.report.results import Result
from memsim.grading.run.grade import Grader
from memsim.grading.sandbox.fences import BUBBLEWRAP, NONE
from memsim.grading.sandbox.worker import StartError

_MEMORY = 2 << 30
_FENCES = {fence.name: fence for fence in (BUBBLEWRAP, NONE)}
_GLANCE = 0.5
_PATIENCE = 3600.0
"""Seconds for one submission; only a fault of the grader takes so long."""


class ProcessError(MemsimError):
    """A grading process died or did not answer; the submission can be given to another."""


@dataclass(frozen=True)
class Setup:
    """What grading needs apart from the submissions, as it travels to other processes and machines.

    Its secrets are in no ``repr()``: a Dask worker writes the arguments of what failed into its log, and its
    page shows that to everybody who can reach it, with TLS or without.
    """

    grading: str = field(repr=False)
    """The text of the grading file."""
    fence: str
    key: str = field(repr=False)

    def grader(self) -> Grader:
        """Return the grader that it describes."""
        return Grader(assignment_of(self.grading), self.grading.encode(), _FENCES[self.fence], self.key)


@dataclass(frozen=True)
class Given:
    """One submission, as it travels."""

    student: str
    file: str
    data: bytes = field(repr=False)
    names: tuple[str, ...] = ()
    reason: str = ""
    """Why there is no data, if there is none."""


class GraderProcess:
    """A grading process, seen from the batch."""

    def __init__(self, setup: Setup) -> None:
        """Start it; it costs as much as importing numpy."""
        try:
            self._process = subprocess.Popen(  # noqa: S603 (our own command)
                [sys.executable, "-m", "memsim.grading.run.process", str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,  # Ctrl-C is for the batch, which ends it
            )
        except OSError as error:
            msg = f"it did not start: {error.strerror}"
            raise ProcessError(msg) from None
        self._say(asdict(setup))

    def grade(self, given: Given) -> Result:
        """Return the result of a submission.

        Raises
        ------
        ProcessError
            The process died, or took so long that something must be wrong with it, or had no room.
        """
        self._say(asdict(given) | {"data": base64.b64encode(given.data).decode()})
        stream = self._process.stdout
        if stream is None or not select.select([stream], [], [], _PATIENCE)[0]:
            msg = f"no result within {_PATIENCE:.0f} seconds"
            raise ProcessError(msg)
        line = stream.readline()
        if not line.endswith(b"\n"):
            msg = f"it ended with status {self._process.wait()}"
            raise ProcessError(msg)
        answer = json.loads(line)
        if "failed" in answer:
            raise ProcessError(answer["failed"])
        return Result.parse(answer)

    def _say(self, message: dict[str, Any]) -> None:
        try:
            if self._process.stdin:
                self._process.stdin.write(json.dumps(message).encode() + b"\n")
                self._process.stdin.flush()
        except OSError as error:
            msg = f"it ended: {error.strerror}"
            raise ProcessError(msg) from None

    def end(self) -> None:
        """End it, and with it what it has started. It may have ended, and its number be another's."""
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                with contextlib.suppress(OSError):
                    stream.close()
        self._process.wait()


def _end_with(parent: int) -> None:
    """End when the batch is gone, also in the middle of a submission; what runs behind a fence ends too."""
    while os.getppid() == parent:
        time.sleep(_GLANCE)
    os._exit(1)


def main() -> None:
    """Grade what comes on standard input."""
    threading.Thread(target=_end_with, args=(int(sys.argv[1]),), daemon=True).start()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a grading file prints must not get between the results
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    lines = iter(sys.stdin.buffer.readline, b"")
    grader = Setup(**json.loads(next(lines))).grader()
    for line in lines:
        asked = json.loads(line)
        try:
            data = base64.b64decode(asked["data"])
            answer = grader.grade(asked["student"], asked["file"], data, asked["names"]).document()
        except StartError as error:
            answer = {"failed": str(error)}
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    main()
