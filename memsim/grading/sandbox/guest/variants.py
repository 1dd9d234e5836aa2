"""Every student's own numbers, the same in the student's notebook and in the grader."""

from __future__ import annotations

import importlib
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
    return int.from_bytes(_sha256("\0".join(parts).encode("utf-8", "surrogatepass"))[:8], "big")


def _sha256(data: bytes) -> bytes:
    """Return the digest by Python's own code: hashlib loads OpenSSL, a tenth of the start of each worker."""
    for name in ("_sha2", "_sha256", "hashlib"):  # since Python 3.12; in 3.11; where it was built without
        try:
            sha256 = importlib.import_module(name).sha256
        except ImportError:
            continue
        return bytes(sha256(data).digest())
    raise ImportError(name="hashlib")
