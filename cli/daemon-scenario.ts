// The daemon as a scenario: what is needed to run it, and to find it again when its recording is replayed.
//
// Its options and the time of day at its start are parameters, so the header of a trace has them.

import { must } from "#core/base";
import {
  type DaemonHooks,
  type DaemonOption,
  daemonMain,
  isJsonObject,
  jsonText,
  parseJson,
} from "#daemon";
import type { Scenario } from "#explorer";

/** The name that the header of a recorded daemon has. */
export const DAEMON = "daemon";

/** Parameters of one daemon. */
export function daemonParams(
  options: readonly DaemonOption[],
  epochNs: number,
): Readonly<Record<string, string>> {
  return {
    options: jsonText(options.map(({ name, value, isText }) => [name, value, isText])),
    epoch: String(epochNs),
  };
}

/** The scenario; `hooks` are told how it gets on (daemonMain). A replay tells nobody. */
export function daemonScenario(hooks: DaemonHooks = {}): Scenario {
  return {
    name: DAEMON,
    title: "A storage daemon.",
    params: { options: "[]", epoch: "0" },
    stepsMax: Number.MAX_SAFE_INTEGER,
    main: (world) =>
      daemonMain({
        options: optionsOf(world.param("options")),
        epochNs: Number(world.param("epoch")),
        ...hooks,
      }),
  };
}

function optionsOf(text: string): DaemonOption[] {
  const list = parseJson(text);
  if (!Array.isArray(list)) return [];
  return list.map((entry) => {
    const [name, value, isText] = entry as unknown as [DaemonOption["name"], unknown, boolean];
    const object = must(value as DaemonOption["value"], "an option has a value");
    return { name, value: isJsonObject(object) ? object : new Map(), isText };
  });
}
