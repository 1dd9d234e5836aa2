"""A link to a word opens the glossary at that word, at the first click."""

from __future__ import annotations

import pytest

from tests.book.reading import BOOK

pytestmark = pytest.mark.browser

SHOWN = ".jp-NotebookPanel:not(.lm-mod-hidden) h2"


def test_a_link_to_a_word_leads_to_it(open_notebook, page):
    notebook = open_notebook(BOOK / "05-the-buddy-allocator.ipynb")
    page.locator("a[href*='glossary.ipynb#cell-id=struct-page'], a:text-is('struct page')").first.click()
    heading = page.locator(SHOWN).get_by_text("struct page", exact=False).first
    heading.wait_for()
    height = page.viewport_size["height"]
    notebook.wait_until(
        heading.bounding_box,
        lambda box: box is not None and 0 <= box["y"] < height / 2,
        "the word is not shown at the top",
    )
