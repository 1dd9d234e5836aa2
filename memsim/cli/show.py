"""``memsim show``: the state of a machine as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memsim.cli.commands import OK
from memsim.cli.labs import add_views, chosen_view, scenario_for
from memsim.cli.options import add_kernel, add_scenario, chosen_patch, chosen_release
from memsim.cli.terminal import add_json, add_map, blocks_document, say, show_json, show_map, zones_document
from memsim.errors import MemsimError
from memsim.linux.include.page_flags import flags_word
from memsim.scenario.scenario import Run, run
from memsim.view.model.text import describe_state, hotplugged_blocks

if TYPE_CHECKING:
    import argparse

    from memsim.cli.commands import Commands
    from memsim.state.state import State


def add_to(commands: Commands) -> None:
    """Add ``show``."""
    show = commands.add_parser(
        "show",
        description="Show zones, free lists, memory blocks and pages at the end of a scenario, or "
        "at a probe point inside it; or what a widget of the book shows.",
    )
    add_scenario(show, required=False)
    add_kernel(show, release=None)
    show.add_argument(
        "--at",
        metavar="POINT",
        help="stop at a probe point, such as enter:generic_online_page#3 or notifier:MEM_GOING_ONLINE",
    )
    show.add_argument(
        "--step",
        type=int,
        metavar="N",
        help="the step that POINT is in (from 0), or the last for --half-patch",
    )
    show.add_argument("--points", action="store_true", help="list the probe points there are")
    show.add_argument("--block", type=int, action="append", help="show this memory block only")
    show.add_argument("--pfn", type=number, action="append", help="show this struct page too")
    add_map(show)
    add_json(show)
    add_views(show)
    show.set_defaults(command=command_show)


def number(text: str) -> int:
    """Read a number as Python and C write it, so that a pfn may be hexadecimal."""
    return int(text, 0)


def command_show(arguments: argparse.Namespace) -> int:
    """``memsim show``."""
    view = chosen_view(arguments)
    if view is not None:
        return view.show(arguments)
    scenario, release = scenario_for(arguments), chosen_release(arguments)
    patch = chosen_patch(arguments)
    if arguments.step is not None and arguments.at is None:
        msg = f"--step {arguments.step}: name a POINT in this step with --at; --points lists them"
        raise MemsimError(msg)
    record = arguments.points or arguments.at is not None
    result = run(
        scenario,
        patch,
        release,
        debug_vm=arguments.debug_vm,
        check_pages=arguments.check_pages,
        record=record,
    )
    if arguments.points:
        print_points(result)
        return OK
    state = chosen_state(result, arguments)
    pages = result.machine.kernel.block_pages
    blocks = arguments.block or hotplugged_blocks(state, pages)
    for block in blocks:
        if block not in state.blocks:
            msg = f"there is no memory block {block} here; there are {sorted(state.blocks)}"
            raise MemsimError(msg)
    if arguments.json:
        show_json(state_document(state, pages, arguments.pfn or [], release))
        return OK
    say(describe_state(state, blocks, pages))
    for block in blocks if arguments.map else []:
        show_map(state, block, pages)
    for pfn in arguments.pfn or []:
        say(page_line(state, pfn, release))
    return OK


def state_document(state: State, block_pages: int, pfns: list[int], release: str) -> dict[str, Any]:
    """Return a state as JSON values: zones, hot-added blocks, the log, and single pages."""
    return {
        "totalram": int(state.totalram_pages),
        "zones": zones_document(state),
        "blocks": blocks_document(state, block_pages),
        "log": list(state.log),
        "pages": [page_line(state, pfn, release) for pfn in pfns],
    }


def print_points(result: Run) -> None:
    """Print the probe points of a run."""
    for _, event in result.recording.points():
        print(f"step {event.step} {event.point}")


def chosen_state(result: Run, arguments: argparse.Namespace) -> State:
    """Return the state at ``--at`` in ``--step``, or at the end."""
    if arguments.at is None:
        return result.machine.kernel.state
    steps = range(len(result.outcomes)) if arguments.step is None else [arguments.step]
    for step in steps:
        index = result.recording.find(step, arguments.at)
        if index is not None:
            return result.recording.at(index)
    msg = f"the run does not come to {arguments.at!r}; --points lists where it comes"
    raise MemsimError(msg)


def page_line(state: State, pfn: int, release: str) -> str:
    """Return a struct page in one line, with the words that kernel ``release`` would hold."""
    page = state.memmap.raw(pfn)
    flags = " ".join(flag.name.lower() for flag in page.flags if flag.name) or "none"
    types = "+".join(sorted(kind.value for kind in page.types)) or "none"
    word = state.memmap.encoding.page_type(state.memmap.stored_type(pfn))
    online = "" if state.memmap.section(pfn).online else " (section not online: means nothing)"
    return (
        f"pfn {pfn:#x}: flags {flags} ({flags_word(state.memmap.flags(pfn), release):#x}), "
        f"type {types} ({word:#010x}), refcount {page.refcount}, order {page.order}{online}"
    )
