// The published schemas let unknown members pass, so that they stay true when a report grows. Tests do not, so that nothing is
// reported that a schema does not describe.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";

const FOLDER = join(import.meta.dirname, "..", "..", "docs", "schemas");
const OPTIONS = { allErrors: true, strict: false, formats: { date: /^\d{4}-\d\d-\d\d$/ } };

/** The published schema in docs/schemas that is called `name`. */
export function publishedSchema(name: string): object {
  return JSON.parse(readFileSync(join(FOLDER, name), "utf8")) as object;
}

/** What is wrong with `json` by `schema`, with no member allowed that it does not name; nothing when it is right. */
export function complaintsBy(schema: object): (json: unknown) => unknown {
  const isValid = new Ajv2020(OPTIONS).compile(closed(schema) as object);
  return (json) => (isValid(json) ? [] : isValid.errors);
}

function closed(part: unknown): unknown {
  if (Array.isArray(part)) return part.map(closed);
  if (typeof part !== "object" || part === null) return part;
  const entries = Object.entries(part).map(([key, value]) => [key, closed(value)]);
  const isOpen = "properties" in part && !("additionalProperties" in part);
  return { ...Object.fromEntries(entries), ...(isOpen ? { additionalProperties: false } : {}) };
}
