import { bdrvDrainCounters } from "./bdrv-drain-counters.ts";
import { qemuCases } from "./support/register.ts";

qemuCases(bdrvDrainCounters);
