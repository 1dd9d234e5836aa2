"""The autograder for Gradescope, in a container of its layout that lets nobody make namespaces.

What Gradescope's documentation says: the archive is unpacked into /autograder/source; setup.sh runs once as
root; the submission is in /autograder/submission; run_autograder writes /autograder/results/results.json.
"""

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import memsim
from memsim.cli import main
from memsim.grading.run import gradescope
from memsim.grading.sandbox.fences import worker_uids
from tests.attacks.open_house import closed_above
from tests.exercises.course import GRADING, RIGHT, WRONG, answered, notebook
from tests.tiers import breadth

PROJECT = Path(__file__).parents[2]
METADATA = {
    "id": 123456,
    "created_at": "2026-11-30T14:22:32.365935-07:00",
    "users": [{"email": "ada@example.edu", "id": 4711, "name": "Ada Lovelace", "sid": "S1"}],
}
# What a container of Docker's has by default, and so no right to make namespaces.
RIGHTS = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID")
NEEDED = ("setup.sh", "run_autograder", "requirements.txt", "grading.txt", "key", "memsim/__init__.py")


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Write the archive once."""
    path = tmp_path_factory.mktemp("archive") / "autograder.zip"
    assert main(["gradescope", str(GRADING), "--out", str(path)]) == 0
    return path


@pytest.fixture
def container(archive, tmp_path):
    """Lay out /autograder, with a Python where setup.sh would have put one."""
    base = tmp_path / "autograder"
    for name in ("source", "submission", "results"):
        (base / name).mkdir(parents=True)
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(base / "source")
        for entry in packed.infolist():
            (base / "source" / entry.filename).chmod(entry.external_attr >> 16)
    (base / "submission_metadata.json").write_text(json.dumps(METADATA))
    python = tmp_path / "opt" / "memsim" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return base


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts workers as other users")
@pytest.mark.parametrize("ids", [1 << 32, 65_536])
def test_own_198_nothing_of_a_student_outlives_the_score_in_a_container_of_few_users(ids, monkeypatch):
    """Such a container has no user ids as high as those that workers have elsewhere."""
    maps = f"0 0 {ids}\n"
    monkeypatch.setattr("memsim.grading.sandbox.fences.Path", lambda name: _Maps(name, maps))
    uid = worker_uids()[5]
    monkeypatch.undo()
    assert uid < ids
    assert (uid >= 1_900_000_000) == (ids > 65_536)  # by a high number alone it is missed
    left = subprocess.Popen(["sleep", "600"], user=uid)  # noqa: S607 (what a student left)
    try:
        monkeypatch.setattr("memsim.grading.run.gradescope.worker_uids", lambda: range(uid - 5, uid + 59))
        gradescope._end_all()  # noqa: SLF001 (what the autograder does last)
        assert left.wait(30) == -9
    finally:
        left.kill()


class _Maps:
    """The list of user ids that a container has."""

    def __init__(self, name, text):
        assert str(name) == "/proc/self/uid_map"
        self.text = text

    def open(self, **_):
        return io.StringIO(self.text)


def run(base, *executed, rights=RIGHTS):
    """Execute run_autograder, or something else, as root of a container."""
    seen = [
        path
        for path in sorted(Path("/").iterdir())
        if path.name not in ("autograder", "opt", "proc", "dev", "tmp")
    ]
    command = ["bwrap", "--unshare-pid", "--unshare-ipc", "--tmpfs", "/"]
    for path in seen:
        command += (
            ["--symlink", str(path.readlink()), str(path)]
            if path.is_symlink()
            else ["--ro-bind", str(path), str(path)]
        )
    command += ["--bind", str(base), "/autograder", "--ro-bind", str(base.parent / "opt"), "/opt"]
    command += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--cap-drop", "ALL"]  # noqa: S108 (its own)
    needed = (Path(sys.base_prefix), Path(sys.prefix), Path(memsim.__file__).parents[1])
    closed = {folder for path in needed if (folder := closed_above(path))}
    for folder in closed:  # in Gradescope's container everybody may read Python
        command += ["--perms", "0755", "--tmpfs", str(folder)]
    for path in needed:
        if path.is_relative_to("/tmp") or any(map(path.is_relative_to, closed)):  # noqa: S108 (hidden above)
            for folder in reversed(path.parents[:-2]):  # which only their owner could enter otherwise
                command += ["--perms", "0755", "--dir", str(folder)]
            command += ["--ro-bind", str(path), str(path)]
    if os.geteuid():
        command += ["--unshare-user", "--uid", "0", "--gid", "0"]
    command += [part for right in rights for part in ("--cap-add", f"CAP_{right}")]
    ran = subprocess.run(  # noqa: S603 (ours)
        [*command, *(executed or ["/autograder/source/run_autograder"])],
        capture_output=True,
        text=True,
        check=False,
    )
    results = base / "results" / "results.json"
    return ran, json.loads(results.read_text()) if results.exists() else None


def test_the_archive_has_what_gradescope_looks_for_and_the_grader_with_its_lock(archive):
    with zipfile.ZipFile(archive) as packed:
        modes = {entry.filename: entry.external_attr >> 16 for entry in packed.infolist()}
        lock = packed.read("requirements.txt").decode()
        setup = packed.read("setup.sh").decode()

    assert set(NEEDED) <= set(modes)
    assert modes["setup.sh"] == modes["run_autograder"] == 0o755
    assert not any("__pycache__" in name or name.startswith("memsim/book") for name in modes)
    assert lock.startswith("numpy==")
    assert "--hash=sha256:" in lock
    assert archive.stat().st_mode & 0o077 == 0  # it holds the hidden tests
    assert archive.stat().st_size < 100 << 20
    shell = shutil.which("bash")
    assert subprocess.run([shell, "-n"], input=setup, text=True, check=False).returncode == 0  # noqa: S603 (ours)


def test_the_package_in_the_archive_is_whole(archive, tmp_path):
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path)
    look = "import memsim, memsim.grading.run.gradescope; print(memsim.__file__)"
    ran = subprocess.run(  # noqa: S603 (ours)
        [sys.executable, "-c", look],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert ran.stdout.strip() == str(tmp_path / "memsim" / "__init__.py")


def test_two_archives_have_two_keys(archive, tmp_path):
    main(["gradescope", str(GRADING), "--out", str(tmp_path / "again.zip")])
    with zipfile.ZipFile(archive) as one, zipfile.ZipFile(tmp_path / "again.zip") as other:
        assert one.read("key") != other.read("key")


def graded_or_refused(ran, results):
    """Return the results; without root of the machine nothing holds, and nothing may be graded."""
    if os.geteuid():
        assert results is None
        assert "no fence holds" in ran.stderr
        pytest.xfail("only root can lay out Gradescope's container")
    assert results is not None, ran.stderr
    return results


@pytest.mark.parametrize("typed", breadth(["S1", "ada@example.edu", "Ada Lovelace", "ada"]))
def test_a_submission_is_graded_and_the_fence_is_told(typed, container):
    (container / "submission" / "my work.ipynb").write_bytes(answered(typed))
    results = graded_or_refused(*run(container))

    assert results["score"] == 5
    assert sum(test["max_score"] for test in results["tests"]) == 5
    assert "Landlock for files and signals and seccomp against the network" in results["output"]
    assert "Graded with Python" in results["output"]
    # What Gradescope's documentation allows.
    assert {test["status"] for test in results["tests"]} <= {"passed", "failed"}
    assert results["output_format"] in ("text", "html", "simple_format", "md", "ansi")


def test_a_wrong_one_two_and_none(container):
    (container / "submission" / "doubling.ipynb").write_bytes(notebook(WRONG))
    (container / "submission" / "doubling (1).ipynb").write_bytes(notebook(RIGHT))
    results = graded_or_refused(*run(container))
    assert results["score"] == 2
    assert "also handed in: doubling.ipynb" in results["output"]

    shutil.rmtree(container / "submission")
    (container / "submission").mkdir()
    _, results = run(container)
    assert results["score"] == 0
    assert "nothing was handed in" in results["output"]


def test_a_group_may_say_the_name_of_any_of_it(container):
    users = [*METADATA["users"], {"email": "bob@example.edu", "id": 4712, "name": "Bob Stone"}]
    (container / "submission_metadata.json").write_text(json.dumps({**METADATA, "users": users}))
    (container / "submission" / "doubling.ipynb").write_bytes(answered("bob@example.edu"))

    assert graded_or_refused(*run(container))["score"] == 5


LATE = {
    # by the due date of the assignment, by that of the student's extension, by the latest one of a group
    "late": ([{}], 3, 3.5),
    "an extension": ([{"assignment": {"due_date": "2026-11-30T12:00:00.000000-07:00"}}], 1, 4.5),
    "in time": ([{"assignment": {"due_date": "2026-12-01T12:00:00.000000-07:00"}}], 0, 5),
    "a group": ([{}, {"assignment": {"due_date": "2026-11-29T15:00:00.000000-07:00"}}], 1, 4.5),
}


@pytest.mark.parametrize(("users", "days", "score"), LATE.values(), ids=LATE)
def test_lateness_is_what_gradescopes_clock_says(users, days, score, container):
    """https://gradescope-autograders.readthedocs.io/en/latest/submission_metadata/."""
    users = [METADATA["users"][0] | user for user in users]
    assignment = {"due_date": "2026-11-28T00:00:00.000000-07:00", "late_due_date": None}
    metadata = METADATA | {"users": users, "assignment": assignment}
    (container / "submission_metadata.json").write_text(json.dumps(metadata))
    (container / "source" / "late.json").write_text('{"free_days": 0, "percent": 10}')
    (container / "submission" / "doubling.ipynb").write_bytes(answered("S1"))
    results = graded_or_refused(*run(container))

    assert results["score"] == score
    assert (f"It was handed in {days} day" in results["output"]) == bool(days)


