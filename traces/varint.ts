// Columns of bytes and varints: growing on the way out, a cursor on the way in. Hot loops of the codec; `!` is allowed.

const TWO_32 = 2 ** 32;
const TWO_27 = 2 ** 27;

/** A column that is being written; reused from chunk to chunk. */
export class ColumnWriter {
  #bytes = new Uint8Array(1 << 12);
  #length = 0;

  clear(): void {
    this.#length = 0;
  }

  byte(value: number): void {
    if (this.#length === this.#bytes.length) this.#grow();
    this.#bytes[this.#length++] = value;
  }

  /** A number below 2^32, 7 bits a byte, the lowest first; all bytes but the last have bit 7 set. */
  uint(value: number): void {
    if (this.#length + 5 > this.#bytes.length) this.#grow();
    let rest = value >>> 0;
    while (rest > 0x7f) {
      this.#bytes[this.#length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#bytes[this.#length++] = rest;
  }

  /** A 32-bit integer as `uint`, small magnitudes first: 0, -1, 1, -2, ... */
  sint(value: number): void {
    this.uint((value << 1) ^ (value >> 31));
  }

  /** `value - predicted` as `sint`, for safe integers: the difference needs up to 55 bits, so two halves. */
  wide(value: number, predicted: number): void {
    if (this.#length + 10 > this.#bytes.length) this.#grow();
    const valueLow = value >>> 0;
    const predictedLow = predicted >>> 0;
    const borrow = valueLow < predictedLow ? 1 : 0;
    const differenceLow = valueLow - predictedLow;
    const differenceHigh = Math.floor(value / TWO_32) - Math.floor(predicted / TWO_32) - borrow;
    const sign = differenceHigh >> 31;
    let low = ((differenceLow << 1) ^ sign) >>> 0;
    let high = (((differenceHigh << 1) | ((differenceLow >>> 31) & 1)) ^ sign) >>> 0;
    while (high !== 0 || low > 0x7f) {
      this.#bytes[this.#length++] = (low & 0x7f) | 0x80;
      low = ((low >>> 7) | (high << 25)) >>> 0;
      high >>>= 7;
    }
    this.#bytes[this.#length++] = low;
  }

  /** What was written; valid until the next `clear`. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #grow(): void {
    const grown = new Uint8Array(this.#bytes.length * 2);
    grown.set(this.#bytes);
    this.#bytes = grown;
  }
}

/** A column that is being read. Past its end it reads zeros; `atEnd` tells afterwards. */
export class ColumnReader {
  readonly #bytes: Uint8Array;
  #position = 0;
  /** Whether the wide number that is being read goes on. */
  #more = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** True when exactly all bytes were read. */
  get atEnd(): boolean {
    return this.#position === this.#bytes.length;
  }

  byte(): number {
    // hot loop
    return this.#bytes[this.#position++]! | 0;
  }

  uint(): number {
    // hot loop
    let byte = this.#bytes[this.#position++]! | 0;
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    for (let shift = 7; shift < 35; shift += 7) {
      byte = this.#bytes[this.#position++]! | 0;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    return value >>> 0;
  }

  sint(): number {
    const value = this.uint();
    return (value >>> 1) ^ -(value & 1);
  }

  /** The inverse of ColumnWriter.wide: at most eight bytes, in two halves. */
  wide(predicted: number): number {
    // Both halves in any case: code that first runs with the first large number would have all be compiled anew.
    this.#more = true;
    const low = this.#half();
    const high = this.#half();
    const sign = -(low & 1);
    const predictedHigh = Math.floor(predicted / TWO_27);
    const differenceLow = ((low >>> 1) ^ sign) & (TWO_27 - 1);
    const sumLow = predicted - predictedHigh * TWO_27 + differenceLow;
    return (predictedHigh + (high ^ sign)) * TWO_27 + sumLow;
  }

  /** Up to 28 bits of a wide number; none when it has no more. */
  #half(): number {
    // hot loop
    let half = 0;
    for (let shift = 0; shift < 28 && this.#more; shift += 7) {
      const byte = this.#bytes[this.#position++]! | 0;
      half |= (byte & 0x7f) << shift;
      this.#more = byte >= 0x80;
    }
    return half;
  }
}
