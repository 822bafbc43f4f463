// A made-up run that looks like one: for benchmarks, tests, and the stored traces that must open for ever.
//
// Two iothreads serve a guest each, at queue depth 16, through a BlockBackend, a raw node and a file node; completions
// come back out of order and sometimes fail. Every so often main drains one of the graphs and inserts or drops a filter.
// Nothing here checks the protocol: the events are only as many, as regular and as irregular as real ones.

import { Prng } from "#core/base";
import { Drain, Ev, List, type ProbeBase, Request, type Site, WORLD_CTX } from "#core/probe";

/** What a made-up run is made of. */
export interface SyntheticOptions {
  readonly seed: number;
  readonly requests: number;
  /** Requests between two edits of a graph by main. */
  readonly requestsPerEdit?: number;
}

/** The sites that the made-up run names. */
export const syntheticSites: readonly Site[] = [
  "bdrv_co_flush/children",
  "bdrv_drain_poll/parents",
  "bdrv_insert_node",
  "bdrv_is_inserted/children",
  "bdrv_parent_drained_begin/parents",
  "bdrv_replace_child_noperm/children",
  "bdrv_replace_child_noperm/parents",
  "blk_bs/root",
  "bdrv_co_preadv/file",
].map((name, index) => ({ name, file: "block.c", line: 100 * index + 17 }));

/** Emits the run to `probe`, whose context and task it sets. Ends with run_end. */
export function emitSyntheticRun(probe: ProbeBase, options: SyntheticOptions): void {
  const run = new SyntheticRun(probe, options.seed);
  run.setUp();
  const perEdit = options.requestsPerEdit ?? 50;
  for (let done = 0; done < options.requests; done++) {
    run.completeOne();
    if (done % perEdit === perEdit - 1) run.edit();
  }
  run.tearDown();
}

const DEPTH = 16;
const GUESTS = 2;

/** A request in flight. */
interface Pending {
  readonly guest: number;
  readonly co: number;
  readonly task: number;
  readonly op: number;
  readonly type: number;
}

class SyntheticRun {
  readonly #probe: ProbeBase;
  readonly #prng: Prng;
  readonly #pending: Pending[] = [];
  readonly #inFlight = [0, 0, 0];
  readonly #position = [0, 0, 0];
  #co = 0;
  #task = 0;
  #op = 0;
  #section = 0;
  #nodes = 2 * GUESTS;
  #edges = 2 * GUESTS;
  #steps = 0;

  constructor(probe: ProbeBase, seed: number) {
    this.#probe = probe;
    this.#prng = new Prng(seed);
  }

  setUp(): void {
    const probe = this.#probe;
    probe.ctx = 0;
    for (let guest = 1; guest <= GUESTS; guest++) {
      probe.emit(Ev.ctx_new, guest, probe.intern(`iothread${guest}`));
      probe.emit(Ev.bs_new, guest * 2 - 1, probe.intern(`file${guest}`), probe.intern("file"));
      probe.emit(Ev.bs_new, guest * 2, probe.intern(`raw${guest}`), probe.intern("raw"));
      probe.emit(Ev.blk_new, guest, probe.intern(`guest${guest}`));
    }
    for (let guest = 1; guest <= GUESTS; guest++) {
      for (let i = 0; i < DEPTH; i++) this.#start(guest);
    }
  }