def test_the_command_says_what_gradescope_must_be_told(tmp_path, capsys):
    path = tmp_path / "autograder.zip"
    assert main(["gradescope", str(GRADING), "--out", str(path), "--late-percent", "10"]) == 0
    assert "autograder points of the assignment are 5:" in capsys.readouterr().out
    with zipfile.ZipFile(path) as packed:
        assert json.loads(packed.read("late.json")) == {"free_days": 0, "percent": 10}
    assert main(["gradescope", str(GRADING), "--out", str(path), "--late-percent", "101"]) == 2


@pytest.mark.parametrize("metadata", breadth(["{", "{}", '{"users": []}', '{"users": [{}]}', '{"users": 7}']))
def test_without_a_student_nothing_is_graded_and_the_instructor_is_told(metadata, container):
    (container / "submission_metadata.json").write_text(metadata)
    (container / "submission" / "doubling.ipynb").write_bytes(answered("S1"))
    ran, results = run(container)

    assert results is None
    assert ran.returncode == 1
    if not os.geteuid():
        assert "submission_metadata.json" in ran.stderr


def test_where_nothing_holds_nothing_is_graded(container):
    (container / "submission" / "doubling.ipynb").write_bytes(answered("S1"))
    ran, results = run(container, rights=())  # the user cannot be changed

    assert results is None
    assert ran.returncode == 1
    assert "no fence holds in this container" in ran.stderr


