// The function that acted, with the branches of the patch; one narrow column for each kernel says what ran.

import { escape, hunkBoxes } from "./panel.js";

const HEADS = 15; // pixels that the heads of the columns cover
const KINDS = { asks: "asks for the hunk", with: "only with the hunk", without: "only without the hunk" };

export class Code {
  /** `hunks` are those that can be switched off; `can` says whether some of them can be off together, if any. */
  constructor(box, comparison, { hunks, can }, onLine, onLink) {
    Object.assign(this, { box, c: comparison, hunks, can, onLine, onLink, name: null, kept: new Map() });
  }

  show(actor, causes) {
    const parts = this.c.data.code[actor.name];
    if (this.name !== actor.name) {
      // built once for each function: two take turns while a block comes online
      if (!this.kept.has(actor.name)) this.kept.set(actor.name, this.#build(actor.name, parts));
      const { nodes, rows, lines, note } = this.kept.get(actor.name);
      this.box.replaceChildren(...nodes);
      Object.assign(this, { rows, lines, note, name: actor.name });
    }
    this.#say(causes);
    if (!parts?.length) return;
    const hunks = this.c.data.sides.map((side) => side.hunks);
    const helpersRan = actor.lines.map((lines) => lines.length > 0);
    let first = null,
      last = null;
    for (const row of this.rows) {
      const ran = actor.lines.map((lines, s) =>
        row.helper
          ? helpersRan[s] && row.marks.some(([hunk, kind]) => kind === (hunks[s].includes(hunk) ? "with" : "without"))
          : lines.includes(row.no),
      );
      if (`${ran}` !== row.ran) {
        row.ran = `${ran}`;
        row.cells.forEach((cell, s) => {
          cell.className = ran[s] ? `ran${s}` : "";
          cell.textContent = ran[s] ? "●" : "";
        });
        row.element.classList.toggle("lit", ran[0] || ran[1]);
      }
      if ((ran[0] || ran[1]) && !row.helper) {
        first ??= row;
        last = row;
      }
    }
    if (!first) {
      this.lines.scrollTop = 0;
      return;
    }
    const context = this.rows[Math.max(0, this.rows.indexOf(first) - 1)], // whole, below the heads of the columns
      start = Math.max(0, context.element.offsetTop - this.lines.offsetTop - HEADS),
      top = first.element.offsetTop - this.lines.offsetTop,
      end = last.element.offsetTop + last.element.offsetHeight - this.lines.offsetTop;
    if (top < this.lines.scrollTop + 20 || end > this.lines.scrollTop + this.lines.clientHeight)
      this.lines.scrollTop = end + HEADS <= this.lines.clientHeight ? 0 : start;
  }

  /** Who made the difference that begins or ends here, where that is not what is shown. */
  #say(causes) {
    const told = new Map();
    for (const cause of causes)
      if (cause.moment >= 0 && cause.moment < this.c.i) told.set(`${cause.moment} ${cause.fn}`, cause);
    const key = [...told.keys()].join();
    if (this.note.dataset.key === key) return;
    this.note.dataset.key = key;
    this.note.replaceChildren(
      ...[...told.values()].flatMap(({ moment, fn, hunks }) => {
        const link = document.createElement("button");
        link.type = "button";
        link.textContent = `moment ${moment}, ${fn}()`;
        link.onclick = () => this.onLink(moment);
        return [`The difference was made earlier, by ${hunks.join(", ")}: `, link, " "];
      }),
    );
    this.note.hidden = !told.size;
  }

