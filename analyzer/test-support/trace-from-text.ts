// Traces drawn as text: one column a context, rows are time.
//
//   main                  | io1
//   drained s1 n1 b1 @f   |
//   remove children n1 e1 @editor |
//   release s1 n1 b1      |
//                         | r1: begin; inc b1; gate b1; read children n1 @reader; dec b1; end
//
// A cell holds statements with `;` between them; `r1:` says which request task runs the rest of the cell. Objects are a
// letter and their number: n node, b BlockBackend, j job, e edge, s section, r task, c coroutine, h bottom half or fd
// handler, t timer, o operation, l lock, w wait. Contexts are called as in the first row. `@name` is a site. A statement with `~` in
// front is what a test is about: `traceFromText(text, { marked: false })` leaves it out. The vocabulary is VERBS below.

import { assert, must } from "#core/base";
import {
  Drain,
  Ev,
  Klass,
  List,
  LockKindOf,
  Owner,
  Phase,
  Request,
  type Site,
  Status,
} from "#core/probe";
import type { TraceInput } from "../input.ts";
import { BatchWriter } from "./batches.ts";

/** How to read a drawing. */
export interface DrawingOptions {
  /** Whether statements with `~` are there; true by default. */
  readonly marked?: boolean;
}

/** The trace that `text` draws. */
export function traceFromText(text: string, options: DrawingOptions = {}): TraceInput {
  return new Drawing(options.marked ?? true).read(text);
}

class Drawing {
  readonly writer = new BatchWriter();
  readonly #sites: Site[] = [];
  readonly #strings: string[] = [""];
  readonly #contexts: string[] = [];
  readonly #marked: boolean;
  #ctx = 0;
  #task = 0;

  constructor(marked: boolean) {
    this.#marked = marked;
  }

  read(text: string): TraceInput {
    const rows = text.split("\n").filter((row) => row.trim() !== "");
    const [head, ...body] = rows;
    this.#contexts.push(...columns(must(head, "a drawing names its contexts")));
    for (const row of body) {
      columns(row).forEach((cell, ctx) => {
        this.#cell(cell, ctx);
      });
    }
    return { batches: this.writer.batches, sites: this.#sites, strings: this.#strings };
  }

  #cell(cell: string, ctx: number): void {
    this.#ctx = ctx;
    this.#task = 0;
    for (const part of cell.split(";")) {
      const [, task, marked, statement] = /^\s*(?:(r\d+):)?\s*(~?)\s*(.*?)\s*$/.exec(part) ?? [];
      if (task !== undefined) this.#task = Number(task.slice(1));
      if (statement === undefined || statement === "") continue;
      if (marked === "~" && !this.#marked) continue;
      this.#statement(statement.split(/\s+/));
    }
  }

  #statement(words: readonly string[]): void {
    const [verb = "", ...rest] = words;
    const verbs: Readonly<Record<string, Verb>> = VERBS;
    const say = must(verbs[verb], `a drawing knows the verb ${verb}`);
    const site = rest.find((word) => word.startsWith("@"));
    say(
      new Statement(
        this,
        rest.filter((word) => word !== site),
        site === undefined ? 0 : this.#site(site.slice(1)),
      ),
    );
  }

  emit(kind: number, a = 0, b = 0, c = 0, d = 0): void {
    this.writer.push(kind, this.#ctx, this.#task, a, b, c, d);
  }

  emitWide(kind: number, wide: number, a: number, b: number): void {
    this.writer.push(kind, this.#ctx, this.#task, a, b, 0, 0, wide);
  }

  get task(): number {
    return this.#task;
  }

  get ctx(): number {
    return this.#ctx;
  }

  #site(name: string): number {
    let at = this.#sites.findIndex((site) => site.name === name);
    if (at < 0)
      at = this.#sites.push({ name, file: "block.c", line: 10 * (this.#sites.length + 1) }) - 1;
    return at + 1;
  }

  string(text: string): number {
    const at = this.#strings.indexOf(text);
    return at >= 0 ? at : this.#strings.push(text) - 1;
  }

  context(name: string): number {
    const ctx = this.#contexts.indexOf(name);
    assert(ctx >= 0, "a drawing names its contexts in the first row");
    return ctx;
  }
}

function columns(row: string): string[] {
  return row.split("|").map((cell) => cell.trim());
}

/** A verb's words. */
class Statement {
  readonly words: readonly string[];
  readonly site: number;
  readonly #drawing: Drawing;

