// QEMU's modified UTF-8 (util/unicode.c): U+0000 is two bytes, and a surrogate or a noncharacter is no character.

/** mod_utf8_codepoint: the character that begins at `at` of these bytes, or null where none does; and where it ends. */
export function codepointAt(
  bytes: Uint8Array,
  at: number,
): { readonly codepoint: number | null; readonly end: number } {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return { codepoint: first, end: at + 1 };
  if (first >= 0xfe || first < 0xc0) return { codepoint: null, end: at + 1 };
  // As many bytes as there are leading ones, up to six: longer than any character needs, but read as one all the same.
  const length = Math.clz32(~(first << 24));
  let codepoint = first & (0x7f >> length);
  let end = at + 1;
  for (; end < at + length; end++) {
    const byte = bytes[end] ?? 0;
    if ((byte & 0xc0) !== 0x80) return { codepoint: null, end };
    codepoint = codepoint * 64 + (byte & 0x3f);
  }
  const isShortest = codepoint >= (SMALLEST[length] ?? 0) || (codepoint === 0 && length === 2);
  return { codepoint: isShortest && isCharacter(codepoint) ? codepoint : null, end };
}

/** The smallest code point that needs so many bytes. */
const SMALLEST = [0, 0, 0x80, 0x800, 0x10000, 0x200000, 0x4000000];

/** is_valid_codepoint: within Unicode, no noncharacter, no surrogate. */
export function isCharacter(codepoint: number): boolean {
  if (codepoint > 0x10ffff || (codepoint & 0xfffe) === 0xfffe) return false;
  if (codepoint >= 0xfdd0 && codepoint <= 0xfdef) return false;
  return codepoint < 0xd800 || codepoint > 0xdfff;
}

/** What a C program prints of text whose characters are bytes: up to the first 0, with U+FFFD for what is no character. */
export function printedText(latin1: string): string {
  const bytes = Buffer.from(latin1.split("\0", 1)[0] ?? "", "latin1");
  const pieces: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const { codepoint, end } = codepointAt(bytes, at);
    pieces.push(String.fromCodePoint(codepoint ?? 0xfffd));
    at = end;
  }
  return pieces.join("");
}
