// Where a verb writes: data on stdout, everything for people who watch (progress, hints, complaints) on stderr.
//
// Colour follows the stream it is written to: NO_COLOR, FORCE_COLOR and TERM=dumb are Node's business (util.styleText asks the
// stream). A reader that has gone away (`quiesce dump run.trace | head`) is not an error: the process ends at once and
// quietly, with the code that a program ended by SIGPIPE has.

import { once } from "node:events";
import { constants } from "node:os";
import { styleText } from "node:util";
import { ExitCode } from "./exit-codes.ts";

/** A stream of text, perhaps a terminal. */
export type TextStream = NodeJS.WritableStream & {
  readonly isTTY?: boolean;
  readonly columns?: number;
};

/** Names of the styles that output uses; one place, so that the same thing has the same colour everywhere. */
export const STYLES = {
  title: ["bold"],
  strong: ["bold"],
  dim: ["dim"],
  good: ["green"],
  bad: ["red", "bold"],
  warn: ["yellow"],
  name: ["cyan"],
} as const satisfies Readonly<Record<string, readonly Parameters<typeof styleText>[0][]>>;

export type Style = keyof typeof STYLES;

/** Colours a text, or leaves it alone where there are no colours. */
export type Painter = (style: Style, text: string) => string;

/** The two streams of a run of the program. */
export interface Terminal {
  readonly stdout: TextStream;
  readonly stderr: TextStream;
}

/** The process's own streams. */
export const processTerminal: Terminal = { stdout: process.stdout, stderr: process.stderr };

/** When to colour: as the stream and the environment say, or in any case, or never. */
export type ColorMode = "auto" | "always" | "never";

/** A painter for what is written to `stream`. */
export function painterFor(stream: TextStream, mode: ColorMode = "auto"): Painter {
  if (mode === "never") return (_, text) => text;
  const how = mode === "always" ? { validateStream: false } : { stream };
  // Workaround: one format at a time, because Node 20's styleText does not ask the stream when given a list of them.
  return (style, text) =>
    STYLES[style].reduce<string>((painted, format) => styleText(format, painted, how), text);
}

const COLUMNS_DEFAULT = 100;
const COLUMNS_MIN = 60;
const COLUMNS_MAX = 140;

/** How wide text on `stream` may be. */
export function columnsOf(stream: TextStream): number {
  const columns = (stream.isTTY === true && stream.columns) || COLUMNS_DEFAULT;
  return Math.min(Math.max(columns, COLUMNS_MIN), COLUMNS_MAX);
}

/** Writes and waits until the reader has taken it, so that a long output needs little memory and notices a closed pipe. */
export async function writeAll(stream: TextStream, text: string): Promise<void> {
  if (!stream.write(text)) await once(stream, "drain");
  // Let an error event come through even while everything fits.
  await new Promise<void>((resolve) => setImmediate(resolve));
}

/** A reader that goes away ends the process quietly; output that cannot be written ends it with one sentence. */
export function endQuietlyOnClosedPipe(terminal: Terminal): void {
  for (const stream of [terminal.stdout, terminal.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") {
        if (stream !== terminal.stderr)
          terminal.stderr.write(`quiesce: the output cannot be written: ${error.message}.\n`);
        process.exit(ExitCode.input);
      }
      process.exit(ExitCode.signal + constants.signals.SIGPIPE);
    });
  }
}
