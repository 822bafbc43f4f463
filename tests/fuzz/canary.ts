// What the fuzzer itself is tried on: a mistake that only one finds that is guided by what inputs reach.

import type { FuzzTarget } from "./fuzzer.ts";

/** Wrong for inputs with the highest bit in each of five bytes: an input is changed in four places at most. */
export const canary: FuzzTarget = {
  name: "canary",
  seeds: [Buffer.from("--------")],
  code: ["/tests/fuzz/"],
  run(input) {
    const isHigh = (at: number) => (input[at] ?? 0) > 127;
    if (!isHigh(1)) return;
    if (!isHigh(2)) return;
    if (!isHigh(4)) return;
    if (!isHigh(5)) return;
    if (isHigh(7)) throw new Error("canary");
  },
};
