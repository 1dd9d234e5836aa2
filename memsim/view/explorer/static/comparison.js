// Both kernels, and what can be known of every moment before anybody looks: what moved, what differs, and which hunk did it.

import { ALL_FLAGS, CHUNK, LIVE, SECTION } from "./memory.js";
import { BlockView, geographyOf, kindsOf, look } from "./pages.js";
import { Tape } from "./tape.js";
import { column } from "./unpack.js";

export const TOTAL = "totalram";
const MOST_LANES = 5,
  CHUNKS = SECTION / CHUNK,
  PAGES_WRITTEN = new Set(["range", "page"]); // what else is about pages writes a section, a pageblock or a list

export class Comparison {
  constructor(data) {
    this.data = data;
    const made = new Map();
    this.tapes = data.tapes.map((tape) => new Tape(tape, data, made));
    const m = data.moments,
      [step, point, nth, before, after] = [m.step, m.point, m.nth, m.before, m.after].map(column);
    this.moments = Array.from(step, (_, i) => {
      const base = data.names[point[i]],
        [kind, name] = base.includes(":") ? base.split(":") : ["done", ""];
      return {
        i,
        step: step[i],
        kind,
        name,
        point: nth[i] ? `${base}#${nth[i]}` : base,
        nth: nth[i],
        at: [before[i], after[i]],
      };
    });
    this.length = this.moments.length;
    this.block = data.block;
    this.compared = new Map();
    this.#scan();
    this.#spans();
    this.#news();
    this.lanes = this.#lanes();
    this.#visible();
    this.go(data.start);
  }

  // ---- where one is ----------------------------------------------------------------------------

