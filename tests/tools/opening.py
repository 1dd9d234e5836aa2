"""Draw the book's opening picture again: ``python -m tests.tools.opening`` (``make book`` does it too)."""

from __future__ import annotations

from memsim import Scenario, compare
from memsim.view.draw.opening import Story, opening_svg, story_of
from tests.book.reading import BOOK

PICTURE = BOOK / "images" / "one-block-comes-online.svg"
BLOCK, PAGES = 32, 32768


def story() -> Story:
    """Return the story of the scenario of chapter 1."""
    return story_of(compare(Scenario.load(BOOK / "scenarios" / "one-block.json")), BLOCK, PAGES)


if __name__ == "__main__":
    PICTURE.write_text(opening_svg(story()), encoding="utf-8", newline="\n")
