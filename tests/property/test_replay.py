"""The browser's replay of random scripts of steps, on kernels of two releases, against the simulator's."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings

from memsim import compare
from memsim.view.explorer.inputs import default_block
from memsim.view.explorer.timeline import Walk
from tests.frontend.replay import replay
from tests.property.driver_scripts import scenarios

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("release", ["6.12", "6.1"])
@settings(max_examples=3)
@given(scenario=scenarios("virtio-mem", 8))
def test_virtio_mem(release, scenario):
    equal(scenario, release)


@pytest.mark.parametrize("release", ["6.12", "6.1"])
@settings(max_examples=2)
@given(scenario=scenarios("hv-balloon", 8))
def test_hyper_v(release, scenario):
    equal(scenario, release)


@settings(max_examples=2)
@given(scenario=scenarios("xen-balloon", 6))
def test_xen(scenario):
    equal(scenario, "6.12")


def equal(scenario, release):
    """Fail unless every state of both kernels comes out of the browser's replay."""
    comparison = compare(scenario, release=release, from_boot=release == "6.1", most_of_step=600)
    walk = Walk(comparison, default_block(comparison))
    with tempfile.TemporaryDirectory() as folder:
        found = replay(walk, Path(folder), jumps=3)
    assert found["wrong"] == []
    assert found["jumps"] == []
