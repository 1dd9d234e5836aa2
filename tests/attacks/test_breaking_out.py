"""Attacks on the machine: what student code must not read, write, send, stop or leave behind.

Each is first shown to work without a fence and without limits.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from memsim.grading.assignment.assignment import Limits
from memsim.grading.sandbox.conversation import Conversation, Failure
from memsim.grading.sandbox.fences import NONE
from memsim.grading.sandbox.worker import Submitted, Worker, WorkerError
from tests.tiers import breadth

from .stage import (
    ASSIGNMENT,
    FULL,
    HONEST,
    IMPATIENT,
    SOLVED,
    answered,
    attacks,
    examine,
    left_behind,
    waited_for,
    without_defence,
)

ATTACKS = attacks("escape")
"""In them SECRET, STORE, NEIGHBOUR, PORT, NAMED, GRADER and VICTIM have values."""


ONLY_ROOT_CAN = {
    "own-15-the-clock-is-set",
    "own-16-becoming-root",
    "own-18-a-priority-above-everybody",
}


SEES_NAMES = {"own-13-file-descriptors-that-were-left-open"}
"""It also asks whether a file is there: Landlock cannot hide that, which SECURITY.md says."""


def cells_of(name, scene, victim=1):
    known = {
        "SECRET": str(scene.folder / "solution.py"),
        "STORE": str(scene.folder / "grades.json"),
        "NEIGHBOUR": str(scene.folder / "neighbour.ipynb"),
        "PORT": scene.port,
        "NAMED": f"\0memsim-attack-{os.getpid()}",
        "GRADER": os.getpid(),
        "VICTIM": victim,
    }
    return ["\n".join(f"{name} = {value!r}" for name, value in known.items()), *HONEST, ATTACKS[name]]


@pytest.fixture(autouse=True)
def named():
    """Wait for datagrams at a name that is in no folder."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as waiting:
        waiting.bind(f"\0memsim-attack-{os.getpid()}")
        yield waiting


@pytest.fixture
def victim():
    """Return a process that nobody would miss."""
    pid = os.fork()
    if not pid:
        with contextlib.suppress(BaseException):
            time.sleep(600)
        os._exit(0)
    yield pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@pytest.mark.parametrize("name", ATTACKS)
def test_it_does_no_harm(name, fence, scene, victim):
    scores, messages = examine(fence, cells_of(name, scene, victim))

    assert scores == {"double": 0, "plus_one": 2}, messages
    value = answered(fence, cells_of(name, scene, victim))
    if fence.name != "container" or name not in SEES_NAMES:
        assert isinstance(value, Failure) or value <= 0, value  # as it says itself, nothing was to be had
    if name.startswith("row-14"):
        time.sleep(0.6)  # when the child would write
    assert scene.untouched()
    assert left_behind() == []
    assert examine(fence, SOLVED, "the next one")[0] == FULL


@pytest.mark.parametrize("name", breadth(ATTACKS))
def test_it_does_harm_without_a_fence(name, scene, victim):
    value = without_defence(cells_of(name, scene, victim))
    if name.startswith("row-14"):  # its child writes half a second later, or later still on a busy machine
        waited_for(scene.untouched, lambda untouched: not untouched)

    if name in ONLY_ROOT_CAN and os.geteuid():
        assert isinstance(value, Failure)  # whoever is not root is refused by the kernel alone
        return
    told = not isinstance(value, Failure) and value > 0
    broken = isinstance(value, Failure) and value.kind == "broken"
    assert told or broken or not scene.untouched(), value


def test_nothing_stays_open_when_the_worker_is_killed():
    source = "import os\ndef double(number):\n    os.kill(os.getppid(), 9)\n    os._exit(0)"
    with Worker(NONE, Submitted("mallory", [source])) as worker:
        before = set(Path("/proc/self/fd").iterdir())
        conversation = Conversation(worker, "double", Limits())
        with pytest.raises(WorkerError, match="the worker ended"):
            conversation.call([3], int)
        assert set(Path("/proc/self/fd").iterdir()) <= before


def test_a_worker_that_is_told_to_stop_goes_on(fence):
    stop = "    with contextlib.suppress(OSError):\n        os.kill(os.getppid(), 19)\n"
    source = f"import contextlib, os\ndef double(number):\n{stop}    return 2 * number"
    with Worker(fence, Submitted("mallory", [source])) as worker:
        for number in (3, 4):
            with Conversation(worker, "double", Limits()) as conversation:
                assert conversation.call([number], int) == 2 * number


def test_printing_at_top_level_costs_nothing(fence):
    """It is no function's output; what a function prints still counts."""
    cells = ["for number in range(32_768):\n    print(number)", "print('x' * 200_000)"]

    assert examine(fence, [*cells, *SOLVED])[0] == FULL


# ---- what uses up the machine ------------------------------------------------------------------------

GREEDY = attacks("greed")
PATIENT = ("own-23", "own-24")
"""Only these wait for the clock; the others have a processor's time to use up, or less."""


@pytest.mark.parametrize("name", GREEDY)
def test_it_costs_its_own_question_only(name, fence, scene):
    source = GREEDY[name]
    told = source.partition("# The student is told: ")[2].partition("\n")[0]
    assignment = IMPATIENT if name.startswith(PATIENT) else ASSIGNMENT
    scores, messages = examine(fence, [*HONEST, source], assignment=assignment)

    assert scores == {"double": 0, "plus_one": 2}, messages
    assert told in " ".join(messages)
    assert scene.untouched()
    assert left_behind() == []
    assert examine(fence, SOLVED, "the next one")[0] == FULL


@pytest.mark.parametrize("name", breadth(GREEDY))
def test_it_harms_a_grader_that_calls_the_function_itself(name, tmp_path):
    (tmp_path / "answer.py").write_text(GREEDY[name])
    try:
        ran = subprocess.run(  # noqa: S603 (in a process of its own, with a limit)
            [sys.executable, "-c", CALLED_IN_THE_GRADER],
            cwd=tmp_path,
            capture_output=True,
            timeout=3,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return  # it would never have come to the next submission
    report = tmp_path / "report"
    told = report.read_text() if report.exists() else ""
    survived = ran.returncode == 0 and told.startswith("graded")
    mebibytes = int(told.split()[1]) / 1024 if survived else 0

    assert not survived or mebibytes > 256 or len(ran.stdout) > 1 << 20 or " 1000000000" in told


CALLED_IN_THE_GRADER = """
import json, resource
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))  # so that the test itself is bounded
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
report = open("report", "w")
space = {}
exec(open("answer.py").read(), space)
try:
    value = space["double"](3)
except Exception:
    value = None
print(json.dumps(value))
report.write(f"graded {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss} {value}" [:200])
report.close()
"""
