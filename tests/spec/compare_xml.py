#!/usr/bin/env python3
"""Compares amqp-spec/ with the XML of Debian's amqp-specs package: classes, ids, methods, directions, synchronous
and content flags, responses, fields with their order and types, properties, domains, constants and reply codes.

usage: compare_xml.py [SPECDIR]
Exit: 0 alike, 1 different, 77 (skipped) without the package.
"""

import os
import sys
import xml.etree.ElementTree

sys.dont_write_bytecode = True
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "scripts"))
import amqpspec  # noqa: E402

XML = "/usr/share/amqp/specs/0-9-1-rabbit/amqp0-9-1.stripped.extended.xml"

# Spoken by RabbitMQ and absent from its XML: each with (id, from, sync, fields), from RabbitMQ's documentation.
EXTRA_METHODS = {
    "connection.blocked": (60, "server", False, ["reason shortstr"]),
    "connection.unblocked": (61, "server", False, []),
    "connection.update-secret": (70, "client", True, ["new-secret longstr", "reason shortstr"]),
    "connection.update-secret-ok": (71, "server", True, []),
    # AMQP 0-8
    "access.request": (10, "client", True, ["realm shortstr", "exclusive bit", "passive bit", "active bit",
                                            "write bit", "read bit"]),
    "access.request-ok": (11, "server", True, ["ticket short"]),
}
EXTRA_CLASSES = {"access": 30}
EXTRA_CONSTANTS = {"no-route": (312, "soft")}
# The XML names no response, though there is one.
EXTRA_RESPONSES = {"basic.recover": ["recover-ok"]}


class Comparison:
    def __init__(self, spec, root):
        self.spec = spec
        self.root = root
        self.domains = {d.get("name"): d for d in root.iter("domain")}
        self.differences = []
        self.compared = 0

    def same(self, what, ours, theirs):
        self.compared += 1
        if ours != theirs:
            self.differences.append("%s: %r here, %r in the XML" % (what, ours, theirs))

    def constants(self):
        theirs = {}
        for c in self.root.iter("constant"):
            kind = {"soft-error": "soft", "hard-error": "hard"}.get(c.get("class"))
            theirs[c.get("name")] = (int(c.get("value")), kind)
        theirs["reply-success"] = (200, "ok")
        theirs.update(EXTRA_CONSTANTS)
        self.same("constants", {c.name: (c.value, c.reply) for c in self.spec.constants}, theirs)

    def domain_list(self):
        self.same("names of domains", sorted(self.spec.domains), sorted(self.domains))
        for name, theirs in self.domains.items():
            ours = self.spec.domains.get(name)
            if ours is None:
                continue
            checks = {a.get("check"): a.get("value") for a in theirs.iter("assert")}
            self.same("domain " + name, (ours.type, ours.max, ours.notnull, ours.regexp),
                      (theirs.get("type"), int(checks.get("length", 0)), "notnull" in checks, checks.get("regexp")))

    def field(self, element):
        """name, type and reserved, as words; also checks that the domain has that type."""
        domain = element.get("domain") or element.get("type")
        words = [element.get("name"), self.domains[domain].get("type")]
        return " ".join(words + ["reserved"] * (element.get("reserved") == "1"))

    def our_field(self, field):
        return " ".join([field.name, field.type] + ["reserved"] * field.reserved)

    def method(self, name, element):
        ours = self.spec.find_method(name)
        if ours is None:
            return
        # who must implement it is who receives it
        chassis = {c.get("name") for c in element.findall("chassis")}
        sender = {("server",): "client", ("client",): "server"}.get(tuple(sorted(chassis)), "both")
        responses = [r.get("name") for r in element.findall("response")]
        self.same(name + " id", ours.id, int(element.get("index")))
        self.same(name + " from", ours.direction, sender)
        self.same(name + " sync", ours.sync, element.get("synchronous") == "1")
        self.same(name + " content", ours.content, element.get("content") == "1")
        self.same(name + " deprecated", ours.deprecated, element.get("deprecated") == "1")
        self.same(name + " responses", [r.name for r in ours.responses], EXTRA_RESPONSES.get(name, responses))
        self.same(name + " fields", [self.our_field(f) for f in ours.fields],
                  [self.field(f) for f in element.findall("field")])
        for ours_field, theirs in zip(ours.fields, element.findall("field")):
            self.same("%s %s domain" % (name, ours_field.name), ours_field.domain.name,
                      theirs.get("domain") or theirs.get("type"))

    def extras(self):
        for name, (id_, sender, sync, fields) in EXTRA_METHODS.items():
            ours = self.spec.find_method(name)
            self.same(name, (ours.id, ours.direction, ours.sync, [self.our_field(f) for f in ours.fields]),
                      (id_, sender, sync, fields))

    def classes(self):
        ids = {c.get("name"): int(c.get("index")) for c in self.root.iter("class")}
        names = {c.get("name") + "." + m.get("name"): m for c in self.root.iter("class") for m in c.iter("method")}
        self.same("classes", {c.name: c.id for c in self.spec.classes}, {**ids, **EXTRA_CLASSES})
        self.same("methods", sorted(m.full_name for m in self.spec.methods), sorted([*names, *EXTRA_METHODS]))
        for element in self.root.iter("class"):
            ours = next((c for c in self.spec.classes if c.name == element.get("name")), None)
            if ours:
                self.same("properties of " + ours.name, [self.our_field(p) for p in ours.properties],
                          [self.field(f) for f in element.findall("field")])
        for name, element in names.items():
            self.method(name, element)


def main(argv):
    if not os.path.exists(XML):
        print("skipped: %s is not there (Debian package amqp-specs)" % XML)
        return 77
    spec_dir = argv[1] if len(argv) > 1 else os.path.join(TOP, "amqp-spec")
    comparison = Comparison(amqpspec.load(spec_dir), xml.etree.ElementTree.parse(XML).getroot())
    comparison.constants()
    comparison.domain_list()
    comparison.classes()
    comparison.extras()
    for difference in comparison.differences:
        print(difference)
    print("%d facts compared, %d differ" % (comparison.compared, len(comparison.differences)))
    return 1 if comparison.differences else 0


sys.exit(main(sys.argv))
