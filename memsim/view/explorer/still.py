"""The explorer in a notebook that is not executed: a picture of one moment, and the same in text.

Left out: everything but the block that is looked at.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from memsim.view.draw.markup import folded_text
from memsim.view.draw.page_map import data_uri, map_svg
from memsim.view.model.page_class import class_counts

if TYPE_CHECKING:
    from memsim.view.explorer.snapshot import Sight
    from memsim.view.model.side import Side


def stored_html(sight: Sight, title: str, note: str, twin: str) -> str:
    """Return a moment as HTML for a notebook that is not executed; the same on every machine."""
    maps = "".join(_side(side) for side in sight.sides)
    return (
        f'<figure class="memsim-static" style="margin: 0"><figcaption><b>{escape(title)}</b></figcaption>'
        f"<p>{escape(sight.heading)}<br>{escape(sight.happening)}</p>{maps}"
        f"<p>{escape(sight.differs)} {escape(note)}</p>"
        f"{folded_text(twin)}</figure>"
    )


def _side(side: Side) -> str:
    alt = f"Page map {side.title[0].lower()}{side.title[1:]}: {side.page_map.sentence}"
    picture = data_uri(map_svg(side.page_map.classes, side.page_map.heads))
    counts = ", ".join(
        f"{number:,} {kind.label} ({kind.letter})"
        for kind, number in class_counts(side.page_map.classes).items()
    )
    return (
        '<div style="display: inline-block; vertical-align: top; margin: 0 16px 4px 0">'
        f"<b>{escape(side.title)}</b>"
        f'<img alt="{escape(alt)}" src="{picture}" style="display: block">'
        f"{escape(counts)}</div>"
    )
