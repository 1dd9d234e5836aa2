"""Batches: killed and resumed, in any order, on one machine or a cluster, through the command line."""

import contextlib
import csv
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import distributed
import pytest

from memsim.cli import main
from memsim.grading.sandbox.fences import NONE
from memsim.grading.sandbox.holds import fence_that_holds
from tests.attacks.stage import GRADING, waited_for
from tests.attacks.test_other_notebooks import SOLVED, TESTS, handed, source
from tests.exercises.test_damaged import DOUBLE, PLUS_ONE, document, dumped

WRONG = "def double(number):\n    return 6 if number == 3 else 0\n"
KEY = "0123456789abcdef\n"


def lay_out(folder, submissions):
    """Lay out a course with so many submissions, one of them no notebook."""
    (folder / "grading.py").write_text(GRADING)
    work = folder / "submitted"
    work.mkdir()
    for number in range(submissions - 1):
        answers = [DOUBLE if number % 2 else WRONG, "ONE = 1\n", PLUS_ONE if number % 3 else "pass"]
        (work / f"student{number:02}.ipynb").write_bytes(dumped(document(answers)))
    (work / f"student{submissions - 1:02}.ipynb").write_bytes(b"PK\x03\x04")
    return folder


@pytest.fixture
def course(tmp_path):
    """A small course."""
    return lay_out(tmp_path, 5)


@pytest.fixture
def dozen(tmp_path):
    """A course of which some are still to be graded at any moment."""
    return lay_out(tmp_path, 12)


def grade_command(course, out, *options):
    """Return the command, with a folder whose key is known."""
    out.mkdir(exist_ok=True)
    (out / "key").write_text(KEY)
    submitted = str(course / "submitted")
    return ["grade", submitted, "--assignment", str(course / "grading.py"), "--out", str(out), *options]


def by_student(path):
    return {row["student"]: row for row in csv.DictReader(path.read_text().splitlines())}


def seconds(command):
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 (ours)
    return time.monotonic() - started


def times(out):
    return {path.name: path.stat().st_mtime_ns for path in (out / "results").glob("*.json")}


def documents(out):
    return {path.name: path.read_text() for path in sorted((out / "results").glob("*.json"))}


def test_every_submission_gets_a_result_feedback_and_a_line_in_each_table(course, capsys):
    out = course / "out"
    status = main(grade_command(course, out, "--jobs", "2"))

    assert status == 0
    told = capsys.readouterr()
    assert "5 submissions of attacked, 5 points" in told.out
    assert "student04: nothing graded: it is a ZIP archive" in told.out
    assert "graded 5" in told.err
    rows = by_student(out / "grades.csv")
    assert len(rows) == 5
    assert (rows["student01"]["score"], rows["student00"]["score"], rows["student02"]["score"]) == (
        "5",
        "1",
        "3",
    )
    assert len(list((out / "feedback").glob("*.html"))) == 5
    canvas = list(csv.reader((out / "canvas.csv").read_text().splitlines()))
    assert canvas[1][:1] + canvas[1][5:] == ["    Points Possible", "5"]
    assert json.loads((out / "gradescope" / "student01" / "results.json").read_text())["score"] == 5
    report = json.loads((out / "report.json").read_text())
    assert report["fence"] == "bubblewrap"
    assert report["open_ways"] == []
    assert (out / "key").read_text() == KEY


def test_order_and_number_of_processes_change_nothing(course):
    main(grade_command(course, course / "one", "--jobs", "1"))
    submitted = sorted((course / "submitted").iterdir(), reverse=True)
    command = grade_command(course, course / "two", "--jobs", "3")
    main([command[0], *map(str, submitted), *command[2:]])

    assert documents(course / "one") == documents(course / "two")
    for name in ("grades.csv", "canvas.csv", "moodle.csv"):
        assert (course / "one" / name).read_text() == (course / "two" / name).read_text()


