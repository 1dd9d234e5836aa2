"""How fast memsim is, as ratios to what else there is.

    python -m benchmarks [--previous TAG] [--growth] [--rounds 9] [--no-save]

Contenders are run in turn in this one process: numpy filling the same bytes, C compiled on the spot, Python
peers. Start-up, whole machines, a long trace and the previous release run in processes of their own, in turn
as well. Results are kept in ``benchmarks/results/history.json`` and drawn over time in ``history.svg`` there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.cases import OURS, cases
from benchmarks.chart import line_chart
from benchmarks.growth import draw, growth
from benchmarks.processes import against, best, best_in_turn, git, previous_release
from benchmarks.timing import interleaved, machine

if TYPE_CHECKING:
    from benchmarks.cases import Case
    from benchmarks.timing import Timing

RESULTS = Path(__file__).with_name("results")
TIB = 1024
FIRST_TOUCH = "numpy writes as many MiB once"
"""How long this machine takes to find memory that nobody has written yet; on a virtual one its host, too."""
PROCESS_GOALS = {
    "1 TiB in blocks of 128 MiB": {"online": 0.3, "MiB online": 64},
    "1 TiB in blocks of 2 GiB": {"online": 0.3, "MiB online": 64},
    "1 TiB, every section written": {"online": 3, "MiB online": 2253},
    "a trace of a million events": {"clock": 10, "MiB": 200},
    "python -m memsim --help": {"clock": 0.3},
}


def main() -> int:
    """Measure, print and keep; returns 0 whatever came out, for a slow machine is no mistake."""
    arguments = options()
    described = machine()
    for what, value in described.items():
        print(f"{what:>10}: {value}")
    run: dict[str, Any] = {"when": time.strftime("%Y-%m-%d %H:%M"), "commit": commit(), "machine": described}
    run["cases"] = {}
    for case in cases(smoke=arguments.smoke):
        timings = interleaved(case.contenders, arguments.rounds)
        print("\n".join(table(case, timings, smoke=arguments.smoke)), flush=True)
        run["cases"][case.name] = {name: [one.best, one.median] for name, one in timings.items()}
    run["processes"] = in_processes(arguments.rounds, smoke=arguments.smoke)
    reference = arguments.previous or previous_release()
    if reference is None:
        print("\nno previous release to compare with: there is no tag; name a commit with --previous")
    else:
        run["previous"] = compare(reference, arguments.rounds, smoke=arguments.smoke)
    if arguments.growth:
        run["growth"] = growth(smoke=arguments.smoke)
    if not arguments.no_save:
        save(run)
    return 0


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=9, help="default: %(default)s")
    parser.add_argument("--previous", metavar="COMMIT", help="a tag or commit; default: the newest tag")
    parser.add_argument("--growth", action="store_true", help="also measure where cost grows (minutes)")
    parser.add_argument("--smoke", action="store_true", help="small sizes: show that everything runs")
    parser.add_argument("--no-save", action="store_true", help="keep no results")
    return parser.parse_args()


def commit() -> str:
    """Return the commit that is measured, with a + if files differ from it."""
    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "memsim").strip()
        return git("rev-parse", "--short", "HEAD").decode().strip() + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


# ---- the table -------------------------------------------------------------------------------------


def table(case: Case, timings: dict[str, Timing], *, smoke: bool) -> list[str]:
    """Return a case as lines: seconds, and how many times as long as each contender memsim takes."""
    ours, goals = timings[OURS], dict(case.goals)
    lines = [f"\n{case.name}: time for one {case.unit}" + (f" ({case.note})" if case.note else "")]
    lines.append(f"  {'':<40} {'best':>10} {'median':>10} {'memsim / it':>12}")
    for name, one in timings.items():
        ratio = "" if one is ours else f"{ours.best / one.best:.3g}"
        line = f"  {name:<40} {duration(one.best):>10} {duration(one.median):>10} {ratio:>12}"
        if smoke:
            pass  # small sizes say nothing about the goals
        elif name in goals:
            line += verdict(ours.best / one.best, goals[name])
        elif one is ours and case.at_most:
            line += verdict(one.best, case.at_most, duration(case.at_most))
        lines.append(line)
    return lines


def verdict(value: float, limit: float, shown: str = "") -> str:
    """Return whether a goal is met."""
    return f"   goal <= {shown or f'{limit:.3g}'}: {'met' if value <= limit else 'NOT MET'}"


def duration(seconds: float) -> str:
    """Return a time with a fitting unit.

    >>> duration(3.2e-8), duration(0.00123)
    ('32 ns', '1.23 ms')
    """
    for unit, size in (("s", 1), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def in_processes(rounds: int, *, smoke: bool) -> dict[str, dict[str, float]]:
    """Measure what needs processes of its own, and print it."""
    tib, events = (4, 2000) if smoke else (TIB, 1_000_000)
    some = min(rounds, 3)
    touch, distinct = best_in_turn(("first-touch", "online-distinct"), str(tib), some)
    found = {
        "1 TiB in blocks of 128 MiB": best("online", str(tib), some),
        "1 TiB in blocks of 2 GiB": best("online-2gib-blocks", str(tib), some),
        "1 TiB, every section written": distinct,
        FIRST_TOUCH: touch,
        "16 TiB in blocks of 2 GiB": best("online-2gib-blocks", str(tib if smoke else 16 * TIB), 1),
        "a trace of a million events": best("replay", str(events), some),
        "import numpy": best("start", "numpy", rounds),
        "import memsim": best("start", "memsim", rounds),
        "import memsim, and a machine": best("start", "memsim.machine.machine", rounds),
        "python -m memsim --help": best("start", "--help", rounds),
    }
    print("\nin processes of their own: seconds of processor time (clock: on the clock), MiB of memory")
    for name, numbers in found.items():
        shown = ", ".join(f"{key} {value:.3g}" for key, value in numbers.items())
        limits = {} if smoke else PROCESS_GOALS.get(name, {})
        missed = [f"{key} <= {limit:g}" for key, limit in limits.items() if numbers[key] > limit]
        kept = ", ".join(f"{key} <= {limit:g}" for key, limit in limits.items() if numbers[key] <= limit)
        verdicts = [f"   met: {kept}"] * bool(kept) + [f"   NOT MET: {', '.join(missed)}"] * bool(missed)
        print(f"  {name:<32} {shown}{''.join(verdicts)}")
    ratio = distinct["online"] / touch["processor"]
    print(f"  {'every section written / numpy':<32} {ratio:.3g} (the first touch of memory is in both)")
    for name, limit in (("import memsim", 1.2), ("import memsim, and a machine", 0)):
        ratio = found[name]["processor"] / found["import numpy"]["processor"]
        judged = verdict(ratio, limit) if limit and not smoke else ""
        print(f"  {name + ' / import numpy':<43} {ratio:.3g}{judged}")
    return found


def compare(reference: str, rounds: int, *, smoke: bool) -> dict[str, Any]:
    """Measure the release before this one in the same run, and print the ratios."""
    print(f"\nagainst {reference}: seconds of processor time")
    rows = against(reference, min(rounds, 3), smoke=smoke)
    for name, size, now, then in rows:
        print(f"  {name + ' ' + size:<40} now {now:.3g}, then {then:.3g}: {now / then:.3g} of it")
    return {"reference": reference, "rows": rows}


# ---- the results -----------------------------------------------------------------------------------


def save(run: dict[str, Any]) -> None:
    """Add a run to the history, and draw it."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "history.json"
    history = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    history.append(run)
    path.write_text(json.dumps(history, indent=1) + "\n", encoding="utf-8")
    lines = over_time(history)
    labels = {float(number): one["commit"] for number, one in enumerate(history)}
    title = "memsim against others, run by run: below 1 memsim is faster"
    chart = line_chart(title, "commit", "time of memsim / time of the other", lines, labels)
    (RESULTS / "history.svg").write_text(chart, encoding="utf-8")
    if "growth" in run:
        draw(run["growth"], RESULTS)
    print(f"\nkept in {path.relative_to(RESULTS.parents[1])}")


def over_time(history: list[dict[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    """Return, for each case, the ratio to its first other contender with a goal, run by run."""
    lines: dict[str, list[tuple[float, float]]] = {}
    others = {case.name: case.goals[0][0] for case in cases(smoke=True) if case.goals}
    for number, run in enumerate(history):
        for name, other in others.items():
            timings = run["cases"].get(name, {})
            if other in timings:
                label = f"{name.partition(',')[0][:24]}"
                while label in lines and lines[label][-1][0] == number:
                    label += "'"
                lines.setdefault(label, []).append((float(number), timings[OURS][0] / timings[other][0]))
    return lines


if __name__ == "__main__":
    sys.exit(main())
