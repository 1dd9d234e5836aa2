"""The explorer's modules as one script, for a notebook and for a page without a kernel."""

from __future__ import annotations

from pathlib import Path

from memsim.view.modules import joined

STATIC = Path(__file__).with_name("static")


def read(name: str) -> str:
    """Return a file of the explorer's."""
    return (STATIC / name).read_text(encoding="utf-8")


def widget() -> str:
    """Return the module that anywidget loads.

    >>> "const $tape = (() => {" in widget()
    True
    """
    return joined(STATIC / "widget.js")


def page() -> str:
    """Return the script of a page without a kernel, which then calls ``memsimExplorer(name, data)``."""
    return f"{{\n{joined(STATIC / 'page.js')}\n}}\n"
