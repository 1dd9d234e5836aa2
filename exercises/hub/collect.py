"""Collect what students have handed in, by the owner of each folder and never through a link.

``python collect.py one-block``, in the folder of the course, in the place of ``nbgrader collect``, which follows
links and takes the name of a folder for its owner's. Of each student the newest folder counts. What is refused
is named, with the reason; then the exit status is 1.

``times-one-block.csv`` says when each of them came, for ``memsim grade --collected``: when the kernel last saw a
change of the folder or of a file in it. The times that stand in names and in ``timestamp.txt`` are the student's.
The kernel sees a change of a file that is mapped into memory when it first writes it to the disk, about half a minute
later at most; on a file system in memory it sees none, so keep the exchange on a disk.
"""

import csv
import os
import pwd
import shutil
import stat
import sys
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from memsim.cli.commands import plain

_LARGEST, _LARGEST_FOLDER = 64 << 20, 256 << 20
_MOST = 2000


class RefusedError(Exception):
    """A folder or file that is not what its name says."""


def main(assignment: str, inbound: Path, course: Path = Path()) -> tuple[list[str], dict[str, str]]:
    """Return the students whose work was collected, and why a folder was refused."""
    newest: dict[str, Path] = {}
    refused = {}
    for folder in sorted(inbound.iterdir(), key=lambda path: path.name.split("+")[2:]):
        parts = folder.name.split("+")
        if len(parts) < 3 or parts[1] != assignment:
            continue
        try:
            newest[owner_of(folder, parts[0])] = folder
        except (RefusedError, OSError) as reason:  # its owner may remove it, or close it to all others
            refused[folder.name] = str(reason)
    collected, times = [], {}
    for student, folder in sorted(newest.items()):
        target = course / "submitted" / student / assignment
        shutil.rmtree(target, ignore_errors=True)  # an older hand-in may have files of other names
        target.mkdir(parents=True)
        try:
            times[student] = copy_folder(folder, target, student)
        except (RefusedError, OSError) as reason:
            refused[folder.name] = str(reason)
            shutil.rmtree(target)
            continue
        collected.append(student)
    write_times(course / f"times-{assignment}.csv", times)
    return collected, refused


def write_times(path: Path, times: dict[str, float]) -> None:
    """Write when each student's folder was changed last; a table that is there stays until this one is whole."""
    new = path.with_name(f".{path.name}")
    with new.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["student", "time"])
        for student, seconds in times.items():
            table.writerow([student, datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")])
    new.replace(path)


def owner_of(folder: Path, name: str) -> str:
    """Return the account that owns a folder, which must be the one in its name."""
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        msg = "it is no folder"
        raise RefusedError(msg)
    refuse_other(status.st_uid, name)
    return name


def refuse_other(uid: int, name: str) -> None:
    """Raise RefusedError if an account is not the one of this name."""
    try:
        owner = pwd.getpwuid(uid).pw_name
    except KeyError:
        owner = str(uid)
    if owner != name:
        msg = f"it belongs to {owner}"
        raise RefusedError(msg)


def copy_folder(folder: Path, target: Path, student: str) -> float:
    """Copy the plain files of a folder that belong to the student; anything else is refused.

    Returns when the kernel has seen the last change of them, which no user can set.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        owner = os.fstat(fd).st_uid
        refuse_other(owner, student)  # once more: another folder may have its name by now
        with os.scandir(fd) as entries:
            names = sorted(entry.name for entry in islice(entries, _MOST + 1))
        if len(names) > _MOST:
            msg = f"it has more than {_MOST} files"
            raise RefusedError(msg)
        refuse_large(sum(os.stat(name, dir_fd=fd, follow_symlinks=False).st_size for name in names))
        times, copied = [os.fstat(fd).st_ctime], 0
        for name in names:  # counted as they are copied, too: files may grow meanwhile
            times.append(copy_file(fd, name, target / name, owner).st_ctime)
            copied += (target / name).stat().st_size
            refuse_large(copied)
        return max(times)
    finally:
        os.close(fd)


def refuse_large(size: int) -> None:
    """Raise RefusedError for a folder too large: a file of zeros takes room on our disk only."""
    if size > _LARGEST_FOLDER:
        msg = f"it has more than {_LARGEST_FOLDER >> 20} MiB"
        raise RefusedError(msg)


def copy_file(folder: int, name: str, target: Path, owner: int) -> os.stat_result:
    """Copy one file, and return what it was; it is opened once, so what is looked at is copied."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError as error:
        msg = f"{name}: it is a link, or cannot be opened ({error.strerror})"
        raise RefusedError(msg) from None
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
        rules = {
            "it is no plain file": stat.S_ISREG(status.st_mode),
            "it belongs to somebody else": status.st_uid == owner,
            "it is a hard link to another file": status.st_nlink == 1,
            f"it has more than {_LARGEST >> 20} MiB": status.st_size <= _LARGEST,
        }
        for rule, kept in rules.items():
            if not kept:
                msg = f"{name}: {rule}"
                raise RefusedError(msg)
        target.write_bytes(file.read(status.st_size))
        return os.fstat(fd)  # once more: it may have been written to as it was read


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: python {sys.argv[0]} ASSIGNMENT, in the folder of the course")
    from nbgrader.apps import NbGrader  # where the exchange is, as nbgrader's own commands know it

    app = NbGrader()
    app.initialize([])
    root, name = app.config.Exchange.root, app.config.CourseDirectory.course_id
    taken, left = main(sys.argv[1], Path(root, name, "inbound"))
    print(*taken)
    if left:
        sys.exit("\n".join(plain(f"{folder}: {why}") for folder, why in left.items()))
