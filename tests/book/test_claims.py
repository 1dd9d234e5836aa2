"""The claims of the book: all of them run, none is made twice, and they notice when the kernel is otherwise.

That a claim is true shows little unless it could be false. So each is checked again in worlds in which one
thing is broken. Not every claim notices one of those: some look at what the chapter computed before, and some
are about what no world here breaks.
"""

from __future__ import annotations

import json
import signal
from collections import Counter
from contextlib import chdir
from functools import cache

import pytest

from memsim.lesson import ClaimError, claim, claim_registry
from memsim.lesson.chapters import listed_claims, run_chapter

from .reading import CHAPTERS, NOTEBOOKS, cells, joined
from .worlds import WORLDS

CPU_SECONDS = 60
PATIENCE = 2
MUST_NOTICE = 0.4


class TooLong(BaseException):
    """A check went on for too long in a world in which something is broken."""


def too_long(*_):
    raise TooLong


@cache
def ran(path):
    return run_chapter(path)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_each_claim_is_true_and_listed(path):
    made, _ = ran(path)
    assert [each.id for each in made] == [each.id for each in listed_claims(path)]


def test_a_claim_is_made_once():
    made = Counter(each.id for path in NOTEBOOKS for each in listed_claims(path))
    assert [name for name, times in made.items() if times > 1] == []


def test_the_book_makes_150_claims():
    assert sum(len(listed_claims(path)) for path in CHAPTERS) >= 150


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_the_opposite_of_a_claim_fails(path, monkeypatch):
    """With its checks exchanged a claim says the opposite, and must be refused."""
    monkeypatch.setattr(claim_registry, "_registry", {})
    made, names = ran(path)
    with chdir(path.parent):
        for each in made[:3]:  # the check is the same for all
            with pytest.raises(ClaimError, match="holds returned False"):
                claim(each.id, each.sentence, each.source, each.contradicted_by, each.holds)
    assert names


def test_claims_are_stored_as_checked():
    """What a reader sees without running anything is the same claims."""
    for path in CHAPTERS:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        shown = [
            joined(output["data"]["text/plain"])
            for cell in cells(notebook, "code")
            for output in cell["outputs"]
            if "data" in output
        ]
        text = "\n".join(shown)
        assert [each.id for each in listed_claims(path) if f"Claim {each.id} (checked)" not in text] == []


# ---- in other worlds -----------------------------------------------------------------------------------


def notices(made, names):
    """Return whether a claim is refuted, or cannot be checked, in one of the worlds."""
    late = 0
    for world in WORLDS.values():
        found = refuted(made, names, world)
        late += found is None
        if found or late == PATIENCE:
            return found
    return False


def refuted(made, names, world):
    """Return whether a claim is refuted, or cannot be checked, in a world; None if that takes too long."""
    for value in names.values():
        getattr(value, "cache_clear", lambda: None)()
    signal.signal(signal.SIGPROF, too_long)
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    try:
        with world():
            return not made.holds() or bool(made.contradicted_by())
    except TooLong:
        return None
    except Exception:  # noqa: BLE001 (whatever comes of a broken kernel)
        return True
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_most_claims_notice_when_the_kernel_is_otherwise(path):
    made, names = ran(path)
    with chdir(path.parent):
        tried = {each.id: notices(each, names) for each in made}
    blind = [name for name, noticed in tried.items() if not noticed]
    assert len(blind) <= (1 - MUST_NOTICE) * len(tried), f"these notice nothing: {', '.join(blind)}"
