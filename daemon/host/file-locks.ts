// Locks on bytes of an open file. Node has no fcntl, so a child has: it inherits the open file, sets or tests locks on it, and ends.
//
// Locks of this kind (open file description locks) belong to the open file and not to the process that set them. So they stay with
// our descriptor when the child is gone, and go when we close it, however we end. Perl is part of every Debian (perl-base is
// essential) and needs no module for this. It takes some ten milliseconds, in which nothing else runs here: permissions change
// when the graph does, never with a request.

import { spawnSync } from "node:child_process";
import { EIO, ENOTSUP } from "#core/base";
import type { HostLockCall, HostResult } from "#core/sched";

/** Where the child has the file. */
const CHILD_FD = 3;

/**
 * Arguments: three lists of bytes. Prints the byte that another has locked and an errno, or nothing. `struct flock` on 64-bit Linux:
 * type, whence, start, length, pid. F_OFD_GETLK is 36, F_OFD_SETLK 37; F_RDLCK 0, F_WRLCK 1, F_UNLCK 2.
 */
const PROGRAM = String.raw`
use strict;
open(my $file, "<&=", ${CHILD_FD}) or die;
sub flock_at { pack("ssx4qqlx4", $_[0], 0, $_[1], 1, 0) }
sub set { fcntl($file, 37, flock_at(@_)) or do { print "$_[1] ", $! + 0, "\n"; exit } }
my ($lock, $unlock, $test) = map { [split /,/] } @ARGV;
set(0, $_) for @$lock;
set(2, $_) for @$unlock;
for my $byte (@$test) {
  my $found = flock_at(1, $byte);
  fcntl($file, 36, $found) or do { print "t$byte ", $! + 0, "\n"; exit };
  if (unpack("s", $found) != 2) { print "t$byte 11\n"; exit }
}
`;

/** The call `lock` on the file that is open as `fd`. */
export function lockBytes(fd: number, { lock, unlock, test }: HostLockCall): HostResult {
  // What others do not share is looked at first, as QEMU does: it decides which of two conflicts is named.
  const tests = [...bytesOf(test & 0xff00), ...bytesOf(test & 0xff)];
  const args = [bytesOf(lock), bytesOf(unlock), tests].map((bytes) => bytes.join(","));
  const stdio = ["ignore", "pipe", "ignore", fd] as const;
  const { error, status, stdout } = spawnSync("perl", ["-e", PROGRAM, ...args], {
    stdio: [...stdio],
    encoding: "utf8",
  });
  if (error !== undefined) return { ret: -ENOTSUP, value: 0 };
  if (status !== 0) return { ret: -EIO, value: 0 };
  const match = /^(t?)(\d+) (\d+)$/.exec(stdout.trim());
  if (match === null) return { ret: 0, value: 0 };
  const [, tested, byte, errno] = match;
  return { ret: -Number(errno), value: bitOf(Number(byte)) + (tested === "t" ? 16 : 0) };
}

function bytesOf(mask: number): number[] {
  const bits = Array.from({ length: 16 }, (_, bit) => bit);
  return bits.filter((bit) => (mask & (1 << bit)) !== 0).map((bit) => (bit < 8 ? 100 : 192) + bit);
}

function bitOf(byte: number): number {
  return byte < 200 ? byte - 100 : byte - 192;
}
