"""What stands between the student's code and everything else: the fences that the operating system has.

* **bubblewrap**: own namespaces for files, processes, network and more. The process sees the system's
  libraries, Python, numpy and the worker, all read-only, and nothing else.
* **user**: a separate user who owns nothing, a network of its own that leads nowhere, and Landlock's rules
  for files where the kernel has them. Needs root.
* **none**: limits only. For a student who runs public checks on a machine of his or her own.

Whatever a fence is called, it is believed only after :func:`memsim.grading.sandbox.probe.open_ways` has tried
to get through it.
"""

from __future__ import annotations

import compileall
import contextlib
import os
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from importlib.machinery import SourcelessFileLoader
from importlib.util import cache_from_source, find_spec
from itertools import count
from pathlib import Path

GUEST = Path(__file__).parent / "guest"
_PLACE = "/grading"
FIRST_FREE_UID = 1_900_000_000
"""Far above what systems and containers give to anybody."""
_FEW_UIDS = 65_536
_WORKERS = 64
_workers = count()
"""Each worker has a user of its own: keyrings and limits belong to users, and no namespace divides them."""
_NOBODY = 65_534
_PIDS = 4_194_304

# The worker's modules have their full names, and memsim itself is not there.
_START = """
import sys, types
for name, path in (("memsim", []), ("memsim.grading", []), ("memsim.grading.sandbox", [{place!r}])):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = path
from memsim.grading.sandbox.guest.main import main
sys.path += {sites!r}
main({control_fd}, {setting!r})
"""

ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "PATH": "/usr/bin:/bin",
    "HOME": "/",
    "OPENBLAS_NUM_THREADS": "1",  # threads count as processes
    "OMP_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",  # sets of strings come in the same order on every run
}


@dataclass(frozen=True)
class Fence:
    """A way to start the worker."""

    name: str
    told: str
    alone: bool
    """Whether the worker can kill all that it sees without harm to anybody else."""

    def command(self, control_fd: int, *, memsim: bool) -> list[str]:
        """Return the command that starts a worker which listens on ``control_fd``."""
        setting = self._setting(memsim=memsim)
        if self.name == "bubblewrap":
            return [*_bubblewrap(memsim=memsim), *_python(_PLACE, [f"{_PLACE}/site"], control_fd, setting)]
        sites = list(dict.fromkeys(str(path.parent) for path in _packages(memsim=memsim)))
        return _python(str(GUEST.parent), sites, control_fd, setting)

    def _setting(self, *, memsim: bool) -> dict[str, object]:
        """Return what the worker has to do to itself before it reads anything of a student."""
        setting: dict[str, object] = {"alone": self.alone, "fenced": self.name != "none"}
        if os.name == "posix" and os.geteuid() == 0 and self.name != "none":
            setting["uid"] = _own_uid() + next(_workers) % _WORKERS
        if self.name == "container":
            setting["namespaces"] = False
        if self.name in ("user", "container"):
            setting["readable"] = [str(path) for path in _readable(memsim=memsim)]
        return setting


BUBBLEWRAP = Fence(
    "bubblewrap", "bubblewrap, with namespaces of its own for files, network and processes", alone=True
)
USER = Fence("user", "a separate user without rights, without network, and with Landlock", alone=True)
CONTAINER = Fence(
    "container",
    "a separate user without rights, with Landlock for files and seccomp against the network; without "
    "namespaces, as containers forbid them",
    alone=True,
)
"""For containers that hold one submission, such as Gradescope's: what is left behind ends with them."""
NONE = Fence("none", "none: limits only", alone=False)


def available() -> list[Fence]:
    """Return the fences that may work here, the strongest first; ``none`` is always the last."""
    found = []
    if sys.platform == "linux" and shutil.which("bwrap"):
        found.append(BUBBLEWRAP)
    if sys.platform == "linux" and os.geteuid() == 0:
        found.append(USER)
    return [*found, NONE]


