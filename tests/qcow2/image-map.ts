// Where the bytes of an image are, as our block layer says it and as `qemu-img map` does.

import { execFileSync } from "node:child_process";
import {
  BDRV_BLOCK_ALLOCATED,
  BDRV_BLOCK_DATA,
  BDRV_BLOCK_OFFSET_VALID,
  BDRV_BLOCK_ZERO,
  type BlockDriverState,
  bdrvFilterOrCowBs,
} from "#core/graph";
import { bdrvBlockStatus, bdrvGetlength } from "#core/io";
import type { Polls } from "#core/sched";

/** An entry of `qemu-img map --output=json`. */
interface MapEntry {
  readonly start: number;
  length: number;
  readonly depth: number;
  readonly present: boolean;
  readonly zero: boolean;
  readonly data: boolean;
  readonly offset?: number;
}

/** Lines for people, an extent each. */
export function qemuMap(path: string): string[] {
  const args = ["map", "--output=json", "-f", "qcow2", path];
  return merged(JSON.parse(execFileSync("qemu-img", args, { encoding: "utf8" })) as MapEntry[]);
}

/** The same of our node, by what get_block_status of qemu-img does. Polls. */
export function* ourMap(bs: BlockDriverState): Polls<string[]> {
  const entries: MapEntry[] = [];
  const end = bdrvGetlength(bs);
  for (let start = 0; start < end; ) {
    const entry = yield* entryAt(bs, start, end - start);
    entries.push(entry);
    start += entry.length;
  }
  return merged(entries);
}

function* entryAt(bs: BlockDriverState, start: number, bytes: number): Polls<MapEntry> {
  let length = bytes;
  for (let depth = 0, at: BlockDriverState = bs; ; depth++) {
    const { ret, pnum, map } = yield* bdrvBlockStatus(at, start, length);
    if (ret < 0 || pnum === 0) throw new Error(`block status at ${start} is ${ret}, ${pnum}`);
    length = pnum;
    const has = (flag: number) => (ret & flag) !== 0;
    const below = bdrvFilterOrCowBs(at);
    if (has(BDRV_BLOCK_ZERO | BDRV_BLOCK_DATA) || below === null)
      return {
        start,
        length,
        depth,
        present: has(BDRV_BLOCK_ALLOCATED),
        zero: has(BDRV_BLOCK_ZERO),
        data: has(BDRV_BLOCK_DATA),
        ...(has(BDRV_BLOCK_OFFSET_VALID) ? { offset: map } : {}),
      };
    at = below;
  }
}

/** Neighbours that say the same are one. */
function merged(entries: readonly MapEntry[]): string[] {
  const list: MapEntry[] = [];
  for (const entry of entries) {
    const last = list.at(-1);
    if (last !== undefined && isMore(last, entry)) last.length += entry.length;
    else list.push({ ...entry });
  }
  return list.map(({ start, length, depth, present, zero, data, offset }) => {
    const flags = [present && "present", zero && "zero", data && "data"].filter(Boolean).join("+");
    return `${start}+${length} depth ${depth} ${flags}${offset === undefined ? "" : ` at ${offset}`}`;
  });
}

function isMore(last: MapEntry, next: MapEntry): boolean {
  if (last.depth !== next.depth || last.present !== next.present) return false;
  if (last.zero !== next.zero || last.data !== next.data) return false;
  if (last.offset === undefined || next.offset === undefined) return last.offset === next.offset;
  return last.offset + last.length === next.offset;
}
