// Explorers in a page without a kernel: each element with data-explorer is filled from the data of that name.

import { plotlyFrom } from "./chart.js";
import { Explorer } from "./explorer.js";
import { able, unpack } from "./unpack.js";

const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/** The walks without one of the hunks, for which the page has data: each is fetched when it is asked for. */
function hunksOf(box) {
  const name = box.dataset.explorer,
    there = (box.dataset.hunks ?? "").split(" ").filter(Boolean);
  if (!there.length) return undefined;
  return {
    can: (off) => off.length <= 1 && off.every((hunk) => there.includes(hunk)),
    get: ([hunk]) =>
      new Promise((done, fail) => {
        const script = document.createElement("script");
        script.src = new URL(`${name}--without-${hunk}.js`, box.dataset.folder);
        script.onerror = () => fail(new Error("the data could not be fetched"));
        waiting.set(`${name}--without-${hunk}`, (text) => done(unpack(bytesOf(text))));
        document.head.append(script);
      }),
  };
}
const waiting = new Map();

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
  new Explorer(inner, data, {
    link,
    plotly,
    hunks: hunksOf(box),
    moved: sole
      ? (e) => {
          if (e.touched) history.replaceState(null, "", `#${prefix}${e.fragment}`);
        }
      : undefined,
  });
  const touched = () => {
    inner.explorer.touched = true;
  };
  inner.addEventListener("pointerdown", touched);
  inner.addEventListener("keydown", touched, true);
  const follow = () => {
    if (ours() && /moment=|point=/.test(location.hash)) inner.explorer.follow(location.hash);
  };
  follow();
  if (ours() && /moment=|point=/.test(location.hash)) inner.scrollIntoView();
  addEventListener("hashchange", follow);
}

/** Called by each script of data, which thus loads from a disk, too. */
globalThis.memsimExplorer = (name, text) => {
  if (!able()) return;
  waiting.get(name)?.(text);
  const boxes = document.querySelectorAll("[data-explorer]");
  for (const box of boxes) if (box.dataset.explorer === name) fill(box, text, boxes.length === 1);
};
