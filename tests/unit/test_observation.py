"""Recordings as files, and a judge that notices (memsim/recordings/data/README.md)."""

from __future__ import annotations

import copy
import json
from importlib import resources

import pytest

from memsim.errors import BadObservation, MemsimError
from memsim.linux.include.page_flags import PageFlag, PageTypeEncoding
from memsim.patch import AFTER, BEFORE, Hunk, Patch
from memsim.recordings.observation import Observation, bundled, bundled_names, describe, signature
from memsim.recordings.replay import replay
from memsim.recordings.schema import runs_of

P, N = 0x100000, 32768
WITHOUT_3 = Patch.without({Hunk.OFFLINE_CORE, Hunk.OFFLINE_DRIVER})
FILE = resources.files("memsim") / "recordings" / "data" / "6.12base-after-dimm.json"
RECORDED = json.loads(FILE.read_text(encoding="utf-8"))
BYTE = PageTypeEncoding("byte")


def small(*probes, series="after", release="6.12.1", **kernel):
    """Return a recording of one block that comes online, with these probes."""
    return {
        "format": "memsim-observation/1",
        "title": "small",
        "kernel": {"release": release, "series": series, **kernel},
        "scenario": {
            "format": "memsim-scenario/1",
            "machine": {"ram": [[0, 131072]]},
            "steps": [
                {"do": "add_memory", "start_pfn": P, "nr_pages": N},
                {"do": "online", "block": 32, "type": "online_movable"},
            ],
        },
        "states": {
            "O/1": {"type": "offline", "refcount": 1, "flags": []},
            "R/1": {"type": "none", "refcount": 1, "flags": ["reserved"]},
            "B10": {"type": "buddy", "refcount": 0, "flags": [], "order": 10},
            "n/0": {"type": "none", "refcount": 0, "flags": []},
            "*": {"managed": True},
            "?": {"undefined": True},
        },
        "probes": list(probes),
    }


FREE = [[32, [[1, "B10"], [1023, "n/0"]]]]


def online(pages=None, **changes):
    """Return a probe after the block came online, as all kernels are."""
    block = {"present": True, "online": True, "pages": pages or FREE, "pageblocks": "1" * 64}
    zone = {"start_pfn": P, "spanned": N, "present": N, "managed": N, "nr_isolate_pageblock": 0}
    probe = {
        "step": 1,
        "at": "done",
        "zones": {"Movable": zone},
        "totalram_delta": N,
        "blocks": {"32": block},
    }
    return probe | changes


def problems(document):
    """Replay a document and return what differs."""
    results = replay(Observation.parse(document, "x")).results
    return [problem for result in results for problem in result.problems]


# ---- the judge notices -------------------------------------------------------------------------------


def test_what_a_kernel_shows_is_found_in_the_simulator():
    going = online([[N, "O/1"]]) | {"at": "notifier:MEM_GOING_ONLINE", "totalram_delta": 0}
    going["blocks"]["32"] |= {"online": False, "pageblocks": "4" * 64}
    going["zones"]["Movable"] |= {"present": 0, "managed": 0}
    document = small(going, online())
    replayed = replay(Observation.parse(document, "x"))
    assert problems(document) == []
    assert [result.pages for result in replayed.results] == [N, N]


@pytest.mark.parametrize(
    ("pages", "problem"),
    [
        (
            [[1, "n/0"], [1023, "n/0"], *([[31, FREE[0][1]]])],
            "1 pages differ, first 0x100000: type buddy order 10 refcount 0; recorded type none refcount 0",
        ),
        (
            [[31, FREE[0][1]], [1, "B10"], [1022, "n/0"], [1, "R/1"]],
            "1 pages differ, first 0x107fff: type none refcount 0; recorded reserved type none refcount 1",
        ),
        (
            [[N, "O/1"]],
            "32768 pages differ, first 0x100000: type buddy order 10 refcount 0; recorded type offline refcount 1",  # noqa: E501
        ),
    ],
)
def test_pages_that_differ_are_counted_and_the_first_is_named(pages, problem):
    document = small(online(pages))
    assert problems(document) == [problem]
    # verify adds these up: every page counts, not every block.
    (result,) = replay(Observation.parse(document, "x")).results
    assert result.differ == int(problem.split()[0])


