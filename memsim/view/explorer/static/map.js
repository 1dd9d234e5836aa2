// Pictures of pages: one memory block on one kernel, and the machine as a strip of blocks.
// In a block of 128 MiB a tile is a pageblock (16 pages across, 32 down); two tiles make the largest free block, and where
// the buddy has joined them the gap between them closes.

import { upTo } from "./comparison.js";
import { ABSENT, FREE, MIXED, NOT_ONLINE } from "./pages.js";
import { kindLetters, kindSentence, zoneSentence } from "./words.js";

const SANS = "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif",
  MONO = "ui-monospace, 'DejaVu Sans Mono', monospace";
const CALM = {
  "·": "#eef0f2",
  R: "#f2cf8a",
  O: "#b5dcf4",
  B: "#8fd3bd",
  A: "#8dbbd9",
  S: "#f5efa0",
  P: "#eba77a",
  X: "#e5bcd3",
  F: "#999999",
  "*": "#cccccc",
  N: "#d9d9d9",
};
const LOUD = { "·": "#e9ecef", F: "#444444", N: "#d9d9d9" };
const WHITE_INK = "ABFP"; // letters that are white on their loud colour
const ABSENT_IN_THE_DARK = "#23282e";
const ISOLATE = 4;
const HANDLE = 24; // width of the handle of the wipe, the same in explorer.css

/** The colour of a class of pages. */
export function colour(data, kind, { calm, dark }) {
  const [letter, , loud] = kind === NOT_ONLINE ? ["N"] : data.classes[kind];
  if (letter === "·" && dark) return ABSENT_IN_THE_DARK;
  return calm ? CALM[letter] : (LOUD[letter] ?? loud);
}

