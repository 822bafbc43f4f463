// The built-in scenarios, in the order in which they are listed.

import type { Scenario } from "../scenario.ts";
import { demo } from "./demo.ts";

export const SCENARIOS: readonly Scenario[] = [demo];
