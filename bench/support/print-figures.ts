// Figures beside those that are stored, or with --json in the form in which they are stored.

import { readFileSync } from "node:fs";

/** Prints `figures` of the benchmark `name`, whose stored ones are in bench/baseline. */
export function printFigures(name: string, figures: Readonly<Record<string, number>>): void {
  if (process.argv.includes("--json")) {
    const rounded = Object.entries(figures).map(([key, value]) => [key, Number(value.toFixed(2))]);
    process.stdout.write(`${JSON.stringify(Object.fromEntries(rounded), null, 2)}\n`);
    return;
  }
  const stored = JSON.parse(readFileSync(`bench/baseline/${name}.json`, "utf8")) as Record<
    string,
    number
  >;
  const width = Math.max(...Object.keys(figures).map((key) => key.length));
  for (const [key, value] of Object.entries(figures)) {
    const beside = `stored ${stored[key]?.toFixed(2) ?? "none"}`;
    process.stdout.write(`${key.padEnd(width)} ${value.toFixed(2).padStart(10)}  ${beside}\n`);
  }
}
