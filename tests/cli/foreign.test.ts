import { readFileSync, writeFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { ONE_SENTENCE, quiesce, temporaryFolder } from "./test-support.ts";

const { path, remove } = temporaryFolder();
afterAll(remove);

function file(name: string, text: string): string {
  writeFileSync(path(name), text);
  return path(name);
}

const L05 = "T1|w(data)|1\nT1|w(flag)|2\nT2|r(flag)|3\nT2|r(data)|4\n";

describe("quiesce races --from std", () => {
  it("prints RAPID's figures and the pairs of sites, by either order", async () => {
    const trace = file("flag.std", L05);
    const hb = await quiesce(["races", "--from", "std", trace, "--order", "hb", "--json"]);
    expect(hb.code).toBe(1);
    expect(JSON.parse(hb.stdout)).toMatchObject({
      order: "hb",
      events: 4,
      ...{ racyEvents: 2, racyLocations: 2, racyVariables: 2, firstRacyEvent: 2 },
      findings: [
        {
          accesses: [
            { op: "w", location: 2 },
            { op: "r", location: 3 },
          ],
          count: 1,
          variable: "flag",
        },
        {
          accesses: [
            { op: "w", location: 1 },
            { op: "r", location: 4 },
          ],
          threads: ["T1", "T2"],
        },
      ],
    });
    const shb = await quiesce(["races", "--from", "std", trace]);
    expect(shb.stdout).toContain(
      "1 racy event at 1 location, on 1 variable; the first is event 2.",
    );
    expect(shb.stdout).toContain("  w 2 | r 3       x1  first flag, T1 then T2, event 2");
  });

  it("predicts a race that only another order of the critical sections shows, and says which order", async () => {
    const sections = "T1|acq(l)|1\nT1|w(x)|2\nT1|rel(l)|3\nT2|acq(l)|4\nT2|rel(l)|5\nT2|w(x)|6\n";
    const trace = file("sections.std", sections);
    const plain = await quiesce(["races", "--from", "std", trace, "--predict", "syncp"]);
    expect(plain.code).toBe(0);
    expect(plain.stdout).toContain("0 racy events, 0 pairs of sites");
    const reversed = await quiesce(["races", "--from", "std", trace, "--predict", "osr"]);
    expect(reversed.code).toBe(1);
    expect(reversed.stdout).toContain(
      [
        "  w 2 | w 6  x1  x, T1 and T2",
        "    can run:",
        "      T2 acq(l) at 4",
        "      T2 rel(l) at 5",
        "      T1 acq(l) at 1",
        "    and then, in either order, T1 w(x) at 2 and T2 w(x) at 6",
      ].join("\n"),
    );
    const json = await quiesce(["races", "--from", "std", trace, "--predict", "osr", "--json"]);
    expect(JSON.parse(json.stdout)).toMatchObject({
      racyEvents: 0,
      prediction: {
        ...{ method: "osr", racyEvents: 1, pairs: 1, untried: 0, stoppedAt: null },
        findings: [
          {
            rule: "predicted-race",
            witness: { from: 0, order: [3, 4, 0], race: [1, 5] },
          },
        ],
      },
    });
  });

  it("is silent about a trace without races, and exits with 0", async () => {
    const { code, stdout } = await quiesce([
      "races",
      "--from",
      "std",
      file("none.std", "T1|w(x)|1\n"),
    ]);
    expect(stdout).toContain("\nNo races.\n");
    expect(code).toBe(0);
  });

  it("says so when no program makes such a trace, and counts all the same", async () => {
    const trace = file("odd.std", `T1|rel(l)|1\nT2|rel(l)|1\n${L05}`);
    const { code, stdout, stderr } = await quiesce([
      "races",
      "--from",
      "std",
      trace,
      "--fail-on",
      "none",
    ]);
    expect(code).toBe(0);
    expect(stdout).toContain("1 racy event");
    expect(stderr).toMatch(ONE_SENTENCE);
    expect(stderr).toContain(
      "event 0 releases a lock that its thread does not hold, and 1 more event like it",
    );
  });

  it.each([
    ["a line that is no event", ["races", "--from", "std", file("bad.std", "hello\n")], 3],
    ["a file that is not there", ["races", "--from", "std", path("missing.std")], 3],
    ["a folder", ["races", "--from", "std", path(".")], 3],
    ["an empty RapidBin trace", ["races", "--from", "rapidbin", file("bad.bin", "")], 3],
    ["two traces", ["races", "--from", "std", path("a"), path("b")], 2],
    ["an option about drains", ["races", "--from", "std", path("flag.std"), "--coverage"], 2],
    [
      "an option about baselines",
      ["races", "--from", "std", path("flag.std"), "--write-baseline", path("x")],
      2,
    ],
    ["--fail-on new", ["races", "--from", "std", path("flag.std"), "--fail-on", "new"], 2],
    ["--order shb with --online", ["races", "--online", path("x.trace"), "--order", "shb"], 2],
    [
      "an export over its input",
      ["export", "--from", "std", path("flag.std"), "-o", path("flag.std")],
      2,
    ],
    ["an export of what is no trace", ["export", path("flag.std"), "-o", path("out.std")], 3],
  ])("%s is refused in one sentence", async (_, argv, code) => {
    const ran = await quiesce(argv);
    expect(ran.stderr).toMatch(ONE_SENTENCE);
    expect(ran.code).toBe(code);
    expect(ran.stdout).toBe("");
  });
});

describe("quiesce export", () => {
  it("writes a recording as STD, and that as RapidBin, and both race alike", async () => {
    const [trace, std, bin, names] = [
      path("s.trace"),
      path("s.std"),
      path("s.bin"),
      path("s.json"),
    ];
    await quiesce(["record", "set-backing", "-o", trace, "--without-patch", "3,11"]);
    expect((await quiesce(["export", trace, "-o", std, "--names", names])).code).toBe(0);
    expect(
      (await quiesce(["export", std, "--from", "std", "--to", "rapidbin", "-o", bin])).code,
    ).toBe(0);
    expect(readFileSync(std, "utf8")).toMatch(/^ctx0\|/);
    expect(JSON.parse(readFileSync(names, "utf8")).locations["1"]).toMatch(/\(.*:\d+\)/);
    const figures = await Promise.all(
      [
        ["std", std],
        ["rapidbin", bin],
      ].map(async ([form = "", of = ""]) => {
        const ran = await quiesce(["races", "--from", form, of, "--json"]);
        const { events, racyEvents, racyLocations, firstRacyEvent } = JSON.parse(ran.stdout);
        return { events, racyEvents, racyLocations, firstRacyEvent };
      }),
    );
    expect(figures[0]).toEqual(figures[1]);
    expect(figures[0]?.events).toBeGreaterThan(100);
  });
});

describe("--also", () => {
  // L09 of the litmus traces: an iteration lets its lock go in the middle, and the list is edited meanwhile.
  const L09 = [
    ...["T1|begin|0", "T1|acq(l)|1", "T1|r(list)|2", "T1|rel(l)|3"],
    ...["T2|acq(l)|4", "T2|w(list)|5", "T2|rel(l)|6"],
    ...["T1|acq(l)|7", "T1|r(list)|8", "T1|rel(l)|9", "T1|end|10", ""],
  ].join("\n");

  it("names blocks that are not atomic, which no race detector sees", async () => {
    const trace = file("iteration.std", L09);
    const also = ["--also", "lockset", "atomicity"];
    const text = await quiesce(["races", "--from", "std", trace, ...also]);
    expect(text.code).toBe(1);
    expect(text.stdout).toContain("No races.");
    expect(text.stdout).toContain("Lock discipline: every variable has a lock");
    expect(text.stdout).toContain("T1, from event 0: in no order of whole blocks");
    const json = await quiesce(["races", "--from", "std", trace, "--json", ...also]);
    expect(JSON.parse(json.stdout)).toMatchObject({
      racyEvents: 0,
      lockSet: { racyEvents: 0 },
      atomicity: { violations: [{ thread: "T1", begin: 0 }] },
    });
  });

  it("counts what no lock protects, which alone is no failure", async () => {
    const trace = file("handover.std", "T1|w(x)|1\nT1|fork(T2)|2\nT2|w(x)|3\n");
    const { code, stdout } = await quiesce(["races", "--from", "std", trace, "--also", "lockset"]);
    expect(code).toBe(0);
    expect(stdout).toContain("Lock discipline: 1 access at 1 location, on 1 variable");
  });

  it("is refused for quiesce's own traces, in one sentence", async () => {
    const { code, stderr } = await quiesce(["races", "x.trace", "--also", "lockset"]);
    expect([code, stderr]).toEqual([2, expect.stringMatching(ONE_SENTENCE)]);
  });
});
