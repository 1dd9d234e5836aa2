"""What all tests share: the hypothesis profiles, and a way to compare whole states."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.database import DirectoryBasedExampleDatabase

from memsim.linux.include.mmzone import COUNTERS
from memsim.linux.include.page_flags import ZONE_SHIFT
from memsim.patch import AFTER, BEFORE
from memsim.state.section import SOME_ZONE

settings.register_profile(
    "memsim",
    derandomize=True,
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow],  # it goes by the clock, as a deadline does
)
settings.register_profile(
    "nightly",
    deadline=None,
    max_examples=1250,
    database=DirectoryBasedExampleDatabase(".hypothesis/examples"),  # what failed is tried again first
)
settings.load_profile("memsim")

KERNELS = {
    f"{release}-{side}": (release, patch)
    for release in ("6.1", "6.12")
    for side, patch in (("before", BEFORE), ("after", AFTER))
}


@pytest.fixture(params=KERNELS.values(), ids=KERNELS)
def kernel_kind(request):
    """(release, patch) of each of the four kernels that nothing may tell apart but their rules."""
    return request.param


def _section(section: Any) -> tuple[Any, ...]:
    pages = section.pages
    arrays = (pages.flags, pages.type, pages.order, pages.refcount)
    assert pages.zone == SOME_ZONE or (pages.flags >> ZONE_SHIFT == pages.zone).all()
    return (section.online, section.early, section.pageblocks.hex(), *map(zlib.crc32, arrays))


def _zone(zone: Any) -> dict[str, Any]:
    lists = {
        (order, migratetype): list(blocks)
        for order, area in enumerate(zone.free_area)
        for migratetype, blocks in enumerate(area)
        if blocks
    }
    counters = {name: getattr(zone, name) for name in COUNTERS}
    pcp = {key: list(blocks) for key, blocks in zone.pcp.items() if blocks}
    return counters | {"lists": lists, "pcp": pcp, "watermark": zone.watermark}


@pytest.fixture(scope="session")
def snapshot():
    """Return a function that tells all there is of a State, free lists in order, so that == compares it."""

    def take(state: Any) -> dict[str, Any]:
        return {
            "sections": {nr: _section(section) for nr, section in state.memmap.sections.items()},
            "zones": {zone.name: _zone(zone) for zone in state.zones},
            "totalram": state.totalram_pages,
            "blocks": dict(state.blocks),
            "log": list(state.log),
        }

    return take
