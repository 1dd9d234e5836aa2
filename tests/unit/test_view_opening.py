"""The opening picture: what it shows is what the simulator does, and it stands still for who wants that."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree as ET

import pytest

from memsim import AFTER, Scenario, compare
from memsim.view.model.page_class import PageClass
from tests.book.reading import BOOK, joined
from tests.tools.opening import PICTURE, opening_svg, story, story_of


@pytest.fixture(scope="module")
def told():
    return story()


@pytest.mark.long
def test_the_stored_picture_is_what_the_simulator_does(told):
    assert PICTURE.read_text(encoding="utf-8") == opening_svg(told), "python -m tests.tools.opening renews it"


def test_all_pages_are_marked_and_32_chunks_are_freed_in_order(told):
    """memmap_init_range() marks all pages; generic_online_page() frees 1,024 at a time (order 10)."""
    assert told.kinds[0] == ((PageClass.ABSENT,) * 32,) * 2
    for free, (before, after) in enumerate(told.kinds[1:]):
        assert before == (PageClass.FREE,) * free + (PageClass.RESERVED,) * (32 - free)
        assert after == (PageClass.FREE,) * free + (PageClass.OFFLINE,) * (32 - free)
    assert told.differ == (0, *range(32768, -1, -1024))


@pytest.mark.long
def test_two_kernels_that_are_alike_differ_in_nothing():
    alike = story_of(compare(Scenario.load(BOOK / "scenarios" / "one-block.json"), AFTER, AFTER), 32, 32768)
    assert set(alike.differ) == {0}
    assert all(before == after for before, after in alike.kinds)


def test_it_is_one_file_that_asks_for_nothing_and_has_its_words_in_it(told):
    svg = opening_svg(told)
    root = ET.fromstring(svg)  # noqa: S314 (our own file)
    assert root.get("aria-label") == told.alt
    assert not re.search(r"https?:(?!//www\.w3\.org/2000/svg\")|<script|\bon\w+=", svg)
    assert len(svg) < 60_000


def test_without_animation_it_stands_in_the_middle_of_the_story(told):
    """What is seen then is what has no opacity of 0: 12 chunks free on both sides, and one number."""
    svg = opening_svg(told)
    seen = [line for line in svg.splitlines() if 'opacity="0"' not in line]
    assert sum('#k3" class="a' in line for line in seen) == 2 * 12
    assert next(line for line in seen if "number" in line and "<text" in line).endswith(">20,480</text>")
    assert "prefers-reduced-motion: reduce" in svg


def test_a_legend_has_a_tile_and_a_word_for_each_mark(told):
    """A reader meets R, O and B here first; the text of the page says later what they are."""
    svg = opening_svg(told)
    words = re.findall(r'scale\(\.55\)"><use href="#k(\d+)"/></g>\n<text [^>]*class="key">([^<]+)<', svg)
    marks = {kind for moment in told.kinds for side in moment for kind in side} - {PageClass.ABSENT}
    assert {int(kind): word for kind, word in words} == {int(kind): kind.label for kind in marks}


def test_a_phone_can_read_it(told):
    """There it is about 330 px wide instead of 788: words of 23 px are shown with 10, and fit."""
    svg = opening_svg(told)
    phone = svg.partition("@media (max-width: 520px)")[2].partition("\n}")[0]
    assert min(map(int, re.findall(r"font-size: (\d+)px", phone))) >= 22
    short = re.findall(r'class="short s\d"[^>]*>([^<]*)<', svg)
    assert len(short) == 4
    assert max(map(len, short)) * 25 * 0.6 < 788 - 24


@pytest.mark.parametrize(
    "path", [BOOK / "00-welcome.ipynb", BOOK.parent / "README.md"], ids=lambda path: path.name
)
def test_it_is_the_first_thing_that_a_reader_meets(path, told):
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        text = joined(json.loads(text)["cells"][0]["source"])
    opening, picture, _ = text.partition(f"![{told.alt}](")
    assert picture, "its alternative text is what the simulator does"
    prose = re.sub(r"\]\(.*?\)", "", opening)
    assert len([word for word in prose.split() if any(map(str.isalnum, word))]) <= 60
