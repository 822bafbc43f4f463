// How a node is to be made longer or shorter: what bdrv_co_truncate gets beside the length, on its way down through the drivers.

/** What becomes of the new area (QAPI: PreallocMode): nothing, places for it in the tables, room on the disk, or zeroes on the disk. */
export const PREALLOC_MODES = ["off", "metadata", "falloc", "full"] as const;
export type PreallocMode = (typeof PREALLOC_MODES)[number];

/** C: exact, prealloc and errp of bdrv_co_truncate. */
export interface Truncation {
  /** The length must be this one; else more will do, where there can be no less. */
  readonly exact: boolean;
  readonly prealloc: PreallocMode;
  /** Called at most once, by whoever refuses or fails, with a sentence for the user; the errno is returned. */
  readonly errorSetg: (message: string) => void;
}

/** At least this long, and nobody asks why not. */
export const PLAIN_TRUNCATION: Truncation = {
  exact: false,
  prealloc: "off",
  errorSetg: () => undefined,
};
