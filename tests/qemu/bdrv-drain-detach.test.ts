import { bdrvDrainDetach } from "./bdrv-drain-detach.ts";
import { qemuCases } from "./support/register.ts";

qemuCases(bdrvDrainDetach);
