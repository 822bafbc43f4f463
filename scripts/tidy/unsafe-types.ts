// `any` nowhere, and the non-null `!` only in a hot loop: in a function that has the comment
// `// hot loop`, where a check for undefined would cost more than it is worth. Tests may say `!`.

import {
  type Check,
  enclosingFunctions,
  type Node,
  type Problem,
  problemAt,
  type SourceFile,
} from "./project.ts";

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
    const inside = source.comments.some(
      ({ start, end, value }) => start >= around.start && end <= around.end && MARK.test(value),
    );
    if (inside) return true;
  }
  return false;
}
