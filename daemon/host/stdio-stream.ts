// Standard input and output as one connection, for a monitor on the terminal or at the end of a pipe.

import { Duplex, Writable } from "node:stream";

/** Reads standard input and writes standard output, which stays open when the connection is closed. */
export function stdioStream(): Duplex {
  const writable = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      process.stdout.write(chunk, (error) => done(error ?? null));
    },
  });
  return Duplex.from({ readable: process.stdin, writable });
}
