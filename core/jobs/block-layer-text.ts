// The whole state of the block layer as text: nodes and edges (graph-state-text.ts), BlockBackends, jobs, contexts. An operation
// that is refused leaves the same text: tests and storms compare it before and after.

import { type BlockBackend, blkAll } from "../backend/block-backend.ts";
import { graphStateToText, levelsText } from "../graph/graph-state-text.ts";
import { site } from "../probe/index.ts";
import { globalStateCode, machine } from "../sched/index.ts";
import { allJobs, type Job } from "./job.ts";

const SITE = site("block_layer_to_text");

/** What goes on beside the operation that is looked at, and is left out. */
export interface LeftOut {
  /** Jobs run meanwhile: what they do is not told, only what is done to them. */
  readonly progressOfJobs?: boolean;
  /** Nodes may have moved to another AioContext. */
  readonly contexts?: boolean;
}

/** Everything, one line a thing. Reads without leaving events. */
export function blockLayerToText(leftOut: LeftOut = {}): string {
  globalStateCode(SITE);
  const jobs = allJobs().map((job) => jobLine(job, leftOut.progressOfJobs === true));
  const contexts = machine.contexts.map(
    ({ name, externalDisableCount }) => `context ${name} external-disabled=${externalDisableCount}`,
  );
  if (leftOut.contexts !== true)
    return [graphStateToText(), ...blkAll().map(blkLine), ...jobs, ...contexts].join("\n");
  const text = [graphStateToText(), ...blkAll().map(blkLine), ...jobs].join("\n");
  return text.replaceAll(/ ctx=\S+/g, "");
}

function blkLine(blk: BlockBackend): string {
  const { throttleGroupMember: tgm } = blk;
  const limits = `${tgm.group?.name ?? "-"} off=${tgm.ioLimitsDisabled} ctx=${tgm.aioContext?.name ?? "-"}`;
  let flags = "";
  if (blk.allowWriteBeyondEof) flags += "beyond-eof ";
  if (blk.allowAioContextChange) flags += "follows-node ";
  if (blk.enableWriteCache) flags += "write-cache ";
  if (blk.disableRequestQueuing) flags += "no-queuing ";
  if (blk.disablePerm) flags += "no-perm ";
  if (blk.iostatusEnabled) flags += "iostatus ";
  const who = `blk ${blk.id} '${blk.name}' refs=${blk.refcnt} ctx=${blk.ctx.name} root=${blk.rawRoot?.id ?? "-"}`;
  const perms = `perm=${blk.perm}/${blk.sharedPerm} quiesce=${levelsText(blk.quiescedFor)}`;
  const policy = `dev=${blk.dev?.id ?? "-"} limits=${limits} on-error=${blk.onReadError}/${blk.onWriteError}`;
  return `${who} ${perms} ${policy} ${flags}`;
}

function jobLine(job: Job, withoutProgress: boolean): string {
  const { blockJob, txn } = job;
  const progress = withoutProgress
    ? ""
    : `status=${job.status} busy=${job.busy} paused=${job.paused} ret=${job.ret} err=${job.err} refs=${job.refcnt}`;
  return [
    `job ${job.id} '${job.name}' ${job.driver.jobType} ctx=${job.aioContext.name}`,
    `quiesce=${levelsText(job.quiescedFor)} user-paused=${job.userPaused} cancelled=${job.cancelled}/${job.forceCancel}`,
    `nodes=${blockJob?.nodes.map(({ id }) => id).join(",") ?? "-"} speed=${blockJob?.speed ?? "-"}`,
    `txn=${txn === null ? "-" : txn.jobs.map(({ id }) => id).join(",")} ${progress}`,
  ].join(" ");
}
