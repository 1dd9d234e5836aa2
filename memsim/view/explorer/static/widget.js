// The explorer as an anywidget: the data comes once; after that nothing is sent to a kernel.

import { Explorer } from "./explorer.js";
import { able, unpack } from "./unpack.js";

export async function render({ model, el }) {
  if (!able()) { el.textContent = "This browser is too old for the explorer; the picture stored in the notebook shows one moment."; return undefined; }
  const box = document.createElement("div");
  el.append(box);
  const explorer = new Explorer(box, await unpack(model.get("packed")));
  box.explorer = explorer;                    // for tests and for links in the page
  const asked = () => explorer.follow(model.get("fragment"));
  model.on("change:fragment", asked);
  asked();
  return () => { model.off("change:fragment", asked); explorer.close(); };
}
