"""``memsim explain``: the pages of a kernel log, explained."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from memsim.cli.commands import OK, WRONG
from memsim.cli.terminal import say
from memsim.errors import MemsimError
from memsim.real.explanation import explain
from memsim.scenario.json_check import refuse_device, why_unread

if TYPE_CHECKING:
    import argparse

    from memsim.cli.commands import Commands
    from memsim.real.explanation import Explanation


def add_to(commands: Commands) -> None:
    """Add ``explain``."""
    command = commands.add_parser(
        "explain",
        description="Explain each page that a kernel log, a bug report or a mail is about: where it is, "
        "what it is, what cannot be right about it, and what readers of struct pages would do with it. Each "
        "sentence says whether the kernel printed it, whether it was read from a word, or concluded. Logs of "
        "Linux 3.10 to 7.3 can be read. Exit status 2 if there is no page in it; other lines about memory "
        "are explained all the same.",
    )
    command.add_argument(
        "file", metavar="FILE", help="any text, also packed with gzip, or - for standard input"
    )
    command.add_argument("--json", action="store_true", help="print the same as JSON")
    command.set_defaults(command=command_explain)


def command_explain(arguments: argparse.Namespace) -> int:
    """``memsim explain``."""
    explanation = explained(arguments.file)
    if arguments.json:
        print(json.dumps(explanation.to_dict(), indent=1))
    else:
        say(explanation.text())
    if explanation.pages:
        return OK
    print("memsim: no page in it, only other lines about memory", file=sys.stderr)
    return WRONG


def explained(file: str) -> Explanation:
    """Return the explanation of a file; MemsimError if it cannot be read or has no page."""
    try:
        if file == "-":
            return explain(sys.stdin.buffer)
        refuse_device(file)
        with Path(file).open("rb") as text:
            return explain(text)
    except OSError as problem:
        raise MemsimError(why_unread(file, problem)) from None
    except MemsimError as problem:
        msg = f"{'standard input' if file == '-' else file}: {problem}"
        raise MemsimError(msg) from None
