"""The faults with which `python -m tests.tools.mutate` tries the tests are faults of today's code."""

from __future__ import annotations

import pytest

from tests.tools.mutate import faults


@pytest.mark.parametrize("fault", faults(), ids=lambda fault: fault.name)
def test_a_fault_applies_to_one_place(fault):
    assert len(fault.places()) == 1, "its line has changed or moved: change it in tests/tools/faults.toml"
