"""Claims: factual sentences about the kernel, each with its source and code that would refute it.

Prose goes stale unseen. A claim is checked whenever its cell runs: ``holds`` looks for what the sentence
says, ``contradicted_by`` for its opposite, on the simulator or on a recording of a real kernel. Two
checks, because one that can only say yes proves nothing; :mod:`memsim.lesson.evidence` refuses pairs that
could not disagree with anything.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from memsim.lesson.errors import ClaimError
from memsim.lesson.evidence import weakness
from memsim.lesson.markup import box, inline, paragraph

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ID = re.compile(r"[a-z0-9]+([.-][a-z0-9]+)*")
_registry: dict[str, Claim] = {}
_collections: list[list[Claim]] = []


@dataclass(frozen=True, repr=False)
class Claim:
    """A sentence that was checked; made by :func:`claim`."""

    id: str
    sentence: str
    source: str
    holds: Callable[[], object] = field(compare=False)
    contradicted_by: Callable[[], object] = field(compare=False)

    def __repr__(self) -> str:
        """Return the text form."""
        return f"Claim {self.id} (checked): {self.sentence}\n  Source: {self.source}"

    def html(self) -> str:
        """Return the HTML form."""
        return box(
            "memsim-claim",
            paragraph(self.sentence),
            f"<p><small>✓ checked · claim <code>{inline(self.id)}</code> · source: "
            f"{inline(self.source)}</small></p>",
        )

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self.html()}


def claim(
    claim_id: str,
    sentence: str,
    source: str,
    holds: Callable[[], object],
    contradicted_by: Callable[[], object],
) -> Claim:
    """Check a factual sentence about the kernel and enter it in the registry.

    >>> from memsim.linux.include.layout import naturally_aligned_order as order
    >>> claim("buddy.max-order", "The largest free block has 1024 pages.",
    ...     "MAX_PAGE_ORDER, include/linux/mmzone.h, 6.12",
    ...     holds=lambda: 1 << order(1 << 20) == 1024, contradicted_by=lambda: order(1 << 20) > 10)
    Claim buddy.max-order (checked): The largest free block has 1024 pages.
      Source: MAX_PAGE_ORDER, include/linux/mmzone.h, 6.12

    Parameters
    ----------
    claim_id
        Lower-case words and numbers joined by dots and hyphens; one claim per id.
    sentence
        What is claimed.
    source
        Where to look it up: function, file and version, or recording and probe.
    holds
        Must return True.
    contradicted_by
        The same check for the opposite of the sentence; must return False.

    Raises
    ------
    ClaimError
        A check says otherwise, says neither True nor False, could never say otherwise (see
        :func:`memsim.lesson.evidence.weakness`), or the id is taken or malformed.
    """
    made = Claim(claim_id, sentence, source, holds, contradicted_by)
    _check_id(made)
    weak = weakness(holds, contradicted_by)
    if weak:
        raise ClaimError(_tell(made, weak))
    _require(made, "holds", holds, expected=True)
    _require(made, "contradicted_by", contradicted_by, expected=False)
    _registry[claim_id] = made
    for collection in _collections:
        collection.append(made)
    return made


def claims() -> tuple[Claim, ...]:
    """Return the claims that were checked in this process, in the order of their ids."""
    return tuple(_registry[key] for key in sorted(_registry))


@contextmanager
def collecting() -> Iterator[list[Claim]]:
    """Give a list to which every claim is added that is made inside the block, in order."""
    made: list[Claim] = []
    _collections.append(made)
    try:
        yield made
    finally:
        _collections.remove(made)


def _check_id(made: Claim) -> None:
    if not _ID.fullmatch(made.id):
        msg = f"claim {made.id!r}: an id is lower-case words joined by dots or hyphens"
        raise ClaimError(msg)
    if _registry.get(made.id, made) != made:
        msg = f"claim {made.id!r} is already made, with another sentence or source: {made.sentence}"
        raise ClaimError(msg)


def _require(made: Claim, name: str, check: Callable[[], object], *, expected: bool) -> None:
    try:
        result = check()
    except Exception as error:
        raise ClaimError(_tell(made, f"{name} raised {type(error).__name__}: {error}")) from error
    if not isinstance(result, (bool, np.bool_)):
        raise ClaimError(_tell(made, f"{name} returned {result!r}, which is neither True nor False"))
    if bool(result) is not expected:
        raise ClaimError(_tell(made, f"{name} returned {result}, must return {expected}"))


def _tell(made: Claim, what: str) -> str:
    return f"claim {made.id!r}: {what}. The sentence: {made.sentence}"
