"""A client that can also do everything wrong: frames are built by hand, nothing is checked on the way out."""

import collections
import select
import socket
import struct
import time

HEADER = b"AMQP\x00\x00\x09\x01"
END = b"\xce"
METHOD, CONTENT, BODY, HEARTBEAT = 1, 2, 3, 8


class Closed(Exception):
    """The broker closed: code 0 without a close frame, else connection.close or channel.close."""

    def __init__(self, code=0, text="", channel=0):
        super().__init__(f"{'channel %d' % channel if channel else 'connection'} closed: {code} {text}")
        self.code, self.text, self.channel = code, text, channel


class Silence(Exception):
    """Nothing came in time."""


def short(text):
    data = text.encode() if isinstance(text, str) else text
    return bytes([len(data)]) + data


def long(data):
    data = data.encode() if isinstance(data, str) else data
    return struct.pack(">I", len(data)) + data


def frame(kind, channel, payload, end=END):
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + end


def method(channel, klass, number, args=b""):
    return frame(METHOD, channel, struct.pack(">HH", klass, number) + args)


# ---- methods, as frames ----
def start_ok(user="guest", password="guest", capabilities=(), properties=b""):
    table = b"".join(short(name) + b"t\x01" for name in capabilities)
    table = properties + (short("capabilities") + b"F" + long(table) if table else b"")
    return method(0, 10, 11, long(table) + short("PLAIN") + long(f"\0{user}\0{password}") + short("en_US"))


def tune_ok(channel_max=2047, frame_max=131072, heartbeat=0):
    return method(0, 10, 31, struct.pack(">HIH", channel_max, frame_max, heartbeat))


def connection_open(vhost="/"):
    return method(0, 10, 40, short(vhost) + b"\0\0")


def connection_close():
    return method(0, 10, 50, struct.pack(">H", 200) + short("bye") + b"\0\0\0\0")


def connection_close_ok():
    return method(0, 10, 51)


def channel_open(channel):
    return method(channel, 20, 10, b"\0")


def channel_flow(channel, active=True):
    return method(channel, 20, 20, bytes([active]))


def channel_close(channel):
    return method(channel, 20, 40, struct.pack(">H", 200) + short("bye") + b"\0\0\0\0")


def exchange_declare(channel, name, kind="direct", flags=0, arguments=b""):
    return method(channel, 40, 10, b"\0\0" + short(name) + short(kind) + bytes([flags]) + long(arguments))


def exchange_delete(channel, name, flags=0):
    return method(channel, 40, 20, b"\0\0" + short(name) + bytes([flags]))


PASSIVE, DURABLE, EXCLUSIVE, AUTO_DELETE, NO_WAIT = 1, 2, 4, 8, 16


def table(arguments):
    """The pairs of a dictionary of numbers, texts and truths, as long() takes them."""
    def field(value):
        if isinstance(value, bool):
            return b"t" + bytes([value])
        return b"l" + struct.pack(">q", value) if isinstance(value, int) else b"S" + long(value)

    return b"".join(short(key) + field(value) for key, value in arguments.items())


def queue_declare(channel, name, flags=0, arguments=b""):
    return method(channel, 50, 10, b"\0\0" + short(name) + bytes([flags]) + long(arguments))


def queue_bind(channel, queue, exchange, key="", no_wait=False):
    return method(channel, 50, 20, b"\0\0" + short(queue) + short(exchange) + short(key) + bytes([no_wait]) + long(b""))


def queue_purge(channel, name):
    return method(channel, 50, 30, b"\0\0" + short(name) + b"\0")


def queue_delete(channel, name, no_wait=False):
    return method(channel, 50, 40, b"\0\0" + short(name) + bytes([4 * no_wait]))


def qos(channel, count, everywhere=False):
    return method(channel, 60, 10, struct.pack(">IHB", 0, count, everywhere))


NO_ACK, CONSUME_EXCLUSIVE, CONSUME_NO_WAIT = 2, 4, 8


def consume(channel, queue, tag="", flags=0, arguments=b""):
    return method(channel, 60, 20, b"\0\0" + short(queue) + short(tag) + bytes([flags]) + long(arguments))


def cancel(channel, tag, no_wait=False):
    return method(channel, 60, 30, short(tag) + bytes([no_wait]))


def publish_method(channel, key, exchange="", mandatory=False):
    return method(channel, 60, 40, b"\0\0" + short(exchange) + short(key) + bytes([mandatory]))


