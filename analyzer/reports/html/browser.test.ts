// The page in a real browser: skipped, with a line that says so, where there is none.

import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { must } from "#core/base";
import type { Finding } from "../../findings.ts";
import type { Report } from "../report.ts";
import { drawnFinding, drawnReport } from "../test-support.ts";
import { htmlReport } from "./page.ts";

const BROWSER = process.env.CHROMIUM ?? "/usr/bin/chromium";
const hasBrowser = existsSync(BROWSER);
if (!hasBrowser)
  process.stderr.write(
    `No browser at ${BROWSER}: the HTML report's tests in a browser are skipped.\n`,
  );

/** Two runs: a race and a covered-by-luck, far apart; and one without findings. */
function twoRuns(): Report {
  const luck = { kind: "lock", name: "iothread0" } as const;
  const first = drawnReport(
    (trace) => [
      drawnFinding(trace),
      drawnFinding(trace, {
        rule: "covered-by-luck",
        severity: "warning",
        luckyEdge: luck,
        fingerprint: "00000000000000aa",
      }),
    ],
    { far: true },
  );
  const [clean] = drawnReport(() => []).traces;
  const trace = must(clean, "a trace");
  const [raced] = first.traces;
  const stack = [{ function: "bdrvCoFlush", file: "core/io/flush.ts", line: 61 }];
  const events = raced?.result.findings[0]?.accesses.map(({ event }) => event) ?? [];
  const stacks = new Map(events.map((event) => [event, stack]));
  const standings = [
    { baseline: "unchanged", suppression: null },
    { baseline: "new", suppression: null },
  ] as const;
  return {
    ...first,
    traces: [
      ...first.traces.map((one) => ({ ...one, stacks, standings })),
      { ...trace, facts: { ...trace.facts, label: "all patches on" } },
    ],
  };
}

function manyFindings(finding: Finding, count: number): Finding[] {
  return Array.from({ length: count }, (_, index) => {
    return { ...finding, fingerprint: index.toString(16).padStart(16, "0") };
  });
}

