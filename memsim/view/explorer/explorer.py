"""The explorer: a slider over the moments of a comparison, and all that there is to see at each.

Maps are not plotly figures but small widgets of our own around an ``<img>``
(:mod:`memsim.view.widgets.picture`): a
map takes 1 ms to draw and 10 KiB to send this way, it can have an alternative text and a frame that arrow
keys move, and only what has changed is sent.

Left out: moments that only one of the kernels passes.
"""

from __future__ import annotations

from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets

from memsim.errors import BadScenario, MemsimError
from memsim.view.draw.machine_map import kind_label, machine_png, machine_sentence
from memsim.view.draw.markup import classes_in, legend_html, map_source, static_html
from memsim.view.draw.png import data_uri
from memsim.view.explorer.code_pane import code_html
from memsim.view.explorer.controls import ELSEWHERE, Controls, SideView
from memsim.view.explorer.inputs import comparison_of, default_block, recordings_of
from memsim.view.explorer.panels import (
    STYLE,
    happening_html,
    map_alt,
    recorded_html,
    says_html,
    story_html,
    tables_html,
)
from memsim.view.explorer.story import Storyteller, story_text
from memsim.view.explorer.timeline import Walk
from memsim.view.model.moments import BOOT, DONE, SIDES, moment_name, shortened
from memsim.view.model.page_class import CLASSES, PageClass
from memsim.view.widgets.lab import Stored
from memsim.view.widgets.picture import Pane
from memsim.view.widgets.refusal import Refusal
from memsim.view.widgets.text_twin import TextTwin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memsim.recordings.observation import Observation
    from memsim.view.explorer.inputs import Given
    from memsim.view.explorer.snapshot import Sight

MOST_SAMPLES = 60
"""The legend has the classes that occur at the moments with names, unless there are more of these."""


