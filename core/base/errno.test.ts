import { describe, expect, it } from "vitest";
import { errnoFromCode, errnoName, strerror } from "./errno.ts";

describe("an error of Node", () => {
  it.each([
    ["ENOENT", "ENOENT", "No such file or directory"],
    ["EADDRNOTAVAIL", "EADDRNOTAVAIL", "Cannot assign requested address"],
    ["ENOTFOUND", "ENXIO", "No such device or address"],
    ["EAI_AGAIN", "ENXIO", "No such device or address"],
    ["ERR_OF_TOMORROW", "EIO", "Input/output error"],
    [undefined, "EIO", "Input/output error"],
  ])("%s is %s", (code, name, text) => {
    expect(errnoName(errnoFromCode(code))).toBe(name);
    expect(strerror(errnoFromCode(code))).toBe(text);
  });
});
