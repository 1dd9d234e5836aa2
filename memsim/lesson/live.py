"""The widget behind a question: what is asked goes to the browser once, the answer when it is wanted.

Left out: how it looks and what it does with keys; that is ``static/question.js``, which runs without a kernel
as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import traitlets

from memsim.view.lab import KernelWidget, view_of
from memsim.view.modules import joined

if TYPE_CHECKING:
    from collections.abc import Callable

STATIC = Path(__file__).with_name("static")


class LiveQuestion(KernelWidget):
    """A question in the browser.

    Attributes
    ----------
    spec
        What is asked, and every explanation.
    earlier
        What was predicted on an earlier run, as HTML.
    commitment
        What the reader committed to; set by the browser.
    outcome
        What the simulator says to that.
    """

    _esm = joined(STATIC / "question.js")
    _css = STATIC / "question.css"

    spec = traitlets.Dict().tag(sync=True)
    earlier = traitlets.Unicode().tag(sync=True)
    commitment = traitlets.Dict().tag(sync=True)
    outcome = traitlets.Dict().tag(sync=True)

    def __init__(
        self, spec: dict[str, Any], heard: Callable[[LiveQuestion, dict[str, Any]], None] | None = None
    ) -> None:
        """Show ``spec``; ``heard`` is called with each commitment."""
        super().__init__(spec=spec)
        if heard is not None:
            self.observe(lambda change: heard(self, change["new"]), "commitment")

    @property
    def view(self) -> dict[str, Any]:
        """What a front end needs to show the widget."""
        return view_of(self)
