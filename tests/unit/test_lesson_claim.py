"""claim(): a sentence about the kernel that code can refute, and refutes when it is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from memsim import AFTER, BEFORE, Machine
from memsim.lesson import ClaimError, claim, claim_registry, claims, on_a_real_kernel

SENTENCE = "Onlining counts <all> pages of a block as `managed`."
SOURCE = "online_pages(), mm/memory_hotplug.c, 6.12"


@pytest.fixture(autouse=True)
def empty_ledger(monkeypatch):
    monkeypatch.setattr(claim_registry, "_registry", {})


WORLD = {"sky": "blue"}


def yes():
    return WORLD["sky"] == "blue"


def no():
    return WORLD["sky"] == "green"


def make(holds=yes, contradicted_by=no, **changes):
    arguments = {"claim_id": "zone.managed", "sentence": SENTENCE, "source": SOURCE} | changes
    return claim(**arguments, holds=holds, contradicted_by=contradicted_by)


def managed(patch):
    machine = Machine(patch=patch)
    machine.add_memory(0x100000, 32768)
    machine.online(32, "online_movable")
    return machine.zone("Movable").managed_pages


def test_a_claim_on_the_simulator_shows_what_was_checked():
    # 128 MiB / 4 KiB = 32768 pages; adjust_managed_page_count() runs for each on both kernels.
    made = make(
        lambda: all(managed(patch) == 32768 for patch in (BEFORE, AFTER)),
        lambda: any(managed(patch) == 0 for patch in (BEFORE, AFTER)),
    )
    bundle = made._repr_mimebundle_()
    for part in ("zone.managed", SOURCE, "checked"):
        assert part in bundle["text/plain"]
        assert part in bundle["text/html"]
    assert SENTENCE in bundle["text/plain"]
    assert "counts &lt;all&gt; pages of a block as <code>managed</code>" in bundle["text/html"]
    assert repr(made) == bundle["text/plain"]


@pytest.mark.parametrize(
    ("checks", "message"),
    [
        ({"holds": lambda: "sea" in WORLD}, "holds returned False, must return True"),
        ({"contradicted_by": lambda: "sky" in WORLD}, "contradicted_by returned True, must return False"),
        ({"holds": lambda: [1, WORLD] and [1]}, r"holds returned \[1\], which is neither"),
        ({"contradicted_by": lambda: WORLD.get("sea")}, "contradicted_by returned None, which is neither"),
        ({"holds": lambda: len(WORLD) // 0}, "holds raised ZeroDivisionError"),
    ],
)
def test_a_claim_fails_both_ways_and_names_itself(checks, message):
    with pytest.raises(ClaimError, match=message) as raised:
        make(**checks)
    assert "zone.managed" in str(raised.value)
    assert SENTENCE in str(raised.value)
    assert claims() == ()


def test_numpys_truth_is_truth():
    assert make(lambda: np.bool_(yes()), lambda: np.bool_(no()))


def constant():
    return BEFORE != AFTER  # the names of patches say nothing about a kernel


@pytest.mark.parametrize(
    ("holds", "contradicted_by", "message"),
    [
        (lambda: True, no, "holds looks at nothing that could be otherwise"),
        (yes, lambda: False, "contradicted_by looks at nothing that could be otherwise"),
        (lambda: len("a") == 1, no, "holds looks at nothing"),
        (constant, no, "holds looks at nothing"),
        (lambda: not constant(), no, "holds looks at nothing"),
        (lambda: all(x < 9 for x in range(3)), no, "holds looks at nothing"),
        (yes, yes, "are the same check"),
        (lambda: WORLD["sky"] == "blue", lambda: WORLD["sky"] == "blue", "are the same check"),
    ],
    ids=["holds", "contradicted_by", "len", "patches", "through a function", "inside", "same", "same code"],
)
def test_evidence_that_could_not_fail_is_refused(holds, contradicted_by, message):
    with pytest.raises(ClaimError, match=message) as raised:
        make(holds, contradicted_by)
    assert "zone.managed" in str(raised.value)
    assert claims() == ()


def test_evidence_may_look_through_functions_and_what_a_function_closed_over():
    def look_at(world):
        return lambda: world["sky"] == "blue"

    assert make(lambda: yes() and not no(), lambda: not yes() and no())
    assert make(look_at(WORLD), no)


def test_a_claim_keeps_its_evidence_and_is_collected():
    with claim_registry.collecting() as made:
        one = make()
        two = make(claim_id="b")
    make(claim_id="c")
    assert made == [one, two]
    assert one.holds() is True
    assert one.contradicted_by() is False


def test_claims_are_collected_by_id_and_a_cell_may_run_twice():
    second, first = make(claim_id="b"), make(claim_id="a.1-x")
    make(claim_id="b")
    assert claims() == (first, second)


def test_an_id_belongs_to_one_sentence():
    make()
    with pytest.raises(ClaimError, match=r"'zone.managed' is already made"):
        make(sentence="Another one.")


@pytest.mark.parametrize("claim_id", ["", "Zone", "zone managed", "-a", "a..b", "<b>"])
def test_an_id_is_words_joined_by_dots_and_hyphens(claim_id):
    with pytest.raises(ClaimError, match="an id is"):
        make(claim_id=claim_id)


def test_on_a_real_kernel_shows_command_and_recording_as_they_are():
    made = on_a_real_kernel("See `state`, as <root>.", "cat a && echo `b`", "online\n  <1>")
    bundle = made._repr_mimebundle_()
    assert bundle["text/plain"].splitlines() == [
        "On a real kernel: See `state`, as <root>.",
        "  cat a && echo `b`",
        "A recorded kernel showed:",
        "  online",
        "    <1>",
    ]
    assert repr(made) == bundle["text/plain"]
    assert "See <code>state</code>, as &lt;root&gt;." in bundle["text/html"]
    assert ">cat a &amp;&amp; echo `b`</pre>" in bundle["text/html"]
    assert ">online\n  &lt;1&gt;</pre>" in bundle["text/html"]


def test_on_a_real_kernel_needs_no_recording():
    made = on_a_real_kernel("See it.", "ls")
    assert "recorded" not in repr(made)
    assert "recorded" not in made.html()