  go(i) {
    this.i = Math.max(0, Math.min(this.length - 1, i));
    this.moment = this.moments[this.i];
    this.states = this.tapes.map((tape, s) => tape.seek(this.moment.at[s]));
    this.views = this.states.map((state) => new BlockView(state, this.block, this.data.blockPages, this.data.types));
    return this.moment;
  }
  show(block) {
    this.block = block;
    this.#visible();
    this.go(this.i);
  }
  /** What most pages of each block are, and where the zones are, on each kernel. */
  kinds() {
    return this.#ofBlocks(kindsOf, "kinds");
  }
  zones() {
    return this.#ofBlocks(geographyOf, "zones");
  }
  /** Find something out of all blocks, and from then on only of those that something is ever written to. */
  #ofBlocks(find, name) {
    this.seen[name] ??= this.states.map(() => []);
    return this.states.map((state, s) => {
      const found = this.seen[name][s];
      return find(state, this.data, found, found.length ? this.changing : undefined);
    });
  }

  next(i, by) {
    let at = i + by;
    while (at > 0 && at < this.length - 1 && !this.moments[at].visible) at += by;
    return Math.max(0, Math.min(this.length - 1, at));
  }
  /** The functions and notifiers of the walk. */
  get names() {
    return [...new Set(this.moments.map((m) => m.name))].filter(Boolean).sort();
  }
  /** The next moment whose name holds a text, after the last one from the beginning; a return only if asked for; -1: none. */
  named(i, text) {
    const wanted = (m) => m.point.includes(text) && (text.includes(":") || m.kind !== "return");
    const inOrder = text ? [...this.moments.slice(i + 1), ...this.moments.slice(0, i + 1)] : [];
    return inOrder.find(wanted)?.i ?? -1;
  }
  /** The moment of a step with a name such as return:memmap_init_range (the first one) or enter:generic_online_page#3; -1 if there is none. */
  find(step, point) {
    return this.moments.findIndex((m) => m.step === step && m.point.replace(/#1$/, "") === point.replace(/#1$/, ""));
  }
  /** Where a moment of another walk of the same steps is in this one: the same, or the last one before it that both have. */
  like(other, i) {
    for (let at = i; at >= 0; at--) {
      const found = this.find(other.moments[at].step, other.moments[at].point);
      if (found >= 0) return found;
    }
    return 0;
  }
  nextNews(i, by) {
    return (by > 0 ? this.news.find((n) => n > i) : this.news.findLast((n) => n < i)) ?? i;
  }
  #ending(i, depth) {
    let at = i + 1;
    while (at < this.length - 1 && this.moments[at].depth > depth) at++;
    return Math.min(at, this.length - 1);
  }
  over(i) {
    return this.#ending(i, this.moments[i].depth);
  }
  out(i) {
    return this.#ending(i, Math.max(this.moments[i].depth - 1, -1));
  }
  momentOf(side, event) {
    // the first moment at or after an event
    let low = 0,
      high = this.length - 1;
    while (low < high) {
      const mid = (low + high) >> 1;
      if (this.moments[mid].at[side] >= event) high = mid;
      else low = mid + 1;
    }
    return low;
  }

  // ---- one scan, forwards ------------------------------------------------------------------------

  #scan() {
    const { types } = this.data,
      differ = new Map(),
      pairs = new Map();
    this.touched = new Set(); // the chunks that are ever written to, or in which the kernels differ from the start
    this.seen = {};
    const seen = [new Map(), new Map()],
      blocks = [new Map(), new Map()];
    const start = this.tapes.map((tape, s) => tape.seek(this.moments[0].at[s]).share()); // where nothing was written since, it is as it was here
    this.start = start;
    this.tapes.forEach((tape) => {
      tape.state.dirty = new Set(unlike(...start));
    });
    let total = 0,
      logged = true,
      logs = false;
    const kinds = new Map(); // pairs of classes, and how many pages have them now
    const samples = new Map();
    for (const m of this.moments) {
      const touched = new Set();
      m.sides = this.tapes.map((tape, s) => {
        const state = tape.seek(m.at[s]),
          moved = new Map(),
          retyped = new Map(),
          changed = [];
        for (const id of state.dirty) {
          touched.add(id);
          this.touched.add(id);
          const now = look(state.chunk(id * CHUNK), types),
            old = seen[s].get(id) ?? look(start[s].chunk(id * CHUNK), types);
          const mt = migratetypes(state, id);
          if (old !== now) {
            seen[s].set(id, now);
            if (m.i && difference(old, now, moved)) changed.push(id);
          }
          const was = blocks[s].get(id) ?? migratetypes(start[s], id);
          if (mt !== was) {
            blocks[s].set(id, mt);
            if (m.i) retype(was, mt, retyped);
            if (m.i && changed.at(-1) !== id) changed.push(id);
          }
        }
        state.dirty.clear();
        const before = this.moments[m.i - 1]?.sides[s];
        const counters = !state.moved && before ? before.counters : countersOf(state, before?.counters),
          shown = !state.registered && before ? before.shown : shownOf(state, start[s], before?.shown);
        if ((before && state.log.length !== before.log) || !m.i) logged = true;
        state.moved = state.registered = false;
        return { moved, retyped, changed, counters, log: state.log.length, shown };
      });
      const [one, other] = this.tapes.map((tape) => tape.state);
      for (const id of touched) {
        for (const [key, n] of pairs.get(id) ?? []) {
          const left = kinds.get(key) - n;
          if (left) kinds.set(key, left);
          else kinds.delete(key);
        }
        total -= differ.get(id) ?? 0;
        const found = compare(one.chunk(id * CHUNK), other.chunk(id * CHUNK), types, id * CHUNK, samples);
        if (found.n) differ.set(id, found.n);
        else differ.delete(id);
        if (found.pairs.size) pairs.set(id, found.pairs);
        else pairs.delete(id);
        for (const [key, n] of found.pairs) kinds.set(key, (kinds.get(key) ?? 0) + n);
        total += found.n;
      }
      m.differ = total;
      m.kinds = new Map([...kinds].map(([key]) => [`pages ${key}`, samples.get(key)]));
      if (total) m.kinds.set("pages", samples.get("any"));
      for (const [name, value] of Object.entries(m.sides[0].counters))
        if (m.sides[1].counters[name] !== value) m.kinds.set(`counter ${name}`, name);
      if (logged) logs = one.log.length !== other.log.length || one.log.some((line, k) => line !== other.log[k]);
      if (logs) m.kinds.set("log", "log");
      logged = false;
    }
    this.tapes.forEach((tape) => {
      tape.state.dirty = null;
    });
    this.changing = this.#changing();
  }
  /** The places among the blocks of those that change. */
  #changing() {
    const { blocks, blockPages } = this.data,
      found = new Set([...this.touched].map((id) => Math.floor((id * CHUNK) / blockPages)));
    for (const tape of this.tapes)
      for (const e of tape.writes(-1, tape.length - 1))
        if (tape.event(e).what.name === "set_block_state") found.add(tape.args(e)[0]);
    return blocks.flatMap((block, k) => (found.has(block) ? [k] : []));
  }

  #spans() {
    // calls, from the moment of entry to that of return
    this.spans = [];
    const stack = [];
    for (const m of this.moments) {
      if (m.kind === "enter") {
        const span = { name: m.name, from: m.i, to: m.i, depth: stack.length };
        stack.push(span);
        this.spans.push(span);
      }
      m.stack = stack.map((span) => span.name);
      if (m.kind === "return" && stack.some((span) => span.name === m.name)) {
        let span;
        do {
          span = stack.pop();
          span.to = m.i;
        } while (span.name !== m.name);
      }
      if (m.kind === "done") {
        for (const span of stack.splice(0)) span.to = m.i;
      }
      m.depth = m.kind === "done" ? -1 : this.tapes[1].event(m.at[1]).depth;
    }
    this.depth = this.spans.reduce((most, span) => Math.max(most, span.depth), 0) + 1;
  }

  /** Where a kind of difference is there for the first time in a step, or for the last. */
  #news() {
    const first = new Map(),
      last = new Map();
    for (const m of this.moments) {
      const before = this.moments[m.i - 1]?.kinds ?? new Map();
      for (const kind of m.kinds.keys())
        if (!before.has(kind) && !first.has(`${m.step} ${kind}`)) first.set(`${m.step} ${kind}`, m.i);
      for (const kind of before.keys()) if (!m.kinds.has(kind)) last.set(`${m.step} ${kind}`, m.i);
    }
    this.stories = new Map(); // moment -> [[kind, whether it begins]]
    const note = (map, begins) => {
      for (const [key, i] of map)
        this.stories.set(i, [...(this.stories.get(i) ?? []), [key.slice(key.indexOf(" ") + 1), begins]]);
    };
    note(first, true);
    note(last, false);
    this.news = [...this.stories.keys()].sort((a, b) => a - b);
  }

  #lanes() {
    // the counters that move, those of the block's zone first
    const start = this.moments[0].sides,
      moving = Object.keys(start[0].counters).filter(
        (name) =>
          !/start_pfn|early/.test(name) &&
          this.moments.some((m) => m.sides.some((side, s) => side.counters[name] !== start[s].counters[name])),
      );
    const here = (name) => (name === TOTAL ? 1 : name.startsWith(`${this.data.zone} `) ? 0 : 2);
    this.moving = moving.sort((a, b) => here(a) - here(b));
    return this.moving.filter((name) => !name.endsWith(" spanned_pages")).slice(0, MOST_LANES);
  }

  #visible() {
    const first = (this.block * this.data.blockPages) / CHUNK,
      end = first + this.data.blockPages / CHUNK;
    for (const m of this.moments) {
      const before = this.moments[m.i - 1];
      m.visible =
        !before ||
        m.sides.some(
          (side, s) =>
            side.changed.some((id) => id >= first && id < end) ||
            side.shown !== before.sides[s].shown ||
            side.log !== before.sides[s].log ||
            this.lanes.some((name) => side.counters[name] !== before.sides[s].counters[name]),
        );
    }
  }

  /** A moment as it would be if the one before it were another: what changed between the two, in all. */
  since(from, to) {
    const { types } = this.data,
      kept = new Map([from, to].filter((i) => i !== this.i).map((i) => [i, this.#keep(i)])),
      [starts, ends] = [from, to].map((i) => kept.get(i) ?? this.states),
      sides = starts.map((start, s) => {
        const end = ends[s],
          moved = new Map(),
          retyped = new Map();
        const changed = [...this.touched].filter((id) => {
          const [was, is] = [start, end].map((state) => state.chunk(id * CHUNK)),
            [kind, other] = [start, end].map((state) => migratetypes(state, id));
          if (was === is && kind === other) return false;
          retype(kind, other, retyped);
          const found = this.#between(s, id, look(was, types), look(is, types));
          for (const [pair, n] of found.moved) moved.set(pair, (moved.get(pair) ?? 0) + n);
          return found.changed || kind !== other;
        });
        return { ...this.moments[to].sides[s], moved, retyped, changed };
      });
    const begun = this.spans.filter((span) => span.from > from && span.from <= to);
    return { ...this.moments[to], sides, calls: begun.length };
  }
  /** What changed between two looks of a chunk; kept, since most chunks look the same one moment later. */
  #between(side, id, was, is) {
    const key = id * 2 + side,
      last = this.compared.get(key);
    if (last?.was === was && last.is === is) return last;
    const moved = new Map(),
      found = { was, is, moved, changed: difference(was, is, moved) };
    this.compared.set(key, found);
    return found;
  }
  /** The states at a moment that is not shown; the last ones are kept for the next time. */
  #keep(i) {
    if (this.kept?.i !== i) {
      this.kept = { i, states: this.tapes.map((tape, s) => tape.seek(this.moments[i].at[s]).share()) };
      this.go(this.i);
    }
    return this.kept.states;
  }

  // ---- who did it ----------------------------------------------------------------------------------

  /** The hunks whose branch an event was written in: of its function, of a helper, or of a caller; with that function and line. */
  hunksOf(side, event) {
    const tape = this.tapes[side];
    for (let at = event; at >= 0;) {
      const { fn, line } = tape.event(at),
        parts = this.data.code[fn] ?? [];
      const branches = (parts[0]?.marks ?? []).filter(
        ([, kind, first, last]) => kind !== "asks" && first <= line && line <= last,
      );
      const helpers = branches.length
        ? []
        : parts.slice(1).flatMap((part) => part.marks.filter((mark) => mark[1] !== "asks"));
      const asked =
        branches.length || helpers.length
          ? []
          : (parts[0]?.marks ?? []).filter(
              ([hunk, kind]) => kind === "asks" && !parts[0].marks.some((m) => m[0] === hunk && m[1] !== "asks"),
            );
      const found = [...branches, ...helpers, ...asked];
      if (found.length) return { fn, line, hunks: [...new Set(found.map(([hunk]) => hunk))] };
      at = tape.around[at];
    }
    return null;
  }

  /** Who made a difference of a kind that is there at a moment (or was there just before): the hunk whose branch last wrote otherwise. */
  cause(kind, i) {
    const sample = this.moments[i].kinds.get(kind) ?? this.moments[i - 1]?.kinds.get(kind);
    const lives = this.tapes.map((tape, s) => this.#about(s, kind, sample)),
      left = lives.map((life, s) => upTo(life, this.moments[i].at[s]));
    const text = (s, e) => `${this.tapes[s].event(e).what.name} ${this.tapes[s].args(e)}`;
    while (left.some(Boolean)) {
      // the last writes that were not looked at, and all others of their moment
      const n = Math.max(...left.map((k, s) => (k ? this.momentOf(s, lives[s][k - 1]) : -1))),
        from = lives.map((life, s) => Math.min(left[s], upTo(life, n ? this.moments[n - 1].at[s] : -1))),
        [one, other] = lives.map((life, s) => life.slice(from[s], left[s])),
        texts = [one.map((e) => text(0, e)), other.map((e) => text(1, e))];
      left.splice(0, 2, ...from);
      if (`${texts[0]}` === `${texts[1]}`) continue;
      const odd = [
        ...one.filter((_, k) => !texts[1].includes(texts[0][k])).map((e) => [0, e]),
        ...other.filter((_, k) => !texts[0].includes(texts[1][k])).map((e) => [1, e]),
      ];
      for (const [s, e] of odd.length ? odd : [...one.map((e) => [0, e]), ...other.map((e) => [1, e])]) {
        const found = this.hunksOf(s, e);
        if (found) return { kind, moment: n, ...found };
      }
    }
    return { kind, moment: -1, fn: "", line: 0, hunks: [] };
  }
  /** The writes of a kernel's that a kind of difference is about, the first one first. */
  #about(s, kind, sample) {
    const tape = this.tapes[s],
      key = `${s} ${kind} ${sample}`;
    if (kind.startsWith("pages")) return tape.life(sample);
    this.abouts ??= new Map();
    if (this.abouts.has(key)) return this.abouts.get(key);
    const found = [];
    this.abouts.set(key, found);
    for (const e of tape.writes(-1, tape.length - 1)) {
      const { what } = tape.event(e);
      if (
        kind === "log"
          ? what.name === "printk"
          : sample === TOTAL
            ? what.name === "totalram_pages_add"
            : what.name === "add"
              ? sample === `${what.target} ${this.data.names[tape.args(e)[0]]}`
              : what.name === "set_span" && sample.startsWith(`${what.target} `)
      )
        found.push(e);
    }
    return found;
  }

  // ---- all calls --------------------------------------------------------------------------------------

  /** What each function does in the whole walk, the one that is called first first: calls and pages that it writes itself, on each kernel, and moments that pass until it returns. */
  get totals() {
    if (this.summed) return this.summed;
    const rows = new Map(),
      row = (name) => rows.get(name) ?? rows.set(name, { name, calls: [0, 0], pages: [0, 0], moments: 0 }).get(name);
    this.tapes.forEach((tape, s) => {
      const wrote = new Map();
      for (let e = 0; e < tape.length; e++) {
        const { what, fn } = tape.event(e);
        if (what.target === "enter") row(what.name).calls[s]++;
        if (!fn || what.target !== "memmap" || !PAGES_WRITTEN.has(this.data.spans[what.name])) continue;
        if (!wrote.has(fn)) wrote.set(fn, []);
        wrote.get(fn).push(tape.span(e));
      }
      for (const [fn, spans] of wrote) row(fn).pages[s] = distinct(spans);
    });
    for (const { stack } of this.moments) for (const name of new Set(stack)) row(name).moments++;
    return (this.summed = [...rows.values()]);
  }

  /** What begins or ends at a moment, and who made it; where no branch wrote otherwise, who made the pages that were read. */
  causes(i) {
    this.found ??= new Map();
    if (!this.found.has(i)) {
      this.found.set(
        i,
        (this.stories.get(i) ?? []).map(([kind, begins]) => {
          const found = this.cause(kind, i);
          if (found.hunks.length || kind.startsWith("pages") || !this.moments[i - 1]?.kinds.has("pages"))
            return { begins, follows: false, ...found };
          return { begins, follows: true, ...this.cause("pages", i - 1), kind };
        }),
      );
    }
    return this.found.get(i);
  }

  /** Who acted since the moment before, and on which lines, on both kernels. */
  actor(i) {
    const m = this.moments[i],
      before = this.moments[i - 1];
    const running = m.kind === "enter" || m.kind === "return" ? m.name : (m.stack.at(-1) ?? "");
    if (!before) return { name: m.kind === "done" ? "" : running, acted: false, functions: [], lines: [[], []] };
    const found = this.tapes.map((tape, s) => [...tape.writes(before.at[s], m.at[s])].map((e) => tape.event(e)));
    const functions = [
      ...new Set(
        found
          .flat()
          .map((e) => e.fn)
          .filter(Boolean),
      ),
    ];
    const caused = this.causes(i).find((cause) => cause.moment === i && cause.fn);
    const patched = functions.find((fn) => this.data.code[fn]?.some((part) => part.marks.length));
    const name = caused?.fn ?? patched ?? functions.at(-1) ?? running;
    const lines = this.tapes.map((tape, s) => {
      const ran = new Set();
      for (const e of tape.writes(before.at[s], m.at[s]))
        for (let at = e; at >= 0; at = tape.around[at])
          if (tape.event(at).fn === name) {
            ran.add(tape.event(at).line);
            break;
          }
      return [...ran];
    });
    return { name, acted: functions.length > 0, functions, lines };
  }

  /** The ids of the chunks that a line of a function wrote at this moment, for each kernel. */
  wroteBy(i, fn, line) {
    const m = this.moments[i],
      before = this.moments[i - 1];
    return this.tapes.map((tape, s) => {
      const chunks = new Set();
      for (const e of before ? tape.writes(before.at[s], m.at[s]) : []) {
        const event = tape.event(e),
          [first, nr] = tape.span(e);
        if (event.fn === fn && event.line === line && nr && nr !== Infinity)
          for (let c = Math.floor(first / CHUNK); c * CHUNK < first + nr; c++) chunks.add(c);
      }
      return chunks;
    });
  }
}

