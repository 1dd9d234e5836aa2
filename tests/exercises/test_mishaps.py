"""What can befall a batch that is nobody's fault: machines that are slow, stopped or full, and early ends."""

import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from importlib.util import cache_from_source
from pathlib import Path
from types import SimpleNamespace

import distributed
import pytest

from memsim.cli import main
from memsim.errors import MemsimError
from memsim.grading.assignment.assignment import Limits
from memsim.grading.assignment.cells import assignment_of
from memsim.grading.report.outputs import write_all
from memsim.grading.report.results import stored, write, write_derived
from memsim.grading.run import judge, judging
from memsim.grading.run.batch import Batch, FolderError, kept_if_used
from memsim.grading.run.engines import Cluster, _Crew
from memsim.grading.run.grade import Grader
from memsim.grading.run.judge import Examiner
from memsim.grading.run.notebook import UnreadableError, read
from memsim.grading.run.process import GraderProcess, ProcessError, Setup
from memsim.grading.run.submissions import Handed
from memsim.grading.sandbox import conversation
from memsim.grading.sandbox.conversation import Conversation
from memsim.grading.sandbox.fences import NONE, Fence, compile_worker, prepare
from memsim.grading.sandbox.guest import main as inside
from memsim.grading.sandbox.guest.fence import Scope
from memsim.grading.sandbox.probe import open_ways
from memsim.grading.sandbox.worker import StartError, Submitted, Worker
from tests.attacks.stage import ASSIGNMENT, FULL, GRADING, SOLVED, examine, waited_for
from tests.attacks.test_other_notebooks import SOLVED as OTHERS
from tests.attacks.test_other_notebooks import TESTS, handed, source
from tests.exercises.test_batch import alive
from tests.exercises.test_damaged import document, dumped

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


def test_no_answer_to_a_test_cell_of_others_is_late_on_such_a_machine(monkeypatch):
    monkeypatch.setattr(conversation, "time", StoppedMachine())
    text = source(TESTS)
    grader = Grader(assignment_of(text), text.encode(), NONE, "a key")
    result = grader.grade("ada", "others.ipynb", handed(OTHERS))
    assert result.score == result.max_score


STOPS_ITSELF = """
from memsim.grading.sandbox.guest import program
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

    monkeypatch.setattr(judging, "_JUDGING_SECONDS", 0.5)
    assert judge._run(waits, "f", lambda _arguments: 7, None, {}, judge.Judging()) == ("", False, False)  # noqa: SLF001 (without a worker)


KILLED_ONCE = """
import os
def double(number):
    if not os.path.exists(%r):
        open(%r, "w").close()
        for pid in %s:
            os.kill(pid, 9)
    return 2 * number
