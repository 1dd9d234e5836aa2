// One kernel's tape: its events, and the state after any of them, forwards and backwards.

import { age, chunksOf, State } from "./memory.js";
import { column } from "./unpack.js";

const KEYFRAME = 256, // events between two states that are kept
  NEAR = 32; // and between those that are kept on the way back, where the next step back leads
const LEFT_OUT = "left_out";

export class Tape {
  /** `made` has the chunks of contents that were made already: tapes that share it share them, and equal ones need no look. */
  constructor(stored, data, made = new Map()) {
    this.data = data;
    this.site = Int32Array.from(column(stored.site));
    this.length = this.site.length;
    this.kinds = stored.kinds.map(([target, name, read]) => ({
      target,
      name,
      read,
      isWrite: !["enter", "return", "notifier"].includes(target),
    }));
    this.sites = stored.sites.map(([kind, fn, line, depth]) => ({
      kind,
      what: this.kinds[kind],
      fn: data.names[fn],
      line,
      depth,
    }));
    this.columns = stored.args.map((columns) => columns.map(column));
    this.steps = stored.steps; // the last event of each step, boot first
    const seen = new Int32Array(this.kinds.length);
    this.row = Int32Array.from(this.site, (site) => seen[this.sites[site].kind]++);
    const contents = (nr) => {
      if (!made.has(nr)) made.set(nr, chunksOf(data.contents[nr]));
      return made.get(nr);
    };
    this.states = stored.states.map((state) => () => State.from(state, contents, data, column));
    this.state = this.states[0]();
    this.at = -1; // the event that the state is after
    this.frames = new Map([[-1, this.state.share()]]);
    this.near = new Map();
    this.spacing = Math.max(KEYFRAME, Math.ceil(this.length / 64));
    this.#around();
  }

  event(i) {
    return this.sites[this.site[i]];
  }
  args(i) {
    return this.columns[this.event(i).kind].map((numbers) => numbers[this.row[i]]);
  }
  step(i) {
    return this.steps.findIndex((last) => i <= last) - 1;
  }

  /** Go to the state after an event (-1: before the first), and return it: good until the next call. */
  seek(to) {
    const back = to < this.at;
    if (back) this.#back(to);
    while (this.at < to) {
      const i = this.at + 1,
        { what } = this.event(i);
      if (what.name === LEFT_OUT) this.#take(this.states[this.args(i)[2]](), i);
      else if (what.isWrite) this.state.write(what.target, what.name, this.args(i));
      this.at = i;
      if ((i + 1) % this.spacing === 0 && !this.frames.has(i)) this.frames.set(i, this.state.share());
      else if (back && (i + 1) % NEAR === 0) this.near.set(i, this.state.share());
    }
    return this.state;
  }
  /** Go to the last state that is kept and not after an event. */
  #back(to) {
    let from = Math.floor((to + 1) / this.spacing) * this.spacing - 1;
    while (!this.frames.has(from)) from -= this.spacing;
    const near = Math.max(from, ...[...this.near.keys()].filter((at) => at <= to));
    if (near === from) this.near.clear();
    this.#take((this.near.get(near) ?? this.frames.get(from)).share(), near);
  }
  #take(state, at) {
    const { dirty } = this.state;
    state.dirty = dirty;
    if (dirty)
      for (const s of [state, this.state])
        for (const nr of s.sections.keys()) for (let k = 0; k < 32; k++) dirty.add(nr * 32 + k);
    this.state = state;
    this.at = at;
    age();
  }

  /** For each event where the function was entered that it happens in (-1: in none). */
  #around() {
    this.around = new Int32Array(this.length);
    const entered = new Map([[-1, -1]]);
    for (let i = 0; i < this.length; i++) {
      const { depth, what } = this.event(i);
      this.around[i] = entered.get(depth - 1) ?? -1;
      if (what.target === "enter") entered.set(depth, i);
    }
  }
  /** The functions that are being executed after an event, the innermost first. */
  calls(i, done) {
    if (done || i < 0) return [];
    const found = this.event(i).what.target === "enter" ? [this.event(i).what.name] : [];
    for (let at = i; at >= 0 && this.event(at).fn;) {
      found.push(this.event(at).fn);
      at = this.around[at];
      if (at < 0 || this.event(at).what.name !== found.at(-1)) break;
    }
    return found;
  }

  /** The writes after one event, up to another. */
  *writes(from, to) {
    for (let i = from + 1; i <= to; i++) if (this.event(i).what.isWrite) yield i;
  }

  /** The first pfn and the number of pages that an event is about; [0, 0] if it is about none. */
  span(i) {
    const { what } = this.event(i),
      a = this.args(i),
      kind = this.data.spans[what.name];
    if (what.name === LEFT_OUT) return [0, Infinity];
    switch (kind) {
      case "range":
        return [a[0], a[1]];
      case "page":
        return [a[0], 1];
      case "block":
        return [a[0], 2 ** a[1]];
      case "run_of_blocks":
        return [a[0], a[1] * 2 ** a[3]];
      case "section":
        return [a[0] * 32768, 32768];
      case "memory_block":
        return [a[0] * this.data.blockPages, this.data.blockPages];
      default:
        return [0, 0];
    }
  }
  /** Every write that is about a page, the first one first. */
  life(pfn) {
    this.spans ??= this.#spans();
    const { events, firsts, ends } = this.spans,
      found = [];
    for (let k = 0; k < events.length; k++) if (firsts[k] <= pfn && pfn < ends[k]) found.push(events[k]);
    return found;
  }
  /** The writes that are about pages, and of each its first pfn and the pfn after its last, as columns: these are searched often. */
  #spans() {
    const spans = [...this.writes(-1, this.length - 1)].map((i) => [i, ...this.span(i)]).filter(([, , nr]) => nr);
    return {
      events: Int32Array.from(spans, ([i]) => i),
      firsts: Float64Array.from(spans, ([, first]) => first),
      ends: Float64Array.from(spans, ([, first, nr]) => first + nr),
    };
  }
}
