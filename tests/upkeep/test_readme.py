"""The README's table of folders names what is there, and its list of tests all of them."""

from __future__ import annotations

import re
from pathlib import Path

from jupyterlab.labapp import LabApp

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (`.*?) \| (.*) \|$", README, re.MULTILINE)
NAMED = re.findall(r"`([\w/]+/)`", " ".join(" ".join(row) for row in ROWS))


def test_every_folder_that_is_named_is_there():
    assert len(NAMED) > 8
    assert [name for name in NAMED if not (ROOT / name).is_dir()] == []


def test_every_folder_of_the_project_is_named():
    here = {f"{path.parent.name}/" for path in [*ROOT.glob("[a-z]*/*.py"), *ROOT.glob("[a-z]*/*.txt")]}

    assert here >= {"memsim/", "tests/"}
    assert here - set(NAMED) == set()


def test_every_kind_of_test_is_named():
    (tests,) = (what for folder, what in ROWS if folder == "`tests/`")

    assert set(re.findall("`(.*?)`", tests)) == {path.parent.name for path in ROOT.glob("tests/*/test_*.py")}


def test_jupyterlab_without_make_asks_for_no_news():
    """Its question would lie over the welcome page."""
    (command,) = re.findall(r"^    \.venv/bin/jupyter-lab (.*)$", README, re.MULTILINE)
    given = dict(argument.removeprefix("--LabApp.").split("=", 1) for argument in command.split())

    assert given["default_url"].endswith("00-welcome.ipynb")
    assert "app_settings_dir" in LabApp.class_trait_names(config=True)
    assert '"fetchNews": "false"' in (ROOT / given["app_settings_dir"] / "overrides.json").read_text("utf-8")
