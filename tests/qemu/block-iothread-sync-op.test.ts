import { blockIothreadSyncOp } from "./block-iothread-sync-op.ts";
import { qemuCases } from "./support/register.ts";

qemuCases(blockIothreadSyncOp);
