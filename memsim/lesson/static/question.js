// A question of a lesson: one of several options, a number, a few words, or the lines of a problem.
//
// It runs as an anywidget in a notebook, and as it is on a page without a kernel. `spec` holds what is asked and
// every explanation. `outcome` is what the simulator says; a notebook's kernel computes it when the reader has
// committed, and a page without a kernel has it in `spec.outcome`. Values are compared as text: numbers of 64 bits
// do not fit into JavaScript's own.

import { hear } from "../../view/static/hear.js";
import { make } from "../../view/static/make.js";

const GROUPED = /^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$/;
const WHOLE = /^([+-]?)(0x[0-9a-f]+|0b[01]+|0o[0-7]+|\d+)$/i;

/** Return a number in one spelling, whichever it was written in; null if it is none. */
function canonicalNumber(text) {
  let written = text.trim();
  if (GROUPED.test(written)) written = written.replaceAll(",", "");
  written = written.replace(/(?<=[0-9a-f])_(?=[0-9a-f])/gi, "");
  const whole = WHOLE.exec(written);
  if (whole) return `${whole[1] === "-" && !/^0[xbo]?0*$/i.test(whole[2]) ? "-" : ""}${BigInt(whole[2])}`;
  if (!written || !Number.isFinite(Number(written))) return null;
  const number = Number(written);
  return Number.isInteger(number) ? `${BigInt(number)}` : `${number}`;
}

/** Return a word or a list of words in one spelling. */
function canonicalWords(text) {
  const items = text
    .toLowerCase()
    .split(/[,;\n]/)
    .map((item) => item.trim().replace(/\s+/g, " "));
  const said = items.filter((item) => item && item !== "none");
  return said.map((item) => canonicalNumber(item) ?? item.replace(/^\+/, "")).join(", ") || "none";
}

/** Return whether what a reader typed is the answer, which is a text or a list of texts. */
function same(typed, answer) {
  const wanted = Array.isArray(answer) ? answer.join(", ") : answer;
  const number = canonicalNumber(wanted);
  return number === null ? canonicalWords(typed) === canonicalWords(wanted) : canonicalNumber(typed) === number;
}

const escaped = (text) => make("span", {}, text).innerHTML;
const paragraph = (html, lead = "") => `<p>${lead ? `<strong>${lead}</strong> ` : ""}${html}</p>`;

let made = 0;

/** The options as radio buttons: the browser's own, so that arrow keys and screen readers know them. */
class Choice {
  constructor(spec) {
    const name = `memsim-${(made += 1)}`;
    this.rows = spec.options.map(({ value, label }) => {
      const input = make("input", { type: "radio", name, value });
      const mark = make("span", { class: "memsim-mark" });
      return {
        value,
        input,
        mark,
        row: make("label", { class: "memsim-option" }, input, make("span", { html: label }), mark),
      };
    });
    this.empty = "Choose one of the options first.";
    this.element = make(
      "fieldset",
      {},
      make("legend", { html: paragraph(spec.question, spec.lead) }),
      ...this.rows.map(({ row }) => row),
    );
  }
  read() {
    return this.rows.find(({ input }) => input.checked)?.value ?? null;
  }
  shown(value) {
    return this.rows.find((row) => row.value === value).row.querySelector("span").innerHTML;
  }
  close(closed) {
    for (const { input } of this.rows) input.disabled = closed;
  }
  clear() {
    for (const row of this.rows) {
      row.input.checked = false;
      this.say(row, "", "");
    }
  }
  /** Mark options: { value: "right" | "wrong" }, in a sign and a word, not by colour alone. */
  mark(marks) {
    for (const row of this.rows) {
      const how = marks[row.value];
      this.say(row, how || "", { right: "✓ right", wrong: "✗ not this" }[how] || "");
    }
  }
  say({ row, mark }, how, text) {
    row.dataset.mark = how;
    mark.textContent = text;
  }
}

/** A line to type in. */
class Line {
  constructor(spec) {
    this.number = spec.field === "number";
    this.empty = this.number
      ? "Type a number first, such as 32768, 32,768, 0x8000 or 1.5."
      : "Write a few words first.";
    this.input = make("input", {
      type: "text",
      autocomplete: "off",
      spellcheck: "false",
      placeholder: this.number ? "a number, such as 32768 or 0x8000" : "a few words",
    });
    this.element = make(
      "div",
      {},
      make("div", { html: paragraph(spec.question, spec.lead) }),
      make("label", { class: "memsim-line" }, "Your prediction: ", this.input),
    );
  }
  read() {
    return this.number ? canonicalNumber(this.input.value) : this.input.value.trim() || null;
  }
  shown(value) {
    return this.number ? grouped(value) : escaped(value);
  }
  close(closed) {
    this.input.disabled = closed;
  }
  clear() {
    this.input.value = "";
  }
  mark() {}
}

