"""Texts use no word of the list in tests/tools/english.py."""

from __future__ import annotations

import pytest

from tests.tools.english import INSTEAD, found, in_all_files


def test_a_text_uses_none_of_the_words():
    assert in_all_files() == {}, "\n".join(f"write, for {word}: {better}" for word, better in INSTEAD.items())


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ('"""Nobody knows.\n\nWhoever asks is told.\n"""', [(1, "Nobody"), (3, "Whoever"), (3, "told")]),
        ("# so many of them\nmany = 1", [(1, "so many")]),
        ('told = f"{told} for ever"', [(1, "for ever")]),
        ('"In what follows, and in what happens"', []),
        ('"In what two kernels differ"', [(1, "In what two")]),
    ],
)
def test_a_word_is_found_in_strings_and_comments(source, words):
    assert found(source, python=True) == words


def test_a_word_is_found_in_prose():
    assert found("Text.\n\n    told = 1\n\nIt is told.", python=False) == [(5, "told")]
