import { describe, expect, it } from "vitest";
import { Prng } from "#core/base";
import { DueQueue } from "./due-queue.ts";

describe("the queue of what is due", () => {
  it("gives things back by time, and in order of insertion at the same time", () => {
    const prng = new Prng(1);
    const queue = new DueQueue<string>();
    const expected: string[] = [];
    for (let i = 0; i < 500; i++) {
      const at = prng.below(40);
      queue.push(at, `${at}/${i}`);
      expected.push(`${at}/${i}`);
    }
    expected.sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10));
    const taken: string[] = [];
    for (let one = queue.popDue(40); one !== undefined; one = queue.popDue(40)) taken.push(one);
    expect(taken).toEqual(expected);
    expect(queue.size).toBe(0);
  });

  it("keeps what is not due yet, and says when that is", () => {
    const queue = new DueQueue<string>();
    expect(queue.nextAt).toBe(Number.POSITIVE_INFINITY);
    queue.push(30, "later");
    queue.push(10, "sooner");
    expect(queue.nextAt).toBe(10);
    expect(queue.popDue(9)).toBeUndefined();
    expect(queue.popDue(10)).toBe("sooner");
    expect(queue.popDue(29)).toBeUndefined();
    expect(queue.size).toBe(1);
  });
});
