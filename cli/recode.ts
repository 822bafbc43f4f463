// quiesce export FILE --to quiesce --codec CODEC -o OUT: the same trace, its chunks stored in another way. Nothing else changes, so
// the digest stays what it was.

import { closeSync, ftruncateSync, openSync } from "node:fs";
import { counted } from "#analyzer/reports";
import { FileSink } from "#tracer";
import type { Codec } from "#traces";
import { ExitCode } from "./exit-codes.ts";
import { Progress } from "./progress.ts";
import type { Terminal } from "./terminal.ts";
import { incompleteness, withTrace } from "./trace-file.ts";

export async function recode(
  path: string,
  { output, codec }: { readonly output: string; readonly codec: Codec },
  terminal: Terminal,
): Promise<number> {
  const progress = new Progress(terminal);
  return withTrace(path, (reader) => {
    const fd = openSync(output, "w+");
    try {
      // A ring's tail does not begin with the run, which the first chunk says.
      let sink: FileSink | null = null;
      let events = 0;
      for (const batch of reader.batches()) {
        sink ??= new FileSink(fd, reader.header, { codec, firstEvent: reader.firstEvent });
        sink.write(batch, reader.strings, reader.clock?.ns ?? []);
        events += batch.count;
        progress.show(`Writing ${output}: ${counted(events, "event")}`);
      }
      (sink ?? new FileSink(fd, reader.header, { codec })).close();
    } catch (error) {
      // Half a trace would look like a whole one.
      ftruncateSync(fd);
      throw error;
    } finally {
      progress.clear();
      closeSync(fd);
    }
    const wrong = incompleteness(path, reader);
    if (wrong === null) return ExitCode.ok;
    terminal.stderr.write(`quiesce: ${wrong}\n`);
    return ExitCode.input;
  });
}
