"""Every fence that this machine can have holds: one that does not is not just left out of the tests."""

import ctypes
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from memsim.grading.assignment.assignment import Limits
from memsim.grading.sandbox import fences, holds
from memsim.grading.sandbox.conversation import Conversation
from memsim.grading.sandbox.copies import remove_left_behind
from memsim.grading.sandbox.fences import BUBBLEWRAP, CONTAINER, NONE, available, prepare
from memsim.grading.sandbox.holds import FenceError, fence_that_holds
from memsim.grading.sandbox.probe import open_ways
from memsim.grading.sandbox.worker import StartError, Submitted, Worker

from .conftest import HOLDING
from .open_house import closed_above

PROJECT = Path(__file__).parents[2]

LANDLOCK_CREATE_RULESET, VERSION, WITH_SCOPES = 444, 1, 6

NOT_TO_IMPORT = {"antigravity", "this", "idlelib", "__main__"}
"""These open a browser, print, or start a program."""
IMPORTED = """
import contextlib, importlib, io, sys
for name in sys.argv[1:]:
    with contextlib.suppress(ImportError), contextlib.redirect_stdout(io.StringIO()):
        importlib.import_module(name)
        print(name, file=sys.__stdout__)
"""


def works(*command):
    return not subprocess.run(command, capture_output=True, check=False).returncode  # noqa: S603 (ours)


def bubblewrap_works():
    """Return whether bubblewrap is there and this system lets it make namespaces."""
    every = ("--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--proc", "/proc")
    return bool(shutil.which("bwrap")) and works("bwrap", "--ro-bind", "/", "/", *every, "true")


def container_works():
    """Return whether this is root, on a kernel whose Landlock has scopes, with a Python that all can read."""
    if sys.platform != "linux" or os.geteuid():
        return False
    landlock = ctypes.CDLL(None).syscall(LANDLOCK_CREATE_RULESET, None, 0, VERSION) >= WITH_SCOPES
    return landlock and not closed_above(Path(sys.base_prefix))


