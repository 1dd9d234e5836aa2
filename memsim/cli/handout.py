"""``memsim handout``: the notebooks that students get."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from memsim.cli.options import OK
from memsim.errors import MemsimError

if TYPE_CHECKING:
    import argparse

    from memsim.cli.options import Commands


def add_to(commands: Commands) -> None:
    """Add ``handout``."""
    handout = commands.add_parser(
        "handout",
        help="write the notebooks that students get",
        description="Make student copies of source notebooks, as nbgrader's generate_assignment does, and "
        "refuse where one would give away a solution or a hidden test; with --solutions the solved ones, for "
        "after the deadline.",
    )
    handout.add_argument("sources", nargs="+", type=Path, metavar="NOTEBOOK", help="source notebooks")
    handout.add_argument("--out", required=True, type=Path, metavar="DIR", help="where they are written")
    handout.add_argument("--solutions", action="store_true", help="solved copies instead")
    handout.set_defaults(command=command_handout)


def command_handout(arguments: argparse.Namespace) -> int:
    """``memsim handout``."""
    course = import_module("memsim.grading.assignment.course")
    handout = import_module("memsim.grading.assignment.handout")
    made = {}
    for source in arguments.sources:
        target = arguments.out / source.name
        if target.exists() and target.samefile(source):
            msg = f"{source}: --out must be another folder, or the source would be lost"
            raise MemsimError(msg)
        notebook = course.load(source)
        try:
            solved = arguments.solutions
            made[target] = handout.solved(notebook) if solved else handout.for_students(notebook, source)
        except (KeyError, TypeError, AttributeError):
            msg = f"{source}: is JSON, but no notebook"
            raise MemsimError(msg) from None
    arguments.out.mkdir(parents=True, exist_ok=True)
    for target, copy in made.items():
        target.write_text(json.dumps(copy, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"{target}: {len(copy['cells'])} cells")
    return OK
