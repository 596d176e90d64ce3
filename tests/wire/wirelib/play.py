"""Plays one parsed script against a broker."""

import time

from . import codec
from .codec import Table
from .match import Matcher, Values, as_octets, show
from .script import Field, ScriptError, Statement, Var, Word, seconds
from .session import CAPABILITIES, Connection, Timeout

PSEUDO = ("heartbeat", "header", "closed", "garbage")


class Mismatch(Exception):
    """The broker did something else than the script expects."""

    def __init__(self, statement, expected, got):
        super().__init__(expected)
        self.statement = statement
        self.expected = expected
        self.got = got


class Player:
    """The connections and variables of one running script."""

    def __init__(self, script, broker, spec, timeout, names):
        self.script = script
        self.broker = broker
        self.spec = spec
        self.timeout = timeout
        self.values = Values(names)
        self.kind = script.kind and {name: self.values.eval(value) for name, value in script.kind.fields.items()}
        self.values.names.update(self.kind or {})
        self.conns = {}
        self.dialog = []
        self.sent = []

    def log(self, text):
        limit = 110 if " connection.start" in text else 400
        self.dialog.append(text if len(text) < limit else text[:limit] + "...")

    def run(self):
        try:
            self.block(self.script.statements)
            if not self.script.leftover:
                self.leftovers()
        finally:
            for conn in self.conns.values():
                conn.drop()
                self.sent.append((conn.name, bytes(conn.sent)))

    def leftovers(self):
        """Whatever arrived and no line of the script asked for is a failure."""
        for conn in self.conns.values():
            try:
                while not conn.dead:
                    conn.pump(time.monotonic() + 0.001)
            except Timeout:
                pass
            for queue in conn.inbox.values():
                for message in queue:
                    if message.name not in ("heartbeat", "closed"):
                        end = Statement(self.script.path, 0, "(end of script)")
                        raise Mismatch(end, "nothing more", f"{conn.name}.{message.channel} {message}")

    def block(self, statements):
        for statement in statements:
            if self.is_meant(statement):
                getattr(self, "do_" + statement.verb)(statement)

    def is_meant(self, statement):
        what = {self.broker.kind, self.script.kind.name if self.script.kind else ""}
        return statement.only is None or self.script.is_for(statement.only, what)

    # statements without a connection

    def do_when(self, st):
        self.block(st.body)

    def do_restart(self, st):
        """The broker ends ('kill': at once) and starts again; connections are gone."""
        for conn in self.conns.values():
            conn.inbox.clear()
            conn.drop()
            conn.dead = conn.auto = True
        self.broker.restart(st.words[0] == "kill")

    def do_sleep(self, st):
        time.sleep(st.words[0])

    def do_let(self, st):
        self.values.names[st.words[0]] = self.values.eval(st.words[1])

    def do_repeat(self, st):
        count, name = st.words
        for turn in range(1, count + 1):
            if name:
                self.values.names[name] = turn
            self.block(st.body)

    def do_retry(self, st):
        deadline = time.monotonic() + st.words[0]
        while True:
            try:
                return self.block(st.body)
            except Mismatch:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def do_ctl(self, st):
        command = self.values.text(st.words[0].encode()).decode()
        self.log(f"ctl {command}")
        code, out = self.broker.ctl(command)
        if code:
            raise Mismatch(st, "ctl to succeed", f"exit {code}: {out}")
        if st.then is not None and not Matcher(self.values).same(st.then, out.encode()):
            raise Mismatch(st, st.text.partition(" => ")[2], out)

    # connections

    def conn(self, st):
        """The connection, opened as guest when the script has not done it."""
        conn = self.conns.get(st.conn)
        if conn and not (conn.dead and conn.auto):
            return conn
        if conn:
            self.sent.append((conn.name, bytes(conn.sent)))
            conn.drop()
        got = self.open(st, {})
        if got:
            raise Mismatch(st, "connection.open-ok", str(got))
        return self.conns[st.conn]

    def open(self, st, options):
        conn = self.connect(st)
        base = {"user": b"guest", "password": b"guest", "mechanism": b"PLAIN", "capabilities": CAPABILITIES,
                "vhost": as_octets(self.values.get("vhost"))}
        if "capabilities" in options:
            options["capabilities"] = [as_octets(n).decode() for n in options["capabilities"]]
        try:
            return conn.handshake({**base, **options}, time.monotonic() + self.timeout)
        except Timeout:
            raise Mismatch(st, "the handshake to go on", "nothing") from None

    def connect(self, st):
        old = self.conns.get(st.conn)
        if old:
            self.sent.append((old.name, bytes(old.sent)))
            old.drop()
        conn = Connection(st.conn, self.spec, self.broker.address, self.log)
        self.conns[st.conn] = conn
        self.values.names[st.conn + "_port"] = conn.local_port()
        return conn

    def do_connect(self, st):
        self.connect(st).chunk = self.options(st).get("chunk", 0)

    def options(self, st):
        values = {f.name: self.values.eval(f.value) for f in st.fields}
        if "until" in values:
            values["until"] = values["until"].decode()
        if "user" in values:
            values.setdefault("password", b"pw")
        return values

    def do_open(self, st):
        got = self.open(st, self.options(st))
        if st.then:
            if not got:
                raise Mismatch(st, self.wanted(st.then), "connection.open-ok")
            self.check(st.then, self.conns[st.conn], got)
            self.settle(self.conns[st.conn], got)
        elif got:
            raise Mismatch(st, "connection.open-ok", str(got))

    def do_close(self, st):
        conn = self.conn(st)
        conn.send_method(0, "connection.close", {"reply_code": 200, "reply_text": b"done"})
        while True:
            got = self.receive(st, conn, 0)
            if got.name == "connection.close-ok":
                break
            if got.name != "heartbeat":
                raise Mismatch(st, "connection.close-ok", str(got))
        conn.inbox.clear()
        conn.drop()

    def do_drop(self, st):
        conn = self.conn(st)
        conn.inbox.clear()
        conn.drop()

    def do_shut(self, st):
        self.conns[st.conn].sock.shutdown(1)

    def do_declare(self, st):
        """A queue of the script's kind: its variable, its name if the kind has none, more arguments."""
        name = st.words[0]
        arguments = Table(self.kind.get("arguments", ()))
        if len(st.words) > 1:
            more = self.values.eval(st.words[1])
            arguments = Table([pair for pair in arguments if pair[0] not in {k for k, _ in more}] + list(more))
        fields = {"queue": name.encode(), **self.kind, "arguments": arguments}
        call = Statement(st.path, st.line, st.text)
        call.verb, call.conn, call.channel, call.name = "call", st.conn, st.channel, "queue.declare"
        call.fields = [Field(key, "=", value) for key, value in fields.items()]
        call.then = Statement(st.path, st.line, st.text)
        call.then.verb, call.then.conn, call.then.channel = "expect", st.conn, st.channel
        if st.then:
            call.then.name, call.then.fields, call.then.words = st.then.name, st.then.fields, st.then.words
        if not st.then or st.then.name in (None, "queue.declare-ok"):
            self.values.names.pop(name, None)
            call.then.fields = call.then.fields + [Field("queue", "=", Var(name))]
        self.do_call(call)

    def do_hold(self, st):
        self.conn(st).hold()

    def do_flush(self, st):
        self.conn(st).flush()

    # sending

    def usual_channel(self, st):
        if st.channel is not None:
            return st.channel
        zero = st.name.startswith("connection.") or st.name in PSEUDO
        return 0 if zero else 1

    def do_send(self, st):
        conn = self.conn(st)
        special = getattr(self, "send_" + st.name.replace("-", "_"), None)
        channel = self.usual_channel(st)
        if special:
            special(st, conn, channel)
            return
        if st.name not in self.spec.methods:
            raise ScriptError(f"{st.where()}: no method {st.name!r}")
        if st.name == "channel.open":
            conn.open_channels.add(channel)
        if conn.auto and not st.plain and not st.name.startswith("connection."):
            self.open_channel(st, conn, channel)
        self.send_method(st, conn, channel)

    def open_channel(self, st, conn, channel):
        if channel == 0 or channel in conn.open_channels:
            return
        conn.send_method(channel, "channel.open", {})
        got = self.receive(st, conn, channel)
        if got.name != "channel.open-ok":
            raise Mismatch(st, "channel.open-ok", str(got))
        conn.open_channels.add(channel)

    def send_method(self, st, conn, channel):
        method = self.spec.methods[st.name]
        values = {f.name: self.values.eval(f.value) for f in st.fields}
        content = {key: values.pop(key, None) for key in ("body", "props", "raw_props", "split")}
        unknown = set(values) - {name for name, _ in method.fields}
        if unknown:
            raise ScriptError(f"{st.where()}: {st.name} has no field {', '.join(sorted(unknown))}")
        conn.log(f"{conn.name}.{channel} > {st.name}" + "".join(f" {k}={show(v)}" for k, v in values.items())
                 + (f" body={show(content['body'])}" if content["body"] is not None else ""))
        data = self.frame(st, codec.FRAME_METHOD, channel, codec.method(method, values))
        if content["body"] is not None:
            data += self.content(conn, channel, method.class_id, content)
        conn.write(data)
        if st.name == "channel.close":
            conn.open_channels.discard(channel)

    def frame(self, st, kind, channel, payload):
        """A frame, damaged as the @modifiers say."""
        mods = {key: self.values.eval(value) for key, value in st.mods.items()}
        payload += mods.get("append", b"")
        if "cut" in mods:
            payload = payload[: -int(mods["cut"])]
        size = len(payload) + int(mods["grow"]) if "grow" in mods else int(mods.get("size", len(payload)))
        end = codec.FRAME_END
        if "end" in mods:
            end = None if mods["end"] == "none" else int(mods["end"], 0)
        return codec.frame(int(mods.get("type", kind)), channel, payload, size, end)

    def props(self, content):
        if content["raw_props"] is not None:
            return content["raw_props"]
        table = content["props"] or ()
        kinds = dict(self.spec.properties)
        values = {}
        for key, typed in table:
            name = key.decode().replace("-", "_")
            if name not in kinds:
                raise ScriptError(f"no property {name!r}")
            values[name] = typed.value
        return codec.properties(self.spec.properties, values)

    def content(self, conn, channel, class_id, content):
        body, step = content["body"], conn.frame_max - 8
        header = codec.content_header(class_id, 0, len(body), self.props(content))
        out, at = [codec.frame(codec.FRAME_HEADER, channel, header)], 0
        cuts = content["split"] or [step] * -(-len(body) // step)
        for cut in cuts:
            out.append(codec.frame(codec.FRAME_BODY, channel, body[at:at + cut]))
            at += cut
        return b"".join(out)

    def send_raw(self, st, conn, channel):
        data = b"".join(as_octets(self.values.eval(w)) for w in st.words)
        conn.log(f"{conn.name} > raw {data[:60].hex()}")
        conn.write(data)

    def send_header(self, st, conn, channel):
        conn.log(f"{conn.name} > header {' '.join(st.words)}")
        conn.write(b"AMQP" + bytes(int(w) for w in st.words))

    def send_heartbeat(self, st, conn, channel):
        payload = b"".join(as_octets(self.values.eval(f.value)) for f in st.fields if f.name == "payload")
        conn.log(f"{conn.name}.{channel} > heartbeat")
        conn.write(self.frame(st, codec.FRAME_HEARTBEAT, channel, payload))

    def send_frame(self, st, conn, channel):
        values = {f.name: self.values.eval(f.value) for f in st.fields}
        conn.log(f"{conn.name}.{channel} > frame {st.text}")
        conn.write(self.frame(st, values.get("type", 1), channel, values.get("payload", b"")))

    def send_content_header(self, st, conn, channel):
        values = {f.name: self.values.eval(f.value) for f in st.fields}
        content = {"props": values.get("props"), "raw_props": values.get("raw_props")}
        payload = codec.content_header(values.get("class_id", 60), values.get("weight", 0),
                                       values.get("size", 0), self.props(content))
        conn.log(f"{conn.name}.{channel} > content-header size={values.get('size', 0)}")
        conn.write(self.frame(st, codec.FRAME_HEADER, channel, payload))

    def send_content_body(self, st, conn, channel):
        data = b"".join(as_octets(self.values.eval(w)) for w in st.words)
        conn.log(f"{conn.name}.{channel} > content-body {show(data)}")
        conn.write(self.frame(st, codec.FRAME_BODY, channel, data))

    # expecting

    def receive(self, st, conn, channel):
        wait = seconds(st.mods["within"]) if "within" in st.mods else self.timeout
        try:
            return conn.get(channel, time.monotonic() + wait)
        except Timeout:
            raise Mismatch(st, self.wanted(st), f"nothing within {wait:g} s"
                           + (" (socket closed)" if conn.eof else "")) from None

    @staticmethod
    def wanted(st):
        text = st.text
        if " => " in text and st.verb == "expect":
            text = text.partition(" => ")[2]
        return text

    def do_expect(self, st):
        special = {"nothing": self.expect_nothing, "confirms": self.expect_confirms}.get(st.name)
        conn = self.conns.get(st.conn)
        if not conn:
            raise ScriptError(f"{st.where()}: {st.conn} is not connected")
        if special:
            special(st, conn)
            return
        start = time.monotonic()
        got = self.receive(st, conn, self.usual_channel(st))
        while got.name == "heartbeat" and st.name != "heartbeat":
            got = self.receive(st, conn, self.usual_channel(st))
        self.check(st, conn, got)
        self.not_before(st, start)
        if not st.plain:
            self.settle(conn, got)

    @staticmethod
    def not_before(st, start):
        took = time.monotonic() - start
        if "after" in st.mods and took < seconds(st.mods["after"]):
            raise Mismatch(st, f"not before {st.mods['after']}", f"after {took:.3f} s")

    def settle(self, conn, got):
        """Answers a close, so that the script need not."""
        if got.name == "channel.close":
            conn.send_method(got.channel, "channel.close-ok", {})
            conn.open_channels.discard(got.channel)
        elif got.name == "connection.close":
            conn.send_method(0, "connection.close-ok", {})
            conn.dead = True
        elif got.name == "closed":
            conn.dead = True

    def check(self, st, conn, got):
        matcher = Matcher(self.values)
        if not self.matches(st, got, matcher):
            raise Mismatch(st, self.wanted(st), f"{conn.name}.{got.channel} {got}")
        matcher.commit()

    def matches(self, st, got, matcher):
        if got.name != st.name:
            return False
        fields = list(st.fields) + self.positional(st)
        for field in fields:
            if not matcher.compare(field.op, field.value, self.part(got, field.name)):
                return False
        return True

    @staticmethod
    def positional(st):
        """The words of an expected close: code, text."""
        if not st.words:
            return []
        if not st.name.endswith((".close", ".return")) or len(st.words) > 2:
            raise ScriptError(f"{st.where()}: stray word {st.words[0]!r}")
        names = ("reply_code", "reply_text")
        return [Field(name, "=", int(word) if name == "reply_code" else word)
                for name, word in zip(names, st.words) if not isinstance(word, Word)]

    def part(self, got, name):
        if name == "by":
            ids = got.fields["class_id"], got.fields["method_id"]
            method = self.spec.find(*ids)
            return (method.name if method else "none" if ids == (0, 0) else "%d.%d" % ids).encode()
        if name == "body_size":
            return None if got.body is None else len(got.body)
        if name == "body_frames":
            return codec.Array(got.frames)
        if name in ("body", "props", "raw_props"):
            return getattr(got, name)
        if name not in got.fields:
            raise ScriptError(f"{got.name} has no field {name}")
        return got.fields[name]

    def expect_nothing(self, st, conn):
        """Nothing on the channel, or without one on the whole connection, but heartbeats."""
        deadline = time.monotonic() + seconds(st.words[0])

        def found():
            for channel, queue in conn.inbox.items():
                for message in queue:
                    if st.channel in (None, channel) and message.name != "heartbeat":
                        return message
            return None

        while not found():
            try:
                conn.pump(deadline)
            except Timeout:
                return
        raise Mismatch(st, self.wanted(st), f"{conn.name}.{found().channel} {found()}")

    def expect_confirms(self, st, conn):
        """Acks (and nacks) in any grouping until exactly these tags are covered."""
        acks = spans(self.values, st.words)
        nacks = {t for f in st.fields if f.name == "nack" for t in spans(self.values, [f.value])}
        open_tags = acks | nacks
        while open_tags:
            got = self.receive(st, conn, 1 if st.channel is None else st.channel)
            if got.name not in ("basic.ack", "basic.nack"):
                raise Mismatch(st, self.wanted(st), str(got))
            tag = got.fields["delivery_tag"]
            covered = {t for t in open_tags if t <= tag} if got.fields["multiple"] else {tag}
            if not covered <= (acks if got.name == "basic.ack" else nacks) & open_tags:
                raise Mismatch(st, self.wanted(st), f"{got} (open: {sorted(open_tags)})")
            open_tags -= covered

    def do_call(self, st):
        """Sends and awaits the reply, or what stands after '=>'."""
        self.do_send(st)
        conn, then = self.conns[st.conn], st.then
        if then is None:
            then = Statement(st.path, st.line, st.text)
            then.verb, then.conn, then.channel = "expect", st.conn, st.channel
        if then.name is None:
            responses = self.spec.methods[st.name].responses
            if not responses:
                raise ScriptError(f"{st.where()}: {st.name} has no reply")
            then.name = responses[0]
        then.mods = {k: v for k, v in then.mods.items() if k in ("within", "after")}
        got = self.receive(then, conn, 0 if then.name.startswith("connection.") else self.usual_channel(st))
        while got.name == "heartbeat":
            got = self.receive(then, conn, self.usual_channel(st))
        self.check(then, conn, got)
        if then.name in ("channel.close", "connection.close") and not any(f.name == "by" for f in then.fields):
            if self.part(got, "by") != st.name.encode():
                raise Mismatch(then, f"by={st.name}", str(got))
        self.settle(conn, got)

    def do_group(self, st):
        """The expectations of the body, in any order."""
        left = [s for s in st.body if self.is_meant(s)]
        start = time.monotonic()
        deadline = start + max([self.timeout] + [seconds(s.mods["within"]) for s in left if "within" in s.mods])
        while left:
            for conn, channel in {(s.conn, self.usual_channel(s)): None for s in left}:
                try:
                    got = self.conns[conn].get(channel, min(deadline, time.monotonic() + 0.02))
                except Timeout:
                    continue
                if got.name != "heartbeat":
                    item = self.pick(st, left, conn, channel, got)
                    self.not_before(item, start)
                    left.remove(item)
            if time.monotonic() > deadline:
                raise Mismatch(st, "\n    ".join(s.text for s in left), "nothing more")

    def pick(self, st, left, conn, channel, got):
        for item in left:
            matcher = Matcher(self.values)
            if item.conn == conn and self.usual_channel(item) == channel and self.matches(item, got, matcher):
                matcher.commit()
                if not item.plain:
                    self.settle(self.conns[conn], got)
                return item
        raise Mismatch(st, "one of\n    " + "\n    ".join(s.text for s in left), f"{conn}.{got.channel} {got}")


def spans(values, words):
    """{1, 2, 3, 7} for '1-3,7'."""
    out = set()
    for word in words:
        text = word if isinstance(word, str) else as_octets(values.eval(word)).decode()
        for item in text.split(","):
            first, _, last = item.partition("-")
            out |= set(range(int(first), int(last or first) + 1))
    return out
