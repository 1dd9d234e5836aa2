"""What the workflows run is there, and the actions that they use are pinned to one commit each.

They run only on the hosting service, which would notice a renamed make target or test folder after the merge.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
PINNED = re.compile(r"uses: [\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", re.MULTILINE)


def commands(path):
    """Return the commands of a workflow, with each value of a matrix in its place."""
    for job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values():
        tiers = job.get("strategy", {}).get("matrix", {}).get("tier", [""])
        for step in job["steps"]:
            for line in step.get("run", "").splitlines():
                yield from {line.replace("${{ matrix.tier }}", tier) for tier in tiers}


def missing(command):
    """Return the parts of a command that name a make target, a script or a test that is not there."""
    program, *arguments = shlex.split(re.sub(r"\$\{\{.*?\}\}", "", command))
    if program == "make" or program.startswith(".ci/"):
        scripts = [] if program == "make" or (ROOT / program).is_file() else [program]
        return scripts + [name for name in arguments if "=" not in name and name not in TARGETS]
    if "pytest" in arguments:
        return [name for name in arguments if "/" in name and not (ROOT / name).exists()]
    return []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_what_a_workflow_runs_is_there(path):
    found = list(commands(path))

    assert found
    assert {command: parts for command in found if (parts := missing(command))} == {}


def test_each_action_is_pinned_to_one_commit_and_names_its_version():
    text = "".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)

    assert len(PINNED.findall(text)) == text.count("uses:") > 0


@pytest.mark.parametrize(
    "command",
    ["make tests", ".ci/gone", ".ci/run tset", ".venv/bin/python -m pytest -n auto book tests/gone"],
)
def test_a_part_that_is_not_there_is_noticed(command):
    assert len(missing(command)) == 1
