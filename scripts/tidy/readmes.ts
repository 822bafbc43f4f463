// House rule 20: READMEs of folders stay under 40 lines and name only things that exist. Every path,
// symbol and package script in back-ticks is looked up, in the README of the project too; in docs/
// paths and scripts only, as those pages speak of fields and C names. Commands with arguments,
// options, placeholders and what a build or a run writes are left alone.

import { dirname, join } from "node:path/posix";
import type { Check, Problem, Project } from "./project.ts";

const LINES_MAX = 40;
const WRITTEN_BY_RUNS = /^(dist|out|node_modules)\//;
const PATH = /^[\w.@#-]*\/[\w./@-]*$|^[\w.-]+\.(ts|mjs|js|json|md|proto|py|yml|html)$/;
const SYMBOL = /^[A-Za-z_$][\w$]*(\.[A-Za-z_$][\w$]*)*(\(\))?$/;
const SCRIPT = /^npm (?:run )?([\w:-]+)/;
const NPM_OWN = new Set(["ci", "install", "run", "view", "pack", "link"]);

export const readmes: Check = {
  name: "readmes",
  run: (project) => {
    const words = wordsOf(project);
    return project.files
      .filter((path) => /(^|\/)README\.md$|^docs\/[^/]*\.md$/.test(path))
      .flatMap((path) => problemsOf(project, path, words));
  },
};

function problemsOf(project: Project, file: string, words: ReadonlySet<string>): Problem[] {
  const lines = (project.read(file) ?? "").trimEnd().split("\n");
  const problems: Problem[] = [];
  if (file.includes("/README") && lines.length >= LINES_MAX) {
    const text = `${lines.length} lines; a README of a folder has fewer than ${LINES_MAX}`;
    problems.push({ file, line: 1, text });
  }
  let inBlock = false;
  for (const [index, row] of lines.entries()) {
    if (row.trimStart().startsWith("```")) inBlock = !inBlock;
    if (inBlock) continue;
    for (const [, name = ""] of row.matchAll(/`([^`]+)`/g)) {
      const what = missing(project, file, name, words);
      if (what === null) continue;
      problems.push({ file, line: index + 1, text: `\`${name}\` ${what}; correct or remove it` });
    }
  }
  return problems;
}

/** What is missing, or null when the name in back-ticks stands for something or is of no kind that we know. */
function missing(
  project: Project,
  file: string,
  name: string,
  words: ReadonlySet<string>,
): string | null {
  const script = SCRIPT.exec(name)?.[1];
  if (script !== undefined && !NPM_OWN.has(script)) {
    return scriptsOf(project).has(script) ? null : "is no script of package.json";
  }
  if (name.startsWith("#")) {
    return project.exists(`${name.slice(1)}/index.ts`) ? null : "is no folder with an index.ts";
  }
  // A test case of QEMU, or a place on a machine: nothing of the project.
  if (name.startsWith("/")) return null;
  if (PATH.test(name)) {
    if (WRITTEN_BY_RUNS.test(name)) return null;
    const path = name.replace(/\/$/, "");
    const found = project.exists(path) || project.exists(join(dirname(file), path));
    return found ? null : "does not exist";
  }
  if (file.startsWith("docs/") || !SYMBOL.test(name)) return null;
  const unknown = name
    .replace("()", "")
    .split(".")
    .some((word) => !words.has(word));
  return unknown ? "stands nowhere in the sources" : null;
}

function scriptsOf(project: Project): Set<string> {
  const { scripts } = JSON.parse(project.read("package.json") ?? "{}") as { scripts?: object };
  return new Set(Object.keys(scripts ?? {}));
}

/** Every word of every source, and the names of folders and files. */
function wordsOf(project: Project): Set<string> {
  const words = new Set<string>();
  const isSource = /\.(ts|mjs|proto)$|(^|\/)(package|tsconfig)\.json$|^bin\//;
  for (const path of project.files) {
    for (const part of path.split("/")) words.add(part).add(part.replace(/\..*$/, ""));
    if (!isSource.test(path)) continue;
    for (const [word] of (project.read(path) ?? "").matchAll(/[A-Za-z_$][\w$]*/g)) words.add(word);
  }
  return words;
}
