// A client that says what it is told to, also what none should, in one simulated run with the server.
//
// `misuse` runs the client, then a decent one, which must be served; the run is recorded twice, replayed, and analysed.

import { expect } from "vitest";
import { analyze } from "#analyzer";
import { blkNewWithBs, blkUnref } from "#core/backend";
import { assert, type HostHandle } from "#core/base";
import { nullCoDriver, nullOpen, overlayOpen } from "#core/drivers";
import { BLK_PERM_CONSISTENT_READ, BLK_PERM_WRITE, bdrvUnref } from "#core/graph";
import {
  type AioContext,
  type Co,
  GuestBuffer,
  hostAllocate,
  hostReveal,
  machine,
  type Polls,
  type SocketAddress,
  socketClient,
  socketClose,
  socketConnect,
  socketRecv,
  socketSend,
} from "#core/sched";
import { recordTwice, type Scenario, type World } from "#explorer";
import { bytesSource, TraceReader } from "#traces";
import { roundTripOf } from "../../../tests/record-replay/test-support.ts";
import { MessageReader, MessageWriter, utf8 } from "../channel.ts";
import {
  type NbdExport,
  type NbdServer,
  type NbdServerOptions,
  nbdExportCreate,
  nbdExportDelete,
  nbdServerStart,
  nbdServerStop,
} from "../index.ts";
import * as nbd from "../protocol.ts";
import { SITE_CLIENT } from "../test-support.ts";

const ADDRESS: SocketAddress = { type: "unix", path: "nbd.sock" };
/** Bytes of both exports, "disk" and the read-only "ro". */
export const SIZE = 1024 * 1024;

/** An option's answer. */
export interface RawReply {
  readonly option: number;
  readonly type: number;
  readonly data: Uint8Array<ArrayBuffer>;
  /** The data as text: what an error says. */
  readonly text: string;
}

/** A request's answer: a simple one, or a chunk. */
export interface RawAnswer {
  readonly cookie: bigint;
  /** Of a chunk: its flags and type. */
  readonly flags: number;
  readonly type: number | "simple";
  readonly error: number;
  readonly text: string;
  readonly data: Uint8Array<ArrayBuffer>;
}

/** A request; what is not given is 0, or 7 for the cookie. */
export interface RawRequest {
  readonly magic?: number;
  readonly flags?: number;
  readonly type: number;
  readonly cookie?: bigint;
  readonly from?: bigint;
  readonly length?: number;
  readonly payload?: Uint8Array;
}

/** One connection. */
export class RawClient {
  readonly #socket: HostHandle;

  constructor(socket: HostHandle) {
    this.#socket = socket;
  }

