"""The stage for attacks: a small assignment, something to steal, and graders without the defences."""

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from memsim.grading.assignment.assignment import Assignment, Limits
from memsim.grading.run.judge import Examiner
from memsim.grading.sandbox.conversation import Conversation, Failure
from memsim.grading.sandbox.fences import NONE, worker_uids
from memsim.grading.sandbox.worker import Submitted, Worker, WorkerError

MATERIAL = Path(__file__).parents[1] / "material"
NAIVE = MATERIAL / "naive_grader.py"
GRADING = '''
from memsim.grading import Assignment, Limits, Question

def three(rng, mine):
    """Twice three is six."""
    answer = yield [3]
    return None if answer == 6 else "It is not twice three."

def fresh_numbers(rng, mine):
    """Any number is doubled."""
    for _ in range(4):
        number = rng.randrange(100, 10**6)
        answer = yield [number]
        if answer != 2 * number:
            return "It is not twice the number."

def one_more(rng, mine):
    """The answer is one more."""
    number = rng.randrange(1000)
    answer = yield [number]
    return None if answer == number + 1 else "It is not one more."

LIMITS = Limits(cpu_seconds=1, wall_seconds=30, memory_mib=256, output_kib=64, answer_kib=64)
ASSIGNMENT = Assignment("attacked", 0, [
    Question("double", 1, "compute", int, {three: 1, fresh_numbers: 2}, limits=LIMITS),
    Question("plus_one", 1, "compute", int, {one_more: 2}, limits=LIMITS),
])
'''
ASSIGNMENT = Assignment.parse(GRADING)
IMPATIENT = Assignment.parse(GRADING.replace("2}, limits=LIMITS", "2}, limits=Limits(wall_seconds=1.5)", 1))
"""Only where the attack is: an honest answer is waited for, however busy the machine."""
HONEST = ["def plus_one(number):\n    return number + 1"]
SOLVED = ["def double(number):\n    return 2 * number", *HONEST]
FULL = {"double": 3, "plus_one": 2}
PATIENCE = 120
"""Seconds to wait for what other processes do: only a test that fails waits so long."""
WITHOUT_LIMITS = Limits(
    cpu_seconds=100_000,
    wall_seconds=120,
    memory_mib=1 << 20,
    processes=100_000,
    file_mib=1 << 20,
    output_kib=1 << 20,
    answer_kib=1 << 20,
)


@dataclass
class Scene:
    """What an attack must leave alone."""

    folder: Path
    listener: socket.socket
    before: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def at(cls, folder):
        """Lay out a solution, another student's work and a grade store."""
        for name, text in (
            ("solution.py", "def double(number):\n    return 2 * number\n"),
            ("neighbour.ipynb", "a neighbour's work"),
            ("grades.json", '{"mallory": 0}'),
        ):
            (folder / name).write_text(text)
            (folder / name).chmod(0o666)  # as careless as it can be: the fence has to hold alone
        folder.chmod(0o777)
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(0)
        scene = cls(folder, listener)
        scene.before = scene.state()
        return scene

    @property
    def port(self):
        """Where somebody waits for stolen answers."""
        return self.listener.getsockname()[1]

    def state(self):
        """Return every file of the scene."""
        return {path.name: path.read_bytes() for path in sorted(self.folder.iterdir())}

    def called(self):
        """Return whether somebody has connected."""
        try:
            self.listener.accept()[0].close()
        except OSError:
            return False
        return True

    def untouched(self):
        """Return whether nothing was written and nobody called."""
        return self.state() == self.before and not self.called()


def attacks(kind):
    """Return the hostile submissions of a kind, by name."""
    found = {path.stem: path.read_text() for path in sorted((MATERIAL / "attacks" / kind).glob("*.py"))}
    assert found
    return found


def examine(fence, cells, student="mallory", key="a key", assignment=ASSIGNMENT):
    """Return the score of each question, and all messages."""
    results = Examiner(assignment, fence, key).examine(Submitted(student, list(cells)))
    messages = [test.message for result in results for test in result.tests]
    return {result.name: result.score for result in results}, messages


def left_behind():
    """Return the processes that still run as a worker's user, when those that were killed are gone.

    As root those users are this process's own, so that another suite on this machine is not seen here. For
    others it is bubblewrap that ends what is in its namespace.
    """
    return waited_for(_processes_of_workers, lambda found: not found)


def waited_for(look, fine):
    """Return what is seen when it is fine, or what is still seen when a busy machine would be done too."""
    end = time.monotonic() + PATIENCE
    while not fine(seen := look()) and time.monotonic() < end:
        time.sleep(0.05)
    return seen


def _processes_of_workers():
    found = []
    users = worker_uids() if os.geteuid() == 0 else ()
    for path in Path("/proc").iterdir():
        try:
            if path.name.isdigit() and path.stat().st_uid in users:
                found.append(int(path.name))
        except OSError:
            continue
    return found


def naive_score(cells, tmp_path, *options):
    """Return what a grader that shares its process with the student gives; None if it does not survive."""
    (tmp_path / "cells.json").write_text(json.dumps(list(cells)))
    result = tmp_path / "result.pickle"
    run = [sys.executable, str(NAIVE)]
    environment = {**os.environ, "IPYTHONDIR": str(tmp_path / "ipython")}
    try:
        subprocess.run(  # noqa: S603 (ours)
            [*run, str(tmp_path / "cells.json"), str(result), *options],
            cwd=tmp_path,
            env=environment,
            timeout=PATIENCE,
            check=True,
            capture_output=True,
        )
        said = subprocess.run(  # noqa: S603 (ours)
            [*run, "--collect", str(result)], cwd=tmp_path, timeout=PATIENCE, check=True, capture_output=True
        )
        return int(said.stdout)
    except (subprocess.SubprocessError, ValueError):
        return None


def without_defence(cells, name="double", arguments=(3,), limits=WITHOUT_LIMITS, returns=int):
    """Call the function behind no fence and with no limits."""
    return answered(NONE, cells, name, arguments, limits, returns)


def answered(fence, cells, name="double", arguments=(3,), limits=ASSIGNMENT.questions[0].limits, returns=int):
    """Return what the function answers behind a fence, or a Failure."""
    worker = Worker(fence, Submitted("mallory", list(cells)))
    try:
        with Conversation(worker, name, limits) as conversation:
            value = conversation.call(list(arguments), returns)
    except WorkerError as error:
        value = Failure("broken", str(error))
    finally:
        worker.end()
    return value
