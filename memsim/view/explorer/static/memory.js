// What a kernel keeps: struct pages, zones with their free lists, memory blocks, the log; and every primitive that writes to it.
// It is kept in parts that two states share until one of them writes, so that a state can be kept beside another at no cost.

export const CHUNK = 1024; // pages of the largest free block; the unit that is copied on a write
export const PAGEBLOCK = 512;
export const SECTION = 32768;
export const NO_TYPE = 255;
export const LIVE = 1 << 26;
export const ALL_FLAGS = (1 << 18) - 1;
export const POISON_FLAGS = ~(7 << 24) >>> 0;
const CHUNKS = SECTION / CHUNK,
  BLOCKS = SECTION / PAGEBLOCK;
export const MANAGED = 1 << 24;
export const PRESENT = 1 << 25;
export const ZONE_SHIFT = 29;

let now = 1; // states that were shared before may not write to what is older
/** From here on nothing that exists is written to: it is copied first. */
export const age = () => {
  now++;
};

class Chunk {
  constructor(flags, type, order, refcount, uniform) {
    Object.assign(this, { flags, type, order, refcount, uniform, age: now, seen: null, placed: null });
  }
  copy() {
    return new Chunk(this.flags.slice(), this.type.slice(), this.order.slice(), this.refcount.slice(), false);
  }
}

const alike = new Map();
/** The chunk whose pages are all the same; there is one of each kind, which nobody writes to. */
function uniform(flags, type, order, refcount) {
  const key = `${flags},${type},${order},${refcount}`;
  if (!alike.has(key)) {
    alike.set(
      key,
      new Chunk(
        new Uint32Array(CHUNK).fill(flags),
        new Uint8Array(CHUNK).fill(type),
        new Uint8Array(CHUNK).fill(order),
        new Int16Array(CHUNK).fill(refcount),
        true,
      ),
    );
  }
  return alike.get(key);
}

/** The chunks of a section from runs of equal pages: lengths, flags, types, orders, refcounts. */
export function chunksOf([lengths, flags, types, orders, refcounts]) {
  const chunks = [];
  let at = 0,
    chunk = null;
  lengths.forEach((length, run) => {
    for (let rest = length; rest > 0;) {
      const inside = at % CHUNK,
        part = Math.min(rest, CHUNK - inside);
      if (part === CHUNK) chunks.push(uniform(flags[run], types[run], orders[run], refcounts[run]));
      else {
        if (!inside) chunks.push((chunk = uniform(0, NO_TYPE, 0, 0).copy()));
        chunk.flags.fill(flags[run], inside, inside + part);
        chunk.type.fill(types[run], inside, inside + part);
        chunk.order.fill(orders[run], inside, inside + part);
        chunk.refcount.fill(refcounts[run], inside, inside + part);
      }
      at += part;
      rest -= part;
    }
  });
  return chunks;
}

class Section {
  constructor(chunks, pageblocks, online) {
    Object.assign(this, { chunks, pageblocks, online, age: now, counts: null, placed: null });
  }
  copy() {
    return new Section(this.chunks.slice(), this.pageblocks.slice(), this.online);
  }
}

/**
 * A list of free blocks. Its right end is the kernel's list head. What was stored is shared by all copies, as runs of
 * pfns: of a large machine hundreds of thousands; a list has what came later (`ranks`) and what is `gone` of the runs.
 */
