"""AMQP 0-9-1 octets: field tables, methods, content headers, frames.

Table values are kept as Typed(letter, value), so that widths, order and
duplicate keys survive a round trip. Strings are bytes throughout.
"""

import struct

FRAME_METHOD, FRAME_HEADER, FRAME_BODY, FRAME_HEARTBEAT = 1, 2, 3, 8
FRAME_END = 0xCE

INTS = {"b": ">b", "B": ">B", "s": ">h", "u": ">H", "I": ">i", "i": ">I", "l": ">q", "T": ">Q"}
FLOATS = {"f": ">f", "d": ">d"}


class CodecError(Exception):
    """Octets that do not decode, or a value that does not fit its type."""


class Typed:
    """A table value with its type letter."""

    def __init__(self, letter, value):
        self.letter = letter
        self.value = value


class Raw(bytes):
    """Octets put on the wire as they are, in place of an encoded value."""


class Table(list):
    """Pairs of (key, Typed)."""


class Array(list):
    """Typed values."""


def guess(value):
    """The Typed that a script's untyped value stands for."""
    if isinstance(value, Typed):
        return value
    if isinstance(value, bool):
        return Typed("t", value)
    if isinstance(value, int):
        return Typed("I" if -(1 << 31) <= value < 1 << 31 else "l", value)
    if isinstance(value, float):
        return Typed("d", value)
    if isinstance(value, bytes):
        return Typed("S", value)
    if isinstance(value, Table):
        return Typed("F", value)
    if isinstance(value, Array):
        return Typed("A", value)
    if value is None:
        return Typed("V", None)
    raise CodecError(f"no table type for {value!r}")


def shortstr(value):
    if len(value) > 255:
        raise CodecError("short string over 255 octets")
    return bytes([len(value)]) + value


def longstr(value):
    return struct.pack(">I", len(value)) + value


def table_value(value):
    typed = guess(value)
    letter, val = typed.letter, typed.value
    tag = letter.encode("latin-1")
    if isinstance(val, Raw):
        return tag + val
    if letter in INTS:
        return tag + struct.pack(INTS[letter], val)
    if letter in FLOATS:
        return tag + struct.pack(FLOATS[letter], val)
    if letter == "t":
        return tag + (b"\1" if val else b"\0")
    if letter == "D":
        return tag + struct.pack(">BI", *val)
    if letter in "Sx":
        return tag + longstr(val)
    if letter == "F":
        return tag + table(val)
    if letter == "A":
        return tag + longstr(b"".join(table_value(v) for v in val))
    if letter == "V":
        return tag
    raise CodecError(f"table type {letter!r} needs its octets in hex")


def table(value):
    if isinstance(value, Raw):
        return bytes(value)
    return longstr(b"".join(shortstr(k) + table_value(v) for k, v in value))


def deep(levels):
    """A table nested so many levels deep, each with one key 'a'."""
    inner = 0
    heads = []
    for _ in range(levels):
        heads.append(b"\1aF" + struct.pack(">I", inner))
        inner += 7
    return Raw(struct.pack(">I", inner) + b"".join(reversed(heads)))


