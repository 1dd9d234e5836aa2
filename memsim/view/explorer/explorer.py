"""The explorer: two kernels side by side, on one screen, to move through moment by moment.

Python sends the comparison once (:mod:`memsim.view.explorer.export`); the modules in ``static/`` replay it in
the browser, and no message goes to the kernel while the reader moves. The same modules with the same data are
the explorers of the web site.

Left out: moments that only one of the kernels passes.
"""

from __future__ import annotations

from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import traitlets

from memsim.errors import BadScenario, MemsimError
from memsim.patch import Patch
from memsim.scenario.moments import BOOT, DONE
from memsim.view.draw import data_uri, folded_text, map_svg
from memsim.view.explorer import bundle
from memsim.view.explorer.export import export, packed
from memsim.view.explorer.inputs import comparison_of, default_block, recordings_of
from memsim.view.explorer.timeline import Walk
from memsim.view.explorer.words import shortened
from memsim.view.lab import KernelWidget, Refusal
from memsim.view.model.page_class import class_counts
from memsim.view.model.text import SIDES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memsim.recordings.observation import Observation
    from memsim.scenario.comparison import Comparison
    from memsim.view.explorer.inputs import Given
    from memsim.view.explorer.snapshot import Side, Sight

_NOTE = "Run this notebook to move through the moments."
_WALKS: WeakValueDictionary[tuple[int, ...], Walk] = WeakValueDictionary()
"""The walks that explorers show, by the ids of what they hold: a cell that is run again finds its own."""


class Explorer(KernelWidget):
    """A comparison to move through: timeline, maps, the code that acted, counters, the life of a page, text.

    Attributes
    ----------
    walk
        The moments (``walk.moments``), and ``walk.find(step, point)`` for the index of one.
    packed
        What the browser is sent.
    fragment
        Where to go, as in an address: ``moment=22&block=32&page=0x100233``. The browser does not answer.
    """

    _esm = bundle.widget()
    _css = bundle.read("explorer.css")
    packed = traitlets.Bytes().tag(sync=True)
    fragment = traitlets.Unicode().tag(sync=True)

    def __init__(self, walk: Walk, *, title: str = "", start: int = 0) -> None:
        """Show the moment ``start`` first; it is also what a notebook without a kernel shows."""
        self.walk = walk
        self.title = title or default_title(walk)
        self.note = shortened(walk.comparison)
        self.start = start
        super().__init__(packed=sent(walk, self.title, self.note, start))
        self.on_msg(self._asked)

    def go(self, index: int) -> None:
        """Show a moment by its index; beyond the ends the first or the last one."""
        self.fragment = f"moment={min(max(index, 0), len(self.walk.moments) - 1)}"

    def look_at(self, block: int) -> None:
        """Show the pages of another memory block; MemsimError if there never is such a block."""
        self.walk.check_block(block)
        at = self.fragment or f"moment={self.start}"
        self.fragment = f"{at.partition('&')[0]}&block={block}"

    def text(self, index: int) -> str:
        """Return a moment as text."""
        return self.walk.look(index).twin(self.walk.zone_of_block())

    def without(self, hunks: Patch) -> bytes:
        """Return what the browser is sent of the walk whose second kernel lacks these hunks."""
        walk = self.walk.without(hunks)
        return sent(walk, self.title, shortened(walk.comparison), 0)

    def _asked(self, _widget: object, message: dict[str, Any], _buffers: object) -> None:
        """Send what only a kernel has: a walk without some hunks, or plotly, which weighs 5 MB."""
        try:
            answer = self.without(Patch(message["without"])) if "without" in message else _plotly()
        except MemsimError as problem:
            self.send({**message, "problem": str(problem)})
        else:
            self.send(message, [answer])

    # ---- without a kernel --------------------------------------------------------------------

    @cached_property
    def stored_text(self) -> str:
        """The first moment as text."""
        return "\n".join(filter(None, (self.title, self.note, self.text(self.start))))

    @cached_property
    def stored_html(self) -> str:
        """The first moment as HTML: the same on every machine, and after any movement."""
        note = f"{self.note} {_NOTE}".lstrip()
        return stored_html(self.walk.look(self.start), self.title, note, self.text(self.start))

    def __repr__(self) -> str:
        """Return the stored text."""
        return self.stored_text

    def _repr_mimebundle_(  # IPython's protocol
        self,
        **kwargs: Any,  # noqa: ANN401
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        return {**data, "text/plain": self.stored_text, "text/html": self.stored_html}, metadata


def _plotly() -> bytes:
    try:
        from plotly.offline import get_plotlyjs  # noqa: PLC0415 (slow, and not everywhere)
    except ImportError:
        msg = "plotly is not installed here"
        raise MemsimError(msg) from None
    return str(get_plotlyjs()).encode()


def default_title(walk: Walk) -> str:
    """Return a title that says what is compared."""
    names = tuple(walk.runs)
    if names == SIDES:
        return f"Memory block {walk.block}"
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
    :class:`~memsim.view.lab.Refusal` in its place, which names the step and the rule;
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
    walk = walk_of(comparison, chosen, recordings_of(comparison) if recordings is None else recordings)
    if isinstance(start, int):
        # The walk has more moments than the comparison, so that the same one has another index there.
        return Explorer(walk, title=title, start=walk.moments.index(comparison.moments[start]))
    return Explorer(walk, title=title, start=walk.find(*start))


def walk_of(comparison: Comparison, block: int, recordings: Sequence[Observation]) -> Walk:
    """Return the walk that an explorer shows of the same comparison, block and recordings, or a new one."""
    same = (id(comparison), block, *map(id, recordings))
    walk = _WALKS.get(same)
    if walk is None:
        walk = _WALKS[same] = Walk(comparison, block, recordings)
    return walk


def sent(walk: Walk, title: str, note: str, start: int) -> bytes:
    """Return what a browser is sent of a walk, which keeps it for the next explorer of the same."""
    what = (title, note, start)
    if what not in walk.sent:
        walk.sent = {what: packed(export(walk, title=title, note=note, start=start))}
    return walk.sent[what]


def stored_html(sight: Sight, title: str, note: str, twin: str) -> str:
    """Return a moment as HTML for a notebook that is not executed; the same on every machine."""
    maps = "".join(_side_html(side) for side in sight.sides)
    return (
        f'<figure class="memsim-static" style="margin: 0"><figcaption><b>{escape(title)}</b></figcaption>'
        f"<p>{escape(sight.heading)}<br>{escape(sight.happening)}</p>{maps}"
        f"<p>{escape(sight.differs)} {escape(note)}</p>"
        f"{folded_text(twin)}</figure>"
    )


def _side_html(side: Side) -> str:
    alt = f"Page map {side.title[0].lower()}{side.title[1:]}: {side.page_map.sentence}"
    picture = data_uri(map_svg(side.page_map.classes, side.page_map.heads))
    counts = ", ".join(
        f"{number:,} {kind.label} ({kind.letter})"
        for kind, number in class_counts(side.page_map.classes).items()
    )
    return (
        '<div style="display: inline-block; vertical-align: top; margin: 0 16px 4px 0">'
        f"<b>{escape(side.title)}</b>"
        f'<img alt="{escape(alt)}" src="{picture}" style="display: block">'
        f"{escape(counts)}</div>"
    )
