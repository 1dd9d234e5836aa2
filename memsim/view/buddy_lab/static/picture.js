// The buddy allocator as a picture: a row for each order, the address from left to right, blocks as rectangles.
//
// A click in a row allocates a block of that order, a click on a block in use frees it. What the allocator does then,
// the kernel of the notebook says; this only draws it.

import { hear } from "../../static/hear.js";
import { make } from "../../static/make.js";

const SVG = "http://www.w3.org/2000/svg";
const ROW = 20,
  LEFT = 74,
  WIDTH = 900,
  LEAST = 320,
  STRIP = 12,
  TOP = STRIP + 5;

function draw(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const hex = (pfn) => `0x${pfn.toString(16)}`;
/** The last bits of a page frame number, the one that buddies of an order differ in set apart. */
function bits(pfn, order) {
  const digits = (pfn & 0xfff).toString(2).padStart(12, "0");
  const at = digits.length - 1 - order;
  return ["…", digits.slice(0, at), make("b", { class: "memsim-bit" }, digits[at]), digits.slice(at + 1)];
}

const ZOOMS = [1, 2, 4, 8, 16, 32, 64];
const LEGEND = [
  ["free", "B", "free, in the buddy"],
  ["used", "M", "in use, movable"],
  ["used", "U", "unmovable"],
  ["used", "R", "reclaimable"],
  ["isolated", "B", "isolated"],
];

class Picture {
  constructor(el, model) {
    this.model = model;
    this.at = null;
    this.kind = make(
      "select",
      { "aria-label": "Kind of memory" },
      ...["movable", "unmovable", "reclaimable"].map((kind) => make("option", {}, kind)),
    );
    this.times = make(
      "select",
      { "aria-label": "Blocks at a time" },
      ...[1, 4, 16, 64, 256].map((times) => make("option", { value: times }, `${times}`)),
    );
    this.zoom = make(
      "select",
      { "aria-label": "Zoom", onchange: () => this.show() },
      ...ZOOMS.map((times) => make("option", { value: times }, times > 1 ? `${times} times larger` : "whole zone")),
    );
    const button = (text, line) => make("button", { type: "button", onclick: () => this.act(line) }, text);
    this.undo = button("Undo", "undo");
    this.svg = draw("svg", { class: "memsim-orders", role: "group", "aria-label": "Blocks by order and address" });
    this.says = make("p", { class: "memsim-buddies", role: "status" });
    this.challenge = make("p", { class: "memsim-challenge" });
    this.box = make(
      "section",
      { class: "memsim-buddy-picture", "aria-label": "Buddy allocator", onkeydown: (event) => this.key(event) },
      make(
        "div",
        { class: "memsim-controls" },
        make("label", {}, "Kind of memory ", this.kind),
        make("label", {}, "Blocks at a time ", this.times),
        make("label", {}, "Zoom ", this.zoom),
        this.undo,
      ),
      make(
        "p",
        { class: "memsim-legend" },
        make("strong", { class: "memsim-hint" }, "Click a row to allocate, a block in use to free."),
        ...LEGEND.map(([kind, letter, text]) =>
          make("span", {}, make("i", { class: `memsim-key-${kind}` }, letter), text),
        ),
      ),
      this.svg,
      this.says,
      this.challenge,
    );
    this.box.dataset.lmSuppressShortcuts = "true";
    el.append(this.box);
    this.heard = () => this.show();
    model.on("change:blocks", this.heard);
    this.sizes = new ResizeObserver(() => {
      if (this.width !== this.fits()) this.show();
    });
    this.sizes.observe(this.box);
    this.show();
  }

  /** The width of the picture: on a phone it is drawn narrower, or its letters were too small. */
  fits() {
    return Math.min(WIDTH, Math.max(LEAST, this.box.clientWidth || WIDTH));
  }

  act(line) {
    // A message, not a state: of states that change quickly only the last one arrives.
    this.model.send({ line });
  }

  allocate(order) {
    const times = Number(this.times.value);
    this.act(`allocate ${order} ${this.kind.value}${times > 1 ? ` x${times}` : ""}`);
  }

  show() {
    const focused = this.box.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    const seen = new Set(this.known || []);
    this.first = this.model.get("first");
    this.pages = this.model.get("pages");
    const old = this.blocks;
    this.blocks = this.model.get("blocks").map(([pfn, order, use, kind]) => ({ pfn, order, use, kind }));
    this.known = this.blocks.map((block) => `${block.pfn}/${block.order}/${block.use}`);
    if (!old && this.blocks.some(({ use, order }) => use && order < 4)) this.zoom.value = 64;
    this.width = this.fits();
    this.frame(old);
    const top = this.model.get("orders");
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${TOP + ROW * (top + 1) + 16}`);
    const parts = this.whole();
    for (let order = top; order >= 0; order -= 1) parts.push(this.row(order, TOP + ROW * (top - order)));
    for (const [at, block] of this.blocks.entries()) {
      if (block.pfn + (1 << block.order) <= this.from || block.pfn >= this.from + this.window) continue;
      parts.push(this.block(block, TOP + ROW * (top - block.order), !this.known || !seen.has(this.known[at])));
    }
    parts.push(...this.axis(TOP + ROW * (top + 1)));
    this.svg.replaceChildren(...parts);
    this.undo.disabled = !this.model.get("undoable");
    const inUse = this.blocks.filter(({ use }) => use);
    const stop = this.svg.querySelector(`[data-key="${this.at}"]`) || this.svg.querySelector(".memsim-used");
    if (stop) stop.setAttribute("tabindex", 0);
    if (focused)
      (this.svg.querySelector(`[data-key="${focused}"]`) || stop || this.svg.querySelector("[data-key]"))?.focus();
    this.judge(inUse);
    const told = old && this.blocks.findLast(({ pfn }) => pfn <= this.changed);
    if (told) this.point(told.pfn, told.order);
  }

  /** Choose the part of the zone that is shown. */
  frame(old) {
    const was = new Set((old || []).filter(({ use }) => use).map(({ pfn }) => pfn)),
      now = new Set(this.blocks.filter(({ use }) => use).map(({ pfn }) => pfn));
    const fresh = this.blocks.findLast(({ pfn, use }) => use && !was.has(pfn)),
      gone = (old || []).find(({ pfn, use }) => use && !now.has(pfn));
    const moved = old && (fresh ?? gone);
    this.changed = moved?.pfn;
    const seen = this.from ?? this.first,
      wanted = moved ?? this.blocks.find(({ use }) => use);
    if (!wanted) this.from ??= this.first;
    // As large as it was, or the largest at which what was seen and what changed are both there.
    for (let at = ZOOMS.indexOf(Number(this.zoom.value)); at >= 0; at -= 1) {
      this.window = this.pages / ZOOMS[at];
      this.from = this.first + Math.floor(((wanted?.pfn ?? seen) - this.first) / this.window) * this.window;
      this.zoom.value = ZOOMS[at];
      const end = this.from + this.window;
      if (!wanted || (wanted.pfn + (1 << wanted.order) <= end && (!moved || (seen >= this.from && seen < end)))) break;
    }
  }

  /** The whole zone above, with a frame round the part that is shown below. */
  whole() {
    const wide = this.width - LEFT - 4,
      at = (pfn) => LEFT + (wide * (pfn - this.first)) / this.pages,
      box = (pfn, pages, kind) =>
        draw("rect", {
          class: kind,
          x: at(pfn),
          y: 3,
          width: Math.max(0.8, at(pfn + pages) - at(pfn)),
          height: STRIP - 4,
        });
    const used = this.blocks
      .filter(({ use }) => use)
      .map(({ pfn, order }) => box(pfn, 1 << order, "memsim-strip-used"));
    return [
      draw("text", { x: LEFT - 8, y: 11, class: "memsim-order memsim-tick" }, "whole zone"),
      box(this.first, this.pages, "memsim-strip-free"),
      ...used,
      draw("rect", {
        class: "memsim-window",
        x: at(this.from),
        y: 1,
        width: Math.max(4, at(this.from + this.window) - at(this.from)),
        height: STRIP,
      }),
    ];
  }

  x(pfn) {
    const bound = Math.min(Math.max(pfn, this.from), this.from + this.window);
    return LEFT + ((this.width - LEFT - 4) * (bound - this.from)) / this.window;
  }

  row(order, y) {
    const label = draw("text", { x: LEFT - 8, y: y + 13, class: "memsim-order" }, `order ${order}`);
    const size = 1 << order;
    const name = `Allocate a block of order ${order}: ${size} ${size === 1 ? "page" : "pages"}`;
    return draw(
      "g",
      {
        class: "memsim-row",
        role: "button",
        tabindex: order === this.model.get("orders") ? 0 : -1,
        "data-key": `row/${order}`,
        "data-order": order,
        "aria-label": name,
      },
      draw("title", {}, name),
      draw("rect", { x: 2, y, width: this.width - 4, height: ROW - 3, rx: 3 }),
      label,
    );
  }

  block(block, y, fresh) {
    const x = this.x(block.pfn),
      whole = this.x(block.pfn + (1 << block.order)) - x;
    const wide = Math.max(whole - Math.min(1.5, whole / 8), 1.2);
    const where = block.order ? `${hex(block.pfn)} to ${hex(block.pfn + (1 << block.order) - 1)}` : hex(block.pfn);
    const name = block.use
      ? `Free ${where}, order ${block.order}, ${block.kind}, in use`
      : `${where}, order ${block.order}, ${block.kind}, free`;
    const key = `${block.pfn}/${block.order}`;
    const attributes = {
      class: `${block.use ? "memsim-used" : "memsim-free"} ${block.kind === "isolate" ? "memsim-isolated" : ""} ${fresh ? "memsim-fresh" : ""}`,
      "data-pfn": block.pfn,
      "data-order": block.order,
    };
    if (block.use) Object.assign(attributes, { role: "button", tabindex: -1, "data-key": key, "aria-label": name });
    const parts = [
      draw("title", {}, name),
      draw("rect", { x, y: y + 1, width: wide, height: ROW - 5, rx: wide > 6 ? 2 : 0 }),
    ];
    if (wide > 14)
      parts.push(draw("text", { x: x + wide / 2, y: y + 12.5 }, block.use ? block.kind[0].toUpperCase() : "B"));
    return draw("g", attributes, ...parts);
  }

  axis(y) {
    return [0, 0.25, 0.5, 0.75].map((share) =>
      draw(
        "text",
        { x: this.x(this.from + this.window * share), y: y + 14, class: "memsim-tick" },
        hex(this.from + this.window * share),
      ),
    );
  }

  /** Show the buddy of a block, and the bit in which the two pfns differ. */
  point(pfn, order) {
    for (const old of this.svg.querySelectorAll(".memsim-buddy")) old.remove();
    if (order >= this.model.get("orders")) {
      this.says.textContent = `${hex(pfn)} has the largest order there is: it merges with nothing.`;
      return;
    }
    const buddy = pfn ^ (1 << order);
    const x = this.x(buddy),
      wide = this.x(buddy + (1 << order)) - x;
    const y = TOP + ROW * (this.model.get("orders") - order);
    this.svg.append(draw("rect", { class: "memsim-buddy", x, y, width: Math.max(wide, 2), height: ROW - 3, rx: 2 }));
    const there = this.blocks.find((block) => block.pfn === buddy && block.order === order);
    const state = there ? (there.use ? "in use, so they cannot merge" : "free") : "not one whole block now";
    this.says.replaceChildren(
      `${hex(pfn)} `,
      make("code", {}, ...bits(pfn, order)),
      ` and its buddy ${hex(buddy)} `,
      make("code", {}, ...bits(buddy, order)),
      ` differ in bit ${order}. The buddy is ${state}.`,
    );
  }

  judge(inUse) {
    const pages = inUse.reduce((sum, { order }) => sum + (1 << order), 0);
    const largest = Math.max(
      -1,
      ...this.blocks.filter(({ use, kind }) => !use && kind !== "isolate").map(({ order }) => order),
    );
    const fewest = this.pages / 512;
    const now = `Now: ${pages}; largest free block: order ${largest}.`;
    this.challenge.replaceChildren(
      make("strong", {}, "Challenge: "),
      "with as few pages in use as you can, leave no free block of order 9 or more. ",
      largest >= 9
        ? now
        : pages === fewest
          ? `✓ ${pages} pages: fewer do not do it.`
          : `Done with ${pages} pages; ${fewest} are enough.`,
    );
  }

  /** Up and down go from row to row, left and right from one block in use to the next; Enter or Space acts. */
  key(event) {
    event.stopPropagation();
    const here = event.target.closest?.("[data-key]");
    if (!here) return;
    const rows = [...this.svg.querySelectorAll(".memsim-row")],
      used = [...this.svg.querySelectorAll(".memsim-used")];
    used.sort((one, other) => one.dataset.pfn - other.dataset.pfn);
    const list = rows.includes(here) ? rows : used;
    const step = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1 }[event.key];
    if (step) {
      const next = list[Math.min(Math.max(list.indexOf(here) + step, 0), list.length - 1)];
      for (const each of list) each.setAttribute("tabindex", -1);
      next.setAttribute("tabindex", 0);
      next.focus();
    } else if (event.key === "Enter" || event.key === " ") this.press(here);
    else return;
    event.preventDefault();
  }

  press(group) {
    this.at = group.dataset.key;
    if (group.classList.contains("memsim-row")) this.allocate(Number(group.dataset.order));
    else this.act(`free ${hex(Number(group.dataset.pfn))}`);
  }

  listen() {
    const blockOf = (event) => event.target.closest("[data-pfn]");
    this.svg.addEventListener("click", (event) => {
      const used = event.target.closest(".memsim-used");
      const free = event.target.closest(".memsim-free");
      const row = event.target.closest(".memsim-row");
      if (used) this.press(used);
      else if (free) this.allocate(Number(free.dataset.order));
      else if (row) this.press(row);
    });
    for (const when of ["pointerover", "focusin"]) {
      this.svg.addEventListener(when, (event) => {
        const block = blockOf(event);
        if (block) this.point(Number(block.dataset.pfn), Number(block.dataset.order));
      });
    }
  }

  leave() {
    this.model.off("change:blocks", this.heard);
    this.sizes.disconnect();
  }
}

function render({ model, el }) {
  const shown = new Picture(el, model);
  hear(model);
  shown.listen();
  return () => shown.leave();
}

export default { render };
