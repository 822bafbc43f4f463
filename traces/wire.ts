// Protobuf messages by field number: a thin layer over protobufjs' Writer and Reader.
//
// Written by hand instead of generated: the messages are few, generated JavaScript would need a build step of its own, and
// 64-bit fields would come back as Long. envelope.test.ts holds the result against schema/trace.proto.
// Numbers are safe integers; never a bigint, which protobufjs silently writes as 0.

import protobuf from "protobufjs/minimal.js";
import { assert } from "#core/base";

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/** Writes one message, field by field; the caller keeps to the order of the field numbers. */
export class MessageWriter {
  readonly #writer = protobuf.Writer.create();

  /** A uint32, uint64 or enumeration that is a safe integer. */
  uint(field: number, value: number): this {
    assert(Number.isSafeInteger(value), "a number in a trace file is a safe integer");
    assert(value >= 0, "a number in a trace file is not negative");
    this.#writer.uint32((field << 3) | VARINT).uint64(value);
    return this;
  }

  sint(field: number, value: number): this {
    this.#writer.uint32((field << 3) | VARINT).sint32(value);
    return this;
  }

  bool(field: number, value: boolean): this {
    this.#writer.uint32((field << 3) | VARINT).bool(value);
    return this;
  }

  string(field: number, value: string): this {
    this.#writer.uint32((field << 3) | BYTES).string(value);
    return this;
  }

  bytes(field: number, value: Uint8Array): this {
    this.#writer.uint32((field << 3) | BYTES).bytes(value);
    return this;
  }

  /** A packed `repeated uint32`. */
  uints(field: number, values: readonly number[]): this {
    const writer = this.#writer.uint32((field << 3) | BYTES).fork();
    for (const value of values) writer.uint32(value);
    writer.ldelim();
    return this;
  }

  message(field: number, write: (message: MessageWriter) => void): this {
    const inner = new MessageWriter();
    write(inner);
    return this.bytes(field, inner.finish());
  }

  finish(): Uint8Array {
    return this.#writer.finish();
  }
}

/** A message that was read: the values of its fields by number; unknown fields are kept and ignored. */
export class MessageFields {
  readonly #numbers = new Map<number, number>();
  readonly #bytes = new Map<number, Uint8Array[]>();

  /** Throws RangeError when the message is damaged. */
  constructor(message: Uint8Array) {
    try {
      this.#read(protobuf.Reader.create(message));
    } catch (error) {
      // protobufjs throws plain errors for some damage and RangeErrors for other.
      throw new RangeError(error instanceof Error ? error.message : "a message is damaged");
    }
  }

  #read(reader: protobuf.Reader): void {
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      const field = tag >>> 3;
      const wireType = tag & 7;
      if (wireType === VARINT) this.#numbers.set(field, toNumber(reader.uint64()));
      else if (wireType === BYTES) this.#append(field, reader.bytes());
      else if (wireType === FIXED64) reader.skip(8);
      else if (wireType === FIXED32) reader.skip(4);
      else throw new RangeError("a wire type that protobuf does not have");
    }
  }

  /** A uint or enumeration; 0 when absent. */
  uint(field: number): number {
    return this.#numbers.get(field) ?? 0;
  }

  sint(field: number): number {
    const value = this.uint(field);
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  bool(field: number): boolean {
    return this.uint(field) !== 0;
  }

  /** The last value of a `bytes` field or message; empty when absent. */
  bytes(field: number): Uint8Array {
    return this.#bytes.get(field)?.at(-1) ?? new Uint8Array();
  }

  text(field: number): string {
    return utf8.decode(this.bytes(field));
  }

  has(field: number): boolean {
    return this.#bytes.has(field);
  }

  texts(field: number): string[] {
    return (this.#bytes.get(field) ?? []).map((bytes) => utf8.decode(bytes));
  }

  /** Every value of a `repeated` message. */
  messages(field: number): MessageFields[] {
    return (this.#bytes.get(field) ?? []).map((bytes) => new MessageFields(bytes));
  }

  /** The values of a packed `repeated uint32`. */
  uints(field: number): number[] {
    const reader = protobuf.Reader.create(this.bytes(field));
    const values: number[] = [];
    while (reader.pos < reader.len) values.push(reader.uint32());
    return values;
  }

  #append(field: number, value: Uint8Array): void {
    const values = this.#bytes.get(field);
    if (values === undefined) this.#bytes.set(field, [value]);
    else values.push(value);
  }
}

const utf8 = new TextDecoder();

/** protobufjs reads 64-bit numbers as Long objects: two halves. */
function toNumber({ high, low }: protobuf.Long): number {
  const number = (high >>> 0) * 2 ** 32 + (low >>> 0);
  if (!Number.isSafeInteger(number)) throw new RangeError("a number exceeds 2^53");
  return number;
}
