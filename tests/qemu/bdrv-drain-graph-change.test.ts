import { bdrvDrainGraphChange } from "./bdrv-drain-graph-change.ts";
import { qemuCases } from "./support/register.ts";

qemuCases(bdrvDrainGraphChange);
