// Holes in an open file, and copies to it. Node has neither fallocate nor lseek nor copy_file_range (what fs.copyFile copies is whole
// files), so a child has: it inherits the open file, is told by lines what to do, and stays until the file is closed, or its input
// ends with this process.
//
//   to the child      p OFFSET BYTES    free the range: it reads as zeroes, and the file keeps its size (FALLOC_FL_PUNCH_HOLE)
//                     z OFFSET BYTES    make it zeroes without writing them; the file grows (FALLOC_FL_ZERO_RANGE)
//                     a OFFSET BYTES    take room for it; the file grows
//                     s OFFSET BYTES    where is its data? (SEEK_DATA, SEEK_HOLE)
//                     c OFFSET BYTES FD AT    copy so much to OFFSET, from AT of what this process has open as FD
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

/** Numbers of the system calls fallocate and copy_file_range, by Node's name of the processor. */
const SYSTEM_CALLS: Readonly<Record<string, readonly [number, number]>> = {
  x64: [285, 326],
  arm64: [47, 285],
};

/**
 * Arguments: the numbers of the system calls. FALLOC_FL_KEEP_SIZE is 1, PUNCH_HOLE 2, ZERO_RANGE 16; SEEK_DATA 3, SEEK_HOLE 4. ENXIO (6):
 * there is no data from there on. EBUSY (16): what was data is a hole by now. Of a copy, EINTR (4) is tried again, ENOSYS (38) and
 * the end of the source are ENOTSUP (95), as in QEMU. The source is opened anew by way of /proc: it has no locks then, and needs none.
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
my $parent = getppid;
sub copy {
  my ($offset, $bytes, $from, $at) = @_;
  open(my $source, "<", "/proc/$parent/fd/$from") or return -95;
  my ($in, $out) = (pack("q", $at), pack("q", $offset));
  while ($bytes > 0) {
    my $done = syscall($ARGV[1] + 0, fileno($source), $in, fileno($file), $out, $bytes, 0);
    next if $done < 0 && $! == 4;
    return $! == 38 ? -95 : -($! + 0) if $done < 0;
    return -95 if $done == 0;
    $bytes -= $done;
  }
  return 0;
}
while (<STDIN>) {
  my ($what, $offset, $bytes, $from, $at) = split;
  my $ret = $what eq "s" ? status($offset + 0, $bytes + 0)
    : $what eq "c" ? copy($offset + 0, $bytes + 0, $from, $at + 0)
    : fallocate($mode{$what}, $offset + 0, $bytes + 0);
  print $ret, "\n";
}
`;

type Child = ChildProcessByStdio<Writable, Socket, null>;

/** Where a copy comes from: a file that this process has open. */
export interface CopySource {
  readonly fd: number;
  readonly offset: number;
}

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

  /** Copy so many bytes to `offset` from another open file; `done` as above. */
  copy(offset: number, bytes: number, from: CopySource, done: (ret: number) => void): void {
    this.#ask("c", offset, bytes, done, ` ${from.fd} ${from.offset}`);
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
    what: "p" | "z" | "a" | "s" | "c",
    offset: number,
    bytes: number,
    done: (ret: number) => void,
    besides = "",
  ): void {
    const numbers = SYSTEM_CALLS[process.arch];
    if (this.#isOver || process.platform !== "linux" || numbers === undefined) {
      setImmediate(done, -ENOTSUP);
      return;
    }
    this.#child ??= this.#start(numbers);
    if (this.#child === null) {
      setImmediate(done, -ENOTSUP);
      return;
    }
    this.#waiting.push(done);
    this.#child.stdin.write(`${what} ${offset} ${bytes}${besides}\n`);
    this.#keepAlive();
  }

  /** Null: this process has too many files open for another child. Without perl there is one, which is over at once. */
  #start(numbers: readonly number[]): Child | null {
    const stdio = ["pipe", "pipe", "ignore", this.#fd] as const;
    const child = spawn("perl", ["-e", PROGRAM, ...numbers.map(String)], {
      stdio: [...stdio],
    }) as Child;
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
