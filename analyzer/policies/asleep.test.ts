// Judges that sleep until somebody takes the lock that their policy rests on: of a trace that can be read again they say the same as
// those that are awake from its start.

import { expect, it } from "vitest";
import { analyze } from "../analyze.ts";
import type { TraceInput } from "../input.ts";
import { RandomProtocol } from "../test-support/random-protocol.ts";
import { traceFromText } from "../test-support/trace-from-text.ts";
import { POLICY_IDS } from "./policy.ts";

/** How often `trace` is read again to be judged by all policies, and the policies that are not silent; the same as in one pass. */
function judged(trace: TraceInput, name = ""): { readAgain: number; speak: string[] } {
  let readAgain = 0;
  const again = () => {
    readAgain++;
    return trace.batches;
  };
  const options = { policies: POLICY_IDS };
  const result = analyze({ ...trace, again }, options);
  expect(result, name).toEqual(analyze(trace, options));
  const { policies = [] } = result;
  const speak = policies.filter(({ silence }) => silence === "").map(({ policy }) => policy);
  return { readAgain, speak };
}

const READ = `
  main                     | io1
  node n1 disk             | read children n1 @reader`;

it("no lock: the trace is read once", () => {
  expect(judged(traceFromText(READ))).toEqual({ readAgain: 0, speak: ["P1", "P2", "P3"] });
});

it("a lock that a policy rests on wakes its judges, which begin anew: what was read before counts", () => {
  const graph = traceFromText(`${READ}\n | rdlock; read children n1 @reader; rdunlock`);
  expect(judged(graph)).toEqual({ readAgain: 1, speak: ["P1", "P2", "P3", "P4", "P5"] });
  const context = traceFromText(`
    main                                           | io1
    context main; lock-new l1 main; context io1; lock-new l2 io1 |
    node n1 disk; home n1 io1                      |
                                                   | read children n1 @reader
                                                   | lock l2; read children n1 @reader; unlock l2`);
  expect(judged(context)).toEqual({ readAgain: 1, speak: ["P0", "P1", "P2", "P3"] });
});

it("random traces", () => {
  const read = new Set<number>();
  for (let seed = 1; seed <= 60; seed++) {
    const { writer, sites, strings } = new RandomProtocol(seed, 150);
    read.add(judged({ batches: writer.batches, sites, strings }, `seed ${seed}`).readAgain);
  }
  expect([...read]).toEqual(expect.arrayContaining([1, 2]));
});
