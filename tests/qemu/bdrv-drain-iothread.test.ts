import { bdrvDrainIothread } from "./bdrv-drain-iothread.ts";
import { qemuCases } from "./support/register.ts";

qemuCases(bdrvDrainIothread);
