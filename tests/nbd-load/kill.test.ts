// The short form of `npm run long -- nbd-kill`.

import { rmSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { Prng } from "#core/base";
import { haveTools, newFolder } from "../nbd-peers/live-server.ts";
import { KillImages } from "./kill-run.ts";
import { BLOCK_BYTES, VersionModel } from "./version-model.ts";

const folder = newFolder();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.skipIf(!haveTools("qemu-img"))("kill -9 in the middle of load", () => {
  it("loses nothing that was durable, three times over", async () => {
    const images = await KillImages.create(folder);
    const prng = new Prng(1);
    let durableWrites = 0;
    for (let i = 0; i < 3; i++) {
      const result = await images.kill(prng);
      expect(result.problems).toEqual([]);
      expect(result.events).toBeGreaterThan(0);
      durableWrites += result.durableWrites;
    }
    expect(durableWrites).toBeGreaterThan(0);
  });
});

describe("the model of what may be there", () => {
  const disk = () => Buffer.alloc(2 * BLOCK_BYTES);

  it("knows a durable write that is lost", () => {
    const model = new VersionModel(disk());
    const { data, all } = model.begin(1, 1, false);
    expect(model.problems(disk())).toEqual([]);
    model.answered(all, false);
    expect(model.problems(disk())).toEqual([]);
    model.flushed(model.flushBegins());
    expect(model.problems(disk())).toEqual(["block 1 has none of its 1 versions"]);
    expect(model.problems(Buffer.concat([Buffer.alloc(BLOCK_BYTES), data ?? disk()]))).toEqual([]);
  });

  it("knows one that is in the wrong place, and an older one than may be", () => {
    const model = new VersionModel(disk());
    const first = model.begin(0, 1, false);
    const second = model.begin(0, 1, false);
    const at = (place: number, data: Buffer | null) => {
      const all = disk();
      data?.copy(all, place * BLOCK_BYTES);
      return all;
    };
    expect(model.problems(at(0, first.data))).toEqual([]);
    expect(model.problems(at(1, first.data))).toHaveLength(1);
    model.answered(second.all, true);
    expect(model.problems(at(0, first.data))).toHaveLength(1);
    expect(model.problems(at(0, second.data))).toEqual([]);
  });
});