def content_header(channel, size, properties=b"\0\0", klass=60, weight=0):
    return frame(CONTENT, channel, struct.pack(">HHQ", klass, weight, size) + properties)


def publish(channel, key, body=b"", exchange="", mandatory=False, frame_max=131072, properties=b"\0\0"):
    parts = [publish_method(channel, key, exchange, mandatory), content_header(channel, len(body), properties)]
    step = frame_max - 8
    parts += [frame(BODY, channel, body[at : at + step]) for at in range(0, len(body), step)]
    return b"".join(parts)


def get(channel, queue, no_ack=False):
    return method(channel, 60, 70, b"\0\0" + short(queue) + bytes([no_ack]))


def ack(channel, tag, multiple=False):
    return method(channel, 60, 80, struct.pack(">QB", tag, multiple))


def reject(channel, tag, requeue=True):
    return method(channel, 60, 90, struct.pack(">QB", tag, requeue))


def nack(channel, tag, multiple=False, requeue=True):
    return method(channel, 60, 120, struct.pack(">QB", tag, multiple | 2 * requeue))


def confirm_select(channel):
    return method(channel, 85, 10, b"\0")


def tx_select(channel):
    return method(channel, 90, 10)


def tx_commit(channel):
    return method(channel, 90, 20)


def tx_rollback(channel):
    return method(channel, 90, 30)


# ---- what the broker sends ----
NAMES = {
    (10, 10): "start", (10, 30): "tune", (10, 41): "open-ok", (10, 50): "connection.close",
    (10, 51): "connection.close-ok", (10, 60): "blocked", (10, 61): "unblocked",
    (20, 11): "channel.open-ok", (20, 21): "flow-ok", (20, 40): "channel.close", (20, 41): "channel.close-ok",
    (40, 11): "exchange.declare-ok", (40, 21): "exchange.delete-ok", (50, 11): "declare-ok", (50, 21): "bind-ok",
    (50, 31): "purge-ok", (50, 41): "delete-ok", (60, 11): "qos-ok", (60, 21): "consume-ok", (60, 30): "cancel",
    (60, 31): "cancel-ok", (60, 50): "return", (60, 60): "deliver", (60, 71): "get-ok", (60, 72): "get-empty",
    (60, 80): "ack", (60, 120): "nack", (85, 11): "confirm-ok", (90, 11): "tx-ok", (90, 21): "commit-ok",
    (90, 31): "rollback-ok",
}
WITH_CONTENT = {"return", "deliver", "get-ok"}


class Event:
    """One method of the broker, with its body if it has one."""

    def __init__(self, channel, name, args):
        self.channel, self.name, self.args, self.body, self.properties = channel, name, args, b"", b""

    def tag(self):
        """The delivery tag of deliver, get-ok, ack or nack."""
        at = 1 + self.args[0] if self.name == "deliver" else 0
        return struct.unpack_from(">Q", self.args, at)[0]

    def multiple(self):
        return self.args[8] & 1

    def redelivered(self):
        at = 1 + self.args[0] if self.name == "deliver" else 0
        return bool(self.args[at + 8])

    def counts(self):
        """Of declare-ok: messages, consumers."""
        return struct.unpack_from(">II", self.args, 1 + self.args[0])

    def queue(self):
        """Of declare-ok: the name."""
        return self.args[1 : 1 + self.args[0]].decode()

    def count(self):
        """Of purge-ok and delete-ok: messages."""
        return struct.unpack_from(">I", self.args, 0)[0]

    def reason(self):
        code, size = struct.unpack_from(">HB", self.args, 0)
        return code, self.args[3 : 3 + size].decode(errors="replace")


