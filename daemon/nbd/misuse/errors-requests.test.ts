import { describe, expect, it } from "vitest";
import { Ev } from "#core/probe";
import type { Co } from "#core/sched";
import type { TraceReader } from "#traces";
import * as nbd from "../protocol.ts";
import {
  misuse,
  misuses,
  type RawAnswer,
  type RawRequest,
  requestBytes,
  SIZE,
} from "./test-support.ts";

const {
  NBD_CMD_BLOCK_STATUS: STATUS,
  NBD_CMD_CACHE: CACHE,
  NBD_CMD_FLUSH: FLUSH,
  NBD_CMD_READ: READ,
  NBD_CMD_TRIM: TRIM,
  NBD_CMD_WRITE: WRITE,
  NBD_CMD_WRITE_ZEROES: ZERO,
  NBD_EINVAL,
  NBD_ENOSPC,
  NBD_EPERM,
} = nbd;
const END = BigInt(SIZE);
const LONG = 32 * 1024 * 1024 + 1;
const block = (byte: number, bytes = 512) => new Uint8Array(bytes).fill(byte);

const REFUSED: readonly [string, string, RawRequest, number, string][] = [
  ["unknown", "disk", { type: 77 }, NBD_EINVAL, "invalid request type (77) received"],
  ["a read past the end", "disk", { type: READ, from: END, length: 1 }, NBD_EINVAL, "past EOF"],
  [
    "a read of offset 2^64-1",
    "disk",
    { type: READ, from: 2n ** 64n - 1n, length: 1 },
    NBD_EINVAL,
    "EOF",
  ],
  [
    "a read that wraps around",
    "disk",
    { type: READ, from: 2n ** 64n - 512n, length: 1024 },
    NBD_EINVAL,
    "EOF",
  ],
  ["a read of too much", "disk", { type: READ, length: LONG }, NBD_EINVAL, "larger than max len"],
  ["caching too much", "disk", { type: CACHE, length: LONG }, NBD_EINVAL, "larger than max len"],
  [
    "a write past the end",
    "disk",
    { type: WRITE, from: END - 511n, length: 512, payload: block(1) },
    NBD_ENOSPC,
    "EOF",
  ],
  ["zeroes past the end", "disk", { type: ZERO, from: END, length: 512 }, NBD_ENOSPC, "past EOF"],
  ["trimming past the end", "disk", { type: TRIM, from: END, length: 512 }, NBD_EINVAL, "past EOF"],
  ["status past the end", "disk", { type: STATUS, from: END, length: 512 }, NBD_EINVAL, "past EOF"],
  ["a flush past the end", "disk", { type: FLUSH, from: END + 1n }, NBD_EINVAL, "past EOF"],
  [
    "a write to a read-only export",
    "ro",
    { type: WRITE, length: 512, payload: block(1) },
    NBD_EPERM,
    "Export is read-only",
  ],
  ["zeroes for a read-only export", "ro", { type: ZERO, length: 512 }, NBD_EPERM, "read-only"],
  ["trimming a read-only export", "ro", { type: TRIM, length: 512 }, NBD_EPERM, "read-only"],
  [
    "a flag of nobody's",
    "disk",
    { type: READ, length: 512, flags: 1 << 9 },
    NBD_EINVAL,
    "unsupported flags for command read (got 0x200)",
  ],
  [
    "a write with NO_HOLE",
    "disk",
    { type: WRITE, length: 512, flags: 2, payload: block(1) },
    NBD_EINVAL,
    "unsupported flags for command write",
  ],
  [
    "zeroes with DF",
    "disk",
    { type: ZERO, length: 512, flags: 4 },
    NBD_EINVAL,
    "write zeroes (got 0x4)",
  ],
  ["a flush with REQ_ONE", "disk", { type: FLUSH, flags: 8 }, NBD_EINVAL, "unsupported flags"],
  ["a trim with FAST_ZERO", "disk", { type: TRIM, length: 512, flags: 16 }, NBD_EINVAL, "flags"],
  ["status of nothing", "disk", { type: STATUS }, NBD_EINVAL, "need non-zero length"],
  ["status without a context", "disk", { type: STATUS, length: 512 }, NBD_EINVAL, "not negotiated"],
];