"""


@pytest.mark.parametrize("killed", ["[os.getpid()]", "[os.getppid(), os.getpid()]"], ids=["it", "its worker"])
def test_an_answer_that_is_killed_once_costs_nothing(killed, tmp_path):
    mark = str(tmp_path / "mark")  # a file without a byte is no larger than it may be
    assert examine(NONE, [KILLED_ONCE % (mark, mark, killed), SOLVED[1]]) == (FULL, ["", "", ""])
    assert Path(mark).exists()


# ---- ends --------------------------------------------------------------------------------------------

ENDLESS = [
    "import os, time\nraise ValueError(os.getpid())",
    "def double(number):\n    time.sleep(600)",
]
ASKS = """
import os, sys
from memsim.grading.sandbox import worker as workers
from memsim.grading.assignment.assignment import Limits
from memsim.grading.sandbox.conversation import Conversation
from memsim.grading.sandbox.fences import NONE
from memsim.grading.sandbox.guest.frames import encode
from memsim.grading.sandbox.worker import Submitted, Worker
workers._END_SECONDS = 60  # however slow the machine is
worker = Worker(NONE, Submitted("ada", %r))
asked = Conversation(worker, "double", Limits(wall_seconds=60))
asked._send(encode({"call": [1]}))
print(asked.problems[0].split()[-1], flush=True)
%s
"""


def is_gone(pid):
    """Return whether a process ends."""
    return not waited_for(lambda: alive(pid), lambda living: not living)


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "worker.end()"])
def test_without_a_fence_too_an_answer_ends_with_the_notebook_that_asked(end):
    run = subprocess.run([sys.executable, "-c", ASKS % (ENDLESS, end)], stdout=subprocess.PIPE, check=False)  # noqa: S603 (ours)
    assert is_gone(int(run.stdout))


def test_a_worker_that_is_slow_to_see_how_an_answer_ended_tells_it_all_the_same(monkeypatch):
    monkeypatch.setattr("memsim.grading.sandbox.worker._END_SECONDS", 60)  # however slow the machine is
    limits = Limits(cpu_seconds=1, wall_seconds=120)
    with Worker(NONE, Submitted("ada", ["def double(number):\n    while True:\n        pass"])) as worker:

        def stop():
            Worker.stop(worker)
            worker.process.send_signal(signal.SIGCONT)

        monkeypatch.setattr(worker, "stop", stop)
        with Conversation(worker, "double", limits) as asked:
            worker.process.send_signal(signal.SIGSTOP)
            assert asked.call([1], int).kind == "cpu"


def test_what_python_warns_of_in_a_notebook_holds_nothing_up_and_is_nothing_printed():
    warned = "".join(f"    SAME_{number} = number is 'ada'\n" for number in range(2000))
    double = f"def double(number):\n{warned}    return 2 * number"
    assert examine(NONE, [double, SOLVED[1]]) == (FULL, ["", "", ""])
    in_text = Examiner(ASSIGNMENT, NONE, "a key").examine(Submitted("ada", SOLVED[1:], [double]))
    assert {question.name: question.score for question in in_text} == FULL


def test_a_file_that_opens_but_cannot_be_read_is_no_reason_to_stop():
    with pytest.raises(UnreadableError, match="it cannot be read: Input/output error"):
        read(Path("/proc/self/mem"))  # a plain file, in which there is nothing at 0


def test_what_another_probe_has_left_hides_no_open_way(tmp_path):
    (tmp_path / ".memsim-probe").touch()
    assert f"a file can be written in {tmp_path}" in open_ways(NONE, [tmp_path])


def test_what_an_answer_prints_is_seen():
    cells = ["print('read')\ndef double(number):\n    print('asked')\n    return 2 * number"]
    double, _ = Examiner(ASSIGNMENT, NONE, "a key").examine(Submitted("ada", cells))
    assert double.printed.split() == ["asked"] * 5


def has_no_room(times, real):
    """Return a function that starts a process once the machine has refused to so many times."""
    left = iter(range(times))

    def start(*arguments, **named):
        if next(left, None) is not None:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return real(*arguments, **named)

    return start


def test_a_machine_without_room_for_a_worker_is_asked_again(monkeypatch):
    monkeypatch.setattr("memsim.grading.sandbox.worker.subprocess.Popen", has_no_room(2, subprocess.Popen))
    assert examine(NONE, SOLVED) == (FULL, ["", "", ""])


def test_a_machine_without_room_for_an_answer_is_asked_again(monkeypatch):
    monkeypatch.setattr("memsim.grading.sandbox.guest.main.os.fork", has_no_room(3, lambda: 1))
    assert inside._start((), [], [], Scope(fenced=False)) == 1  # noqa: SLF001 (what a worker calls, who is another process)


NO_ROOM = """
import os
def fork():
    raise OSError(11, "no room")
