"""The glossary: every word is defined once, by a chapter, and linked where a later chapter uses it first."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.book.reading import CHAPTERS, book_of, cells, code, markdown, source, tags
from tests.tools import glossary as tool
from tests.tools.notebooks import dumps

TERMS = tool.collect(CHAPTERS)


def test_a_word_is_defined_once():
    places = {term.anchor.lower(): [t.chapter for t in TERMS if t.anchor == term.anchor] for term in TERMS}
    assert {anchor: where for anchor, where in places.items() if len(where) > 1} == {}
    assert Counter(term.anchor.lower() for term in TERMS).total() == len(places)


def test_the_glossary_is_what_make_book_makes_of_the_chapters():
    assert tool.PATH.read_text(encoding="utf-8") == dumps(tool.glossary(TERMS, tool.titles_of(CHAPTERS)))


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_each_word_of_a_glossary_cell_is_collected(path):
    assert list(lost_words(tool.read(path))) == []


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_the_first_use_of_a_word_is_linked(path):
    """`python -m tests.tools.glossary --link FILE` makes the links."""
    assert missing_links(tool.read(path), path.name, TERMS) == []


def lost_words(notebook):
    """Return what stands in a cell of new words, or looks like one, and would not come to the glossary."""
    for cell in cells(notebook, "markdown"):
        text = source(cell)
        if text.startswith("New words:") is not ("glossary" in tags(cell)):
            yield f"a cell of new words begins with `New words:` and has the tag glossary: {text[:60]}"
        if "glossary" in tags(cell):
            found = {term.name for term in tool.terms_of(book_of(cell), "")}
            items = [line for line in text.splitlines() if line.startswith(("- ", "* "))]
            yield from (
                item for item in items if not any(f"**{name}**:" in item.replace("`", "") for name in found)
            )


def missing_links(notebook, name, terms):
    return [term.name for term, *_ in tool.owed(notebook, terms, name)]


# ---- on a made-up book -------------------------------------------------------------------------------------

WORDS = markdown(
    "New words:\n\n- **free list**: where free\n  blocks *wait*.\n- **`PG_reserved`**: a flag: `a`.\n"
    "- **poison (memmap)**: ones.",
    id="w",
) | {"metadata": {"tags": ["glossary"]}}
MADE = tool.terms_of(book_of(markdown("# A"), WORDS), "03-a.ipynb")
LINK = "[{}](glossary.ipynb#cell-id={})".format


def test_words_and_their_definitions_are_read():
    assert [(term.name, term.anchor, term.word, term.definition) for term in MADE] == [
        ("free list", "free-list", "free list", "where free blocks *wait*."),
        ("PG_reserved", "PG_reserved", "PG_reserved", "a flag: `a`."),
        ("poison (memmap)", "poison-memmap", "poison", "ones."),
    ]


def test_the_page_has_a_cell_for_each_word_and_says_where_it_comes_from():
    page = tool.glossary(MADE, {"03-a.ipynb": "A"})
    assert [cell["id"] for cell in page["cells"][1:]] == ["free-list", "PG_reserved", "poison-memmap"]
    assert source(page["cells"][1]) == (
        "## free list\n\nWhere free blocks *wait*.\n\nIntroduced in chapter 3, [A](03-a.ipynb#cell-id=w)."
    )


@pytest.mark.parametrize(
    "cell",
    [
        markdown("New words:\n\n- **a**: b."),
        WORDS | {"source": "Words:\n\n- **a**: b."},
        WORDS | {"source": "New words:\n\n- **a**: b.\n- **c** d."},
        WORDS | {"source": "New words:\n\n- a: b."},
    ],
)
def test_a_word_that_would_be_lost_is_noticed(cell):
    assert len(list(lost_words(book_of(cell)))) == 1
    assert list(lost_words(book_of(WORDS))) == []


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("It waits on a free list.", ["free list"]),
        ("It waits on free lists.", ["free list"]),
        (f"{LINK('Free lists', 'free-list')} and free lists.", []),
        (f"A free list, or {LINK('free list', 'free-list')}.", ["free list"]),
        ("Before `PG_reserved` was set,", ["PG_reserved"]),
        (f"Before {LINK('`PG_reserved`', 'PG_reserved')} was set,", []),
        ("## Free lists and a free list\n```\nfree list\n```\n`free list()`", []),
        ("A free-list, a carefree listener, PG_reserved_x, a/free list, [a free list](#there)", []),
        ("Everyday words, as poison is.", []),
    ],
)
def test_a_first_use_without_a_link_is_noticed(text, missing):
    assert missing_links(book_of(markdown(text), markdown(text)), "04-b.ipynb", MADE) == missing
    # A chapter before the one that defines the word owes it, too; that one does not, nor the welcome page.
    assert missing_links(book_of(markdown(text)), "02-z.ipynb", MADE) == missing
    assert missing_links(book_of(markdown(text)), "03-a.ipynb", MADE) == []
    assert missing_links(book_of(markdown(text)), "00-welcome.ipynb", MADE) == []


def test_links_are_made_once_for_each_word():
    text = "The `PG_reserved` flag.\n\nAll free lists and free lists; `x = free list`."
    notebook = book_of(code("free list", 1), markdown("# A free list"), markdown(text), markdown(text))
    assert tool.link(notebook, tool.unlinked(notebook, MADE)) == 2
    assert source(notebook["cells"][2]) == (
        f"The {LINK('`PG_reserved`', 'PG_reserved')} flag.\n\n"
        f"All {LINK('free lists', 'free-list')} and free lists; `x = free list`."
    )
    assert source(notebook["cells"][3]) == text
    assert tool.link(notebook, tool.unlinked(notebook, MADE)) == 0


def test_a_chapter_links_its_own_words_where_it_uses_them_above_their_definition():
    text = f"A free list, and a {LINK('`PG_reserved`', 'PG_reserved')} page."
    early, late = book_of(markdown(text), WORDS), book_of(WORDS, markdown(text))
    assert (missing_links(early, "03-a.ipynb", MADE), missing_links(late, "03-a.ipynb", MADE)) == (
        ["free list"],
        [],
    )
    assert tool.link(early, tool.owed(early, MADE, "03-a.ipynb")) == 1
    assert source(early["cells"][0]).startswith(f"A {LINK('free list', 'free-list')}, and")
    assert missing_links(early, "03-a.ipynb", MADE) == []
