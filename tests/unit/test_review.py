"""The proposals to review run in place of the models, and four of the five do harm that a story shows."""

from __future__ import annotations

import inspect

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memsim import AFTER, Machine, MemsimError
from memsim.lesson.review import PROPOSALS, STEPS, applied, play, show_proposal
from memsim.linux.drivers.hv.hv_balloon import ballooning, region
from memsim.machine.bad_page_report import bad_page_reports
from memsim.source.hunks import decided
from memsim.source.listings import listings
from memsim.state.trace import FUNCTIONS, SHORTCUTS

HARM = {
    "hv-free-range": ([4, 5], "nonzero mapcount"),
    "virtio-count-first": ([0, 2, 3, 5], "512 pages are plugged, and 0 of them managed"),
    "xen-born-offline": ([3], "a crash dump reads 500 pages"),
    "hv-whole-chunks": ([0, 2, 3], "600 managed pages are not backed"),
    "virtio-count-first-v2": ([0, 2, 7, 5], "16384 pages are plugged, and 15872 of them managed"),
    "virtio-cancel": ([0, 2, 3, 6, 6], "is still referenced while offlining"),
    "xen-retrieve": ([3, 4], "nonzero mapcount"),
}
"""A story that shows what is wrong with a proposal, and a piece of what it shows.

Freed while Offline: free_pages_prepare(). One page of a sub-block is pinned: alloc_contig_range() fails.
Pages from the buddy are not Offline. The host skipped 600 pages of a chunk. No page to migrate to: ENOMEM.
The second attempt to take a block offline finds refcount 0. free_reserved_page() knows nothing of types.
"""
RIGHT = ("hv-born-offline", "hv-whole-chunks-v2")
every_proposal = pytest.mark.parametrize("name", PROPOSALS)


def state(machine):
    """Return all that a proposal must leave as it was: counters, blocks, and every page."""
    kept = machine.kernel.state
    zones = [
        (zone.spanned_pages, zone.present_pages, zone.managed_pages, zone.nr_free_pages)
        for zone in kept.zones
    ]
    pages = {
        number: tuple(
            getattr(section.pages, part).tobytes() for part in ("flags", "type", "order", "refcount")
        )
        for number, section in kept.memmap.sections.items()
    }
    return zones, kept.totalram_pages, dict(kept.blocks), pages, machine.log


@pytest.mark.long
@pytest.mark.parametrize("name", HARM)
def test_a_wrong_proposal_breaks_a_story_that_the_model_does_not_break(name):
    script, wanted = HARM[name]
    assert play(name, script, apply=False).faults == ()
    assert any(wanted in fault for fault in play(name, script).faults)


def test_the_others_are_right():
    assert set(PROPOSALS) - set(HARM) == set(RIGHT)


@pytest.mark.long
@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(RIGHT),
    st.lists(st.integers(0, 6), min_size=2, max_size=6),
    st.sampled_from(["6.12", "7.3"]),
)
def test_a_right_proposal_changes_nothing(name, script, release):
    with_it, without = (play(name, script, apply=apply, release=release) for apply in (True, False))
    assert with_it.errnos == without.errnos
    assert state(with_it.machine) == state(without.machine)
    assert with_it.faults == without.faults


@pytest.mark.long
@every_proposal
def test_the_models_break_no_story(name):
    """Whatever is found belongs to the proposal."""
    for script in ([0, 1, 2, 3, 4, 5, 6], [3, 0, 5, 4], [1, 2, 3, 5, 0, 6]):
        assert play(name, script, apply=False).faults == ()


def test_7_3_forgives_what_6_12_does_not():
    """free_pages_prepare() resets the type of the first page since 6.17, so nothing is missing there."""
    assert play("hv-free-range", [4, 5], release="6.12").faults != ()
    assert play("hv-free-range", [4, 5], release="7.3").faults == ()


# ---- for real ------------------------------------------------------------------------------------------


