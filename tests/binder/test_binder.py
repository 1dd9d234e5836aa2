"""binder/ is what Binder builds: made of the lock, accepted by repo2docker, and enough to read the book."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
BINDER = ROOT / "binder"
PINNED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;\\]+)", re.MULTILINE)


def pins(path):
    """Return the pinned version of each package of a lock file."""
    return {match["name"]: match["version"] for match in PINNED.finditer(path.read_text(encoding="utf-8"))}


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def wanted():
    """Return what a reader needs by pyproject.toml: the simulator, the book, and what builds memsim."""
    made = project()
    return [
        Requirement(line)
        for line in [
            *made["project"]["dependencies"],
            *made["project"]["optional-dependencies"]["book"],
            *made["dependency-groups"]["build"],
        ]
    ]


def disagreements(binder, lock, requirements):
    """Return what binder/, the lock and pyproject.toml say differently."""
    found = [
        f"{name} {version}: the lock has {lock.get(name)}"
        for name, version in binder.items()
        if lock.get(name) != version
    ]
    for requirement in requirements:
        version = binder.get(requirement.name)
        if version is None or not requirement.specifier.contains(Version(version)):
            found.append(f"{requirement}: binder/ has {version}")
    return found


def test_binder_the_lock_and_the_project_agree():
    assert disagreements(pins(BINDER / "requirements.txt"), pins(ROOT / "requirements.lock"), wanted()) == []


@pytest.mark.parametrize(
    ("binder", "lock", "says"),
    [
        ({"numpy": "2.0"}, {"numpy": "2.1"}, "the lock has 2.1"),
        ({"numpy": "1.0"}, {"numpy": "1.0"}, "numpy>=1.26: binder/ has 1.0"),
        ({}, {}, "numpy>=1.26: binder/ has None"),
    ],
)
def test_a_disagreement_is_noticed(binder, lock, says):
    assert says in " ".join(disagreements(binder, lock, [Requirement("numpy>=1.26")]))


def test_everything_in_binder_has_a_hash_and_no_address():
    text = (BINDER / "requirements.txt").read_text(encoding="utf-8")

    for name in pins(BINDER / "requirements.txt"):
        entry = re.search(rf"^{re.escape(name)}==.*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)[0]
        assert "--hash=sha256:" in entry
    assert "://" not in text


def test_binder_has_nothing_that_hides_a_failure():
    script = (BINDER / "postBuild").read_text(encoding="utf-8")

    assert "set -euo pipefail" in script
    assert not re.search(r"exit 0|\|\| *true|; *true", script)
    assert os.access(BINDER / "postBuild", os.X_OK)


def test_jupyterlab_is_set_up_alike_everywhere():
    """Its question for news would lie over the welcome page: README, make read and Binder use one file."""
    settings = json.loads((BINDER / "overrides.json").read_text(encoding="utf-8"))
    asked = settings["@jupyterlab/apputils-extension:notification"]
    assert asked == {"fetchNews": "false", "checkForUpdates": False}
    for path in (BINDER / "postBuild", ROOT / "Makefile"):
        assert "cp binder/overrides.json" in path.read_text(encoding="utf-8"), path


def test_repo2docker_accepts_the_repository(tmp_path):
    made = subprocess.run(  # noqa: S603 (our own command)
        [sys.executable, "-m", "repo2docker", "--no-build", "--debug", str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=600,
    )

    assert made.returncode == 0, made.stderr[-2000:]
    assert "python=3.11" in made.stderr
    assert "./binder/postBuild" in made.stderr + made.stdout
    assert "binder/requirements.txt" in made.stderr + made.stdout