def test_every_fence_that_this_machine_can_have_holds(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("the answer")
    can = {BUBBLEWRAP: bubblewrap_works(), CONTAINER: container_works()}

    for fence, possible in can.items():
        if possible:
            assert open_ways(fence, [secret, tmp_path]) == []
            assert fence in HOLDING
    assert HOLDING, "install bubblewrap"


def test_what_the_user_of_a_container_cannot_read_is_named(tmp_path, monkeypatch):
    """It was a NameError: the probe's imports failed."""
    python = tmp_path / "home" / "python"
    python.mkdir(parents=True)
    python.parent.chmod(0o700)
    monkeypatch.setattr("memsim.grading.sandbox.fences._readable", lambda **_: [Path("/"), python])
    (way,) = open_ways(CONTAINER, [])
    closed = closed_above(python)
    assert f"its user may not enter {closed}, and needs {python}: chmod o+x {closed}, or install" in way
    with tempfile.NamedTemporaryFile() as file:
        monkeypatch.setattr("memsim.grading.sandbox.fences._readable", lambda **_: [Path(file.name)])
        (way,) = open_ways(CONTAINER, [])
        assert f"its user may not read {file.name}: chmod -R o+rX {file.name}" in way


def test_what_is_no_fence_is_seen_to_be_none(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("the answer")
    ways = open_ways(NONE, [secret])

    assert f"{secret} can be read" in ways
    assert "the network can be reached" in ways
    assert "the grader can be signalled" in ways
    kinds = ("keyring", "System V", "locked", "watched", "unix family", "io_uring", "limits", "stopped")
    for kind in (*kinds, "woken", "put out of memory", "terminal"):
        assert any(kind in way for way in ways), kind


def test_a_fence_that_lets_something_through_is_refused(tmp_path, monkeypatch):
    system = fences._system()  # noqa: SLF001 (to add a folder that somebody forgot)
    monkeypatch.setattr("memsim.grading.sandbox.fences._system", lambda: (*system, tmp_path))
    monkeypatch.delenv("MEMSIM_READABLE_COPY", raising=False)
    secret = tmp_path / "secret"
    secret.write_text("the answer")
    tmp_path.chmod(0o755)
    if bubblewrap_works():
        assert f"{secret} can be read" in open_ways(BUBBLEWRAP, [secret])
    monkeypatch.setattr("memsim.grading.sandbox.holds.open_ways", lambda *_: ["the answer can be read"])
    with pytest.raises(FenceError, match="the answer can be read"):
        fence_that_holds([secret], unfenced=False)


def test_nothing_but_bubblewrap_is_a_fence_for_a_batch(monkeypatch):
    """What cannot hide other files is none: without bubblewrap one command is named, and nothing graded."""
    assert [fence for fence in available() if fence not in (BUBBLEWRAP, NONE)] == []
    monkeypatch.setattr("memsim.grading.sandbox.fences.shutil.which", lambda _: None)
    with pytest.raises(FenceError, match=r"sudo apt install bubblewrap .* or say --unfenced"):
        fence_that_holds([], unfenced=False)


UBUNTU = "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
DOCKER = (
    "docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined "
    "--tmpfs /dev/shm:exec,size=1g --user 1000"
)
NO_NAMESPACE = "bwrap: No permissions to create new namespace, likely because the kernel does not allow it"
ANSWERS = [
    # what bubblewrap says (the strings are in Debian's), what is closed by a setting, the one command
    ("bwrap: setting up uid map: Permission denied", "", UBUNTU),
    ("bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted", "", UBUNTU),
    ("bwrap: Creating new namespace failed: Operation not permitted", "", DOCKER),
    ("bwrap: Failed to make / slave: Permission denied", "", DOCKER),
    ("bwrap: Unknown option --disable-userns", "", "Install bubblewrap 0.8 or newer"),
    (NO_NAMESPACE, "", DOCKER),
    (NO_NAMESPACE, "unprivileged_userns_clone", "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
    (
        "bwrap: Creating new namespace failed: nesting depth or /proc/sys/user/max_*_namespaces exceeded",
        *("max_user_namespaces", "sudo sysctl -w user.max_user_namespaces=10000"),
    ),
]


@pytest.mark.parametrize(("said", "closed", "command"), ANSWERS)
def test_what_a_system_forbids_is_answered_with_one_command(said, closed, command, monkeypatch, tmp_path):
    settings = [(tmp_path / path.name, opens) for path, opens in holds._CLOSED]  # noqa: SLF001 (as elsewhere)
    for path, _ in settings:
        path.write_text("0\n" if path.name == closed else "1\n")
    monkeypatch.setattr(holds, "_CLOSED", settings)
    monkeypatch.setattr(holds, "prepare", lambda: None)
    monkeypatch.setattr(holds, "open_ways", lambda *_: [f"it cannot be used here: {said}"])
    with pytest.raises(FenceError) as refused:
        fence_that_holds([], unfenced=False)
    assert command in str(refused.value)
    assert command in (Path(__file__).parents[2] / "SECURITY.md").read_text()  # and in its table


@pytest.mark.skipif(os.geteuid() != 0 or BUBBLEWRAP not in HOLDING, reason="only root may give rights up")
def test_in_a_container_the_answer_is_that_for_containers():
    drop = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")
    assert "docker run --security-opt seccomp=unconfined" in said_with(user=drop)


def test_every_standard_module_imports_behind_every_fence():
    """Each in a process of its own: some of them disturb each other."""
    source = "import importlib\ndef tried(name):\n    importlib.import_module(name)\n    return name"
    names = [name for name in sorted(sys.stdlib_module_names - NOT_TO_IMPORT) if find_spec(name)]
    here = subprocess.run(  # noqa: S603 (ours)
        [sys.executable, "-c", IMPORTED, *names], capture_output=True, text=True, check=True
    ).stdout.split()
    limits = Limits(cpu_seconds=60, memory_mib=2048)
    for fence in HOLDING:
        with (
            Worker(fence, Submitted("ada", [source])) as worker,
            Conversation(worker, "tried", limits) as conversation,
        ):
            answers = [conversation.call([name], str) for name in here]
        assert answers == here
        assert len(here) > 250


@pytest.mark.parametrize("name", ["numpy", "memsim"])
def test_the_packages_that_answers_may_use_import_behind_every_fence(name, fence):
    """In a virtual environment, a fence that lets no one list its folder hid numpy, at the student's cost."""
    source = f"import {name}\ndef at():\n    return {name}.__file__"
    with (
        Worker(fence, Submitted("ada", [source]), memsim=name == "memsim") as worker,
        Conversation(worker, "at", Limits(memory_mib=1024)) as conversation,
    ):
        assert conversation.call([], str).endswith(f"{name}/__init__.py")


NAMES = """
import email, os, time
TOP = os.path.dirname(email.__file__)
def looked_up(name):
    started = time.perf_counter_ns()
    try:
        os.stat(f"{TOP}/{name}")
    except OSError:
        return time.perf_counter_ns() - started
def write(tag, bits):
    for place, bit in enumerate(bits):
        for number in range(60 * bit):
            looked_up(f"{tag}-{place}-{number}")
    return 0
def read(tag, length):
    times = lambda place: sorted(looked_up(f"{tag}-{place}-{number}") for number in range(60))
    return [times(place)[30] for place in range(length)]
"""


def times_of_names(bits):
    """Return how long looking up takes for each bit of a message, in ns, after another submission sent it."""
    tag = os.urandom(4).hex()
    answers = []
    for name, given, returns in (("write", bits, int), ("read", len(bits), list[int])):
        with (
            Worker(BUBBLEWRAP, Submitted("ada", [NAMES])) as worker,
            Conversation(worker, name, Limits()) as conversation,
        ):
            answers.append(conversation.call([tag, given], returns))
    return answers[1]


MOST = 22  # of 24 bits; who guesses twelve that are set has as many once in 18,000 times


def told_by_names(bits, rounds=20):
    """Return how many bits the next submission reads; the message is sent again until it has most of them.

    A busy machine hides a message in one round, never in all: ranks of the times are added up.
    Half of the bits have to be set.
    """
    told, places = 0, np.zeros(len(bits))
    for _ in range(rounds):
        places += np.argsort(np.argsort(times_of_names(bits)))
        heard = places < np.median(places)
        told = max(told, int((heard == np.array(bits, bool)).sum()))
        if told >= MOST:
            break
    return told


@pytest.mark.skipif(BUBBLEWRAP not in HOLDING, reason="batches are graded behind bubblewrap only")
def test_own_172_names_that_were_looked_up_in_vain_carry_no_message(monkeypatch):
    """The kernel remembers them for a disk, by whoever they were looked up."""
    bits = [int(letter) for letter in f"{0x5A3C96:024b}"]
    prepare()
    assert told_by_names(bits, rounds=4) < MOST
    monkeypatch.delenv("MEMSIM_READABLE_COPY", raising=False)
    assert told_by_names(bits) >= MOST


@pytest.mark.skipif(BUBBLEWRAP not in HOLDING, reason="batches are graded behind bubblewrap only")
def test_every_file_that_student_code_can_read_is_a_copy_in_memory():
    """A page of a disk's file that is not in memory tells, by its slowness, that nobody has read it."""
    prepare()
    command = BUBBLEWRAP.command(3, memsim=True)
    sources = [command[at + 1] for at, word in enumerate(command) if word == "--ro-bind"]

    assert len(sources) > 20
    assert all(source.startswith("/dev/shm/memsim-copy-") for source in sources)  # noqa: S108 (that is the rule)
    assert not any(word.startswith("--bind") for word in command)
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    kinds = {kind for _, place, kind, *_ in mounts if place == "/dev/shm"}  # noqa: S108 (the same)
    assert kinds == {"tmpfs"}


@pytest.mark.skipif(BUBBLEWRAP not in HOLDING, reason="batches are graded behind bubblewrap only")
def test_without_its_copy_no_worker_reads_the_disk_instead(monkeypatch):
    monkeypatch.setenv("MEMSIM_READABLE_COPY", "/dev/shm/memsim-copy-0-gone")  # noqa: S108 (as above)
    with pytest.raises(StartError, match="gone"):
        Worker(BUBBLEWRAP, Submitted("ada", []))


HOLDS_A_COPY = """
import sys
from pathlib import Path
from memsim.grading.sandbox.copies import make
print(make([Path(sys.argv[1])], []), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def held(tmp_path):
    """Return a process that holds a copy of a file, and the folder of that copy, an hour old."""
    (tmp_path / "a file").write_text("what workers read")
    process = subprocess.Popen(  # noqa: S603 (ours)
        [sys.executable, "-c", HOLDS_A_COPY, tmp_path / "a file"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    folder = Path(process.stdout.readline().strip())
    os.utime(folder, (0, 0))
    yield process, folder
    process.kill()
    process.communicate()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("made", [0, 1 << 33], ids=["an hour ago", "before the clock went back"])
def test_a_copy_of_a_process_that_was_killed_goes_with_the_next_batch(made, held):
    process, folder = held
    os.utime(folder, (made, made))
    remove_left_behind()
    assert list(folder.rglob("a file"))  # its process lives
    process.kill()
    process.communicate()
    assert folder.exists()
    remove_left_behind()
    assert not folder.exists()


def test_a_copy_goes_with_its_process(held):
    process, folder = held
    process.communicate("")
    assert not folder.exists()


ROOM = """
import sys
from memsim.grading.sandbox.copies import _in_memory
from memsim.grading.sandbox.holds import FenceError, fence_that_holds
import os
print(_in_memory())
try:
    print(fence_that_holds([], unfenced=False)[0].name, os.environ["MEMSIM_READABLE_COPY"])
except FenceError as refused:
    print("refused:", refused)
"""


def said_with(*mounts, user=()):
    """Return what the grader says where these file systems are mounted; in a namespace of its own."""
    lines = ["mount --make-rprivate /"]
    for place, options in mounts:
        hides = PROJECT.is_relative_to(place)  # a checkout in /tmp stays where it is
        lines += [f"mount --rbind '{PROJECT}' /mnt"] * hides
        lines += [f"mount -t tmpfs -o {options} tmpfs {place}"]
        lines += [f"mkdir -p '{PROJECT}'", f"mount --rbind /mnt '{PROJECT}'"] * hides
    script = " && ".join([*lines, 'exec "$@"'])
    ran = subprocess.run(  # noqa: S603 (ours)
        ["unshare", "--mount", "sh", "-c", script, "sh", *user, sys.executable, "-c", ROOM],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
        env={n: v for n, v in os.environ.items() if n != "MEMSIM_READABLE_COPY"},
    )
    return ran.stdout


@pytest.mark.skipif(os.geteuid() != 0 or BUBBLEWRAP not in HOLDING, reason="only root may mount")
def test_where_shared_memory_is_small_another_place_in_memory_is_taken():
    """As in a container: 64 MiB from which nothing may be executed."""
    small = ("/dev/shm", "size=64m,noexec")  # noqa: S108 (what Docker mounts)
    said = said_with(small, ("/run", "size=1g,mode=755"))
    assert "bubblewrap /run/memsim-copy-0-" in said
    said = said_with(small, ("/run", "size=1g,noexec"))
    assert "[]\nbubblewrap /dev/shm/memsim-copy-0-" in said  # one of its own, which nobody else sees
    drop = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")
    said = said_with(small, ("/run", "size=1g,noexec"), ("/tmp", "size=64m"), user=drop)  # noqa: S108 (too small)
    assert "refused: no fence holds" in said
    assert "docker run --tmpfs /dev/shm:exec,size=1g" in said
    assert "/tmp has 64 MiB free" in said  # noqa: S108 (as above)


def test_without_room_for_the_copy_nothing_is_graded(monkeypatch):
    def full():
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("memsim.grading.sandbox.holds.prepare", full)
    monkeypatch.setattr("memsim.grading.sandbox.holds.open_ways", lambda *_: [])
    with pytest.raises(FenceError, match="remount,exec,size=1G /dev/shm"):
        fence_that_holds([], unfenced=False)


@pytest.mark.skipif(BUBBLEWRAP not in HOLDING, reason="only bubblewrap hides what is there")
def test_student_code_sees_no_program_of_the_system_and_no_other_package():
    source = "import os\ndef seen(path):\n    return sorted(os.listdir(path)) if os.path.isdir(path) else []"
    with (
        Worker(BUBBLEWRAP, Submitted("ada", [source])) as worker,
        Conversation(worker, "seen", Limits()) as conversation,
    ):
        for path in ("/usr/sbin", "/usr/lib/systemd", "/etc/ssl", "/home", "/proc", "/usr/share/doc"):
            assert conversation.call([path], list[str]) == []
        assert conversation.call(["/etc"], list[str]) in ([], ["ld.so.cache"])
        site = sysconfig.get_path("purelib", vars={"base": sys.base_prefix})
        assert conversation.call([site], list[str]) == []
