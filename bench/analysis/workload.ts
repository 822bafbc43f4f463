// A run for the analyzer to judge, made up but lawful: guests at queue depth 16, each on a graph of its own (BlockBackend, raw,
// file) in an iothread of its own, and main that drains a graph now and then, edits its lists and lets it go. The mix of events is that of the
// demo's recording: a request is some forty events, a quarter of them reads of lists. Every drain waits for what is in
// flight and every request passes the gate, so that all pairs are covered; `sloppy` leaves out the drain of every nth edit.
//
// Batches are made one at a time and reused: fifty million events need no memory of their own.

import { Prng } from "#core/base";
import {
  ctxNumber,
  Drain,
  Ev,
  EventBatch,
  Klass,
  List,
  Request,
  type Site,
  WORLD_CTX,
} from "#core/probe";
import { FORMAT_VERSION, type TraceHeader } from "#traces";

const DEPTH = 16;
const BATCH_EVENTS = 4096;
/** An edit is some seventy events; no unit of work is longer. */
const ROOM = 600;

export interface WorkloadOptions {
  readonly events: number;
  readonly seed: number;
  /** Main and the iothreads: there is a guest for each of these. */
  readonly contexts: number;
  /** Requests between two edits. */
  readonly requestsPerEdit: number;
  /** Every how many edits the drain is left out; 0 for never. */
  readonly sloppy: number;
}

export const WORKLOAD: Omit<WorkloadOptions, "events"> = {
  seed: 1,
  contexts: 3,
  requestsPerEdit: 100,
  sloppy: 0,
};

const SITE_NAMES = [
  "blk_is_inserted",
  "blk_co_do_preadv_part",
  "bdrv_is_inserted",
  "bdrv_co_preadv_part",
  "raw_co_preadv",
  "bdrv_parent_drained_begin",
  "bdrv_parent_drained_poll",
  "bdrv_child_cb_attach",
  "bdrv_child_cb_detach",
  "bdrv_append",
] as const;

export const WORKLOAD_SITES: readonly Site[] = SITE_NAMES.map((name, i) => ({
  name,
  file: "block.c",
  line: 10 * (i + 1),
}));

function siteOf(name: (typeof SITE_NAMES)[number]): number {
  return SITE_NAMES.indexOf(name) + 1;
}

/** Strings of the run: entry 0 is "". */
export const WORKLOAD_STRINGS: readonly string[] = ["", "main", "iothread", "raw", "file", "drive"];

/** Of a trace that holds such a run. */
export const WORKLOAD_HEADER: TraceHeader = {
  formatVersion: FORMAT_VERSION,
  schedulerPolicy: 1,
  coreVersion: "",
  scenario: { name: "workload", params: {} },
  seed: WORKLOAD.seed,
  host: "simulated",
  level: "full",
  patchesOn: [],
  lock: "none",
  sites: WORKLOAD_SITES,
  provenance: { createdAt: "", host: "", node: "", quiesce: "" },
};

function stringOf(text: string): number {
  return WORKLOAD_STRINGS.indexOf(text);
}

interface InFlight {
  readonly guest: number;
  readonly task: number;
  readonly co: number;
  readonly op: number;
}

/** Yields the run in batches; each is valid until the next. */
export function* workload(options: WorkloadOptions): Generator<EventBatch, void, void> {
  const run = new Workload(options);
  for (const _ of run.steps()) {
    if (run.batch.count + ROOM <= BATCH_EVENTS) continue;
    yield run.batch;
    run.batch.count = 0;
  }
  yield run.batch;
}

class Workload {
  readonly batch = new EventBatch(BATCH_EVENTS);
  count = 0;
  readonly #options: WorkloadOptions;
  readonly #prng: Prng;
  readonly #guests: number;
  readonly #inFlight: InFlight[][];
  readonly #ids = { task: 0, co: 0, op: 0, section: 0, bh: 0, edge: 0 };
  #requests = 0;
  #edits = 0;
  #ctx = 0;
  #task = 0;

  constructor(options: WorkloadOptions) {
    this.#options = options;
    this.#prng = new Prng(options.seed);
    this.#guests = options.contexts - 1;
    this.#inFlight = Array.from({ length: this.#guests }, () => []);
    this.#ids.edge = 2 * this.#guests;
  }

