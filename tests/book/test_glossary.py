"""The glossary: every word is defined once, by a chapter, and linked where a later chapter uses it first."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.book.reading import BOOK, CHAPTERS, book_of, cells, code, joined, markdown, put, source, tags
from tests.tools import glossary as tool
from tests.tools.notebooks import dumps

if TYPE_CHECKING:
    from collections.abc import Iterator

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


# ---- where no link can stand -------------------------------------------------------------------------------

WRITTEN = {"solution": (1, "rubric"), "claim": (1, ""), "on_a_real_kernel": (0, "")}
"""Which argument, and which keyword, of a call a reader reads."""


@pytest.mark.parametrize("path", CHAPTERS[1:], ids=lambda path: path.stem)
def test_a_text_without_links_uses_words_that_a_reader_has_met(path):
    """Questions, solutions and claims know no links."""
    so_far = [tool.read(each) for each in CHAPTERS if each <= path]
    assert list(unmet_words(so_far, asked(path), path.name, TERMS)) == []


def asked(path) -> list[str]:
    """Return the questions of a chapter, with their answers."""
    questions = BOOK / "questions" / f"{path.stem}.toml"
    return [str(each) for each in tomllib.loads(questions.read_text(encoding="utf-8")).values()]


def unmet_words(so_far, texts, name, terms):
    """Yield words that no chapter so far defines or links, and of which the text names no chapter to come."""
    linked = {
        anchor
        for each in so_far
        for cell in cells(each, "markdown")
        for anchor, _ in tool.linked(source(cell))
    }
    unmet = {
        term.word: term
        for term in terms
        if term.chapter > name and term.anchor not in linked and term.word not in tool.EVERYDAY
    }
    for text in (*texts, *written(so_far[-1])):
        for word, _ in tool.uses(text, unmet):
            number = int(unmet[word].chapter[:2])
            if not re.search(rf"[Cc]hapters? (\d+( to|,| and) )*{number}\b", text):
                yield f"{word} is a word of chapter {number}: {' '.join(text.split())[:80]}"


def written(notebook) -> Iterator[str]:
    """Yield what solutions, claims and boxes say."""
    for cell in cells(notebook, "code"):
        for call in ast.walk(ast.parse(source(cell))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in WRITTEN:
                place, word = WRITTEN[call.func.id]
                read = [call.args[place], *(each.value for each in call.keywords if each.arg == word)]
                yield from (
                    node.value
                    for each in read
                    for node in ast.walk(each)
                    if isinstance(node, ast.Constant) and isinstance(node.value, str)
                )


# ---- the keys of recordings --------------------------------------------------------------------------------

KEY = re.compile(r"(?<![\w/'])'?(?P<letters>[A-Zn]+)/\d(?![\w/])|'(?P<sign>[*?])'")


def test_a_letter_of_a_recorded_page_is_explained_before_it_is_printed():
    """``RO/1`` says nothing to who has not read that R is reserved."""
    assert list(printed_too_early(map(tool.read, CHAPTERS))) == []


def printed_too_early(chapters):
    """Yield letters of keys that are printed, or in code, before a text explains them."""
    said = ""
    for notebook in chapters:
        for cell in notebook["cells"]:
            if cell["cell_type"] == "markdown":
                said += source(cell)
            else:
                printed = (joined(each.get("text", "")) for each in cell["outputs"])
                keys = [key for text in (source(cell), *printed) for key in KEY.finditer(text)]
                for letter in dict.fromkeys("".join(key["letters"] or key["sign"] for key in keys)):
                    if not re.search(
                        rf"`{re.escape(letter)}(/\d)?`|\b{re.escape(letter)} (reserved|Offline|none)\b", said
                    ):
                        yield f"{letter} is in the keys of {source(cell)[:60]} and has not been explained"


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
        ("Free lists come first.", ["free list"]),
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


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("solution(1, 'It waits on a free list.')", 1),
        ("solution(1, 'So.', rubric=('a free list', 'b'))", 1),
        ("claim('a.b', 'It waits on a free list.', '6.12', holds=h)", 1),
        ("on_a_real_kernel('Count its free lists.', 'cat x')", 1),
        ("solution(1, 'On a free list (Chapter 3).')", 0),
        ("solution(1, 'On a free list (chapters 1 and 3).')", 0),
        ("solution(1, 'On a free list (Chapter 13).')", 1),
        ("claim('a.b', 'So.', 'free list, 6.12', holds=lambda: 'free list')", 0),
        ("print('free list')", 0),
    ],
)
def test_a_word_to_come_is_noticed_where_it_cannot_be_linked(cell, found):
    chapter = book_of(markdown("# B"), code(cell, 1))
    assert len(list(unmet_words([chapter], [], "02-b.ipynb", MADE))) == found
    assert len(list(unmet_words([chapter], ["On a free list?"], "02-b.ipynb", MADE))) == found + 1
    # A chapter that has met the word, by a link or by its definition, may use it.
    linked = book_of(markdown(LINK("free lists", "free-list")))
    assert list(unmet_words([linked, chapter], ["On a free list?"], "02-b.ipynb", MADE)) == []
    assert list(unmet_words([chapter], ["On a free list?"], "03-a.ipynb", MADE)) == []


@pytest.mark.parametrize(
    ("said", "letters"),
    [
        ("`R` is reserved, `O` Offline.", ""),
        ("R reserved, O Offline", ""),
        ("`R/1` is.", "O"),
        ("R and O", "RO"),
    ],
)
def test_a_key_that_is_printed_unexplained_is_noticed(said, letters):
    printed = code("print(counts)", 1)
    put([{"output_type": "stream", "text": "{'RO/1': 12768} and/2 a/1 /R/1"}], "outputs")(printed)
    made: list[dict[str, Any]] = [book_of(markdown(said)), book_of(printed)]
    assert "".join(each[0] for each in printed_too_early(made)) == letters
    assert len(list(printed_too_early(reversed(made)))) == len("RO")


def test_a_definition_has_no_marks_that_lead_to_claims_of_its_chapter():
    assert tool.definition("a block[✓](01-a.ipynb#cell-id=claim-5)\n  of a zone") == "a block of a zone"
