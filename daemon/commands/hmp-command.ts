// human-monitor-command: the commands of the monitor for people that clients need, of which there is one.

import type { Polls } from "#core/sched";
import { command, type QmpCommand } from "../qmp/dispatch.ts";
import type { Sendable } from "../qmp/json-value.ts";
import { int, optional, str, struct } from "../qmp/schema.ts";
import type { Daemon } from "../state.ts";
import { hmpQemuIo } from "./qemu-io-command.ts";

const humanMonitorCommand = command(
  "human-monitor-command",
  struct({ "command-line": str, "cpu-index": optional(int()) }),
  function* (daemon: Daemon, { "command-line": line }): Polls<Sendable> {
    const lines = yield* runHmp(line, (text) => daemon.print(text));
    return lines.map((one) => `${one}\r\n`).join("");
  },
  str,
);

export const hmpCommands: readonly QmpCommand<Daemon>[] = [humanMonitorCommand];

/** handle_hmp_command (monitor/hmp.c:1033): what is answered. Polls. */
function* runHmp(line: string, print: (line: string) => void): Polls<readonly string[]> {
  const words = wordsOf(line);
  const [name, ...args] = words;
  if (name === undefined) return [];
  if (name !== "qemu-io") return [`unknown command: '${name}'`];
  const isQdev = args[0] === "-d";
  const [device, text, ...more] = isQdev ? args.slice(1) : args;
  if (device === undefined) return refused("block device name expected");
  if (text === undefined) return refused("string expected");
  if (more.length > 0) return refused("extraneous characters at the end of line");
  if (isQdev) return [`Error: Device '${device}' not found`];
  return yield* hmpQemuIo(device, text, print);
}

function refused(why: string): string[] {
  return [`qemu-io: ${why}`, 'Try "help qemu-io" for more information'];
}

/** get_str (monitor/hmp.c:79), word after word, up to a string that does not end. */
function wordsOf(line: string): string[] {
  const words: string[] = [];
  let rest = line.trimStart();
  while (rest !== "") {
    const quoted = /^"((?:[^"\\]|\\[nr\\'"])*)"/.exec(rest);
    if (quoted === null && rest.startsWith('"')) return words;
    const [whole = "", inside] = quoted ?? /^\S+/.exec(rest) ?? [];
    words.push(inside === undefined ? whole : unescaped(inside));
    rest = rest.slice(whole.length).trimStart();
  }
  return words;
}

function unescaped(text: string): string {
  return text.replaceAll(/\\(.)/g, (_all, letter: string) =>
    letter === "n" ? "\n" : letter === "r" ? "\r" : letter,
  );
}
