"""A recorded tour shows what the lab itself shows after the same steps."""

from __future__ import annotations

import json

import pytest

from memsim.view.buddy_lab.widget import TOUR, buddy_lab
from memsim.view.driver_lab.script import TOURS
from memsim.view.driver_lab.widget import SHEET, driver_lab
from memsim.view.lab import inlined, rules

SCRIPT = ["allocate 0 movable x4", "free 0x100001"]


def test_a_tour_of_the_buddy_lab_is_the_lab():
    spec = buddy_lab(SCRIPT).spec_without_a_kernel()
    assert len(spec["stops"]) == 1 + len(SCRIPT) + len(TOUR)
    assert spec["start"] == len(SCRIPT)
    for done in (2, 6, len(SCRIPT) + len(TOUR)):
        lab, stop = buddy_lab([*SCRIPT, *TOUR][:done]), spec["stops"][done]
        assert lab.twin.text == f"{stop['said']}\n\n{stop['text']}"
        assert lab.picture.blocks == stop["picture"]["blocks"]
        assert lab.sight.value == stop["sight"]
    json.dumps(spec)


@pytest.mark.long
@pytest.mark.parametrize("kind", TOURS)
def test_a_tour_of_a_driver_lab_is_the_lab(kind):
    device = TOURS[kind][1].get("device", "vm0")
    add = {
        "virtio-mem": {"do": "virtio_mem_request", "device": device, "requested_pages": 16384},
        "hv-balloon": {"do": "hv_hot_add", "device": device, "start_pfn": 0x100000, "nr_pages": 20000},
        "xen-balloon": {"do": "xen_balloon_target", "device": device, "target_pages": 171072},
    }[kind]
    spec = driver_lab(kind, [add]).spec_without_a_kernel()
    assert len(spec["stops"]) == 2 + len(TOURS[kind])
    lab = driver_lab(kind, [add])
    for step, stop in zip(TOURS[kind], spec["stops"][2:], strict=True):
        assert lab.do(step) == stop["said"]
        assert lab.twin.text == f"{stop['said']}\n\n{stop['text']}"
        assert lab.sight.value == stop["sight"]
    refused = [stop for stop in spec["stops"] if stop["said"].startswith("✗")]
    assert bool(refused) == (kind != "virtio-mem")  # the two balloons withhold pages that hold a reference


def test_a_stored_form_has_its_style_in_its_elements():
    assert rules(SHEET)["memsim-list"] == "margin: 0; padding-left: 18px"
    html = '<p class="memsim-cell memsim-said" style="color: red">P</p><b class="another">x</b>'
    cell, said = rules(SHEET)["memsim-cell"], rules(SHEET)["memsim-said"]
    assert inlined(html, SHEET) == f'<p style="{cell}; {said}; color: red">P</p><b class="another">x</b>'
    stored = driver_lab("virtio-mem").stored_html
    assert not any(f'"{name}"' in stored for name in rules(SHEET))
