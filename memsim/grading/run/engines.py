"""Who grades: processes on this machine, or a Dask cluster that already runs.

Both take submissions and yield results in the order in which they finish.
"""

from __future__ import annotations

import contextlib
import importlib
import random
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from ipaddress import ip_address
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from memsim.errors import MemsimError
from memsim.grading.report.results import Result
from memsim.grading.run.notebook import UnreadableError, read
from memsim.grading.run.process import Given, GraderProcess, ProcessError, Setup
from memsim.grading.sandbox.holds import raise_if_open

if TYPE_CHECKING:
    from collections.abc import Iterator

    from memsim.grading.run.submissions import Handed

CONNECT = "30s"
"""How long to wait for a cluster."""
_ATTEMPTS = 2
_AHEAD = 64


class Engine(Protocol):
    """Grades submissions."""

    processes: int
    """How many processes of this machine may work for the batch."""

    def grade(self, setup: Setup, handed: list[Handed]) -> Iterator[Result]:
        """Return the results, each when it is there."""


class ThisMachine:
    """As many grading processes as this machine has processors."""

    def __init__(self, processes: int) -> None:
        """Use this many processes."""
        self.processes = processes

    def grade(self, setup: Setup, handed: list[Handed]) -> Iterator[Result]:
        """Return the results, each when it is there."""
        crew = _Crew()
        pool = ThreadPoolExecutor(min(self.processes, max(1, len(handed))))
        try:
            futures = [pool.submit(_one, crew, setup, one) for one in _in_any_order(handed)]
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            crew.dismiss()


class Cluster:
    """A Dask cluster; every worker needs memsim and a fence of its own, which is probed there."""

    def __init__(self, scheduler: str) -> None:
        """Connect to a scheduler, such as ``tls://10.0.0.1:8786``.

        Raises
        ------
        MemsimError
            It can be reached by others and has no TLS: they could run code as the grader.
            Dask is not installed, or the scheduler does not answer.
        """
        _refuse_open(scheduler)
        self.processes = 1
        try:
            distributed = importlib.import_module("distributed")
            self._client = distributed.Client(scheduler, timeout=CONNECT)
        except (ImportError, OSError, ValueError, TypeError, TimeoutError) as error:
            msg = f"{scheduler}: no Dask cluster there: {error} (the package is called distributed)"
            raise MemsimError(msg) from None
        self._dask = distributed

    def grade(self, setup: Setup, handed: list[Handed]) -> Iterator[Result]:
        """Return the results, each when it is there.

        Raises
        ------
        MemsimError
            The cluster is gone, or a worker of it has no memsim or no fence.
        """
        waiting = iter(_in_any_order(handed))
        whose: dict[str, Handed] = {}
        with contextlib.closing(self._client):
            running = self._dask.as_completed()
            for one in islice(waiting, _AHEAD):
                running.add(self._submit(setup, one, whose))
            for future in running:
                yield self._result(setup, whose.pop(future.key), future)
                for one in islice(waiting, 1):
                    running.add(self._submit(setup, one, whose))

    def _submit(self, setup: Setup, one: Handed, whose: dict[str, Handed]) -> Any:
        future = self._client.submit(grade_here, setup, opened(one), pure=False, retries=_ATTEMPTS)
        whose[future.key] = one
        return future

    def _result(self, setup: Setup, one: Handed, future: Any) -> Result:
        """Return what a worker has found; a submission on which workers die is no reason to stop."""
        try:
            result = Result.parse(future.result())
            if (result.student, result.assignment) != (one.student, setup.grader().assignment.name):
                msg = f"a worker of the cluster was given {one.student}, and returns {result.student}"
                raise MemsimError(msg)  # noqa: TRY301 (it is let through below)
        except MemsimError:
            raise
        except self._dask.KilledWorker as killed:
            reason = f"{killed.allowed_failures + 1} workers of the cluster ended while they graded it"
            return _not_graded(setup, Given(one.student, one.path.name, b""), reason)
        except Exception as error:  # noqa: BLE001 (whatever Dask and a worker raise)
            msg = f"the cluster failed; run the same command again: {type(error).__name__}: {error}"
            raise MemsimError(msg) from None
        return result


