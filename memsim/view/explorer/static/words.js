// A moment in words: one sentence, the text twin (the same as Sight.twin() of memsim/view/explorer/snapshot.py), the life of a page.

import { ALLOCATED, MIXED, NOT_ONLINE, hasType, kindsOf, look } from "./pages.js";
import { CHUNK, LIVE, PAGEBLOCK, SECTION, migratetypeOf, orderOf } from "./memory.js";
import { TOTAL } from "./comparison.js";

const ENGLISH = new Intl.NumberFormat("en");
export const fmt = (n) => ENGLISH.format(n);
export const hex = (n) => `${n < 0 ? "-" : ""}0x${Math.abs(n).toString(16)}`;
const plural = (n, what) => `${what}${n === 1 ? "" : "s"}`;
export const count = (n, what) => `${fmt(n)} ${plural(n, what)}`;
const sum = (numbers) => numbers.reduce((a, b) => a + (b ?? 0), 0);

// ---- one sentence ------------------------------------------------------------------------------------

const SHORT = {
  present_pages: "present",
  managed_pages: "managed",
  nr_free_pages: "nr_free",
  nr_isolate_pageblock: "nr_isolate",
  spanned_pages: "spanned",
};
const LEFT = "on no free list",
  NO_REFERENCE = ", refcount 0";
/** What the pages of a class in a view are called in the legend, in short; without a reference "allocated" would be wrong. */
export function nameInView(data, view, kind) {
  const leaving =
    kind === ALLOCATED &&
    view.state &&
    view.chunks.every(({ classes }, k) => {
      const { refcount } = view.state.chunk(view.pfn + k * CHUNK);
      return classes.every((each, p) => each !== ALLOCATED || !refcount[p]);
    });
  return leaving ? LEFT : labelOf(data, kind).replace("in the ", "");
}
/** What pages of a class are called: free ones also while they are isolated, and the counter nr_free leaves them out. */
export const labelOf = (data, kind) => (data.classes[kind][0] === "B" ? "in the buddy" : data.classes[kind][1]);
/** A counter's short name; with its zone where it is not the one looked at. */
export function counterName(data, name) {
  if (name === TOTAL) return "MemTotal";
  const [zone, counter] = name.split(" ");
  return `${zone === data.zone ? "" : `${zone} `}${SHORT[counter] ?? counter}`;
}

/** How a sentence names the two kernels; the second in short where it has named the first. */
const onKernels = ({ data }, after = "after it") =>
  data.sides.map(
    ({ name, title }) => ({ before: "before the patch", after })[name] ?? title[0].toLowerCase() + title.slice(1),
  );
/** How "is called" goes on: most docstrings begin with a verb. */
const purpose = (doc) => (/^[A-Z][a-z-]*,? /.test(doc) ? ` to ${doc[0].toLowerCase()}${doc.slice(1)}` : `. ${doc}`);
/** What happened, as parts: text, or [kind, text] where kind says what is meant: fn, before, after. */
export function happened(c, i) {
  const { data } = c,
    m = c.moments[i],
    before = c.moments[i - 1],
    doc = data.code[m.name]?.[0]?.doc ?? "";
  if (!before)
    return [
      m.kind === "done" ? "Both kernels have booted, and the steps have not begun. " : "The kernels begin to boot. ",
      "Press ",
      ["key", "→"],
      " for the next change, or ",
      ["key", "D"],
      " for where the kernels differ.",
    ];
  const found = [...pages(c, m), ...retyped(c, m), ...counters(c, m, before)],
    actor = c.actor(i);
  const blocks = blockStates(c, before, m);
  if (m.kind === "notifier")
    return join([[`The ${chainOf(m.name)} notifier chain is called: `, ["fn", m.name]], ...found]);
  if (m.kind === "done")
    return m.step < 0
      ? join([["The machine has booted"], ...found])
      : join([
          [
            `Step ${m.step} has ended: ${data.ends[m.step][0] === data.ends[m.step][1] ? data.ends[m.step][0] : data.ends[m.step].map((end, s) => `${end} ${data.sides[s].name}`).join(", ")}`,
          ],
          ...found,
          ...blocks,
        ]);
  if (found.length || blocks.length)
    return [["fn", `${actor.functions[0] ? actor.name : m.name}()`], " acted: ", ...join([...found, ...blocks])];
  if (m.kind === "enter") return [["fn", `${m.name}()`], ` is called${purpose(doc)}`];
  return [
    ["fn", `${m.name}()`],
    actor.acted
      ? " returns; what it wrote changes nothing that is drawn here."
      : " returns; it wrote nothing since the moment before.",
  ];
}

