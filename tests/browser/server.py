"""A real JupyterLab for the browser tests, with settings, kernels and files of its own."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

START_TIMEOUT_S = 300
STOP_TIMEOUT_S = 60
ANSWER_TIMEOUT_S = 60
ROOT = "root"
PREDICTIONS = "predictions.json"
SETTINGS = (Path(__file__).parents[2] / "binder" / "overrides.json").read_text(encoding="utf-8")
"""What make read and Binder set: JupyterLab asks no network, and draws all cells of a notebook."""


@dataclass
class Server:
    """A running server: where it listens, its token, and the folder below which it keeps everything."""

    url: str
    token: str
    folder: Path
    copies: Iterator[int] = field(default_factory=count)

    def copy(self, folder: Path) -> str:
        """Show a fresh copy of a folder, so that no test changes the book or sees another test's doing."""
        name = f"copy{next(self.copies)}"
        shutil.copytree(
            folder, self.folder / ROOT / name, ignore=shutil.ignore_patterns(".ipynb_checkpoints")
        )
        return name

    def ask(self, method: str, path: str) -> Any:
        """Ask the server's own interface."""
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(self.url + path, method=method, headers=headers)  # noqa: S310 (http, our own)
        with urllib.request.urlopen(request, timeout=ANSWER_TIMEOUT_S) as answer:  # noqa: S310
            return json.loads(answer.read() or b"null")

    def forget(self) -> None:
        """Stop every kernel, as closing a tab does not, and forget what readers predicted."""
        for kernel in self.ask("GET", "api/kernels"):
            self.ask("DELETE", f"api/kernels/{kernel['id']}")
        (self.folder / PREDICTIONS).unlink(missing_ok=True)


@contextmanager
def jupyterlab(folder: Path, python: str = sys.executable) -> Iterator[Server]:
    """Run JupyterLab from the environment of a Python, keeping all it writes below ``folder``."""
    root = folder / ROOT
    environment = _environment(folder)
    token = environment["JUPYTER_TOKEN"]
    root.mkdir()
    _write_settings(folder)
    log = folder / "jupyterlab.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(  # noqa: S603 (our own command)
            _command(root, python),
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
        )
    try:
        yield Server(_wait_until_up(process, Path(environment["JUPYTER_RUNTIME_DIR"]), log), token, folder)
    finally:
        _stop(process)


def _command(root: Path, python: str) -> list[str]:
    command = [
        *(python, "-m", "jupyterlab", "--no-browser"),
        f"--ServerApp.root_dir={root}",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={_free_port()}",
        # Tests look into the notebook's own model, which the page does not show by itself.
        "--LabApp.expose_app_in_browser=True",
    ]
    as_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return [*command, "--allow-root"] if as_root else command


def _environment(folder: Path) -> dict[str, str]:
    """Return this process's environment with nothing in it of the user's own Jupyter."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "IPYTHON", "MEMSIM_"))}
    own = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
        "MEMSIM_PREDICTIONS": PREDICTIONS,
    }
    paths = {name: str(folder / path) for name, path in own.items()}
    return inherited | paths | {"JUPYTER_TOKEN": secrets.token_hex(16)}


def _write_settings(folder: Path) -> None:
    overrides = folder / "config" / "labconfig" / "default_setting_overrides.json"
    overrides.parent.mkdir(parents=True)
    overrides.write_text(SETTINGS, encoding="utf-8")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_up(process: subprocess.Popen[bytes], runtime: Path, log: Path) -> str:
    """Return the server's address once it answers; its port may be another if ours was taken."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        for path in runtime.glob("jpserver-*.json"):
            url = _url_in(path)
            if url and _answers(url):
                return url
        time.sleep(0.05)
    tail = log.read_text(encoding="utf-8", errors="replace")[-4000:]
    msg = f"JupyterLab did not start. The end of its log:\n{tail}"
    raise RuntimeError(msg)


def _url_in(path: Path) -> str | None:
    """Return the address in a server's own record of itself, which may be half written."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["url"])
    except ValueError:
        return None


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}login", timeout=5):  # noqa: S310 (http, our own)
            return True
    except (urllib.error.URLError, OSError):
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop the server; it stops its kernels first."""
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