describe.skipIf(!hasBrowser)("the HTML report in a browser", () => {
  const folder = mkdtempSync(join(tmpdir(), "quiesce-html-"));
  const url = pathToFileURL(join(folder, "report.html")).href;
  let browser: Browser;

  beforeAll(async () => {
    writeFileSync(join(folder, "report.html"), htmlReport(twoRuns()));
    browser = await chromium.launch({
      executablePath: BROWSER,
      args: ["--no-sandbox", "--disable-gpu"],
    });
  });

  afterAll(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Opens the page at `hash` and fails on anything that the console, the policy or the network has to say. */
  async function opened(
    use: (page: Page) => Promise<void>,
    { hash = "", width = 1400, dark = false } = {},
  ): Promise<void> {
    const context = await browser.newContext({
      viewport: { width, height: 900 },
      colorScheme: dark ? "dark" : "light",
    });
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on("console", (message) => complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("request", (request) => {
      if (!/^(file|data):/.test(request.url())) complaints.push(request.url());
    });
    await page.goto(url + hash);
    await use(page);
    await context.close();
    expect(complaints).toEqual([]);
  }

  const current = (page: Page) => page.locator(".finding:visible").getAttribute("id");

  it("shows the first finding with its pictures, and makes no request and no complaint", () =>
    opened(async (page) => {
      expect(await current(page)).toBe("r0-f0");
      expect(await page.locator(".finding:visible svg.lanes .access").count()).toBe(2);
      expect(await page.locator(".finding:visible svg.graph .edge.removed").count()).toBe(1);
      expect(await page.locator(".finding:visible .story .is-access").count()).toBe(2);
    }));

  it("shows the graph at each access, the ledger of drains, and the stacks when they are unfolded", () =>
    opened(async (page) => {
      const shown = page.locator(".finding:visible");
      expect(await shown.locator("svg.graph").count()).toBe(2);
      // Between the read and the edit a drain began, so the two pictures differ.
      expect(await shown.locator(".graph-figure figcaption").allTextContents()).toEqual([
        expect.stringMatching(/The graph at the read, event [\d,]+\./),
        expect.stringMatching(/The graph at the edit, event [\d,]+, what it edits marked\./),
      ]);
      const rows = shown.locator(".ledger tbody tr");
      expect(await rows.count()).toBe(1);
      expect(await rows.first().textContent()).toMatch(
        /single drain of file0[\s\S]*bdrv_drop_filter[\s\S]*no[\s\S]*waiting[\s\S]*drained/,
      );
      expect(await shown.locator("details.stack li:visible").count()).toBe(0);
      await shown.locator("details.stack summary").first().click();
      expect(await shown.locator("details.stack li:visible").textContent()).toContain(
        "bdrvCoFlush core/io/flush.ts:61",
      );
      await page.screenshot({ path: join(folder, "finding.png"), fullPage: true });
      expect(statSync(join(folder, "finding.png")).size).toBeGreaterThan(20_000);
    }));

  it("tells known findings from new ones, and hides them on request", () =>
    opened(async (page) => {
      expect(await page.locator("#run-0 .entry .standing").allTextContents()).toEqual([
        "known",
        "new",
      ]);
      expect(await page.locator(".run").first().textContent()).toMatch(
        /1 covered by luck[\s\S]*1 known/,
      );
      await page.locator("#run-0 .filter-new").check();
      expect(await page.locator("#run-0 .entry:visible").count()).toBe(1);
      expect(await current(page)).toBe("r0-f1");
      expect(await page.locator("#run-1 .filter-new").count()).toBe(0);
    }));

  it("is used with the keyboard alone", () =>
    opened(async (page) => {
      await page.keyboard.press("j");
      expect(await current(page)).toBe("r0-f1");
      await page.keyboard.press("ArrowUp");
      expect(await current(page)).toBe("r0-f0");
      await page.keyboard.press("c");
      expect(await page.locator("table.coverage:visible").count()).toBe(1);
      await page.keyboard.press("2");
      expect(await page.locator(".run-view:visible").getAttribute("id")).toBe("run-1");
      await page.keyboard.press("?");
      expect(await page.locator("#help").isVisible()).toBe(true);
      await page.keyboard.press("Tab");
      const focused = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle");
      expect(focused).not.toBe("none");
    }));

  it("filters findings by text and severity, and rows of the coverage table by text", () =>
    opened(async (page) => {
      const entries = page.locator("#run-0 .entry:visible");
      expect(await entries.count()).toBe(2);
      await page.keyboard.press("/");
      await page.keyboard.type("luck flush");
      expect(await entries.count()).toBe(1);
      expect(await current(page)).toBe("r0-f1");
      await page.locator("#run-0 .filter-severity[value=warning]").uncheck();
      expect(await entries.count()).toBe(0);
      expect(await page.locator("#run-0 .no-match").isVisible()).toBe(true);
      await page.locator("#run-0 .filter-text").fill("is_inserted");
      await page.locator("#run-0 .tab[data-tab=coverage]").click();
      expect(await page.locator("#run-0 .coverage tbody tr:visible").count()).toBe(1);
    }));

  it("opens at the finding that its address names", () =>
    opened(async (page) => expect(await current(page)).toBe("r0-f1"), { hash: "#r0-f1" }));

  it.each(
    [1, 40, 500].flatMap((count) => [
      [count, 1280, 800],
      [count, 1920, 1080],
    ]),
  )(
    "the list of %i findings ends inside a window of %i by %i, and uses it",
    async (count, width, height) => {
      const many = pathToFileURL(join(folder, `${count}.html`)).href;
      writeFileSync(
        join(folder, `${count}.html`),
        htmlReport(drawnReport((trace) => manyFindings(drawnFinding(trace), count))),
      );
      const page = await browser.newPage({ viewport: { width, height } });
      await page.goto(many);
      const list = page.locator(".list:visible");
      const box = must(await list.boundingBox(), "the list is shown");
      expect(box.y + box.height).toBeLessThanOrEqual(height);
      if (count > 1) expect(box.y + box.height).toBeGreaterThan(height - 20);
      const last = page.locator(".entry").last();
      await page.evaluate("document.querySelector('.list').scrollTop = 1e6");
      const end = must(await last.boundingBox(), "the last is shown");
      expect(end.y + end.height).toBeLessThanOrEqual(height);
      // Scrolled down with the page, it takes the whole height.
      await page.evaluate("scrollTo(0, 400)");
      await page.waitForTimeout(50);
      const lower = must(await list.boundingBox(), "the list is shown");
      expect(lower.y + lower.height).toBeLessThanOrEqual(height);
      if (count > 40) expect(lower.height).toBeGreaterThan(height - 40);
      await page.close();
    },
  );

  it("what is chosen in a narrow window comes into view", () =>
    opened(
      async (page) => {
        await page.locator(".entry:visible").last().click();
        const head = must(await page.locator(".finding:visible h3").boundingBox(), "it is shown");
        expect(head.y).toBeGreaterThanOrEqual(0);
        expect(head.y).toBeLessThan(300);
      },
      { width: 390 },
    ));

  it("no number of the axis is cut", () =>
    opened(async (page) => {
      const [outside, count] = await page.evaluate<[number, number]>(`(() => {
        const ticks = [...document.querySelectorAll(".finding.current .lanes .tick")];
        const out = ticks.filter((tick) => {
          const [own, whole] = [tick.getBoundingClientRect(), tick.ownerSVGElement.getBoundingClientRect()];
          return own.left < whole.left - 1 || own.right > whole.right + 1;
        });
        return [out.length, ticks.length];
      })()`);
      expect(count).toBeGreaterThan(2);
      expect(outside).toBe(0);
    }));

  it.each([1000, 1400, 1900])("does not scroll sideways at %i pixels", (width) =>
    opened(
      async (page) => {
        const [scroll, client] = await page.evaluate<[number, number]>(
          "[document.documentElement.scrollWidth, document.documentElement.clientWidth]",
        );
        expect(scroll).toBeLessThanOrEqual(client);
      },
      { width },
    ),
  );

  it("has text that can be read in light and in dark", async () => {
    for (const dark of [false, true]) {
      await opened(
        async (page) => {
          const ratios = await page.evaluate<number[]>(CONTRASTS);
          expect(ratios.length).toBeGreaterThan(20);
          // 4.5 is what WCAG asks of text.
          expect(Math.min(...ratios)).toBeGreaterThanOrEqual(4.5);
        },
        { dark },
      );
    }
  });

  it("can be read with scripts off: everything is there", async () => {
    const context = await browser.newContext({ javaScriptEnabled: false });
    const page = await context.newPage();
    await page.goto(url);
    expect(await page.locator(".finding:visible").count()).toBe(2);
    expect(await page.locator("table.coverage:visible").count()).toBe(2);
    await context.close();
  });
});

/** Contrast of every visible text of the page's own (not of the pictures) with what is behind it. */
const CONTRASTS = `(() => {
  const channel = (value) => (value /= 255) <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = (element) => {
    for (let at = element; at !== null; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll("body *:not(svg *):not(script):not(style)")]
    .filter((element) => element.checkVisibility() && [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== ""))
    .map((element) => {
      const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    });
})()`;
