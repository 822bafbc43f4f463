// A small world for the tests of replay: two iothreads with coroutines that do I/O, sleep and take decisions, run on the
// simulated time of a test host, recorded into memory.

import { assert, must } from "#core/base";
import { EventBatch, IS_INPUT, ProbeBase, siteTable } from "#core/probe";
import {
  type AioContext,
  aioCoEnter,
  aioSetFdHandler,
  aioWaitKick,
  aioWaitWhile,
  type Co,
  type Host,
  hostCall,
  hostDecide,
  hostSubmit,
  iothreadCreate,
  iothreadStopJoin,
  Machine,
  machine,
  type Polls,
  qemuCoroutineCreate,
  qemuCoSleepNs,
  type Scheduler,
  seriesWithout,
} from "#core/sched";
import type { TraceHeader } from "#traces";
import { TestHost } from "../core/sched/test-support.ts";
import type { RecordedTrace } from "./recorded-trace.ts";

/** Records every event into one growing list of batches. */
export class MemoryProbe extends ProbeBase {
  readonly batches: EventBatch[] = [new EventBatch(1024)];

  override emit(kind: number, a = 0, b = 0, c = 0, d = 0): void {
    this.#room().push(kind, this.ctx, this.task, a, b, c, d);
  }

  override emitWide(kind: number, wide: number, a = 0, b = 0, c = 0, d = 0): void {
    this.#room().push(kind, this.ctx, this.task, a, b, c, d, wide);
  }

  #room(): EventBatch {
    const last = must(this.batches.at(-1), "there is a batch");
    if (last.count < last.capacity) return last;
    this.batches.push(new EventBatch(1024));
    return this.#room();
  }
}

/** Events as plain rows, for planting changes. */
export type Row = [
  kind: number,
  ctx: number,
  task: number,
  a: number,
  b: number,
  c: number,
  d: number,
  x: number,
];

export function rowsOf(batches: Iterable<EventBatch>): Row[] {
  const rows: Row[] = [];
  for (const batch of batches) {
    for (let i = 0; i < batch.count; i++) {
      const arg = (slot: number) => batch.arg(i, slot);
      rows.push([
        batch.kind(i),
        batch.ctx(i),
        batch.task(i),
        arg(0),
        arg(1),
        arg(2),
        arg(3),
        arg(4),
      ]);
    }
  }
  return rows;
}

export function traceOf(
  rows: readonly Row[],
  strings: readonly string[],
  level: "full" | "inputs",
): RecordedTrace {
  const kept = level === "full" ? rows : rows.filter(([kind]) => IS_INPUT[kind] === 1);
  const batch = new EventBatch(Math.max(1, kept.length));
  for (const [kind, ctx, task, a, b, c, d, x] of kept) batch.push(kind, ctx, task, a, b, c, d, x);
  return { header: { ...HEADER, level }, strings, batches: () => [batch] };
}

const HEADER: TraceHeader = {
  formatVersion: 1,
  schedulerPolicy: 1,
  coreVersion: "test",
  scenario: { name: "test", params: {} },
  seed: 1,
  host: "simulated",
  level: "full",
  patchesOn: [],
  lock: "none",
  sites: siteTable,
  provenance: { createdAt: "", host: "", node: "", quiesce: "" },
};

/** Switches to another runnable context at every third choice: choices that must be recorded. */
class ThirdTime implements Scheduler {
  #choices = 0;
  pick(runnable: readonly AioContext[], byDefault: AioContext): AioContext {
    this.#choices++;
    return this.#choices % 3 === 0 ? must(runnable.at(-1), "something can run") : byDefault;
  }
}

/** A small change of the code under replay. */
export type Mutation = "none" | "one more flush" | "other string" | "other size" | "fails";

export function buildTestWorld(
  parts: { host: Host; scheduler: Scheduler; probe: ProbeBase },
  mutation: Mutation = "none",
): Machine {
  const owner = new Machine({ ...parts, series: seriesWithout(), lock: "none" });
  owner.start(main(mutation, parts.host));
  return owner;
}

function* main(mutation: Mutation, host: Host): Polls<void> {
  machine.probe.emit(142, machine.probe.intern(mutation === "other string" ? "begin!" : "begin"));
  const contexts = [iothreadCreate("io0"), iothreadCreate("io1")];
  const size = (mutation === "other size" ? 4096 : 512) as never;
  hostCall({ call: "truncate", handle: 1 as never, size });
  let left = 6;
  const fd = aioSetFdHandler(machine.mainContext, true, () => {
    left--;
    return undefined;
  });
  left++;
  if (host instanceof TestHost) host.kickFd(fd.id);
  for (let guest = 0; guest < 6; guest++) {
    const ctx = must(contexts[guest % 2], "two iothreads");
    const co = qemuCoroutineCreate(function* (): Co<void> {
      for (let turn = 0; turn < 5; turn++) {
        yield* hostSubmit("write", 1 as never, (guest * 4096) as never, 512 as never, null, 0);
        if (hostDecide(0 as never, () => (guest + turn) % 2) === 1)
          yield* qemuCoSleepNs(100 * guest);
        assert(mutation !== "fails" || guest !== 3 || turn !== 2, "a planted bug");
        if (mutation === "one more flush" && guest === 3 && turn === 2) {
          yield* hostSubmit("flush", 1 as never, 0 as never, 0 as never, null, 0);
        }
      }
      left--;
      aioWaitKick();
    });
    aioCoEnter(ctx, co);
  }
  yield* aioWaitWhile(null, () => left > 0, 0 as never);
  for (const ctx of contexts) yield* iothreadStopJoin(ctx);
}

/** Record the test world once. */
export function recordTestWorld(): { rows: Row[]; strings: string[] } {
  const probe = new MemoryProbe();
  const owner = buildTestWorld({ host: new TestHost(), scheduler: new ThirdTime(), probe });
  const outcome = owner.run();
  if (outcome !== "ok") throw new Error(`the test world ended with ${outcome}`);
  return { rows: rowsOf(probe.batches), strings: probe.strings };
}
