"""The driver lab: steps on two kernels with undo, the driver's records beside the memmap, and the widget."""

from __future__ import annotations

import json
import re

import pytest
from ipywidgets import BoundedIntText, IntSlider, IntText

from memsim import AFTER, BEFORE, Scenario, run
from memsim.errors import MemsimError
from memsim.recordings.observation import bundled
from memsim.view.driver_lab.driver_state import block_words, device_of
from memsim.view.driver_lab.script import DEVICES, DriverScript, lab_scenario
from memsim.view.driver_lab.snapshot import blocks_of, look, numbers_of, sight_html, sight_text
from memsim.view.driver_lab.widget import driver_lab

REACHED_ANYWAY = (BoundedIntText, IntSlider, IntText)

KINDS = tuple(DEVICES)
REQUEST = {"do": "virtio_mem_request", "device": "vm0", "requested_pages": 16384}
HOT_ADD = {"do": "hv_hot_add", "device": "hv0", "start_pfn": 0x100000, "nr_pages": 20000}
TARGET = {"do": "xen_balloon_target", "device": "xen0", "target_pages": 131072 + 512}
FIRST = {"virtio-mem": REQUEST, "hv-balloon": HOT_ADD, "xen-balloon": TARGET}


def runs(script, side, block=32):
    """Return what driver and kernel say of each run of pageblocks."""
    sight = look(script, block)
    return [(found.where, found.driver, found.kernel) for found in sight.sides[side].block.runs]


# ---- steps -----------------------------------------------------------------------------------------


def test_the_worked_example_of_virtio_mem():
    """drivers/virtio/virtio_mem.c: 64 of 128 MiB plugged, online in ZONE_MOVABLE here."""
    script = DriverScript(lab_scenario("virtio-mem"))
    assert script.do(REQUEST).headline == "the host requests 16384 pages of vm0: ok"
    for side in (0, 1):
        assert runs(script, side) == [
            ("0-31", "plugged", "512 pages free (B, refcount 0); pageblock movable"),
            ("32-63", "unplugged", "512 pages Offline (O, refcount 1), PG_dirty; pageblock movable"),
        ]
    assert numbers_of(script).counters["Movable", "managed"] == (16384, 16384)
    assert "MOVABLE_PARTIAL" in sight_text(look(script, 32))


def test_hyper_v_pages_that_are_not_backed_are_reserved_before_and_offline_after():
    """drivers/hv/hv_balloon.c: such a block goes offline on neither kernel, for different reasons."""
    script = DriverScript(lab_scenario("hv-balloon"))
    script.do(HOT_ADD)
    before, after = runs(script, 0), runs(script, 1)
    assert before[-1] == (
        "40-63",
        "not backed",
        "512 pages reserved and Offline (X, refcount 1); pageblock movable",
    )
    assert after[-1] == ("40-63", "not backed", "512 pages Offline (O, refcount 1); pageblock movable")
    assert after[1][1] == "32 pages backed"
    outcome = script.do({"do": "offline", "block": 32})
    assert outcome.failed
    assert "before the patch -EBUSY from set_migratetype_isolate()" in outcome.headline
    assert "after it -EBUSY from scan_movable_pages()" in outcome.headline


def test_xen_pages_come_online_in_the_balloon():
    """drivers/xen/balloon.c: everything goes to the balloon, the last pages first come back."""
    script = DriverScript(lab_scenario("xen-balloon"))
    script.do(TARGET)
    assert [word for _, word, _ in runs(script, 1)] == ["in the balloon", "not in the balloon"]
    assert runs(script, 0)[0][2].startswith("512 pages reserved and Offline (X, refcount 1)")
    assert runs(script, 1)[0][2].startswith("512 pages Offline (O, refcount 1);")
    script.do({"do": "xen_balloon_lend", "device": "xen0", "nr_pages": 8})
    assert "504 in the balloon" in {word for _, word, _ in runs(script, 1)}


