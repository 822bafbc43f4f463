// An NBD client that does as little as it can, in a process of its own: node client.js '{"socket": ..., ...}'.
//
// Requests of one size, `depth` under way on each connection; each answer is checked for its error and counted, and the next
// request goes out with all others of the same turn in one write. Prints the requests that were answered and the seconds.

import net from "node:net";

/** What the client is to do. */
export interface Load {
  readonly socket: string;
  readonly name: string;
  readonly write: boolean;
  readonly sequential: boolean;
  readonly bytes: number;
  readonly depth: number;
  readonly connections: number;
  /** How many are measured; a quarter as many go before. */
  readonly requests: number;
}

const REQUEST_BYTES = 28;
const REPLY_BYTES = 16;
const REQUEST_MAGIC = 0x2560_9513;
const REPLY_MAGIC = 0x6744_6698;

/** A connection that has negotiated, and how large its export is. */
interface Ready {
  readonly socket: net.Socket;
  readonly size: number;
}

/** Simple replies only: fixed newstyle, NBD_OPT_GO without information requests. */
async function connect({ socket: path, name }: Load, onBytes: (bytes: Buffer) => void) {
  let handle = onBytes;
  const socket = net.connect({
    path,
    onread: {
      buffer: Buffer.alloc(1 << 20),
      callback: (count, buffer) => {
        handle((buffer as Buffer).subarray(0, count));
        return true;
      },
    },
  });
  const size = await new Promise<number>((resolve, reject) => {
    let got = Buffer.alloc(0);
    let hasGreeted = false;
    socket.on("error", reject);
    handle = (bytes) => {
      got = Buffer.concat([got, bytes]);
      if (!hasGreeted && got.length >= 18) {
        hasGreeted = true;
        got = got.subarray(18);
        socket.write(optionGo(name));
      }
      while (hasGreeted && got.length >= 20 && got.length >= 20 + got.readUInt32BE(16)) {
        const type = got.readUInt32BE(12);
        const end = 20 + got.readUInt32BE(16);
        if (type > 0x8000_0000) reject(new Error(`the server refuses the export: ${type}`));
        if (type === 3 && got.readUInt16BE(20) === 0) found = Number(got.readBigUInt64BE(22));
        if (type === 1) return resolve(found);
        got = got.subarray(end);
      }
    };
    let found = 0;
  });
  handle = onBytes;
  return { socket, size } satisfies Ready;
}

function optionGo(name: string): Buffer {
  const length = Buffer.byteLength(name);
  const message = Buffer.alloc(4 + 16 + 6 + length);
  message.writeUInt32BE(3, 0);
  message.write("IHAVEOPT", 4);
  message.writeUInt32BE(7, 12);
  message.writeUInt32BE(6 + length, 16);
  message.writeUInt32BE(length, 20);
  message.write(name, 24);
  return message;
}

/** One connection under load. */
class Worker {
  readonly #load: Load;
  readonly #replyBytes: number;
  readonly #messages: Buffer;
  readonly #messageBytes: number;
  #socket: net.Socket | null = null;
  #blocks = 0;
  #next = 0;
  #seed: number;
  /** Bytes of the reply that is on its way. */
  #at = 0;
  readonly #head = Buffer.alloc(REPLY_BYTES);
  answered = 0;
  isEnding = false;
  onAnswers: (count: number) => void = () => undefined;

  constructor(load: Load, index: number) {
    this.#load = load;
    this.#seed = index * 7919 + 1;
    this.#replyBytes = REPLY_BYTES + (load.write ? 0 : load.bytes);
    this.#messageBytes = REQUEST_BYTES + (load.write ? load.bytes : 0);
    this.#messages = Buffer.alloc(this.#messageBytes * load.depth, 0x5a);
    for (let i = 0; i < load.depth; i++) {
      const at = i * this.#messageBytes;
      this.#messages.writeUInt32BE(REQUEST_MAGIC, at);
      this.#messages.writeUInt32BE(load.write ? 1 : 0, at + 4);
      this.#messages.writeUInt32BE(load.bytes, at + 24);
    }
  }

