"""Try to get through a fence before anything of a student runs behind it.

A fence is judged by what it withholds here and now, not by its name: a kernel may be too old, a container may
forbid namespaces, a folder may have been mounted in an unexpected place.
"""

from __future__ import annotations

import os
import socket
import sys
from contextlib import closing
from importlib.util import find_spec
from typing import TYPE_CHECKING

from memsim.grading.assignment.assignment import Limits
from memsim.grading.sandbox.conversation import Conversation, Failure
from memsim.grading.sandbox.fences import shut_out
from memsim.grading.sandbox.worker import Submitted, Worker, WorkerError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from memsim.grading.sandbox.fences import Fence

_PROBE = """
import ctypes, fcntl, importlib.util, os, resource, socket

def open_ways(secrets, port, grader, shared, modules):
    found = []
    def attempt(what, action):
        try:
            action()
        except OSError:
            return
        found.append(what)
    def write(place):
        name = os.path.join(place, f".memsim-probe-{os.urandom(8).hex()}")
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        os.unlink(name)
    for path in secrets:
        look = os.listdir if os.path.isdir(path) else lambda name: open(name, "rb").close()
        attempt(f"{path} can be read", lambda: look(path))
        if look is not os.listdir:  # of a closed folder, only that it is there
            attempt(f"{path} can be seen", lambda: os.stat(path))
    for place in ["/tmp", "/var/tmp", "/dev/shm", "/", *secrets]:
        attempt(f"a file can be written in {place}", lambda: write(place))
    attempt("the network can be reached", lambda: socket.create_connection(("127.0.0.1", port), 2).close())
    if grader > 100:  # a smaller number may be a process behind the fence as well
        attempt("the grader can be signalled", lambda: os.kill(grader, 0))
    attempt("it can become root", lambda: os.setuid(0))
    return found + kernel_objects(shared) + reach_of_the_worker() + missing_modules(modules)

# What namespaces leave open, by kind: objects of the kernel that carry notes, and the worker itself.
# Numbers of system calls that the C library has no name for: x86-64, arm64.
NUMBERS = {"add_key": (248, 217), "io_uring_setup": (425, 425), "bpf": (321, 280), "pidfd_open": (434, 434),
           "perf_event_open": (298, 241), "userfaultfd": (323, 282), "fsopen": (430, 430), "futex": (202, 98)}

def call(name, *arguments):
    column = 0 if os.uname().machine == "x86_64" else 1
    if ctypes.CDLL(None).syscall(NUMBERS[name][column], *arguments) < 0:
        raise OSError(name)

def function(name, *arguments):
    if getattr(ctypes.CDLL(None), name)(*arguments) < 0:
        raise OSError(name)

def unshare():
    child = os.fork()
    if not child:
        os._exit(ctypes.CDLL(None).unshare(0x10000000) == 0)
    if os.waitpid(child, 0)[1] == 0:
        raise OSError

def tried(attempts):
    found = []
    for what, action in attempts:
        try:
            action()
        except (OSError, AttributeError):
            continue
        found.append(what)
    return found

def kernel_objects(shared):
    file = open(shared, "rb")
    room = ctypes.create_string_buffer(256)
    library = ctypes.c_void_p(ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p).value & ~4095)
    families = {1: "unix", 2: "internet", 16: "netlink", 38: "crypto", 40: "virtual machine"}
    attempts = [(f"a socket of the {name} family can be made", lambda number=number: made(number))
                for number, name in families.items()]
    return tried([*attempts,
        ("a note can be left in a keyring", lambda: call("add_key", b"user", b"memsim-probe", b"-", 1, -4)),
        ("System V memory can be made", lambda: function("shmget", 0, 4096, 0o1600)),
        ("System V queues can be made", lambda: function("msgget", 0, 0o1600)),
        ("POSIX queues can be made", lambda: function("mq_open", b"/memsim-probe", 0o102, 0o600, None)),
        ("files that others read can be locked", lambda: fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)),
        ("records of files that others read can be locked",
            lambda: fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB, 1)),
        ("files that others read can be watched", lambda: function("inotify_init1", 0)),
        ("user namespaces can be made", unshare),
        ("io_uring can be used", lambda: call("io_uring_setup", 1, room)),
        ("userfaultfd can be used", lambda: call("userfaultfd", 1)),
        ("file systems can be opened", lambda: call("fsopen", b"tmpfs", 0)),
        ("who waits at a file that others read can be woken",
            lambda: call("futex", library, 1, 0, None, None, 0)),
        ("a file that others read can be put out of memory", lambda: function("madvise", library, 4096, 21)),
        ("a terminal can be made", lambda: os.close(os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY))),
    ])

def missing_modules(modules):
    # What the import system does not find costs honest answers their points.
    missing = [name for name in modules if not importlib.util.find_spec(name)]
    return [f"the module {name} cannot be imported" for name in missing]

def made(family):
    for kind in (1, 2, 3, 5):
        try:
            return socket.socket(family, kind).close()
        except OSError as error:
            reason = error
    raise reason

def reach_of_the_worker():
    worker = os.getppid()
    def stop():
        if worker == 1:  # the first process of its namespace: such signals never arrive
            raise OSError
        os.kill(worker, 0)
    return tried([
        ("the worker's limits can be changed", lambda: resource.prlimit(worker, resource.RLIMIT_CORE)),
        ("the worker can be traced", lambda: function("ptrace", 0x4206, worker, None, None)),
        ("the worker's memory can be opened", lambda: open(f"/proc/{worker}/mem", "rb").close()),
        ("the worker can be held by a descriptor", lambda: call("pidfd_open", worker, 0)),
        ("the worker's priority can be changed",
            lambda: os.setpriority(os.PRIO_PROCESS, worker, os.getpriority(os.PRIO_PROCESS, worker))),
        ("the worker can be stopped", stop),
    ])
"""
_LIMITS = Limits(processes=2)


SHARED = "/dev/null"
"""A file that every worker can open."""


def open_ways(fence: Fence, secrets: Sequence[Path]) -> list[str]:
    """Return what student code could do behind ``fence`` that it must not; nothing if the fence holds.

    ``secrets`` are files and folders that it must not read: grading file, submissions, results.
    """
    unread = shut_out(fence)
    if unread:
        return [f"it cannot be used here: {unread}"]
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
        try:
            with (
                Worker(fence, Submitted("", [_PROBE])) as worker,
                Conversation(worker, "open_ways", _LIMITS) as conversation,
            ):
                paths = [os.path.realpath(path) for path in secrets]
                asked = [paths, port, os.getpid(), SHARED, [*_standard_modules(), "numpy"]]
                answer = conversation.call(asked, list[str])
        except WorkerError as error:
            return [f"it cannot be used here: {error}"]
    if isinstance(answer, Failure):
        return [f"it could not be tried: {answer.told}"]
    return answer  # type: ignore[no-any-return]  # of the type that was asked for


def _standard_modules() -> list[str]:
    """Return the modules of the standard library that this Python finds."""
    return [name for name in sorted(sys.stdlib_module_names) if find_spec(name)]
