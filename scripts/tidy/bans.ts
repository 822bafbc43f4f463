// House rule 2: one door to choice, time, randomness and input. In core/, replay/ and explorer/ only
// the `Scheduler` decides and only the `Host` reads the world, or a replayed run would differ from
// the recorded one. Each ban names what to use instead. Tests are excepted.

import { type Check, type Node, problemAt, type SourceFile } from "./project.ts";

const FOLDERS = /^(core|replay|explorer)\//;

const TIME = "read the clock of the Host";
const TIMER = "use a timer of the AioContext";
const RANDOM = "draw from the seeded Prng of core/base";
const COROUTINE = "write a generator that returns Co or Polls (design D2)";
const OUTSIDE = "go through the Host, or take it as an argument that cli/ passes";
const ORDER = "compare with < and >: the result depends on the language of the machine";
const MEMORY = "keep a plain reference and drop it: collection happens at no fixed moment";

const GLOBALS: Readonly<Record<string, string>> = {
  performance: TIME,
  setTimeout: TIMER,
  setInterval: TIMER,
  setImmediate: TIMER,
  queueMicrotask: "schedule a bottom half",
  process: OUTSIDE,
  fetch: OUTSIDE,
  console: OUTSIDE,
  crypto: RANDOM,
  Promise: COROUTINE,
  WeakRef: MEMORY,
  FinalizationRegistry: MEMORY,
  Intl: ORDER,
};

const MEMBERS: Readonly<Record<string, string>> = {
  "Date.now": TIME,
  "Math.random": RANDOM,
};

const METHODS: Readonly<Record<string, string>> = {
  localeCompare: ORDER,
  toLocaleString: ORDER,
};

/** Modules that are no way to the world, each for one file. */
const PURE_IMPORTS: Readonly<Record<string, string>> = { "explorer/codec.ts": "node:zlib" };

export const bans: Check = {
  name: "bans",
  run: (project) =>
    project.sources
      .filter(({ path, isTest }) => FOLDERS.test(path) && !isTest)
      .flatMap((source) => {
        const own = namesDeclaredIn(source);
        return source.nodes.flatMap((node) => {
          const ban = banOf(source, node, own);
          if (ban === null) return [];
          return [problemAt(source, node, `${ban.what} is banned here; ${ban.instead}`)];
        });
      }),
};

interface Ban {
  readonly what: string;
  readonly instead: string;
}

function banOf(source: SourceFile, node: Node, own: ReadonlySet<string>): Ban | null {
  if (node.type === "AwaitExpression") return { what: "await", instead: COROUTINE };
  if ("async" in node && node.async) return { what: "an async function", instead: COROUTINE };
  if (node.type === "ForOfStatement" && node.await)
    return { what: "for await", instead: COROUTINE };
  if (node.type === "NewExpression" || node.type === "CallExpression") {
    const { callee } = node;
    if (callee.type === "Identifier" && callee.name === "Date" && !own.has("Date")) {
      return { what: "Date", instead: TIME };
    }
  }
  if (node.type === "MemberExpression") return banOfMember(node);
  if (node.type === "Identifier") return banOfName(source, node, own);
  return banOfImport(source, node);
}

function banOfMember(node: Extract<Node, { type: "MemberExpression" }>): Ban | null {
  if (node.computed || node.property.type !== "Identifier") return null;
  const method = node.property.name;
  const member = node.object.type === "Identifier" ? `${node.object.name}.${method}` : "";
  const instead = lookUp(MEMBERS, member) ?? lookUp(METHODS, method);
  return instead === null ? null : { what: member || method, instead };
}

function banOfName(
  source: SourceFile,
  node: Node & { readonly name: string },
  own: ReadonlySet<string>,
): Ban | null {
  const instead = lookUp(GLOBALS, node.name);
  if (instead === null || own.has(node.name) || !isReference(source, node)) return null;
  return { what: node.name, instead };
}

function banOfImport({ path }: SourceFile, node: Node): Ban | null {
  const from =
    node.type === "ImportDeclaration" || node.type === "ImportExpression" ? node.source : null;
  if (from?.type !== "Literal" || typeof from.value !== "string") return null;
  if (PURE_IMPORTS[path] === from.value) return null;
  return from.value.startsWith("node:") ? { what: from.value, instead: OUTSIDE } : null;
}

function lookUp(table: Readonly<Record<string, string>>, name: string): string | null {
  return Object.hasOwn(table, name) ? (table[name] ?? null) : null;
}

/** Whether a name stands for a variable, and not for a member, a key or a label. */
function isReference(source: SourceFile, node: Node): boolean {
  const parent = source.parents.get(node);
  if (parent === undefined) return true;
  if (parent.type === "MemberExpression") return parent.computed || parent.object === node;
  if (parent.type === "TSQualifiedName") return parent.left === node;
  if ("key" in parent && parent.key === node) {
    return "computed" in parent && parent.computed === true;
  }
  return !parent.type.startsWith("Import") && !parent.type.startsWith("Export");
}

/** Names that the file gives a meaning of its own anywhere. */
function namesDeclaredIn(source: SourceFile): Set<string> {
  const names = new Set<string>();
  for (const node of source.nodes) {
    if (node.type !== "Identifier") continue;
    const parent = source.parents.get(node);
    if (parent === undefined) continue;
    const isParameter = "params" in parent && (parent.params as readonly unknown[]).includes(node);
    const isDeclared = "id" in parent && parent.id === node;
    const isImported = "local" in parent && parent.local === node;
    if (isParameter || isDeclared || isImported) names.add(node.name);
  }
  return names;
}
