"""The benchmarks run: small sizes, for seconds. What they measure is not judged here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_everything_that_is_measured_runs():
    command = [sys.executable, "-m", "benchmarks", "--smoke", "--rounds", "1", "--no-save"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)  # noqa: S603 (ourselves)
    assert (done.returncode, done.stderr) == (0, "")
    for contender in ("bisect peer", "list-scan peer", "numpy fill of the same bytes", "import memsim"):
        assert contender in done.stdout


def test_the_charts_that_are_kept_are_svg_and_describe_themselves():
    charts = sorted((ROOT / "benchmarks" / "results").glob("*.svg"))
    assert [chart.stem for chart in charts] == ["growth-size", "growth-steps", "history"]
    for chart in charts:
        root = ET.fromstring(chart.read_text(encoding="utf-8"))  # noqa: S314 (our own file)
        assert root.get("role") == "img"
        assert " from " in root.findtext("{http://www.w3.org/2000/svg}desc")
