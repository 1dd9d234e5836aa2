"""Every fence that this machine can have holds: one that does not is not just left out of the tests."""

import ctypes
import os
import shutil
import subprocess
import sys

import pytest

from memsim.grading.sandbox import fences
from memsim.grading.sandbox.fences import BUBBLEWRAP, NONE, USER, available
from memsim.grading.sandbox.holds import FenceError, fence_that_holds
from memsim.grading.sandbox.probe import open_ways

from .conftest import HOLDING

LANDLOCK_CREATE_RULESET, VERSION = 444, 1


def works(*command):
    return not subprocess.run(command, capture_output=True, check=False).returncode  # noqa: S603 (ours)


def bubblewrap_works():
    """Return whether bubblewrap is there and this system lets it make namespaces."""
    every = ("--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--proc", "/proc")
    return bool(shutil.which("bwrap")) and works("bwrap", "--ro-bind", "/", "/", *every, "true")


def separate_user_works():
    """Return whether this is root, may make namespaces, and has a kernel with Landlock."""
    if sys.platform != "linux" or os.geteuid():
        return False
    landlock = ctypes.CDLL(None).syscall(LANDLOCK_CREATE_RULESET, None, 0, VERSION) >= 1
    return landlock and works("unshare", "--net", "--ipc", "--pid", "--fork", "true")


def test_every_fence_that_this_machine_can_have_holds(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("the answer")
    can = {BUBBLEWRAP: bubblewrap_works(), USER: separate_user_works()}

    for fence, possible in can.items():
        if possible:
            assert fence in available()
            assert open_ways(fence, [secret, tmp_path]) == []
            assert fence in HOLDING
    assert HOLDING, "install bubblewrap, or run the tests as root"


def test_what_is_no_fence_is_seen_to_be_none(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("the answer")
    ways = open_ways(NONE, [secret])

    assert f"{secret} can be read" in ways
    assert "the network can be reached" in ways
    assert "the grader can be signalled" in ways
    for kind in ("keyring", "System V", "locked", "watched", "unix family", "io_uring", "limits", "stopped"):
        assert any(kind in way for way in ways), kind


def test_a_fence_that_lets_something_through_is_refused(tmp_path, monkeypatch):
    system = fences._system()  # noqa: SLF001 (to add a folder that somebody forgot)
    monkeypatch.setattr("memsim.grading.sandbox.fences._system", lambda: [*system, tmp_path])
    secret = tmp_path / "secret"
    secret.write_text("the answer")
    tmp_path.chmod(0o755)
    if bubblewrap_works():
        assert f"{secret} can be read" in open_ways(BUBBLEWRAP, [secret])
    monkeypatch.setattr("memsim.grading.sandbox.holds.open_ways", lambda *_: ["the answer can be read"])
    with pytest.raises(FenceError, match="the answer can be read"):
        fence_that_holds([secret], unfenced=False)
