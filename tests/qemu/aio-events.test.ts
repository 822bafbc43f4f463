import { aioEvents } from "./aio-events.ts";
import { qemuCases } from "./support/register.ts";

qemuCases(aioEvents);
