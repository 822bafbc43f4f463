export {
  type BdrvDirtyBitmapIter,
  bdrvClearDirtyBitmap,
  bdrvDirtyBitmapTruncate,
  bdrvDirtyIterFree,
  bdrvDirtyIterNew,
  bdrvDirtyIterNext,
  bdrvMergeDirtyBitmap,
  bdrvResetDirtyBitmap,
  bdrvRestoreDirtyBitmap,
  bdrvSetDirty,
  bdrvSetDirtyBitmap,
  bdrvSetDirtyIter,
} from "./dirty.ts";
export * from "./flags.ts";
export { type DirtyArea, HBITMAP_CHUNKS_MAX, HBitmap } from "./hbitmap.ts";
export {
  bdrvCreateDirtyBitmap,
  bdrvFindDirtyBitmap,
  bdrvGetDefaultBitmapGranularity,
  bdrvReleaseDirtyBitmap,
  bdrvReleaseNamedDirtyBitmaps,
} from "./life.ts";
export * from "./persistent.ts";
export * from "./state.ts";
export * from "./successor.ts";
