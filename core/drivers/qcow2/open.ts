// Opening an image: its header is read and judged; tables are read later, when they are needed.

import { assert, EINVAL } from "../../base/index.ts";
import { childrenOf } from "../../graph/access.ts";
import { bdrvAttachChild } from "../../graph/attach.ts";
import { BlockError } from "../../graph/block-error.ts";
import { bdrvOpenDriver, bdrvOpenedFor, type ChildSpec } from "../../graph/open-node.ts";
import {
  BDRV_CHILD_COW,
  BDRV_CHILD_DATA,
  BDRV_CHILD_IMAGE,
  type BdrvChild,
  type BlockDriverState,
} from "../../graph/state.ts";
import { site } from "../../probe/index.ts";
import { type AioContext, globalStateCode, type Polls } from "../../sched/index.ts";
import { qcow2Driver } from "./driver.ts";
import type { Qcow2Header } from "./header.ts";
import { loadImage } from "./load-image.ts";
import { flatOptionsOf, type Qcow2Options } from "./options.ts";

const SITE_OPEN = site("qcow2_open");

/** How an image is opened. References to nodes are taken over. */
export interface Qcow2OpenOptions extends Qcow2Options {
  readonly nodeName: string;
  /** The node that holds the image. */
  readonly file: BlockDriverState;
  /** The node that holds the guest data of an image with an external data file. */
  readonly dataFile?: BlockDriverState;
  /** Opens it by the name that the image has for it, when `dataFile` is not given. */
  readonly openDataFile?: (name: string) => Polls<BlockDriverState>;
  /** What shows where the image has nothing; by default nothing, whatever the image says (`bdrvOpenPath` obeys it). */
  readonly backing?: BlockDriverState;
  readonly readOnly?: boolean;
  readonly ctx?: AioContext;
}

/** bdrv_open with the driver `qcow2`: a node with one reference, the caller's. BlockError when it is refused. Polls. */
export function* qcow2Open(options: Qcow2OpenOptions): Polls<BlockDriverState> {
  globalStateCode(SITE_OPEN);
  assert(!options.file.closed, "the file is open");
  const { file, dataFile, backing, nodeName, readOnly = false } = options;
  const children: ChildSpec[] = [{ name: "file", role: BDRV_CHILD_IMAGE, bs: file }];
  if (dataFile !== undefined)
    children.push({ name: "data-file", role: BDRV_CHILD_DATA, bs: dataFile });
  if (backing !== undefined) children.push({ name: "backing", role: BDRV_CHILD_COW, bs: backing });
  return yield* bdrvOpenDriver(qcow2Driver, nodeName, {
    children,
    readOnly,
    options: flatOptionsOf(options),
    ...(options.ctx === undefined ? {} : { ctx: options.ctx }),
    *drvOpen(bs): Polls<void> {
      yield* openImage(bs, options);
    },
  });
}

/** qcow2_open: read the header of `bs`, whose children are attached. Polls. */
function* openImage(bs: BlockDriverState, options: Qcow2OpenOptions): Polls<void> {
  yield* loadImage(bs, options, (header) => openDataFile(bs, header, options));
}

/** The edge to the file of guest data; null when the image holds it. Polls. */
function* openDataFile(
  bs: BlockDriverState,
  { hasDataFile, dataFileName }: Qcow2Header,
  options: Qcow2OpenOptions,
): Polls<BdrvChild | null> {
  const { openDataFile: opener, dataFile } = options;
  if (!hasDataFile && dataFile === undefined) return null;
  if (!hasDataFile)
    throw new BlockError(
      EINVAL,
      "'data-file' can only be set for images with an external data file",
    );
  if (dataFile === undefined) {
    if (opener === undefined || dataFileName === "")
      throw new BlockError(EINVAL, "'data-file' is required for this image");
    const opened = yield* opener(dataFileName);
    const child = yield* bdrvAttachChild(bs, opened, "data-file", BDRV_CHILD_DATA);
    bdrvOpenedFor(opened, bs);
    return child;
  }
  for (const child of childrenOf(bs, SITE_OPEN).snapshot())
    if (child.name === "data-file") return child;
  return null;
}
