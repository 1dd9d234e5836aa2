"""One question put to a worker. The grader believes nothing that comes back.

Whatever the student's code does to the process in which it runs, here arrives a JSON value of exact built-in
types, or a :class:`Failure` with a sentence for the student.
"""

from __future__ import annotations

import builtins
import os
import re
import select
import signal
import socket
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from memsim.grading.assignment.values import MayRaise, Raised, is_loose, name_of, received
from memsim.grading.sandbox.guest.answer import cannot_travel
from memsim.grading.sandbox.guest.frames import HEADER, FrameError, decode, encode, length_of
from memsim.grading.sandbox.worker import StartError, WorkerError

if TYPE_CHECKING:
    from memsim.grading.assignment.assignment import Limits
    from memsim.grading.sandbox.worker import Worker

KILLED = "killed"
"""The kind of failure that a machine without memory causes too."""
_KEPT_OUTPUT = 2000
_KINDS = 20
_PIECE = 1 << 16
_PIECES_IN_A_PIPE = 64
_TEXT = 500
_PLACE = re.compile(r"cell \d{1,4}, line \d{1,6}")
_UNREAD = "its answer cannot be read"
_LOOK = 0.25
"""Seconds that one wait counts at most: no answer can come while the machine is stopped."""
_CLOSING = 2.0
"""Seconds. The kernel closes the files of a process before it tells how it ended, and may do much between."""
_ENDS_IT = frozenset({"cpu", "time", "output", "ended", KILLED, "answer", "missing"})


@dataclass(frozen=True)
class Failure:
    """A call that brought no value."""

    kind: str
    told: str
    hidden: str = ""
    """What a student may read when the call was a hidden test's, or nothing if it is the same.

    It has no text of the student's process in it, as that could be what it was asked.
    """

    @property
    def ends_it(self) -> bool:
        """Whether the process is gone or of no use, so that it takes no other call."""
        return self.kind in _ENDS_IT


class Conversation:
    """Any number of calls of one function, within the limits of the question."""

    def __init__(self, worker: Worker, name: str, limits: Limits) -> None:
        """Let the worker start a process for the question, in which the notebook is executed first."""
        self.worker, self.limits = worker, limits
        self.printed, self.output = 0, b""
        self.problems: list[str] = []
        self.failure: Failure | None = None
        self._ended = False
        self._executing = True
        self.waited = 0.0
        """Seconds, of the clock."""
        self.computed = 0.0
        """Seconds of processor time, once it has ended."""
        self._channel, theirs = socket.socketpair()
        self._pipe, pipe_end = os.pipe()
        self._open = [self._channel.fileno(), self._pipe]
        self._channel.settimeout(0)
        os.set_blocking(self._pipe, False)
        try:
            kernel_limits = {name: asdict(limits)[name] for name in _KERNEL_LIMITS}
            worker.put(
                {"question": name, "memsim": worker.memsim, "limits": kernel_limits},
                [theirs.fileno(), pipe_end],
            )
        except OSError as error:
            self._close()
            raise WorkerError(str(error)) from None
        finally:
            theirs.close()
            os.close(pipe_end)
        self._notebook(name, self._receive())

    def _notebook(self, name: str, state: Any) -> None:
        """Note what executing the notebook has brought."""
        if isinstance(state, Failure):
            self.failure = state
            return
        told = state.get("problems") if isinstance(state, dict) else None
        if isinstance(told, list):
            self.problems = [text[:_TEXT] for text in told[:20] if type(text) is str]
        for _ in range(_PIECES_IN_A_PIPE):  # what the notebook has printed and is still in the pipe
            if self._pipe in self._open:
                self._take_output()
        self._executing = False
        if not isinstance(state, dict) or state.get("found") is not True:
            self.failure = Failure("missing", f"there is no function {name}() in the notebook")

    def call(self, arguments: list[Any], returns: Any) -> Any:
        """Return what the student's function returns for ``arguments``, or a Failure."""
        if self.failure is None:
            sent = self._send(encode({"call": arguments, "loose": is_loose(returns)}))
            reply = self._receive() if sent else self._end_of_channel()
            may_raise = isinstance(arguments, MayRaise)
            value = reply if isinstance(reply, Failure) else _understood(reply, returns, may_raise=may_raise)
            if not isinstance(value, Failure) or not value.ends_it:
                return value
            self.failure = value
        return self.failure

    def _left(self) -> float:
        return max(0.0, self.limits.wall_seconds - self.waited)

    def _ready(self, reading: list[Any], writing: list[Any]) -> list[Any]:
        """Return which of these are ready; none when the time of the question is up.

        Only waiting here is time of the question: what a test takes to judge an answer is not the student's.
        """
        while left := self._left():
            started = time.monotonic()
            readable, writable, _ = select.select(reading, writing, [], min(_LOOK, left))
            self.waited += min(time.monotonic() - started, _LOOK)
            if readable or writable:
                return readable + writable
        return []

    def _send(self, frame: bytes) -> bool:
        """Send all of a frame; False if the other side does not take it."""
        view = memoryview(frame)
        while view:
            if not self._ready([], [self._channel]):
                return False
            try:
                view = view[self._channel.send(view) :]
            except OSError:
                return False
        return True

    def _receive(self) -> Any:
        """Return the next message, or how it came that there is none."""
        header = self._bytes(HEADER)
        if isinstance(header, Failure):
            return header
        try:
            text = self._bytes(length_of(header, self.limits.answer_kib << 10))
            return text if isinstance(text, Failure) else decode(text)
        except FrameError as error:
            return Failure("answer", f"its answer cannot be read: {error}", _UNREAD)

    def _bytes(self, size: int) -> bytes | Failure:
        """Return the next bytes from the channel, and meanwhile take what is printed."""
        buffer = bytearray()  # in place: pieces may be as small as the student's code likes
        while len(buffer) < size:
            ready = self._ready(self._open, [])
            if not ready:
                return Failure("time", f"it gave no answer within {self.limits.wall_seconds:g} seconds")
            if self._pipe in self._open and not self._take_output():  # before the answer that followed it
                return Failure("output", f"it printed more than {self.limits.output_kib} KiB")
            if self._channel.fileno() in ready:
                try:
                    piece = self._channel.recv(min(_PIECE, size - len(buffer)))
                except OSError:
                    piece = b""
                if not piece:
                    return self._end_of_channel()
                buffer += piece
        return bytes(buffer)

    def _take_output(self) -> bool:
        """Take what was printed; False when it is too much."""
        try:
            piece = os.read(self._pipe, _PIECE)
        except BlockingIOError:
            return True
        if not piece:
            self._open.remove(self._pipe)
        if self._executing:  # the same for every question, and no function's: cut, not counted
            return True
        self.printed += len(piece)
        self.output = (self.output + piece)[:_KEPT_OUTPUT]
        return self.printed <= self.limits.output_kib << 10

    def _end_of_channel(self) -> Failure:
        """Return why the worker no longer answers."""
        if not self._left():
            return Failure("time", f"it gave no answer within {self.limits.wall_seconds:g} seconds")
        # A process that closed its channel and lives on is stopped, and then has no status.
        try:
            if not select.select([self.worker.control], [], [], _CLOSING)[0]:
                self.worker.stop()
            status, self.computed = self.worker.how_it_ended()
        except StartError:
            self._close()
            raise
        except (OSError, WorkerError) as error:
            self._close()
            raise WorkerError(str(error)) from None
        self._ended = True
        return _told_end(status, self.limits)

    def end(self) -> None:
        """End the process that answers, and all that it has started.

        Raises
        ------
        WorkerError
            The worker is of no use any more.
        """
        self._close()
        if self._ended:
            return
        self._ended = True
        try:
            self.worker.stop()
        except OSError as error:
            raise WorkerError(str(error)) from None
        _, self.computed = self.worker.how_it_ended()

    def _close(self) -> None:
        self._channel.close()
        if self._pipe >= 0:
            os.close(self._pipe)
        self._pipe = -1

    def __enter__(self) -> Self:
        """Return the conversation."""
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """End it; after an error only let go of it."""
        if kind is None:
            self.end()
        else:
            self._close()


