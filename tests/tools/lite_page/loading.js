// Says in the page what JupyterLite is loading, and when Python cannot be had. Put into every page of JupyterLab by
// tests/tools/lite.py, which also writes memsim-lite.json: where Pyodide is, and how large the parts are.

"use strict";

(() => {
  const FIRST = "00-welcome.ipynb";
  const here = new URL(document.currentScript.src);
  const query = new URLSearchParams(location.search);
  if (!query.has("path")) {
    query.set("path", FIRST);
    location.replace(`${location.pathname}?${query}`);
    return;
  }

  const box = document.createElement("aside");
  box.id = "memsim-loading";
  box.setAttribute("role", "status");
  box.innerHTML = '<p></p><ol></ol><button type="button">Close</button>';
  box.querySelector("button").addEventListener("click", () => box.remove());
  const style = document.createElement("style");
  style.textContent = `#memsim-loading { position: fixed; right: 16px; bottom: 40px; z-index: 9999; width: 22em; padding: 10px 16px;
    font: 14px/1.45 system-ui, sans-serif; color: #111; background: #fff; border: 2px solid #1565c0; border-radius: 8px;
    box-shadow: 0 4px 16px #0004; }
    #memsim-loading.memsim-failed { border-color: #b3261e; } #memsim-loading ol { margin: 4px 0; padding-left: 20px; }
    #memsim-loading p { margin: 0; } #memsim-loading a { color: #0b4f9e; }`;
  const say = (html) => {
    box.querySelector("p").innerHTML = html;
  };
  const steps = (items) => {
    box.querySelector("ol").innerHTML = items.map(([done, text]) => `<li>${done ? "✓ " : "… "}${text}</li>`).join("");
  };
  const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

  function loaded() {
    const entries = performance.getEntriesByType("resource");
    return entries.reduce((sum, entry) => sum + (entry.encodedBodySize || 0), 0);
  }

  const status = () => window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status;

  async function start() {
    document.head.append(style);
    document.body.append(box);
    const facts = await (await fetch(new URL("memsim-lite.json", here))).json();
    const host = new URL(facts.pyodide, here).host;
    let reached = null;
    fetch(new URL(facts.pyodide, here), { mode: "no-cors" }).then(
      () => {
        reached = true;
      },
      () => {
        reached = false;
      },
    );
    say("<strong>memsim is loading.</strong> You can read on; pictures and stored outputs need nothing more.");
    const timer = setInterval(() => {
      const idle = ["idle", "busy"].includes(status());
      steps([
        [Boolean(window.jupyterapp), `JupyterLab and this page: ${mebibytes(loaded())}`],
        [idle, `Python, about ${mebibytes(facts.pyodide_bytes)}, from ${host}`],
        [false, `memsim and its widgets, ${mebibytes(facts.wheels_bytes)}: run the first cell`],
      ]);
      if (idle) {
        say("<strong>Python is here.</strong> Run the cells from the top with Shift+Enter.");
        clearInterval(timer);
        setTimeout(() => box.remove(), 15000);
      } else if (reached === false) {
        box.className = "memsim-failed";
        box.setAttribute("role", "alert");
        say(
          `<strong>Python cannot be fetched: ${host} does not answer.</strong> Everything that is stored can be read; ` +
            "no cell can be run. A copy of Pyodide on the same server does without that host: " +
            "<code>make lite PYODIDE_URL=…</code>.",
        );
        reached = null;
      }
    }, 500);
  }

  if (document.body) start();
  else document.addEventListener("DOMContentLoaded", start);
})();
