"""The grader's side of a worker: the fenced process that holds one submission."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from memsim.grading.sandbox.fences import ENVIRONMENT
from memsim.grading.sandbox.guest.frames import FrameError, encode, receive
from memsim.grading.sandbox.guest.limits import reading_seconds

if TYPE_CHECKING:
    from memsim.grading.sandbox.fences import Fence

_START_SECONDS = 30.0
_END_SECONDS = 30.0
_TIMES_SLOWER = 10
"""A machine may have so much else to do."""
_COMPLAINT = 2000
_LONGEST = 1 << 16


class WorkerError(Exception):
    """The worker itself ended or does not answer; a new one can take the next question."""


class ReadingError(WorkerError):
    """The submission's cells take too much time or memory to be read as Python."""


class StartError(WorkerError):
    """A worker, or a process of it, does not start. That is no fault of a student's and must cost none."""


@dataclass
class Submitted:
    """What a worker is given of a submission: the sources of its cells, and whose it is."""

    student: str
    cells: list[str]
    notes: list[str] = field(default_factory=list)


class Ended(NamedTuple):
    """How a process that answered has ended."""

    status: Any
    """Its exit status; None if it was stopped."""
    computed: float
    """Seconds of processor time, with all that it had started."""


class Worker:
    """A fenced process that holds one submission."""

    def __init__(self, fence: Fence, submitted: Submitted, *, memsim: bool = False) -> None:
        """Start it."""
        self.control, theirs = socket.socketpair()
        # It reads the cells twice, the first time in a process that can be lost.
        self.control.settimeout(_START_SECONDS + 2 * _TIMES_SLOWER * reading_seconds(submitted.cells))
        try:
            with theirs:
                self.process = _started(fence.command(theirs.fileno(), memsim=memsim), theirs.fileno())
        except StartError:
            self.control.close()
            raise
        self.fence, self.memsim = fence, memsim
        try:
            self.control.sendall(encode(asdict(submitted)))
            started = receive(self.control, _LONGEST)
        except (OSError, FrameError) as error:
            started = error
        except BaseException:  # Ctrl-C: no other code knows of this process
            self.end()
            raise
        if started == {"ready": False}:
            self.end()
            msg = "its cells take too much time or memory to be read as Python"
            raise ReadingError(msg)
        if started != {"ready": True}:
            reason = self.end()
            msg = f"the worker did not start: {reason or started}"
            raise StartError(msg)

    def put(self, question: dict[str, Any], fds: list[int]) -> None:
        """Let the worker start a process for a question, with a channel and a pipe for what it prints."""
        socket.send_fds(self.control, [b"q"], fds)
        self.control.sendall(encode(question))

    def stop(self) -> None:
        """Let the worker end the process that answers, and all that it has started."""
        self.control.sendall(b"s" + encode({"stop": True}))

    def how_it_ended(self) -> Ended:
        """Return how the process that answered ended.

        Raises
        ------
        WorkerError
            The worker is gone too, or says nothing.
        StartError
            There was no such process: the machine had no room for it.
        """
        self.control.settimeout(_END_SECONDS)
        try:
            said = receive(self.control, _LONGEST)
        except (OSError, FrameError) as error:
            raise WorkerError(str(error)) from None
        if isinstance(said, dict) and "no_room" in said:
            msg = f"the worker could not start a process: {said['no_room']}"
            raise StartError(msg)
        if not isinstance(said, dict) or "ended" not in said:
            msg = "the worker ended"
            raise WorkerError(msg)
        computed = said.get("computed")
        return Ended(said["ended"], computed if type(computed) is float else 0.0)

    def end(self) -> str:
        """Kill everything that runs in the fence, and return what the worker complained of."""
        self.control.close()
        if not self.fence.alone:  # the worker sees that, and ends what only it knows of
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_END_SECONDS)
        with contextlib.suppress(OSError):
            os.killpg(self.process.pid, signal.SIGKILL)
        complaint = b""
        if self.process.stderr:
            with contextlib.suppress(ValueError), self.process.stderr as stream:
                os.set_blocking(stream.fileno(), False)
                complaint = stream.read(_COMPLAINT) or b""
        self.process.wait()
        return complaint.decode("utf-8", "replace").strip()

    def __enter__(self) -> Self:
        """Return the worker."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.end()


def _started(command: list[str], fd: int) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 (our own command)
            command,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[fd],
            start_new_session=True,
            cwd="/",
        )
    except OSError as error:
        msg = f"the worker did not start: {error.strerror}"
        raise StartError(msg) from None
