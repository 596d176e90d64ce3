"""Reads .wire scripts into statements. The language is described in tests/wire/README.md."""

import copy
import os
import re

from .codec import Array, Table, Typed

ESCAPES = {"n": b"\n", "r": b"\r", "t": b"\t", "0": b"\0", "\\": b"\\", "'": b"'", '"': b'"'}
LITERALS = {"true": True, "false": False, "void": None}
VARIABLE = re.compile(r"\$(\w+)")


class ScriptError(Exception):
    """The script itself is wrong."""


class Var:
    """$name, looked up (or captured) when the line runs."""

    def __init__(self, name):
        self.name = name


class Text:
    """A string literal; $name inside is looked up when the line runs."""

    def __init__(self, octets):
        self.octets = octets


class Join:
    """An operator and its operands: a + b, a * n, raw(a), deep(n), k==v inside a table."""

    def __init__(self, op, left, right):
        self.op = op
        self.left = left
        self.right = right


class Regex:
    """~'pattern' in an expectation."""

    def __init__(self, text):
        self.text = text


class Word:
    """any or absent in an expectation."""

    def __init__(self, name):
        self.name = name


class Field:
    """name OP value of a statement."""

    def __init__(self, name, op, value):
        self.name = name
        self.op = op
        self.value = value


class Statement:
    """One line: verb, connection, channel (None = the method's usual one), words and fields."""

    def __init__(self, path, line, text):
        self.path = path
        self.line = line
        self.text = text
        self.only = None
        self.verb = None
        self.conn = None
        self.channel = None
        self.plain = False
        self.name = None
        self.words = []
        self.fields = []
        self.mods = {}
        self.then = None
        self.body = []

    def where(self):
        return f"{os.path.relpath(self.path)}:{self.line}"


class Scanner:
    """Splits the arguments of a line into fields, words and values."""

    SPACE = re.compile(r"\s*")
    IDENT = re.compile(r"[A-Za-z_][\w.-]*")
    NUMBER = re.compile(r"-?(0x[0-9a-fA-F]+|\d+\.\d+(e-?\d+)?|\d+)")
    OP = re.compile(r"==|=~|!=|>=|<=|=")
    KEY = re.compile(r"[\w.$@-]+(?=\s*(==|=~|!=|>=|<=|=))")
    TYPED = re.compile(r"([A-Za-z?]):")
    BARE = re.compile(r"[^\s,\])}]+")

    def __init__(self, text):
        self.text = text
        self.pos = 0

    def match(self, pattern):
        self.pos = self.SPACE.match(self.text, self.pos).end()
        found = pattern.match(self.text, self.pos)
        if found:
            self.pos = found.end()
        return found

    def eat(self, token):
        self.pos = self.SPACE.match(self.text, self.pos).end()
        if self.text.startswith(token, self.pos):
            self.pos += len(token)
            return True
        return False

    def end(self):
        self.pos = self.SPACE.match(self.text, self.pos).end()
        return self.pos >= len(self.text)

    def need(self, token):
        if not self.eat(token):
            raise ScriptError(f"expected {token!r} at {self.text[self.pos:]!r}")

    def quoted(self):
        quote = self.text[self.pos]
        out, pos = bytearray(), self.pos + 1
        while pos < len(self.text) and self.text[pos] != quote:
            char = self.text[pos]
            pos += 1
            if char != "\\":
                out += char.encode()
                continue
            char = self.text[pos : pos + 1]
            pos += 1
            if char == "x":
                out.append(int(self.text[pos : pos + 2], 16))
                pos += 2
            elif char in ESCAPES:
                out += ESCAPES[char]
            else:
                out += b"\\" + char.encode()
        if pos >= len(self.text):
            raise ScriptError("string without an end")
        self.pos = pos + 1
        return Text(bytes(out))

    def value(self):
        left = self.single()
        while True:
            if self.eat("+"):
                left = Join("+", left, self.single())
            elif self.eat("*"):
                left = Join("*", left, self.single())
            else:
                return left

    def single(self):
        self.match(self.SPACE)
        rest = self.text[self.pos :]
        if rest[:2] in ("x'", 'x"'):
            self.pos += 1
            return bytes.fromhex(self.quoted().octets.decode())
        if rest[:1] in ("'", '"'):
            return self.quoted()
        if rest[:1] == "~":
            self.pos += 1
            return Regex(self.quoted())
        if rest[:1] == "$":
            return Var(self.match(VARIABLE).group(1))
        if rest[:1] == "{":
            return self.table()
        if rest[:1] == "[":
            return self.array()
        number = self.match(self.NUMBER)
        if number:
            text = number.group(0)
            return float(text) if "." in text else int(text, 0)
        typed = self.match(self.TYPED)
        if typed:
            return Typed(typed.group(1), self.single())
        word = self.match(self.IDENT)
        if not word:
            raise ScriptError(f"no value at {rest!r}")
        return self.named(word.group(0))

    def named(self, word):
        if word in LITERALS:
            return LITERALS[word]
        if word in ("any", "absent"):
            return Word(word)
        if word in ("inf", "nan"):
            return float(word)
        if word in ("raw", "deep"):
            self.need("(")
            inner = self.value()
            self.need(")")
            return Join(word, inner, None)
        raise ScriptError(f"unknown value {word!r}")

    def table(self):
        out = Table()
        self.need("{")
        while not self.eat("}"):
            self.match(self.SPACE)
            if self.text[self.pos : self.pos + 1] in ("'", '"'):
                key = self.quoted().octets
            else:
                found = self.match(self.IDENT)
                if not found:
                    raise ScriptError(f"no key at {self.text[self.pos:]!r}")
                key = found.group(0).encode()
            op = self.match(self.OP)
            if not op:
                raise ScriptError(f"no '=' after key {key!r}")
            out.append((key, self.operand(op.group(0))))
            self.eat(",")
        return out

    def operand(self, op):
        value = self.value()
        if op == "=~":
            return Regex(value)
        if op == "==":
            return Join("==", value, None)
        return value

    def array(self):
        out = Array()
        self.need("[")
        while not self.eat("]"):
            out.append(self.value())
            self.eat(",")
        return out

    def fields(self, into):
        """Fields, @modifiers and words, up to the end or '=>'."""
        while not self.end() and not self.text.startswith("=>", self.pos):
            key = self.match(self.KEY)
            if key:
                name = key.group(0)
                op = self.match(self.OP).group(0)
                if name.startswith("@"):
                    into.mods[name[1:]] = self.modifier()
                elif name == "by":
                    into.fields.append(Field("by", op, Text(self.match(self.BARE).group(0).encode())))
                else:
                    into.fields.append(Field(name.replace("-", "_"), op, self.value()))
            else:
                into.words.append(self.word())

    def modifier(self):
        self.match(self.SPACE)
        if self.text[self.pos : self.pos + 1] in ("x", "'", '"', "$"):
            return self.value()
        return self.match(self.BARE).group(0)

    def word(self):
        if re.match(r"x?['\"]|[~${]", self.text[self.pos :]):
            return self.value()
        if self.text.startswith("any", self.pos):
            return self.single()
        return self.match(self.BARE).group(0)