  async start(): Promise<void> {
    const { socket, size } = await connect(this.#load, (bytes) => this.#received(bytes));
    this.#socket = socket;
    this.#blocks = Math.floor(size / this.#load.bytes);
    this.#next = this.#random();
    this.#send(this.#load.depth);
  }

  #random(): number {
    this.#seed = (Math.imul(this.#seed, 1_103_515_245) + 12_345) >>> 0;
    return (this.#seed >>> 4) % this.#blocks;
  }

  #send(count: number): void {
    const bytes = this.#messageBytes * count;
    for (let at = 0; at < bytes; at += this.#messageBytes) {
      const block = this.#load.sequential ? this.#next++ % this.#blocks : this.#random();
      const offset = block * this.#load.bytes;
      this.#messages.writeUInt32BE(Math.floor(offset / 2 ** 32), at + 16);
      this.#messages.writeUInt32BE(offset % 2 ** 32, at + 20);
    }
    // A copy, since the answers to the first of these may come before the last is sent.
    this.#socket?.write(Buffer.from(this.#messages.subarray(0, bytes)));
  }

  #received(bytes: Buffer): void {
    let done = 0;
    for (let at = 0; at < bytes.length; ) {
      if (this.#at < REPLY_BYTES) {
        const part = Math.min(REPLY_BYTES - this.#at, bytes.length - at);
        bytes.copy(this.#head, this.#at, at, at + part);
        this.#at += part;
        at += part;
        if (this.#at === REPLY_BYTES) this.#check();
      }
      const part = Math.min(this.#replyBytes - this.#at, bytes.length - at);
      this.#at += part;
      at += part;
      if (this.#at < this.#replyBytes || this.#at < REPLY_BYTES) continue;
      this.#at = 0;
      done++;
    }
    this.answered += done;
    this.onAnswers(done);
    if (done > 0 && !this.isEnding) this.#send(done);
  }

  /** Send no more; wait for what is under way, and say goodbye. */
  async end(): Promise<void> {
    this.isEnding = true;
    const goodbye = Buffer.alloc(REQUEST_BYTES);
    goodbye.writeUInt32BE(REQUEST_MAGIC, 0);
    goodbye.writeUInt16BE(2, 6);
    const socket = this.#socket;
    await new Promise<void>((resolve) => {
      socket?.on("close", () => resolve());
      socket?.end(goodbye);
    });
  }

  #check(): void {
    if (this.#head.readUInt32BE(0) !== REPLY_MAGIC) throw new Error("not a simple reply");
    if (this.#head.readUInt32BE(4) !== 0) throw new Error("a request failed");
  }
}

/** Wait until `requests` more are answered. */
function milestone(workers: readonly Worker[], requests: number): Promise<void> {
  let left = requests;
  return new Promise((resolve) => {
    for (const worker of workers) {
      worker.onAnswers = (count) => {
        left -= count;
        if (left <= 0) resolve();
      };
    }
  });
}

async function run(load: Load): Promise<void> {
  const workers = Array.from({ length: load.connections }, (_, index) => new Worker(load, index));
  for (const worker of workers) await worker.start();
  // What the server learns at first is not measured.
  await milestone(workers, load.requests / 4);
  const from = process.hrtime.bigint();
  const cpu = process.cpuUsage();
  await milestone(workers, load.requests);
  const seconds = Number(process.hrtime.bigint() - from) / 1e9;
  const { user, system } = process.cpuUsage(cpu);
  await Promise.all(workers.map((worker) => worker.end()));
  const answered = workers.reduce((sum, worker) => sum + worker.answered, 0);
  const busy = (user + system) / 1e6 / seconds;
  process.stdout.write(`${JSON.stringify({ seconds, answered, busy })}\n`);
}

await run(JSON.parse(process.argv[2] ?? "") as Load);
