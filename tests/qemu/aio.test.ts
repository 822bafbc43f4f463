import { aio } from "./aio.ts";
import { qemuCases } from "./support/register.ts";

qemuCases(aio);
