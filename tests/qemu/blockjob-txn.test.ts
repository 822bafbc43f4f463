import { blockjobTxn } from "./blockjob-txn.ts";
import { qemuCases } from "./support/register.ts";

qemuCases(blockjobTxn);
