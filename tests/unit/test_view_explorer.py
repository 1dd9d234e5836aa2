"""What an explorer has to show; the browser tests move it, and test_view_replay.py holds what it replays."""

from __future__ import annotations

import gc
import re
from dataclasses import replace
from weakref import ref

import pytest

from memsim import AFTER, Patch, compare
from memsim.errors import MemsimError
from memsim.recordings.observation import bundled
from memsim.scenario.comparison import Moment
from memsim.scenario.moments import moment_name
from memsim.view.explorer import explorer as widget
from memsim.view.explorer import inputs
from memsim.view.explorer.explorer import Explorer, explore
from memsim.view.explorer.export import export
from memsim.view.explorer.timeline import Walk
from memsim.view.explorer.words import argument_text, call_text
from memsim.view.model.page_class import PageClass, class_counts
from memsim.view.model.text import block_sentence, counters_table, free_lists_table
from tests.frontend.replay import landmarks

BLOCK, PAGES = 32, 32768
THIRD_CHUNK = (1, "enter:generic_online_page#3")
VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def recordings():
    return [bundled("6.12base-before-dimm"), bundled("6.12base-after-dimm")]


@pytest.fixture(scope="module")
def scenario(recordings):
    return replace(recordings[0].scenario, steps=recordings[0].scenario.steps[:2])


@pytest.fixture(scope="module")
def both(scenario):
    return compare(scenario)


@pytest.fixture
def explorer(both, recordings):
    return explore(both, block=BLOCK, recordings=recordings, start=THIRD_CHUNK)


@pytest.fixture
def walk(both, recordings):
    return Walk(both, BLOCK, recordings)


# ---- moments ---------------------------------------------------------------------------------------


def test_the_moments_are_the_comparison_s_and_the_ends_of_steps(both):
    walk = Walk(both, BLOCK)
    added = [moment for moment in walk.moments if moment not in both.moments]
    assert [(moment.step, moment.point) for moment in added] == [(-1, "done"), (0, "done"), (1, "done")]
    assert [moment for moment in walk.moments if moment in both.moments] == list(both.moments)
    assert walk.look(0).happening == "done: both kernels have booted"
    last = walk.look(len(walk.moments) - 1)
    assert last.happening == "done: the step has ended: ok"
    # Only after the last probe point of the step does sysfs show the block as online.
    assert all("sysfs state online, section online" in side.sentence for side in last.sides)


def test_moments_of_boot_have_names_where_the_tapes_begin_at_power_on(scenario):
    walk = Walk(compare(scenario, from_boot=True), 0)
    names = [moment_name(walk.moments[at]) for at in landmarks(walk)]
    assert names[:3] == [
        "boot enter:memmap_init_range",
        "boot enter:memblock_free_all",
        "boot enter:__free_pages_core",
    ]
    assert names[3] == "after boot"
    assert walk.look(0).heading.endswith(", boot")
    done = walk.look(walk.find(-1, "done"))
    assert done.happening == "done: both kernels have booted"
    assert done.heading.endswith(", after boot, before the first step")


def test_what_happens_in_one_line(both):
    walk = Walk(both, BLOCK)
    said = walk.look(walk.find(*THIRD_CHUNK)).happening
    assert said == "enter:generic_online_page#3: generic_online_page(0x100800, 0xa) is entered"
    entered = both.event(both.moments[both.find(1, "enter:memory_block_online")])
    assert call_text(entered) == "memory_block_online(memory32, online_movable) is entered"
    notified = both.event(both.moments[both.find(1, "notifier:MEM_GOING_ONLINE")])
    assert call_text(notified) == "the memory notifier chain is called: MEM_GOING_ONLINE"
    returned = both.event(both.moments[both.find(1, "return:online_pages")])
    assert call_text(returned) == "online_pages() returns"
    assert [argument_text(value) for value in (True, None, 10, "x")] == ["true", "none", "0xa", "x"]


def test_a_step_that_fails_says_so(scenario):
    steps = ({**scenario.steps[0]}, {"do": "offline", "block": 0, "errno": "EBUSY"})
    walk = Walk(compare(replace(scenario, steps=steps)), BLOCK)
    # RAM from 0 on is partly ZONE_DMA, and a block that spans zones cannot go offline.
    assert "-EINVAL from memory_block_offline()" in walk.look(walk.find(1, "done")).happening


