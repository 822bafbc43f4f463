// For tests of drivers: a run with a BlockBackend above the node under test, whose contents are read and written as text.

import {
  type BlkOptions,
  type BlockBackend,
  blkNewWithBs,
  blkPreadv,
  blkPwritev,
} from "../backend/index.ts";
import { must } from "../base/index.ts";
import type { BlockDriverState } from "../graph/index.ts";
import { qiovOf } from "../io/index.ts";
import { guest, joinGuests } from "../io/test-support.ts";
import {
  type Co,
  GuestBuffer,
  type Host,
  hostAllocate,
  machine,
  type Polls,
} from "../sched/index.ts";
import { runMain } from "../sched/test-support.ts";

/** Run `body` in the main context to its end; what it appended to the log. */
export function runDisk(body: (log: string[]) => Polls<void>, host?: Host): string {
  const run = runMain(body, host === undefined ? {} : { host });
  const assertion = run.machine.assertion?.message ?? "";
  if (run.outcome !== "ok") throw new Error(`the run ended with "${run.outcome}" ${assertion}`);
  return run.log;
}

/** A node seen through a BlockBackend; `.` stands for zero. */
export interface TextDisk {
  readonly blk: BlockBackend;
  /** 0 or a negated errno. */
  readonly writeText: (offset: number, text: string) => Polls<number>;
  readonly readText: (offset: number, bytes: number) => Polls<string>;
}

/** `bs` as a TextDisk. Polls. */
export function* textDisk(bs: BlockDriverState, options: BlkOptions = {}): Polls<TextDisk> {
  const blk = yield* blkNewWithBs(bs, { allowWriteBeyondEof: true, ...options });
  return {
    blk,
    *writeText(offset, text): Polls<number> {
      return yield* blkPwritev(blk, offset, text.length, qiovOf(bufferOf(text)));
    },
    *readText(offset, bytes): Polls<string> {
      const buffer = hostAllocate(bytes);
      const ret = yield* blkPreadv(blk, offset, bytes, qiovOf(buffer));
      return ret < 0 ? String(ret) : textOf(buffer);
    },
  };
}

/** Run `co` in the main context; its result. Polls. */
export function* inMain(co: Co<number>): Polls<number> {
  let ret = 0;
  yield* joinGuests(
    guest(machine.mainContext, function* (): Co<void> {
      ret = yield* co;
    }),
  );
  return ret;
}

/** A guest's buffer with `text`. */
export function bufferOf(text: string): GuestBuffer {
  return new GuestBuffer(
    text.length,
    Uint8Array.from(text, (letter) => (letter === "." ? 0 : letter.charCodeAt(0))),
  );
}

/** What is in a guest's buffer. */
export function textOf(buffer: GuestBuffer): string {
  const bytes = [...must(buffer.data, "test buffers have contents")];
  return bytes.map((byte) => (byte === 0 ? "." : String.fromCharCode(byte))).join("");
}
