// From the options of a block device to its node: what blockdev-add does.

import { EINVAL, must } from "#core/base";
import {
  bdrvOpenBackingFile,
  fileOpen,
  findImageFormat,
  type JsonImage,
  nullAioDriver,
  nullCoDriver,
  nullOpen,
  qcow2Open,
  quorumVoteOpen,
  rawOpen,
  throttleOpen,
} from "#core/drivers";
import {
  type BlockDriverState,
  BlockError,
  type BlockOptions,
  bdrvFindNode,
  bdrvParentCbChangeMedia,
  bdrvRef,
  bdrvSetCommonOptions,
  bdrvSetInheritsFrom,
  bdrvUnref,
  CACHED,
  type CacheOptions,
  childrenOf,
  detectZeroesOf,
  edgeBs,
  settle,
  unwrap,
} from "#core/graph";
import { site } from "#core/probe";
import type { Polls } from "#core/sched";
import { openFilter } from "./blockdev-filters.ts";
import { chosenOptions } from "./blockdev-flat.ts";
import { blockdevOfJson } from "./blockdev-json.ts";
import type { BlockdevOptions, BlockdevRef } from "./blockdev-options.ts";
import { qcow2OptionsOf } from "./blockdev-qcow2-options.ts";

const SITE_OPEN = site("qmp_blockdev_add");

/** What a node has where its options say nothing: what its parent's options gave it (C: bdrv_inherited_options). */
interface Inherited {
  readonly readOnly: boolean;
  readonly autoReadOnly: boolean;
  readonly forceShare: boolean;
  readonly discard: "ignore" | "unmap";
  readonly cache: CacheOptions;
  /** How many images are above, whose headers led here. */
  readonly depth: number;
}

/** A node that no other node's options made. */
const OUTERMOST: Inherited = {
  ...{ readOnly: false, autoReadOnly: false, forceShare: false },
  ...{ discard: "ignore", cache: CACHED, depth: 0 },
};

/** bdrv_open with options: a node with one reference, the caller's; BlockError when refused, and nothing is left. Polls. */
export function* blockdevOpen(
  options: BlockdevOptions,
  inherited: Inherited = OUTERMOST,
): Polls<BlockDriverState> {
  const common = {
    discard: options.discard ?? inherited.discard,
    "detect-zeroes": options["detect-zeroes"] ?? "off",
  };
  // Refused before there is a node. Without a name it gets one.
  if (options["node-name"] === "") throw new BlockError(EINVAL, "Invalid node-name: ''");
  detectZeroesOf(common);
  const { direct = inherited.cache.direct, "no-flush": noFlush = inherited.cache.noFlush } =
    options.cache ?? {};
  const cache = { direct, noFlush };
  const readOnly = options["read-only"] ?? inherited.readOnly;
  const autoReadOnly = options["auto-read-only"] ?? inherited.autoReadOnly;
  const forceShare = options["force-share"] ?? inherited.forceShare;
  if (forceShare && !readOnly)
    throw new BlockError(EINVAL, "force-share=on can only be used with read-only images");
  // What the parent lets through, it does on purpose.
  const bs = yield* openDriver(options, {
    ...{ readOnly, autoReadOnly, forceShare, cache },
    discard: "unmap",
    depth: inherited.depth,
  });
  bs.forceShare = forceShare;
  bs.options = {
    ...chosenOptions(options),
    ...bs.options,
    ...switchedOn({ autoReadOnly, forceShare }),
  };
  bdrvSetCommonOptions(bs, common, cache, explicitOptions(options));
  // A child that its options made follows when it is reopened.
  for (const child of childrenOf(bs, SITE_OPEN).snapshot()) {
    const below = edgeBs(child, SITE_OPEN);
    if (below !== null && isMadeFor(options, child.name)) bdrvSetInheritsFrom(below, bs, null);
  }
  bdrvParentCbChangeMedia(bs, true);
  return bs;
}

/** For a reopen, and for who describes the node. */
function switchedOn({
  autoReadOnly,
  forceShare,
}: Pick<Inherited, "autoReadOnly" | "forceShare">): BlockOptions {
  return {
    ...(autoReadOnly ? { "auto-read-only": true } : {}),
    ...(forceShare ? { "force-share": true } : {}),
  };
}

