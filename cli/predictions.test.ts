import { expect, it } from "vitest";
import { analyze } from "#analyzer";
import { traceFromText } from "../analyzer/test-support.ts";
import { unconfirmedText } from "./predictions.ts";

it("a prediction that its execution did not confirm is named, and called a defect", () => {
  const { findings } = analyze(
    traceFromText(`
      main                             | io1
                                       | lock l1; read children n1 @reader; unlock l1
      lock l1; unlock l1; remove children n1 e1 @editor |`),
  );
  const [lucky] = findings.filter(({ rule }) => rule === "covered-by-luck");
  if (lucky === undefined) throw new Error("a lock orders the two");
  expect(unconfirmedText([lucky])).toBe(
    `1 predicted race did not happen when executed: children in reader and editor (${lucky.fingerprint}); that is a defect of the prediction, unless the run goes by something that its trace does not tell, and only covered by luck is reported.`,
  );
  expect(unconfirmedText(Array.from({ length: 5 }, () => lucky))).toMatch(
    /^5 predicted races did not happen when executed: .*\) and 2 more; that is a defect/,
  );
});
