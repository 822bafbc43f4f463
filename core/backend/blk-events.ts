// What BlockBackends tell the outside world: QMP's events, as values. The monitor listens, and runs straight through.

import { perMachine } from "../sched/index.ts";
import type { BlockDeviceIoStatus } from "./block-backend.ts";

/** What is done about a failed request (QAPI: BlockErrorAction). */
export type BlkErrorAction = "report" | "ignore" | "stop";

/** An event, by QMP's name. */
export type BlkEvent =
  | {
      readonly event: "DEVICE_TRAY_MOVED";
      readonly device: string;
      readonly id: string;
      readonly trayOpen: boolean;
    }
  | {
      readonly event: "BLOCK_IO_ERROR";
      readonly device: string;
      readonly nodeName: string | null;
      readonly operation: "read" | "write";
      readonly action: BlkErrorAction;
      /** Whether there was no space; null where the device keeps no I/O status. */
      readonly nospace: boolean | null;
      readonly reason: string;
    }
  /** The machine is to be stopped, as a request failed (C: qemu_system_vmstop_request). Always behind its BLOCK_IO_ERROR. */
  | { readonly event: "STOP"; readonly device: string; readonly iostatus: BlockDeviceIoStatus };

/** Who is told of events. */
export const blkEventListeners = perMachine((): ((event: BlkEvent) => undefined)[] => []);

/** qapi_event_send_*: tell the listeners. Common. */
export function blkEvent(event: BlkEvent): void {
  for (const listener of blkEventListeners()) listener(event);
}