/** A canvas that is crisp on every screen. */
export function sharpen(canvas, width, height) {
  const ratio = devicePixelRatio || 1;
  Object.assign(canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
  Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
  const g = canvas.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  return g;
}

class Patterns {
  constructor(g) {
    this.g = g;
    this.made = {};
  }
  /** The pattern of a class, which tells it apart without its colour. */
  of(letter) {
    if (letter in this.made) return this.made[letter];
    const tile = document.createElement("canvas"),
      ratio = devicePixelRatio || 1;
    tile.width = tile.height = 8 * ratio;
    const t = tile.getContext("2d");
    t.scale(ratio, ratio);
    t.strokeStyle = t.fillStyle = letter === "F" ? "#fff5" : "#0003";
    t.lineWidth = 1.2;
    const line = (...p) => {
      t.beginPath();
      for (let i = 0; i < p.length; i += 4) {
        t.moveTo(p[i], p[i + 1]);
        t.lineTo(p[i + 2], p[i + 3]);
      }
      t.stroke();
    };
    const dot = (x, y, r) => {
      t.beginPath();
      t.arc(x, y, r, 0, 7);
      t.fill();
    };
    const draw = {
      R: () => line(-1, 9, 9, -1, -1, 1, 1, -1, 7, 9, 9, 7),
      X: () => line(-1, -1, 9, 9, -1, 7, 1, 9, 7, -1, 9, 1),
      O: () => dot(4, 4, 1.2),
      A: () => line(0, 4, 8, 4),
      S: () => line(0, 4, 8, 4, 4, 0, 4, 8),
      P: () => line(1, 1, 7, 7, 1, 7, 7, 1),
      F: () => line(4, 0, 4, 8),
      N: () => line(2, 4, 6, 4),
      "*": () => {
        t.fillRect(0, 0, 4, 4);
        t.fillRect(4, 4, 4, 4);
      },
    }[letter];
    draw?.();
    const made = draw ? this.g.createPattern(tile, "repeat") : null;
    made?.setTransform(new DOMMatrix().scale(1 / ratio));
    return (this.made[letter] = made);
  }
}

export class PageMap {
  constructor(canvas, overlay, data) {
    Object.assign(this, { canvas, overlay, data, zoomed: -1, drawn: [], kept: "" });
  }

  resize(width, labels, pages, narrow) {
    const tiles = pages / 512;
    this.columns = 2 ** Math.ceil(Math.log2(tiles) / 2);
    this.rows = Math.ceil(tiles / this.columns);
    this.left = labels ? 52 : 0;
    const room = width - this.left;
    this.tw = Math.floor(room / this.columns);
    this.th = Math.floor(264 / this.rows);
    if (this.columns === 8 && !narrow) this.tw = Math.floor((room / 8 - 1) / 16) * 16 + 1; // a page is whole pixels
    this.pw = (this.tw - 1) / 16;
    this.ph = (this.th - 1) / 32;
    this.width = this.left + this.tw * this.columns;
    this.height = 264;
    this.g = sharpen(this.canvas, this.width, this.height);
    this.o = sharpen(this.overlay, this.width, this.height);
    this.patterns = new Patterns(this.g);
    this.drawn = [];
    this.kept = "";
  }

  xy(page) {
    if (this.zoomed >= 0) {
      const i = page - this.zoomed * 512;
      return [this.left + (i % 32) * this.cw, Math.floor(i / 32) * this.ch];
    }
    const t = page >> 9,
      i = page & 511;
    return [
      this.left + (t % this.columns) * this.tw + (i % 16) * this.pw,
      Math.floor(t / this.columns) * this.th + Math.floor(i / 16) * this.ph,
    ];
  }
  get cw() {
    return (this.width - this.left) / 32;
  }
  get ch() {
    return this.height / 16;
  }
  pageAt(x, y) {
    x -= this.left;
    if (x < 0 || y < 0 || x >= this.width - this.left || y >= this.height) return -1;
    if (this.zoomed >= 0) return this.zoomed * 512 + Math.floor(y / this.ch) * 32 + Math.floor(x / this.cw);
    const c = Math.floor(x / this.tw),
      r = Math.floor(y / this.th);
    if (c >= this.columns || r >= this.rows) return -1;
    const column = Math.min(15, Math.floor((x - c * this.tw) / this.pw)),
      row = Math.min(31, Math.floor((y - r * this.th) / this.ph));
    return (r * this.columns + c) * 512 + row * 16 + column;
  }

  /** Draw what differs from what was drawn before. */
  draw(view, look) {
    const kept = `${view.pfn} ${view.pages} ${look.calm} ${look.dark} ${this.zoomed} ${view.recorded}`;
    if (kept !== this.kept) {
      this.g.clearRect(0, 0, this.width, this.height);
      this.drawn = [];
      this.kept = kept;
      this.#labels(view, look);
    }
    this.look = look;
    this.view = view;
    if (this.zoomed >= 0) {
      this.#pageblock(view, look);
      return;
    }
    view.chunks.forEach((chunk, c) => {
      const section = view.state?.sections.get(Math.floor((view.pfn + c * 1024) / 32768)),
        b = (c % 32) * 2;
      const isolated =
        section && chunk.classes[0] !== ABSENT
          ? (section.pageblocks[b] === ISOLATE) + 2 * (section.pageblocks[b + 1] === ISOLATE)
          : 0;
      const last = this.drawn[c];
      if (last && last.chunk === chunk && last.isolated === isolated) return;
      this.drawn[c] = { chunk, isolated };
      this.#chunk(chunk, c, isolated);
    });
  }
  #labels(view, { soft }) {
    if (!this.left) return;
    const { g } = this,
      rows = this.zoomed >= 0 ? 8 : Math.min(8, this.rows),
      step = this.height / rows;
    g.fillStyle = soft;
    g.textAlign = "right";
    g.textBaseline = "middle";
    g.font = `${(view.pfn + view.pages).toString(16).length > 6 ? 10 : 11}px ${MONO}`;
    for (let r = 0; r < rows; r++) {
      const pfn =
        this.zoomed >= 0
          ? view.pfn + this.zoomed * 512 + r * 64
          : view.pfn + Math.floor((r * this.rows) / rows) * this.columns * 512;
      g.fillText(pfn.toString(16), this.left - 8, r * step + Math.min(16, step / 2));
    }
  }

  #chunk(chunk, c, isolated) {
    const { g, tw, th } = this,
      x = this.left + ((c * 2) % this.columns) * tw,
      y = Math.floor((c * 2) / this.columns) * th,
      { classes, heads } = chunk;
    g.clearRect(x, y, tw * 2, th);
    if (heads[0] === 10) this.#tile(classes[0], x, y, tw * 2 - 1, "10");
    else if (chunk.alike && classes[0] !== FREE) {
      this.#fill(classes[0], x, y, tw * 2 - 1, th - 1);
      if (tw > 16) {
        g.clearRect(x + tw - 1, y, 1, 6);
        g.clearRect(x + tw - 1, y + th - 7, 1, 6);
      }
      this.#letter(classes[0], x + tw - 0.5, y + th / 2, "", !this.look.calm);
    } else for (const h of [0, 1]) this.#half(chunk, h * 512, x + h * tw, y);
    if (this.look.calm || tw < 16) return;
    g.fillStyle = this.look.dark ? "#fff9" : "#0007";
    for (const h of [0, 1])
      if ((isolated >> h) & 1) for (let d = 1; d < tw - 4; d += 6) g.fillRect(x + h * tw + d, y + th - 4, 4, 2);
  }
  #half({ classes, heads }, from, x, y) {
    const first = classes[from],
      { g, tw, th } = this;
    let p = from + 1;
    while (p < from + 512 && classes[p] === first && heads[p] < 0) p++;
    if (p === from + 512) {
      this.#tile(first, x, y, tw - 1, heads[from] >= 0 ? String(heads[from]) : "");
      return;
    }
    const columns = Math.min(16, tw - 1),
      rows = Math.min(32, th - 1),
      w = (tw - 1) / columns,
      h = (th - 1) / rows;
    const at = (r, c) => from + Math.floor((r * 32) / rows) * 16 + Math.floor((c * 16) / columns);
    for (let r = 0; r < rows; r++)
      for (let c = 0, end; c < columns; c = end) {
        const kind = classes[at(r, c)];
        for (end = c + 1; end < columns && classes[at(r, end)] === kind && heads[at(r, end)] < 0;) end++;
        g.fillStyle = colour(this.data, kind, this.look);
        g.fillRect(x + c * w, y + r * h, (end - c) * w, h);
        if (kind === FREE && heads[at(r, c)] >= 0 && heads[at(r, c)] < 9) {
          g.fillStyle = "#00291e";
          g.fillRect(x + c * w, y + r * h, w, h);
        }
      }
  }
  #tile(kind, x, y, w, sub) {
    this.#fill(kind, x, y, w, this.th - 1);
    this.#letter(kind, x + w / 2, y + this.th / 2, sub);
  }
  #fill(kind, x, y, w, h) {
    const { g } = this;
    g.fillStyle = colour(this.data, kind, this.look);
    g.fillRect(x, y, w, h);
    if (!this.look.calm && (g.fillStyle = this.patterns.of(this.data.classes[kind][0]))) g.fillRect(x, y, w, h);
  }
  #letter(kind, x, y, sub, both) {
    const { g } = this,
      [letter] = this.data.classes[kind];
    if (this.tw < 14) return;
    g.textAlign = "center";
    g.textBaseline = "middle";
    if (kind === ABSENT) {
      g.fillStyle = "#8888";
      g.fillRect(x - 1, y - 1, 2, 2);
      return;
    }
    g.font = `600 14px ${SANS}`;
    if (both) {
      g.fillStyle = colour(this.data, kind, this.look);
      g.fillRect(x - 10, y - 10, 20, 20);
    }
    g.fillStyle = !this.look.calm && WHITE_INK.includes(letter) ? "#fff" : "#10151a";
    g.fillText(letter, sub ? x - 4 : x, y + 0.5);
    if (sub && this.tw > 24) {
      g.font = `10px ${SANS}`;
      g.fillText(sub, x + 8, y + 4);
    }
  }
  /** One pageblock, a page a cell: letter, and the order at the first page of a free block. */
  #pageblock(view, look) {
    const { g, cw, ch } = this;
    g.clearRect(this.left, 0, this.width - this.left, this.height);
    for (let i = 0; i < 512; i++) {
      const page = this.zoomed * 512 + i,
        kind = view.classOf(page),
        order = view.headOf(page),
        [x, y] = this.xy(page),
        [letter] = this.data.classes[kind];
      g.fillStyle = colour(this.data, kind, look);
      g.fillRect(x, y, cw - 0.5, ch - 0.5);
      if (kind === ABSENT) continue;
      g.fillStyle = !look.calm && WHITE_INK.includes(letter) ? "#fff" : "#10151a";
      g.textAlign = "center";
      g.textBaseline = "middle";
      g.font = `${order >= 0 ? 700 : 400} 9px ${SANS}`;
      g.fillText(order >= 0 ? String(order) : letter, x + cw / 2 - 0.25, y + ch / 2, cw - 1); // 10 made narrow, not cut
    }
  }

  /** What lies over the pages: frames around chunks that changed, and the page one points at. */
  over({ chunks, frame, page }) {
    const { o } = this;
    o.clearRect(0, 0, this.width, this.height);
    if (this.zoomed < 0)
      for (const c of chunks) {
        if (c < 0 || c * 2 >= this.columns * this.rows) continue;
        o.lineWidth = 2;
        o.strokeStyle = frame;
        o.strokeRect(
          this.left + ((c * 2) % this.columns) * this.tw + 1,
          Math.floor((c * 2) / this.columns) * this.th + 1,
          this.tw * 2 - 3,
          this.th - 3,
        );
      }
    if (page < 0 || (this.zoomed >= 0 && page >> 9 !== this.zoomed)) return;
    const [x, y] = this.xy(page),
      w = this.zoomed >= 0 ? this.cw : this.pw,
      h = this.zoomed >= 0 ? this.ch : this.ph;
    o.lineWidth = 3;
    o.strokeStyle = "#fff";
    o.strokeRect(x - 3, y - 3, w + 6, h + 6);
    o.lineWidth = 1.5;
    o.strokeStyle = "#b4235a";
    o.strokeRect(x - 3, y - 3, w + 6, h + 6);
  }

  /** Over the left part of the picture, what a real kernel had. */
  wipe(view, recorded, part, look) {
    this.draw(view, look);
    const { g } = this,
      whole = this.width - this.left,
      x = this.left + HANDLE / 2 + (whole - HANDLE) * part;
    g.save();
    g.beginPath();
    g.rect(this.left, 0, x - this.left, this.height);
    g.clip();
    this.drawn = [];
    this.view = recorded;
    recorded.chunks.forEach((chunk, c) => this.#chunk(chunk, c, 0));
    g.restore();
    this.drawn = [];
    this.kept = "";
    g.fillStyle = look.ok;
    g.fillRect(x - 2, 0, 3, this.height);
    g.font = `600 12px ${SANS}`;
    g.textBaseline = "middle";
    g.textAlign = "center";
    for (const [text, at, room] of [
      ["real kernel", x - 48, x - this.left],
      ["simulated", x + 48, this.width - x],
    ]) {
      if (room < 96) continue;
      g.fillStyle = look.ok;
      g.fillRect(at - 44, 4, 88, 20);
      g.fillStyle = look.paper;
      g.fillText(text, at, 14);
    }
  }
}

