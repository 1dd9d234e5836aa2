"""``memsim handout``: the notebooks that students get."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memsim.cli.commands import OK
from memsim.errors import MemsimError

if TYPE_CHECKING:
    import argparse

    from memsim.cli.commands import Commands


def add_to(commands: Commands) -> None:
    """Add ``handout``."""
    handout = commands.add_parser(
        "handout",
        description="Make student copies of source notebooks, as nbgrader's generate_assignment does, and "
        "refuse where one would give away a solution or a hidden test; with --solutions the solved ones, for "
        "after the deadline.",
    )
    handout.add_argument(
        "sources",
        nargs="+",
        metavar="NOTEBOOK",
        help="source notebooks, or names of assignments in exercises/",
    )
    handout.add_argument("--out", required=True, type=Path, metavar="DIR", help="where they are written")
    handout.add_argument("--solutions", action="store_true", help="solved copies instead")
    handout.set_defaults(command=command_handout)


def command_handout(arguments: argparse.Namespace) -> int:
    """``memsim handout``."""
    course = import_module("memsim.grading.assignment.course")
    handout = import_module("memsim.grading.assignment.handout")
    made = {}
    for source in [course.named(name, "source") for name in arguments.sources]:
        target = arguments.out / source.name
        if target.exists() and target.samefile(source):
            msg = f"{source}: --out must be another folder, or the source would be lost"
            raise MemsimError(msg)
        notebook = course.load(source)
        try:
            make = handout.solved if arguments.solutions else handout.for_students
            made[target] = make(notebook, source)
        except (KeyError, TypeError, AttributeError):
            msg = f"{source}: is JSON, but no notebook"
            raise MemsimError(msg) from None
    texts = {target: encoded(target.name, copy) for target, copy in made.items()}
    arguments.out.mkdir(parents=True, exist_ok=True)
    for target, text in texts.items():
        if arguments.solutions:  # on a course server students have accounts
            target.touch(0o600)
            target.chmod(0o600)
        target.write_bytes(text)
        print(f"{target}: {len(made[target]['cells'])} cells")
    return OK


def encoded(name: str, notebook: dict[str, Any]) -> bytes:
    """Return a notebook as it is written; MemsimError if it holds half a character."""
    try:
        return (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode()
    except UnicodeEncodeError as error:
        msg = (
            f"{name}: it holds half of a character ({error.object[error.start]!a}), which UTF-8 does not have"
        )
        raise MemsimError(msg) from None
