"""The command line: what it prints, and the exit status that a script can rely on."""

import errno
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from memsim.cli import COMMANDS, main, parser
from memsim.recordings.observation import bundled_names
from memsim.release import RELEASES

ROOT = Path(__file__).parents[2]
ONE_BLOCK = str(ROOT / "book" / "scenarios" / "one-block.json")


def said(capsys, *arguments):
    """Run a command; return (exit status, standard output, standard error)."""
    status = main(list(arguments))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def scenario(tmp_path):
    """Return a function that writes a scenario with the given steps and returns its path."""

    def write(*steps, **machine):
        path = tmp_path / "scenario.json"
        document = {"format": "memsim-scenario/1", "machine": {"ram": [[0, 131072]], **machine}}
        path.write_text(json.dumps({**document, "steps": steps}), encoding="utf-8")
        return str(path)

    return write


# ---- run -------------------------------------------------------------------------------------------


def test_run_tells_how_each_step_ended_and_the_counters(capsys):
    status, out, err = said(capsys, "run", ONE_BLOCK)

    assert (status, err) == (0, "")
    assert "step 1: online block 32 (online_movable): ok" in out
    assert re.search(r"Movable +0x100000 +32768 +32768 +32768", out)


@pytest.mark.parametrize("option", [["--before"], ["--after"], ["--patch", "mm_init,page_alloc"], []])
def test_run_takes_any_side_of_the_patch(capsys, option):
    assert said(capsys, "run", ONE_BLOCK, *option, "--check")[0] == 0


def test_half_the_patch_runs_to_its_end_and_check_names_rule_and_first_pfn(capsys):
    half = ("run", ONE_BLOCK, "--patch", "MM_INIT", "--check")
    status, out, err = said(capsys, *half, "--no-check-pages")

    assert (status, err) == (1, "")
    assert "MM_INIT, no page checks" in out
    assert "kernel log" not in out
    assert "broken invariant offline-free" in out
    assert "first at pfn 0x100001" in out  # the head of the block became Buddy, the next page did not
    status, out, _ = said(capsys, *half)
    assert status == 1
    assert "BUG: Bad page state" in out  # Debian's kernels check pages: init_on_alloc turns that on


def test_half_the_patch_with_debug_vm_shows_what_the_kernel_prints(capsys):
    status, out, _ = said(capsys, "run", ONE_BLOCK, "--patch", "MM_INIT", "--debug-vm", "--check")

    assert status == 1
    assert "BUG: Bad page state" in out
    assert "nonzero mapcount" in out


def test_run_fails_when_a_step_ends_otherwise_than_the_scenario_says(capsys, scenario):
    path = scenario({"do": "online", "block": 77})

    status, out, _ = said(capsys, "run", path)

    assert status == 1
    assert "-ENOENT" in out
    assert "the scenario expects success" in out


def test_run_is_content_when_a_step_fails_as_it_must(capsys, scenario):
    assert said(capsys, "run", scenario({"do": "online", "block": 77, "errno": "ENOENT"}))[0] == 0


def test_a_machine_that_dies_is_told_and_not_a_python_error(capsys, scenario):
    add = {"do": "add_memory", "start_pfn": 0x100000, "nr_pages": 32768}
    path = scenario(add, {"do": "online", "block": 32}, {"do": "offline", "block": 32})

    # 6.1 with debug_vm: clearing Offline where it is not set is a VM_BUG.
    status, out, _ = said(capsys, "run", path, "--patch", "PAGE_ALLOC", "--release", "6.1", "--debug-vm")

    assert status == 1
    assert "the machine died" in out
    assert "kernel BUG" in out


def test_a_bundled_recording_is_a_scenario_too(capsys):
    assert said(capsys, "run", "6.12-dimm")[0] == 0


# ---- compare, verify, show -------------------------------------------------------------------------


def test_compare_shows_both_sides(capsys):
    status, out, _ = said(capsys, "compare", ONE_BLOCK)

    assert status == 0
    assert "before the patch:" in out
    assert "after the patch:" in out


