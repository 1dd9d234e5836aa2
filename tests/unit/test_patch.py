"""The series as a set of hunks, and the releases beside it."""

from __future__ import annotations

from operator import and_, or_, sub, xor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memsim.errors import MemsimError
from memsim.patch import AFTER, BEFORE, Hunk, Patch
from memsim.release import RELEASES, release_named

patches = st.sets(st.sampled_from(Hunk)).map(Patch)


def test_before_is_no_hunk_and_after_is_every_hunk():
    assert set() == BEFORE
    assert set(Hunk) == AFTER


@given(patches)
def test_a_patch_is_read_back_from_its_name(patch):
    assert Patch.parse(patch.name) == patch


def test_hunk_names_may_have_spaces_and_small_letters():
    assert Patch.parse(" mm_init , page_alloc") == {Hunk.MM_INIT, Hunk.PAGE_ALLOC}


def test_offline_managed_is_both_halves_of_patch_3():
    assert Patch.parse("OFFLINE_MANAGED") == {Hunk.OFFLINE_CORE, Hunk.OFFLINE_DRIVER}


@given(patches)
def test_the_series_without_some_hunks_and_these_hunks_make_the_series(patch):
    rest = Patch.without(patch)
    assert rest | patch == AFTER
    assert not rest & patch


def test_an_unknown_hunk_is_refused_with_the_names_of_the_known_ones():
    with pytest.raises(MemsimError, match=r"'MM_EXIT' is not a hunk of the series; the hunks are .*MM_INIT"):
        Patch.parse("MM_INIT,MM_EXIT")


def test_an_unknown_release_is_refused_with_the_names_of_the_known_ones():
    with pytest.raises(MemsimError, match=r"release '5\.10' is not modelled; known are 6\.1, 6\.11, 6\.12"):
        release_named("5.10")


def test_the_releases_store_page_types_as_their_kernels_do():
    assert RELEASES["6.1"].encoding.inverted
    assert not RELEASES["6.12"].encoding.inverted


@pytest.mark.parametrize(
    ("hunks", "named"),
    [("MM_EXIT", "'MM_EXIT'"), ([Hunk.MM_INIT, None], "None"), ({3}, "3"), (3, "3")],
)
def test_patch__refuses_what_is_neither_a_hunk_nor_the_name_of_one(hunks, named):
    with pytest.raises(MemsimError, match=named):
        Patch(hunks)


@pytest.mark.parametrize(
    "given", ["MM_INIT, page_alloc", ["mm_init", Hunk.PAGE_ALLOC], {Hunk.MM_INIT, Hunk.PAGE_ALLOC}]
)
def test_patch__takes_hunks_and_names(given):
    assert Patch(given) == {Hunk.MM_INIT, Hunk.PAGE_ALLOC}
    assert (Patch("before"), Patch("After")) == (BEFORE, AFTER)


@given(patches, patches)
def test_patch__set_operations_give_patches(one, other):
    for operation in (or_, and_, sub, xor):
        result = operation(one, frozenset(other))
        assert type(result) is Patch
        assert result == operation(frozenset(one), frozenset(other))
        assert Patch(result.name) == result
