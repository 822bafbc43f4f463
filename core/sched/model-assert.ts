// QEMU's own assertions, modelled: a failure is a result of the run (event `model_assert`), never a crash of quiesce.

import { Ev } from "../probe/index.ts";
import { machine } from "./current.ts";

/** Thrown by `modelAssert`; caught by the machine alone, which ends the run with the status "assertion". */
export class ModelAssertion extends Error {
  override readonly name = "ModelAssertion";
  /** SiteId of the function whose assertion failed, 0 when it has none. */
  readonly site: number;
  constructor(text: string, site: number) {
    super(text);
    this.site = site;
  }
}

/** QEMU asserts `condition` here; `text` is static and names the condition as the C source writes it. Common. */
export function modelAssert(condition: boolean, text: string, site = 0): asserts condition {
  if (condition) return;
  machine.probe.emit(Ev.model_assert, site, machine.probe.intern(text));
  throw new ModelAssertion(text, site);
}
