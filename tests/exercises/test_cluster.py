"""The values for a cluster: keys that the chart has, settings that JupyterHub has, a command that works.

Helm and a cluster are not here. The keys are what we read in the chart's own schema; that the values fit the
schema as a whole was tried by hand (exercises/README.md).
"""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILE = ROOT / "exercises" / "hub" / "zero_to_jupyterhub.yaml"
VALUES = yaml.safe_load(FILE.read_text(encoding="utf-8"))
# jupyterhub/values.schema.yaml of the chart, 4.0.0 to 4.4.0; it refuses keys that it does not know.
KEYS = {
    "hub.config": dict,
    "singleuser.image.name": str,
    "singleuser.image.tag": str,
    "singleuser.cmd": (list, str),
    "singleuser.defaultUrl": str,
    "singleuser.memory.guarantee": (int, float, str),
    "singleuser.memory.limit": (int, float, str),
    "singleuser.cpu.guarantee": (int, float),
    "singleuser.cpu.limit": (int, float),
    "singleuser.storage.capacity": str,
    "singleuser.networkPolicy.egressAllowRules.nonPrivateIPs": bool,
    "cull.enabled": bool,
    "cull.timeout": int,
}


def leaves(values, path=""):
    """Return each value with the names that lead to it."""
    for name, value in values.items():
        here = f"{path}.{name}".removeprefix(".")
        if isinstance(value, dict) and here not in KEYS:
            yield from leaves(value, here)
        else:
            yield here, value


def strange(values):
    """Return the values that the chart would refuse."""
    return [path for path, value in leaves(values) if not isinstance(value, KEYS.get(path, ()))]


def test_the_chart_has_every_key_and_takes_every_value():
    assert strange(VALUES) == []


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"singleuser": {"image": {"tag": 1}}}, "singleuser.image.tag"),
        ({"singleuser": {"defaultURL": "/lab"}}, "singleuser.defaultURL"),
        ({"cull": {"timeout": "1h"}}, "cull.timeout"),
    ],
)
def test_a_value_that_the_chart_refuses_is_noticed(values, path):
    assert strange(values) == [path]


def test_jupyterhub_has_every_setting():
    """Each worker collects this file, and JupyterHub takes a second to import: only here."""
    app, auth = import_module("jupyterhub.app"), import_module("jupyterhub.auth")
    classes = (app.JupyterHub, auth.Authenticator, auth.DummyAuthenticator)
    settings_of = {each.__name__: each.class_traits(config=True) for each in classes}
    assert {
        f"{name}.{setting}"
        for name, settings in VALUES["hub"]["config"].items()
        for setting in settings
        if not settings_of[name].get(setting)
    } == set()


def test_a_students_server_starts_with_the_book_and_the_book_stays_the_students(tmp_path):
    server = tmp_path / "bin" / "jupyterhub-singleuser"
    server.parent.mkdir()
    server.write_text('#!/bin/sh\necho "started with $*"\n', encoding="utf-8")
    server.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()

    def start():
        path = f"{server.parent}:{Path(sys.executable).parent}:/usr/bin:/bin"
        command = [*VALUES["singleuser"]["cmd"], "--port=8888"]  # the spawner puts its own words behind
        ran = subprocess.run(  # noqa: S603 (our own command)
            command, cwd=home, env={"PATH": path}, capture_output=True, text=True, check=False
        )
        assert (ran.stdout, ran.stderr) == ("started with --port=8888\n", "")

    first = home / VALUES["singleuser"]["defaultUrl"].removeprefix("/lab/tree/")
    start()
    assert first.is_file()
    first.write_text("mine", encoding="utf-8")
    start()
    assert first.read_text(encoding="utf-8") == "mine"
