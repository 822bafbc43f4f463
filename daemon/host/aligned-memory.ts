// Memory that begins at a page, for disks that fill it themselves. Node's buffers begin 16 bytes behind one, when they are large, and
// anywhere when they are small, and nobody says where. The memory of WebAssembly is mapped by the page, so the parts that this cuts
// it into, each a power of two of pages, begin at pages as well. Parts that come back are handed out again, and never to the system.

/** Of every machine that Node runs on it is a multiple; no disk has larger blocks. */
export const PAGE_BYTES = 4096;

/** WebAssembly counts in pages of its own. */
const WASM_PAGE_BYTES = 65_536;

/** Mapped at a time. Each mapping reserves some gigabytes of addresses, of which there are enough for thousands. */
const CHUNK_BYTES = 16 << 20;

/** The types of Node do not have it. */
interface WasmMemoryClass {
  new (size: { readonly initial: number }): { readonly buffer: ArrayBuffer };
}
const { Memory: WasmMemory } = Reflect.get(globalThis, "WebAssembly") as {
  readonly Memory: WasmMemoryClass;
};

export class AlignedMemory {
  /** Parts that came back, by their length. */
  readonly #free = new Map<number, Uint8Array[]>();
  /** What is left of the last mapping. */
  #rest = new Uint8Array(0);

  /** `bytes` of memory that begin at a page; null when there is no more. */
  take(bytes: number): Uint8Array | null {
    const partBytes = partBytesFor(bytes);
    const part = this.#free.get(partBytes)?.pop() ?? this.#cut(partBytes);
    return part?.subarray(0, bytes) ?? null;
  }

  /** Nobody uses `memory` any more, which `take` has given. */
  give(memory: Uint8Array): void {
    const partBytes = partBytesFor(memory.length);
    // Rare, and as large as everything else together.
    if (partBytes > CHUNK_BYTES) return;
    const parts = this.#free.get(partBytes) ?? [];
    parts.push(new Uint8Array(memory.buffer, memory.byteOffset, partBytes));
    this.#free.set(partBytes, parts);
  }

  #cut(partBytes: number): Uint8Array | null {
    if (partBytes > this.#rest.length) {
      const mapped = map(Math.max(partBytes, CHUNK_BYTES));
      if (mapped === null || partBytes > CHUNK_BYTES) return mapped;
      this.#keepRest();
      this.#rest = mapped;
    }
    const part = this.#rest.subarray(0, partBytes);
    this.#rest = this.#rest.subarray(partBytes);
    return part;
  }

  /** What is too short for one part is long enough for others. */
  #keepRest(): void {
    while (this.#rest.length > 0) {
      const partBytes = Math.min(2 ** Math.floor(Math.log2(this.#rest.length)), this.#rest.length);
      this.give(this.#rest.subarray(0, partBytes));
      this.#rest = this.#rest.subarray(partBytes);
    }
  }
}

function partBytesFor(bytes: number): number {
  return Math.max(PAGE_BYTES, 2 ** Math.ceil(Math.log2(Math.max(1, bytes))));
}

function map(bytes: number): Uint8Array<ArrayBuffer> | null {
  try {
    const memory = new WasmMemory({ initial: Math.ceil(bytes / WASM_PAGE_BYTES) });
    return new Uint8Array(memory.buffer);
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}