def test_host_answers_and_time():
    script = DriverScript(lab_scenario("virtio-mem"))
    script.do({"do": "host_will", "device": "vm0", "answer": "BUSY", "times": 1})
    script.do(REQUEST)
    assert "the retry timer fires in 50 s" in sight_text(look(script, None))
    script.do({"do": "wait", "seconds": 50})
    text = sight_text(look(script, 32))
    assert "plugged 16384" in text
    assert "timer" not in text
    script.do({"do": "host_will", "device": "vm0", "answer": "ERROR", "times": 1})
    script.do({**REQUEST, "requested_pages": 0})
    script.do({"do": "virtio_mem_remove", "device": "vm0"})
    text = sight_text(look(script, 32))
    assert "marked broken" in text
    assert "unbound" in text


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        ({**REQUEST, "requested_pages": 100}, "must be a multiple of 512"),
        ({**REQUEST, "requested_pages": -1}, "must be a whole number, not negative"),
        ({**REQUEST, "device": "vm1"}, "has no device 'vm1'; it has vm0"),
        ({"do": "dance"}, "'do' is 'dance'; known are"),
        ({"do": "wait"}, "'seconds' is missing"),
        (
            {"do": "host_will", "device": "vm0", "answer": "MAYBE", "times": 1},
            "host answer 'MAYBE' must be one of",
        ),
        ({"do": "online", "block": 32, "type": "on"}, "online type 'on' must be one of"),
    ],
)
def test_steps_that_make_no_sense_are_answered_and_not_kept(step, problem):
    script = DriverScript(lab_scenario("virtio-mem"))
    script.do(REQUEST)
    before = sight_text(look(script, 32))
    outcome = script.do(step)
    assert outcome.failed
    assert problem in outcome.headline
    assert script.scenario.steps == (REQUEST,)
    assert sight_text(look(script, 32)) == before


def test_what_the_kernel_refuses_is_kept():
    script = DriverScript(lab_scenario("virtio-mem"))
    outcome = script.do({"do": "offline", "block": 99})
    assert outcome.failed
    assert "-ENOENT" in outcome.headline
    assert len(script.scenario.steps) == 1


def test_text_that_is_no_step():
    script = DriverScript(lab_scenario("virtio-mem"))
    assert "is not JSON" in script.do_text("{").headline
    assert "a step is a JSON object" in script.do_text("[]").headline
    assert script.do_text('{"do": "wait", "seconds": 1}').headline == "wait 1 s: ok"


@pytest.mark.parametrize("kind", KINDS)
def test_undo_brings_back_what_was(kind):
    script = DriverScript(lab_scenario(kind))
    assert script.undo().failed
    seen = [sight_text(look(script, None))]
    for step in (FIRST[kind], {"do": "offline", "block": 32}):
        script.do(step)
        seen.append(sight_text(look(script, None)))
    for expected in seen[-2::-1]:
        script.undo()
        assert sight_text(look(script, None)) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_the_scenario_of_the_lab_comes_to_the_same_on_the_command_line(kind):
    script = DriverScript(lab_scenario(kind))
    for step in (FIRST[kind], {"do": "allocate", "block": 32, "nr_pages": 3}, {"do": "offline", "block": 32}):
        script.do(step)
    scenario = Scenario.parse(json.loads(script.document))
    for patch, machine in zip((BEFORE, AFTER), script.machines.values(), strict=True):
        again = run(scenario, patch).machine
        assert again.log == machine.log
        for mine, other in zip(again.kernel.state.zones, machine.kernel.state.zones, strict=True):
            assert mine.free_area == other.free_area
            assert mine.managed_pages == other.managed_pages


def test_a_scenario_of_one_s_own_and_one_without_devices():
    script = DriverScript(bundled("6.12-vmem").scenario)
    assert script.scenario.steps == bundled("6.12-vmem").scenario.steps
    assert "sub-blocks" in sight_text(look(script, None))
    with pytest.raises(MemsimError, match="the machine has no device to look at"):
        DriverScript(bundled("6.12-dimm").scenario)