/** What was asked for, of all that a node would have from its parent: a reopen of that does not change it. */
function explicitOptions(options: BlockdevOptions): BlockOptions {
  const { cache = {}, "read-only": readOnly } = options;
  const given = Object.entries(cache).filter(([, value]) => value !== undefined);
  return {
    ...Object.fromEntries(given.map(([name, value]) => [`cache.${name}`, value])),
    ...(readOnly === undefined ? {} : { "read-only": readOnly }),
    ...switchedOn({
      autoReadOnly: options["auto-read-only"] === true,
      forceShare: options["force-share"] === true,
    }),
  };
}

/** Whether the options of a node say what its child `name` shall be, instead of which node it is. */
function isMadeFor(options: BlockdevOptions, name: string): boolean {
  const [first = "", index] = name.split(".");
  const ref: unknown = Object.entries(options).find(([key]) => key === first)?.[1];
  const one = index === undefined ? ref : (ref as readonly unknown[] | undefined)?.[Number(index)];
  return typeof one === "object" && one !== null;
}

/** The node with what its options say of it and of its children, which get `below` where they say nothing. Polls. */
function* openDriver(options: BlockdevOptions, below: Inherited): Polls<BlockDriverState> {
  const nodeName = options["node-name"] ?? "";
  const { readOnly } = below;
  switch (options.driver) {
    case "file":
      return yield* openFile(nodeName, options, below);
    case "raw":
      return yield* openRaw(nodeName, options, below);
    case "qcow2":
      return yield* openQcow2(nodeName, options, below);
    case "null-co":
      return yield* nullOpen(nullCoDriver, nullOptions(nodeName, options, readOnly));
    case "null-aio":
      return yield* nullOpen(nullAioDriver, nullOptions(nodeName, options, readOnly));
    case "throttle":
      return yield* throttleOpen(
        nodeName,
        yield* openRef(options.file, below),
        options["throttle-group"],
        readOnly,
      );
    case "quorum":
      return yield* openQuorum(nodeName, options, below);
    default:
      return yield* openFilter(options, {
        nodeName,
        readOnly,
        openRef: (ref) => openRef(ref, below),
      });
  }
}

/** raw_open of raw-format.c. Polls. */
function* openRaw(
  nodeName: string,
  { file, offset, size }: Extract<BlockdevOptions, { readonly driver: "raw" }>,
  below: Inherited,
): Polls<BlockDriverState> {
  const window = {
    ...(offset === undefined ? {} : { offset }),
    ...(size === undefined ? {} : { size }),
  };
  return yield* rawOpen(nodeName, yield* openRef(file, below), below.readOnly, window);
}

/** raw_open of file-posix.c. Polls. */
function openFile(
  nodeName: string,
  options: Extract<BlockdevOptions, { readonly driver: "file" }>,
  { readOnly, autoReadOnly, cache }: Inherited,
): Polls<BlockDriverState> {
  const { filename: path, aio, locking, "pr-manager": helper } = options;
  if (aio === "native" && !cache.direct)
    throw new BlockError(
      EINVAL,
      "aio=native was specified, but it requires cache.direct=on, which was not specified.",
    );
  // No object is one.
  if (helper !== undefined)
    throw new BlockError(EINVAL, `No persistent reservation manager with id '${helper}'`);
  return fileOpen({
    ...{ nodeName, path, readOnly, autoReadOnly, cache },
    ...(aio === undefined ? {} : { aio: aio === "native" ? "threads" : aio }),
    ...(locking === undefined ? {} : { locking }),
  });
}

/** bdrv_open_child: a node that is there, by its name, or a new one, read-only where its parent is. Polls. */
function* openRef(ref: BlockdevRef, inherited: Inherited): Polls<BlockDriverState> {
  if (typeof ref !== "string") return yield* blockdevOpen(ref, inherited);
  const bs = ref === "" ? null : bdrvFindNode(ref);
  if (bs === null)
    throw new BlockError(EINVAL, `Cannot find device='${ref}' nor node-name='${ref}'`);
  bdrvRef(bs);
  return bs;
}

type NullBlockdev = Extract<BlockdevOptions, { readonly driver: "null-co" | "null-aio" }>;

function nullOptions(
  nodeName: string,
  options: NullBlockdev,
  readOnly: boolean,
): Parameters<typeof nullOpen>[1] {
  const { size, "latency-ns": latencyNs, "read-zeroes": readZeroes } = options;
  return {
    nodeName,
    readOnly,
    ...(size === undefined ? {} : { size }),
    ...(latencyNs === undefined ? {} : { latencyNs }),
    ...(readZeroes === undefined ? {} : { readZeroes }),
  };
}

type Qcow2Blockdev = Extract<BlockdevOptions, { readonly driver: "qcow2" }>;

