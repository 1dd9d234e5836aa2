// The text of what is shown, folded. What was just done is announced; so is nothing else, for the text is long.

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
  const put = () => {
    said.textContent = model.get("said");
    text.textContent = model.get("text");
    // JupyterLab takes the arrow keys from whatever is not for typing, to move between cells.
    for (const list of el.closest(".memsim-board")?.querySelectorAll("select") ?? [])
      list.dataset.lmSuppressShortcuts = "true";
  };
  model.on("change:text", put);
  const frame = requestAnimationFrame(put); // when all lists are on the page
  return () => {
    cancelAnimationFrame(frame);
    model.off("change:text", put);
  };
}

export default { render };
