"""The tables of amqp-spec/, read from its line-based files."""

import os


class Method:
    """One method: ids, fields as (name, type), and the replies it may get."""

    def __init__(self, klass, name, class_id, method_id):
        self.name = f"{klass}.{name}"
        self.class_id = class_id
        self.method_id = method_id
        self.fields = []
        self.content = False
        self.responses = []
        self.sender = "both"


class Spec:
    """Methods by name and by id, the content properties of class basic, reply codes."""

    def __init__(self, folder):
        self.methods = {}
        self.by_id = {}
        self.class_ids = {}
        self.properties = []
        self.replies = {}
        self.domains = {t: t for t in ("bit", "octet", "short", "long", "longlong", "shortstr",
                                       "longstr", "timestamp", "table")}
        self._klass = self._current = None
        lines = []
        for name in sorted(os.listdir(folder)):
            if not name.endswith((".md", ".inc")):
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    lines += [(name, line) for line in file]
        for want in ("domain", "reply", None):
            for name, line in lines:
                self._line(name, line, want)

    def _line(self, name, line, want):
        words = line.split(" :", 1)[0].split()
        if not words or words[0].startswith("#"):
            return
        keyword, args = words[0], words[1:]
        if keyword in ("domain", "reply", "constant"):
            if keyword == "domain" and want == keyword:
                self.domains[args[0]] = args[1]
            elif keyword == "reply" and want == keyword:
                self.replies[int(args[1])] = args[0]
        elif want is None:
            add = getattr(self, "_" + keyword, None)
            if add is None:
                raise ValueError(f"{name}: unknown keyword {keyword!r}")
            add(args)

    def _class(self, args):
        self._klass = args[0]
        self.class_ids[args[0]] = int(args[1])

    def _property(self, args):
        if self._klass == "basic":
            self.properties.append((args[0].replace("-", "_"), self.domains[args[1]]))

    def _field(self, args):
        self._current.fields.append((args[0].replace("-", "_"), self.domains[args[1]]))

    def _method(self, args):
        method = Method(self._klass, args[0], self.class_ids[self._klass], int(args[1]))
        for word in args[2:]:
            key, _, value = word.partition("=")
            if key == "content":
                method.content = True
            elif key == "response":
                method.responses.append(f"{self._klass}.{value}")
            elif key == "from":
                method.sender = value
        self.methods[method.name] = method
        self.by_id[method.class_id, method.method_id] = method
        self._current = method

    def find(self, class_id, method_id):
        return self.by_id.get((class_id, method_id))