/** qcow2_open with its children: those that the options name, else those that the image does. Polls. */
function* openQcow2(
  nodeName: string,
  options: Qcow2Blockdev,
  below: Inherited,
): Polls<BlockDriverState> {
  const { readOnly, autoReadOnly, forceShare, cache, depth } = below;
  const opened: BlockDriverState[] = [];
  const [file, dataFile] = yield* openAll([options.file, options["data-file"]], below, opened);
  const [backing] = yield* openAll(
    [backingRef(options)],
    backingBelow(below),
    opened,
    BACKING_REFUSED,
  );
  const bs = yield* qcow2Open({
    nodeName,
    readOnly,
    file: must(file, "the image is in a file"),
    ...(dataFile === undefined ? {} : { dataFile }),
    ...(backing === undefined ? {} : { backing }),
    ...qcow2OptionsOf(options),
    *openDataFile(path): Polls<BlockDriverState> {
      const data = yield* fileOpen({ nodeName: "", path, readOnly, autoReadOnly, cache });
      data.forceShare = forceShare;
      return data;
    },
  });
  // Null, or the "" of older clients: none, whatever the image says.
  if (options.backing !== undefined) return bs;
  const backed = yield* settle(() =>
    bdrvOpenBackingFile(bs, { cache, depth, openJson: openJsonImage, forceShare }),
  );
  if (backed.ok) return bs;
  yield* bdrvUnref(bs);
  throw backed.error;
}

const BACKING_REFUSED = "Could not open backing file: ";

function backingRef({ backing }: Qcow2Blockdev): BlockdevRef | undefined {
  return backing === null || backing === "" ? undefined : backing;
}

/** bdrv_inherited_options (block.c:1377) of a backing file: it is read-only unless its options say otherwise. */
function backingBelow(below: Inherited): Inherited {
  return { ...below, readOnly: true, autoReadOnly: false };
}

/** An image whose name is `json:` and its options (C: parse_json_protocol): a node with one reference, the caller's. BlockError. Polls. */
export function* openJsonImage(
  json: string,
  { format, nodeName, readOnly, cache, forceShare, depth }: JsonImage,
): Polls<BlockDriverState> {
  const inherited: Inherited = {
    ...{ readOnly, autoReadOnly: false, forceShare },
    ...{ discard: "unmap", cache, depth },
  };
  const probe = function* (file: BlockdevOptions): Polls<"raw" | "qcow2"> {
    const bs = yield* blockdevOpen(file, inherited);
    const found = yield* settle(() => findImageFormat(bs));
    yield* bdrvUnref(bs);
    return unwrap(found);
  };
  const options = yield* blockdevOfJson(json, format === "" ? null : format, probe);
  const named = nodeName === "" ? options : { ...options, "node-name": nodeName };
  return yield* blockdevOpen(named, inherited);
}

/** Nodes for `refs`, where there is one; when one is refused, the others are given back, and its error begins with `refusal`. Polls. */
function* openAll(
  refs: readonly (BlockdevRef | undefined)[],
  below: Inherited,
  opened: BlockDriverState[],
  refusal = "",
): Polls<readonly (BlockDriverState | undefined)[]> {
  const nodes: (BlockDriverState | undefined)[] = [];
  for (const ref of refs) {
    const one = yield* settle(function* (): Polls<BlockDriverState | undefined> {
      return ref === undefined ? undefined : yield* openRef(ref, below);
    });
    if (!one.ok) {
      for (const bs of opened) yield* bdrvUnref(bs);
      const { errno, message, hint } = one.error;
      throw new BlockError(errno, refusal + message, hint);
    }
    nodes.push(one.value);
    if (one.value !== undefined) opened.push(one.value);
  }
  return nodes;
}

type QuorumBlockdev = Extract<BlockdevOptions, { readonly driver: "quorum" }>;

/** quorum_open. Polls. */
function* openQuorum(
  nodeName: string,
  options: QuorumBlockdev,
  below: Inherited,
): Polls<BlockDriverState> {
  const children: BlockDriverState[] = [];
  yield* openAll(options.children, below, children);
  const { "read-pattern": readPattern, "rewrite-corrupted": rewriteCorrupted, blkverify } = options;
  return yield* quorumVoteOpen(nodeName, children, {
    voteThreshold: options["vote-threshold"],
    ...(readPattern === undefined ? {} : { readPattern }),
    ...(blkverify === undefined ? {} : { blkverify }),
    ...(rewriteCorrupted === undefined ? {} : { rewriteCorrupted }),
  });
}
