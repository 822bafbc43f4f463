import { blockBackend } from "./block-backend.ts";
import { qemuCases } from "./support/register.ts";

qemuCases(blockBackend);
