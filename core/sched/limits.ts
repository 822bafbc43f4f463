// Limits of the scheduler (house rule 17), with the relations between them asserted when loaded.

import { assert } from "../base/index.ts";

/** Contexts in a run. A trace may have far more; 255 is WORLD_CTX. */
export const CONTEXTS_MAX = 64;
/** Nested aio_polls in one context: QEMU's are a handful deep; more is a runaway recursion. */
export const POLL_DEPTH_MAX = 64;
/** Coroutines entered inside one another. */
export const COROUTINE_DEPTH_MAX = 4096;
/** Steps of a run before it is called endless. */
export const STEPS_MAX = 2_000_000_000;

assert(CONTEXTS_MAX < 255, "a context index fits the trace and is not WORLD_CTX");
assert(POLL_DEPTH_MAX < COROUTINE_DEPTH_MAX, "polls nest less deeply than coroutines");
