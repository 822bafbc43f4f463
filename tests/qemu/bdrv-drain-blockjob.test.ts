import { bdrvDrainBlockjob } from "./bdrv-drain-blockjob.ts";
import { qemuCases } from "./support/register.ts";

qemuCases(bdrvDrainBlockjob);
