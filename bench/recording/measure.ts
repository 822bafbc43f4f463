// Measuring small work on a machine that others use too: each piece many times, and of each the best.

/** The sum over all pieces of the shortest time that each took in `rounds` rounds, in nanoseconds. */
export function bestNs(pieces: number, rounds: number, work: (piece: number) => void): number {
  const best = new Float64Array(pieces).fill(Number.POSITIVE_INFINITY);
  for (let round = 0; round < rounds; round++) {
    for (let piece = 0; piece < pieces; piece++) {
      const from = process.hrtime.bigint();
      work(piece);
      const ns = Number(process.hrtime.bigint() - from);
      if (ns < (best[piece] ?? 0)) best[piece] = ns;
    }
  }
  return best.reduce((sum, ns) => sum + ns, 0);
}

/** As `bestNs` for work that is one pass of several steps: what every step took at best. */
export function bestNsOfSteps(rounds: number, pass: () => Iterator<unknown>): number {
  const best: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const steps = pass();
    for (let step = 0; ; step++) {
      const from = process.hrtime.bigint();
      const { done } = steps.next();
      const ns = Number(process.hrtime.bigint() - from);
      best[step] = Math.min(best[step] ?? ns, ns);
      if (done === true) break;
    }
  }
  return best.reduce((sum, ns) => sum + ns, 0);
}

/** The middle one of several measurements. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
}

/** What a benchmark found, by name. */
export type Figures = Record<string, number>;

/** One line a figure, each with the stored one. */
export function printFigures(figures: Figures, stored: Figures): void {
  const width = Math.max(...Object.keys(figures).map((name) => name.length));
  for (const [name, value] of Object.entries(figures)) {
    const before = stored[name]?.toFixed(2) ?? "none";
    process.stdout.write(
      `${name.padEnd(width)} ${value.toFixed(2).padStart(8)}  stored ${before}\n`,
    );
  }
}
