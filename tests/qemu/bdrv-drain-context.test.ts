import { bdrvDrainContext } from "./bdrv-drain-context.ts";
import { qemuCases } from "./support/register.ts";

qemuCases(bdrvDrainContext);
