"""What all commands share: how they are named on the command line, exit statuses, and text that is safe."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from typing import TextIO

    SubParsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 (its type has no other name)

OK, NOT_OK, WRONG = 0, 1, 2
"""Exit statuses: all is as it should be, something is not, the command or a file is wrong."""


class Commands:
    """Commands that a module adds to the command line; ``helps`` has a line about each, by its name."""

    def __init__(self, parsers: SubParsers, helps: Mapping[str, str]) -> None:
        """Add to these parsers."""
        self._parsers = parsers
        self._helps = helps

    def add_parser(self, name: str, *, description: str) -> argparse.ArgumentParser:
        """Add a command and return its parser."""
        return self._parsers.add_parser(name, help=self._helps[name], description=description)


def plain(text: str) -> str:
    """Return a text with a student's control characters spelt out: a terminal would obey them."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def print_no_more(stream: TextIO) -> None:
    """Send nowhere what is still to be printed, or Python would complain as it ends."""
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())
