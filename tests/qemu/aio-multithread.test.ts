import { aioMultithread } from "./aio-multithread.ts";
import { qemuCases } from "./support/register.ts";

qemuCases(aioMultithread);
