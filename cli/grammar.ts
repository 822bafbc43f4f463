// The grammar: every verb, argument and option, on one page. Stable: verbs, options and exit codes are only ever added.
//
// Verbs are loaded when they run, so that `--help` and a typo cost no more than Node itself.

import { Command, InvalidArgumentError, Option } from "commander";
import type { GivenOption } from "./daemon.ts";
import { asTyped, programName } from "./program-name.ts";
import { columnsOf, type Terminal } from "./terminal.ts";
import { quiesceVersion } from "./version.ts";

const PATCHES = 12;
/** A day: whoever waits longer does not mean to end by it. */
const SECONDS_MAX = 86_400;
/** Events of a ring: 32 bytes each. */
const RING_MAX = 100_000_000;
const SEED_MAX = 0xffff_ffff;

/** Parses `argv`, runs the verb, and returns its exit code; throws a CommanderError when there was nothing to run. */
export async function parseAndRun(argv: readonly string[], terminal: Terminal): Promise<number> {
  let code = 0;
  const program = root(terminal);
  const run: Run = async (verb) => {
    code = await verb();
  };
  addDemo(program, run, terminal);
  addScenarios(program, run, terminal);
  addRecord(program, run, terminal);
  addReplay(program, run, terminal);
  addRaces(program, run, terminal);
  addDump(program, run, terminal);
  addInfo(program, run, terminal);
  addDaemon(program, run, terminal);
  addExport(program, run, terminal);
  await program.parseAsync(argv, { from: "user" });
  return code;
}

/** Runs a verb and keeps its exit code. */
type Run = (verb: () => Promise<number>) => Promise<void>;

function addDemo(program: Command, run: Run, terminal: Terminal): void {
  const what = "see it work: record, replay and race-check a real block graph under load";
  verb(program, "demo", what, ["quiesce demo"])
    .option("--out <dir>", "where images, traces and reports go", "out")
    .addOption(seedOption())
    .action((options) => run(async () => (await import("./demo.ts")).demo(options, terminal)));
}

function addScenarios(program: Command, run: Run, terminal: Terminal): void {
  verb(program, "scenarios", "list what can be recorded", ["quiesce scenarios"])
    .option("--json", "as one JSON object")
    .action((options) =>
      run(async () => (await import("./scenarios.ts")).scenarios(options, terminal)),
    );
}

function addRecord(program: Command, run: Run, terminal: Terminal): void {
  const what = `a name that \`${programName()} scenarios\` lists, or a file such as ./my-scenario.ts`;
  const lock = "the AioContext lock that protected the lists before the series, or none";
  verb(program, "record", "run a scenario and record it", [
    "quiesce record demo -o demo.trace --seed 7 --without-patch 10,11",
    "quiesce record ./my-scenario.ts -o mine.trace --level inputs",
  ])
    .argument("<scenario>", what)
    .requiredOption("-o, --output <file>", "the trace to write")
    .addOption(seedOption())
    .addOption(
      choice("--host <kind>", "real files and time, or modelled ones", ["simulated", "live"]),
    )
    .addOption(
      choice("--level <level>", "all events, or only what replay needs", ["full", "inputs"]),
    )
    .option(
      "--without-patch <numbers>",
      "patches of the series to switch off, e.g. 10,11",
      patchNumbers,
    )
    .addOption(choice("--lock <regime>", lock, ["none", "aio"]))
    .addOption(codecOption())
    .option("--param <name=value>", "set a parameter of the scenario; may be repeated", parameters)
    .option(
      "--check",
      "check after every step what must hold of a graph, and stop when it does not",
    )
    .action((name, options) =>
      run(async () => (await import("./record.ts")).record(name, options, terminal)),
    );
}

function addReplay(program: Command, run: Run, terminal: Terminal): void {
  verb(program, "replay", "run a recording again and compare every event", [
    "quiesce replay demo.trace",
    "quiesce replay demo.trace --to 9098",
    "quiesce replay luck.trace --schedule out/23ca8ea7f4b26e6d.json -o raced.trace",
  ])
    .argument("<file>", "a trace")
    .option("-o, --output <full>", "write the regenerated events as a full trace")
    .option(
      "--to <event>",
      "replay to this event; show it, what was running, and the graph",
      eventNumber,
    )
    .option(
      "--schedule <schedule>",
      "execute the run otherwise, as `races --schedules` wrote, and look for the race",
    )
    .option("--json", "as one JSON object")
    .action((file, options) =>
      run(async () => (await import("./replay.ts")).replay(file, options, terminal)),
    );
}