def test_recordings_must_fit(both, recordings, scenario):
    with pytest.raises(MemsimError, match="neither MM_INIT nor after"):
        Walk(compare(scenario, Patch.parse("MM_INIT")), BLOCK, recordings[:1])
    other = replace(scenario, steps=(scenario.steps[0], {"do": "online", "block": 33}))
    with pytest.raises(MemsimError, match=r"step 1 was .*'block': 32.*, in the scenario it is .*'block': 33"):
        Walk(compare(other), BLOCK, recordings)
    elsewhere = replace(scenario, machine={"ram": [[0, 65536]]})
    with pytest.raises(MemsimError, match="another machine"):
        Walk(compare(elsewhere), BLOCK, recordings)
    with pytest.raises(MemsimError, match="memory block 99 does not exist at any moment; blocks are"):
        Walk(both, 99)
    with pytest.raises(KeyError, match="step 1 has no moment 'enter:kmalloc'"):
        Walk(both, BLOCK).find(1, "enter:kmalloc")


# ---- what is shown ---------------------------------------------------------------------------------


def test_the_text_twin_is_the_state(both, explorer):
    moment = both.moments[both.find(*THIRD_CHUNK)]
    before, after = both.states(moment)
    text = explorer.text(explorer.start)
    assert block_sentence(before, BLOCK, PAGES) in text
    assert block_sentence(after, BLOCK, PAGES) in text
    columns = {"before": before, "after": after}
    assert free_lists_table(columns, "Movable") in text
    # Nothing has changed since the moment before: this is the entry of a function.
    assert counters_table(columns) in text
    assert text.count("agrees, 32768 pages compared") == 2
    assert "2048 pages free" in text
    assert "30720 pages Offline" in text


def test_what_changed_since_the_moment_before_is_marked(explorer):
    """__free_pages_core() counts a chunk as managed; the block is counted as present later, at once."""
    lines = explorer.text(explorer.walk.find(1, "return:__free_pages_core#3")).splitlines()
    managed = next(line for line in lines if line.startswith("Movable  managed"))
    assert managed.split() == ["Movable", "managed", "3072*", "3072*"]
    present = next(line for line in lines if line.startswith("Movable  present"))
    assert present.split() == ["Movable", "present", "0", "0"]
    # 6.12's __free_pages_core() counts MemTotal, too; before the patch generic_online_page() did, later.
    total = next(line for line in lines if line.startswith("all "))
    assert total.split() == ["all", "totalram", "133120", "134144*"]


def test_who_acted_is_who_wrote(walk):
    """Not the function whose probe point it is: a return belongs to the caller's line."""
    code = walk.look(walk.find(1, "return:memmap_init_range")).code
    assert code == (
        "Code: written by memmap_init_range(). Branches of the patch there: "
        "MM_INIT (without it before, with it after)."
    )
    entered = walk.look(walk.find(*THIRD_CHUNK)).code
    assert entered.startswith("Code: generic_online_page(), called by online_pages_range(), online_pages()")
    assert entered.endswith("; nothing was written since the moment before.")


# ---- recordings ------------------------------------------------------------------------------------


def test_recordings_agree_wherever_there_are_any(walk):
    seen = 0
    recorded = {index for probes in walk.probes.values() for index in probes}
    for index in {*landmarks(walk), *recorded}:
        for side in walk.look(index).sides:
            assert side.recorded.kernel == "6.12.117, our build"
            assert (side.recorded.agrees is True) is (index in recorded)
            seen += side.recorded.agrees is True
    assert seen == 14


def test_between_recordings_it_names_the_last_one(walk):
    index = walk.find(*THIRD_CHUNK)
    assert [side.recorded.says for side in walk.look(index + 1).sides] == [
        "no recording at this moment (last one: step 1 enter:generic_online_page#3)"
    ] * 2
    assert "(last one: step 1 notifier:MEM_GOING_ONLINE)" in walk.look(index - 1).sides[0].recorded.says
    assert "(last one: after boot)" in walk.look(1).sides[0].recorded.says


