// The header's record: header and catalogue as protobuf, compressed, since site table and kinds are long and repetitive.

import { assert } from "#core/base";
import type { FieldType } from "#core/probe";
import { CODECS, type Codec, compress, decompress } from "./compression.ts";
import { codecOf, frameRecord, RECORD_TAGS } from "./envelope.ts";
import type { TraceHeader, TraceScenario } from "./header.ts";
import { headerBytesMax } from "./limits.ts";
import { CATALOGUE_KINDS, type FileField, type FileKind } from "./predictors.ts";
import { MessageFields, MessageWriter } from "./wire.ts";

/** The header's record; its body is compressed by `codec`. */
export function encodeHeader(header: TraceHeader, codec: Codec): Uint8Array {
  assert(header.seed >= 0, "a seed is not negative");
  const body = encodeBody(header);
  const message = new MessageWriter()
    .uint(2, header.formatVersion)
    .uint(3, CODECS.indexOf(codec))
    .uint(4, body.length)
    .bytes(5, compress(codec, body));
  return frameRecord(RECORD_TAGS.header, message.finish());
}

/** The version in a header's message: the one field that every version of the format must be able to read. */
export function decodeFormatVersion(message: Uint8Array): number {
  return new MessageFields(message).uint(2);
}

/** What a header's message says: the header, and the kinds of event that the file may hold. */
export function decodeHeader(message: Uint8Array): { header: TraceHeader; kinds: FileKind[] } {
  const fields = new MessageFields(message);
  const bodyBytes = fields.uint(4);
  if (bodyBytes > headerBytesMax) throw new RangeError("the header exceeds its limit");
  const body = decompress(codecOf(fields.uint(3)), fields.bytes(5), bodyBytes);
  return decodeBody(body, fields.uint(2));
}

// ---- The body --------------------------------------------------------------------------------------------------------

function encodeBody(header: TraceHeader): Uint8Array {
  const { createdAt, host, node, quiesce } = header.provenance;
  const writer = new MessageWriter()
    .uint(1, header.schedulerPolicy)
    .string(2, header.coreVersion)
    .message(3, (message) => encodeScenario(message, header.scenario))
    .uint(4, header.seed)
    .string(5, header.host)
    .string(6, header.level)
    .uints(7, header.patchesOn)
    .string(8, header.lock);
  for (const { name, file, line } of header.sites) {
    writer.message(9, (message) => message.string(1, name).string(2, file).uint(3, line));
  }
  writer.message(10, (message) =>
    message.string(1, createdAt).string(2, host).string(3, node).string(4, quiesce),
  );
  encodeKinds(writer);
  return writer.finish();
}

function encodeScenario(writer: MessageWriter, scenario: TraceScenario): void {
  writer.string(1, scenario.name);
  if (scenario.file !== undefined) writer.string(2, scenario.file);
  if (scenario.digest !== undefined) writer.string(3, scenario.digest);
  const params = Object.entries(scenario.params).sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [name, value] of params) {
    writer.message(4, (message) => message.string(1, name).string(2, value));
  }
}

function encodeKinds(writer: MessageWriter): void {
  for (const { id, name, input, fields } of CATALOGUE_KINDS) {
    writer.message(11, (kind) => {
      kind.uint(1, id).string(2, name).bool(3, input);
      for (const field of fields) kind.message(4, (message) => encodeField(message, field));
    });
  }
}

function encodeField(writer: MessageWriter, field: FileField): void {
  writer.string(1, field.name).string(2, field.type).uint(3, field.slot);
  writer.uint(4, field.predictor).uint(5, field.family).sint(6, field.step);
}

function decodeBody(bytes: Uint8Array, formatVersion: number) {
  const body = new MessageFields(bytes);
  const [scenario = new MessageFields(new Uint8Array())] = body.messages(3);
  const [provenance = new MessageFields(new Uint8Array())] = body.messages(10);
  const header: TraceHeader = {
    formatVersion,
    schedulerPolicy: body.uint(1),
    coreVersion: body.text(2),
    scenario: decodeScenario(scenario),
    seed: body.uint(4),
    host: oneOf(body.text(5), ["live", "simulated"]),
    level: oneOf(body.text(6), ["inputs", "full"]),
    patchesOn: body.uints(7),
    lock: oneOf(body.text(8), ["none", "aio"]),
    sites: body.messages(9).map((site) => ({
      name: site.text(1),
      file: site.text(2),
      line: site.uint(3),
    })),
    provenance: {
      createdAt: provenance.text(1),
      host: provenance.text(2),
      node: provenance.text(3),
      quiesce: provenance.text(4),
    },
  };
  return { header, kinds: body.messages(11).map(decodeKind) };
}

function decodeScenario(scenario: MessageFields): TraceScenario {
  return {
    name: scenario.text(1),
    ...(scenario.has(2) ? { file: scenario.text(2) } : {}),
    ...(scenario.has(3) ? { digest: scenario.text(3) } : {}),
    params: Object.fromEntries(scenario.messages(4).map((param) => [param.text(1), param.text(2)])),
  };
}

function decodeKind(kind: MessageFields): FileKind {
  return {
    id: kind.uint(1),
    name: kind.text(2),
    input: kind.bool(3),
    fields: kind.messages(4).map((field) => ({
      name: field.text(1),
      type: field.text(2) as FieldType,
      slot: field.uint(3),
      predictor: field.uint(4),
      family: field.uint(5),
      step: field.sint(6),
    })),
  };
}

function oneOf<const W extends string>(word: string, words: readonly W[]): W {
  const found = words.find((candidate) => candidate === word);
  if (found === undefined) throw new RangeError("a word that the header must not hold");
  return found;
}
