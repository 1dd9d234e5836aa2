"""The worker: waits for questions, and gives each to a process of its own, which dies with it.

The process that waits never executes code of the student. If the student's code stops it all the same (it
runs as the same user), the grader sees the channel end and starts another for the questions that are left.
"""

from __future__ import annotations

import _socket  # the part in C: socket itself takes as long to import as a process to fork
import contextlib
import gc
import importlib
import os
import resource
import select
import signal
import struct
import sys
from typing import Any, NoReturn

from memsim.grading.sandbox.guest.answer import answer
from memsim.grading.sandbox.guest.fence import Scope, fence_in, leave_others_alone
from memsim.grading.sandbox.guest.frames import encode, receive
from memsim.grading.sandbox.guest.limits import (
    Limited,
    kill_others,
    limit,
    processor_time,
    reading_seconds,
    time_of_children,
)
from memsim.grading.sandbox.guest.program import Script, read
from memsim.grading.sandbox.guest.retry import patiently

_GLANCE = 0.02
"""Seconds between two looks at a process that has nearly used up its processor time."""
_READING = 1 << 30
"""What reading a notebook may take: several times what the largest honest one does."""


def main(control_fd: int, setting: dict[str, Any]) -> None:
    """Serve one submission until the control channel ends.

    ``setting`` says what to give up before, whether there is ``memsim`` to import, and whether the worker is
    ``alone``: whether every process that it could kill is the submission's own.
    """
    scope = fence_in(setting)
    control = _socket.socket(fileno=control_fd)
    waker, wakes = os.pipe()
    os.set_blocking(wakes, False)
    os.set_blocking(waker, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes)
    submission = receive(control)
    with contextlib.suppress(ValueError, OSError):  # a lower limit is in force already
        resource.setrlimit(resource.RLIMIT_AS, (_READING, resource.getrlimit(resource.RLIMIT_AS)[1]))
    if not _can_be_read(submission["cells"]):
        control.sendall(encode({"ready": False}))
        return
    script = read(submission["cells"])
    _warm_up(submission["cells"], memsim=setting["memsim"])
    gc.freeze()  # so that the processes to come share the memory that there is
    control.sendall(encode({"ready": True}))
    while True:
        question, fds = _receive_question(control)
        if question is None:
            return
        try:
            child = _start((question, submission, script), fds, [control_fd, waker, wakes], scope)
        except OSError as error:
            control.sendall(encode({"no_room": str(error)}))
            continue
        before, seconds = time_of_children(), question["limits"]["cpu_seconds"]
        status = _end(child, _wait(child, control, waker, seconds), alone=setting["alone"])
        with contextlib.suppress(OSError):
            control.sendall(encode({"ended": status, "computed": time_of_children() - before}))


def _can_be_read(cells: list[str]) -> bool:
    """Return whether reading the cells ends within limits: a process that can be lost tries it first."""
    child = patiently(os.fork, OSError)
    if not child:
        try:
            seconds = reading_seconds(cells)
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
            read(cells)
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def _warm_up(cells: list[str], *, memsim: bool) -> None:
    """Import numpy once for all questions if any cell or memsim needs it: it takes longer than all else."""
    if memsim or any("numpy" in cell for cell in cells):
        with contextlib.suppress(ImportError):
            importlib.import_module("numpy")


def _receive_question(control: _socket.socket) -> tuple[Any, list[int]]:
    """Return the next question, with its channel and the pipe for what it prints; None at the end."""
    while True:
        mark, fds = _receive_fds(control)
        if not mark:
            return None, []
        question = receive(control)
        if question is None or "question" in question:
            return question, fds
        # a "stop" that came too late: the process had ended by itself


def _receive_fds(control: _socket.socket) -> tuple[bytes, list[int]]:
    """Return the next byte, and the two descriptors that may come with it."""
    size = 2 * struct.calcsize("i")
    mark, messages, _, _ = control.recvmsg(1, _socket.CMSG_LEN(size))
    data = b"".join(data for _, kind, data in messages if kind == _socket.SCM_RIGHTS)
    return mark, [fd for (fd,) in struct.iter_unpack("i", data)]


def _start(what: tuple[Any, Any, Script], fds: list[int], not_for_it: list[int], scope: Scope) -> int:
    """Start the process that answers, and return its pid."""
    try:
        child = patiently(os.fork, OSError)
        if not child:
            _be_the_child(what, fds, not_for_it, scope)
    finally:
        for fd in fds:
            os.close(fd)
    return child


def _be_the_child(
    what: tuple[Any, Any, Script], fds: list[int], not_for_it: list[int], scope: Scope
) -> NoReturn:
    """Answer the question, and end."""
    question, submission, script = what
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        channel, output = fds
        nothing = os.open(os.devnull, os.O_RDONLY)
        for fd, place in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(fd, place)
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # or it would never be seen
        for fd in (*not_for_it, output, nothing):
            os.close(fd)
        os.setpgid(0, 0)
        leave_others_alone(scope, processes=question["limits"]["processes"])
        limit(Limited(**question["limits"]))
        answer(_socket.socket(fileno=channel), question, submission, script)
    finally:
        os._exit(0)


def _wait(child: int, control: _socket.socket, waker: int, seconds: float) -> int | None:
    """Return how the process ended, or None if the grader wants it ended, or is gone.

    One that has used up its processor time is ended here, whatever it does with signals.
    """
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        left = seconds - processor_time(child)
        if left <= 0:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return -signal.SIGXCPU
        ready = select.select([control.fileno(), waker], [], [], max(left, _GLANCE))[0]
        if waker in ready:
            os.read(waker, 64)
        if control.fileno() in ready:
            if _receive_fds(control)[0]:
                receive(control)  # the only thing that comes now is "stop"
            return None


def _end(child: int, status: int | None, *, alone: bool) -> int | None:
    """End every process that the question has started, and return how the first of them ended by itself."""
    if alone:
        kill_others()
    else:
        for kill in (os.killpg, os.kill) if status is None else (os.killpg,):
            with contextlib.suppress(OSError):
                kill(child, signal.SIGKILL)
    if status is None:
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        status = None if ended == -signal.SIGKILL else ended  # it may have been ending already
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return status
