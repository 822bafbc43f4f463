// How much garbage an analysis may keep. V8 lets the old part of its heap grow to several times what lives there before it looks for
// garbage, since most programs would rather have speed than memory; a trace of 100 million events then takes twice the memory that
// it needs. To look at half as much again costs about one percent of the time.

import { setFlagsFromString } from "node:v8";

/** For programs that analyse: from now on the heap of this process grows by half at most before V8 collects what is garbage in all of it. */
export function keepHeapSmall(): void {
  setFlagsFromString("--heap-growing-percent=50");
}