class Reader:
    """A cursor over received octets."""

    def __init__(self, data, depth=0):
        self.data = data
        self.pos = 0
        self.depth = depth

    def take(self, count):
        if self.pos + count > len(self.data):
            raise CodecError("short of octets")
        self.pos += count
        return self.data[self.pos - count : self.pos]

    def number(self, fmt):
        return struct.unpack(fmt, self.take(struct.calcsize(fmt)))[0]

    def shortstr(self):
        return self.take(self.number(">B"))

    def longstr(self):
        return self.take(self.number(">I"))

    def left(self):
        return len(self.data) - self.pos

    def table(self):
        if self.depth > 50:
            return Raw(self.longstr())
        inner = Reader(self.longstr(), self.depth + 1)
        out = Table()
        while inner.left():
            key = inner.shortstr()
            out.append((key, inner.table_value()))
        return out

    def table_value(self):
        letter = self.take(1).decode("latin-1")
        if letter in INTS:
            return Typed(letter, self.number(INTS[letter]))
        if letter in FLOATS:
            return Typed(letter, self.number(FLOATS[letter]))
        if letter == "t":
            return Typed(letter, self.number(">B") != 0)
        if letter == "D":
            return Typed(letter, struct.unpack(">BI", self.take(5)))
        if letter in "Sx":
            return Typed(letter, self.longstr())
        if letter == "F":
            return Typed(letter, self.table())
        if letter == "A":
            inner = Reader(self.longstr(), self.depth + 1)
            out = Array()
            while inner.left():
                out.append(inner.table_value())
            return Typed(letter, out)
        if letter == "V":
            return Typed(letter, None)
        raise CodecError(f"unknown table type {letter!r}")


FIELD_INTS = {"octet": ">B", "short": ">H", "long": ">I", "longlong": ">Q", "timestamp": ">Q"}
ZERO = {"shortstr": b"", "longstr": b"", "bit": False, "table": Table()}


def field(kind, value):
    """One method or property field, not a bit."""
    if isinstance(value, Raw):
        return bytes(value)
    try:
        if kind in FIELD_INTS:
            return struct.pack(FIELD_INTS[kind], value)
        if kind == "shortstr":
            return shortstr(value)
        if kind == "longstr":
            return longstr(table(value)[4:]) if isinstance(value, Table) else longstr(value)
        return table(value)
    except (struct.error, TypeError) as err:
        raise CodecError(f"{value!r} does not fit a {kind}: {err}") from err


def read_field(reader, kind):
    if kind in FIELD_INTS:
        return reader.number(FIELD_INTS[kind])
    if kind == "shortstr":
        return reader.shortstr()
    if kind == "longstr":
        return reader.longstr()
    return reader.table()


def method(spec, values):
    """The payload of a method frame; fields that values lacks are zero or empty."""
    out = bytearray(struct.pack(">HH", spec.class_id, spec.method_id))
    bits = []

    def flush():
        for start in range(0, len(bits), 8):
            out.append(sum(1 << i for i, on in enumerate(bits[start : start + 8]) if on))
        bits.clear()

    for name, kind in spec.fields:
        value = values.get(name, ZERO.get(kind, 0))
        if kind == "bit":
            bits.append(value)
            continue
        flush()
        out += field(kind, value)
    flush()
    return bytes(out)


def read_method(spec, payload):
    reader = Reader(payload[4:])
    values, bit, octet = {}, 8, 0
    for name, kind in spec.fields:
        if kind == "bit":
            if bit == 8:
                bit, octet = 0, reader.number(">B")
            values[name] = bool(octet >> bit & 1)
            bit += 1
            continue
        bit = 8
        values[name] = read_field(reader, kind)
    if reader.left():
        raise CodecError(f"{reader.left()} octets after {spec.name}")
    return values


def properties(spec_properties, values):
    """Property flags and list of a content header."""
    flags, out = 0, b""
    for bit, (name, kind) in enumerate(spec_properties):
        if name in values:
            flags |= 1 << (15 - bit)
            out += field(kind, values[name])
    return struct.pack(">H", flags) + out


def read_properties(spec_properties, data):
    reader = Reader(data)
    flags = reader.number(">H")
    more = flags
    while more & 1:
        more = reader.number(">H")
    return {
        name: read_field(reader, kind)
        for bit, (name, kind) in enumerate(spec_properties)
        if flags >> (15 - bit) & 1
    }


def content_header(class_id, weight, size, props):
    return struct.pack(">HHQ", class_id, weight, size) + props


def frame(kind, channel, payload, size=None, end=FRAME_END):
    size = len(payload) if size is None else size
    return struct.pack(">BHI", kind, channel, size) + payload + (b"" if end is None else bytes([end]))
