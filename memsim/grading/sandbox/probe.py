"""Try to get through a fence before anything of a student runs behind it.

A fence is judged by what it withholds here and now, not by its name: a kernel may be too old, a container may
forbid namespaces, a folder may have been mounted where nobody thought of it.
"""

from __future__ import annotations

import os
import socket
from contextlib import closing
from typing import TYPE_CHECKING

from memsim.grading.assignment.assignment import Limits
from memsim.grading.sandbox.conversation import Conversation, Failure
from memsim.grading.sandbox.worker import Submitted, Worker, WorkerError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from memsim.grading.sandbox.fences import Fence

_PROBE = """
import os, socket

def open_ways(secrets, port, grader):
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
    for place in ["/tmp", "/var/tmp", "/dev/shm", "/", *secrets]:
        attempt(f"a file can be written in {place}", lambda: write(place))
    attempt("the network can be reached", lambda: socket.create_connection(("127.0.0.1", port), 2).close())
    if grader > 100:  # a smaller number may be a process behind the fence as well
        attempt("the grader can be signalled", lambda: os.kill(grader, 0))
    attempt("it can become root", lambda: os.setuid(0))
    return found
"""


def open_ways(fence: Fence, secrets: Sequence[Path]) -> list[str]:
    """Return what student code could do behind ``fence`` that it must not; nothing if the fence holds.

    ``secrets`` are files and folders that it must not read: grading file, submissions, results.
    """
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
        try:
            with (
                Worker(fence, Submitted("", [_PROBE])) as worker,
                Conversation(worker, "open_ways", Limits()) as conversation,
            ):
                asked = [[str(path.resolve()) for path in secrets], port, os.getpid()]
                answer = conversation.call(asked, list[str])
        except WorkerError as error:
            return [f"it cannot be used here: {error}"]
    return [f"it could not be tried: {answer.told}"] if isinstance(answer, Failure) else answer
