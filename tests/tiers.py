"""What `make test` runs of cases that are alike: a few of a kind, the others with `make test-all`."""

from __future__ import annotations

import pytest


def breadth(cases, *kept):
    """Return the cases as parameters: those that are kept, else the first, and all others marked as slow."""
    kept = kept or (next(iter(cases)),)
    assert all(case in cases for case in kept)
    return [pytest.param(case, marks=[pytest.mark.slow] * (case not in kept)) for case in cases]