/** What `--also` may ask of a foreign trace. */
const FOREIGN_CHECKS = ["lockset", "atomicity"] as const;

function addRaces(program: Command, run: Run, terminal: Terminal): void {
  const races = verb(program, "races", "find accesses that no drain covers", [
    "quiesce races demo.trace --coverage",
    "quiesce races demo.trace --policy all",
    "quiesce races demo.trace --html report.html --sarif report.sarif",
    "quiesce races --online run.trace",
    "quiesce races demo.trace --baseline known.json --suppress accepted.txt --fail-on new",
    "quiesce races --from std published.std --order hb --json",
    "quiesce races demo.trace --predict osr --schedules out",
  ]).argument("<file...>", "traces; one that holds only inputs is replayed first");
  races
    .option("--online", "follow a trace that is still being written, until its run ends")
    .option(
      "--idle <seconds>",
      "with --online: end when the file has not grown for so long",
      seconds,
    );
  addRacesOutput(races);
  addRacesTriage(races);
  addRacesForeign(races);
  addRacesPrediction(races);
  races.action((files, options) =>
    run(async () => {
      if (options.from === "quiesce")
        return (await import("./races.ts")).races(files, options, terminal);
      const isGiven = (name: string) => races.getOptionValueSource(name) === "cli";
      const given = Object.keys(options).filter(isGiven);
      return (await import("./races-foreign.ts")).racesForeign(
        files,
        { ...options, given },
        terminal,
      );
    }),
  );
}

function addRacesForeign(races: Command): void {
  const from =
    "what the trace is: quiesce's, or RAPID's text or binary form; docs/foreign-traces.md";
  const order =
    "happens-before, or schedulable happens-before, where a read comes after what it saw (the default for a foreign trace)";
  const also =
    "of a foreign trace, besides: accesses that no lock protects throughout (lockset), blocks that are not atomic (atomicity)";
  races
    .addOption(choice("--from <form>", from, ["quiesce", "std", "rapidbin"]))
    .addOption(new Option("--order <order>", order).choices(["hb", "shb"]))
    .addOption(new Option("--also <checks...>", also).choices(FOREIGN_CHECKS));
}

function addRacesPrediction(races: Command): void {
  const predict =
    "also races that another order shows: one that keeps that of critical sections, or may reverse them; docs/prediction.md";
  races
    .addOption(new Option("--predict <method>", predict).choices(["syncp", "osr"]))
    .option(
      "--schedules <dir>",
      "write there, for each predicted race, the schedule that shows it",
    );
}

function addRacesOutput(races: Command): void {
  const coverage = "also print, for each list and pair of functions, what orders their accesses";
  const drains = "also print what each drain cost in stopped time, and note needless ones";
  const policy =
    "what must protect the lists; `all` also prints a table of the six (docs/policies.md)";
  const reading =
    "order of an iothread's handlers: all in a row, each after what posted it, as another schedule could have it, or both at once";
  const sarif =
    "write the findings as SARIF 2.1.0; `-` for this and the next: print it in place of the text";
  const artifact = "what --markdown calls the HTML report: the name of an artifact or an address";
  races
    .option("--coverage", coverage)
    .option("--drains", drains)
    .addOption(choice("--policy <policy>", policy, ["P1", "P0", "P2", "P3", "P4", "P5", "all"]))
    .addOption(choice("--reading <reading>", reading, ["thread", "task", "both"]))
    .addOption(
      choice("--color <when>", "whether the text is coloured", ["auto", "always", "never"]),
    )
    .option("--details", "print the details of every finding, not only of the first")
    .option(
      "--stacks",
      "call stacks by replaying, even when that takes long (default: when it is quick)",
    )
    .option("--no-stacks", "functions of the accesses alone, without replaying")
    .option("--json", "as one JSON object")
    .option("--sarif <file>", sarif)
    .option("--html <file>", "write a report with pictures, in one file")
    .option("--junit <file>", "write JUnit XML, a test for each rule and trace")
    .option("--markdown <file>", "write a page for the summary of a CI step")
    .option("--artifact <name>", artifact)
    .option("--gitlab <file>", "write GitLab's code quality JSON")
    .addOption(
      new Option("--annotations <service>", "also print the service's annotations").choices([
        "github",
      ]),
    );
}