def _in_any_order(handed: list[Handed]) -> list[Handed]:
    """Return the submissions in an order that no author knows.

    When a submission starts, tells when the one before has ended: its author must not choose the reader.
    """
    return random.SystemRandom().sample(handed, len(handed))


def _refuse_open(scheduler: str) -> None:
    """Raise MemsimError for a scheduler that others can reach and that does not ask who they are."""
    scheme, _, rest = scheduler.rpartition("://")
    host = rest.partition("]")[0].lstrip("[") if rest.startswith("[") else rest.partition(":")[0]
    local = host == "localhost"
    with contextlib.suppress(ValueError):  # 127.0.0.256 is a name, for which others may have an address
        local = local or ip_address(host).is_loopback
    if scheme not in ("tls", "inproc") and not local:
        msg = (
            f"--scheduler {scheduler}: without TLS anybody who can reach it runs code as you; use tls:// "
            "(exercises/README.md says how), or an address of this machine such as tcp://127.0.0.1:8786"
        )
        raise MemsimError(msg)


class _Crew:
    """The grading processes of this process, one for each of its threads."""

    def __init__(self) -> None:
        self._mine = threading.local()
        self._all: list[GraderProcess] = []
        self._dismissed = False

    def process(self, setup: Setup) -> GraderProcess:
        if getattr(self._mine, "setup", None) != setup and not self._dismissed:
            self.lose()
            self._mine.setup, self._mine.process = setup, GraderProcess(setup)
            self._all.append(self._mine.process)
        if self._dismissed:  # now, too: who dismisses cannot have seen a process that was being started
            self.lose()
            msg = "the batch was stopped"
            raise ProcessError(msg)
        process: GraderProcess = self._mine.process
        return process

    def lose(self) -> None:
        """End the process of this thread; the next call starts another."""
        process = getattr(self._mine, "process", None)
        self._mine.setup = self._mine.process = None
        if process:
            process.end()
            self._all.remove(process)

    def dismiss(self) -> None:
        """End all processes, for good."""
        self._dismissed = True
        for process in list(self._all):
            process.end()


def _one(crew: _Crew, setup: Setup, one: Handed) -> Result:
    """Grade one submission of this machine."""
    return grade_with(crew, setup, opened(one))


def opened(one: Handed) -> Given:
    """Return a submission with its bytes, or with the reason why there are none."""
    try:
        data, reason = read(one.path, linked=one.linked, top=one.top), ""
    except UnreadableError as error:
        data, reason = b"", str(error)
    return Given(one.student, one.path.name, data, one.names, reason)


def grade_with(crew: _Crew, setup: Setup, given: Given) -> Result:
    """Grade one submission with a process of the crew; if that dies, with another."""
    if given.reason:
        unreadable = setup.grader().unreadable
        return unreadable(given.student, given.file, given.reason, given.data, given.names)
    reason = ""
    for _ in range(_ATTEMPTS):
        try:
            return crew.process(setup).grade(given)
        except ProcessError as error:
            reason = str(error)
            crew.lose()
    return _not_graded(setup, given, reason)


def _not_graded(setup: Setup, given: Given, reason: str) -> Result:
    """Return what there is of a submission that the grader failed to grade; the next run tries again."""
    told = f"the grader could not grade it: {reason}"
    failed = setup.grader().unreadable(given.student, given.file, told, given.data)
    failed.fingerprint = ""
    return failed


_crew_of_this_worker = _Crew()
_fenced: set[str] = set()


def grade_here(setup: Setup, given: Given) -> dict[str, Any]:
    """Grade one submission on a worker of a cluster, once its fence has been tried there."""
    if setup.fence not in _fenced:
        raise_if_open(setup.fence, [])
        _fenced.add(setup.fence)
    return grade_with(_crew_of_this_worker, setup, given).document()
