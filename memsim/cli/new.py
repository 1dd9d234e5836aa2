"""``memsim new``: a commented scenario to start from, or the JSON schema of scenarios."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from memsim.cli.commands import OK
from memsim.errors import MemsimError
from memsim.scenario.examples import EXAMPLES, example
from memsim.scenario.schema import scenario_schema

if TYPE_CHECKING:
    import argparse

    from memsim.cli.commands import Commands


def add_to(commands: Commands) -> None:
    """Add ``new``."""
    new = commands.add_parser(
        "new",
        description="Write a scenario with comments, to be changed by hand and run with memsim run. Without "
        "FILE it is printed. A file that exists is not overwritten.",
    )
    new.add_argument("kind", nargs="?", choices=list(EXAMPLES), default="dimm", help="default: %(default)s")
    new.add_argument("file", nargs="?", metavar="FILE", help="where to write it")
    new.add_argument("--schema", action="store_true", help="print the JSON schema of scenarios instead")
    new.set_defaults(command=command_new)


def command_new(arguments: argparse.Namespace) -> int:
    """``memsim new``."""
    if arguments.schema:
        print(json.dumps(scenario_schema(), indent=1))
        return OK
    text = example(arguments.kind)
    if arguments.file is None:
        print(text, end="")
        return OK
    path = Path(arguments.file)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        msg = f"{path}: exists, and is left as it is"
        raise MemsimError(msg) from None
    print(f"{path} written. Try: memsim run {path}")
    return OK
