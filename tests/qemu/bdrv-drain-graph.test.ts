import { bdrvDrainGraph } from "./bdrv-drain-graph.ts";
import { qemuCases } from "./support/register.ts";

qemuCases(bdrvDrainGraph);
