// Time as a profiler shows it: calls, pages that differ, counters; marks for differences and for recorded kernels.

import { sharpen } from "./map.js";
import { counterName, fmt, newsOf } from "./words.js";

const TOP = 21,
  CALL = 12,
  AREA = 20,
  LANE = 13,
  MOST_CALLS = 6,
  FOLD = 3;
const SANS = "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif",
  MONO = "ui-monospace, 'DejaVu Sans Mono', monospace";

export class Timeline {
  constructor(canvas, comparison) {
    Object.assign(this, {
      canvas,
      c: comparison,
      from: 0,
      to: comparison.length - 1,
      mark: -1,
      still: document.createElement("canvas"),
    });
    this.depth = Math.min(MOST_CALLS, comparison.depth);
    this.height = TOP + this.depth * CALL + 3 + AREA + 3 + comparison.lanes.length * LANE;
    this.recorded = new Map();
    for (const side of comparison.data.recorded)
      for (const [i, probe] of Object.entries(side?.probes ?? {}))
        this.recorded.set(+i, (this.recorded.get(+i) ?? true) && probe.agrees);
    this.scales = Object.fromEntries(
      comparison.lanes.map((name) => {
        let low = Infinity,
          high = -Infinity;
        for (const m of comparison.moments)
          for (const side of m.sides) {
            low = Math.min(low, side.counters[name]);
            high = Math.max(high, side.counters[name]);
          }
        return [name, [low, high]];
      }),
    );
    this.most = comparison.moments.reduce((most, m) => Math.max(most, m.differ), 1);
  }

  resize(width, colours) {
    this.width = width;
    this.left = width < 700 ? 118 : 196;
    this.right = 8;
    this.colours = colours;
    this.g = sharpen(this.canvas, width, this.height);
    this.ink = sharpen(this.still, width, this.height);
    this.view(this.from, this.to);
  }
  x(i) {
    return this.left + (i - this.from) * this.unit;
  }
  at(x) {
    return Math.max(0, Math.min(this.c.length - 1, Math.round(this.from + (x - this.left) / this.unit)));
  }

  /** Show the moments from one to another. */
  view(from, to) {
    const last = this.c.length - 1,
      size = Math.min(last, Math.max(12, to - from));
    this.from = Math.max(0, Math.min(last - size, from));
    this.to = this.from + size;
    this.unit = (this.width - this.left - this.right) / Math.max(1, size);
    this.#paint(this.ink);
  }
  zoom(factor, about) {
    const size = (this.to - this.from) * factor,
      part = (about - this.from) / (this.to - this.from);
    this.view(about - size * part, about + size * (1 - part));
  }
  follow(i) {
    const size = this.to - this.from;
    if (i < this.from || i > this.to) this.view(i - size / 2, i + size / 2);
  }

  #paint(g) {
    // all that does not move
    const { c, colours: k } = this,
      end = this.width - this.right,
      seen = (i) => i >= this.from - 0.5 && i <= this.to + 0.5,
      small = this.left < 150;
    g.clearRect(0, 0, this.width, this.height);
    g.textBaseline = "middle";
    g.textAlign = "left";
    g.font = `11px ${SANS}`;
    g.fillStyle = k.ok;
    if (this.recorded.size) g.fillText(small ? "recorded ◆" : "real kernel recorded ◆", 0, 7);
    g.fillStyle = k.well;
    g.fillRect(this.left, TOP, end - this.left, this.height - TOP);
    if (this.to - this.from < c.length - 1) {
      // where one is in the whole
      g.fillStyle = k.line;
      g.fillRect(this.left, 0, end - this.left, 2);
      g.fillStyle = k.soft;
      g.fillRect(
        this.left + ((end - this.left) * this.from) / (c.length - 1),
        0,
        Math.max(6, ((end - this.left) * (this.to - this.from)) / (c.length - 1)),
        2,
      );
    }
    for (const m of c.moments)
      if (m.i && m.step !== c.moments[m.i - 1].step && seen(m.i)) {
        g.fillStyle = k.line;
        g.fillRect(this.x(m.i - 0.5), 0, 1, this.height);
      }
    for (const [i, agrees] of this.recorded)
      if (seen(i)) {
        const x = this.x(i);
        g.fillStyle = agrees ? k.ok : k.accent;
        g.beginPath();
        g.moveTo(x, 2);
        g.lineTo(x + 5, 7);
        g.lineTo(x, 12);
        g.lineTo(x - 5, 7);
        g.fill();
      }
    g.fillStyle = k.accent;
    for (const i of c.news)
      if (seen(i)) {
        const x = this.x(i);
        g.beginPath();
        g.moveTo(x - 5, TOP - 7);
        g.lineTo(x + 5, TOP - 7);
        g.lineTo(x, TOP);
        g.fill();
      }
    g.save();
    g.beginPath();
    g.rect(this.left, 0, end - this.left, this.height);
    g.clip();
    this.#calls(g, end);
    const y = (this.area = TOP + this.depth * CALL + 3);
    this.#steps(g, (i) => c.moments[i].differ / this.most, y, AREA, k.accent, true);
    c.lanes.forEach((name, n) => this.#lane(g, name, this.lane(n)));
    g.restore();
    g.textAlign = "left";
    g.font = `11px ${SANS}`;
    g.fillStyle = k.accent;
    g.fillText(small ? "differ" : "pages that differ", 0, y + AREA / 2);
    g.fillStyle = k.soft;
    c.lanes.forEach((name, n) => g.fillText(counterName(c.data, name), 0, this.lane(n) + LANE / 2));
  }
  lane(n) {
    return this.area + AREA + 3 + n * LANE;
  }

