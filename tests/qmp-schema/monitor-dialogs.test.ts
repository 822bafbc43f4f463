// Whole dialogs, byte for byte as clients write them, with our monitor and with that of Debian's qemu-storage-daemon: what JSON
// may look like, what an `id` may be, what there is before and after the negotiation, who is served when two clients connect.

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

const END = '\u0001\n{"execute": "no-such-command", "id": "the end of this dialog"}\n';
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
  ...(
    [
      ...[
        "\\uD83D",
        "\\uDE00",
        "\\uD83Dx",
        "\\uD83D\\u0041",
        "\\uDE00\\uD83D",
        "\\uD83D\\uD83D\\uDE00",
      ],
      ...[
        "\\uD83D\\n",
        "\\u12",
        "\\u12G4",
        "\\u",
        "\\u0000",
        "a\\u0000b",
        "\\uFFFE",
        "\\uFFFF",
        "\\uFDD0",
      ],
      ...[
        "\\uD83F\\uDFFE",
        "\u007f",
        "\ufffe",
        "\ufdd0",
        "\u{1fffe}",
        "\\x41",
        "\\\n",
        "\\'",
        "\\0",
      ],
    ] as const
  ).map(
    (id) => [`the text ${JSON.stringify(id)}`, `${NEGOTIATE}{${QUERY}, "id": "${id}"}`] as const,
  ),
  ...(
    [
      ...[
        "1.",
        "1.e3",
        "1e",
        "1e+",
        "1.5.2",
        "-",
        "--1",
        "+1",
        ".5",
        "01",
        "-01",
        "1a",
        "0x10",
        "-0",
        "-0.0",
      ],
      ...[
        "1.0",
        "1e2",
        "0.1",
        "1e-7",
        "123456789012345678901234567890",
        "tru",
        "True",
        "nulll",
        "NaN",
        "nil0",
      ],
      ...[
        "%i",
        "%%",
        "#",
        "\u00e4",
        "&",
        "''",
        "'a\"b'",
        "[1,]",
        "[,1]",
        "[,]",
        "[1,,2]",
        "[1 2]",
        "{}",
        "{,}",
      ],
      ...[
        '{"a": 1,}',
        '{"a" 1}',
        '{"a":}',
        "{1: 2}",
        '{"a": 1 "b": 2}',
        '{"a": 1, "a": 2}',
        "[}",
        "{]",
        "[1}",
      ],
      ...['{"a": 1]', "]", "}", ":", ",", '"a" "b"', '"a": 1'],
    ] as const
  ).map((id) => [`the value ${id}`, `${NEGOTIATE}{${QUERY}, "id": ${id}}`] as const),
  ["a comma behind the last member", `${NEGOTIATE}{${QUERY}, "id": 1,}`],
  ["a comma before the first member", `${NEGOTIATE}{, ${QUERY}}`],
  ...(["", WITH_OOB, NEGOTIATE] as const).flatMap((begin) =>
    (
      [
        '{"execute": "query-version", "exec-oob": "query-version", "id": 1}',
        '{"exec-oob": "query-version", "execute": "query-version", "id": 1}',
        '{"exec-oob": "no-such-command", "id": 1}',
        '{"exec-oob": 1, "id": 1}',
        '{"exec-oob": "qmp_capabilities", "id": 1}',
        '{"exec-oob": "query-block-jobs", "more": 1, "id": 1}',
        '{"exec-oob": "query-block-jobs", "arguments": 1, "id": 1}',
      ] as const
    ).map((text) => [`after '${begin}': ${text}`, begin + text] as const),
  ),
  ...(
    [
      "\0",
      "\0\0",
      "\u0001",
      "\u001b",
      "\ufeff",
      '{"execute"\0: "query-version"}',
      '{"exec\0ute": "query-version"}',
      '{"execute": "query\tversion"}',
      '{"execute": "query\nversion"}',
      '\0{"execute": "no-such"}\0',
      "[[\0",
      "tru\0e",
      "1\0",
      "1\u00012",
    ] as const
  ).map((text) => [`characters ${JSON.stringify(text)}`, NEGOTIATE + text] as const),
  [
    "a file with a character 0 in its name",
    `${NEGOTIATE}{"execute": "blockdev-add", "arguments": {"driver": "file", "filename": "a\\u0000b"}}`,
  ],
  ["deep nesting", `${NEGOTIATE}${"[".repeat(1024)}${"]".repeat(1024)}`],
  ["nesting that is too deep", `${NEGOTIATE}${"[".repeat(1025)}${"]".repeat(1025)}`],
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