@every_proposal
def test_what_runs_is_what_is_shown(name):
    """The lines of the diff, without the sign, are the model's and the replacement's."""
    proposal = PROPOSALS[name]
    before = decided(listings(proposal.function)[0], AFTER)
    after = inspect.getsource(proposal.replacement()).splitlines()
    for line in proposal.diff():
        if line != "     ...":
            assert (line[0] == "+") or line[1:] in before
            assert (line[0] == "-") or line[1:] in after


def test_the_replacement_is_called_wherever_the_model_was_imported():
    """The call trace of a report goes through the function that the proposal brings."""
    proposed = PROPOSALS["hv-free-range"].replacement()
    with applied("hv-free-range"):
        machine = Machine(devices=[{"kind": "hv-balloon", "name": "hv0"}])
        balloon = machine.devices["hv0"]
        balloon.inflate(4)
        with bad_page_reports(machine, {proposed.__module__: "proposed"}) as reports:
            balloon.deflate()
    assert "free_balloon_pages [proposed]" in reports[0].calls
    assert "balloon_down" in reports[0].calls


def test_everything_is_put_back_whatever_happens():
    models, shortcuts = (ballooning.free_balloon_pages, region.hv_online_page), dict(SHORTCUTS)

    def fail():
        with applied("hv-free-range"):
            assert ballooning.free_balloon_pages is not models[0]
            assert region.hv_online_page is models[1]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (ballooning.free_balloon_pages, region.hv_online_page) == models
    assert {key: SHORTCUTS[key] for key in shortcuts} == shortcuts
    assert FUNCTIONS["free_balloon_pages"] is models[0].__wrapped__


@pytest.mark.long
def test_a_recorded_machine_has_the_function_on_its_tape():
    with applied("hv-whole-chunks"):
        machine = Machine(
            devices=[{"kind": "hv-balloon", "name": "hv0"}], default_online_type="online_movable"
        )
        tape = machine.record()
        machine.devices["hv0"].hot_add(0x100000, 1024)
    points = [event.point for event in tape.events]
    assert any(point.startswith("enter:hv_online_page") for point in points)
    one_by_one = {point for point in points if point.startswith("enter:hv_page_online_one#")}
    assert len(one_by_one) == 32768 - 1024  # the chunk that is backed went as a whole


# ---- what is wrong with the input ----------------------------------------------------------------------


def test_an_unknown_proposal_is_refused_with_those_that_there_are():
    for ask in (show_proposal, lambda name: play(name, [])):
        with pytest.raises(MemsimError, match="no proposal 'hv'; there are hv-free-range"):
            ask("hv")
    with pytest.raises(MemsimError, match="no proposal"), applied("hv"):
        pass


@pytest.mark.parametrize("number", [-1, 7])
def test_an_unknown_step_is_refused(number):
    with pytest.raises(MemsimError, match=f"no step {number}; the steps of xen-balloon are 0 to 6"):
        play("xen-born-offline", [0, number])


def test_each_device_has_its_steps():
    assert {proposal.device for proposal in PROPOSALS.values()} == set(STEPS)
    assert {kind: len(steps) for kind, steps in STEPS.items()} == {
        "hv-balloon": 7,
        "virtio-mem": 8,
        "xen-balloon": 7,
    }


@every_proposal
def test_a_proposal_is_shown_with_numbered_lines_and_signs(name):
    shown = show_proposal(name)
    lines = repr(shown).splitlines()
    assert lines[0] == f"[PATCH] {PROPOSALS[name].subject}"
    numbered = [line for line in lines if line[:3].strip().isdigit()]
    assert [int(line[:3]) for line in numbered] == list(range(1, len(PROPOSALS[name].diff()) + 1))
    html = shown._repr_html_()
    assert html.count("<del ") == sum(line[4] == "-" for line in numbered)
    assert html.count("<ins ") == sum(line[4] == "+" for line in numbered)
