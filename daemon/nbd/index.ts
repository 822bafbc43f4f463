export { type NbdExport, type NbdExportOptions, nbdExportCreate } from "./export.ts";
export { exportedBitmap } from "./export-bitmaps.ts";
export * as protocol from "./protocol.ts";
export {
  type NbdServer,
  type NbdServerOptions,
  nbdClientClose,
  nbdExportDelete,
  nbdExportRelease,
  nbdExportRequestShutdown,
  nbdServerStart,
  nbdServerStop,
} from "./server.ts";
