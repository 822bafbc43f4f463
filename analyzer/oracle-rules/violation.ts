// What the oracle of a rule says: each violation by itself. The engine counts those of a kind as one finding, so for the
// comparison they are counted here as well.

/** One violation. */
export interface Violation {
  readonly rule: string;
  /** What makes two of them the same finding. */
  readonly key: string;
  /** Event at which it is seen. */
  readonly at: number;
  /** What a finding says of the first of its kind, e.g. its accesses. */
  readonly said: string;
}

/** Violations as findings: what the first one says, how many there are, and the first and last event. */
export function linesOf(violations: readonly Violation[]): string[] {
  const byKey = new Map<string, Violation[]>();
  for (const one of [...violations].sort((a, b) => a.at - b.at)) {
    const key = `${one.rule} ${one.key}`;
    byKey.set(key, [...(byKey.get(key) ?? []), one]);
  }
  return [...byKey.values()]
    .map((ones) => {
      const [first] = ones;
      const last = ones[ones.length - 1];
      return `${first?.rule} ${first?.said} x${ones.length} ${first?.at}-${last?.at}`;
    })
    .sort();
}
