// The player: moves through the moments of a tape, as an explorer does, without a kernel.
//
// Each element with data-tape holds the stored output. When its tape has come, the player takes its place; where
// scripts do not run, the stored output stays. Controls are the browser's own: buttons, a slider, a list.

"use strict";

const PLAY_MS = 700;
const ROOT = new URL("tapes/", document.currentScript.src);

// What scrolls sideways can be reached by Tab; what does not is no stop.
function reach() {
  for (const box of document.querySelectorAll("article pre, .table-wrapper, .memsim-tables > div")) {
    if (box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}

addEventListener("resize", reach);
document.addEventListener("DOMContentLoaded", () => {
  reach();
  for (const box of document.querySelectorAll(".memsim-player[data-tape]")) {
    const script = document.createElement("script");
    script.src = new URL(`${box.dataset.tape}.js`, ROOT);
    document.head.append(script);
  }
});

function memsimTape(name, tape) {
  for (const box of document.querySelectorAll(`.memsim-player[data-tape="${name}"]`)) new Player(box, tape);
}

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

class Player {
  constructor(box, tape) {
    this.tape = tape;
    this.last = tape.moments.length - 1;
    this.shown = [];
    this.timer = 0;
    this.places = {};
    box.replaceChildren(
      make("div", { className: "memsim-explorer", role: "group", "aria-label": tape.title },
        make("p", { className: "memsim-title" }, tape.title),
        ...(tape.note ? [make("p", { className: "memsim-note" }, tape.note)] : []),
        this.controls(),
        this.place("happening"),
        make("div", { className: "memsim-sides" }, ...tape.sides.map((title, at) => this.side(title, at))),
        make("div", { className: "memsim-legend", innerHTML: tape.legend }),
        this.place("differs"),
        this.place("code", "Source of the function that is being executed"),
        this.place("tables"),
        this.place("recorded"),
        this.twin(),
      ));
    this.go(tape.start);
  }

  controls() {
    const button = (text, title, act) => make("button", { type: "button", title, onclick: act }, text);
    this.back = button("◀ Previous", "Show the moment before this one", () => this.go(this.at - 1));
    this.forth = button("Next ▶", "Show the moment after this one", () => this.go(this.at + 1));
    this.play = button("Play", "Show one moment after the other; press again to pause", () => this.toggle());
    this.slider = make("input", { type: "range", min: 0, max: this.last, step: 1,
                                  oninput: () => this.go(Number(this.slider.value)) });
    this.jump = make("select", { onchange: () => this.jump.value && this.go(Number(this.jump.value)) },
      make("option", { value: "" }, "(a moment without a name)"),
      ...this.tape.landmarks.map(([name, at]) => make("option", { value: at }, name)));
    return make("div", { className: "memsim-controls" }, this.back, this.forth, this.play,
      make("label", { className: "memsim-slide" }, "Moment ", this.slider),
      make("label", {}, "Jump to ", this.jump));
  }

  place(field, label = "") {
    const element = make("div", label ? { className: "memsim-pane", role: "region", "aria-label": label, tabIndex: 0 } : {});
    this.places[field] = (html) => {
      element.innerHTML = html;
      const here = element.querySelector(".memsim-here");
      if (label) element.scrollTop = here ? here.offsetTop - element.offsetTop - element.clientHeight / 3 : 0;
    };
    return element;
  }

  side(title, at) {
    const machine = make("img", { className: "memsim-machine", alt: "" });
    const pages = make("img", { className: "memsim-pages", alt: "" });
    this.places[`machine${at}`] = (source) => { machine.src = source; };
    this.places[`machineAlt${at}`] = (text) => { machine.alt = text; };
    this.places[`pages${at}`] = (source) => { pages.src = source; };
    this.places[`pagesAlt${at}`] = (text) => { pages.alt = text; };
    return make("div", { className: "memsim-side", role: "group", "aria-label": title },
      make("p", { className: "memsim-title" }, title), machine, pages, this.place(`says${at}`));
  }

  twin() {
    const pre = make("pre", { className: "memsim-twin", tabIndex: 0, role: "group", "aria-label": "The same in text",
                              "aria-live": "polite", "aria-atomic": "false" });
    // Only lines that change are touched, and so announced.
    this.places.twin = (text) => {
      const lines = text.split("\n");
      while (pre.childElementCount > lines.length) pre.lastElementChild.remove();
      lines.forEach((line, i) => {
        const span = pre.children[i] || pre.appendChild(make("span"));
        if (span.textContent !== `${line}\n`) span.textContent = `${line}\n`;
      });
    };
    return pre;
  }

  go(wanted) {
    this.at = Math.min(Math.max(wanted, 0), this.last);
    this.tape.moments[this.at].forEach((part, i) => {
      if (this.shown[i] !== part) this.places[this.tape.fields[i]](this.tape.parts[part]);
      this.shown[i] = part;
    });
    this.slider.value = this.at;
    this.slider.setAttribute("aria-valuetext", `${this.at}, ${this.tape.names[this.at]}`);
    const named = this.tape.landmarks.find(([, at]) => at === this.at);
    this.jump.value = named ? named[1] : "";
    // Not `disabled`: that would take the focus away from who holds the key down.
    this.back.setAttribute("aria-disabled", this.at === 0);
    this.forth.setAttribute("aria-disabled", this.at === this.last);
    if (this.at === this.last) this.stop();
    reach();
  }

  toggle() {
    if (this.timer) { this.stop(); return; }
    if (this.at === this.last) this.go(0);
    this.timer = setInterval(() => this.go(this.at + 1), PLAY_MS);
    this.play.textContent = "Pause";
  }

  stop() {
    clearInterval(this.timer);
    this.timer = 0;
    this.play.textContent = "Play";
  }
}