function addRacesTriage(races: Command): void {
  const failOn =
    "exit with 1 when there is a finding as bad as this, or a new one; suppressed ones do not count";
  races
    .addOption(
      choice("--fail-on <level>", failOn, ["race", "warning", "note", "new", "none", "never"]),
    )
    .option("--baseline <file>", "what is known: from --write-baseline, --sarif or --json")
    .option("--write-baseline <file>", "write what was found as a baseline")
    .option("--suppress <file>", "what is accepted, an entry a line; see docs/ci.md", collected)
    .option("--today <date>", "the day that suppressions end by, as YYYY-MM-DD");
}

function addDump(program: Command, run: Run, terminal: Terminal): void {
  verb(program, "dump", "print the events of a trace", ["quiesce dump demo.trace | less"])
    .argument("<file>", "a trace")
    .option("--json", "one JSON object a line; the first describes the trace")
    .action((file, options) =>
      run(async () => (await import("./dump.ts")).dump(file, options, terminal)),
    );
}

function addInfo(program: Command, run: Run, terminal: Terminal): void {
  verb(program, "info", "say what a trace is", ["quiesce info demo.trace"])
    .argument("<file>", "a trace")
    .option("--json", "as one JSON object")
    .action((file, options) =>
      run(async () => (await import("./info.ts")).info(file, options, terminal)),
    );
}

/** Options of qemu-storage-daemon, with their spelling; they are carried out in the order in which they are given. */
function addDaemon(program: Command, run: Run, terminal: Terminal): void {
  const given: GivenOption[] = [];
  const daemon = verb(program, "daemon", "serve images over NBD, controlled over QMP", [
    "quiesce daemon --blockdev driver=file,node-name=disk0,filename=disk.img --nbd-server addr.type=unix,addr.path=nbd.sock --export nbd,id=e0,node-name=disk0,writable=on",
    "quiesce daemon --chardev socket,id=qmp,path=qmp.sock,server=on,wait=off --monitor qmp --record out",
  ]);
  for (const [name, what] of DAEMON_OPTIONS) {
    daemon.addOption(
      new Option(`--${name} <options>`, what).argParser((text: string) => {
        given.push({ name, text });
        return text;
      }),
    );
  }
  addDaemonProcess(daemon).action((parsed) =>
    run(async () => (await import("./daemon.ts")).daemon({ ...parsed, given }, terminal)),
  );
}

const DAEMON_OPTIONS: readonly (readonly [GivenOption["name"], string])[] = [
  ["object", "an iothread, a throttle group, a secret, or credentials: iothread,id=io0"],
  ["blockdev", "a node, as blockdev-add makes it"],
  ["drive", "an image with a BlockBackend of that name: id=drive0,file=FILE,format=qcow2"],
  ["nbd-server", "where NBD clients connect to: addr.type=unix,addr.path=FILE"],
  ["export", "a node for NBD clients: nbd,id=ID,node-name=NODE,iothread=IO,writable=on"],
  ["chardev", "a socket for a monitor: socket,id=ID,path=FILE,server=on,wait=off"],
  ["monitor", "QMP on a chardev"],
];

/** What concerns the process of a daemon, and not the machine in it. */
function addDaemonProcess(daemon: Command): Command {
  return daemon
    .option("--pidfile <file>", "write the process id there when all options are done")
    .option("--daemonize", "go into the background when all options are done")
    .addOption(
      new Option("-T, --trace <pattern>", "of QEMU's tracing; see --record").argParser(refuseTrace),
    )
    .option("--record <dir>", "record the run into a trace in this folder")
    .addOption(
      new Option("--level <level>", "of the recording; inputs by default").choices([
        "inputs",
        "full",
      ]),
    )
    .addOption(
      new Option(
        "--ring <events>",
        "keep the last so many events, and up to a quarter more, in memory; SIGUSR1 writes them to a file in the folder of --record",
      ).argParser(ringEvents),
    )
    .addOption(
      new Option(
        "--poll-max-ns <ns>",
        "look for work so long before sleeping, while nobody else wants the processor: quicker answers to few requests at a time; 200000 by default, 0: not at all",
      ).argParser(pollNs),
    )
    .addOption(choice("--log-level <level>", "what is logged", ["warn", "info", "error"]))
    .addOption(choice("--log-format <format>", "how it is logged", ["text", "json"]))
    .option("--log-file <file>", "append the log to this file instead of writing it to stderr");
}

function ringEvents(text: string): number {
  const events = /^[0-9]{1,9}$/.test(text) ? Number(text) : 0;
  if (events >= 1 && events <= RING_MAX) return events;
  throw new InvalidArgumentError(`It is a number of events, from 1 to ${RING_MAX}.`);
}

/** Longer than a tenth of a second nobody waits awake. */
const POLL_NS_MAX = 100_000_000;

