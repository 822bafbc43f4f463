// The pages of the rules in docs/rules, for reports that show help. A rule without a page has the text in analyzer/rules.ts.

import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { RULE_IDS, type RuleId } from "#analyzer";

/** Markdown by rule. */
export function rulePages(): Partial<Record<RuleId, string>> {
  const here = dirname(fileURLToPath(import.meta.url));
  const root = basename(dirname(here)) === "dist" ? dirname(dirname(here)) : dirname(here);
  const pages: Partial<Record<RuleId, string>> = {};
  for (const rule of RULE_IDS) {
    const path = join(root, "docs", "rules", `${rule}.md`);
    if (existsSync(path)) pages[rule] = readFileSync(path, "utf8");
  }
  return pages;
}
