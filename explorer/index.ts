export { type ExternalClients, NO_CLIENTS } from "./external-clients.ts";
export * from "./schedulers/index.ts";
export {
  type DiskFault,
  type DiskOperation,
  type DiskOptions,
  SimulatedDisk,
  SimulatedFile,
} from "./simulated-disk.ts";
export { SimulatedHost, type SimulatedHostOptions } from "./simulated-host.ts";
