import { expect, it } from "vitest";
import { printable } from "./printable.ts";

it.each([
  ["disk0-filter1", "disk0-filter1"],
  ["Zürich 東京 🙂 'a' \"b\" \\n", "Zürich 東京 🙂 'a' \"b\" \\n"],
  ["std::vector::at", "std::vector::at"],
  ["a\nb\r\tc", "a\\nb\\r\\tc"],
  ["\u001b[31mred\u009b0m\u007f", "\\u{1b}[31mred\\u{9b}0m\\u{7f}"],
  ["end\u2028line\u202egnp", "end\\u{2028}line\\u{202e}gnp"],
  ["::error::x", "\\u{3a}:error::x"],
  ["a ::stop-commands::t", "a \\u{3a}:stop-commands::t"],
  ["a\n::add-mask::t", "a\\n\\u{3a}:add-mask::t"],
  ["see ##[error]x", "see \\u{23}#[error]x"],
])("%j is printed as %s", (text, expected) => {
  expect(printable(text)).toBe(expected);
  expect(printable(expected)).toBe(expected);
});
