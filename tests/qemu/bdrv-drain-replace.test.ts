import { bdrvDrainReplace } from "./bdrv-drain-replace.ts";
import { qemuCases } from "./support/register.ts";

qemuCases(bdrvDrainReplace);