const LAST_WORDS: readonly [string, RawRequest][] = [
  ["has another magic number for requests", { magic: nbd.NBD_SIMPLE_REPLY_MAGIC, type: READ }],
  [
    "says goodbye, whatever else it says",
    { type: nbd.NBD_CMD_DISC, flags: 77, from: END, length: LONG },
  ],
];

const POSSIBLE: readonly [string, RawRequest][] = [
  ["a write with FUA", { type: WRITE, length: 512, flags: 1, payload: block(1) }],
  ["zeroes with all that they may have", { type: ZERO, length: 65_536, flags: 1 | 2 | 16 }],
  ["trimming with FUA", { type: TRIM, length: 65_536, flags: 1 }],
  ["caching", { type: CACHE, length: 3 * 65_536 }],
  ["a read with FUA", { type: READ, length: 0, flags: 1 }],
  ["zeroes of all of it", { type: ZERO, length: SIZE }],
];

describe.each([true, false])("a request that cannot be done, with chunks: %s", (structured) => {
  it("each of these is refused, and the next one is done", () => {
    misuses(REFUSED, function* (client, [_title, name, request, error, why]): Co<void> {
      yield* client.openExport(name, { structured });
      const answer = yield* client.askRequest({ ...request, cookie: 0xffff_ffff_ffff_ffffn });
      expect(answer).toMatchObject({ cookie: 0xffff_ffff_ffff_ffffn, error });
      expect(answer.text).toContain(structured ? why : "");
      expect(answer.type).toBe(structured ? nbd.NBD_REPLY_TYPE_ERROR : "simple");
      yield* client.expectService();
    });
  });

  it("DF is known to those that understand chunks", () => {
    misuse(function* (client): Co<void> {
      yield* client.openExport("disk", { structured });
      const answer = yield* client.askRequest({
        type: READ,
        length: 512,
        flags: nbd.NBD_CMD_FLAG_DF,
      });
      expect(answer.error).toBe(structured ? 0 : NBD_EINVAL);
    });
  });
});

describe("a connection ends when a client", () => {
  it("does one of these", () => {
    misuses(LAST_WORDS, function* (client, [_title, request]): Co<void> {
      yield* client.openExport();
      yield* client.sendRequest(request);
      yield* client.expectEnd();
    });
  });

  it("is about to write more than may be; it is told so", () => {
    misuse(function* (client): Co<void> {
      yield* client.openExport();
      expect(yield* client.askRequest({ type: WRITE, length: LONG })).toMatchObject({
        error: NBD_EINVAL,
      });
      yield* client.expectEnd();
    });
  });

  it.each([0, 27, 28, 500])(
    "goes away after %i bytes of a write, which is then not done",
    (bytes) => {
      misuse(
        function* (client): Co<void> {
          yield* client.openExport();
          const head = { type: WRITE, length: 512 };
          if (bytes >= 28) yield* client.sendRequest({ ...head, payload: block(1, bytes - 28) });
          else yield* client.sendRaw(new Uint8Array(bytes));
        },
        {
          *afterwards(connect): Co<void> {
            const client = yield* connect();
            yield* client.openExport();
            const answer = yield* client.askRequest({ type: READ, length: 512 });
            expect(answer.type).toBe(nbd.NBD_REPLY_TYPE_OFFSET_HOLE);
            client.close();
          },
        },
      );
    },
  );
});

/** How often a coroutine of the export's context was entered: the one that was most often. */
function entriesOfTheBusiest(reader: TraceReader): number {
  const entries = new Map<number, number>();
  for (const batch of reader.batches()) {
    for (let i = 0; i < batch.count; i++) {
      if (batch.kind(i) !== Ev.co_enter || batch.ctx(i) === 0) continue;
      const co = batch.arg(i, 0);
      entries.set(co, (entries.get(co) ?? 0) + 1);
    }
  }
  return Math.max(...entries.values());
}

