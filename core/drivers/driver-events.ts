// What drivers tell the outside world: QMP's events, as values, and blkdebug's lines. Who listens runs straight through.

import { perMachine } from "../sched/index.ts";

/** An event; those in capitals by QMP's name. */
export type DriverEvent =
  /** A line for people who look at the standard output. */
  | { readonly event: "print"; readonly line: string }
  /** A line for people who look at the standard error output. */
  | { readonly event: "warn"; readonly line: string }
  /** A line for the same people, which is the last: QEMU's process ends with exit code 1 there, and the run at an assertion. */
  | { readonly event: "fatal"; readonly line: string }
  /** An image contradicts itself. */
  | {
      readonly event: "BLOCK_IMAGE_CORRUPTED";
      /** Name of the device; "" when it is none. */
      readonly device: string;
      readonly nodeName: string;
      readonly msg: string;
      /** Where the file would have been written to; null when that is not what is wrong. */
      readonly range: { readonly offset: number; readonly bytes: number } | null;
      /** It is marked, and serves nothing any more. */
      readonly fatal: boolean;
    }
  /** Less children agree than have to. */
  | {
      readonly event: "QUORUM_FAILURE";
      /** Name of the device, or of the node. */
      readonly reference: string;
      readonly sectorNum: number;
      readonly sectorsCount: number;
    }
  /** A child failed, or has other data than most. */
  | {
      readonly event: "QUORUM_REPORT_BAD";
      readonly type: "read" | "write" | "flush";
      /** What the errno says; null for other data. */
      readonly error: string | null;
      readonly nodeName: string;
      readonly sectorNum: number;
      readonly sectorsCount: number;
    };

/** Who is told of events. */
export const driverEventListeners = perMachine((): ((event: DriverEvent) => undefined)[] => []);

/** qapi_event_send_*: tell the listeners. Common. */
export function driverEvent(event: DriverEvent): void {
  for (const listener of driverEventListeners()) listener(event);
}
