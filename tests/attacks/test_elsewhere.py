"""The attacks once more: as an ordinary user, and behind the fence for containers.

Where the tests run as root, ``open_house.py`` makes both possible even if Python lies in a closed home. An
ordinary user has run the first already, and has no use for the second.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from .open_house import PROJECT

ORDINARY = ("setpriv", "--reuid", "64123", "--regid", "64123", "--clear-groups")
SUITES = (
    *("test_breaking_out.py", "test_forging.py", "test_fences.py", "test_side_by_side.py"),
    *("test_types.py", "test_oracle.py", "test_other_notebooks.py", "test_reading.py", "test_files.py"),
    *("test_pages.py", "test_own_driver.py"),
)
UNFENCED = (
    "test_handing_out.py",
    "test_names.py",
    "test_points.py",
    "test_reading.py",
    "test_other_notebooks.py",
)
"""Attacks on what needs no fence: copies that are handed out, names, points, reading, comparing."""
pytestmark = [
    pytest.mark.slow,  # whole suites in a row
    pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else"),
]


@pytest.mark.parametrize("who", [ORDINARY, ()], ids=["ordinary user", "container"])
def test_no_attack_does_harm(who):
    with tempfile.TemporaryDirectory(prefix="home-") as home:  # that of pytest is closed to others
        Path(home).chmod(0o777)
        run_as(who, Path(home))


def test_no_attack_without_a_fence_does_harm_to_an_ordinary_user():
    with tempfile.TemporaryDirectory(prefix="home-") as home:
        Path(home).chmod(0o777)
        run_as(ORDINARY, Path(home), UNFENCED, "not bubblewrap and not container")


def run_as(who, home, suites=SUITES, only=""):
    fenced = "not without_a_fence and not calls_the_function_itself and not share_a_process"
    only = only or fenced + (" and bubblewrap" if who else " and container")
    ran = subprocess.run(  # noqa: S603 (ours)
        [
            *("unshare", "--mount", sys.executable, PROJECT / "tests" / "attacks" / "open_house.py", *who),
            *("env", f"HOME={home}", f"TMPDIR={home}", sys.executable, "-m", "pytest", "-q", "-n", "0"),
            *("-p", "no:cacheprovider", f"--basetemp={home / 'tests'}", "-k", only),
            *(f"{PROJECT}/tests/attacks/{name}" for name in suites),
        ],
        cwd=PROJECT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-2000:]
    assert " passed" in ran.stdout
    assert "failed" not in ran.stdout
