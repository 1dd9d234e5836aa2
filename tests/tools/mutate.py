"""Apply single-line faults to a copy of the project, one at a time, and show which test notices each.

    python -m tests.tools.mutate [--slow] [--only WORD] [--results FILE]
    python -m tests.tools.mutate --check

The faults are in ``faults.toml``: a file, a part of one line, and what becomes of it. The tests nearest to
its file run first, for every fault. The faults that they do not notice meet wider and wider parts of what
`make test` runs, and with ``--slow`` the slow tests. A fault that no test notices is a test that is missing.
``--check`` only says whether every fault still applies. With ``--results`` a run that was stopped goes on
where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LIST = Path(__file__).with_name("faults.toml")
NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv", "build", "dist", ".hypothesis", ".*_cache", "__pycache__"
)
# The tests of a file, by how its path begins, and then what else `make test` runs, the quick parts first.
NEAREST = {
    "memsim/linux/mm/page_alloc": "page_alloc or page_isolation or mm_init or offline or half_patch",
    "memsim/linux/mm/page_isolation": "page_isolation or offline",
    "memsim/linux/mm/memory_hotplug": "hotplug or offline or memory or notifier",
    "memsim/linux/mm/vmstat": "proc",
    "memsim/linux/mm/show_mem": "proc or hv_balloon or xen_balloon",
    "memsim/linux/mm": "mm_init or memory or mmzone or offline",
    "memsim/linux/fs": "proc",
    "memsim/linux/drivers/base": "memory or notifier or errnos",
    "memsim/linux/drivers/virtio": "virtio_mem",
    "memsim/linux/drivers/hv": "hv_balloon",
    "memsim/linux/drivers/xen": "xen_balloon",
    "memsim/state": "memmap or trace or recording or page_alloc",
    "memsim/fast": "page_alloc or hotplug or xen_balloon",
    "memsim/walkers": "walkers",
    "memsim/devices": "virtio_mem or hv_balloon or xen_balloon",
    "memsim/machine": "machine or invariants or proc",
    "memsim/scenario": "scenario or comparison",
    "memsim/real": "explain or kernel_reports or view_decode or machine",
    "memsim/recordings": "observation",
    "memsim/source": "view_hunks or view_code or view_patch",
    "memsim/ftrace": "ftrace",
    "memsim/grading": "grading or exercises",
    "memsim/view": "view",
    "memsim/lesson": "lesson",
}
WIDER = (
    ("-n", "logical", "tests/unit", "memsim"),
    ("-n", "logical", "tests/fidelity", "tests/property"),
    (
        "-n",
        "auto",
        "book",
        "tests/book",
        "tests/exercises",
        "tests/attacks",
        "tests/binder",
    ),
    ("-n", "logical", "tests/browser"),
)
FAILED = re.compile(r"^(?:FAILED|ERROR) (\S.*?)(?: - .*)?$", re.MULTILINE)
NO_TESTS = 5


@dataclass(frozen=True)
class Fault:
    """One line that becomes another."""

    file: str
    line: str
    becomes: str

    @property
    def name(self) -> str:
        """What it is called in results."""
        return f"{self.file}: {self.line} -> {self.becomes}"

    def places(self) -> list[str]:
        """Return the files that hold the line once: the one of the list, or those to which it has moved."""
        named = [ROOT / self.file] if (ROOT / self.file).is_file() else []
        for paths in (named, sorted((ROOT / "memsim").rglob("*.py"))):
            found = [path for path in paths if path.read_text(encoding="utf-8").count(self.line) == 1]
            if found:
                return [path.relative_to(ROOT).as_posix() for path in found]
        return []

    def applied(self, source: str) -> str:
        """Return the source with the fault in it."""
        return source.replace(self.line, self.becomes)

    def stages(self, *, slow: bool) -> list[tuple[str, ...]]:
        """Return the arguments of pytest, nearest tests first."""
        near = next((words for start, words in NEAREST.items() if self.file.startswith(start)), "")
        first = [("-m", "not slow", "tests/unit", "-k", near)] if near else []
        wider = [("-m", "not slow", *part) for part in WIDER]
        return [*first, *wider, *([("-m", "slow", "-n", "auto")] if slow else [])]


def faults() -> list[Fault]:
    """Return the faults of the list."""
    return [Fault(**each) for each in tomllib.loads(LIST.read_text(encoding="utf-8"))["fault"]]


class Copy:
    """A copy of the project in which tests run."""

    def __init__(self, folder: Path) -> None:
        """Copy what the tests need."""
        self.folder = folder / "project"
        shutil.copytree(ROOT, self.folder, ignore=NOT_COPIED)
        self.environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        self.environment["PYTHONPATH"] = str(self.folder)
        self._now = time.time()
        self._broken: dict[tuple[str, ...], list[str]] = {}
        where = self._python("-c", "import memsim; print(memsim.__file__)").stdout
        assert Path(where.strip()).is_relative_to(self.folder), f"it would test {where}"

    def _python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        return subprocess.run(  # noqa: S603 (ours)
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )

    def write(self, file: str, source: str) -> None:
        """Write a file with a time of its own, or Python might take what it compiled before."""
        path = self.folder / file
        path.write_text(source, encoding="utf-8")
        self._now += 10
        os.utime(path, (self._now, self._now))

    def failures(self, stage: tuple[str, ...], *options: str) -> list[str]:
        """Run tests; return those that fail, or the end of what was printed if that names none."""
        done = self._python("-m", "pytest", "-q", "-p", "no:cacheprovider", *options, *stage)
        if done.returncode in {0, NO_TESTS}:
            return []
        return FAILED.findall(done.stdout) or [(done.stdout + done.stderr)[-300:]]

    def before(self, stage: tuple[str, ...]) -> list[str]:
        """Return the options that leave out what fails without a fault: it would seem to notice every one."""
        if stage not in self._broken:
            self._broken[stage] = self.failures(stage)
            for name in self._broken[stage]:
                print(f"         left out, for it fails without a fault: {name}", flush=True)
        return [f"--deselect={name}" for name in self._broken[stage]]

    def noticed_by(self, fault: Fault, stage: tuple[str, ...]) -> str | None:
        """Return the first test of a part of the suite that notices a fault, None if none does."""
        source = (self.folder / fault.file).read_text(encoding="utf-8")
        left_out = self.before(stage)
        self.write(fault.file, fault.applied(source))
        try:
            failures = self.failures(stage, "-x", *left_out)
        finally:
            self.write(fault.file, source)
        return failures[0] if failures else None


class Results:
    """Fault -> [the test that noticed it or None, the part of the suite, how many parts were tried]."""

    def __init__(self, path: Path | None) -> None:
        """Go on with what a file holds."""
        self.path = path
        self.known: dict[str, list[Any]] = json.loads(path.read_text()) if path and path.exists() else {}

    def asks(self, fault: Fault, depth: int) -> bool:
        """Return whether this part of the suite is still to be tried on a fault."""
        test, _, tried = self.known.get(fault.name, (None, "", 0))
        return test is None and tried <= depth

    def keep(self, fault: Fault, depth: int, test: str | None, stage: tuple[str, ...]) -> str | None:
        """Keep which test noticed a fault, and return it."""
        self.known[fault.name] = [test, " ".join(stage) if test else "", depth + 1]
        if self.path:
            self.path.write_text(json.dumps(self.known, indent=1))
        return test


def main() -> int:
    """Try the faults, and print what noticed each."""
    asked = _arguments()
    every = [fault for fault in faults() if asked.only in fault.name]
    chosen = [replace(fault, file=found[0]) for fault in every if len(found := fault.places()) == 1]
    moved = {(fault.line, fault.becomes) for fault in chosen}
    print(
        *(f"no longer there: {fault.name}" for fault in every if (fault.line, fault.becomes) not in moved),
        sep="\n",
    )
    print(f"{len(chosen)} of {len(every)} faults apply")
    if asked.check:
        return len(chosen) < len(every)
    results = Results(asked.results)
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder:
        copy = Copy(Path(folder))
        for depth in range(2 + len(WIDER)):
            for fault in chosen:
                stages = fault.stages(slow=asked.slow)
                if depth < len(stages) and results.asks(fault, depth):
                    started = time.monotonic()
                    found = results.keep(fault, depth, copy.noticed_by(fault, stages[depth]), stages[depth])
                    print(f"{time.monotonic() - started:5.0f} s  {fault.name}\n         {found}", flush=True)
    missed = [fault.name for fault in chosen if results.known[fault.name][0] is None]
    print(f"{len(chosen) - len(missed)} of {len(chosen)} faults are noticed", *missed, sep="\n")
    return bool(missed) or len(chosen) < len(every)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Apply faults to a copy of the project and run its tests.")
    parser.add_argument("--slow", action="store_true", help="run the slow tests too before giving up")
    parser.add_argument("--only", default="", metavar="WORD", help="faults whose name holds this")
    parser.add_argument("--results", type=Path, help="a file (JSON) that keeps what was found")
    parser.add_argument("--check", action="store_true", help="only look whether each fault still applies")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
