// A number for everything that a state holds, the same that digests.py computes of the simulator's.

import { column } from "../../memsim/view/explorer/static/unpack.js";

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});
const native = typeof process === "undefined" ? null : (await import("node:zlib")).crc32; // since node 20.15, and 30 times as fast
function crc32(bytes, crc = 0) {
  if (native) return native(bytes, crc);
  crc = ~crc;
  for (let i = 0; i < bytes.length; i++) crc = TABLE[(crc ^ bytes[i]) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}
const bytesOf = (array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
const known = new WeakMap(); // a chunk of the same age that was not written to since has the same number

function chunkDigest(chunk) {
  const { flags, type, order, refcount } = chunk;
  return [flags, type, order, refcount].reduce((crc, part) => crc32(bytesOf(part), crc), 0);
}

/** The digest of a state; `touched` has the chunks written to since the last call with the same `memory`. */
export function digest(state, memory, touched) {
  const parts = [];
  for (const nr of [...state.sections.keys()].sort((a, b) => a - b)) {
    const { chunks, pageblocks, online } = state.sections.get(nr);
    const numbers = chunks.map((chunk, k) => {
      const id = nr * 32 + k;
      if (!memory.has(id) || !touched || touched.has(id)) {
        if (chunk.uniform) {
          if (!known.has(chunk)) known.set(chunk, chunkDigest(chunk));
          memory.set(id, known.get(chunk));
        } else memory.set(id, chunkDigest(chunk));
      }
      return memory.get(id);
    });
    parts.push(`${nr} ${numbers} ${crc32(pageblocks)} ${Number(online)}`);
  }
  for (const zone of state.zones.values()) {
    parts.push(
      zone.name,
      Object.entries(zone.counters)
        .map(([name, value]) => `${name}=${value}`)
        .join(),
    );
    for (const lists of [zone.free, zone.pcp])
      for (const key of [...lists.keys()].sort((a, b) => a - b))
        if (lists.get(key).size)
          parts.push(`${key >> 4} ${key & 15} ${crc32(bytesOf(Float64Array.from(lists.get(key).pfns())))}`);
  }
  parts.push(
    `${state.totalram}`,
    [...state.blocks].map(([block, shown]) => `${block}=${shown}`).join(),
    state.log.join("\n"),
  );
  return crc32(new TextEncoder().encode(parts.join("\n")));
}

/** Where each moment is on the two tapes. */
export function momentsOf(data) {
  const [before, after] = [data.moments.before, data.moments.after].map(column);
  return Array.from(before, (at, i) => ({ at: [at, after[i]] }));
}

/** The digests of both kernels at every moment, forwards. */
export function forwards(tapes, moments) {
  return tapes.map((tape, side) => {
    const memory = new Map();
    return moments.map((m, i) => {
      tape.seek(m.at[side]);
      const found = digest(tape.state, memory, i ? tape.state.dirty : null);
      tape.state.dirty = new Set();
      return found;
    });
  });
}
