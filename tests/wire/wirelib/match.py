"""Evaluates the values of a script, compares received ones with them, prints methods."""

import re

from . import codec
from .codec import Array, Raw, Table, Typed
from .script import Join, Regex, ScriptError, Text, Var, Word

SIGN = re.compile(rb"\$(\w+)")


def as_octets(value):
    return value if isinstance(value, bytes) else str(value).encode()


class Values:
    """The variables of one running script."""

    def __init__(self, start):
        self.names = dict(start)

    def get(self, name):
        if name not in self.names:
            raise ScriptError(f"${name} has no value yet")
        return self.names[name]

    def text(self, octets, quote=lambda v: v):
        """octets with each known $name replaced; '$' before anything else stays."""

        def swap(found):
            name = found.group(1).decode()
            return quote(as_octets(self.names[name])) if name in self.names else found.group(0)

        return SIGN.sub(swap, octets)

    def eval(self, value):
        """The plain value of a parsed one: bytes, int, Table, Typed and so on."""
        if isinstance(value, Text):
            return self.text(value.octets)
        if isinstance(value, Var):
            return self.get(value.name)
        if isinstance(value, Join):
            return self.join(value)
        if isinstance(value, Typed):
            inner = self.eval(value.value)
            known = value.letter in codec.INTS or value.letter in codec.FLOATS or value.letter in "tDSxFAV"
            return Typed(value.letter, inner if known else Raw(inner))
        if isinstance(value, Table):
            return Table((self.text(k), codec.guess(self.eval(v))) for k, v in value)
        if isinstance(value, Array):
            return Array(self.eval(v) for v in value)
        return value

    def join(self, node):
        left = self.eval(node.left)
        if node.op == "raw":
            return Raw(left)
        if node.op == "deep":
            return codec.deep(left)
        right = self.eval(node.right)
        if node.op == "+" and isinstance(left, int) != isinstance(right, int):
            return as_octets(left) + as_octets(right)
        return left + right if node.op == "+" else left * right


def strip(value):
    return value.value if isinstance(value, Typed) else value


class Matcher:
    """Compares; captures are kept aside until the whole message matched."""

    def __init__(self, values):
        self.values = values
        self.captured = {}

    def commit(self):
        self.values.names.update(self.captured)

    def same(self, want, got, exact=False):
        """Whether got (None = absent) is what the parsed value want asks for."""
        if isinstance(want, Word):
            return (got is not None) if want.name == "any" else got is None
        if got is None:
            return False
        if isinstance(want, Join) and want.op == "==":
            return self.same(want.left, got, True)
        if isinstance(want, Var) and want.name not in self.values.names:
            if want.name in self.captured:
                return strip(got) == self.captured[want.name]
            self.captured[want.name] = strip(got)
            return True
        if isinstance(want, Regex):
            pattern = self.values.text(want.text.octets, re.escape)
            return re.search(pattern, as_octets(strip(got)), re.S) is not None
        if isinstance(want, Typed):
            return isinstance(got, Typed) and got.letter == want.letter and self.same(want.value, got.value, exact)
        if isinstance(want, Table):
            return self.same_table(want, strip(got), exact)
        if isinstance(want, Array):
            inner = strip(got)
            return (isinstance(inner, (list, tuple)) and len(inner) == len(want)
                    and all(self.same(w, g, exact) for w, g in zip(want, inner)))
        if want is None:
            return isinstance(got, Typed) and got.letter == "V"
        return self.scalar(self.values.eval(want), strip(got))

    @staticmethod
    def scalar(want, got):
        if isinstance(want, Table):
            return isinstance(got, Table) and codec.table(want) == codec.table(got)
        if isinstance(want, bool) or isinstance(got, bool):
            return want is got
        if isinstance(want, tuple) or isinstance(got, tuple):
            return tuple(want) == tuple(got)
        return want == got

    def same_table(self, want, got, exact):
        if not isinstance(got, (Table, dict)):
            return False
        pairs = list(got.items()) if isinstance(got, dict) else list(got)
        pairs = [(k if isinstance(k, bytes) else k.encode(), v) for k, v in pairs]
        if exact and len(pairs) != sum(1 for _, v in want if not is_absent(v)):
            return False
        for key, value in want:
            key = self.values.text(key)
            found = [v for k, v in pairs if k == key]
            if not self.same(value, found[0] if found else None, exact):
                return False
        return True

    def compare(self, op, want, got):
        if op == "=~":
            return self.same(Regex(want), got)
        if op == "!=":
            return not self.same(want, got)
        if op == "==":
            return self.same(want, got, True)
        if op in (">=", "<="):
            limit = self.values.eval(want)
            return got is not None and (strip(got) >= limit if op == ">=" else strip(got) <= limit)
        return self.same(want, got)


def is_absent(value):
    return isinstance(value, Word) and value.name == "absent"


def show(value):
    """A value as a script would write it, long strings cut."""
    if isinstance(value, Typed):
        plain = codec.guess(value.value).letter if value.letter != "D" else None
        return show(value.value) if plain == value.letter else f"{value.letter}:{show(value.value)}"
    if isinstance(value, Raw):
        return f"raw({len(value)} octets)"
    if isinstance(value, bytes):
        text = value[:300].decode("latin-1").encode("unicode_escape").decode().replace("'", "\\'")
        return f"'{text}'" + (f"...({len(value)})" if len(value) > 300 else "")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Table):
        return "{" + ", ".join(f"{k.decode('latin-1')}={show(v)}" for k, v in value) + "}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}={show(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (Array, tuple)):
        return "[" + ", ".join(show(v) for v in value) + "]"
    return "void" if value is None else str(value)
