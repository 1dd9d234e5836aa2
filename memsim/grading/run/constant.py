"""Whether one answer, given to every call, passes a test."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from memsim.grading.assignment.values import MayRaise, Raised
from memsim.grading.run.judging import JudgingError
from memsim.grading.sandbox.conversation import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from memsim.grading.assignment.assignment import Dialogue

_CALLS = 10_000


def passes_all(tests: Iterable[Callable[[], Dialogue]], answer: Any) -> bool:
    """Return whether one answer to every call passes all of these tests.

    >>> def even(): return None if (yield [2])["even"] is True else "2 is even."
    >>> def odd(): return None if (yield [3])["even"] is False else "3 is odd."
    >>> passes_all([even, even], {"even": True, "noise": 7}), passes_all([even, odd], {"even": True})
    (True, False)
    """
    return all(_passes(test(), answer) for test in tests)


def _passes(dialogue: Dialogue, answer: Any) -> bool:
    """Return whether one answer to every call passes a test, without a student."""
    try:
        arguments = next(dialogue)
        for _ in range(_CALLS):
            raised = isinstance(answer, Raised) and not isinstance(arguments, MayRaise)
            if raised or isinstance(answer, Failure):
                return False
            arguments = dialogue.send(copy.deepcopy(answer))
    except StopIteration as end:
        return not end.value
    except JudgingError:
        raise
    except Exception:  # noqa: BLE001 (whatever a test can raise: it is not passed)
        return False
    return False
