"""The command line: ``python -m memsim COMMAND``; ``--help`` lists the commands.

Every command stands in a module beside this one, which is imported when the command is called; its
``add_to()`` defines the arguments.
Exit status: 0 success, 1 a check failed (a page differs, a step ended differently from what
the scenario says, an invariant is broken), 2 the command line or a file is wrong.
"""

from __future__ import annotations

import argparse
import io
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from memsim import __version__
from memsim.cli.commands import OK, WRONG, Commands, plain, print_no_more
from memsim.errors import MemsimError

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "run": {
        "run": "run a scenario and show how each step ended",
        "compare": "run a scenario before and after the patch, side by side",
    },
    "new": {
        "new": "write a commented scenario to start from",
    },
    "machine": {
        "machine": "make a scenario of a real machine, and compare the two",
    },
    "patch": {
        "patch": "show what each hunk of the patch changes, before beside after",
    },
    "source": {
        "source": "show the model of a kernel function, and the function in your own kernel tree",
    },
    "verify": {
        "verify": "compare the simulator with recorded kernels, page by page",
    },
    "show": {
        "show": "show the state of a machine, or what a widget of the book shows, as text",
    },
    "explain": {
        "explain": "explain the pages of a kernel log",
    },
    "replay": {
        "replay": "replay a trace of a kernel's page allocator",
    },
    "problems": {
        "ask": "pose a problem that can be done on paper",
        "answer": "solve such a problem by running the simulator",
    },
    "grade": {
        "grade": "grade notebooks that students handed in",
    },
    "gradescope": {
        "gradescope": "write an autograder for Gradescope",
    },
    "handout": {
        "handout": "write the notebooks that students get",
    },
    "claims": {
        "claims": "list the claims of the book, or check them",
    },
    "book": {
        "book": "copy the book out, to read and to change",
    },
}
"""Module beside this one -> its commands, each with a line about it, in the order of ``--help``."""
_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What the terminal's encoding lacks (a middle dot in ASCII) is printed as its number.
        sys.stdout.reconfigure(errors="backslashreplace")
    words = sys.argv[1:] if argv is None else argv
    arguments = parser(words).parse_args(words)
    try:
        status: int = arguments.command(arguments)
        print(end="", flush=True)
    except MemsimError as problem:
        print(f"memsim: {printable(str(problem))}", file=sys.stderr)
        return WRONG
    except BrokenPipeError:
        # The reader of the output (head, less) has ended, which is no error.
        print_no_more(sys.stdout)
        return OK
    except OSError as problem:
        if problem.filename is None:
            print_no_more(sys.stdout)
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
    return "\n".join(map(plain, text.split("\n")))


def parser(words: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Return the parser of these words of a command line.

    Only the command that they call has its arguments: the modules of all commands take a while to import.
    """
    top = argparse.ArgumentParser(
        prog="memsim",
        description="Memory hotplug of the Linux kernel, before and after the PageOffline patch.",
        epilog="A SCENARIO is a JSON file of steps, or a recording, whose steps are taken. "
        "Try: memsim run book/scenarios/one-block.json --before",
    )
    top.add_argument("--version", action="version", version=f"memsim {__version__}")
    top.set_defaults(command=command_help)
    parsers = top.add_subparsers(metavar="COMMAND")
    called = next((word for word in words if not word.startswith("-")), "")
    for module, helps in COMMANDS.items():
        if called in helps:
            import_module(f"memsim.cli.{module}").add_to(Commands(parsers, helps))
            continue
        for name, line in helps.items():
            parsers.add_parser(name, help=line)
    return top