@pytest.mark.parametrize("key", ["start_pfn", "spanned", "present", "managed", "nr_isolate_pageblock"])
def test_a_zone_counter_that_differs_by_one_is_told(key):
    probe = online()
    probe["zones"]["Movable"][key] += 1
    (problem,) = problems(small(probe))
    assert problem.startswith("Movable.")
    assert problem.endswith(f", recorded {probe['zones']['Movable'][key]}")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"totalram_delta": N - 1}, "totalram_delta is 32768, recorded 32767"),
        ({"errno": "EBUSY"}, "step ended with None, the recorded kernel with EBUSY"),
        ({"blocks": {"32": {"present": True, "online": False}}}, "block 32 online is True, recorded False"),
        ({"blocks": {"33": {"present": True, "online": False}}}, "block 33 present is False, recorded True"),
    ],
)
def test_whatever_else_differs_is_told(change, problem):
    assert problems(small(online(**change))) == [problem]


def test_a_pageblock_of_another_type_is_told():
    probe = online()
    probe["blocks"]["32"]["pageblocks"] = "1" * 63 + "0"
    (problem,) = problems(small(probe))
    assert problem.startswith("block 32 pageblocks is 1111")


def test_a_probe_that_the_simulated_kernel_does_not_come_to_is_told():
    probe = online() | {"at": "enter:generic_online_page#33"}
    assert problems(small(probe)) == ["the simulated kernel does not come to this probe"]


def test_a_star_stands_for_any_page_that_the_buddy_manages_and_for_no_other():
    assert problems(small(online([[N, "*"]]))) == []
    going = {"step": 1, "at": "notifier:MEM_GOING_ONLINE"}
    going["blocks"] = {"32": {"present": True, "online": False, "pages": [[N, "*"]]}}
    (problem,) = problems(small(going))
    assert problem.endswith("recorded any page that the buddy manages")


def test_a_page_that_is_not_initialised_is_not_compared():
    document = small(online([[N - 1024, "?"], [1, "B10"], [1023, "n/0"]]))
    replayed = replay(Observation.parse(document, "x"))
    assert problems(document) == []
    assert replayed.results[0].pages == 1024


def test_the_other_side_of_the_patch_does_not_pass():
    document = copy.deepcopy(RECORDED)
    document["kernel"]["series"] = "before"
    first = problems(document)[0]
    assert first == (
        "32768 pages differ, first 0x100000: reserved type none refcount 1; recorded type offline refcount 1"
    )


def test_leaked_pages_in_sums_are_told_by_their_flags_and_what_is_managed_by_its_name():
    # Born reserved, and nobody takes the flag off (PAGE_ALLOC alone): checked, refused, and still counted.
    kernel = {"series": "partial", "only": ["PAGE_ALLOC"], "debug_vm": True}
    probe = {"step": 1, "at": "done", "sums": {"R/0": N}}
    document = small(probe, **kernel) | {"range": {"start_pfn": P, "nr_pages": N}}
    document["states"]["R/0"] = {"type": "none", "refcount": 0, "flags": ["reserved"]}
    assert problems(document) == []
    probe["sums"] = {"*": N}
    assert problems(document) == [
        "sum of * is 0, recorded 32768",
        "sum of R/0 is 32768, recorded 0",
    ]
    del document["states"]["*"]
    document["states"]["x"] = {"type": "none", "refcount": 7, "flags": []}
    document["kernel"]["series"], probe["sums"] = "after", {"x": N}
    assert "sum of any page that the buddy manages is 32768, recorded 0" in problems(document)


def test_the_simulated_machine_dying_is_told_at_every_probe_that_it_does_not_reach():
    # 6.1 with debug_vm dies when pages that are not Offline lose that type.
    early = {"step": 0, "at": "done"}
    document = small(early, online(), series="partial", release="6.1.0", only=["PAGE_ALLOC"], debug_vm=True)
    (problem,) = problems(document)
    assert problem.startswith("the simulated machine died before: VM_BUG_ON_PAGE")


# ---- which kernel ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kernel", "release", "patch"),
    [
        ({"release": "6.1.0-50-amd64", "series": "before"}, "6.1", BEFORE),
        ({"release": "6.12.117, our build", "series": "after"}, "6.12", AFTER),
        (
            {"series": "partial", "missing": ["OFFLINE_MANAGED"]},
            "6.12",
            WITHOUT_3,
        ),
        ({"series": "partial", "only": ["MM_INIT"]}, "6.12", Patch({Hunk.MM_INIT})),
        ({"series": "partial", "only": []}, "6.12", BEFORE),
    ],
)
def test_a_recording_is_replayed_with_its_own_release_and_hunks(kernel, release, patch):
    observation = Observation.parse(small(**kernel), "x")
    assert (observation.release, observation.patch) == (release, patch)


