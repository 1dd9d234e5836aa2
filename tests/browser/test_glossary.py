"""A link to a word opens the glossary at that word."""

from __future__ import annotations

import pytest

from tests.book.reading import BOOK

pytestmark = pytest.mark.browser

WORD = "cell-id=struct-page"
GO_TO = f"window.jupyterapp.shell.currentWidget.setFragment('#{WORD}')"
SHOWN = ".jp-NotebookPanel:not(.lm-mod-hidden) h2"


def test_a_link_to_a_word_leads_to_it(open_notebook, page):
    notebook = open_notebook(BOOK / "02-the-memmap.ipynb")
    page.locator(f"a[href*='glossary.ipynb#{WORD}'], a:text-is('struct page')").first.click()
    heading = page.locator(SHOWN).get_by_text("struct page", exact=False).first
    heading.wait_for()
    height = page.viewport_size["height"]
    places = [None]

    def at_the_top():
        """Go there again as a link does: a busy JupyterLab has scrolled before it draws the cells above.

        But only when all stands still: going there while it draws begins the drawing anew.
        """
        box = heading.bounding_box()
        places.append(box and box["y"])
        if box is not None and 0 <= box["y"] < height / 2:
            return True
        page.wait_for_timeout(200)
        return places[-1] == places[-2] and page.evaluate(GO_TO)

    notebook.wait_until(at_the_top, bool, "the word is not shown at the top")
