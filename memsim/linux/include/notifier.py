"""Answers of notifiers: ``include/linux/notifier.h``."""

from __future__ import annotations

from memsim.errors import MemsimError, errno_number

NOTIFY_DONE = 0
NOTIFY_OK = 1
NOTIFY_STOP_MASK = 0x8000
NOTIFY_BAD = NOTIFY_STOP_MASK | 2


def notifier_from_errno(name: str) -> int:
    """Return what a listener returns to veto with an errno.

    >>> notifier_to_errno(notifier_from_errno("EBUSY"))
    16
    """
    return NOTIFY_STOP_MASK | 1 + errno_number(name)


def notifier_to_errno(value: int) -> int:
    """Return the (positive) errno in a listener's answer, 0 for none.

    >>> notifier_to_errno(NOTIFY_BAD)  # -EPERM, not -EBUSY
    1
    """
    value &= ~NOTIFY_STOP_MASK
    return value - 1 if value > NOTIFY_OK else 0


def answer_of(value: object, action: str) -> int:
    """Return a listener's answer; MemsimError if it is no number, such as the bare name of an errno."""
    if isinstance(value, int):
        return value
    msg = f"a listener answered {action} with {value!r}: NOTIFY_OK, or notifier_from_errno('EBUSY')"
    raise MemsimError(msg)
