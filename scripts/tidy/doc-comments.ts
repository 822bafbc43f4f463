// Every exported function of core/ has a doc comment: the C name first, then the contract. The map
// to QEMU's sources is made from these comments.

import {
  type Check,
  isFunction,
  type Node,
  type Problem,
  problemAt,
  type SourceFile,
} from "./project.ts";

export const docComments: Check = {
  name: "doc-comments",
  run: (project) =>
    project.sources
      .filter(({ path, isTest }) => path.startsWith("core/") && !isTest)
      .flatMap(problemsOf),
};

function problemsOf(source: SourceFile): Problem[] {
  const problems: Problem[] = [];
  for (const node of source.nodes) {
    if (node.type !== "ExportNamedDeclaration" || node.declaration === null) continue;
    const names = functionsOf(node.declaration);
    if (names.length === 0 || isDocumented(source, node)) continue;
    const text = `${names.join(", ")}() has no doc comment; say the C name and the contract`;
    problems.push(problemAt(source, node, text));
  }
  return problems;
}

function functionsOf(declaration: Node): string[] {
  if (declaration.type === "FunctionDeclaration") return [declaration.id?.name ?? "a function"];
  if (declaration.type !== "VariableDeclaration") return [];
  return declaration.declarations.flatMap(({ id, init }) =>
    init !== null && isFunction(init) && id.type === "Identifier" ? [id.name] : [],
  );
}

/** Whether the last comment before the node is a doc comment with nothing but space in between. */
function isDocumented(source: SourceFile, node: Node): boolean {
  const before = source.comments.filter(({ end }) => end <= node.start).at(-1);
  if (before === undefined || before.type !== "Block" || !before.value.startsWith("*"))
    return false;
  return source.text.slice(before.end, node.start).trim() === "";
}
