// A recorded tour of a lab on a page without a kernel: what each of a few steps showed, to go through forwards and backwards.

import { make } from "./make.js";

/** What the picture of a lab sees in place of a kernel: the state of the stop that is shown. */
class Recording {
  constructor(refuse) {
    this.state = {};
    this.refuse = refuse;
    this.heard = [];
  }
  get(name) {
    return this.state[name];
  }
  on(_, heard) {
    this.heard.push(heard);
  }
  off(_, heard) {
    this.heard = this.heard.filter((each) => each !== heard);
  }
  send() {
    this.refuse();
  }
  show(state) {
    this.state = state;
    for (const heard of this.heard) heard();
  }
}

class Tour {
  constructor(el, { title, start, stops, run }) {
    this.stops = stops;
    const run_it = make("a", { href: run }, "Run it yourself");
    this.back = make("button", { type: "button", onclick: () => this.go(this.at - 1) }, "Step before");
    this.forth = make(
      "button",
      { type: "button", class: "memsim-do", onclick: () => this.go(this.at + 1) },
      "Next step",
    );
    this.list = make(
      "ol",
      { "aria-label": "Steps", start: 0 },
      ...stops.map(({ said }, at) =>
        make("li", {}, make("button", { type: "button", onclick: () => this.go(at) }, said.split(": ")[0])),
      ),
    );
    this.said = make("p", { class: "memsim-answer", role: "status" });
    this.picture = make("div");
    this.sight = make("div", { class: "memsim-sight" });
    this.text = make("pre");
    this.recording = new Recording(() => {
      this.said.replaceChildren(
        "This is a recording. ",
        run_it.cloneNode(true),
        " to do this, or go through the steps.",
      );
    });
    el.append(
      make(
        "section",
        { class: "memsim-tour", "aria-label": `${title}, a recorded tour`, onkeydown: (event) => this.key(event) },
        make("h3", {}, title),
        make("p", {}, `A recorded tour of ${stops.length - 1} steps. `, run_it, " to do what you like."),
        make("div", { class: "memsim-buttons" }, this.back, this.forth),
        this.list,
        this.said,
        this.picture,
        this.sight,
        make("details", {}, make("summary", {}, "The same in text"), this.text),
      ),
    );
    this.go(start);
  }
  go(at) {
    this.at = Math.max(0, Math.min(this.stops.length - 1, at));
    const { said, sight, text, picture } = this.stops[this.at];
    [...this.list.children].forEach((item, n) => {
      if (n === this.at) item.firstElementChild.setAttribute("aria-current", "step");
      else item.firstElementChild.removeAttribute("aria-current");
    });
    this.back.setAttribute("aria-disabled", this.at === 0); // disabling it would throw the focus out
    this.forth.setAttribute("aria-disabled", this.at === this.stops.length - 1);
    this.said.textContent = `Step ${this.at}: ${said}`;
    this.sight.innerHTML = sight;
    this.text.textContent = text;
    if (!picture) return;
    this.recording.show(picture);
    if (!this.picture.childElementCount) memsimWidgets.orders.render({ model: this.recording, el: this.picture });
  }
  key(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || !event.target.closest(".memsim-buttons, ol")) return;
    event.preventDefault();
    this.go(this.at + by);
    if (this.list.contains(event.target)) this.list.children[this.at].firstElementChild.focus();
  }
}

function render({ model, el }) {
  new Tour(el, model.get("spec"));
}

export default { render };
