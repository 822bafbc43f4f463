import { describe, expect, it } from "vitest";
import type { Co } from "#core/sched";
import { MessageWriter, utf8 } from "../channel.ts";
import { NBD_OPTIONS_MAX } from "../limits.ts";
import * as nbd from "../protocol.ts";
import { misuse, misuses, type RawClient, SIZE } from "./test-support.ts";

const UNANSWERABLE: readonly [string, (client: RawClient) => ReturnType<RawClient["sendRaw"]>][] = [
  ["has flags that there are not", (client) => client.greetServer(4)],
  [
    "has another magic number for options",
    function* (client): Co<void> {
      yield* client.greetServer();
      yield* client.sendRaw(new MessageWriter(16).u64(nbd.NBDMAGIC).u64(0n).done());
    },
  ],
  [
    "has not said that it understands answers, and wants one",
    function* (client): Co<void> {
      yield* client.greetServer(0);
      yield* client.sendOption(nbd.NBD_OPT_LIST);
    },
  ],
  [
    "opens by name what is not there",
    function* (client): Co<void> {
      yield* client.greetServer();
      yield* client.sendOption(nbd.NBD_OPT_EXPORT_NAME, utf8("nosuch"));
    },
  ],
  [
    "opens by name what is no text",
    function* (client): Co<void> {
      yield* client.greetServer();
      yield* client.sendOption(nbd.NBD_OPT_EXPORT_NAME, Uint8Array.of(0xff, 0xfe));
    },
  ],
  [
    "opens by a name that is too long",
    function* (client): Co<void> {
      yield* client.greetServer();
      yield* client.sendOption(nbd.NBD_OPT_EXPORT_NAME, new Uint8Array(4097).fill(0x61));
    },
  ],
  [
    "says that an option has more than 32 MiB",
    function* (client): Co<void> {
      yield* client.greetServer();
      yield* client.sendOption(nbd.NBD_OPT_GO, new Uint8Array(0), 32 * 1024 * 1024 + 1);
    },
  ],
];

describe("a connection ends, and others are served, when its client", () => {
  it("does one of these", () => {
    misuses(UNANSWERABLE, function* (client, [_title, body]): Co<void> {
      yield* body(client);
      yield* client.expectEnd();
    });
  });

  it("goes away in the middle of what it says", () => {
    const cuts = [0, 1, 4, 10, 19, 25].map((bytes) => [`after ${bytes} bytes`, bytes] as const);
    misuses(cuts, function* (client, [_title, bytes]): Co<void> {
      const all = new MessageWriter(26).u32(3).u64(nbd.IHAVEOPT).u32(nbd.NBD_OPT_GO).u32(6);
      yield* client.sendRaw(all.u32(4).u16(0).done().subarray(0, bytes));
    });
  });

  it("asks for more options than anybody needs", () => {
    misuse(function* (client): Co<void> {
      yield* client.greetServer();
      for (let left = NBD_OPTIONS_MAX; left > 0; left--) yield* client.askOption(nbd.NBD_OPT_LIST);
      yield* client.expectEnd();
    });
  });

  it("takes longer than there is time to ask for an export", () => {
    misuse(
      function* (client): Co<void> {
        yield* client.greetServer();
        yield* client.askOption(nbd.NBD_OPT_LIST);
        yield* client.expectEnd();
      },
      { handshakeNsMax: 5_000_000 },
    );
  });
});

describe("opening by name", () => {
  it.each([
    [1, 124],
    [3, 0],
  ])("with flags %i is answered with %i zeroes", (flags, zeroes) => {
    misuse(function* (client): Co<void> {
      yield* client.greetServer(flags);
      yield* client.sendOption(nbd.NBD_OPT_EXPORT_NAME, utf8("disk"));
      const size = new MessageWriter(8).u64(BigInt(SIZE)).done();
      expect((yield* client.receiveRaw(8))?.join()).toBe(size.join());
      yield* client.receiveRaw(2);
      expect((yield* client.receiveRaw(zeroes))?.every((byte) => byte === 0)).toBe(true);
      yield* client.expectService();
    });
  });

  it("is all that a client can that does not understand answers", () => {
    misuse(function* (client): Co<void> {
      yield* client.greetServer(0);
      yield* client.sendOption(nbd.NBD_OPT_EXPORT_NAME, utf8("disk"));
      yield* client.receiveRaw(134);
      yield* client.expectService();
    });
  });
});

describe("as many clients as may be", () => {
  it("are served; one more waits until one of them goes", () => {
    misuse(
      function* (client, connect): Co<void> {
        yield* client.openExport();
        const second = yield* connect();
        yield* second.openExport();
        const third = yield* connect();
        yield* client.expectService();
        second.close();
        yield* third.openExport();
        yield* third.expectService();
        third.close();
      },
      { maxConnections: 2 },
    );
  });
});
