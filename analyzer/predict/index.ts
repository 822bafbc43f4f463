export { predictedFinding } from "./finding.ts";
export { type Candidate, type Candidates, type PredictedAccess, raceCandidates } from "./own.ts";
export {
  type PredictedPair,
  type Prediction,
  type PredictLimits,
  type PredictOptions,
  type PredictResult,
  predictRaces,
} from "./predict.ts";
export { predictedOnly, predictionJson, predictionText } from "./report.ts";
export { faultOf, type Witness } from "./witness.ts";
