// A client: its connection, what it has negotiated, and what of it is under way. State only.

import type { HostHandle } from "#core/base";
import { CoQueue, type GuestBuffer } from "#core/sched";
import { NbdChannel, type Word64 } from "./channel.ts";
import type { NbdExport } from "./export.ts";
import type { MetaContext } from "./meta-context.ts";
import type { NbdServer } from "./server.ts";

/** C: NBDClient. Written by its own coroutines, which all run in one context at a time: main, then that of the export. */
export class NbdClient {
  readonly server: NbdServer;
  readonly channel: NbdChannel;
  /** What it asked for; null while it negotiates. */
  nbdExport: NbdExport | null = null;
  /** What it says is encrypted, and who it is is known as well as the credentials ask for. */
  isSecure = false;
  structuredReply = false;
  /** What block status requests are answered with, and the export that the client chose them for. */
  metaContexts: readonly MetaContext[] = [];
  metaExport: NbdExport | null = null;
  /** Requests that are not answered yet, and the bytes of their buffers. */
  requests = 0;
  bytes = 0;
  /** The receiving coroutine, when it waits for its own requests to be answered. */
  readonly answered = new CoQueue();

  constructor(server: NbdServer, socket: HostHandle) {
    this.server = server;
    this.channel = new NbdChannel(socket);
  }
}

/** C: NBDRequest. */
export interface NbdRequest {
  readonly type: number;
  readonly flags: number;
  /** The client's, opaque: it comes back with the answer. */
  readonly cookie: Word64;
  readonly from: number;
  readonly length: number;
  /** Of a write what to write; of a read where to read to, with room for the answer's header in front. */
  readonly buffer: GuestBuffer | null;
}
