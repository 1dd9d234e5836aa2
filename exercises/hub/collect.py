"""Collect what students have handed in, by the owner of each folder and never through a link.

``python collect.py one-block``, in the folder of the course, in the place of ``nbgrader collect``, which follows
links and takes the name of a folder for its owner's. Of each student the newest folder counts. What is refused
is named, with the reason; then the exit status is 1.

``times-one-block.csv`` says when each of them came, for ``memsim grade --collected``: when the kernel last saw a
change of the folder or of a file in it. The times that stand in names and in ``timestamp.txt`` are the student's.
"""

import csv
import os
import pwd
import shutil
import stat
import sys
from datetime import UTC, datetime
from pathlib import Path

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
        except RefusedError as reason:
            refused[folder.name] = str(reason)
    collected, times = [], {}
    for student, folder in sorted(newest.items()):
        target = course / "submitted" / student / assignment
        shutil.rmtree(target, ignore_errors=True)  # an older hand-in may have files of other names
        target.mkdir(parents=True)
        try:
            times[student] = copy_folder(folder, target)
        except (RefusedError, OSError) as reason:
            refused[folder.name] = str(reason)
            shutil.rmtree(target)
            continue
        collected.append(student)
    write_times(course / f"times-{assignment}.csv", times)
    return collected, refused


def write_times(path: Path, times: dict[str, float]) -> None:
    """Write when each student's folder was changed last."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["student", "time"])
        for student, seconds in times.items():
            table.writerow([student, datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")])


def owner_of(folder: Path, name: str) -> str:
    """Return the account that owns a folder, which must be the one in its name."""
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        msg = "it is no folder"
        raise RefusedError(msg)
    try:
        owner = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        owner = str(status.st_uid)
    if owner != name:
        msg = f"it belongs to {owner}"
        raise RefusedError(msg)
    return owner


def copy_folder(folder: Path, target: Path) -> float:
    """Copy the plain files of a folder that belong to its owner; anything else is refused.

    Returns when the kernel has seen the last change of them, which no user can set.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        owner = os.fstat(fd).st_uid
        names = sorted(os.listdir(fd))  # noqa: PTH208 (of what was opened)
        if len(names) > _MOST:
            msg = f"it has more than {_MOST} files"
            raise RefusedError(msg)
        size = sum(os.stat(name, dir_fd=fd, follow_symlinks=False).st_size for name in names)
        if size > _LARGEST_FOLDER:  # a file of zeros takes no room on the student's disk, and would on ours
            msg = f"it has more than {_LARGEST_FOLDER >> 20} MiB"
            raise RefusedError(msg)
        return max([os.fstat(fd).st_ctime, *(copy_file(fd, name, target / name, owner) for name in names)])
    finally:
        os.close(fd)


def copy_file(folder: int, name: str, target: Path, owner: int) -> float:
    """Copy one file, and return when it was changed; it is opened once, so what is looked at is copied."""
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
        return status.st_ctime


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
        sys.exit("\n".join(f"{folder}: {why}" for folder, why in left.items()))
