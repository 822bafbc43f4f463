// Runs the `run:` steps of action.yml in a shell, as GitHub's runner would: inputs with their defaults, expressions in `env:` and
// `if:` filled in, GITHUB_OUTPUT read back into the outputs of a step. It knows what that file uses, and fails on anything else.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Step {
  readonly name: string;
  readonly id: string;
  readonly uses: string;
  readonly condition: string;
  readonly env: ReadonlyMap<string, string>;
  readonly script: string;
}

export interface Action {
  readonly inputs: ReadonlyMap<string, string>;
  readonly steps: readonly Step[];
}

/** The parts of the YAML that a run needs. The validator has looked at the rest. */
export function parseAction(text: string): Action {
  const inputs = new Map<string, string>();
  const [head = "", body = ""] = text.split("\n  steps:\n");
  const declared = /\ninputs:\n([\s\S]*?)\n\w/.exec(head)?.[1] ?? "";
  for (const [, name = "", block = ""] of declared.matchAll(/^ {2}([\w-]+):\n((?: {4}.*\n?)*)/gm)) {
    inputs.set(name, /^ {4}default: "?(.*?)"?$/m.exec(block)?.[1] ?? "");
  }
  const steps = body
    .split(/^ {4}- /m)
    .slice(1)
    .map(parseStep);
  return { inputs, steps };
}

function parseStep(block: string): Step {
  const field = (name: string) =>
    new RegExp(`^(?: {6})?${name}: (.*)$`, "m").exec(block)?.[1] ?? "";
  const env = new Map<string, string>();
  const variables = /^ {6}env:\n((?: {8}.*\n)*)/m.exec(block)?.[1] ?? "";
  for (const [, name = "", value = ""] of variables.matchAll(/^ {8}(\w+): (.*)$/gm))
    env.set(name, value);
  const script = (/^ {6}run: \|\n((?: {8}.*\n|\n)*)/m.exec(`${block}\n`)?.[1] ?? "").replace(
    /^ {8}/gm,
    "",
  );
  return {
    name: field("name"),
    id: field("id"),
    uses: field("uses"),
    condition: field("if"),
    env,
    script,
  };
}

export interface RunRequest {
  /** The checkout with action.yml. */
  readonly action: string;
  /** The folder in which the steps run, and one for the runner's own files. */
  readonly workspace: string;
  readonly runner: string;
  readonly inputs: Readonly<Record<string, string>>;
}

export interface ActionRun {
  /** Exit code of the first step that failed, else 0. */
  readonly code: number;
  readonly log: string;
  readonly summary: string;
  readonly outputs: ReadonlyMap<string, string>;
  /** Steps of other actions that would have run. */
  readonly used: readonly string[];
}

/** Runs all steps. */
export function runAction(action: Action, request: RunRequest): ActionRun {
  mkdirSync(request.runner, { recursive: true });
  const files = {
    output: join(request.runner, "output"),
    summary: join(request.runner, "summary"),
  };
  const outputs = new Map<string, string>();
  const used: string[] = [];
  let log = "";
  let code = 0;
  for (const step of action.steps) {
    const fill = (text: string) => filled(text, action, request, outputs);
    if (!holds(step.condition, code, fill, request.workspace)) continue;
    if (step.uses !== "") {
      used.push(step.uses);
      continue;
    }
    writeFileSync(files.output, "");
    if (!existsSync(files.summary)) writeFileSync(files.summary, "");
    const env = Object.fromEntries([...step.env].map(([name, value]) => [name, fill(value)]));
    // The runner's own way of running `shell: bash`.
    const ran = spawnSync("bash", ["--noprofile", "--norc", "-eo", "pipefail", "-c", step.script], {
      cwd: request.workspace,
      encoding: "utf8",
      env: {
        ...process.env,
        ...env,
        RUNNER_TEMP: request.runner,
        GITHUB_OUTPUT: files.output,
        GITHUB_STEP_SUMMARY: files.summary,
      },
    });
    log += ran.stdout + ran.stderr;
    if (ran.status !== 0 && code === 0) code = ran.status ?? 70;
    for (const [, name = "", value = ""] of readFileSync(files.output, "utf8").matchAll(
      /^([\w-]+)=(.*)$/gm,
    ))
      outputs.set(`${step.id}.${name}`, value);
  }
  return { code, log, summary: readFileSync(files.summary, "utf8"), outputs, used };
}

function filled(
  text: string,
  action: Action,
  request: RunRequest,
  outputs: ReadonlyMap<string, string>,
): string {
  return text.replace(/\$\{\{ (.*?) \}\}/g, (_, expression: string) =>
    expressionValue(expression, action, request, outputs),
  );
}

function expressionValue(
  expression: string,
  action: Action,
  request: RunRequest,
  outputs: ReadonlyMap<string, string>,
): string {
  if (expression === "github.action_path") return request.action;
  const input = /^inputs\.([\w-]+)$/.exec(expression)?.[1];
  if (input !== undefined && action.inputs.has(input))
    return request.inputs[input] ?? action.inputs.get(input) ?? "";
  const output = /^steps\.(\w+)\.outputs\.([\w-]+)$/.exec(expression);
  if (output !== null) return outputs.get(`${output[1]}.${output[2]}`) ?? "";
  throw new Error(`the action uses an expression that this test does not know: ${expression}`);
}

/** `always() && inputs.x == 'true' && hashFiles(inputs.y) != ''`; without a condition a step runs while all is well. */
function holds(
  condition: string,
  code: number,
  fill: (text: string) => string,
  workspace: string,
): boolean {
  if (condition === "") return code === 0;
  return condition.split(" && ").every((term) => {
    if (term === "always()") return true;
    const equal = /^(inputs\.[\w-]+) == '(\w+)'$/.exec(term);
    if (equal !== null) return fill(`\${{ ${equal[1]} }}`) === equal[2];
    const hash = /^hashFiles\((inputs\.[\w-]+)\) != ''$/.exec(term);
    if (hash !== null) return existsSync(join(workspace, fill(`\${{ ${hash[1]} }}`)));
    throw new Error(`the action uses a condition that this test does not know: ${term}`);
  });
}
