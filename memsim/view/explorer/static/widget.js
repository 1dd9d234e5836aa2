// The explorer as an anywidget: the data comes once; after that nothing is sent to a kernel.

import { plotlyFrom } from "./chart.js";
import { Explorer } from "./explorer.js";
import { hear } from "../../static/hear.js";
import { able, unpack } from "./unpack.js";

async function render({ model, el }) {
  if (!able()) {
    el.textContent = "This browser is too old for the explorer; the picture stored in the notebook shows one moment.";
    return undefined;
  }
  const box = document.createElement("div");
  el.append(box);
  new Explorer(box, await unpack(model.get("packed")), {
    plotly: () => plotlyOf(model),
    hunks: { can: () => true, get: async (off) => unpack(await answer(model, { without: off.join() })) },
  });
  const asked = () => box.explorer.follow(model.get("fragment"));
  model.on("change:fragment", asked);
  asked();
  hear(model);
  return () => {
    model.off("change:fragment", asked);
    box.explorer.close();
  };
}

/** Ask the kernel for what only it has: plotly, when a chart is opened, and a walk with other hunks. No other message is sent. */
function answer(model, question) {
  const [[kind, wanted]] = Object.entries(question);
  return new Promise((done, fail) => {
    model.on("msg:custom", function heard(said, [bytes] = []) {
      if (said[kind] !== wanted) return;
      model.off("msg:custom", heard);
      if (bytes) done(bytes);
      else fail(new Error(said.problem));
    });
    model.send(question);
  });
}
async function plotlyOf(model) {
  if (globalThis.Plotly) return globalThis.Plotly;
  const script = await answer(model, { plotly: "wanted" });
  return plotlyFrom(URL.createObjectURL(new Blob([script], { type: "text/javascript" })));
}

export default { render };
