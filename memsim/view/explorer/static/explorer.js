// The explorer: one screen, one state (the moment, the block, the page). Everything else is drawn from these.

import { Chart } from "./chart.js";
import { Code } from "./code.js";
import { Comparison } from "./comparison.js";
import { colour, Machine, PageMap } from "./map.js";
import { recordedView } from "./pages.js";
import * as panel from "./panel.js";
import { Timeline } from "./timeline.js";
import {
  changedSince,
  fmt,
  happened,
  heading,
  hex,
  lifeOf,
  mapSentence,
  nameInView,
  pageNow,
  plain,
  zoneSentence,
} from "./words.js";

const PLAY_MS = 8000,
  WIPE_MS = 1200,
  HALF = 0.5,
  QUIET_MS = 120;
const TABS = [
  ["diffs", "Diffs"],
  ["code", "Code"],
  ["calls", "Calls"],
  ["page", "Page"],
  ["counters", "Counters"],
  ["writes", "Writes"],
  ["text", "Text"],
  ["help", "?"],
];
const COLOURS = ["paper", "ink", "soft", "line", "well", "accent", "before", "after", "ok"];
/** What an explorer takes over from the one that was in its box before. */
const CARRIED = ["calm", "page", "side", "tab", "fresh", "touched", "offered", "walks"];
const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

