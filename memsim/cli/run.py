"""``memsim run`` and ``memsim compare``: a scenario on one kernel, and on two side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.cli.options import (
    NOT_OK,
    OK,
    add_kernel,
    add_release,
    add_scenario,
    chosen_patch,
    load_scenario,
)
from memsim.scenario.comparison import compare
from memsim.scenario.scenario import Run, run
from memsim.scenario.steps import tell_step
from memsim.view.model.text import block_sentence, counters_table, hotplugged_blocks

if TYPE_CHECKING:
    import argparse

    from memsim.cli.options import Commands
    from memsim.state.kernel import Kernel


def add_to(commands: Commands) -> None:
    """Add ``run`` and ``compare``."""
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
    )
    debug = checks_of(result.machine.kernel)
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


def checks_of(kernel: Kernel) -> str:
    """Return which checks a kernel makes where that differs from the kernels that Debian ships."""
    if kernel.debug_vm:
        return ", debug_vm"
    return "" if kernel.check_pages else ", no page checks"


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


def command_compare(arguments: argparse.Namespace) -> int:
    """``memsim compare``."""
    scenario = load_scenario(arguments.scenario)
    both = compare(
        scenario,
        release=arguments.release,
        debug_vm=arguments.debug_vm,
        check_pages=arguments.check_pages,
    )
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
