// The bitmaps of an export: found and checked when it is made, and nobody else's until it is gone.

import { EINVAL, ENOENT } from "#core/base";
import {
  BDRV_BITMAP_ALLOW_RO,
  type BdrvDirtyBitmap,
  bdrvDirtyBitmapCheck,
  bdrvFindDirtyBitmap,
} from "#core/bitmaps";
import { type BlockDriverState, BlockError, bdrvFilterOrCowBs } from "#core/graph";

/**
 * nbd_export_create (nbd/server.c:1714), its part about bitmaps: the bitmap called `name` of `bs`, or of the nearest node below that it
 * filters or overlays. BlockError when there is none, or when it would change under clients who cannot write.
 */
export function exportedBitmap(
  bs: BlockDriverState,
  name: string,
  isWritable: boolean,
): BdrvDirtyBitmap {
  for (let node: BlockDriverState | null = bs; node !== null; node = bdrvFilterOrCowBs(node)) {
    const bitmap = name === "" ? null : bdrvFindDirtyBitmap(node, name);
    if (bitmap === null) continue;
    if (!isWritable && !node.readOnly && !bitmap.disabled)
      throw new BlockError(EINVAL, `Enabled bitmap '${name}' incompatible with readonly export`);
    bdrvDirtyBitmapCheck(bitmap, BDRV_BITMAP_ALLOW_RO);
    return bitmap;
  }
  throw new BlockError(ENOENT, `Bitmap '${name}' is not found`);
}
