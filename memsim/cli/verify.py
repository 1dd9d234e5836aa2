"""``memsim verify``: the simulator against recorded kernels."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from memsim.cli.commands import NOT_OK, OK
from memsim.cli.terminal import add_json, say, show_json
from memsim.recordings.observation import bundled_names
from memsim.recordings.verify import observation_of, verify

if TYPE_CHECKING:
    import argparse

    from memsim.cli.commands import Commands
    from memsim.recordings.observation import Observation
    from memsim.recordings.verify import Verification

_COUNTED = ("recordings", "pages", "differ", "probes")


def add_to(commands: Commands) -> None:
    """Add ``verify``."""
    verify = commands.add_parser(
        "verify",
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
    add_json(verify)
    verify.set_defaults(command=command_verify)


def command_verify(arguments: argparse.Namespace) -> int:
    """``memsim verify``."""
    recordings, agrees = [], True
    totals: dict[str, Counter[str]] = {}
    for each in arguments.files or bundled_names():
        observation = observation_of(each)
        verified = verify(observation)
        if arguments.json:
            recordings.append(recording_document(observation, verified))
        else:
            print_one(observation, verified, quiet=arguments.quiet)
        counts = (1, verified.pages, verified.differ, verified.probes)
        totals.setdefault(observation.release, Counter()).update(dict(zip(_COUNTED, counts, strict=True)))
        agrees = agrees and verified.agrees
    if arguments.json:
        total = sum(totals.values(), Counter())
        names = {name: total[name] for name in _COUNTED[1:]}
        by_release = {
            release: {name: counts[name] for name in _COUNTED} for release, counts in totals.items()
        }
        show_json({"agrees": agrees, **names, "releases": by_release, "recordings": recordings})
    else:
        print_totals(totals)
    return OK if agrees else NOT_OK


def print_totals(totals: dict[str, Counter[str]]) -> None:
    """Print how much was compared and how much differs, by release and in all."""
    if len(totals) > 1:
        for release, total in totals.items():
            print(f"Linux {release}: {total['recordings']} recordings, {summary_of(total)}")
    print(summary_of(sum(totals.values(), Counter())))


def summary_of(total: Counter[str]) -> str:
    """Return how much was compared, and how much differs."""
    return f"{total['pages']} pages compared, {total['differ']} differ, {total['probes']} probes"


def print_one(observation: Observation, verified: Verification, *, quiet: bool) -> None:
    """Print the probes of one recording."""
    kernel = observation.kernel.get("release", "?")
    say(f"{observation.name}: kernel {kernel}, replayed as {observation.release}, {observation.patch.name}")
    (replayed,) = verified.replays
    for result in replayed.results:
        if quiet and result.agrees:
            continue
        word = "agrees" if result.agrees else "DIFFERS"
        if result.not_compared:
            word += f" ({result.not_compared})"
        say(f"  step {result.step} {result.at}: {result.pages} pages, {word}")
        for problem in result.problems:
            say(f"    {problem}")
    if observation.ended != "works" or replayed.run.died is not None:
        say(f"  recorded machine: {observation.ended}; simulated: {replayed.run.died or 'works'}")


def recording_document(observation: Observation, verified: Verification) -> dict[str, Any]:
    """Return what came of one recording as JSON values."""
    (replayed,) = verified.replays
    return {
        "name": observation.name,
        "kernel": observation.kernel.get("release"),
        "release": observation.release,
        "patch": observation.patch.name,
        "agrees": verified.agrees,
        "ended": observation.ended,
        "died": replayed.run.died,
        "probes": [
            {
                "step": result.step,
                "at": result.at,
                "pages": int(result.pages),
                "differ": int(result.differ),
                "agrees": bool(result.agrees),
                "not_compared": result.not_compared or None,
                "problems": [str(problem) for problem in result.problems],
            }
            for result in replayed.results
        ],
    }
