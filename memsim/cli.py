"""The command line: ``python -m memsim run | compare | verify | show``.

Exit status: 0 all is as it should be, 1 something is not (a page differs, a step ended otherwise than the
scenario says, an invariant is broken), 2 the command or a file is wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from memsim import __version__
from memsim.comparison import compare
from memsim.errors import BadScenario, MemsimError
from memsim.include.layout import section_nr_to_pfn
from memsim.include.page_flags import flags_word
from memsim.observation import FORMAT as OBSERVATION_FORMAT
from memsim.observation import Observation, bundled, bundled_names
from memsim.patch import AFTER, BEFORE, RELEASES, Hunk, Patch
from memsim.replay import replay
from memsim.scenario import Run, Scenario, read_json, run
from memsim.steps import tell_step
from memsim.view.text import block_sentence, counters_table, describe_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memsim.kernel import State

OK, NOT_OK, WRONG = 0, 1, 2
_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = parser().parse_args(argv)
    try:
        status: int = arguments.command(arguments)
        sys.stdout.flush()
    except MemsimError as problem:
        print(f"memsim: {problem}", file=sys.stderr)
        return WRONG
    except BrokenPipeError:
        # The reader of our output (head, less) has gone; nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOT_OK
    except KeyboardInterrupt:
        return _INTERRUPTED
    return status


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(
        prog="memsim",
        description="Memory hotplug of the Linux kernel, before and after the PageOffline patch.",
        epilog="A SCENARIO is a JSON file of steps, or a recording, whose steps are taken. "
        "Try: memsim run book/scenarios/one-block.json --before",
    )
    top.add_argument("--version", action="version", version=f"memsim {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    run_ = commands.add_parser(
        "run",
        help="run a scenario and show how each step ended",
        description="Run a scenario on one kernel. Exit status 1 if a step ended otherwise than the "
        "scenario says, the machine died, or (with --check) an invariant is broken.",
    )
    add_scenario(run_)
    add_kernel(run_)
    run_.add_argument(
        "--check",
        action="store_true",
        help="afterwards name each invariant that does not hold and the first pfn that breaks it",
    )
    run_.set_defaults(command=command_run)

    compare_ = commands.add_parser(
        "compare",
        help="run a scenario before and after the patch, side by side",
        description="Run a scenario on two kernels that differ in nothing but the patch.",
    )
    add_scenario(compare_)
    add_release(compare_)
    compare_.set_defaults(command=command_compare)

    verify = commands.add_parser(
        "verify",
        help="compare the simulator with recorded kernels, page by page",
        description="Replay recordings on the simulator and compare every page, counter and "
        "pageblock at every probe. Exit status 1 if anything differs.",
    )
    verify.add_argument(
        "files",
        nargs="*",
        metavar="OBSERVATION",
        help="recordings (JSON); without any, those that come with memsim",
    )
    verify.add_argument("-q", "--quiet", action="store_true", help="show only probes that differ")
    verify.set_defaults(command=command_verify)

    show = commands.add_parser(
        "show",
        help="show the state of a machine as text",
        description="Show zones, free lists, memory blocks and pages at the end of a scenario, or "
        "at a probe point inside it.",
    )
    add_scenario(show)
    add_kernel(show)
    show.add_argument(
        "--at",
        metavar="POINT",
        help="stop at a probe point, such as enter:generic_online_page#3 or notifier:MEM_GOING_ONLINE",
    )
    show.add_argument("--step", type=int, metavar="N", help="the step that POINT is in (from 0)")
    show.add_argument("--points", action="store_true", help="list the probe points there are")
    show.add_argument("--block", type=int, action="append", help="show this memory block only")
    show.add_argument(
        "--pfn", type=lambda text: int(text, 0), action="append", help="show this struct page too"
    )
    show.set_defaults(command=command_show)
    return top


def add_scenario(to: argparse.ArgumentParser) -> None:
    """Add the argument that names a scenario."""
    to.add_argument("scenario", metavar="SCENARIO", help="scenario or recording (JSON file)")


def add_release(to: argparse.ArgumentParser) -> None:
    """Add the options that choose the kernel apart from the patch."""
    to.add_argument("--release", choices=list(RELEASES), default="6.12", help="default: %(default)s")
    to.add_argument(
        "--debug-vm",
        action="store_true",
        help="with the checks of CONFIG_DEBUG_VM; production kernels are without",
    )


def add_kernel(to: argparse.ArgumentParser) -> None:
    """Add the options that choose a kernel."""
    side = to.add_mutually_exclusive_group()
    side.add_argument("--before", action="store_true", help="the kernel without the patch series")
    side.add_argument("--after", action="store_true", help="the kernel with all of it (default)")
    side.add_argument(
        "--patch",
        metavar="HUNK,...",
        help=f"the kernel with only these hunks: {', '.join(Hunk.__members__)}",
    )
    add_release(to)


def chosen_patch(arguments: argparse.Namespace) -> Patch:
    """Return the patch that the options name."""
    if arguments.patch is not None:
        return Patch.parse(arguments.patch)
    return BEFORE if arguments.before else AFTER


def load_scenario(path: str) -> Scenario:
    """Read a scenario, or the scenario of a recording; bundled recordings go by their name."""
    if path in bundled_names() and not Path(path).exists():
        return bundled(path).scenario
    document = read_json(path, BadScenario)
    if isinstance(document, dict) and document.get("format") == OBSERVATION_FORMAT:
        return Observation.parse(document, path).scenario
    return Scenario.parse(document, path)


def hotplugged_blocks(state: State, block_pages: int) -> list[int]:
    """Return the memory blocks that are not boot memory."""
    early = {section_nr_to_pfn(nr) // block_pages for nr, part in state.memmap.sections.items() if part.early}
    return [block for block in sorted(state.blocks) if block not in early]


# ---- run -------------------------------------------------------------------------------------------


def command_run(arguments: argparse.Namespace) -> int:
    """``memsim run``."""
    scenario = load_scenario(arguments.scenario)
    patch = chosen_patch(arguments)
    result = run(scenario, patch, arguments.release, debug_vm=arguments.debug_vm)
    debug = ", debug_vm" if arguments.debug_vm else ""
    print(f"{scenario.title or arguments.scenario}: kernel {arguments.release}, {patch.name}{debug}")
    print_outcomes(result)
    machine = result.machine
    print()
    print(counters_table({patch.name: machine.kernel.state}))
    for block in hotplugged_blocks(machine.kernel.state, machine.kernel.block_pages):
        print(block_sentence(machine.kernel.state, block, machine.kernel.block_pages))
    if machine.log:
        print("\nkernel log:")
        for line in machine.log:
            print(f"  {line}")
    broken = print_check(result) if arguments.check else False
    return OK if result.as_expected and not broken else NOT_OK


def print_outcomes(result: Run) -> None:
    """Print one line a step."""
    for outcome in result.outcomes:
        step = tell_step(result.scenario.steps[outcome.step])
        ended = outcome.message or "ok"
        if not outcome.as_expected:
            ended += f"   <- the scenario expects {outcome.expected or 'success'}"
        elif outcome.errno:
            ended += " (as the scenario expects)"
        print(f"  step {outcome.step}: {step}: {ended}")
    if result.died is not None:
        number = len(result.outcomes)
        print(f"  step {number}: {tell_step(result.scenario.steps[number])}: the machine died")


def print_check(result: Run) -> bool:
    """Print broken invariants; returns whether there are any."""
    violations = result.machine.check()
    print()
    for violation in violations:
        print(f"broken invariant {violation}")
    if not violations:
        print("all invariants hold")
    return bool(violations)


# ---- compare ---------------------------------------------------------------------------------------


def command_compare(arguments: argparse.Namespace) -> int:
    """``memsim compare``."""
    scenario = load_scenario(arguments.scenario)
    both = compare(scenario, release=arguments.release, debug_vm=arguments.debug_vm)
    for side, result in (("before", both.before), ("after", both.after)):
        print(f"{side} the patch:")
        print_outcomes(result)
    states = {
        "before": both.before.machine.kernel.state,
        "after": both.after.machine.kernel.state,
    }
    print()
    print(counters_table(states))
    pages = both.before.machine.kernel.block_pages
    for block in hotplugged_blocks(states["after"], pages):
        for side, state in states.items():
            print(f"{side}: {block_sentence(state, block, pages)}")
    return OK if both.before.as_expected and both.after.as_expected else NOT_OK


# ---- verify ----------------------------------------------------------------------------------------


def command_verify(arguments: argparse.Namespace) -> int:
    """``memsim verify``."""
    observations = (
        [Observation.load(path) for path in arguments.files]
        if arguments.files
        else [bundled(name) for name in bundled_names()]
    )
    total = [0, 0, 0]
    agrees = True
    for observation in observations:
        counts, fine = verify_one(observation, quiet=arguments.quiet)
        total = [a + b for a, b in zip(total, counts, strict=True)]
        agrees = agrees and fine
    print(f"{total[0]} pages compared, {total[1]} differ, {total[2]} probes")
    return OK if agrees else NOT_OK


def verify_one(observation: Observation, *, quiet: bool) -> tuple[tuple[int, int, int], bool]:
    """Replay one recording and print its probes; returns (pages, differing, probes) and agreement."""
    kernel = observation.kernel.get("release", "?")
    print(f"{observation.name}: kernel {kernel}, replayed as {observation.release}, {observation.patch.name}")
    replayed = replay(observation)
    for result in replayed.results:
        if quiet and result.agrees:
            continue
        word = "agrees" if result.agrees else "DIFFERS"
        if result.not_compared:
            word += f" ({result.not_compared})"
        print(f"  step {result.step} {result.at}: {result.pages} pages, {word}")
        for problem in result.problems:
            print(f"    {problem}")
    if observation.ended != "works" or replayed.run.died is not None:
        print(f"  recorded machine: {observation.ended}; simulated: {replayed.run.died or 'works'}")
    counts = (
        sum(result.pages for result in replayed.results),
        sum(result.differ for result in replayed.results),
        len(replayed.results),
    )
    return counts, all(result.agrees for result in replayed.results)


# ---- show ------------------------------------------------------------------------------------------


def command_show(arguments: argparse.Namespace) -> int:
    """``memsim show``."""
    scenario = load_scenario(arguments.scenario)
    patch = chosen_patch(arguments)
    result = run(scenario, patch, arguments.release, debug_vm=arguments.debug_vm, record=True)
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
    print(describe_state(state, blocks, pages))
    for pfn in arguments.pfn or []:
        print(page_line(state, pfn, arguments.release))
    return OK


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
