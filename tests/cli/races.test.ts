import { closeSync, openSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FileSink } from "#tracer";
import { bytesSource, parseText, TraceReader } from "#traces";
import { quiesce, temporaryFolder } from "./test-support.ts";

const { path, remove } = temporaryFolder();
const unsafe = path("unsafe.trace");
const inputs = path("inputs.trace");

interface RacesJson {
  findings: {
    rule: string;
    severity: string;
    list: string | null;
    fingerprint: string;
    trace: string;
    accesses: unknown[];
  }[];
  coverage: { list: string; pairs: number; uncovered: number }[];
  events: number;
  traces: { trace: string; level: string; complete: boolean }[];
}

async function racesJson(...argv: string[]): Promise<RacesJson & { code: number }> {
  const { code, stdout } = await quiesce(["races", "--json", "--no-stacks", ...argv]);
  return { code, ...(JSON.parse(stdout) as RacesJson) };
}

beforeAll(async () => {
  const run = ["record", "demo", "--seed", "2", "--without-patch", "10,11"];
  expect((await quiesce([...run, "-o", unsafe])).code).toBe(0);
  expect((await quiesce([...run, "-o", inputs, "--level", "inputs"])).code).toBe(0);
});
afterAll(remove);

describe("quiesce races", () => {
  it("prints findings with both functions, why, the cure and the replay command, and exits with 1", async () => {
    const { code, stdout, stderr } = await quiesce(["races", unsafe]);
    expect(code).toBe(1);
    expect(stderr).toBe("");
    expect(stdout).toMatch(/^race {2}/m);
    expect(stdout).toMatch(/^ {4}read {2}\w+ {2}core\/.*:\d+ /m);
    expect(stdout).toMatch(/^ {4}edit {2}\w+ {2}core\/.*:\d+ /m);
    for (const label of ["why", "fix", "again"])
      expect(stdout).toMatch(new RegExp(`^ {4}${label} `, "m"));
    expect(stdout).toContain(`quiesce replay ${unsafe}`);
    expect(stdout.trimEnd().split("\n").at(-1)).toMatch(/\d+ races?, .* in [\d,]+ events$/);
  });

  it("as JSON has findings, coverage and events, the same bytes every time", async () => {
    const json = await racesJson(unsafe);
    expect(json).toMatchObject({
      code: 1,
      schemaVersion: 1,
      traces: [{ trace: unsafe, level: "full", complete: true }],
    });
    const again = ["races", unsafe, "--json", "--coverage", "--drains"];
    expect((await quiesce(again)).stdout).toBe((await quiesce(again)).stdout);
    expect(json.events).toBeGreaterThan(10_000);
    const races = json.findings.filter(({ rule }) => rule === "race");
    expect(races.length).toBeGreaterThan(0);
    for (const race of races) {
      expect(race).toMatchObject({
        severity: "error",
        list: expect.any(String),
        node: { id: expect.any(Number) },
      });
      expect(race.fingerprint).toMatch(/^[0-9a-f]{16}$/);
      expect(race.accesses).toHaveLength(2);
    }
    expect(json.coverage.reduce((sum, { uncovered }) => sum + uncovered, 0)).toBeGreaterThan(0);
  });

  it("--policy all adds a table of the six policies, and JSON has what each says", async () => {
    const { code, stdout } = await quiesce(["races", unsafe, "--policy", "all"]);
    expect(code).toBe(1);
    const [, table = ""] = stdout.split("Findings by policy");
    expect(table).toMatch(/^ +P0 +P1 +P2 +P3 +P4 +P5$/m);
    expect(table).toMatch(/^race +– +[1-9]\d* /m);
    expect(table).toMatch(/^P4 {2}graph lock: not judged\./m);
    const { traces } = await racesJson(unsafe, "--policy", "all");
    const { policies } = traces[0] as unknown as {
      policies: { policy: string; judged: boolean; counts: Record<string, number> }[];
    };
    expect(policies.map(({ policy, judged }) => `${policy} ${judged}`)).toEqual([
      "P0 false",
      "P1 true",
      "P2 true",
      "P3 true",
      "P4 false",
      "P5 false",
    ]);
    expect(policies[1]?.counts.race).toBeGreaterThan(0);
    expect(policies[3]?.counts.race).toBeUndefined();
  });

  it("--policy P4 judges by that policy alone, and says in one sentence that it cannot", async () => {
    const { code, stdout } = await quiesce(["races", unsafe, "--policy", "P4"]);
    expect(code).toBe(0);
    expect(stdout.replace(/\s+/g, " ")).toContain(
      "note: Not judged by P4, graph lock. The trace never takes the graph lock",
    );
    expect(stdout).toContain("no findings");
  });

  it("replays an inputs trace first, says so, and finds the same", async () => {
    const { code, stdout, stderr } = await quiesce(["races", inputs, "--json", "--no-stacks"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/holds only inputs: replaying it to a full trace first\.\n$/);
    const ofInputs = JSON.parse(stdout) as RacesJson;
    const ofFull = await racesJson(unsafe);
    expect(ofInputs.traces).toMatchObject([{ trace: inputs, level: "inputs" }]);
    const ids = ({ findings }: RacesJson) => findings.map(({ fingerprint }) => fingerprint);
    expect(ids(ofInputs)).toEqual(ids(ofFull));
  });

  it("--coverage adds the table", async () => {
    const { stdout } = await quiesce(["races", unsafe, "--no-stacks", "--coverage"]);
    expect(stdout).toMatch(/^children +pairs +drained +ordered +by luck +uncovered$/m);
    expect(stdout).toMatch(/covered by the \w+ drain of \w+ \(core\/.*:\d+\)/);
  });

  it("--html and --sarif write reports, the same bytes every time", async () => {
    const write = async (name: string) => {
      const [html, sarif] = [path(`${name}.html`), path(`${name}.sarif`)];
      const { stdout } = await quiesce([
        "races",
        unsafe,
        "--no-stacks",
        "--html",
        html,
        "--sarif",
        sarif,
      ]);
      expect(stdout).toContain(`2 reports written: ${html}, ${sarif}`);
      return [readFileSync(html, "utf8"), readFileSync(sarif, "utf8")];
    };
    const [html = "", sarif = ""] = await write("one");
    expect(await write("two")).toEqual([html, sarif]);
    expect(html).toMatch(/^<!doctype html>/);
    const log = JSON.parse(sarif);
    expect(log.runs[0].invocations[0].exitCode).toBe(1);
    expect(log.runs[0].results.length).toBeGreaterThan(0);
    // The digest in the page is the trace's.
    const info = JSON.parse((await quiesce(["info", unsafe, "--json"])).stdout);
    expect(html).toContain(info.digest);
  });

  it.each([
    ["none", 0],
    ["race", 1],
    ["warning", 1],
    ["note", 1],
  ])("--fail-on %s exits with %i when there are races", async (level, code) => {
    expect((await quiesce(["races", unsafe, "--no-stacks", "--fail-on", level])).code).toBe(code);
  });

  it("judges several traces, and tells their findings apart", async () => {
    const json = await racesJson(unsafe, inputs);
    expect(new Set(json.findings.map(({ trace }) => trace))).toEqual(new Set([unsafe, inputs]));
    const { stdout } = await quiesce(["races", unsafe, inputs, "--no-stacks"]);
    expect(stdout).toContain(`── ${unsafe}: patches 10 and 11 off, no lock`);
  });

  it("judges the others when one trace cannot be read, and exits with 3", async () => {
    const { code, stdout, stderr } = await quiesce([
      "races",
      path("none.trace"),
      unsafe,
      "--no-stacks",
    ]);
    expect(code).toBe(3);
    expect(stderr).toContain("none.trace: there is no such file");
    expect(stdout).toMatch(/^race {2}/m);
  });
});

it("both readings at once say what they did, once", async () => {
  const both = ["races", unsafe, "--reading", "both", "--no-stacks"];
  const { code, stdout, stderr } = await quiesce(both);
  // The second one stops where it has seen enough: the trace is whole all the same.
  expect({ code, stderr }).toEqual({ code: 1, stderr: "" });
  const notes = stdout.replace(/\s+/g, " ").match(/note: Judged twice: [^;]*; [^.]*\./g);
  expect(notes).toHaveLength(1);
  expect(notes?.[0]).toMatch(/what the second alone found \(\d+\) says so\.$|found no more\.$/);
});

describe("the last events of a run", () => {
  const ring = path("ring.trace");

  beforeAll(() => {
    const reader = TraceReader.open(bytesSource(readFileSync(unsafe)));
    const fd = openSync(ring, "w");
    let sink: FileSink | null = null;
    let events = 0;
    for (const batch of reader.batches()) {
      events += batch.count;
      if (events < 20_000) continue;
      sink ??= new FileSink(fd, reader.header, { firstEvent: events - batch.count });
      sink.write(batch, reader.strings, []);
    }
    sink?.close();
    closeSync(fd);
  });

  it("are not to be replayed: each finding says how to print its event, by the number that dump gives it", async () => {
    const { code, stdout } = await quiesce(["races", ring, "--details"]);
    expect(code).toBe(3);
    const commands = [...stdout.matchAll(/^ {4}again \S+ dump (\S+) \| grep '(# \d+\$)'$/gm)];
    expect(commands.length).toBeGreaterThan(0);
    expect(stdout).not.toContain("quiesce replay");
    const lines = (await quiesce(["dump", ring])).stdout.split("\n");
    for (const [, file, pattern = ""] of commands) {
      expect(file).toBe(ring);
      const found = lines.filter((line) => new RegExp(pattern).test(line));
      expect(found).toHaveLength(1);
      expect(found[0]).toMatch(/ (list_|bs_|blk_|drain_)/);
    }
  });
});

describe("a trace whose names are hostile", () => {
  const nasty =
    "n\n::error::x\r\n::stop-commands::t\n\u001b[2J ##[error]y \u202e `</script>| ::add-mask::z";
  const hostile = path("hostile.trace");

  beforeAll(() => {
    const { header } = TraceReader.open(bytesSource(readFileSync(unsafe)));
    const name = JSON.stringify(nasty);
    const { batch, strings, sites } = parseText(`
      ctx0 ctx_new id=0 name=main
      ctx0 ctx_new id=1 name=${name}
      ctx0 bs_new node=1 name=${name} driver=${name}
      ctx0 bs_new node=2 name=${name} driver=raw
      ctx0 blk_new blk=1 name=${name}
      ctx0 edge_new edge=1 klass=child_of_bds parent=2 name=${name}
      ctx0 list_insert list=children owner=2 edge=1
      ctx1 t1 task_begin id=1
      ctx1 t1 req_begin blk=1 type=read bytes=4096
      ctx1 t1 list_read list=children owner=2 site=bdrv_is_inserted
      ctx0 list_remove list=children owner=2 edge=1 site=bdrv_child_cb_detach
      ctx0 run_end status=ok
    `);
    const named = sites.map((site) => ({ ...site, file: nasty, line: 1 }));
    const fd = openSync(hostile, "w");
    const scenario = { ...header.scenario, name: nasty };
    const sink = new FileSink(fd, { ...header, scenario, sites: named });
    sink.write(batch, strings, []);
    sink.close();
    closeSync(fd);
  });

  it.each([
    ["the text", []],
    ["annotations", ["--annotations", "github"]],
    ["JUnit XML", ["--junit", "-"]],
    ["Markdown", ["--markdown", "-"]],
    ["SARIF", ["--sarif", "-"]],
    ["GitLab's JSON", ["--gitlab", "-"]],
    ["JSON", ["--json"]],
  ])(
    "begins no line and no word of %s as a command, and sends no terminal anything",
    async (_, options) => {
      const { code, stdout } = await quiesce(["races", hostile, "--no-stacks", ...options]);
      expect(code).toBe(1);
      const lines = stdout.split("\n");
      const commands = lines.filter((line) => /^\s*::|##\[/.test(line));
      // Our own are of one form, and hold no line end.
      for (const line of commands) expect(line).toMatch(/^::(error|warning) file=/);
      expect(commands.length > 0).toBe(options.includes("--annotations"));
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there.
      expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u202e]/);
    },
  );

  it("nor of what info says of it", async () => {
    const { stdout } = await quiesce(["info", hostile]);
    expect(stdout).not.toMatch(/^\s*::/m);
    expect(stdout).not.toContain("\u001b[2J");
  });
});
