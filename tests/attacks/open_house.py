"""Run a command where Python and this project lie in folders that everybody may enter: for root only.

Many machines have Python in a home that is closed to other users. In a mount namespace of its own, each such
folder is replaced by one that holds only what is needed:

    unshare --mount python open_house.py COMMAND ...
"""

import os
import stat
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def closed_above(path):
    """Return the outermost folder above a path that others may not enter, or None."""
    above = [*reversed(path.resolve().parents)]
    return next((folder for folder in above if not folder.stat().st_mode & stat.S_IXOTH), None)


def mount(*arguments):
    subprocess.run(["mount", *map(str, arguments)], check=True)  # noqa: S603, S607 (ours)


def open_up(needed):
    """Replace closed folders above what is needed."""
    closed = {}
    for path in needed:
        folder = closed_above(path)
        if folder:
            closed.setdefault(folder, set()).add(path.resolve())
    stage = Path("/mnt")
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", stage)
    for number, (folder, paths) in enumerate(closed.items()):
        kept = {stage / f"{number}-{place}": path for place, path in enumerate(sorted(paths))}
        for place, path in kept.items():
            place.mkdir()
            mount("--rbind", path, place)
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", folder)
        for place, path in kept.items():
            path.mkdir(parents=True, exist_ok=True)
            mount("--rbind", place, path)


if __name__ == "__main__":
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)  # noqa: S607
    open_up([Path(sys.base_prefix), Path(sys.prefix), PROJECT])
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 (what the test asks for)
