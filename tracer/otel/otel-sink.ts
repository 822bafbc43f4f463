// The OpenTelemetry bridge: spans for guest requests, drained sections and graph operations.
//
// A sink between the recorder and the sink that keeps the recording: spans are made from full batches, never on the
// recorder's hot path, because one span costs as much as hundreds of events. When no SDK is registered a batch is
// passed on unseen. Which requests are sampled is the SDK's affair.
//
//     guest request     req_begin ... req_end                        of one task
//     drained section   drain_begin . drain_poll_end . drain_ended   of one section
//     graph operation   graph_op_begin ... graph_op_end              nested, for each who runs
//
// A section or operation is a child of what the same context and task had begun last and not ended. Times are those of
// the recorder's clock, as fine as its stamps; without a clock they are the times at which batches were handed over.

import {
  type Attributes,
  type HrTime,
  ProxyTracerProvider,
  ROOT_CONTEXT,
  type Span,
  SpanStatusCode,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import { errnoName } from "#core/base";
import {
  DRAIN_KINDS,
  Ev,
  type EventBatch,
  KIND_MAX,
  REQUEST_TYPES,
  type Site,
  WIDE_SLOT,
} from "#core/probe";
import { EVENTS_PER_STAMP } from "#traces";
import type { Sink } from "../sink.ts";

/** How spans are made. */
export interface OtelOptions {
  /** The site table, for the names of operations. */
  readonly sites: readonly Site[];
  /** Milliseconds since 1970 of the zero of the recorder's clock. */
  readonly clockOriginMs?: number;
}

/** Passes batches on to `inner` and makes spans of them; see the file comment. */
export class OtelSink implements Sink {
  readonly #inner: Sink;
  readonly #spans: SpanMaker;

  constructor(inner: Sink, options: OtelOptions) {
    this.#inner = inner;
    this.#spans = new SpanMaker(options);
  }

  /** As `inner` wants it. */
  nextBatch(): EventBatch | undefined {
    return this.#inner.nextBatch?.();
  }

  write(batch: EventBatch, strings: readonly string[], stamps: readonly number[] = []): void {
    const tracer = registeredTracer();
    this.#spans.read(tracer, batch, stamps);
    this.#inner.write(batch, strings, stamps);
  }

  close(): void {
    this.#spans.endAll();
    this.#inner.close();
  }
}

/** The tracer of the SDK that is registered, or null when there is none. */
function registeredTracer(): Tracer | null {
  const provider = trace.getTracerProvider();
  if (!(provider instanceof ProxyTracerProvider)) return provider.getTracer("quiesce");
  return provider.getDelegateTracer("quiesce") ?? null;
}

/** Makes spans of the events of one run. */
class SpanMaker {
  readonly #sites: readonly Site[];
  readonly #clockOriginMs: number;
  /** By task. */
  readonly #requests = new Map<number, Span>();
  /** By section. */
  readonly #sections = new Map<number, Span>();
  /** By who runs: the sections and operations that they have begun and not ended, the innermost last. */
  readonly #nested = new Map<number, Span[]>();
  #eventsBefore = 0;
  #stamp: number | undefined;

  constructor(options: OtelOptions) {
    this.#sites = options.sites;
    this.#clockOriginMs = options.clockOriginMs ?? 0;
  }

  /** The next batch of the run; without a tracer it is only counted. */
  read(tracer: Tracer | null, batch: EventBatch, stamps: readonly number[]): void {
    const firstStamp = Math.ceil(this.#eventsBefore / EVENTS_PER_STAMP);
    for (let i = 0; tracer !== null && i < batch.count; i++) {
      if (MAKES_SPANS[batch.kind(i)] !== 1) continue;
      const stamp = Math.floor((this.#eventsBefore + i) / EVENTS_PER_STAMP) - firstStamp;
      this.#stamp = stamps[stamp] ?? this.#stamp;
      this.#event(tracer, batch, i);
    }
    this.#stamp = stamps.at(-1) ?? this.#stamp;
    this.#eventsBefore += batch.count;
  }

  /** Ends what the run left unfinished. */
  endAll(): void {
    const open = [...this.#requests.values(), ...[...this.#nested.values()].flat()];
    for (const span of open) span.setAttribute("quiesce.unfinished", true).end(this.#time());
  }

  #event(tracer: Tracer, batch: EventBatch, i: number): void {
    switch (batch.kind(i)) {
      case Ev.req_begin:
        this.#requestBegins(tracer, batch, i);
        break;
      case Ev.req_end:
        this.#requestEnds(batch, i);
        break;
      case Ev.drain_begin:
        this.#sectionBegins(tracer, batch, i);
        break;
      case Ev.drain_poll_end:
        this.#sections.get(batch.arg(i, 0))?.addEvent("poll phase ended", this.#time());
        break;
      case Ev.drain_ended:
        this.#sectionEnds(batch.arg(i, 0));
        break;
      case Ev.graph_op_begin:
        this.#begin(tracer, batch, i, this.#siteName(batch.arg(i, 0)), {});
        break;
      case Ev.graph_op_end:
        this.#nested.get(whoRuns(batch, i))?.pop()?.end(this.#time());
        break;
    }
  }

  #requestBegins(tracer: Tracer, batch: EventBatch, i: number): void {
    const attributes = {
      "quiesce.ctx": batch.ctx(i),
      "quiesce.task": batch.task(i),
      "quiesce.blk": batch.arg(i, 0),
      "quiesce.bytes": batch.arg(i, 2),
      "quiesce.offset": batch.arg(i, WIDE_SLOT),
    };
    const name = `block ${REQUEST_TYPES[batch.arg(i, 1)] ?? "request"}`;
    const options = { attributes, ...startTime(this.#time()) };
    this.#requests.set(batch.task(i), tracer.startSpan(name, options, ROOT_CONTEXT));
  }

  #requestEnds(batch: EventBatch, i: number): void {
    const span = this.#requests.get(batch.task(i));
    const ret = batch.arg(i, 2);
    if (span === undefined) return;
    span.setAttribute("quiesce.ret", ret);
    if (ret < 0) span.setStatus({ code: SpanStatusCode.ERROR, message: errnoName(-ret) });
    span.end(this.#time());
    this.#requests.delete(batch.task(i));
  }

  #sectionBegins(tracer: Tracer, batch: EventBatch, i: number): void {
    const span = this.#begin(tracer, batch, i, "drained section", {
      "quiesce.section": batch.arg(i, 0),
      "quiesce.node": batch.arg(i, 1),
      "quiesce.drain": DRAIN_KINDS[batch.arg(i, 2)] ?? "",
      "quiesce.site": this.#siteName(batch.arg(i, 3)),
    });
    this.#sections.set(batch.arg(i, 0), span);
  }

  /** Sections need not nest, and another may end one than began it. */
  #sectionEnds(section: number): void {
    const span = this.#sections.get(section);
    if (span === undefined) return;
    span.end(this.#time());
    this.#sections.delete(section);
    for (const [who, spans] of this.#nested) {
      if (spans.includes(span)) this.#nested.set(who, spans.toSpliced(spans.indexOf(span), 1));
    }
  }

  /** Begins a section or an operation within what the same context and task had begun. */
  #begin(tracer: Tracer, batch: EventBatch, i: number, name: string, what: Attributes): Span {
    const who = whoRuns(batch, i);
    const outer = this.#nested.get(who) ?? [];
    const parent = outer.at(-1);
    const within = parent === undefined ? ROOT_CONTEXT : trace.setSpan(ROOT_CONTEXT, parent);
    const attributes = { "quiesce.ctx": batch.ctx(i), "quiesce.task": batch.task(i), ...what };
    const span = tracer.startSpan(name, { attributes, ...startTime(this.#time()) }, within);
    this.#nested.set(who, [...outer, span]);
    return span;
  }

  #siteName(site: number): string {
    return this.#sites[site - 1]?.name ?? "graph operation";
  }

  /** When the event was recorded; undefined is now. */
  #time(): HrTime | undefined {
    if (this.#stamp === undefined) return undefined;
    const ms = this.#clockOriginMs + this.#stamp / 1e6;
    const seconds = Math.floor(ms / 1000);
    return [seconds, Math.round((ms - seconds * 1000) * 1e6)];
  }
}

/** 1 for the kinds that begin, mark or end a span. */
const MAKES_SPANS = new Uint8Array(KIND_MAX);
for (const kind of [
  ...[Ev.req_begin, Ev.req_end, Ev.graph_op_begin, Ev.graph_op_end],
  ...[Ev.drain_begin, Ev.drain_poll_end, Ev.drain_ended],
]) {
  MAKES_SPANS[kind] = 1;
}

function whoRuns(batch: EventBatch, i: number): number {
  return batch.task(i) * 256 + batch.ctx(i);
}

function startTime(time: HrTime | undefined): { startTime?: HrTime } {
  return time === undefined ? {} : { startTime: time };
}
