"""Style sheets of the labs, which are CSS files beside them.

JupyterLab drops style sheets from stored outputs of notebooks that are not trusted, as every fresh clone is,
and keeps the style of single elements. So a stored form has the rules of its classes in the elements.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

STATIC = Path(__file__).with_name("static")
_RULE = re.compile(r"^\.([\w-]+)[^{]*\{ (.*?);? \}$", re.MULTILINE)
_CLASSES = re.compile(r'class="([\w -]+)"(?: style="([^"]*)")?')


def sheet(*files: Path) -> str:
    """Return style sheets as an element."""
    return f"<style>{''.join(file.read_text(encoding='utf-8') for file in files)}</style>"


@lru_cache(maxsize=8)
def rules(file: Path) -> dict[str, str]:
    """Return the rules of a style sheet whose rules are one class and one line each."""
    return dict(_RULE.findall(file.read_text(encoding="utf-8")))


def inlined(html: str, file: Path) -> str:
    """Return HTML with the rules of a style sheet in its elements."""
    known = rules(file)

    def style(found: re.Match[str]) -> str:
        names = found[1].split()
        if not all(name in known for name in names):
            return found[0]
        return f'style="{"; ".join([*(known[name] for name in names), *filter(None, [found[2]])])}"'

    return _CLASSES.sub(style, html)
