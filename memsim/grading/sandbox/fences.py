"""What stands between the student's code and everything else.

* **bubblewrap**: own namespaces for files, processes, network and more. The process sees Python, its
  libraries, numpy and the worker, all read-only, and nothing else of this machine.
* **container**: for a container that holds one submission and forbids namespaces, as Gradescope's do. A user
  who owns nothing, seccomp in place of a network namespace, and Landlock for files and signals. Needs root
  and Linux 6.12. ``memsim grade`` does not use it: it cannot hide names and sizes of other files.
* **none**: limits only. For a student who runs public checks on his or her own machine.

Whatever a fence is called, it is believed only after :func:`memsim.grading.sandbox.probe.open_ways` has tried
to get through it.
"""

from __future__ import annotations

import compileall
import contextlib
import functools
import os
import shutil
import stat
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from importlib.machinery import SourcelessFileLoader
from importlib.util import cache_from_source, find_spec
from itertools import count
from pathlib import Path

from memsim.grading.sandbox.copies import make

GUEST = Path(__file__).parent / "guest"
_PLACE = "/grading"
_COPY = "MEMSIM_READABLE_COPY"
_FIRST_FREE_UID = 1_900_000_000
"""Far above the ids that systems and containers assign."""
_FEW_UIDS = 65_536
_WORKERS = 64
_workers = count()
"""Each worker has a user of its own: keyrings and limits belong to users, and no namespace divides them."""
_NOBODY = 65_534
_DEVICES = ("null", "zero", "full", "random", "urandom")
_PIDS = 4_194_304

# The worker's modules have their full names, and memsim itself is not there. Folders of packages are listed
# at once: Landlock lets it read some of the packages, and not list what else is installed.
_START = """
import sys, types
from importlib.machinery import PathFinder
for name, path in (("memsim", []), ("memsim.grading", []), ("memsim.grading.sandbox", [{place!r}])):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = path
from memsim.grading.sandbox.guest.main import main
sys.path += {sites!r}
for site in {sites!r}:
    PathFinder.find_spec("numpy", [site])
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
        setting: dict[str, object] = {"alone": self.alone, "fenced": self.name != "none", "memsim": memsim}
        if os.name == "posix" and os.geteuid() == 0 and self.name != "none":
            setting["uid"] = _own_uid() + next(_workers) % _WORKERS
        if self.name == "container":
            setting["readable"] = [str(path) for path in _readable(memsim=memsim)]
        return setting


BUBBLEWRAP = Fence(
    "bubblewrap", "bubblewrap, with namespaces of its own for files, network and processes", alone=True
)
CONTAINER = Fence(
    "container",
    "a separate user without rights, with Landlock for files and signals and seccomp against the network; "
    "without namespaces, as containers forbid them",
    alone=True,
)
"""For containers that hold one submission, such as Gradescope's: what is left behind ends with them."""
NONE = Fence("none", "none: limits only", alone=False)


def available() -> list[Fence]:
    """Return the fences that may work here, the strongest first; ``none`` is always the last."""
    found = []
    if sys.platform == "linux" and shutil.which("bwrap"):
        found.append(BUBBLEWRAP)
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
        # No user namespace: a process that is another user inside would still be root for the files outside.
        command += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        command += ["--unshare-user", "--disable-userns", "--cap-drop", "ALL"]
        command += ["--uid", str(_NOBODY), "--gid", str(_NOBODY)]
    command += _mounts(_system(), _copy(), memsim=memsim)
    command += ["--perms", "0555", "--dir", "/proc", "--perms", "0555", "--dir", "/dev"]
    for device in _DEVICES:  # and no others: a terminal is memory beyond the limit
        command += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    command += ["--remount-ro", "/"]
    command += ["--clearenv", "--chdir", "/", "--hostname", "grading", "--die-with-parent", "--new-session"]
    return [*command, *(part for name, value in ENVIRONMENT.items() for part in ("--setenv", name, value))]


@functools.cache
def _mounts(system: tuple[Path, ...], copy: Path | None, *, memsim: bool) -> tuple[str, ...]:
    """Return what is mounted of the system, from the copy or from where it lies: the same for each worker."""
    mounts = list[str]()
    for folder in _folders_above([*system, Path(_PLACE, "site", "numpy")]):
        mounts += ["--perms", "0755", "--dir", str(folder)]
    for path in system:
        mounts += ["--ro-bind", _source(path, copy), str(path)]
    for folder in _hidden() if not copy else ():
        mounts += ["--perms", "0555", "--tmpfs", str(folder), "--remount-ro", str(folder)]
    mounts += ["--ro-bind", _source(GUEST, copy), f"{_PLACE}/guest"]
    for path in _packages(memsim=memsim):
        mounts += ["--ro-bind", _source(path, copy), f"{_PLACE}/site/{path.name}"]
    return tuple(mounts)


