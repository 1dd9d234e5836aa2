// What stands behind the tabs: counters and free lists, the life of a page, what was written, everything as text.

import {
  count,
  counterName,
  counterRows,
  fmt,
  freeRows,
  hex,
  lifeOf,
  newsOf,
  numbersOf,
  pageNow,
  shown,
  twin,
  written,
} from "./words.js";
import { recordedView } from "./pages.js";
import { sharpen } from "./map.js";

export const escape = (text) =>
  String(text).replace(/[&<>"]/g, (letter) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[letter]);
/** Names of hunks, each with a box that switches it off on the right kernel where the page can have that walk. */
export function hunkBoxes(names, on, { hunks, can }) {
  const off = hunks.filter((hunk) => !on.includes(hunk));
  return names
    .map((hunk) => {
      if (!can || !hunks.includes(hunk)) return `<b>${hunk}</b>`;
      const next = off.includes(hunk) ? off.filter((each) => each !== hunk) : [...off, hunk],
        barred = can(next) ? "" : ' disabled title="This page has no walk without both; the notebook has"';
      return `<label${barred && ' class="barred"'}><input type="checkbox" data-hunk="${hunk}"${on.includes(hunk) ? " checked" : ""}${barred}>${hunk}</label>`;
    })
    .join(" ");
}

const MOST_LINES = 300,
  LINES_AROUND = 120;

/** A table of numbers for both kernels; what changed has an arrow, what differs an unequal sign. */
function table(c, caption, rows, name) {
  const cells = ({ words, now, old }) =>
    now
      .map(
        (n, s) =>
          `<td class="${n !== old[s] ? "moved" : ""}">${words[1] === "start_pfn" ? shown(words, n) : fmt(n)}<i>${n > old[s] ? "▲" : n < old[s] ? "▼" : ""}${now[0] !== now[1] ? "≠" : ""}</i></td>`,
      )
      .join("");
  return `<table><caption>${escape(caption)}</caption><thead><tr><td></td>${c.data.sides.map((side, s) => `<th scope="col" class="side${s}">${escape(side.name)}</th>`).join("")}</tr></thead><tbody>${rows.map((row) => `<tr><th scope="row">${escape(name(row.words))}</th>${cells(row)}</tr>`).join("")}</tbody></table>`;
}

const WITHOUT_PLOTLY =
  "One large chart of them needs plotly, 5 MB that this file does not carry: the web site and JupyterLab have it.";

/** Counters that move as small charts, then every counter and the free lists of the block's zone. */
export function counters(box, c, colours, plot) {
  const previous = numbersOf(c, Math.max(0, c.i - 1)),
    numbers = numbersOf(c, c.i);
  c.go(c.i);
  const free = freeRows(c.data, numbers, previous, c.data.zone);
  if (!box.querySelector(".charts")) {
    box.innerHTML = '<div class="charts"></div><div class="tables"></div>';
    if (plot) box.prepend(plot.box);
    else box.firstElementChild.insertAdjacentHTML("afterend", `<p>${WITHOUT_PLOTLY}</p>`);
  }
  const charts = box.querySelector(".charts"),
    tables = box.lastElementChild;
  if (plot?.colours === colours) plot.follow();
  else plot?.draw(colours);
  if (charts.childElementCount !== c.moving.length) charts.replaceChildren(...c.moving.map((name) => chart(c, name)));
  [...charts.children].forEach((figure, n) => spark(figure, c, c.moving[n], colours));
  tables.innerHTML =
    table(c, "Counters, in pages", counterRows(numbers, previous), ([zone, name]) =>
      zone === "all" ? "MemTotal (totalram)" : `${zone} ${name}`,
    ) +
    (free.length
      ? table(c, `Free lists of zone ${c.data.zone}, in blocks`, free, ([order, type]) => `order ${order}, ${type}`)
      : `<p>Zone ${escape(c.data.zone)} has no free blocks.</p>`) +
    "<p>▲ ▼ more or fewer than at the moment before; ≠ the kernels differ</p>";
}
function chart(c, name) {
  const figure = document.createElement("figure");
  figure.innerHTML = `<figcaption>${escape(counterName(c.data, name))} <b></b></figcaption><canvas role="img"></canvas>`;
  return figure;
}
function spark(figure, c, name, k) {
  const canvas = figure.lastElementChild,
    width = 130,
    height = 26;
  const g = canvas.dataset.made ? canvas.getContext("2d") : sharpen(canvas, width, height);
  canvas.dataset.made = "yes";
  const values = (s) => c.moments.map((m) => m.sides[s].counters[name]),
    both = [values(0), values(1)],
    all = both.flat();
  const low = all.reduce((a, b) => Math.min(a, b)),
    high = all.reduce((a, b) => Math.max(a, b)),
    x = (i) => (i / (c.length - 1 || 1)) * (width - 2) + 1,
    y = (n) => height - 3 - ((n - low) / (high - low || 1)) * (height - 6);
  g.clearRect(0, 0, width, height);
  both.forEach((numbers, s) => {
    g.beginPath();
    g.strokeStyle = s ? k.after : k.before;
    g.lineWidth = s ? 1.2 : 2.6;
    let old;
    numbers.forEach((n, i) => {
      if (!i) g.moveTo(x(0), y(n));
      else if (n !== old || i === c.length - 1) {
        g.lineTo(x(i), y(old));
        g.lineTo(x(i), y(n));
      }
      old = n;
    });
    g.stroke();
  });
  g.fillStyle = k.ink;
  g.fillRect(x(c.i) - 0.5, 0, 1, height);
  const [a, b] = both.map((numbers) => numbers[c.i]);
  figure.querySelector("b").textContent = a === b ? fmt(b) : `${fmt(a)} | ${fmt(b)}`;
  canvas.setAttribute(
    "aria-label",
    `${counterName(c.data, name)}: ${a === b ? fmt(b) : `${fmt(a)} ${c.data.sides[0].name}, ${fmt(b)} ${c.data.sides[1].name}`}; between ${fmt(low)} and ${fmt(high)} in the whole walk`,
  );
}

/** The life of a page on both kernels, with where one is now. */
export function life(box, c, pfn, onLink) {
  const parts = [
    `<h4>Page ${hex(pfn)} <small>${(((pfn % c.data.blockPages) * 4) / 1024).toFixed(2)} MiB into block ${Math.floor(pfn / c.data.blockPages)}</small></h4>`,
  ];
  c.data.sides.forEach((side, s) => {
    const now = pageNow(c, s, pfn),
      all = lifeOf(c, s, pfn),
      here = all.filter(([moment]) => moment <= c.i).length,
      from = Math.max(0, here - LINES_AROUND),
      part = all.slice(from, here + LINES_AROUND);
    const rows = part.map(
      ([moment, fn, text]) =>
        `<li class="${moment === c.i ? "now" : moment > c.i ? "later" : ""}"><button type="button" data-moment="${moment}">${moment}</button> <b>${escape(fn || "no function")}</b> ${escape(text)}</li>`,
    );
    rows.splice(here - from, 0, '<li class="here">you are here</li>');
    parts.push(
      `<section><h5 class="side${s}">${escape(side.title)}: ${escape(now.text)}</h5><p>${all.length ? `${fmt(all.length)} writes in all${all.length > part.length ? `, ${part.length} of them shown` : ""}` : "nothing ever writes to it"}</p><ol>${rows.join("")}</ol></section>`,
    );
  });
  box.innerHTML = parts.join("");
  box.querySelectorAll("[data-moment]").forEach((button) => {
    button.onclick = () => onLink(Number(button.dataset.moment));
  });
}

/** What was written since the moment before, and the end of the log. */
export function writes(box, c) {
  box.innerHTML = c.data.sides
    .map((side, s) => {
      const all = written(c, c.i, s),
        log = c.states[s].log.slice(-20);
      const lines = all
        .slice(0, MOST_LINES)
        .map(([fn, text]) => `<li><b>${escape(fn || "no function")}</b> ${escape(text)}</li>`);
      return `<section><h5 class="side${s}">${escape(side.title)}</h5><p>${all.length ? `${fmt(all.length)} ${all.length === 1 ? "write" : "writes"} since the moment before` : "nothing written since the moment before"}</p><ol>${lines.join("")}</ol>${log.length ? `<p>Kernel log, its end</p><pre>${escape(log.join("\n"))}</pre>` : ""}</section>`;
    })
    .join("");
}

/** Every place where a difference between the kernels begins or ends, and the hunk that made it, once that is known. */
export function differences(box, c, switches, onLink) {
  const differing = c.moments.filter((m) => m.kinds.size).length,
    most = c.moments.reduce((all, m) => Math.max(all, m.differ), 0);
  const rows = c.news.map((i) => {
    const [begun, ended] = newsOf(c, i).map((all) => escape(all.join("; "))),
      made = c.found?.get(i) ?? [],
      hunks = [...new Set(made.flatMap((cause) => cause.hunks))],
      fn = made.find((cause) => cause.fn)?.fn ?? c.moments[i].name;
    return `<li class="${i === c.i ? "now" : ""}"><button type="button" data-moment="${i}" ${i === c.i ? 'aria-current="step"' : ""}>moment ${i}</button> <b>${escape(fn)}${fn ? "()" : "the step has ended"}</b>${begun ? `<p>▼ begins: ${begun}</p>` : ""}${ended ? `<p>▽ ends: ${ended}</p>` : ""}${hunks.length ? `<p>by ${hunks.length > 1 ? "hunks" : "hunk"} <b>${hunks.join(", ")}</b></p>` : ""}</li>`;
  });
  const boxes = hunkBoxes(switches.hunks, c.data.sides[1].hunks, switches),
    hunks = switches.can && boxes ? `<p class="hunks"><b>Switch a hunk off:</b> ${boxes}</p>` : "";
  const html = rows.length
    ? `<p>The kernels differ at ${fmt(differing)} of ${fmt(c.length)} moments${most ? `, in up to ${count(most, "page")}` : ""}. Where that begins and ends:</p><ol class="news">${rows.join("")}</ol>`
    : "<p>The two kernels do not differ at any moment of this walk.</p>";
  if (box.dataset.html === html) return;
  box.dataset.html = html;
  if (!box.childElementCount) box.innerHTML = `${hunks}<div></div>`;
  box.lastElementChild.innerHTML = html;
  box.querySelectorAll("[data-moment]").forEach((button) => {
    button.onclick = () => onLink(Number(button.dataset.moment));
  });
  const here = box.querySelector(".now"),
    top = here && here.offsetTop - box.offsetTop;
  if (here && (top < box.scrollTop || top + here.offsetHeight > box.scrollTop + box.clientHeight))
    box.scrollTop = top - 80; // only if it is out of sight: what stands above it is where a hunk is switched off
}

const COLUMNS = [
  ["name", "function"],
  ["calls", "calls"],
  ["moments", "moments"],
  ["pages", "pages"],
];
/** Every function of the walk with its totals. A name leads to its next call; a heading sorts. */
export function calls(box, c, onLink) {
  const { stack } = c.moment;
  if (!box.childElementCount) {
    const both = ([a, b]) =>
      a === b ? fmt(a) : `<span class="before">${fmt(a)}</span> | <span class="after">${fmt(b)}</span>`;
    const row = ({ name, calls: times, moments, pages }) =>
      `<tr data-fn="${escape(name)}"><th scope="row"><button type="button">${escape(name).replaceAll("_", "_<wbr>")}()</button></th><td>${both(times)}</td><td>${fmt(moments)}</td><td>${both(pages)}</td></tr>`;
    box.innerHTML = `<table class="calls"><thead><tr>${COLUMNS.map(([key, label]) => `<th scope="col"><button type="button" data-by="${key}">${label}</button></th>`).join("")}</tr></thead><tbody>${c.totals.map(row).join("")}</tbody></table><p>moments: how many pass until it returns; pages: those whose struct page it writes itself, each once${c.totals.some(({ pages: [a, b] }) => a !== b) ? `; ${c.data.sides.map(({ name }) => escape(name)).join(" | ")}` : ""}</p>`;
    const body = box.querySelector("tbody"),
      rows = new Map([...body.children].map((each) => [each.dataset.fn, each]));
    box.querySelectorAll("[data-by]").forEach((button) => {
      button.onclick = () => {
        const key = button.dataset.by,
          most = ({ [key]: n }) => (Array.isArray(n) ? Math.max(...n) : n),
          sorted = key === "name" ? c.totals : [...c.totals].sort((a, b) => most(b) - most(a));
        body.append(...sorted.map(({ name }) => rows.get(name)));
        box.querySelectorAll("thead th").forEach((head) => head.removeAttribute("aria-sort"));
        if (key !== "name") button.parentElement.setAttribute("aria-sort", "descending");
      };
    });
    body.onclick = ({ target }) => {
      if (target.matches("button")) onLink(target.closest("tr").dataset.fn);
    };
  }
  box.querySelectorAll("tbody tr").forEach((row) => row.classList.toggle("now", stack.includes(row.dataset.fn)));
}

export function text(box, c) {
  box.innerHTML = `<pre>${escape(twin(c, recordedView))}</pre>`;
}
