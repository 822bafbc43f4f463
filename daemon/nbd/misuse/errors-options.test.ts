import { describe, expect, it } from "vitest";
import type { Co } from "#core/sched";
import { MessageWriter, utf8 } from "../channel.ts";
import { NBD_META_QUERIES_MAX } from "../limits.ts";
import * as nbd from "../protocol.ts";
import { goData, metaQuery, misuse, misuses, SIZE } from "./test-support.ts";

const { NBD_REP_ERR_INVALID, NBD_REP_ERR_POLICY, NBD_REP_ERR_UNKNOWN, NBD_REP_ERR_UNSUP } = nbd;
const noText = new MessageWriter(8).u32(2).u16(0xfffe).u16(0).done();
const emptyName = (count: number) => new MessageWriter(8).u32(0).u32(count).done();
const junk = (bytes: number) => new Uint8Array(bytes).fill(0x61);

const REFUSED: readonly [string, number, Uint8Array, number, string][] = [
  ["unknown", 77, junk(9), NBD_REP_ERR_UNSUP, "Unsupported option 77 (<unknown>)"],
  ["obsolete (PEEK_EXPORT)", 4, junk(0), NBD_REP_ERR_UNSUP, "Unsupported option 4"],
  ["too long", nbd.NBD_OPT_GO, junk(300_000), NBD_REP_ERR_INVALID, "too long"],
  ["LIST with data", nbd.NBD_OPT_LIST, junk(1), NBD_REP_ERR_INVALID, "'list' has unexpected"],
  ["STARTTLS", nbd.NBD_OPT_STARTTLS, junk(0), NBD_REP_ERR_POLICY, "TLS not configured"],
  ["STARTTLS with data", nbd.NBD_OPT_STARTTLS, junk(1), NBD_REP_ERR_INVALID, "unexpected length"],
  ["STRUCTURED_REPLY with data", 8, junk(4), NBD_REP_ERR_INVALID, "unexpected length"],
  ["GO with nothing", nbd.NBD_OPT_GO, junk(0), NBD_REP_ERR_INVALID, "'go' has unexpected"],
  ["GO with half a length", nbd.NBD_OPT_GO, junk(3), NBD_REP_ERR_INVALID, "unexpected length"],
  ["GO with a name that is longer than it", nbd.NBD_OPT_GO, junk(8), NBD_REP_ERR_INVALID, ""],
  ["GO with a name that is no text", nbd.NBD_OPT_GO, noText, NBD_REP_ERR_INVALID, ""],
  ["GO without the count", nbd.NBD_OPT_GO, goData("d").subarray(0, 5), NBD_REP_ERR_INVALID, ""],
  ["GO with less than it counts", 7, goData("d", 1, 2).subarray(0, 9), NBD_REP_ERR_INVALID, ""],
  ["GO with more than it counts", 7, Uint8Array.of(...goData("d"), 0), NBD_REP_ERR_INVALID, ""],
  ["GO elsewhere", nbd.NBD_OPT_GO, goData("nosuch"), NBD_REP_ERR_UNKNOWN, "export 'nosuch' not"],
  ["INFO elsewhere", nbd.NBD_OPT_INFO, goData(""), NBD_REP_ERR_UNKNOWN, "export '' not present"],
  [
    "contexts without chunks",
    10,
    metaQuery("disk"),
    NBD_REP_ERR_INVALID,
    "structured reply is not",
  ],
  [
    "contexts without chunks, listed",
    9,
    metaQuery("disk"),
    NBD_REP_ERR_INVALID,
    "list meta context",
  ],
];

const WRONG_QUERIES: readonly [string, Uint8Array, number][] = [
  ["nothing", junk(0), NBD_REP_ERR_INVALID],
  ["no count", new MessageWriter(4).u32(0).done(), NBD_REP_ERR_INVALID],
  ["fewer queries than counted", emptyName(1), NBD_REP_ERR_INVALID],
  ["more queries than may be", emptyName(NBD_META_QUERIES_MAX + 1), NBD_REP_ERR_INVALID],
  ["more queries than counted", Uint8Array.of(...metaQuery("disk"), 0), NBD_REP_ERR_INVALID],
  ["a query that is too long", metaQuery("disk", "x".repeat(4097)), NBD_REP_ERR_INVALID],
  ["another export", metaQuery("nosuch", "base:allocation"), NBD_REP_ERR_UNKNOWN],
];

describe("an option that cannot be done is answered, and the next one is heard", () => {
  it("each of these", () => {
    misuses(REFUSED, function* (client, [_title, type, data, error, why]): Co<void> {
      yield* client.greetServer();
      const [reply] = yield* client.askOption(type, data);
      expect(reply).toMatchObject({ option: type, type: error });
      expect(reply?.text).toContain(why);
      expect((yield* client.askOption(nbd.NBD_OPT_GO, goData("disk"))).at(-1)?.type).toBe(
        nbd.NBD_REP_ACK,
      );
      yield* client.expectService();
    });
  });

  it("each of these about contexts; none is chosen then", () => {
    misuses(WRONG_QUERIES, function* (client, [_title, data, error]): Co<void> {
      yield* client.greetServer();
      yield* client.askOption(nbd.NBD_OPT_STRUCTURED_REPLY);
      yield* client.askOption(nbd.NBD_OPT_SET_META_CONTEXT, metaQuery("disk", "base:allocation"));
      const [reply] = yield* client.askOption(nbd.NBD_OPT_SET_META_CONTEXT, data);
      expect(reply?.type).toBe(error);
      yield* client.askOption(nbd.NBD_OPT_GO, goData("disk"));
      const status = yield* client.askRequest({ type: nbd.NBD_CMD_BLOCK_STATUS, length: 512 });
      expect(status).toMatchObject({ error: nbd.NBD_EINVAL });
      yield* client.expectService();
    });
  });
});