  #emit(kind: number, a = 0, b = 0, c = 0, d = 0): void {
    this.batch.push(
      kind,
      this.#ctx,
      this.#task,
      a,
      b,
      c,
      d,
      kind === Ev.req_begin ? 4096 * this.#requests : 0,
    );
    this.count++;
  }

  /** The whole run; in each turn fewer than ROOM events are added to the batch. */
  *steps(): Generator<void, void, void> {
    yield* this.#setUp();
    while (this.count < this.#options.events) {
      this.#step();
      yield;
    }
    this.#tearDown();
  }

  *#setUp(): Generator<void, void, void> {
    const contexts = Array.from({ length: this.#guests }, (_, guest) => ctxNumber(guest + 1));
    this.#emit(Ev.ctx_new, 0, stringOf("main"));
    for (const ctx of contexts) {
      this.#emit(Ev.ctx_new, ctx, stringOf("iothread"));
      yield;
    }
    for (let guest = 1; guest <= this.#guests; guest++) {
      this.#emit(Ev.bs_new, 2 * guest - 1, stringOf("file"), stringOf("file"));
      this.#emit(Ev.bs_new, 2 * guest, stringOf("raw"), stringOf("raw"));
      this.#emit(Ev.blk_new, guest, stringOf("drive"));
      this.#emit(Ev.edge_new, 2 * guest - 1, Klass.child_of_bds, 2 * guest, stringOf("file"));
      this.#emit(Ev.edge_new, 2 * guest, Klass.child_root, guest, stringOf("drive"));
      this.#link(2 * guest, 2 * guest - 1, 2 * guest - 1);
      this.#emit(Ev.list_set, List.edge_bs, 2 * guest, 2 * guest, siteOf("bdrv_child_cb_attach"));
      this.#emit(
        Ev.list_insert,
        List.parents,
        2 * guest,
        2 * guest,
        siteOf("bdrv_child_cb_attach"),
      );
      this.#emit(Ev.list_set, List.blk_root, guest, 2 * guest, siteOf("bdrv_child_cb_attach"));
      yield;
    }
    for (const ctx of contexts) {
      this.#ctx = 0;
      this.#emit(Ev.ctx_start, ctx);
      this.#ctx = ctx;
      this.#emit(Ev.ctx_run, ctx);
      yield;
    }
  }

  #tearDown(): void {
    this.#ctx = 0;
    this.#task = 0;
    this.#emit(Ev.run_end, 1);
  }

  /** One request begins and one ends, or main edits. */
  #step(): void {
    const guest = 1 + this.#prng.below(this.#guests);
    const flying = this.#inFlight[guest - 1] as InFlight[];
    if (flying.length >= DEPTH)
      this.#complete(flying.splice(this.#prng.below(flying.length), 1)[0] as InFlight);
    flying.push(this.#begin(guest));
    if (++this.#requests % this.#options.requestsPerEdit === 0) this.#edit(guest, flying);
  }

  #begin(guest: number): InFlight {
    const raw = 2 * guest;
    const file = raw - 1;
    const request = { guest, task: ++this.#ids.task, co: ++this.#ids.co, op: ++this.#ids.op };
    this.#ctx = ctxNumber(guest);
    this.#bottomHalf();
    this.#emit(Ev.co_create, request.co);
    this.#emit(Ev.co_enter, request.co);
    this.#task = request.task;
    this.#emit(Ev.task_begin, request.task, request.co);
    this.#emit(Ev.blk_in_flight_inc, guest, 1);
    this.#emit(Ev.req_begin, guest, Request.read, 4096);
    this.#emit(Ev.gate_read, guest, 0, 1);
    this.#emit(Ev.list_read, List.blk_root, guest, siteOf("blk_is_inserted"));
    this.#emit(Ev.list_read, List.edge_bs, raw, siteOf("blk_is_inserted"));
    this.#emit(Ev.list_read, List.children, raw, siteOf("bdrv_is_inserted"));
    this.#emit(Ev.list_read, List.edge_bs, file, siteOf("bdrv_is_inserted"));
    this.#emit(Ev.list_read, List.children, file, siteOf("bdrv_is_inserted"));
    this.#emit(Ev.list_read, List.blk_root, guest, siteOf("blk_co_do_preadv_part"));
    this.#emit(Ev.list_read, List.edge_bs, raw, siteOf("blk_co_do_preadv_part"));
    this.#emit(Ev.bs_in_flight_inc, raw, 1);
    this.#emit(Ev.tracked_begin, raw, Request.read, 4096);
    this.#emit(Ev.list_read, List.file, raw, siteOf("raw_co_preadv"));
    this.#emit(Ev.list_read, List.edge_bs, file, siteOf("bdrv_co_preadv_part"));
    this.#emit(Ev.list_read, List.children, file, siteOf("bdrv_is_inserted"));
    this.#emit(Ev.bs_in_flight_inc, file, 1);
    this.#emit(Ev.tracked_begin, file, Request.read, 4096);
    this.#emit(Ev.io_submit, request.op, Request.read, 1, 4096);
    this.#emit(Ev.co_yield, request.co);
    this.#task = 0;
    return request;
  }

  #bottomHalf(): void {
    const bh = ++this.#ids.bh;
    this.#emit(Ev.bh_schedule, bh, this.#ctx);
    this.#emit(Ev.bh_run, bh);
    this.#emit(Ev.bh_done, bh);
  }

  #complete({ guest, task, co, op }: InFlight): void {
    const raw = 2 * guest;
    const file = raw - 1;
    this.#ctx = WORLD_CTX;
    this.#emit(Ev.io_complete, op, 0, 4096, 1);
    this.#ctx = ctxNumber(guest);
    this.#emit(Ev.io_done, op, 4096);
    this.#emit(Ev.co_wake, co);
    this.#emit(Ev.co_enter, co);
    this.#task = task;
    this.#emit(Ev.lock_acquire, 10 + guest, 3, 1);
    this.#emit(Ev.lock_release, 10 + guest, 3, 0);
    this.#emit(Ev.tracked_end, file, Request.read);
    this.#lower(Ev.bs_in_flight_dec, file);
    this.#emit(Ev.tracked_end, raw, Request.read);
    this.#lower(Ev.bs_in_flight_dec, raw);
    this.#emit(Ev.req_end, guest, Request.read, 4096);
    this.#lower(Ev.blk_in_flight_dec, guest);
    this.#emit(Ev.task_end, task, co);
    this.#task = 0;
    this.#emit(Ev.co_terminate, co);
  }

  #lower(kind: number, id: number): void {
    this.#emit(kind, id, 0);
    this.#emit(Ev.kick, 0);
  }

  /** Main inserts a node above raw and takes it out again, inside one drained section. */
  #edit(guest: number, flying: InFlight[]): void {
    this.#edits++;
    const sloppy = this.#options.sloppy > 0 && this.#edits % this.#options.sloppy === 0;
    const raw = 2 * guest;
    const section = ++this.#ids.section;
    this.#main();
    this.#emit(Ev.graph_op_begin, siteOf("bdrv_append"));
    if (!sloppy) this.#drain(section, guest, flying);
    this.#main();
    const edge = ++this.#ids.edge;
    this.#emit(Ev.edge_new, edge, Klass.child_of_bds, raw, stringOf("file"));
    this.#link(raw, raw - 1, edge);
    this.#unlink(raw, raw - 1, edge);
    this.#emit(Ev.edge_free, edge);
    if (!sloppy) this.#undrain(section, guest);
    this.#emit(Ev.graph_op_end, siteOf("bdrv_append"));
  }

  #main(): void {
    this.#ctx = 0;
    this.#task = 0;
  }

  #drain(section: number, guest: number, flying: InFlight[]): void {
    const raw = 2 * guest;
    this.#emit(Ev.drain_begin, section, raw, Drain.subtree, siteOf("bdrv_append"));
    for (const node of [raw, raw - 1]) {
      this.#emit(Ev.bs_quiesce, node, 1, section);
      this.#emit(Ev.list_read, List.parents, node, siteOf("bdrv_parent_drained_begin"));
    }
    this.#emit(Ev.blk_quiesce, guest, 1, section, raw);
    this.#emit(Ev.wait_begin, section, ctxNumber(guest), siteOf("bdrv_append"));
    for (const request of flying.splice(0)) {
      this.#complete(request);
      this.#main();
      this.#emit(Ev.list_read, List.parents, raw, siteOf("bdrv_parent_drained_poll"));
      this.#emit(Ev.blk_in_flight_read, guest, flying.length, section);
    }
    this.#main();
    this.#emit(Ev.blk_in_flight_read, guest, 0, section);
    this.#emit(Ev.bs_in_flight_read, raw, 0, section);
    this.#emit(Ev.bs_in_flight_read, raw - 1, 0, section);
    this.#emit(Ev.wait_end, section, 1);
    this.#emit(Ev.drain_poll_end, section);
    this.#emit(Ev.drain_begun, section);
  }

  #undrain(section: number, guest: number): void {
    const raw = 2 * guest;
    this.#emit(Ev.drain_end, section, siteOf("bdrv_append"));
    this.#emit(Ev.blk_unquiesce, guest, 0, section, raw);
    for (const node of [raw, raw - 1]) this.#emit(Ev.bs_unquiesce, node, 0, section);
    this.#emit(Ev.drain_ended, section);
  }

  #link(parent: number, child: number, edge: number): void {
    const site = siteOf("bdrv_child_cb_attach");
    this.#emit(Ev.list_set, List.edge_bs, edge, child, site);
    this.#emit(Ev.list_insert, List.children, parent, edge, site);
    this.#emit(Ev.list_set, List.file, parent, edge, site);
    this.#emit(Ev.list_insert, List.parents, child, edge, site);
  }

  #unlink(parent: number, child: number, edge: number): void {
    const site = siteOf("bdrv_child_cb_detach");
    this.#emit(Ev.list_remove, List.parents, child, edge, site);
    this.#emit(Ev.list_remove, List.children, parent, edge, site);
    this.#emit(Ev.list_set, List.edge_bs, edge, 0, site);
  }
}
