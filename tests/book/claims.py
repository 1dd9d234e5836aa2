"""The claims of a chapter, checked in the kernel that has just run it (conftest.py adds a cell for this).

That a claim is true shows little unless it could be false. So each is checked again in worlds in which one
thing is broken. Not every claim notices one of those: some look at what the chapter computed before, and some
are about what no world here breaks: it is enough that four of ten do.
"""

from __future__ import annotations

import math
import signal
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memsim.lesson import ClaimError, claim, claim_registry
from memsim.lesson.chapters import listed_claims

from .worlds import WORLDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from memsim.lesson.claim_registry import Claim

CPU_SECONDS = 60
PATIENCE = 2
MUST_NOTICE = 0.4


class TooLong(BaseException):
    """A check went on for too long in a world in which something is broken."""


def too_long(*_: object) -> None:
    raise TooLong


def check_claims(notebook: str, names: dict[str, Any]) -> None:
    """Hold the claims of this kernel against those in the notebook, their opposites, and other worlds."""
    made = list(claim_registry._registry.values())  # noqa: SLF001 (nothing else keeps them)
    assert [each.id for each in made] == [each.id for each in listed_claims(Path(notebook))]
    for each in made[:3]:  # the check is the same for all
        refuses_the_opposite(each)
    wanted = math.ceil(MUST_NOTICE * len(made))
    noticing = [each.id for each in islice((each for each in made if notices(each, names)), wanted)]
    assert len(noticing) == wanted, f"of {len(made)} claims only these notice a world: {noticing}"


def refuses_the_opposite(made: Claim) -> None:
    """With its checks exchanged a claim says the opposite, and must be refused."""
    try:
        claim(f"not.{made.id}", made.sentence, made.source, made.contradicted_by, made.holds)
    except ClaimError as error:
        assert "holds returned False" in str(error)  # noqa: PT017 (pytest does not run here)
    else:
        msg = f"the opposite of {made.id} is taken for true"
        raise AssertionError(msg)


def notices(made: Claim, names: dict[str, Any]) -> bool:
    """Return whether a claim is refuted, or cannot be checked, in one of the worlds."""
    late = 0
    for world in WORLDS.values():
        found = refuted(made, names, world)
        late += found is None
        if found or late == PATIENCE:
            return bool(found)
    return False


def refuted(made: Claim, names: dict[str, Any], world: Callable[[], Any]) -> bool | None:
    """Return whether a claim is refuted, or cannot be checked, in a world; None if that takes too long."""
    for value in list(names.values()):
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
