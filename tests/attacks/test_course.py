"""Attacks on what stands around the grader: collecting, batches, the cluster, the teacher's terminal, git.

Each shows first what the obvious way would let happen.
"""

import gc
import getpass
import os
import pwd
import runpy
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from memsim.cli import main
from memsim.cli.grade import plain, section
from memsim.errors import MemsimError
from memsim.grading.assignment.assignment import Assignment, Limits
from memsim.grading.assignment.cells import LIMITS, assignment_of
from memsim.grading.report.late import collected as times_in
from memsim.grading.run.batch import Batch
from memsim.grading.run.budget import Budget
from memsim.grading.run.engines import Cluster, ThisMachine
from memsim.grading.run.grade import Grader
from memsim.grading.run.judge import Examiner
from memsim.grading.run.process import Given, Setup
from memsim.grading.run.submissions import CollectionError, Handed, find
from memsim.grading.sandbox.conversation import Conversation
from memsim.grading.sandbox.fences import NONE
from memsim.grading.sandbox.guest import main as inside
from memsim.grading.sandbox.guest.limits import processor_time
from memsim.grading.sandbox.worker import ReadingError, Submitted

from .stage import ASSIGNMENT, GRADING, SOLVED
from .test_files import QUESTIONS, notebook
from .test_other_notebooks import SOLVED as OTHERS
from .test_other_notebooks import TESTS, handed, source

PROJECT = Path(__file__).parents[2]
QUICK = Limits(cpu_seconds=1, wall_seconds=60)
COLLECT = runpy.run_path(str(PROJECT / "exercises" / "hub" / "collect.py"), run_name="collect")
ME = getpass.getuser()


@pytest.fixture
def exchange(tmp_path):
    """Lay out somebody's secret, and a folder of what was handed in that anybody may write to."""
    (tmp_path / "secret.ipynb").write_text("the work of somebody else")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "one.ipynb").write_text("the work of somebody else")
    (tmp_path / "inbound").mkdir()
    return tmp_path


def own_143_a_link_to_a_file(inbound, exchange):
    folder = inbound / f"{ME}+one+2026"
    folder.mkdir()
    (folder / "one.ipynb").symlink_to(exchange / "secret.ipynb")


def own_144_a_link_to_a_folder(inbound, exchange):
    (inbound / f"{ME}+one+2026").symlink_to(exchange / "theirs")


def own_145_a_hard_link(inbound, exchange):
    folder = inbound / f"{ME}+one+2026"
    folder.mkdir()
    (folder / "one.ipynb").hardlink_to(exchange / "secret.ipynb")


def own_146_a_folder_in_the_name_of_another(inbound, exchange):
    shutil.copytree(exchange / "theirs", inbound / "somebody+one+2026")


def own_147_a_pipe_that_nobody_writes_to(inbound, _):
    folder = inbound / f"{ME}+one+2026"
    folder.mkdir()
    os.mkfifo(folder / "one.ipynb")


@pytest.mark.parametrize(
    "attack",
    [
        own_143_a_link_to_a_file,
        own_144_a_link_to_a_folder,
        own_145_a_hard_link,
        own_146_a_folder_in_the_name_of_another,
        own_147_a_pipe_that_nobody_writes_to,
    ],
)
def test_what_is_not_the_students_own_file_is_not_collected(attack, exchange):
    attack(exchange / "inbound", exchange)
    if "pipe" not in attack.__name__:  # that would wait for ever
        shutil.copytree(exchange / "inbound", exchange / "naive")
        got = [path.read_text() for path in (exchange / "naive").rglob("*.ipynb")]
        assert got == ["the work of somebody else"]
    collected, refused = COLLECT["main"]("one", exchange / "inbound", exchange)

    assert collected == []
    assert len(refused) == 1
    assert not list((exchange / "submitted").rglob("*.ipynb")) if (exchange / "submitted").exists() else True


