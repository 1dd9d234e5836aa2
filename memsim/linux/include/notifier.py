"""Answers of notifiers: ``include/linux/notifier.h``."""

from __future__ import annotations

from memsim.errors import errno_number

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
