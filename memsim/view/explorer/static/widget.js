// The explorer as an anywidget: the data comes once; after that nothing is sent to a kernel.

import { plotlyFrom } from "./chart.js";
import { Explorer } from "./explorer.js";
import { able, unpack } from "./unpack.js";

export async function render({ model, el }) {
  if (!able()) {
    el.textContent = "This browser is too old for the explorer; the picture stored in the notebook shows one moment.";
    return undefined;
  }
  const box = document.createElement("div");
  el.append(box);
  const explorer = new Explorer(box, await unpack(model.get("packed")), { plotly: () => plotlyOf(model) });
  box.explorer = explorer; // for tests and for links in the page
  const asked = () => explorer.follow(model.get("fragment"));
  model.on("change:fragment", asked);
  asked();
  return () => {
    model.off("change:fragment", asked);
    explorer.close();
  };
}

/** Ask the kernel for plotly, which has it as a file: the one message that an explorer sends, and only when a chart is opened. */
async function plotlyOf(model) {
  if (globalThis.Plotly) return globalThis.Plotly;
  const script = await new Promise((done, fail) => {
    model.on("msg:custom", function heard({ plotly }, [bytes] = []) {
      model.off("msg:custom", heard);
      if (bytes) done(bytes);
      else fail(new Error(plotly));
    });
    model.send({ plotly: "wanted" });
  });
  return plotlyFrom(URL.createObjectURL(new Blob([script], { type: "text/javascript" })));
}
