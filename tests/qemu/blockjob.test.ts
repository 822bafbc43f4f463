import { blockjob } from "./blockjob.ts";
import { qemuCases } from "./support/register.ts";

qemuCases(blockjob);
