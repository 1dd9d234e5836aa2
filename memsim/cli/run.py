"""``memsim run`` and ``memsim compare``: a scenario on one kernel, and on two side by side."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from memsim.cli.commands import NOT_OK, OK
from memsim.cli.options import add_kernel, add_release, add_scenario, chosen_patch, load_scenario
from memsim.cli.terminal import (
    add_json,
    add_map,
    blocks_document,
    outcome_document,
    say,
    show_json,
    show_map,
    show_zones,
    zones_document,
)
from memsim.errors import MemsimError
from memsim.machine.boot_memory import describe
from memsim.scenario.comparison import compare
from memsim.scenario.moments import all_moments
from memsim.scenario.page_differences import sentence, stretches
from memsim.scenario.scenario import Run, run
from memsim.scenario.steps import tell_step
from memsim.view.model.text import block_sentence, hotplugged_blocks

if TYPE_CHECKING:
    from memsim.cli.commands import Commands
    from memsim.machine.invariants import Violation
    from memsim.scenario.comparison import Comparison, Moment
    from memsim.scenario.page_differences import Stretch
    from memsim.state.kernel import Kernel

MOST_SHOWN = 12
"""Ways to differ that are shown without ``--all``."""


def add_to(commands: Commands) -> None:
    """Add ``run`` and ``compare``."""
    run_ = commands.add_parser(
        "run",
        description="Run a scenario on one kernel. Exit status 1 if a step ended differently from what "
        "the scenario says, the machine died, or (with --check) an invariant is broken.",
    )
    add_scenario(run_)
    add_kernel(run_)
    run_.add_argument(
        "--boot-reservations",
        action=argparse.BooleanOptionalAction,
        help="keep as much boot memory as a real kernel does (its image, the memmap of boot memory, ...), or "
        "only what the scenario lists; default: as the scenario says",
    )
    run_.add_argument(
        "--check",
        action="store_true",
        help="afterwards name each invariant that does not hold and the first pfn that breaks it",
    )
    add_map(run_)
    add_json(run_)
    run_.set_defaults(command=command_run)

    compare_ = commands.add_parser(
        "compare",
        description="Run a scenario on two kernels that differ only in the patch, and say which struct pages "
        "differ, in what, and from which moment to which. Exit status 1 if a step ended "
        "differently from what "
        "the scenario says, or (with --exit-code) if a page differs at the last moment compared.",
    )
    add_scenario(compare_)
    add_release(compare_)
    compare_.add_argument("--step", type=int, metavar="N", help="only the moments of this step (from 0)")
    compare_.add_argument(
        "--at",
        metavar="POINT",
        help="only this moment, such as enter:generic_online_page#3, notifier:MEM_GOING_ONLINE, or done",
    )
    compare_.add_argument("--all", action="store_true", help="every way to differ, however few the pages")
    compare_.add_argument(
        "--exit-code", action="store_true", help="exit status 1 if a page differs at the end"
    )
    add_map(compare_)
    add_json(compare_)
    compare_.set_defaults(command=command_compare)


def command_run(arguments: argparse.Namespace) -> int:
    """``memsim run``."""
    scenario = load_scenario(arguments.scenario)
    patch = chosen_patch(arguments)
    result = run(
        scenario,
        patch,
        arguments.release,
        debug_vm=arguments.debug_vm,
        check_pages=arguments.check_pages,
        boot_reservations=arguments.boot_reservations,
    )
    violations = result.machine.check() if arguments.check else []
    status = OK if result.as_expected and not violations else NOT_OK
    if arguments.json:
        document = run_document(result)
        if arguments.check:
            document["violations"] = [str(violation) for violation in violations]
        show_json({"scenario": scenario.title, "release": arguments.release, "patch": patch.name, **document})
        return status
    debug = checks_of(result.machine.kernel)
    say(f"{scenario.title or arguments.scenario}: kernel {arguments.release}, {patch.name}{debug}")
    print_boot_memory(result)
    print_outcomes(result)
    show_machine(result, patch.name, maps=arguments.map)
    if arguments.check:
        print_check(violations)
    return status


def show_machine(result: Run, name: str, *, maps: bool) -> None:
    """Print zones, hot-added blocks and the kernel log."""
    kernel = result.machine.kernel
    print()
    show_zones({name: kernel.state})
    for block in hotplugged_blocks(kernel.state, kernel.block_pages):
        say(block_sentence(kernel.state, block, kernel.block_pages))
        if maps:
            show_map(kernel.state, block, kernel.block_pages)
    if result.machine.log:
        print("\nkernel log:")
        for line in result.machine.log:
            say(f"  {line}")


def run_document(result: Run) -> dict[str, Any]:
    """Return how a run ended as JSON values."""
    kernel = result.machine.kernel
    return {
        "outcomes": [outcome_document(outcome) for outcome in result.outcomes],
        "died": result.died,
        "boot_reservations": [asdict(each) for each in result.machine.boot_reservations],
        "totalram": int(kernel.state.totalram_pages),
        "zones": zones_document(kernel.state),
        "blocks": blocks_document(kernel.state, kernel.block_pages),
        "log": list(result.machine.log),
    }


def checks_of(kernel: Kernel) -> str:
    """Return which checks a kernel makes where that differs from the kernels that Debian ships."""
    if kernel.debug_vm:
        return ", debug_vm"
    return "" if kernel.check_pages else ", no page checks"


def print_boot_memory(result: Run) -> None:
    """Print what the kernel keeps of boot memory, or that it keeps nothing if that may matter."""
    machine = result.machine
    if machine.boot_reservations:
        say(f"  boot memory kept: {describe(machine.boot_reservations)}")
    elif any(
        outcome.expected in {"ENOMEM", "EBUSY"} and outcome.errno is None for outcome in result.outcomes
    ):
        say(
            "  no boot memory is kept for the kernel itself, so more is free than on a real machine; "
            "see --boot-reservations"
        )


def print_outcomes(result: Run) -> None:
    """Print one line a step."""
    for outcome in result.outcomes:
        step = tell_step(result.scenario.steps[outcome.step])
        ended = outcome.message or "ok"
        if not outcome.as_expected:
            ended += f"   <- the scenario expects {outcome.expected or 'success'}"
        elif outcome.errno:
            ended += " (as the scenario expects)"
        say(f"  step {outcome.step}: {step}: {ended}")
    if result.died is not None:
        number = len(result.outcomes)
        print(f"  step {number}: {tell_step(result.scenario.steps[number])}: the machine died")


def print_check(violations: list[Violation]) -> None:
    """Print broken invariants."""
    print()
    for violation in violations:
        say(f"broken invariant {violation}")
    if not violations:
        print("all invariants hold")


def command_compare(arguments: argparse.Namespace) -> int:
    """``memsim compare``."""
    scenario = load_scenario(arguments.scenario)
    both = compare(
        scenario,
        release=arguments.release,
        debug_vm=arguments.debug_vm,
        check_pages=arguments.check_pages,
    )
    moments = chosen_moments(both, arguments)
    found = stretches(both, moments)
    at_the_end = any(stretch.last == len(moments) - 1 for stretch in found)
    as_expected = both.before.as_expected and both.after.as_expected
    status = OK if as_expected and not (arguments.exit_code and at_the_end) else NOT_OK
    if arguments.json:
        show_json(comparison_document(both, moments, found))
        return status
    for side, result in (("before", both.before), ("after", both.after)):
        print(f"{side} the patch:")
        print_outcomes(result)
    print()
    show_stretches(found, moments, all_of_them=arguments.all)
    show_both(both, moments[-1], maps=arguments.map)
    return status


def chosen_moments(both: Comparison, arguments: argparse.Namespace) -> list[Moment]:
    """Return the moments to compare: all, those of ``--step``, or the one that ``--at`` names."""
    moments = list(all_moments(both))
    steps = len(both.scenario.steps)
    if arguments.step is not None:
        if not 0 <= arguments.step < steps:
            msg = f"--step {arguments.step}: {arguments.scenario} has {steps} steps, counted from 0"
            raise MemsimError(msg)
        moments = [moment for moment in moments if moment.step == arguments.step]
    if arguments.at is not None:
        places = {moment.point: moment for moment in reversed(moments)}
        places |= {moment.point.removesuffix("#1"): moment for moment in reversed(moments)}
        if arguments.at not in places:
            msg = f"both kernels do not come to {arguments.at!r}; memsim show --points lists where one comes"
            raise MemsimError(msg)
        moments = [places[arguments.at]]
    if not moments:
        msg = f"--step {arguments.step}: neither kernel comes to this step"
        raise MemsimError(msg)
    return moments


def show_stretches(found: list[Stretch], moments: list[Moment], *, all_of_them: bool) -> None:
    """Print what differs, when and for how long; the largest first ones unless all are asked for."""
    if not found:
        print("No struct page differs." if len(moments) > 1 else "No struct page differs at this moment.")
        return
    shown = found if all_of_them else sorted(found, key=attrgetter("pages"), reverse=True)[:MOST_SHOWN]
    print("What differs:")
    for stretch in sorted(shown, key=attrgetter("first")):
        say(f"  {sentence(stretch, moments)}")
    if len(shown) < len(found):
        say(f"  and {len(found) - len(shown)} ways to differ of fewer pages; --all shows them")


def show_both(both: Comparison, moment: Moment, *, maps: bool) -> None:
    """Print zones and blocks of both kernels at a moment."""
    states = dict(zip(("before", "after"), both.states(moment), strict=True))
    pages = both.before.machine.kernel.block_pages
    print()
    show_zones(states)
    for block in hotplugged_blocks(states["after"], pages):
        for side, state in states.items():
            say(f"{side}: {block_sentence(state, block, pages)}")
            if maps:
                show_map(state, block, pages)


def comparison_document(both: Comparison, moments: list[Moment], found: list[Stretch]) -> dict[str, Any]:
    """Return a comparison as JSON values."""
    return {
        "scenario": both.scenario.title,
        "before": run_document(both.before),
        "after": run_document(both.after),
        "moments": [{"step": moment.step, "point": moment.point} for moment in moments],
        "differences": [
            {
                "before": stretch.kind.before,
                "after": stretch.kind.after,
                "pages": stretch.pages,
                "fewest_pages": stretch.fewest,
                "first_pfn": stretch.pfn,
                "first_moment": stretch.first,
                "last_moment": stretch.last,
            }
            for stretch in found
        ],
    }
