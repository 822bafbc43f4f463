// Which names are functions that return a `Co` or a `Polls`, collected over all files from the
// annotations alone. There is no type checker behind this, so names decide:
//
// - a plain name `f(...)` is what the nearest scope of the file says, else what the import exports;
// - a member `x.f(...)` is every method, field of function type and interface member called f.
//
// A member name that is a generator in one type and something else in another is ambiguous.

import {
  enclosingFunctions,
  type FunctionNode,
  isFunction,
  type Node,
  nameOfKey,
  type Project,
  type SourceFile,
} from "./project.ts";

/** What is known of one function: whether it returns a Co or Polls (perhaps), and its parameters. */
export interface Signature {
  readonly isColoured: boolean;
  readonly params: readonly Node[];
  readonly returns: Node | null;
  readonly place: string;
}

/** What a parameter does with a generator, or with a function that returns one, handed to it. */
export type Taking = "takes" | "ignores" | "unknown";

const COLOURS = new Set(["Co", "Polls"]);
const GENERATORS = new Set([
  ...COLOURS,
  ..."Generator Iterator Iterable IterableIterator IteratorObject".split(" "),
]);
const PLAIN_TYPES = new Set(
  "Boolean Number String BigInt Symbol Void Null Undefined Unknown Never"
    .split(" ")
    .map((name) => `TS${name}Keyword`),
);
const ALIAS_DEPTH_MAX = 8;

/** Members that arrays, strings, maps and so on have: a call of one says nothing of its colour. */
export const BUILT_IN_MEMBERS: ReadonlySet<string> = new Set(
  [Array, String, Map, Set, RegExp, Promise, Function, Number, Uint8Array, DataView].flatMap(
    ({ prototype }) =>
      Object.entries(Object.getOwnPropertyDescriptors(prototype))
        .filter(([, { value }]) => typeof value === "function")
        .map(([name]) => name),
  ),
);

type Scope = Map<string, Node>;

export class Signatures {
  readonly #aliases = new Map<string, Node>();
  readonly #members = new Map<string, Signature[]>();
  readonly #exported = new Map<string, Signature[]>();
  readonly #scopes = new Map<Node, Scope>();

  constructor(project: Project) {
    for (const source of project.sources) {
      for (const node of source.nodes) {
        if (node.type === "TSTypeAliasDeclaration") {
          this.#aliases.set(node.id.name, node.typeAnnotation);
        }
      }
    }
    for (const source of project.sources) {
      for (const node of source.nodes) this.#collect(source, node);
    }
  }

