"""The explorer: a slider over the moments of a comparison, and all that there is to see at each.

Page maps are ``<img>`` in an HTML widget, not plotly pictures: a map takes 1 ms to draw and 15 KiB to send
this way, it can have an alternative text, and it works without any JavaScript of ours.

Left out: pictures of several blocks at once, and moments that only one of the kernels passes.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets

from memsim.errors import BadScenario
from memsim.view.markup import classes_in, legend_html, static_html
from memsim.view.material import comparison_of, default_block, recordings_of
from memsim.view.moments import BOOT, DONE, SIDES, moment_name
from memsim.view.panels import STYLE, happening_html, map_alt, maps_html, recorded_html, tables_html
from memsim.view.refusal import Refusal
from memsim.view.text_twin import TextTwin
from memsim.view.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memsim.observation import Observation
    from memsim.view.material import Given

ELSEWHERE = -1
"""Value of "Jump to" while the slider is at a moment without a name."""


class Explorer(ipywidgets.VBox):
    """A comparison to move through: slider, buttons, page maps, tables, text twin.

    Attributes
    ----------
    walk
        The moments (``walk.moments``), and ``walk.find(step, point)`` for the index of one.
    """

    def __init__(self, walk: Walk, *, title: str = "", start: int = 0) -> None:
        """Show the moment ``start`` first; it is also what a notebook without a kernel shows."""
        self.walk = walk
        self.title = title or default_title(walk)
        self.start = start
        self._make_controls()
        self.happening, self.maps, self.tables, self.recorded = (ipywidgets.HTML() for _ in range(4))
        self.twin = TextTwin()
        super().__init__(
            [
                ipywidgets.HTML(f"{STYLE}<h3>{escape(self.title)}</h3>"),
                _row(self.back, self.forth, self.slider),
                _row(self.jump, self.zone),
                self.happening,
                self.maps,
                ipywidgets.HTML(legend_html(self._classes())),
                self.tables,
                self.recorded,
                self.twin,
            ]
        )
        self.add_class("memsim-explorer")
        self._connect()
        self.go(start)
        self._show()

    # ---- controls ----------------------------------------------------------------------------

    def _make_controls(self) -> None:
        last = len(self.walk.moments) - 1
        self.slider = ipywidgets.IntSlider(
            value=self.start,
            max=last,
            description="Moment",
            tooltip="The moment that is shown; arrow keys move by one, Page Up and Page Down by more",
            continuous_update=True,
            layout={"flex": "1 1 300px", "width": "auto", "min_width": "250px"},
        )
        self.back = ipywidgets.Button(description="◀ Previous", tooltip="Show the moment before this one")
        self.forth = ipywidgets.Button(description="Next ▶", tooltip="Show the moment after this one")
        self.jump = ipywidgets.Dropdown(
            options=[("(a moment without a name)", ELSEWHERE), *self.walk.named()],
            description="Jump to",
            tooltip="Go to a moment with a name; 'recorded': there is a recording of a real kernel",
            layout={"width": "max-content", "max_width": "100%"},
        )
        self.zone = ipywidgets.Dropdown(
            options=self.walk.zones(),
            value=self.walk.zone_of_block(),
            description="Free lists of zone",
            tooltip="The zone whose free lists are shown",
            layout={"width": "max-content", "max_width": "100%"},
        )

    def _connect(self) -> None:
        self.slider.observe(self._show, "value")
        self.zone.observe(self._show, "value")
        self.jump.observe(self._jumped, "value")
        self.back.on_click(lambda _: self.go(self.index - 1))
        self.forth.on_click(lambda _: self.go(self.index + 1))

    def _jumped(self, change: dict[str, Any]) -> None:
        if change["new"] != ELSEWHERE:
            self.slider.value = change["new"]

    @property
    def index(self) -> int:
        """The moment that is shown."""
        value: int = self.slider.value
        return value

    def go(self, index: int) -> None:
        """Show a moment by its index; beyond the ends the first or the last one."""
        self.slider.value = min(max(index, 0), len(self.walk.moments) - 1)

    # ---- showing -----------------------------------------------------------------------------

    def _show(self, _change: object = None) -> None:
        sight = self.walk.look(self.index)
        names = dict(self.jump.options).values()
        self.jump.value = self.index if self.index in names else ELSEWHERE
        self.back.disabled = self.index == 0
        self.forth.disabled = self.index == len(self.walk.moments) - 1
        self.happening.value = happening_html(sight)
        self.maps.value = maps_html(sight)
        self.tables.value = tables_html(sight, self.zone.value)
        self.recorded.value = recorded_html(sight)
        self.twin.moment = f"{self.index}, {moment_name(self.walk.moments[self.index])}"
        self.twin.text = sight.twin(self.zone.value)

    def _classes(self) -> list[Any]:
        """Return the classes that occur at any moment with a name."""
        sides = [side for _, index in self.walk.named() for side in self.walk.look(index).sides]
        maps = [side.page_map.classes for side in sides]
        maps += [r.page_map.classes for side in sides if (r := side.recorded) and r.page_map]
        return classes_in(maps)

    # ---- without a kernel --------------------------------------------------------------------

    def __repr__(self) -> str:
        """Return the text twin of the first moment: the same whoever runs it, whatever was moved."""
        return f"{self.title}\n{self.walk.look(self.start).twin(self.walk.zone_of_block())}"

    def static_html(self) -> str:
        """Return the first moment as a figure that needs no kernel."""
        sight = self.walk.look(self.start)
        maps = {
            side.title: (side.page_map.classes, side.page_map.heads, map_alt(side)) for side in sight.sides
        }
        twin = sight.twin(self.walk.zone_of_block())
        return static_html(maps, twin, self.title, note="Run this notebook to move through the moments.")

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401 (IPython's protocol)
        bundle: dict[str, Any] = super()._repr_mimebundle_(**kwargs)
        bundle["text/plain"] = repr(self)
        bundle["text/html"] = self.static_html()
        return bundle


def default_title(walk: Walk) -> str:
    """Return a title that says what is compared."""
    names = tuple(walk.runs)
    if names == SIDES:
        return f"Memory block {walk.block}, before and after the patch"
    return f"Memory block {walk.block}, two kernels: {', '.join(names)}"


def _row(*controls: ipywidgets.Widget) -> ipywidgets.HBox:
    """Return controls beside each other, or below where there is no room."""
    return ipywidgets.HBox(
        controls, layout={"flex_flow": "row wrap", "grid_gap": "4px 12px", "overflow": "visible"}
    )


def explore(
    what: Given,
    *,
    block: int | None = None,
    recordings: Sequence[Observation] | None = None,
    title: str = "",
    start: int | tuple[int, str] = (BOOT, DONE),
) -> Explorer | Refusal:
    """Return an explorer of a scenario before and after the patch.

    A scenario that breaks the format is answered by a :class:`~memsim.view.refusal.Refusal` in its place,
    which names the step and the rule; nothing is raised.

    Parameters
    ----------
    what
        A scenario, the path of a scenario file, or the dict that such a file holds, which is then run on
        both kernels; or a comparison.
    block
        The memory block whose pages are shown; the first hot-added one unless given.
    recordings
        Recordings of the same steps on real kernels, at most one for each side; unless given, those
        bundled with memsim that fit.
    title
        The heading.
    start
        The moment to show first: its index among the comparison's moments, or its step and point, such
        as ``(1, "enter:generic_online_page#3")``. A notebook without a kernel shows this one.
    """
    try:
        comparison = comparison_of(what)
        chosen = default_block(comparison) if block is None else block
    except BadScenario as problem:
        return Refusal(problem)
    walk = Walk(comparison, chosen, recordings_of(comparison) if recordings is None else recordings)
    if isinstance(start, int):
        # The walk has more moments than the comparison, so that the same one has another index there.
        return Explorer(walk, title=title, start=walk.moments.index(comparison.moments[start]))
    return Explorer(walk, title=title, start=walk.find(*start))