/** How many numbers of an ascending list are not above the last one, such as events up to another. */
export function upTo(events, last) {
  let low = 0,
    high = events.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (events[mid] <= last) low = mid + 1;
    else high = mid;
  }
  return low;
}
/** How many pages there are in ranges that may overlap. */
function distinct(ranges) {
  let pages = 0,
    reached = 0;
  for (const [first, nr] of ranges.sort((a, b) => a[0] - b[0])) {
    pages += Math.max(0, first + nr - Math.max(first, reached));
    reached = Math.max(reached, first + nr);
  }
  return pages;
}
/** The chunks in which two states are not one and the same. */
function* unlike(one, other) {
  for (const nr of new Set([...one.sections.keys(), ...other.sections.keys()])) {
    const [a, b] = [one, other].map((state) => state.sections.get(nr)?.chunks);
    for (let k = 0; k < CHUNKS; k++) if (a?.[k] !== b?.[k]) yield nr * CHUNKS + k;
  }
}
/** The migratetypes of the two pageblocks of a chunk as one number; -1 where no section is. */
function migratetypes(state, id) {
  const section = state.sections.get(id >> 5),
    b = (id & 31) * 2;
  return section ? section.pageblocks[b] * 16 + section.pageblocks[b + 1] : -1;
}

/** Count the pageblocks of a chunk whose migratetype changed by pair of migratetypes. */
function retype(was, now, retyped) {
  if (was < 0 || now < 0) return;
  for (const shift of [4, 0]) {
    const from = (was >> shift) & 15,
      to = (now >> shift) & 15;
    if (from !== to) retyped.set(from * 16 + to, (retyped.get(from * 16 + to) ?? 0) + 1);
  }
}

