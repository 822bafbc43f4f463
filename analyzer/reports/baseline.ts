// The baseline: fingerprints of what was found before, so that a gate can look at what is new. Fingerprints know no lines, so
// a baseline survives edits above a finding.
//
// `--write-baseline` writes the form below, one finding a line so that changes of it can be read in a review. A SARIF log or
// the JSON of an earlier run will do as well. All three say how their fingerprints were made, and are refused where that was otherwise
// than today: every finding would be new.
//
//   { "kind": "quiesce-baseline", "schemaVersion": 2, "findings": [
//   {"fingerprint":"0123456789abcdef","rule":"race","list":"children","title":"…"},
//   … ] }

import { QuiesceError } from "#core/base";
import { FINGERPRINT_VERSION, type Finding } from "../findings.ts";
import { FINDING_PRINT } from "./report.ts";

/** A finding that the baseline has. */
export interface BaselineEntry {
  readonly fingerprint: string;
  /** What it was, for people; "" where the file does not say. */
  readonly rule: string;
  readonly title: string;
}

export interface Baseline {
  /** The file. */
  readonly name: string;
  readonly entries: ReadonlyMap<string, BaselineEntry>;
}

const KIND = "quiesce-baseline";

/** Reads a baseline; QuiesceError with one sentence for what is none, or is of no use. */
export function parseBaseline(text: string, name: string): Baseline {
  const read = contentsOf(parsed(text, name));
  if (read === null) {
    throw new QuiesceError(
      "input",
      `${name}: This is no baseline: races --write-baseline makes one, and a report of --sarif or --json will do.`,
    );
  }
  if (read.isOtherwise) {
    throw new QuiesceError(
      "input",
      `${name}: This baseline is of a quiesce that made fingerprints otherwise, so every finding would be new: make it again with races --write-baseline, or with a report of today.`,
    );
  }
  if (read.isBroken) {
    throw new QuiesceError(
      "input",
      `${name}: An entry of this baseline has no fingerprint of 16 hexadecimal digits: races --write-baseline makes it anew.`,
    );
  }
  const entries = new Map<string, BaselineEntry>();
  for (const entry of read.entries) {
    if (entry.fingerprint !== "") entries.set(entry.fingerprint, entry);
  }
  return { name, entries };
}

function parsed(text: string, name: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch {
    throw new QuiesceError("input", `${name}: This is no baseline: it is not JSON.`);
  }
}

interface Contents {
  readonly entries: readonly BaselineEntry[];
  /** Whether its fingerprints are of another version. */
  readonly isOtherwise: boolean;
  /** Whether one of its own entries is none. */
  readonly isBroken: boolean;
}

function contentsOf(json: unknown): Contents | null {
  if (!isObject(json)) return null;
  const { findings, runs } = json;
  if (Array.isArray(findings) && (json.kind === KIND || "coverage" in json)) {
    const version = json.kind === KIND ? json.schemaVersion : json.fingerprintVersion;
    const entries = findings.map((finding) => {
      const { fingerprint, rule, title } = isObject(finding) ? finding : {};
      return { fingerprint: textOf(fingerprint), rule: textOf(rule), title: textOf(title) };
    });
    const isBroken = entries.some(({ fingerprint }) => !/^[0-9a-f]{16}$/.test(fingerprint));
    return { entries, isOtherwise: version !== FINGERPRINT_VERSION, isBroken };
  }
  if (json.version !== "2.1.0" || !Array.isArray(runs)) return null;
  const results = runs.filter(isObject).flatMap(({ results: own }) => {
    return Array.isArray(own) ? own.filter(isObject) : [];
  });
  const entries = results.map(({ ruleId, partialFingerprints, message }) => {
    const prints = isObject(partialFingerprints) ? partialFingerprints : {};
    const title = isObject(message) ? textOf(message.text) : "";
    return { fingerprint: textOf(prints[FINDING_PRINT]), rule: textOf(ruleId), title };
  });
  // A log of findings none of which has our fingerprint is of an earlier version, or of another program.
  const isOurs = results.length === 0 || entries.some(({ fingerprint }) => fingerprint !== "");
  return { entries, isOtherwise: !isOurs, isBroken: false };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** The baseline of `findings`, as text: each fingerprint once, in the order of fingerprints. */
export function baselineText(findings: readonly Finding[]): string {
  const byFingerprint = new Map<string, string>();
  for (const { fingerprint, rule, list, title } of findings) {
    const line = JSON.stringify({ fingerprint, rule, list, title });
    const known = byFingerprint.get(fingerprint);
    // The same finding on another node has another title: the first in the alphabet is the same in every order of traces.
    if (known === undefined || line < known) byFingerprint.set(fingerprint, line);
  }
  const lines = [...byFingerprint].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, line]) => line);
  const body = lines.length === 0 ? "" : `\n${lines.join(",\n")}\n`;
  return `{ "kind": "${KIND}", "schemaVersion": ${FINGERPRINT_VERSION}, "findings": [${body}] }\n`;
}
