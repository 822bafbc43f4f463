import { bdrvDrainDetachIndirect } from "./bdrv-drain-detach-indirect.ts";
import { qemuCases } from "./support/register.ts";

qemuCases(bdrvDrainDetachIndirect);
