// The log of a daemon: one line for each thing that happened, as text for people or as JSON for collectors.
//
// The members of a JSON line are those of pino, which collectors know: level (30, 40, 50), time in milliseconds, pid, hostname, msg.

import { appendFileSync } from "node:fs";
import { hostname } from "node:os";
import { resolve } from "node:path";
import type { TextStream } from "./terminal.ts";

/** How grave a line is, by pino's numbers. */
const LEVELS = { info: 30, warn: 40, error: 50 } as const;

export type LogLevel = keyof typeof LEVELS;

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
  readonly #options: LogOptions;
  readonly #write: (line: string) => void;

  /** `stderr`: null where nobody reads it. */
  constructor(options: LogOptions, stderr: TextStream | null) {
    this.#options = options;
    const { logFile } = options;
    // A daemon changes its folder.
    const path = logFile === undefined ? null : resolve(logFile);
    this.#write =
      path === null ? (line) => stderr?.write(line) : (line) => appendFileSync(path, line);
  }

  info(message: string, fields: LogFields = {}): void {
    this.#log("info", message, fields);
  }

  warn(message: string, fields: LogFields = {}): void {
    this.#log("warn", message, fields);
  }

  error(message: string, fields: LogFields = {}): void {
    this.#log("error", message, fields);
  }

  #log(level: LogLevel, msg: string, fields: LogFields): void {
    if (LEVELS[level] < LEVELS[this.#options.logLevel]) return;
    const now = new Date();
    this.#write(
      this.#options.logFormat === "json"
        ? jsonLine(level, now, msg, fields)
        : textLine(level, now, msg, fields),
    );
  }
}

function jsonLine(level: LogLevel, now: Date, msg: string, fields: LogFields): string {
  const common = {
    level: LEVELS[level],
    time: now.getTime(),
    pid: process.pid,
    hostname: hostname(),
  };
  return `${JSON.stringify({ ...common, ...fields, msg })}\n`;
}

function textLine(level: LogLevel, now: Date, msg: string, fields: LogFields): string {
  const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${JSON.stringify(value)}`);
  return `${now.toISOString()} ${level} ${msg}${rest.join("")}\n`;
}
