// quiesce dump FILE: the events of a trace, one a line, for people and for grep. The number behind the `#` is the event's.

import { eventToJson, formatEvent, type TraceReader } from "#traces";
import { ExitCode } from "./exit-codes.ts";
import { type Terminal, writeAll } from "./terminal.ts";
import { incompleteness, withTrace } from "./trace-file.ts";

export interface DumpOptions {
  readonly json?: boolean;
}

/** Version of the shape of what --json prints. */
const SCHEMA_VERSION = 1;
/** Events that are written at once. */
const LINES_MAX = 2048;

export async function dump(
  path: string,
  options: DumpOptions,
  terminal: Terminal,
): Promise<number> {
  return withTrace(path, async (reader) => {
    if (options.json === true) {
      const { sites, ...header } = reader.header;
      await writeAll(
        terminal.stdout,
        `${JSON.stringify({ schemaVersion: SCHEMA_VERSION, ...header, sites: sites.length })}\n`,
      );
    }
    for (const text of pieces(reader, options.json === true)) await writeAll(terminal.stdout, text);
    const wrong = incompleteness(path, reader);
    if (wrong === null) return ExitCode.ok;
    terminal.stderr.write(`quiesce: ${wrong}\n`);
    return ExitCode.input;
  });
}

/** The lines of all events, in pieces of a size that one write can take. */
function* pieces(reader: TraceReader, json: boolean): Generator<string, void, undefined> {
  const tables = { strings: reader.strings, sites: reader.header.sites };
  let position = -1;
  for (const batch of reader.batches()) {
    if (position < 0) position = reader.firstEvent;
    let lines: string[] = [];
    for (let index = 0; index < batch.count; index++, position++) {
      if (json) lines.push(JSON.stringify(eventToJson(batch, index, tables, position)));
      else lines.push(`${formatEvent(batch, index, tables)}  # ${position}`);
      if (lines.length < LINES_MAX && index + 1 < batch.count) continue;
      yield `${lines.join("\n")}\n`;
      lines = [];
    }
  }
}
