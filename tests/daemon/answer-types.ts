// What a monitor says, read by the types that query-qmp-schema names for it: every answer of every dialog of these tests.
//
// Answers come in the order of the commands (no client of these tests has commands overtake each other and looks here). A type is
// strict: a member that it does not know is a problem, and so is one that is missing.

import { commands, EVENTS, isJsonObject, JsonStream, type JsonValue } from "#daemon";

/** Both directions of one connection, wherever they are cut; `problems` are answers and events that their types refuse. */
export class AnswerTypes {
  readonly problems: string[] = [];
  readonly #said = new JsonStream();
  readonly #heard = new JsonStream();
  /** Names of commands that were not answered yet; "" for what is none. */
  readonly #asked: string[] = [];
  #isNegotiated = false;

  /** The client says `bytes`. */
  said(bytes: Uint8Array): void {
    for (const parsed of this.#said.feed(bytes))
      this.#asked.push(parsed.ok ? commandOf(parsed.value) : "");
  }

  /** The monitor says `bytes`. */
  heard(bytes: Uint8Array): void {
    for (const parsed of this.#heard.feed(bytes)) {
      if (!parsed.ok) this.problems.push(`what came is no JSON: ${parsed.error}`);
      else if (isJsonObject(parsed.value)) this.#message(parsed.value);
      else this.problems.push("what came is no object");
    }
  }

  #message(message: ReadonlyMap<string, JsonValue>): void {
    const event = message.get("event");
    if (typeof event === "string") {
      const type = Object.entries(EVENTS).find(([name]) => name === event)?.[1];
      if (type === undefined) this.problems.push(`${event} is no event of the schema`);
      else this.#read(event, type, message.get("data") ?? new Map());
      return;
    }
    if (message.has("QMP")) return;
    const name = this.#asked.shift();
    if (name === undefined) this.problems.push("an answer to what nobody asked");
    const isNegotiation = name === "qmp_capabilities" && !this.#isNegotiated;
    const value = message.get("return");
    if (value === undefined) return;
    if (isNegotiation) this.#isNegotiated = true;
    const type = commands.get(name ?? "")?.returns;
    if (type === undefined) this.problems.push(`${name} was answered, and is no command`);
    else this.#read(`${name}`, type, value);
  }

  #read(
    what: string,
    type: { read(value: JsonValue, name: string, kind: "json"): unknown },
    value: JsonValue,
  ): void {
    try {
      type.read(value, "", "json");
    } catch (error) {
      this.problems.push(`${what} says what its type does not have: ${(error as Error).message}`);
    }
  }
}

function commandOf(value: JsonValue): string {
  const name = isJsonObject(value) ? (value.get("execute") ?? value.get("exec-oob")) : undefined;
  return typeof name === "string" ? name : "";
}
