// Changes to an input: small ones, those that lengths and magic numbers call for, and pieces of other inputs.

import { must, type Prng } from "#core/base";

const NUMBERS = [0, 1, 3, 7, 8, 16, 255, 256, 511, 512, 4095, 4096, 65_535, 65_536, 0x7fff_ffff];
const MORE_NUMBERS = [
  0x8000_0000,
  0xffff_ffff,
  0xffff_fffe,
  32 * 1024 * 1024,
  32 * 1024 * 1024 + 1,
];
/** Inputs do not grow beyond this, unless they were longer from the start. */
const BYTES_MAX = 16 * 1024;

/** `input` with a few changes; `others` are inputs to take pieces of. */
export function mutate(input: Uint8Array, others: readonly Uint8Array[], prng: Prng): Uint8Array {
  let bytes = Uint8Array.from(input);
  const most = Math.max(BYTES_MAX, input.length);
  for (let changes = 1 + prng.below(4); changes > 0; changes--)
    bytes = changed(bytes, others, prng).slice(0, most);
  return bytes;
}

function changed(
  bytes: Uint8Array<ArrayBuffer>,
  others: readonly Uint8Array[],
  prng: Prng,
): Uint8Array<ArrayBuffer> {
  const at = prng.below(bytes.length + 1);
  const length = prng.below(Math.min(64, bytes.length - at) + 1);
  switch (prng.below(8)) {
    case 0:
      return put(bytes, at, Uint8Array.of((bytes[at] ?? 0) ^ (1 << prng.below(8))));
    case 1:
      return put(bytes, at, Uint8Array.of(prng.below(256)));
    case 2:
      return put(bytes, at, number(prng));
    case 3:
      return joined(bytes.subarray(0, at), bytes.subarray(at + length));
    case 4:
      return joined(bytes.subarray(0, at + length), bytes.subarray(at));
    case 5:
      return bytes.slice(0, at);
    case 6:
      return joined(bytes.subarray(0, at), number(prng), bytes.subarray(at));
    default: {
      const other = must(others[prng.below(others.length)], "there are inputs");
      const from = prng.below(other.length + 1);
      const piece = other.subarray(from, from + prng.below(other.length - from + 1));
      return joined(bytes.subarray(0, at), piece, bytes.subarray(at + prng.below(2) * length));
    }
  }
}

/** A number that limits are near to, in 2, 4 or 8 bytes. */
function number(prng: Prng): Uint8Array {
  const numbers = [...NUMBERS, ...MORE_NUMBERS];
  const value = must(numbers[prng.below(numbers.length)], "one of them");
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value));
  return bytes.subarray(8 - must([2, 4, 8][prng.below(3)], "a width"));
}

function put(
  bytes: Uint8Array<ArrayBuffer>,
  at: number,
  what: Uint8Array,
): Uint8Array<ArrayBuffer> {
  bytes.set(what.subarray(0, bytes.length - at), at);
  return bytes;
}

function joined(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
