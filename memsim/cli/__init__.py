"""The command line: ``python -m memsim COMMAND``; ``--help`` lists the commands.

Every command stands in a module beside this one, whose ``add_to()`` defines its name and its arguments.
Exit status: 0 success, 1 a check failed (a page differs, a step ended differently from what
the scenario says, an invariant is broken), 2 the command line or a file is wrong.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from typing import TYPE_CHECKING

from memsim import __version__
from memsim.cli import (
    book,
    claims,
    explain,
    grade,
    gradescope,
    handout,
    machine,
    new,
    patch,
    problems,
    replay,
    run,
    show,
    source,
    verify,
)
from memsim.cli.options import OK, WRONG
from memsim.errors import MemsimError

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = (
    run,
    new,
    machine,
    patch,
    source,
    verify,
    show,
    explain,
    replay,
    problems,
    grade,
    gradescope,
    handout,
    claims,
    book,
)
"""In the order in which ``--help`` lists them."""
_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What the terminal's encoding lacks (a middle dot in ASCII) is printed as its number.
        sys.stdout.reconfigure(errors="backslashreplace")
    arguments = parser().parse_args(argv)
    try:
        status: int = arguments.command(arguments)
        print(end="", flush=True)
    except MemsimError as problem:
        print(f"memsim: {printable(str(problem))}", file=sys.stderr)
        return WRONG
    except BrokenPipeError:
        # The reader of the output (head, less) has ended, which is no error.
        _print_no_more()
        return OK
    except OSError as problem:
        if problem.filename is None:
            _print_no_more()
        name = printable(str(problem.filename or "standard output"))
        print(f"memsim: {name}: {problem.strerror}", file=sys.stderr)
        return WRONG
    except MemoryError:
        print("memsim: this machine has not enough memory for that", file=sys.stderr)
        return WRONG
    except KeyboardInterrupt:
        return _INTERRUPTED
    return status


def command_help(_arguments: argparse.Namespace) -> int:
    """``memsim`` alone."""
    parser().print_help(sys.stderr)
    return WRONG


def printable(text: str) -> str:
    """Return a message with control characters spelt out: it may name another user's file."""
    return "\n".join(map(grade.plain, text.split("\n")))


def _print_no_more() -> None:
    """Send nowhere what is still to be printed, or Python would complain as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(
        prog="memsim",
        description="Memory hotplug of the Linux kernel, before and after the PageOffline patch.",
        epilog="A SCENARIO is a JSON file of steps, or a recording, whose steps are taken. "
        "Try: memsim run book/scenarios/one-block.json --before",
    )
    top.add_argument("--version", action="version", version=f"memsim {__version__}")
    top.set_defaults(command=command_help)
    commands = top.add_subparsers(metavar="COMMAND")
    for module in COMMANDS:
        module.add_to(commands)
    return top
