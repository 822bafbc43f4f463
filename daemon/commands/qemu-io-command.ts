// qemu-io NODE "command" (C: hmp_qemu_io and qemuio_command): requests by hand, and the breakpoints of blkdebug.

import { blkBs, blkGetPerm, blkSetPerm } from "#core/backend";
import { ENOMEDIUM, must, strerror } from "#core/base";
import {
  BLK_PERM_RESIZE,
  BLK_PERM_WRITE,
  type BlockDriverState,
  BlockError,
  settle,
} from "#core/graph";
import {
  bdrvDebugBreakpoint,
  bdrvDebugIsSuspended,
  bdrvDebugRemoveBreakpoint,
  bdrvDebugResume,
  bdrvGetlength,
  bdrvIsAllocated,
} from "#core/io";
import { site } from "#core/probe";
import { aioWaitWhileUnlocked, type Polls } from "#core/sched";
import {
  aioReadF,
  aioWriteF,
  discardF,
  flushF,
  type QemuIoBody,
  readF,
  writeF,
} from "./qemu-io-requests.ts";
import { inSession, type QemuIoSession, waitForBackground } from "./qemu-io-session.ts";
import { cvtstr } from "./qemu-io-text.ts";
import { truncateF } from "./qemu-io-truncate.ts";

const SITE_ROOT = site("hmp_qemu_io");
const SITE_WAIT_BREAK = site("wait_break_f");

/** C: cmdinfo_t. */
interface QemuIoCommand {
  readonly name: string;
  readonly short?: string;
  readonly args: string;
  readonly what: string;
  readonly least: number;
  readonly most: number;
  /** BLK_PERM_* that it needs besides. */
  readonly perm?: number;
  readonly body: QemuIoBody;
}

const ANY = Number.POSITIVE_INFINITY;
const perm = BLK_PERM_WRITE;

const COMMANDS: readonly QemuIoCommand[] = [
  {
    ...{ name: "read", short: "r", least: 2, most: ANY, body: readF },
    ...{ args: "[-abCqv] [-P pattern [-s off] [-l len]] off len" },
    ...{ what: "reads a number of bytes at a specified offset" },
  },
  {
    ...{ name: "write", short: "w", least: 2, most: ANY, perm, body: writeF },
    ...{ args: "[-bcCfnquz] [-P pattern | -s source_file] off len" },
    ...{ what: "writes a number of bytes at a specified offset" },
  },
  {
    ...{ name: "aio_read", least: 2, most: ANY, body: aioReadF },
    ...{ args: "[-Ciqv] [-P pattern] off len [len..]" },
    ...{ what: "asynchronously reads a number of bytes" },
  },
  {
    ...{ name: "aio_write", least: 2, most: ANY, perm, body: aioWriteF },
    ...{ args: "[-Cfiquz] [-P pattern] off len [len..]" },
    ...{ what: "asynchronously writes a number of bytes" },
  },
  {
    ...{ name: "aio_flush", args: "", least: 0, most: 0, body: aioFlushF },
    ...{ what: "completes all outstanding aio requests" },
  },
  {
    ...{ name: "flush", short: "f", args: "", least: 0, most: 0, body: flushF },
    ...{ what: "flush all in-core file state to disk" },
  },
  {
    ...{ name: "discard", short: "d", args: "[-Cq] off len", least: 2, most: ANY, perm },
    ...{ what: "discards a number of bytes at a specified offset", body: discardF },
  },
  {
    ...{ name: "truncate", short: "t", least: 1, most: 3, body: truncateF },
    ...{ args: "[-m prealloc_mode] off", perm: BLK_PERM_WRITE | BLK_PERM_RESIZE },
    ...{ what: "truncates the current file at the given offset" },
  },
  {
    ...{ name: "map", args: "", least: 0, most: 0, body: mapF },
    ...{ what: "prints the allocated areas of a file" },
  },
  {
    ...{ name: "break", args: "event tag", least: 2, most: 2, body: breakF },
    ...{ what: "sets a breakpoint on event and tags the stopped request as tag" },
  },
  {
    ...{ name: "remove_break", args: "tag", least: 1, most: 1, body: removeBreakF },
    ...{ what: "remove a breakpoint by tag" },
  },
  {
    ...{ name: "resume", args: "tag", least: 1, most: 1, body: resumeF },
    ...{ what: "resumes the request tagged as tag" },
  },
  {
    ...{ name: "wait_break", args: "tag", least: 1, most: 1, body: waitBreakF },
    ...{ what: "waits for the suspension of a request" },
  },
];

/** hmp_qemu_io (block/monitor/block-hmp-cmds.c:558): what the client is told. Polls. */
export function* hmpQemuIo(
  device: string,
  command: string,
  print: (line: string) => void,
): Polls<readonly string[]> {
  const run = yield* settle(() =>
    inSession(device, print, (session) => qemuioCommand(session, command)),
  );
  return run.ok ? run.value : [`Error: ${run.error.message}`];
}

