// Our own bug while a scenario ran: one seed, one schedule, one command (house rule 1). The message says which run it was,
// how far it came, what the last events were, and what to type to see it again.

/** What is known about the run that broke. */
export interface RunFacts {
  readonly scenario: string;
  readonly seed: number;
  /** Scheduler steps that the run had taken. */
  readonly steps: number;
  /** Events emitted before the failure. */
  readonly events: number;
  /** The last events in text form, oldest first. */
  readonly tail: readonly string[];
  /** The command that shows the failure again. */
  readonly command: string;
}

/** An error below a running scenario, with the facts of the run. */
export class RunFailure extends Error {
  override readonly name = "RunFailure";
  readonly facts: RunFacts;

  constructor(cause: unknown, facts: RunFacts) {
    super("a run of quiesce failed", { cause });
    this.facts = facts;
  }

  /** What the user sees. */
  report(): string {
    const { scenario, seed, steps, events, tail, command } = this.facts;
    const cause = this.cause;
    const stack = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    const lines = [
      "quiesce: an assertion of quiesce itself failed; this is a bug in quiesce, please report it with these lines.",
      stack,
      "",
      `  scenario  ${scenario}`,
      `  seed      ${seed}`,
      `  position  step ${steps}, event ${events}`,
      `  again     ${command}`,
    ];
    if (tail.length > 0)
      lines.push(`  the last ${tail.length} events:`, ...tail.map((line) => `    ${line}`));
    return `${lines.join("\n")}\n`;
  }
}

/** The sentence of an error with which an operation on the graph refused to go on; null for any other error. */
export function refusal(error: unknown): string | null {
  if (!(error instanceof Error) || error.name !== "BlockError") return null;
  return `The scenario could not go on: ${error.message}${/[.!?]$/.test(error.message) ? "" : "."}`;
}
