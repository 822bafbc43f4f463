// A guest: one coroutine that does requests at a BlockBackend and checks what it reads against what it wrote.
//
// Guests of one disk share it block by block: block b belongs to guest b mod `guests`, so that no two of them ever write to the
// same place at the same time, and each can know what its own blocks hold. It writes its own blocks (by pattern, whole or
// in part), reads them back and compares, and reads across the blocks of others without comparing. Blocks behind the end of
// the image are written to make it grow. A request on a block that may fail is allowed to; what the block holds is then unknown
// until the next good write. Any other failure, or a wrong byte, ends the run as a modelled assertion.

import {
  type BlockBackend,
  blkCoFlush,
  blkCoPdiscard,
  blkCoPreadv,
  blkCoPwritev,
  blkCoPwriteZeroes,
} from "#core/backend";
import { assert, type Prng } from "#core/base";
import { site } from "#core/probe";
import { type Co, type GuestBuffer, hostAllocate, hostDecide, modelAssert } from "#core/sched";
import { fillPattern, matchesPattern, type PatternRange, SECTOR_BYTES } from "./pattern.ts";

const CHECK = site("guest_check");

/** Size of a block, and of a guest's buffer. */
export const BLOCK_BYTES = 4096;
const SECTORS_OF_BLOCK = BLOCK_BYTES / SECTOR_BYTES;
/** How far a read across the blocks of others goes. */
const SPAN_BLOCKS = 4;

/** What became of the requests of all guests of a disk. */
export interface GuestCounts {
  requests: number;
  failed: number;
  checked: number;
  grown: number;
}

/** A disk as its guests see it. */
export interface GuestDisk {
  readonly blk: BlockBackend;
  /** How many guests share it. */
  readonly guests: number;
  /** Blocks at first, and when grown fully; multiples of `guests`. */
  readonly blocks: number;
  readonly blocksMax: number;
  /** Whether a request that touches this block may fail. */
  readonly mayFail: (block: number) => boolean;
  readonly counts: GuestCounts;
}

/** The generation of a block whose contents are unknown. */
const UNKNOWN = -1;

/** Guest number `index` of `disk`: does requests while `goesOn`. */
export function* runGuest(
  disk: GuestDisk,
  index: number,
  prng: Prng,
  goesOn: (requests: number) => boolean,
): Co<void> {
  const guest = new Guest(disk, index, prng);
  for (let requests = 0; goesOn(requests); requests++) {
    disk.counts.requests++;
    yield* guest.request();
  }
}

class Guest {
  readonly #disk: GuestDisk;
  readonly #index: number;
  readonly #prng: Prng;
  readonly #buffer: GuestBuffer;
  /** For each of its blocks the generation of each sector; its n-th block is block n * guests + index of the disk. */
  readonly #generations: Int32Array;
  /** How many of its blocks lie inside the image. */
  #blocks: number;
  #generation = 0;

  constructor(disk: GuestDisk, index: number, prng: Prng) {
    assert(disk.blocks % disk.guests === 0, "every guest has as many blocks as the others");
    assert(disk.blocksMax % disk.guests === 0, "every guest can grow as far as the others");
    this.#disk = disk;
    this.#index = index;
    this.#prng = prng;
    this.#buffer = hostAllocate(SPAN_BLOCKS * BLOCK_BYTES);
    this.#generations = new Int32Array((disk.blocksMax / disk.guests) * SECTORS_OF_BLOCK);
    this.#blocks = disk.blocks / disk.guests;
  }

  /** One request, drawn: about half of them reads that are checked. */
  *request(): Co<void> {
    const draw = this.#prng.below(32);
    if (draw < 14) yield* this.#readOwn();
    else if (draw < 16) yield* this.#readAcross();
    else if (draw < 26) yield* this.#write(this.#prng.below(this.#blocks));
    else if (draw < 27) yield* this.#grow();
    else if (draw < 29) yield* this.#flush();
    else if (draw < 31) yield* this.#writeZeroes();
    else yield* this.#discard();
  }

