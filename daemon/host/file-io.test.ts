// Reads and writes that the operating system carries out in part, or not at all.

import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { EINVAL, EIO, ENOSPC } from "#core/base";
import { readAll, readNow, writeAll, writeNow } from "./file-io.ts";

let path: string;
let fd: number;
beforeEach(() => {
  path = join(tmpdir(), `quiesce-file-io-${process.pid}`);
  fs.writeFileSync(path, Buffer.from("0123456789"));
  fd = fs.openSync(path, "r+");
});
afterEach(() => {
  vi.restoreAllMocks();
  fs.closeSync(fd);
  fs.rmSync(path);
});

/** What an operation of the system does: so many bytes at most, or this error; the last one again and again. */
function system(which: "read" | "write", ...plan: (number | string)[]): void {
  const next = (): number | string => (plan.length > 1 ? plan.shift() : plan[0]) ?? 0;
  const sync = fs[`${which}Sync`] as (...args: unknown[]) => number;
  const now = (...args: unknown[]): number => {
    const step = next();
    if (typeof step === "string") throw Object.assign(new Error(step), { code: step });
    const [file, data, start, bytes, offset] = args as [number, Buffer, number, number, number];
    return step === 0 ? 0 : sync(file, data, start, Math.min(bytes, step), offset);
  };
  vi.spyOn(fs, `${which}Sync`).mockImplementation(now as never);
  vi.spyOn(fs, which).mockImplementation(((...args: unknown[]) => {
    const done = args.at(-1) as (error: Error | null, bytes: number) => void;
    try {
      const bytes = now(...args.slice(0, -1));
      setImmediate(done, null, bytes);
    } catch (error) {
      setImmediate(done, error as Error, 0);
    }
  }) as never);
}

const code = (error: NodeJS.ErrnoException | null): string => error?.code ?? "done";
const reading = (into: Buffer, at: number): Promise<string> =>
  new Promise((resolve) => readAll(fd, into, at, (error) => resolve(code(error))));
const writing = (from: string, at: number): Promise<string> =>
  new Promise((resolve) => writeAll(fd, Buffer.from(from), at, (error) => resolve(code(error))));

describe("a read", () => {
  it("goes on until all is there, and has zeroes behind the end of the file", async () => {
    for (const at of [0, 6]) {
      const expected = `${"0123456789".slice(at)}${".".repeat(at + 2)}`;
      for (const now of [true, false]) {
        system("read", 3);
        const into = Buffer.alloc(12, "?");
        if (now) expect(readNow(fd, into, 0, { offset: at, bytes: 12 })).toBe(0);
        else expect(await reading(into, at)).toBe("done");
        expect(into.toString().replaceAll("\0", ".")).toBe(expected);
        vi.restoreAllMocks();
      }
    }
  });

  it("past the cache ends where the file does within a block, but not before its first byte", async () => {
    for (const [plan, expected, ret] of [
      [[4, "EINVAL"], "0123....", 0],
      [["EINVAL"], "????????", -EINVAL],
      [[4, "EIO"], "0123????", -EIO],
    ] as const) {
      system("read", ...plan);
      const into = Buffer.alloc(8, "?");
      expect(readNow(fd, into, 0, { offset: 0, bytes: 8 })).toBe(ret);
      expect(into.toString().replaceAll("\0", ".")).toBe(expected);
      vi.restoreAllMocks();
      system("read", ...plan);
      const later = Buffer.alloc(8, "?");
      expect(await reading(later, 0)).toBe(ret === 0 ? "done" : ret === -EIO ? "EIO" : "EINVAL");
      expect(later.toString().replaceAll("\0", ".")).toBe(expected);
      vi.restoreAllMocks();
    }
  });
});

describe("a write", () => {
  it("goes on until all is there, and fails with what stops it", async () => {
    for (const [plan, ret, text] of [
      [[3], 0, "01abcdefgh"],
      [[3, "ENOSPC"], -ENOSPC, "01abc56789"],
      [[3, "EIO"], -EIO, "01abc56789"],
      [[3, 0], -EINVAL, "01abc56789"],
    ] as const) {
      for (const now of [true, false]) {
        fs.writeFileSync(path, "0123456789");
        system("write", ...plan);
        const name =
          ret === 0 ? "done" : ret === -ENOSPC ? "ENOSPC" : ret === -EIO ? "EIO" : "EINVAL";
        if (now)
          expect(writeNow(fd, Buffer.from("abcdefgh"), 0, { offset: 2, bytes: 8 })).toBe(ret);
        else expect(await writing("abcdefgh", 2)).toBe(name);
        vi.restoreAllMocks();
        expect(fs.readFileSync(path, "utf8")).toBe(text);
      }
    }
  });
});