class FreeList {
  constructor(runs = [[], [], []]) {
    const size = runs[2].reduce((a, b) => a + b, 0);
    Object.assign(this, { runs, age: now, ranks: new Map(), gone: new Set(), low: 0, high: 0, size });
  }
  *#stored() {
    for (let r = 0; r < this.runs[0].length; r++)
      for (let k = 0; k < this.runs[2][r]; k++) yield this.runs[0][r] + k * this.runs[1][r];
  }
  /** Whether a block is on the list since it was stored. */
  #stays(pfn) {
    if (this.gone.has(pfn)) return false;
    const [starts, steps, counts] = this.runs;
    for (let r = 0; r < starts.length; r++) {
      const far = pfn - starts[r],
        k = far ? far / steps[r] : 0;
      if (k >= 0 && k < counts[r] && Number.isInteger(k)) return true;
    }
    return false;
  }
  copy() {
    const twin = new FreeList(this.runs),
      { low, high, size } = this;
    return Object.assign(twin, { ranks: new Map(this.ranks), gone: new Set(this.gone), low, high, size });
  }
  addHead(pfn) {
    if (this.ranks.has(pfn) || this.#stays(pfn)) return;
    this.ranks.set(pfn, ++this.high);
    this.size++;
  }
  addTail(pfn) {
    if (this.#stays(pfn)) this.gone.add(pfn);
    else if (!this.ranks.has(pfn)) this.size++;
    this.ranks.set(pfn, --this.low);
  }
  remove(pfn) {
    if (this.#stays(pfn)) this.gone.add(pfn);
    else if (!this.ranks.delete(pfn))
      throw new Error(`pfn 0x${pfn.toString(16)} is not on the free list that it is taken from`);
    this.size--;
  }
  /** The pfns from the tail to the head. */
  pfns() {
    const later = [...this.ranks].sort((a, b) => a[1] - b[1]),
      [tail, head] = [later.filter(([, rank]) => rank < 0), later.filter(([, rank]) => rank > 0)];
    return [
      ...tail.map(([pfn]) => pfn),
      ...[...this.#stored()].filter((pfn) => !this.gone.has(pfn)),
      ...head.map(([pfn]) => pfn),
    ];
  }
}

/** A map whose copy costs no more than what was changed since it was filled: of a large machine most parts never change. */
class Layered {
  constructor(filled = new Map(), own = new Map(), gone = new Set()) {
    Object.assign(this, { filled, own, gone });
  }
  copy() {
    return new Layered(this.filled, new Map(this.own), new Set(this.gone));
  }
  get(key) {
    return this.own.get(key) ?? (this.gone.has(key) ? undefined : this.filled.get(key));
  }
  has(key) {
    return this.get(key) !== undefined;
  }
  set(key, value) {
    this.own.set(key, value);
  }
  delete(key) {
    this.own.delete(key);
    if (this.filled.has(key)) this.gone.add(key);
  }
  /** In the order of a map: what was taken away and came back is last. */
  *[Symbol.iterator]() {
    for (const [key, value] of this.filled) if (!this.gone.has(key)) yield [key, this.own.get(key) ?? value];
    for (const [key, value] of this.own) if (!this.filled.has(key) || this.gone.has(key)) yield [key, value];
  }
  *keys() {
    for (const [key] of this) yield key;
  }
}

class Zone {
  constructor(name, counters) {
    Object.assign(this, { name, counters, free: new Map(), pcp: new Map(), age: now });
  }
  copy() {
    const twin = new Zone(this.name, { ...this.counters });
    twin.free = new Map(this.free);
    twin.pcp = new Map(this.pcp);
    return twin;
  }
}
const slot = (order, migratetype) => order * 16 + migratetype;
export const orderOf = (key) => key >> 4;
export const migratetypeOf = (key) => key & 15;

const ABOUT_BLOCKS = new Set(["add_section", "remove_section", "set_online", "set_block_state"]);
/** What each primitive does: (state, arguments, target). The table is filled below. */
export const PRIMITIVES = {};

/** Everything that a write can change. */
export class State {
  constructor() {
    Object.assign(this, {
      sections: new Layered(),
      zones: new Map(),
      totalram: 0,
      blocks: new Layered(),
      log: [],
      encoding: null,
      names: null,
      dirty: null,
      moved: true,
      registered: true,
      age: now,
    });
  }

  static from(stored, contents, data, column) {
    const state = new State(),
      s = stored.sections,
      [nr, content, online, pageblocks] = [s.nr, s.content, s.online, s.pageblocks].map(column);
    nr.forEach((number, i) =>
      state.sections.filled.set(
        number,
        new Section(
          contents(content[i]).slice(),
          Uint8Array.from(data.names[pageblocks[i]].match(/../g), (byte) => parseInt(byte, 16)),
          Boolean(online[i]),
        ),
      ),
    );
    for (const z of stored.zones) {
      const zone = new Zone(z.name, { ...z.counters });
      for (const [order, migratetype, ...runs] of z.free) zone.free.set(slot(order, migratetype), new FreeList(runs));
      for (const [order, migratetype, ...runs] of z.pcp) zone.pcp.set(slot(order, migratetype), new FreeList(runs));
      state.zones.set(z.name, zone);
    }
    state.totalram = stored.totalram;
    const shown = column(stored.blocks.state);
    column(stored.blocks.id).forEach((block, i) => state.blocks.filled.set(block, data.names[shown[i]]));
    state.log = [...column(stored.log)].map((name) => data.names[name]);
    state.encoding = data.types;
    state.names = data.names;
    state.blockPages = data.blockPages;
    return state;
  }

  /** A state that shares everything with this one until either writes. */
  share() {
    age();
    const twin = new State();
    Object.assign(twin, {
      encoding: this.encoding,
      names: this.names,
      blockPages: this.blockPages,
      totalram: this.totalram,
    });
    twin.sections = this.sections.copy();
    twin.zones = new Map(this.zones);
    twin.blocks = this.blocks.copy();
    twin.log = this.log.slice();
    return twin;
  }

  #section(nr) {
    let section = this.sections.get(nr);
    if (!section) throw new Error(`section ${nr} is not present`);
    if (section.age < now) this.sections.set(nr, (section = section.copy()));
    section.counts = section.placed = null;
    return section;
  }
  /** Put the right values into a range: `whole(chunk)` gives a uniform chunk's successor, `part` writes between two indices. */
  #range(pfn, nr, part, whole) {
    for (let at = pfn; at < pfn + nr;) {
      const end = Math.min(pfn + nr, (Math.floor(at / CHUNK) + 1) * CHUNK),
        from = at % CHUNK,
        section = this.#section(Math.floor(at / SECTION));
      const place = Math.floor((at % SECTION) / CHUNK),
        old = section.chunks[place],
        to = from + end - at;
      const next = whole && to - from === CHUNK ? whole(old) : null;
      if (next) section.chunks[place] = next;
      else {
        let chunk = old;
        if (old.uniform || old.age < now) section.chunks[place] = chunk = old.copy();
        part(chunk, from, to);
        chunk.seen = chunk.placed = null;
      }
      this.dirty?.add(Math.floor(at / CHUNK));
      at = end;
    }
  }
  #zone(name) {
    let zone = this.zones.get(name);
    if (zone.age < now) this.zones.set(name, (zone = zone.copy()));
    return zone;
  }
  #list(zone, lists, order, migratetype) {
    const all = this.#zone(zone)[lists],
      key = slot(order, migratetype);
    let list = all.get(key);
    if (!list || list.age < now) all.set(key, (list = list ? list.copy() : new FreeList()));
    return list;
  }

  /** Do what a primitive did: to the memmap, to the state itself, or to the zone of that name. */
  write(target, primitive, args) {
    const todo = PRIMITIVES[primitive];
    if (!todo) throw new Error(`a primitive that this page does not know: ${target}.${primitive}`);
    if (ABOUT_BLOCKS.has(primitive)) this.registered = true;
    else if (target !== "memmap") this.moved = true;
    todo(this, args, target);
  }

  static {
    const fill =
      (what, value) =>
      (s, [pfn, nr, v]) =>
        s.#range(pfn, nr, (c, from, to) => c[what].fill(value ?? v, from, to));
    const one =
      (act) =>
      (s, [pfn, value]) =>
        s.#range(pfn, 1, (c, at) => act(s, c, at, value));
    const flags =
      (change) =>
      (s, [pfn, nr, mask]) =>
        s.#range(
          pfn,
          nr,
          (c, from, to) => {
            for (let p = from; p < to; p++) c.flags[p] = change(c.flags[p], mask);
          },
          (c) => (c.uniform ? uniform(change(c.flags[0], mask) >>> 0, c.type[0], c.order[0], c.refcount[0]) : null),
        );
    const even = (s, pfn, nr, ...values) =>
      s.#range(
        pfn,
        nr,
        (c, from, to) => ["flags", "type", "order", "refcount"].forEach((what, i) => c[what].fill(values[i], from, to)),
        () => uniform(...values),
      );
    const type =
      (change) =>
      (s, [pfn, nr, code]) =>
        s.#range(
          pfn,
          nr,
          (c, from, to) => {
            for (let p = from; p < to; p++) c.type[p] = change(s, c.type[p], code);
          },
          (c) => (c.uniform ? uniform(c.flags[0], change(s, c.type[0], code), c.order[0], c.refcount[0]) : null),
        );
    const set = (s, old, code) => (s.encoding.inverted ? old & code : code);
    const clear = (s, old, code) => (s.encoding.inverted ? old | (~code & 255) : NO_TYPE);
    const list =
      (lists, act) =>
      (s, [pfn, order, migratetype], zone) =>
        s.#list(zone, lists, order, migratetype)[act](pfn);
    const run =
      (act) =>
      (s, [first, count, step, order, migratetype], zone) => {
        const blocks = s.#list(zone, "free", order, migratetype);
        for (let k = 0; k < count; k++) blocks[act](first + k * step);
      };
    const there = (s, nr, dirty = true) => {
      for (let k = 0; dirty && k < CHUNKS; k++) s.dirty?.add(nr * CHUNKS + k);
    };
    Object.assign(PRIMITIVES, {
      add_section: (s, [nr]) => {
        s.sections.set(
          nr,
          new Section(new Array(CHUNKS).fill(uniform(POISON_FLAGS, NO_TYPE, 255, -1)), new Uint8Array(BLOCKS), false),
        );
        there(s, nr);
      },
      remove_section: (s, [nr]) => {
        s.sections.delete(nr);
        there(s, nr);
      },
      set_online: (s, [nr, online]) => {
        s.#section(nr).online = Boolean(online);
      },
      poison: (s, [pfn, nr]) => even(s, pfn, nr, POISON_FLAGS, NO_TYPE, 255, -1),
      init_pages: (s, [pfn, nr, zone, mask, stored]) =>
        even(s, pfn, nr, ((zone << ZONE_SHIFT) | LIVE | mask) >>> 0, stored, 0, 1),
      set_flags: flags((old, mask) => old | mask),
      clear_flags: flags((old, mask) => old & ~mask),
      set_type: type(set),
      clear_type: type(clear),
      reset_type: one((s, c, at) => {
        c.type[at] = NO_TYPE;
      }),
      set_refcount: fill("refcount"),
      set_order: one((s, c, at, order) => {
        c.order[at] = order;
      }),
      set_buddy_order: one((s, c, at, order) => {
        c.type[at] = set(s, c.type[at], s.encoding.codes.buddy);
        c.order[at] = order;
      }),
      clear_buddy: one((s, c, at) => {
        c.type[at] = clear(s, c.type[at], s.encoding.codes.buddy);
        c.order[at] = 0;
      }),
      set_migratetype: (s, [pfn, nr, migratetype]) => {
        for (let at = pfn; at < pfn + nr; at = (Math.floor(at / SECTION) + 1) * SECTION) {
          const end = Math.min(pfn + nr, (Math.floor(at / SECTION) + 1) * SECTION),
            section = s.#section(Math.floor(at / SECTION));
          const from = Math.ceil((at % SECTION) / PAGEBLOCK),
            to = Math.ceil(((at % SECTION) + end - at) / PAGEBLOCK);
          section.pageblocks.fill(migratetype, from, to);
          for (let b = from; b < to; b++) s.dirty?.add(Math.floor(at / SECTION) * CHUNKS + (b >> 1));
        }
      },
      set_free_max_order: (s, [nr, zone, migratetype]) => {
        const flag = ((zone << ZONE_SHIFT) | LIVE | MANAGED | PRESENT) >>> 0,
          chunk = uniform(flag, NO_TYPE, 0, 0).copy(),
          section = s.#section(nr);
        chunk.type[0] = s.encoding.codes.buddy;
        chunk.order[0] = 10;
        chunk.age = 0;
        section.chunks.fill(chunk);
        section.pageblocks.fill(migratetype);
        there(s, nr);
      },
      set_block_state: (s, [block, state]) => {
        if (state < 0) s.blocks.delete(block);
        else s.blocks.set(block, s.names[state]);
      },
      totalram_pages_add: (s, [pages]) => {
        s.totalram += pages;
      },
      printk: (s, [line]) => {
        s.log.push(s.names[line]);
      },
      add: (s, [counter, delta], zone) => {
        s.#zone(zone).counters[s.names[counter]] += delta;
      },
      set_span: (s, [start, pages], zone) =>
        Object.assign(s.#zone(zone).counters, { zone_start_pfn: start, spanned_pages: pages }),
      set_watermark: () => {},
      add_to_free_list: list("free", "addHead"),
      add_to_free_list_tail: list("free", "addTail"),
      del_from_free_list: list("free", "remove"),
      add_run_to_free_list_tail: run("addTail"),
      del_run_from_free_list: run("remove"),
      pcp_add: list("pcp", "addHead"),
      pcp_add_tail: list("pcp", "addTail"),
      pcp_del: list("pcp", "remove"),
    });
  }

  /** The chunk of a pfn, or undefined where no section is. */
  chunk(pfn) {
    return this.sections.get(Math.floor(pfn / SECTION))?.chunks[Math.floor((pfn % SECTION) / CHUNK)];
  }
  page(pfn) {
    const c = this.chunk(pfn),
      at = pfn % CHUNK;
    return c && { flags: c.flags[at], type: c.type[at], order: c.order[at], refcount: c.refcount[at] };
  }
  migratetype(pfn) {
    return this.sections.get(Math.floor(pfn / SECTION))?.pageblocks[Math.floor((pfn % SECTION) / PAGEBLOCK)];
  }
}
