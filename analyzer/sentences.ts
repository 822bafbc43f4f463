// The sentences of a finding: what, why, and what to do.

import type { AdviceDraft, FindingDraft, Starter, StuckFrame, Why } from "./drafts.ts";
import type { Advice, LuckKind } from "./findings.ts";
import { luckText, type Names } from "./names.ts";

/** What happened, in one sentence. */
export function titleOf(draft: FindingDraft, names: Names): string {
  if (draft.why.code === "told") return draft.why.told.title(names);
  const list = names.listText(draft.list, draft.node, draft.edge);
  const [first, second] = draft.accesses;
  const siteName = (index: 0 | 1): string =>
    names.site(draft.accesses[index]?.site ?? 0).name || "(unknown)";
  switch (draft.rule) {
    case "race":
    case "covered-by-luck": {
      const verb = first?.what === "read" || second?.what === "read" ? "read" : "edit";
      const swapped = first?.what === "edit" && second?.what === "read";
      const [reader, editor] = swapped ? [siteName(1), siteName(0)] : [siteName(0), siteName(1)];
      const what = `The ${verb} of ${list} in ${reader}`;
      return draft.rule === "race"
        ? `${what} can overlap its edit in ${editor}.`
        : `${what} is kept apart from its edit in ${editor} by luck only.`;
    }
    case "edit-outside-drain":
      return `${siteName(0)} edits ${list} outside a drain of its own.`;
    case "edit-before-poll-end":
      return `${siteName(0)} edits ${list} before its drain has waited.`;
    case "edit-in-iteration":
      return `${siteName(1)} edits ${list} in the middle of an iteration in ${siteName(0)}.`;
    default:
      return titleWithoutList(draft, names);
  }
}

function titleWithoutList(draft: FindingDraft, names: Names): string {
  const { why, node } = draft;
  const what = node === null ? "" : ` of ${names.objectText(node)}`;
  if (why.code === "section")
    return `${capital(names.sectionText(why.section))} is out of balance.`;
  if (why.code === "request") return `A request began inside ${names.sectionText(why.section)}.`;
  if (why.code === "sleep") return `A sleep${what} was cut short.`;
  if (why.code === "assertion")
    return `Assertion failed in ${names.site(why.site).name}: ${names.string(why.text)}.`;
  if (why.code === "thread" || why.code === "home")
    return `${names.site(why.site).name} ran in ${names.ctx(why.ctx)}.`;
  if (why.code === "stuck")
    return why.circle.length === 0
      ? "Nothing can ever run again."
      : `${why.circle.map((ctx) => names.ctx(ctx)).join(" and ")} wait for each other.`;
  return `A counter${what} is out of balance.`;
}

/** What takes an accident away, and leaves a race. */
const GONE_WHEN: Readonly<Record<LuckKind, string>> = {
  "same thread": "when one of the two runs in another iothread, or in a second queue of its device",
  lock: "when the one that came second takes that lock first, or one of them goes without it",
  bh: "when somebody else schedules that bottom half, or schedules it earlier",
  coroutine: "when somebody else resumes that coroutine",
  wake: "when somebody else wakes that coroutine",
  timer: "when somebody else arms that timer, or it was armed before",
  wait: "when somebody else kicks, or the wait need not sleep",
  counter: "when the next request comes between the look at the counter and the edit",
  "read-from": "when the read comes before the edit",
};

/** Why no drain covers it, or which accident orders it and what would take that away. */
export function whyOf(draft: FindingDraft, names: Names): string {
  const uncovered = reasonOf(draft.why, draft, names);
  if (draft.luck === null) return uncovered;
  const edge = names.luck(draft.luck);
  return `Only by accident are the two accesses in order, by ${luckText(edge)}; ${uncovered.charAt(0).toLowerCase()}${uncovered.slice(1)} The accident is gone ${GONE_WHEN[edge.kind]}.`;
}

