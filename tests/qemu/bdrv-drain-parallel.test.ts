import { bdrvDrainParallel } from "./bdrv-drain-parallel.ts";
import { qemuCases } from "./support/register.ts";

qemuCases(bdrvDrainParallel);
