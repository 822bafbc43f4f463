import { bdrvDrainCommit } from "./bdrv-drain-commit.ts";
import { qemuCases } from "./support/register.ts";

qemuCases(bdrvDrainCommit);
