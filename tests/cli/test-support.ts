// Runs the command line in this process, with streams that remember what was written.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { main } from "#cli";

/** What a command did. */
export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

class Remembering extends Writable {
  text = "";
  readonly isTTY: boolean;

  constructor(isTTY: boolean) {
    super();
    this.isTTY = isTTY;
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

/** `quiesce ARGV...`; `tty` makes both streams terminals. */
export async function quiesce(argv: readonly string[], { tty = false } = {}): Promise<Ran> {
  const stdout = new Remembering(tty);
  const stderr = new Remembering(tty);
  const code = await main(argv, { stdout, stderr });
  return { code, stdout: stdout.text, stderr: stderr.text };
}

/** A folder for the files of one test file, and how to remove it. */
export function temporaryFolder(): {
  readonly path: (name: string) => string;
  readonly remove: () => void;
} {
  const folder = mkdtempSync(join(tmpdir(), "quiesce-cli-"));
  return {
    path: (name) => join(folder, name),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Asserts-by-shape helper: one sentence for the user, and no stack. */
export const ONE_SENTENCE = /^quiesce: [^\n]+\.\n$/;
