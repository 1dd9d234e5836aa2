"""What commands print on a terminal and in a file: width, colours, tables, maps, JSON, differences."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from memsim import compare
from memsim.cli import main, terminal
from memsim.linux.include.page_flags import LIVE, PageFlag, PageTypeEncoding
from memsim.scenario.moments import all_moments
from memsim.scenario.page_differences import ABSENT, described, differences_at, stretches
from memsim.view.model.page_class import PageClass

SCENARIOS = Path(__file__).parents[2] / "book" / "scenarios"
ONE_BLOCK = str(SCENARIOS / "one-block.json")
WITHHELD = str(SCENARIOS / "withheld-block.json")


def said(capsys, *arguments):
    """Run a command; return (exit status, standard output)."""
    status = main(list(arguments))
    return status, capsys.readouterr().out


@pytest.fixture
def tty(monkeypatch):
    """Return a function that makes standard output a terminal of some columns."""

    def make(columns, *, colours=True):
        monkeypatch.setattr(terminal, "on_terminal", lambda: True)
        size = os.terminal_size((columns, 24))
        monkeypatch.setattr(terminal.shutil, "get_terminal_size", lambda *_, **__: size)  # pytest asks, too
        monkeypatch.setenv("NO_COLOR", "" if colours else "1")

    return make


# ---- what differs, when and for how long ---------------------------------------------------------------


def test_compare_says_what_differs_from_when_to_when(capsys):
    status, out = said(capsys, "compare", ONE_BLOCK)

    assert status == 0
    found = re.search(
        r"to 32,768 pages from step 1 return:memmap_init_range to step 1 \S+ \(\d+ of \d+ moments\), "
        r"the first pfn 0x100000: PG_reserved, refcount 1 before the patch, type Offline, refcount 1 after",
        out,
    )
    assert found


def test_the_marks_of_hotplugged_memory_differ_as_the_patch_says():
    """mm/mm_init.c: before the patch PG_reserved, after it type Offline, until the pages are onlined."""
    both = compare(ONE_BLOCK)
    moments = all_moments(both)
    (stretch,) = stretches(both, moments)
    assert stretch.pages == 32768
    assert stretch.pfn == 0x100000
    assert moments[stretch.first].point == "return:memmap_init_range#1"
    assert not differences_at(both, moments[-1])


def test_compare_counts_the_pages_that_comparison_counts():
    both = compare(WITHHELD)
    for moment in all_moments(both)[::9]:
        counted = sum(found.pages for found in differences_at(both, moment).values())
        sections = both.states(moment)[1].memmap.sections
        assert counted == sum(both.differing_pages(moment, nr << 15, 1 << 15) for nr in sections)


@pytest.mark.long
def test_compare_at_one_moment_and_in_one_step(capsys):
    _, out = said(capsys, "compare", ONE_BLOCK, "--at", "enter:online_pages_range", "--step", "1")
    assert "32,768 pages from step 1 enter:online_pages_range to the end (1 of 1 moments)" in out
    _, out = said(capsys, "compare", ONE_BLOCK, "--step", "0")
    assert "No struct page differs" in out
    assert main(["compare", ONE_BLOCK, "--at", "enter:nothing"]) == 2
    assert "do not come to 'enter:nothing'" in capsys.readouterr().err
    assert main(["compare", ONE_BLOCK, "--step", "9"]) == 2
    assert "has 2 steps, counted from 0" in capsys.readouterr().err


@pytest.mark.long
def test_compare_exits_with_1_where_asked_and_pages_differ(capsys):
    assert said(capsys, "compare", ONE_BLOCK, "--exit-code")[0] == 0
    assert said(capsys, "compare", WITHHELD)[0] == 0
    assert said(capsys, "compare", WITHHELD, "--exit-code")[0] == 1
    assert said(capsys, "compare", ONE_BLOCK, "--exit-code", "--at", "enter:online_pages_range")[0] == 1


def test_a_page_is_described_in_the_words_of_the_kernel():
    byte = PageTypeEncoding("byte")
    value = int(PageFlag.RESERVED | LIVE) << 32 | 0xF1 << 24 | 1
    assert described(value, byte) == "PG_reserved, type Offline, refcount 1"
    assert described(LIVE << 32 | 0xF0 << 24 | 9 << 16, byte) == "type Buddy, order 9, refcount 0"
    assert described(LIVE << 32 | 0xFF << 24 | 0xFFFF, byte) == "no flag, no type, refcount -1"
    assert described(0, byte) == "not initialised"
    assert described(ABSENT, byte) == "no struct page"


# ---- JSON ----------------------------------------------------------------------------------------------


def test_json_says_the_same_as_the_text(capsys):
    ran = json.loads(said(capsys, "run", ONE_BLOCK, "--json", "--check")[1])
    assert ran["zones"]["Movable"]["managed"] == 32768
    assert [outcome["errno"] for outcome in ran["outcomes"]] == [None, None]
    assert ran["violations"] == []
    assert ran["blocks"]["32"] == {"state": "online", "pages": {"free": 32768}}

    compared = json.loads(said(capsys, "compare", ONE_BLOCK, "--json")[1])
    assert compared["differences"][0]["pages"] == 32768
    first = compared["moments"][compared["differences"][0]["first_moment"]]
    assert first == {"step": 1, "point": "return:memmap_init_range#1"}

    shown = json.loads(said(capsys, "show", ONE_BLOCK, "--json", "--pfn", "0x100000")[1])
    assert shown["zones"] == ran["zones"]
    assert "pfn 0x100000" in shown["pages"][0]

    verified = json.loads(said(capsys, "verify", "6.12-dimm", "--json")[1])
    assert verified["agrees"] is True
    assert verified["differ"] == 0
    assert sum(probe["pages"] for probe in verified["recordings"][0]["probes"]) == verified["pages"]

    claims = json.loads(said(capsys, "claims", "--json")[1])
    assert any(chapter["claims"] for chapter in claims["chapters"])


# ---- the terminal --------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("columns", [60, 100])
def test_lines_fit_the_terminal(capsys, tty, columns):
    tty(columns, colours=False)
    for command in (["compare", ONE_BLOCK, "--map"], ["run", ONE_BLOCK, "--map"]):
        for line in said(capsys, *command)[1].splitlines():
            assert len(line) <= columns, line


@pytest.mark.long
def test_words_are_not_lost_where_lines_are_wrapped(capsys, tty):
    tty(1000, colours=False)
    wide = said(capsys, "compare", ONE_BLOCK)[1].split()
    tty(1200, colours=False)
    assert said(capsys, "compare", ONE_BLOCK)[1].split() == wide


def test_there_are_no_colours_in_a_file_nor_with_no_color(capsys, tty):
    assert "\x1b" not in said(capsys, "run", ONE_BLOCK, "--map")[1]
    tty(100, colours=False)
    assert "\x1b" not in said(capsys, "run", ONE_BLOCK, "--map")[1]
    tty(100)
    assert "\x1b[38;2;" in said(capsys, "run", ONE_BLOCK, "--map")[1]


def test_tables_are_plain_text_without_rich(capsys, tty, monkeypatch):
    tty(100, colours=False)
    monkeypatch.setattr(terminal, "find_spec", lambda _: None)
    out = said(capsys, "run", ONE_BLOCK)[1]
    assert re.search(r"^zone +start_pfn +spanned +present +managed", out, re.MULTILINE)
    assert re.search(r"^Movable +0x100000 +32768 +32768 +32768", out, re.MULTILINE)


def test_a_map_shows_each_class_where_it_is(capsys):
    out = said(capsys, "run", WITHHELD, "--map")[1]
    rows = [line for line in out.splitlines() if re.fullmatch(r"[RSOBAPXNF·*+]{64}", line)]
    assert len(rows) == 16
    # 512 pages of self-hosted vmemmap are the first 16 cells of 32 pages, the rest is Offline.
    assert rows[0] == "S" * 16 + "O" * 48
    assert set("".join(rows[1:])) == {"O"}


def test_a_cell_shows_what_is_not_free():
    classes = np.full(32768, PageClass.FREE, np.uint8)
    classes[33] = PageClass.ALLOCATED
    cells = terminal.map_cells(classes, 64)
    assert cells[0, 1] == PageClass.ALLOCATED
    assert (cells == PageClass.FREE).sum() == cells.size - 1


@pytest.mark.parametrize("columns", [40, 63, 64, 100])
def test_a_map_has_a_power_of_two_of_columns(columns):
    cells = terminal.map_cells(np.zeros(32768, np.uint8), min(64, columns))
    assert cells.shape == (16, 32 if columns < 64 else 64)
