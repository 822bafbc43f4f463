export { CONFIG_BYTES_MAX, parseBlkdebugConfig } from "./config.ts";
export { blkdebugDriver } from "./driver.ts";
export {
  type BlkdebugOptions,
  blkdebugOpen,
  type InjectErrorOptions,
  type SetStateOptions,
} from "./open.ts";
export { BLKDEBUG_IO_TYPES } from "./state.ts";
