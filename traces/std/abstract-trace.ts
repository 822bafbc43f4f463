// The abstract trace: what the published race analyzers read. Threads read and write variables, take and release locks, fork and
// join each other, and may mark blocks that ought to be atomic. Nothing is known of drains, coroutines or nodes.
//
// An event is four small integers in parallel arrays: what (`ops`), who (`threads`), on what (`operands`) and where in the
// program (`locations`, as the file has it). Operands of reads and writes number the variables, of acquires and releases the
// locks, of forks and joins the threads; begin and end have NO_OPERAND. Numbers are dense, from 0 in the order in which the
// names first appear in the file. Events come in blocks, so that a trace need not fit into memory; `collect` makes it fit.

/** What an event does. The numbers are RAPID's, and those of its binary form. */
export const StdOp = {
  acquire: 0,
  release: 1,
  read: 2,
  write: 3,
  fork: 4,
  join: 5,
  begin: 6,
  end: 7,
} as const;
export type StdOp = (typeof StdOp)[keyof typeof StdOp];

/** The word for each operation in the text form, by its number. */
export const STD_WORDS = ["acq", "rel", "r", "w", "fork", "join", "begin", "end"] as const;

/** The operand of events that have none. */
export const NO_OPERAND = -1;

/** Consecutive events; the first `count` entries of each array are in use. */
export interface AbstractBlock {
  readonly ops: Uint8Array;
  readonly threads: Int32Array;
  readonly operands: Int32Array;
  readonly locations: Int32Array;
  count: number;
}

/** Names by number. */
export interface NameTable {
  readonly count: number;
  name(index: number): string;
}

/** The names of a trace. While it is being read they grow; they are complete after the last block. */
export interface AbstractNames {
  readonly threads: NameTable;
  readonly variables: NameTable;
  readonly locks: NameTable;
}

/** A trace that is read block by block, once. */
export interface AbstractSource {
  readonly names: AbstractNames;
  /** The blocks, never empty. A block is only good until the next one is asked for: its arrays are used again. */
  blocks(): Iterable<AbstractBlock>;
}

/** A trace in memory. */
export interface AbstractTrace {
  readonly names: AbstractNames;
  readonly events: AbstractBlock;
}

/** An empty block with room for `capacity` events. */
export function newBlock(capacity: number): AbstractBlock {
  return {
    ops: new Uint8Array(capacity),
    threads: new Int32Array(capacity),
    operands: new Int32Array(capacity),
    locations: new Int32Array(capacity),
    count: 0,
  };
}

/** All of `source` in one block of exactly its size: 13 bytes an event. */
export function collect(source: AbstractSource): AbstractTrace {
  let events = newBlock(1024);
  for (const block of source.blocks()) {
    const needed = events.count + block.count;
    if (needed > events.ops.length) events = resized(events, Math.max(needed, 2 * events.count));
    append(events, block);
  }
  return { names: source.names, events: resized(events, events.count) };
}

/** `trace` as a source, e.g. for an engine: one block. */
export function sourceOf({ names, events }: AbstractTrace): AbstractSource {
  return { names, blocks: () => (events.count > 0 ? [events] : []) };
}

function resized(block: AbstractBlock, capacity: number): AbstractBlock {
  const larger = newBlock(capacity);
  append(larger, block);
  return larger;
}

function append(
  target: AbstractBlock,
  { ops, threads, operands, locations, count }: AbstractBlock,
) {
  target.ops.set(ops.subarray(0, count), target.count);
  target.threads.set(threads.subarray(0, count), target.count);
  target.operands.set(operands.subarray(0, count), target.count);
  target.locations.set(locations.subarray(0, count), target.count);
  target.count += count;
}
