"""The source of the function that is being executed, as HTML: current line, branches of the patch.

Left out: colours of the language; what is marked is the patch.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from memsim.view.model.source import listings

if TYPE_CHECKING:
    from memsim.view.explorer.snapshot import Sight
    from memsim.view.model.source import Branch, Listing

_SIGNS = {"asks": "?", "with": "+", "without": "−"}  # noqa: RUF001 (a minus sign)
_KEY = (
    "▶ where it is now &nbsp; <b>?</b> asks for the hunk &nbsp; <b>+</b> only with it "
    "&nbsp; <b>−</b> only without it"  # noqa: RUF001
)


def code_html(sight: Sight) -> str:
    """Return the source of the function that is being executed, and of helpers that ask for hunks."""
    if not sight.function:
        return f"<p>{escape(sight.code)}</p>"
    shown = listings(sight.function)
    parts = [f"<p>{escape(sight.code)}<br>{_KEY}</p>"]
    for number, listing in enumerate(shown):
        here = _current_lines(sight, listing) if number == 0 else {}
        parts.append(_listing_html(listing, here))
    return "".join(parts)


def _current_lines(sight: Sight, listing: Listing) -> dict[int, str]:
    """Return the lines (from 1) at which the kernels are, each with the names of those, if not all."""
    found: dict[int, list[str]] = {}
    for side in sight.sides:
        frame = side.frames[0] if side.frames else None
        if frame is not None and frame.function == listing.name:
            at = frame.line - listing.first_line + 1 if frame.line else _line_of_def(listing)
            found.setdefault(at, []).append(side.name)
    whole = len(found) == 1
    return {at: "" if whole else ", ".join(names) for at, names in found.items()}


def _line_of_def(listing: Listing) -> int:
    return next((at for at, line in enumerate(listing.lines, 1) if line.startswith("def ")), 1)


def _listing_html(listing: Listing, here: dict[int, str]) -> str:
    if not listing.lines:
        return f"<p>The source of {escape(listing.name)}() is not on this machine.</p>"
    width = max((len(branch.hunk.name) + 2 for branch in listing.branches), default=0)
    lines = "".join(
        _line_html(listing, number, here.get(number), width) for number in range(1, len(listing.lines) + 1)
    )
    caption = f"{listing.name}() in {listing.file}"
    return (
        f'<figure><figcaption>{escape(caption)}</figcaption><pre class="memsim-code">{lines}</pre></figure>'
    )


def _line_html(listing: Listing, number: int, here: str | None, width: int) -> str:
    branch = min(listing.marks(number), key=lambda each: each.last - each.first, default=None)
    names = ["memsim-line"] + (["memsim-here"] if here is not None else [])
    names += [f"memsim-{branch.kind}"] if branch else []
    arrow = "  " if here is None else "▶ "
    note = f"   ← {here}" if here else ""
    place, line = listing.first_line + number - 1, listing.lines[number - 1]
    text = f"{arrow}{place:4} {_mark(branch, number):{width}} {line}"
    return f'<span class="{" ".join(names)}">{escape(text)}{escape(note)}\n</span>'


def _mark(branch: Branch | None, number: int) -> str:
    """Return the sign of a branch, with the hunk's name in its first line."""
    if branch is None:
        return ""
    return f"{_SIGNS[branch.kind]} {branch.hunk.name}" if number == branch.first else _SIGNS[branch.kind]