  #build(name, parts) {
    const note = Object.assign(document.createElement("p"), { className: "note", hidden: true }),
      rows = [];
    if (!parts?.length) {
      const text = Object.assign(document.createElement("div"), {
        className: "lines help",
        innerHTML: HELP,
        tabIndex: 0,
      });
      text.setAttribute("role", "region");
      text.setAttribute("aria-label", "How to read this");
      return { nodes: [note, text], rows, lines: text, note };
    }
    const hunks = [...new Set(parts.flatMap((part) => part.marks.map(([hunk]) => hunk)))];
    const head = Object.assign(document.createElement("p"), {
      className: "head",
      innerHTML: `<b>${escape(name)}()</b> <small>${escape(parts[0].file)}:${parts[0].lines[0]?.[0] ?? ""}</small><button type="button" class="wider" aria-pressed="${this.box.closest("[data-wide=true]") !== null}" title="More room, in the place of one map (W); the other map: F">Wider</button>`,
    });
    const doc = Object.assign(document.createElement("p"), {
      className: hunks.length ? "doc hunks" : "doc",
      innerHTML: hunks.length
        ? `<b>Hunks here:</b> ${hunkBoxes(hunks, this.c.data.sides[1].hunks, this)}`
        : escape(parts[0].doc),
      title: parts[0].doc,
    });
    const lines = Object.assign(document.createElement("div"), { className: "lines", tabIndex: 0 });
    lines.setAttribute("role", "region");
    lines.setAttribute("aria-label", `Source of ${name}(), in the model`);
    lines.innerHTML = `<div class="codeline top"><span></span><span></span><code>ran: ${this.c.data.sides.map(({ name, title }, s) => `<b class="ran${s}" title="${escape(title)}">● ${escape(name)}</b>`).join(" ")}</code></div>`;
    if (!parts[0].lines.length) lines.append("The source is not on the machine that made this.");
    parts.forEach((part, nr) =>
      part.lines.forEach(([no, text], n) => {
        const marks = part.marks.filter((mark) => mark[2] <= no && no <= mark[3]),
          element = document.createElement("div");
        element.className = `codeline ${marks.map((mark) => mark[1]).join(" ")} ${nr && !n ? "helper" : ""}`;
        const code = text.trimStart(), // indented by a margin: behind spaces a long word would begin a line of its own
          indent = (text.length - code.length) / 2;
        element.innerHTML = `<span></span><span></span><code style="padding-left: calc(16px + ${indent}ch)">${escape(code)}</code>`;
        element.title = marks.map(([hunk, kind]) => `${hunk}: ${KINDS[kind]}`).join("; ");
        element.onpointerenter = () => this.onLine(name, no);
        element.onpointerleave = () => this.onLine(name, 0);
        lines.append(element);
        rows.push({
          no,
          marks,
          element,
          helper: nr > 0,
          cells: [element.children[0], element.children[1]],
          ran: "false,false",
        });
      }),
    );
    return { nodes: [head, doc, note, lines], rows, lines, note };
  }
}

const HELP = `<p>Two kernels do the same; the left one lacks the patch. Each tile is a <b>pageblock</b> of 512 pages. Two tiles that have grown together are one free block of 1,024.</p>
<p><kbd>→</kbd> <kbd>←</kbd> next change one can see; with <kbd>Shift</kbd> every moment<br><kbd>D</kbd> the next moment at which a difference between the kernels begins or ends (with <kbd>Shift</kbd> the one before)<br><kbd>O</kbd> step over &nbsp; <kbd>U</kbd> step out<br><kbd>Space</kbd> plays &nbsp; <kbd>Home</kbd> <kbd>End</kbd> &nbsp; <kbd>+</kbd> <kbd>−</kbd> zoom time<br><kbd>M</kbd> marks a moment; then all that changes from there on is summed up (mouse: <kbd>Shift</kbd> and drag on the timeline)<br>
<kbd>G</kbd> go to a function &nbsp; <kbd>C</kbd> calm &nbsp; <kbd>R</kbd> real kernel &nbsp; <kbd>Z</kbd> zoom into a pageblock<br><kbd>W</kbd> more room for the code, in the place of one map; then <kbd>F</kbd> flips the kernels</p>
<p>A letter says what pages are: the legend below each map has those that are there. <b>B</b><sub>10</sub>: in the buddy, a free block of order 10 begins here. Over the maps each memory block has the letter of most of its pages: <b>B+</b> some are of another kind, <b>N</b> it is not online and its struct pages are not set up, <b>·</b> no block.</p>
<p><b>In the buddy</b> is a page of a free block. The counter <b>nr_free</b> leaves out those of isolated pageblocks, which have a dashed line at their foot (▁).</p>
<p>◆ a real kernel was recorded here. <span class="news">▼</span> a difference begins or ends. Point at a page for its card; click it, or press Enter on it, for its life.</p>`;
