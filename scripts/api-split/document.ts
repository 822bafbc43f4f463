// The text of docs/api-split.md: every exported function of core/ with its class, what checks it, and QEMU's class where it is
// another one. Made from the first lines of the functions (scripts/tidy/domains.ts) and from qemu-classes.json, which has the
// markers of QEMU 7.2's functions as facts about its interface.

import { type CoreFunction, coreFunctions, type Domain } from "../tidy/domains.ts";
import type { Project } from "../tidy/project.ts";

/** Where the document is, from the root of the project. */
export const DOCUMENT = "docs/api-split.md";

const QEMU_CLASSES = "scripts/api-split/qemu-classes.json";

const INTRODUCTION = `# Global state, I/O, I/O or GS, Common

Every exported function of \`core/\` says in its first line in which thread it may run. QEMU 7.2 has the same classes, but
checks the first alone; here all three that can be broken are checked (\`core/sched/domain.ts\`).

| Class | May run | May call | When it is broken |
|---|---|---|---|
| GS | in the main context, also before the first step | everything | event \`wrong_thread\`; with patch 12 on, QEMU's assertion stops the run |
| I/O or GS | in the thread of the node's context (its home), and in main; it may poll | I/O, I/O or GS, Common | event \`wrong_home\`; what waits then meets the assertion of AIO_WAIT_WHILE |
| I/O | at home; elsewhere with the lock of the home context; without such locks (\`--lock none\`) in main, too | I/O, Common | event \`wrong_home\`; the run goes on, as QEMU's would |
| Common | anywhere | Common | nothing to check |

The analyzer reports the two under the rules \`wrong-thread\` and \`wrong-home\`.

Why a check that passes leaves no event: each event carries the context that ran, and \`bs_ctx\` and \`blk_ctx\` say where nodes and
BlockBackends are at home, so a pass follows from the trace. An event a call would repeat that at every level of a request.

What is decided where the reference is silent:

- Counters in flight are atomic, sections of drains are book-keeping, and what jobs and throttle groups share has a mutex of its
  own: I/O code with home "any" is checked to run inside a step, and no more.
- A drain that a coroutine asks for is handed to the node's context, so its coroutine may run in any.
- With the AioContext lock, main needs it for I/O code. QEMU 7.2 itself breaks this: \`refresh_total_sectors\` of a node that is
  opened above one in an iothread runs in main without the lock. That finding is true, and stays.

A coroutine of one iothread that sends requests to a node at home in another context is no scenario of QEMU's; it is found.
Calls through tables (a driver's functions, the callbacks of an edge) are seen by the checks when they run, not by this page.
`;

/** The document, from the sources of `project`. */
export function apiSplit(project: Project): string {
  const qemu = JSON.parse(project.read(QEMU_CLASSES) ?? "{}") as Readonly<Record<string, string>>;
  const functions = coreFunctions(project);
  const folders = [...new Set(functions.map(({ source }) => folderOf(source.path)))];
  const chapters = folders.map((folder) => {
    const inside = functions.filter(({ source }) => folderOf(source.path) === folder);
    return chapterOf(folder, inside, qemu);
  });
  return [INTRODUCTION, ...chapters].join("\n");
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

function chapterOf(
  folder: string,
  functions: readonly CoreFunction[],
  qemu: Readonly<Record<string, string>>,
): string {
  const sorted = [...functions].sort((a, b) => (a.name < b.name ? -1 : 1));
  const rows = sorted.map((one) => rowOf(one, qemu));
  return `## ${folder}

| Function | Class | Checked against | QEMU's class, if another |
|---|---|---|---|
${rows.join("\n")}
`;
}

function rowOf(one: CoreFunction, qemu: Readonly<Record<string, string>>): string {
  const cName = /^[a-z]+_[a-z_0-9]+/.exec(one.doc)?.[0] ?? "";
  const theirs = qemu[cName];
  const differs = theirs === undefined || theirs === one.domain ? "" : theirs;
  return `| \`${one.name}\` | ${one.domain ?? "?"} | ${checkedAgainst(one.domain, one.checks)} | ${differs} |`;
}

function checkedAgainst(domain: Domain | null, checks: readonly string[]): string {
  if (domain === null || domain === "Common") return "";
  if (domain === "GS") return "main";
  const [home = "null"] = checks;
  return home === "null" ? "any step" : `\`${home}\``;
}
