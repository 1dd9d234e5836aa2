"""What a reader may give to a view: any scenario, right or wrong."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from memsim import AFTER, Patch, Scenario, compare
from memsim.errors import BadScenario
from memsim.recordings.observation import bundled
from memsim.view.explorer.explorer import Explorer, explore
from memsim.view.explorer.inputs import blocks_of, default_block, recordings_of, scenario_of
from memsim.view.lab import Refusal

RAM = {"ram": [[0, 131072]], "block_pages": 32768}


def document(*steps, machine=RAM):
    return {"format": "memsim-scenario/1", "title": "mine", "machine": machine, "steps": list(steps)}


ADD = {"do": "add_memory", "start_pfn": 0x100000, "nr_pages": 65536}
ONLINE = {"do": "online", "block": 33, "type": "online_movable"}


@pytest.fixture(scope="module")
def dimm():
    return bundled("6.12base-before-dimm").scenario


def names(recordings):
    return [recording.name.rpartition("/")[2].removesuffix(".json") for recording in recordings]


def test_a_path_a_dict_and_a_scenario_are_the_same(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(document(ADD, ONLINE)), encoding="utf-8")
    scenario = Scenario.parse(document(ADD, ONLINE))
    forms = [path, str(path), document(ADD, ONLINE), scenario, compare(scenario)]
    assert [scenario_of(form) for form in forms] == [scenario] * 5
    assert len({repr(explore(form)) for form in forms}) == 1


def test_the_first_added_block_is_looked_at_unless_said_otherwise():
    both = compare(Scenario.parse(document(ADD, ONLINE)))
    assert blocks_of(both) == [0, 1, 2, 3, 32, 33]
    assert default_block(both) == 32
    assert explore(both).walk.block == 32
    assert explore(both, block=33).walk.block == 33


def test_without_added_blocks_it_is_the_one_that_a_step_names_or_the_first():
    offline = {"do": "offline", "block": 2}
    assert default_block(compare(Scenario.parse(document(offline)))) == 2
    assert default_block(compare(Scenario.parse(document()))) == 0


def test_recordings_of_the_same_steps_are_found(dimm):
    assert names(recordings_of(compare(dimm))) == ["6.12base-before-dimm", "6.12base-after-dimm"]
    shorter = replace(dimm, steps=dimm.steps[:2])
    assert names(recordings_of(compare(shorter))) == ["6.12base-before-dimm", "6.12base-after-dimm"]
    # Of another kernel there is a recording of one side only.
    assert names(recordings_of(compare(dimm, after=Patch.parse("MM_INIT")))) == ["6.12base-before-dimm"]
    other = replace(dimm, steps=({"do": "online", "block": 1}, *dimm.steps[1:]))
    assert recordings_of(compare(other)) == []
    assert recordings_of(compare(replace(dimm, steps=()))) == []
    assert recordings_of(compare(replace(dimm, machine=RAM | {"default_online_type": "online"}))) == []


def test_recordings_are_of_the_same_release(dimm):
    assert recordings_of(compare(dimm, AFTER, AFTER, "6.1")) == []
    old = bundled("6.1-dimm")
    assert names(recordings_of(compare(old.scenario, release="6.1"))) == ["6.1-dimm"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (document(ADD, {"do": "fly"}), "scenario: step 1: 'do' is 'fly'; known are add_memory"),
        (document(ADD | {"nr_pages": "all"}), "step 0 (add_memory): 'nr_pages' is 'all', must be a whole"),
        (document(machine={"ram": [[0, 10], [5, 10]]}), "scenario: machine:"),
        ({"format": "memsim-scenario/2"}, "'format' is 'memsim-scenario/2', must be 'memsim-scenario/1'"),
        (["add_memory"], "scenario must be a JSON object"),
        ("not-there.json", "not-there.json: cannot be read: No such file or directory"),
    ],
)
def test_a_wrong_scenario_is_answered_in_the_widget(wrong, says):
    answer = explore(wrong)
    assert isinstance(answer, Refusal)
    bundle = answer._repr_mimebundle_()
    assert says in bundle["text/plain"]
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert 'role="alert"' in bundle["text/html"] == answer.children[0].value


def test_a_machine_that_cannot_boot_is_answered_in_the_widget():
    device = {"kind": "virtio-mem", "name": "vm0", "start_pfn": 1, "region_pages": 1, "device_block_pages": 3}
    answer = explore(document(machine=RAM | {"devices": [device | {"requested_pages": 0}]}))
    assert isinstance(answer, Refusal)
    assert answer.problem.startswith("mine: ")


def test_markup_in_a_message_is_text():
    answer = explore(document({"do": "<b>fly</b>"}))
    assert "&lt;b&gt;fly&lt;/b&gt;" in answer.html()


def test_a_step_that_fails_is_no_wrong_scenario():
    explorer = explore(document({"do": "offline", "block": 0}))
    assert isinstance(explorer, Explorer)
    assert "-EINVAL from memory_block_offline()" in explorer.text(len(explorer.walk.moments) - 1)


def test_there_must_be_a_memory_block():
    both = compare(Scenario.parse(document()))
    for run in (both.before, both.after):
        run.tape.at(-1).blocks.clear()
    with pytest.raises(BadScenario, match="no memory block exists at any moment"):
        default_block(both)
