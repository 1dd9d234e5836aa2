"""Base classes of the widgets: a title, controls, a view, and the same in text.

A board also stands in notebooks that are not executed: its stored output is the text twin and a static
figure of its first view, the same for every user and after every interaction. JupyterLab drops style sheets
from stored outputs of notebooks that are not trusted, as every fresh clone is, and keeps the style of single
elements. So a stored form has the rules of its classes in the elements.

Left out: what is shown; each widget has a module for its logic, which needs no ipywidgets.
"""

from __future__ import annotations

import re
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

import anywidget
import ipywidgets
import traitlets

from memsim.view.draw import folded_text
from memsim.view.modules import joined

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from memsim.errors import MemsimError

STATIC = Path(__file__).with_name("static")
_RULE = re.compile(r"^\.([\w-]+)[^{]*\{ (.*?);? \}$", re.MULTILINE)
_CLASSES = re.compile(r'class="([\w -]+)"(?: style="([^"]*)")?')
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
"""The type of an output that is a widget."""
WIDE = {"width": "max-content", "max_width": "100%"}
"""Layout of a control that is as wide as its label and contents."""
LABEL = {"description_width": "initial"}
"""Style of a control whose description is shown whole."""


def view_of(widget: ipywidgets.Widget) -> dict[str, Any]:
    """Return what a front end needs to show a widget."""
    return {WIDGET_VIEW: {"version_major": 2, "version_minor": 1, "model_id": widget.model_id}}


