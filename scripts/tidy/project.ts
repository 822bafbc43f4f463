// What the checks look at: every source file, parsed once, and the other files by name.
//
// TypeScript 7 has no JavaScript API, so the syntax trees come from oxc-parser, in the ESTree form.
// Offsets count UTF-16 units, like those of a JavaScript string.

import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import {
  type ArrowFunctionExpression,
  type Comment,
  type Function as FunctionSyntax,
  type Node,
  type Program,
  parseSync,
  visitorKeys,
} from "oxc-parser";

export type { Comment, Node } from "oxc-parser";

/** One thing that is wrong; printed as `file:line: what; what to do`. */
export interface Problem {
  readonly file: string;
  readonly line: number;
  readonly text: string;
}

export interface Check {
  readonly name: string;
  run(project: Project): Problem[];
}

export interface SourceFile {
  readonly path: string;
  readonly text: string;
  /** A test, or what tests share: `test-support.ts` or `testing.ts`. */
  readonly isTest: boolean;
  readonly program: Program;
  readonly comments: readonly Comment[];
  readonly parents: ReadonlyMap<Node, Node>;
  /** Every node, parents before children. */
  readonly nodes: readonly Node[];
  lineAt(offset: number): number;
}

export interface Project {
  readonly sources: readonly SourceFile[];
  /** READMEs and other files by name, relative to the project; `null` when there is none. */
  read(path: string): string | null;
  exists(path: string): boolean;
  /** Files of all kinds, sorted. */
  readonly files: readonly string[];
}

const SOURCE_FOLDERS =
  "core traces tracer replay analyzer explorer daemon viewer cli scripts tests bench".split(" ");
const SKIPPED_FOLDERS = new Set(["node_modules", "dist", "out", "coverage", ".git", "generated"]);

/** Reads the project below `root`. */
export function projectFromDisk(root: string): Project {
  const files: string[] = [];
  const visit = (folder: string): void => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
      if (entry.isFile()) files.push(path);
      else if (entry.isDirectory() && !SKIPPED_FOLDERS.has(entry.name)) visit(path);
    }
  };
  visit("");
  const read = (path: string): string | null => {
    const full = join(root, path);
    return existsSync(full) && statSync(full).isFile() ? readFileSync(full, "utf8") : null;
  };
  return makeProject(files, read, (path) => existsSync(join(root, path)));
}

/** A project drawn as text, for tests: path to content. */
export function projectFromText(texts: Readonly<Record<string, string>>): Project {
  const files = Object.keys(texts);
  const exists = (path: string): boolean => {
    const folder = path.endsWith("/") ? path : `${path}/`;
    return Object.hasOwn(texts, path) || files.some((file) => file.startsWith(folder));
  };
  return makeProject(files, (path) => texts[path] ?? null, exists);
}

function makeProject(
  files: string[],
  read: (path: string) => string | null,
  exists: (path: string) => boolean,
): Project {
  files.sort();
  const isSource = (path: string): boolean =>
    /\.ts$/.test(path) &&
    !/\.(generated|d)\.ts$/.test(path) &&
    SOURCE_FOLDERS.includes(path.split("/")[0] ?? "");
  const sources = files.filter(isSource).map((path) => parseSource(path, read(path) ?? ""));
  return { sources, files, read, exists };
}

/** Parses one file. A file that does not parse gets an empty tree; the compiler says what is wrong. */
export function parseSource(path: string, text: string): SourceFile {
  const { program, comments } = parseSync(path, text, { lang: "ts", sourceType: "module" });
  const parents = new Map<Node, Node>();
  const nodes: Node[] = [];
  collect(program, nodes, parents);
  const lineStarts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) {
    lineStarts.push(at + 1);
  }
  const lineAt = (offset: number): number => {
    let low = 0;
    let high = lineStarts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((lineStarts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return low + 1;
  };
  const isTest = /\.test\.ts$|(^|\/)(test-support|testing)\.ts$/.test(path);
  return { path, text, isTest, program, comments, parents, nodes, lineAt };
}

function collect(node: Node, nodes: Node[], parents: Map<Node, Node>): void {
  nodes.push(node);
  const fields = node as unknown as Readonly<Record<string, unknown>>;
  for (const key of visitorKeys[node.type] ?? []) {
    const value = fields[key];
    for (const child of Array.isArray(value) ? value : [value]) {
      if (!isNode(child)) continue;
      parents.set(child, node);
      collect(child, nodes, parents);
    }
  }
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "type" in value;
}

export function problemAt(source: SourceFile, node: Node, text: string): Problem {
  return { file: source.path, line: source.lineAt(node.start), text };
}

/** The functions around a node, innermost first. */
export function* enclosingFunctions(source: SourceFile, node: Node): Generator<FunctionNode> {
  for (let at = source.parents.get(node); at !== undefined; at = source.parents.get(at)) {
    if (isFunction(at)) yield at;
  }
}

/** A function with a body; declarations without one have no part in the checks. */
export type FunctionNode = ArrowFunctionExpression | FunctionSyntax;

export function isFunction(node: Node): node is FunctionNode {
  return (
    node.type === "FunctionDeclaration" ||
    node.type === "FunctionExpression" ||
    node.type === "ArrowFunctionExpression"
  );
}

/** The name by which a function is known where it is written, or "a function" when it has none. */
export function nameOfFunction(source: SourceFile, node: FunctionNode): string {
  if (node.id !== null) return node.id.name;
  const parent = source.parents.get(node);
  if (parent?.type === "VariableDeclarator" && parent.id.type === "Identifier") {
    return parent.id.name;
  }
  if (
    parent?.type === "MethodDefinition" ||
    parent?.type === "PropertyDefinition" ||
    parent?.type === "Property"
  ) {
    return nameOfKey(parent.key) ?? "a function";
  }
  return "a function";
}

export function nameOfKey(key: Node): string | null {
  if (key.type === "Literal") return typeof key.value === "string" ? key.value : null;
  return key.type === "Identifier" || key.type === "PrivateIdentifier" ? key.name : null;
}