  /** The signatures that a callee may have; empty when nothing is known. */
  of(source: SourceFile, callee: Node): readonly Signature[] {
    if (callee.type === "MemberExpression") return this.#ofMember(source, callee);
    if (callee.type === "Identifier") return this.#ofName(source, callee, callee.name);
    if (callee.type === "LogicalExpression") {
      return [...this.of(source, callee.left), ...this.of(source, callee.right)];
    }
    if (
      callee.type === "ChainExpression" ||
      callee.type === "ParenthesizedExpression" ||
      callee.type === "TSNonNullExpression" ||
      callee.type === "TSAsExpression"
    ) {
      return this.of(source, callee.expression);
    }
    return isFunction(callee) ? [this.#ofFunction(source, callee)] : [];
  }

  /** All that is known of members called `name`. */
  ofMemberName(name: string): readonly Signature[] {
    return this.#members.get(name) ?? [];
  }

  isColour(type: Node | null): boolean {
    return this.isGeneratorType(type, COLOURS);
  }

  /** Whether a type is, or may be, a generator: `Co<number>`, `undefined | Polls<void>`. */
  isGeneratorType(type: Node | null, names = GENERATORS, depth = 0): boolean {
    if (type === null || depth > ALIAS_DEPTH_MAX) return false;
    if (type.type === "TSTypeAnnotation") {
      return this.isGeneratorType(type.typeAnnotation, names, depth);
    }
    if (type.type === "TSParenthesizedType") {
      return this.isGeneratorType(type.typeAnnotation, names, depth);
    }
    if (type.type === "TSUnionType") {
      return type.types.some((one) => this.isGeneratorType(one, names, depth));
    }
    if (type.type !== "TSTypeReference" || type.typeName.type !== "Identifier") return false;
    const { name } = type.typeName;
    return (
      names.has(name) || this.isGeneratorType(this.#aliases.get(name) ?? null, names, depth + 1)
    );
  }

  /** The function type behind an annotation, through aliases, unions and `NonNullable`. */
  functionType(type: Node | null, depth = 0): Extract<Node, { type: "TSFunctionType" }> | null {
    if (type === null || depth > ALIAS_DEPTH_MAX) return null;
    if (type.type === "TSFunctionType") return type;
    if (type.type === "TSTypeAnnotation" || type.type === "TSParenthesizedType") {
      return this.functionType(type.typeAnnotation, depth);
    }
    if (type.type === "TSUnionType") {
      const found = type.types.map((one) => this.functionType(one, depth));
      return found.find((one) => one !== null) ?? null;
    }
    if (type.type !== "TSTypeReference" || type.typeName.type !== "Identifier") return null;
    const argument = type.typeArguments?.params[0] ?? null;
    if (type.typeName.name === "NonNullable") return this.functionType(argument, depth + 1);
    return this.functionType(this.#aliases.get(type.typeName.name) ?? null, depth + 1);
  }

  /** What the parameter at `index` does with a generator. */
  takesGenerator({ params }: Signature, index: number): Taking {
    const type = typeOfParameter(params, index);
    if (type === null) return "unknown";
    if (this.isGeneratorType(type)) return "takes";
    return isPlain(type) ? "ignores" : "unknown";
  }

  /** What the parameter at `index` does with what a callback returns. */
  takesCallback({ params }: Signature, index: number): Taking {
    const callback = this.functionType(typeOfParameter(params, index));
    if (callback === null) return "unknown";
    const returns = callback.returnType.typeAnnotation;
    if (this.isGeneratorType(returns)) return "takes";
    return isPlain(returns) ? "ignores" : "unknown";
  }

  #collect(source: SourceFile, node: Node): void {
    if (node.type === "TSMethodSignature") {
      this.#addMember(source, node.key, this.#make(source, node, node.params, node.returnType));
    } else if (
      node.type === "MethodDefinition" ||
      node.type === "PropertyDefinition" ||
      node.type === "TSAbstractMethodDefinition" ||
      node.type === "TSAbstractPropertyDefinition" ||
      node.type === "Property" ||
      node.type === "TSPropertySignature"
    ) {
      this.#collectField(source, node);
    }
    const name = bindingOf(source, node);
    if (name === null) return;
    const around = enclosingFunctions(source, node);
    // The name of a function belongs to the scope outside of it; a parameter to the one inside.
    if (isFunction(node) && node.type === "FunctionExpression") return;
    const scope = scopeNode(source, node, around);
    const names = this.#scopes.get(scope) ?? new Map<string, Node>();
    this.#scopes.set(scope, names);
    names.set(name, node);
    if (scope === source.program && isExported(source, node, name)) {
      const signature = this.#ofBinding(source, node);
      if (signature !== null) push(this.#exported, name, signature);
    }
  }

  #collectField(
    source: SourceFile,
    node: Extract<Node, { readonly key: Node }> & { readonly key: Node },
  ): void {
    const value = "value" in node && isNodeValue(node.value) ? node.value : null;
    const annotation = "typeAnnotation" in node ? (node.typeAnnotation as Node | null) : null;
    const type = this.functionType(annotation);
    if (type !== null) {
      this.#addMember(source, node.key, this.#make(source, node, type.params, type.returnType));
    } else if (value !== null && "params" in value && "returnType" in value) {
      const fn = value as FunctionNode;
      if (node.type === "Property" && fn.returnType == null) return;
      this.#addMember(source, node.key, this.#ofFunction(source, fn));
    }
  }

  #addMember(source: SourceFile, key: Node, signature: Signature): void {
    const name = memberName(source, key);
    if (name !== null && source.path !== "") push(this.#members, name, signature);
  }

  #make(
    source: SourceFile,
    node: Node,
    params: readonly Node[],
    returns: Node | null | undefined,
  ): Signature {
    const isColoured = this.isColour(returns ?? null);
    const place = `${source.path}:${source.lineAt(node.start)}`;
    return { isColoured, params, returns: returns ?? null, place };
  }

  #ofFunction(source: SourceFile, node: FunctionNode): Signature {
    return this.#make(source, node, node.params, node.returnType);
  }

