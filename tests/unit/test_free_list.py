"""A free list beside a plain Python list, whose right end is the head as well."""

import pickle
from random import Random

import pytest

from memsim.free_list import FreeList


def both(steps=400, seed=1):
    """Yield a free list and a plain list after each step of a random story."""
    random, blocks, plain = Random(seed), FreeList(), []  # noqa: S311 (no secret)
    for pfn in range(steps):
        what = random.choice(["append", "append", "appendleft", "appendleft", "extendleft", "pop", "remove"])
        if what in {"append", "appendleft"}:
            getattr(blocks, what)(pfn)
            plain.insert(len(plain) if what == "append" else 0, pfn)
        elif what == "extendleft":
            more = range(1000 + 3 * pfn, 1003 + 3 * pfn)
            blocks.extendleft(more)
            plain[:0] = reversed(more)
        elif plain and what == "pop":
            assert blocks.pop() == plain.pop()
        elif plain:
            chosen = random.choice(plain)
            blocks.remove(chosen)
            plain.remove(chosen)
        yield blocks, plain


@pytest.mark.parametrize("seed", range(5))
def test_it_keeps_the_order_of_a_list(seed):
    for blocks, plain in both(seed=seed):
        assert list(blocks) == plain
        assert list(reversed(blocks)) == plain[::-1]
        assert (len(blocks), bool(blocks)) == (len(plain), bool(plain))


def test_it_knows_what_is_on_it():
    for blocks, plain in both():
        assert {pfn for pfn in range(2300) if pfn in blocks} == set(plain)


def test_all_can_be_taken_off_from_the_head_whichever_end_it_was_added_at():
    *_, (blocks, plain) = both()
    assert [blocks.pop() for _ in plain] == plain[::-1]
    with pytest.raises(KeyError):
        blocks.pop()


@pytest.mark.parametrize("pfns", [[], [3, 1]])
def test_what_is_not_on_it_cannot_be_taken_off_and_nothing_is_lost(pfns):
    blocks = FreeList(pfns)
    with pytest.raises(KeyError):
        blocks.remove(2)
    assert list(blocks) == pfns


def test_a_copy_is_equal_and_independent():
    *_, (blocks, plain) = both()
    twin, other = blocks.copy(), pickle.loads(pickle.dumps(blocks))  # noqa: S301 (our own)
    assert twin == blocks == other
    blocks.pop()
    assert (list(twin), list(other)) == (plain, plain)
    assert twin != blocks


def test_the_order_counts_when_two_are_compared():
    assert FreeList([1, 2]) != FreeList([2, 1])
    assert FreeList([1]) != [1]
    assert repr(FreeList([1, 2])) == "FreeList([1, 2])"


def test_cleared_it_is_empty():
    *_, (blocks, _) = both()
    blocks.clear()
    assert (list(blocks), len(blocks)) == ([], 0)
