"""The workflows of the hosting service are sound, and each command in them is one that a reader can type.

Nobody can run them here. What they run is therefore written in the Makefile, in .ci or in the README, and
tests look that they name nothing else.
"""

from __future__ import annotations

import re
import shlex
from itertools import product
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
SWITCHES = set(re.findall(r"\$\(if \$\(([A-Z]+)\)", MAKEFILE))
README = [
    line.strip()
    for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("    ")
]
INSTALL_UV = "python -m pip install uv"  # what `make lock` tells whoever has no uv
PYTHON = re.compile(r"^\.venv/(bin|Scripts)/python -m ")
PINNED = re.compile(r"^[\w.-]+/[\w.-]+@[0-9a-f]{40}$")


def steps(job):
    """Return the steps of a job, once for each row of its matrix."""
    matrix = dict(job.get("strategy", {}).get("matrix", {}))
    rows = matrix.pop("include", None) or [
        dict(zip(matrix, row, strict=True)) for row in product(*matrix.values())
    ]
    for row in rows:
        for step in job["steps"]:
            yield step, {f"${{{{ matrix.{name} }}}}": str(value) for name, value in row.items()}


def commands(workflow):
    for job in workflow["jobs"].values():
        for step, values in steps(job):
            command = step.get("run", "")
            for name, value in values.items():
                command = command.replace(name, value)
            yield from filter(None, command.splitlines())


def trouble(command, root=ROOT):
    """Return why a command of a workflow would not be there, or None."""
    if "${{" in command:
        return "an expression that is no part of the matrix"
    program, *arguments = shlex.split(command)
    if program == "make":
        unknown = [a for a in arguments if a not in TARGETS and a.removesuffix("=1") not in SWITCHES]
        return f"the Makefile has no {unknown}" if unknown else None
    if command == INSTALL_UV or command.replace("Scripts", "bin") in README:
        return None
    if PYTHON.match(command) and arguments[1] == "pytest":
        missing = [name for name in arguments[2:] if not (root / name).exists()]
        return f"there is no {missing}" if missing else None
    if PYTHON.match(command):
        return None if PYTHON.sub("python -m ", command) in README else "the README does not have it"
    return None if (root / program).is_file() else f"there is no {program}"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_is_sound(path):
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))

    assert workflow["permissions"] == {"contents": "read"}
    assert workflow[True]  # YAML 1.1 reads the key `on` so
    for job in workflow["jobs"].values():
        assert 0 < job["timeout-minutes"] <= 60
        assert not job["runs-on"].endswith("latest"), "a system that changes by itself"
        for step, _ in steps(job):
            assert ("run" in step) != ("uses" in step)
            assert "continue-on-error" not in step
            assert "uses" not in step or PINNED.match(step["uses"])
        assert set(job.get("needs", "").split()) <= set(workflow["jobs"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_each_command_of_a_workflow_exists(path):
    found = {
        command: trouble(command) for command in commands(yaml.safe_load(path.read_text(encoding="utf-8")))
    }

    assert {command: why for command, why in found.items() if why} == {}


def test_each_action_is_pinned_to_one_commit_and_tells_its_version():
    text = "".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)
    used = set(re.findall(r"uses: (\S+)@(\S+) # (v\d+\.\d+\.\d+)$", text, re.MULTILINE))

    assert len(re.findall("uses:", text)) == len(re.findall(r"uses: \S+@\S+ # v", text))
    assert len({action for action, _, _ in used}) == len(used)


def test_three_systems_lowest_newest_and_coming_versions_links_and_site_are_looked_after():
    made = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in WORKFLOWS}
    systems = {job["runs-on"].split("-")[0] for job in made["tests"]["jobs"].values()}
    weekly = set(commands(made["weekly"]))

    assert systems == {"ubuntu", "macos", "windows"}
    assert {"make lock LOWEST=1", "make lock UPGRADE=1", "make lock PRERELEASE=1", "make links"} <= weekly
    assert "schedule" in made["weekly"][True]
    assert "upload-pages-artifact" in (ROOT / ".github/workflows/site.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("make tests", "the Makefile has no"),
        ("make lock NEWEST=1", "the Makefile has no"),
        ("tox", "there is no tox"),
        (".ci/gone", "there is no .ci/gone"),
        (".venv/bin/python -m pytest tests/gone", "there is no"),
        (".venv/bin/python -m memsim check", "the README does not have it"),
        ("make ${{ inputs.what }}", "an expression"),
    ],
)
def test_a_command_that_is_not_there_is_noticed(command, why):
    assert trouble(command).startswith(why)
