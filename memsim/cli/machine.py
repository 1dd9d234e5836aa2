"""``memsim machine``: a scenario that boots the same machine as a real one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from memsim.cli.commands import OK
from memsim.real.proc_files import read_files
from memsim.real.real_machine import differences, real_machine
from memsim.scenario.scenario import run

if TYPE_CHECKING:
    import argparse

    from memsim.cli.commands import Commands
    from memsim.real.real_machine import Difference
    from memsim.real.real_scenario import RealMachine

_MOST_SHOWN = 40


def add_to(commands: Commands) -> None:
    """Add ``machine``."""
    machine = commands.add_parser(
        "machine",
        description="Read /proc and /sys of a machine (iomem or the e820 map in dmesg, zoneinfo, memory "
        "blocks or the output of lsmem, version, cmdline, meminfo), as far as they are there, and make a "
        "scenario that boots the same machine. Print what was taken from where, what is not known, what "
        "is lost, and where the simulated machine differs from the real files.",
    )
    machine.add_argument(
        "--from",
        dest="folder",
        metavar="DIR",
        default="/",
        help="copies of the files, as in the system or side by side; default: this system",
    )
    machine.add_argument(
        "--scenario", metavar="FILE", help="write the scenario; - prints it and nothing else"
    )
    machine.add_argument("--export", metavar="DIR", help="write /proc and /sys of the simulated machine")
    machine.add_argument("--json", action="store_true", help="print everything as JSON")
    machine.set_defaults(command=command_machine)


def command_machine(arguments: argparse.Namespace) -> int:
    """``memsim machine``."""
    files = read_files(Path(arguments.folder))
    found = real_machine(files)
    text = json.dumps(found.document, indent=1) + "\n"
    if arguments.scenario == "-":
        sys.stdout.write(text)
        return OK
    result = run(found.scenario, release=found.release)
    differ = differences(files, result.machine)
    if arguments.scenario is not None:
        Path(arguments.scenario).write_text(text, encoding="utf-8")
    if arguments.export is not None:
        result.machine.export(arguments.export)
    if arguments.json:
        print(json.dumps(_document(found, differ), indent=1))
        return OK
    print(f"{found.document['title']}, as Linux {found.release} would boot it")
    for title, lines in (("Taken", found.taken), ("Not known", found.unknown), ("Lost", found.lost)):
        if lines:
            print(f"{title}:")
            print("\n".join(f"  {line}" for line in lines))
    print_differences(differ)
    failed = [outcome for outcome in result.outcomes if outcome.errno]
    for outcome in failed:
        print(f"Step {outcome.step} of the scenario fails: {outcome.message}")
    if arguments.scenario is not None:
        print(f"{arguments.scenario} written. Try: memsim show {arguments.scenario}")
    return OK


def print_differences(differ: list[Difference]) -> None:
    """Print where the two machines differ."""
    if not differ:
        print("The simulated machine shows the same in all files that are there.")
        return
    print("Differences between the real and the simulated machine:")
    for row in differ[:_MOST_SHOWN]:
        print(f"  {row.what}: {row.real} real, {row.simulated or 'none'} simulated")
    if len(differ) > _MOST_SHOWN:
        print(f"  and {len(differ) - _MOST_SHOWN} more; --json has all")


def _document(found: RealMachine, differ: list[Difference]) -> dict[str, object]:
    return {
        "scenario": found.document,
        "release": found.release,
        "taken": found.taken,
        "unknown": found.unknown,
        "lost": found.lost,
        "differences": [{"what": row.what, "real": row.real, "simulated": row.simulated} for row in differ],
    }
