// A job's sleep that was cut short: a drained section paused the job while it slept for its rate limit, and when the section ended
// the job went on, before the time for which it had wanted to sleep was over. Patch 9 is about this.
//
// Others may cut a sleep short on purpose: a new speed, a user's pause, a cancellation. So only sleeps count into which a section
// fell, and the newest one is named.

import { Ev } from "#core/probe";
import type { Section } from "../model/sections.ts";
import type { Pass, PassContext } from "./pass.ts";

export class JobSleepRule implements Pass {
  readonly kinds = [Ev.job_sleep, Ev.job_sleep_end, Ev.job_pause, Ev.job_free] as const;
  readonly #context: PassContext;
  /** Jobs that sleep, each with the newest section that has paused it since. */
  readonly #asleep = new Map<number, Section | null>();

  constructor(context: PassContext) {
    this.#context = context;
  }

  on(kind: number, job: number, second: number, section: number): void {
    if (kind === Ev.job_sleep) this.#asleep.set(job, null);
    else if (kind === Ev.job_sleep_end) {
      this.#wakes(job, second !== 0);
      this.#asleep.delete(job);
    } else if (kind === Ev.job_free) this.#asleep.delete(job);
    else if (section !== 0 && this.#asleep.has(job))
      this.#asleep.set(job, this.#context.sections.get(section));
  }

  finish(): void {}

  #wakes(job: number, cancelled: boolean): void {
    const { now, graph, drafts } = this.#context;
    const section = this.#asleep.get(job) ?? null;
    if (section === null || cancelled || now.wide <= 0) return;
    const leftNs = now.wide;
    drafts.tell("job-sleep-cut-short", `${job} ${section.site}`, now.index, {
      why: { code: "sleep", section, leftNs },
      node: graph.job(job),
      site: section.site,
    });
  }
}
