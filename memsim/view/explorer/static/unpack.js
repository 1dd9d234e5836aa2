// From the bytes that Python sends to columns of numbers.

export const FORMAT = "memsim-explorer/1";

/** Whether this browser has all that the explorer needs. */
export const able = () =>
  typeof DecompressionStream === "function" && typeof CSS === "object" && CSS.supports("selector(&)");

/** The data in zlib-compressed bytes. */
export async function unpack(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return checked(JSON.parse(await new Response(stream).text()));
}

export function checked(data) {
  if (data.format !== FORMAT)
    throw new Error(`this page reads ${FORMAT}, and was given ${data.format}: run the cell again`);
  return data;
}

/** A column as numbers: each is stored as its difference from the one before. */
export function column(differences) {
  const numbers = new Float64Array(differences.length);
  let value = 0;
  for (let i = 0; i < numbers.length; i++) numbers[i] = value += differences[i];
  return numbers;
}
