"""Reads amqp-spec/*.spec: the model that gen-amqp and the tests share. Standard library only."""

import os
import re

TYPES = ("bit", "octet", "short", "long", "longlong", "shortstr", "longstr", "timestamp", "table")
DIRECTIONS = ("client", "server", "both")


class SpecError(Exception):
    """A line of a spec file that makes no sense."""


class Named:
    def __init__(self, name, text):
        self.name = name
        self.text = text
        self.c_name = name.replace("-", "_")
        self.C_NAME = self.c_name.upper()


class Constant(Named):
    """reply is None for a constant of the frame layer, else 'ok', 'soft' or 'hard'."""

    def __init__(self, name, text, value, reply):
        super().__init__(name, text)
        self.value = value
        self.reply = reply


class Domain(Named):
    def __init__(self, name, text, type_):
        super().__init__(name, text)
        self.type = type_
        self.max = 0
        self.notnull = False
        self.regexp = None


class Field(Named):
    """An argument of a method or a property of a class."""

    def __init__(self, name, text, domain, words=()):
        super().__init__(name, text)
        self.domain = domain
        self.type = domain.type
        self.reserved = "reserved" in words
        self.secret = "secret" in words


class Method(Named):
    def __init__(self, klass, name, text, id_):
        super().__init__(name, text)
        self.klass = klass
        self.id = id_
        self.full_name = klass.name + "." + name
        self.c_name = klass.c_name + "_" + self.c_name
        self.C_NAME = self.c_name.upper()
        self.index = -1
        self.direction = None
        self.sync = False
        self.content = False
        self.deprecated = False
        self.responses = []
        self.fields = []

    @property
    def from_client(self):
        return self.direction in ("client", "both")

    @property
    def from_server(self):
        return self.direction in ("server", "both")

    @property
    def members(self):
        """The fields that its struct has."""
        return [f for f in self.fields if not f.reserved]


class Class(Named):
    def __init__(self, name, text, id_):
        super().__init__(name, text)
        self.id = id_
        self.properties = []
        self.methods = []

    def method(self, name):
        for m in self.methods:
            if m.name == name:
                return m
        return None


class Spec:
    def __init__(self):
        self.constants = []
        self.domains = {}
        self.classes = []

    @property
    def methods(self):
        return [m for c in self.classes for m in c.methods]

    def find_method(self, full_name):
        for m in self.methods:
            if m.full_name == full_name:
                return m
        return None


class Parser:
    """One line at a time; klass and method are those the line belongs to."""

    def __init__(self, spec):
        self.spec = spec
        self.klass = None
        self.method = None
        self.responses = []

    def line(self, line):
        line = line.strip()
        if not line or line.startswith("#"):
            return
        head, colon, text = line.partition(" : ")
        if not colon or not text.strip():
            raise SpecError("no ' : ' with a text behind it")
        words = head.split()
        handler = getattr(self, "on_" + words[0], None)
        if handler is None:
            raise SpecError("unknown keyword '%s'" % words[0])
        if len(words) < 3:
            raise SpecError("%s needs a name and more" % words[0])
        handler(words[1], words[2:], text.strip())

    def number(self, word):
        if not re.fullmatch(r"\d+", word):
            raise SpecError("'%s' is not a number" % word)
        return int(word)

    def domain(self, name):
        if name not in self.spec.domains:
            raise SpecError("unknown domain '%s'" % name)
        return self.spec.domains[name]

    def on_constant(self, name, words, text):
        self.spec.constants.append(Constant(name, text, self.number(words[0]), None))

    def on_reply(self, name, words, text):
        if words[1:] not in (["ok"], ["soft"], ["hard"]):
            raise SpecError("a reply code is ok, soft or hard")
        self.spec.constants.append(Constant(name, text, self.number(words[0]), words[1]))

    def on_domain(self, name, words, text):
        if words[0] not in TYPES:
            raise SpecError("unknown type '%s'" % words[0])
        domain = Domain(name, text, words[0])
        for word in words[1:]:
            if word == "notnull":
                domain.notnull = True
            elif word.startswith("max="):
                domain.max = self.number(word[4:])
            elif word.startswith("regexp="):
                domain.regexp = word[7:]
            else:
                raise SpecError("unknown limit '%s'" % word)
        self.spec.domains[name] = domain

    def on_class(self, name, words, text):
        self.klass = Class(name, text, self.number(words[0]))
        self.method = None
        self.spec.classes.append(self.klass)

    def on_property(self, name, words, text):
        if self.klass is None or self.method is not None:
            raise SpecError("a property stands between its class and the first method")
        self.klass.properties.append(Field(name, text, self.domain(words[0])))

    def on_method(self, name, words, text):
        if self.klass is None:
            raise SpecError("a method outside a class")
        method = Method(self.klass, name, text, self.number(words[0]))
        for word in words[1:]:
            key, _, value = word.partition("=")
            if key in ("sync", "content", "deprecated") and not value:
                setattr(method, key, True)
            elif key == "from" and value in DIRECTIONS:
                method.direction = value
            elif key == "response" and value:
                self.responses.append((method, value))
            else:
                raise SpecError("unknown word '%s'" % word)
        if method.direction is None:
            raise SpecError("from= is missing")
        self.method = method
        self.klass.methods.append(method)

    def on_field(self, name, words, text):
        if self.method is None:
            raise SpecError("a field outside a method")
        if words[1:] not in ([], ["reserved"], ["secret"]):
            raise SpecError("unknown words behind the domain")
        self.method.fields.append(Field(name, text, self.domain(words[0]), words[1:]))

    def finish(self):
        for method, name in self.responses:
            response = method.klass.method(name)
            if response is None:
                raise SpecError("%s: no response %s" % (method.full_name, name))
            method.responses.append(response)
        self.spec.classes.sort(key=lambda c: c.id)
        for klass in self.spec.classes:
            klass.methods.sort(key=lambda m: m.id)
        for index, method in enumerate(self.spec.methods):
            method.index = index


def load(directory):
    """The Spec of every *.spec file in the directory. Raises SpecError with file and line."""
    spec = Spec()
    parser = Parser(spec)
    names = sorted(n for n in os.listdir(directory) if n.endswith(".spec"))
    # fields name domains, so those come first
    names.sort(key=lambda n: n not in ("constants.spec", "domains.spec"))
    for name in names:
        with open(os.path.join(directory, name), encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    parser.line(line)
                except SpecError as error:
                    raise SpecError("%s:%d: %s" % (name, number, error)) from None
    parser.finish()
    return spec
