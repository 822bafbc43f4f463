// Memory of requests that are answered, for those that come: new memory is cleared by Node and mapped by the system, page for page,
// which costs more than reading it full. An export has it for all its clients, since many of them come for a moment.

import { assert } from "#core/base";
import { type GuestBuffer, hostAllocate } from "#core/sched";
import { NBD_SPARE_BYTES_MAX, NBD_SPARE_TOTAL_MAX } from "./limits.ts";

/** A power of two is what clients ask for; in front of it is a header. */
const HEADER_ROOM = 64;

export class SpareBuffers {
  /** By the power of two that they have room for; the latest last. */
  readonly #spare: GuestBuffer[][] = [];
  #bytes = 0;

  /** Memory of at least `bytes` bytes; long memory is exactly as long. */
  take(bytes: number): GuestBuffer {
    if (bytes > NBD_SPARE_BYTES_MAX) return hostAllocate(bytes);
    const power = powerFor(bytes);
    const spare = this.#spare[power]?.pop();
    if (spare === undefined) return hostAllocate((1 << power) + HEADER_ROOM);
    this.#bytes -= spare.length;
    return spare;
  }

  /** Nobody uses `buffer` any more, which `take` has given. */
  give(buffer: GuestBuffer): void {
    if (buffer.length > NBD_SPARE_BYTES_MAX) return;
    if (this.#bytes + buffer.length > NBD_SPARE_TOTAL_MAX) return;
    const power = powerFor(buffer.length);
    assert(buffer.length === (1 << power) + HEADER_ROOM, "what is given was taken");
    this.#spare[power] ??= [];
    this.#spare[power].push(buffer);
    this.#bytes += buffer.length;
  }
}

function powerFor(bytes: number): number {
  return 32 - Math.clz32(Math.max(bytes - HEADER_ROOM, 1) - 1);
}