os.fork = fork
"""


class NoRoom(Fence):
    """A machine that starts the worker, and no other process."""

    def command(self, control_fd, *, memsim):
        *python, source = NONE.command(control_fd, memsim=memsim)
        return [*python, NO_ROOM + source]


def test_a_machine_that_never_has_room_for_an_answer_costs_nothing_either():
    with pytest.raises(StartError, match="no room"):
        examine(NoRoom("none", "no room", alone=False), SOLVED)


def test_a_grading_process_without_room_is_no_reason_to_stop(monkeypatch):
    monkeypatch.setattr("memsim.grading.run.process.subprocess.Popen", has_no_room(9, None))
    with pytest.raises(ProcessError, match="it did not start: Resource temporarily unavailable"):
        GraderProcess(Setup(GRADING, "none", "a key"))


def test_a_grading_process_that_starts_as_all_are_dismissed_is_ended_too(monkeypatch):
    crew, ended = _Crew(), []

    class Starts:
        def __init__(self, _setup):
            crew.dismiss()

        def end(self):
            ended.append(self)

    monkeypatch.setattr("memsim.grading.run.engines.GraderProcess", Starts)
    with pytest.raises(ProcessError, match="the batch was stopped"):
        crew.process(Setup(GRADING, "none", "a key"))
    assert len(ended) == 1


# ---- a disk that is full, a folder that others use ---------------------------------------------------

FULL_DISK = """
import resource, sys
from memsim.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
sys.exit(main(sys.argv[1:]))
"""
"""No file can grow beyond 100 bytes, which fails half-way as it does on a full disk."""


@pytest.fixture
def command(tmp_path):
    """Lay out a course of one student, and return the command that grades it into ``out``."""
    (tmp_path / "grading.py").write_text(GRADING)
    (tmp_path / "submitted").mkdir()
    (tmp_path / "submitted" / "ada.ipynb").write_bytes(dumped(document(SOLVED)))
    names = ("submitted", "grading.py", "out")
    submitted, grading, out = (str(tmp_path / name) for name in names)
    return ["grade", submitted, "--assignment", grading, "--out", out, "--jobs", "1"]


def on_a_full_disk(command, folder):
    full = [sys.executable, "-c", FULL_DISK, *command]
    elsewhere = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": str(folder)}  # half a file would stay
    run = subprocess.run(full, env=os.environ | elsewhere, capture_output=True, text=True, check=False)  # noqa: S603 (ours)
    return run.returncode, run.stderr.splitlines()[-1]


@pytest.fixture
def command_of_others(tmp_path):
    """The same, for a source notebook of another author's."""
    (tmp_path / "others.ipynb").write_text(source({"doubles": TESTS["doubles"]}))
    (tmp_path / "submitted").mkdir()
    (tmp_path / "submitted" / "ada.ipynb").write_bytes(handed(OTHERS, {"doubles": TESTS["doubles"]}))
    names = ("submitted", "others.ipynb", "out")
    submitted, grading, out = (str(tmp_path / name) for name in names)
    return ["grade", submitted, "--assignment", grading, "--out", out, "--jobs", "1"]


@pytest.mark.slow  # every process compiles all that it imports
@pytest.mark.parametrize("whose", ["command", "command_of_others"])
def test_a_full_disk_is_told_with_the_file_and_costs_no_grade(whose, request, tmp_path):
    command = request.getfixturevalue(whose)
    prepare()  # else that would find the disk full first
    out = tmp_path / "out"
    out.mkdir()
    (out / "key").write_text("0123456789abcdef")
    result = out / "results" / "ada.json"

    assert on_a_full_disk(command, tmp_path / "1") == (2, f"memsim: {result}: File too large")
    assert not list(result.parent.iterdir())
    assert main(command) == 0
    before = result.read_bytes()
    told = on_a_full_disk([*command, "--again"], tmp_path / "2")
    assert told == (2, f"memsim: {out / 'audit.jsonl'}: File too large")
    assert result.read_bytes() == before
    assert main([*command, "--again"]) == 0
    cut_off, entry = (out / "audit.jsonl").read_text().splitlines()
    assert len(cut_off) == 100
    assert json.loads(entry)["why"] == "asked for"


