// Counters as one chart of plotly's, fetched only when a reader asks for it; its cursor is the moment.

import { TOTAL } from "./comparison.js";
import { counterName, fmt } from "./words.js";

const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]; // Okabe and Ito's, as memsim/view/charts has them
const HEIGHT = 290;

export class Chart {
  /** `load()` gives plotly; `go(i)` moves to a moment that is clicked. */
  constructor(comparison, load, go) {
    Object.assign(this, { c: comparison, load, go, plotly: null });
    this.box = Object.assign(document.createElement("div"), { className: "plot" });
    this.button = Object.assign(document.createElement("button"), {
      type: "button",
      textContent: "Open as a chart",
      onclick: () => this.open(),
    });
    this.box.append(this.button);
  }

  async open() {
    this.button.textContent = "Loading plotly …";
    try {
      this.plotly = await this.load();
    } catch (error) {
      this.button.textContent = `No chart: ${error.message}`;
      return;
    }
    this.picture = document.createElement("div");
    this.picture.setAttribute("role", "img");
    this.picture.setAttribute("aria-label", "The counters over the moments; the tables below have the numbers");
    this.box.replaceChildren(this.picture);
    await this.draw(this.colours);
    this.picture.on("plotly_click", ({ points: [point] }) => this.go(point.x));
  }

  draw(colours) {
    this.colours = colours;
    if (!this.plotly) return null;
    const { c } = this,
      { ink, line, accent } = colours,
      grid = { gridcolor: line, zerolinecolor: line };
    this.at = c.i;
    return this.plotly.react(
      this.picture,
      c.lanes.flatMap((name, n) => this.#traces(name, COLOURS[n % COLOURS.length])),
      {
        height: HEIGHT,
        margin: { l: 62, r: 8, t: 6, b: 34 },
        paper_bgcolor: "rgba(0,0,0,0)",
        plot_bgcolor: "rgba(0,0,0,0)",
        font: { color: ink, size: 11 },
        legend: { orientation: "h", y: -0.15 },
        xaxis: { ...grid, tickprefix: "moment ", nticks: 4 },
        yaxis: { ...grid, separatethousands: true },
        shapes: [{ type: "line", yref: "paper", y0: 0, y1: 1, x0: c.i, x1: c.i, line: { color: accent, width: 2 } }],
      },
      { displayModeBar: false, responsive: true },
    );
  }
  /** One line after the patch, and a dashed one before it where the kernels differ anywhere. */
  #traces(name, color) {
    const { c } = this,
      start = name === TOTAL ? c.moments[0].sides[1].counters[name] : 0; // MemTotal is far above what moves
    const values = (s) => c.moments.map((m) => m.sides[s].counters[name] - start),
      [before, after] = [values(0), values(1)];
    const label = `${counterName(c.data, name)}${start ? ` above ${fmt(start)}` : ""}`;
    const trace = (y, side, dash, width) => ({
      y,
      name: side ? `${label}, ${side}` : label,
      mode: "lines",
      line: { shape: "hv", color, dash, width },
    });
    if (before.every((n, i) => n === after[i])) return [trace(after, "", "solid", 2)];
    return [trace(before, c.data.sides[0].name, "dot", 4), trace(after, c.data.sides[1].name, "solid", 2)];
  }

  /** Move the cursor to the moment; once for each picture that the browser shows. */
  follow() {
    if (!this.plotly || this.waiting || this.at === this.c.i) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      this.at = this.c.i;
      this.plotly.relayout(this.picture, { "shapes[0].x0": this.at, "shapes[0].x1": this.at });
    });
  }
}

/** Plotly from the text of its script, or from an address. */
export async function plotlyFrom(address) {
  if (globalThis.Plotly) return globalThis.Plotly;
  await new Promise((done, fail) => {
    const script = Object.assign(document.createElement("script"), {
      src: address,
      onload: done,
      onerror: () => fail(new Error("plotly could not be fetched")),
    });
    document.head.append(script);
  });
  return globalThis.Plotly;
}
