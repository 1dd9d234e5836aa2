// Hunks by stories: what each half patch does, and the run behind each cell.
//
// It runs as an anywidget in a notebook, whose kernel runs a cell when it is opened, and as it is on a page without a
// kernel, which has all runs in `spec.details`.

import { hear } from "../../static/hear.js";
import { make } from "../../static/make.js";

const keyOf = (cell) => [cell.hunk, cell.story, cell.kind, cell.check_pages].join("/");

class Matrix {
  constructor(el, model) {
    this.model = model;
    this.spec = model.get("spec");
    this.cells = new Map(this.spec.cells.map((cell) => [keyOf(cell), cell]));
    this.columns = this.spec.kinds.flatMap((kind) => this.spec.stories.map((story) => ({ kind, story })));
    this.at = this.spec.start;
    this.box = make("section", { class: "memsim-matrix", "aria-label": this.spec.title });
    this.box.dataset.lmSuppressShortcuts = "true";
    this.check = make("input", { type: "checkbox", onchange: () => this.go({ check_pages: this.check.checked }) });
    this.check.checked = this.at.check_pages;
    this.table = this.grid();
    this.detail = make("div", {
      class: "memsim-detail",
      role: "region",
      "aria-label": "The run behind the cell",
      "aria-live": "polite",
      tabindex: 0,
    });
    this.box.append(
      make(
        "p",
        { class: "memsim-top" },
        make("strong", {}, this.spec.title),
        " ",
        make("label", {}, this.check, " the kernel checks pages that it frees"),
      ),
      this.legend(),
      make("div", { class: "memsim-sides" }, make("div", { class: "memsim-scroll" }, this.table), this.detail),
    );
    el.append(this.box);
    this.heard = () => this.show();
    model.on("change:detail", this.heard);
    this.paint();
    this.open();
  }

  legend() {
    return make(
      "p",
      { class: "memsim-legend" },
      ...this.spec.effects.flatMap(({ name, letter, words }) => [
        make("span", { class: "memsim-effect", "data-effect": name }, letter),
        ` ${words} `,
      ]),
      make("b", {}, "Click a cell to see its run."),
    );
  }

  grid() {
    const heads = this.spec.kinds.map((kind) =>
      make("th", { scope: "colgroup", colspan: this.spec.stories.length }, this.spec.says[kind]),
    );
    const stories = this.columns.map(({ story }) =>
      make("th", { scope: "col", class: "memsim-story" }, this.spec.short[story] || story),
    );
    this.buttons = new Map();
    const rows = this.spec.hunks.map((hunk) =>
      make(
        "tr",
        {},
        make("th", { scope: "row", title: this.spec.meanings[hunk] }, hunk),
        ...this.columns.map(({ kind, story }) => {
          const button = make("button", { type: "button", onclick: () => this.go({ hunk, kind, story }) });
          this.buttons.set(`${hunk}/${story}/${kind}`, button);
          return make("td", { class: story === this.spec.stories[0] ? "memsim-first" : "" }, button);
        }),
      ),
    );
    return make(
      "table",
      { onkeydown: (event) => this.move(event) },
      make("thead", {}, make("tr", {}, make("td"), ...heads), make("tr", {}, make("td"), ...stories)),
      make("tbody", {}, ...rows),
    );
  }