_KERNEL_LIMITS = ("cpu_seconds", "memory_mib", "processes", "file_mib")


def _understood(reply: Any, returns: Any, *, may_raise: bool = False) -> Any:
    """Return the value in a reply if it is of the type that is wanted."""
    if not isinstance(reply, dict) or len(reply.keys() - {"at", "kinds"}) != 1:
        return Failure("answer", "its answer cannot be read")
    if "value" in reply:
        value = reply["value"]  # what cannot travel the worker does not send, but others can write to it
        wrong: str | None = cannot_travel(value)
        if not wrong:
            value, wrong = received(value, returns)
        return Failure("type", f"it returns another type: {wrong}", _other_type(returns)) if wrong else value
    if "unanswered" in reply:
        return Failure("unanswered", "it is not answered yet: it still returns the dots of the starter")
    if "cannot_travel" in reply:
        told = f"it returns another type: {_text(reply['cannot_travel'])}"
        return Failure("type", told, _other_type(returns))
    if "raised" in reply:
        return _raised(reply, may_raise=may_raise)
    return Failure("answer", "its answer cannot be read")


def _raised(reply: dict[str, Any], *, may_raise: bool) -> Raised | Failure:
    """Return what a call says that it raised; a student's process says it, as it says any other answer."""
    if not may_raise:
        at = reply.get("at")
        place = f" ({at})" if type(at) is str and _PLACE.fullmatch(at) else ""
        hidden = f"it raised {_kind_of(reply)}; call it with the numbers of the examples to see more"
        return Failure("raised", f"it raised {_text(reply['raised'])}{place}", hidden)
    kinds = reply.get("kinds")
    names = [_text(name) for name in kinds[:_KINDS]] if isinstance(kinds, list) else []
    name, _, text = _text(reply["raised"]).partition(": ")
    return Raised(name, tuple(names), text)


def _other_type(returns: Any) -> str:
    return f"it returns another type than {name_of(returns)}, or a value that cannot be sent"


def _kind_of(reply: dict[str, Any]) -> str:
    """Return the name of a built-in exception; a name of the student's own could be a message."""
    kinds = reply.get("kinds")
    for name in kinds[:_KINDS] if isinstance(kinds, list) else ():
        kind = getattr(builtins, name, None) if type(name) is str else None
        if isinstance(kind, type) and issubclass(kind, BaseException):
            return kind.__name__
    return "an exception"


def _text(value: object) -> str:
    """Return a text of the student's process, shortened and printable."""
    text = value if isinstance(value, str) else f"a {type(value).__name__}"
    return text[:_TEXT].encode("utf-8", "backslashreplace").decode()


def _told_end(status: Any, limits: Limits) -> Failure:
    """Return in words how a process ended."""
    if type(status) is not int:
        return Failure("ended", "it closed its channel to the grader")
    if -status in (signal.SIGXCPU, signal.SIGKILL):
        kind, seconds = "cpu" if -status == signal.SIGXCPU else KILLED, f"{limits.cpu_seconds:g} seconds"
        return Failure(kind, f"it used up its {seconds} of processor time, or its memory")
    if status < 0:
        name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
        return Failure("ended", f"the process ended with {name}", "the process was ended by a signal")
    told = "the process ended by itself"
    return Failure("ended", f"{told}, with status {status}", told)
