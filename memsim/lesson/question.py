"""A question with a field and a button, in three forms: text, static HTML, and the live widget."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from memsim.lesson.markup import box, inline, paragraph

if TYPE_CHECKING:
    from memsim.lesson.fields import Field
    from memsim.lesson.live import LiveQuestion

_RUN_IT = "Run this notebook to answer."
Place = tuple[int, str] | tuple[int, str, int]
"""A moment of the explorer on the same page: step, point, and the pfn of a page if one is meant."""


class Question:
    """Base class of predictions and quizzes.

    The text and the HTML depend on the question alone, never on what a reader answered, so that stored
    outputs stay the same. A front end that runs the widget shows that instead of either.
    """

    kind = "question"
    lead = "Question:"
    button = "Check my answer"

    def __init__(self, question: str, field: Field, show: Place | None = None) -> None:
        """Keep what is asked, where it is answered, and where the explorer shows it."""
        self.question = question
        self.field = field
        self.show = show

    def spec(self) -> dict[str, Any]:
        """Return what the browser needs to ask, and to explain."""
        asked = {"kind": self.kind, "lead": self.lead, "question": inline(self.question)}
        shown = {"show": fragment(self.show)} if self.show else {}
        return asked | {"button": self.button} | self.field.spec() | shown

    def spec_without_a_kernel(self) -> dict[str, Any]:
        """Return what a page without a kernel needs, what the simulator says included."""
        return self.spec()

    @cached_property
    def widget(self) -> LiveQuestion:
        """The live form."""
        from memsim.lesson.live import LiveQuestion  # noqa: PLC0415 (terminals do without widgets)

        return LiveQuestion(self.spec())

    def __repr__(self) -> str:
        """Return the text form."""
        return "\n".join([f"{self.lead} {self.question}", *self.field.text(), _RUN_IT])

    def html(self) -> str:
        """Return the static HTML form."""
        run_it = f"<p><em>{inline(_RUN_IT)}</em></p>"
        return box("memsim-static", paragraph(self.question, self.lead), self.field.html(), run_it)

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        """Return all three forms; the front end picks."""
        return {"text/plain": repr(self), "text/html": self.html(), **self.widget.view}


def fragment(place: Place) -> str:
    """Return a place as the explorer's address has it.

    >>> fragment((1, "return:memmap_init_range", 0x100233))
    'step=1&point=return%3Amemmap_init_range&page=0x100233'
    """
    step, point, *page = place
    return urlencode([("step", step), ("point", point), *(("page", hex(pfn)) for pfn in page)])
