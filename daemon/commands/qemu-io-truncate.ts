// qemu-io's truncate (qemu-io-cmds.c:1727): another length, with or without room on the disk for what is new.

import { blkTruncate } from "#core/backend";
import { strerror } from "#core/base";
import { PREALLOC_MODES } from "#core/graph";
import type { Polls } from "#core/sched";
import type { QemuIoSession } from "./qemu-io-session.ts";
import { numberOf, optionsOf } from "./qemu-io-words.ts";

/** truncate_f: false when the words make no sense. Polls. */
export function* truncateF(session: QemuIoSession, words: readonly string[]): Polls<boolean> {
  const options = optionsOf(session, words, "m:");
  if (options === null) return false;
  const asked = options.flags.get("m") ?? "off";
  const prealloc = PREALLOC_MODES.find((mode) => mode === asked);
  if (prealloc === undefined) {
    session.report(`Invalid preallocation mode '${asked}'`);
    return true;
  }
  // More words are not looked at.
  const offset = numberOf(session, options.rest[0] ?? "");
  if (offset === null) return true;
  let why = "";
  const errorSetg = (message: string): void => {
    why = message;
  };
  const ret = yield* blkTruncate(session.blk, offset, { exact: false, prealloc, errorSetg });
  if (ret < 0) session.report(why === "" ? strerror(-ret) : why);
  return true;
}
