// `any` nowhere, and the non-null `!` only in a hot loop: in a function that has the comment
// `// hot loop` in it or right above it, where a check for undefined would cost more than it is worth. Tests may say `!`.

import {
  type Check,
  enclosingFunctions,
  type Node,
  type Problem,
  problemAt,
  type SourceFile,
} from "./project.ts";

const WRAPS = new Set([
  "MethodDefinition",
  "VariableDeclarator",
  "VariableDeclaration",
  "ExportNamedDeclaration",
]);
const MARK = /^\s*hot loop\b/;

export const unsafeTypes: Check = {
  name: "unsafe-types",
  run: (project) => project.sources.flatMap(problemsOf),
};

function problemsOf(source: SourceFile): Problem[] {
  const problems: Problem[] = [];
  for (const node of source.nodes) {
    if (node.type === "TSAnyKeyword") {
      problems.push(problemAt(source, node, "`any`; say what it is, or `unknown`"));
    }
    if (node.type === "TSNonNullExpression" && !source.isTest && !isInHotLoop(source, node)) {
      const text =
        "`!` outside a hot loop; use must() or handle undefined, or mark the loop `// hot loop`";
      problems.push(problemAt(source, node, text));
    }
  }
  return problems;
}

function isInHotLoop(source: SourceFile, node: Node): boolean {
  for (const around of enclosingFunctions(source, node)) {
    const start = startWithComment(source, around);
    const inside = source.comments.some(
      (comment) => comment.start >= start && comment.end <= around.end && MARK.test(comment.value),
    );
    if (inside) return true;
  }
  return false;
}

/** Where a function begins, with the line comments right above it. */
function startWithComment(source: SourceFile, node: Node): number {
  let outer = node;
  for (let at = source.parents.get(node); at !== undefined && WRAPS.has(at.type); ) {
    outer = at;
    at = source.parents.get(at);
  }
  let { start } = outer;
  for (const comment of source.comments.toReversed()) {
    if (comment.end > start) continue;
    if (source.text.slice(comment.end, start).trim() !== "") break;
    start = comment.start;
  }
  return start;
}