  /** The world completes a request; its context ends it and starts the next. */
  completeOne(): void {
    const probe = this.#probe;
    const rank = this.#prng.chance(3, 4) ? 0 : this.#prng.below(this.#pending.length);
    const [request] = this.#pending.splice(rank, 1);
    if (request === undefined) return;
    const ret = this.#prng.chance(1, 200) ? -5 : 0;
    this.#as(WORLD_CTX, 0);
    probe.emit(Ev.io_complete, request.op, rank, ret, this.#steps);
    this.#steps = 0;
    this.#as(request.guest, 0);
    probe.emit(Ev.io_done, request.op, ret);
    probe.emit(Ev.co_enter, request.co);
    this.#end(request, ret);
    this.#start(request.guest);
  }

  #start(guest: number): void {
    const probe = this.#probe;
    const type = this.#prng.pick([Request.read, Request.read, Request.write, Request.flush]);
    const sequential = this.#prng.chance(1, 2);
    const place = sequential ? (this.#position[guest] ?? 0) + 8 : this.#prng.below(1 << 22);
    this.#position[guest] = place;
    const offset = type === Request.flush ? 0 : place * 512;
    const bytes = type === Request.flush ? 0 : 4096;
    const request = { guest, type, co: ++this.#co, task: ++this.#task, op: ++this.#op };
    const [file, raw] = [guest * 2 - 1, guest * 2];
    this.#as(guest, 0);
    probe.emit(Ev.co_create, request.co);
    probe.emit(Ev.co_enter, request.co);
    probe.emitWide(Ev.req_begin, offset, guest, type, bytes);
    this.#as(guest, request.task);
    this.#inFlight[guest] = (this.#inFlight[guest] ?? 0) + 1;
    probe.emit(Ev.blk_in_flight_inc, guest, this.#inFlight[guest] ?? 0);
    probe.emit(Ev.task_begin, request.task, request.co);
    probe.emit(Ev.gate_read, guest, 0, 1);
    probe.emit(Ev.list_read, List.blk_root, guest, 8);
    probe.emit(Ev.list_read, List.edge_bs, guest * 2, 8);
    probe.emit(Ev.list_read, List.children, raw, type === Request.flush ? 1 : 4);
    this.#enterNode(raw, type, bytes, offset);
    probe.emit(Ev.list_read, List.file, raw, 9);
    probe.emit(Ev.list_read, List.edge_bs, guest * 2 - 1, 9);
    probe.emit(Ev.list_read, List.children, file, type === Request.flush ? 1 : 4);
    this.#enterNode(file, type, bytes, offset);
    probe.emitWide(Ev.io_submit, offset, request.op, type, guest, bytes);
    probe.emit(Ev.co_yield, request.co);
    this.#pending.push(request);
    this.#steps++;
  }

  #enterNode(node: number, type: number, bytes: number, offset: number): void {
    this.#probe.emit(Ev.bs_in_flight_inc, node, this.#inFlight[(node + 1) >> 1] ?? 0);
    this.#probe.emitWide(Ev.tracked_begin, offset, node, type, bytes);
  }

  #end(request: Pending, ret: number): void {
    const probe = this.#probe;
    const { guest, type } = request;
    this.#as(guest, request.task);
    const left = (this.#inFlight[guest] ?? 0) - 1;
    this.#inFlight[guest] = left;
    for (const node of [guest * 2 - 1, guest * 2]) {
      probe.emit(Ev.tracked_end, node, type);
      probe.emit(Ev.bs_in_flight_dec, node, left);
      probe.emit(Ev.kick, 0);
    }
    probe.emit(Ev.blk_in_flight_dec, guest, left);
    probe.emit(Ev.kick, 0);
    probe.emit(Ev.task_end, request.task, request.co);
    this.#as(guest, 0);
    probe.emit(Ev.req_end, guest, type, ret);
    probe.emit(Ev.co_terminate, request.co);
  }

  /** Main drains a graph, waits for its requests, and puts a new node into it. */
  edit(): void {
    const probe = this.#probe;
    const guest = 1 + this.#prng.below(GUESTS);
    const [file, raw, section] = [guest * 2 - 1, guest * 2, ++this.#section];
    this.#as(0, 0);
    probe.emit(Ev.graph_op_begin, 3);
    probe.emit(Ev.drain_begin, section, raw, Drain.subtree, 3);
    for (const node of [raw, file]) {
      probe.emit(Ev.bs_quiesce, node, 1, section, node === raw ? 0 : file);
      probe.emit(Ev.list_read, List.parents, node, 5);
    }
    probe.emit(Ev.blk_quiesce, guest, 1, section, raw);
    for (let left = this.#inFlight[guest] ?? 0; left > 0; left--) {
      probe.emit(Ev.list_read, List.parents, raw, 2);
      probe.emit(Ev.blk_in_flight_read, guest, left, section);
    }
    probe.emit(Ev.drain_poll_end, section);
    probe.emit(Ev.drain_begun, section);
    const [node, edge] = [++this.#nodes, ++this.#edges];
    probe.emit(Ev.bs_new, node, probe.intern("throttle0"), probe.intern("throttle"));
    probe.emit(Ev.list_insert, List.children, node, edge, 6);
    probe.emit(Ev.list_insert, List.parents, raw, edge, 7);
    probe.emit(Ev.list_remove, List.parents, raw, edge, 7);
    probe.emit(Ev.bs_free, node);
    probe.emit(Ev.drain_end, section, 3);
    for (const below of [raw, file]) probe.emit(Ev.bs_unquiesce, below, 0, section, 0);
    probe.emit(Ev.blk_unquiesce, guest, 0, section, raw);
    probe.emit(Ev.drain_ended, section);
    probe.emit(Ev.graph_op_end, 3);
  }

  tearDown(): void {
    while (this.#pending.length > 0) {
      const request = this.#pending.shift();
      if (request === undefined) break;
      this.#as(request.guest, 0);
      probeDone(this.#probe, request.op);
      this.#end(request, 0);
    }
    this.#as(0, 0);
    this.#probe.emit(Ev.run_end, 1, this.#steps);
  }

  #as(ctx: number, task: number): void {
    this.#probe.ctx = ctx;
    this.#probe.task = task;
  }
}

function probeDone(probe: ProbeBase, op: number): void {
  probe.emit(Ev.io_done, op, 0);
}