def test_verify_without_files_takes_the_bundled_recordings(capsys, monkeypatch):
    """Which are two here: tests/fidelity replays them all."""
    names = ["6.1-zone-device", "6.12-dimm"]
    assert set(names) < set(bundled_names())
    monkeypatch.setattr("memsim.cli.verify.bundled_names", lambda: names)

    status, out, _ = said(capsys, "verify", "--quiet")

    *recordings, older, newer, total = out.splitlines()
    assert older.startswith("Linux 6.1: 1 recordings, ")
    assert newer.startswith("Linux 6.12: 1 recordings, ")
    pages, differ, probes = map(int, re.findall(r"\d+", total))
    assert [Path(line.partition(":")[0]).stem for line in recordings] == names
    assert (status, differ) == (0, 0)
    assert pages > 300_000
    assert probes > len(names)


def test_verify_takes_the_name_of_a_bundled_recording(capsys):
    status, out, _ = said(capsys, "verify", "6.1-zone-device")

    assert status == 0
    assert "6.1-zone-device" in out.splitlines()[0]
    assert re.search(r"^[1-9]\d* pages compared, 0 differ", out, re.MULTILINE)


def test_verify_fails_and_names_step_probe_and_page_when_a_recording_says_otherwise(capsys, tmp_path):
    name = "6.12base-after-dimm"
    path = ROOT / "memsim" / "recordings" / "data" / f"{name}.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    wrong = tmp_path / "wrong.json"
    document["states"]["O/1"]["refcount"] = 2
    wrong.write_text(json.dumps(document), encoding="utf-8")

    status, out, _ = said(capsys, "verify", str(wrong))

    assert status == 1
    assert "step 1 notifier:MEM_GOING_ONLINE: 32768 pages, DIFFERS" in out
    assert "first 0x100000: type offline refcount 1; recorded type offline refcount 2" in out
    assert re.search(r"\d+ pages compared, [1-9]\d* differ, \d+ probes", out)


def test_show_stops_at_a_probe_point_and_decodes_a_struct_page(capsys):
    status, out, _ = said(
        capsys, "show", ONE_BLOCK, "--before", "--at", "notifier:MEM_GOING_ONLINE", "--pfn", "0x100000"
    )

    assert status == 0
    assert "32768 pages reserved" in out
    # PG_reserved is bit 13 in 6.12, the zone (3, Movable) starts at bit 51.
    assert f"flags reserved ({3 << 51 | 1 << 13:#x})" in out


def test_show_lists_the_probe_points(capsys):
    out = said(capsys, "show", ONE_BLOCK, "--points")[1]

    assert sum("enter:generic_online_page#" in line for line in out.splitlines()) == 32


# ---- what is wrong with the command or a file ------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (None, "cannot be read"),
        (b"\xff\xfe", "not UTF-8"),
        (b"{", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[]", "must be a JSON object"),
        (b"{}", "'format' is None"),
    ],
)
@pytest.mark.parametrize("command", ["run", "compare", "show", "verify"])
def test_a_bad_file_gets_one_clear_line_and_status_2(capsys, tmp_path, command, content, rule):
    path = tmp_path / "bad.json"
    if content is not None:
        path.write_bytes(content)

    status, out, err = said(capsys, command, str(path))

    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert "bad.json" in err
    assert rule in err or command == "verify"


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["run", ONE_BLOCK, "--patch", "NO_SUCH"], "not a hunk"),
        (["show", ONE_BLOCK, "--at", "enter:nothing"], "does not come to"),
        (["show", ONE_BLOCK, "--block", "99"], "no memory block 99"),
        (["show", ONE_BLOCK, "--pfn", "0xfffffff"], "no struct page"),
        (["show"], "name a SCENARIO"),
        (["show", "--half-patch", "MM_INIT"], "name a SCENARIO"),
        (["show", "--decode", "nothing"], "no part of page->flags"),
        (["show", "--buddy", "free all", "--mib", "3"], "must be one of 4, 8"),
        (["show", ONE_BLOCK, "--driver"], "has no device"),
        (["show", ONE_BLOCK, "--half-patch", "MM"], "not a hunk of the series"),
        (["show", ONE_BLOCK, "--step", "1"], "--step 1: name a POINT in this step with --at"),
        (["show", ONE_BLOCK, "--at", "enter:online_pages", "--step", "2"], "has 2 steps, counted from 0"),
        (["show", ONE_BLOCK, "--half-patch", "MM_INIT", "--step", "-1"], "has 2 steps, counted from 0"),
        (["verify", "6.1-nothing"], "6.1-nothing: cannot be read"),
    ],
)
def test_a_wrong_argument_gets_one_clear_line_and_status_2(capsys, arguments, rule):
    status, _, err = said(capsys, *arguments)

    assert status == 2
    assert rule in err
    assert len(err.splitlines()) == 1


