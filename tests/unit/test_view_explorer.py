"""The explorer, moved from Python; the browser tests move it with the keyboard."""

from __future__ import annotations

import re
import time
from dataclasses import replace

import pytest

from memsim import AFTER, Patch, compare
from memsim.errors import MemsimError
from memsim.recordings.observation import bundled
from memsim.scenario.comparison import Moment
from memsim.view.explorer.explorer import ELSEWHERE, Explorer, explore
from memsim.view.explorer.timeline import Walk
from memsim.view.model.moments import argument_text, call_text, named_moments
from memsim.view.model.page_class import PageClass, class_counts
from memsim.view.model.tables import counters_table, free_lists_table
from memsim.view.model.text import block_sentence

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


def pictures(explorer):
    """Return the alternative texts of the page maps that are shown."""
    return [view.pages.alt for view in explorer.sides.values()]


def verdicts(explorer):
    return re.findall(r"<p>Recorded kernel ([^:]*): <b>([^<]*)</b>", says(explorer))


def says(explorer):
    return "".join(view.says.value for view in explorer.sides.values())


def shown(explorer):
    """Return all that there is to see, but for the page's story."""
    return (sources(explorer), says(explorer), explorer.code.html, explorer.tables.value, explorer.twin.text)


def sources(explorer):
    """Return the pictures of all maps."""
    return [each.source for view in explorer.sides.values() for each in (view.machine, view.pages)]


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


def test_moments_with_names(both, recordings):
    names = dict(Walk(both, BLOCK, recordings).named())
    assert "after boot, recorded" in names
    assert "step 1 enter:online_pages" in names
    assert "step 1 enter:generic_online_page" in names
    assert "step 1 enter:generic_online_page#3, recorded" in names
    assert "step 1 notifier:MEM_GOING_ONLINE, recorded" in names
    assert "step 1 enter:generic_online_page#4" not in names
    assert not any("return:" in name for name in names)
    assert list(names.values()) == sorted(names.values())
    without = [name for name, _ in named_moments(Walk(both, BLOCK).moments, [])]
    assert "step 1 enter:generic_online_page#3" not in without


def test_moments_of_boot_have_names_where_the_tapes_begin_at_power_on(scenario):
    walk = Walk(compare(scenario, from_boot=True), 0)
    names = [name for name, _ in walk.named()]
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
    text = explorer.twin.text
    assert block_sentence(before, BLOCK, PAGES) in text
    assert block_sentence(after, BLOCK, PAGES) in text
    columns = {"before": before, "after": after}
    assert free_lists_table(columns, "Movable") in text
    # Nothing has changed since the moment before: this is the entry of a function.
    assert counters_table(columns) in text
    assert text.count("agrees, 32768 pages compared") == 2
    assert "2048 pages free" in text
    assert "30720 pages Offline" in text


def test_maps_have_alternative_texts(explorer):
    before, after = pictures(explorer)
    assert before == (
        "Page map before the patch: 30720 pages reserved (R), 2048 pages free (B); pageblocks 0-3 B, 4-63 R"
    )
    assert after.startswith("Page map after the patch: 30720 pages Offline (O)")
    assert "Page map of the recorded kernel" in explorer.recorded.value


def test_it_moves_and_everything_changes(explorer):
    def shown():
        return [widget.value for widget in (explorer.happening, explorer.tables, explorer.recorded)] + [
            sources(explorer)[1],
            says(explorer),
            explorer.code.html,
            explorer.twin.text,
            explorer.twin.moment,
        ]

    first = shown()
    explorer.go(explorer.index + 3)
    second = shown()
    assert all(one != other for one, other in zip(first, second, strict=True))
    explorer.go(explorer.start)
    assert shown() == first


def test_what_changed_since_the_moment_before_is_marked(explorer):
    """__free_pages_core() counts a chunk as managed; the block is counted as present later, at once."""
    explorer.go(explorer.walk.find(1, "return:__free_pages_core#3"))
    managed = next(line for line in explorer.twin.text.splitlines() if line.startswith("Movable  managed"))
    assert managed.split() == ["Movable", "managed", "3072*", "3072*"]
    present = next(line for line in explorer.twin.text.splitlines() if line.startswith("Movable  present"))
    assert present.split() == ["Movable", "present", "0", "0"]
    cells = re.findall(r"<td[^>]*>(?:<b>)?(\w+)(?:</b>)?<span[^>]*>([^<]*)</span>", explorer.tables.value)
    assert cells.count(("3072", "▲")) == 2
    # 6.12's __free_pages_core() counts MemTotal, too; before the patch generic_online_page() did, later.
    assert {cell for cell in cells if "≠" in cell[1]} == {("133120", "≠"), ("134144", "▲≠")}
    assert {number for number, sign in cells if "▲" in sign} == {"3072", "134144", "3"}


def test_where_the_two_kernels_differ_is_marked(scenario):
    """Half a patch with the checks of CONFIG_DEBUG_VM frees nothing, so that no page is free at the end."""
    half = compare(scenario, after=Patch.parse("MM_INIT"), debug_vm=True)
    explorer = explore(half, block=BLOCK, start=(1, "done"))
    assert "≠</span>" in explorer.tables.value


