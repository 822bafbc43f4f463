// An image whose tables contradict themselves (C: qcow2_signal_corruption): it is marked, so that nobody writes to it until it
// has been repaired, and this node serves nothing any more.

import { assert, EIO } from "../../base/index.ts";
import { bdrvGetDeviceName } from "../../graph/names.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import { Ev, site } from "../../probe/index.ts";
import { type Co, ioCode, machine } from "../../sched/index.ts";
import { driverEvent } from "../driver-events.ts";
import { INCOMPAT_CORRUPT } from "./format.ts";
import { setIncompatible } from "./header-update.ts";
import { stateOf } from "./state.ts";

const SITE_SIGNAL = site("qcow2_signal_corruption");

/** qcow2_signal_corruption, fatal: returns -EIO, as every later request does. */
export function* signalCorruption(bs: BlockDriverState, what: string): Co<number> {
  ioCode(bs.aioContext, SITE_SIGNAL);
  assert(what.length > 0, "something is wrong");
  const state = stateOf(bs);
  if (state.corrupt) return -EIO;
  state.corrupt = true;
  const text = `qcow2: Marking image as corrupt: ${what}; further corruption events will be suppressed`;
  machine.probe.emit(Ev.note, machine.probe.intern(text));
  driverEvent({
    event: "BLOCK_IMAGE_CORRUPTED",
    device: bdrvGetDeviceName(bs),
    nodeName: bs.nodeName,
    msg: what,
    fatal: true,
  });
  // Version 2 has no place for the mark. That it cannot be written changes nothing.
  if (!bs.readOnly && state.header.version >= 3) yield* setIncompatible(bs, INCOMPAT_CORRUPT, true);
  return -EIO;
}