function reasonOf(why: Why, draft: FindingDraft, names: Names): string {
  const held = draft.node === null ? "it" : names.objectText(draft.node);
  const name = names.sectionText.bind(names);
  switch (why.code) {
    case "told":
      return why.told.why(names);
    case "text":
    case "section":
      return why.text;
    case "not-held":
      return `No drained section holds ${held} at the edit.`;
    case "not-waited":
      return `${capital(name(why.section))} holds ${held} at the edit, but its poll phase has not ended: it has not waited for the requests in flight.`;
    case "ended-before":
      return `${capital(name(why.section))} had ended before the edit.`;
    case "let-go":
      return `${capital(name(why.section))} had let ${held} go before the edit: it held it through the edge that is moved.`;
    case "foreign-section":
      return `${capital(name(why.section))} holds ${held} at the edit, but this operation did not open it.`;
    case "other-node":
      return `${capital(name(why.section))} is open at the edit, but it does not hold ${held}.`;
    case "no-task":
      return `The reader belongs to no task: it holds no in-flight counter, so no drain waits for it${why.section === null ? "" : `, not even ${name(why.section)}`}.`;
    case "counter-not-waited-for":
      return notWaitedFor(why, names);
    case "let-in-early":
      return `The reader was let in while ${name(why.section)}, inside which the edit was made, was still open.`;
    case "no-gate":
      return `The reader passed no gate that ${name(why.section)} opened again when it ended, so nothing held it back.`;
    case "request":
      return `The ${names.requestText(why.request, why.task)} raised the in-flight counter of ${held} after ${name(why.section)} had finished waiting. ${startedBy(why.by, names)}`;
    case "sleep":
      return `${capital(name(why.section))} paused it in its sleep; when that was over it went on at once, ${why.leftNs} ns too early.`;
    case "assertion":
      return `The run stopped there, as QEMU would have: ${names.string(why.text)}.`;
    case "thread":
      return `Only the main context may run it; it ran in ${names.ctx(why.ctx)}.`;
    case "home":
      return why.polls
        ? `Only ${names.ctx(why.home)}, where the node is at home, and the main context may run it, because it polls.`
        : `The node is at home in ${names.ctx(why.home)}; another thread needs that context's lock to run this, and no iothread does without.`;
    case "stuck":
      return stuckText(why, names);
  }
}

function startedBy(by: Starter, names: Names): string {
  if (by.what === "job")
    return `It is work of ${names.objectText(by.job)}, which the drain should have paused.`;
  const where = names.ctx(by.ctx);
  switch (by.what) {
    case "coroutine":
      return by.task === 0
        ? `A coroutine in ${where} started it, which holds no counter that the drain waits for.`
        : `The ${names.requestText(by.request, by.task)} started it, in ${where}, e.g. in its completion callback.`;
    case "client":
      return `The handler of an external client in ${where} started it, which the drain should have disabled.`;
    case "bottom half":
      return `A bottom half in ${where} started it.`;
    case "body":
      return `The event loop of ${where} started it: a timer, a completion, or code outside of any handler.`;
  }
}

function notWaitedFor(why: Extract<Why, { code: "counter-not-waited-for" }>, names: Names): string {
  if (why.counters.length === 0)
    return `${capital(names.sectionText(why.section))} waited, but the reader's request lowered no counter that it read.`;
  const counters = [...new Set(why.counters)]
    .map((counter) => names.objectText(counter))
    .join(", ");
  return `${capital(names.sectionText(why.section))} did not wait for the reader, whose request holds only the in-flight counter of ${counters}.`;
}

function stuckText(why: Extract<Why, { code: "stuck" }>, names: Names): string {
  if (why.frames.length === 0)
    return "No context waits in a named place, and nothing outstanding can wake one.";
  const frames = why.frames
    .filter(({ ctx }) => why.circle.length === 0 || why.circle.includes(ctx))
    .map((frame) => frameText(frame, names));
  return `${frames.join("; ")}.`;
}

function frameText({ ctx, site, waits }: StuckFrame, names: Names): string {
  const where = `${names.ctx(ctx)} waits in ${names.site(site).name || "its own loop"}`;
  if (waits === null) return where;
  const { owner, value, holders } = waits;
  if (owner.kind === "job") return `${where} for ${names.objectText(owner)}, which is busy`;
  const counter = `the in-flight counter of ${names.objectText(owner)}, which is ${value}`;
  const who = holders.map(({ id, ctx: at, request }) => {
    const place = at === ctx ? `${names.ctx(at)} itself` : names.ctx(at);
    return `the ${names.requestText(request, id)}, last seen in ${place}`;
  });
  return `${where} for ${counter}${who.length === 0 ? "" : `: held by ${who.join(", and by ")}`}`;
}

/** The suggested section in words. */
export function adviceOf(draft: AdviceDraft, names: Names): Advice {
  const node = names.holdable(draft.node);
  const around = names.outermost(draft.chain, draft.site);
  const begin = draft.kind === "subtree" ? "bdrv_subtree_drained_begin" : "bdrv_drained_begin";
  const end = begin.replace("begin", "end");
  const operation = around.name || "the edit";
  const text = `Call ${begin} on ${names.objectText(draft.node)} before ${operation}, and ${end} after it.`;
  return { kind: draft.kind, node, around, text };
}

/** `text` with its first letter as a capital. */
export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
