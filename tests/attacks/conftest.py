"""The fences that hold on this machine, and a scene with something to steal."""

import os
import tempfile
from pathlib import Path

import pytest

from memsim.grading.sandbox.fences import BUBBLEWRAP, CONTAINER, available, prepare
from memsim.grading.sandbox.probe import open_ways

from .stage import Scene

if BUBBLEWRAP in available():
    prepare()  # as every batch does
HOLDING = [fence for fence in (BUBBLEWRAP, *[CONTAINER] * (not os.geteuid())) if not open_ways(fence, [])]


@pytest.fixture(params=HOLDING or [None], ids=lambda fence: fence.name if fence else "no fence")
def fence(request):
    """Each fence that holds here."""
    if request.param is None:
        pytest.fail("no fence holds on this machine: install bubblewrap, or run the tests as root")
    return request.param


@pytest.fixture
def batch_fence():
    """The only fence behind which batches are graded."""
    if BUBBLEWRAP not in HOLDING:
        pytest.fail("bubblewrap does not hold on this machine: install it")
    return BUBBLEWRAP


@pytest.fixture
def scene():
    """Lay out what an attack must leave alone, where anybody may go."""
    with tempfile.TemporaryDirectory(prefix="scene-") as folder:
        made = Scene.at(Path(folder))
        yield made
        made.listener.close()
