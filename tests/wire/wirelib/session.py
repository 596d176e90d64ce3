"""One connection: the socket, frames into messages, the handshake, open channels."""

import collections
import re
import socket
import struct
import time

from . import codec
from .codec import Table, Typed
from .match import show

CAPABILITIES = ("publisher_confirms", "exchange_exchange_bindings", "basic.nack",
                "consumer_cancel_notify", "connection.blocked", "authentication_failure_close")


class Message:
    """What arrived: a method with its content, or heartbeat, header, closed, garbage."""

    def __init__(self, channel, name, fields=None):
        self.channel = channel
        self.name = name
        self.fields = fields or {}
        self.props = None
        self.raw_props = b""
        self.size = 0
        self.body = None
        self.frames = []

    def __str__(self):
        out = self.name + "".join(f" {k}={show(v)}" for k, v in self.fields.items())
        if self.body is not None:
            out += f" body={show(self.body)} props={show(self.props)}"
        return out


class Timeout(Exception):
    """Nothing came in time."""


class Connection:
    """A raw AMQP connection; every wait has a deadline."""

    def __init__(self, name, spec, address, log):
        self.name = name
        self.spec = spec
        self.log = log
        self.sock = self.dial(address)
        self.buffer = bytearray()
        self.inbox = collections.defaultdict(collections.deque)
        self.partial = {}
        self.eof = False
        self.greeted = False
        self.auto = False
        self.dead = False
        self.open_channels = set()
        self.frame_max = 131072
        self.chunk = 0
        self.held = None
        self.sent = bytearray()
        self.server_properties = None

    @staticmethod
    def dial(address):
        if isinstance(address, str):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.settimeout(5)
            sock.connect(address)
            return sock
        sock = socket.create_connection(address, 5)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def local_port(self):
        return self.sock.getsockname()[1]

    # sending

    def write(self, data):
        self.sent += data
        if self.held is not None:
            self.held += data
            return
        try:
            self.sock.settimeout(10)
            if self.chunk:
                for start in range(0, len(data), self.chunk):
                    self.sock.sendall(data[start : start + self.chunk])
                    time.sleep(0.0005)
            else:
                self.sock.sendall(data)
        except OSError as err:
            self.log(f"{self.name} ! write failed: {err}")

    def hold(self):
        self.held = bytearray()

    def flush(self):
        data, self.held = self.held or b"", None
        self.write(bytes(data))

    def send_method(self, channel, name, values):
        spec = self.spec.methods[name]
        self.log(f"{self.name}.{channel} > {name}" + "".join(f" {k}={show(v)}" for k, v in values.items()))
        self.write(codec.frame(codec.FRAME_METHOD, channel, codec.method(spec, values)))

    # receiving

    def pump(self, deadline):
        """Reads until one more message is in an inbox; Timeout at the deadline."""
        while True:
            message = self.parse()
            if message:
                self.log(f"{self.name}.{message.channel} < {message}")
                self.inbox[message.channel].append(message)
                return message
            if self.eof:
                raise Timeout()
            left = deadline - time.monotonic()
            if left <= 0:
                raise Timeout()
            self.sock.settimeout(left)
            try:
                data = self.sock.recv(1 << 18)
            except socket.timeout:
                raise Timeout() from None
            except OSError:
                data = b""
            self.buffer += data
            if not data:
                return self.on_eof()

    def on_eof(self):
        self.eof = True
        if self.buffer:
            self.inbox[0].append(Message(0, "garbage", {"octets": bytes(self.buffer)}))
            self.buffer.clear()
        self.log(f"{self.name} < closed")
        closed = Message(0, "closed")
        self.inbox[0].append(closed)
        return closed

    def parse(self):
        """The next whole message in the buffer, or None."""
        while True:
            if self.buffer[:4] == b"AMQP":
                if len(self.buffer) < 8:
                    return None
                octets = bytes(self.buffer[4:8])
                del self.buffer[:8]
                return Message(0, "header", {"version": ".".join(map(str, octets)).encode()})
            if len(self.buffer) < 7:
                return None
            kind, channel, size = struct.unpack(">BHI", self.buffer[:7])
            if len(self.buffer) < size + 8:
                return None
            payload, end = bytes(self.buffer[7 : 7 + size]), self.buffer[7 + size]
            del self.buffer[: size + 8]
            if end != codec.FRAME_END:
                return Message(0, "garbage", {"octets": payload})
            message = self.on_frame(kind, channel, payload)
            if message:
                return message

    def on_frame(self, kind, channel, payload):
        if kind == codec.FRAME_METHOD:
            return self.on_method(channel, payload)
        if kind == codec.FRAME_HEARTBEAT:
            return Message(channel, "heartbeat")
        message = self.partial.get(channel)
        if kind == codec.FRAME_HEADER and message:
            message.size = struct.unpack(">Q", payload[4:12])[0]
            message.raw_props = payload[12:]
            message.props = codec.read_properties(self.spec.properties, message.raw_props)
            message.body = b""
        elif kind == codec.FRAME_BODY and message:
            message.frames.append(len(payload))
            message.body += payload
        else:
            return Message(channel, "garbage", {"kind": kind, "octets": payload})
        if len(message.body) < message.size:
            return None
        return self.partial.pop(channel)

    def on_method(self, channel, payload):
        ids = struct.unpack(">HH", payload[:4])
        spec = self.spec.find(*ids)
        if not spec:
            return Message(channel, "garbage", {"method": "%d.%d" % ids})
        message = Message(channel, spec.name, codec.read_method(spec, payload))
        if channel in self.partial:
            return Message(channel, "garbage", {"inside_content": spec.name})
        if spec.content:
            self.partial[channel] = message
            return None
        return message

    def get(self, channel, deadline):
        """The next message on the channel; one on channel 0 comes first if the connection ends."""
        while True:
            if self.inbox[channel]:
                return self.inbox[channel].popleft()
            if channel and self.inbox[0] and self.inbox[0][0].name in ("connection.close", "closed", "garbage"):
                return self.inbox[0].popleft()
            if self.eof:
                raise Timeout()
            self.pump(deadline)

    def get_control(self, deadline):
        """The next message on channel 0 that is no heartbeat."""
        while True:
            message = self.get(0, deadline)
            if message.name != "heartbeat":
                return message

    # handshake

    def login(self, options):
        """start-ok's fields for the options user, password, mechanism, response, properties."""
        user, password = options["user"], options["password"]
        mechanism = options["mechanism"].decode()
        response = b"\0" + user + b"\0" + password
        if mechanism == "AMQPLAIN":
            response = codec.table(Table([(b"LOGIN", Typed("S", user)), (b"PASSWORD", Typed("S", password))]))[4:]
        names = options["capabilities"]
        capabilities = Table((n.encode(), Typed("t", True)) for n in names)
        properties = Table([(b"product", Typed("S", b"wire")), (b"capabilities", Typed("F", capabilities))])
        return {"client_properties": options.get("properties", properties), "mechanism": options["mechanism"],
                "response": options.get("response", response), "locale": options.get("locale", b"en_US")}

    def handshake(self, options, deadline):
        """Runs the steps up to open-ok or options['until']; returns the first message that
        is not the awaited one, or None."""
        until = options.get("until")
        self.chunk = options.get("chunk", 0)
        if options.get("pipeline"):
            return self.pipelined(options, deadline)
        self.write(options.get("header", b"AMQP\0\0\x09\1"))
        got = self.get_control(deadline)
        if got.name != "connection.start":
            return got
        self.server_properties = got.fields["server_properties"]
        if until == "start":
            return None
        self.send_method(0, "connection.start-ok", self.login(options))
        got = self.get_control(deadline)
        if got.name != "connection.tune":
            return got
        if until == "tune":
            return None
        tuned = {key: options.get(key, got.fields[key]) for key in ("channel_max", "frame_max")}
        tuned["heartbeat"] = options.get("heartbeat", 0)
        self.send_method(0, "connection.tune-ok", tuned)
        self.frame_max = tuned["frame_max"] or 131072
        if until == "tuned":
            return None
        self.send_method(0, "connection.open", {"virtual_host": options["vhost"]})
        got = self.get_control(deadline)
        if got.name != "connection.open-ok":
            return got
        self.auto = True
        return None

    def pipelined(self, options, deadline):
        self.hold()
        self.write(b"AMQP\0\0\x09\1")
        self.send_method(0, "connection.start-ok", self.login(options))
        self.send_method(0, "connection.tune-ok", {
            "channel_max": 2047, "frame_max": 131072, "heartbeat": options.get("heartbeat", 0)})
        self.send_method(0, "connection.open", {"virtual_host": options["vhost"]})
        self.flush()
        for name in ("connection.start", "connection.tune", "connection.open-ok"):
            got = self.get_control(deadline)
            if got.name != name:
                return got
        self.auto = True
        return None

    def drop(self):
        self.dead = True
        try:
            self.sock.close()
        except OSError:
            pass


def product(spec, address):
    """The product name a broker announces, to tell the reference from Jackalope."""
    conn = Connection("probe", spec, address, lambda text: None)
    try:
        conn.handshake({"until": "start"}, time.monotonic() + 10)
        for key, value in conn.server_properties or ():
            if key == b"product":
                return re.sub(r"\W", "", value.value.decode()).lower()
        return ""
    finally:
        conn.drop()
