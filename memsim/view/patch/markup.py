"""``show_patch()``, and hunks as HTML: a table of two columns, without the hunk and with it.

A changed line has a sign, and is an ``<ins>`` or ``<del>``, so that no reader depends on colours. Styles are
inline, for JupyterLab drops style sheets from the outputs of a notebook that is not trusted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

from memsim.patch import Hunk, Patch
from memsim.view.model.hunks import HunkInFunction, hunk_changes
from memsim.view.patch.text import LEFT_OUT, patch_lines

_TITLES = ("without the hunk", "with the hunk")
_CODE = "margin: 0; white-space: pre-wrap; word-break: normal; overflow-wrap: anywhere; font-size: 12px"
_LINE = "display: block; padding-left: 10ch; text-indent: -9ch; text-decoration: none; border-left: 3px "
_SAME = f"{_LINE}solid transparent"
_CHANGED = f"{_LINE}{{}} currentcolor; font-weight: bold"
_CELL = "width: 50%; vertical-align: top; text-align: left; padding: 2px 8px"


def hunk_html(hunk: Hunk) -> str:
    """Return a hunk: what it is for, and every function that it changes."""
    part, _, sentence = hunk.value.partition(": ")
    changes = "".join(change_html(change) for change in hunk_changes(hunk))
    return f"<p><b>{hunk.name}</b> (patch {part}): {_with_code(sentence)}.</p>{changes}"


def change_html(change: HunkInFunction) -> str:
    """Return one function without the hunk beside the same with it."""
    listing = change.listing
    helper = "" if listing.name == change.function else f", in its helper <code>{listing.name}()</code>"
    place = f"<code>{change.function}()</code> in {change.kernel_file}{helper}"
    heads = "".join(f'<th scope="col" style="{_CELL}">{title}</th>' for title in _TITLES)
    sides = "".join(f'<td style="{_CELL}">{_side(change, number)}</td>' for number in range(len(_TITLES)))
    return (
        '<figure style="margin: 4px 0">'
        f"<figcaption>{place}; our model is in {escape(listing.file)}</figcaption>"
        '<table style="width: 100%; table-layout: fixed; border-collapse: collapse">'
        f"<thead><tr>{heads}</tr></thead><tbody><tr>{sides}</tr></tbody></table></figure>"
    )


def _side(change: HunkInFunction, number: int) -> str:
    lines = []
    for row in change.excerpt():
        pair = (LEFT_OUT, LEFT_OUT) if row is None else (row.without, row.applied)
        text = pair[number]
        if text is not None:
            lines.append(_line(text, number if pair[0] != pair[1] else None))
    return f'<pre tabindex="0" style="{_CODE}">{"".join(lines)}</pre>'


def _line(text: str, changed_on: int | None) -> str:
    if changed_on is None:
        return f'<span style="{_SAME}">  {escape(text)}</span>'
    sign, tag, border = (("-", "del", "dashed"), ("+", "ins", "solid"))[changed_on]
    return f'<{tag} style="{_CHANGED.format(border)}">{sign} {escape(text)}</{tag}>'


def _with_code(sentence: str) -> str:
    """Return a sentence with the names of functions as code."""
    return re.sub(r"(\w+\(\))", r"<code>\1</code>", escape(sentence))


# ---- in a notebook -----------------------------------------------------------------------------------

_NARROW = 100


@dataclass(frozen=True, repr=False)
class ShownPatch:
    """Hunks to look at: HTML in a notebook, a diff as text."""

    hunks: tuple[Hunk, ...]

    def __repr__(self) -> str:
        """Return the text twin: the models as a diff."""
        return "\n".join(patch_lines(list(self.hunks), _NARROW, numbered=False))

    def _repr_html_(self) -> str:
        """Return the two columns."""
        return "".join(hunk_html(hunk) for hunk in self.hunks)


def show_patch(*hunks: str | Hunk) -> ShownPatch:
    """Show what hunks change in the models; without any, the whole patch.

    Raises
    ------
    MemsimError
        A name is not that of a hunk.

    >>> print(show_patch("MEMORY_HOTPLUG"))
    MEMORY_HOTPLUG (patch 2/3): mhp_init_memmap_on_memory() clears Offline from self-hosted vmemmap
      mm/memory_hotplug.c: mhp_init_memmap_on_memory(); model: memsim/linux/mm/memory_hotplug/online.py
              move_pfn_range_to_zone(kernel, zone, pfn, nr_pages, MigrateType.UNMOVABLE)
        +     kernel.memmap.clear_type(pfn, nr_pages, PageType.OFFLINE)
              kernel.memmap.set_flags(pfn, nr_pages, PageFlag.VMEMMAP_SELF_HOSTED)
    """
    chosen = Patch(hunks) if hunks else Patch("after")
    return ShownPatch(tuple(hunk for hunk in Hunk if hunk in chosen))
