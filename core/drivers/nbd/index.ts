export { type NbdOptions, nbdDriver, nbdOpen } from "./driver.ts";