@pytest.mark.parametrize("series", ["partial", "half", None])
def test_a_series_that_says_nothing_is_refused(series):
    with pytest.raises(BadObservation, match=f"x: kernel 'series' is {series!r}, must be"):
        replay(Observation.parse(small(series=series), "x"))


@pytest.mark.parametrize(
    ("recorded", "modelled"),
    [("6.8.0-31-generic", "6.1"), ("6.11.2", "6.11"), ("6.17.1-arch1-1", "6.12"), ("7.9.0", "7.3")],
)
def test_a_release_between_those_that_are_modelled_is_replayed_as_the_one_before(recorded, modelled):
    """A reader's own kernel is rarely one of ours; verify prints which one it is replayed as."""
    assert Observation.parse(small(release=recorded), "x").release == modelled


def test_a_release_older_than_all_that_are_modelled_is_refused():
    with pytest.raises(MemsimError, match=r"release '5\.10' is not modelled"):
        replay(Observation.parse(small(release="5.10.0"), "x"))


# ---- files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"format": "memsim-scenario/1"}, "is not a memsim-observation/1 object"),
        ({"kernel": None}, "'kernel' is missing or not a JSON dict"),
        ({"probes": {}}, "'probes' is missing or not a JSON list"),
        ({"scenario": {"format": "x"}}, "x: scenario: 'format' is 'x'"),
        ({"probes": [{"step": 0}]}, "probe 0: 'at' is missing"),
        ({"probes": [{"step": 2, "at": "done"}]}, "probe 0 names step 2; there are 2 steps"),
        ({"probes": [online([[N, "X"]])]}, "probe 0: block 32: state 'X' has no legend"),
        ({"probes": [online([[N]])]}, "probe 0: block 32: 'pages' must be a run-length list"),
        ({"probes": [online([["many", "n/0"]])]}, "'pages' must be a run-length list of [count, state]"),
    ],
)
def test_a_recording_that_breaks_the_format_is_refused_with_its_name_and_the_rule(change, rule):
    with pytest.raises(BadObservation) as caught:
        Observation.parse(small() | change, "x")
    assert str(caught.value).startswith("x")
    assert rule in str(caught.value)


def test_a_block_with_too_few_pages_is_refused():
    observation = Observation.parse(small(online([[N - 1, "n/0"]])), "x")
    with pytest.raises(BadObservation, match="block 32: 32767 pages, must be 32768"):
        replay(observation)


def test_a_file_that_is_not_json_is_refused(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("memsim", encoding="utf-8")
    with pytest.raises(BadObservation, match=r"x\.json: is not JSON"):
        Observation.load(path)


def test_a_recording_that_does_not_exist_is_refused_with_the_names_of_those_that_do():
    with pytest.raises(MemsimError, match=r"no bundled recording 'dimm'; there are .*6\.12base-after-dimm"):
        bundled("dimm")


def test_the_four_recordings_of_a_dimm_come_with_memsim():
    assert {f"{kernel}-dimm" for kernel in ("6.1", "6.12", "6.12base-before", "6.12base-after")} <= set(
        bundled_names()
    )


def test_what_was_recorded_at_a_point_can_be_asked_for():
    observation = bundled("6.12base-before-dimm")
    assert observation.page_counts(1, "notifier:MEM_GOING_ONLINE", 32) == {"R/1": N}
    assert observation.page_counts(1, "enter:undo_isolate_page_range", 32) == {"B10": 32, "n/0": N - 32}
    with pytest.raises(BadObservation, match="no probe 'enter:offline_pages' was recorded in step 1"):
        observation.probe(1, "enter:offline_pages")


def test_run_lengths_are_written_out_in_order():
    assert runs_of([[2, [[1, "a"], [3, "b"]]], [5, "c"]], "x") == [
        (1, "a"),
        (3, "b"),
        (1, "a"),
        (3, "b"),
        (5, "c"),
    ]


def test_a_state_is_told_in_words():
    value = signature(PageFlag.RESERVED | PageFlag.HWPOISON, 0xF1, 1, 0)
    assert describe(value, BYTE) == "reserved hwpoison type offline refcount 1"
    assert describe(signature(0, 0xF0, -1, 9), BYTE) == "type buddy order 9 refcount -1"
