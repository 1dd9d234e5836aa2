"""A recorded tour of a lab, for a page without a kernel: what each of a few steps shows.

Left out: doing anything else; the page has a link to where the lab can be run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

STATIC = Path(__file__).with_name("static")


class Stop(NamedTuple):
    """What is to be seen after a step: the answer, the view as HTML and as text, and the picture's state."""

    said: str
    sight: str
    text: str
    picture: dict[str, Any] | None = None


def tour(title: str, stops: list[Stop], start: int) -> dict[str, Any]:
    """Return what the browser needs to show a tour, which begins at the stop ``start``."""
    return {"title": title, "start": start, "stops": [stop._asdict() for stop in stops]}
