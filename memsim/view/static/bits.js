// A word and its bits, each of which is a button.
//
// In a notebook the kernel says what the word means; on a page without one the parts of the word, which are in `spec`,
// are enough for the short form of it.

import { hear } from "./hear.js";
import { make } from "./make.js";

const CELLS = 8;

class Bits {
  constructor(el, model) {
    this.model = model;
    this.box = make("section", {
      class: "memsim-bits",
      "aria-label": "Bits of the word",
      onkeydown: (event) => this.key(event),
    });
    this.box.dataset.lmSuppressShortcuts = "true";
    el.append(this.box);
    this.at = 0;
    this.count = 0;
    this.heard = () => this.show();
    model.on("change:spec", this.heard);
    this.show();
  }

  /** Take the spec of a kernel, unless bits were turned over since. */
  show() {
    const spec = this.model.get("spec"),
      told = this.spec && JSON.stringify(spec.parts) === JSON.stringify(this.spec.parts);
    if (spec.number < this.count) return;
    this.spec = spec;
    if (told && this.value === BigInt(spec.value)) {
      // A button that is replaced while it is pressed is not clicked: leave those that show the same.
      this.box.querySelector("strong").textContent = this.sentence();
      return;
    }
    this.value = BigInt(spec.value);
    this.paint();
  }

  number(part) {
    return (this.value >> BigInt(part.low)) & ((1n << BigInt(part.width)) - 1n);
  }
  says(part) {
    const number = this.number(part);
    if (part.flag) return (number === 1n) !== part.inverted;
    return this.spec.ones ? number !== (1n << BigInt(part.width)) - 1n : number !== 0n;
  }

  told(part) {
    if (part.flag) return part.name;
    const number = this.number(part),
      name = part.names[number.toString()];
    return `${part.name} ${number > 9n ? `0x${number.toString(16)}` : number}${name ? ` (${name})` : ""}`;
  }

  /** What the word says: the kernel's sentence, or without a kernel the parts that say something. */
  sentence() {
    if (!this.spec.alone) return this.spec.sentence;
    if (this.spec.ones && this.value >> 31n === 0n)
      return `No type: a _mapcount of ${this.value}, so the page is mapped ${this.value + 1n} times.`;
    const said = this.spec.parts.filter((part) => !part.rest && this.says(part)).map((part) => this.told(part));
    return said.length ? `It says: ${said.reverse().join(", ")}.` : "It says nothing.";
  }

  paint() {
    const focused = this.box.contains(document.activeElement);
    const hex = `0x${this.value.toString(16).padStart(this.spec.width / 4, "0")}`;
    const rows = [];
    for (let high = this.spec.width - 1; high > 0; high -= CELLS) rows.push(this.row(high));
    this.box.replaceChildren(
      make(
        "p",
        { role: "status" },
        make("code", {}, hex),
        ` ${this.spec.about}. `,
        make("strong", {}, this.sentence()),
      ),
      make("div", { class: "memsim-scroll" }, make("table", {}, make("tbody", {}, ...rows))),
      make("p", { class: "memsim-small" }, "■ striped: says something; □ plain: does not. A click turns a bit over."),
    );
    if (focused) this.box.querySelector(`[data-bit="${this.at}"]`)?.focus();
  }

  row(high) {
    const low = high - CELLS + 1;
    const cells = [];
    for (const part of this.spec.parts) {
      const top = Math.min(part.low + part.width - 1, high),
        bottom = Math.max(part.low, low);
      if (top >= bottom) cells.push(this.cell(part, top, bottom));
    }
    return make("tr", {}, make("th", { scope: "row" }, `${high}-${low}`), ...cells);
  }

  cell(part, top, bottom) {
    const buttons = [];
    for (let bit = top; bit >= bottom; bit -= 1) {
      const set = Boolean((this.value >> BigInt(bit)) & 1n);
      buttons.push(
        make(
          "button",
          {
            type: "button",
            "data-bit": bit,
            tabindex: bit === this.at ? 0 : -1,
            "aria-pressed": String(set),
            "aria-label": `${part.name}, bit ${bit}`,
            title: part.meaning,
            onclick: () => this.toggle(bit),
          },
          set ? "1" : "0",
        ),
      );
    }
    const says = this.says(part) && !part.rest,
      number = !part.flag && part.width > 1 && top === part.low + part.width - 1; // said once, where a part begins
    return make(
      "td",
      { colspan: top - bottom + 1, class: says ? "memsim-says" : "", title: part.meaning },
      make("span", { class: "memsim-buttons" }, ...buttons),
      make(
        "span",
        { class: "memsim-name" },
        ...(part.rest ? [] : [make("i", {}, says ? "■ " : "□ "), number ? this.told(part) : part.short]),
      ),
    );
  }

  toggle(bit) {
    this.at = bit;
    this.value ^= 1n << BigInt(bit);
    if (!this.spec.alone) {
      this.model.set("act", { value: `0x${this.value.toString(16)}`, number: (this.count += 1) });
      this.model.save_changes();
    }
    this.paint();
  }

  /** Arrow keys go from bit to bit as they stand: left is the higher one, up the row above. */
  key(event) {
    const bit = event.target.dataset?.bit;
    event.stopPropagation();
    if (bit === undefined) return;
    const step = { ArrowLeft: 1, ArrowRight: -1, ArrowUp: CELLS, ArrowDown: -CELLS }[event.key];
    const to = event.key === "Home" ? this.spec.width - 1 : event.key === "End" ? 0 : step && Number(bit) + step;
    if (to === undefined || to < 0 || to >= this.spec.width) return;
    event.preventDefault();
    this.at = to;
    for (const button of this.box.querySelectorAll("[data-bit]"))
      button.tabIndex = Number(button.dataset.bit) === to ? 0 : -1;
    this.box.querySelector(`[data-bit="${to}"]`).focus();
  }

  leave() {
    this.model.off("change:spec", this.heard);
  }
}

function render({ model, el }) {
  const shown = new Bits(el, model);
  hear(model);
  return () => shown.leave();
}

export default { render };
