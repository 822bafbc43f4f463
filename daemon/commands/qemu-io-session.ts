// What the commands of qemu-io have in common: a BlockBackend, the places for their output, and requests in the background.
//
// As in QEMU, what a command prints goes to the standard output of the daemon, and what it reports as an error to the client. The
// BlockBackend that a command makes for a node lives until the requests that commands have started there are over, and serves
// later commands meanwhile: making another would drain the node, and wait for a request that a breakpoint holds. Differs from
// QEMU, which drains at the end of each command.

import { type BlockBackend, blkNewWithBs, blkUnref } from "#core/backend";
import { assert } from "#core/base";
import { BLK_PERM_ALL } from "#core/graph";
import { site } from "#core/probe";
import {
  aioBhScheduleOneshot,
  aioCoEnter,
  aioWaitKick,
  aioWaitWhileUnlocked,
  type Co,
  machine,
  type Polls,
  perMachine,
  qemuCoroutineCreate,
} from "#core/sched";
import { bdrvLookupBs, blkByName } from "./lookup.ts";

const SITE_FLUSH = site("aio_flush_f");

/** The BlockBackends that commands made for nodes, by what clients call the node. Main only. */
interface Made {
  readonly blk: BlockBackend;
  /** Commands and requests that need it. */
  users: number;
}

const made = perMachine(() => new Map<string, Made>());

/** Requests in the background, of all commands. */
const background = perMachine(() => ({ pending: 0 }));

/** One command on one BlockBackend. */
export class QemuIoSession {
  readonly blk: BlockBackend;
  /** A line for the standard output. */
  readonly print: (line: string) => void;
  /** The command's name, as it was said. */
  name = "";
  /** What the client is told. */
  readonly errors: string[] = [];
  readonly #device: string;

  constructor(device: string, blk: BlockBackend, print: (line: string) => void) {
    this.#device = device;
    this.blk = blk;
    this.print = print;
  }

  /** error_report. */
  report(line: string): void {
    this.errors.push(line);
  }

  /** Let `request` run in the BlockBackend's context, and go on. */
  startInBackground(request: () => Co<void>): void {
    const own = made().get(this.#device);
    if (own !== undefined) own.users++;
    background().pending++;
    const co = qemuCoroutineCreate(() => this.#runToItsEnd(request));
    aioCoEnter(this.blk.ctx, co);
  }

  *#runToItsEnd(request: () => Co<void>): Co<void> {
    yield* request();
    background().pending--;
    aioWaitKick();
    aioBhScheduleOneshot(machine.mainContext, () => letGo(this.#device));
  }
}

/** Run `body` on what clients call `device`: a BlockBackend, or a node. BlockError when there is none. Polls. */
export function* inSession(
  device: string,
  print: (line: string) => void,
  body: (session: QemuIoSession) => Polls<void>,
): Polls<readonly string[]> {
  const session = new QemuIoSession(device, yield* backendOf(device), print);
  yield* body(session);
  yield* letGo(device);
  return session.errors;
}

function* backendOf(device: string): Polls<BlockBackend> {
  const named = blkByName(device);
  if (named !== null) return named;
  const bs = bdrvLookupBs(null, device);
  const known = made().get(device);
  if (known !== undefined) {
    known.users++;
    return known.blk;
  }
  const blk = yield* blkNewWithBs(bs, { perm: 0, sharedPerm: BLK_PERM_ALL });
  made().set(device, { blk, users: 1 });
  return blk;
}

/** One user less of the BlockBackend that was made for `device`, if one was; the last one deletes it. Polls. */
function* letGo(device: string): Polls<void> {
  const own = made().get(device);
  if (own === undefined) return;
  assert(own.users > 0, "a command ends once");
  own.users--;
  if (own.users > 0) return;
  made().delete(device);
  yield* blkUnref(own.blk);
}

/** aio_flush_f: wait for all requests in the background. Polls. */
export function* waitForBackground(): Polls<void> {
  yield* aioWaitWhileUnlocked(null, () => background().pending > 0, SITE_FLUSH);
}