@pytest.mark.slow
def test_killed_at_twenty_moments_and_resumed_it_ends_with_the_same_grades(dozen):
    course = dozen
    main(grade_command(course, course / "whole", "--jobs", "2"))
    whole = documents(course / "whole")
    out = course / "killed"
    run = [sys.executable, "-m", "memsim", *grade_command(course, out, "--jobs", "2")]
    rng = random.Random(1)  # noqa: S311 (the same moments on every run)
    long = seconds(run)
    assert documents(out) == whole

    for _ in range(20):
        for name in rng.sample(sorted(documents(out)), len(documents(out)) // 3):
            (out / "results" / name).unlink()  # so that there is something to be killed at
        made = times(out)
        with subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as batch:  # noqa: S603 (ours)
            with contextlib.suppress(subprocess.TimeoutExpired):
                batch.wait(rng.uniform(0, long))
            batch.send_signal(signal.SIGKILL)
        assert made.items() <= times(out).items()  # nothing was lost, and nothing made twice
        assert documents(out).items() <= whole.items()  # each whole, or not there
    main(grade_command(course, out, "--jobs", "2"))

    assert documents(out) == whole
    assert not list(out.rglob(".writing-*"))
    assert not (out / "audit.jsonl").exists()  # nothing was graded again


TESTED = {"doubles": TESTS["doubles"]}


@pytest.fixture
def course_of_others(course):
    """Lay out a course with three submissions of another author's notebook."""
    (course / "grading.py").unlink()
    (course / "grading.ipynb").write_text(source(TESTED))
    for path in (course / "submitted").iterdir():
        path.unlink()
    for number in range(3):
        wrong = {"f": "def f(x):\n    return 4\n"} if number else {}
        (course / "submitted" / f"student{number}.ipynb").write_bytes(handed(SOLVED | wrong, TESTED))
    return course


@pytest.mark.slow
@pytest.mark.parametrize("whose", ["dozen", "course_of_others"])
def test_killed_while_all_is_graded_again_it_loses_no_result_and_no_change(whose, request):
    """The grading file has changed, so that every result is out of date."""
    course = request.getfixturevalue(whose)
    (grading,) = course.glob("grading.*")
    out, text = course / "out", grading.read_text()
    command = [word.replace("grading.py", grading.name) for word in grade_command(course, out, "--jobs", "2")]
    main(command)
    points = {name: json.loads(document)["score"] for name, document in documents(out).items()}
    rng = random.Random(2)  # noqa: S311 (the same moments on every run)
    run = [sys.executable, "-m", "memsim", *command]

    for number in range(5):
        grading.write_text(again(text, number))
        made = times(out)
        with subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as batch:  # noqa: S603 (ours)
            assert waited_for(lambda before=made: times(out) != before, bool)
            with contextlib.suppress(subprocess.TimeoutExpired):
                batch.wait(rng.uniform(0, 1))
            batch.send_signal(signal.SIGKILL)
        assert {name: json.loads(document)["score"] for name, document in documents(out).items()} == points
    main(command)

    assert {name: json.loads(document)["score"] for name, document in documents(out).items()} == points
    assert not list(out.rglob(".writing-*"))
    trail = [json.loads(line) for line in (out / "audit.jsonl").read_text().splitlines()]
    assert {entry["why"] for entry in trail} == {"the grading file, the key, the roster or memsim changed"}
    assert {f"{entry['student']}.json" for entry in trail} == set(points)


def again(text, number):
    """Return a grading file that asks the same, and is another file."""
    if not text.lstrip().startswith("{"):
        return f"{text}\n# {number}\n"
    document = json.loads(text)
    document["metadata"]["number"] = number
    return json.dumps(document)


def test_what_ended_a_batch_ends_all_it_has_started(course):
    endless = "import time\ndef double(number):\n    time.sleep(600)\n"
    for path in (course / "submitted").iterdir():
        path.write_bytes(dumped(document([endless])))
    run = [sys.executable, "-m", "memsim", *grade_command(course, course / "out", "--jobs", "2")]
    with subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as batch:  # noqa: S603 (ours)
        family = waited_for(lambda: descendants(batch.pid), lambda family: len(family) >= 6)
        batch.send_signal(signal.SIGKILL)

    assert len(family) >= 6  # two graders, their fences, and what runs in them
    assert left_of(family) == []


KILLED_EARLY = """
import os, signal, sys
from memsim.grading.run.process import Given, GraderProcess, Setup
submission = sys.stdin.buffer.read()
started = GraderProcess(Setup(*sys.argv[1:], "0123456789abcdef"))
print(started._process.pid, flush=True)
signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
signal.setitimer(signal.ITIMER_REAL, 0.01)  # it has the submission, and Python has not started
started.grade(Given("early", "early.ipynb", submission))
"""


def test_a_batch_killed_before_its_graders_have_started_leaves_none():
    endless = document(["import time\ndef double(number):\n    time.sleep(600)\n"])
    fence, _ = fence_that_holds([], unfenced=False)
    batch = [sys.executable, "-c", KILLED_EARLY, GRADING, fence.name]
    run = subprocess.run(batch, input=dumped(endless), stdout=subprocess.PIPE, check=False)  # noqa: S603 (ours)

    assert run.returncode == -signal.SIGKILL
    assert left_of([int(run.stdout)]) == []


def left_of(family):
    """Return the processes that do not end."""
    return waited_for(lambda: [pid for pid in family if alive(pid)], lambda left: not left)


def descendants(pid):
    """Return the processes that a process has started, and those that they have."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    threads = [Path(path).read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    every = {int(child) for child in (*children, *(one for thread in threads for one in thread))}
    return sorted(every | {other for child in every for other in descendants(child)})


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_grading_again_leaves_a_trail_of_what_changed(course):
    out = course / "out"
    main(grade_command(course, out))
    (course / "submitted" / "student00.ipynb").write_bytes(dumped(document([DOUBLE, "ONE = 1\n", PLUS_ONE])))
    main(grade_command(course, out))
    main(grade_command(course, out, "--again"))
    entries = [json.loads(line) for line in (out / "audit.jsonl").read_text().splitlines()]

    first, *others = entries
    assert (first["student"], first["why"]) == ("student00", "another submission")
    assert first["score"] == [1, 5]
    assert first["questions"] == {"double": [1, 3], "plus_one": [0, 2]}
    assert {entry["why"] for entry in others} == {"asked for"}
    assert len(others) == 5
    assert all(entry["score"][0] == entry["score"][1] for entry in others)


def test_lateness_is_what_the_collector_says(course):
    times = "student,time\nstudent01,2026-12-02T00:30+00:00\nstudent03,2026-11-30T10:00+00:00\n"
    (course / "times.csv").write_text(times)
    late = (
        "--due",
        "2026-12-01T00:00+00:00",
        "--collected",
        str(course / "times.csv"),
        "--late-percent",
        "20",
    )
    main(grade_command(course, course / "out", *late, "--free-days", "1"))
    rows = by_student(course / "out" / "grades.csv")

    assert (rows["student01"]["score"], rows["student01"]["late_days"]) == ("5", "2")
    assert rows["student01"]["final_score"] == "4"
    assert rows["student03"]["final_score"] == rows["student03"]["score"] == "3"
    assert (
        "2 days late, of which 1 cost nothing" in (course / "out" / "feedback" / "student01.html").read_text()
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (["--assignment", "no-such"], "there is neither such a file"),
        (["--due", "tomorrow", "--collected", "no-such.csv"], "'tomorrow' is no time"),
        (["--due", "2026-12-01T00:00+00:00"], "--due and --collected go together"),
        (["--collected", "times.csv"], "--due and --collected go together"),
        (["--gradebook", "gradebook.db"], "gradebook.db: no gradebook that can be used: Could not parse"),
        (["--gradebook", "sqlite:////no/such/folder/x.db"], "x.db: there is no such file; run nbgrader"),
        (["--gradebook", "nosuch://x"], "Can't load plugin"),
        (["--scheduler", "tcp://127.0.0.1:1"], "no Dask cluster there"),
    ],
)
def test_a_wrong_option_is_answered_in_one_line(course, capsys, monkeypatch, change, told):
    monkeypatch.setattr("memsim.grading.run.engines.CONNECT", "1s")
    status = main([*grade_command(course, course / "out"), *change])

    assert status == 2
    assert told in capsys.readouterr().err


def test_nothing_is_graded_where_no_fence_holds_unless_asked_for(course, capsys, monkeypatch):
    monkeypatch.setattr("memsim.grading.sandbox.holds.available", lambda: [NONE])

    assert main(grade_command(course, course / "out")) == 2
    assert "no fence holds on this machine" in capsys.readouterr().err
    assert not (course / "out" / "results").exists()
    assert main(grade_command(course, course / "out", "--unfenced")) == 0
    told = capsys.readouterr().out
    assert "fence: none" in told
    assert f"open: {course / 'grading.py'} can be read" in told
    assert json.loads((course / "out" / "report.json").read_text())["fence"] == "none"


@pytest.mark.slow
def test_a_cluster_of_two_gives_the_same_results(dozen):
    course = dozen
    main(grade_command(course, course / "here"))
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
        ) as cluster,
    ):
        main(grade_command(course, course / "there", "--scheduler", cluster.scheduler_address))

    assert documents(course / "there") == documents(course / "here")
