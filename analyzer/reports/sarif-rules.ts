// The rules as SARIF describes them: identifiers are those of analyzer/rules.ts and never change.

import type { ReportingDescriptor } from "sarif";
import { RULE_IDS, RULES, type Rule, type RuleId } from "../rules.ts";
import type { Report } from "./report.ts";

/** Rule i of the log is RULE_IDS[i]. */
export function sarifRules(pages: Report["ruleHelp"] = {}): ReportingDescriptor[] {
  return RULE_IDS.map((id) => descriptor(id, pages[id]));
}

/** `page` is the rule's page in docs/rules, where it has one: consumers show Markdown instead of the text. */
function descriptor(id: RuleId, page: string | undefined): ReportingDescriptor {
  const rule: Rule = RULES[id];
  const problem =
    rule.severity === "error"
      ? "error"
      : rule.severity === "warning"
        ? "warning"
        : "recommendation";
  return {
    id,
    name: pascalCase(rule.title),
    shortDescription: { text: `${rule.title}.` },
    fullDescription: { text: rule.help },
    help: { text: rule.help, markdown: page ?? `**${rule.title}.** ${rule.help}` },
    defaultConfiguration: { level: rule.severity },
    properties: {
      tags: ["concurrency", "block-layer"],
      precision: "very-high",
      "problem.severity": problem,
    },
  };
}

/** `Edit outside a drain` as `EditOutsideADrain`; a rule's name must not be its identifier in other letters. */
function pascalCase(title: string): string {
  return title.replace(/(?:^|[^A-Za-z]+)([a-z]?)/gi, (_, letter: string) => letter.toUpperCase());
}