  constructor(drawing: Drawing, words: readonly string[], site: number) {
    this.#drawing = drawing;
    this.words = words;
    this.site = site;
  }

  get task(): number {
    return this.#drawing.task;
  }

  get ctx(): number {
    return this.#drawing.ctx;
  }

  emit(kind: number, a = 0, b = 0, c = 0, d = 0): void {
    this.#drawing.emit(kind, a, b, c, d);
  }

  emitWide(kind: number, wide: number, a: number, b: number): void {
    this.#drawing.emitWide(kind, wide, a, b);
  }

  word(index: number): string {
    return this.words[index] ?? "";
  }

  has(word: string): boolean {
    return this.words.includes(word);
  }

  /** The number of the object at `index`; 0 when there is none. */
  id(index: number): number {
    return Number(this.word(index).slice(1)) || 0;
  }

  /** The first letter of the object at `index`: its kind. */
  letter(index: number): string {
    return this.word(index).charAt(0);
  }

  /** The number of the first object of kind `letter`; 0 when there is none. */
  find(letter: string): number {
    const word = this.words.find(
      (candidate) => /^[a-z]\d+$/.test(candidate) && candidate.startsWith(letter),
    );
    return word === undefined ? 0 : Number(word.slice(1));
  }

  list(index: number): number {
    return must(
      List[this.word(index) as keyof typeof List],
      "lists are called as in the catalogue",
    );
  }

  /** The kind of lock that the word at `index` names; an AioContext lock when there is none. */
  lockKind(index: number): number {
    return LockKindOf[this.word(index) as keyof typeof LockKindOf] ?? LockKindOf.aio_context;
  }

  string(index: number): number {
    return this.#drawing.string(this.word(index));
  }

  context(index: number): number {
    return this.#drawing.context(this.word(index));
  }