function grouped(value) {
  return value.replace(/^-?\d+/, (whole) => whole.replace(/\B(?=(\d{3})+$)/g, ","));
}

/** What quiz and predict share: a field, a button, and room for what is said. */
class Form {
  constructor(el, model) {
    this.model = model;
    this.spec = model.get("spec");
    this.field = this.spec.options ? new Choice(this.spec) : new Line(this.spec);
    this.button = make("button", { type: "submit", class: "memsim-do" }, this.spec.button);
    this.feedback = make("div", { class: "memsim-feedback", role: "status" });
    const form = make(
      "form",
      {
        class: `memsim-lesson memsim-${this.spec.kind}`,
        onsubmit: (event) => {
          event.preventDefault();
          this.submit();
        },
      },
      this.field.element,
      this.button,
      this.feedback,
    );
    keepKeys(form);
    el.append(form);
  }
  say(html) {
    this.feedback.innerHTML = html;
  }
  /** Say it, with a button to where the explorer shows it, if the question knows a place. */
  tellAndShow(html) {
    this.say(html);
    if (this.spec.show)
      this.feedback.append(
        make(
          "button",
          { type: "button", class: "memsim-show", onclick: (event) => showMe(event.target, this.spec.show) },
          "Show me",
        ),
      );
  }
  submit() {
    const value = this.field.read();
    if (value === null) this.say(paragraph(this.field.empty));
    else this.answer(value);
  }
}

class Quiz extends Form {
  answer(value) {
    const { says } = this.spec.options.find((option) => option.value === value);
    const right = value === this.spec.right;
    this.tried = { ...this.tried, [value]: right ? "right" : "wrong" };
    this.field.mark(this.tried);
    const verdict = right ? "✓ Yes." : "✗ No; choose another option and check again.";
    this.tellAndShow(paragraph(this.field.shown(value), "You chose:") + paragraph(says, verdict));
  }
}

class Predict extends Form {
  constructor(el, model) {
    super(el, model);
    this.recall();
    this.heard = () => this.committed !== undefined && this.tell(model.get("outcome"));
    model.on("change:outcome", this.heard);
  }
  recall() {
    const earlier = this.model.get("earlier");
    this.say(earlier ? paragraph(earlier, "On an earlier run you predicted:") : "");
  }
  answer(value) {
    if (this.committed !== undefined) {
      this.again();
      return;
    }
    this.committed = value;
    this.field.close(true);
    // The button stays enabled: disabling it would throw the keyboard's focus out.
    this.button.textContent = "Predict again";
    if (this.spec.outcome) this.tell(this.spec.outcome);
    else ask(this.model, { value });
  }
  submit() {
    if (this.committed !== undefined) this.again();
    else super.submit();
  }
  again() {
    this.committed = undefined;
    this.button.textContent = this.spec.button;
    this.field.close(false);
    this.field.clear();
    this.recall();
  }
  tell(outcome) {
    const mine = this.committed;
    if (!outcome || (outcome.of !== undefined && outcome.of !== mine)) return;
    const said = paragraph(this.field.shown(mine), "You predicted:");
    if (outcome.error) {
      this.say(said + paragraph(outcome.error, "⚠ No answer:"));
      return;
    }
    const alike = same(mine, outcome.value) && (!this.spec.options || mine === outcome.value);
    this.field.mark({ [mine]: "wrong", [outcome.value]: "right" });
    const words = this.spec.field === "words";
    const verdict = words
      ? "Compare: which part did you foresee, and which not?"
      : alike
        ? "✓ As you predicted."
        : "≠ Not as you predicted.";
    const explain = this.spec.explain;
    const other =
      this.spec.options && !alike && outcome.value in explain
        ? paragraph(explain[outcome.value], `${outcome.shown}:`)
        : "";
    this.tellAndShow(
      `<div class="memsim-outcome">${said}${paragraph(outcome.shown, this.spec.says)}${paragraph(verdict)}` +
        `${paragraph(explain[mine] ?? explain[""])}${other}</div>`,
    );
  }
  leave() {
    this.model.off("change:outcome", this.heard);
  }
}

