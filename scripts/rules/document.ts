// The text of docs/rules/index.md: every rule with its severity and title, in the order of the analyzer, and where its page is.

import { POLICIES, POLICY_IDS, RULE_IDS, RULES, type RuleId } from "#analyzer";

/** Where the document is, from the root of the project. */
export const RULES_DOCUMENT = "docs/rules/index.md";

const INTRODUCTION = `# The rules

What the analyzer can find, a page each: what it is, why it matters, an example that a test runs, how to fix it. Errors and warnings
come first in every report; \`--fail-on\` compares with the severity. The identifier is what reports, baselines and suppressions
name, and never changes. Rules of a policy speak only when that [policy](../policies.md) is asked for, \`needless-drain\` only with
\`--drains\`, \`predicted-race\` only with \`--predict\`. This page is made by \`scripts/rules.ts\`.
`;

/** The document. */
export function rulesDocument(): string {
  const rows = RULE_IDS.map((id) => {
    const { severity, title } = RULES[id];
    return `| [\`${id}\`](${id}.md) | ${severity} | ${title} | ${policiesOf(id)} |`;
  });
  return `${INTRODUCTION}\n| Rule | Severity | | Policy |\n|---|---|---|---|\n${rows.join("\n")}\n`;
}

function policiesOf(id: RuleId): string {
  return POLICY_IDS.filter((policy) => {
    const own: readonly RuleId[] = POLICIES[policy].rules;
    return own.includes(id);
  }).join(", ");
}
