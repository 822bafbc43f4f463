// Text in lines of a given width. Widths count UTF-16 units, which is right for what reports print.

/**
 * `lead` and `text` behind it, broken at spaces so that no line exceeds `columns` if its words allow it; what follows the
 * first line stands below `text`, not below `lead`.
 */
export function wrap(lead: string, text: string, columns: number): string {
  const indent = " ".repeat(lead.length);
  const lines: string[] = [];
  let line = lead;
  let isEmpty = true;
  for (const word of text.split(" ")) {
    if (isEmpty || line.length + 1 + word.length <= columns) line += isEmpty ? word : ` ${word}`;
    else {
      lines.push(line);
      line = indent + word;
    }
    isEmpty = false;
  }
  lines.push(line);
  return lines.join("\n");
}

/** `text` cut to `columns`, with an ellipsis when something was cut. */
export function cut(text: string, columns: number): string {
  return text.length <= columns ? text : `${text.slice(0, Math.max(0, columns - 1))}…`;
}