def test_a_number_that_is_none_is_named_with_its_option(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["show", ONE_BLOCK, "--pfn", "first"])

    assert ended.value.code == 2
    assert "argument --pfn: invalid number value: 'first'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "arguments", "rule"),
    [
        (b"", ["book"], ""),  # the system says in its own words that a file is no folder
        (b"\xff", ["show", "--buddy"], "is not UTF-8 text"),
        (b"# Notes", ["handout", "--out", "out"], "is not JSON: Expecting value in line 1"),
        (b"[]", ["handout", "--out", "out"], "is JSON, but no notebook"),
        (b'{"cells": [{}]}', ["handout", "--out", "out"], "is JSON, but no notebook"),
    ],
)
def test_a_file_of_another_kind_is_named_in_one_line(capsys, tmp_path, content, arguments, rule):
    path = tmp_path / "other"
    path.write_bytes(content)

    status, out, err = said(capsys, *arguments, str(path))

    assert (status, out) == (2, "")
    assert err.startswith(f"memsim: {path}")
    assert rule in err
    assert len(err.splitlines()) == 1


class Full(io.FileIO):
    """A file on a disk that is full."""

    full = True

    def write(self, data):
        """Write, or fail as a full disk does."""
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


def test_output_that_cannot_be_written_is_told_and_not_a_python_error(capsys, monkeypatch, tmp_path):
    disk = Full(tmp_path / "out", "w")
    with monkeypatch.context() as patched, io.TextIOWrapper(io.BufferedWriter(disk)) as out:
        patched.setattr(sys, "stdout", out)

        assert main(["show", "--decode", "0x2000"]) == 2
        disk.full = False

    assert capsys.readouterr().err == f"memsim: standard output: {os.strerror(errno.ENOSPC)}\n"
    assert (tmp_path / "out").read_bytes() == b""  # nor is anything written as Python ends


