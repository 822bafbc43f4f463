// The drain ledger: who owes which end, and what a section still holds.

import type { Told } from "../drafts.ts";
import type { Graph, Holdable } from "../model/graph.ts";
import type { Section } from "../model/sections.ts";
import type { Names } from "../names.ts";
import type { RuleId } from "../rules.ts";
import { capital } from "../sentences.ts";
import type { PassContext } from "./pass.ts";

/** Objects that are named in one sentence; the rest are counted. */
const NAMED_MAX = 6;

/** An entry of the ledger: levels of one object's quiesce counter. */
interface Entry {
  readonly object: Holdable;
  readonly levels: number;
}

/** What `section` holds now. */
export function heldBy(graph: Graph, section: Section): Entry[] {
  const entries: Entry[] = [];
  const look = (object: Holdable): void => {
    const levels = object.heldBy(section.id);
    if (levels > 0) entries.push({ object, levels });
  };
  graph.nodes.forEach(look);
  graph.blks.forEach(look);
  graph.jobs.forEach(look);
  return entries;
}

/** `node 'top' (2 levels), BlockBackend 'drive0' (1 level)`. */
export function entriesText(entries: readonly Entry[], names: Names): string {
  const words = entries
    .slice(0, NAMED_MAX)
    .map(
      ({ object, levels }) =>
        `${names.objectText(object)} (${levels} ${levels === 1 ? "level" : "levels"})`,
    );
  const more = entries.length - words.length;
  return more > 0 ? `${words.join(", ")} and ${more} more` : words.join(", ");
}

/**
 * Note a finding about the balance of `section`; `why` is one or two sentences, `site` the function to look at: the one that
 * began it, unless it is said.
 */
export function noteSection(
  { drafts, now }: PassContext,
  rule: RuleId,
  section: Section,
  why: (names: Names) => string,
  site = section.site,
): void {
  const told: Told = {
    title: (names) => {
      const what = section.begin < 0 ? "a drained section" : names.sectionText(section);
      return `${capital(what)} is out of balance.`;
    },
    why,
    identity: (names) => [names.site(site).name],
  };
  const index = section.begin >= 0 ? section.begin : now.index;
  drafts.tell(rule, `${site}`, index, {
    why: { code: "told", told },
    node: section.node,
    site,
  });
}
