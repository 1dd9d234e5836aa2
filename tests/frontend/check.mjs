// node check.mjs FOLDER: holds the browser's replay against what the simulator says, and prints what differs as JSON.
//   FOLDER/data.json      what export() gave
//   FOLDER/expected.json  digests of both kernels at every moment; text twins by moment, and pairs of moments, if any

import { readFileSync } from "node:fs";
import { Comparison } from "../../memsim/view/explorer/static/comparison.js";
import { PRIMITIVES } from "../../memsim/view/explorer/static/memory.js";
import { geographyOf, recordedView } from "../../memsim/view/explorer/static/pages.js";
import { Tape } from "../../memsim/view/explorer/static/tape.js";
import { happened, plain, twin } from "../../memsim/view/explorer/static/words.js";
import { digest, forwards, momentsOf } from "./digest.js";

const [folder] = process.argv.slice(2),
  read = (name) => JSON.parse(readFileSync(`${folder}/${name}.json`));
const data = read("data"),
  expected = read("expected"),
  moments = momentsOf(data),
  fresh = () => data.tapes.map((tape) => new Tape(tape, data));

const wrong = (tapes) =>
  forwards(tapes, moments).flatMap((found, side) =>
    found.flatMap((number, i) => (number === expected.digests[side][i] ? [] : [[side, i]])),
  );
const tapes = fresh(),
  found = { primitives: Object.keys(PRIMITIVES).sort(), wrong: wrong(tapes), jumps: [], twins: [], mutants: {} };

for (let k = 0, i = 1; k < (expected.jumps ?? 40); k++) {
  i = (i * 7919 + 13) % moments.length;
  tapes.forEach((tape, side) => {
    if (digest(tape.seek(moments[i].at[side]), new Map()) !== expected.digests[side][i]) found.jumps.push([side, i]);
  });
}

for (const [name, mutant] of Object.entries({
  set_refcount: (right, s, args, target) => right(s, [args[0], args[1], args[2] + 1], target),
  clear_flags: (right, s, args, target) => right(s, [args[0], args[1] - 1, args[2]], target),
  add: (right, s, args, target) => right(s, [args[0], -args[1]], target),
  add_to_free_list_tail: (right, s, args, target) => PRIMITIVES.add_to_free_list(s, args, target),
  set_migratetype: () => {},
})) {
  if (!expected.mutate) break;
  const right = PRIMITIVES[name];
  PRIMITIVES[name] = (s, args, target) => mutant(right, s, args, target);
  try {
    found.mutants[name] = wrong(fresh()).length;
  } catch (error) {
    found.mutants[name] = String(error);
  }
  PRIMITIVES[name] = right;
}

if (expected.twins) {
  const c = new Comparison(data);
  for (const [i, text] of Object.entries(expected.twins)) {
    c.go(Number(i));
    const said = twin(c, recordedView);
    if (said !== text) found.twins.push([Number(i), said]);
  }
  found.says = (expected.says ?? []).map((i) => plain(happened(c, i)));
  found.news = c.news.map((i) => ({
    moment: i,
    point: c.moments[i].point,
    shows: c.actor(i).name,
    causes: c.causes(i),
  }));
  const told = ({ moved, retyped, counters }) => [[...moved].sort(([a], [b]) => a - b), [...retyped], counters];
  found.since = (expected.since ?? []).map(([from, to]) => c.since(from, to).sides.map(told));
  found.apart = c.moments
    .slice(1)
    .filter((m) => JSON.stringify(c.since(m.i - 1, m.i).sides.map(told)) !== JSON.stringify(m.sides.map(told)))
    .map((m) => m.i);
  found.visible = c.moments.filter((m) => m.visible).length;
  const sum = (of) => data.blocks.reduce((all, _, k) => all + of(k), 0);
  found.misplaced = c.moments
    .filter((m) => m.kind === "done")
    .flatMap((m) => {
      c.go(m.i);
      return c.states.flatMap((state, s) =>
        geographyOf(state, data)
          .filter((zone) => sum(zone.placedIn) !== zone.present || sum(zone.managedIn) !== zone.managed)
          .map((zone) => [m.i, s, zone.name]),
      );
    });
  found.differ = c.moments.map((m) => m.differ);
}
console.log(JSON.stringify(found));
