"""Scenarios by hand: numbers with units, comments, the JSON schema, examples, and the reference page."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from memsim.cli import main
from memsim.devices import DEVICE_KINDS
from memsim.errors import BadScenario
from memsim.recordings.observation import bundled, bundled_names
from memsim.scenario.examples import EXAMPLES, example
from memsim.scenario.numbers import PAGE_KEYS, PLAIN_KEYS, pages_of
from memsim.scenario.reference import MACHINE, MEANINGS, STEP_MEANINGS, reference_page
from memsim.scenario.scenario import FORMAT, Scenario, run
from memsim.scenario.schema import scenario_schema
from memsim.scenario.steps import STEPS

SCENARIOS = sorted((Path(__file__).parents[2] / "book" / "scenarios").glob("*.json"))
SCHEMA = Draft202012Validator(scenario_schema())
VALID = {
    "format": FORMAT,
    "comment": ["any", "JSON"],
    "title": "x",
    "machine": {
        "ram": [[0, "512M"]],
        "devices": [
            {
                "kind": "virtio-mem",
                "name": "vm0",
                "start_pfn": "4G",
                "region_pages": "1GiB",
                "device_block_pages": "2M",
                "comment": "y",
            }
        ],
    },
    "steps": [
        {"do": "add_memory", "start_pfn": "0x140000", "nr_pages": "128m", "comment": 1},
        {"do": "online", "block": "0x28"},
        {"do": "poison", "pfns": ["0x140001", 1310722]},
        {"do": "virtio_mem_request", "device": "vm0", "requested_pages": "2M"},
    ],
}


# ---- numbers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "pages"),
    [
        ("4G", 1 << 20),
        ("128M", 32768),
        ("128 MiB", 32768),
        ("4k", 1),
        ("1.5M", 384),
        ("0x10", 16),
        ("1T", 1 << 28),
        (7, 7),
    ],
)
def test_sizes_are_pages_of_4_kib(text, pages):
    assert pages_of(text) == pages


@pytest.mark.parametrize(
    "text", ["", "4", "4X", "0x", "0xg", "-1M", "4096", "1K", "M", "1.2.3M", "4.7K", "\uff11M"]
)
def test_what_is_no_number_of_pages_is_refused(text):
    with pytest.raises(ValueError, match=r"is not a number|whole number of pages"):
        pages_of(text)


def test_a_scenario_may_have_units_and_comments():
    scenario = Scenario.parse(VALID)
    assert scenario.machine["ram"] == [[0, 131072]]
    assert scenario.machine["devices"][0]["region_pages"] == 1 << 18
    assert "comment" not in scenario.machine["devices"][0]
    assert scenario.steps[0] == {"do": "add_memory", "start_pfn": 0x140000, "nr_pages": 32768}
    assert scenario.steps[1] == {"do": "online", "block": 40}
    assert scenario.steps[2]["pfns"] == [0x140001, 0x140002]


def test_the_document_is_not_changed():
    before = copy.deepcopy(VALID)
    Scenario.parse(VALID)
    assert before == VALID


@pytest.mark.parametrize(
    ("step", "rule"),
    [
        ({"do": "online", "block": "128M"}, "step 0 \\(online\\): 'block' is '128M', must be a whole number"),
        ({"do": "wait", "seconds": "5s"}, "step 0 \\(wait\\): 'seconds' is '5s', must be"),
        (
            {"do": "add_memory", "start_pfn": "four", "nr_pages": 1},
            "'start_pfn' is 'four', must be",
        ),
        ({"do": "allocate", "nr_pages": "1K"}, "not a whole number of pages"),
    ],
)
def test_a_wrong_number_is_named_with_its_step(step, rule):
    with pytest.raises(BadScenario, match=rule):
        Scenario.parse({"format": FORMAT, "machine": {"ram": [[0, 32768]]}, "steps": [step]})


def test_nesting_has_an_end():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(BadScenario, match="nested too deeply"):
        Scenario.parse({"format": FORMAT, "machine": {"ram": deep}, "steps": []})


# ---- the schema --------------------------------------------------------------------------------------


def test_the_schema_is_one():
    Draft202012Validator.check_schema(scenario_schema())


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenarios_of_the_book_are_valid(path):
    SCHEMA.validate(json.loads(path.read_text(encoding="utf-8")))


def test_scenarios_of_recordings_are_valid():
    for name in bundled_names():
        scenario = bundled(name).scenario
        document = {"format": FORMAT, "title": scenario.title, "machine": scenario.machine}
        SCHEMA.validate({**document, "steps": list(scenario.steps)})


def places(value, path=()):
    """Yield the path of every value inside a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield (*path, key)
        yield from places(part, (*path, key))


