// Two machines in one process take turns, a few steps each: each records what it records alone, so no state of the one gets into
// the other.

import { expect, it } from "vitest";
import { must } from "#core/base";
import type { Delivery, Host, Inbox, Machine, RunOutcome } from "#core/sched";
import {
  headerOf,
  prepareRun,
  recordScenario,
  SCENARIOS,
  type Scenario,
  SimulatedHost,
  schedulerNamed,
} from "#explorer";
import { MemorySink, Recorder } from "#tracer";
import { FORMAT_VERSION } from "#traces";

/** A simulated host that sends the machine out to wait at every fifth step boundary. */
class PausingHost extends SimulatedHost implements Host {
  #boundaries = 0;

  override deliver(inbox: Inbox, idle: boolean): Delivery {
    return ++this.#boundaries % 5 === 0 ? "wait" : super.deliver(inbox, idle);
  }
}

interface Recording {
  readonly machine: Machine;
  outcome: RunOutcome;
  readonly bytes: () => Uint8Array;
}

function prepare(scenario: Scenario, seed: number): Recording {
  const { disk } = scenario;
  const host = new PausingHost(disk === undefined ? { seed } : { seed, disk });
  const header = headerOf(
    scenario,
    { seed },
    {
      host: "simulated",
      level: "full",
      coreVersion: "",
      formatVersion: FORMAT_VERSION,
      provenance: { createdAt: "", host: "", node: "", quiesce: "" },
    },
  );
  const sink = new MemorySink(header);
  const probe = new Recorder(sink);
  const scheduler = schedulerNamed("random", seed);
  const machine = prepareRun(scenario, { seed }, { host, clients: host, scheduler, probe });
  const bytes = (): Uint8Array => {
    probe.close();
    return sink.bytes();
  };
  return { machine, outcome: "wait", bytes };
}

it.each([
  ["demo", "hole-attach-polls"],
  ["order-job", "set-backing"],
])("%s and %s, taking turns, record what each records alone", (...names) => {
  const runs = names.map((name, index) => {
    const scenario = must(
      SCENARIOS.find((one) => one.name === name),
      "the scenario is built in",
    );
    const seed = index + 1;
    return { alone: recordScenario(scenario, { seed }), shared: prepare(scenario, seed) };
  });
  let turns = 0;
  for (let waiting = true; waiting; turns++) {
    waiting = false;
    for (const { shared } of runs) {
      if (shared.outcome === "wait") shared.outcome = shared.machine.run();
      if (shared.outcome === "wait") waiting = true;
    }
  }
  expect(turns).toBeGreaterThan(10);
  for (const { alone, shared } of runs) {
    expect(shared.outcome).toBe(alone.outcome);
    expect(Buffer.compare(shared.bytes(), alone.bytes)).toBe(0);
  }
});