const HEIGHT = 47,
  CELL = 16,
  SPAN = 33,
  BAR = 40,
  THICK = 6;
/** The machine: every memory block a cell, holes between them left open, the block that is shown framed; below them the
 *  zones: a bracket over what a zone spans, a bar where its pages are present, filled as far as they are managed. */
export class Machine {
  constructor(canvas, data) {
    Object.assign(this, { canvas, data });
  }
  resize(width, left) {
    this.left = left;
    this.width = width;
    this.g = sharpen(this.canvas, width, HEIGHT);
    this.patterns = new Patterns(this.g);
    const { blocks } = this.data,
      holes = blocks.filter((block, k) => k && block !== blocks[k - 1] + 1).length;
    this.gap = Math.min(10, (width - left) / 4 / Math.max(1, holes));
    this.cell = Math.min(40, (width - left - holes * this.gap) / blocks.length);
    let x = left;
    this.places = blocks.map((block, k) => {
      if (k && block !== blocks[k - 1] + 1) x += this.gap;
      const at = x;
      x += this.cell;
      return at;
    });
    // Of a large machine one block for each pixel is drawn, and the one that is shown.
    this.columns = [...this.places.keys()].filter(
      (k) => this.cell >= 1 || !k || Math.floor(this.places[k]) !== Math.floor(this.places[k - 1]),
    );
  }
  blockAt(x) {
    let found = 0;
    this.places.forEach((at, k) => {
      if (x >= at) found = k;
    });
    return this.data.blocks[found];
  }
  /** Where a pfn is; in a hole, the middle of the gap. */
  #x(pfn) {
    const { blocks, blockPages } = this.data,
      at = pfn / blockPages,
      k = upTo(blocks, at) - 1;
    if (k < 0) return this.left;
    return at < blocks[k] + 1
      ? this.places[k] + (at - blocks[k]) * this.cell
      : this.places[k] + this.cell + (k + 1 < blocks.length ? this.gap / 2 : 0);
  }
  #end(pfn) {
    return this.#x(pfn - 1) + this.cell / this.data.blockPages;
  }

  draw(kinds, block, look, zones) {
    this.g.clearRect(0, 0, this.width, HEIGHT);
    this.#blocks(kinds, block, look);
    this.#numbers(block, look);
    this.#zones(zones, look);
  }
  #blocks(kinds, block, look) {
    const { g, cell } = this,
      shown = this.data.blocks.indexOf(block);
    g.textAlign = "center";
    g.textBaseline = "middle";
    for (const k of this.cell < 1 ? [...this.columns, shown].filter((k) => k >= 0) : this.columns) {
      const x = this.places[k],
        kind = kinds[k],
        plain = kind & ~MIXED,
        w = Math.max(1, cell - (cell > 4 ? 1 : 0)),
        letters = kindLetters(this.data, kind);
      g.fillStyle = colour(this.data, plain, look);
      g.fillRect(x, 1, w, CELL);
      if (!look.calm && cell > 8 && (g.fillStyle = this.patterns.of(letters[0]))) g.fillRect(x, 1, w, CELL);
      if (cell > 16) {
        if (!look.calm && plain !== ABSENT) {
          g.fillStyle = colour(this.data, plain, look);
          g.fillRect(x + w / 2 - 8, 2, 16, CELL - 2);
        }
        g.font = `600 11px ${SANS}`;
        g.fillStyle = plain === ABSENT ? look.soft : !look.calm && WHITE_INK.includes(letters[0]) ? "#fff" : "#10151a";
        g.fillText(letters, x + w / 2, 9.5);
      }
      if (this.data.blocks[k] === block) {
        g.strokeStyle = look.ink;
        g.lineWidth = 2;
        g.strokeRect(x + 1, 1, Math.max(3, w - 2), CELL);
      }
    }
  }
  #numbers(block, look) {
    const { g, cell } = this;
    g.font = `10px ${MONO}`;
    const { blocks } = this.data,
      named = cell > 16 ? blocks.keys() : [blocks.indexOf(block)].filter((k) => k >= 0);
    for (const k of named) {
      const id = blocks[k],
        here = id === block;
      if (!here && k % Math.max(1, Math.ceil(24 / cell))) continue;
      g.fillStyle = here ? look.ink : look.soft;
      g.fillText(
        here && cell > 16 ? `▴${id}` : String(id),
        Math.min(this.width - 14, Math.max(this.left + 10, this.places[k] + cell / 2)),
        23,
      );
    }
  }
  #zones(zones, look) {
    const { g } = this,
      { blockPages } = this.data;
    g.font = `10px ${SANS}`;
    g.textBaseline = "middle";
    if (this.left) {
      g.textAlign = "right";
      g.fillStyle = look.soft;
      g.fillText("zones", this.left - 8, SPAN);
      g.fillText("present", this.left - 8, BAR + THICK / 2);
    }
    g.textAlign = "left";
    g.lineWidth = 1;
    const ends = zones.map((zone) => [this.#x(zone.start), Math.min(this.width - 1, this.#end(zone.end))]);
    zones.forEach((zone, z) => {
      const [x, end] = ends[z],
        label = g.measureText(zone.name).width,
        next = Math.min(this.width, ...ends.map(([other]) => other).filter((other) => other > x));
      const from = Math.max(x, ...ends.filter(([other]) => other < x).map(([, last]) => last)),
        to = Math.min(end, next); // the part that no other zone spans
      g.strokeStyle = look.soft;
      g.beginPath();
      g.moveTo(x + 0.5, SPAN - 4);
      g.lineTo(x + 0.5, SPAN + 4);
      g.moveTo(x, SPAN);
      g.lineTo(end, SPAN);
      g.moveTo(end - 0.5, SPAN - 4);
      g.lineTo(end - 0.5, SPAN + 4);
      g.stroke();
      const inside = to - from > label + 8,
        at = inside ? (from + to - label) / 2 : end + 3;
      if (inside) g.clearRect(at - 2, SPAN - 5, label + 4, 10);
      g.fillStyle = look.ink;
      if (inside || at + label < next - 2) g.fillText(zone.name, at, SPAN);
    });
    const used = new Float64Array(this.places.length); // zones that share a block stand side by side in it
    const scale = this.cell / blockPages;
    for (const zone of zones) this.#stretches(zone, used, scale, look);
  }
  /** Bars, those that touch in one piece. */
  #stretches(zone, used, scale, look) {
    const { g } = this,
      { blocks, blockPages } = this.data,
      first = upTo(blocks, Math.floor(zone.start / blockPages) - 1),
      end = upTo(blocks, Math.floor((zone.end - 1) / blockPages));
    let from = 0,
      to = -1,
      full = -1;
    const flush = () => {
      if (to <= from) return;
      g.strokeStyle = look.soft;
      g.strokeRect(from + 0.5, BAR + 0.5, Math.max(1, to - from - 1), THICK - 1);
      g.fillStyle = look.soft;
      g.fillRect(from, BAR, full - from, THICK);
    };
    for (let k = first; k < end; k++) {
      const x = this.places[k] + used[k],
        present = zone.placedIn(k) * scale,
        managed = zone.managedIn(k) * scale;
      if (!present) continue;
      used[k] += present;
      if (to < 0 || x > to + 0.01 || full < to - 0.01) {
        flush();
        from = x;
        full = x;
      }
      to = x + present;
      full = Math.max(from, Math.abs(full - x) < 0.01 ? x + managed : full);
    }
    flush();
  }
  /** The block or the zones at a point, in words. */
  about(x, y, zones, kinds) {
    if (y < CELL + 2) {
      const block = this.blockAt(x);
      return `block ${block}: ${kindSentence(this.data, kinds[this.data.blocks.indexOf(block)])}`;
    }
    return y < SPAN - 5
      ? ""
      : zones
          .filter((zone) => x >= this.#x(zone.start) && x <= this.#end(zone.end))
          .map(zoneSentence)
          .join("; ");
  }
}