OTHERS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 1 << 21), st.floats(allow_nan=False), st.text(max_size=4),
    st.sampled_from(["128M", "0x20", "1K", "online", "vm0", "hv-balloon", "EBUSY"]),
    st.lists(st.integers(-1, 9), max_size=3), st.dictionaries(st.text(max_size=2), st.integers(), max_size=1),
)  # fmt: skip


@pytest.mark.long
@given(st.data())
def test_what_is_not_valid_is_refused(data):
    """The schema never says more than the checker: what it forbids, the checker refuses."""
    document = copy.deepcopy(VALID)
    path = data.draw(st.sampled_from(sorted(places(document), key=repr)))
    inside = document
    for key in path[:-1]:
        inside = inside[key]
    if isinstance(inside, dict) and data.draw(st.booleans()):
        inside.pop(path[-1])
    elif isinstance(inside, dict) and data.draw(st.booleans()):
        inside["other"] = data.draw(OTHERS)
    else:
        inside[path[-1]] = data.draw(OTHERS)
    if not SCHEMA.is_valid(document):
        with pytest.raises(BadScenario):
            Scenario.parse(document)


# ---- examples ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EXAMPLES)
def test_examples_are_valid_and_end_as_they_say(kind):
    document = json.loads(example(kind))
    SCHEMA.validate(document)
    assert '"comment"' in example(kind)
    for patch in ("before", "after"):
        result = run(Scenario.parse(document), patch)
        assert result.as_expected, [outcome.message for outcome in result.outcomes]


def test_there_is_an_example_for_each_kind_of_device():
    assert set(DEVICE_KINDS) <= set(EXAMPLES)


def test_new_writes_an_example_and_overwrites_nothing(capsys, tmp_path):
    path = tmp_path / "mine.json"
    assert main(["new", "virtio-mem", str(path)]) == 0
    assert Scenario.load(path).title == EXAMPLES["virtio-mem"]["title"]
    assert "memsim run" in capsys.readouterr().out
    assert main(["new", "dimm", str(path)]) == 2
    assert "exists, and is left as it is" in capsys.readouterr().err
    assert Scenario.load(path).title == EXAMPLES["virtio-mem"]["title"]
    assert main(["new"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == EXAMPLES["dimm"]["title"]
    assert main(["new", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == scenario_schema()


# ---- the reference -------------------------------------------------------------------------------------


def test_every_key_and_step_has_its_meaning_and_no_other_has():
    arguments = {argument.name for kind in STEPS.values() for argument in kind.arguments}
    devices = {key for kind in DEVICE_KINDS.values() for key in (*kind.required, *kind.optional)}
    assert set(STEP_MEANINGS) == set(STEPS)
    assert set(MEANINGS) == arguments | devices | {"errno"}
    numbers = {a.name for kind in STEPS.values() for a in kind.arguments if a.kind in {int, list}} | devices
    assert numbers <= PAGE_KEYS | PLAIN_KEYS


def test_the_page_has_every_step_device_and_key_of_the_machine():
    page = reference_page()
    for name in (*STEPS, *DEVICE_KINDS):
        assert f"\n### `{name}`\n" in page
    for key in (*MACHINE, *MEANINGS):
        assert f"`{key}`" in page


def test_the_scenario_on_the_page_runs():
    text = reference_page().split("```json\n")[1].split("```")[0]
    assert run(Scenario.parse(json.loads(text))).as_expected