def test_no_such_kind():
    with pytest.raises(MemsimError, match="kind 'dimm' must be one of virtio-mem, hv-balloon, xen-balloon"):
        driver_lab("dimm")


# ---- the book --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_book_adds_up_to_what_the_device_says(kind):
    """The words of pageblocks come from bitmaps, regions and lists; the devices count for themselves."""
    script = DriverScript(lab_scenario(kind))
    script.do(FIRST[kind])
    machine = script.machines["after"]
    words = [word for block in blocks_of(script) for word in block_words(kind, machine, block)]
    pages = sum(
        int(word.split()[0]) if word[0].isdigit() else 512 * (word in {"plugged", "backed", "in the balloon"})
        for word in words
    )
    device = device_of(machine)
    assert pages == (device.balloon_low if kind == "xen-balloon" else device.plugged_pages())


def test_6_1_and_blocks_that_are_unknown_to_the_driver():
    script = DriverScript(lab_scenario("virtio-mem", "offline"), "6.1")
    script.do({"do": "add_memory", "start_pfn": 0x180000, "nr_pages": 32768})
    script.do(REQUEST)
    assert blocks_of(script) == [32, 48]
    assert "unknown to the driver" in sight_text(look(script, 48))
    assert "OFFLINE_PARTIAL" in sight_text(look(script, 32))
    assert "no struct pages that mean anything" in sight_text(look(script, 32))


def test_text_and_html_are_of_the_same_state():
    script = DriverScript(lab_scenario("hv-balloon"))
    before = numbers_of(script)
    script.do(HOT_ADD)
    sight = look(script, 32, before)
    text, html = sight_text(sight), sight_html(sight)
    for side in sight.sides:
        assert side.block.sentence in text
        assert all(found.kernel in text for found in side.block.runs)
        assert all(line in html for line in side.book)
    assert html.count(">K</td>") == 2 * 39
    assert html.count(">+</td>") == 2
    assert html.count("<b>+</b> in part, <b>K</b> backed, <b>·</b> not backed") == 2
    assert "managed                  20000*     20000*" in text
    assert re.findall(r"<b>20000</b><span[^>]*>▲</span>", html) == re.findall(r"<b>20000</b>.*?</span>", html)
    assert "Normal managed" not in html, "only counters that moved"
    assert sight.document in text


# ---- the widget ------------------------------------------------------------------------------------


def test_virtio_mem_by_its_controls():
    lab = driver_lab("virtio-mem")
    assert lab.online.disabled
    lab.host["size"].value = 32
    lab.host["request"].click()
    assert "the host requests 8192 pages of vm0: ok" in lab.twin.text
    assert lab.block.value == 32
    lab.allocate.click()
    lab.offline.click()
    assert "offline block 32: ok" in lab.twin.text  # movable pages go to boot memory
    lab.undo.click()
    lab.free.click()
    lab.offline.click()
    assert "sysfs state offline" in lab.twin.text
    lab.online_type.value = "online_kernel"
    lab.online.click()
    assert "KERNEL_PARTIAL" in lab.sight.value
    lab.answer_kind.value, lab.times.value = "NACK", 2
    lab.will.click()
    lab.seconds.value = 5
    lab.wait.click()
    lab.host["unbind"].click()
    assert "the driver is unbound" in lab.twin.text
    lab.restart.click()
    assert lab.script.scenario.steps == ()


def test_hyper_v_by_its_controls():
    lab = driver_lab("hv-balloon")
    lab.host["start"].value, lab.host["pages"].value = "0x100200", 512
    lab.host["add"].click()
    assert "covered 0x100200 to 0x100400" in lab.twin.text
    lab.host["amount"].value = 512
    lab.host["inflate"].click()
    assert "pages ballooned 512" in lab.twin.text
    lab.host["deflate"].click()
    assert "pages ballooned 0" in lab.twin.text
    lab.host["start"].value = "there"
    lab.host["add"].click()
    assert "'start_pfn' is 'there', must be a whole number" in lab.twin.text