def test_own_255_a_run_that_fails_leaves_no_score_of_the_run_before(container):
    """Who debugs by Gradescope's SSH runs it again in one container, and would see the old score."""
    results = container / "results" / "results.json"
    results.write_text('{"score": 1000}')
    (container / "submission" / "doubling.ipynb").write_bytes(answered("S1"))
    ran, found = run(container, rights=())
    assert ran.returncode == 1
    assert found is None


HARM = {
    "own-83-the-score-is-written": "open('/autograder/results/results.json', 'w').write('{\"score\": 1000}')",
    "own-84-the-tests-are-read": "print(open('/autograder/source/grading.txt').read()[:40])",
    "own-85-the-key-is-read": "print(open('/autograder/source/key').read())",
    "own-86-the-metadata-are-changed": "open('/autograder/submission_metadata.json', 'w').write('{}')",
    "own-87-the-container-is-signalled": "os.kill(1, 0)",
    "own-88-something-is-sent": "socket.create_connection(('127.0.0.1', 9), 1)",
    "own-89-a-datagram-is-sent": "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
    "own-90-something-is-left-in-tmp": "open('/tmp/left', 'w').write('x')",
    "own-168-the-size-of-the-tests": "os.stat('/autograder/source/grading.txt')",
    "own-169-the-accounts-of-the-container": "open('/etc/passwd').read()",
    "own-170-the-grader-is-stopped": "[os.kill(int(n), 0) for n in os.listdir('/proc') if n.isdigit()]",
}
TRIES = """
import os, socket
def double(number):
    try:
        {0}
    except OSError as problem:
        return 2 * number if problem.errno in (1, 13, 30) else -problem.errno
    return -1
"""


@pytest.mark.parametrize("name", breadth(HARM))
def test_student_code_harms_nothing_in_the_container(name, container):
    """The right answer is given only where the kernel has refused with EPERM, EACCES or EROFS."""
    (container / "submission" / "doubling.ipynb").write_bytes(notebook(TRIES.format(HARM[name])))
    before = (container / "submission_metadata.json").read_bytes()
    results = graded_or_refused(*run(container))

    assert results["score"] == 2
    assert (container / "submission_metadata.json").read_bytes() == before
    naive, _ = run(container, sys.executable, "-c", f"import os, socket\n{HARM[name]}")
    assert naive.returncode == 0 or "Connection refused" in naive.stderr  # nobody listens, but it was asked
