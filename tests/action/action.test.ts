// action.yml: valid by a validator of GitHub's schema, and its steps do in a shell what they promise.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { validateAction } from "@action-validator/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { quiesce } from "../cli/test-support.ts";
import { parseAction, runAction } from "./run-action.ts";

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const TEXT = readFileSync(join(ROOT, "action.yml"), "utf8");
const action = parseAction(TEXT);
const folder = mkdtempSync(join(tmpdir(), "quiesce action-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("action.yml", () => {
  it("passes the validator, which would refuse a broken one", () => {
    expect(validateAction(TEXT).errors).toEqual([]);
    expect(validateAction(TEXT.replace("using: composite", "using: compost")).errors).not.toEqual(
      [],
    );
  });

  it("puts no expression into a script: what comes from outside would be run", () => {
    const scripts = action.steps.map(({ script }) => script).filter((script) => script !== "");
    expect(scripts).toHaveLength(4);
    for (const script of scripts) expect(script).not.toContain("${{");
  });

  it("has scripts that the shell understands", () => {
    for (const { script } of action.steps)
      expect(spawnSync("bash", ["-n", "-c", script], { encoding: "utf8" }).stderr).toBe("");
  });
});

describe("its steps, in a shell", () => {
  const workspace = join(folder, "work space");
  let runs = 0;
  const run = (inputs: Record<string, string>) =>
    runAction(action, {
      action: ROOT,
      workspace,
      runner: join(folder, `runner ${runs++}`),
      inputs,
    });

  beforeAll(async () => {
    mkdirSync(join(workspace, "traces", "deep"), { recursive: true });
    const record = [
      "record",
      "set-backing",
      "-o",
      join(workspace, "traces", "deep", "un safe.trace"),
    ];
    expect((await quiesce([...record, "--without-patch", "3,11"])).code).toBe(0);
    const sound = ["record", "set-backing", "-o", join(workspace, "traces", "sound.trace")];
    expect((await quiesce(sound)).code).toBe(0);
  });

  it("find the traces, write all reports, the summary and annotations, and fail on a race", {
    timeout: 120_000,
  }, () => {
    const ran = run({ traces: "\n  traces/**/*.trace\n" });
    expect(ran.code, ran.log).toBe(1);
    expect(ran.outputs.get("races.exit-code")).toBe("1");
    for (const name of ["report.html", "races.sarif", "races.xml"])
      expect(existsSync(join(workspace, "quiesce-report", name))).toBe(true);
    expect(ran.summary).toMatch(/^## quiesce: 1 finding in 2 traces\n/);
    expect(ran.summary).toContain("the artifact `quiesce-report`");
    expect(Buffer.byteLength(ran.summary)).toBeLessThan(1 << 20);
    expect(ran.log).toMatch(/^::error file=core\//m);
    expect(ran.used).toEqual([
      expect.stringContaining("setup-node@"),
      expect.stringContaining("upload-sarif@"),
      expect.stringContaining("upload-artifact@"),
    ]);
  });

  it("pass when all is known, or when nothing is to fail; what is switched off stays off", {
    timeout: 120_000,
  }, () => {
    const off = {
      "upload-sarif": "false",
      "upload-artifact": "false",
      summary: "false",
      annotations: "false",
    };
    const known = {
      traces: "traces/deep/un safe.trace",
      baseline: "quiesce-report/races.sarif",
      "fail-on": "new",
    };
    const ran = run({ ...known, ...off, sarif: "second.sarif" });
    expect(ran.code, ran.log).toBe(0);
    expect(ran.summary).toBe("");
    expect(ran.log).not.toContain("::error");
    expect(ran.used).toHaveLength(1);
    writeFileSync(
      join(workspace, "ok.txt"),
      "rule=edit-outside-drain function=bdrv_set_backing_hd reason=x\n",
    );
    expect(run({ traces: "traces/deep/*", suppress: "ok.txt\n", ...off }).code).toBe(0);
  });

  it("are not green when there is no trace, and run nothing that a name contains", {
    timeout: 120_000,
  }, () => {
    const none = run({ traces: "traces/*.none" });
    expect(none.code).toBe(3);
    expect(none.log).toContain("No file matches");
    const evil = run({ traces: '$(touch evil)"; touch evil; #' });
    expect(evil.code).toBe(3);
    expect(existsSync(join(workspace, "evil"))).toBe(false);
  });
});
