import { describe, expect, it } from "vitest";
import { QuiesceError } from "#core/base";
import { parseKeyval } from "./keyval.ts";
import { jsonText } from "./qmp/json-value.ts";

function read(text: string, implied: string | null = null): string {
  try {
    return jsonText(parseKeyval(text, implied).value);
  } catch (error) {
    if (error instanceof QuiesceError) return error.message;
    throw error;
  }
}

describe("options of the command line", () => {
  it.each([
    [
      "driver=raw,file.driver=file,file.filename=a",
      '{"driver": "raw", "file": {"driver": "file", "filename": "a"}}',
    ],
    ["raw,node-name=x", '{"driver": "raw", "node-name": "x"}'],
    ["driver=file,filename=a,,b", '{"driver": "file", "filename": "a,b"}'],
    ["driver=quorum,children.1=b,children.0=a", '{"driver": "quorum", "children": ["a", "b"]}'],
    ['{"driver": "file", "filename": "a"}', '{"driver": "file", "filename": "a"}'],
    ["driver=a,driver=b", '{"driver": "b"}'],
    ["", "{}"],
  ])("reads %s", (text, json) => {
    expect(read(text, "driver")).toBe(json);
  });

  it.each([
    ["driver=raw,node-name", "Expected '=' after parameter 'node-name'"],
    ["a.b=1,a=2", "Parameters 'a.*' used inconsistently"],
    ["a=1,a.b=2", "Parameters 'a.*' used inconsistently"],
    ["a.0=1,a.b=2", "Parameters 'a.*' used inconsistently"],
    ["a.1=1", "Parameter 'a.0' missing"],
    ["=1", "Invalid parameter ''"],
    ["{", "JSON parse error, premature EOI"],
  ])("refuses %s in one sentence", (text, why) => {
    expect(read(text)).toBe(why);
  });
});
