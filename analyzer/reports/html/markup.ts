// A template tag that escapes: what is interpolated is text unless it is Markup itself.
//
//   html`<b>${name}</b>${rows}`   name: string, escaped; rows: Markup[], joined

/** Text that is already HTML (or SVG). */
export class Markup {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** What may be interpolated; null and false print nothing. */
export type Part = string | number | Markup | readonly Part[] | null | false;

/** Escapes every interpolated string. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  let text = strings[0] ?? "";
  parts.forEach((part, index) => {
    text += partText(part) + (strings[index + 1] ?? "");
  });
  return new Markup(text);
}

function partText(part: Part): string {
  if (part === null || part === false) return "";
  if (part instanceof Markup) return part.text;
  if (typeof part === "string") return escaped(part);
  if (typeof part === "number") return String(part);
  return part.map(partText).join("");
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}

/** A C name that may be broken behind its underscores. */
export function breakable(name: string): Markup {
  return new Markup(escaped(name).replaceAll("_", "_<wbr>"));
}
