"""Hostile files on the command line: one clear line, exit status 2, and no file half written."""

import json
import os

import pytest

from memsim.cli import main
from memsim.grading.report.late import LateError, moment
from memsim.recordings.observation import bundled_names
from memsim.recordings.verify import observation_of

GOOD = """
from memsim.grading import Assignment, Question
def doubled(rng, mine):
    "It is doubled."
    return None if (yield [1]) == 2 else "No."
ASSIGNMENT = Assignment("a", 0, [Question("f", 1, "compute", int, {doubled: 1})])
"""
HALF = {"cell_type": "code", "source": "x = '\ud800'", "metadata": {}, "outputs": [], "execution_count": None}
EVENT = "x-1 [000] .... 1.0: mm_page_alloc: page=0x1 pfn={} order=0 migratetype=0 gfp_flags=0\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Work in a folder of hostile files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "work").mkdir()
    (tmp_path / "good.py").write_text(GOOD)
    (tmp_path / "latin.py").write_bytes(b"# \xff\nASSIGNMENT = 1\n")
    (tmp_path / "leaves.py").write_text("raise SystemExit(0)\n")
    (tmp_path / "wide.csv").write_text("student,time\nada," + "x" * 200_000 + "\n")
    (tmp_path / "last.csv").write_text("student,time\nada,9999-12-31T23:59-12:00\n")
    (tmp_path / "half.ipynb").write_text(json.dumps({"cells": [HALF], "metadata": {}, "nbformat": 4}))
    (tmp_path / "digits.txt").write_text(EVENT.format("9" * 5000))
    (tmp_path / "infinite.json").write_text('{"format": Infinity}')
    (tmp_path / "loop").symlink_to("pool")
    (tmp_path / "pool").symlink_to("loop")
    return tmp_path


CASES = [
    (("replay", "digits.txt"), "no event of the page allocator"),
    (("replay", "/dev/zero"), "it is a device, not a file"),
    (("explain", "/dev/zero"), "it is a device, not a file"),
    (("run", "/dev/zero"), "it is a device, not a file"),
    (("verify", "/dev/zero"), "it is a device, not a file"),
    (("handout", "/dev/zero", "--out", "made"), "it is a device, not a file"),
    (("verify", "infinite.json"), "Infinity is not a number in JSON"),
    (("run", "infinite.json"), "Infinity is not a number in JSON"),
    (("run", "loop"), "cannot be read"),
    (("handout", "half.ipynb", "--out", "made"), "half of a character"),
    (("grade", "work", "--assignment", "latin.py", "--out", "made"), "not saved as UTF-8"),
    (("grade", "work", "--assignment", "leaves.py", "--out", "made"), "SystemExit"),
    (("grade", "work", "--assignment", "loop", "--out", "made"), "neither such a file"),
    (("grade", "work", "--assignment", "good.py", "--out", "made", "--points", "wide.csv"), "field"),
    (("grade", "work", "--assignment", "good.py", "--out", "made", "--roster", "wide.csv"), "field"),
    (
        (
            *("grade", "work", "--assignment", "good.py", "--out", "made"),
            *("--due", "2026-01-01T00:00+00:00", "--collected", "last.csv"),
        ),
        "is no time",
    ),
]


@pytest.mark.long
@pytest.mark.parametrize(("words", "told"), CASES, ids=[" ".join(words) for words, _ in CASES])
def test_it_ends_with_one_line(words, told, folder, capsys):
    (folder / "work" / "ada.ipynb").write_text('{"cells": [{"cell_type": "code", "source": "x = 1"}]}')
    status = main(list(words))
    said = capsys.readouterr().err

    assert status == 2
    assert told in said
    last = said.strip().splitlines()[-1]
    assert last.startswith("memsim: ")
    assert "Traceback" not in said
    assert not list(folder.glob("made/*.ipynb"))  # nothing half written


def test_numbers_that_json_does_not_have_are_refused_wherever_they_stand(folder, capsys):
    recording = observation_of(bundled_names()[0])
    assert recording.name
    (folder / "deep.json").write_text('{"steps": [{"step": "online", "block": [[-Infinity]]}]}')
    assert main(["verify", "deep.json"]) == 2
    assert "-Infinity is not a number in JSON" in capsys.readouterr().err


def test_a_machine_without_the_memory_for_it_says_so(monkeypatch, capsys):
    def full(_):
        raise MemoryError

    monkeypatch.setattr("memsim.cli.run.command_run", full)
    assert main(["run", "book/scenarios/one-block.json"]) == 2
    assert capsys.readouterr().err == "memsim: this machine has not enough memory for that\n"


@pytest.mark.usefixtures("folder")
def test_links_in_a_circle_are_a_submission_that_is_not_opened(capsys):
    assert main(["grade", "loop", "--assignment", "good.py", "--out", "made"]) in (0, 1)
    assert "it is a symbolic link, not a file" in capsys.readouterr().out


def test_a_pipe_is_read_once(folder, capsys):
    os.mkfifo(folder / "pipe")
    writer = os.fork()
    if not writer:
        with (folder / "pipe").open("w") as pipe:
            pipe.write(EVENT.format(4096))
        os._exit(0)
    assert main(["replay", "pipe", "--quiet"]) == 0
    os.waitpid(writer, 0)
    assert "1 events" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["0001-01-01T00:00+14:00", "9999-12-31T23:59-12:00"])
def test_a_time_outside_the_calendar_is_none(text):
    with pytest.raises(LateError, match="is no time"):
        moment(text, "--due")