function pollNs(text: string): number {
  if (/^[0-9]{1,9}$/.test(text) && Number(text) <= POLL_NS_MAX) return Number(text);
  throw new InvalidArgumentError(`It is a number of nanoseconds, up to ${POLL_NS_MAX}.`);
}

function refuseTrace(): never {
  throw new InvalidArgumentError(
    "Tracing is recording here: use --record DIR, and the verbs dump and races afterwards.",
  );
}

/** How the chunks of a trace are stored. */
function codecOption(): Option {
  const what = "how events are stored: compressed, or plain, which is large and read twice as fast";
  return choice("--codec <codec>", what, ["deflate", "plain"]);
}

function addExport(program: Command, run: Run, terminal: Terminal): void {
  const to =
    "RAPID's text form, or its binary twin (docs/foreign-traces.md); or a trace of quiesce's again, with another --codec";
  verb(program, "export", "write a trace in the form that another program reads", [
    "quiesce export demo.trace --to std -o demo.std",
    "quiesce export big.std --from std --to rapidbin -o big.bin",
    "quiesce export demo.trace --to quiesce --codec plain -o quick.trace",
  ])
    .argument("<file>", "a full trace")
    .addOption(choice("--from <form>", "what the trace is", ["quiesce", "std", "rapidbin"]))
    .addOption(choice("--to <form>", to, ["std", "rapidbin", "quiesce"]))
    .addOption(codecOption())
    .requiredOption("-o, --output <file>", "the file to write")
    .option("--names <file>", "also write, as JSON, which function and line each location is")
    .action((file, options) =>
      run(async () => (await import("./export.ts")).exportTrace(file, options, terminal)),
    );
}

function root(terminal: Terminal): Command {
  return new Command(programName())
    .description("Records, replays and race-checks a block layer.")
    .version(quiesceVersion(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand(false)
    .showHelpAfterError(`Try \`${programName()} --help\`.`)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.stdout.write(text),
      writeErr: (text) => terminal.stderr.write(text),
      getOutHelpWidth: () => columnsOf(terminal.stdout),
      getErrHelpWidth: () => columnsOf(terminal.stderr),
      outputError: (text, write) => write(text.replace(/^error: /, "quiesce: ")),
    })
    .addHelpText("before", examples(["quiesce demo"]))
    .addHelpText(
      "after",
      "\nExit codes: 0 fine, 1 findings, 2 usage, 3 a file failed or is incomplete, 4 replay diverged,\n5 a limit was reached, 70 an assertion of quiesce itself, 128+n ended by signal n.",
    );
}

function verb(
  program: Command,
  name: string,
  description: string,
  lines: readonly string[],
): Command {
  return program
    .command(name)
    .description(description)
    .showHelpAfterError(`Try \`${programName()} ${name} --help\`.`)
    .addHelpText("before", examples(lines));
}

function examples(lines: readonly string[]): string {
  return `${lines.length === 1 ? "Example" : "Examples"}:\n${lines.map((line) => `  $ ${asTyped(line)}\n`).join("")}`;
}

function seedOption(): Option {
  return new Option("--seed <n>", "what everything random derives from")
    .argParser(seedNumber)
    .default(1);
}

/** An option with a few possible values, of which the first is the default. */
function choice(
  flags: string,
  description: string,
  values: readonly [string, ...string[]],
): Option {
  return new Option(flags, description).choices(values).default(values[0]);
}

function seedNumber(text: string): number {
  const seed = Number(text);
  if (/^\d+$/.test(text) && seed <= SEED_MAX) return seed;
  throw new InvalidArgumentError(`A seed is a whole number from 0 to ${SEED_MAX}.`);
}

function eventNumber(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("Events are numbered from 0.");
}

function seconds(text: string): number {
  const number = Number(text);
  if (text.trim() !== "" && number >= 0 && number <= SECONDS_MAX) return number;
  throw new InvalidArgumentError(`This is a number of seconds, from 0 to ${SECONDS_MAX}.`);
}

function collected(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

function parameters(
  text: string,
  before: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("A parameter is given as NAME=VALUE.");
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}

function patchNumbers(text: string, before: readonly number[] = []): number[] {
  const numbers = text.split(",").map((part) => Number(part.trim() || Number.NaN));
  if (numbers.every((number) => Number.isInteger(number) && number >= 1 && number <= PATCHES)) {
    return [...new Set([...before, ...numbers])].sort((a, b) => a - b);
  }
  throw new InvalidArgumentError(`Patches are numbered 1 to ${PATCHES}, separated by commas.`);
}
