"""``memsim show`` with a widget's name: what the widgets of the book show, in a terminal.

Each view is made from the same state object as its widget, and is the text that stands below it.

Left out: moving about; a terminal shows one state, and takes what was done before as an argument.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from memsim.cli.commands import NOT_OK, OK
from memsim.cli.options import chosen_release, load_scenario
from memsim.errors import MemsimError
from memsim.patch import Patch
from memsim.real.word.parts import KINDS
from memsim.real.word.reading import read_word
from memsim.view.buddy_lab.script import BuddyScript
from memsim.view.buddy_lab.snapshot import lists_of, look, sight_text
from memsim.view.driver_lab.script import DriverScript
from memsim.view.driver_lab.snapshot import blocks_of
from memsim.view.driver_lab.snapshot import look as look_at_driver
from memsim.view.driver_lab.snapshot import sight_text as driver_text
from memsim.view.half_patch.runs import HalfRun

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from memsim.scenario.scenario import Scenario


@dataclass(frozen=True)
class View:
    """One view: its option, what the option takes (None: nothing), and whether it shows a scenario."""

    option: str
    metavar: str | None
    help: str
    show: Callable[[argparse.Namespace], int]

    @property
    def attribute(self) -> str:
        """Where the parser puts what the option was given."""
        return self.option.removeprefix("--").replace("-", "_")


def add_views(show: argparse.ArgumentParser) -> None:
    """Add an option for each view, and those that only views take."""
    group = show.add_argument_group("what the widgets of the book show, instead of the state of a machine")
    one = group.add_mutually_exclusive_group()
    for view in VIEWS:
        if view.metavar is None:
            one.add_argument(view.option, action="store_true", help=view.help)
        else:
            one.add_argument(view.option, metavar=view.metavar, help=view.help)
    group.add_argument("--kind", choices=KINDS, help="what WORD is; guessed unless given")
    group.add_argument("--mib", type=int, default=8, help="size of the zone of --buddy; default: %(default)s")


def chosen_view(arguments: argparse.Namespace) -> View | None:
    """Return the view that was asked for, or None."""
    asked = (view for view in VIEWS if getattr(arguments, view.attribute) not in {None, False})
    return next(asked, None)


def scenario_for(arguments: argparse.Namespace) -> Scenario:
    """Return the scenario; a command without one is wrong, and so is a ``--step`` that it does not have."""
    if arguments.scenario is None:
        msg = "show: name a SCENARIO; only --decode and --buddy do without"
        raise MemsimError(msg)
    scenario = load_scenario(arguments.scenario)
    if arguments.step is not None and not 0 <= arguments.step < len(scenario.steps):
        msg = f"--step {arguments.step}: {arguments.scenario} has {len(scenario.steps)} steps, counted from 0"
        raise MemsimError(msg)
    return scenario


# ---- the views -------------------------------------------------------------------------------------


def show_word(arguments: argparse.Namespace) -> int:
    """``--decode WORD``: a word taken apart."""
    print(read_word(arguments.decode, arguments.kind, arguments.release).text())
    return OK


def show_half_patch(arguments: argparse.Namespace) -> int:
    """``--half-patch HUNKS``: some hunks against the whole patch; 1 if an invariant is broken."""
    result = HalfRun(
        scenario_for(arguments),
        Patch.parse(arguments.half_patch),
        chosen_release(arguments),
        debug_vm=arguments.debug_vm,
        check_pages=arguments.check_pages,
        steps=None if arguments.step is None else arguments.step + 1,
    )
    blocks = arguments.block or result.blocks[:1]
    print(result.text(blocks[0] if blocks else None))
    return NOT_OK if result.half.violations else OK


def show_buddy(arguments: argparse.Namespace) -> int:
    """``--buddy LINES``: a small zone after each line; 1 if a line fails."""
    script = BuddyScript(arguments.mib, chosen_release(arguments))
    before, failed = lists_of(script), False
    for line in script_lines(arguments.buddy):
        before = lists_of(script)
        outcome = script.do(line)
        print(outcome.headline)
        failed = failed or outcome.failed
    print(f"\n{sight_text(look(script, before))}")
    return NOT_OK if failed else OK


def script_lines(text: str) -> list[str]:
    """Return the lines of a script: of a file of this name, or divided by semicolons.

    >>> script_lines("allocate 0 movable; why 0x100001")
    ['allocate 0 movable', 'why 0x100001']
    """
    path = Path(text)
    if ";" not in text and path.is_file():
        try:
            text = path.read_text(encoding="utf-8").replace("\n", ";")
        except UnicodeDecodeError:
            msg = f"{path}: is not UTF-8 text"
            raise MemsimError(msg) from None
    lines = (line.partition("#")[0].strip() for line in text.split(";"))
    return [line for line in lines if line]


def show_driver(arguments: argparse.Namespace) -> int:
    """``--driver``: a device's records beside what the struct pages say, before and after the patch."""
    script = DriverScript(scenario_for(arguments), chosen_release(arguments))
    blocks = arguments.block or blocks_of(script) or [None]
    print(driver_text(look_at_driver(script, blocks[0])))
    return OK if all(run.as_expected for run in script.runs) else NOT_OK


VIEWS = (
    View("--decode", "WORD", "a word of a page: a number to take apart, or names to put together", show_word),
    View(
        "--half-patch", "HUNK,...", "SCENARIO with only these hunks, against the whole patch", show_half_patch
    ),
    View(
        "--buddy",
        "LINES",
        "a small zone after these lines, divided by semicolons, or of this file",
        show_buddy,
    ),
    View("--driver", None, "the device of SCENARIO: the driver's records beside the memmap", show_driver),
)