def test_a_difference_is_told(both, recordings):
    """A recording with one other page and one other counter must not agree."""
    recording = recordings[0]
    probes = [dict(probe) for probe in recording.probes]
    at = next(i for i, probe in enumerate(probes) if (probe["step"], probe["at"]) == THIRD_CHUNK)
    blocks = {key: dict(block) for key, block in probes[at]["blocks"].items()}
    blocks["32"]["pages"] = [[PAGES, "R/1"]]
    zones = {key: dict(zone) for key, zone in probes[at]["zones"].items()}
    zones["Movable"]["managed"] += 1
    probes[at] |= {"blocks": blocks, "zones": zones}
    wrong = replace(recording, probes=tuple(probes))
    walk = Walk(both, BLOCK, [wrong])
    sides = walk.look(walk.find(*THIRD_CHUNK)).sides
    assert sides[0].recorded.agrees is False
    assert sides[0].recorded.says.startswith(
        "Movable.managed_pages is 2048, recorded 2049; 2048 pages differ, first"
    )
    assert class_counts(sides[0].recorded.page_map.classes) == {PageClass.RESERVED: PAGES}
    assert sides[1].recorded is None
    shown = export(walk)["recorded"]
    assert shown[1] is None
    assert shown[0]["probes"][walk.find(*THIRD_CHUNK)]["map"] == [[PAGES], [PageClass.RESERVED], [-1]]


def test_a_step_that_ended_otherwise_is_told(both, recordings):
    probes = tuple(
        {**probe, "errno": "EBUSY"} if (probe["step"], probe["at"]) == (1, "done") else probe
        for probe in recordings[1].probes
    )
    walk = Walk(both, BLOCK, [replace(recordings[1], probes=probes)])
    recorded = walk.look(walk.find(1, "done")).sides[1].recorded
    assert recorded.agrees is False
    assert recorded.says == "the step ended with None, recorded EBUSY"


def test_what_a_recording_does_not_tell_is_said(recordings):
    whole = recordings[0].scenario
    walk = Walk(compare(whole), BLOCK, recordings)
    recorded = walk.look(walk.find(3, "done")).sides[0].recorded
    assert recorded.says == (
        "agrees, 32768 pages compared; of 32768 it says only that the buddy manages them"
    )


# ---- other kernels ---------------------------------------------------------------------------------


def test_half_a_patch_is_called_by_its_hunks(scenario):
    explorer = explore(
        compare(scenario, after=Patch.parse("MM_INIT"), check_pages=False), block=BLOCK, start=(1, "done")
    )
    assert [side["title"] for side in export(explorer.walk)["sides"]] == [
        "Before the patch",
        "With MM_INIT only",
    ]
    assert "free but still Offline (F" in repr(explorer)
    assert re.search(r"counter +before +MM_INIT", repr(explorer))
    assert explorer.title == "Memory block 32, two kernels: before, MM_INIT"


@pytest.mark.long
def test_a_machine_that_dies_is_told(scenario):
    both = compare(scenario)
    both.after.outcomes.pop()
    both.after.died = "VM_BUG_ON_PAGE in __ClearPageOffline"
    explorer = explore(both, block=BLOCK, start=(1, "done"))
    assert "before: ok; after: the machine died: VM_BUG_ON_PAGE in __Clear" in repr(explorer)
    assert export(explorer.walk)["ends"][1] == [
        "ok",
        "the machine died: VM_BUG_ON_PAGE in __ClearPageOffline",
    ]


def test_a_patch_without_one_hunk_has_a_short_name(scenario):
    walk = Walk(compare(scenario, after=Patch.without(Patch.parse("PAGE_ALLOC"))), BLOCK)
    assert [side.title for side in walk.look(0).sides] == ["Before the patch", "Without PAGE_ALLOC"]


def test_two_kernels_of_the_same_patch_have_different_names(scenario):
    walk = Walk(compare(scenario, AFTER, AFTER), BLOCK)
    assert [side.name for side in walk.look(3).sides] == ["before", "after"]


def test_the_kernel_log_is_shown(scenario):
    half = compare(scenario, after=Patch.parse("MM_INIT"), debug_vm=True)
    explorer = explore(half, block=BLOCK, start=(1, "done"))
    assert half.after.machine.log
    assert "The kernel log ends with:" in repr(explorer)
    assert half.after.machine.log[-1] in repr(explorer)


