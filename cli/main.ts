// The command line. `main` parses the arguments, lets the verb run, and turns whatever happened into an exit code; the
// grammar is in grammar.ts, each verb in a file of its own, and no verb knows of commander.

import { endingOf } from "./exit-codes.ts";
import { parseAndRun } from "./grammar.ts";
import { endQuietlyOnClosedPipe, processTerminal, type Terminal } from "./terminal.ts";

/** Runs `quiesce ARGV...`; resolves to the exit code (design D12). */
export async function main(
  argv: readonly string[],
  terminal: Terminal = processTerminal,
): Promise<number> {
  if (terminal === processTerminal) endQuietlyOnClosedPipe(terminal);
  try {
    return await parseAndRun(argv, terminal);
  } catch (error) {
    const { code, text } = endingOf(error);
    terminal.stderr.write(text);
    return code;
  }
}
