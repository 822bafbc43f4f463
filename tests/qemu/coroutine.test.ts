import { coroutine } from "./coroutine.ts";
import { qemuCases } from "./support/register.ts";

qemuCases(coroutine);
