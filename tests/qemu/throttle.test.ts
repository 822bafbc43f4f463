import { qemuCases } from "./support/register.ts";
import { throttle } from "./throttle.ts";

qemuCases(throttle);
