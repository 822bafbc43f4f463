// Holes in an open file. Node has neither fallocate nor lseek, so a child has: it inherits the open file, is told by lines what to do,
// and stays until the file is closed, or its input ends with this process.
//
//   to the child      p OFFSET BYTES    free the range: it reads as zeroes, and the file keeps its size (FALLOC_FL_PUNCH_HOLE)
//                     z OFFSET BYTES    make it zeroes without writing them; the file grows (FALLOC_FL_ZERO_RANGE)
//                     a OFFSET BYTES    take room for it; the file grows
//                     s OFFSET BYTES    where is its data? (SEEK_DATA, SEEK_HOLE)
//   from the child    a negated errno, 0 for done, the answer of `hostStatusAnswer`; a line for each, in their order
//
// Perl is part of every Debian, and has no fallocate either, but every system call by its number. Whatever is missing (perl, the
// number on this machine, support of the file system) answers ENOTSUP, and the block layer goes on without. Nobody here
// uses the file's position, which the child moves.

import { type ChildProcessByStdio, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import type { Socket } from "node:net";
import type { Writable } from "node:stream";
import { EIO, ENOTSUP } from "#core/base";

/** Where the child has the file. */
const CHILD_FD = 3;

/** Milliseconds that the end of a child is waited for: it takes less than one. */
const NAPS_MAX = 200;

/** Number of the system call fallocate, by Node's name of the processor. */
const FALLOCATE: Readonly<Record<string, number>> = { x64: 285, arm64: 47 };

/**
 * Argument: the number of the system call. FALLOC_FL_KEEP_SIZE is 1, PUNCH_HOLE 2, ZERO_RANGE 16; SEEK_DATA 3, SEEK_HOLE 4. ENXIO (6):
 * there is no data from there on. EBUSY (16): what was data is a hole by now.
 */
const PROGRAM = String.raw`
use strict;
$| = 1;
open(my $file, "<&=", ${CHILD_FD}) or die;
my %mode = (p => 3, z => 16, a => 0);
sub fallocate {
  my ($mode, $offset, $bytes) = @_;
  return syscall($ARGV[0] + 0, fileno($file), $mode, $offset, $bytes) == 0 ? 0 : -($! + 0);
}
sub alike { my ($bytes, $most, $data) = @_; 2 * ($bytes < $most ? $bytes : $most) + $data }
sub status {
  my ($offset, $bytes) = @_;
  my $data = sysseek($file, $offset, 3);
  my $hole = defined $data && $data == $offset ? sysseek($file, $offset, 4) : $offset;
  return $! == 6 ? 2 * $bytes : -($! + 0) unless defined $data && defined $hole;
  return alike($data - $offset, $bytes, 0) if $data > $offset;
  return $hole > $offset ? alike($hole - $offset, $bytes, 1) : -16;
}
while (<STDIN>) {
  my ($what, $offset, $bytes) = split;
  print $what eq "s" ? status($offset + 0, $bytes + 0) : fallocate($mode{$what}, $offset + 0, $bytes + 0), "\n";
}
`;

type Child = ChildProcessByStdio<Writable, Socket, null>;

/** The holes of one file; the child begins with the first that is asked for. */
export class FileHoles {
  readonly #fd: number;
  readonly #waiting: ((ret: number) => void)[] = [];
  #child: Child | null = null;
  #rest = "";
  #isOver = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Free the range; `done` gets 0 or a negated errno, ENOTSUP where that cannot be. */
  punch(offset: number, bytes: number, done: (ret: number) => void): void {
    this.#ask("p", offset, bytes, done);
  }

  /** Make the range zeroes, if that takes no writing; `done` as above. */
  zero(offset: number, bytes: number, done: (ret: number) => void): void {
    this.#ask("z", offset, bytes, done);
  }

  /** Take room on the disk for the range; `done` as above. */
  allocate(offset: number, bytes: number, done: (ret: number) => void): void {
    this.#ask("a", offset, bytes, done);
  }

  /** Where the data of the range is; `done` gets the answer of `hostStatusAnswer`, or a negated errno as above. */
  status(offset: number, bytes: number, done: (ret: number) => void): void {
    this.#ask("s", offset, bytes, done);
  }

  /** The file is about to be closed, with nothing under way. When this comes back the child has it no more, nor its locks. */
  close(): void {
    this.#isOver = true;
    const pid = this.#child?.pid;
    if (pid === undefined) return;
    this.#child?.kill("SIGKILL");
    const nap = new Int32Array(new SharedArrayBuffer(4));
    for (let naps = 0; naps < NAPS_MAX && existsSync(`/proc/${pid}/fd/${CHILD_FD}`); naps++)
      Atomics.wait(nap, 0, 0, 1);
  }

  #ask(
    what: "p" | "z" | "a" | "s",
    offset: number,
    bytes: number,
    done: (ret: number) => void,
  ): void {
    const number = FALLOCATE[process.arch];
    if (this.#isOver || process.platform !== "linux" || number === undefined) {
      setImmediate(done, -ENOTSUP);
      return;
    }
    this.#child ??= this.#start(number);
    if (this.#child === null) {
      setImmediate(done, -ENOTSUP);
      return;
    }
    this.#waiting.push(done);
    this.#child.stdin.write(`${what} ${offset} ${bytes}\n`);
    this.#keepAlive();
  }

  /** Null: this process has too many files open for another child. Without perl there is one, which is over at once. */
  #start(number: number): Child | null {
    const stdio = ["pipe", "pipe", "ignore", this.#fd] as const;
    const child = spawn("perl", ["-e", PROGRAM, `${number}`], { stdio: [...stdio] }) as Child;
    child.on("error", () => this.#fail(-ENOTSUP));
    if (child.stdin === undefined) return null;
    child.on("close", () => this.#fail(-EIO));
    // What it was to be told is answered when it has ended.
    child.stdin.on("error", () => undefined);
    child.stdout.setEncoding("utf8").on("data", (text: string) => this.#answered(text));
    child.unref();
    return child;
  }

  #answered(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#waiting.shift()?.(Number(line));
    this.#keepAlive();
  }

  /** This process goes on for an answer, and for nothing else of the child's. */
  #keepAlive(): void {
    if (this.#waiting.length > 0) this.#child?.stdout.ref();
    else this.#child?.stdout.unref();
  }

  /** It is gone: nothing works any more. */
  #fail(ret: number): void {
    this.#isOver = true;
    for (const done of this.#waiting.splice(0)) done(ret);
  }
}
