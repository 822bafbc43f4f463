// The daemon's monitor, which hears a whole connection's bytes, in pieces: lexer, parser, schemas and commands. Afterwards another
// client must be heard, unless the daemon was told to end.

import { type HostHandle, Prng } from "#core/base";
import {
  aioCoEnter,
  type Co,
  GuestBuffer,
  hostAllocate,
  machine,
  type Polls,
  qemuCoroutineCreate,
  socketClient,
  socketClose,
  socketConnect,
  socketRecv,
  socketSend,
} from "#core/sched";
import { type DaemonOption, daemonMain, isJsonObject, parseJson } from "#daemon";
import type { World } from "#explorer";
import { runSimulatedSoundly } from "../record-replay/sound-run.ts";
import type { FuzzTarget } from "./fuzzer.ts";

const PATH = "qmp.sock";
const PIECE_BYTES = 300;

const HELLO = '{"execute": "qmp_capabilities"}';
const OOB = '{"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}}';

/** Conversations that are right. */
const SEEDS: readonly string[] = [
  `${HELLO}{"execute": "query-commands", "id": [1, {"a": 2.5e3}]}`,
  `${OOB}{"exec-oob": "query-version", "id": "x"}{"execute": "query-named-block-nodes"}`,
  `${HELLO}{"execute": "blockdev-add", "arguments": {"driver": "null-co", "node-name": "n0", "size": 65536}}
   {"execute": "blockdev-add", "arguments": {"driver": "raw", "node-name": "r0", "file": "n0", "offset": 512}}
   {"execute": "nbd-server-start", "arguments": {"addr": {"type": "unix", "data": {"path": "s"}}, "max-connections": 3}}
   {"execute": "block-export-add", "arguments": {"type": "nbd", "id": "e0", "node-name": "r0", "writable": true}}
   {"execute": "query-block-exports"}{"execute": "block-export-del", "arguments": {"id": "e0", "mode": "hard"}}
   {"execute": "blockdev-del", "arguments": {"node-name": "r0"}}{"execute": "nbd-server-stop"}`,
  `${HELLO}{"execute": "object-add", "arguments": {"qom-type": "iothread", "id": "io0"}}
   {"execute": "object-add", "arguments": {"qom-type": "throttle-group", "id": "t0", "limits": {"iops-total": 10}}}
   {"execute": "object-add", "arguments": {"qom-type": "authz-list", "id": "a", "rules": [{"match": "*", "policy": "allow", "format": "glob"}]}}
   {"execute": "object-add", "arguments": {"qom-type": "secret", "id": "s", "data": "x\\u0041\\"", "format": "raw"}}
   {"execute": "object-del", "arguments": {"id": "io0"}}`,
  `${HELLO}{'execute': 'x-debug-query-block-graph', 'arguments': {}}[1, null, true, "\\ud83d\\ude00"] nonsense \xff{}`,
  `${HELLO}{"execute": "query-jobs"}{"execute": "quit"}`,
];

const OPTIONS: readonly DaemonOption[] = [
  option("chardev", `{"backend": "socket", "id": "c", "path": "${PATH}", "server": true}`),
  option("monitor", '{"chardev": "c"}'),
];

function option(name: DaemonOption["name"], json: string): DaemonOption {
  const value = parseJson(json);
  return {
    name,
    value: isJsonObject(value) ? value : new Map(),
    isText: false,
  };
}

export const qmpTarget: FuzzTarget = {
  name: "qmp",
  seeds: SEEDS.map((text) => Buffer.from(text, "latin1")),
  code: ["/daemon/qmp/", "/daemon/commands/"],
  run(input, seed, isJudged) {
    const main = (world: World): Polls<void> => {
      const onReady = () => begin(world, input, new Prng(seed, 6));
      return daemonMain({ options: OPTIONS, epochNs: 0, print: () => undefined, onReady });
    };
    runSimulatedSoundly({ seed, main, isJudged });
  },
};

function begin(world: World, input: Uint8Array, prng: Prng): void {
  world.guest(machine.mainContext, function* (): Co<void> {
    yield* say(input, prng);
    yield* say(Buffer.from(`${HELLO}{"execute": "quit"}`), prng);
  });
}

/** Send all of it, and take what comes back until the other end has no more to say. */
function* say(input: Uint8Array, prng: Prng): Co<void> {
  const socket = socketClient({ type: "unix", path: PATH }) as HostHandle;
  if ((yield* socketConnect(socket)) < 0) return;
  let isClosed = false;
  aioCoEnter(
    machine.mainContext,
    qemuCoroutineCreate(function* (): Co<void> {
      const buffer = hostAllocate(65_536);
      const range = { buffer, start: 0, least: 1, most: buffer.length };
      while (!isClosed && (yield* socketRecv(socket, range)) > 0);
    }),
  );
  for (let at = 0; at < input.length; ) {
    const piece = input.slice(at, at + 1 + prng.below(PIECE_BYTES));
    at += piece.length;
    if ((yield* socketSend(socket, new GuestBuffer(piece.length, piece), 0, piece.length)) < 0)
      break;
  }
  isClosed = true;
  socketClose(socket);
}
