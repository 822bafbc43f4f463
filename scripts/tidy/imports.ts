// Which folder may import which (design D1). The table below is the truth.
//
// Inside a top-level folder imports are relative; across top-level folders they are `#folder`. Tests
// may import everything, but across folders they, too, say `#folder`. The parts of core/ that walk the
// graph need each other (an edit drains, a drain walks), so the table orders only what is below them.

import { dirname, join } from "node:path/posix";
import { type Check, type Node, type Project, problemAt, type SourceFile } from "./project.ts";

const FLOOR = ["core/base", "core/probe"];
const CORE = ["core", "core/sched", "core/graph", "core/io", "core/backend", "core/drivers"];
const ALL_OF_CORE = [...FLOOR, ...CORE, "core/bitmaps", "core/throttle", "core/jobs"];
const EVERYTHING = [
  ...ALL_OF_CORE,
  ..."traces tracer replay analyzer explorer daemon viewer cli tests bench scripts".split(" "),
];

/** Part → the parts that it may import. A file belongs to the longest part that is a prefix of its path. */
export const IMPORT_TABLE: Readonly<Record<string, readonly string[]>> = {
  "core/base": [],
  "core/probe": ["core/base"],
  "core/sched": FLOOR,
  "core/throttle": [...FLOOR, "core/sched", "core/graph"],
  "core/graph": ALL_OF_CORE,
  "core/bitmaps": ALL_OF_CORE,
  "core/io": ALL_OF_CORE,
  "core/backend": ALL_OF_CORE,
  "core/drivers": ALL_OF_CORE,
  "core/jobs": ALL_OF_CORE,
  core: ALL_OF_CORE,
  traces: FLOOR,
  tracer: [...FLOOR, "traces"],
  replay: [...ALL_OF_CORE, "tracer", "traces"],
  analyzer: [...FLOOR, "traces"],
  explorer: [...ALL_OF_CORE, "tracer", "traces", "replay", "analyzer"],
  daemon: [...ALL_OF_CORE, "tracer", "traces"],
  viewer: [...FLOOR, "traces", "analyzer"],
  cli: EVERYTHING,
  tests: EVERYTHING,
  bench: EVERYTHING,
  scripts: EVERYTHING,
};

/** What every part of core/ may import: which patches are on. */
const SHARED_FILES = new Set(["core/series.ts"]);

/** What tests may import across folders by its path, since no index exports it. */
const TEST_SUPPORT = /\/test-support\.ts$/;

interface Import {
  readonly node: Node;
  readonly specifier: string;
}

export const imports: Check = {
  name: "imports",
  run: (project) =>
    project.sources.flatMap((source) =>
      importsOf(source).flatMap(({ node, specifier }) => {
        const text = judge(project, source, specifier);
        return text === null ? [] : [problemAt(source, node, text)];
      }),
    ),
};

function importsOf(source: SourceFile): Import[] {
  const found: Import[] = [];
  for (const node of source.nodes) {
    if (
      node.type === "ImportDeclaration" ||
      node.type === "ImportExpression" ||
      node.type === "TSImportType" ||
      node.type === "ExportAllDeclaration" ||
      node.type === "ExportNamedDeclaration"
    ) {
      const from = node.source;
      if (from?.type === "Literal" && typeof from.value === "string") {
        found.push({ node, specifier: from.value });
      }
    }
  }
  return found;
}

/** What is wrong with an import, or null. */
function judge(project: Project, source: SourceFile, specifier: string): string | null {
  const own = partOf(source.path);
  if (specifier.startsWith(".")) return judgeRelative(source, own, specifier);
  if (specifier.startsWith("#")) return judgeFolder(project, source, own, specifier.slice(1));
  if (own.startsWith("core") && !source.isTest) {
    return `core imports "${specifier}"; core/ imports nothing from outside the project, so take what it gives as an argument`;
  }
  return null;
}

function judgeRelative(source: SourceFile, own: string, specifier: string): string | null {
  const target = join(dirname(source.path), specifier);
  const isTesting = source.isTest || source.path.startsWith("tests/");
  if (isTesting && TEST_SUPPORT.test(target)) return null;
  if (topOf(target) !== topOf(source.path)) {
    return `"${specifier}" leaves the folder ${topOf(source.path)}/; import "#${dirname(target)}" instead`;
  }
  const part = partOf(target);
  if (part === own || SHARED_FILES.has(target)) return null;
  return judgePart(source, own, part);
}

function judgeFolder(
  project: Project,
  source: SourceFile,
  own: string,
  folder: string,
): string | null {
  if (!project.exists(`${folder}/index.ts`)) {
    return `"#${folder}" has no ${folder}/index.ts; import the folder whose index.ts exports what is needed`;
  }
  return judgePart(source, own, partOf(`${folder}/index.ts`));
}

function judgePart(source: SourceFile, own: string, part: string): string | null {
  if (part === own || source.isTest) return null;
  const allowed = IMPORT_TABLE[own];
  if (allowed === undefined)
    return `${own}/ is not in the table of scripts/tidy/imports.ts; add it`;
  if (allowed.includes(part)) return null;
  return `${own}/ may not import ${part}/; take what is needed as an argument, which cli/ passes`;
}

/** The longest entry of the table that holds the file; else the file's top-level folder. */
export function partOf(path: string): string {
  for (let folder = dirname(path); folder !== "."; folder = dirname(folder)) {
    if (Object.hasOwn(IMPORT_TABLE, folder)) return folder;
  }
  return topOf(path);
}

function topOf(path: string): string {
  return path.split("/")[0] ?? path;
}
