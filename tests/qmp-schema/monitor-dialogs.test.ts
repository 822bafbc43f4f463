// Whole dialogs, byte for byte as clients write them, with our monitor and with that of Debian's qemu-storage-daemon: what JSON
// may look like, what an `id` may be, what there is before and after the negotiation, who is served when two clients connect.
//
// Not here, as the words of the refusal differ: half a pair of surrogates and a comma behind the last member; the character 0; a number that
// ends with a point.

import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  daemonFolder,
  expectSound,
  RawClient,
  type RunningDaemon,
  removeFolder,
  startDaemon,
  startPeer,
} from "../daemon/running-daemon.ts";
import { haveTools } from "../nbd-peers/live-server.ts";

const PEER = haveTools("qemu-storage-daemon");
const folder = daemonFolder();
const peerFolder = daemonFolder();
let daemon: RunningDaemon;

beforeAll(async () => {
  if (!PEER) return;
  daemon = await startDaemon(folder, []);
  await startPeer(peerFolder, []);
});
afterAll(() => {
  for (const at of [folder, peerFolder]) removeFolder(at);
});

const END = '\n{"execute": "no-such-command", "id": "the end of this dialog"}\n';
const NEGOTIATE = '{"execute": "qmp_capabilities"}';
const WITH_OOB = '{"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}}';
const QUERY = '"execute": "query-block-jobs"';

/** What a client that says `text` is told after the greeting, up to the answer to END. */
async function dialog(at: string, text: string): Promise<unknown[]> {
  const client = new RawClient(join(at, "qmp.sock"));
  await client.upTo("\n");
  client.write(text + END);
  const lines: string[] = [];
  while (!lines.at(-1)?.includes("the end of this dialog")) lines.push(await client.upTo("\n"));
  client.close();
  // Integers of 64 bits, digit by digit.
  return lines.map((line) =>
    JSON.parse(line.replace(/\b(9223372036854775807|18446744073709551615)\b/, '"$&"')),
  );
}

const LONG = "x".repeat(100_000);

const DIALOGS: readonly (readonly [title: string, text: string])[] = [
  ["a command before the negotiation", `{${QUERY}}`],
  ["an unknown command before the negotiation", '{"execute": "nothing"}'],
  ["no object before the negotiation", "[1, 2]"],
  [
    "a capability that there is not",
    '{"execute": "qmp_capabilities", "arguments": {"enable": ["x"]}}',
  ],
  ["capabilities of a wrong type", '{"execute": "qmp_capabilities", "arguments": {"enable": 1}}'],
  ["the negotiation twice", NEGOTIATE + NEGOTIATE],
  ["out of band without the capability", `${NEGOTIATE}{"exec-oob": "query-version"}`],
  [
    "out of band with it, of a command that cannot",
    `${WITH_OOB}{"exec-oob": "query-block-jobs", "id": 1}`,
  ],
  ...(
    [
      "1",
      "-1",
      "0",
      "1.5",
      "1e3",
      "9223372036854775807",
      "18446744073709551615",
      "true",
      "null",
      '""',
      "[1, [2]]",
    ] as const
  ).map((id) => [`the id ${id}`, `${NEGOTIATE}{${QUERY}, "id": ${id}}`] as const),
  ["an id that is an object", `${NEGOTIATE}{${QUERY}, "id": {"a": [null, 1], "b": {}}}`],
  ["an id with a number beyond 64 bits", `${NEGOTIATE}{${QUERY}, "id": 36893488147419103232}`],
  ["single quotes", `${NEGOTIATE}{'execute': 'query-block-jobs', 'id': 'it\\'s "so"'}`],
  ["escapes", `${NEGOTIATE}{${QUERY}, "id": "\\b\\f\\n\\r\\t\\\\\\/\\"\\u0041\\u00e4"}`],
  ["a pair of surrogates", `${NEGOTIATE}{${QUERY}, "id": "\\uD83D\\uDE00"}`],
  ["text beyond ASCII", `${NEGOTIATE}{${QUERY}, "id": "Grüße, 世界 😀"}`],
  ["a long id", `${NEGOTIATE}{${QUERY}, "id": "${LONG}"}`],
  ["a command with a long name", `${NEGOTIATE}{"execute": "${"x".repeat(300)}"}`],
  ["an unknown escape", `${NEGOTIATE}{${QUERY}, "id": "\\q"}`],
  ["a member twice", `${NEGOTIATE}{${QUERY}, "id": 1, "id": 2}`],
  ["an unknown member", `${NEGOTIATE}{${QUERY}, "more": 1, "id": 1}`],
  ["arguments that are no object", `${NEGOTIATE}{${QUERY}, "arguments": [], "id": 1}`],
  ["a command that is no text", `${NEGOTIATE}{"execute": 1, "id": 1}`],
  ["no command", `${NEGOTIATE}{"id": 1}`],
  ["an empty object", `${NEGOTIATE}{}`],
  ["values that are no objects", `${NEGOTIATE}[] 1 "a" null true`],
  ["a colon too few", `${NEGOTIATE}{"execute" "quit"}`],
  ["words that JSON has not", `${NEGOTIATE}{"id": nothing, ${QUERY}}`],
  ["a number that begins with 0", `${NEGOTIATE}{"id": 012, ${QUERY}}`],
  ["interpolation, which is for QEMU's own sources", `${NEGOTIATE}{"id": %d, ${QUERY}}`],
  [
    "several commands on one line",
    `${NEGOTIATE}{${QUERY}, "id": 1}{${QUERY}, "id": 2} {${QUERY}, "id": 3}`,
  ],
  [
    "one command on several lines",
    `${NEGOTIATE}{\r\n\t"execute"\n:\n"query-block-jobs" ,\n"id"\n:1}`,
  ],
  ["a hundred commands without waiting", NEGOTIATE + `{${QUERY}}`.repeat(100)],
];

describe.skipIf(!PEER)("a dialog goes as with qemu-storage-daemon", () => {
  it.each(DIALOGS)("%s", async (_title, text) => {
    expect(await dialog(folder, text)).toEqual(await dialog(peerFolder, text));
  });

  it("a second client waits until the first has gone", async () => {
    for (const at of [folder, peerFolder]) {
      const first = new RawClient(join(at, "qmp.sock"));
      await first.upTo("\n");
      const second = new RawClient(join(at, "qmp.sock"));
      let isGreeted = false;
      const greeting = second.upTo("\n").then((line) => {
        isGreeted = true;
        return line;
      });
      first.write(`{${QUERY}}`);
      expect(await first.upTo("\n")).toContain("Expecting capabilities negotiation");
      expect(isGreeted).toBe(false);
      first.close();
      expect(await greeting).toContain("QMP");
      second.close();
    }
  });

  it("and the run replays, without a finding", async () => {
    const last = new RawClient(join(folder, "qmp.sock"));
    await last.upTo("\n");
    last.write(`${NEGOTIATE}{"execute": "quit"}`);
    expect(await daemon.ended).toBe(0);
    await expectSound(daemon.trace());
  });
});
