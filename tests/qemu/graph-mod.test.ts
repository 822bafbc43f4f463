import { bdrvGraphMod } from "./graph-mod.ts";
import { qemuCases } from "./support/register.ts";

qemuCases(bdrvGraphMod);