def test_half_of_a_compiled_file_keeps_no_worker_from_starting(tmp_path, monkeypatch):
    (tmp_path / "half.py").write_text("ONE = 1")
    monkeypatch.setattr("memsim.grading.sandbox.fences.GUEST", tmp_path)
    compile_worker()
    compiled = Path(cache_from_source(tmp_path / "half.py"))
    whole = compiled.read_bytes()
    compile_worker()
    assert compiled.read_bytes() == whole
    compiled.write_bytes(whole[:-10])
    compile_worker()
    assert not compiled.exists()


def test_a_result_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(
        "memsim.grading.report.results.os.fsync", lambda fd: flushed.append(os.fstat(fd).st_size)
    )
    monkeypatch.setattr("memsim.grading.report.results.Path.replace", lambda *_: flushed.append("named"))
    write(tmp_path / "r.json", "text")
    assert flushed == [4, "named"]


def test_a_page_is_written_when_it_changes_and_whole_or_not_at_all(tmp_path, monkeypatch):
    page = tmp_path / "ada.html"
    write_derived(page, "one")
    first = page.stat()
    write_derived(page, "one")
    assert page.stat().st_ino == first.st_ino
    write_derived(page, "two \ud800")  # half of a character, as a name may have it
    assert page.read_text() == "two \\ud800"
    page.write_text("tw")  # what a power cut left
    write_derived(page, "two")
    assert page.read_text() == "two"
    monkeypatch.setattr("memsim.grading.report.results.Path.replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_derived(page, "three")
    assert page.read_text() == "two"
    assert list(tmp_path.iterdir()) == [page]


def test_nobody_else_uses_the_folder_until_all_is_written(command, tmp_path, monkeypatch):
    def another(*given):
        with pytest.raises(FolderError, match="another batch is writing to this folder"):
            Batch(tmp_path / "out", GRADING, NONE)
        seen.append(1)
        return write_all(*given)

    seen = []
    monkeypatch.setattr("memsim.grading.report.outputs.write_all", another)
    assert main(command) == 0
    assert seen == [1]


def test_a_command_that_fails_leaves_the_new_folder_of_another_alone(tmp_path):
    """Two were started in one moment: the second removed the first one's key, and its lock held nobody."""

    def second():
        with kept_if_used(out):
            with_it.enter_context(Batch(out, GRADING, NONE))  # the first, before the second is so far
            Batch(out, GRADING, NONE)

    out = tmp_path / "out"
    with ExitStack() as with_it:
        for _ in range(2):
            with pytest.raises(FolderError, match="another batch is writing"):
                second()
            assert (out / "key").exists()


def test_a_lock_in_a_folder_that_was_removed_meanwhile_is_taken_again(tmp_path, monkeypatch):
    def removed_before(*given):
        if not removed:
            removed.append(1)
            shutil.rmtree(tmp_path / "out")
        return lock(*given)

    removed, lock = [], fcntl.flock
    with monkeypatch.context() as patch:
        patch.setattr("memsim.grading.run.batch.fcntl.flock", removed_before)
        batch = Batch(tmp_path / "out", GRADING, NONE)
    with batch, pytest.raises(FolderError, match="another batch is writing"):
        Batch(tmp_path / "out", GRADING, NONE)
    assert (tmp_path / "out" / "key").exists()


def test_a_lock_that_leads_nowhere_is_told(tmp_path):
    (tmp_path / "lock").symlink_to(tmp_path / "no such folder" / "lock")
    with pytest.raises(FolderError, match="the file lock cannot be made in it"):
        Batch(tmp_path, GRADING, NONE)


@pytest.mark.parametrize("errors_too", [False, True])
def test_a_batch_goes_on_where_its_output_is_not_read_to_the_end(errors_too, command, tmp_path):
    """As by ``head`` or ``less``: it ended in the middle, with the status of a batch that is done."""
    (tmp_path / "submitted" / "bob.ipynb").write_bytes(dumped(document(SOLVED)))
    (tmp_path / "people.csv").write_text("id\nada\n")  # where bob is not: for the teacher to look at
    read, written = os.pipe()
    os.close(read)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    run = subprocess.run(  # noqa: S603 (ours)
        [sys.executable, "-m", "memsim", *command, "--roster", tmp_path / "people.csv"],
        stdout=written,
        stderr=written if errors_too else subprocess.PIPE,
        env=environment,
        check=False,
    )
    os.close(written)
    assert stored(tmp_path / "out" / "results" / "ada.json").score == 5
    assert (tmp_path / "out" / "index.html").exists()
    assert (run.returncode, b"Traceback" in (run.stderr or b"")) == (1, False)


def test_a_batch_goes_on_without_standard_output(command, tmp_path):
    without = "import sys; sys.stdout = None; from memsim.cli import main; sys.exit(main(sys.argv[1:]))"
    run = subprocess.run([sys.executable, "-c", without, *command], stderr=subprocess.PIPE, check=False)  # noqa: S603 (ours)
    assert (run.returncode, b"Traceback" in run.stderr) == (0, False)
    assert stored(tmp_path / "out" / "results" / "ada.json").score == 5


def test_an_empty_key_is_refused(tmp_path):
    (tmp_path / "key").touch()
    with pytest.raises(FolderError, match="it is empty"):
        Batch(tmp_path, GRADING, NONE)


# ---- what could not be graded ------------------------------------------------------------------------


def test_what_could_not_be_graded_is_told_and_is_no_change_of_the_grading_file(command, tmp_path, capsys):
    assert main(command) == 0
    for real, status, score in (False, 1, 0), (True, 0, 5):
        with pytest.MonkeyPatch.context() as patch:
            if not real:
                patch.setattr("memsim.grading.run.process.subprocess.Popen", has_no_room(9, None))
                patch.setattr("memsim.grading.sandbox.holds.open_ways", lambda *_: [])
            assert main([*command, *(() if real else ("--again",))]) == status
        assert stored(tmp_path / "out" / "results" / "ada.json").score == score
    told = capsys.readouterr().out
    assert "ada: nothing graded: the grader could not grade it: it did not start" in told
    assert "1 could not be graded now: run the same command again" in told
    trail = [json.loads(line) for line in (tmp_path / "out" / "audit.jsonl").read_text().splitlines()]
    assert [(entry["why"], entry["score"]) for entry in trail] == [
        ("the grader failed", [5, 0]),
        ("the grader had failed", [0, 5]),
    ]


# ---- a cluster that fails ----------------------------------------------------------------------------


class Completed(list):
    """What has been handed to a cluster, in that order."""

    add = list.append


class Failing(Cluster):
    """A cluster in which each submission ends as it is told to."""

    def __init__(self, *ends):
        left = iter(ends)
        self._client = SimpleNamespace(submit=lambda *_, **__: next(left), close=lambda: None)
        self._dask = SimpleNamespace(as_completed=Completed, KilledWorker=distributed.KilledWorker)


def ending(key, error):
    def fails():
        raise error

    return SimpleNamespace(key=key, result=fails)


def test_a_cluster_goes_on_when_workers_die_and_tells_when_it_is_gone(tmp_path, monkeypatch):
    monkeypatch.setattr("memsim.grading.run.engines._in_any_order", list)
    killed = ending("1", distributed.KilledWorker("1", SimpleNamespace(address="tcp://one"), 3))
    gone = ending("2", distributed.client.FutureCancelledError("2", "scheduler-connection-lost"))
    handed = [Handed(name, tmp_path / name) for name in ("ada", "bob")]
    for one in handed:
        one.path.write_bytes(dumped(document(SOLVED)))
    results = Failing(killed, gone).grade(Setup(GRADING, "none", "a key"), handed)

    first = next(results)
    assert (first.student, first.score, first.fingerprint) == ("ada", 0, "")
    assert "4 workers of the cluster ended while they graded it" in first.unreadable
    with pytest.raises(
        MemsimError, match=r"the cluster failed; run the same command again: .*connection-lost"
    ):
        next(results)