  with(words: readonly string[]): Statement {
    return new Statement(this.#drawing, words, this.site);
  }
}

type Verb = (s: Statement) => void;

const LEVEL_UP = { n: Ev.bs_quiesce, b: Ev.blk_quiesce, j: Ev.job_pause } as const;
const LEVEL_DOWN = { n: Ev.bs_unquiesce, b: Ev.blk_unquiesce, j: Ev.job_resume } as const;
const COUNTER_READ = {
  n: Ev.bs_in_flight_read,
  b: Ev.blk_in_flight_read,
  j: Ev.job_busy_read,
} as const;
const OWNERS = { n: Owner.node, b: Owner.blk, j: Owner.job } as const;

function kindOf<T>(table: Readonly<Record<string, T>>, letter: string): T {
  return must(table[letter], "n, b or j");
}

function edit(kind: number): Verb {
  return (s) => s.emit(kind, s.list(0), s.id(1), s.id(2), s.site);
}

function plain(kind: number, extra = 0): Verb {
  return (s) => s.emit(kind, s.id(0), extra);
}

/** Each object of a section in turn. */
function eachHold(s: Statement, body: (letter: string, id: number) => void): void {
  for (const word of s.words.slice(1))
    if (/^[nbj]\d+$/.test(word)) body(word.charAt(0), Number(word.slice(1)));
}

const VERBS = {
  // Tasks, counters, gates.
  begin: (s) => s.emit(Ev.task_begin, s.task, s.id(0)),
  end: (s) => s.emit(Ev.task_end, s.task, s.id(0)),
  /** `request b1`: the running task is a write at it. */
  request: (s) => s.emit(Ev.req_begin, s.id(0), Request.write, 512),
  "request-end": (s) => s.emit(Ev.req_end, s.id(0), Request.write),
  inc: (s) => s.emit(s.letter(0) === "n" ? Ev.bs_in_flight_inc : Ev.blk_in_flight_inc, s.id(0), 1),
  dec: (s) => s.emit(s.letter(0) === "n" ? Ev.bs_in_flight_dec : Ev.blk_in_flight_dec, s.id(0), 0),
  /** `below n1`: a decrement that takes the counter below zero. */
  below: (s) =>
    s.emit(s.letter(0) === "n" ? Ev.bs_in_flight_dec : Ev.blk_in_flight_dec, s.id(0), -1),
  zero: (s) => s.emit(kindOf(COUNTER_READ, s.letter(0)), s.id(0), 0, s.find("s")),
  busy: (s) => s.emit(kindOf(COUNTER_READ, s.letter(0)), s.id(0), 1, s.find("s")),
  gate: (s) => s.emit(Ev.gate_read, s.id(0), s.has("shut") ? 1 : 0, s.has("unqueued") ? 0 : 1),
  queue: (s) => s.emit(Ev.req_queued, s.id(0), s.id(1)),
  wake: (s) => s.emit(Ev.req_wake, s.id(0), s.id(1)),
  resumed: (s) => s.emit(Ev.req_resumed, s.id(0), s.id(1)),
  // Sections and levels.
  drain: (s) =>
    s.emit(
      Ev.drain_begin,
      s.id(0),
      s.id(1),
      s.has("subtree") ? Drain.subtree : Drain.single,
      s.site,
    ),
  waited: plain(Ev.drain_poll_end),
  begun: plain(Ev.drain_begun),
  undrain: (s) => s.emit(Ev.drain_end, s.id(0), s.site),
  undrained: plain(Ev.drain_ended),
  up: (s) => s.emit(kindOf(LEVEL_UP, s.letter(0)), s.id(0), 1, s.find("s"), s.find("e")),
  down: (s) => s.emit(kindOf(LEVEL_DOWN, s.letter(0)), s.id(0), 0, s.find("s"), s.find("e")),
  transfer: (s) =>
    s.emit(Ev.quiesce_transfer, kindOf(OWNERS, s.letter(0)), s.id(0), s.id(1), s.id(2)),
  /** A whole drained_begin: `drained s1 n1 b1` is begun on n1, holds n1 and b1, and has waited. */
  drained: (s) => {
    VERBS.drain(s);
    eachHold(s, (letter, id) => s.emit(kindOf(LEVEL_UP, letter), id, 1, s.id(0)));
    eachHold(s, (letter, id) => s.emit(kindOf(COUNTER_READ, letter), id, 0, s.id(0)));
    VERBS.waited(s);
    VERBS.begun(s);
  },
  /** As drained, without waiting (the _no_poll forms). */
  quiesced: (s) => {
    VERBS.drain(s);
    eachHold(s, (letter, id) => s.emit(kindOf(LEVEL_UP, letter), id, 1, s.id(0)));
    VERBS.begun(s);
  },
  /** A whole drained_end. */
  release: (s) => {
    VERBS.undrain(s);
    eachHold(s, (letter, id) => s.emit(kindOf(LEVEL_DOWN, letter), id, 0, s.id(0)));
    VERBS.undrained(s);
  },
  // Lists.
  read: (s) => s.emit(Ev.list_read, s.list(0), s.id(1), s.site),
  insert: edit(Ev.list_insert),
  remove: edit(Ev.list_remove),
  set: edit(Ev.list_set),
  iter: (s) => s.emit(Ev.iter_begin, s.list(0), s.id(1), s.site),
  "iter-end": (s) => s.emit(Ev.iter_end, s.list(0), s.id(1), s.site),
  // The graph.
  node: (s) => s.emit(Ev.bs_new, s.id(0), s.string(1), 0),
  blk: (s) => s.emit(Ev.blk_new, s.id(0), s.string(1)),
  /** `edge e1 n2 file`: from node 2 (or b, j), called file. */
  edge: (s) => {
    const klass = { n: Klass.child_of_bds, b: Klass.child_root, j: Klass.child_job };
    s.emit(Ev.edge_new, s.id(0), kindOf(klass, s.letter(1)), s.id(1), s.string(2));
  },
  /** `home n1 io1`: node (or b) 1 moves there from main. */
  home: (s) => s.emit(s.letter(0) === "n" ? Ev.bs_ctx : Ev.blk_ctx, s.id(0), 0, s.context(1)),
  /** `level e1 2`: the edge's count of quiesce levels is 2. */
  level: (s) => s.emit(Ev.edge_quiesce, s.id(0), Number(s.word(1))),
  free: (s) =>
    s.emit(
      s.letter(0) === "n" ? Ev.bs_free : s.letter(0) === "b" ? Ev.blk_free : Ev.edge_free,
      s.id(0),
    ),
  op: (s) => s.emit(Ev.graph_op_begin, s.site),
  "op-end": (s) => s.emit(Ev.graph_op_end, s.site),
  abort: (s) => s.emit(Ev.tran_action_begin, 1, Phase.abort, s.string(0)),
  "abort-end": (s) => s.emit(Ev.tran_action_end, 1, Phase.abort, s.string(0)),
  // Contexts, locks, the event loop.
  context: (s) => s.emit(Ev.ctx_new, s.context(0), s.string(0)),
  start: (s) => s.emit(Ev.ctx_start, s.context(0)),
  run: (s) => s.emit(Ev.ctx_run, s.ctx),
  stop: (s) => s.emit(Ev.ctx_stop, s.ctx),
  join: (s) => s.emit(Ev.ctx_join, s.context(0)),
  "lock-new": (s) => s.emit(Ev.lock_new, s.id(0), 1, s.string(1)),
  /** `lock l1`: an AioContext lock; `lock l1 bql`, `lock l1 mutex`: another kind. */
  lock: (s) => s.emit(Ev.lock_acquire, s.id(0), s.lockKind(1), 1),
  unlock: (s) => s.emit(Ev.lock_release, s.id(0), s.lockKind(1), 0),
  mutex: (s) => s.emit(Ev.lock_acquire, s.id(0), LockKindOf.co_mutex, 1),
  unmutex: (s) => s.emit(Ev.lock_release, s.id(0), LockKindOf.co_mutex, 0),
  rdlock: (s) => s.emit(Ev.graph_rdlock, s.site),
  rdunlock: (s) => s.emit(Ev.graph_rdunlock, s.site),
  wrlock: (s) => s.emit(Ev.graph_wrlock, s.site),
  wrunlock: (s) => s.emit(Ev.graph_wrunlock, s.site),
  schedule: plain(Ev.bh_schedule),
  bh: plain(Ev.bh_run),
  "bh-done": plain(Ev.bh_done),
  enable: (s) => s.emit(Ev.external_enable, s.context(0), 0),
  disable: (s) => s.emit(Ev.external_disable, s.context(0), 1),
  fd: (s) => s.emit(Ev.fd_run, s.id(0), s.has("internal") ? 0 : 1, s.has("disabled") ? 1 : 0),
  arm: plain(Ev.timer_arm),
  fire: plain(Ev.timer_run),
  kick: (s) => s.emit(Ev.kick, 1),
  "wait-end": (s) => s.emit(Ev.wait_end, 1, 1),
  /** `wait w1 @f`, `look w1 busy`, `wait-over w1`: AIO_WAIT_WHILE step by step. */
  wait: (s) => s.emit(Ev.wait_begin, s.id(0), 0, s.site),
  look: (s) => s.emit(Ev.wait_check, s.id(0), s.has("busy") ? 1 : 0),
  "wait-over": (s) => s.emit(Ev.wait_end, s.id(0), 1),
  "wait-lost": (s) => s.emit(Ev.wait_lost, s.context(0), s.site),
  poll: (s) => s.emit(Ev.poll_begin, 2, 1),
  polled: (s) => s.emit(Ev.poll_end, 2, 1),
  "co-create": plain(Ev.co_create),
  enter: plain(Ev.co_enter),
  yield: plain(Ev.co_yield),
  terminate: plain(Ev.co_terminate),
  "co-wake": plain(Ev.co_wake),
  "co-schedule": plain(Ev.co_schedule),
  submit: plain(Ev.io_submit),
  complete: plain(Ev.io_done),
  wrap: plain(Ev.wrapper_begin),
  wrapped: plain(Ev.wrapper_end),
  // Jobs.
  "job-gate": (s) => s.emit(Ev.job_gate_read, s.id(0), s.has("paused") ? 1 : 0),
  idle: (s) => s.emit(Ev.job_busy, s.id(0), 0),
  completion: (s) => s.emit(Ev.completion_begin, s.id(0), s.site),
  completed: (s) => s.emit(Ev.completion_end, s.id(0), s.site),
  /** `clock 1000`: the core reads the clock. */
  clock: (s) => s.emitWide(Ev.clock_read, Number(s.word(0)), 0, 0),
  sleep: plain(Ev.job_sleep),
  /** `slept j1 500`: its sleep ends 500 ns early; with a third word, because it is cancelled. */
  slept: (s) =>
    s.emitWide(Ev.job_sleep_end, Number(s.word(1)), s.id(0), s.has("cancelled") ? 1 : 0),
  // Verdicts.
  assertion: (s) => s.emit(Ev.model_assert, s.site, s.string(0)),
  "wrong-thread": (s) => s.emit(Ev.wrong_thread, s.site),
  "wrong-home": (s) => s.emit(Ev.wrong_home, s.site, s.context(0), s.has("polls") ? 1 : 0),
  stuck: (s) => s.emit(Ev.stuck, s.context(0), 0, s.site),
  "run-end": (s) => s.emit(Ev.run_end, Status[s.word(0) as keyof typeof Status]),
} satisfies Readonly<Record<string, Verb>>;
