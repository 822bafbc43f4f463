// House rule 5: a function has at most 70 lines and a file at most 500.
//
// ratchet.json lists the exceptions with the size that each had when it was listed. They may only
// shrink: an entry must name the present size, so a listed thing that grew is an error, one that
// shrank asks for the new number, and one that fits asks to be removed. New exceptions are not meant
// to be added; a review sees them as a line in that file.

import {
  type Check,
  type FunctionNode,
  isFunction,
  nameOfFunction,
  type Problem,
  type Project,
  type SourceFile,
} from "./project.ts";

const FUNCTION_LINES_MAX = 70;
const FILE_LINES_MAX = 500;
const LIST = "scripts/tidy/ratchet.json";

interface Measured {
  readonly key: string;
  readonly what: string;
  readonly file: string;
  readonly line: number;
  readonly lines: number;
  readonly linesMax: number;
}

export const ratchet: Check = {
  name: "ratchet",
  run: (project) => {
    const listed = readList(project);
    const measured = project.sources.flatMap(measure);
    const problems = measured.flatMap((one) => judge(one, listed.get(one.key)));
    const keys = new Set(measured.map(({ key }) => key));
    for (const key of listed.keys()) {
      if (!keys.has(key)) problems.push(inList(project, key, "is gone; remove the entry"));
    }
    return problems;
  },
};

function judge(one: Measured, listed: number | undefined): Problem[] {
  const { file, line, lines, linesMax, what, key } = one;
  const problem = (text: string): Problem[] => [
    { file, line, text: `${what} has ${lines} lines; ${text}` },
  ];
  if (listed === undefined) {
    return lines <= linesMax ? [] : problem(`at most ${linesMax}, so split it`);
  }
  if (lines <= linesMax) return problem(`it fits now, so remove "${key}" from ${LIST}`);
  if (lines > listed) return problem(`${LIST} allows ${listed} and may only shrink, so split it`);
  return lines < listed ? problem(`set "${key}" to ${lines} in ${LIST}, so that it stays so`) : [];
}

/** The sizes of a file and of its functions. A function that `describe` calls is a chapter, not a function. */
function measure(source: SourceFile): Measured[] {
  const file = source.path;
  const lines = source.text.split("\n").length - (source.text.endsWith("\n") ? 1 : 0);
  const measured: Measured[] = [
    { key: file, what: "the file", file, line: 1, lines, linesMax: FILE_LINES_MAX },
  ];
  for (const node of source.nodes) {
    if (!isFunction(node) || isChapter(source, node)) continue;
    const line = source.lineAt(node.start);
    const name = nameOfFunction(source, node);
    measured.push({
      key: `${file}#${name === "a function" ? `line ${line}` : name}`,
      what: name === "a function" ? name : `${name}()`,
      file,
      line,
      lines: source.lineAt(node.end - 1) - line + 1,
      linesMax: FUNCTION_LINES_MAX,
    });
  }
  return measured;
}

function isChapter(source: SourceFile, node: FunctionNode): boolean {
  const parent = source.parents.get(node);
  if (!source.isTest || parent?.type !== "CallExpression") return false;
  return /^describe\b/.test(source.text.slice(parent.callee.start, parent.callee.end));
}

function readList(project: Project): Map<string, number> {
  const list: unknown = JSON.parse(project.read(LIST) ?? "{}");
  return new Map(Object.entries(list as Record<string, number>));
}

function inList(project: Project, key: string, text: string): Problem {
  const lines = (project.read(LIST) ?? "").split("\n");
  const line = lines.findIndex((row) => row.includes(JSON.stringify(key))) + 1;
  return { file: LIST, line, text: `"${key}" ${text}` };
}