class Stored(ipywidgets.VBox):
    """A widget with a stored form: text, and HTML that needs no kernel and no network."""

    stored_text: str = ""
    stored_html: str = ""

    def html(self) -> str:
        """Return the stored HTML."""
        return self.stored_html

    def __repr__(self) -> str:
        """Return the stored text."""
        return self.stored_text

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401 (IPython's protocol)
        bundle: dict[str, Any] = super()._repr_mimebundle_(**kwargs)
        bundle["text/plain"] = self.stored_text
        bundle["text/html"] = self.stored_html
        return bundle


class Refusal(Stored):
    """A message in place of a view: which step of the scenario is wrong, and which rule it breaks."""

    def __init__(self, problem: MemsimError) -> None:
        """Show what ``problem`` says."""
        self.problem = str(problem)
        self.stored_text = f"This scenario cannot be run.\n{problem}\nMend it and run this cell again."
        first, *rest = map(escape, self.stored_text.split("\n"))
        box = "border: 2px solid #D55E00; padding: 8px 12px; margin: 4px 0"
        self.stored_html = (
            f'<div class="memsim-static" role="alert" style="{box}"><b>✗ {first}</b><br>'
            f"{'<br>'.join(rest)}</div>"
        )
        super().__init__([ipywidgets.HTML(self.stored_html)])
        self.add_class("memsim-refusal")


class KernelWidget(anywidget.AnyWidget):
    """An anywidget that hears its kernel even if its module was slow to load: see ``static/hear.js``.

    Attributes
    ----------
    own_id
        The id of its model, by which the module finds it.
    """

    own_id = traitlets.Unicode().tag(sync=True)

    def __init__(self, **traits: Any) -> None:  # noqa: ANN401 (of any type)
        """Choose the id, which ipywidgets would do otherwise."""
        own_id = uuid4().hex
        super().__init__(model_id=own_id, own_id=own_id, **traits)


class TextTwin(KernelWidget):
    """The text of what is shown, folded; what was just done, for screen readers."""

    _esm = joined(STATIC / "text_twin.js")

    text = traitlets.Unicode().tag(sync=True)
    said = traitlets.Unicode().tag(sync=True)


class Board(Stored):
    """A lab: heading, controls, an answer to the last action, the view, and its text twin.

    Subclasses fill ``answer``, ``sight`` and ``twin`` in a method of their own, and call :meth:`keep` when
    what is shown shall be the stored output.
    """

    note = "Run this notebook to work with it."
    sheets: tuple[Path, ...] = (STATIC / "lab.css",)
    """Style sheets, which come with the live form."""

    def __init__(self, title: str, controls: Sequence[ipywidgets.Widget]) -> None:
        """Put the parts below each other; nothing is shown yet."""
        self.title = title
        self.answer, self.sight, self.twin = ipywidgets.HTML(), ipywidgets.HTML(), TextTwin()
        self.sight.add_class("memsim-view")
        heading = ipywidgets.HTML(f'{sheet(*self.sheets)}<h3 class="memsim-name">{escape(title)}</h3>')
        super().__init__([heading, *controls, self.answer, self.sight, self.twin])
        self.add_class("memsim-board")

    def put(self, answer: str, sight: str, text: str) -> None:
        """Show the answer to the last action, the view (HTML), and the twin."""
        self.answer.value = f'<p class="memsim-answer">{escape(answer)}</p>' if answer else ""
        self.sight.value = sight
        self.twin.said = answer or "\n".join(text.split("\n")[:2])
        self.twin.text = f"{answer}\n\n{text}" if answer else text

    def keep(self, sight: str | None = None) -> None:
        """Make the present view the stored output; ``sight`` replaces the view."""
        self.stored_text = f"{self.title}\n{self.twin.text}"
        self.stored_html = (
            f'<figure class="memsim-static" style="margin: 0"><figcaption><b>{escape(self.title)}</b>'
            f"</figcaption>{self.sight.value if sight is None else sight}<p>{escape(self.note)}</p>"
            f"{folded_text(self.twin.text)}</figure>"
        )


class ScriptLab(Board):
    """A lab with a script of what was done, which can be undone, or done again on another machine.

    Subclasses make the controls, and say in ``taken_down`` what of a moment :meth:`show` compares the next
    one with.
    """

    script: Any
    undo: ipywidgets.Button
    restart: ipywidgets.Button
    release: ipywidgets.Dropdown
    line: ipywidgets.Text
    taken_down: Callable[[Any], Any]
    busy = False
    """Whether a control changes because of what is shown, and not by a reader's hand."""

    def connect(self, do_line: Callable[[str], object]) -> None:
        """Let the controls act; ``do_line`` does what a reader typed."""
        self.undo.on_click(lambda _: self.act(self.script.undo))
        self.restart.on_click(lambda _: self.act(self.script.restart))
        self.release.observe(lambda change: self.anew(release=change["new"]), "value")
        self.line.observe(lambda change: self._typed(do_line, change["new"]), "value")

    def act(self, action: Callable[[], object]) -> None:
        """Do something to the script and show what came of it."""
        before = self.taken_down(self.script)
        action()
        self.show(before)

    def anew(self, **what: Any) -> None:  # noqa: ANN401 (arguments of restart)
        """Do the script again on another machine."""
        if not self.busy:
            self.act(lambda: self.script.restart(keep=True, **what))

    def _typed(self, do_line: Callable[[str], object], text: str) -> None:
        if text:
            self.act(lambda: do_line(text))
            self.line.value = ""

    def show(self, before: Any) -> None:  # noqa: ANN401 (what was taken down of the moment before)
        """Show the present moment."""
        raise NotImplementedError


def more(*rows: ipywidgets.Widget) -> tuple[ipywidgets.Widget, ipywidgets.Widget]:
    """Return a button that shows or hides some rows of controls, and these rows, hidden."""
    shown = ipywidgets.ToggleButton(
        description="More controls", tooltip="Show or hide all other controls", tabbable=True
    )
    rest = ipywidgets.VBox(rows, layout={"display": "none"})
    shown.observe(lambda change: setattr(rest.layout, "display", "" if change["new"] else "none"), "value")
    return shown, rest


def row(*controls: ipywidgets.Widget) -> ipywidgets.HBox:
    """Return controls beside each other, or below where there is no room."""
    return ipywidgets.HBox(
        controls, layout={"flex_flow": "row wrap", "grid_gap": "4px 12px", "overflow": "visible"}
    )


# ---- controls --------------------------------------------------------------------------------------


def button(description: str, tooltip: str) -> ipywidgets.Button:
    """Return a button that Tab reaches."""
    return ipywidgets.Button(description=description, tooltip=tooltip, tabbable=True)


def checkbox(description: str, tooltip: str, *, value: bool = False) -> ipywidgets.Checkbox:
    """Return a box to check."""
    return ipywidgets.Checkbox(
        value=value, description=description, tooltip=tooltip, indent=False, style=LABEL, tabbable=True
    )


def number(description: str, value: int, tooltip: str) -> ipywidgets.IntText:
    """Return a field for a whole number, whatever it is: wrong ones are to be answered, not prevented.

    Tab reaches it anyway; ``tabbable`` would make the box around it a second stop.
    """
    return ipywidgets.IntText(value=value, description=description, tooltip=tooltip, style=LABEL, layout=WIDE)


def text_field(description: str, value: str, tooltip: str, width: str = "16em") -> ipywidgets.Text:
    """Return a line of text that takes effect with Enter."""
    return ipywidgets.Text(
        value=value,
        description=description,
        tooltip=tooltip,
        continuous_update=False,
        style=LABEL,
        layout={"width": width},
        tabbable=True,
    )


def choice(
    description: str, options: Sequence[Any], tooltip: str, value: object = None
) -> ipywidgets.Dropdown:
    """Return a list to choose from."""
    control = ipywidgets.Dropdown(
        options=options, description=description, tooltip=tooltip, style=LABEL, layout=WIDE, tabbable=True
    )
    if value is not None:
        control.value = value
    return control


def offer_blocks(control: ipywidgets.Dropdown, blocks: Sequence[int], wanted: int | None) -> None:
    """Offer the memory blocks that there are now: the one that is shown stays, or ``wanted`` is chosen."""
    wanted = control.value or wanted
    control.options = [(str(block), block) for block in blocks] or [("none", None)]
    control.index = blocks.index(wanted) if wanted in blocks else 0
    control.disabled = not blocks


# ---- without a kernel ------------------------------------------------------------------------------


class Stop(NamedTuple):
    """What is to be seen after a step: the answer, the view as HTML and as text, and the picture's state."""

    said: str
    sight: str
    text: str
    picture: dict[str, Any] | None = None


def tour(title: str, stops: list[Stop], start: int) -> dict[str, Any]:
    """Return what the browser needs to show a tour, which begins at the stop ``start``."""
    return {"title": title, "start": start, "stops": [stop._asdict() for stop in stops]}


# ---- style sheets ----------------------------------------------------------------------------------


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
