"""A second reader of trace files, written from docs/trace-format.md alone, with nothing but Python's standard library.

    python3 read_trace.py FILE

prints a line with what counts of the header, a JSON array for each event, [number, context, task, kind's name, {field: value}]
with strings and sites by name, and a line with the digest. It stops at the first record that is damaged, and its last line says so.
It is no tool: it shows that the document suffices, and is the oracle of the codec's tests.
"""

import hashlib
import json
import struct
import sys
import zlib

MAGIC = b"\tquiesce\n"
WORLD = 255


# ---- Protocol Buffers ------------------------------------------------------------------------------------------------


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields_of(message):
    """All fields of a message: number to the list of its values (ints or bytes)."""
    fields, at = {}, 0
    while at < len(message):
        tag, at = read_varint(message, at)
        wire = tag & 7
        if wire == 0:
            value, at = read_varint(message, at)
        else:
            length = 8 if wire == 1 else 4
            if wire == 2:
                length, at = read_varint(message, at)
            value, at = message[at : at + length], at + length
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def one(fields, number, default=0):
    return fields.get(number, [default])[-1]


def text(fields, number):
    return one(fields, number, b"").decode()


def texts(fields, number):
    return [value.decode() for value in fields.get(number, [])]


def uints(packed):
    values, at = [], 0
    while at < len(packed):
        value, at = read_varint(packed, at)
        values.append(value)
    return values


def unzigzag(value):
    return value >> 1 if value % 2 == 0 else -((value + 1) >> 1)


def int32(value):
    return ((value + 2**31) % 2**32) - 2**31


# ---- The envelope ----------------------------------------------------------------------------------------------------


class Damage(Exception):
    pass


def records_of(data):
    """The tag and the fields of one record after the other; raises Damage where they stop being good."""
    at = len(MAGIC)
    while True:
        try:
            length, body = read_varint(data, at + 1)
        except IndexError:
            raise Damage("cut off") from None
        message = data[body : body + length]
        if len(message) < length:
            raise Damage("cut off")
        crc = int.from_bytes(message[1:5], "little")
        if message[0] != 0x0D or zlib.crc32(data[at:body] + message[5:]) != crc:
            raise Damage("checksum")
        yield data[at], fields_of(message[5:])
        at = body + length


def decompress(codec, data, length):
    if codec == 2:
        raise Damage("brotli is not in the standard library")
    plain = data if codec in (0, 3) else zlib.decompress(data, wbits=-15)
    if len(plain) != length:
        raise Damage("length after decompression")
    return plain


# ---- The columns -----------------------------------------------------------------------------------------------------


class Column:
    def __init__(self, data):
        self.data, self.at = data, 0

    def byte(self):
        self.at += 1
        return self.data[self.at - 1]

    def uint(self):
        value, self.at = read_varint(self.data, self.at)
        return value

    def sint(self):
        return unzigzag(self.uint())


class Memory:
    def __init__(self):
        self.ctx = self.task = self.last_task = 0
        self.history = [0] * 512
        self.rows = {}
        self.cells = {}
        self.wide_of_who = [0] * 512
        self.wide_of_kind = [0] * 256

    def who(self):
        return 256 + self.ctx % 256 if self.task == 0 else self.task % 256

    def row(self):
        return self.rows.setdefault(self.history[self.who()], {"kind": 0, "mask": 0, "slots": [0] * 4})


def events_of(chunk, memory, kinds):
    """The events of a chunk: (context, task, kind, the five slots)."""
    if one(chunk, 7) == 3:
        for head, task, *slots in struct.iter_unpack("<Ii4id", one(chunk, 9, b"")):
            yield head >> 8, task, kinds[head & 255], slots[:4] + [int(slots[4])]
        return
    columns = fields_of(decompress(one(chunk, 7), one(chunk, 9, b""), one(chunk, 8)))
    masks, contexts, tasks, numbers, values, wides = (Column(one(columns, n, b"")) for n in range(1, 7))
    run = masks.uint()
    for _ in range(one(chunk, 3)):
        row = memory.row()
        if run > 0:
            run -= 1
        else:
            row["mask"] = masks.byte()
            run = masks.uint()
        mask = row["mask"]
        if mask & 1:
            memory.ctx = contexts.byte()
            if memory.ctx == 254:
                memory.ctx = contexts.uint()
        if mask & 2:
            code = tasks.uint()
            memory.task = memory.last_task + unzigzag(code - 1) if code else 0
            memory.last_task = memory.task or memory.last_task
        who, row = memory.who(), memory.row()
        if mask & 4:
            row["kind"] = numbers.byte()
        kind = kinds[row["kind"]]
        in_row = {field["slot"] for field in kind["fields"] if field["predictor"] == 0}
        for slot in range(4):
            if slot not in in_row:
                row["slots"][slot] = 0
            elif mask & 8 << slot:
                row["slots"][slot] = int32(row["slots"][slot] + values.sint())
        slots = row["slots"] + [0]
        a, b, c, d, _ = slots
        mixed = kind["id"] * 0x9E35 ^ a * 0x6D2B ^ b * 0x3C6F ^ c * 0x5851 ^ d * 0x4F2D
        memory.history[who] = (memory.history[who] << 2 ^ mixed) & 16383
        for field in kind["fields"]:
            slot, family = field["slot"], field["family"]
            if slot == 4 or field["predictor"] == 0:
                continue
            place = {1: (kind["id"], slot), 2: (family, who), 3: family, 4: (family, a % 256)}
            cell = (field["predictor"], place[field["predictor"]])
            value = memory.cells.get(cell, 0) + field["step"]
            if mask & 8 << slot:
                value += values.sint()
            slots[slot] = memory.cells[cell] = int32(value)
        if any(field["slot"] == 4 for field in kind["fields"]):
            wide = memory.wide_of_who[who]
            if mask & 128:
                wide = memory.wide_of_kind[kind["id"]] + wides.sint()
            memory.wide_of_who[who] = memory.wide_of_kind[kind["id"]] = slots[4] = wide
        yield memory.ctx, memory.task, kind, slots
    for column in (masks, contexts, tasks, numbers, values, wides):
        assert column.at == len(column.data), "a column has a rest"
    assert run == 0


