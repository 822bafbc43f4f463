// The memory of vector clocks, and their union: with more than some sixty threads it is all that an analysis does, and a loop in
// JavaScript takes one entry at a time. So the memory is WebAssembly's, and one small function works on it, four entries at a time.

import { assert } from "#core/base";

/** What is used of WebAssembly; its types come with those of a browser, which this project does not have. */
interface WasmMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}
declare const WebAssembly: {
  Memory: new (options: { initial: number }) => WasmMemory;
  Module: new (bytes: Uint8Array) => object;
  Instance: new (
    module: object,
    imports: object,
  ) => { readonly exports: Readonly<Record<string, unknown>> };
};

const PAGE_BYTES = 1 << 16;
const PAGE_ENTRIES = PAGE_BYTES / 4;
/** Up to so many entries the loop in JavaScript is quicker than the call: measured with 16, 32 and 64 threads. */
const SHORT_MAX = 24;

export class ClockMemory {
  /** Replaced when it grows. */
  words: Int32Array<ArrayBuffer>;
  readonly #memory: WasmMemory;
  readonly #unite: (to: number, a: number, b: number, end: number) => void;

  constructor(entries: number) {
    this.#memory = new WebAssembly.Memory({ initial: Math.ceil(entries / PAGE_ENTRIES) });
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(MODULE), {
      m: { m: this.#memory },
    });
    this.#unite = exports.u as (to: number, a: number, b: number, end: number) => void;
    this.words = new Int32Array(this.#memory.buffer);
  }

  /** Makes room for `entries`; new ones are zero. Replaces the array. */
  grow(entries: number): void {
    assert(entries >= this.words.length, "memory only grows");
    this.#memory.grow(Math.ceil((entries - this.words.length) / PAGE_ENTRIES));
    this.words = new Int32Array(this.#memory.buffer);
  }

  /** words[to..] = max(words[a..], words[b..]), `count` entries, rounded up to four. */
  unite(to: number, a: number, b: number, count: number): void {
    // hot loop
    if (count > SHORT_MAX) {
      this.#unite(4 * to, 4 * a, 4 * b, 4 * to + ((4 * count + 15) & ~15));
      return;
    }
    const { words } = this;
    for (let i = 0; i < count; i++) {
      words[to + i] = Math.max(words[a + i]!, words[b + i]!);
    }
  }
}

const I32 = 0x7f;
const [LOCAL_GET, LOCAL_SET, LOCAL_TEE, I32_CONST, I32_ADD, I32_LT_U] = [
  0x20, 0x21, 0x22, 0x41, 0x6a, 0x49,
];
const [LOOP, BR_IF, END, NO_RESULT] = [0x03, 0x0d, 0x0b, 0x40];
/** With their alignment, 2^4 bytes, and an offset of 0. */
const V128_LOAD = [0xfd, 0x00, 4, 0];
const V128_STORE = [0xfd, 0x0b, 4, 0];
const I32X4_MAX_S = [0xfd, 0xb8, 0x01];
const M = 0x6d;
const U = 0x75;

/**
 * (func (export "u") (param $to i32) (param $a i32) (param $b i32) (param $end i32)
 *   (loop (v128.store $to (i32x4.max_s (v128.load $a) (v128.load $b)))
 *         $a += 16; $b += 16; $to += 16; (br_if 0 (i32.lt_u $to $end))))
 */
const MODULE = Uint8Array.from([
  ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  ...section(1, [1, 0x60, 4, I32, I32, I32, I32, 0]),
  // The memory "m"."m", of at least one page.
  ...section(2, [1, 1, M, 1, M, 2, 0, 1]),
  ...section(3, [1, 0]),
  ...section(7, [1, 1, U, 0, 0]),
  ...section(10, [1, ...sized([0, ...body()])]),
]);

function body(): number[] {
  const add16 = (local: number) => [LOCAL_GET, local, I32_CONST, 16, I32_ADD];
  return [
    ...[LOOP, NO_RESULT],
    ...[
      LOCAL_GET,
      0,
      LOCAL_GET,
      1,
      ...V128_LOAD,
      LOCAL_GET,
      2,
      ...V128_LOAD,
      ...I32X4_MAX_S,
      ...V128_STORE,
    ],
    ...[...add16(1), LOCAL_SET, 1, ...add16(2), LOCAL_SET, 2, ...add16(0), LOCAL_TEE, 0],
    ...[LOCAL_GET, 3, I32_LT_U, BR_IF, 0, END, END],
  ];
}

function section(id: number, content: readonly number[]): number[] {
  return [id, ...sized(content)];
}

/** `content` behind its length, which is below 128 in this module. */
function sized(content: readonly number[]): number[] {
  return [content.length, ...content];
}