/** What changed between the moment `from` and `m`, a moment that `since()` gave, as parts. */
export function changedSince(c, from, m) {
  const before = c.moments[from],
    found = [...pages(c, m), ...retyped(c, m), ...counters(c, m, before), ...blockStates(c, before, m)];
  return [
    ["since", `From moment ${from} to ${m.i}, ${count(m.calls, "call")}`],
    " (",
    ["key", "Esc"],
    " ends this): ",
    ...(found.length ? join(found) : ["nothing that is drawn here changed."]),
  ];
}

/** What begins or ends to differ at a moment of `c.news`: two lists of words. */
export function newsOf(c, i) {
  const { data } = c,
    name = (kind) => {
      if (kind === "log") return "the kernel log";
      if (kind === "pages") return "struct pages";
      const [what, ...rest] = kind.split(" ");
      if (what === "counter") return counterName(data, rest.join(" "));
      const pair = Number(rest[0]);
      return [pair >> 4, pair & 15].map((k, s) => `${data.classes[k][1]} ${data.sides[s].name}`).join(", ");
    };
  return [true, false].map((begins) => {
    const kinds = c.stories.get(i).flatMap(([kind, is]) => (is === begins ? [kind] : []));
    return kinds.filter((kind) => kind !== "pages" || !kinds.some((other) => other.startsWith("pages "))).map(name);
  });
}

const join = (parts) => parts.flatMap((part, n) => [...(n ? ["; "] : []), ...part]).concat(parts.length ? ["."] : []);
export const plain = (parts) => parts.map((part) => (typeof part === "string" ? part : part[1])).join("");

