import { defineConfig } from "vitest/config";

// Sources import each other across folders as `#core/base`; the condition `source` in package.json
// makes that the .ts file. Tests run in vite's server environment, which has conditions of its own.
const conditions = ["source", "node", "development|production"];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: ["source", "node"] } },
  test: {
    include: ["**/*.test.ts"],
    exclude: ["**/node_modules/**", "dist/**", "tools/**", "out/**"],
    globalSetup: ["scripts/vitest-setup.mjs"],
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