  #calls(g, end) {
    const { colours: k } = this;
    this.names = [];
    this.drawn = Array.from({ length: this.depth }, (_, depth) => this.#folded(depth));
    this.drawn.forEach((parts, depth) =>
      parts.forEach((part) => {
        const x = Math.max(this.left - 1, this.x(part.from)),
          w = Math.max(1, Math.min(end, this.x(part.to)) - x - 0.5),
          y = TOP + depth * CALL,
          many = part.calls > 1;
        g.save();
        g.beginPath();
        g.rect(x, y, w, CALL - 1);
        g.clip();
        const shade = `hsl(${hue(byNumber(part)[0])} ${k.dark ? "30% 38%" : "45% 80%"})`;
        g.fillStyle = shade;
        g.fillRect(x, y, w, CALL - 1);
        g.fillStyle = k.well;
        for (let at = x + 4; many && at < x + w; at += 5) g.fillRect(at, y, 1, CALL);
        if (w > 30) {
          const text = many ? label(part) : part.name;
          g.font = `10px ${MONO}`;
          if (many) {
            g.fillStyle = k.well;
            g.fillRect(x + 4, y, g.measureText(text).width + 6, CALL);
          }
          const name = { text, x: x + (many ? 7 : 3), y, ground: many ? k.well : shade };
          this.#name(g, name);
          this.names.push({ ...name, width: Math.min(g.measureText(text).width, x + w - name.x) });
        }
        g.restore();
      }),
    );
  }
  #name(g, { text, x, y }) {
    g.textAlign = "left";
    g.font = `10px ${MONO}`;
    g.fillStyle = this.colours.ink;
    g.fillText(text, x, y + CALL / 2 - 1.5); // or underscores are cut
  }
  /** Write the names that the cursor crosses again, over it. */
  #clear(g, x) {
    for (const name of this.names) {
      if (x < name.x - 2 || x > name.x + name.width + 2) continue;
      g.save();
      g.beginPath();
      g.rect(name.x - 2, name.y, name.width + 4, CALL - 1);
      g.clip();
      g.fillStyle = name.ground;
      g.fillRect(name.x - 2, name.y, name.width + 4, CALL);
      this.#name(g, name);
      g.restore();
    }
  }
  /** The calls of a row that can be seen; those that are too narrow to be told apart as one part, which zooming opens. */
  #folded(depth) {
    const parts = [];
    for (const span of this.c.spans) {
      if (span.depth !== depth || span.to < this.from || span.from > this.to) continue;
      const last = parts.at(-1),
        narrow = (span.to - span.from) * this.unit < FOLD;
      if (narrow && last?.narrow && (span.from - last.to) * this.unit < FOLD) {
        last.to = span.to;
        last.calls++;
        last.names.set(span.name, (last.names.get(span.name) ?? 0) + 1);
      } else
        parts.push({
          name: span.name,
          names: new Map([[span.name, 1]]),
          from: span.from,
          to: span.to,
          calls: 1,
          narrow,
        });
    }
    return parts;
  }
  /** A counter: one line if both kernels always agree; else two, and a band where they do not. */
  #lane(g, name, y) {
    const { c, colours: k } = this,
      [low, high] = this.scales[name],
      value = (s) => (i) => (c.moments[i].sides[s].counters[name] - low) / (high - low || 1);
    const differ = c.moments.filter((m) => m.sides[0].counters[name] !== m.sides[1].counters[name]);
    g.fillStyle = k.accent;
    g.globalAlpha = 0.35; // seen also where the two lines are too close to be told apart
    for (const { i } of differ)
      if (i >= this.from - 1 && i <= this.to) g.fillRect(this.x(i), y, Math.max(3, this.unit), LANE - 1);
    g.globalAlpha = 1;
    if (differ.length) this.#steps(g, value(0), y + 2, LANE - 5, k.before);
    this.#steps(g, value(1), y + 2, LANE - 5, differ.length ? k.after : k.soft);
  }
  #steps(g, value, y, h, colour, filled) {
    const first = Math.max(0, Math.floor(this.from) - 1),
      last = Math.min(this.c.length - 1, Math.ceil(this.to) + 1);
    g.beginPath();
    for (let i = first, old; i <= last; i++) {
      const at = y + h - value(i) * h,
        x = this.x(i);
      if (i === first) g.moveTo(x, at);
      else if (at !== old || i === last) {
        g.lineTo(x, old);
        g.lineTo(x, at);
      }
      old = at;
    }
    g.strokeStyle = colour;
    g.lineWidth = 1.5;
    g.stroke();
    if (filled) {
      g.lineTo(this.x(last), y + h);
      g.lineTo(this.x(first), y + h);
      g.globalAlpha = 0.28;
      g.fillStyle = colour;
      g.fill();
      g.globalAlpha = 1;
    }
  }

  /** The cursor and the values under it; i may lie between two moments. */
  draw(i) {
    const { g, colours: k, c } = this,
      m = c.moments[Math.floor(i)],
      x = this.x(i),
      small = this.left < 150;
    g.clearRect(0, 0, this.width, this.height);
    g.drawImage(this.still, 0, 0, this.width, this.height);
    const marked = this.mark >= 0,
      from = marked ? Math.max(this.left, Math.min(this.width - this.right, this.x(this.mark))) : this.left;
    g.fillStyle = marked ? k.accent : k.ink;
    g.globalAlpha = marked ? 0.2 : 0.08;
    g.fillRect(Math.min(from, x), TOP, Math.abs(x - from), this.height - TOP);
    g.globalAlpha = 1;
    if (marked) g.fillRect(from - 0.75, 0, 1.5, this.height);
    g.fillStyle = k.ink;
    g.fillRect(x - 0.75, 0, 1.5, this.height);
    g.beginPath();
    g.arc(x, 7, 5, 0, 7);
    g.fill();
    g.textBaseline = "middle";
    this.#clear(g, x);
    g.textAlign = "right";
    if (!small) {
      // the calls that one is in, each beside its lane
      g.font = `10px ${MONO}`;
      g.fillStyle = k.soft;
      m.stack
        .slice(0, this.depth)
        .forEach((name, d) =>
          g.fillText(name.length > 30 ? `${name.slice(0, 29)}…` : name, this.left - 8, TOP + d * CALL + CALL / 2),
        );
    }
    g.font = `11px ${SANS}`;
    g.fillStyle = k.accent;
    g.fillText(fmt(m.differ), this.left - 8, this.area + AREA / 2);
    c.lanes.forEach((name, n) => {
      const [a, b] = m.sides.map((side) => side.counters[name]),
        y = this.lane(n) + LANE / 2,
        before = c.moments[m.i - 1];
      g.font = `${before && m.sides.some((side, s) => side.counters[name] !== before.sides[s].counters[name]) ? "700 " : ""}11px ${SANS}`;
      g.fillStyle = a === b ? k.ink : k.after;
      g.fillText(fmt(b), this.left - 8, y);
      if (a !== b && !small) {
        g.fillStyle = k.before;
        g.fillText(fmt(a), this.left - 66, y);
      }
    });
  }
  /** What is at a point of the picture, in words. */
  about(x, y) {
    const i = this.at(x),
      part = this.part(x, y);
    if (part)
      return `${part.calls > 1 ? `${fmt(part.calls)} calls of ` : ""}${byNumber(part)
        .map((name) => `${name}()`)
        .join(", ")}, moments ${part.from} to ${part.to}${part.calls > 1 ? "; double-click to tell them apart" : ""}`;
    if (y >= TOP) return "";
    const [begun, ended] = this.c.stories.has(i) ? newsOf(this.c, i) : [[], []];
    return [
      this.recorded.has(i) && "a real kernel was recorded here",
      begun.length && `a difference begins: ${begun.join("; ")}`,
      ended.length && `a difference ends: ${ended.join("; ")}`,
    ]
      .filter(Boolean)
      .join(". ");
  }
  /** Zoom in until the first of the calls that were drawn as one can be told apart. */
  open({ from, to, calls }) {
    const room = (this.width - this.left - this.right) / (4 * FOLD);
    this.view(from, Math.min(to, from + ((to - from) / calls) * room));
  }
  /** The call, or the calls drawn as one, at a point. */
  part(x, y) {
    const i = this.at(x);
    return this.drawn[Math.floor((y - TOP) / CALL)]?.find((part) => part.from <= i && i <= part.to);
  }
}

const byNumber = ({ names }) => [...names].sort((a, b) => b[1] - a[1]).map(([name]) => name);
/** What stands on calls that are drawn as one: those that are called most often. */
function label(part) {
  const names = byNumber(part);
  return names.length === 1
    ? `${fmt(part.calls)} × ${names[0]}`
    : `${fmt(part.calls)} calls: ${names.slice(0, 2).join(", ")}${names.length > 2 ? " …" : ""}`;
}
const hue = (text) => [...text].reduce((h, letter) => (h * 31 + letter.charCodeAt(0)) % 360, 7);