function pages(c, m) {
  const letter = (kind) => c.data.classes[kind][0],
    // Nobody has allocated the pages that leave with their block: they are off the free lists, and then gone.
    leave = (to) => (m.name === "__offline_isolated_pages" && letter(to) === "A") || letter(to) === "·",
    label = (kind, to) => (letter(kind) === "A" && leave(to) ? LEFT : labelOf(c.data, kind)),
    [one, other] = onKernels(c),
    [a, b] = m.sides.map((side) => [...side.moved].map(([key, n]) => [key >> 4, key & 15, n]));
  if (!a.length && !b.length) return [];
  if (JSON.stringify(a) === JSON.stringify(b))
    return a.map(([from, to, n]) => [
      `${count(n, "page")} ${n > 1 ? "are" : "is"} now ${label(to, to)}`,
      from ? ` (${n > 1 ? "were" : "was"} ${label(from, to)})` : "",
    ]);
  if (a.length === 1 && b.length === 1 && a[0][2] === b[0][2]) {
    const [[f0, t0, n], [f1, t1]] = [a[0], b[0]];
    if (t0 === t1)
      return [
        [
          `${count(n, "page")} ${n > 1 ? "are" : "is"} now ${label(t0, t0)}; ${n > 1 ? "they were" : "it was"} `,
          ["before", label(f0, t0)],
          ` ${one}, `,
          ["after", label(f1, t1)],
          ` ${other}`,
        ],
      ];
    if (f0 === f1)
      return [
        [
          f0
            ? `${count(n, "page")} ${n > 1 ? "are" : "is"} now `
            : `${count(n, "struct page")} ${n > 1 ? "are" : "is"} written for the first time: `,
          ["before", label(t0, t0)],
          ` ${one}, `,
          ["after", label(t1, t1)],
          ` ${other}`,
        ],
      ];
  }
  const side = (list) =>
    list.map(([from, to, n]) => `${fmt(n)} ${label(from, to)} → ${label(to, to)}`).join(", ") || "none";
  return [["pages: ", ["before", side(a)], ` ${one}, `, ["after", side(b)], ` ${other}`]];
}
function retyped(c, m) {
  const say = (side) =>
    [...side.retyped]
      .map(([key, n]) => `${count(n, "pageblock")} ${c.data.migratetypes[key >> 4]} → ${c.data.migratetypes[key & 15]}`)
      .join(", ");
  const [a, b] = m.sides.map(say),
    [one, other] = c.data.sides;
  return a === b
    ? a
      ? [[a]]
      : []
    : [[["before", a || "no pageblock"], ` ${one.name}, `, ["after", b || "no pageblock"], ` ${other.name}`]];
}
function counters(c, m, before) {
  return c.moving.flatMap((name) => {
    const [a, b] = m.sides.map((side, s) => side.counters[name] - before.sides[s].counters[name]),
      sign = (n) => (n > 0 ? "+" : "−") + fmt(Math.abs(n));
    if (!a && !b) return [];
    const short = counterName(c.data, name),
      [one, other] = c.data.sides,
      alone = onKernels(c, "after the patch");
    if (a === b) return [[`${short} ${sign(a)}`]];
    if (!a || !b) return [[`${short} `, a ? ["before", sign(a)] : ["after", sign(b)], ` only ${alone[a ? 0 : 1]}`]];
    return [[`${short} `, ["before", sign(a)], ` ${one.name}, `, ["after", sign(b)], ` ${other.name}`]];
  });
}
/** The states of those memory blocks that are not as they were at the beginning; "": gone. */
function statesOf({ sides }) {
  const pairs = sides[1].shown.split("|")[0].split(";").filter(Boolean);
  return new Map(pairs.map((text) => text.split(",")));
}
function blockStates(c, before, m) {
  if (before.sides[1].shown === m.sides[1].shown) return [];
  const [was, now] = [before, m].map(statesOf),
    of = (states, block) => states.get(block) ?? c.start[1].blocks.get(Number(block)) ?? "";
  const blocks = [...new Set([...now.keys(), ...was.keys()])].filter((block) => of(was, block) !== of(now, block)),
    found = blocks.map((block) => [of(now, block) ? `block ${block} is ${of(now, block)}` : `block ${block} is gone`]);
  return found.length > 3 ? [[`${found.length} memory blocks change`]] : found;
}

// ---- the text twin -------------------------------------------------------------------------------------

const COUNTERS = {
  start_pfn: "zone_start_pfn",
  spanned: "spanned_pages",
  present: "present_pages",
  managed: "managed_pages",
  nr_isolate_pageblock: "nr_isolate_pageblock",
  nr_free: "nr_free_pages",
};
const LOG_LINES = 8,
  MOST_WRITES = 8,
  MOST_DIFFERENCES = 8,
  MOST_RUNS = 16;

