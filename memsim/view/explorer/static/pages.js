// The few kinds of page that a reader tells apart at a glance: the same classes as memsim/view/model/page_class.py.

import { CHUNK, LIVE, MANAGED, NO_TYPE, POISON_FLAGS, PRESENT, SECTION, ZONE_SHIFT } from "./memory.js";

export const [ABSENT, RESERVED, OFFLINE, FREE, ALLOCATED, SELF_HOSTED, POISONED, RESERVED_OFFLINE, FREE_OFFLINE] = [
  0, 1, 2, 3, 4, 5, 6, 7, 8,
];
const PG_RESERVED = 1 << 10,
  PG_SELF_HOSTED = 1 << 9,
  PG_HWPOISON = 1 << 17;
const NOTHING = { classes: new Uint8Array(CHUNK), heads: new Int8Array(CHUNK).fill(-1), counts: [CHUNK], alike: true };

/** How a kernel's stored type byte says that a page has a type. */
export const hasType = (types, stored, name) =>
  types.inverted ? (stored & (~types.codes[name] & 255)) === 0 : stored === types.codes[name];

/** What the pages of a chunk are: their classes, the orders of free blocks at their first pages, and how many of each class. */
export function look(chunk, types) {
  if (!chunk) return NOTHING;
  if (chunk.seen) return chunk.seen;
  const classes = new Uint8Array(CHUNK),
    heads = new Int8Array(CHUNK).fill(-1),
    counts = [];
  const { flags, type, order } = chunk;
  if (chunk.uniform) {
    classes.fill(classOf(flags[0], type[0], false, types));
    counts[classes[0]] = CHUNK;
    if (type[0] !== NO_TYPE && hasType(types, type[0], "buddy")) return slow();
    return (chunk.seen = { classes, heads, counts, alike: true });
  }
  return slow();

  function slow() {
    counts.length = 0;
    let free = 0,
      first = -1,
      alike = true;
    for (let p = 0; p < CHUNK; p++) {
      if (type[p] !== NO_TYPE && hasType(types, type[p], "buddy")) {
        heads[p] = order[p];
        free = Math.max(free, p + 2 ** Math.min(order[p], 10));
      }
      const kind = (classes[p] = classOf(flags[p], type[p], p < free, types));
      counts[kind] = (counts[kind] ?? 0) + 1;
      if (first < 0) first = kind;
      else if (kind !== first) alike = false;
    }
    return (chunk.seen = { classes, heads, counts, alike });
  }
}

function classOf(flags, type, free, types) {
  if (!(flags & LIVE) || flags === POISON_FLAGS) return ABSENT;
  if (flags & PG_HWPOISON) return POISONED;
  if (flags & PG_SELF_HOSTED) return SELF_HOSTED;
  const offline = type !== NO_TYPE && hasType(types, type, "offline");
  if (flags & PG_RESERVED) return offline ? RESERVED_OFFLINE : RESERVED;
  if (free) return offline ? FREE_OFFLINE : FREE;
  return offline ? OFFLINE : ALLOCATED;
}

/** The pages of a block on one kernel: chunk by chunk, and as a whole on demand. */
export class BlockView {
  constructor(state, block, blockPages, types) {
    Object.assign(this, { state, block, pfn: block * blockPages, pages: blockPages, types });
    this.chunks = Array.from({ length: blockPages / CHUNK }, (_, k) => look(state.chunk(this.pfn + k * CHUNK), types));
  }
  get there() {
    return Boolean(this.state.chunk(this.pfn));
  }
  classOf(page) {
    return this.chunks[page >> 10].classes[page & 1023];
  }
  headOf(page) {
    return this.chunks[page >> 10].heads[page & 1023];
  }
  counts() {
    const sums = [];
    for (const { counts } of this.chunks)
      counts.forEach((n, kind) => {
        sums[kind] = (sums[kind] ?? 0) + n;
      });
    return sums;
  }
}

/** A recorded map, from runs of pages, in the place of a BlockView. */
export function recordedView([lengths, kinds, orders], pfn) {
  const pages = lengths.reduce((a, b) => a + b, 0),
    classes = new Uint8Array(pages),
    heads = new Int8Array(pages).fill(-1);
  let at = 0;
  lengths.forEach((n, run) => {
    classes.fill(kinds[run], at, at + n);
    heads[at] = orders[run];
    at += n;
  });
  const chunks = Array.from({ length: pages / CHUNK }, (_, k) => {
    const part = classes.subarray(k * CHUNK, (k + 1) * CHUNK),
      counts = [];
    for (const kind of part) counts[kind] = (counts[kind] ?? 0) + 1;
    return {
      classes: part,
      heads: heads.subarray(k * CHUNK, (k + 1) * CHUNK),
      counts,
      alike: counts.filter(Boolean).length === 1,
    };
  });
  return {
    pfn,
    pages,
    chunks,
    recorded: true,
    there: true,
    classOf: (p) => classes[p],
    headOf: (p) => heads[p],
    counts: () => {
      const sums = [];
      for (const kind of classes) sums[kind] = (sums[kind] ?? 0) + 1;
      return sums;
    },
  };
}

