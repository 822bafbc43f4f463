// A schema that query-qmp-schema answered: looking types up, comparing two schemas, and making arguments of a wrong type.

/** An entry (QAPI: SchemaInfo). */
export interface SchemaEntry {
  readonly name: string;
  readonly "meta-type": string;
  readonly features?: readonly string[];
  readonly "json-type"?: string;
  readonly "element-type"?: string;
  readonly values?: readonly string[];
  readonly members?: readonly SchemaMember[];
  readonly tag?: string;
  readonly variants?: readonly { readonly case: string; readonly type: string }[];
  readonly "arg-type"?: string;
  readonly "ret-type"?: string;
}

interface SchemaMember {
  readonly name: string;
  readonly type: string;
  readonly default?: null;
}

const NOTHING: SchemaEntry = { name: "", "meta-type": "object", members: [] };

/** A schema by name. */
export class QmpSchema {
  readonly #entries: ReadonlyMap<string, SchemaEntry>;

  constructor(entries: readonly SchemaEntry[]) {
    this.#entries = new Map(entries.map((entry) => [entry.name, entry]));
  }

  get(name: string | undefined): SchemaEntry {
    return this.#entries.get(name ?? "") ?? NOTHING;
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  all(metaType: string): SchemaEntry[] {
    return [...this.#entries.values()].filter((entry) => entry["meta-type"] === metaType);
  }

  /** The JSON type that values of a type have; an alternate's have several. */
  jsonTypes(name: string): readonly string[] {
    const entry = this.get(name);
    switch (entry["meta-type"]) {
      case "builtin":
        return [entry["json-type"] === "int" ? "number" : (entry["json-type"] ?? "")];
      case "enum":
        return ["string"];
      case "array":
        return ["array"];
      case "alternate":
        return (entry.members ?? []).flatMap(({ type }) => this.jsonTypes(type));
      default:
        return ["object"];
    }
  }
}

/** What `ours` has that `theirs` has not, or has in another way; each as `path: what`. What it lacks is no difference. */
export function differences(ours: QmpSchema, theirs: QmpSchema): string[] {
  const found: string[] = [];
  const seen = new Set<string>();
  const compare = (a: string, b: string, path: string): void => {
    if (seen.has(`${a} ${b}`)) return;
    seen.add(`${a} ${b}`);
    const [x, y] = [ours.get(a), theirs.get(b)];
    if (x["meta-type"] !== y["meta-type"] || x["json-type"] !== y["json-type"]) {
      found.push(`${path}: ${x["meta-type"]} ${a}, not ${y["meta-type"]} ${b}`);
      return;
    }
    for (const value of x.values ?? [])
      if (y.values?.includes(value) !== true) found.push(`${path}: value ${value}`);
    if (x["element-type"] !== undefined)
      compare(x["element-type"], y["element-type"] ?? "", `${path}[]`);
    if (x["meta-type"] === "alternate") compareAlternates(x, y, path);
    if (x["meta-type"] === "object") compareObjects(x, y, path);
  };
  const compareAlternates = (x: SchemaEntry, y: SchemaEntry, path: string): void => {
    for (const { type } of x.members ?? []) {
      const same = (other: SchemaMember) =>
        String(theirs.jsonTypes(other.type)) === String(ours.jsonTypes(type));
      const found2 = y.members?.find(same);
      if (found2 === undefined) found.push(`${path}: alternative ${type}`);
      else compare(type, found2.type, path);
    }
  };
  const compareObjects = (x: SchemaEntry, y: SchemaEntry, path: string): void => {
    for (const member of x.members ?? []) {
      const other = y.members?.find(({ name }) => name === member.name);
      const at = `${path}.${member.name}`;
      if (other === undefined) {
        found.push(`${at}: member`);
        continue;
      }
      if ("default" in member !== "default" in other) found.push(`${at}: optional`);
      compare(member.type, other.type, at);
    }
    for (const { case: value, type } of x.variants ?? []) {
      const other = y.variants?.find((one) => one.case === value);
      if (other === undefined) found.push(`${path}(${value}): variant`);
      else compare(type, other.type, `${path}(${value})`);
    }
  };
  for (const one of [...ours.all("command"), ...ours.all("event")]) {
    const other = theirs.get(one.name);
    if (other === NOTHING) {
      found.push(`${one.name}: ${one["meta-type"]}`);
      continue;
    }
    compare(one["arg-type"] ?? "", other["arg-type"] ?? "", one.name);
    if (one["ret-type"] !== undefined)
      compare(one["ret-type"], other["ret-type"] ?? "", `${one.name}->`);
  }
  return found;
}

/** A value of each JSON type, as text. */
const VALUES = {
  null: "null",
  boolean: "true",
  number: "1",
  string: '"none"',
  array: "[1]",
  object: '{"none": 1}',
} as const;
/** Numbers that are no integers: with a fraction, and beyond 64 bits. */
const NO_INTEGERS = ["1.5", "1000000000000000000000000000000"];

/** Arguments each of which has one mistake. Types that several commands have are gone through at the first. */
export class WrongArguments {
  readonly #schema: QmpSchema;
  readonly #done = new Set<SchemaEntry>();

  constructor(schema: QmpSchema) {
    this.#schema = schema;
  }

  /** For `command`: a wrong type, a missing member, one too many; as JSON. */
  for(command: SchemaEntry): string[] {
    return this.#objects(this.#schema.get(command["arg-type"]));
  }

  #values(type: string): string[] {
    const entry = this.#schema.get(type);
    if (type === "any") return [];
    const taken = this.#schema.jsonTypes(type);
    const texts: string[] = Object.entries(VALUES)
      .filter(([jsonType]) => !taken.includes(jsonType))
      .map(([, text]) => text);
    if (type === "int") texts.push(...NO_INTEGERS);
    switch (entry["meta-type"]) {
      case "enum":
        texts.push('"none"', '""');
        break;
      case "array":
        texts.push(...this.#values(entry["element-type"] ?? "").map((one) => `[${one}]`));
        break;
      case "alternate":
        for (const { type: one } of entry.members ?? [])
          if (this.#schema.get(one)["meta-type"] === "object")
            texts.push(...this.#once(this.#schema.get(one)));
        break;
      case "object":
        texts.push(...this.#once(entry));
    }
    return texts;
  }

  #once(entry: SchemaEntry): string[] {
    return this.#done.has(entry) ? [] : this.#objects(entry);
  }

  #objects(entry: SchemaEntry): string[] {
    this.#done.add(entry);
    return (entry.variants ?? [undefined]).flatMap((variant, index) => {
      const common = entry.members ?? [];
      const own = membersOf(this.#schema, variant?.type);
      const right = this.#rightMembers(entry, variant);
      const texts = [objectText(new Map([...right, ["no-such-member", "1"]]))];
      for (const { name, type } of [...(index === 0 ? common : []), ...own]) {
        for (const wrong of this.#values(type))
          texts.push(objectText(new Map([...right, [name, wrong]])));
        if (right.has(name))
          texts.push(objectText(new Map([...right].filter(([other]) => other !== name))));
      }
      return texts;
    });
  }

  /** What must be there, with some value. */
  #rightMembers(entry: SchemaEntry, variant = entry.variants?.[0]): Map<string, string> {
    const members = [...(entry.members ?? []), ...membersOf(this.#schema, variant?.type)];
    return new Map(
      members
        .filter((member) => !("default" in member))
        .map(({ name, type }) => [
          name,
          name === entry.tag ? `"${variant?.case}"` : this.#rightValue(type),
        ]),
    );
  }

  /** Some value of a type. */
  #rightValue(type: string): string {
    const entry = this.#schema.get(type);
    switch (entry["meta-type"]) {
      case "enum":
        return `"${entry.values?.[0]}"`;
      case "array":
        return "[]";
      case "object":
        return objectText(this.#rightMembers(entry));
      default:
        return VALUES[this.#schema.jsonTypes(type)[0] as keyof typeof VALUES];
    }
  }
}

function membersOf(schema: QmpSchema, type: string | undefined): readonly SchemaMember[] {
  return schema.get(type).members ?? [];
}

function objectText(members: ReadonlyMap<string, string>): string {
  return `{${[...members].map(([name, text]) => `"${name}": ${text}`).join(", ")}}`;
}