/** Count the pages whose class changed by pair of classes; return whether anything on a map changed. */
function difference(old, now, moved) {
  if (!old || (old.alike && now.alike && old.classes[0] === now.classes[0])) {
    if (old) return old.heads.some((order, p) => order !== now.heads[p]);
    old = { classes: new Uint8Array(CHUNK), heads: now.heads };
  }
  let changed = false;
  for (let p = 0, end; p < CHUNK; p = end) {
    const [from, to] = [old.classes[p], now.classes[p]];
    for (end = p + 1; end < CHUNK && old.classes[end] === from && now.classes[end] === to;) end++;
    if (from === to) continue;
    moved.set(from * 16 + to, (moved.get(from * 16 + to) ?? 0) + end - p);
    changed = true;
  }
  return changed || old.heads.some((order, p) => order !== now.heads[p]);
}

/** How many struct pages of two chunks differ, as count_differing() of memsim/scenario/comparison.py; and in which classes. */
function compare(one, other, types, pfn, samples) {
  const pairs = new Map();
  if (one === other) return { n: 0, pairs };
  const [a, b] = [look(one, types), look(other, types)];
  let n = 0;
  for (let p = 0; p < CHUNK; p++) {
    const f = one ? one.flags[p] : 0,
      g = other ? other.flags[p] : 0;
    if (
      (f | g) & LIVE &&
      ((f ^ g) & (ALL_FLAGS | LIVE) ||
        !one ||
        !other ||
        one.type[p] !== other.type[p] ||
        one.refcount[p] !== other.refcount[p] ||
        one.order[p] !== other.order[p])
    ) {
      if (!n) samples.set("any", pfn + p);
      n++;
    }
    if (a.classes[p] !== b.classes[p]) {
      const key = a.classes[p] * 16 + b.classes[p];
      if (!pairs.has(key)) samples.set(key, pfn + p);
      pairs.set(key, (pairs.get(key) ?? 0) + 1);
    }
  }
  return { n, pairs };
}

/** The counters of all zones and MemTotal; the same object while nothing changes. */
function countersOf(state, last) {
  const now = {};
  for (const zone of state.zones.values())
    for (const [name, value] of Object.entries(zone.counters)) now[`${zone.name} ${name}`] = value;
  now[TOTAL] = state.totalram;
  return last && Object.keys(now).every((name) => now[name] === last[name]) ? last : now;
}
/** What sysfs shows of the blocks and which sections are online, as one word: those that are not as in the first state. */
function shownOf(state, start, last) {
  const blocks = others(state.blocks, start.blocks, (shown) => shown),
    sections = others(state.sections, start.sections, (section) => `${section?.online}`),
    text = `${blocks.join(";")}|${sections.join()}`;
  return text === last ? last : text;
}
/** The entries of a map that another has otherwise or not at all, in its order, and those that only the other has. */
function others(map, other, told) {
  return [
    ...[...map].filter(([key, value]) => told(value) !== told(other.get(key))),
    ...[...other].filter(([key]) => !map.has(key)).map(([key]) => [key, undefined]),
  ].map(([key, value]) => [key, value === undefined ? "" : told(value)]);
}
