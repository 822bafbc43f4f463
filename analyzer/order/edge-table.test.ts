// Every edge of design D9's table and of section 2.12 of the QEMU reference, and everything that both say is none: each has a
// drawing of its own, which the tests named here draw with the edge, without it, and with its kind switched off.

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const FILES = [
  "edges.test.ts",
  "accidents.test.ts",
  "units.test.ts",
  "../conflicts/conflicts.test.ts",
];
const TEXTS = FILES.map((file) => readFileSync(new URL(file, import.meta.url), "utf8"));

type Row = readonly [edge: string, drawings: readonly string[]];

/** Release and acquire, and the titles of its drawings. */
const D9: readonly Row[] = [
  [
    "decrement of an in-flight counter, every one, to a drain's condition that reads it as zero",
    [
      "a node's counter read as zero by the section that holds the node",
      "every decrement, not only the last: the one that comes after the read",
      "every decrement, not only the last: the one that another request makes after it",
      "a BlockBackend's counter",
    ],
  ],
  [
    "only after the drainer has raised that owner's quiesce count",
    [
      "a counter read as zero without a level orders by luck only",
      "a counter read as zero by a section that does not hold the node: check, then act",
      "a level that moved to another section is the other's",
      "a counter is read as zero by who holds no level",
    ],
  ],
  [
    "decrement of a BlockBackend's quiesce count, every level, to an admission that reads it as zero",
    [
      "a gate that is read as zero while the BlockBackend's counter is held",
      "a gate that is opened at every level, not only the last: the other one is somebody else's",
      "a gate that a request reads which never queues",
    ],
  ],
  [
    "only while the reader holds that BlockBackend's counter",
    ["a gate read as zero without the counter orders by luck only"],
  ],
  ["wake of a queued request to its resumption", ["the wake of a queued request"]],
  [
    "external events enabled again to a handler dispatched with count zero",
    [
      "external events enabled again, and the request that their handler begins",
      "external events enabled again, and their handler itself",
    ],
  ],
  ["job_resume to a pause point", ["a job is resumed and reads its pause count as zero"]],
  [
    "what a drainer starts in its section and waits for there, both ways",
    [
      "what a drainer starts inside its section comes after what it did before",
      "what a drainer starts inside its section and waits for comes before what it does next",
      "the walk of a coroutine that a drainer starts, before it raises a counter",
      "the walk of a coroutine that a drainer waits for",
    ],
  ],
  ["start of a context", ["a context is started"]],
  ["join of a context", ["a context has stopped and is joined"]],
  ["program order of tasks", ["goes on when a task changes its context"]],
];

const SECTION_2_12: readonly Row[] = [
  ["bottom half: schedule to start", ["a bottom half is scheduled and runs"]],
  [
    "coroutine: scheduled, entered or woken, to its resumption",
    [
      "a coroutine is scheduled and entered",
      "a coroutine is made in one context and entered in another",
      "a coroutine is woken and entered",
    ],
  ],
  [
    "yield to the next run of the same coroutine, in the same thread and in another",
    [
      "a coroutine, however often it yields",
      "a coroutine yields in one context and is entered in another",
    ],
  ],
  [
    "in-flight counter of a node, waited for or not",
    ["a node's counter read as zero by the section that holds the node"],
  ],
  ["in-flight counter of a BlockBackend", ["a BlockBackend's counter"]],
  ["a job goes idle", ["a job goes idle, read by the section that paused it"]],
  [
    "drained_end to the first action of each source",
    [
      "external events enabled again, and their handler itself",
      "the wake of a queued request",
      "a job is resumed and reads its pause count as zero",
    ],
  ],
  ["aio_wait: kick to the condition seen false", ["a waiter is kicked"]],
  ["AioContext lock", ["a lock is released and taken"]],
  ["big lock", ["the big lock is released and taken"]],
  [
    "job_mutex, reqs_lock, dirty_bitmap_mutex",
    [
      "a mutex is released and taken: job_mutex, reqs_lock, dirty_bitmap_mutex",
      "a CoMutex is released and taken",
    ],
  ],
  [
    "graph lock: writer to reader, reader to writer",
    [
      "a writer releases the graph lock and a reader takes it",
      "a reader releases the graph lock and a writer takes it",
    ],
  ],
  // A worker's start and end are no events: it works for the context that gets the completion.
  ["thread pool: submit to completion", ["the completion of what a coroutine submitted"]],
  ["timer: arm to fire", ["a timer is armed and fires"]],
  // What makes an external descriptor ready is outside of the trace.
  ["fd: what makes it ready to its handler", ["an event notifier is set and its handler runs"]],
];

const NO_EDGES: readonly Row[] = [
  ["raising a counter", ["raising a counter"]],
  ["a node's quiesce_counter", ["a node's quiesce counter, up or down"]],
  ["drained_begin as such", ["drained_begin as such"]],
  // To the sanctioned order; the full one names it.
  ["a kick", ["a waiter is kicked"]],
  ["a counter read as non-zero", ["a counter that is read as non-zero"]],
  [
    "quiesce counters read, but for the gate's own check that reads zero",
    ["a gate read as non-zero", "a job's pause count read as non-zero"],
  ],
  [
    "the same context alone",
    [
      "is not ordered by the context that it runs in",
      "is not ordered by another request of its context either",
      "two handlers of one context: another schedule could run them the other way round",
    ],
  ],
  [
    "changes of external_disable_cnt, which an already dispatched handler does not see",
    [
      "external events disabled, and a handler that was dispatched before",
      "external events enabled again, and a handler that was dispatched before",
      "an external handler dispatched while external events are disabled",
    ],
  ],
  [
    "two nested drains by different clients",
    [
      "the drain of another client that has waited, around one's own that has not",
      "not by a section of an iothread",
    ],
  ],
  [
    "waiting for a request that was started outside of the section",
    [
      "waiting for a coroutine in a section that was begun only after it was started",
      "a coroutine that main starts outside of a section is not sanctioned",
    ],
  ],
];

describe.each([
  ["an edge of design D9", D9],
  ["an edge of section 2.12", SECTION_2_12],
  ["deliberately no edge", NO_EDGES],
])("%s has its drawing", (_what, rows) => {
  it.each(rows)("%s", (_edge, drawings) => {
    for (const title of drawings)
      expect([title, TEXTS.some((text) => text.includes(`"${title}"`))]).toEqual([title, true]);
  });
});

it("and every drawing belongs to one of them", () => {
  const listed = new Set([...D9, ...SECTION_2_12, ...NO_EDGES].flatMap(([, drawings]) => drawings));
  const drawn = TEXTS.slice(0, 2).flatMap((text) =>
    [...text.matchAll(/^ {4}what: "(.*)",$/gm)].map(([, title = ""]) => title),
  );
  expect(drawn.length).toBeGreaterThan(30);
  expect(drawn.filter((title) => !listed.has(title))).toEqual([]);
});
