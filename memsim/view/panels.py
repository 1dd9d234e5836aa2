"""The HTML that the explorer shows at one moment, and the style sheet for it.

The style sheet uses the variables of JupyterLab's themes, so that light and dark both work. Panels keep
their size from moment to moment, or the page would jump under the reader.

Left out: what a stored output shows; that is ``static_html()`` of :mod:`memsim.view.markup`.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from memsim.view.markup import SIGNS, counters_html, free_lists_html, map_image, totals_html

if TYPE_CHECKING:
    from memsim.view.sight import Recorded, Side, Sight

STYLE = """<style>
.memsim-explorer { overflow: visible; color: var(--jp-ui-font-color1, #212121); max-width: 1660px; }
.memsim-explorer .widget-html-content { line-height: 1.35; }
.memsim-explorer .widget-label { min-width: max-content; }
.memsim-explorer :focus-visible {
  outline: 3px solid var(--jp-brand-color1, #1976d2) !important; outline-offset: 2px;
}
.memsim-sides { display: flex; flex-wrap: wrap; gap: 16px; }
.memsim-sides > div { flex: 1 1 380px; min-width: 0; }
.memsim-sides h4 { margin: 4px 0; font-size: 1.05em; }
.memsim-sides p { margin: 4px 0; }
.memsim-sides p.memsim-sentence { min-height: 4.05em; }
.memsim-tables { display: flex; flex-wrap: wrap; gap: 0 32px; }
.memsim-tables > div { max-width: 100%; overflow-x: auto; }
.memsim-explorer pre.memsim-twin {
  white-space: pre-wrap; word-break: normal; overflow-wrap: break-word;
  margin: 0; padding: 8px; line-height: 1.35;
  font-family: var(--jp-code-font-family, monospace); font-size: 0.85em;
  color: inherit; background: transparent; border: 1px solid var(--jp-border-color1, #8a8a8a);
}
</style>"""


def happening_html(sight: Sight) -> str:
    """Return which moment it is and what happens at it."""
    return f'<p style="margin: 4px 0">{escape(sight.heading)}<br><b>{escape(sight.happening)}</b></p>'


def maps_html(sight: Sight) -> str:
    """Return the page maps of both kernels, and below each whether a recorded kernel agrees."""
    return _sides_html(
        [
            (
                side.title,
                map_image(side.page_map.classes, side.page_map.heads, map_alt(side))
                + f'<p class="memsim-sentence">{escape(side.sentence)}</p>{_verdict(side.recorded)}',
            )
            for side in sight.sides
        ]
    )


def map_alt(side: Side) -> str:
    """Return the alternative text of a simulated kernel's page map."""
    return f"Page map {side.title[0].lower()}{side.title[1:]}: {side.page_map.sentence}"


def _verdict(recorded: Recorded | None) -> str:
    if recorded is None:
        return ""
    sign = {True: "✓ ", False: "✗ differs: ", None: ""}[recorded.agrees]
    says = escape(f"{sign}{recorded.says}")
    return f"<p>Recorded kernel {escape(recorded.kernel)}: <b>{says}</b></p>"


def recorded_html(sight: Sight) -> str:
    """Return the page maps that recordings of real kernels have of this moment, if there are any."""
    if all(side.recorded is None or side.recorded.page_map is None for side in sight.sides):
        return ""
    return _sides_html([(f"Recorded: {side.title}", _recorded(side.recorded)) for side in sight.sides])


def _recorded(recorded: Recorded | None) -> str:
    if recorded is None or recorded.page_map is None:
        return "<p>no recorded page map</p>"
    alt = f"Page map of the recorded kernel {recorded.kernel}: {recorded.page_map.sentence}"
    return map_image(recorded.page_map.classes, recorded.page_map.heads, alt)


def _sides_html(sides: list[tuple[str, str]]) -> str:
    sections = "".join(
        f'<div role="group" aria-label="{escape(name)}"><h4>{escape(name)}</h4>{contents}</div>'
        for name, contents in sides
    )
    return f'<div class="memsim-sides">{sections}</div>'


def tables_html(sight: Sight, zone: str) -> str:
    """Return zone counters, totals and the free lists of one zone, side by side where there is room."""
    numbers, previous = sight.numbers, sight.previous
    return (
        f'<div class="memsim-tables"><div>{counters_html(numbers, previous)}</div>'
        f"<div>{totals_html(numbers, previous)}{free_lists_html(numbers, zone, previous)}</div></div>{SIGNS}"
    )
