"""The reader's own kernel source: a checkout, an unpacked source package, or Debian's linux-source archive.

Nothing of the kernel is in memsim. Where a reader has a tree, a function of it can stand beside its model:
with git and the tags of both releases as it was before the patch and after it, else as it is in the tree.
"""

from __future__ import annotations

import os
import re
import subprocess
import tarfile
from pathlib import Path

from memsim.errors import MemsimError

VARIABLE = "MEMSIM_LINUX"
"""The environment variable that names the tree."""
TAGS = ("v6.10", "v6.11")
"""The last release without the patch and the first with it."""
_VERSION = re.compile(r"^(VERSION|PATCHLEVEL|SUBLEVEL)\s*=\s*(\d+)", re.MULTILINE)


class NoTreeError(MemsimError):
    """There is no kernel source where the reader says; the message says what would be one."""


def tree_of(path: str | Path | None = None) -> Path | None:
    """Return the tree that the reader names, here or in MEMSIM_LINUX; None where none is named.

    Raises
    ------
    NoTreeError
        Something is named that is neither a kernel tree nor an archive of one.
    """
    named = path or os.environ.get(VARIABLE)
    if not named:
        return None
    tree = Path(named).expanduser()
    if (tree / "mm").is_dir() and (tree / "Makefile").is_file():
        return tree
    if tree.is_file() and tarfile.is_tarfile(tree):
        return tree
    msg = (
        f"{tree} is not the source of a kernel: name a checkout or an unpacked package (a folder with mm/ "
        "and Makefile), or an archive such as /usr/src/linux-source-6.12.tar.xz"
    )
    raise NoTreeError(msg)


def versions_of(tree: Path, file: str) -> dict[str, str]:
    """Return the text of a file by version, oldest first: both tags where git has them, else the tree's own.

    A version that does not have the file is left out.
    """
    if tree.is_file():
        return _from_archive(tree, file)
    tagged = {tag: text for tag in TAGS if (text := _git_show(tree, tag, file)) is not None}
    if tagged:
        return tagged
    path = tree / file
    if not path.is_file():
        return {}
    makefile = (tree / "Makefile").read_text(encoding="utf-8", errors="replace")
    return {version_of(makefile): path.read_text(encoding="utf-8", errors="replace")}


def _git_show(tree: Path, tag: str, file: str) -> str | None:
    """Return a file as it was at a tag, or None where there is no git, no tag or no such file."""
    if not (tree / ".git").exists():
        return None
    try:
        done = subprocess.run(  # noqa: S603 (git, on the reader's own tree)
            ["git", "-C", str(tree), "show", f"{tag}:{file}"],  # noqa: S607 (the reader's git)
            capture_output=True,
            check=False,
        )
    except OSError:
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None


def _from_archive(archive: Path, file: str) -> dict[str, str]:
    """Return a file of an archive, whose only top folder is the tree; compressed ones take seconds."""
    found: dict[str, str] = {}
    with tarfile.open(archive) as members:
        for member in members:
            inner = member.name.partition("/")[2]
            if inner in {"Makefile", file} and (stream := members.extractfile(member)) is not None:
                found[inner] = stream.read().decode(errors="replace")
            if len(found) == len({"Makefile", file}):
                break
    return {version_of(found.get("Makefile", "")): found[file]} if file in found else {}


def version_of(makefile: str) -> str:
    r"""Return the version that a kernel's Makefile states.

    >>> version_of("VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 0\n")
    'v6.12.0'
    """
    numbers = dict(_VERSION.findall(makefile))
    parts = [numbers[name] for name in ("VERSION", "PATCHLEVEL", "SUBLEVEL") if name in numbers]
    return f"v{'.'.join(parts)}" if parts else "this tree"


def function_in(text: str, name: str) -> str | None:
    r"""Return the definition of a function in C source, or None where it is not defined.

    >>> function_in("int f(int a);\nint f(int a)\n{\n\treturn a;\n}\n", "f")
    'int f(int a)\n{\n\treturn a;\n}'
    """
    for match in re.finditer(rf"^[A-Za-z_][^\n;{{}}()#]*\b{re.escape(name)}\s*\(", text, re.MULTILINE):
        after = _closing(text, match.end() - 1, "()")
        body = re.compile(r"[\s\w]*\{").match(text, after + 1)
        if body:
            return text[match.start() : _closing(text, body.end() - 1, "{}") + 1]
    return None


_SKIPPED = re.compile(r"""/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'""", re.DOTALL)


def _closing(text: str, start: int, pair: str) -> int:
    """Return where the bracket at ``start`` is closed; comments and strings do not count."""
    depth, place = 0, start
    while place < len(text):
        skipped = _SKIPPED.match(text, place)
        if skipped:
            place = skipped.end()
            continue
        depth += (text[place] == pair[0]) - (text[place] == pair[1])
        if depth == 0:
            return place
        place += 1
    return len(text) - 1
