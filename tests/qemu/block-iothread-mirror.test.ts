import { blockIothreadMirror } from "./block-iothread-mirror.ts";
import { qemuCases } from "./support/register.ts";

qemuCases(blockIothreadMirror);
