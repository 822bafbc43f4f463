// What users are told of an image.

import type { BlockDriverInfo, ImageInfoSpecific } from "../../graph/driver-results.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import { site } from "../../probe/index.ts";
import { globalStateCode } from "../../sched/index.ts";
import * as format from "./format.ts";
import { stateOf } from "./state.ts";

const SITE_INFO = site("qcow2_get_info");
const SITE_SPECIFIC_INFO = site("qcow2_get_specific_info");

/** qcow2_get_info (block/qcow2.c:5147). */
export function qcow2GetInfo(bs: BlockDriverState): BlockDriverInfo {
  globalStateCode(SITE_INFO);
  const { clusterBytes, header } = stateOf(bs);
  return { clusterBytes, isDirty: (header.incompatible & format.INCOMPAT_DIRTY) !== 0 };
}

/** qcow2_get_specific_info (block/qcow2.c:5154). */
export function qcow2GetSpecificInfo(bs: BlockDriverState): ImageInfoSpecific {
  globalStateCode(SITE_SPECIFIC_INFO);
  const { header, refcountBits } = stateOf(bs);
  const compression = {
    "compression-type": header.compression === format.COMPRESSION_ZLIB ? "zlib" : "zstd",
  };
  if (header.version === 2)
    return {
      type: "qcow2",
      data: { compat: "0.10", "refcount-bits": refcountBits, ...compression },
    };
  const { dataFileName, hasDataFile } = header;
  return {
    type: "qcow2",
    data: {
      compat: "1.1",
      "lazy-refcounts": header.lazyRefcounts,
      corrupt: (header.incompatible & format.INCOMPAT_CORRUPT) !== 0,
      "extended-l2": header.hasSubclusters,
      "refcount-bits": refcountBits,
      "data-file": dataFileName === "" ? undefined : dataFileName,
      "data-file-raw": hasDataFile ? header.dataFileRaw : undefined,
      ...compression,
    },
  };
}
