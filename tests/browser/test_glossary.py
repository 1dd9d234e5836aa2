"""A link to a word opens the glossary there, and a mark leads to the claim behind a sentence."""

from __future__ import annotations

import pytest

from tests.book.reading import BOOK

pytestmark = pytest.mark.browser

WORD = "cell-id=struct-page"
SHOWN = ".jp-NotebookPanel:not(.lm-mod-hidden) h2"
KPAGEFLAGS = "cell-id=5db6046d"
SCROLLED = (
    "Math.max(...[...document.querySelectorAll('.jp-WindowedPanel-outer')].map((each) => each.scrollTop))"
)


def in_the_upper_half(page, target, place):
    """Return a test whether what a link leads to is in the upper half of the page.

    A busy JupyterLab has scrolled before it draws the cells above. The test goes there again as the link
    does, but only when all stands still: going there while it draws begins the drawing anew.
    """
    height = page.viewport_size["height"]
    places = [None]

    def there():
        box = target.bounding_box()
        places.append(box and box["y"])
        if box is not None and 0 <= box["y"] < height / 2:
            return True
        page.wait_for_timeout(200)
        return places[-1] == places[-2] and page.evaluate(
            f"window.jupyterapp.shell.currentWidget.setFragment('#{place}')"
        )

    return there


def test_a_link_to_a_word_leads_to_it(open_notebook, page):
    notebook = open_notebook(BOOK / "02-the-memmap.ipynb")
    page.locator(f"a[href*='glossary.ipynb#{WORD}'], a:text-is('struct page')").first.click()
    heading = page.locator(SHOWN).get_by_text("struct page", exact=False).first
    heading.wait_for()
    notebook.wait_until(in_the_upper_half(page, heading, WORD), bool, "the word is not shown at the top")


def test_a_mark_behind_a_sentence_leads_to_its_claim(open_notebook, page):
    notebook = open_notebook(BOOK / "07-page-offline.ipynb")
    mark = page.locator(f"a[href$='#{KPAGEFLAGS}']").first
    mark.scroll_into_view_if_needed()
    here = page.evaluate(SCROLLED)
    mark.click()
    page.wait_for_function(f"{SCROLLED} > {here} + innerHeight")
    claim = page.locator(".memsim-claim", has_text="offline.kpageflags")
    claim.wait_for()
    notebook.wait_until(in_the_upper_half(page, claim, KPAGEFLAGS), bool, "the claim is not shown")
