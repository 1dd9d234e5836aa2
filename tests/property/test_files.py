"""Whatever a file holds, it is read, or refused in one line."""

from __future__ import annotations

import copy
import json
from importlib import resources

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from memsim.errors import BadObservation, BadScenario, MemsimError
from memsim.patch import AFTER, BEFORE
from memsim.recordings.observation import Observation
from memsim.recordings.replay import replay
from memsim.scenario.scenario import FORMAT, Scenario, run
from memsim.scenario.steps import STEPS, tell_step

P, N = 0x100000, 32768
WORDS = [FORMAT, "memsim-observation/1", "online", "offline", "movable", "done", "EBUSY", "O/1", "6.12"]
KEYS = ["format", "machine", "steps", "ram", "do", "block", "errno", "pages", "at", "step", "blocks", "type"]
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 70000),
    st.floats(allow_nan=False),
    st.sampled_from(WORDS),
    st.text(max_size=5),
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)
    ),
    max_leaves=8,
)
SCENARIO = {
    "format": FORMAT,
    "title": "x",
    "machine": {"ram": [[0, N]], "block_pages": N, "memmap_on_memory": False, "devices": []},
    "steps": [
        {"do": "add_memory", "start_pfn": P, "nr_pages": N},
        {"do": "online", "block": 32, "type": "online_movable"},
        {"do": "allocate", "block": 32, "nr_pages": 3, "migratetype": "movable"},
        {"do": "offline", "block": 32, "errno": "EBUSY"},
    ],
}
OBSERVATION = json.loads(
    (resources.files("memsim") / "recordings" / "data" / "6.12base-after-dimm.json").read_text(
        encoding="utf-8"
    )
)
OBSERVATION["scenario"]["steps"] = OBSERVATION["scenario"]["steps"][:2]
OBSERVATION["probes"] = [probe for probe in OBSERVATION["probes"] if probe["step"] < 2]


def places(document, path=()):
    """Yield the path to every value inside a document."""
    yield path
    if isinstance(document, dict | list):
        for key, value in document.items() if isinstance(document, dict) else enumerate(document):
            yield from places(value, (*path, key))


def replaced(document, path, value):
    """Return a document with the value at a path replaced."""
    if not path:
        return value
    document = copy.deepcopy(document)
    inside = document
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = value
    return document


def damaged(document):
    """Return documents that differ from a good one in one value."""
    return st.builds(replaced, st.just(document), st.sampled_from(list(places(document))), anything)


def check_line(message):
    """One clear line: not empty, not more."""
    assert message
    assert "\n" not in message


@given(st.one_of(anything, damaged(SCENARIO)))
@settings(max_examples=300)
@example({**SCENARIO, "steps": [{"do": []}]})
def test_a_document_is_a_scenario_or_is_refused_as_a_bad_scenario(document):
    try:
        scenario = Scenario.parse(document, "x.json")
    except BadScenario as problem:
        check_line(str(problem))
    else:
        assert list(scenario.steps) == document["steps"]
        assert all(tell_step(step) for step in scenario.steps)


@given(st.one_of(anything, damaged(OBSERVATION)))
@settings(max_examples=200)
@example({**OBSERVATION, "probes": [{"step": 0, "at": "done", "blocks": []}]})
def test_a_document_is_a_recording_or_is_refused_as_a_bad_one(document):
    try:
        observation = Observation.parse(document, "x.json")
    except BadObservation as problem:
        check_line(str(problem))
    else:
        assert list(observation.probes) == document["probes"]


numbers = st.sampled_from([0, 1, 32, 33, 512, 1024, N, 2 * N, P, P + 512, P + N, 1 << 33, 1 << 70])
VALUES = {
    "block": st.sampled_from([0, 1, 32, 33, 34, 1 << 70]),
    "type": st.sampled_from(["online", "offline", "online_kernel", "online_movable"]),
    "migratetype": st.sampled_from(["unmovable", "movable", "reclaimable"]),
    "nr_pages": st.sampled_from([0, 1, 512, N, 2 * N]),
    "pfns": st.lists(numbers, max_size=2),
    "what": st.just("something"),
}


@st.composite
def steps(draw, kinds):
    """Return a well-formed step with values that may make no sense."""
    name = draw(st.sampled_from(kinds))
    step = {"do": name}
    for argument in STEPS[name].arguments:
        if not argument.optional or draw(st.booleans()):
            step[argument.name] = draw(VALUES.get(argument.name, numbers))
    if name == "allocate":
        step["nr_pages"] %= 601  # each page costs time
    return step


CORE = ["add_memory", "add_memory", "online", "online", "offline", "remove_memory", "allocate", "outside"]


@given(
    st.lists(steps(CORE), max_size=6),
    st.sampled_from([BEFORE, AFTER]),
    st.sampled_from(["6.1", "6.12"]),
    st.booleans(),
)
@settings(max_examples=60)
def test_any_well_formed_steps_run_to_their_end_and_break_no_invariant(script, patch, release, debug_vm):
    document = {"format": FORMAT, "machine": {"ram": [[0, 4096]], "block_pages": N}, "steps": script}
    result = run(Scenario.parse(document), patch, release, debug_vm=debug_vm)
    assert result.died is None
    assert len(result.outcomes) == len(script)
    assert result.machine.check() == []


@pytest.mark.parametrize("key", ["kernel", "states", "probes"])
@given(st.data())
@settings(max_examples=40)
def test_a_recording_with_one_wrong_value_is_replayed_or_refused(key, data):
    inside = [path for path in places(OBSERVATION) if path[:1] == (key,)]
    path = data.draw(st.sampled_from(inside))
    document = replaced(OBSERVATION, path, data.draw(anything))
    try:
        replay(Observation.parse(document, "x.json"))
    except MemsimError as problem:
        check_line(str(problem))
