"""Which fence holds on this machine."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from memsim.errors import MemsimError
from memsim.grading.sandbox.fences import NONE, Fence, available, compile_worker, prepare
from memsim.grading.sandbox.probe import open_ways

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class FenceError(MemsimError):
    """No fence on this machine holds, and grading without one was not asked for."""


def fence_that_holds(secret: Sequence[Path], *, unfenced: bool, wanted: str = "") -> tuple[Fence, list[str]]:
    """Return the strongest fence that holds here, and what is open: nothing, unless it is ``unfenced``.

    Raises
    ------
    FenceError
        None holds. The text tells for each what was open.
    """
    compile_worker()
    tried = []
    for fence in available():
        if wanted and fence.name != wanted:
            continue
        ways = _ways_of(fence, secret)
        if not ways and fence != NONE:
            return fence, []
        if fence == NONE and unfenced:
            return fence, ways
        tried.append(f"{fence.name}: {'; '.join(ways[:4])}")
    msg = (
        f"no fence holds on this machine, and student code does not run without one. {_remedy(tried)}, or "
        "say --unfenced if nothing here is worth protecting. Tried: " + " | ".join(tried)
    )
    raise FenceError(msg)


def _ways_of(fence: Fence, secret: Sequence[Path]) -> list[str]:
    """Return what is open behind a fence, once what its workers read is in memory."""
    try:
        if fence != NONE:
            prepare()
    except (OSError, shutil.Error) as error:
        told = (
            "memory has no room for a copy of Python and numpy, and without it submissions leave messages "
            f"for each other in the state that the file system of a disk keeps ({error})"
        )
        return [told]
    return open_ways(fence, secret)


def _remedy(tried: Sequence[str]) -> str:
    """Return the one thing to do so that bubblewrap works, by what it has complained of.

    >>> _remedy(["none: a file can be written in /tmp"])
    'Install bubblewrap: sudo apt install bubblewrap (Fedora: sudo dnf install bubblewrap)'
    """
    said = " ".join(tried)
    if "bubblewrap: " not in said:
        return "Install bubblewrap: sudo apt install bubblewrap (Fedora: sudo dnf install bubblewrap)"
    if "setting up uid map" in said or "RTM_NEWADDR" in said:
        return "Let it make namespaces: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
    if "ew namespace" in said or "mount" in said:
        return (
            "Let the container make namespaces: docker run --security-opt seccomp=unconfined "
            "--security-opt apparmor=unconfined --tmpfs /dev/shm:exec,size=1g --user 1000 ..."
        )
    if "has no room" in said:
        return (
            "Give it room: sudo mount -o remount,exec,size=1G /dev/shm (docker run "
            "--tmpfs /dev/shm:exec,size=1g ...)"
        )
    if "seccomp" in said or "no list of system calls" in said:
        return "Grade on a kernel with seccomp, on x86-64 or arm64"
    return "Close what is open"


def raise_if_open(name: str, secret: Sequence[Path]) -> None:
    """Raise FenceError if the fence of this name does not hold here; ``none`` was asked for and is let be."""
    if name != NONE.name:
        fence_that_holds(secret, unfenced=False, wanted=name)