def test_every_moment_forwards_backwards_and_in_jumps_is_the_same(explorer):
    forwards = []
    last = len(explorer.walk.moments) - 1
    for index in range(last + 1):
        explorer.go(index)
        forwards.append(shown(explorer))
    for order in (range(last, -1, -1), range(0, last, 7), [last, 0, last, 5]):
        for index in order:
            explorer.go(index)
            assert shown(explorer) == forwards[index]


def test_the_controls(explorer):
    here = explorer.index
    explorer.controls.forth.click()
    assert explorer.index == here + 1
    assert explorer.controls.jump.value == ELSEWHERE
    explorer.controls.back.click()
    assert explorer.index == here
    assert explorer.controls.jump.value == here
    target = dict(explorer.controls.jump.options)["step 1 notifier:MEM_ONLINE, recorded"]
    explorer.controls.jump.value = target
    assert explorer.index == target
    assert "notifier:MEM_ONLINE" in explorer.happening.value
    assert explorer.controls.slider.max == len(explorer.walk.moments) - 1
    explorer.controls.zone.value = "DMA32"
    assert "Free lists of zone DMA32" in explorer.tables.value
    assert "Free lists of zone DMA32" in explorer.twin.text
    assert explorer.controls.zone.options == ("DMA", "DMA32", "Movable")


def test_the_ends(explorer):
    explorer.go(-5)
    assert (explorer.index, explorer.controls.back.disabled, explorer.controls.forth.disabled) == (
        0,
        True,
        False,
    )
    assert says(explorer).count("no memory block, no struct pages") == 2
    explorer.go(10_000)
    assert explorer.index == explorer.controls.slider.max
    assert (explorer.controls.back.disabled, explorer.controls.forth.disabled) == (False, True)


def test_every_control_has_a_name_and_a_tooltip(explorer):
    controls = [child for row in explorer.controls.rows for child in row.children]
    assert len(controls) == 11
    for control in controls:
        assert control.description or control is explorer.controls.play
        assert control.tooltip


# ---- recordings ------------------------------------------------------------------------------------


def test_recordings_agree_wherever_there_are_any(explorer):
    seen = 0
    for name, index in explorer.walk.named():
        explorer.go(index)
        for kernel, says in verdicts(explorer):
            assert kernel == "6.12.117, our build"
            assert says.startswith("✓ agrees") is name.endswith("recorded")
            seen += says.startswith("✓")
    assert seen == 14


def test_between_recordings_it_names_the_last_one(explorer):
    explorer.go(explorer.start + 1)
    assert [says for _, says in verdicts(explorer)] == [
        "no recording at this moment (last one: step 1 enter:generic_online_page#3)"
    ] * 2
    assert explorer.recorded.value == ""
    explorer.go(explorer.start - 1)
    assert "(last one: step 1 notifier:MEM_GOING_ONLINE)" in says(explorer)
    explorer.go(1)
    assert "(last one: after boot)" in says(explorer)


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
    explorer = explore(both, block=BLOCK, recordings=[wrong], start=THIRD_CHUNK)
    ((_, says),) = verdicts(explorer)
    assert says.startswith(
        "✗ differs: Movable.managed_pages is 2048, recorded 2049; 2048 pages differ, first"
    )
    sides = explorer.walk.look(explorer.index).sides
    assert class_counts(sides[0].recorded.page_map.classes) == {PageClass.RESERVED: PAGES}
    assert sides[1].recorded is None
    assert "no recorded page map" in explorer.recorded.value


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
        "agrees, 32768 pages compared; of 32768 here it says only that the buddy manages them"
    )


# ---- other kernels ---------------------------------------------------------------------------------


def test_half_a_patch_is_called_by_its_hunks(scenario):
    explorer = explore(
        compare(scenario, after=Patch.parse("MM_INIT"), check_pages=False), block=BLOCK, start=(1, "done")
    )
    assert [view.heading.value for view in explorer.sides.values()] == [
        "<h4>Before the patch</h4>",
        "<h4>With MM_INIT only</h4>",
    ]
    assert "free but still Offline (F" in explorer.twin.text
    assert re.search(r"counter +before +MM_INIT", explorer.twin.text)
    assert explorer.title == "Memory block 32, two kernels: before, MM_INIT"


def test_a_machine_that_dies_is_told(scenario):
    both = compare(scenario)
    both.after.outcomes.pop()
    both.after.died = "VM_BUG_ON_PAGE in __ClearPageOffline"
    explorer = explore(both, block=BLOCK, start=(1, "done"))
    assert "before: ok; after: the machine died: VM_BUG_ON_PAGE in __Clear" in explorer.happening.value


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
    assert "The kernel log ends with:" in explorer.twin.text
    assert half.after.machine.log[-1] in explorer.twin.text


# ---- without a kernel ------------------------------------------------------------------------------


