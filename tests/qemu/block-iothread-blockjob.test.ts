import { blockIothreadBlockjob } from "./block-iothread-blockjob.ts";
import { qemuCases } from "./support/register.ts";

qemuCases(blockIothreadBlockjob);
