// The pages of the rules in docs/rules, for reports that show help. A rule without a page has the text in analyzer/rules.ts.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { RULE_IDS, type RuleId } from "#analyzer";
import { packageRoot } from "./version.ts";

/** Markdown by rule. */
export function rulePages(): Partial<Record<RuleId, string>> {
  const root = packageRoot();
  const pages: Partial<Record<RuleId, string>> = {};
  for (const rule of RULE_IDS) {
    const path = join(root, "docs", "rules", `${rule}.md`);
    if (existsSync(path)) pages[rule] = readFileSync(path, "utf8");
  }
  return pages;
}
