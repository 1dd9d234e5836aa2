"""The source of the functions that appear on a tape, as the page shows it.

Left out: docstrings, of which only the first sentence is kept, and annotations.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from memsim.source.listings import listings
from memsim.state.trace import FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memsim.source.listings import Listing


def code_of(function: str) -> list[dict[str, Any]]:
    """Return the listing of a kernel function's model, and of its helpers that ask for a hunk.

    ``lines`` are pairs of a line's number in the file and its text; ``marks`` are the branches of the patch:
    hunk, kind, first and last line in the file.

    >>> [part["name"] for part in code_of("memmap_init_range")]
    ['memmap_init_range', 'first_state']
    """
    return [_listing(function, item) for item in listings(function)]


def _listing(function: str, item: Listing) -> dict[str, Any]:
    model = FUNCTIONS[function].__globals__.get(item.name, FUNCTIONS[function])
    model = inspect.unwrap(model)
    shift = item.first_line - 1
    return {
        "name": item.name,
        "file": item.file.removeprefix("memsim/"),
        "doc": first_sentence(inspect.getdoc(model) or ""),
        "lines": list(_lines(item, ", ".join(inspect.signature(model).parameters))),
        "marks": [[b.hunk.name, b.kind, b.first + shift, b.last + shift] for b in item.branches],
    }


def first_sentence(text: str) -> str:
    """Return the first sentence of a docstring, without the marks of its language.

    >>> first_sentence("Free a page (``__free_page()``). It may wait.")
    'Free a page (__free_page()).'
    """
    first = " ".join(text.split("\n\n", maxsplit=1)[0].split()).replace("``", "")
    end = first.find(". ")
    return first if end < 0 else first[: end + 1]


def _lines(item: Listing, arguments: str) -> Iterator[list[Any]]:
    """Yield the lines of a listing: the signature in one line, then all but the docstring."""
    if not item.lines:
        return
    signature = next(at for at, line in enumerate(item.lines) if line.rstrip().endswith(":"))
    yield [item.first_line + signature, f"def {item.name}({arguments}):"]
    quoted = False
    for at, line in enumerate(item.lines[signature + 1 :], item.first_line + signature + 1):
        quotes = line.count('"""')
        if not (quoted or quotes) and line.strip():
            yield [at, line]
        quoted ^= quotes == 1