def test_xen_by_its_controls():
    lab = driver_lab("xen-balloon")
    lab.host["target"].value = 511
    lab.host["set_target"].click()
    assert "in the balloon 256, lent 0" in lab.twin.text
    lab.host["lend"].click()
    assert "in the balloon 248, lent 8" in lab.twin.text
    lab.host["back"].click()
    assert "in the balloon 256, lent 0" in lab.twin.text


def test_kernel_online_type_and_block_do_the_steps_again():
    lab = driver_lab("virtio-mem", [{**REQUEST, "requested_pages": 40960}])
    assert lab.block.options == (("32", 32), ("33", 33))
    lab.block.value = 33
    assert "Block 33" in lab.twin.text
    lab.release.value = "6.1"
    assert "virtio-mem on Linux 6.1; new memory blocks: online_movable" in lab.twin.text
    lab.new_blocks.value = "offline"
    assert "sysfs state offline" in lab.twin.text
    assert "the same 1 step done again" in lab.answer.value
    lab.line.value = "nonsense"
    assert "is not JSON" in lab.answer.value
    assert lab.line.value == ""


def test_a_step_given_wrong_is_refused_and_a_refusal_of_the_kernel_is_not():
    with pytest.raises(MemsimError, match="multiple of 512"):
        driver_lab("virtio-mem", [{**REQUEST, "requested_pages": 1}])
    lab = driver_lab("hv-balloon", [HOT_ADD, {"do": "offline", "block": 32}])
    assert "-EBUSY" in repr(lab)


def controls_in(widgets):
    """Give every control of some rows, however deep it lies."""
    for widget in widgets:
        yield from controls_in(widget.children) if hasattr(widget, "children") else [widget]


@pytest.mark.parametrize("kind", KINDS)
def test_every_control_has_a_name_and_a_tooltip_and_is_reached_by_tab(kind):
    lab = driver_lab(kind)
    controls = list(controls_in(lab.children[1:-3]))
    assert len(controls) >= 20
    for control in controls:
        assert control.description
        assert control.tooltip
        assert control.tabbable or isinstance(control, REACHED_ANYWAY)


@pytest.mark.parametrize("kind", KINDS)
def test_the_stored_output_is_that_of_the_given_steps(kind):
    lab = driver_lab(kind, [FIRST[kind]])
    first = lab._repr_mimebundle_()
    lab.restart.click()
    again = lab._repr_mimebundle_()
    for form in ("text/plain", "text/html"):
        assert first[form] == again[form]
        assert "Block 32" in first[form]
    assert driver_lab(kind, [FIRST[kind]])._repr_mimebundle_()["text/html"] == first["text/html"]
    assert not re.search(r"https?:", first["text/html"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_lab_that_opens_after_a_step_shows_what_the_step_changed(kind):
    """As if a reader had done the step: it is named above, and its counters are those that changed."""
    by_hand = driver_lab(kind)
    by_hand.do(FIRST[kind])
    opened = driver_lab(kind, [FIRST[kind]])
    assert opened.sight.value == by_hand.sight.value
    assert opened.twin.text == by_hand.twin.text
    assert "▲" in opened.sight.value
    assert "Counters that changed" in opened._repr_mimebundle_()["text/html"]


def test_what_the_driver_says_stands_below_what_the_kernel_believes():
    """virtio-mem plugs the first quarter of the block: 16 of 64 sub-blocks, in one row of cells."""
    lab = driver_lab("virtio-mem", [{"do": "virtio_mem_request", "device": "vm0", "requested_pages": 8192}])
    rows = re.findall(r"<tr><th scope=\"row\"[^>]*>([^<]*)</th>(.*?)</tr>", lab.stored_html)
    cells = [
        (head, re.findall(r">([^<]+)</td>", row))
        for head, row in rows
        if "kernel" in head or head == "driver"
    ]
    first, second = cells[:2]
    assert (first[0], second[0]) == ("0x100000 kernel", "driver")
    assert len(first[1]) == len(second[1]) == 16
    assert second[1] == ["P"] * 16
    assert cells[3][1] == ["·"] * 16
