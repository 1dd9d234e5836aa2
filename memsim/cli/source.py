"""``memsim source FUNCTION``: the model of a kernel function, and the function in the reader's own tree."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from memsim.cli.commands import OK
from memsim.source.linux_tree import VARIABLE
from memsim.view.patch import NO_TREE, show_source

if TYPE_CHECKING:
    import argparse

    from memsim.cli.commands import Commands


def add_to(commands: Commands) -> None:
    """Add ``source``."""
    source = commands.add_parser(
        "source",
        description="Show the model of a kernel function. With a kernel tree the function itself follows; in "
        "a git checkout with the tags v6.10 and v6.11, as it was before the patch and after it.",
    )
    source.add_argument("function", metavar="FUNCTION", help="name of a modelled function: memmap_init_range")
    source.add_argument(
        "--linux",
        metavar="DIR",
        help=f"a checkout, an unpacked source package, or its archive; default: the variable {VARIABLE}",
    )
    source.set_defaults(command=command_source)


NO_OPTION = (
    "To see the kernel's own function here, name a kernel tree: --linux DIR, or the environment variable "
    f"{VARIABLE}."
)


def command_source(arguments: argparse.Namespace) -> int:
    """``memsim source``."""
    shown = show_source(arguments.function, arguments.linux)
    print(replace(shown, note=NO_OPTION) if shown.note == NO_TREE else shown)
    return OK
