"""Text of an author, made into HTML that looks like JupyterLab, light or dark, and needs no network.

All text is escaped; there are two pieces of markup: backticks, for names of the kernel, and stars round a
word that is stressed.
"""

from __future__ import annotations

import html
import re

_CODE = re.compile(r"`([^`]+)`")
_STRESSED = re.compile(r"(?<![\w*])\*(?! )([^*`]+)(?<! )\*(?![\w*])")

# JupyterLab removes styles from a notebook that it does not trust: everything must also read well without.
_FRAME = (
    "border-left: 4px solid {edge}; padding: 2px 0 2px 12px; margin: 4px 0; "
    "color: var(--jp-content-font-color1, inherit)"
)
_TERMINAL = (
    "background: var(--jp-layout-color2, rgba(128, 128, 128, 0.12)); margin: 4px 0; padding: 4px 8px; "
    "white-space: pre-wrap; overflow-wrap: anywhere"
)
_QUIET = "var(--jp-border-color1, #757575)"


def inline(text: str) -> str:
    """Return ``text`` as HTML.

    >>> inline("`a < b` & *more*, 2 * 3 * 4, `p *q*`")
    '<code>a &lt; b</code> &amp; <em>more</em>, 2 * 3 * 4, <code>p *q*</code>'
    """
    code = [f"<code>{html.escape(name)}</code>" for name in _CODE.findall(text)]
    words = [_STRESSED.sub(r"<em>\1</em>", html.escape(part)) for part in _CODE.split(text)[::2]]
    return "".join(one + other for one, other in zip(words, [*code, ""], strict=True))


def plain(text: str) -> str:
    """Return ``text`` without its markup, for what knows none."""
    return _STRESSED.sub(r"\1", _CODE.sub(r"\1", text))


def paragraph(text: str, lead: str = "") -> str:
    """Return a paragraph, with ``lead`` before it in bold."""
    return f"<p>{strong(lead)}{inline(text)}</p>"


def strong(lead: str) -> str:
    """Return ``lead`` in bold with a space after it, or nothing for nothing."""
    return f"<strong>{inline(lead)}</strong> " if lead else ""


def preformatted(text: str) -> str:
    """Return what a terminal shows, as it is: backticks are shell syntax here."""
    return f'<pre style="{_TERMINAL}">{html.escape(text)}</pre>'


def box(css_class: str, *parts: str) -> str:
    """Return the parts in the frame that sets a chapter's cells apart from other outputs."""
    body = "\n".join(parts)
    return f'<div class="{css_class}" style="{_FRAME.format(edge=_QUIET)}">\n{body}\n</div>'
