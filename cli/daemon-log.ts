// The log of a daemon: one line for each thing that happened, as pino writes it for collectors, or as text for people.
//
// A line is written before the call that logs it comes back: the last ones, before a daemon ends or dies, matter most. So pino's
// destinations that gather lines, and its transports, which are other threads, are not used; a file is opened anew for each line,
// as somebody may have moved it away.

import { appendFileSync } from "node:fs";
import { resolve } from "node:path";
import { type Logger, pino } from "pino";
import type { TextStream } from "./terminal.ts";

export type LogLevel = "info" | "warn" | "error";

/** What is logged, how, and where to. */
export interface LogOptions {
  readonly logLevel: LogLevel;
  readonly logFormat: "text" | "json";
  /** A file that is appended to; else standard error. */
  readonly logFile?: string;
}

/** A value that a line has beside its message. */
export type LogFields = { readonly [key: string]: unknown };

/** Writes lines as the options say. */
export class DaemonLog {
  readonly #pino: Logger;

  /** `stderr`: null where nobody reads it. */
  constructor({ logLevel, logFormat, logFile }: LogOptions, stderr: TextStream | null) {
    // A daemon changes its folder.
    const path = logFile === undefined ? null : resolve(logFile);
    // One that can never be written is a mistake, and is said at once.
    if (path !== null) appendFileSync(path, "");
    const put = (line: string) => (path === null ? void stderr?.write(line) : append(path, line));
    const write = logFormat === "json" ? put : (line: string) => put(textOf(line));
    this.#pino = pino({ level: logLevel }, { write });
  }

  info(message: string, fields: LogFields = {}): void {
    this.#pino.info(fields, message);
  }

  /** An event of QMP. Its members have a place of their own: one of them is called `msg`, too. */
  event(name: string, data: LogFields): void {
    this.#pino.info({ data }, name);
  }

  warn(message: string): void {
    this.#pino.warn(message);
  }

  error(message: string): void {
    this.#pino.error(message);
  }
}

/** A disk that is full, or a folder that is gone, costs the line and not the daemon. */
function append(path: string, line: string): void {
  try {
    appendFileSync(path, line);
  } catch (error) {
    if (!(error instanceof Error && "syscall" in error)) throw error;
  }
}

/** A line of pino's, as people read it. */
function textOf(line: string): string {
  const { level, time, pid, hostname, msg, data, ...fields } = JSON.parse(line) as Record<
    string,
    unknown
  >;
  const rest = Object.entries({ ...fields, ...(data as LogFields | undefined) });
  const said = rest.map(([key, value]) => ` ${key}=${JSON.stringify(value)}`).join("");
  const when = new Date(Number(time)).toISOString();
  return `${when} ${pino.levels.labels[Number(level)]} ${msg}${said}\n`;
}
