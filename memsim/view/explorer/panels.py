"""The HTML that the explorer shows at one moment, and the style sheet for it.

The style sheet uses the variables of JupyterLab's themes, so that light and dark both work. Panels keep
their size from moment to moment, or the page would jump under the reader.

Left out: what a stored output shows; that is ``static_html()`` of :mod:`memsim.view.draw.markup`.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from memsim.view.draw.markup import SIGNS, counters_html, free_lists_html, map_image, totals_html
from memsim.view.explorer.story import touch_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memsim.view.explorer.snapshot import Sight
    from memsim.view.explorer.story import Story
    from memsim.view.model.side import Recorded, Side

STYLE = """<style>
.memsim-explorer { overflow: visible; color: var(--jp-ui-font-color1, #212121); max-width: 1660px; }
.memsim-explorer .widget-html-content { line-height: 1.35; }
.memsim-explorer .widget-label { min-width: max-content; }
.memsim-explorer.memsim-explorer :focus-visible { /* twice: ipywidgets takes it from text fields */
  outline: 3px solid var(--jp-brand-color1, #1976d2) !important; outline-offset: 2px;
}
/* The arrow of a list to choose from: ipywidgets has a dark one in dark themes, too. */
.memsim-explorer {
  --jp-widgets-dropdown-arrow: url("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' \
viewBox='-2 -2 13 13'%3E%3Cpath d='M2 3l3 3 3-3' fill='none' stroke='%23808080'/%3E%3C/svg%3E");
}
.memsim-sides { display: flex; flex-wrap: wrap; gap: 16px; }
.memsim-sides > div { flex: 1 1 380px; min-width: 0; }
.memsim-sides h4 { margin: 4px 0; font-size: 1.05em; }
.memsim-sides p { margin: 4px 0; }
.memsim-sides p.memsim-sentence { min-height: 4.05em; }
.memsim-side h4, .memsim-pane h4 { margin: 4px 0; font-size: 1.05em; }
.memsim-side p { margin: 4px 0; }
.memsim-side p.memsim-caption { margin: 2px 0 0; font-size: 0.85em; }
.memsim-side p.memsim-sentence { min-height: 4.05em; }
.memsim-side pre.memsim-lines {
  min-height: 11em; margin: 0; padding: 4px 8px; font-size: 0.85em; line-height: 1.25;
  white-space: pre-wrap; word-break: normal; overflow-wrap: anywhere;
  color: inherit; background: transparent; border: 1px solid var(--jp-border-color1, #8a8a8a);
}
.memsim-picture {
  position: relative; display: inline-block; max-width: 100%; margin: 2px 0; cursor: crosshair;
}
.memsim-picture img { display: block; max-width: 100%; height: auto; }
.memsim-frame {
  position: absolute; box-sizing: content-box; margin: -3px 0 0 -3px; padding: 1px; border: 2px solid #000000;
  outline: 2px solid #FFFFFF; cursor: crosshair;
}
.memsim-explorer .memsim-frame:focus-visible {
  outline: 4px solid #FFFFFF !important; outline-offset: 0; box-shadow: 0 0 0 7px #D55E00;
}
.memsim-pane {
  max-height: 30em; overflow: auto; margin: 6px 0; padding: 4px 8px; line-height: 1.35;
  color: var(--jp-ui-font-color1, #212121); border: 1px solid var(--jp-border-color1, #8a8a8a);
}
.memsim-pane p { margin: 4px 0; }
.memsim-pane figure { margin: 4px 0; }
.memsim-pane pre.memsim-code {
  margin: 0; background: transparent; color: inherit; font-size: 0.9em; line-height: 1.5;
}
.memsim-line { display: block; padding-left: 4px; border-left: 4px solid transparent; }
.memsim-asks { border-left-color: #8a8a8a; background: rgba(128, 128, 128, 0.18); }
.memsim-with { border-left-color: #009E73; background: rgba(0, 158, 115, 0.16); }
.memsim-without { border-left-color: #D55E00; background: rgba(213, 94, 0, 0.16); }
.memsim-here { font-weight: bold; outline: 2px solid var(--jp-brand-color1, #1976d2); outline-offset: -2px; }
.memsim-story {
  margin: 2px 0; padding-left: 1.2em; font-size: 0.85em;
  font-family: var(--jp-code-font-family, monospace);
}
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


def says_html(side: Side) -> str:
    """Return what is told below the maps of a kernel: its block, a recording, what it wrote, its log."""
    return (
        f'<p class="memsim-sentence">{escape(side.sentence)}</p>{_verdict(side.recorded)}'
        f"{_lines('Written since the moment before', side.written or ['nothing'])}"
        f"{_lines('Kernel log, its end', side.log)}"
    )


def _lines(caption: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    text = escape("\n".join(line.strip() for line in lines))
    return f'<p>{caption}:</p><pre class="memsim-lines">{text}</pre>'


def story_html(pfn: int, stories: Sequence[Story]) -> str:
    """Return the story of a page on both kernels."""
    columns = [(story.name, _story_html(story)) for story in stories]
    return f"<h4>The story of page {pfn:#x}</h4>{_sides_html(columns)}"


def _story_html(story: Story) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in touch_lines(story))
    return f'<p>Now {escape(story.now)}.</p><ul class="memsim-story">{items}</ul>'


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