/**
 * qemuio_command (qemu-io-cmds.c:2510). Polls. Differs from QEMU: a command that is not there, or has too few words, is an error
 * of the client's, not a line on the standard error.
 */
function* qemuioCommand(session: QemuIoSession, text: string): Polls<void> {
  const [name, ...words] = text.split(" ").filter((word) => word !== "");
  if (name === undefined) return;
  const command = COMMANDS.find((one) => one.name === name || one.short === name);
  if (command === undefined) {
    session.report(`command "${name}" not found`);
    return;
  }
  const { least, most, args, what } = command;
  if (words.length < least || words.length > most) {
    session.report(`bad argument count ${words.length} to ${name}, expected ${counts(command)}`);
    return;
  }
  session.name = name;
  if (!(yield* takePermission(session, command.perm ?? 0))) return;
  if (!(yield* command.body(session, words))) session.print(`${command.name} ${args} -- ${what}`);
}

function counts({ least, most }: QemuIoCommand): string {
  if (most === ANY) return `at least ${least} arguments`;
  return least === most ? `${least} arguments` : `between ${least} and ${most} arguments`;
}

/** The permissions that a command needs stay with a BlockBackend that was there before, as in QEMU. Polls. */
function* takePermission({ blk, errors }: QemuIoSession, needed: number): Polls<boolean> {
  const { perm: before, sharedPerm } = blkGetPerm(blk);
  if ((needed & ~before) === 0) return true;
  const set = yield* settle(() => blkSetPerm(blk, { perm: before | needed, sharedPerm }));
  if (!set.ok) errors.push(set.error.message);
  return set.ok;
}

function nodeOf({ blk }: QemuIoSession): BlockDriverState {
  const bs = blkBs(blk, SITE_ROOT);
  if (bs === null) throw new BlockError(ENOMEDIUM, strerror(ENOMEDIUM));
  return bs;
}

/** aio_flush_f. Polls. */
function* aioFlushF(): Polls<boolean> {
  yield* waitForBackground();
  return true;
}

/** map_f. Polls. */
function* mapF(session: QemuIoSession): Polls<boolean> {
  const bs = nodeOf(session);
  const end = bdrvGetlength(bs);
  if (end < 0) {
    session.report(`Failed to query image length: ${strerror(-end)}`);
    return true;
  }
  for (let at = 0; at < end; ) {
    const { ret, pnum } = yield* mapIsAllocated(bs, at, end - at);
    if (ret < 0) {
      session.report(`Failed to get allocation status: ${strerror(-ret)}`);
      return true;
    }
    if (pnum === 0) {
      session.report("Unexpected end of image");
      return true;
    }
    const allocated = ret > 0 ? "    allocated" : "not allocated";
    const hex = (value: number): string => `0x${value.toString(16)}`;
    const where = `offset ${cvtstr(at)} (${hex(at)})`;
    session.print(`${cvtstr(pnum)} (${hex(pnum)}) bytes ${allocated} at ${where}`);
    at += pnum;
  }
  return true;
}

/** map_is_allocated: whether the start of a range is allocated, and for how long it goes on so. Polls. */
function* mapIsAllocated(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
): Polls<{ readonly ret: number; readonly pnum: number }> {
  const first = yield* bdrvIsAllocated(bs, offset, bytes);
  let pnum = first.pnum;
  while (first.ret >= 0 && pnum < bytes) {
    const next = yield* bdrvIsAllocated(bs, offset + pnum, bytes - pnum);
    if (next.ret !== first.ret || next.pnum === 0) break;
    pnum += next.pnum;
  }
  return { ret: first.ret, pnum };
}

/** break_f. Polls. */
function* breakF(
  session: QemuIoSession,
  [event = "", tag = ""]: readonly string[],
): Polls<boolean> {
  const ret = bdrvDebugBreakpoint(nodeOf(session), event, tag);
  if (ret < 0) session.print(`Could not set breakpoint: ${strerror(-ret)}`);
  return true;
}

/** remove_break_f. Polls. */
function* removeBreakF(session: QemuIoSession, words: readonly string[]): Polls<boolean> {
  const tag = must(words[0], "a tag is given");
  const ret = bdrvDebugRemoveBreakpoint(nodeOf(session), tag);
  if (ret < 0) session.print(`Could not remove breakpoint ${tag}: ${strerror(-ret)}`);
  return true;
}

/** resume_f. Polls. */
function* resumeF(session: QemuIoSession, words: readonly string[]): Polls<boolean> {
  const ret = bdrvDebugResume(nodeOf(session), must(words[0], "a tag is given"));
  if (ret < 0) session.print(`Could not resume request: ${strerror(-ret)}`);
  return true;
}

/** wait_break_f. Polls. */
function* waitBreakF(session: QemuIoSession, words: readonly string[]): Polls<boolean> {
  const tag = must(words[0], "a tag is given");
  const bs = nodeOf(session);
  yield* aioWaitWhileUnlocked(null, () => !bdrvDebugIsSuspended(bs, tag), SITE_WAIT_BREAK);
  return true;
}
