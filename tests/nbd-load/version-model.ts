// What a disk may have after its server died: each block one of the versions that were written, and none older than the last one
// that is durable, that is, answered to a write with FUA, or before a flush began that was answered.

import { assert, must } from "#core/base";

export const BLOCK_BYTES = 4096;

/** What was written to one block: a stamp, or zeroes. */
type Version = number | "zero";

class Block {
  readonly versions: Version[] = [];
  /** Index of the oldest version that may be there; -1: also what was there before. */
  durable = -1;
}

/** A write that was answered. */
export interface Answered {
  readonly block: number;
  readonly index: number;
}

/** One disk, from what it had at first. */
export class VersionModel {
  readonly #before: Buffer;
  readonly #blocks = new Map<number, Block>();
  #stamp = 0;
  #answered: Answered[] = [];
  durableWrites = 0;

  constructor(before: Buffer) {
    this.#before = before;
  }

  /** A version of blocks from `first` on is about to be written; its contents, or null for zeroes. */
  begin(first: number, count: number, isZero: boolean): { data: Buffer | null; all: Answered[] } {
    const data = isZero ? null : Buffer.alloc(count * BLOCK_BYTES);
    const all: Answered[] = [];
    for (let i = 0; i < count; i++) {
      const block = this.#blocks.get(first + i) ?? new Block();
      this.#blocks.set(first + i, block);
      const stamp = ++this.#stamp;
      block.versions.push(isZero ? "zero" : stamp);
      if (data !== null) stamped(first + i, stamp).copy(data, i * BLOCK_BYTES);
      all.push({ block: first + i, index: block.versions.length - 1 });
    }
    return { data, all };
  }

  /** They were answered; durable at once when the request had FUA. */
  answered(all: readonly Answered[], fua: boolean): void {
    if (fua) this.#durable(all);
    else this.#answered.push(...all);
  }

  /** What a flush that begins now makes durable, once it is answered. */
  flushBegins(): readonly Answered[] {
    const all = this.#answered;
    this.#answered = [];
    return all;
  }

  flushed(all: readonly Answered[]): void {
    this.#durable(all);
  }

  #durable(all: readonly Answered[]): void {
    for (const { block, index } of all) {
      const known = must(this.#blocks.get(block), "what was answered was begun");
      if (index > known.durable) this.durableWrites++;
      known.durable = Math.max(known.durable, index);
    }
  }

  /** Blocks of `found` that have what they must not; empty when nothing is lost. */
  problems(found: Buffer): string[] {
    assert(found.length === this.#before.length, "the disk is as long as it was");
    const problems: string[] = [];
    for (let number = 0; number * BLOCK_BYTES < found.length; number++) {
      const at = number * BLOCK_BYTES;
      const contents = found.subarray(at, at + BLOCK_BYTES);
      const block = this.#blocks.get(number) ?? new Block();
      const candidates = block.versions.slice(Math.max(block.durable, 0));
      const isOne =
        candidates.some((version) => contents.equals(contentsOf(number, version))) ||
        (block.durable < 0 && contents.equals(this.#before.subarray(at, at + BLOCK_BYTES)));
      if (!isOne) problems.push(`block ${number} has none of its ${candidates.length} versions`);
    }
    return problems;
  }
}

function contentsOf(block: number, version: Version): Buffer {
  return version === "zero" ? Buffer.alloc(BLOCK_BYTES) : stamped(block, version);
}

/** No two blocks and no two versions have the same contents. */
function stamped(block: number, stamp: number): Buffer {
  const unit = Buffer.alloc(16);
  unit.writeUInt32BE(0x5148_0001, 0);
  unit.writeUInt32BE(block, 4);
  unit.writeUInt32BE(stamp, 8);
  return Buffer.alloc(BLOCK_BYTES, unit);
}