export class Explorer {
  /**
   * Fill a box. Options: `link(fragment)` gives an address to copy; `moved(explorer)` is called when one has stopped
   * moving; `plotly()` fetches plotly; `hunks.get(off)` fetches the walk without some hunks, where `hunks.can(off)`.
   * `like` is an explorer of another walk that was in the box: the new one shows the same of its own.
   */
  constructor(box, data, options = {}, like = null) {
    Object.assign(this, {
      box,
      data,
      options,
      calm: false,
      page: -1,
      pointed: -1,
      clicked: -1,
      wiped: 0,
      playing: 0,
      side: 0,
      tab: "diffs", // until the reader moves; then the code that acted
      fresh: true,
      mark: -1,
      shown: -1,
      drawn: 0,
      gone: new AbortController(),
      offered: data.acting,
      walks: new Map(), // by the hunks that are off
    });
    if (like) for (const name of CARRIED) this[name] = like[name];
    this.walks.set(this.off.join(), data);
    this.c = new Comparison(data);
    if (like) {
      if (data.blocks.includes(like.c.block)) this.c.show(like.c.block);
      this.c.go(this.c.like(like.c, like.c.i));
      if (like.mark >= 0) this.mark = this.c.like(like.c, like.mark);
    }
    this.#build();
    box.explorer = this; // for tests and for links in the page
    this.timeline = new Timeline(this.$(".time"), this.c);
    this.maps = this.$$(".side").map(
      (side) => new PageMap(side.querySelector(".pages"), side.querySelector(".cursor"), data),
    );
    this.machines = this.$$(".machine").map((canvas) => new Machine(canvas, data));
    this.timeline.mark = this.mark;
    this.code = new Code(
      this.$(".tab-code"),
      this.c,
      this.switches,
      (fn, no) => this.#point(fn, no),
      (i) => this.go(i),
    );
    if (options.plotly) this.chart = new Chart(this.c, options.plotly, (i) => this.go(i));
    this.#pace();
    this.#listen();
    this.layout();
    if (like && this.width) this.zoom(like.maps[0].zoomed);
    this.#think();
  }
  /** Find out who made each difference, from the nth on, while nothing else is to be done and nobody moves. */
  #think(n = 0) {
    const { news } = this.c;
    if (n === news.length) {
      if (this.tab === "diffs") this.#fill();
      return;
    }
    const later = globalThis.requestIdleCallback ?? setTimeout;
    this.thinking = later(() => {
      const quiet = performance.now() - this.drawn > QUIET_MS;
      if (quiet) this.c.causes(news[n]);
      this.#think(quiet ? n + 1 : n);
    });
  }
  $(selector) {
    return this.box.querySelector(selector);
  }
  $$(selector) {
    return [...this.box.querySelectorAll(selector)];
  }

  #build() {
    const { data } = this,
      id = `memsim${Math.random().toString(36).slice(2)}`,
      { escape } = panel;
    this.box.className = "memsim-explore";
    this.box.tabIndex = 0;
    this.box.dataset.lmSuppressShortcuts = "true";
    this.box.setAttribute("role", "group");
    this.box.setAttribute("aria-label", `Explorer: ${data.title}`);
    const button = (name, label, title) => `<button type="button" class="${name}" title="${title}">${label}</button>`;
    const side = (
      { title },
      s,
    ) => `<section class="side side${s}" aria-label="${escape(title)}"><p class="caption"><b>${escape(title)}</b><button type="button" class="zoom" title="Show the whole block again (Z)" hidden></button><button type="button" class="badge" hidden></button></p>
      <canvas class="machine" tabindex="0" role="slider" aria-label="Memory block shown, ${escape(title)}"></canvas>
      <div class="map"><canvas class="pages" role="img"></canvas><canvas class="cursor" tabindex="0" role="slider" aria-label="Page, ${escape(title)}" aria-valuemin="0"></canvas><input type="range" class="wiper" min="0" max="1000" hidden aria-label="How much of the map is the recorded kernel's, ${escape(title)}"></div><p class="tally"></p></section>`;
    this.box.innerHTML = `<header><p class="title"><b>${escape(data.title)}</b></p>
      <div class="buttons" role="toolbar" aria-label="Move through time">${button("play", "▶ Play", "Play the whole walk (Space)")}${button("back", "←", "The change before (←); every moment: Shift+←")}${button("forth", "→", "The next change (→); every moment: Shift+→")}${button("news", "<span>Next </span>difference", "")}${button("over", "Over", "Step over what is called (O)")}${button("out", "Out", "Step out of the function (U)")}<button type="button" class="mark" title="Mark this moment; then all that changes from here on is summed up (M)" aria-pressed="${this.mark >= 0}">Mark</button></div>
      <p class="where"></p><input class="find" type="search" list="${id}-names" placeholder="a function; Enter: its next call" aria-label="Go to the next call of a function" hidden><datalist id="${id}-names">${this.c.names.map((name) => `<option>${escape(name)}</option>`).join("")}</datalist>
      <div class="buttons">${button("search", "Find", "Go to a function by its name (G or /)")}<button type="button" class="calm" title="Without patterns, in soft colours (C)" aria-pressed="${this.calm}">Calm</button>${button("link", "Copy link", "Copy a link to this moment")}</div></header>
    <p class="says"></p>
    <div class="flip" role="radiogroup" aria-label="Which kernel">${data.sides.map(({ title }, s) => `<label class="side${s}"><input type="radio" name="${id}" value="${s}"${s ? "" : " checked"}>${escape(title)}</label>`).join("")}</div>
    ${data.sides.map(side).join("")}
    <div class="panel"><div class="tabs" role="tablist" aria-label="More about this moment">${TABS.map(([name, label]) => `<button type="button" role="tab" id="${id}-${name}" aria-controls="${id}-${name}-box" data-tab="${name}" ${name === "help" ? 'aria-label="How to read this"' : ""}>${label}</button>`).join("")}</div>
      ${TABS.map(([name]) => `<div class="tab-${name} box" role="tabpanel" id="${id}-${name}-box" aria-labelledby="${id}-${name}" ${name === "code" ? "" : 'tabindex="0"'} hidden></div>`).join("")}</div>
    <canvas class="time" tabindex="0" role="slider" aria-label="Moment" aria-valuemin="0"></canvas>
    <p class="note">${escape(data.note)}</p><p class="live" aria-live="polite"></p><div class="card" hidden></div>`;
    this.$(".link").hidden = !this.options.link;
    this.$(".note").hidden = !data.note;
  }

  // ---- drawing -----------------------------------------------------------------------------------------

  /** Measure, and draw everything anew. */
  layout() {
    const width = this.box.clientWidth;
    this.width = width; // 0 while it is hidden: it is drawn when it is shown
    if (!width) return;
    const dark = isDark();
    this.box.dataset.dark = dark;
    this.box.dataset.form = width < 840 ? "narrow" : width < 1240 ? "cell" : "wide";
    const css = getComputedStyle(this.box),
      form = this.box.dataset.form,
      narrow = form === "narrow";
    this.colours = Object.fromEntries(COLOURS.map((name) => [name, css.getPropertyValue(`--${name}`).trim()]));
    this.colours.dark = dark;
    const map = form === "wide" ? 393 : 265;
    this.maps.forEach((each, s) =>
      each.resize(narrow ? width - 4 : map + (s ? 0 : 52), !narrow && !s, this.data.blockPages, narrow),
    );
    this.machines.forEach((each, s) => each.resize(this.maps[s].width, this.maps[s].left));
    this.timeline.resize(width, this.colours);
    this.open(this.tab);
    this.flip(this.side);
    this.draw(true);
    this.#wipers();
  }
  get look() {
    return { ...this.colours, calm: this.calm };
  }

  draw(whole = false, exact = this.c.i) {
    const { c } = this;
    this.timeline.follow(exact);
    this.timeline.draw(exact);
    if (this.shown === c.i && !whole) return;
    this.shown = c.i;
    this.drawn = performance.now();
    this.since = this.mark < 0 ? null : c.since(...[this.mark, c.i].sort((a, b) => a - b));
    const says = this.#said(),
      kinds = c.kinds();
    this.#maps();
    this.zones = c.zones();
    this.machines.forEach((machine, s) => machine.draw(kinds[s], c.block, this.look, this.zones[s]));
    this.$(".says").replaceChildren(
      ...says.map((part) =>
        typeof part === "string"
          ? part
          : Object.assign(document.createElement(part[0] === "fn" ? "b" : part[0] === "key" ? "kbd" : "span"), {
              className: part[0],
              textContent: part[1],
            }),
      ),
    );
    this.#tellNews();
    this.$(".where").textContent = heading(c, c.i);
    this.$(".where").title = heading(c, c.i);
    this.$$(".tally").forEach((box, s) => this.#tally(box, s));
    this.$$(".badge").forEach((badge, s) => this.#badge(badge, s));
    this.#fill();
    if (!this.timer) this.#describe(plain(says)); // names and values are there from the start
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#stopped(says), QUIET_MS); // a screen reader is told where one stops, not all that flies by
  }
  /** Say on the button where it leads: in between the kernels go on to differ, or to be alike. */
  #tellNews() {
    const { c } = this,
      next = c.nextNews(c.i, 1),
      told = next > c.i ? `${next}` : "none",
      button = this.$(".news");
    if (button.dataset.next === told) return; // to write the same again costs a layout
    button.dataset.next = told;
    button.lastChild.textContent = next > c.i ? `difference at ${next}` : "difference: none"; // a number alone reads as how many
    button.setAttribute("aria-disabled", told === "none");
    button.title =
      told === "none"
        ? "After this moment no difference begins or ends (back: Shift+D)"
        : `Moment ${next}, where a difference next begins or ends (D)`;
  }
  /** What just happened, or what changed since the mark. */
  #said() {
    const { c, mark } = this;
    return this.since ? changedSince(c, Math.min(mark, c.i), this.since) : happened(c, c.i);
  }
  #maps(wrote = null) {
    const { c, look } = this;
    this.maps.forEach((map, s) => {
      const real = this.wiped > 0 && this.#recorded(s),
        first = c.views[s].pfn / 1024;
      if (real) map.wipe(c.views[s], real, this.wiped, look);
      else map.draw(c.views[s], look);
      const chunks = wrote ? [...wrote[s]] : (this.since ?? c.moment).sides[s].changed;
      map.over({
        chunks: chunks.length > 31 && !wrote ? [] : chunks.map((id) => id - first),
        frame: wrote ? look.accent : look.ink,
        page: this.pointed >= 0 ? this.pointed : this.page,
      });
    });
  }
  #recorded(s) {
    const recorded = this.data.recorded[s],
      probe = recorded?.probes[this.c.i];
    return probe?.map && recorded.block === this.c.block ? recordedView(probe.map, this.c.views[s].pfn) : null;
  }
  #tally(box, s) {
    const view = this.c.views[s],
      { migratetypes } = this.data,
      isolated = [];
    const html = view
      .counts()
      .map((n, kind) =>
        n
          ? `<span title="${panel.escape(this.data.classes[kind][3])}"><i style="background:${kind ? colour(this.data, kind, this.look) : "#8886"}; color: ${kind ? (this.calm || !"AF".includes(this.data.classes[kind][0]) ? "#10151a" : "#fff") : "inherit"}">${this.data.classes[kind][0]}</i>${fmt(n)} <small>${panel.escape(nameInView(this.data, view, kind))}</small></span>`
          : "",
      )
      .join("");
    for (let k = 0; k < view.pages / 32768; k++)
      for (const kind of view.state.sections.get(view.pfn / 32768 + k)?.pageblocks ?? [])
        if (migratetypes[kind] === "isolate") isolated.push(kind);
    const more =
      isolated.length && view.there
        ? `<span class="isolated" title="Pageblocks that are isolated: of migratetype isolate. Their free pages are on free lists of the buddy, and the counter nr_free leaves them out.">▁ ${isolated.length} <small>isolated</small></span>`
        : "";
    if (box.dataset.html !== html + more) {
      box.innerHTML = html + more;
      box.dataset.html = html + more;
    }
  }
  #badge(badge, s) {
    const recorded = this.data.recorded[s],
      probe = recorded?.probes[this.c.i];
    badge.hidden = !probe;
    if (!probe) return;
    badge.classList.toggle("no", !probe.agrees);
    badge.disabled = !this.#recorded(s);
    badge.innerHTML = `◆ real kernel: ${probe.agrees ? "same" : "DIFFERS"}${probe.pages ? `<span>, ${fmt(probe.pages)} pages</span>` : ""}`;
    badge.title = `Recorded kernel ${recorded.kernel}: ${probe.says}. Press to lay its map over the simulated one, and drag (R)`;
  }
  #fill() {
    // the tab that is open
    const { c } = this,
      box = this.$(`.tab-${this.tab}`),
      go = (i) => this.go(i);
    switch (this.tab) {
      case "code":
        this.code.show(c.actor(c.i), c.causes(c.i));
        break;
      case "diffs":
        panel.differences(box, c, this.switches, (i) => {
          go(i);
          this.open("code");
        });
        break;
      case "help":
        new Code(box, c, this.switches, () => {}, go).show({ name: "", lines: [[], []] }, []);
        break;
      case "calls":
        panel.calls(box, c, (name) => go(Math.max(0, c.named(c.i, `enter:${name}#`))));
        break;
      case "counters":
        panel.counters(box, c, this.colours, this.chart);
        break;
      case "writes":
        panel.writes(box, c);
        break;
      case "text":
        panel.text(box, c);
        break;
      default:
        if (this.page < 0)
          box.innerHTML =
            "<p>Click a page on a map, or move to one with the arrow keys while a map has the focus and press Enter: here is its life.</p>";
        else panel.life(box, c, this.pfn, go);
    }
    if (this.tab === "page") {
      const here = box.querySelector(".here");
      if (here) box.scrollTop = here.offsetTop - box.offsetTop - 80;
    }
  }
  get pfn() {
    return this.c.block * this.data.blockPages + Math.max(0, this.page);
  }

  /** Give pictures their names and sliders their values, for a screen reader. */
  #describe(told) {
    const { c } = this,
      time = this.$(".time");
    time.setAttribute("aria-valuemax", c.length - 1);
    time.setAttribute("aria-valuenow", c.i);
    time.setAttribute("aria-valuetext", `${heading(c, c.i)}. ${told}`);
    this.maps.forEach((map, s) => {
      map.canvas.setAttribute(
        "aria-label",
        `${this.data.sides[s].title}, block ${c.block}: ${mapSentence(this.data, c.views[s])}`,
      );
      map.overlay.setAttribute("aria-valuemax", this.data.blockPages - 1);
      map.overlay.setAttribute("aria-valuenow", Math.max(0, this.page));
      map.overlay.setAttribute("aria-valuetext", `pfn ${hex(this.pfn)}: ${pageNow(c, s, this.pfn).text}`);
      const machine = this.machines[s].canvas,
        { blocks } = this.data;
      machine.setAttribute("aria-valuemin", blocks[0]);
      machine.setAttribute("aria-valuemax", blocks.at(-1));
      machine.setAttribute("aria-valuenow", c.block);
      machine.setAttribute(
        "aria-valuetext",
        `block ${c.block}, ${c.states[s].blocks.get(c.block) ?? "not there"}; ${this.zones[s].map(zoneSentence).join("; ")}`,
      );
    });
  }
  #stopped(says) {
    const told = plain(says);
    this.$(".live").textContent = told;
    this.#describe(told);
    this.options.moved?.(this);
  }
  #point(fn, no) {
    this.#maps(no ? this.c.wroteBy(this.c.i, fn, no) : null);
  }

  // ---- hunks --------------------------------------------------------------------------------------------

  /** The hunks that act in the walk and that the right kernel lacks, since a reader switched them off. */
  get off() {
    return this.offered.filter((hunk) => !this.data.sides[1].hunks.includes(hunk));
  }
  get switches() {
    return { hunks: this.offered, can: this.options.hunks?.can };
  }
  /** Show the same moment where the right kernel lacks these hunks; resolves to the explorer that does, if it still is wanted. */
  async without(off) {
    const key = off.join();
    this.asked = key;
    if (!this.walks.has(key)) {
      this.#tellHunks("the kernel runs it again …");
      try {
        this.walks.set(key, await this.options.hunks.get(off));
      } catch (error) {
        this.#tellHunks(error.message);
        return null;
      }
    }
    if (this.asked !== key || this.gone.signal.aborted) return null;
    return this.#become(this.walks.get(key));
  }
  #tellHunks(text) {
    this.$(".live").textContent = text;
    for (const box of this.$$("p.hunks")) {
      box.querySelector("em")?.remove();
      box.append(Object.assign(document.createElement("em"), { textContent: ` ${text}` }));
    }
  }
  #become(data) {
    const { hunk } = this.box.contains(document.activeElement) ? document.activeElement.dataset : {};
    this.close();
    const next = new Explorer(this.box, data, this.options, this);
    if (hunk) next.$(`.tab-${next.tab} [data-hunk=${hunk}]`)?.focus();
    if (this.chart?.plotly) next.chart.open();
    next.#stopped(next.#said());
    return next;
  }

  // ---- moving --------------------------------------------------------------------------------------------

  go(i) {
    if (this.c.i !== i && this.wiped) this.#wipeTo(0);
    this.c.go(i);
    this.#begun();
    this.draw();
  }
  #begun() {
    if (this.fresh && this.tab === "diffs") this.open("code");
    this.fresh = false;
  }
  /** Mark a moment: the sentence then says what changed between it and the one that is shown. -1: no more. */
  from(mark) {
    this.mark = Math.max(-1, Math.min(this.c.length - 1, mark));
    this.timeline.mark = this.mark;
    this.$(".mark").setAttribute("aria-pressed", this.mark >= 0);
    this.draw(true);
  }
  look_at(block) {
    if (!this.data.blocks.includes(block)) return;
    this.c.show(block);
    this.zoom(-1);
    this.draw(true);
  }
  /** Choose a page of the block that is shown, and open its life if asked to. */
  choose(page, open = false) {
    this.page = Math.max(0, Math.min(this.data.blockPages - 1, page));
    if (open) this.open("page");
    else if (this.tab === "page") this.#fill();
    this.#maps();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#stopped(this.#said()), QUIET_MS);
  }
  zoom(tile) {
    this.maps.forEach((map) => {
      map.zoomed = tile;
      map.overlay.classList.toggle("near", tile >= 0);
    });
    this.$$(".zoom").forEach((button) => {
      button.hidden = tile < 0;
      button.innerHTML = `✕ pageblock ${tile}<span>, ${hex(this.c.block * this.data.blockPages + tile * 512)}</span>`;
    });
    this.#maps();
  }
  open(tab) {
    this.tab = tab;
    for (const [name] of TABS) {
      const button = this.$(`[data-tab=${name}]`);
      button.setAttribute("aria-selected", name === tab);
      button.tabIndex = name === tab ? 0 : -1;
      this.$(`.tab-${name}`).hidden = name !== tab;
    }
    this.#fill();
  }
  /** Give the panel the place of one map, so that few lines of code are broken; or take it back. */
  widen() {
    this.box.dataset.wide = this.box.dataset.wide !== "true";
    this.$$(".wider").forEach((button) => button.setAttribute("aria-pressed", this.box.dataset.wide));
    this.#fill();
  }
  flip(side) {
    this.side = side;
    this.$$(".flip input").forEach((input, s) => {
      input.checked = s === side;
    });
    this.$$(".side.side0, .side.side1").forEach((each, s) => each.classList.toggle("under", s !== side));
  }
  toggleCalm() {
    this.calm = !this.calm;
    this.$(".calm").setAttribute("aria-pressed", this.calm);
    this.draw(true);
  }

  /** Wipe the recorded map over the simulated one and halfway back, where it can be dragged; or take it away. */
  wipe() {
    if (!this.#recorded(0) && !this.#recorded(1)) {
      const answer = this.timeline.recorded.size
        ? "No map of a real kernel was recorded at this moment. A ◆ on the timeline marks each moment of a recording."
        : "No real kernel was recorded on this walk.";
      this.$(".says").textContent = this.$(".live").textContent = answer;
      this.shown = -1; // so that the next picture brings the sentence back
      return;
    }
    const to = this.wiped ? 0 : HALF,
      begun = performance.now(),
      { i } = this.c;
    if (!to || still()) {
      this.#wipeTo(to);
      return;
    }
    const frame = (now) => {
      this.wiping = this.wiped > 0 && this.c.i === i && !this.dragged;
      if (!this.wiping) return;
      const part = Math.min(1, Math.max(0.001, (now - begun) / WIPE_MS)); // a frame may have begun before
      this.#wipeTo(part < HALF ? part / HALF : 1 - (part - HALF));
      this.wiping = part < 1;
      if (this.wiping) requestAnimationFrame(frame);
    };
    this.dragged = false;
    this.wiping = true;
    this.#wipeTo(0.001);
    requestAnimationFrame(frame);
  }
  #wipeTo(part) {
    this.wiped = part;
    this.#maps();
    this.#wipers();
  }
  /** The handles of the wipe, one over each map that was recorded. */
  #wipers() {
    this.$$(".wiper").forEach((wiper, s) => {
      const map = this.maps[s];
      wiper.hidden = !this.wiped || !this.#recorded(s);
      Object.assign(wiper.style, { left: `${map.left}px`, width: `${map.width - map.left}px` });
      wiper.value = 1000 * this.wiped;
      wiper.setAttribute("aria-valuetext", `${Math.round(100 * this.wiped)} % of the map is the recorded kernel's`);
    });
  }

  #pace() {
    // a moment that shows something lasts, the others pass
    const weights = this.c.moments.map((m) => (this.c.news.includes(m.i) ? 9 : m.visible ? 1 : 0.12)),
      whole = weights.reduce((a, b) => a + b, 0);
    let sum = 0;
    this.begins = [0, ...weights.map((weight) => (sum += (weight / whole) * PLAY_MS))];
  }
  play() {
    this.stop();
    const { c } = this;
    if (c.i === c.length - 1) c.go(0);
    this.#begun();
    const from = performance.now() - this.begins[c.i],
      quiet = still();
    this.$(".play").textContent = "❚❚ Pause";
    this.#wipeTo(0);
    const frame = (now) => {
      const t = now - from;
      let { i } = c;
      while (i < c.length - 1 && this.begins[i + 1] <= t) i++;
      if (i !== c.i) c.go(i);
      this.draw(
        false,
        quiet
          ? c.i
          : Math.min(
              c.length - 1,
              i + Math.max(0, Math.min(1, (t - this.begins[i]) / (this.begins[i + 1] - this.begins[i]))),
            ),
      );
      if (t >= PLAY_MS) {
        this.stop();
        this.draw(true);
      } else this.playing = requestAnimationFrame(frame);
    };
    this.playing = requestAnimationFrame(frame);
  }
  stop() {
    cancelAnimationFrame(this.playing);
    this.playing = 0;
    this.$(".play").textContent = "▶ Play";
  }

  /** The part of an address that leads here; and the way back. */
  get fragment() {
    return `moment=${this.c.i}${this.c.block === this.data.block ? "" : `&block=${this.c.block}`}${this.page < 0 ? "" : `&page=${hex(this.pfn)}`}${this.mark < 0 ? "" : `&since=${this.mark}`}${this.off.length ? `&without=${this.off.join()}` : ""}`;
  }
  follow(fragment) {
    const asked = new URLSearchParams(fragment.replace(/^#/, ""));
    if (!asked.has("moment") && !asked.has("point")) return;
    const wanted = (asked.get("without") ?? "").split(","),
      off = this.offered.filter((hunk) => wanted.includes(hunk));
    if (off.join() === this.off.join() || !this.options.hunks?.can(off)) this.#follow(asked);
    else this.without(off).then((next) => next?.#follow(asked));
  }
  #follow(asked) {
    const pfn = Number(asked.get("page")),
      { blockPages } = this.data;
    const block = Number(asked.get("block") ?? (asked.has("page") ? Math.floor(pfn / blockPages) : this.data.block));
    if (block !== this.c.block) this.look_at(block);
    this.go(
      asked.has("moment")
        ? Number(asked.get("moment")) || 0
        : Math.max(0, this.c.find(Number(asked.get("step")), asked.get("point"))),
    );
    this.from(Number(asked.get("since") ?? -1));
    if (asked.has("page")) this.choose(pfn - this.c.block * blockPages, true);
  }

  /** Ask for a function in the place of the moment's name, or show that again. */
  #find(open) {
    this.stop();
    this.$(".find").hidden = !open;
    this.$(".where").hidden = open;
    (open ? this.$(".find") : this.box).focus();
  }
  #findNext() {
    const field = this.$(".find"),
      i = this.c.named(this.c.i, field.value.trim());
    field.setAttribute("aria-invalid", i < 0);
    if (i >= 0) this.go(i);
    else this.$(".live").textContent = `${field.value}: not in this walk`;
  }

  // ---- keys and pointers -----------------------------------------------------------------------------------

  #listen() {
    const { c } = this,
      on = (selector, act) => {
        this.$(selector).onclick = () => {
          this.stop();
          act();
        };
      };
    this.$(".play").onclick = () => (this.playing ? this.stop() : this.play());
    on(".back", () => this.go(c.next(c.i, -1)));
    on(".forth", () => this.go(c.next(c.i, 1)));
    on(".news", () => this.go(c.nextNews(c.i, 1)));
    on(".over", () => this.go(c.over(c.i)));
    on(".out", () => this.go(c.out(c.i)));
    on(".mark", () => this.from(this.mark < 0 ? c.i : -1));
    this.$$(".zoom").forEach((button) => {
      button.onclick = () => this.zoom(-1);
    });
    this.$(".calm").onclick = () => this.toggleCalm();
    this.$(".search").onclick = () => this.#find(this.$(".find").hidden);
    this.$(".find").onkeydown = (e) => {
      if (e.key === "Enter") this.#findNext();
      if (e.key === "Escape") this.#find(false);
    };
    this.$(".find").oninput = () => this.$(".find").removeAttribute("aria-invalid");
    this.$(".link").onclick = () => this.#copy();
    this.$$(".badge").forEach((badge) => {
      badge.onclick = () => this.wipe();
    });
    this.$$(".wiper").forEach((wiper) => {
      wiper.oninput = () => {
        this.dragged = true;
        this.#wipeTo(Math.max(0.001, wiper.value / 1000));
      };
    });
    this.$$(".flip input").forEach((input, s) => {
      input.onchange = () => this.flip(s);
    });
    const keys = {
      ArrowRight: (e) => this.go(e.shiftKey ? c.i + 1 : c.next(c.i, 1)),
      ArrowLeft: (e) => this.go(e.shiftKey ? c.i - 1 : c.next(c.i, -1)),
      Home: () => this.go(0),
      End: () => this.go(c.length - 1),
      " ": () => (this.playing ? this.stop() : this.play()),
      PageDown: () => this.go(c.i + Math.ceil(c.length / 10)),
      PageUp: () => this.go(c.i - Math.ceil(c.length / 10)),
      d: (e) => this.go(c.nextNews(c.i, e.shiftKey ? -1 : 1)),
      o: () => this.go(c.over(c.i)),
      u: () => this.go(c.out(c.i)),
      m: () => this.from(this.mark < 0 ? c.i : -1),
      c: () => this.toggleCalm(),
      r: () => this.wipe(),
      f: () => this.flip(1 - this.side),
      z: () => this.zoom(this.maps[0].zoomed < 0 ? Math.max(0, this.page) >> 9 : -1),
      "+": () => this.#zoomTime(0.5),
      "-": () => this.#zoomTime(2),
      g: () => this.#find(true),
      "/": () => this.#find(true),
      w: () => this.widen(),
      "?": () => this.open("help"),
      Escape: () => {
        this.zoom(-1);
        this.#card(-1);
        this.#wipeTo(0);
        this.from(-1);
      },
    };
    const { signal } = this.gone;
    this.$(".panel").addEventListener("change", ({ target: { dataset, checked } }) => {
      const { hunk } = dataset;
      if (hunk) this.without(this.offered.filter((each) => (each === hunk ? !checked : this.off.includes(each))));
    });
    this.$(".panel").addEventListener("click", ({ target }) => {
      if (target.matches(".wider")) this.widen();
    });
    const onKey = (e) => {
      const name = e.key.length === 1 ? e.key.toLowerCase() : e.key,
        { target } = e;
      if (e.ctrlKey || e.metaKey || e.altKey) return;
      if (target.matches("input") && !(target.matches(".wiper") && (name === "r" || name === "Escape"))) {
        e.stopPropagation();
        return;
      }
      const act =
        this.#keyOf(target, name, e) ??
        ((target.matches(".lines, .box") && /^(Home|End|Page|Arrow[UD])/.test(name)) ||
        (target.matches("button") && (name === " " || name === "Enter"))
          ? null
          : keys[name]);
      if (!act) return;
      const begun = performance.now();
      if (this.playing && name !== " ") this.stop();
      act(e);
      e.preventDefault();
      e.stopPropagation();
      this.spent?.push(performance.now() - begun);
    };
    this.box.addEventListener("keydown", onKey, { signal });
    this.#pointers();
    const anew = () => {
      this.maps.forEach((map) => {
        map.kept = "";
      });
      this.layout();
      if (!this.width) setTimeout(() => this.layout(), 300); // JupyterLab hides its panels while it changes the theme
    };
    this.observers = [
      new ResizeObserver(() => {
        if (this.box.clientWidth !== this.width) this.layout();
      }),
      new MutationObserver(anew),
    ];
    this.observers[0].observe(this.box);
    this.observers[1].observe(document.body, { attributeFilter: ["data-jp-theme-light", "data-theme"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", anew, { signal });
  }
  /** Take everything away that outlives the box. */
  close() {
    this.stop();
    clearTimeout(this.timer);
    (globalThis.cancelIdleCallback ?? clearTimeout)(this.thinking);
    this.observers.forEach((each) => each.disconnect());
    this.gone.abort();
  }

  #keyOf(target, name, e) {
    // keys that mean something else in a part of the picture
    const at = Math.max(0, this.page),
      row = this.maps[0].zoomed >= 0 ? 32 : 16,
      far = e.shiftKey ? 8 : 1;
    if (target.matches(".cursor")) {
      const to = {
        ArrowLeft: at - far,
        ArrowRight: at + far,
        ArrowUp: at - row * far,
        ArrowDown: at + row * far,
        PageUp: at - 512,
        PageDown: at + 512,
        Home: 0,
        End: this.data.blockPages - 1,
      }[name];
      if (to !== undefined) return () => this.choose(this.page < 0 ? 0 : to);
      if (name === "Enter") return () => this.choose(at, true);
    }
    if (target.matches(".machine")) {
      const { blocks } = this.data,
        place = blocks.indexOf(this.c.block),
        to = {
          ArrowLeft: place - 1,
          ArrowRight: place + 1,
          ArrowUp: place + 1,
          ArrowDown: place - 1,
          Home: 0,
          End: blocks.length - 1,
        }[name];
      if (to !== undefined) return () => this.look_at(blocks[Math.max(0, Math.min(blocks.length - 1, to))]);
    }
    if (target.matches("[role=tab]")) {
      const place = TABS.findIndex(([tab]) => tab === this.tab),
        to = { ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: TABS.length - 1 }[name];
      if (to !== undefined)
        return () => {
          const [tab] = TABS[(to + TABS.length) % TABS.length];
          this.open(tab);
          this.$(`[data-tab=${tab}]`).focus();
        };
    }
    return null;
  }
  #zoomTime(factor, about = this.c.i) {
    this.timeline.zoom(factor, about);
    this.timeline.draw(this.c.i);
  }

  #pointers() {
    const { c } = this,
      time = this.$(".time"),
      scrub = (e) => {
        this.stop();
        this.go(this.timeline.at(e.offsetX));
      };
    time.onwheel = (e) => {
      e.preventDefault();
      this.#zoomTime(Math.exp(e.deltaY / 400), this.timeline.at(e.offsetX));
    };
    time.ondblclick = (e) => {
      const part = this.timeline.part(e.offsetX, e.offsetY);
      if (part?.calls > 1) this.timeline.open(part);
      else this.timeline.zoom(1e9, c.i);
      this.timeline.draw(c.i);
    };
    time.onpointerdown = (e) => {
      time.setPointerCapture(e.pointerId);
      if (e.shiftKey) this.from(this.timeline.at(e.offsetX));
      scrub(e);
    };
    time.onpointermove = (e) => {
      if (e.buttons) scrub(e);
      time.title =
        this.timeline.about(e.offsetX, e.offsetY) || "Drag: move; Shift and drag: what changes in between; wheel: zoom";
    };
    this.maps.forEach((map, s) => {
      const over = map.overlay,
        at = (e) => map.pageAt(e.offsetX, e.offsetY);
      // A finger is larger than a page: its first tap opens the pageblock, where it chooses, also by moving.
      let finger = false;
      over.onpointerdown = (e) => {
        finger = e.pointerType === "touch";
      };
      over.onpointermove = (e) => {
        const page = at(e);
        if (e.pointerType !== "touch") {
          if (page < 0 || page !== this.clicked) {
            this.clicked = -1;
            this.#card(page, e);
          }
        } else if (map.zoomed >= 0 && page >= 0 && page !== this.page) this.choose(page);
      };
      over.onpointerleave = () => {
        this.clicked = -1;
        this.#card(-1);
      };
      over.onclick = (e) => {
        const page = at(e);
        if (page < 0) return;
        if (finger && map.zoomed < 0) this.zoom(page >> 9);
        else {
          this.choose(page, true);
          this.#card(-1); // it may lie over the page's life
          this.clicked = page;
        }
      };
      over.ondblclick = (e) => {
        const page = at(e);
        if (!finger) this.zoom(map.zoomed < 0 && page >= 0 ? page >> 9 : -1);
      };
      const machine = this.machines[s];
      machine.canvas.onclick = (e) => this.look_at(machine.blockAt(e.offsetX));
      machine.canvas.onpointermove = (e) => {
        machine.canvas.title = machine.about(e.offsetX, e.offsetY, this.zones[s], this.c.kinds()[s]);
      };
    });
    this.$$("[role=tab]").forEach((button) => {
      button.onclick = () => this.open(button.dataset.tab);
    });
  }
  /** The card of the page one points at. */
  #card(page, e) {
    const card = this.$(".card"),
      { c, data } = this;
    this.pointed = page;
    this.#maps();
    card.hidden = page < 0;
    if (page < 0) return;
    const pfn = c.block * data.blockPages + page,
      now = data.sides.map((_, s) => {
        const seen = pageNow(c, s, pfn),
          last = lifeOf(c, s, pfn)
            .filter(([moment]) => moment <= c.i)
            .at(-1);
        return {
          ...seen,
          label: `${data.classes[seen.kind][0]} ${data.classes[seen.kind][1]}`,
          free: seen.order >= 0 ? `order ${seen.order}, first page` : "–",
          last: last ? `${last[1] || "no function"}(), moment ${last[0]}` : "nobody yet",
        };
      });
    const row = (name, of) =>
      `<tr><th scope="row">${name}</th>${now.map((each) => `<td>${panel.escape(of(each) ?? "")}</td>`).join("")}</tr>`;
    card.innerHTML = `<b>pfn ${hex(pfn)}</b> pageblock ${page >> 9}<table><tr><td></td>${data.sides.map((side, s) => `<th scope="col" class="side${s}">${panel.escape(side.name)}</th>`).join("")}</tr>${row("is", (each) => each.label)}${row("refcount", (each) => each.refcount)}${row("free block", (each) => each.free)}${row("pageblock", (each) => each.migratetype)}${row("last write", (each) => each.last)}</table>`;
    const frame = this.box.getBoundingClientRect(),
      x = e.clientX - frame.left,
      y = e.clientY - frame.top;
    card.style.left = `${Math.max(4, Math.min(x + 16, this.width - 384))}px`;
    card.style.top = `${y + 16 + 150 > frame.height ? y - 150 : y + 16}px`;
  }
  async #copy() {
    const button = this.$(".link"),
      address = this.options.link(this.fragment);
    try {
      await navigator.clipboard.writeText(address);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Copy the address";
      location.replace(address);
    }
    setTimeout(() => {
      button.textContent = "Copy link";
    }, 1500);
  }
}

function isDark() {
  const { jpThemeLight, theme } = document.body.dataset;
  if (jpThemeLight !== undefined) return jpThemeLight === "false";
  if (theme === "dark" || theme === "light") return theme === "dark";
  return matchMedia("(prefers-color-scheme: dark)").matches;
}