  *#readOwn(): Co<void> {
    const own = this.#prng.below(this.#blocks);
    const ret = yield* blkCoPreadv(this.#disk.blk, this.#positionOf(own), BLOCK_BYTES, {
      buffer: this.#buffer,
      start: 0,
    });
    if (this.#hasFailed(ret, this.#blockOf(own))) return;
    this.#check(own);
  }

  /** Compare what was read with what was written, as far as that is known. */
  #check(own: number): void {
    const first = own * SECTORS_OF_BLOCK;
    const generations = this.#generations.subarray(first, first + SECTORS_OF_BLOCK);
    if (generations.every((generation) => generation === UNKNOWN)) return;
    const isRight = hostDecide(CHECK, () => this.#compare(own));
    this.#disk.counts.checked++;
    modelAssert(isRight === 1, "a guest reads what it wrote", CHECK);
  }

  #compare(own: number): number {
    for (let sector = 0; sector < SECTORS_OF_BLOCK; sector++) {
      const generation = this.#generations[own * SECTORS_OF_BLOCK + sector] ?? UNKNOWN;
      if (generation === UNKNOWN) continue;
      if (matchesPattern(this.#rangeOf(own, sector, 1), generation) === 0) return 0;
    }
    return 1;
  }

  /** Read across blocks of others: what they hold is their business. */
  *#readAcross(): Co<void> {
    const block = this.#prng.below(this.#disk.blocks - SPAN_BLOCKS + 1);
    const ret = yield* blkCoPreadv(this.#disk.blk, block * BLOCK_BYTES, SPAN_BLOCKS * BLOCK_BYTES, {
      buffer: this.#buffer,
      start: 0,
    });
    this.#hasFailed(ret, block, SPAN_BLOCKS);
  }

  /** Write some sectors of a block; half of the time all of them. */
  *#write(own: number): Co<void> {
    const whole = this.#prng.chance(1, 2);
    const first = whole ? 0 : this.#prng.below(SECTORS_OF_BLOCK);
    const sectors = whole ? SECTORS_OF_BLOCK : 1 + this.#prng.below(SECTORS_OF_BLOCK - first);
    const generation = ++this.#generation;
    const range = this.#rangeOf(own, first, sectors);
    fillPattern(range, generation);
    this.#remember(own, first, sectors, UNKNOWN);
    const ret = yield* blkCoPwritev(this.#disk.blk, range.position, range.bytes, {
      buffer: this.#buffer,
      start: range.start,
    });
    if (this.#hasFailed(ret, this.#blockOf(own))) return;
    this.#remember(own, first, sectors, generation);
  }

  /** Write the first of its blocks that lies behind the end; when there is none, an ordinary write. */
  *#grow(): Co<void> {
    const own = this.#blocks;
    if (this.#blockOf(own) >= this.#disk.blocksMax) {
      yield* this.#write(this.#prng.below(this.#blocks));
      return;
    }
    const range = this.#rangeOf(own, 0, SECTORS_OF_BLOCK);
    const generation = ++this.#generation;
    fillPattern(range, generation);
    const ret = yield* blkCoPwritev(this.#disk.blk, range.position, range.bytes, {
      buffer: this.#buffer,
      start: range.start,
    });
    if (this.#hasFailed(ret, this.#blockOf(own))) return;
    this.#remember(own, 0, SECTORS_OF_BLOCK, generation);
    this.#blocks++;
    this.#disk.counts.grown++;
  }

  *#flush(): Co<void> {
    const ret = yield* blkCoFlush(this.#disk.blk);
    modelAssert(ret === 0, "a guest's flush succeeds", CHECK);
  }

  *#writeZeroes(): Co<void> {
    const own = this.#prng.below(this.#blocks);
    this.#remember(own, 0, SECTORS_OF_BLOCK, UNKNOWN);
    const ret = yield* blkCoPwriteZeroes(this.#disk.blk, this.#positionOf(own), BLOCK_BYTES);
    if (this.#hasFailed(ret, this.#blockOf(own))) return;
    this.#remember(own, 0, SECTORS_OF_BLOCK, 0);
  }

  /** What a discarded block holds is nobody's promise. */
  *#discard(): Co<void> {
    const own = this.#prng.below(this.#blocks);
    this.#remember(own, 0, SECTORS_OF_BLOCK, UNKNOWN);
    const ret = yield* blkCoPdiscard(this.#disk.blk, this.#positionOf(own), BLOCK_BYTES);
    this.#hasFailed(ret, this.#blockOf(own));
  }

  #hasFailed(ret: number, block: number, blocks = 1): boolean {
    if (ret >= 0) return false;
    this.#disk.counts.failed++;
    let allowed = false;
    for (let at = block; at < block + blocks; at++) if (this.#disk.mayFail(at)) allowed = true;
    modelAssert(allowed, "a guest's request fails only where it may", CHECK);
    return true;
  }

  #remember(own: number, sector: number, sectors: number, generation: number): void {
    const first = own * SECTORS_OF_BLOCK + sector;
    this.#generations.fill(generation, first, first + sectors);
  }

  #rangeOf(own: number, sector: number, sectors: number): PatternRange {
    const start = sector * SECTOR_BYTES;
    return {
      buffer: this.#buffer,
      start,
      bytes: sectors * SECTOR_BYTES,
      position: this.#positionOf(own) + start,
    };
  }

  #blockOf(own: number): number {
    return own * this.#disk.guests + this.#index;
  }

  #positionOf(own: number): number {
    return this.#blockOf(own) * BLOCK_BYTES;
  }
}
