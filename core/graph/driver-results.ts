// What drivers answer when a number is not enough: where the bytes of a range come from, and what a check of an image found.

import type { BlockDriverState } from "./state.ts";

/** The range is allocated at this layer, and its bytes can be read. */
export const BDRV_BLOCK_DATA = 0x01;
/** It reads as zeroes. */
export const BDRV_BLOCK_ZERO = 0x02;
/** `map` and `file` say where its bytes are. */
export const BDRV_BLOCK_OFFSET_VALID = 0x04;
/** Of drivers that pass requests on: ask `file` at `map`. Only with OFFSET_VALID. */
export const BDRV_BLOCK_RAW = 0x08;
/** This layer, and not its backing file, decides what is read. */
export const BDRV_BLOCK_ALLOCATED = 0x10;
/** The range reaches the end of the node. */
export const BDRV_BLOCK_EOF = 0x20;
/** Of drivers: `file` may know of zeroes in here. Only with DATA and OFFSET_VALID, and never with ZERO. */
export const BDRV_BLOCK_RECURSE = 0x40;

/** Facts about an image (C: BlockDriverInfo). */
export interface BlockDriverInfo {
  /** Bytes of a cluster; missing where there are none. */
  readonly clusterBytes?: number;
  /** It was not closed in order. */
  readonly isDirty: boolean;
}

/** What only images of one format have (QAPI: ImageInfoSpecific). */
export type ImageInfoSpecific = {
  readonly type: string;
  readonly data: { readonly [key: string]: string | number | boolean | undefined };
};

/** The status of the first `pnum` bytes of a range (C: the result and out parameters of bdrv_co_block_status). */
export interface BlockStatus {
  /** BDRV_BLOCK_*, or a negated errno. */
  readonly ret: number;
  readonly pnum: number;
  /** With OFFSET_VALID: the bytes are at `map` of `file`. */
  readonly map: number;
  readonly file: BlockDriverState | null;
}

/** What a check of an image found, and mended (C: BdrvCheckResult, and in it BlockFragInfo). */
export class BdrvCheckResult {
  corruptions = 0;
  leaks = 0;
  checkErrors = 0;
  corruptionsFixed = 0;
  leaksFixed = 0;
  imageEndOffset = 0;
  allocatedClusters = 0;
  totalClusters = 0;
  fragmentedClusters = 0;
  compressedClusters = 0;
}

/** What a check may mend (C: BdrvCheckMode). */
export const BDRV_FIX_LEAKS = 1;
export const BDRV_FIX_ERRORS = 2;
