import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { AlignedMemory, PAGE_BYTES } from "./aligned-memory.ts";

describe("aligned memory", () => {
  it("is taken in the length that is asked for, never by two at once, and used again", () => {
    const memory = new AlignedMemory();
    const taken = [1, 512, 4096, 5000, 70_000, 1 << 20, 9 << 20, 20 << 20].flatMap((bytes) => {
      const [one, two] = [memory.take(bytes), memory.take(bytes)];
      if (one === null || two === null) throw new Error("there is memory");
      expect([one.length, two.length]).toEqual([bytes, bytes]);
      return [one, two];
    });
    for (const part of taken) expect(part.byteOffset % PAGE_BYTES).toBe(0);
    for (const [index, part] of taken.entries()) part.fill(index + 1);
    for (const [index, part] of taken.entries()) {
      expect(part[0]).toBe(index + 1);
      expect(part.at(-1)).toBe(index + 1);
    }
    const first = taken[0];
    if (first === undefined) throw new Error("something was taken");
    memory.give(first);
    const again = memory.take(PAGE_BYTES);
    expect([again?.buffer, again?.byteOffset]).toEqual([first.buffer, first.byteOffset]);
  });

  it("is memory that a disk takes, which Node's own is not", () => {
    const path = join(tmpdir(), `quiesce-aligned-${process.pid}`);
    fs.writeFileSync(path, new Uint8Array(1 << 16).fill(7));
    try {
      const { O_RDWR, O_DIRECT } = fs.constants;
      const fd = fs.openSync(path, O_RDWR | O_DIRECT);
      const memory = new AlignedMemory();
      for (let i = 0; i < 20; i++) {
        const part = memory.take(PAGE_BYTES);
        if (part === null) throw new Error("there is memory");
        expect(fs.readSync(fd, part, 0, PAGE_BYTES, 0)).toBe(PAGE_BYTES);
        expect(part[PAGE_BYTES - 1]).toBe(7);
      }
      fs.closeSync(fd);
    } finally {
      fs.rmSync(path);
    }
  });
});
