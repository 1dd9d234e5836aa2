"""The archive that Gradescope takes as an autograder.

Gradescope unpacks it into ``/autograder/source``, executes ``setup.sh`` once, as root, when it builds the
container, and ``run_autograder`` for each submission: :mod:`memsim.grading.run.gradescope`.
"""

from __future__ import annotations

import io
import json
import re
import secrets
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import memsim
from memsim.grading.assignment.cells import assignment_of
from memsim.grading.report.results import written

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from memsim.grading.assignment.assignment import Assignment

SETUP = """#!/usr/bin/env bash
# Executed once, when Gradescope builds the container.
set -euo pipefail
apt-get update
apt-get install --yes bubblewrap
# The newest Python that the system has and memsim runs on.
for python in python3.14 python3.13 python3.12 python3.11; do
    if apt-get install --yes "$python" "$python-venv"; then break; fi
done
"$python" -m venv /opt/memsim
/opt/memsim/bin/pip install --requirement /autograder/source/requirements.txt
# Outside /autograder/source, where student code must not look, as it may import memsim for some questions.
site=$(/opt/memsim/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
cp --recursive /autograder/source/memsim "$site/"
chmod --recursive go=rX "$site/memsim"
chmod --recursive go= /autograder/source
"""
RUN = """#!/usr/bin/env bash
# Executed for each submission.
cd /opt/memsim && exec bin/python -m memsim.grading.run.gradescope /autograder
"""
_LOCK = Path(memsim.__file__).parents[1] / "requirements.lock"
_NUMPY = re.compile(r"^numpy==[^\n]*\\\n(?:    --hash=[^\n]*\n)+", re.MULTILINE)
_EXECUTABLE, _PLAIN = 0o755 << 16, 0o600 << 16


def write_archive(path: Path, grading: str, lateness: Mapping[str, int] | None = None) -> Assignment:
    """Write the archive for the text of a grading file; returns the assignment.

    ``lateness`` has the free days and what each other one costs, as fields of a policy are called.

    Raises
    ------
    AssignmentError
        There is no assignment in it.
    """
    assignment = assignment_of(grading)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, text, mode in _files(grading, lateness or {}):
            entry = zipfile.ZipInfo(file)
            entry.external_attr, entry.compress_type = mode, zipfile.ZIP_DEFLATED
            archive.writestr(entry, text)
    with written(path) as target:
        target.write(packed.getvalue())
    return assignment


def _files(grading: str, lateness: Mapping[str, int]) -> Iterator[tuple[str, bytes, int]]:
    """Return the name, content and mode of each file of the archive."""
    yield "setup.sh", SETUP.encode(), _EXECUTABLE
    yield "run_autograder", RUN.encode(), _EXECUTABLE
    yield "requirements.txt", _lock().encode(), _PLAIN
    yield "grading.txt", grading.encode(), _PLAIN
    yield "late.json", json.dumps(dict(lateness)).encode(), _PLAIN
    yield "key", f"{secrets.token_hex(16)}\n".encode(), _PLAIN
    root = Path(memsim.__file__).parent
    for file in sorted(root.rglob("*")):
        inside = file.relative_to(root.parent)
        if file.is_file() and "__pycache__" not in inside.parts and inside.parts[1] != "book":
            yield inside.as_posix(), file.read_bytes(), _PLAIN


def _lock() -> str:
    """Return the lock of what the grader needs: numpy, with its hashes where they are known."""
    found = _NUMPY.search(_LOCK.read_text(encoding="utf-8")) if _LOCK.is_file() else None
    return found[0] if found else f"numpy=={version('numpy')}\n"
