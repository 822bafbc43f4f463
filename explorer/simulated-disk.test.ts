import { describe, expect, it } from "vitest";
import { EINVAL, EIO, EISDIR, ENOENT, ENOSPC, ENOTSUP, must, Prng } from "#core/base";
import type { FileOpType } from "#core/sched";
import { type DiskOptions, SimulatedDisk, SimulatedFile } from "./simulated-disk.ts";

function disk(options: DiskOptions = {}): SimulatedDisk {
  return new SimulatedDisk(options, new Prng(7));
}

function fileOf(owner: SimulatedDisk, path = "/a.img"): SimulatedFile {
  const file = owner.open(path, true);
  if (typeof file === "number") throw new Error("the file opens");
  return file;
}

function readBack(file: SimulatedFile, offset: number, bytes: number): number[] {
  const into = new Uint8Array(bytes).fill(0xee);
  file.read(offset, into);
  return [...into];
}

describe("a file of the modelled disk", () => {
  it("equals a plain array under random writes, zeroes and truncations", () => {
    const prng = new Prng(3);
    const file = new SimulatedFile("/x");
    let model = new Uint8Array(0);
    const grow = (size: number) => {
      if (size <= model.length) return;
      const old = model;
      model = new Uint8Array(size);
      model.set(old);
    };
    for (let i = 0; i < 400; i++) {
      const offset = prng.below(20_000);
      const bytes = 1 + prng.below(9_000);
      const what = prng.below(5);
      if (what === 0) {
        const size = prng.below(25_000);
        file.truncate(size);
        grow(size);
        model = model.slice(0, size);
      } else if (what === 1) {
        file.zero(offset, bytes);
        grow(offset + bytes);
        model.fill(0, offset, offset + bytes);
      } else {
        const from = new Uint8Array(bytes).fill(1 + prng.below(255));
        file.write(offset, from);
        grow(offset + bytes);
        model.set(from, offset);
      }
      expect(file.size).toBe(model.length);
    }
    const whole = new Uint8Array(model.length);
    file.read(0, whole);
    expect(whole).toEqual(model);
  });

  it("reads zeroes beyond its end and where nothing was written", () => {
    const file = new SimulatedFile("/x");
    file.write(4095, new Uint8Array([1, 2]));
    expect(readBack(file, 4094, 5)).toEqual([0, 1, 2, 0, 0]);
  });

  it("forgets what a truncation cut off", () => {
    const file = new SimulatedFile("/x");
    file.write(0, new Uint8Array(10).fill(9));
    file.truncate(3);
    file.truncate(6);
    expect(readBack(file, 0, 6)).toEqual([9, 9, 9, 0, 0, 0]);
  });
});

describe("the modelled disk", () => {
  it("opens what is there, makes what it may make, and names the error otherwise", () => {
    const owner = disk({ directories: ["/dir"] });
    expect(owner.open("/missing", false)).toBe(-ENOENT);
    expect(owner.open("/dir", true)).toBe(-EISDIR);
    expect(fileOf(owner)).toBe(owner.open("/a.img", false));
  });

  it("has no space beyond its limit, for writes and for truncation", () => {
    const owner = disk({ spaceBytes: 8192 });
    const file = fileOf(owner);
    const write = { type: "write" as const, bytes: 4096, data: new Uint8Array(4096) };
    expect(owner.perform(file, { ...write, offset: 4096 })).toBe(0);
    expect(owner.perform(file, { ...write, offset: 4097 })).toBe(-ENOSPC);
    expect(owner.truncate(file, 8193)).toBe(-ENOSPC);
    expect(file.size).toBe(8192);
  });

  it("fails what touches the range of a fault, and nothing beside it", () => {
    const owner = disk({
      faults: [{ path: "a.img", types: ["write", "flush"], offset: 4096, bytes: 4096 }],
    });
    const file = fileOf(owner);
    const at = (type: FileOpType, offset: number, bytes = 1) =>
      owner.faultOf(file, { type, offset, bytes, data: null });
    expect(at("write", 4095)).toBe(0);
    expect(at("write", 4095, 2)).toBe(-EIO);
    expect(at("write", 8191)).toBe(-EIO);
    expect(at("write", 8192)).toBe(0);
    expect(at("read", 4096)).toBe(0);
    expect(at("flush", 0, 0)).toBe(-EIO);
    expect(
      owner.faultOf(fileOf(owner, "/b.img"), { type: "write", offset: 4096, bytes: 1, data: null }),
    ).toBe(0);
  });

  it("fails one in so many by its seed", () => {
    const owner = disk({ faults: [{ path: "a.img", oneIn: 4, errno: ENOSPC }] });
    const file = fileOf(owner);
    let failed = 0;
    for (let i = 0; i < 1000; i++) {
      const ret = owner.faultOf(file, { type: "read", offset: 0, bytes: 1, data: null });
      expect([0, -ENOSPC]).toContain(ret);
      if (ret !== 0) failed++;
    }
    expect(failed).toBeGreaterThan(180);
    expect(failed).toBeLessThan(320);
  });

  it("copies from file to file up to the end of the source, not onto what it copies from, or not at all", () => {
    const owner = disk({ spaceBytes: 8192 });
    const [from, to] = [fileOf(owner), fileOf(owner, "/b.img")];
    from.write(0, Uint8Array.of(1, 2, 3, 4));
    expect(owner.copy({ file: from, offset: 1 }, { file: to, offset: 5000 }, 2)).toBe(0);
    const there = new Uint8Array(4);
    to.read(4999, there);
    expect([...there, to.size]).toEqual([0, 2, 3, 0, 5002]);
    expect(owner.copy({ file: from, offset: 3 }, { file: to, offset: 0 }, 2)).toBe(-ENOTSUP);
    to.read(0, there);
    expect([...there]).toEqual([4, 0, 0, 0]);
    expect(owner.copy({ file: from, offset: 0 }, { file: from, offset: 1 }, 2)).toBe(-EINVAL);
    expect(owner.copy({ file: from, offset: 0 }, { file: from, offset: 2 }, 2)).toBe(0);
    expect(owner.copy({ file: from, offset: 0 }, { file: to, offset: 8191 }, 2)).toBe(-ENOSPC);
    const cannot = disk({ copies: false });
    const [a, b] = [fileOf(cannot), fileOf(cannot, "/b.img")];
    expect(cannot.copy({ file: a, offset: 0 }, { file: b, offset: 0 }, 1)).toBe(-ENOTSUP);
  });

  it("discards to zeroes inside the file, or not at all", () => {
    const owner = disk();
    const file = fileOf(owner);
    file.write(0, new Uint8Array(6).fill(5));
    const discard = { type: "discard" as const, offset: 4, bytes: 100, data: null };
    expect(owner.perform(file, discard)).toBe(0);
    expect(file.size).toBe(6);
    expect(readBack(file, 3, 3)).toEqual([5, 0, 0]);
    expect(disk({ discards: false }).perform(file, discard)).toBe(-ENOTSUP);
  });

  it("keeps its files for whoever looks afterwards", () => {
    const owner = disk();
    fileOf(owner).write(0, new Uint8Array([1]));
    expect(must(owner.files.get("/a.img"), "it is there").size).toBe(1);
  });
});