describe("requests of every kind", () => {
  it("are all answered, each once, however many are sent at once", () => {
    misuse(function* (client): Co<void> {
      yield* client.openExport();
      const count = 100;
      for (let i = 0; i < count; i++)
        yield* client.sendRequest({
          type: i % 2 === 0 ? FLUSH : WRITE,
          cookie: BigInt(i),
          ...(i % 2 === 0 ? {} : { length: 512, payload: block(i) }),
        });
      const cookies = new Set<bigint>();
      for (let i = 0; i < count; i++) cookies.add((yield* client.hearAnswer()).cookie);
      expect(cookies.size).toBe(count);
    });
  });

  it.each([
    ["several at a time when they are short", 512, { least: 1, most: 1.2 }],
    [
      "one at a time when they are long, so that one is read while another is sent",
      65_536,
      { least: 1.3, most: 2 },
    ],
  ])("above what may be are received %s", (_how, length, { least, most }) => {
    const count = 100;
    const reader = misuse(
      function* (client): Co<void> {
        yield* client.openExport("disk", { structured: false });
        const read = requestBytes({ type: READ, length });
        yield* client.sendRaw(Buffer.concat(Array.from({ length: count }, () => read)));
        for (let i = 0; i < count; i++) yield* client.hearAnswer(length);
      },
      { latencyNs: 1_000_000 },
    );
    // Here a receive takes a while, so each has an entry, and so has each time that there was no room.
    const entries = entriesOfTheBusiest(reader);
    expect(entries).toBeGreaterThanOrEqual(least * count);
    expect(entries).toBeLessThanOrEqual(most * count);
  });

  it("a read says what is a hole, and has the data between, in order", () => {
    misuse(function* (client): Co<void> {
      yield* client.openExport();
      yield* client.askRequest({ type: WRITE, from: 65_536n, length: 512, payload: block(5) });
      yield* client.sendRequest({ type: READ, from: 0n, length: 196_608 });
      const answers: RawAnswer[] = [];
      do answers.push(yield* client.hearAnswer());
      while (((answers.at(-1)?.flags ?? 1) & nbd.NBD_REPLY_FLAG_DONE) === 0);
      const { NBD_REPLY_TYPE_OFFSET_DATA: DATA, NBD_REPLY_TYPE_OFFSET_HOLE: HOLE } = nbd;
      const shapes = answers.map(({ type, data }) => {
        const view = new DataView(data.buffer);
        const bytes = type === HOLE ? view.getUint32(8) : data.length - 8;
        return [type, Number(view.getBigUint64(0)), bytes];
      });
      expect(shapes).toEqual([
        [HOLE, 0, 65_536],
        [DATA, 65_536, 65_536],
        [HOLE, 131_072, 65_536],
      ]);
      expect(answers[1]?.data.subarray(8, 8 + 512).every((byte) => byte === 5)).toBe(true);
      const whole = yield* client.askRequest({
        type: READ,
        length: 196_608,
        flags: nbd.NBD_CMD_FLAG_DF,
      });
      expect(whole).toMatchObject({ type: DATA, flags: nbd.NBD_REPLY_FLAG_DONE });
      expect(whole.data[8 + 65_536]).toBe(5);
    });
  });

  it("nothing is read as nothing", () => {
    misuse(function* (client): Co<void> {
      yield* client.openExport();
      const answer = yield* client.askRequest({ type: READ });
      expect(answer).toMatchObject({ type: nbd.NBD_REPLY_TYPE_NONE, error: 0 });
    });
  });

  it("each of these is done", () => {
    misuses(POSSIBLE, function* (client, [_title, request]): Co<void> {
      yield* client.openExport();
      expect(yield* client.askRequest(request)).toMatchObject({ error: 0 });
    });
  });

  it("status says what is a hole, one extent if no more is wanted", () => {
    misuse(function* (client): Co<void> {
      yield* client.openExport("disk", { context: "base:allocation" });
      yield* client.askRequest({ type: WRITE, from: 65_536n, length: 512, payload: block(5) });
      for (const [flags, words] of [
        [0, [0, 65_536, 3, 65_536, 0, SIZE - 131_072, 3]],
        [nbd.NBD_CMD_FLAG_REQ_ONE, [0, 65_536, 3]],
      ] as const) {
        const answer = yield* client.askRequest({ type: STATUS, length: SIZE, flags });
        const view = new DataView(answer.data.buffer);
        const found = Array.from({ length: answer.data.length / 4 }, (_, i) =>
          view.getUint32(4 * i),
        );
        expect(found).toEqual(words);
      }
    });
  });
});
