// Every exported function of core/ says in which thread it may run (house rule 4).
//
// The first line of its body is globalStateCode(…), ioCode(…) or ioOrGsCode(…), which check it (core/sched/domain.ts); or its
// doc comment has the sentence "Common.": it may run anywhere, and calls nothing that may not. core/base and core/probe are the
// floor, where no thread has been heard of. unclassified.json lists the functions that do not say so yet; it may only shrink.

import {
  type Check,
  isFunction,
  type Node,
  type Problem,
  type Project,
  problemAt,
  type SourceFile,
} from "./project.ts";

const LIST = "scripts/tidy/unclassified.json";
const FLOOR = ["core/base/", "core/probe/"];
const MARKERS = {
  globalStateCode: "GS",
  ioOrGsCode: "I/O or GS",
  ioCode: "I/O",
} as const;

/** Where a function may run. */
export type Domain = (typeof MARKERS)[keyof typeof MARKERS] | "Common";

/** An exported function of core/, with what it says of itself; null when it says nothing. */
export interface CoreFunction {
  readonly source: SourceFile;
  readonly name: string;
  /** The whole `export` statement. */
  readonly node: Node;
  /** The function itself. */
  readonly body: Node;
  readonly doc: string;
  readonly domain: Domain | null;
  /** The arguments of the check in the first line; empty when there is none. */
  readonly checks: readonly string[];
}

export const domains: Check = {
  name: "domains",
  run: (project) => {
    const listed = new Set(readList(project));
    const problems: Problem[] = [];
    for (const one of coreFunctions(project)) {
      const key = `${one.source.path}#${one.name}`;
      const isListed = listed.delete(key);
      if (one.domain === null && !isListed)
        problems.push(problemAt(one.source, one.node, says(one)));
      if (one.domain !== null && isListed)
        problems.push(inList(project, key, `says that it is ${one.domain} now; remove the entry`));
    }
    for (const key of listed) problems.push(inList(project, key, "is gone; remove the entry"));
    return problems;
  },
};

function says({ name }: CoreFunction): string {
  return `${name}() does not say in which thread it runs; begin it with globalStateCode(), ioCode() or ioOrGsCode(), or write "Common." in its doc comment`;
}

/** The exported functions of core/ above the floor, in the order of the files. */
export function coreFunctions(project: Project): CoreFunction[] {
  return project.sources
    .filter(({ path, isTest }) => path.startsWith("core/") && !isTest)
    .filter(({ path }) => !FLOOR.some((folder) => path.startsWith(folder)))
    .flatMap(functionsOf);
}

function functionsOf(source: SourceFile): CoreFunction[] {
  const found: CoreFunction[] = [];
  for (const node of source.nodes) {
    if (node.type !== "ExportNamedDeclaration" || node.declaration === null) continue;
    for (const [name, body] of declared(node.declaration)) {
      const doc = docOf(source, node);
      const check = firstCheck(source, body);
      const domain = check?.domain ?? (/(^|\s)Common\.(\s|$)/.test(doc) ? "Common" : null);
      found.push({ source, name, node, body, doc, domain, checks: check?.args ?? [] });
    }
  }
  return found;
}

function declared(declaration: Node): [string, Node][] {
  if (declaration.type === "FunctionDeclaration")
    return declaration.body === null ? [] : [[declaration.id?.name ?? "a function", declaration]];
  if (declaration.type !== "VariableDeclaration") return [];
  return declaration.declarations.flatMap(({ id, init }): [string, Node][] =>
    init !== null && isFunction(init) && id.type === "Identifier" ? [[id.name, init]] : [],
  );
}

/** The text of the doc comment, as one line. */
function docOf(source: SourceFile, node: Node): string {
  const before = source.comments.filter(({ end }) => end <= node.start).at(-1);
  if (before === undefined || before.type !== "Block" || !before.value.startsWith("*")) return "";
  return before.value
    .slice(1)
    .replace(/\n\s*\*/g, " ")
    .replace(/\s+/g, " ")
    .trim();
}

function firstCheck(
  source: SourceFile,
  body: Node,
): { readonly domain: Domain; readonly args: readonly string[] } | null {
  if (!isFunction(body) || body.body === null || body.body.type !== "BlockStatement") return null;
  const [first] = body.body.body;
  if (first?.type !== "ExpressionStatement" || first.expression.type !== "CallExpression")
    return null;
  const { callee, arguments: args } = first.expression;
  if (callee.type !== "Identifier" || !Object.hasOwn(MARKERS, callee.name)) return null;
  const domain = MARKERS[callee.name as keyof typeof MARKERS];
  return { domain, args: args.map(({ start, end }) => source.text.slice(start, end)) };
}

function readList(project: Project): readonly string[] {
  return JSON.parse(project.read(LIST) ?? "[]") as readonly string[];
}

function inList(project: Project, key: string, text: string): Problem {
  const lines = (project.read(LIST) ?? "").split("\n");
  const line = lines.findIndex((row) => row.includes(JSON.stringify(key))) + 1;
  return { file: LIST, line, text: `"${key}" ${text}` };
}
