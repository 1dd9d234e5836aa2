"""A widget that shows text and says what changes in it.

ipywidgets' own HTML widget replaces its contents whole, which screen readers do not announce. This one
keeps its lines and changes those that are different; they are a live region. It also gives the sliders
and players beside it accessible names, which ipywidgets does not, and the lists to choose from their arrow
keys.

Left out: everything but text.
"""

from __future__ import annotations

import anywidget
import traitlets


class TextTwin(anywidget.AnyWidget):
    """The text of what is shown, in lines of which only those that change are announced."""

    _esm = """
    const PLAYER = {
      "fa-play": "Play", "fa-pause": "Pause", "fa-stop": "Stop, and back to the beginning",
      "fa-retweet": "Repeat",
    };
    function render({ model, el }) {
      const pre = document.createElement("pre");
      pre.className = "memsim-twin";
      pre.tabIndex = 0;
      pre.setAttribute("role", "group");
      pre.setAttribute("aria-label", "The same in text");
      pre.setAttribute("aria-live", "polite");
      pre.setAttribute("aria-atomic", "false");
      el.append(pre);
      const put = () => {
        const lines = model.get("text").split("\\n");
        while (pre.childElementCount > lines.length) pre.lastElementChild.remove();
        lines.forEach((line, i) => {
          const span = pre.children[i] || pre.appendChild(document.createElement("span"));
          if (span.textContent !== line + "\\n") span.textContent = line + "\\n";
        });
        name();
      };
      const name = () => {
        const root = el.closest(".memsim-explorer");
        if (!root) return;
        root.querySelectorAll(".widget-slider").forEach((slider) => {
          const label = slider.querySelector(".widget-label");
          slider.querySelectorAll("[role=slider]").forEach((handle) => {
            handle.setAttribute("aria-label", label ? label.textContent : "Moment");
            handle.setAttribute("aria-valuetext", model.get("moment"));
          });
        });
        // The buttons of a player are icons and nothing else.
        Object.entries(PLAYER).forEach(([icon, label]) => {
          root.querySelectorAll(`.widget-play button:has(.${icon})`).forEach((button) => {
            button.setAttribute("aria-label", label);
          });
        });
        // JupyterLab takes the arrow keys from whatever is not for typing, to move between cells.
        root.querySelectorAll("select").forEach((list) => { list.dataset.lmSuppressShortcuts = "true"; });
      };
      model.on("change:text", put);
      put();
      // The slider may come into the page after this widget.
      const wait = new MutationObserver(name);
      requestAnimationFrame(() => {
        const root = el.closest(".memsim-explorer");
        const what = { childList: true, subtree: true, attributes: true, attributeFilter: ["class"] };
        if (root) wait.observe(root, what);
        name();
      });
      return () => { wait.disconnect(); model.off("change:text", put); };
    }
    export default { render };
    """

    text = traitlets.Unicode().tag(sync=True)
    moment = traitlets.Unicode().tag(sync=True)
