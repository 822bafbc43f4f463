// The dropped `yield*`: a coroutine that is called without it silently does nothing, and neither the
// compiler nor a ready linter says so (design D2).
//
// Every call of a function that is declared to return `Co` or `Polls` must end up somewhere that
// runs it: under `yield*`, in a parameter or field that takes a generator, as the result of a function
// that returns one, or in a variable that is used in one of these ways. `if (somePolls())` is always
// true, and `yield somePolls()` yields the generator itself; both are errors. So is a generator function
// without an annotated return type, because this check would not know its colour, and a function
// that returns a generator where a callback returning void is expected.

import {
  type Check,
  enclosingFunctions,
  type FunctionNode,
  isFunction,
  type Node,
  nameOfFunction,
  nameOfKey,
  type Problem,
  problemAt,
  type SourceFile,
} from "./project.ts";
import { BUILT_IN_MEMBERS, type Signature, Signatures } from "./signatures.ts";

export const droppedYield: Check = {
  name: "dropped-yield",
  run: (project) => {
    const signatures = new Signatures(project);
    return project.sources.flatMap((source) => new Judge(source, signatures).problems());
  },
};

const TRANSPARENT = new Set<Node["type"]>([
  "TSAsExpression",
  "TSSatisfiesExpression",
  "TSNonNullExpression",
  "ParenthesizedExpression",
  "ChainExpression",
]);
const DRIVES = new Set(["next", "return", "throw"]);

type Call = Extract<Node, { type: "CallExpression" }>;

class Judge {
  readonly #source: SourceFile;
  readonly #signatures: Signatures;

  constructor(source: SourceFile, signatures: Signatures) {
    this.#source = source;
    this.#signatures = signatures;
  }

  problems(): Problem[] {
    return this.#source.nodes.flatMap((node) => {
      const text = this.#judge(node);
      return text === null ? [] : [problemAt(this.#source, node, text)];
    });
  }

  #judge(node: Node): string | null {
    if (isFunction(node) && node.generator && node.returnType == null)
      return this.#unannotated(node);
    if ("key" in node && node.type !== "Property") return this.#unseeable(node);
    if (node.type === "YieldExpression" && node.delegate) return this.#unseen(node);
    return node.type === "CallExpression" ? (this.#call(node) ?? this.#callbacks(node)) : null;
  }