def seconds(text):
    """'250ms' or '2s' as seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s)", text)
    if not found:
        raise ScriptError(f"not a time: {text!r}")
    return float(found.group(1)) * (0.001 if found.group(2) == "ms" else 1)


class Kind:
    """One of what a script marked 'each' is played over: a line of a file in kinds/."""

    def __init__(self, line):
        self.name, _, rest = line.partition(" ")
        holder = Statement(None, 0, line)
        Scanner(rest).fields(holder)
        self.fields = {field.name: field.value for field in holder.fields}
        needs = self.fields.pop("requires", None)
        self.requires = needs.octets.decode().split() if needs else []


def read_kinds(folder, name):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        raise ScriptError(f"there are no kinds {name!r}")
    with open(path, encoding="utf-8") as file:
        return [Kind(line.strip()) for line in file if line.strip() and not line.startswith("#")]


class Script:
    """A parsed file: title, tags, users, statements."""

    TAGS = {"title", "requires", "differs", "user", "topic", "slow", "alone", "leftover", "each", "kinds"}
    CONN = re.compile(r"(c\w*)(?:\.(\d+))?\s+(.*)")
    ARROW = re.compile(r"(><|>!|<!|<\{|>|<)\s*(.*)")

    def __init__(self, path):
        self.path = path
        self.name = os.path.splitext(os.path.basename(path))[0]
        self.title = ""
        self.requires = []
        self.differs = None
        self.users = []
        self.topics = []
        self.slow = False
        self.alone = False
        self.leftover = False
        self.each = None
        self.only_kinds = []
        self.kind = None
        self.named = {"reference", "jackalope"}
        with open(path, encoding="utf-8") as file:
            self.lines = self.joined(file.read().split("\n"))
        self.index = 0
        self.statements = self.block(None)

    def over(self, folder):
        """The script for each kind it is to be played over; itself if that is no question."""
        kinds = read_kinds(folder, self.each) if self.each else []
        unknown = {word.lstrip("!") for word in self.named} - {"reference", "jackalope"} - {kind.name for kind in kinds}
        if unknown:
            raise ScriptError(f"{self.path}: nothing is called {', '.join(sorted(unknown))}")
        if not self.each:
            return [self]
        out = []
        for kind in kinds:
            if self.is_for(self.only_kinds, {kind.name}):
                one = copy.copy(self)
                one.kind, one.name = kind, f"{self.name}.{kind.name}"
                one.requires = self.requires + kind.requires
                out.append(one)
        return out

    @staticmethod
    def is_for(only, what):
        """only: words of which one has to be in what, or with a '!' none may."""
        wanted = {word for word in only if not word.startswith("!")}
        return not any(word[1:] in what for word in only if word.startswith("!")) and \
            (not wanted or bool(wanted & what))

    @staticmethod
    def joined(lines):
        """(number, text) of the lines, those that end in a backslash joined with the next."""
        out, text, first = [], "", None
        for number, line in enumerate(lines, 1):
            first = first or number
            text += line.strip()
            if text.endswith("\\") and not text.endswith("\\\\"):
                text = text[:-1]
                continue
            out.append((first, text))
            text, first = "", None
        return out

    def block(self, closer):
        out = []
        while self.index < len(self.lines):
            number, text = self.lines[self.index]
            self.index += 1
            if text == closer:
                return out
            if not text:
                continue
            try:
                if text.startswith("#"):
                    self.tag(text[1:].strip())
                else:
                    out.append(self.statement(number, text))
            except (ScriptError, ValueError, AttributeError) as err:
                raise ScriptError(f"{os.path.relpath(self.path)}:{number}: {err}\n  {text}") from err
        if closer:
            raise ScriptError(f"{self.path}: no {closer!r} before the end")
        return out

    def tag(self, text):
        key, colon, value = text.partition(":")
        key, value = key.strip(), value.strip()
        if not colon or key not in self.TAGS:
            return
        if key == "requires":
            self.requires += value.split()
        elif key in ("user", "topic"):
            holder = Statement(self.path, 0, text)
            Scanner(value).fields(holder)
            (self.users if key == "user" else self.topics).append(holder)
        elif key == "kinds":
            self.only_kinds += value.split()
            self.named.update(value.split())
        elif key in ("slow", "alone", "leftover"):
            setattr(self, key, True)
        else:
            setattr(self, key, value)

    def statement(self, number, text):
        out = Statement(self.path, number, text)
        only = re.match(r"((?:!?[a-z][\w-]*\|)*!?[a-z][\w-]*):\s+(.*)", text)
        if only:
            out.only, text = only.group(1).split("|"), only.group(2)
            self.named.update(out.only)
        word, _, rest = text.partition(" ")
        if word in ("sleep", "ctl", "let", "repeat", "retry", "restart", "when"):
            out.verb = word
            self.plain_statement(out, rest)
        elif text == "<{":
            out.verb = "group"
            out.body = self.block("}")
        else:
            self.conn_statement(out, text)
        return out

    def plain_statement(self, out, rest):
        if out.verb == "repeat":
            found = re.fullmatch(r"(\d+)(?:\s+as\s+\$(\w+))?", rest.strip())
            out.words = [int(found.group(1)), found.group(2)]
            out.body = self.block("end")
        elif out.verb == "retry":
            out.words = [seconds(rest.strip())]
            out.body = self.block("end")
        elif out.verb == "when":
            out.only = rest.strip().split("|")
            self.named.update(out.only)
            out.body = self.block("end")
        elif out.verb == "restart":
            out.words = [rest.strip() or "stop"]
        elif out.verb == "sleep":
            out.words = [min(seconds(rest.strip()), 5)]
        elif out.verb == "let":
            found = re.fullmatch(r"\$(\w+)\s*=\s*(.*)", rest)
            out.words = [found.group(1), Scanner(found.group(2)).value()]
        else:
            command, _, expect = rest.partition(" => ")
            out.words = [command.strip()]
            if expect:
                out.then = Scanner(expect).value()

    def conn_statement(self, out, text):
        found = self.CONN.fullmatch(text)
        if not found:
            raise ScriptError("not a statement")
        out.conn, channel, rest = found.groups()
        out.channel = None if channel is None else int(channel)
        arrow = self.ARROW.fullmatch(rest)
        if not arrow:
            out.verb, _, rest = rest.partition(" ")
            if out.verb not in ("connect", "open", "close", "drop", "shut", "hold", "flush", "declare"):
                raise ScriptError(f"unknown verb {out.verb!r}")
            self.arguments(out, rest)
            return
        sign, rest = arrow.groups()
        out.plain = sign.endswith("!")
        out.verb = {">": "send", ">!": "send", "<": "expect", "<!": "expect",
                    "><": "call", "<{": "group"}[sign]
        if out.verb == "group":
            out.body = [self.inner(out, line) for line in self.raw_lines()]
            return
        out.name, _, rest = rest.partition(" ")
        self.arguments(out, rest)

    def raw_lines(self):
        while self.index < len(self.lines):
            number, text = self.lines[self.index]
            self.index += 1
            if text == "}":
                return
            if text and not text.startswith("#"):
                yield number, text
        raise ScriptError("group without '}'")

    def inner(self, outer, line):
        out = Statement(self.path, *line)
        out.verb, out.conn, out.channel = "expect", outer.conn, outer.channel
        out.name, _, rest = line[1].partition(" ")
        self.arguments(out, rest)
        return out

    def arguments(self, out, rest):
        scanner = Scanner(rest)
        scanner.fields(out)
        if scanner.eat("=>"):
            then = Statement(self.path, out.line, out.text)
            then.verb, then.conn, then.channel = "expect", out.conn, out.channel
            then.plain = False
            tail = scanner.text[scanner.pos :].strip()
            name = re.match(r"[a-z]+(\.[a-z-]+)?(?=\s|$)", tail)
            if name:
                then.name, tail = name.group(0), tail[name.end() :]
            Scanner(tail).fields(then)
            out.then = then