  *sendRaw(bytes: Uint8Array): Co<void> {
    yield* socketSend(this.#socket, new GuestBuffer(bytes.length, bytes), 0, bytes.length);
  }

  /** Exactly so many bytes; null when the connection ends before. */
  *receiveRaw(bytes: number): Co<Uint8Array<ArrayBuffer> | null> {
    if (bytes === 0) return new Uint8Array(0);
    const buffer = hostAllocate(bytes);
    const got = yield* socketRecv(this.#socket, { buffer, start: 0, least: bytes, most: bytes });
    return got === bytes ? hostReveal(SITE_CLIENT, buffer, 0, bytes) : null;
  }

  /** The server says no more, ever. */
  *expectEnd(): Co<void> {
    expect(yield* this.receiveRaw(1)).toBeNull();
  }

  close(): void {
    socketClose(this.#socket);
  }

  /** Hear the greeting, and say what it is (by default: fixed newstyle, no zeroes). */
  *greetServer(flags = 3): Co<void> {
    const greeting = new MessageReader((yield* this.receiveRaw(18)) ?? new Uint8Array(18));
    expect(greeting.u64()).toBe(nbd.NBDMAGIC);
    expect(greeting.u64()).toBe(nbd.IHAVEOPT);
    expect(greeting.u16()).toBe(nbd.NBD_FLAG_FIXED_NEWSTYLE | nbd.NBD_FLAG_NO_ZEROES);
    yield* this.sendRaw(new MessageWriter(4).u32(flags).done());
  }

  *sendOption(type: number, data: Uint8Array = new Uint8Array(0), length = data.length): Co<void> {
    const head = new MessageWriter(16 + data.length).u64(nbd.IHAVEOPT).u32(type).u32(length);
    yield* this.sendRaw(head.raw(data).done());
  }

  *hearReply(): Co<RawReply> {
    const head = new MessageReader((yield* this.receiveRaw(20)) ?? new Uint8Array(20));
    expect(head.u64()).toBe(nbd.NBD_REP_MAGIC);
    const [option, type, length] = [head.u32(), head.u32(), head.u32()];
    const data = (yield* this.receiveRaw(length)) ?? new Uint8Array(0);
    return { option, type, data, text: new TextDecoder().decode(data) };
  }

  /** Say an option, and hear answers up to the last one, which is no piece of information. */
  *askOption(type: number, data?: Uint8Array): Co<RawReply[]> {
    yield* this.sendOption(type, data);
    const replies: RawReply[] = [];
    for (;;) {
      const reply = yield* this.hearReply();
      replies.push(reply);
      if (![nbd.NBD_REP_INFO, nbd.NBD_REP_SERVER, nbd.NBD_REP_META_CONTEXT].includes(reply.type))
        return replies;
    }
  }

  /** Open `name`, with structured replies unless told otherwise. */
  *openExport(name = "disk", { structured = true, context = "" } = {}): Co<void> {
    yield* this.greetServer();
    if (structured) yield* this.askOption(nbd.NBD_OPT_STRUCTURED_REPLY);
    if (context !== "")
      yield* this.askOption(nbd.NBD_OPT_SET_META_CONTEXT, metaQuery(name, context));
    const replies = yield* this.askOption(nbd.NBD_OPT_GO, goData(name));
    expect(replies.at(-1)?.type).toBe(nbd.NBD_REP_ACK);
  }

  *sendRequest(request: RawRequest): Co<void> {
    yield* this.sendRaw(requestBytes(request));
  }

  /** The next answer; `bytes` is how much data a simple one has. */
  *hearAnswer(bytes = 0): Co<RawAnswer> {
    const head = new MessageReader((yield* this.receiveRaw(16)) ?? new Uint8Array(16));
    const magic = head.u32();
    if (magic === nbd.NBD_SIMPLE_REPLY_MAGIC) {
      const [error, cookie] = [head.u32(), head.u64()];
      const data = (yield* this.receiveRaw(error === 0 ? bytes : 0)) ?? new Uint8Array(0);
      return { cookie, flags: 0, type: "simple", error, text: "", data };
    }
    expect(magic).toBe(nbd.NBD_STRUCTURED_REPLY_MAGIC);
    const [flags, type, cookie] = [head.u16(), head.u16(), head.u64()];
    const length = new MessageReader((yield* this.receiveRaw(4)) ?? new Uint8Array(4)).u32();
    const data = (yield* this.receiveRaw(length)) ?? new Uint8Array(0);
    const isError = type === nbd.NBD_REPLY_TYPE_ERROR;
    const error = isError ? new MessageReader(data).u32() : 0;
    const text = isError ? new TextDecoder().decode(data.subarray(6)) : "";
    return { cookie, flags, type, error, text, data };
  }

  /** Make a request, and hear its one answer. */
  *askRequest(request: RawRequest, bytes = 0): Co<RawAnswer> {
    yield* this.sendRequest(request);
    return yield* this.hearAnswer(bytes);
  }

  /** It is still served. */
  *expectService(bytes = 4): Co<void> {
    const answer = yield* this.askRequest(
      { type: nbd.NBD_CMD_READ, length: bytes, cookie: 99n },
      bytes,
    );
    expect(answer).toMatchObject({ cookie: 99n, error: 0 });
  }
}

/** A request as it is sent. */
export function requestBytes(request: RawRequest): Uint8Array {
  const { magic = nbd.NBD_REQUEST_MAGIC, flags = 0, type, cookie = 7n } = request;
  const { from = 0n, length = 0, payload = new Uint8Array(0) } = request;
  const message = new MessageWriter(28 + payload.length).u32(magic).u16(flags).u16(type);
  return message.u64(cookie).u64(from).u32(length).raw(payload).done();
}

/** What GO and INFO say. */
export function goData(name: string, ...asked: number[]): Uint8Array {
  const bytes = utf8(name);
  const message = new MessageWriter(6 + bytes.length + 2 * asked.length).u32(bytes.length);
  message.raw(bytes).u16(asked.length);
  for (const one of asked) message.u16(one);
  return message.done();
}

/** What SET_META_CONTEXT and LIST_META_CONTEXT say. */
export function metaQuery(name: string, ...queries: string[]): Uint8Array {
  const texts = [name, ...queries].map(utf8);
  const bytes = texts.reduce((sum, text) => sum + 4 + text.length, 4);
  const message = new MessageWriter(bytes);
  for (const [index, text] of texts.entries()) {
    message.u32(text.length).raw(text);
    if (index === 0) message.u32(queries.length);
  }
  return message.done();
}

export interface MisuseOptions extends Partial<Omit<NbdServerOptions, "address">> {
  /** What is done when the client is gone, instead of asking for decent service. */
  readonly afterwards?: (connect: () => Co<RawClient>) => Co<void>;
  /** How long a read takes of what was not written; by default no time. */
  readonly latencyNs?: number;
}

/** Run `body` as a client, then a decent one; all of it twice, and in replay. The recording. */
export function misuse(
  body: (client: RawClient, connect: () => Co<RawClient>) => Co<void>,
  options: MisuseOptions = {},
): TraceReader {
  const scenario: Scenario = {
    name: "misuse",
    title: "A client says what none should.",
    main: (world) => serve(world, options, body),
  };
  const { outcome, bytes } = recordTwice(scenario, { seed: 1, level: "full" });
  expect(outcome).toBe("ok");
  expect(roundTripOf(scenario, bytes)).toMatchObject({ problem: "" });
  const reader = TraceReader.open(bytesSource(bytes));
  const { sites } = reader.header;
  const { findings } = analyze({ batches: reader.batches(), sites, strings: reader.strings });
  expect(findings.map(({ rule }) => rule)).toEqual([]);
  return reader;
}

/** `misuse` with a client for each case, one after the other in one run; a failure says which case it is. */
export function misuses<C extends readonly [string, ...unknown[]]>(
  cases: readonly C[],
  body: (client: RawClient, one: C) => Co<void>,
): void {
  misuse(function* (_first, connect) {
    for (const one of cases) {
      const client = yield* connect();
      try {
        yield* body(client, one);
      } catch (error) {
        throw new Error(`${one[0]}: ${error instanceof Error ? error.message : error}`, {
          cause: error,
        });
      }
      client.close();
    }
  });
}

function* serve(
  world: World,
  options: MisuseOptions,
  body: (client: RawClient, connect: () => Co<RawClient>) => Co<void>,
): Polls<void> {
  const ctx = world.iothread("io0");
  const server = yield* nbdServerStart({ ...options, address: ADDRESS });
  const memory = { ctx, latencyNs: options.latencyNs ?? 0 };
  const disk = yield* exportMemory(server, memory, "disk", true);
  const ro = yield* exportMemory(server, memory, "ro", false);
  world.guest(machine.mainContext, function* (): Co<void> {
    const client = yield* connect();
    yield* body(client, connect);
    client.close();
    if (options.afterwards !== undefined) return yield* options.afterwards(connect);
    const decent = yield* connect();
    yield* decent.openExport();
    yield* decent.expectService();
    decent.close();
  });
  yield* world.joinGuests();
  for (const one of [disk, ro]) {
    yield* nbdExportDelete(server, one);
    yield* blkUnref(one.blk);
  }
  yield* nbdServerStop(server);
  yield* world.stopIothreads();
}

function* connect(): Co<RawClient> {
  const socket = socketClient(ADDRESS);
  assert(socket >= 0, "a socket can be had");
  assert((yield* socketConnect(socket as HostHandle)) === 0, "somebody listens");
  return new RawClient(socket as HostHandle);
}

/** Memory in clusters of 64 KiB, which read as zeroes until they are written. */
function* exportMemory(
  server: NbdServer,
  { ctx, latencyNs }: { readonly ctx: AioContext; readonly latencyNs: number },
  name: string,
  writable: boolean,
): Polls<NbdExport> {
  const nothing = { nodeName: `${name}-base`, ctx, size: SIZE, readZeroes: true, latencyNs };
  const backing = yield* nullOpen(nullCoDriver, nothing);
  const bs = yield* overlayOpen({ nodeName: name, ctx, size: SIZE, backing });
  const perm = BLK_PERM_CONSISTENT_READ | (writable ? BLK_PERM_WRITE : 0);
  const blk = yield* blkNewWithBs(bs, { name: "", perm });
  yield* bdrvUnref(bs);
  return yield* nbdExportCreate(server, blk, {
    name,
    description: `the ${name}`,
    writable,
    allocationDepth: true,
  });
}
