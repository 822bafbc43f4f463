// What is not sound is seen: a finding, a difference, a byte that was flipped; and a test's run that cannot be done again.

import { describe, expect, it } from "vitest";
import { analyze } from "#analyzer";
import { must, QuiesceError } from "#core/base";
import { machine, type Polls } from "#core/sched";
import { inputsOf, recordScenario, SCENARIOS, type Scenario } from "#explorer";
import { bytesSource, TraceReader } from "#traces";
import { outside, runLiveSoundly, runSimulatedSoundly } from "./sound-run.ts";
import { soundnessOf } from "./soundness.ts";

const named = (wanted: string): Scenario =>
  must(
    SCENARIOS.find(({ name }) => name === wanted),
    "it is built in",
  );

/** What `quiesce races` would say of a full recording. */
function titlesOf(bytes: Uint8Array): string[] {
  const reader = TraceReader.open(bytesSource(bytes));
  const { findings } = analyze({
    batches: reader.batches(),
    sites: reader.header.sites,
    strings: reader.strings,
  });
  return findings.map(({ title }) => title);
}

describe("a recording", () => {
  it.each(["hole-plug", "hole-diamond", "hole-waits-once", "hole-iothread-drain"])(
    "has the findings of %s, whatever was recorded",
    (name) => {
      const scenario = named(name);
      const { bytes } = recordScenario(scenario, { seed: 1 });
      const wanted = titlesOf(bytes);
      expect(wanted.length).toBeGreaterThan(0);
      for (const recording of [bytes, inputsOf(bytes)]) {
        const { problems, complete } = soundnessOf(scenario, recording);
        expect([...problems].sort()).toEqual([...wanted].sort());
        expect(complete).toBe(true);
      }
    },
  );

  const demo = named("demo");
  const { bytes } = recordScenario(demo, { seed: 1, params: { requests: "40" } });

  it("of a run without mistake is sound", () => {
    expect(soundnessOf(demo, bytes)).toMatchObject({ complete: true, problems: [] });
  });

  it("of another run is not", () => {
    const { bytes: other } = recordScenario(named("hole-diamond"), { seed: 1 });
    const [problem] = soundnessOf(named("hole-plug"), other).problems;
    expect(problem).toMatch(/^diverged at \d+: recorded .*, replayed /);
  });

  it("does not go on where its replay is refused", () => {
    let isRefused = false;
    const scenario: Scenario = {
      ...{ name: "refused", title: "" },
      *main(world): Polls<void> {
        world.note("one");
        if (isRefused) throw new QuiesceError("usage", "No.");
        world.note("two");
      },
    };
    const { bytes: recorded } = recordScenario(scenario, { seed: 1 });
    isRefused = true;
    expect(() => soundnessOf(scenario, recorded)).toThrow("No.");
  });

  it("that breaks off is sound as far as it goes, one with a flipped bit is not", () => {
    const cut = bytes.subarray(0, Math.floor(bytes.length * 0.8));
    expect(soundnessOf(demo, cut)).toMatchObject({ complete: false, problems: [] });
    const flipped = Uint8Array.from(bytes);
    flipped[cut.length] = (flipped[cut.length] ?? 0) ^ 1;
    expect(soundnessOf(demo, flipped).problems).toHaveLength(1);
  });
});

describe("a run of a test", () => {
  const SEED = 1;

  it("sees the same again through outside", async () => {
    let looks = 0;
    const found: number[] = [];
    const main = function* (): Polls<void> {
      found.push(outside(() => ++looks));
    };
    runSimulatedSoundly({ seed: SEED, main });
    await runLiveSoundly(main);
    await runLiveSoundly(main, "inputs");
    expect(found).toEqual([1, 1, 2, 2, 3, 3]);
    expect(looks).toBe(3);
  });

  it("that does something else in its replay is not sound", async () => {
    let runs = 0;
    const main = function* (): Polls<void> {
      machine.probe.intern(`run ${runs++}`);
      if (runs > 1) throw new Error("it has run before");
    };
    const words = "the recording is not sound: main threw Error: it has run before";
    expect(() => runSimulatedSoundly({ seed: SEED, main })).toThrow(words);
    runs = 0;
    await expect(runLiveSoundly(main)).rejects.toThrow(words);
    runs = 1;
    expect(() => runSimulatedSoundly({ seed: SEED, main })).toThrow("it has run before");
  });

  it("that looks outside less often when it is replayed is not sound", () => {
    let runs = 0;
    const main = function* (): Polls<void> {
      if (runs++ === 0) outside(() => 1);
    };
    expect(() => runSimulatedSoundly({ seed: SEED, main })).toThrow("looks as often");
  });

  it("that has a finding is not sound", () => {
    const { main } = named("hole-diamond");
    expect(() => runSimulatedSoundly({ seed: SEED, main })).toThrow();
    const plug = named("hole-iothread-drain");
    expect(() => runSimulatedSoundly({ seed: SEED, main: plug.main })).toThrow(
      "the recording is not sound: The ",
    );
  });
});
