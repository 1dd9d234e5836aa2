"""Text of an author, made into HTML that looks like JupyterLab, light or dark, and needs no network.

All text is escaped; the one piece of markup is the backtick, for names of the kernel.
"""

from __future__ import annotations

import html
import re

_CODE = re.compile(r"`([^`]+)`")

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
_LOUD = "var(--jp-brand-color1, #1976d2)"

STYLE = f"""<style>
.memsim-lesson {{ border-left: 4px solid {_LOUD}; padding: 4px 4px 4px 12px; overflow: visible; }}
.memsim-lesson .widget-html-content {{
  color: var(--jp-content-font-color1, inherit); line-height: 1.5; overflow: visible; }}
.memsim-lesson .widget-html-content p {{ margin: 4px 0; }}
.memsim-lesson .widget-box {{ overflow: visible; }}
.memsim-lesson .widget-text {{ width: 32em; max-width: 100%; }}
.memsim-lesson code {{
  font-family: var(--jp-code-font-family, monospace); padding: 1px 4px;
  background: var(--jp-layout-color2, rgba(128, 128, 128, 0.12)); }}
.memsim-lesson .widget-button {{
  width: auto; max-width: 100%; height: auto; align-self: flex-start; margin: 3px;
  padding: 4px 12px; line-height: 1.5; text-align: left; white-space: normal; }}
.memsim-lesson .memsim-option:disabled {{ opacity: 1; }}
.memsim-lesson :focus-visible {{
  outline: 3px solid {_LOUD} !important; outline-offset: 2px !important; }}
</style>"""


def inline(text: str) -> str:
    """Return ``text`` as HTML.

    >>> inline("`a < b` & more")
    '<code>a &lt; b</code> &amp; more'
    """
    return _CODE.sub(r"<code>\1</code>", html.escape(text))


def plain(text: str) -> str:
    """Return ``text`` without backticks, for labels, which know no markup."""
    return _CODE.sub(r"\1", text)


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