def test_own_240_files_of_zeros_fill_no_disk(exchange):
    """They take no room where they lie, and a copy writes every zero."""
    folder = exchange / "inbound" / f"{ME}+one+2026"
    folder.mkdir()
    (folder / "small").touch()
    os.truncate(folder / "small", 1 << 20)
    (exchange / "copy").write_bytes((folder / "small").read_bytes())
    assert (folder / "small").stat().st_blocks < (exchange / "copy").stat().st_blocks
    for number in range(2000 - 1):
        (folder / f"{number}").touch()
        os.truncate(folder / f"{number}", 64 << 20)

    collected, refused = COLLECT["main"]("one", exchange / "inbound", exchange)
    assert (collected, list(refused.values())) == ([], ["it has more than 256 MiB"])
    assert not list((exchange / "submitted").rglob("*.ipynb"))


def hands_in(exchange, name=f"{ME}+one+2026"):
    """Hand in a folder, and return it."""
    folder = exchange / "inbound" / name
    folder.mkdir()
    (folder / "one.ipynb").write_text("mine")
    return folder


def test_own_297_who_takes_a_folder_back_ends_no_collecting(exchange, monkeypatch):
    hands_in(exchange)
    hands_in(exchange, "mallory+one+2026")
    look = Path.lstat

    def gone(path):
        if path.name.startswith("mallory"):
            shutil.rmtree(path)
        return look(path)

    monkeypatch.setattr(Path, "lstat", gone)
    collected, refused = COLLECT["main"]("one", exchange / "inbound", exchange)
    assert (collected, list(refused)) == ([ME], ["mallory+one+2026"])


def test_own_298_a_folder_that_takes_the_name_of_another_is_not_collected(exchange, monkeypatch):
    """Its owner was looked at by name, before it was opened by name."""
    folder = hands_in(exchange)
    account = pwd.getpwuid(os.getuid())
    looks = iter([account, SimpleNamespace(pw_name="ada")])  # it has the name at the second look
    monkeypatch.setattr(pwd, "getpwuid", lambda _: next(looks))
    collected, refused = COLLECT["main"]("one", exchange / "inbound", exchange)
    assert (collected, refused) == ([], {folder.name: "it belongs to ada"})


def test_own_299_files_that_grow_while_they_are_copied_fill_no_disk(exchange, monkeypatch):
    folder = hands_in(exchange)
    for number in range(20):
        (folder / f"{number:02}").touch()
    monkeypatch.setitem(COLLECT["main"].__globals__, "_LARGEST_FOLDER", 4 << 20)
    look = os.stat

    def grows(name, **options):
        found = look(name, **options)
        if name == "one.ipynb":  # the last one
            for number in range(20):
                os.truncate(folder / f"{number:02}", 1 << 20)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", grows)
        collected, refused = COLLECT["main"]("one", exchange / "inbound", exchange)
    assert (collected, list(refused.values())) == ([], ["it has more than 4 MiB"])
    assert not list((exchange / "submitted").rglob("*.ipynb"))


def test_own_316_what_is_written_while_it_is_copied_has_the_time_of_then(exchange, monkeypatch):
    """The file was opened before the due time, and what was copied came after it."""
    file = hands_in(exchange) / "one.ipynb"
    before, put = file.stat().st_ctime_ns, Path.write_bytes

    def late(target, data):
        while file.stat().st_ctime_ns == before:  # until the kernel's clock has gone on
            file.write_text("late")
        return put(target, data)

    folder = os.open(file.parent, os.O_RDONLY)
    monkeypatch.setattr(Path, "write_bytes", late)
    copied = COLLECT["copy_file"](folder, file.name, exchange / "copy", os.getuid())
    os.close(folder)
    assert before < copied.st_ctime_ns == file.stat().st_ctime_ns


def test_own_300_no_name_of_a_folder_gives_orders_to_the_collectors_terminal():
    name = "x+one+\x1b]0;all is well\x07\nada: graded\u202e"
    assert COLLECT["plain"](name) == r"x+one+\x1b]0;all is well\x07\nada: graded\u202e"
    assert COLLECT["plain"]("Zoë+one+2026") == "Zoë+one+2026"


