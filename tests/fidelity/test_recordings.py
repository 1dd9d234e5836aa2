"""The judge: what real kernels showed, page by page (observed/README.md)."""

from __future__ import annotations

from functools import cache

import pytest

from memsim.recordings.observation import bundled, bundled_names
from memsim.recordings.replay import replay

pytestmark = pytest.mark.fidelity

DIMMS = ("6.1-dimm", "6.12-dimm", "6.12base-before-dimm", "6.12base-after-dimm")


@cache
def replayed(name):
    """Replay a recording once."""
    return replay(bundled(name))


@pytest.mark.parametrize("name", bundled_names())
def test_the_simulator_shows_what_the_recorded_kernel_showed(name):
    problems = [
        f"step {result.step} {result.at}: {problem}"
        for result in replayed(name).results
        for problem in result.problems
    ]
    assert problems == []


@pytest.mark.parametrize("name", bundled_names())
def test_every_recorded_probe_is_compared_and_in_the_order_of_the_recording(name):
    observation = bundled(name)
    compared = [(result.step, result.at) for result in replayed(name).results]
    assert compared == [(probe["step"], probe["at"]) for probe in observation.probes]


@pytest.mark.parametrize("name", bundled_names())
def test_with_shortcuts_between_its_probes_a_replay_compares_the_same_and_finds_the_same(name):
    fast = replay(bundled(name), shortcuts=True).results
    compared = [(result.step, result.at, result.pages) for result in fast]
    assert compared == [(result.step, result.at, result.pages) for result in replayed(name).results]
    assert [problem for result in fast for problem in result.problems] == []


@pytest.mark.parametrize("name", bundled_names())
def test_after_a_replay_no_invariant_is_broken(name):
    assert replayed(name).run.machine.check() == []


def test_the_dimm_was_recorded_on_both_sides_of_the_patch_and_on_one_base():
    sides = {name: bundled(name).patch.name for name in DIMMS}
    assert sides == {
        "6.1-dimm": "before",
        "6.12-dimm": "after",
        "6.12base-before-dimm": "before",
        "6.12base-after-dimm": "after",
    }


def test_more_than_a_million_pages_are_compared_on_the_dimm_alone():
    counts = {name: sum(result.pages for result in replayed(name).results) for name in DIMMS}
    assert sum(counts.values()) > 1_000_000
    assert min(counts.values()) > 32768 * 10  # each of them says something about whole blocks


def test_the_recordings_show_every_moment_that_the_patch_changes():
    # So that nobody can take one away and have the judge look elsewhere.
    for name in DIMMS:
        at = {probe["at"] for probe in bundled(name).probes}
        assert {
            "notifier:MEM_GOING_ONLINE",
            "enter:generic_online_page#3",
            "enter:undo_isolate_page_range",
            "notifier:MEM_GOING_OFFLINE",
            "enter:__offline_isolated_pages",
            "notifier:MEM_OFFLINE",
        } <= at


@pytest.mark.parametrize(("name", "mark"), [("6.12base-before-dimm", "R/1"), ("6.12base-after-dimm", "O/1")])
def test_what_the_patch_changes_is_what_the_recorded_kernels_show(name, mark):
    # The claim of the first chapter, from the recordings alone.
    observation = bundled(name)
    assert observation.page_counts(1, "notifier:MEM_GOING_ONLINE", 32) == {mark: 32768}
    assert observation.page_counts(1, "enter:generic_online_page#3", 32)[mark] == 32768 - 2 * 1024
    assert mark not in observation.page_counts(1, "done", 32)
