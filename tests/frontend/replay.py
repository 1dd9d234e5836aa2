"""The browser's replay of a comparison, run in node and held against the simulator's tapes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memsim.scenario.moments import DONE
from memsim.view.explorer.export import export
from tests.frontend.digests import digests

if TYPE_CHECKING:
    from memsim.view.explorer.timeline import Walk

CHECK = Path(__file__).with_name("check.mjs")


def landmarks(walk: Walk) -> list[int]:
    """Return the moments at which a function is entered for the first time in a step, notifiers, and ends."""
    first = re.compile(rf"{DONE}$|notifier:|enter:.*#1$")
    return [index for index, moment in enumerate(walk.moments) if first.match(moment.point)]


def replay(walk: Walk, folder: Path, **expected: Any) -> dict[str, Any]:
    """Return in what the browser's replay differs from the simulator; see ``check.mjs``."""
    node = shutil.which("node")
    assert node, "the tests of the explorer need node (20 or newer) on PATH"
    (folder / "data.json").write_text(json.dumps(export(walk)), encoding="utf-8")
    wanted = {"digests": digests(walk), **expected}
    (folder / "expected.json").write_text(json.dumps(wanted), encoding="utf-8")
    ran = subprocess.run(  # noqa: S603 (our own script)
        [node, CHECK, folder], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)
