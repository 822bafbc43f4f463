import { expect, it } from "vitest";
import type { Polls } from "#core/sched";
import { runMain } from "../../core/sched/test-support.ts";
import { NBD_SPARE_BYTES_MAX, NBD_SPARE_TOTAL_MAX } from "./limits.ts";
import { SpareBuffers } from "./spare-buffers.ts";

const LENGTHS = [0, 1, 20, 64, 65, 66, 4096, 4112, 4116, 4160, 4161, 262_164, 524_316, 1 << 20];

function inMachine(check: () => void): void {
  const { outcome } = runMain(function* (): Polls<void> {
    check();
  });
  expect(outcome).toBe("ok");
}

it("memory has room for what was asked for, never for two at once, and is used again", () => {
  inMachine(() => {
    const spare = new SpareBuffers();
    for (const bytes of LENGTHS) {
      const [one, two] = [spare.take(bytes), spare.take(bytes)];
      expect(Math.min(one.length, two.length)).toBeGreaterThanOrEqual(bytes);
      expect(one === two).toBe(false);
      spare.give(one);
      expect(spare.take(bytes) === one).toBe(bytes <= NBD_SPARE_BYTES_MAX);
    }
  });
});

it("no more of it is kept than there may be", () => {
  inMachine(() => {
    const spare = new SpareBuffers();
    const count = NBD_SPARE_TOTAL_MAX / (512 * 1024) + 10;
    const taken = Array.from({ length: count }, () => spare.take(NBD_SPARE_BYTES_MAX));
    for (const buffer of taken) spare.give(buffer);
    const again = Array.from({ length: count }, () => spare.take(NBD_SPARE_BYTES_MAX));
    const kept = again.filter((buffer) => taken.includes(buffer));
    expect(kept.length * NBD_SPARE_BYTES_MAX).toBeLessThanOrEqual(NBD_SPARE_TOTAL_MAX);
    expect(kept.length).toBeGreaterThan(count - 12);
  });
});