def compile_worker() -> None:
    """Compile what a worker runs: it writes nothing, so it would compile it each time.

    On a full disk Python may leave half of a compiled file, and no worker would ever start with that.
    """
    compileall.compile_dir(GUEST, quiet=2)
    for path in GUEST.glob("*.py"):
        compiled = Path(cache_from_source(path))
        with contextlib.suppress(OSError):
            try:
                SourcelessFileLoader("", str(compiled)).get_code("")
            except (EOFError, ImportError, ValueError):
                compiled.unlink()


def _python(place: str, sites: list[str], control_fd: int, setting: dict[str, object]) -> list[str]:
    """Return the command line of the worker.

    It is isolated as by ``-I``, spelt out (-s -P, and an environment of ours), because ``-I`` would also
    ignore PYTHONHASHSEED. ``-S`` keeps site-packages out.
    """
    start = _START.format(place=place, sites=sites, control_fd=control_fd, setting=setting)
    return [os.path.realpath(sys.executable), "-s", "-P", "-S", "-B", "-c", start]


def _bubblewrap(*, memsim: bool) -> list[str]:
    """Return the part of the command that builds the fence."""
    command = [
        "bwrap",
        "--unshare-pid",
        "--unshare-net",
        "--unshare-ipc",
        "--unshare-uts",
        "--unshare-cgroup-try",
        "--as-pid-1",
    ]
    if os.geteuid() == 0:
        # No user namespace: whoever is another user inside would still be root for the files outside.
        command += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        command += ["--unshare-user", "--disable-userns", "--cap-drop", "ALL"]
        command += ["--uid", str(_NOBODY), "--gid", str(_NOBODY)]
    for folder in _folders_above([*_system(), Path(_PLACE, "site", "numpy")]):
        command += ["--perms", "0755", "--dir", str(folder)]
    for path in _system():
        command += ["--ro-bind-try", str(path), str(path)]
    command += ["--ro-bind", str(GUEST), f"{_PLACE}/guest"]
    for path in _packages(memsim=memsim):
        command += ["--ro-bind", str(path), f"{_PLACE}/site/{path.name}"]
    command += ["--perms", "0555", "--dir", "/proc", "--dev", "/dev"]
    command += ["--remount-ro", "/dev", "--remount-ro", "/"]
    command += ["--clearenv", "--chdir", "/", "--hostname", "grading", "--die-with-parent", "--new-session"]
    return [*command, *(part for name, value in ENVIRONMENT.items() for part in ("--setenv", name, value))]


def _system() -> list[Path]:
    """Return what a Python program needs of the system."""
    paths = [Path(name) for name in ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache")]
    base = Path(sys.base_prefix)
    return paths if base.is_relative_to("/usr") else [*paths, base]


def _folders_above(paths: list[Path]) -> list[Path]:
    """Return the folders to make before these can be mounted, so that the worker's user may enter them."""
    above = {folder for path in paths for folder in path.parents} - {Path("/")}
    return sorted(above)


def _packages(*, memsim: bool) -> list[Path]:
    """Return the packages that an answer may import."""
    numpy = _package("numpy")
    libraries = numpy.with_name("numpy.libs")
    found = [numpy, *([libraries] if libraries.exists() else [])]
    return [*found, GUEST.parents[2]] if memsim else found


def _readable(*, memsim: bool) -> list[Path]:
    """Return what the fence without mounts leaves readable."""
    standard = sysconfig.get_paths()
    python = [Path(standard["stdlib"]), Path(standard["platstdlib"]), Path(sys.base_prefix) / "lib"]
    return [*_system(), *python, *_packages(memsim=memsim), GUEST, Path("/dev/null"), Path("/dev/urandom")]


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        msg = f"{name} is not installed"
        raise RuntimeError(msg)
    return Path(spec.origin).parent


def _own_uid() -> int:
    """Return a user that nobody else is: limits on processes are counted for a user."""
    with Path("/proc/self/uid_map").open(encoding="ascii") as lines:
        highest = max(int(first) + int(count) for first, _, count in (line.split() for line in lines))
    if highest > FIRST_FREE_UID + _WORKERS * _PIDS:
        return FIRST_FREE_UID + _WORKERS * os.getpid()
    return _NOBODY if highest < _FEW_UIDS else 60_000 + os.getpid() % 5_000
