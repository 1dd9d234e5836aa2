"""Where memsim is published stands in pyproject.toml, and every other place that tells it tells the same."""

from __future__ import annotations

import pytest
import yaml

from book.site.address import binder, repository
from tests.tools.address import PLACES, ROOT, written

ELSEWHERE = "https://github.com/somebody/a-fork"


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PLACES)
def test_a_place_tells_the_address_of_the_project(name):
    assert written(name, read(name), repository()) == read(name), "run: python -m tests.tools.address"


@pytest.mark.parametrize("name", PLACES)
def test_another_address_would_get_everywhere(name):
    text = written(name, read(name), ELSEWHERE)

    assert "somebody/a-fork" in text
    assert repository().removeprefix("https://github.com/") not in text


def test_the_citation_is_still_read_as_one():
    text = written("CITATION.cff", read("CITATION.cff"), ELSEWHERE)

    assert yaml.safe_load(text)["repository-code"] == ELSEWHERE


def test_a_place_without_its_line_is_told():
    with pytest.raises(ValueError, match=r"must have one line .* has 0"):
        written("README.md", "# memsim\n", ELSEWHERE)


def test_the_first_page_that_binder_opens_is_there():
    assert (ROOT / binder("00-welcome.ipynb", ELSEWHERE).partition("lab/tree/")[2]).is_file()


@pytest.mark.parametrize(
    "address",
    ["https://gitlab.com/a/b", "https://github.com/a", "https://github.com/a/b/", "git@github.com:a/b.git"],
)
def test_an_address_of_which_no_link_for_binder_can_be_made_is_refused(address):
    with pytest.raises(ValueError, match=r"Repository in pyproject\.toml must be"):
        binder("00-welcome.ipynb", address)
