"""The twenty beliefs of the guide for teachers: each is met by a claim of the chapter that is named."""

from __future__ import annotations

import json
import re

import pytest

from memsim.lesson.chapters import listed_claims
from tests.book.reading import BOOK, CHAPTERS, cells, source

ROW = re.compile(r"\| (\d+) \| .* \| .* \| \[\d+\]\((\S+\.ipynb)\), `([^`]+)` \|")
NUMBER_OF_BELIEFS = 20


def rows(text):
    """Return (number, chapter, id of a claim) of each row of the table."""
    return [(int(number), chapter, claim) for number, chapter, claim in ROW.findall(text)]


def astray(table, claims):
    """Return the rows whose claim is not made in the chapter that they name."""
    return [row for row in table if row[2] not in claims.get(row[1], ())]


@pytest.fixture(scope="module")
def claims():
    return {path.name: {claim.id for claim in listed_claims(path)} for path in CHAPTERS}


@pytest.fixture(scope="module")
def guide():
    notebook = json.loads((BOOK / "teacher-guide.ipynb").read_text(encoding="utf-8"))
    return "\n".join(source(cell) for cell in cells(notebook, "markdown"))


def test_each_belief_is_met_in_the_chapter_that_the_guide_names(guide, claims):
    table = rows(guide)

    assert [number for number, *_ in table] == list(range(1, NUMBER_OF_BELIEFS + 1))
    assert astray(table, claims) == []


def test_a_claim_of_another_chapter_is_noticed():
    table = rows("| 1 | a | b | [7](07-x.ipynb), `x.one` |\n| 2 | a | b | [8](08-y.ipynb), `x.one` |")

    assert astray(table, {"07-x.ipynb": {"x.one"}, "08-y.ipynb": {"y.one"}}) == [(2, "08-y.ipynb", "x.one")]
