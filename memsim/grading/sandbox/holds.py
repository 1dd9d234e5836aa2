"""Which fence holds on this machine."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from memsim.errors import MemsimError
from memsim.grading.sandbox.fences import NONE, Fence, available, compile_worker, prepare
from memsim.grading.sandbox.probe import open_ways

if TYPE_CHECKING:
    from collections.abc import Sequence


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


_CLOSED = (
    (Path("/proc/sys/kernel/unprivileged_userns_clone"), "kernel.unprivileged_userns_clone=1"),
    (Path("/proc/sys/user/max_user_namespaces"), "user.max_user_namespaces=10000"),
)
"""Settings that are 0 where a system lets no ordinary user make namespaces, and what opens them."""
_REMEDIES = (
    (
        ("setting up uid map", "RTM_NEWADDR"),
        "Let it make namespaces: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    (
        ("ew namespace", "mount", "make / slave"),
        (
            "Let the container make namespaces: docker run --security-opt seccomp=unconfined "
            "--security-opt apparmor=unconfined --tmpfs /dev/shm:exec,size=1g --user 1000 ..."
        ),
    ),
    (
        ("has no room",),
        (
            "Give it room: sudo mount -o remount,exec,size=1G /dev/shm (docker run "
            "--tmpfs /dev/shm:exec,size=1g ...)"
        ),
    ),
    (("Unknown option",), "Install bubblewrap 0.8 or newer: this one is older"),
    (("seccomp", "no list of system calls"), "Grade on a kernel with seccomp, on x86-64 or arm64"),
)
"""What bubblewrap or the probe says, and the one thing to do then."""


def _remedy(tried: Sequence[str]) -> str:
    """Return the one thing to do so that bubblewrap works, by what it has complained of.

    >>> _remedy(["none: a file can be written in /tmp"])
    'Install bubblewrap: sudo apt install bubblewrap (Fedora: sudo dnf install bubblewrap)'
    """
    said = " ".join(tried)
    if "bubblewrap: " not in said:
        return "Install bubblewrap: sudo apt install bubblewrap (Fedora: sudo dnf install bubblewrap)"
    closed = [command for path, command in _CLOSED if path.exists() and path.read_text().strip() == "0"]
    if closed and "ew namespace" in said:
        return f"Let it make namespaces: sudo sysctl -w {closed[0]}"
    return next(
        (told for words, told in _REMEDIES if any(map(said.__contains__, words))), "Close what is open"
    )


def raise_if_open(name: str, secret: Sequence[Path]) -> None:
    """Raise FenceError if the fence of this name does not hold here; ``none`` was asked for and is let be."""
    if name != NONE.name:
        fence_that_holds(secret, unfenced=False, wanted=name)