def connect(address, timeout=10):
    """A bare socket. address: a port of 127.0.0.1."""
    sock = socket.create_connection(("127.0.0.1", address), timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class Client:
    """A connection; events come in order from next() and expect()."""

    def __init__(self, port, channels=1, capabilities=("authentication_failure_close", "consumer_cancel_notify",
                                                       "connection.blocked", "basic.nack"),
                 frame_max=131072, heartbeat=0, sock=None, vhost="/", handshake=True, small=False):
        self.sock = sock or connect(port)
        if small:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        self.buffer = bytearray()
        self.events = collections.deque()
        self.open_content = {}
        if not handshake:
            return
        self.send(HEADER + start_ok(capabilities=capabilities) + tune_ok(frame_max=frame_max, heartbeat=heartbeat)
                  + connection_open(vhost) + b"".join(channel_open(n) for n in range(1, channels + 1)))
        self.expect("open-ok")
        for _ in range(channels):
            self.expect("channel.open-ok")

    def send(self, data, timeout=30):
        self.sock.settimeout(timeout)
        self.sock.sendall(data)

    def take_frames(self):
        """Turns whole frames of the buffer into events."""
        at, buffer = 0, self.buffer
        while len(buffer) - at >= 7:
            kind, channel, size = struct.unpack_from(">BHI", buffer, at)
            if len(buffer) - at < size + 8:
                break
            if buffer[at + 7 + size] != 0xCE:
                raise AssertionError("the broker sent a frame without its end")
            self.on_frame(kind, channel, bytes(buffer[at + 7 : at + 7 + size]))
            at += size + 8
        del buffer[:at]

    def on_frame(self, kind, channel, payload):
        if kind == METHOD:
            klass, number = struct.unpack_from(">HH", payload)
            event = Event(channel, NAMES.get((klass, number), f"{klass}.{number}"), payload[4:])
            if event.name in WITH_CONTENT:
                self.open_content[channel] = [event, 0, [], 0]
            else:
                self.events.append(event)
        elif kind == CONTENT:
            size = struct.unpack_from(">Q", payload, 4)[0]
            self.open_content[channel][1] = size
            self.open_content[channel][0].properties = payload[12:]
            if not size:
                self.events.append(self.open_content.pop(channel)[0])
        elif kind == BODY:
            content = self.open_content[channel]
            content[2].append(payload)
            content[3] += len(payload)
            if content[3] >= content[1]:
                content[0].body = b"".join(content[2])
                self.events.append(content[0])
                del self.open_content[channel]

    def receive(self, timeout):
        """What has come, or comes: it becomes events. Closed, Silence."""
        self.sock.settimeout(timeout)
        try:
            data = self.sock.recv(262144)
        except (socket.timeout, BlockingIOError):
            raise Silence() from None
        except OSError as error:
            raise Closed(0, str(error)) from None
        if not data:
            raise Closed(0, "end of stream")
        self.buffer += data
        self.take_frames()

    def next(self, timeout=30, raise_closed=True):
        """The next event; Closed, Silence."""
        deadline = time.monotonic() + timeout
        while not self.events:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Silence()
            self.receive(left)
        event = self.events.popleft()
        if raise_closed and event.name == "connection.close":
            code, text = event.reason()
            self.quietly(connection_close_ok())
            raise Closed(code, text)
        if raise_closed and event.name == "channel.close":
            code, text = event.reason()
            self.quietly(method(event.channel, 20, 41))
            raise Closed(code, text, event.channel)
        return event

    def quietly(self, data):
        try:
            self.send(data, 5)
        except OSError:
            pass

    def expect(self, name, timeout=30):
        """The next event of that name; others before it are passed over."""
        deadline = time.monotonic() + timeout
        while True:
            event = self.next(max(0.001, deadline - time.monotonic()))
            if event.name == name:
                return event

    def ask(self, data, answer, timeout=30):
        self.send(data)
        return self.expect(answer, timeout)

    def declare(self, name, flags=0, channel=1):
        return self.ask(queue_declare(channel, name, flags), "declare-ok")

    def messages(self, name, channel=1):
        return self.declare(name, PASSIVE, channel).counts()[0]

    def delete(self, name, channel=1):
        return self.ask(queue_delete(channel, name), "delete-ok").count()

    def readable(self, timeout=0):
        return bool(self.events) or bool(select.select([self.sock], [], [], timeout)[0])

    def fate(self, timeout=15):
        """Waits for the end: (reply code or 0, text). Silence if the connection lives on."""
        try:
            while True:
                self.next(timeout)
        except Closed as closed:
            if closed.channel:
                return self.fate(timeout)
            return closed.code, closed.text

    def close(self):
        """Politely."""
        try:
            self.send(connection_close(), 10)
            self.expect("connection.close-ok", 10)
        except (Closed, Silence, OSError):
            pass
        self.sock.close()

    def kill(self):
        """With a reset, as when a process dies."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, *rest):
        if kind:
            self.sock.close()
        else:
            self.close()
