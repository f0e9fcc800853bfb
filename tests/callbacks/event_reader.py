"""A reader of TensorBoard's event files that shares no code with the writer."""

import struct

import numpy as np


def crc32c(data):
    """CRC-32C bit by bit, from its definition."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def unmasked(crc):
    rotated = (crc - 0xA282EAD8) % 2**32
    return ((rotated >> 17) | (rotated << 15)) % 2**32


def records(path):
    """Yield the content of each record; both checksums must be right."""
    data = path.read_bytes()
    position = 0
    while position < len(data):
        head = data[position : position + 8]
        (length,) = struct.unpack("<Q", head)
        (crc,) = struct.unpack("<I", data[position + 8 : position + 12])
        assert unmasked(crc) == crc32c(head), "checksum of a length"
        body = data[position + 12 : position + 12 + length]
        (crc,) = struct.unpack("<I", data[position + 12 + length : position + 16 + length])
        assert len(body) == length, "a record is cut"
        assert unmasked(crc) == crc32c(body), "checksum of a record"
        yield body
        position += 16 + length


def fields(message):
    """Return field number → list of values of a protocol buffer message."""
    found, position = {}, 0

    def varint():
        nonlocal position
        value = shift = 0
        while True:
            byte = message[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(message):
        key = varint()
        kind = key & 7
        if kind == 0:
            value = varint()
        elif kind == 1:
            value = message[position : position + 8]
            position += 8
        elif kind == 2:
            length = varint()
            value = message[position : position + length]
            assert len(value) == length
            position += length
        else:
            raise AssertionError(f"wire type {kind}")
        found.setdefault(key >> 3, []).append(value)
    assert position == len(message)
    return found


def tensor(message):
    """Return a TensorProto as a NumPy array, or a list of bytes for strings."""
    found = fields(message)
    dtype = found[1][0]
    sizes = [fields(dim)[1][0] for dim in fields(found[2][0]).get(2, [])]
    if dtype == 7:
        values = found[8]
        assert len(values) == int(np.prod(sizes))
        return values
    return np.frombuffer(found[4][0], {1: "<f4", 2: "<f8"}[dtype]).reshape(sizes)


def events(path):
    """Return (step, tag, plugin, value) of each summary; the first record is the version."""
    result = []
    for number, record in enumerate(records(path)):
        event = fields(record)
        (when,) = struct.unpack("<d", event[1][0])
        assert when > 1e9
        if number == 0:
            assert event[3] == [b"brain.Event:2"]
            continue
        for value in fields(event[5][0])[1]:
            summary = fields(value)
            plugin = fields(fields(summary[9][0])[1][0])[1][0].decode()
            result.append((event[2][0], summary[1][0].decode(), plugin, tensor(summary[8][0])))
    return result


def run_events(folder):
    """Return the events of every file of a run, in the order of their names."""
    found = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        found += events(path)
    return found


def scalar_table(folder):
    """Return tag → list of (step, number)."""
    table = {}
    for step, tag, plugin, value in run_events(folder):
        if plugin == "scalars":
            table.setdefault(tag, []).append((step, float(value)))
    return table
