// Sites: the places in the source where a probe sits. A probe records a small number (design D10); the table, made from
// the sources by scripts/sites.mjs before every build, gives the C name, file and line.

import { assert, type SiteId } from "../base/index.ts";
import { SITES } from "./sites.generated.ts";

/** A place in the source. `name` is the C name of the function, with `/word` behind it where a function has several. */
export interface Site {
  readonly name: string;
  readonly file: string;
  readonly line: number;
}

const byName = new Map<string, SiteId>(
  SITES.map((entry, index) => [entry.name, (index + 1) as SiteId]),
);

/** The number of the site called `name`; called once, at the top of the module that has the probe. */
export function site(name: string): SiteId {
  const id = byName.get(name);
  assert(id !== undefined, "every site is in the generated table: run `npm run build`");
  return id;
}

/** All sites; SiteId 0 means none, so entry i has the SiteId i + 1. */
export const siteTable: readonly Site[] = SITES;
