"""A question with a field and a button, in three forms: text, static HTML, and the live widget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets

from memsim.lesson.markup import STYLE, box, inline, paragraph

if TYPE_CHECKING:
    from memsim.lesson.fields import Field

_RUN_IT = "Run this notebook to answer."
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


class Question:
    """What a prediction and a quiz share.

    The text and the HTML depend on the question alone, never on what a reader answered, so that stored
    outputs stay the same. A frontend that runs the widget shows that instead of either.
    """

    kind = "question"
    lead = "Question:"

    def __init__(self, question: str, field: Field, button: str, tooltip: str) -> None:
        """Put the question, the field, the button and room for feedback below each other."""
        self.question = question
        self.field = field
        self.button = ipywidgets.Button(
            description=button, tooltip=tooltip, tabbable=True, button_style="primary"
        )
        self.feedback = ipywidgets.HTML()
        ask = ipywidgets.HTML(STYLE + paragraph(question, self.lead))
        self.widget = ipywidgets.VBox([ask, field.control, self.button, self.feedback])
        self.widget.add_class("memsim-lesson").add_class(f"memsim-{self.kind}")

    def say(self, html: str) -> None:
        """Show feedback, such that a screen reader reads it out."""
        self.feedback.value = f'<div class="memsim-feedback" role="alert">{html}</div>'

    def __repr__(self) -> str:
        """Return the text form."""
        return "\n".join([f"{self.lead} {self.question}", *self.field.text(), _RUN_IT])

    def html(self) -> str:
        """Return the static HTML form."""
        run_it = f"<p><em>{inline(_RUN_IT)}</em></p>"
        return box("memsim-static", paragraph(self.question, self.lead), self.field.html(), run_it)

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        """Return all three forms; the frontend picks."""
        live = self.widget._repr_mimebundle_()
        return {"text/plain": repr(self), "text/html": self.html(), WIDGET_VIEW: live[WIDGET_VIEW]}
