"""Judging the simulator by recordings of real kernels: ``memsim.verify()``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from memsim.recordings.observation import Observation, bundled, bundled_names
from memsim.recordings.replay import Replay, replay

if TYPE_CHECKING:
    from collections.abc import Iterable

RecordingSource = Observation | str | Path
"""A recording, the path of a recording file, or the name of one that comes with memsim."""


@dataclass(frozen=True, repr=False)
class Verification:
    """Recordings that were replayed, and what the comparison found."""

    replays: tuple[Replay, ...]

    @property
    def pages(self) -> int:
        """How many pages were compared, over all probes."""
        return sum(result.pages for each in self.replays for result in each.results)

    @property
    def differ(self) -> int:
        """How many of them differ."""
        return sum(result.differ for each in self.replays for result in each.results)

    @property
    def probes(self) -> int:
        """How many probes were compared."""
        return sum(len(each.results) for each in self.replays)

    @property
    def agrees(self) -> bool:
        """Whether every page, counter and pageblock is the same at every probe."""
        return all(result.agrees for each in self.replays for result in each.results)

    def __repr__(self) -> str:
        """Show the totals."""
        totals = f"{self.pages} pages compared, {self.differ} differ, {self.probes} probes"
        return f"Verification({totals}, {len(self.replays)} recordings)"


def verify(*recordings: RecordingSource) -> Verification:
    """Replay recordings on the simulator and compare every page, counter and pageblock at every probe.

    Without arguments, all recordings that come with memsim are replayed (seconds).

    Raises
    ------
    BadObservation
        A file breaks the format, or cannot be read.

    >>> verify("6.12-zone-device").differ
    0
    """
    chosen: Iterable[RecordingSource] = recordings or bundled_names()
    return Verification(tuple(replay(observation_of(each)) for each in chosen))


def observation_of(recording: RecordingSource) -> Observation:
    """Return a recording as it is, from a file, or by its name; a file of that name comes first."""
    if isinstance(recording, Observation):
        return recording
    if str(recording) in bundled_names() and not Path(recording).exists():
        return bundled(str(recording))
    return Observation.load(recording)
