// QAPI: BlockdevOptions, for the drivers that there are.

import type { FileLocking } from "#core/drivers";
import type { DetectZeroes } from "#core/graph";
import { FILE_AIO, type FileAio } from "#core/sched";
import { type FilterOptions, filterMembers } from "./blockdev-filter-options.ts";
import { QCOW2_MEMBERS, type Qcow2BlockdevOptions } from "./blockdev-qcow2-options.ts";
import {
  alternate,
  bool,
  enumOf,
  int,
  jsonNull,
  lazy,
  list,
  optional,
  type QapiType,
  QmpError,
  sizeIn,
  str,
  struct,
  type TypeOf,
  uint64,
  union,
} from "./qmp/schema.ts";

/** What every driver understands. */
const COMMON = {
  "node-name": optional(str),
  "detect-zeroes": optional(enumOf("off", "on", "unmap")),
  discard: optional(enumOf("ignore", "unmap")),
  cache: optional(struct({ direct: optional(bool), "no-flush": optional(bool) })),
  "read-only": optional(bool),
  "auto-read-only": optional(bool),
  "force-share": optional(bool),
} as const;

/** A child: a node by its name, or one to be made. */
export type BlockdevRef = string | BlockdevOptions;

/** The options of one driver, by name. */
export type BlockdevOptions = Common &
  (
    | ({
        readonly driver: "file";
        readonly filename: string;
        /** Native: what there is of that kind (FILE_AIO), past the cache. */
        readonly aio?: FileAio | "native";
        readonly locking?: FileLocking;
      } & FileHints)
    | {
        readonly driver: "raw";
        readonly file: BlockdevRef;
        readonly offset?: number;
        readonly size?: number;
      }
    | ({
        readonly driver: "qcow2";
        readonly file: BlockdevRef;
        /** Null: none, whatever the image says; absent: what the image says. */
        readonly backing?: BlockdevRef | null;
        readonly "data-file"?: BlockdevRef;
      } & Qcow2BlockdevOptions)
    | NullOptions<"null-co">
    | NullOptions<"null-aio">
    | {
        readonly driver: "throttle";
        readonly "throttle-group": string;
        readonly file: BlockdevRef;
      }
    | {
        readonly driver: "quorum";
        readonly children: readonly BlockdevRef[];
        readonly "vote-threshold": number;
        readonly "read-pattern"?: "quorum" | "fifo";
        readonly blkverify?: boolean;
        readonly "rewrite-corrupted"?: boolean;
      }
    | FilterOptions
  );

interface Common {
  readonly "node-name"?: string;
  readonly "detect-zeroes"?: DetectZeroes;
  readonly discard?: "ignore" | "unmap";
  readonly cache?: { readonly direct?: boolean; readonly "no-flush"?: boolean };
  readonly "read-only"?: boolean;
  readonly "auto-read-only"?: boolean;
  readonly "force-share"?: boolean;
}

/** Options of a file that are taken, and have nothing to change here. */
interface FileHints {
  /** A helper for persistent reservations: there is none. */
  readonly "pr-manager"?: string;
  /** Of what another program is asked for at once: there is no such interface. */
  readonly "aio-max-batch"?: number;
  /** Of what is done when a guest comes from another machine: none does. */
  readonly "drop-cache"?: boolean;
  readonly "x-check-cache-dropped"?: boolean;
}

interface NullOptions<D extends string> {
  readonly driver: D;
  readonly size?: number;
  readonly "latency-ns"?: number;
  readonly "read-zeroes"?: boolean;
}

const newNode: QapiType<BlockdevOptions> = lazy(() => blockdevOptions);
const blockdevRef: QapiType<BlockdevRef> = alternate("BlockdevRef", str, newNode);

/** What is no time at all is refused by the driver, in QEMU. */
const latency: QapiType<number> = {
  ...uint64,
  read(value, name, kind) {
    if (Number.isInteger(value) && Number(value) < 0) throw new QmpError("latency-ns is invalid");
    return uint64.read(value, name, kind);
  },
};

const NULL_MEMBERS = {
  size: optional(sizeIn(int(0))),
  "latency-ns": optional(latency),
  "read-zeroes": optional(bool),
} as const;

const DRIVERS = {
  file: {
    filename: str,
    "pr-manager": optional(str),
    locking: optional(enumOf("on", "off", "auto")),
    aio: optional(enumOf(...FILE_AIO, "native")),
    "aio-max-batch": optional(int()),
    "drop-cache": optional(bool),
    "x-check-cache-dropped": optional(bool),
  },
  raw: { file: blockdevRef, offset: optional(sizeIn()), size: optional(sizeIn()) },
  qcow2: {
    file: blockdevRef,
    backing: optional(alternate("BlockdevRefOrNull", jsonNull, str, newNode)),
    ...QCOW2_MEMBERS,
    "data-file": optional(blockdevRef),
  },
  "null-co": NULL_MEMBERS,
  "null-aio": NULL_MEMBERS,
  throttle: { "throttle-group": str, file: blockdevRef },
  quorum: {
    children: list(blockdevRef),
    "vote-threshold": int(),
    "read-pattern": optional(enumOf("quorum", "fifo")),
    blkverify: optional(bool),
    "rewrite-corrupted": optional(bool),
  },
  ...filterMembers(blockdevRef),
} as const;

/** The drivers that blockdev-add knows. */
export const BLOCKDEV_DRIVERS = Object.keys(DRIVERS) as readonly (keyof typeof DRIVERS)[];

export const blockdevOptions: QapiType<BlockdevOptions> = union(
  { driver: enumOf(...BLOCKDEV_DRIVERS), ...COMMON },
  "driver",
  DRIVERS,
) as QapiType<BlockdevOptions>;

/** A node by name, or none. */
export const strOrNull = alternate("StrOrNull", str, jsonNull);

/** What comes out of `strOrNull`. */
export type StrOrNull = TypeOf<typeof strOrNull>;
