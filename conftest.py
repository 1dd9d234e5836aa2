"""How a run of the tests is organised: in parallel, in two tiers, with time for a busy machine.

Fixtures live in ``tests/conftest.py``. This file stands at the top so that it also serves the notebooks.
"""

from __future__ import annotations

import contextlib
import gc
import os
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from memsim.lesson.chapters import listed_claims

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OUTPUT_TIMEOUT_S = 120
"""How long a notebook's kernel may take to report what a cell printed; nbval allows 5 s and has no option."""
RERUN = ("tests/attacks/", "tests/binder/", "tests/browser/", "tests/exercises/")
"""Tests that wait for a browser or for other processes; CI runs them a second time when they fail."""
LONGEST_FIRST = (
    "tests/browser/",
    "tests/exercises/",
    "book/14",
    "tests/attacks/",
    "tests/packaging/",
    "book/",
    "tests/property/",
    "tests/fidelity/",
    "",  # all others
)
APART = (
    "tests/attacks/test_breaking_out.py",
    "tests/browser/test_chapters.py",
    "tests/browser/test_labs.py",
    "tests/exercises/test_assignments.py",
    "tests/exercises/test_seeds.py",
    "tests/fidelity/test_mutations.py",
    "tests/property/",
)
"""Files of long tests that share nothing: each test may run in another worker."""
BROWSER = "tests/browser/"
WHOLE_BATCHES = "exercises/instructor-guide.ipynb"
"""A guide that grades whole courses, which the slow tier executes."""
FENCED = {"tests", "tests/attacks", "tests/exercises"}
"""Arguments whose tests run workers behind a fence."""
CLAIMS = "from tests.book.claims import check_claims\ncheck_claims({!r}, globals())"
TIERS = {"slow": "make test-all", "long": "make test"}
"""Markers of tests that may be left out, and what runs them."""
_LEFT = pytest.StashKey[dict[str, int]]()


def pytest_configure(config: pytest.Config) -> None:
    """Count the tests that are left out, and copy once for all workers what answers can read."""
    config.stash[_LEFT] = dict.fromkeys(TIERS, 0)
    if config.getoption("numprocesses", None) and FENCED & {*config.args}:
        prepare_fence()


def prepare_fence() -> None:
    """Copy what is read behind a fence; the processes that this one starts know where it is."""
    from memsim.grading.sandbox.fences import BUBBLEWRAP, available, prepare  # noqa: PLC0415 (where it is used)

    with contextlib.suppress(OSError):  # a test tells it
        if BUBBLEWRAP in available():
            prepare()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run one worker per processor with ``-n logical``, and two with ``-n auto``, where many tests wait."""
    processors = os.cpu_count() or 1
    return processors if config.option.numprocesses == "logical" else 2 * processors


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give a worker whole files: the cells of a notebook, and tests with a common fixture, stay together.

    Half of the workers get the tests that need a browser, as long as there are others: whoever has one of
    them starts a JupyterLab and a Chromium of its own.
    """
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 (only where it is used)

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return nodeid if path.startswith(APART) else path

        def _assign_work_unit(self, node: Any) -> None:
            self.workqueue.move_to_end(self._next(node), last=False)
            super()._assign_work_unit(node)

        def _next(self, node: Any) -> str:
            """Return the first scope that suits a worker, or the first of all."""
            browsing = [one for one, work in self.assigned_work.items() if any(map(in_browser, work))]
            wanted = node in browsing or len(browsing) < max(1, len(self.nodes) // 2)
            suiting = (scope for scope in self.workqueue if in_browser(scope) == wanted)
            return next(suiting, next(iter(self.workqueue)))

    def in_browser(scope: str) -> bool:
        return scope.startswith(BROWSER)

    config.option.loadscopereorder = False  # the order is that of the collection, the longest first
    return ByFile(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path: Path) -> Any:
    """Look for doctests only where there may be some: for that each module is imported."""
    collectors = yield
    if file_path.suffix == ".py" and ">>>" not in file_path.read_text(encoding="utf-8"):
        return [each for each in collectors if type(each).__name__ != "DoctestModule"]
    return collectors


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Let the kernel that has run a notebook check its claims too, in a cell of our own at the end."""
    if type(collector).__name__ != "IPyNbFile" or not listed_claims(collector.path):
        return
    collect = collector.collect

    def with_claims() -> Iterator[pytest.Item]:
        *cells, last = collect()
        cell = type(last.cell)(source=CLAIMS.format(collector.path.name), execution_count=None, outputs=[])
        made = {"cell_num": last.cell_num + 1, "cell": cell, "options": defaultdict(bool)}
        yield from (*cells, last, type(last).from_parent(collector, name="the claims", **made))

    collector.collect = with_claims  # type: ignore[method-assign]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the longest files, give notebooks time to print, and run some tests twice in CI."""
    rank = {id(item): _rank(item.nodeid) for item in items}
    items.sort(key=lambda item: rank[id(item)])
    for item in items:
        if hasattr(item, "output_timeout"):
            item.output_timeout = OUTPUT_TIMEOUT_S
        if item.nodeid.startswith(WHOLE_BATCHES):
            item.add_marker(pytest.mark.slow)
        if os.environ.get("CI") and item.nodeid.startswith(RERUN):
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_collection_finish() -> None:
    """Spare the garbage collector what was collected here: it stays to the end."""
    gc.collect()
    gc.freeze()


def _rank(nodeid: str) -> int:
    return next(rank for rank, start in enumerate(LONGEST_FIRST) if nodeid.startswith(start))


@pytest.hookimpl(wrapper=True)
def pytest_deselected(items: list[pytest.Item]) -> Any:
    """Count what is left to other commands."""
    for item in items:
        marker = next(filter(item.get_closest_marker, TIERS), None)
        if marker:
            item.config.stash[_LEFT][marker] += 1
    return (yield)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Report the counts to the process that started this worker."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left"] = session.config.stash[_LEFT]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take the counts from a worker: each has collected everything."""
    node.config.stash[_LEFT] = getattr(node, "workeroutput", {}).get("left", {})


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Show why a test failed the first time, and how many tests were left out."""
    for report in terminalreporter.getreports("rerun"):
        terminalreporter.section(f"failed once: {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)
    for marker, count in config.stash[_LEFT].items():
        if count:
            terminalreporter.write_line(f"{count} {marker} tests are left to {TIERS[marker]}")