  #ofMember(
    source: SourceFile,
    callee: Extract<Node, { type: "MemberExpression" }>,
  ): readonly Signature[] {
    const { object, property } = callee;
    const name = callee.computed ? null : memberName(source, property);
    if (name === null) return [];
    if (object.type === "Identifier" && isNamespace(source, object.name)) {
      return this.#exported.get(name) ?? [];
    }
    const known = this.#members.get(name) ?? [];
    if (object.type !== "ThisExpression") return BUILT_IN_MEMBERS.has(name) ? [] : known;
    const own = known.filter(({ place }) => place.startsWith(`${source.path}:`));
    return own.length > 0 ? own : known;
  }

  #ofName(source: SourceFile, at: Node, name: string): readonly Signature[] {
    for (const scope of [...enclosingFunctions(source, at), source.program]) {
      const binding = this.#scopes.get(scope)?.get(name);
      if (binding === undefined) continue;
      if (binding.type === "ImportSpecifier")
        return this.#exported.get(importedName(binding)) ?? [];
      const signature = this.#ofBinding(source, binding);
      return signature === null ? [] : [signature];
    }
    return [];
  }

  /** The signature of what a declaration binds; null when it is no function or not known to be one. */
  #ofBinding(source: SourceFile, binding: Node): Signature | null {
    if (isFunction(binding)) return this.#ofFunction(source, binding);
    if (binding.type === "VariableDeclarator") {
      const type = this.functionType(binding.id.typeAnnotation ?? null);
      if (type !== null) return this.#make(source, binding, type.params, type.returnType);
      if (binding.init === null || binding.init.type === "CallExpression") return null;
      return this.of(source, binding.init)[0] ?? null;
    }
    if (binding.type === "Property") {
      const name = nameOfKey(binding.key);
      return name === null ? null : (this.#members.get(name)?.[0] ?? null);
    }
    const annotation = "typeAnnotation" in binding ? (binding.typeAnnotation as Node | null) : null;
    const type = this.functionType(annotation);
    return type === null ? null : this.#make(source, binding, type.params, type.returnType);
  }
}

/** The name that a node declares in its scope, or null. */
function bindingOf(source: SourceFile, node: Node): string | null {
  if (node.type === "ImportSpecifier") return node.local.name;
  if (node.type === "FunctionDeclaration") return node.id?.name ?? null;
  if (node.type === "VariableDeclarator")
    return node.id.type === "Identifier" ? node.id.name : null;
  if (node.type === "Property") {
    const isPattern = source.parents.get(node)?.type === "ObjectPattern";
    return isPattern && node.value.type === "Identifier" ? node.value.name : null;
  }
  if (node.type !== "Identifier") return null;
  const parent = source.parents.get(node);
  if (parent?.type === "AssignmentPattern" && parent.left === node) return node.name;
  return parent !== undefined && isFunction(parent) && parent.params.some((one) => one === node)
    ? node.name
    : null;
}

function scopeNode(source: SourceFile, node: Node, around: Iterable<FunctionNode>): Node {
  for (const one of around) return one;
  return node === source.program ? node : source.program;
}

function isExported(source: SourceFile, node: Node, name: string): boolean {
  for (let at: Node | undefined = node; at !== undefined; at = source.parents.get(at)) {
    if (at.type === "ExportNamedDeclaration") return true;
  }
  return source.nodes.some(
    (one) => one.type === "ExportSpecifier" && nameOfKey(one.local) === name,
  );
}

function isNamespace(source: SourceFile, name: string): boolean {
  return source.nodes.some(
    (node) => node.type === "ImportNamespaceSpecifier" && node.local.name === name,
  );
}

function importedName(specifier: Extract<Node, { type: "ImportSpecifier" }>): string {
  return nameOfKey(specifier.imported) ?? specifier.local.name;
}

/** The annotated type of the parameter at `index`; of a rest parameter, the type of its elements. */
function typeOfParameter(params: readonly Node[], index: number): Node | null {
  const last = params.at(-1);
  const param = params[index] ?? (last?.type === "RestElement" ? last : undefined);
  if (param === undefined) return null;
  const typed = param.type === "AssignmentPattern" ? param.left : param;
  const annotation = "typeAnnotation" in typed ? typed.typeAnnotation : null;
  if (annotation == null || annotation.type !== "TSTypeAnnotation") return null;
  const type = annotation.typeAnnotation;
  if (param.type !== "RestElement") return type;
  return type.type === "TSArrayType" ? type.elementType : null;
}

/** The name of a member; a private one has nothing to do with its namesakes in other files. */
function memberName(source: SourceFile, key: Node): string | null {
  const name = nameOfKey(key);
  return name !== null && key.type === "PrivateIdentifier" ? `${source.path}#${name}` : name;
}

/** Whether a type is made of keywords and literals only, so that a generator is out of place there. */
function isPlain(type: Node): boolean {
  if (type.type === "TSUnionType") return type.types.every(isPlain);
  return PLAIN_TYPES.has(type.type) || type.type === "TSLiteralType";
}

function isNodeValue(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "type" in value;
}

function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}
