"""A copy in memory of all that a worker can read.

The kernel remembers which pages of a file were read, and which names were looked up in vain. Who may read a
folder of a disk finds both out by timing: a message for the next submission. A file system in memory
remembers neither.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import errno
import fcntl
import fnmatch
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_SHARED = Path("/dev/shm")  # noqa: S108 (in a folder there that no other user can write to)
_PLACES = (str(_SHARED), "{XDG_RUNTIME_DIR}", "/run", "/tmp")  # noqa: S108 (the same)
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_NOT_NEEDED = ("*.a", "*.whl", "*.opt-?.pyc", "*.exe", "test", "tests")
"""Nothing that a program imports: what programs are linked with, other levels of optimisation, tests."""
_SPARE = 1.1
_YOUNG = 60.0
"""Seconds in which a folder may not have its lock yet."""
_CLONE_NEWNS, _MS_REC, _MS_SLAVE = 0x00020000, 1 << 14, 1 << 19
_MOUNTS = Path("/proc/self/mounts")


def make(paths: Sequence[Path], hidden: Iterable[Path]) -> Path:
    """Copy files and folders, without ``hidden``; return the folder, which goes when this process does.

    Raises
    ------
    OSError
        No file system in memory has room for it and lets programs in it run.
    """
    left_out = _left_out(set(hidden))
    size = sum(_size(path, left_out) for path in paths)
    folder = Path(tempfile.mkdtemp(prefix=_prefix(), dir=_place(int(_SPARE * size))))
    lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    fcntl.flock(lock, fcntl.LOCK_EX)  # until this process ends, however it ends
    atexit.register(_remove, folder, os.getpid())
    folder.chmod(0o755)
    try:
        for path in paths:
            _copy(folder / path.relative_to("/"), path, left_out)
    except BaseException:
        _remove(folder, os.getpid())
        os.close(lock)
        raise
    return folder


def remove_left_behind(places: Iterable[Path] | None = None) -> None:
    """Remove the copies of processes that were killed: no process holds their lock."""
    for place in _in_memory() if places is None else places:
        for folder in place.glob(f"{_prefix()}*"):
            with contextlib.suppress(OSError):
                lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_DIRECTORY)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if abs(time.time() - os.fstat(lock).st_mtime) > _YOUNG:  # the clock may have gone back
                        shutil.rmtree(folder, ignore_errors=True)
                finally:
                    os.close(lock)


def _prefix() -> str:
    return f"memsim-copy-{os.geteuid()}-"


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def _left_out(hidden: set[Path]) -> Callable[[str, list[str]], set[str]]:
    """Return what tells, of a folder and the names in it, which are not copied."""

    def look(top: str, names: list[str]) -> set[str]:
        inside = {name for name in names if Path(top, name) in hidden}
        return inside | {name for kind in _NOT_NEEDED for name in fnmatch.filter(names, kind)}

    return look


def _size(path: Path, left_out: Callable[[str, list[str]], set[str]]) -> int:
    """Return how many bytes of memory a copy takes, in whole pages."""
    if not path.is_dir():
        return _pages(path)
    total = 0
    for top, folders, files in os.walk(path):
        gone = left_out(top, [*folders, *files])
        folders[:] = [name for name in folders if name not in gone]
        total += sum(_pages(Path(top, name)) for name in files if name not in gone)
    return total


def _pages(path: Path) -> int:
    with contextlib.suppress(OSError):
        return -(-path.lstat().st_size // 4096) * 4096
    return 0


def _copy(place: Path, path: Path, left_out: Callable[[str, list[str]], set[str]]) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, place, symlinks=True, ignore=left_out, dirs_exist_ok=True)
    else:
        shutil.copy2(path, place)


def _place(size: int) -> Path:
    """Return a folder in memory with room for ``size`` bytes; as root, of our own if there is none."""
    remove_left_behind()
    tried = []
    for place in _in_memory():
        free = shutil.disk_usage(place).free
        if free >= size and os.access(place, os.W_OK | os.X_OK):
            return place
        tried.append(f"{place} has {free >> 20} MiB free")
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):
            return _of_our_own(size)
    told = "; ".join(tried) or "there is none that programs may run from"
    msg = f"{size >> 20} MiB are needed in a file system in memory: {told}"
    raise OSError(errno.ENOSPC, msg)


def _in_memory() -> list[Path]:
    """Return the folders of file systems in memory from which programs may run."""
    names = [name.format(XDG_RUNTIME_DIR=os.environ.get("XDG_RUNTIME_DIR") or "/") for name in _PLACES]
    mounted = {}
    for line in _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        _, place, kind, options, *_ = line.split(" ")
        mounted[place] = kind in _IN_MEMORY and not {"noexec", "ro"} & set(options.split(","))
    return [Path(name) for name in dict.fromkeys(names) if mounted.get(name)]


def _of_our_own(size: int) -> Path:
    """Mount a file system in memory where only this process and those that it starts see it."""
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"size={size},mode=755".encode()
    calls: tuple[Callable[[], int], ...] = (
        lambda: libc.unshare(_CLONE_NEWNS),
        lambda: libc.mount(None, b"/", None, ctypes.c_ulong(_MS_REC | _MS_SLAVE), None),
        lambda: libc.mount(b"tmpfs", os.fsencode(_SHARED), b"tmpfs", ctypes.c_ulong(0), options),
    )
    for call in calls:
        if call() < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    return _SHARED
