"""All kinds of problems by name, and the two functions that a chapter uses."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from memsim.lesson.errors import LessonError
from memsim.lesson.problems import allocator, bad_pages, drivers, events, onlining, words
from memsim.lesson.problems.draw import Draw
from memsim.lesson.problems.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from memsim.lesson.problems.problem import Task

KINDS: dict[str, Callable[[Draw], Task]] = {
    "chunks": onlining.chunks,
    "counters": onlining.counters,
    "side": onlining.side,
    "page-type": words.page_type,
    "kpageflags": words.kpageflags_word,
    "merge": allocator.merge,
    "split": allocator.split,
    "watermarks": allocator.watermarks,
    "notifiers": events.notifiers,
    "offline": events.offline,
    "virtio-mem": drivers.virtio_mem,
    "hv-balloon": drivers.hv_balloon,
    "xen-balloon": drivers.xen_balloon,
    "bad-page": bad_pages.bad_page,
}


def ask(kind: str | None = None, *, seed: int = 0) -> Problem:
    """Return a problem with question marks; the same kind and seed always give the same.

    Parameters
    ----------
    kind
        One of :data:`KINDS`; None lets the seed choose.
    seed
        Any whole number.

    Raises
    ------
    LessonError
        There is no such kind.
    """
    return problem(kind, seed)


def answer(kind: str | None = None, *, seed: int = 0) -> Problem:
    """Return the same problem solved, by running the simulator.

    >>> answer("merge", seed=1).answers() == answer("merge", seed=1).answers()
    True

    Raises
    ------
    LessonError
        There is no such kind.
    """
    return replace(problem(kind, seed), solved=True)


def problem(kind: str | None, seed: int) -> Problem:
    """Return the problem of a kind that a seed makes."""
    if kind is None:
        kind = Draw(f"kind/{seed}").choice(sorted(KINDS))
    if kind not in KINDS:
        msg = f"there is no problem {kind!r}; there are {', '.join(KINDS)}"
        raise LessonError(msg)
    if isinstance(seed, bool) or not isinstance(seed, int):
        msg = f"a seed is a whole number, not {seed!r}"
        raise LessonError(msg)
    return Problem(kind, seed, KINDS[kind](Draw(f"{kind}/{seed}")), draw=partial(problem, kind))
