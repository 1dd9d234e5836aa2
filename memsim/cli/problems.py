"""``memsim ask`` and ``memsim answer``: problems to be done on paper, in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.cli.commands import OK
from memsim.lesson.problems import KINDS, answer, ask

if TYPE_CHECKING:
    import argparse

    from memsim.cli.commands import Commands


def add_to(commands: Commands) -> None:
    """Add ``ask`` and ``answer``."""
    kinds = f"The kinds are {', '.join(KINDS)}."
    asking = commands.add_parser(
        "ask",
        description=f"Pose a problem, with question marks where the answers go. {kinds}",
    )
    answering = commands.add_parser(
        "answer",
        description=f"Show the same problem with its answers, found by running the simulator. {kinds}",
    )
    for command, function in ((asking, ask), (answering, answer)):
        command.add_argument("kind", nargs="?", metavar="KIND", help="a kind; the seed chooses one without")
        command.add_argument("--seed", type=int, default=0, metavar="N", help="which problem of that kind")
        command.set_defaults(command=command_problem, show=function)


def command_problem(arguments: argparse.Namespace) -> int:
    """``memsim ask`` and ``memsim answer``."""
    print(arguments.show(arguments.kind, seed=arguments.seed))
    return OK