# ---- without a kernel ------------------------------------------------------------------------------


def test_the_stored_output_needs_no_kernel_and_no_network(explorer):
    first, _ = explorer._repr_mimebundle_()
    assert set(first) == {"text/plain", "text/html", VIEW}
    assert first["text/plain"] == repr(explorer)
    assert repr(explorer) == f"{explorer.title}\n{explorer.text(explorer.start)}"
    html = first["text/html"]
    assert html.count('alt="Page map') == 2
    assert 'class="memsim-static"' in html
    assert "http:" not in html
    assert "https:" not in html
    assert all(source.startswith("data:") for source in re.findall(r'(?:src|href)="([^"]*)', html))
    assert explorer.model_id not in html + first["text/plain"]
    assert all(source.startswith("data:image/svg+xml;") for source in re.findall('src="([^"]*)', html))
    assert len(html) < 40_000
    # Another explorer, and this one after it was moved, stores the same.
    explorer.go(0)
    again, _ = explorer._repr_mimebundle_()
    assert (again["text/plain"], again["text/html"]) == (first["text/plain"], html)


def test_a_stored_output_is_the_same_next_time(scenario, recordings):
    explorers = [
        explore(compare(scenario), block=BLOCK, recordings=recordings, start=THIRD_CHUNK) for _ in range(2)
    ]
    bundles = [explorer._repr_mimebundle_()[0] for explorer in explorers]
    assert [b["text/plain"] for b in bundles] == [bundles[0]["text/plain"]] * 2
    assert [b["text/html"] for b in bundles] == [bundles[0]["text/html"]] * 2


def test_what_an_explorer_shows_is_not_computed_again(scenario, monkeypatch):
    first = explore(scenario, block=BLOCK)
    monkeypatch.setattr(inputs, "compare", None)
    monkeypatch.setattr(widget, "export", None)
    again = explore(replace(scenario), block=BLOCK)
    assert again is not first
    assert again.packed is first.packed
    assert again.text(3) == first.text(3)
    with pytest.raises(TypeError):  # another scenario is run
        explore(replace(scenario, title="another"))
    with pytest.raises(TypeError):  # another start is sent
        explore(scenario, block=BLOCK, start=3)
    monkeypatch.undo()
    other = explore(scenario, block=BLOCK + 1)
    assert other.walk.comparison is first.walk.comparison
    assert (other.walk.block, first.walk.block) == (BLOCK + 1, BLOCK)


def test_nothing_is_kept_of_an_explorer_that_is_gone(scenario):
    explorer = explore(replace(scenario, title="gone"), block=BLOCK)
    walk, comparison = ref(explorer.walk), ref(explorer.walk.comparison)
    explorer.close()
    del explorer
    gc.collect()
    assert walk() is None
    assert comparison() is None


def test_an_index_to_start_with_is_the_comparison_s(both):
    by_index = explore(both, block=BLOCK, start=both.find(*THIRD_CHUNK))
    by_name = explore(both, block=BLOCK, start=THIRD_CHUNK)
    assert by_index.start == by_name.start
    assert isinstance(by_name.walk.moments[by_name.start], Moment)
    assert isinstance(by_name, Explorer)
    assert explore(both, block=BLOCK).start == 0


def test_pictures_have_alternative_texts(explorer):
    before, after = re.findall(r'alt="([^"]*)"', explorer.stored_html)
    assert before == (
        "Page map before the patch: 30720 pages reserved (R), 2048 pages free (B); pageblocks 0-3 B, 4-63 R"
    )
    assert after.startswith("Page map after the patch: 30720 pages Offline (O)")


def test_python_can_lead_the_way(explorer):
    explorer.go(7)
    assert explorer.fragment == "moment=7"
    explorer.look_at(33)
    assert explorer.fragment == "moment=7&block=33"
    explorer.go(10_000)
    assert explorer.fragment == f"moment={len(explorer.walk.moments) - 1}"
    with pytest.raises(MemsimError, match="0-3, 32-33"):
        explorer.look_at(17)
