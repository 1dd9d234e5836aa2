"""What stands in place of a view when the scenario that it was given is wrong.

Left out: what is wrong with it; :class:`~memsim.errors.BadScenario` says that.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets

if TYPE_CHECKING:
    from memsim.errors import MemsimError

_BOX = "border: 2px solid #D55E00; padding: 8px 12px; margin: 4px 0"


class Refusal(ipywidgets.VBox):
    """A message instead of a view: which step of the scenario is wrong, and which rule it breaks.

    Attributes
    ----------
    problem
        The message.
    """

    def __init__(self, problem: MemsimError) -> None:
        """Show what ``problem`` says."""
        self.problem = str(problem)
        super().__init__([ipywidgets.HTML(self.static_html())])
        self.add_class("memsim-refusal")

    def static_html(self) -> str:
        """Return the message as HTML that needs no kernel."""
        return (
            f'<div class="memsim-static" role="alert" style="{_BOX}"><b>✗ This scenario cannot be run.</b>'
            f"<br>{escape(self.problem)}<br>Mend it and run this cell again.</div>"
        )

    def __repr__(self) -> str:
        """Return the message as plain text."""
        return f"This scenario cannot be run.\n{self.problem}\nMend it and run this cell again."

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401 (IPython's protocol)
        bundle: dict[str, Any] = super()._repr_mimebundle_(**kwargs)
        bundle["text/plain"] = repr(self)
        bundle["text/html"] = self.static_html()
        return bundle
