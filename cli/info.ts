// quiesce info FILE: what a trace is, how large, and whether it is all there.

import { counted, grouped } from "#analyzer/reports";
import { printable } from "#core/base";
import { Ev, type EventBatch, LAYOUTS, RUN_STATUSES } from "#core/probe";
import { TraceDigest, type TraceReader } from "#traces";
import { ExitCode } from "./exit-codes.ts";
import { painterFor, type Terminal } from "./terminal.ts";
import { incompleteness, patchesOff, withTrace } from "./trace-file.ts";

export interface InfoOptions {
  readonly json?: boolean;
}

const SCHEMA_VERSION = 1;
/** Kinds of event that the text lists. */
const KINDS_SHOWN = 8;

/** What reading a trace from end to end tells about it. */
interface Survey {
  readonly digest: string;
  readonly chunks: number;
  readonly runStatus: string | null;
  /** How many there are of each kind of event, most first. */
  readonly kinds: readonly { readonly event: string; readonly count: number }[];
}

export async function info(
  path: string,
  options: InfoOptions,
  terminal: Terminal,
): Promise<number> {
  return withTrace(path, (reader) => {
    const survey = surveyOf(reader);
    const text =
      options.json === true
        ? `${JSON.stringify(asJson(path, reader, survey), null, 2)}\n`
        : asText(path, reader, survey, terminal);
    terminal.stdout.write(text);
    const wrong = incompleteness(path, reader);
    if (wrong === null) return ExitCode.ok;
    terminal.stderr.write(`quiesce: ${wrong}\n`);
    return ExitCode.input;
  });
}

function surveyOf(reader: TraceReader): Survey {
  const digest = new TraceDigest(reader.header);
  const counts = new Map<number, number>();
  let chunks = 0;
  let runStatus: string | null = null;
  for (const batch of reader.batches()) {
    chunks++;
    digest.add(batch);
    for (let index = 0; index < batch.count; index++) {
      const kind = batch.kind(index);
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
    }
    runStatus = endOf(batch) ?? runStatus;
  }
  const kinds = [...counts]
    .map(([kind, count]) => ({ event: LAYOUTS[kind]?.name ?? `kind${kind}`, count }))
    .sort((a, b) => b.count - a.count || (a.event < b.event ? -1 : 1));
  return { digest: digest.finish(reader.strings), chunks, runStatus, kinds };
}

function endOf(batch: EventBatch): string | null {
  const last = batch.count - 1;
  return batch.kind(last) === Ev.run_end ? (RUN_STATUSES[batch.arg(last, 0)] ?? null) : null;
}

function asJson(path: string, reader: TraceReader, survey: Survey): unknown {
  const { sites, ...header } = reader.header;
  return {
    schemaVersion: SCHEMA_VERSION,
    trace: path,
    ...header,
    patchesOff: patchesOff(reader.header),
    sites: sites.length,
    events: reader.events,
    firstEvent: reader.firstEvent,
    bytes: reader.bytes,
    complete: reader.complete,
    damage: reader.damage,
    ...survey,
  };
}

function asText(path: string, reader: TraceReader, survey: Survey, { stdout }: Terminal): string {
  const { header, events, bytes } = reader;
  const paint = painterFor(stdout);
  const { scenario, provenance } = header;
  const params = Object.entries(scenario.params).map(([name, value]) => `${name}=${value}`);
  const off = patchesOff(header);
  const kinds = survey.kinds
    .slice(0, KINDS_SHOWN)
    .map(({ event, count }) => `${event} ${grouped(count)}`);
  const state = reader.complete
    ? `complete, the run ended: ${survey.runStatus}`
    : paint("bad", "incomplete");
  const rows: readonly (readonly [string, string])[] = [
    [
      "scenario",
      [scenario.name, ...params, scenario.file ?? ""]
        .filter((part) => part !== "")
        .map(printable)
        .join("  "),
    ],
    ["seed", String(header.seed)],
    ["host", header.host],
    ["patches off", off.length === 0 ? "none" : off.join(", ")],
    ["lock", header.lock],
    ["level", header.level],
    ["events", `${grouped(events)} in ${counted(survey.chunks, "chunk")}, ${state}`],
    [
      "bytes",
      `${grouped(bytes)}${events === 0 ? "" : `, ${(bytes / events).toFixed(2)} an event`}`,
    ],
    ["digest", survey.digest],
    ["most", kinds.join(", ")],
    [
      "recorded",
      printable(
        `${provenance.createdAt} by quiesce ${provenance.quiesce}, Node ${provenance.node}, on ${provenance.host}`,
      ),
    ],
    [
      "format",
      `version ${header.formatVersion}, core ${header.coreVersion}, scheduling policy ${header.schedulerPolicy}`,
    ],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  const lines = rows.map(([name, value]) => `  ${paint("dim", name.padEnd(width))}  ${value}`);
  return `${paint("title", path)}\n${lines.join("\n")}\n`;
}