# ---- The trace -------------------------------------------------------------------------------------------------------


def header_of(header):
    """What the digest covers of the header, the kinds by number, and the names of the sites."""
    if one(header, 2) != 1:
        sys.exit(f"format version {one(header, 2)} is not known")
    body = fields_of(decompress(one(header, 3), one(header, 5, b""), one(header, 4)))
    kinds = {}
    for kind in map(fields_of, body.get(11, [])):
        fields = [
            {
                "name": text(field, 1),
                "type": text(field, 2),
                "slot": one(field, 3),
                "predictor": one(field, 4),
                "family": one(field, 5),
                "step": unzigzag(one(field, 6)),
            }
            for field in map(fields_of, kind.get(4, []))
        ]
        kinds[one(kind, 1)] = {"id": one(kind, 1), "name": text(kind, 2), "fields": fields}
    sites = [[text(site, 1), text(site, 2), one(site, 3)] for site in map(fields_of, body.get(9, []))]
    scenario = fields_of(one(body, 3, b""))
    params = sorted([text(param, 1), text(param, 2)] for param in map(fields_of, scenario.get(4, [])))
    names = [text(scenario, n) if n in scenario else None for n in (2, 3)]
    comparable = [one(body, 1), text(body, 2), [text(scenario, 1), *names, params], one(body, 4)]
    comparable += [text(body, 5), text(body, 6), uints(one(body, 7, b"")), text(body, 8), sites]
    return comparable, kinds, [name for name, _, _ in sites]


class Digest:
    def __init__(self, comparable):
        self.hash = hashlib.sha256((compact(comparable) + "\n").encode())
        self.strings = 1

    def add(self, ctx, task, kind, slots):
        self.hash.update(struct.pack("<Ii4id", kind["id"] + 256 * ctx, task, *slots))
        for field in kind["fields"]:
            if field["type"] == "string":
                self.strings = max(self.strings, slots[field["slot"]] + 1)

    def finish(self, strings):
        self.hash.update(compact(strings[: self.strings]).encode())
        return self.hash.hexdigest()[:32]


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def value_of(field, slots, strings, sites):
    value = slots[field["slot"]]
    if field["type"] == "string":
        return strings[value]
    if field["type"] == "site":
        return None if value == 0 else sites[value - 1]
    return value


def main(path):
    with open(path, "rb") as file:
        data = file.read()
    if not data.startswith(MAGIC):
        sys.exit("not a trace")
    records = records_of(data)
    _, header = next(records)
    comparable, kinds, sites = header_of(header)
    print(json.dumps(comparable))
    digest, strings, memory = Digest(comparable), [""], Memory()
    try:
        for tag, record in records:
            if tag == 0x22:
                events, ended = one(record, 3), bool(one(record, 4))
                print(json.dumps({"events": events, "ended": ended, "digest": digest.finish(strings)}))
                return
            strings += texts(record, 5)
            if one(record, 4):
                memory = Memory()
            number = one(record, 2)
            for ctx, task, kind, slots in events_of(record, memory, kinds):
                digest.add(ctx, task, kind, slots)
                named = {f["name"]: value_of(f, slots, strings, sites) for f in kind["fields"]}
                context = None if ctx == WORLD else ctx
                print(json.dumps([number, context, task, kind["name"], named]))
                number += 1
    except Damage as damage:
        print(json.dumps({"damage": str(damage)}))


if __name__ == "__main__":
    main(sys.argv[1])
