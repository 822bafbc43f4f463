// An image whose tables contradict themselves (C: qcow2_signal_corruption). Who may write marks it, so that nobody writes to it until it
// has been repaired, and its node serves nothing any more. Who only reads says so, once, and what can be read still is.

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

/** qcow2_signal_corruption: returns -EIO. `at` is the range of the file that must not be written to, if that is what is wrong. */
export function* signalCorruption(
  bs: BlockDriverState,
  what: string,
  at: { readonly offset: number; readonly bytes: number } | null = null,
): Co<number> {
  ioCode(bs.aioContext, SITE_SIGNAL);
  assert(what.length > 0, "something is wrong");
  const state = stateOf(bs);
  const fatal = !bs.readOnly && !bs.inactive;
  if (state.corrupt || (state.signaledCorruption && !fatal)) return -EIO;
  state.signaledCorruption = true;
  const [verdict, others] = fatal
    ? ["Marking image as corrupt", "corruption"]
    : ["Image is corrupt", "non-fatal corruption"];
  const text = `qcow2: ${verdict}: ${what}; further ${others} events will be suppressed`;
  machine.probe.emit(Ev.note, machine.probe.intern(text));
  driverEvent({
    event: "BLOCK_IMAGE_CORRUPTED",
    device: bdrvGetDeviceName(bs),
    nodeName: bs.nodeName,
    msg: what,
    range: at,
    fatal,
  });
  if (!fatal) return -EIO;
  state.corrupt = true;
  // Version 2 has no place for the mark. That it cannot be written changes nothing.
  if (state.header.version >= 3) yield* setIncompatible(bs, INCOMPAT_CORRUPT, true);
  bs.ejected = true;
  return -EIO;
}