class Explorer(Stored):
    """A comparison to move through: controls, maps, code, tables, the story of a page, text twin.

    Attributes
    ----------
    walk
        The moments (``walk.moments``), and ``walk.find(step, point)`` for the index of one.
    controls
        The controls by name, such as ``controls.over``.
    """

    def __init__(self, walk: Walk, *, title: str = "", start: int = 0) -> None:
        """Show the moment ``start`` first; it is also what a notebook without a kernel shows."""
        self.walk = walk
        self.title = title or default_title(walk)
        self.shortened = shortened(walk.comparison)
        self.start = start
        self.controls = Controls(walk, start)
        self.storyteller = Storyteller(walk)
        self.happening, self.tables, self.recorded, self.differs = (ipywidgets.HTML() for _ in range(4))
        self.sides = {side.name: SideView(walk, side.title) for side in walk.look(start).sides}
        self.code = Pane(label="Source of the function that is being executed")
        self.story = Pane(label="The story of one page")
        self.twin = TextTwin()
        self._keep()
        super().__init__(self._parts())
        self.add_class("memsim-explorer")
        self._connect()
        self._show()

    def _parts(self) -> list[ipywidgets.Widget]:
        sides = ipywidgets.HBox(
            [view.box for view in self.sides.values()],
            layout={"flex_flow": "row wrap", "grid_gap": "16px", "overflow": "visible"},
        )
        return [
            ipywidgets.HTML(f"{STYLE}<h3>{escape(self.title)}</h3>{escape(self.shortened)}"),
            *self.controls.rows,
            self.happening,
            sides,
            ipywidgets.HTML(legend_html(self._classes(), blocks=True)),
            self.differs,
            self.code,
            self.tables,
            self.recorded,
            self.story,
            self.twin,
        ]

    def _connect(self) -> None:
        controls = self.controls
        controls.slider.observe(self._show, "value")
        controls.zone.observe(self._show, "value")
        controls.jump.observe(self._jumped, "value")
        controls.block.observe(self._block_typed, "value")
        controls.page.observe(self._show_page, "value")
        ipywidgets.link((controls.play, "value"), (controls.slider, "value"))
        controls.back.on_click(lambda _: self.go(self.index - 1))
        controls.forth.on_click(lambda _: self.go(self.index + 1))
        controls.over.on_click(lambda _: self.go(self.walk.steps.over(self.index)))
        controls.out.on_click(lambda _: self.go(self.walk.steps.out(self.index)))
        controls.difference.on_click(self._next_difference)
        for view in self.sides.values():
            view.pages.observe(self._page_chosen, "at")
            view.machine.observe(self._block_chosen, "at")

    # ---- moving ------------------------------------------------------------------------------

    @property
    def index(self) -> int:
        """The moment that is shown."""
        value: int = self.controls.slider.value
        return value

    def go(self, index: int) -> None:
        """Show a moment by its index; beyond the ends the first or the last one."""
        self.controls.slider.value = min(max(index, 0), len(self.walk.moments) - 1)

    def _jumped(self, change: dict[str, Any]) -> None:
        if change["new"] != ELSEWHERE:
            self.go(change["new"])

    def _next_difference(self, _button: object) -> None:
        found = self.walk.next_difference(self.index)
        if found is None:
            self._say("No other difference follows among the next moments.")
        else:
            self.go(found)

    def _say(self, words: str) -> None:
        self.differs.value = f'<p role="status" style="margin: 4px 0"><b>{escape(words)}</b></p>'

    # ---- choosing a block and a page ---------------------------------------------------------

    def look_at(self, block: int) -> None:
        """Show the pages of another memory block; MemsimError if there never is such a block."""
        self.walk.check_block(block)
        self.walk.block = block
        self.controls.block.value = block
        self.controls.page.value = f"{block * self.walk.block_pages:#x}"
        self._show()

    def _block_typed(self, change: dict[str, Any]) -> None:
        if change["new"] == self.walk.block:
            return
        try:
            self.look_at(change["new"])
        except MemsimError as problem:
            self._say(str(problem))

    def _block_chosen(self, change: dict[str, Any]) -> None:
        block = self.walk.blocks[min(change["new"], len(self.walk.blocks) - 1)]
        if block != self.walk.block:
            self.look_at(block)

    def _page_chosen(self, change: dict[str, Any]) -> None:
        self.controls.page.value = f"{self.walk.block * self.walk.block_pages + change['new']:#x}"

    def _page(self) -> int | None:
        """Return the pfn whose story is told, or None if what was typed is none."""
        try:
            return self.storyteller.pfn(self.controls.page.value)
        except MemsimError:
            return None

    # ---- showing -----------------------------------------------------------------------------

    def _show(self, _change: object = None) -> None:
        sight, zone = self.walk.look(self.index), self.controls.zone.value
        self._show_where(sight)
        for side in sight.sides:
            view = self.sides[side.name]
            view.pages.source = map_source(side.page_map.classes, side.page_map.heads)
            view.pages.alt = map_alt(side)
            view.machine.source = machine_source(side.kinds.tobytes())
            view.machine.alt = f"Map of the machine: {machine_sentence(sight.blocks, side.kinds)}"
            view.says.value = says_html(side)
        self.happening.value = happening_html(sight)
        self.code.html = code_html(sight)
        self.tables.value = tables_html(sight, zone)
        self.recorded.value = recorded_html(sight)
        self._say(sight.differs)
        self._show_page()

    def _show_where(self, sight: Sight) -> None:
        """Make the controls say which moment is shown."""
        controls = self.controls
        named = self.index in dict(controls.jump.options).values()
        controls.jump.value = self.index if named else ELSEWHERE
        controls.back.disabled = self.index == 0
        last = self.index == len(self.walk.moments) - 1
        for control in (controls.forth, controls.over, controls.out, controls.difference):
            control.disabled = last
        self.twin.moment = f"{self.index}, {moment_name(self.walk.moments[sight.index])}"

    def _show_page(self, _change: object = None) -> None:
        """Tell the story of the chosen page, and put the frames on the maps where it is."""
        sight, text = self.walk.look(self.index), self.controls.page.value
        try:
            pfn = self.storyteller.pfn(text)
            stories = self.storyteller.tell(pfn, self.index)
        except MemsimError as problem:
            self.story.html = f'<p role="status"><b>{escape(str(problem))}</b></p>'
            self.twin.text = sight.twin(self.controls.zone.value, str(problem))
            return
        self._frame(sight, pfn)
        self.story.html = story_html(pfn, stories)
        self.twin.text = sight.twin(self.controls.zone.value, story_text(pfn, stories))

    def _frame(self, sight: Sight, pfn: int) -> None:
        """Put the frames of all maps where a page is, or at the first of what is shown."""
        block = self.walk.block
        at = pfn - block * self.walk.block_pages
        at = at if 0 <= at < self.walk.block_pages else 0
        place = sight.blocks.index(block)
        for side in sight.sides:
            view = self.sides[side.name]
            kind = PageClass(int(side.page_map.classes[at]))
            view.pages.at, view.machine.at = at, place
            view.pages.told = f"pfn {block * self.walk.block_pages + at:#x}, {kind.label} ({kind.letter})"
            view.machine.told = f"block {block}, {kind_label(int(side.kinds[place]))}"

    def _classes(self) -> list[PageClass]:
        """Return the classes that occur at any moment with a name."""
        named = self.walk.named()
        if len(named) > MOST_SAMPLES:
            return list(CLASSES)
        sides = [side for _, index in named for side in self.walk.look(index).sides]
        maps = [side.page_map.classes for side in sides]
        maps += [r.page_map.classes for side in sides if (r := side.recorded) and r.page_map]
        return classes_in(maps)

    # ---- without a kernel --------------------------------------------------------------------

    def _keep(self) -> None:
        """Make the first moment the stored output: the same whoever runs it, whatever is moved later."""
        sight = self.walk.look(self.start)
        maps = {
            side.title: (side.page_map.classes, side.page_map.heads, map_alt(side)) for side in sight.sides
        }
        twin = sight.twin(self.walk.zone_of_block())
        note = f"{self.shortened} Run this notebook to move through the moments.".lstrip()
        self.stored_text = "\n".join(filter(None, (self.title, self.shortened, twin)))
        self.stored_html = static_html(maps, twin, self.title, note=note)


@lru_cache(maxsize=64)
def machine_source(kinds: bytes) -> str:
    """Return the address of a machine's map; from one moment to the next most stay the same."""
    return data_uri(machine_png(kinds))


def default_title(walk: Walk) -> str:
    """Return a title that says what is compared."""
    names = tuple(walk.runs)
    if names == SIDES:
        return f"Memory block {walk.block}, before and after the patch"
    return f"Memory block {walk.block}, two kernels: {', '.join(names)}"


def explore(
    what: Given,
    *,
    block: int | None = None,
    recordings: Sequence[Observation] | None = None,
    title: str = "",
    start: int | tuple[int, str] = (BOOT, DONE),
) -> Explorer | Refusal:
    """Return an explorer of a scenario before and after the patch.

    A scenario that breaks the format is answered by a
    :class:`~memsim.view.widgets.refusal.Refusal` in its place, which names the step and the rule;
    nothing is raised.

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
