// Typed arrays that need more room: a longer one with the same beginning, and zeros behind.

export function grownInts(ints: Int32Array, length: number): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(length);
  larger.set(ints.subarray(0, length));
  return larger;
}

export function grownBytes(bytes: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(length);
  larger.set(bytes.subarray(0, length));
  return larger;
}
