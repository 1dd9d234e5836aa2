"""A machine that has no room for another process now may have it in a moment."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Started = TypeVar("Started")

PATIENCE = (0.1, 0.5, 2.0)
"""Seconds to wait before the machine is asked again."""


def patiently(start: Callable[[], Started], refusal: type[Exception]) -> Started:
    """Return what ``start`` does, tried again after each refusal; raises the last one."""
    for seconds in PATIENCE:
        try:
            return start()
        except refusal:
            time.sleep(seconds)
    return start()
