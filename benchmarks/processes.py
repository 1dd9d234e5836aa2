"""Measurements in processes of their own, of this memsim and of an older one."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
ONCE = Path(__file__).with_name("once.py")


def measure(name: str, size: str, tree: Path = ROOT) -> dict[str, float]:
    """Do one measurement of :mod:`benchmarks.once` with the memsim of a tree."""
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    command = [sys.executable, str(ONCE), name, size]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=tree)  # noqa: S603 (ourselves)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def best(name: str, size: str, rounds: int) -> dict[str, float]:
    """Return the least of each number over some rounds."""
    return best_in_turn((name,), size, rounds)[0]


def best_in_turn(names: tuple[str, ...], size: str, rounds: int) -> list[dict[str, float]]:
    """Return the least of each number over some rounds, for measurements that are done in turn."""
    results = [[measure(name, size) for name in names] for _ in range(rounds)]
    return [
        {key: min(result[key] for result in each) for key in each[0]} for each in zip(*results, strict=True)
    ]


def git(*arguments: str) -> bytes:
    """Return what a git command prints."""
    return subprocess.run(["git", *arguments], check=True, capture_output=True, cwd=ROOT).stdout  # noqa: S603, S607 (git from PATH)


def previous_release() -> str | None:
    """Return the newest tag before this commit, or None."""
    with contextlib.suppress(subprocess.CalledProcessError, OSError):
        return git("describe", "--tags", "--abbrev=0", "HEAD~1").decode().strip()
    return None


@contextlib.contextmanager
def tree_of(reference: str) -> Iterator[Path]:
    """Lay the memsim of a tag or commit into a folder of its own for a while."""
    archive = git("archive", "--format=tar", reference, "memsim")
    with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
        yield Path(folder)


def against(reference: str, rounds: int, *, smoke: bool) -> list[tuple[str, str, float, float]]:
    """Return (measurement, size, seconds now, seconds then), best of some rounds, taken in turn."""
    sizes = [("online", "4" if smoke else "256"), ("users", "64" if smoke else "20000")]
    rows = []
    with tree_of(reference) as then:
        for name, size in sizes:
            pairs = [(measure(name, size), measure(name, size, then)) for _ in range(rounds)]
            now = min(one["processor"] for one, _ in pairs)
            rows.append((name, size, now, min(other["processor"] for _, other in pairs)))
    return rows