export const NOT_ONLINE = 10;
export const MIXED = 0x80;
/** What most pages of each block of the machine are: see memsim/view/model/page_class.py. Of what was found of another moment, `changing` are found again. */
export function kindsOf(state, { blocks, blockPages, types }, found = [], changing = blocks.keys()) {
  for (const k of changing) found[k] = kindOf(state, blocks[k], blockPages, types);
  return found;
}
function kindOf(state, block, blockPages, types) {
  const counts = [];
  for (let nr = (block * blockPages) / SECTION; nr < ((block + 1) * blockPages) / SECTION; nr++)
    countsOf(state.sections.get(nr), types)?.forEach((n, kind) => {
      counts[kind] = (counts[kind] ?? 0) + n;
    });
  counts[ABSENT] = 0;
  let most = -1;
  counts.forEach((n, kind) => {
    if (n && (most < 0 || n > counts[most])) most = kind;
  });
  if (most < 0) return state.blocks.has(block) ? NOT_ONLINE : ABSENT;
  return most | (counts[most] < blockPages ? MIXED : 0);
}
/** How many pages of a section have each class: counted once, until something is written to it. */
function countsOf(section, types) {
  if (section && !section.counts) {
    const { chunks } = section,
      counts = (section.counts = []);
    for (let k = 0, end; k < chunks.length; k = end) {
      for (end = k + 1; chunks[end] === chunks[k];) end++;
      look(chunks[k], types).counts.forEach((n, kind) => {
        counts[kind] = (counts[kind] ?? 0) + n * (end - k);
      });
    }
  }
  return section?.counts;
}

// ---- where the pages of a zone are -------------------------------------------------------------------

const ZONES = 8;
/** How many pages of each zone a chunk has: present in the first half, managed in the second. */
function ofChunk(chunk) {
  if (chunk.placed) return chunk.placed;
  const found = (chunk.placed = new Uint32Array(2 * ZONES)),
    pages = chunk.uniform ? CHUNK : 1;
  for (let p = 0; p < CHUNK; p += pages) {
    const flags = chunk.flags[p];
    if (!(flags & LIVE) || flags === POISON_FLAGS) continue;
    if (flags & PRESENT) found[flags >>> ZONE_SHIFT] += pages;
    if (flags & MANAGED) found[ZONES + (flags >>> ZONE_SHIFT)] += pages;
  }
  return found;
}
function ofSection(section) {
  if (section.placed) return section.placed;
  const found = (section.placed = new Uint32Array(2 * ZONES)),
    { chunks } = section;
  for (let k = 0, end; k < chunks.length; k = end) {
    // most neighbours are one and the same chunk
    for (end = k + 1; chunks[end] === chunks[k];) end++;
    add(found, ofChunk(chunks[k]), end - k);
  }
  return found;
}
function add(sums, numbers, times) {
  for (let k = 0; k < sums.length; k++) sums[k] += times * numbers[k];
}

const NOWHERE = new Uint32Array(2 * ZONES);
function ofBlock(state, block, each) {
  if (each === 1) {
    const section = state.sections.get(block);
    return section ? ofSection(section) : NOWHERE;
  }
  const sums = new Uint32Array(2 * ZONES);
  for (let nr = block * each; nr < (block + 1) * each; nr++)
    if (state.sections.has(nr)) add(sums, ofSection(state.sections.get(nr)), 1);
  return sums;
}
/** The zones of a kernel: what each spans, and how many pages each block has in it, present and managed. Of what was found of another moment, `changing` are found again. */
export function geographyOf(state, { blocks, blockPages, zoneTypes }, ofBlocks = [], changing = blocks.keys()) {
  const numbers = zoneTypes.map((name) => name.toLowerCase());
  for (const k of changing) ofBlocks[k] = ofBlock(state, blocks[k], blockPages / SECTION);
  return [...state.zones.values()]
    .filter((zone) => zone.counters.spanned_pages)
    .map((zone) => {
      const nr = numbers.indexOf(zone.name.toLowerCase()),
        {
          zone_start_pfn: start,
          spanned_pages: spanned,
          present_pages: present,
          managed_pages: managed,
        } = zone.counters;
      const placedIn = (k) => ofBlocks[k][nr],
        managedIn = (k) => ofBlocks[k][ZONES + nr];
      return { name: zone.name, start, end: start + spanned, present, managed, placedIn, managedIn };
    });
}