export function momentName(c, m) {
  const point = m.point.replace(/#1$/, "");
  return m.step < 0 ? (m.kind === "done" ? "after boot" : `boot ${point}`) : `step ${m.step} ${point}`;
}
export function heading(c, i) {
  const m = c.moments[i],
    { steps } = c.data;
  const where =
    m.step < 0
      ? m.kind === "done"
        ? "after boot, before the first step"
        : "boot"
      : `step ${m.step} of ${steps.length - 1}: ${steps[m.step]}`;
  return `Moment ${i} of ${c.length - 1}, ${where}`;
}
export function happening(c, i) {
  const m = c.moments[i],
    gaps = c.tapes.map((tape, s) => leftOut(tape, between(c, i, s))),
    both = (texts) =>
      texts[0] === texts[1] ? texts[0] : texts.map((text, s) => `${c.data.sides[s].name}: ${text}`).join("; ");
  const told = c.tapes
    .map((tape, s) => gaps[s] && `${gaps[s]} (${c.data.sides[s].name})`)
    .filter(Boolean)
    .join(", ");
  const end = told ? `; left out up to here: ${told}` : "";
  if (m.kind === "done" && m.step < 0) return `done: both kernels have booted${end}`;
  if (m.kind === "done") return `done: the step has ended: ${both(c.data.ends[m.step])}${end}`;
  return `${m.point}: ${both(c.tapes.map((tape, s) => callText(c, tape, m.at[s])))}${end}`;
}
function chainOf(action) {
  return action.startsWith("NODE_") ? "node" : "memory";
}
function callText(c, tape, event) {
  const { what } = tape.event(event);
  if (what.target === "notifier") return `the ${chainOf(what.name)} notifier chain is called: ${what.name}`;
  if (what.target === "return") return `${what.name}() returns`;
  return `${what.name}(${tape
    .args(event)
    .map((a, k) => (what.read[k] === "n" ? hex(a) : c.data.names[a]))
    .join(", ")}) is entered`;
}
const between = (c, i, side) => [i ? c.moments[i - 1].at[side] : -1, c.moments[i].at[side]];
function leftOut(tape, [from, to]) {
  const gaps = [...tape.writes(from, to)]
    .filter((e) => tape.event(e).what.name === "left_out")
    .map((e) => tape.args(e));
  return gaps.length
    ? `${fmt(sum(gaps.map((g) => g[0])))} event${sum(gaps.map((g) => g[0])) === 1 ? "" : "s"}${gaps.some((g) => g[1]) ? " or more" : ""}`
    : "";
}

export function flagsText(data, mask) {
  const all = Object.entries(data.flags),
    missing = all.filter(([, bit]) => !(bit & mask)).map(([name]) => name);
  let names = all.filter(([, bit]) => bit & mask).map(([name]) => name);
  if (missing.length <= 1) names = [`all flags${missing.length ? ` but ${missing[0]}` : ""}`];
  if (mask & (1 << 24)) names.push("(managed)");
  if (mask & (1 << 25)) names.push("(present)");
  return names.join("|") || "no flags";
}
/** A write as a call: the same text as write_text() of memsim/view/explorer/words.py. */
export function writeText(c, tape, event) {
  const {
      what: { target, name },
    } = tape.event(event),
    a = tape.args(event),
    { data } = c,
    order = (n) => `order ${n}`;
  const kind = (code) =>
    Object.keys(data.types.codes)
      .find((type) => data.types.codes[type] === code)
      .toUpperCase();
  const say = {
    left_out: () => null,
    printk: () => [data.names[a[0]]],
    add: () => [data.names[a[0]], hex(a[1])],
    set_block_state: () => [hex(a[0]), a[1] < 0 ? "none" : data.names[a[1]]],
    set_online: () => [hex(a[0]), String(Boolean(a[1]))],
    set_type: () => [hex(a[0]), hex(a[1]), kind(a[2])],
    clear_type: () => [hex(a[0]), hex(a[1]), kind(a[2])],
    set_flags: () => [hex(a[0]), hex(a[1]), flagsText(data, a[2])],
    clear_flags: () => [hex(a[0]), hex(a[1]), flagsText(data, a[2])],
    init_pages: () => [hex(a[0]), hex(a[1]), data.zoneTypes[a[2]], flagsText(data, a[3]), `stored type ${hex(a[4])}`],
    set_migratetype: () => [hex(a[0]), hex(a[1]), data.migratetypes[a[2]]],
    set_order: () => [hex(a[0]), order(a[1])],
    set_buddy_order: () => [hex(a[0]), order(a[1])],
    set_watermark: () => [`(${a.join(", ")})`],
  };
  for (const each of [
    "add_to_free_list",
    "add_to_free_list_tail",
    "del_from_free_list",
    "pcp_add",
    "pcp_add_tail",
    "pcp_del",
  ])
    say[each] = () => [hex(a[0]), order(a[1]), data.migratetypes[a[2]]];
  for (const each of ["add_run_to_free_list_tail", "del_run_from_free_list"])
    say[each] = () => [`range(${a[0]}, ${a[0] + a[1] * a[2]}, ${a[2]})`, order(a[3]), data.migratetypes[a[4]]];
  const parts = (say[name] ?? (() => a.map(hex)))();
  return parts ? `${target}.${name}(${parts.join(", ")})` : `left out here: ${leftOut(tape, [event - 1, event])}`;
}
export function written(c, i, side) {
  const tape = c.tapes[side],
    [from, to] = between(c, i, side);
  return i ? [...tape.writes(from, to)].map((e) => [tape.event(e).fn, writeText(c, tape, e), e]) : [];
}
const OUTSIDE = "outside any function with a probe point";

function codeLine(c, i) {
  const { data } = c,
    actor = c.actor(i);
  if (actor.functions.length) {
    const asked = new Set(
      actor.functions.flatMap((fn) => (data.code[fn] ?? []).flatMap((part) => part.marks.map(([hunk]) => hunk))),
    );
    const told = data.hunks
      .filter((hunk) => asked.has(hunk))
      .map(
        (hunk) =>
          `${hunk} (${data.sides.map((side) => `${side.hunks.includes(hunk) ? "with" : "without"} it ${side.name}`).join(", ")})`,
      );
    return `Code: written by ${actor.functions.map((fn) => `${fn}()`).join(", ")}. ${told.length ? `Branches of the patch there: ${told.join("; ")}.` : "The patch has no branch there."}`;
  }
  const m = c.moments[i],
    calls = c.tapes[1].calls(m.at[1], m.kind === "done");
  if (!calls.length) return "Code: no kernel function is being executed.";
  return `Code: ${calls[0]}()${
    calls.length > 1
      ? `, called by ${calls
          .slice(1)
          .map((fn) => `${fn}()`)
          .join(", ")}`
      : ""
  }; nothing was written since the moment before.`;
}

const countsPhrase = (data, counts, extra = {}) =>
  counts
    .map((n, kind) =>
      n
        ? `${n} ${plural(n, "page")} ${kind === ALLOCATED && extra[kind] === NO_REFERENCE ? LEFT : data.classes[kind][1]} (${data.classes[kind][0]}${extra[kind] ?? ""})`
        : "",
    )
    .filter(Boolean)
    .join(", ");

/** The two most frequent classes of a pageblock, and whether there are more. */
export function lettersOf(data, view, tile) {
  const { classes } = view.chunks[tile >> 1],
    counts = [],
    from = (tile & 1) * PAGEBLOCK;
  for (let p = from; p < from + PAGEBLOCK; p++) counts[classes[p]] = (counts[classes[p]] ?? 0) + 1;
  const found = Object.keys(counts)
    .map(Number)
    .sort((a, b) => counts[b] - counts[a] || a - b);
  return (
    found
      .slice(0, 2)
      .map((kind) => data.classes[kind][0])
      .join("") + (found.length > 2 ? "+" : "")
  );
}
export function mapSentence(data, view) {
  const runs = [];
  for (let tile = 0; tile < view.pages / PAGEBLOCK; tile++) {
    const letters = lettersOf(data, view, tile);
    if (runs.at(-1)?.letters === letters) runs.at(-1).last = tile;
    else runs.push({ first: tile, last: tile, letters });
  }
  const told = runs
    .slice(0, MOST_RUNS)
    .map(({ first, last, letters }) => `${last > first ? `${first}-${last}` : first} ${letters}`);
  if (runs.length > MOST_RUNS) told.push(`and ${runs.length - MOST_RUNS} more runs`);
  return `${countsPhrase(data, view.counts())}; pageblocks ${told.join(", ")}`;
}
function machineSentence(data, kinds) {
  const runs = [];
  data.blocks.forEach((block, k) => {
    const last = runs.at(-1);
    if (last && last.kind === kinds[k] && last.last === block - 1) last.last = block;
    else runs.push({ first: block, last: block, kind: kinds[k] });
  });
  const told = runs
    .slice(0, 12)
    .map(({ first, last, kind }) => `${last > first ? `${first}-${last}` : first} ${kindLetters(data, kind)}`);
  if (runs.length > 12) told.push(`and ${runs.length - 12} more runs`);
  return told.join(", ");
}
// As in memsim/view/model/page_class.py.
const LEGEND = "the letter is that of most initialised pages; +: other pages, too; N: none initialised; ·: no block";
export const zoneSentence = ({ name, start, end, present, managed }) =>
  `zone ${name} spans ${hex(start)}-${hex(end - 1)}, ${fmt(end - start)} pages, ${fmt(present)} present, ${fmt(managed)} managed`;
export const kindLetters = (data, kind) =>
  ((kind & ~MIXED) === NOT_ONLINE ? "N" : data.classes[kind & ~MIXED][0]) + (kind & MIXED ? "+" : "");
/** What most pages of a memory block are, as the letters over the maps say it. */
export function kindSentence(data, kind) {
  const plain = kind & ~MIXED,
    letters = kindLetters(data, kind);
  if (plain === NOT_ONLINE) return `${letters}, its struct pages are not set up`;
  if (!plain) return `${letters}, no memory block`;
  return `${letters}, ${kind & MIXED ? "most" : "all"} of its pages are ${labelOf(data, plain)}`;
}

function blockSentence(c, view) {
  const { data } = c,
    { state, pfn, pages: nr } = view,
    numbers = Array.from({ length: nr / SECTION }, (_, k) => pfn / SECTION + k);
  const here = numbers.map((n) => state.sections.get(n)).filter(Boolean),
    where = `Block ${view.block} [${hex(pfn)}-${hex(pfn + nr - 1)}]`;
  if (!here.length) return `${where}: no memory block, no struct pages.`;
  const on = here.filter((section) => section.online).length,
    word = on ? "online" : "not online";
  const sections =
    on && on < here.length
      ? `${on} of ${here.length} sections online`
      : here.length === 1
        ? `section ${word}`
        : `all ${here.length} sections ${word}`;
  const counts = view.counts(),
    live = counts.some((n, kind) => n && kind),
    extra = {};
  if (live && here.length === numbers.length) {
    const low = [],
      high = [];
    view.chunks.forEach(({ classes }, k) => {
      const { refcount } = state.chunk(pfn + k * CHUNK);
      for (let p = 0; p < CHUNK; p++) {
        const kind = classes[p],
          r = refcount[p];
        low[kind] = Math.min(low[kind] ?? r, r);
        high[kind] = Math.max(high[kind] ?? r, r);
      }
    });
    low.forEach((r, kind) => {
      if (kind && r === high[kind]) extra[kind] = `, refcount ${r}`;
    });
  }
  const parts = [
    `${where}: sysfs state ${state.blocks.get(view.block) ?? "not registered"}, ${sections}.`,
    `${countsPhrase(data, counts, extra)}.`,
  ];
  if (live) {
    const orders = [];
    for (const { heads } of view.chunks)
      for (const order of heads) if (order >= 0) orders[order] = (orders[order] ?? 0) + 1;
    const found = Object.keys(orders).map(Number).reverse();
    if (found.length)
      parts.push(`Free blocks: ${found.map((order) => `${orders[order]} of order ${order}`).join(", ")}.`);
    const kinds = [];
    for (const section of here) for (const kind of section.pageblocks) kinds[kind] = (kinds[kind] ?? 0) + 1;
    parts.push(
      `Pageblocks: ${Object.keys(kinds)
        .map((kind) => `${kinds[kind]} ${data.migratetypes[kind]}`)
        .join(", ")}.`,
    );
  }
  return parts.join(" ");
}

/** Counters and free lists of both kernels at a moment, taken down. */
export function numbersOf(c, i) {
  const states = c.tapes.map((tape, s) => tape.seek(c.moments[i].at[s])),
    counters = [],
    free = new Map();
  for (const zone of states[0].zones.keys()) {
    for (const [name, attribute] of Object.entries(COUNTERS))
      counters.push([zone, name, states.map((state) => state.zones.get(zone).counters[attribute])]);
    const keys = new Set(
      states.flatMap((state) => [...state.zones.get(zone).free].filter(([, list]) => list.size).map(([key]) => key)),
    );
    for (const key of [...keys].sort((a, b) => orderOf(b) - orderOf(a) || migratetypeOf(a) - migratetypeOf(b)))
      free.set(`${zone} ${key}`, [
        zone,
        orderOf(key),
        migratetypeOf(key),
        states.map((state) => state.zones.get(zone).free.get(key)?.size ?? 0),
      ]);
  }
  counters.push(["all", "totalram", states.map((state) => state.totalram)]);
  return { counters, free };
}
const equal = (a, b) => a.every((n, s) => n === b[s]);

/** The rows of the counter table: two words, a number for each kernel, and the numbers at the moment before. */
export function counterRows(numbers, previous) {
  const used = new Set([
    "all",
    ...numbers.counters.filter(([, name, values]) => name === "spanned" && values.some(Boolean)).map(([zone]) => zone),
  ]);
  return numbers.counters
    .map(([zone, name, now], k) => ({ words: [zone, name], now, old: previous.counters[k][2] }))
    .filter(({ words }) => used.has(words[0]));
}
export function freeRows(data, numbers, previous, zone) {
  const keys = new Set([...numbers.free.keys(), ...previous.free.keys()]),
    none = [0, 0];
  return [...keys]
    .map((key) => ({ key, entry: numbers.free.get(key) ?? previous.free.get(key) }))
    .filter(({ entry }) => entry[0] === zone)
    .sort((a, b) => b.entry[1] - a.entry[1] || a.entry[2] - b.entry[2])
    .map(({ key, entry }) => ({
      words: [String(entry[1]), data.migratetypes[entry[2]]],
      now: numbers.free.get(key)?.[3] ?? none,
      old: previous.free.get(key)?.[3] ?? none,
    }));
}
export const shown = (words, n) => (words[1] === "start_pfn" ? hex(n) : String(n));
function plainTable(headings, rows) {
  const lines = [
    [...headings.slice(0, 2), ...headings.slice(2).map((text) => `${text} `)],
    ...rows.map(({ words, now, old }) => [
      ...words,
      ...now.map((n, s) => shown(words, n) + (n === old[s] ? " " : "*")),
    ]),
  ];
  const widths = lines[0].map((_, k) => Math.max(...lines.map((line) => line[k].length)));
  return lines
    .map((line) =>
      line
        .map((cell, k) => (k < 2 ? cell.padEnd(widths[k]) : cell.padStart(widths[k])))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** In what the two kernels differ at a moment: the shown block, counters, free lists, the end of the log. */
export function differs(c, numbers) {
  const { data } = c,
    [one, other] = c.views,
    found = [],
    pairs = new Map(),
    name = (s) => data.sides[s].name;
  one.chunks.forEach((chunk, k) => {
    const others = other.chunks[k];
    if (chunk === others || (chunk.alike && others.alike && chunk.classes[0] === others.classes[0])) return;
    for (let p = 0; p < CHUNK; p++)
      if (chunk.classes[p] !== others.classes[p]) {
        const key = chunk.classes[p] * 16 + others.classes[p];
        pairs.set(key, (pairs.get(key) ?? 0) + 1);
      }
  });
  for (const key of [...pairs.keys()].sort((a, b) => a - b))
    found.push(
      `${pairs.get(key)} pages ${[key >> 4, key & 15].map((kind, s) => `${data.classes[kind][1]} (${data.classes[kind][0]}) ${name(s)}`).join(", ")}`,
    );
  for (const [zone, counter, values] of numbers.counters)
    if (values[0] !== values[1])
      found.push(`${counter}${zone === "all" ? "" : ` of zone ${zone}`} ${values.join(" and ")}`);
  for (const [zone, order, kind, values] of numbers.free.values())
    if (values[0] !== values[1])
      found.push(`free blocks of order ${order}, ${data.migratetypes[kind]}, in zone ${zone} ${values.join(" and ")}`);
  if (c.states[0].log.slice(-LOG_LINES).join("\n") !== c.states[1].log.slice(-LOG_LINES).join("\n"))
    found.push("the kernel log");
  if (!found.length) return "Nothing that is shown here differs between the two kernels.";
  const more = found.length > MOST_DIFFERENCES ? [`${found.length - MOST_DIFFERENCES} more`] : [];
  return `The two kernels differ in: ${[...found.slice(0, MOST_DIFFERENCES), ...more].join("; ")}.`;
}

function recordedLines(c, i, s, recordedView) {
  const recorded = c.data.recorded[s];
  if (!recorded) return [];
  const probe = recorded.probes[i];
  if (!probe) {
    const earlier = Object.keys(recorded.probes)
      .map(Number)
      .filter((at) => at < i);
    return [
      `  Recorded kernel ${recorded.kernel}: no recording at this moment${earlier.length ? ` (last one: ${momentName(c, c.moments[Math.max(...earlier)])})` : ""}.`,
    ];
  }
  return [
    `  Recorded kernel ${recorded.kernel}: ${probe.says}.`,
    ...(probe.map ? [`  Recorded map: ${mapSentence(c.data, recordedView(probe.map, 0))}.`] : []),
  ];
}

/** Everything at the moment shown, as text. */
export function twin(c, recordedView) {
  const { data, i } = c,
    previous = numbersOf(c, Math.max(0, i - 1)),
    numbers = numbersOf(c, i);
  c.go(i);
  const sides = data.sides.map((side, s) => {
    const [first, ...rest] = side.title.split(" "),
      writes = written(c, i, s),
      kinds = kindsOf(c.states[s], data),
      log = c.states[s].log.slice(-LOG_LINES);
    return [
      `${first.toUpperCase()} ${rest.join(" ")}. ${blockSentence(c, c.views[s])}`,
      `  Map: ${mapSentence(data, c.views[s])}.`,
      `  Memory blocks (${LEGEND}): ${machineSentence(data, kinds)}.`,
      ...recordedLines(c, i, s, recordedView),
      ...(writes.length
        ? [
            "  Written since the moment before:",
            ...writes.slice(0, MOST_WRITES).map(([fn, text]) => `    ${fn || OUTSIDE}: ${text}`),
            ...(writes.length > MOST_WRITES ? [`    and ${writes.length - MOST_WRITES} more`] : []),
          ]
        : []),
      ...(log.length ? ["  The kernel log ends with:", ...log.map((line) => `    ${line}`)] : []),
    ].join("\n");
  });
  const free = freeRows(data, numbers, previous, data.zone),
    names = data.sides.map((side) => side.name);
  return [
    `${heading(c, i)}\n${happening(c, i)}\n${codeLine(c, i)}`,
    ...sides,
    differs(c, numbers),
    `Zone counters, in pages (*: changed since the moment before)\n${plainTable(["zone", "counter", ...names], counterRows(numbers, previous))}`,
    `Free lists of zone ${data.zone}, in blocks\n${free.length ? plainTable(["order", "migratetype", ...names], free) : `zone ${data.zone} has no free blocks`}`,
  ].join("\n\n");
}

// ---- one page --------------------------------------------------------------------------------------------

/** What a struct page says on one kernel now. */
export function pageNow(c, side, pfn) {
  const state = c.states[side],
    page = state.page(pfn),
    { data } = c;
  if (!page) return { kind: 0, text: "it has no struct page" };
  const seen = look(state.chunk(pfn), data.types),
    kind = seen.classes[pfn % CHUNK];
  const types = Object.keys(data.types.codes)
    .filter((type) => type !== "none" && page.type !== 255 && hasType(data.types, page.type, type))
    .sort();
  const zone = data.zoneTypes[page.flags >>> 29],
    migratetype = data.migratetypes[state.migratetype(pfn)];
  if (!kind) return { kind, text: "its struct page is not set up" };
  const flags =
    Object.entries(data.flags)
      .filter(([, bit]) => page.flags & bit)
      .map(([name]) => name)
      .join("|") || "no flags";
  return {
    kind,
    flags,
    types: types.join("|") || "none",
    refcount: page.refcount,
    order: seen.heads[pfn % CHUNK],
    zone,
    migratetype,
    live: Boolean(page.flags & LIVE),
    text: `${data.classes[kind][1]} (${data.classes[kind][0]}): ${flags}, type ${types.join("|") || "none"}, refcount ${page.refcount}`,
  };
}
/** The writes that were about a page: [moment, function, text, event], the first one first. */
export function lifeOf(c, side, pfn) {
  const tape = c.tapes[side];
  return tape.life(pfn).map((e) => [c.momentOf(side, e), tape.event(e).fn, writeText(c, tape, e), e]);
}
