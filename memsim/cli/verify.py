"""``memsim verify``: the simulator against recorded kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memsim.cli.options import NOT_OK, OK
from memsim.recordings.observation import bundled_names
from memsim.recordings.verify import observation_of, verify

if TYPE_CHECKING:
    import argparse

    from memsim.cli.options import Commands
    from memsim.recordings.observation import Observation


def add_to(commands: Commands) -> None:
    """Add ``verify``."""
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
        help="recordings (JSON), or names of bundled ones; without any, all that come with memsim",
    )
    verify.add_argument("-q", "--quiet", action="store_true", help="show only probes that differ")
    verify.set_defaults(command=command_verify)


def command_verify(arguments: argparse.Namespace) -> int:
    """``memsim verify``."""
    observations = [observation_of(each) for each in arguments.files or bundled_names()]
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
    verified = verify(observation)
    (replayed,) = verified.replays
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
    return (verified.pages, verified.differ, verified.probes), verified.agrees
