"""The folders that the course server makes: whose they are, and what others may do in them."""

from __future__ import annotations

import getpass
import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest
from traitlets.config import Config

SERVER = Path("exercises/hub/jupyterhub_config.py").resolve()


@pytest.fixture
def started(tmp_path, monkeypatch):
    """Return a function that runs the configuration as JupyterHub does."""
    monkeypatch.setenv("MEMSIM_COURSE", str(tmp_path / "course"))
    monkeypatch.setenv("MEMSIM_TEACHER", getpass.getuser())

    def start():
        names = {"get_config": Config, "__file__": str(SERVER), "__name__": "config"}
        exec(compile(SERVER.read_text(encoding="utf-8"), str(SERVER), "exec"), names)  # noqa: S102 (ours)
        return tmp_path / "course" / "exchange"

    return start


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_the_exchange_has_the_permissions_that_nbgrader_gives_it(started):
    # nbgrader/exchange/default/release_assignment.py and release_feedback.py, without groupshared.
    exchange = started()
    assert mode(exchange) == 0o1777
    modes = {path.name: mode(path) for path in (exchange / "memsim").iterdir()}
    assert modes == {"outbound": 0o755, "inbound": 0o2733, "feedback": 0o711}
    assert mode(exchange / "memsim") == 0o755
    assert {path.stat().st_uid for path in (exchange / "memsim").rglob("*")} == {os.getuid()}
    assert started() == exchange  # a second start changes nothing
    assert {path.name: mode(path) for path in (exchange / "memsim").iterdir()} == modes


def test_without_a_teacher_nobody_owns_the_course_yet(started, monkeypatch):
    monkeypatch.delenv("MEMSIM_TEACHER")
    assert list(started().iterdir()) == []


def test_a_link_in_place_of_the_course_is_refused(started, monkeypatch, tmp_path):
    monkeypatch.delenv("MEMSIM_TEACHER")
    exchange = started()
    (exchange / "memsim").symlink_to(tmp_path)
    monkeypatch.setenv("MEMSIM_TEACHER", getpass.getuser())
    before = mode(tmp_path)
    with pytest.raises(SystemExit, match="look who made it"):
        started()
    assert mode(tmp_path) == before


def test_a_folder_that_a_student_made_first_is_refused(started, monkeypatch):
    monkeypatch.delenv("MEMSIM_TEACHER")
    exchange = started()
    (exchange / "memsim").mkdir()
    if os.getuid() == 0:
        os.chown(exchange / "memsim", 12345, -1)
    monkeypatch.setenv("MEMSIM_TEACHER", "grace")
    monkeypatch.setattr("pwd.getpwnam", lambda _: SimpleNamespace(pw_uid=12346, pw_gid=12346))
    with pytest.raises(SystemExit, match="is not grace's: look who made it"):
        started()


def test_own_264_a_link_that_takes_the_place_of_the_course_in_between_is_refused(
    started, tmp_path, monkeypatch
):
    """The folder for exchange is everybody's to write to, and root gives away what it finds there."""
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o700)
    made = Path.mkdir

    def planted(place, *args, **options):
        if place.name == "memsim":  # looked at a moment ago, and not there
            place.symlink_to(victim)
        made(place, *args, **options)

    monkeypatch.setattr(Path, "mkdir", planted)
    with pytest.raises(SystemExit, match="look who made it"):
        started()
    assert mode(victim) == 0o700
    link = tmp_path / "course" / "exchange" / "memsim"
    link.chmod(0o755)  # by its name, as after a look at the name
    assert mode(victim) == 0o755