/** A problem, or an exercise with its solution folded below: a field for each line that is asked for. */
class Problem {
  constructor(el, model) {
    this.model = model;
    this.form = make("form", {
      class: "memsim-lesson memsim-ask",
      onsubmit: (event) => {
        event.preventDefault();
        this.want("check");
      },
    });
    keepKeys(this.form);
    el.append(this.form);
    this.draw = () => this.show();
    this.heard = () => this.tell();
    model.on("change:spec", this.draw);
    model.on("change:outcome", this.heard);
    this.show();
  }
  show() {
    this.spec = this.model.get("spec");
    this.wanted = null;
    this.lines = this.spec.lines.map((label) => {
      const input = make("input", { type: "text", autocomplete: "off", spellcheck: "false" });
      const mark = make("span", { class: "memsim-mark" });
      return { input, mark, row: make("label", { class: "memsim-line" }, make("span", { html: label }), input, mark) };
    });
    this.feedback = make("div", { class: "memsim-feedback", role: "status" });
    const button = (text, act) => make("button", { type: "button", onclick: act }, text);
    this.form.replaceChildren(
      make("div", { html: paragraph(this.spec.question, `${this.spec.title}.`) + (this.spec.table || "") }),
      ...this.lines.map(({ row }) => row),
      make(
        "div",
        { class: "memsim-buttons" },
        make("button", { type: "submit", class: "memsim-do" }, "Check"),
        ...(this.spec.fold
          ? []
          : [button("Show the answers", () => this.want("show")), button("Another problem", () => this.another())]),
      ),
      this.feedback,
      ...(this.spec.fold ? [make("div", { html: this.spec.fold })] : []),
    );
  }
  want(what) {
    if (what === "check" && this.lines.every(({ input }) => !input.value.trim())) {
      this.feedback.innerHTML = paragraph(
        "Fill in a line first. Lists are written with commas: `+0 order 1, +4 order 2`.".replace(
          /`([^`]*)`/,
          "<code>$1</code>",
        ),
      );
      return;
    }
    this.wanted = what;
    if (this.answers()) this.tell();
    else ask(this.model, { seed: this.spec.seed });
  }
  /** The answers, if they are of this problem. */
  answers() {
    const outcome = this.spec.outcome || this.model.get("outcome");
    return outcome && outcome.seed === this.spec.seed ? outcome : null;
  }
  tell() {
    const outcome = this.answers();
    if (!outcome || !this.wanted) return;
    if (outcome.error) {
      this.feedback.innerHTML = paragraph(outcome.error, "⚠ No answer:");
      return;
    }
    const shown = this.wanted === "show";
    let right = 0;
    this.lines.forEach(({ input, mark, row }, number) => {
      const answer = outcome.answers[number];
      if (shown) input.value = Array.isArray(answer) ? answer.join(", ") || "none" : answer;
      const is = same(input.value || "?", answer);
      right += is;
      row.dataset.mark = shown ? "" : is ? "right" : input.value.trim() ? "wrong" : "";
      mark.textContent = shown ? "" : is ? "✓ right" : input.value.trim() ? "✗ not this" : "";
    });
    const count = this.lines.length;
    const verdict = shown
      ? "These are the answers."
      : right === count
        ? `✓ ${count === 1 ? "It is" : `All ${count} lines are`} right.`
        : `${right} of ${count} lines ${right === 1 ? "is" : "are"} right.`;
    const rule = this.spec.rule && (shown || right === count) ? ` Decided by ${this.spec.rule}.` : "";
    this.feedback.innerHTML = paragraph(`${verdict}${rule}`);
  }
  another() {
    if (!this.spec.more) {
      ask(this.model, { another: this.spec.seed + 1 });
      return;
    }
    const [next, ...rest] = this.spec.more;
    const first = { ...this.spec, more: undefined };
    this.model.set("spec", { ...next, more: [...rest, first] });
  }
  leave() {
    this.model.off("change:spec", this.draw);
    this.model.off("change:outcome", this.heard);
  }
}

/** Move the explorer of the same page to a place, and bring it into view. */
function showMe(button, place) {
  const box = (button.closest(".jp-Notebook") ?? document).querySelector(".memsim-explore");
  if (!box?.explorer) {
    button.textContent = "Run the explorer's cell first, then press here again";
    return;
  }
  button.textContent = "Show me";
  box.explorer.follow(place);
  box.scrollIntoView({ block: "center" });
  box.focus({ preventScroll: true });
}

/** Keep keys from JupyterLab, which would move to another cell, and submit with Enter, which it prevents. */
function keepKeys(form) {
  form.dataset.lmSuppressShortcuts = "true";
  form.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key !== "Enter" || event.target.tagName !== "INPUT" || event.shiftKey || event.ctrlKey) return;
    event.preventDefault();
    form.requestSubmit();
  });
}

let asked = 0;

/** Ask the kernel; each time is another one, or the same question asked twice would be no change. */
function ask(model, what) {
  model.set("commitment", { ...what, number: (asked += 1) });
  model.save_changes();
}

const KINDS = { quiz: Quiz, predict: Predict, ask: Problem };

function render({ model, el }) {
  const shown = new KINDS[model.get("spec").kind](el, model);
  hear(model);
  return () => shown.leave?.();
}

export default { render };