describe("options that can be done", () => {
  it("STRUCTURED_REPLY is done once", () => {
    misuse(function* (client): Co<void> {
      yield* client.greetServer();
      const types = [];
      for (let i = 0; i < 2; i++)
        types.push((yield* client.askOption(nbd.NBD_OPT_STRUCTURED_REPLY))[0]?.type);
      expect(types).toEqual([nbd.NBD_REP_ACK, NBD_REP_ERR_INVALID]);
    });
  });

  it("ABORT is acknowledged, and the connection ends", () => {
    misuse(function* (client): Co<void> {
      yield* client.greetServer();
      const [reply] = yield* client.askOption(nbd.NBD_OPT_ABORT, junk(3));
      expect(reply?.type).toBe(nbd.NBD_REP_ACK);
      yield* client.expectEnd();
    });
  });

  it("LIST names all exports with their descriptions", () => {
    misuse(function* (client): Co<void> {
      yield* client.greetServer();
      const replies = yield* client.askOption(nbd.NBD_OPT_LIST);
      const texts = replies.map(({ text }) => text.slice(4));
      expect(texts).toEqual(["diskthe disk", "rothe ro", ""]);
    });
  });

  it.each([nbd.NBD_OPT_INFO, nbd.NBD_OPT_GO])("%i tells what was asked for, and sizes", (type) => {
    misuse(function* (client): Co<void> {
      yield* client.greetServer();
      const asked = [nbd.NBD_INFO_NAME, nbd.NBD_INFO_NAME, nbd.NBD_INFO_BLOCK_SIZE, 999];
      const replies = yield* client.askOption(type, goData("ro", ...asked));
      const kinds = replies.slice(0, 4).map(({ data }) => new DataView(data.buffer).getUint16(0));
      const { NBD_INFO_NAME, NBD_INFO_DESCRIPTION, NBD_INFO_BLOCK_SIZE, NBD_INFO_EXPORT } = nbd;
      expect(kinds).toEqual([
        NBD_INFO_NAME,
        NBD_INFO_DESCRIPTION,
        NBD_INFO_BLOCK_SIZE,
        NBD_INFO_EXPORT,
      ]);
      const sizes = new MessageWriter(12)
        .u32(1)
        .u32(4096)
        .u32(32 * 1024 * 1024)
        .done();
      expect(replies[2]?.data.subarray(2).join()).toBe(sizes.join());
      const flags = new DataView((replies[3]?.data ?? junk(12)).buffer as ArrayBuffer).getUint16(
        10,
      );
      expect(flags & nbd.NBD_FLAG_READ_ONLY).not.toBe(0);
      expect(flags & (nbd.NBD_FLAG_SEND_TRIM | nbd.NBD_FLAG_SEND_FAST_ZERO)).toBe(0);
      if (type === nbd.NBD_OPT_GO) yield* client.expectService();
    });
  });

  it("contexts are in force for the export that they were chosen for", () => {
    misuse(function* (client): Co<void> {
      yield* client.greetServer();
      yield* client.askOption(nbd.NBD_OPT_STRUCTURED_REPLY);
      yield* client.askOption(nbd.NBD_OPT_SET_META_CONTEXT, metaQuery("ro", "base:allocation"));
      yield* client.askOption(nbd.NBD_OPT_GO, goData("disk"));
      const status = yield* client.askRequest({ type: nbd.NBD_CMD_BLOCK_STATUS, length: 512 });
      expect(status).toMatchObject({
        error: nbd.NBD_EINVAL,
        text: "CMD_BLOCK_STATUS not negotiated",
      });
    });
  });

  it.each([
    [["base:"], ["base:allocation"]],
    [["qemu:"], ["qemu:allocation-depth"]],
    [[], ["base:allocation", "qemu:allocation-depth"]],
    [["base:allocation", "base:allocation", "x:y", ""], ["base:allocation"]],
  ])("LIST_META_CONTEXT of %j lists %j", (queries, expected) => {
    misuse(function* (client): Co<void> {
      yield* client.greetServer();
      yield* client.askOption(nbd.NBD_OPT_STRUCTURED_REPLY);
      const replies = yield* client.askOption(
        nbd.NBD_OPT_LIST_META_CONTEXT,
        metaQuery("disk", ...queries),
      );
      expect(replies.pop()?.type).toBe(nbd.NBD_REP_ACK);
      expect(replies.map(({ text }) => text.slice(4))).toEqual(expected);
    });
  });

  it("SET_META_CONTEXT takes no namespace alone", () => {
    misuse(function* (client): Co<void> {
      yield* client.greetServer();
      yield* client.askOption(nbd.NBD_OPT_STRUCTURED_REPLY);
      const query = metaQuery("disk", "base:", "qemu:");
      expect(yield* client.askOption(nbd.NBD_OPT_SET_META_CONTEXT, query)).toHaveLength(1);
    });
  });

  it("a name may have any text", () => {
    misuse(function* (client): Co<void> {
      yield* client.greetServer();
      const name = "ü \u0000 \n";
      const [reply] = yield* client.askOption(nbd.NBD_OPT_INFO, goData(name));
      expect(reply?.text).toBe(`export '${name}' not present`);
      expect(utf8(name).length).toBeLessThan(SIZE);
    });
  });
});
