export {
  bdrvChildCbDrainedBegin,
  bdrvChildCbDrainedEnd,
  bdrvChildCbDrainedPoll,
} from "./child-cb-drain.ts";
export {
  bdrvCoDrain,
  bdrvCoDrainAllBegin,
  bdrvCoDrainedBegin,
  bdrvCoDrainedBeginNoPoll,
  bdrvCoDrainedEnd,
  bdrvCoSubtreeDrainedBegin,
  bdrvCoSubtreeDrainedEnd,
  bdrvDrainedBeginNoPoll,
} from "./co-drain.ts";
export { bdrvDrain, bdrvDrainedBegin, bdrvDrainedEnd } from "./drain.ts";
export {
  bdrvDrainAll,
  bdrvDrainAllBegin,
  bdrvDrainAllCount,
  bdrvDrainAllEnd,
  bdrvDrainAllEndQuiesce,
  bdrvDrainAllNewNode,
} from "./drain-all.ts";
export { bdrvDrainPoll } from "./drain-poll.ts";
export { bdrvDecInFlight, bdrvIncInFlight, bdrvWakeup, taskShare } from "./in-flight.ts";
export {
  bdrvCoParentDrainedBeginSingle,
  bdrvParentDrainedBeginSingle,
  bdrvParentDrainedEndSingle,
} from "./parent-drain.ts";
export {
  bdrvApplySubtreeDrain,
  bdrvSubtreeDrainedBegin,
  bdrvSubtreeDrainedBeginUnlocked,
  bdrvSubtreeDrainedEnd,
  bdrvSubtreeDrainedEndUnlocked,
  bdrvUnapplySubtreeDrain,
} from "./subtree.ts";
