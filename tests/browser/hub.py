"""The course server, run on a machine of its own: accounts and passwords that this one never gets."""

from __future__ import annotations

import os
import shlex
import socket
import stat
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

START_TIMEOUT_S = 300
PASSWORD = "a module at 4 GiB"  # noqa: S105 (of accounts that last for a test)
# openssl passwd -6 -salt memsim "$PASSWORD"
HASH = "$6$memsim$6YjmVLM5bgjBk5INNg1h/bqtmH8nZYlMS8bHsij0HQFcMV1zn/B3SjNrtNHLrLH5fuO5ULVOWgkxpaURnK7Jc1"
USERS = {"teacher": 60001, "ada": 60002, "bob": 60003}
GROUP = 60000
OUTSIDER = "eve"
"""Has an account and the same password, and is not in the course."""
# A mount namespace, in which files of this machine are covered by our own; an ordinary user is root there.
ROOT = ["unshare", "--mount"]
NOT_ROOT = ["unshare", "--user", "--map-root-user", "--map-auto", "--mount"]
COVER = """
for name in passwd group shadow; do mount --bind etc/$name /etc/$name; done
for home in home/*; do chown ${home#home/}:memsim $home; done
"""


@dataclass
class Machine:
    """A machine with the course server on it."""

    url: str
    folder: Path
    process: int

    def home(self, user: str) -> Path:
        """Return where a user's files are."""
        return self.folder / "home" / user

    def run(self, user: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Let a user run a command of the environment at home."""
        inside = ["nsenter", f"--target={self.process}", "--mount"]
        inside += [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        who = ["setpriv", f"--reuid={USERS[user]}", f"--regid={GROUP}", "--clear-groups"]
        home = self.home(user)
        environment = {
            "HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin",
            "JUPYTER_CONFIG_PATH": str(self.folder / "course" / "jupyter"),
            "MEMSIM_COURSE": str(self.folder / "course"),
        }
        there = ["env", f"--chdir={home}"]
        return subprocess.run(  # noqa: S603 (our own command)
            [*inside, *who, *there, *command], env=environment, capture_output=True, text=True, check=False
        )


@contextmanager
def machine() -> Iterator[Machine]:
    """Run JupyterHub with the course's configuration; accounts, homes and the course are in a new folder."""
    folder = Path(tempfile.mkdtemp(prefix="memsim-hub-"))
    folder.chmod(0o755)  # pytest's own folders are closed to other users
    write_accounts(folder)
    url, log = f"http://127.0.0.1:{free_port()}", folder / "hub.log"
    enter = ROOT if os.geteuid() == 0 else NOT_ROOT
    with log.open("wb") as sink:
        process = subprocess.Popen(  # noqa: S603 (our own command)
            [*enter, "sh", "-ec", f'{COVER}{open_ways(folder)}exec "$@"', "sh", *command(url)],
            env={**os.environ, "MEMSIM_COURSE": str(folder / "course")},
            cwd=folder,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(url, process, log)
        yield Machine(url, folder, process.pid)
    finally:
        process.terminate()
        process.wait(timeout=START_TIMEOUT_S)
        subprocess.run([*enter, "rm", "-r", str(folder)], check=True)  # noqa: S603 (files of its users)


def command(url: str) -> list[str]:
    """Return how the hub is started: the course's configuration and ports that are free."""
    config = Path("exercises/hub/jupyterhub_config.py").resolve()
    ports = [
        f"--JupyterHub.bind_url={url}",
        f"--JupyterHub.hub_bind_url=http://127.0.0.1:{free_port()}",
        f"--ConfigurableHTTPProxy.api_url=http://127.0.0.1:{free_port()}",
        # Tests look into the notebook's own model, which the page does not show by itself.
        "--Spawner.args=--LabApp.expose_app_in_browser=True",
        # Servers of two students start at the same time, on a machine that may do much else.
        f"--Spawner.start_timeout={START_TIMEOUT_S}",
        f"--Spawner.http_timeout={START_TIMEOUT_S}",
    ]
    return [sys.executable, "-m", "jupyterhub", "-f", str(config), *ports]


def write_accounts(folder: Path) -> None:
    """Write the machine's accounts, in the group of the course, and make their homes."""
    (folder / "etc").mkdir()
    texts = {name: Path(f"/etc/{name}").read_text(encoding="utf-8") for name in ("passwd", "group")}
    texts["shadow"] = ""
    for name, number in USERS.items():
        home = folder / "home" / name
        home.mkdir(parents=True)
        home.chmod(0o700)
        texts["passwd"] += f"{name}:x:{number}:{GROUP}::{home}:/bin/sh\n"
        texts["shadow"] += f"{name}:{HASH}:20000:0:99999:7:::\n"
    texts["passwd"] += f"{OUTSIDER}:x:60004:60004::/nonexistent:/bin/sh\n"
    texts["shadow"] += f"{OUTSIDER}:{HASH}:20000:0:99999:7:::\n"
    texts["group"] += f"memsim:x:{GROUP}:{','.join(USERS)}\n"
    for name, text in texts.items():
        (folder / "etc" / name).write_text(text, encoding="utf-8")


def open_ways(folder: Path) -> str:
    """Return what makes Python and the project readable to all, in case they lie in somebody's closed home.

    The closed folder is covered by an empty one, into which only what is needed is put back.
    """
    needed = {Path(path).resolve() for path in (sys.prefix, sys.base_prefix, Path.cwd())}
    behind = {path: closed for path in needed if (closed := closed_folder(path))}
    keep = {path: folder / f"way{number}" for number, path in enumerate(sorted(behind))}
    lines = [f"mkdir {there}; mount --bind {shlex.quote(str(path))} {there}" for path, there in keep.items()]
    lines += [f"mount -t tmpfs -o mode=755 memsim {shlex.quote(str(path))}" for path in set(behind.values())]
    for path, there in keep.items():
        lines.append(f"mkdir -p {shlex.quote(str(path))}; mount --bind {there} {shlex.quote(str(path))}")
    return "".join(f"{line}\n" for line in lines)


def closed_folder(path: Path) -> Path | None:
    """Return the first folder on the way to a path that other users may not enter."""
    ways = (*reversed(path.parents), path)
    return next((way for way in ways if not way.stat().st_mode & stat.S_IXOTH), None)


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the hub asks for a password."""
    for _ in range(10 * START_TIMEOUT_S):
        try:
            with urllib.request.urlopen(f"{url}/hub/login", timeout=5):  # noqa: S310 (http, our own)
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            if process.poll() is not None:
                break
            time.sleep(0.1)
    msg = f"JupyterHub does not answer:\n{log.read_text(encoding='utf-8')[-4000:]}"
    raise RuntimeError(msg)
