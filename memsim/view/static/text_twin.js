// The text of what is shown, folded. What was just done is announced; so is nothing else, for the text is long.

import { hear } from "./hear.js";

function render({ model, el }) {
  const said = document.createElement("p");
  said.className = "memsim-heard";
  said.setAttribute("role", "status");
  const summary = document.createElement("summary"),
    text = document.createElement("pre"),
    fold = document.createElement("details");
  summary.textContent = "The same in text";
  text.className = "memsim-twin";
  fold.append(summary, text);
  el.append(said, fold);
  el.classList.add("memsim-text");
  text.tabIndex = 0; // it scrolls
  const board = () => el.closest(".memsim-board");
  // A view that scrolls is a stop for Tab.
  const reach = () => {
    const view = board()?.querySelector(".memsim-view");
    if (!view) return;
    const scrolls = view.scrollHeight > view.clientHeight;
    for (const [name, value] of Object.entries({ tabindex: 0, role: "region", "aria-label": "What the lab shows" }))
      if (scrolls) view.setAttribute(name, value);
      else view.removeAttribute(name);
  };
  const sizes = new ResizeObserver(reach);
  const put = () => {
    said.textContent = model.get("said");
    text.textContent = model.get("text");
    // JupyterLab takes the arrow keys from whatever is not for typing, to move between cells.
    for (const list of board()?.querySelectorAll("select, .memsim-view") ?? [])
      list.dataset.lmSuppressShortcuts = "true";
    reach();
  };
  model.on("change:text", put);
  hear(model);
  const frame = requestAnimationFrame(() => {
    put(); // when all lists are on the page
    for (const part of board()?.querySelectorAll(".memsim-view, .memsim-view .widget-html-content") ?? [])
      sizes.observe(part);
  });
  return () => {
    cancelAnimationFrame(frame);
    sizes.disconnect();
    model.off("change:text", put);
  };
}

export default { render };
