"""All places that tell memsim's version tell the same one, and the changelog says what is in it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

import memsim

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
RELEASES = re.findall(
    r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$",
    (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)


def test_the_package_and_its_citation_have_the_version_of_the_project():
    assert memsim.__version__ == VERSION
    assert CITATION["version"] == VERSION


def test_the_newest_release_of_the_changelog_is_this_version_on_the_day_of_the_citation():
    assert RELEASES[0] == (VERSION, CITATION["date-released"])


def test_releases_stand_newest_first():
    numbers = [tuple(map(int, version.split("."))) for version, _ in RELEASES]

    assert numbers == sorted(numbers, reverse=True)
