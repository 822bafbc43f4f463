// The machine that runs now, for the free functions of core/. Two machines never run at the same time, but may take turns.

import type { TaskId } from "../base/index.ts";
import type { PatchNumber } from "../series.ts";
import type { Machine } from "./machine.ts";

/** The machine that runs; undefined outside `Machine.run` (the compiler is told otherwise: core code runs only inside). */
export let machine: Machine = undefined as unknown as Machine;

/** Let `owner` be the machine while `body` runs: for building a world before `run`, and for tests. Common. */
export function withMachine<T>(owner: Machine, body: () => T): T {
  const outer = machine;
  machine = owner;
  try {
    return body();
  } finally {
    machine = outer;
  }
}

/** The next number for a new object of `kind`, from 1. Common. */
export function nextId(owner: Machine, kind: keyof Machine["last"]): number {
  owner.last[kind]++;
  return owner.last[kind];
}

let slotCount = 0;

/** State of a higher folder that belongs to one machine: returns the accessor of the current machine's value. Common. */
export function perMachine<T>(create: () => T): () => T {
  const slot = slotCount++;
  return () => {
    let value = machine.slots[slot] as T | undefined;
    if (value === undefined) {
      value = create();
      machine.slots[slot] = value;
    }
    return value;
  };
}

/** The task that runs now (0: none); the emitted events carry it. Common. */
export function currentTask(): TaskId {
  return machine.probe.task as TaskId;
}

/** Whether patch `number` of the series is on in the running machine. Common. */
export function patchOn(number: PatchNumber): boolean {
  return machine.series.has(number);
}
