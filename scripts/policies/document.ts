// The text of docs/policies.md: what each policy demands and whose position it is, then one recording of the demo under all six.
//
// What a policy demands comes from the table of the analyzer; what more there is to say of it stands here; the numbers come from
// a run, as Markdown of the very report that `quiesce races --policy all` prints.

import { analyze, POLICIES, POLICY_IDS, type PolicyId } from "#analyzer";
import { policiesMarkdown } from "#analyzer/reports";
import { must } from "#core/base";
import { recordScenario, SCENARIOS } from "#explorer";
import { bytesSource, TraceReader } from "#traces";

/** Where the document is, from the root of the project. */
export const POLICIES_DOCUMENT = "docs/policies.md";

/** The run that the page shows: before the series, as the demo's second recording. */
const RUN = { seed: 7, without: [10, 11], lock: "aio" } as const;

const INTRODUCTION = `# Policies

What must protect the lists of the graph? People have taken six positions, and quiesce can judge a trace by each of them:

    quiesce races run.trace --policy P2      # the findings by that policy
    quiesce races run.trace --policy all     # the findings by P1, and one table of all six

When not told otherwise it judges by **P1**, that of the series, with the meaning that design D9 gives to "covered by a drain". What is
wrong under any policy (a drain out of balance, a deadlock, an edit off the main context, a failed assertion, …) every one of
them reports. The rules that rest on drained sections, \`race\`, \`covered-by-luck\`, \`edit-outside-drain\` and
\`edit-before-poll-end\`, belong to P1, and to P2 for all lists but \`parents\`; the other policies have rules of their own instead.
With \`all\`, the exit code is that of P1: the table compares, it does not judge.

An edit of an object that nobody but its creator can have seen needs no protection under any of them. This page is made by
\`scripts/policies.ts\`.
`;

/** What else there is to say of each. */
const MORE: Readonly<Record<PolicyId, string>> = {
  P0: `The recursive lock of an AioContext was what protected the lists until the series, and stayed until QEMU 9.0. Reads in the main
context need none, since only main edits; nor do edits of what is at home in main, which the big lock protects. An edge is
under the lock of its parent (of its child, when the parent is a job), a BlockBackend's root under the BlockBackend's. Objects
whose home the trace does not tell are not judged.`,
  P1: `Patch 11 asserts a weak form of it, a quiesce_counter above zero; that counter may be somebody else's, and says nothing about
requests that are still in flight. Hence the rest of the demand.`,
  P2: `The argument: requests in the subtree never use the relation that changes, so draining it stops I/O for nothing; I/O should not
look at parents at all; and a drain keeps out requests, not other operations, so those need a queue or a mutex of their own.
The objection: drains that run in iothreads do read parents, and so does the callback of a resize. An operation is the outermost
graph operation of a call stack; two overlap if one makes an edit between the begin and the end of the other, which edits too.`,
  P3: `Moving an edge then never polls, which is the point. 8.0 makes one exception, an edge that is pointed at nothing, and so does this
policy. That readers of the list are gone is not demanded: a parent that is quiesced but has not been waited for may still read.`,
  P4: `A coroutine holds the lock, or the request that it works for: what a request starts and waits for reads under the request's lock.
That anybody holds it, which is all that assert_bdrv_graph_readable asks, is not enough. The lock must be kept, too: no reader
beside a writer, one writer, released by who took it. \`core/\` is 7.2 and has no such lock, so this policy is for foreign traces,
with the events \`graph_rdlock\`, \`graph_rdunlock\`, \`graph_wrlock\` and \`graph_wrunlock\`.`,
  P5: `A drain waits for requests, and a request may wait for the lock: whoever holds the one and waits for the other waits for ever. The
compiler's analysis missed such a place, because an unlock stood before the drain in the text.`,
};

const READING = `How to read it: a number is that of different findings; \`–\` means that the policy does not ask, \`?\` that the
trace cannot be judged by it, and why stands below. With the lock of old and without the drains of patches 10 and 11, P0 finds the
edits that were made without the lock, and nothing else of its own: the lock does what was expected of it, where it is taken. P1 finds that hardly a
pair of accesses has more than that lock, or luck, to keep it apart. P2 forgives everything about parents except that I/O reads
them. P3 finds edges that move unprepared. P4 and P5 have nothing to go by.
`;

/** The document. */
export function policiesDocument(): string {
  const rows = POLICY_IDS.map((id) => {
    const { title, demands } = POLICIES[id];
    return `| [${id}](#${anchor(id)}) | ${title} | ${demands} |`;
  });
  const table = `| | Policy | Demands |\n|---|---|---|\n${rows.join("\n")}\n`;
  return [INTRODUCTION, table, ...POLICY_IDS.map(chapterOf), demoChapter()].join("\n");
}

function anchor(id: PolicyId): string {
  return `${id} ${POLICIES[id].title}`.toLowerCase().replaceAll(",", "").replaceAll(" ", "-");
}

function chapterOf(id: PolicyId): string {
  const { title, from, rules } = POLICIES[id];
  const own: readonly string[] = rules;
  const names = own.map((rule) => `[\`${rule}\`](rules/${rule}.md)`).join(", ");
  const ownRules = own.length === 0 ? "" : `\nRules: ${names}.\n`;
  return `## ${id} ${title}\n\nFrom: ${from}.\n\n${MORE[id]}\n${ownRules}`;
}

/** One recording of the demo under all of them. */
function demoChapter(): string {
  const { seed, without, lock } = RUN;
  const command = `quiesce record demo --seed ${seed} --without-patch ${without.join(",")} --lock ${lock} -o run.trace && quiesce races run.trace --policy all`;
  return `## One run of the demo\n\n\`${command}\`\n\n${demoTable()}\n${READING}`;
}

function demoTable(): string {
  const scenario = must(
    SCENARIOS.find(({ name }) => name === "demo"),
    "the demo is built in",
  );
  const reader = TraceReader.open(bytesSource(recordScenario(scenario, RUN).bytes));
  const { sites } = reader.header;
  const trace = { batches: reader.batches(), sites, strings: reader.strings };
  return policiesMarkdown(analyze(trace, { policies: POLICY_IDS }).policies ?? []);
}
