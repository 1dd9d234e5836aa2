// Explorers in a page without a kernel: each element with data-explorer is filled from the data of that name.

import { plotlyFrom } from "./chart.js";
import { Explorer } from "./explorer.js";
import { able, unpack } from "./unpack.js";

const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

async function fill(box, text, sole) {
  const data = await unpack(bytesOf(text)),
    name = box.dataset.explorer;
  box.replaceChildren();
  const inner = box.appendChild(document.createElement("div"));
  // A fragment names the explorer where a page has several.
  const prefix = sole ? "" : `explorer=${name}&`,
    ours = () => sole || location.hash.includes(`explorer=${name}`);
  const link = (fragment) =>
    `${location.origin === "null" ? location.pathname : location.origin + location.pathname}#${prefix}${fragment}`;
  const plotly = box.dataset.plotly && (() => plotlyFrom(box.dataset.plotly));
  const explorer = new Explorer(inner, data, {
    link,
    plotly,
    moved: sole
      ? (e) => {
          if (e.touched) history.replaceState(null, "", `#${prefix}${e.fragment}`);
        }
      : undefined,
  });
  inner.explorer = explorer;
  inner.addEventListener("pointerdown", () => {
    explorer.touched = true;
  });
  inner.addEventListener(
    "keydown",
    () => {
      explorer.touched = true;
    },
    true,
  );
  const follow = () => {
    if (ours() && /moment=|point=/.test(location.hash)) explorer.follow(location.hash);
  };
  follow();
  if (ours() && /moment=|point=/.test(location.hash)) inner.scrollIntoView();
  addEventListener("hashchange", follow);
}

/** Called by each script of data, which thus loads from a disk, too. */
export function give(name, text) {
  if (!able()) return;
  const boxes = document.querySelectorAll("[data-explorer]");
  for (const box of boxes) if (box.dataset.explorer === name) fill(box, text, boxes.length === 1);
}
