"""Shared by the commands: options that choose a scenario and a kernel."""

from __future__ import annotations

import argparse
from pathlib import Path

from memsim.errors import BadScenario
from memsim.patch import AFTER, BEFORE, Hunk, Patch
from memsim.recordings.observation import FORMAT as OBSERVATION_FORMAT
from memsim.recordings.observation import Observation, bundled, bundled_names
from memsim.release import RELEASES
from memsim.scenario.json_check import read_json
from memsim.scenario.scenario import Scenario

DEFAULT_RELEASE = "6.12"


def add_scenario(to: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Add the argument that names a scenario."""
    nargs = None if required else "?"
    to.add_argument("scenario", metavar="SCENARIO", nargs=nargs, help="scenario or recording (JSON file)")


def add_release(to: argparse.ArgumentParser, default: str | None = DEFAULT_RELEASE) -> None:
    """Add the options that choose the kernel apart from the patch.

    Without a ``default`` the release is None unless given, and may be one that only words can be decoded for;
    see :func:`chosen_release`.
    """
    choices = None if default is None else list(RELEASES)
    known = "" if choices else f"{', '.join(RELEASES)}; for --decode any; "
    usual = f"{known}default: {DEFAULT_RELEASE}"
    to.add_argument("--release", choices=choices, default=default, metavar="VERSION", help=usual)
    to.add_argument(
        "--debug-vm",
        action="store_true",
        default=None,
        help="a kernel with CONFIG_DEBUG_VM; Debian ships kernels without it",
    )
    to.add_argument(
        "--check-pages",
        action=argparse.BooleanOptionalAction,
        help="check each page that is freed or allocated, or not; default: as Debian ships its kernels, "
        "with the checks (init_on_alloc turns them on; 6.1 always makes them)",
    )


def add_kernel(to: argparse.ArgumentParser, release: str | None = DEFAULT_RELEASE) -> None:
    """Add the options that choose a kernel; ``release`` as in :func:`add_release`."""
    side = to.add_mutually_exclusive_group()
    side.add_argument("--before", action="store_true", help="the kernel without the patch series")
    side.add_argument("--after", action="store_true", help="the kernel with all of it (default)")
    side.add_argument(
        "--patch",
        metavar="HUNK,...",
        help=f"the kernel with only these hunks: {', '.join(Hunk.__members__)}",
    )
    add_release(to, release)


def chosen_release(arguments: argparse.Namespace) -> str:
    """Return the release that the options name, or the usual one."""
    return str(arguments.release or DEFAULT_RELEASE)


def chosen_patch(arguments: argparse.Namespace) -> Patch:
    """Return the patch that the options name."""
    if arguments.patch is not None:
        return Patch.parse(arguments.patch)
    return BEFORE if arguments.before else AFTER


def is_bundled(path: str) -> bool:
    """Return whether a bundled recording goes by this name here: a file of the name comes first."""
    return path in bundled_names() and not Path(path).exists()


def load_scenario(path: str) -> Scenario:
    """Read a scenario, or the scenario of a recording; bundled recordings go by their name."""
    if is_bundled(path):
        return bundled(path).scenario
    document = read_json(path, BadScenario)
    if isinstance(document, dict) and document.get("format") == OBSERVATION_FORMAT:
        return Observation.parse(document, path).scenario
    return Scenario.parse(document, path)
