// node dist/scripts/api-split.js: writes docs/api-split.md from the first lines of core's functions.
//
// The text is made in scripts/api-split/document.ts, whose test says whether what is committed is current.

import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { apiSplit, DOCUMENT } from "./api-split/document.ts";
import { projectFromDisk } from "./tidy/project.ts";

// This file runs as dist/scripts/api-split.js.
const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
writeFileSync(join(root, DOCUMENT), apiSplit(projectFromDisk(root)));
process.stdout.write(`${DOCUMENT} written\n`);