def test_the_stored_output_needs_no_kernel_and_no_network(explorer):
    first = explorer._repr_mimebundle_()
    assert set(first) == {"text/plain", "text/html", VIEW}
    assert first["text/plain"] == repr(explorer)
    # What the live twin tells besides is the story of the chosen page.
    without_story = re.sub(r"\n\nPage 0x100000\n(  .*\n)*", "\n", explorer.twin.text)
    assert repr(explorer) == f"{explorer.title}\n{without_story}"
    html = first["text/html"]
    assert html.count('alt="Page map') == 2
    assert 'class="memsim-static"' in html
    assert "http:" not in html
    assert "https:" not in html
    assert all(source.startswith("data:") for source in re.findall(r'(?:src|href)="([^"]*)', html))
    assert explorer.model_id not in html + first["text/plain"]
    assert len(html) < 100_000
    # Another explorer, and this one after it was moved, stores the same.
    explorer.go(0)
    again = explorer._repr_mimebundle_()
    assert (again["text/plain"], again["text/html"]) == (first["text/plain"], html)


def test_a_stored_output_is_the_same_next_time(scenario, recordings):
    bundles = [
        explore(scenario, block=BLOCK, recordings=recordings, start=THIRD_CHUNK)._repr_mimebundle_()
        for _ in range(2)
    ]
    assert [b["text/plain"] for b in bundles] == [bundles[0]["text/plain"]] * 2
    assert [b["text/html"] for b in bundles] == [bundles[0]["text/html"]] * 2


def test_an_index_to_start_with_is_the_comparison_s(both):
    by_index = explore(both, block=BLOCK, start=both.find(*THIRD_CHUNK))
    by_name = explore(both, block=BLOCK, start=THIRD_CHUNK)
    assert by_index.start == by_name.start
    assert isinstance(by_name.walk.moments[by_name.start], Moment)
    assert isinstance(by_name, Explorer)
    assert explore(both, block=BLOCK).index == 0


def test_a_move_takes_less_than_50_ms_of_the_server(explorer):
    """Of the processor's time, of which a busy machine takes hardly more; the median of many moves."""
    taken = []
    for index in range(0, len(explorer.walk.moments), 2):
        start = time.thread_time()
        explorer.go(index)
        taken.append(time.thread_time() - start)
    assert sorted(taken)[len(taken) // 2] < 0.05


# ---- stepping, blocks and pages --------------------------------------------------------------------


def test_the_buttons_that_step(explorer):
    controls, walk = explorer.controls, explorer.walk
    explorer.go(walk.find(1, "enter:generic_online_page#5"))
    controls.over.click()
    assert explorer.index == walk.find(1, "return:generic_online_page#5")
    controls.out.click()
    assert explorer.index == walk.find(1, "return:online_pages_range")
    explorer.go(0)
    controls.difference.click()
    assert explorer.index == walk.find(1, "return:memmap_init_range")
    explorer.go(10_000)
    assert all(each.disabled for each in (controls.forth, controls.over, controls.out, controls.difference))


def test_without_another_difference_it_says_so(explorer):
    explorer.go(len(explorer.walk.moments) - 2)
    here = explorer.index
    explorer.controls.difference.click()
    assert explorer.index == here
    assert "No other difference follows" in explorer.differs.value


def test_playing_moves_the_slider(explorer):
    explorer.controls.play.value = 7
    assert explorer.index == 7
    explorer.go(9)
    assert explorer.controls.play.value == 9


def test_another_block_is_chosen_by_number_or_on_the_map(explorer):
    explorer.go(10_000)
    explorer.controls.block.value = 33
    assert explorer.walk.block == 33
    assert explorer.controls.page.value == hex(33 * PAGES)
    assert "Block 33" in says(explorer)
    explorer.sides["after"].machine.at = 0  # the first block there is
    assert explorer.controls.block.value == explorer.walk.block == 0
    assert [view.machine.at for view in explorer.sides.values()] == [0, 0]
    explorer.controls.block.value = 17
    assert "memory block 17 does not exist at any moment; blocks are 0-3, 32-33" in explorer.differs.value
    assert explorer.walk.block == 0


def test_a_page_is_chosen_by_pfn_or_on_a_map(explorer):
    explorer.controls.page.value = str(BLOCK * PAGES + 3000)
    assert "The story of page 0x100bb8" in explorer.story.html
    assert [view.pages.at for view in explorer.sides.values()] == [3000, 3000]
    explorer.sides["before"].pages.at = 5
    assert explorer.controls.page.value == "0x100005"
    assert explorer.sides["after"].pages.at == 5
    assert explorer.sides["after"].pages.told == "pfn 0x100005, free (B)"
    assert "Page 0x100005" in explorer.twin.text
    explorer.controls.page.value = "page five"
    assert "&#x27;page five&#x27; is no pfn" in explorer.story.html
    assert "is no pfn" in explorer.twin.text


def test_the_map_of_the_machine_is_shown(explorer):
    before, after = (view.machine for view in explorer.sides.values())
    assert before.alt == "Map of the machine: blocks 0 B+, 1-3 B, 32 R+, 33 N"
    assert after.alt == "Map of the machine: blocks 0 B+, 1-3 B, 32 O+, 33 N"
    assert before.source != after.source
    assert before.told == "block 32, most pages reserved (R+)"
