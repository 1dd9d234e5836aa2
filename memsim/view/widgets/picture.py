"""Two small widgets of our own: a map on which a cell can be chosen, and a pane that shows a marked line.

A map is an ``<img>`` of a palette PNG, which takes 1 ms to draw and 10 KiB to send; a FigureWidget takes ten
times as long, for it turns arrays into lists. Both widgets are here in full and ask no network.

Left out: what is on the map; that is :mod:`memsim.view.draw.page_map` and
:mod:`memsim.view.draw.machine_map`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import anywidget
import traitlets

if TYPE_CHECKING:
    from memsim.view.draw.page_map import Geometry


class PictureMap(anywidget.AnyWidget):
    """A map and a frame on it that moves to another cell: by arrow keys, or to where one clicks.

    Attributes
    ----------
    source
        The picture, as a ``data:`` address.
    alt
        What it shows, in words.
    at
        The cell that is chosen.
    told
        The chosen cell in words.
    """

    _esm = """
    function render({ model, el }) {
      const box = document.createElement("div");
      box.className = "memsim-picture";
      const image = document.createElement("img");
      const frame = document.createElement("div");
      frame.className = "memsim-frame";
      frame.tabIndex = 0;
      frame.setAttribute("role", "slider");
      frame.setAttribute("aria-valuemin", "0");
      // What stands here is ours: JupyterLab shall not take arrow keys for moves between cells.
      box.setAttribute("data-lm-suppress-shortcuts", "true");
      box.append(image, frame);
      el.append(box);
      const shape = () => {
        const g = model.get("geometry");
        const size = g.tile_rows * g.tile_columns;
        const rows = Math.ceil(g.count / size / g.columns);
        const wide = g.tile_columns * g.cell + g.gap, high = g.tile_rows * g.cell + g.gap;
        return { ...g, size, wide, high, width: g.columns * wide + g.gap, height: rows * high + g.gap,
                 across: g.columns * g.tile_columns, down: rows * g.tile_rows };
      };
      const place = (s, at) => {
        const tile = Math.floor(at / s.size), inside = at % s.size;
        return { x: (tile % s.columns) * s.tile_columns + inside % s.tile_columns,
                 y: Math.floor(tile / s.columns) * s.tile_rows + Math.floor(inside / s.tile_columns) };
      };
      const number = (s, x, y) => {
        const tile = Math.floor(y / s.tile_rows) * s.columns + Math.floor(x / s.tile_columns);
        return tile * s.size + (y % s.tile_rows) * s.tile_columns + x % s.tile_columns;
      };
      const draw = () => {
        image.src = model.get("source");
        image.alt = model.get("alt");
      };
      const mark = () => {
        const s = shape(), { x, y } = place(s, model.get("at"));
        const left = x * s.cell + (Math.floor(x / s.tile_columns) + 1) * s.gap;
        const top = y * s.cell + (Math.floor(y / s.tile_rows) + 1) * s.gap;
        frame.style.left = `${100 * left / s.width}%`;
        frame.style.top = `${100 * top / s.height}%`;
        frame.style.width = `${100 * s.cell / s.width}%`;
        frame.style.height = `${100 * s.cell / s.height}%`;
        frame.setAttribute("aria-label", model.get("label"));
        frame.setAttribute("aria-valuemax", `${s.count - 1}`);
        frame.setAttribute("aria-valuenow", `${model.get("at")}`);
        frame.setAttribute("aria-valuetext", model.get("told"));
        frame.title = model.get("told");
      };
      const choose = (at) => {
        model.set("at", Math.min(Math.max(at, 0), shape().count - 1));
        model.save_changes();
      };
      frame.addEventListener("keydown", (event) => {
        const s = shape(), { x, y } = place(s, model.get("at"));
        const bound = (value, most) => Math.min(Math.max(value, 0), most - 1);
        const to = { ArrowLeft: [x - 1, y], ArrowRight: [x + 1, y], ArrowUp: [x, y - 1],
                     ArrowDown: [x, y + 1],
                     PageUp: [x, y - s.tile_rows], PageDown: [x, y + s.tile_rows],
                     Home: [0, 0], End: [s.across - 1, s.down - 1] }[event.key];
        if (!to || event.ctrlKey || event.altKey || event.metaKey) return;
        event.preventDefault();
        event.stopPropagation();
        if (event.key === "End") choose(s.count - 1);
        else choose(number(s, bound(to[0], s.across), bound(to[1], s.down)));
      });
      box.addEventListener("click", (event) => {
        const s = shape(), seen = image.getBoundingClientRect();
        const put = (at, size, most, cells, step) => {
          const pixel = at * size, tile = Math.min(Math.floor(pixel / step), Math.ceil(most / cells) - 1);
          const cell = Math.floor((pixel - tile * step - s.gap) / s.cell);
          return Math.min(tile * cells + Math.min(Math.max(cell, 0), cells - 1), most - 1);
        };
        const x = put((event.clientX - seen.left) / seen.width, s.width, s.across, s.tile_columns, s.wide);
        const y = put((event.clientY - seen.top) / seen.height, s.height, s.down, s.tile_rows, s.high);
        choose(number(s, x, y));
        frame.focus();
      });
      model.on("change:source change:alt", draw);
      model.on("change:at change:told change:label change:geometry", mark);
      draw();
      mark();
      return () => { model.off("change:source change:alt", draw);
                     model.off("change:at change:told change:label change:geometry", mark); };
    }
    export default { render };
    """

    source = traitlets.Unicode().tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)
    geometry = traitlets.Dict().tag(sync=True)
    at = traitlets.Int().tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)
    told = traitlets.Unicode().tag(sync=True)

    def __init__(self, geometry: Geometry, label: str) -> None:
        """Make a map of cells that are where ``geometry`` says; ``label`` says what is chosen on it."""
        super().__init__(geometry=asdict(geometry), label=label)


class Pane(anywidget.AnyWidget):
    """HTML in a box of its own that scrolls so that what has the class ``memsim-here`` can be seen."""

    _esm = """
    function render({ model, el }) {
      const box = document.createElement("div");
      box.className = "memsim-pane";
      box.tabIndex = 0;
      box.setAttribute("role", "region");
      box.setAttribute("aria-label", model.get("label"));
      // JupyterLab would take the arrow keys, which scroll it, for moves between cells.
      box.setAttribute("data-lm-suppress-shortcuts", "true");
      el.append(box);
      const put = () => {
        box.innerHTML = model.get("html");
        const here = box.querySelector(".memsim-here");
        box.scrollTop = here ? here.offsetTop - box.offsetTop - box.clientHeight / 3 : 0;
      };
      model.on("change:html", put);
      put();
      requestAnimationFrame(put);
      return () => model.off("change:html", put);
    }
    export default { render };
    """

    html = traitlets.Unicode().tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)
