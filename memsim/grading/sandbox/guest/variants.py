"""Every student's own numbers, the same in the student's notebook and in the grader."""

from __future__ import annotations

import hashlib
import unicodedata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

Variant = dict[str, Any]


def variant(question: str, student: str, **choices: Sequence[Any]) -> Variant:
    """Return what is chosen for a student, one of each of the ``choices``.

    Everybody can compute everybody's variant: it keeps students from copying answers, not from helping
    each other. The fresh numbers of hidden tests are made elsewhere:
    :func:`memsim.grading.assignment.assignment.fresh`.

    >>> variant("trace_page", "ada", block=range(32, 64), chunk=range(1, 33))
    {'block': 63, 'chunk': 27}
    >>> variant("trace_page", " Ada ", block=range(32, 64), chunk=range(1, 33))
    {'block': 63, 'chunk': 27}
    """
    who = " ".join(unicodedata.normalize("NFC", student).split()).lower()
    return {name: options[_number(question, who, name) % len(options)] for name, options in choices.items()}


def _number(*parts: str) -> int:
    """Return a number that is the same in every Python, on every machine."""
    return int.from_bytes(
        hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()[:8], "big"
    )
