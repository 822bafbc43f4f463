// The independent streams of pseudo-random numbers that a run's one seed is split into, each for one purpose, so that a
// new consumer moves nobody else's numbers. Numbers are never reused for another purpose: seeds are quoted in reports.

import { Prng } from "#core/base";

const STREAMS = {
  /** How long the modelled disk takes. */
  latency: 1,
  /** Which requests the modelled disk fails. */
  faults: 2,
  /** When external clients kick. */
  clients: 3,
  /** What the scheduling strategy picks. */
  schedule: 4,
  /** What the scenario itself draws: guests, operations of main. */
  scenario: 5,
  /** How long the modelled network takes, and where it cuts. */
  network: 6,
  /** Which reads and writes of the modelled disk need no waiting. */
  cache: 7,
} as const;

/** What a stream is for. */
export type StreamName = keyof typeof STREAMS;

/** The generator for one purpose in the run of `seed`. */
export function streamOf(seed: number, name: StreamName): Prng {
  return new Prng(seed, STREAMS[name]);
}
