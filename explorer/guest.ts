// A guest: one coroutine that does requests at a BlockBackend and checks what it reads against what it wrote.
//
// Guests of one disk share it block by block: at first block b belongs to guest b mod `guests`, and whoever makes the image grow
// owns the block that it wrote behind the end. So no two of them ever write to the same place at the same time, and each can
// know what its own blocks hold. It writes its own blocks (by pattern, whole or in part), reads them back and compares, and
// reads across the blocks of others without comparing. A request on a block that may fail is allowed to; what the block holds is then unknown
// until the next good write. Any other failure, or a wrong byte, ends the run as a modelled assertion.

import {
  type BlockBackend,
  blkCoFlush,
  blkCoPdiscard,
  blkCoPreadv,
  blkCoPwritev,
  blkCoPwriteZeroes,
} from "#core/backend";
import { assert, must, type Prng } from "#core/base";
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
  /** Blocks at first, a multiple of `guests`. */
  readonly blocks: number;
  /** The block that the next growing write takes, and how far that may go. */
  nextBlock: number;
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
  readonly #prng: Prng;
  readonly #buffer: GuestBuffer;
  /** Its blocks, and for each of them the generation of each sector. */
  readonly #blocks: number[] = [];
  readonly #generations: number[] = [];
  #generation = 0;

  constructor(disk: GuestDisk, index: number, prng: Prng) {
    assert(disk.blocks % disk.guests === 0, "every guest has as many blocks as the others");
    this.#disk = disk;
    this.#prng = prng;
    this.#buffer = hostAllocate(SPAN_BLOCKS * BLOCK_BYTES);
    for (let block = index; block < disk.blocks; block += disk.guests) this.#own(block, 0);
  }

  /** Block `block`, all of which is of `generation`, is this guest's. */
  #own(block: number, generation: number): void {
    this.#blocks.push(block);
    for (let sector = 0; sector < SECTORS_OF_BLOCK; sector++) this.#generations.push(generation);
  }

  /** One request, drawn: about half of them reads that are checked. */
  *request(): Co<void> {
    const draw = this.#prng.below(32);
    if (draw < 14) yield* this.#readOwn();
    else if (draw < 16) yield* this.#readAcross();
    else if (draw < 26) yield* this.#write(this.#draw());
    else if (draw < 27) yield* this.#grow();
    else if (draw < 29) yield* this.#flush();
    else if (draw < 31) yield* this.#writeZeroes();
    else yield* this.#discard();
  }

  *#readOwn(): Co<void> {
    const own = this.#draw();
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
    const generations = this.#generations.slice(first, first + SECTORS_OF_BLOCK);
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

  /** Write the block behind the end; when the image is as long as it may be, an ordinary write. */
  *#grow(): Co<void> {
    const disk = this.#disk;
    if (disk.nextBlock >= disk.blocksMax) {
      yield* this.#write(this.#draw());
      return;
    }
    const block = disk.nextBlock++;
    const position = block * BLOCK_BYTES;
    const generation = ++this.#generation;
    fillPattern({ buffer: this.#buffer, start: 0, bytes: BLOCK_BYTES, position }, generation);
    const ret = yield* blkCoPwritev(disk.blk, position, BLOCK_BYTES, {
      buffer: this.#buffer,
      start: 0,
    });
    if (this.#hasFailed(ret, block)) return;
    this.#own(block, generation);
    disk.counts.grown++;
  }

  *#flush(): Co<void> {
    const ret = yield* blkCoFlush(this.#disk.blk);
    modelAssert(ret === 0, "a guest's flush succeeds", CHECK);
  }

  *#writeZeroes(): Co<void> {
    const own = this.#draw();
    this.#remember(own, 0, SECTORS_OF_BLOCK, UNKNOWN);
    const ret = yield* blkCoPwriteZeroes(this.#disk.blk, this.#positionOf(own), BLOCK_BYTES);
    if (this.#hasFailed(ret, this.#blockOf(own))) return;
    this.#remember(own, 0, SECTORS_OF_BLOCK, 0);
  }

  /** What a discarded block holds is nobody's promise. */
  *#discard(): Co<void> {
    const own = this.#draw();
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

  /** One of its blocks, by its index among them. */
  #draw(): number {
    return this.#prng.below(this.#blocks.length);
  }

  #blockOf(own: number): number {
    return must(this.#blocks[own], "a guest's block is one of its own");
  }

  #positionOf(own: number): number {
    return this.#blockOf(own) * BLOCK_BYTES;
  }
}
