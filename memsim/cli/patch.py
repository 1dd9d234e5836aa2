"""``memsim patch``: the whole patch, each hunk as pseudo-C and as our model has it, before beside after."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from memsim.cli.commands import OK
from memsim.patch import Hunk, Patch
from memsim.view.patch import overview_lines, patch_lines

if TYPE_CHECKING:
    import argparse

    from memsim.cli.commands import Commands


def add_to(commands: Commands) -> None:
    """Add ``patch``."""
    patch = commands.add_parser(
        "patch",
        description="Show the patch: a table of all hunks, then for each the kernel's function, in short and "
        "as pseudo-C of our own, and our model of it, without the hunk (-) beside the same with it (+). On "
        "both sides the pseudo-C has the patches before it, and the model all other hunks.",
    )
    patch.add_argument(
        "hunks",
        nargs="*",
        metavar="HUNK",
        help=f"hunks to show; without any, all: {', '.join(Hunk.__members__)}",
    )
    patch.add_argument("--whole", action="store_true", help="show whole models, not only the changes")
    patch.set_defaults(command=command_patch)


def command_patch(arguments: argparse.Namespace) -> int:
    """``memsim patch``."""
    chosen = Patch(arguments.hunks) if arguments.hunks else Patch("after")
    width = shutil.get_terminal_size().columns
    if not arguments.hunks:
        print(*overview_lines(width), "", sep="\n")
    for line in patch_lines([hunk for hunk in Hunk if hunk in chosen], width, whole=arguments.whole):
        print(line)
    return OK