  /** A member that returns a generator but is called like a method that arrays or maps have. */
  #unseeable(node: Node & { readonly key: Node }): string | null {
    const name = nameOfKey(node.key) ?? "";
    if (!BUILT_IN_MEMBERS.has(name)) return null;
    const place = `${this.#source.path}:${this.#source.lineAt(node.start)}`;
    const known = this.#signatures.ofMemberName(name);
    return known.some((one) => one.isColoured && one.place === place)
      ? `${name}() is a generator called like a built-in method, so a dropped yield* would not be seen; rename it`
      : null;
  }

  /**
   * A `yield*` in a coroutine whose callee this check does not know to be one: then it would not see
   * another call of it that lacks the `yield*` either.
   */
  #unseen({ argument }: Extract<Node, { type: "YieldExpression" }>): string | null {
    const [around] = argument === null ? [] : enclosingFunctions(this.#source, argument);
    if (argument?.type !== "CallExpression" || this.#source.isTest) return null;
    if (!this.#signatures.isColour(around?.returnType ?? null)) return null;
    const known = this.#signatures.of(this.#source, argument.callee);
    const isSeen = ({ isColoured, returns }: Signature): boolean =>
      isColoured || this.#signatures.isGeneratorType(returns);
    if (known.some(isSeen)) return null;
    const { start, end } = argument.callee;
    const name = this.#source.text.slice(start, end);
    return `${name}() is not seen to return a Co or Polls; annotate its declaration so that calls without yield* are found`;
  }

  #unannotated(node: FunctionNode): string | null {
    const parent = this.#source.parents.get(node);
    if (this.#source.isTest && parent?.type === "CallExpression") return null;
    const name = nameOfFunction(this.#source, node);
    return `generator ${name} has no return type; annotate Co<...>, Polls<...> or Generator<...>`;
  }

  #call(node: Call): string | null {
    const known = this.#signatures.of(this.#source, node.callee);
    const coloured = known.find(({ isColoured }) => isColoured);
    if (coloured === undefined) return null;
    const fate = this.#fate(node);
    if (fate === null) return null;
    const { callee } = node;
    const name = this.#source.text.slice(callee.start, callee.end).replace(/^[\s\S]*\./, "");
    const other = known.find(({ isColoured }) => !isColoured);
    if (other === undefined) return `${name}() returns a generator that ${fate}`;
    const places = `in ${coloured.place} but not in ${other.place}`;
    return `${name}() returns a generator ${places}; put yield* before it, or rename one of the two`;
  }

  /** What keeps the generator at `node` from running, or null when something runs it. */
  #fate(node: Node): string | null {
    const parent = this.#source.parents.get(node);
    if (parent === undefined) return "nothing runs; put yield* before the call";
    if (TRANSPARENT.has(parent.type)) return this.#fate(parent);
    switch (parent.type) {
      case "YieldExpression":
        return parent.delegate ? null : "is yielded itself; write yield* instead of yield";
      case "ConditionalExpression":
        return parent.test === node ? ALWAYS_TRUE : this.#fate(parent);
      case "LogicalExpression":
        return parent.left === node && parent.operator !== "??" ? ALWAYS_TRUE : this.#fate(parent);
      case "CallExpression":
        return this.#fateOfArgument(parent, node);
      case "ReturnStatement":
      case "ArrowFunctionExpression":
        return this.#fateOfResult(node);
      case "VariableDeclarator":
        return this.#fateOfVariable(parent.id, parent);
      case "AssignmentExpression":
        return parent.left.type === "MemberExpression"
          ? null
          : this.#fateOfVariable(parent.left, parent);
      case "MemberExpression":
        return DRIVES.has(nameOfKey(parent.property) ?? "") ? null : MISUSED;
      case "NewExpression":
      case "ForOfStatement":
      case "ArrayExpression":
      case "Property":
      case "PropertyDefinition":
        return null;
      case "IfStatement":
      case "WhileStatement":
      case "DoWhileStatement":
      case "UnaryExpression":
        return ALWAYS_TRUE;
      case "ExpressionStatement":
        return "nothing runs; put yield* before the call";
      default:
        return MISUSED;
    }
  }

  #fateOfArgument(call: Call, node: Node): string | null {
    const index = (call.arguments as readonly Node[]).indexOf(node);
    if (index < 0) return MISUSED;
    const known = this.#signatures.of(this.#source, call.callee);
    const taking = known.map((signature) => this.#signatures.takesGenerator(signature, index));
    const isIgnored = taking.length > 0 && taking.every((one) => one === "ignores");
    return isIgnored
      ? "is handed to a parameter that takes none; put yield* before the call"
      : null;
  }

  /** The generator is what a function returns: right when that function is declared, or expected, to. */
  #fateOfResult(node: Node): string | null {
    const [around] = enclosingFunctions(this.#source, node);
    if (around === undefined) return MISUSED;
    if (around.generator) return "this generator returns unrun; write return yield*";
    if (around.returnType != null) {
      return this.#signatures.isGeneratorType(around.returnType)
        ? null
        : "is returned where no generator is declared; correct the return type or put yield* before it";
    }
    return this.#fateOfCallback(around);
  }

  /** A function without an annotation: what stands around it says what its result is for. */
  #fateOfCallback(node: FunctionNode): string | null {
    const parent = this.#source.parents.get(node);
    if (parent?.type === "CallExpression") {
      const ignored = this.#callbackIsIgnored(parent, node);
      return ignored ? "the callback's taker ignores; hand it over where a generator is run" : null;
    }
    if (parent?.type === "Property") return this.#fateOfField(parent.key);
    if (parent?.type === "VariableDeclarator") {
      const type = this.#signatures.functionType(parent.id.typeAnnotation ?? null);
      if (type !== null) {
        return this.#signatures.isGeneratorType(type.returnType) ? null : MISUSED;
      }
    }
    if (parent?.type === "AssignmentExpression" || parent?.type === "NewExpression") return null;
    if (parent?.type === "ArrayExpression" || parent?.type === "ReturnStatement") return null;
    const name = nameOfFunction(this.#source, node);
    return `${name} returns without saying so; annotate its return type`;
  }

  #fateOfField(key: Node): string | null {
    const known = this.#signatures.ofMemberName(nameOfKey(key) ?? "");
    const isVoid = ({ returns }: Signature): boolean =>
      returns?.type === "TSTypeAnnotation" && returns.typeAnnotation.type === "TSVoidKeyword";
    return known.length > 0 && known.every(isVoid)
      ? "a field returning void ignores; declare the field to return a generator"
      : null;
  }

  #fateOfVariable(target: Node, declaration: Node): string | null {
    if (target.type !== "Identifier") return MISUSED;
    const [around] = enclosingFunctions(this.#source, declaration);
    const uses = this.#source.nodes.filter(
      (node) =>
        node.type === "Identifier" &&
        node.name === target.name &&
        node !== target &&
        (around === undefined || (node.start >= around.start && node.end <= around.end)),
    );
    return uses.some((use) => this.#isRun(use))
      ? null
      : `stays in ${target.name}; use that under yield*`;
  }

  /** Whether this use of a variable runs its generator or hands it on. */
  #isRun(use: Node): boolean {
    const parent = this.#source.parents.get(use);
    const isTarget =
      (parent?.type === "VariableDeclarator" && parent.id === use) ||
      (parent?.type === "AssignmentExpression" && parent.left === use);
    if (parent?.type === "BinaryExpression") return this.#isAssertedAbsent(parent);
    return !isTarget && parent?.type !== "VariableDeclarator" && this.#fate(use) === null;
  }

  /** `assert(polls === undefined, ...)`: there is no generator that would have to run. */
  #isAssertedAbsent(node: Node): boolean {
    const { start, end } = node;
    const parent = this.#source.parents.get(node);
    if (parent?.type !== "CallExpression" || parent.arguments[0] !== node) return false;
    const isAssert = /assert$/i.test(
      this.#source.text.slice(parent.callee.start, parent.callee.end),
    );
    return isAssert && /=== undefined$/.test(this.#source.text.slice(start, end));
  }

  /** Functions handed over by name, or written in place, where only a callback returning nothing is taken. */
  #callbacks(call: Call): string | null {
    for (const argument of call.arguments) {
      if (!this.#isColouredFunction(argument)) continue;
      if (this.#callbackIsIgnored(call, argument)) {
        const text = this.#source.text.slice(argument.start, argument.end).split("\n")[0];
        return `${text} returns a generator that the callback's taker ignores; hand it over where a generator is run`;
      }
    }
    return null;
  }

  #isColouredFunction(node: Node): boolean {
    if (isFunction(node)) return node.generator;
    if (node.type !== "Identifier" && node.type !== "MemberExpression") return false;
    const known = this.#signatures.of(this.#source, node);
    return known.length > 0 && known.every(({ isColoured }) => isColoured);
  }

  #callbackIsIgnored(call: Call, callback: Node): boolean {
    const index = (call.arguments as readonly Node[]).indexOf(callback);
    const known = this.#signatures.of(this.#source, call.callee);
    const taking = known.map((signature) => this.#signatures.takesCallback(signature, index));
    return taking.length > 0 && taking.every((one) => one === "ignores");
  }
}

const ALWAYS_TRUE = "is always true as a condition; put yield* before the call";
const MISUSED = "is used as if it were the result; put yield* before the call";
