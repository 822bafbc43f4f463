// Runs once before any test file, so that a plain `npx vitest run` finds the generated site table.
import { writeSites } from "./sites.mjs";

export default function setup() {
  writeSites();
}
