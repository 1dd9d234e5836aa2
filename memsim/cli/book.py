"""``memsim book``: the book as files, to read and to change."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from memsim.cli.commands import OK
from memsim.errors import MemsimError
from memsim.lesson.chapters import book_that_came_along, chapters

if TYPE_CHECKING:
    import argparse

    from memsim.cli.commands import Commands


def add_to(commands: Commands) -> None:
    """Add ``book``."""
    book = commands.add_parser(
        "book",
        description="Copy the notebooks of the book, with their scenarios and pictures, to a folder. What is "
        "there already is never overwritten.",
    )
    book.add_argument("folder", type=Path, metavar="DIR", help="where to; it is made if it is not there")
    book.set_defaults(command=command_book)


def command_book(arguments: argparse.Namespace) -> int:
    """``memsim book``."""
    source, target = book_that_came_along(), arguments.folder
    files = [path for path in sorted(source.rglob("*")) if path.is_file() and not hidden(path, source)]
    there = [
        target / path.relative_to(source) for path in files if (target / path.relative_to(source)).exists()
    ]
    if there:
        msg = f"{there[0]} is there already, and nothing is overwritten: name another folder"
        raise MemsimError(msg)
    for path in files:
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    print(f"{target}: {len(chapters(target))} notebooks. To read them:")
    print(f"jupyter-lab {target / '00-welcome.ipynb'}")
    return OK


def hidden(path: Path, book: Path) -> bool:
    """Return whether a file is a checkpoint or the like, or makes the web site, and is not of the book."""
    parts = path.relative_to(book).parts
    return parts[0] == "site" or any(part.startswith((".", "__")) for part in parts)
