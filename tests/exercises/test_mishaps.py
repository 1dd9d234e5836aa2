"""What can befall a batch that is nobody's fault: machines that are slow, stopped or full, and early ends."""

import os
import signal
import subprocess
import sys
import time

from memsim.grading import conversation, judge
from memsim.grading.assignment import Limits
from memsim.grading.conversation import Conversation
from memsim.grading.fences import NONE
from memsim.grading.worker import Submitted, Worker
from tests.attacks.stage import SOLVED

# ---- a machine that is slow or stopped ---------------------------------------------------------------


class StoppedMachine:
    """A clock on which a minute goes by between any two looks."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        self.now += 60
        return self.now


def test_no_answer_is_late_because_the_machine_or_the_judge_took_its_time(monkeypatch):
    monkeypatch.setattr(conversation, "time", StoppedMachine())
    limits = Limits(wall_seconds=30)
    with Worker(NONE, Submitted("ada", SOLVED)) as worker, Conversation(worker, "double", limits) as asked:
        assert [asked.call([number], int) for number in range(9)] == [2 * number for number in range(9)]


STOPS_ITSELF = """
from memsim.grading.inside import program
program._WALL_SECONDS = 0.5
script = program.read(["import os", "os.kill(os.getpid(), 19)", "ONE = 1"])
print(program.Program(script, [], "ada", "f").problems)
"""


def test_no_statement_is_left_out_because_the_machine_was_stopped():
    with subprocess.Popen([sys.executable, "-c", STOPS_ITSELF], stdout=subprocess.PIPE) as run:  # noqa: S603 (ours)
        os.waitpid(run.pid, os.WUNTRACED)
        time.sleep(1.5)
        run.send_signal(signal.SIGCONT)
        assert run.stdout.read() == b"[]\n"


def test_a_judge_on_a_machine_that_was_stopped_goes_on(monkeypatch):
    def waits(_rng, _mine):
        """It judges on a machine that does nothing for a while."""
        yield []
        time.sleep(1)

    monkeypatch.setattr(judge, "_JUDGING_SECONDS", 0.5)
    assert judge._run(waits, "f", lambda _arguments: 7, None, {}) == ("", False)  # noqa: SLF001 (without a worker)
