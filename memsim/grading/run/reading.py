"""Read what students handed in, in processes that can be lost: ``python -m memsim.grading.run.reading FD``.

A file can be made to take hours to read, or all memory. So the process that grades parses no submission: a
reader forks a process for each file, with limits that grow with the file. What ends that process costs this
submission only.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import os
import resource
import socket
import subprocess
import sys
import threading
from array import array
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NoReturn, Self

from memsim.grading.report.structure import pieces
from memsim.grading.run.notebook import Sources, UnreadableError, sources
from memsim.grading.sandbox.guest.frames import FrameError, encode, receive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from memsim.grading.report.structure import Pieces

_SECONDS, _MIB_IN_A_SECOND = 2, 2
"""Of processor time for any file, and how many MiB add one more."""
_MEMORY, _MEMORY_PER_BYTE = 1 << 30, 16
_LONGEST = 64 << 20
"""Of an answer: a file's code and text have at most some MiB."""
_PIECE = 1 << 16


class Reader:
    """A process that reads files, seen from the process that grades; one thread at a time uses it."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    def sources(self, data: bytes, name: str, questions: Sequence[str] = ()) -> Sources:
        """Return the cells of a notebook, or of what is left of it, and the answers to these questions.

        Raises
        ------
        UnreadableError
            There is nothing to grade in it, or reading it takes too much time or memory.
        """
        return Sources(**self._asked("sources", data, name, list(questions)))

    def pieces(self, data: bytes, name: str) -> Pieces:
        """Return the pieces of a notebook that are compared with those of others.

        Raises
        ------
        UnreadableError
            As above.
        """
        found = base64.b64decode(self._asked("pieces", data, name, [])["pieces"])
        return array("Q", found)

    def _asked(self, what: str, data: bytes, name: str, questions: list[str]) -> dict[str, Any]:
        request = encode({"what": what, "name": name, "questions": questions, "size": len(data)})
        with self._lock:
            answer = self._answer(request + data) or self._answer(request + data)
        if answer is None:
            msg = "the process that reads it was ended"
            raise UnreadableError(msg)
        if "unreadable" in answer:
            raise UnreadableError(answer["unreadable"])
        return dict(answer["read"])

    def _answer(self, request: bytes) -> dict[str, Any] | None:
        """Return what the reader says; None if it is gone, so that another is started next time."""
        try:
            channel = self._running()
            channel.sendall(request)
            answer: dict[str, Any] | None = receive(channel, _LONGEST)
        except (OSError, FrameError):
            answer = None
        if answer is None:
            self._end()
        return answer

    def _running(self) -> socket.socket:
        if self._channel is None:
            self._channel, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 (ours)
                    [sys.executable, "-m", "memsim.grading.run.reading", str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
                    start_new_session=True,  # Ctrl-C is for the batch, whose end it sees
                )
        return self._channel

    def _end(self) -> None:
        if self._channel:
            self._channel.close()
        if self._process:
            self._process.kill()
            self._process.wait()
        self._channel = self._process = None

    def __enter__(self) -> Self:
        """Return the reader."""
        return self

    def __exit__(self, *_: object) -> None:
        """End its process."""
        self._end()


READER = Reader()
"""The reader of this process."""
atexit.register(READER.__exit__)


def budget(size: int) -> int:
    """Return how many seconds of processor time reading a file of ``size`` bytes may take.

    >>> budget(10_000), budget(64 << 20)
    (2, 34)
    """
    return _SECONDS + (size >> 20) // _MIB_IN_A_SECOND


def _sources(data: bytes, name: str, questions: list[str]) -> dict[str, Any]:
    return asdict(sources(data, name, questions))


def _pieces(data: bytes, name: str, _: list[str]) -> dict[str, Any]:
    found = sources(data, name)
    return {"pieces": base64.b64encode(pieces(found.code, found.text).tobytes()).decode()}


_WHAT: dict[str, Callable[[bytes, str, list[str]], dict[str, Any]]] = {"sources": _sources, "pieces": _pieces}


def serve(channel: socket.socket) -> None:
    """Read files until the channel ends."""
    while request := receive(channel):
        data = bytearray()
        while len(data) < request["size"]:
            piece = channel.recv(min(request["size"] - len(data), 1 << 20))
            if not piece:
                return
            data += piece
        channel.sendall(_apart(request, bytes(data)))


def _apart(request: dict[str, Any], data: bytes) -> bytes:
    """Read a file in a process of its own, and return the frame to send."""
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        os.close(ours)
        _read(request, data, theirs)
    os.close(theirs)
    answer = bytearray()
    while len(answer) <= _LONGEST and (piece := os.read(ours, _PIECE)):
        answer += piece
    os.close(ours)
    status = os.waitpid(child, 0)[1]
    if status == 0 and len(answer) <= _LONGEST:
        return bytes(answer)
    seconds = budget(len(data))
    return encode(
        {"unreadable": f"reading it takes more than {seconds} seconds of processor time, or too much memory"}
    )


def _read(request: dict[str, Any], data: bytes, pipe: int) -> NoReturn:
    """Write what is in a file into a pipe, as a frame, and end."""
    try:
        _limit(len(data))
        try:
            answer: dict[str, Any] = {
                "read": _WHAT[request["what"]](data, request["name"], request["questions"])
            }
        except UnreadableError as reason:
            answer = {"unreadable": str(reason)}
        frame = memoryview(encode(answer))
        while frame:
            frame = frame[os.write(pipe, frame) :]
        os._exit(0)
    except BaseException:  # noqa: BLE001 (MemoryError, for one: it is lost, and nothing else)
        os._exit(1)


def _limit(size: int) -> None:
    seconds, memory = budget(size), _MEMORY + _MEMORY_PER_BYTE * size
    for name, value in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ValueError, OSError):  # a lower limit is in force already
            resource.setrlimit(name, (value, value))


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
