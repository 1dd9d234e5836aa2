// What the pages of the book do besides showing text: the data of explorers is fetched, words wrap, and what scrolls
// can be reached.

"use strict";

const ROOT = new URL("explorers/", document.currentScript.src);

// A line of words wraps where it is too long; columns that have no room keep their places, and scroll.
const COLUMNS = /\S {2,}\S/;

function wrap() {
  const longest = (lines) => Math.max(0, ...lines.map((line) => line.length));
  for (const box of document.querySelectorAll("article .output pre")) {
    box.classList.remove("memsim-words");
    if (box.scrollWidth <= box.clientWidth) continue;
    const lines = box.textContent.split("\n"),
      columns = longest(lines.filter((line) => COLUMNS.test(line)));
    const room = columns * (box.scrollWidth / longest(lines));
    box.classList.toggle("memsim-words", room <= box.clientWidth);
  }
}

// What scrolls sideways can be reached by Tab; what does not is no stop.
function reach() {
  for (const box of document.querySelectorAll("article .output pre, article .highlight pre, .table-wrapper")) {
    if (box.closest(".memsim-explore")) continue;
    if (box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}

// Who comes from a hit of the search is led to the first highlight of the page that is not in folded code, not to its top.
const searched = localStorage.getItem("sphinx_highlight_terms") && !location.hash;
function showHighlight() {
  if (!searched) return;
  setTimeout(() => {
    const all = [...document.querySelectorAll("article span.highlighted")];
    all.find((each) => !each.closest("details:not([open])"))?.scrollIntoView({ block: "center" });
  }, 50);
}

function fit() {
  wrap();
  reach();
}

addEventListener("resize", fit);
document.addEventListener("DOMContentLoaded", () => {
  fit();
  for (const box of document.querySelectorAll("[data-explorer]")) {
    const script = document.createElement("script");
    box.dataset.folder = ROOT;
    script.src = new URL(`${box.dataset.explorer}.js`, ROOT);
    document.head.append(script);
  }
});
addEventListener("load", showHighlight);
