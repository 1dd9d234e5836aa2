"""What each memory block of a machine is."""

from __future__ import annotations

import numpy as np
import pytest

from memsim import Scenario, compare
from memsim.view.explorer.inputs import blocks_of
from memsim.view.model.page_class import (
    MIXED,
    NOT_ONLINE,
    PageClass,
    block_kinds,
    kind_letters,
    machine_sentence,
)

PAGES = 32768
DOCUMENT = {
    "format": "memsim-scenario/1",
    "machine": {"ram": [[0, 131072]], "block_pages": PAGES},
    "steps": [
        {"do": "add_memory", "start_pfn": 0x100000, "nr_pages": 2 * PAGES},
        {"do": "online", "block": 32, "type": "online_movable"},
        {"do": "allocate", "nr_pages": 100},
        {"do": "free"},
        {"do": "offline", "block": 32},
        {"do": "remove_memory", "start_pfn": 0x100000, "nr_pages": 2 * PAGES},
    ],
}


@pytest.fixture(scope="module")
def both():
    return compare(Scenario.parse(DOCUMENT))


def ends_of_steps(tape):
    return [max(i for i, e in enumerate(tape.events) if e.step <= step) for step in range(len(tape.labels))]


def test_what_each_block_is_at_the_end_of_each_step(both):
    tape, blocks = both.after.tape, blocks_of(both)

    def letters_at(index):
        return [kind_letters(kind) for kind in block_kinds(tape.at(index), blocks, PAGES).tolist()]

    letters = [letters_at(end)[4:] for end in ends_of_steps(tape)]
    assert letters == [["N", "N"], ["B", "N"], ["B+", "N"], ["B", "N"], ["N", "N"], ["·", "·"]]
    assert letters_at(-1)[1:] == ["B", "B", "B", "·", "·"]


def test_a_block_of_two_sections_is_mixed_when_they_differ():
    document = {
        **DOCUMENT,
        "machine": {"ram": [[0, 131072]], "block_pages": 65536},
        "steps": [
            {"do": "add_memory", "start_pfn": 0x100000, "nr_pages": 65536},
            {"do": "online", "block": 16},
            {"do": "allocate", "block": 16, "nr_pages": 100},
        ],
    }
    both = compare(Scenario.parse(document))
    tape = both.after.tape
    first, second, third = (block_kinds(tape.at(end), [16], 65536).tolist() for end in ends_of_steps(tape))
    assert (first, second, third) == ([NOT_ONLINE], [PageClass.FREE], [PageClass.FREE | MIXED])


def test_the_sentence_tells_of_holes_and_is_cut():
    kinds = np.array([3, 3, 3 | MIXED, NOT_ONLINE, NOT_ONLINE], np.uint8)
    assert machine_sentence([0, 1, 2, 3, 32], kinds) == "0-1 B, 2 B+, 3 N, 32 N"
    assert machine_sentence([0, 1, 2, 3, 32], kinds, longest=2) == "0-1 B, 2 B+, and 2 more runs"