  /** Arrow keys go to the neighbour, Home and End to the ends of the row; one cell is reached by Tab. */
  move(event) {
    const column = this.columns.findIndex(({ kind, story }) => kind === this.at.kind && story === this.at.story);
    const row = this.spec.hunks.indexOf(this.at.hunk);
    const to = {
      ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1],
      ArrowUp: [row - 1, column],
      ArrowDown: [row + 1, column],
      Home: [row, 0],
      End: [row, this.columns.length - 1],
    }[event.key];
    event.stopPropagation();
    if (!to) return;
    event.preventDefault();
    const bound = (value, count) => Math.min(Math.max(value, 0), count - 1);
    this.go({
      hunk: this.spec.hunks[bound(to[0], this.spec.hunks.length)],
      ...this.columns[bound(to[1], this.columns.length)],
    });
  }

  go(where) {
    const held = this.table.contains(document.activeElement);
    this.at = { ...this.at, ...where };
    this.paint();
    if (held) this.buttons.get(`${this.at.hunk}/${this.at.story}/${this.at.kind}`).focus();
    this.open();
  }

  /** Write letters, colours and names of all cells. */
  paint() {
    for (const hunk of this.spec.hunks) {
      for (const { kind, story } of this.columns) {
        const cell = this.cells.get([hunk, story, kind, this.at.check_pages].join("/"));
        const effect = this.spec.effects.find(({ name }) => name === cell.effect);
        const button = this.buttons.get(`${hunk}/${story}/${kind}`);
        const here = hunk === this.at.hunk && kind === this.at.kind && story === this.at.story;
        button.textContent = effect.letter;
        button.dataset.effect = cell.effect;
        button.tabIndex = here ? 0 : -1;
        button.setAttribute("aria-pressed", here);
        button.setAttribute("aria-label", `${effect.letter} ${hunk} ${kind}, ${story}: ${effect.words}`);
        button.title = cell.why;
      }
    }
  }

  open() {
    const key = keyOf(this.at);
    if (this.spec.details) {
      this.show();
      return;
    }
    if (this.model.get("detail").key === key) {
      this.show();
      return;
    }
    this.model.set("chosen", { ...this.at });
    this.model.save_changes();
    this.show();
  }

  show() {
    const key = keyOf(this.at);
    const cell = this.cells.get(key);
    const effect = this.spec.effects.find(({ name }) => name === cell.effect);
    const told = this.model.get("detail") || {};
    const detail = this.spec.details ? this.spec.details[key] : told.key === key ? told : null;
    this.detail.replaceChildren(
      make(
        "p",
        {},
        make(
          "strong",
          {},
          `${this.at.kind === "alone" ? "Only" : "All but"} ${this.at.hunk}, ${this.at.story}: ${effect.words}.`,
        ),
      ),
      make("p", { class: "memsim-small" }, this.spec.meanings[this.at.hunk]),
      make("p", {}, `${cell.why}.`),
      ...(detail ? this.run(detail) : [make("p", {}, "…")]),
    );
  }

  /** What a run left: maps of the block by pageblock on both kernels, how steps ended, the log. */
  run(detail) {
    const list = (title, items) =>
      items.length
        ? [
            make("p", { class: "memsim-small" }, make("strong", {}, title)),
            make("ul", {}, ...items.map((item) => make("li", {}, item))),
          ]
        : [];
    return [
      ...detail.sides.map((side) => this.map(side, detail.failing)),
      ...list("Steps", detail.outcomes),
      ...list("Kernel log", detail.log),
      ...list("Broken rules", detail.broken),
      make("p", { class: "memsim-small" }, "In a cell, with any hunks: ", make("code", {}, detail.code)),
    ];
  }

  map(side, failing) {
    const blocks = side.runs.flatMap(([letters, count]) => Array(count).fill(letters));
    const cells = blocks.map((letters, at) =>
      make(
        "span",
        {
          class: "memsim-block",
          "data-letter": letters[0],
          "data-failing": at === failing && side.marks,
          title: `pageblock 0x${(side.start + at * 512).toString(16)}: ${letters}`,
        },
        letters,
      ),
    );
    return make(
      "div",
      {},
      make("p", { class: "memsim-small" }, make("strong", {}, `${side.name}. `), side.sentence),
      make("div", { class: "memsim-blocks", role: "img", "aria-label": `${side.name}: ${side.sentence}` }, ...cells),
    );
  }

  leave() {
    this.model.off("change:detail", this.heard);
  }
}

function render({ model, el }) {
  const shown = new Matrix(el, model);
  hear(model);
  return () => shown.leave();
}

export default { render };