@functools.cache
def _system() -> tuple[Path, ...]:
    """Return what a Python program needs of the system, and no more: it is copied into memory."""
    standard = _standard_library()
    more = [Path(name) for name in ("/etc/ld.so.cache", "/usr/share/zoneinfo", "/usr/lib/locale/C.utf8")]
    found = [Path(os.path.realpath(sys.executable)), *standard, *(path for path in more if path.exists())]
    found += [path for path in _libraries() if not any(path.is_relative_to(top) for top in standard)]
    return tuple(found)


def _standard_library() -> list[Path]:
    """Return the folders of the standard library."""
    base = {"platbase": sys.base_exec_prefix}  # not that of a virtual environment
    paths = (Path(sysconfig.get_path(name, vars=base)) for name in ("stdlib", "platstdlib"))
    return list(dict.fromkeys(paths))


def _hidden() -> list[Path]:
    """Return what lies in the folders of the standard library and does not belong to it."""
    names = ("site-packages", "dist-packages", "test")
    return [top / name for top in _standard_library() for name in names if (top / name).is_dir()]


# Loads every extension module without initialising it, and prints where the linker found what that needs.
_LINKED = """
import ctypes, sys
for name in sys.argv[1:]:
    try:
        ctypes.CDLL(name)
    except OSError:
        pass
class Loaded(ctypes.Structure):
    _fields_ = [("address", ctypes.c_void_p), ("name", ctypes.c_char_p)]
kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Loaded), ctypes.c_size_t, ctypes.c_void_p)
def write_name(info, size, data):
    sys.stdout.buffer.write((info[0].name or b"") + bytes(1))
    return 0
ctypes.CDLL(None).dl_iterate_phdr(kind(write_name), None)
"""


@functools.cache
def _libraries() -> tuple[Path, ...]:
    """Return the shared libraries that Python, its modules and numpy are linked with."""
    packages = _packages(memsim=False)
    users = [str(file) for top in (*_standard_library(), *packages) for file in top.rglob("*.so")]
    ran = subprocess.run(  # noqa: S603 (ours)
        [os.path.realpath(sys.executable), "-I", "-S", "-c", _LINKED, *users],
        capture_output=True,
        check=False,
    )
    linked = {Path(os.fsdecode(name)) for name in ran.stdout.split(b"\0") if name.startswith(b"/")}
    # A thread that ends asks for this one by name.
    linked |= {path.parent / "libgcc_s.so.1" for path in linked if path.name.startswith("libc.so")}
    return tuple(
        path for path in sorted(linked) if path.is_file() and not any(map(path.is_relative_to, packages))
    )


def prepare() -> None:
    """Copy all that a worker can read into memory, for the workers of this process and of those it starts.

    Raises
    ------
    OSError
        No file system in memory has room for it.
    """
    copy = _copy()
    if not copy or not copy.is_dir():
        os.environ[_COPY] = str(make([*_system(), *_packages(memsim=True)], _hidden()))


def _copy() -> Path | None:
    """Return where all that a worker can read was copied to; if that is gone, no worker starts."""
    folder = os.environ.get(_COPY, "")
    return Path(folder) if folder else None


def _source(path: Path, copy: Path | None) -> str:
    """Return where a worker's file or folder is taken from."""
    return str(copy / path.relative_to("/") if copy else path)


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
    devices = [Path("/dev/null"), Path("/dev/urandom")]
    return [*_system(), *_packages(memsim=memsim), GUEST, *devices]


def shut_out(fence: Fence) -> str:
    """Return what keeps a worker from a file that it needs, and what to do; nothing if it can read all.

    Only the fence for containers reads files where they lie, as a user to whom none of them belongs.
    """
    needed = _readable(memsim=True) if fence == CONTAINER else []
    for path in (path for path in needed if path.exists()):
        for folder in sorted({*path.parents, *path.resolve().parents}):
            if not folder.stat().st_mode & stat.S_IXOTH:
                return (
                    f"its user may not enter {folder}, and needs {path}: chmod o+x {folder}, or install "
                    "Python and memsim in a folder that everybody may read, such as /opt"
                )
        if not path.stat().st_mode & stat.S_IROTH:
            return f"its user may not read {path}: chmod -R o+rX {path}"
    return ""


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        msg = f"{name} is not installed"
        raise RuntimeError(msg)
    return Path(spec.origin).parent


def worker_uids() -> range:
    """Return the user ids of all workers that this process starts as root."""
    return range(_own_uid(), _own_uid() + _WORKERS)


def _own_uid() -> int:
    """Return a user id that no other process has: limits on processes count per user."""
    with Path("/proc/self/uid_map").open(encoding="ascii") as lines:
        highest = max(int(first) + int(count) for first, _, count in (line.split() for line in lines))
    if highest > _FIRST_FREE_UID + _WORKERS * _PIDS:
        return _FIRST_FREE_UID + _WORKERS * os.getpid()
    return _NOBODY if highest < _FEW_UIDS else 60_000 + os.getpid() % 5_000
