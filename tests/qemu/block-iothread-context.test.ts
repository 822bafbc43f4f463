import { blockIothreadContext } from "./block-iothread-context.ts";
import { qemuCases } from "./support/register.ts";

qemuCases(blockIothreadContext);