def test_a_table_of_times_is_whole_or_the_one_before(exchange, monkeypatch):
    hands_in(exchange)
    COLLECT["main"]("one", exchange / "inbound", exchange)
    before = (exchange / "times-one.csv").read_bytes()
    monkeypatch.setattr(Path, "replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        COLLECT["main"]("one", exchange / "inbound", exchange)
    assert (exchange / "times-one.csv").read_bytes() == before


def test_what_is_handed_in_honestly_is_collected_and_the_newest_counts(exchange):
    for when, text in (("2026-01-02", "new"), ("2026-01-01", "old")):
        folder = exchange / "inbound" / f"{ME}+one+{when}+random"
        folder.mkdir()
        (folder / "one.ipynb").write_text(text)
        (folder / "timestamp.txt").write_text(when)
    assert COLLECT["main"]("one", exchange / "inbound", exchange) == ([ME], {})
    assert (exchange / "submitted" / ME / "one" / "one.ipynb").read_text() == "new"
    assert (exchange / "submitted" / ME / "one" / "timestamp.txt").exists()


def test_no_name_and_no_date_of_a_file_makes_a_submission_earlier(exchange):
    """The kernel's time of the last change counts: of the folder, or of a file in it."""
    folder = exchange / "inbound" / f"{ME}+one+2001-01-01 00:00:00 UTC+random"
    folder.mkdir()
    (folder / "one.ipynb").write_text("late")
    (folder / "timestamp.txt").write_text("2001-01-01 00:00:00 UTC")
    changed = max(path.stat().st_ctime for path in (folder, folder / "one.ipynb", folder / "timestamp.txt"))
    for path in (folder, folder / "one.ipynb", folder / "timestamp.txt"):
        os.utime(path, (0, 0))
    assert (folder / "one.ipynb").stat().st_mtime == 0
    assert COLLECT["main"]("one", exchange / "inbound", exchange) == ([ME], {})

    ((student, time),) = times_in(exchange / "times-one.csv").items()
    assert student == ME
    assert time.timestamp() >= int(changed)


def test_who_is_refused_has_no_time(exchange):
    own_143_a_link_to_a_file(exchange / "inbound", exchange)
    COLLECT["main"]("one", exchange / "inbound", exchange)
    assert times_in(exchange / "times-one.csv") == {}


def test_own_263_files_of_an_older_hand_in_do_not_stay(exchange):
    """Who hands in again under another name would be graded for the older file."""
    for day, name in (("2026-01-01", "one.ipynb"), ("2026-01-02", "one-better.ipynb")):
        folder = exchange / "inbound" / f"{ME}+one+{day}+random"
        folder.mkdir()
        (folder / name).write_bytes(notebook(f"'{day}'"))
        if day.endswith("1"):
            shutil.copytree(folder, exchange / "naive" / ME)
        assert COLLECT["main"]("one", exchange / "inbound", exchange) == ([ME], {})
    shutil.copytree(folder, exchange / "naive" / ME, dirs_exist_ok=True)

    def counts(place):
        return find([place], "one", QUESTIONS).handed[0].path.name

    assert counts(exchange / "naive") == "one.ipynb"
    assert counts(exchange / "submitted") == "one-better.ipynb"
    assert [path.name for path in (exchange / "submitted" / ME / "one").iterdir()] == ["one-better.ipynb"]


# ---- batches -----------------------------------------------------------------------------------------


def clocks(monkeypatch, module, limit="wall_seconds"):
    """Return a list that gets a limit, else that on the clock, of each conversation that a module begins."""
    given = []

    class Counted(Conversation):
        def __init__(self, worker, name, limits):
            given.append(getattr(limits, limit))
            super().__init__(worker, name, limits)

    monkeypatch.setattr(f"memsim.grading.run.{module}.Conversation", Counted)
    return given


def test_own_148_sleeping_through_every_question_costs_the_clock_once(monkeypatch):
    assignment = Assignment.parse(GRADING.replace("wall_seconds=30", "wall_seconds=3"))
    monkeypatch.setattr("memsim.grading.run.budget.AFTER_SLEEP", 0.5)
    sleeper = "import time\ndef double(n):\n    time.sleep(60)\nplus_one = double"
    given = clocks(monkeypatch, "judge")
    results = Examiner(assignment, NONE, "a key").examine(Submitted("mallory", [sleeper]))

    assert [result.score for result in results] == [0, 0]
    assert given == [3, 0.5]  # else three times the clock for each question
    given.clear()
    Examiner(ASSIGNMENT, NONE, "a key").examine(Submitted("ada", SOLVED))
    assert given[0] == 30
    assert given[1] > 0.5  # what is left of that


def test_own_186_answers_just_in_time_cost_the_clock_once_too(monkeypatch):
    """Who sleeps and answers in time holds a place for the clock of every question."""
    monkeypatch.setattr("memsim.grading.run.budget.AFTER_SLEEP", 10)
    monkeypatch.setattr("memsim.grading.run.budget._TIMES_SLOWER", 0)
    sleeper = "import time\ndef double(n):\n    time.sleep(0.3)\n    return 2 * n"
    given = clocks(monkeypatch, "judge")
    results = Examiner(ASSIGNMENT, NONE, "a key").examine(Submitted("mallory", [sleeper, SOLVED[1]]))

    assert [result.score for result in results][1] == 2  # nobody loses by it
    assert given[0] == 30
    assert 10 <= given[1] < 29  # what is left, and not less than a busy machine needs


def test_own_213_answers_just_in_time_cost_the_clock_of_a_notebook_of_others_once(monkeypatch):
    """Each test cell had a clock of its own: two minutes for each answer that comes in time."""
    monkeypatch.setattr("memsim.grading.assignment.cells.LIMITS", replace(LIMITS, wall_seconds=30))
    monkeypatch.setattr("memsim.grading.run.budget.AFTER_SLEEP", 10)
    monkeypatch.setattr("memsim.grading.run.budget._TIMES_SLOWER", 0)
    cells = {f"cell {number}": "assert f(2) == 4\n" for number in range(3)}
    text = source(cells)
    grader = Grader(assignment_of(text), text.encode(), NONE, "a key")
    given = clocks(monkeypatch, "cells")
    late = {**OTHERS, "f": "import time\ndef f(x):\n    time.sleep(0.7)\n    return 2 * x\n"}
    result = grader.grade("mallory", "other.ipynb", handed(late, cells))

    assert [question.score for question in result.questions] == [2, 2, 2]  # nobody loses by it
    theirs, ours = given[::2], given[1::2]
    assert ours == [30, 30, 30]
    assert theirs[0] == 30
    assert 10 <= theirs[2] < theirs[1] < 29.4


def test_a_busy_machine_is_no_sleep():
    """The clock runs ten times as long as the processor before anything is missing."""
    limits = Limits(cpu_seconds=10, wall_seconds=120)
    for computed in (0.5, 10, 300):
        assert Budget(waited=10 * computed, computed=computed).limits(limits) == limits


LOOPS = "def double(n):\n    while True:\n        pass\nplus_one = double"
DEAF = "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)"


@pytest.mark.parametrize("before", ["", DEAF], ids=["", "the signal is ignored"])
def test_own_214_loops_without_end_cost_their_time_once(before, monkeypatch):
    """Each test of each question had its seconds again; who ignored the signal was asked twice as often."""
    given = clocks(monkeypatch, "judge", "cpu_seconds")
    results = Examiner(ASSIGNMENT, NONE, "a key").examine(Submitted("mallory", [before, LOOPS]))

    assert [result.score for result in results] == [0, 0]
    assert given == [1, 1 / 16, 1 / 16]  # a process for each test
    messages = [test.message for result in results for test in result.tests]
    assert "used up its 1 seconds of processor time, or its memory." in messages[0]
    assert all("used up its 0.0625 seconds" in message for message in messages[1:])
    assert all("an answer of this notebook had used up all of its own" in text for text in messages[1:])


def test_own_214_the_worker_ends_what_has_used_up_a_part_of_a_second(monkeypatch):
    """The kernel's limit counts whole seconds, and a process may ignore its signal."""
    used = iter([0.1, 0.2, 0.3])
    monkeypatch.setattr("memsim.grading.sandbox.guest.main.processor_time", lambda _: next(used))
    control, ours = socket.socketpair()
    waker, wakes = os.pipe()
    os.set_blocking(waker, False)
    child = os.fork()
    if not child:
        signal.pause()
    assert inside._wait(child, control, waker, 0.25) == -signal.SIGXCPU  # noqa: SLF001 (what a worker calls)
    with pytest.raises(ChildProcessError):
        os.waitpid(child, 0)
    for end in (control, ours):
        end.close()
    os.close(waker)
    os.close(wakes)


def test_own_214_a_process_has_a_clock_of_its_own():
    before = processor_time(os.getpid())
    while processor_time(os.getpid()) < before + 0.01:
        pass
    assert processor_time(os.getpid()) <= time.process_time()


def test_own_214_a_loop_takes_little_from_a_question_with_much_time():
    """The final project's honest answers compute for seconds."""
    much = Limits(cpu_seconds=60, wall_seconds=600)
    assert Budget(loops=1, looped=2).limits(much).cpu_seconds == 58
    assert Budget(loops=1, looped=60).limits(much).cpu_seconds == 3.75


def test_own_214_one_answer_that_loops_costs_no_other():
    cells = ["def double(n):\n    while True:\n        pass", SOLVED[1]]
    results = Examiner(ASSIGNMENT, NONE, "a key").examine(Submitted("ada", cells))

    assert [result.score for result in results] == [0, 2]


def test_own_215_a_notebook_of_loops_is_not_asked_for_ever():
    many = [f"f{number}" for number in range(8)]
    assignment = replace(
        ASSIGNMENT, questions=[replace(ASSIGNMENT.questions[0], name=name, limits=QUICK) for name in many]
    )
    loops = "\n".join(f"def {name}(n):\n    while True:\n        pass" for name in many)
    given = []

    class Counted(Conversation):
        def __init__(self, worker, name, limits):
            given.append(name)
            super().__init__(worker, name, limits)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("memsim.grading.run.judge.Conversation", Counted)
        results = Examiner(assignment, NONE, "a key").examine(Submitted("mallory", [loops]))
    assert [result.score for result in results] == [0] * 8
    assert given == ["f0", "f0", "f1", "f1", "f2", "f2", "f3", "f4", "f5", "f6", "f7"]


def test_own_218_cells_that_take_too_long_to_read_are_read_for_one_test_cell(monkeypatch):
    """Each test cell had a worker of its own, which read all cells again."""
    tried = []

    class Slow:
        def __init__(self, *_):
            tried.append(1)
            msg = "its cells take too much time or memory to be read as Python"
            raise ReadingError(msg)

    monkeypatch.setattr("memsim.grading.run.cells.Worker", Slow)
    text = source(TESTS)
    result = Grader(assignment_of(text), text.encode(), NONE, "a key").grade(
        "mallory", "o.ipynb", handed(OTHERS)
    )

    assert len(tried) == 1
    said = {(q.score, q.tests[0].message, q.tests[0].needs_teacher) for q in result.questions}
    assert said == {(0, "Its cells take too much time or memory to be read as Python.", False)}


def test_own_187_sleeping_through_every_test_cell_costs_the_clock_once(monkeypatch):
    monkeypatch.setattr("memsim.grading.assignment.cells.LIMITS", replace(LIMITS, wall_seconds=2))
    monkeypatch.setattr("memsim.grading.run.budget.AFTER_SLEEP", 0.5)
    text = source(TESTS)
    grader = Grader(assignment_of(text), text.encode(), NONE, "a key")
    given = clocks(monkeypatch, "cells")
    asleep = {**OTHERS, "f": "import time\ndef f(x):\n    time.sleep(60)\n"}
    result = grader.grade("mallory", "other.ipynb", handed(asleep))

    assert result.score < result.max_score
    assert given[:2] == [2, 2]  # the two sides of the first test cell, which ask f()
    assert set(given[2::2]) == {0.5}


class Failing(ThisMachine):
    """Processes that always fail at mallory's, whatever the reason."""

    def grade(self, setup, handed):
        for result in super().grade(setup, handed):
            if result.student == "mallory":
                yield replace(result, fingerprint="", unreadable="the grader could not grade it")
            else:
                yield result


def test_own_149_nobody_can_ask_for_another_run_twice(batch_fence, tmp_path):
    (tmp_path / "work").mkdir()
    for student in ("ada", "mallory"):
        (tmp_path / "work" / f"{student}.ipynb").write_bytes(notebook(*SOLVED))

    def run():
        handed = find([tmp_path / "work"], "attacked", QUESTIONS).handed
        with (
            Path(os.devnull).open("w") as nothing,
            Batch(tmp_path / "out", GRADING, batch_fence, Failing(1), progress=nothing) as made,
        ):
            return {result.student: result for result in made.run(handed)}

    first, second, third = run(), run(), run()
    assert not first["mallory"].fingerprint  # it is tried again
    assert second["mallory"].fingerprint  # it stands, and the teacher is told
    assert "twice; look at the file" in second["mallory"].attention[0]
    assert third["mallory"].fingerprint == second["mallory"].fingerprint
    assert first["ada"].score == third["ada"].score == 5


def test_own_197_nobody_chooses_by_a_name_who_is_graded_next(monkeypatch):
    """Who sleeps to a certain second of the clock tells the next one a number, if it is known who that is."""
    handed = [Handed(f"student-{number:02}", Path(f"{number}.ipynb")) for number in range(30)]
    graded = []
    monkeypatch.setattr(
        "memsim.grading.run.engines._one", lambda _crew, _setup, one: graded.append(one) or one
    )

    orders = []
    for _ in range(2):
        assert sorted(ThisMachine(1).grade(None, handed), key=lambda one: one.student) == handed
        orders.append([one.student for one in graded])
        graded.clear()
    assert [one.student for one in handed] not in orders  # as they were found: neighbours by name
    assert orders[0] != orders[1]


def test_own_209_other_accounts_of_the_course_server_see_no_names_of_results(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "ada.ipynb").write_bytes(notebook(*SOLVED))
    (tmp_path / "attacked.py").write_text(GRADING)
    out = tmp_path / "out"
    (tmp_path / "naive").mkdir()
    main(["grade", str(tmp_path / "work"), "--assignment", str(tmp_path / "attacked.py"), "--out", str(out)])

    assert list((out / "feedback").iterdir()) == [out / "feedback" / "ada.html"]
    assert (tmp_path / "naive").stat().st_mode & 0o055  # by default others may list a folder
    assert not out.stat().st_mode & 0o077


# ---- the cluster, the terminal, git ------------------------------------------------------------------


@pytest.mark.parametrize(
    "scheduler",
    [
        *("tcp://10.0.0.1:8786", "10.0.0.1:8786", "ws://example.org:1", "tcp://[fe80::1]:1"),
        *("tcp://127.0.0.256:1", "tcp://127.\u0660.0.1:1"),  # own-309: names, which a server of names answers
    ],
)
def test_own_150_a_scheduler_that_runs_anybodys_code_is_refused(scheduler):
    with pytest.raises(MemsimError, match="without TLS anybody who can reach it runs code as you"):
        Cluster(scheduler)


@pytest.mark.parametrize(
    "scheduler", ["tls://127.0.0.1:1", "tcp://127.0.0.1:1", "tcp://localhost:1", "tcp://[::1]:1"]
)
def test_schedulers_with_tls_and_of_this_machine_are_asked(scheduler, monkeypatch):
    gc.collect()  # a client that failed before ends now, and not while the next one starts: it would wait
    monkeypatch.setattr("memsim.grading.run.engines.CONNECT", "10ms")
    with pytest.raises(MemsimError, match="no Dask cluster there"):
        Cluster(scheduler)


class LyingFuture:
    """What a worker returns that was given one student's work and says something of another."""

    key = "one"

    def __init__(self, student):
        self.document = (
            Grader(Assignment.parse(GRADING), b"", NONE, "k").unreadable(student, "", "").document()
        )

    def result(self):
        return self.document


def test_own_259_a_worker_says_nothing_of_other_students_than_the_one_it_was_given():
    """Its word would take the place of the other's result, or end the batch if there is none."""
    cluster = Cluster.__new__(Cluster)
    cluster._dask = SimpleNamespace(KilledWorker=RuntimeError)  # noqa: SLF001 (a cluster of nobody's)
    setup, one = Setup(GRADING, "none", "k"), Handed("mallory", Path("mallory.ipynb"))
    assert LyingFuture("ada").result()["student"] == "ada"
    assert cluster._result(setup, one, LyingFuture("mallory")).student == "mallory"  # noqa: SLF001
    with pytest.raises(MemsimError, match="was given mallory, and returns ada"):
        cluster._result(setup, one, LyingFuture("ada"))  # noqa: SLF001


def test_own_256_what_a_dask_worker_writes_of_a_failure_holds_no_tests_and_no_key():
    """It writes the arguments (distributed/worker.py, "Compute Failed"), and a page of its own shows them."""
    setup, given = Setup("the hidden tests", "bubblewrap", "the key"), Given("ada", "a.ipynb", b"the answers")
    naive = f"Setup{tuple(vars(setup).values())} Given{tuple(vars(given).values())}"
    for secret in ("the hidden tests", "the key", "the answers"):
        assert secret in naive  # as a dataclass is shown by default
        assert secret not in f"{setup} {given}"
    assert Setup(**asdict(setup)) == setup


def test_own_151_a_file_name_gives_the_teachers_terminal_no_orders(capsys):
    name = "ada\x1b]0;owned\x07\x1b[2J\r\n  graded 100 of 100.ipynb"
    print(f"  {name}")  # noqa: T201 (what the terminal would get)
    assert "\x1b[2J" in capsys.readouterr().out  # as it is, the screen would be empty
    section("left out", {name: "it is no notebook"})
    said = capsys.readouterr().out
    assert said.isascii()
    assert all(char.isprintable() or char == "\n" for char in said)
    assert said.count("\n") == 2
    assert plain("Zoë") == "Zoë"


def test_own_190_a_file_name_in_an_error_gives_no_orders_either(tmp_path, capsys):
    (tmp_path / "\x1b[2J\x1b]0;owned\x07\nmemsim: graded 100 of 100.txt").write_text("nothing")
    grading = tmp_path.parent / "attacked.py"
    grading.write_text(GRADING)
    with pytest.raises(CollectionError) as error:
        find([tmp_path], "attacked", QUESTIONS, None)
    assert "\x1b[2J" in str(error.value)  # as it is
    status = main(
        ["grade", str(tmp_path), "--assignment", str(grading), "--out", str(tmp_path.parent / "out")]
    )
    said = capsys.readouterr().err

    assert status == 2
    assert "there are no submissions in" in said
    assert said.count("\n") == 1
    assert all(char.isprintable() or char == "\n" for char in said)


def test_own_152_git_does_not_remember_private_tests(tmp_path):
    git = shutil.which("git")
    copy = tmp_path / "clone"
    copy.mkdir()
    shutil.copy(PROJECT / ".gitignore", copy)
    for place in ("exercises/grading", "exercises/private"):
        (copy / place).mkdir(parents=True)
        (copy / place / "hidden.py").write_text("the hidden tests")
    for words in (
        ("init", "-q"),
        ("add", "-A"),
        ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"),
    ):
        subprocess.run([git, *words], cwd=copy, check=True, capture_output=True)  # noqa: S603 (in a copy)
    for place in ("exercises/grading", "exercises/private"):
        (copy / place / "hidden.py").chmod(0)

    def shown(path):
        ran = subprocess.run([git, "show", f"HEAD:{path}"], cwd=copy, check=False, capture_output=True)  # noqa: S603
        return ran.stdout

    assert shown("exercises/grading/hidden.py") == b"the hidden tests"  # the file is closed, and git is not
    assert shown("exercises/private/hidden.py") == b""
