// One trace under several policies, as a table: a row a rule, a column a policy, in each cell the number of findings.
//
//                                     P0     P1     P2     P3     P4     P5
//   race                               –      7      3      –      –      –
//   edit-without-context-lock          0      –      –      –      –      –
//   all                                0      7      3      0      ?      ?
//
// `–`: that policy does not ask. `?`: the trace cannot be judged by that policy; why stands below the table.

import type { PolicyJudgement } from "../findings.ts";
import { POLICIES } from "../policies/policy.ts";
import { RULE_IDS, type RuleId } from "../rules.ts";
import type { TextOptions } from "./text-report.ts";
import { wrap } from "./wrap.ts";

const COLUMN = 7;

/** A row of the table: what it counts, and its cells. */
export interface PolicyRow {
  readonly name: string;
  readonly cells: readonly string[];
}

/** The table for a terminal, with a sentence for each policy; ends with a newline. */
export function policiesText(policies: readonly PolicyJudgement[], options: TextOptions): string {
  const { paint, columns } = options;
  const rows = policyRows(policies);
  const wide = Math.max(...rows.map(({ name }) => name.length)) + 2;
  const line = ({ name, cells }: PolicyRow): string =>
    name.padEnd(wide) + cells.map((cell) => cell.padStart(COLUMN)).join("");
  const head = line({ name: "", cells: policies.map(({ policy }) => policy) });
  const sentences = policies.map((judgement) =>
    wrap(`${judgement.policy}  `, policySentence(judgement), columns),
  );
  return `${[paint("dim", head), ...rows.map(line), "", ...sentences].join("\n")}\n`;
}

/** The same as Markdown; ends with a newline. */
export function policiesMarkdown(policies: readonly PolicyJudgement[]): string {
  const rows = policyRows(policies);
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [
    line(["", ...policies.map(({ policy }) => policy)]),
    line(["---", ...policies.map(() => "--:")]),
    ...rows.map(({ name, cells }) => line([name, ...cells])),
    "",
    ...policies.map((judgement) => `- **${judgement.policy}** ${policySentence(judgement)}`),
    "",
  ].join("\n");
}

/** The rows: the rules that somebody has findings of, and those that are some policy's very own, worst first; then the sums. */
export function policyRows(policies: readonly PolicyJudgement[]): PolicyRow[] {
  const shown = RULE_IDS.filter((rule) => {
    const asking = policies.filter(({ rules }) => rules.includes(rule));
    return (
      policies.some(({ findings }) => findings.some((finding) => finding.rule === rule)) ||
      (asking.length > 0 && asking.length < policies.length)
    );
  });
  return [
    ...shown.map((rule) => ({
      name: rule,
      cells: policies.map((judgement) => cellOf(judgement, rule)),
    })),
    {
      name: "all",
      cells: policies.map(({ silence, findings }) => (silence === "" ? `${findings.length}` : "?")),
    },
  ];
}

function cellOf({ policy, silence, rules, findings }: PolicyJudgement, rule: RuleId): string {
  if (!rules.includes(rule)) return "–";
  const own: readonly RuleId[] = POLICIES[policy].rules;
  if (silence !== "" && own.includes(rule)) return "?";
  return `${findings.filter((finding) => finding.rule === rule).length}`;
}

/** What a policy demands, or why it cannot judge. */
export function policySentence({ policy, silence }: PolicyJudgement): string {
  const { title, demands } = POLICIES[policy];
  return `${title}: ${silence === "" ? demands : `not judged. ${silence}`}`;
}
