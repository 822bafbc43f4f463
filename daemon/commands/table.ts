// Every command that there is.

import { commandTable, type QmpCommands } from "../qmp/dispatch.ts";
import type { Daemon } from "../state.ts";
import { bitmapActions, bitmapCommands } from "./bitmap-commands.ts";
import { editCommands } from "./edit-commands.ts";
import { exportCommands } from "./export-commands.ts";
import { hmpCommands } from "./hmp-command.ts";
import { jobCommands } from "./job-commands.ts";
import { mirrorCommands } from "./mirror-command.ts";
import { miscCommands } from "./misc-commands.ts";
import { nodeCommands } from "./node-commands.ts";
import { objectCommands } from "./object-commands.ts";
import { qomCommands } from "./qom-commands.ts";
import { queryCommands } from "./query-commands.ts";
import { snapshotActions, snapshotCommands } from "./snapshot-commands.ts";
import { transactionCommands } from "./transaction-command.ts";

export const commands: QmpCommands<Daemon> = commandTable(
  miscCommands(() => [...commands.values()]),
  nodeCommands,
  bitmapCommands,
  queryCommands,
  editCommands,
  snapshotCommands,
  transactionCommands([...snapshotActions, ...bitmapActions]),
  objectCommands,
  qomCommands,
  exportCommands,
  jobCommands,
  mirrorCommands,
  hmpCommands,
);
