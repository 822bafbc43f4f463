// The workload that `npm run profile` profiles: the demo on the simulated host, recorded in full, for about three seconds.

import { recordScenario, SCENARIOS } from "#explorer";

const SECONDS = 3;

const demo = SCENARIOS.find(({ name }) => name === "demo");
if (demo === undefined) throw new Error("the demo is built in");
const started = process.hrtime.bigint();
let events = 0;
for (let seed = 1; Number(process.hrtime.bigint() - started) < SECONDS * 1e9; seed++) {
  events += recordScenario(demo, { seed }).events;
}
process.stdout.write(`${events} events recorded\n`);