def test_what_an_encoding_lacks_is_told_by_its_number():
    command = [sys.executable, "-m", "memsim", "show", ONE_BLOCK]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, check=False, cwd=ROOT, env=environment)  # noqa: S603 (our own code)

    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"32768 pages not there (\xb7)." in done.stdout


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["verify", "--help"], ["show", "--help"]]
)
def test_help_is_there_and_exits_0(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 0
    assert "usage: memsim" in capsys.readouterr().out


def test_python_dash_m_works_and_a_closed_pipe_is_no_error():
    command = f"{sys.executable} -m memsim show {ONE_BLOCK} --points | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, cwd=ROOT)  # noqa: S602 (a pipe is the point)

    assert done.stdout.startswith("step 0 enter:add_memory")
    assert done.stderr == ""


def test_a_command_whose_reader_has_ended_exits_with_0():
    # bash's PIPESTATUS is the status of the command before the bar.
    command = f"set -o pipefail; {sys.executable} -m memsim show {ONE_BLOCK} --points | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, cwd=ROOT)  # noqa: S603, S607 (our own words)

    assert (done.returncode, done.stderr) == (0, "")


# ---- show: what the widgets show -------------------------------------------------------------------


def test_a_word_is_taken_apart_and_put_together(capsys):
    # page-flags.h of 6.1: type Offline clears bit 8 of page_type. Bit 13 is PG_reserved in 6.12.
    status, out, _ = said(capsys, "show", "--decode", "-257")
    assert (status, "Type Offline." in out) == (0, True)
    out = said(capsys, "show", "--decode", "reserved,zone=2")[1]
    assert out.startswith("0x0010000000002000: 64 bits of page->flags, as Linux 6.12 reads them")
    out = said(capsys, "show", "--decode", "0x2000", "--kind", "flags", "--release", "6.1")[1]
    assert "PG_private" in out


def test_half_a_patch_against_the_whole(capsys):
    status, out, _ = said(capsys, "show", ONE_BLOCK, "--half-patch", "MM_INIT", "--no-check-pages")
    assert status == 1
    assert "offline-free: no page of a free block is of type Offline" in out
    assert "32704 pages free but still Offline" in out
    status, out, _ = said(capsys, "show", ONE_BLOCK, "--half-patch", "after", "--debug-vm", "--step", "0")
    assert status == 0
    assert "with CONFIG_DEBUG_VM, after 1 of 2 steps: no difference from the whole patch." in out


def test_a_small_zone_after_some_lines(capsys, tmp_path):
    lines = "allocate 0 movable; why 0x100001"
    status, out, _ = said(capsys, "show", "--buddy", lines, "--mib", "4", "--release", "6.1")
    assert status == 0
    assert "its partner 0x100000 is not free: refcount 1" in out
    assert "4 MiB of zone Normal [0x100000-0x1003ff], Linux 6.1" in out
    script = tmp_path / "script"
    script.write_text("# one page\nallocate 0 movable\nallocate 11 movable\n")
    status, out, _ = said(capsys, "show", "--buddy", str(script))
    assert status == 1
    assert "✗ allocate 11 movable: order 11: blocks have the orders 0 (1 page) to 10" in out


def test_a_driver_s_book(capsys):
    status, out, _ = said(capsys, "show", "6.12-vmem", "--driver", "--block", "32")
    assert status == 0
    assert "sub-blocks: what the driver says | what the struct pages say" in out


# ---- book ------------------------------------------------------------------------------------------


def test_book_copies_what_came_along_and_not_what_a_reader_made_of_a_copy(tmp_path, monkeypatch, capsys):
    """The welcome page says so, and that a restart does not take changes back, nor does it."""
    monkeypatch.chdir(tmp_path)
    name, original = "00-welcome.ipynb", (ROOT / "book" / "00-welcome.ipynb").read_bytes()
    assert said(capsys, "book", "book")[0] == 0
    assert (tmp_path / "book" / name).read_bytes() == original
    (tmp_path / "book" / name).write_bytes(original.replace(b"Welcome", b"My own notes"))
    assert said(capsys, "book", "again")[0] == 0
    assert (tmp_path / "again" / name).read_bytes() == original
    cells = json.loads(original)["cells"]
    text = " ".join("".join(line for cell in cells for line in cell["source"]).split())
    assert "`git checkout book` in a clone" in text
    assert "runs the whole notebook again, with your changes" in text


@pytest.mark.parametrize("name", [name for helps in COMMANDS.values() for name in helps])
def test_each_command_gets_its_arguments_when_it_is_called(name):
    commands = parser([name])._subparsers._group_actions[0].choices  # noqa: SLF001 (argparse has no other way)
    filled = {each for each, command in commands.items() if command.description}
    assert name in filled
    assert filled <= next(set(helps) for helps in COMMANDS.values() if name in helps)
    assert commands[name].get_default("command")


def test_without_a_command_its_help_is_shown(capsys):
    assert main([]) == 2
    shown = capsys.readouterr().err
    assert "explain the pages of a kernel log" in shown
    assert "the following arguments" not in shown


def test_releases_are_listed_oldest_first(capsys):
    assert list(RELEASES) == ["6.1", "6.11", "6.12", "7.3"]
    with pytest.raises(SystemExit):
        main(["run", "any.json", "--release", "6.5"])
    assert re.search(r"6\.1\W+6\.11\W+6\.12\W+7\.3", capsys.readouterr().err)


@pytest.mark.parametrize("command", ["run", "explain", "replay"])
def test_a_misspelt_file_is_answered_with_similar_names(command, tmp_path, capsys):
    (tmp_path / "one-block.json").write_text("{}", encoding="utf-8")
    assert main([command, str(tmp_path / "one-blok.json")]) == 2
    assert "No such file or directory; similar names there: one-block.json" in capsys.readouterr().err
    assert main([command, str(tmp_path / "away" / "one-blok.json")]) == 2
    assert capsys.readouterr().err.endswith("No such file or directory\n")


def test_a_misspelt_assignment_is_answered_with_similar_names(tmp_path, capsys):
    assert main(["handout", "one-blok", "--out", str(tmp_path)]) == 2
    assert "; the assignments here: one-block" in capsys.readouterr().err
    assert main(["handout", "quantum", "--out", str(tmp_path)]) == 2
    assert "; the assignments here: bad-page, boot, buddy, " in capsys.readouterr().err
