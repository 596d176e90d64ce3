"""A client on a raw socket, for what libraries hide: any address, any first bytes, exact numbers and texts."""

import socket
import struct

PATIENCE = 20


class Refused(Exception):
    """The broker sent connection.close or ended the connection."""

    def __init__(self, code, text):
        super().__init__(f"{code} {text}")
        self.code, self.text = code, text


def short(text):
    data = text.encode()
    return bytes([len(data)]) + data


def long(data):
    return struct.pack(">I", len(data)) + data


def take_short(data):
    return data[1:1 + data[0]].decode(), data[1 + data[0]:]


def take_long(data):
    size, = struct.unpack(">I", data[:4])
    return data[4:4 + size], data[4 + size:]


def dial(address, source=None):
    """A connected socket; address is a port of 127.0.0.1, (host, port), or the path of a unix socket."""
    if isinstance(address, str):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(PATIENCE)
        s.connect(address)
        return s
    s = socket.create_connection(("127.0.0.1", address) if isinstance(address, int) else address, PATIENCE,
                                 source_address=source)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def end_of(s):
    """What comes until the other side ends."""
    data = b""
    try:
        while True:
            more = s.recv(65536)
            if not more:
                return data
            data += more
    except ConnectionError:
        return data


class Raw:
    """first: bytes before everything else. tls: an ssl.SSLContext, spoken behind them."""

    def __init__(self, address, first=b"", tls=None, name="localhost", source=None):
        self.socket = dial(address, source)
        self.data = b""
        if first:
            self.socket.sendall(first)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname=name)

    # ---- frames ----
    def read(self, n):
        while len(self.data) < n:
            more = self.socket.recv(65536)
            if not more:
                raise Refused(0, "the connection ended")
            self.data += more
        taken, self.data = self.data[:n], self.data[n:]
        return taken

    def frame(self):
        """(type, channel, payload)"""
        kind, channel, size = struct.unpack(">BHI", self.read(7))
        payload = self.read(size)
        if self.read(1) != b"\xce":
            raise AssertionError("a frame end is missing")
        return kind, channel, payload

    def send(self, class_id, method_id, args=b"", channel=0):
        self.send_frame(1, channel, struct.pack(">HH", class_id, method_id) + args)

    def send_frame(self, kind, channel, payload):
        self.socket.sendall(struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce")

    def expect(self, class_id, method_id):
        """The arguments of the next method, which must be this one; heartbeats are passed over."""
        while True:
            kind, channel, payload = self.frame()
            if kind == 8:
                continue
            ids = struct.unpack(">HH", payload[:4]) if kind == 1 else kind
            if ids == (class_id, method_id):
                return payload[4:]
            if ids in ((10, 50), (20, 40)):
                text, _ = take_short(payload[6:])
                raise Refused(struct.unpack(">H", payload[4:6])[0], text)
            raise AssertionError(f"got {ids} on channel {channel}, wanted {(class_id, method_id)}")

    # ---- the handshake ----
    def greet(self):
        """The mechanisms that connection.start offers."""
        self.socket.sendall(b"AMQP\0\0\x09\x01")
        start = self.expect(10, 10)
        _, rest = take_long(start[2:])
        mechanisms, _ = take_long(rest)
        return mechanisms.decode().split()

    def login(self, user="guest", password="guest", mechanism="PLAIN", response=None, close=True):
        """As far as connection.tune; its (channel_max, frame_max, heartbeat). close: the client wants to be told
        why a login is refused."""
        capabilities = short("authentication_failure_close") + b"t" + bytes([close])
        properties = short("capabilities") + b"F" + long(capabilities)
        if response is None:
            response = f"\0{user}\0{password}".encode()
        self.send(10, 11, long(properties) + short(mechanism) + long(response) + short("en_US"))
        self.tune = struct.unpack(">HIH", self.expect(10, 30))
        return self.tune

    def open(self, vhost="/", heartbeat=0):
        channel_max, frame_max, _ = self.tune
        self.send(10, 31, struct.pack(">HIH", channel_max, frame_max, heartbeat))
        self.send(10, 40, short(vhost) + short("") + b"\0")
        self.expect(10, 41)
        return self

    def connect(self, heartbeat=0, vhost="/", **login):
        self.greet()
        self.login(**login)
        return self.open(vhost, heartbeat)

    # ---- a little more ----
    def open_channel(self, number=1):
        self.send(20, 10, short(""), number)
        self.expect(20, 11)

    def round_trip(self, queue="raw", body=b"hello"):
        """A message through a queue, on channel 1."""
        self.open_channel()
        self.send(50, 10, b"\0\0" + short(queue) + b"\0" + long(b""), 1)
        self.expect(50, 11)
        self.send(60, 40, b"\0\0" + short("") + short(queue) + b"\0", 1)
        self.send_frame(2, 1, struct.pack(">HHQH", 60, 0, len(body), 0))
        self.send_frame(3, 1, body)
        self.send(60, 70, b"\0\0" + short(queue) + b"\1", 1)
        self.expect(60, 71)
        self.frame()
        got = self.frame()[2]
        if got != body:
            raise AssertionError(f"got {got!r}, wanted {body!r}")
        self.send(20, 40, struct.pack(">HBHH", 200, 0, 0, 0), 1)
        self.expect(20, 41)
        return self

    def refusal(self):
        """(code, text) of the connection.close that comes, answered."""
        try:
            method = self.expect(0, 0)
        except Refused as why:
            if why.code:
                self.send(10, 51)
            return why.code, why.text
        raise AssertionError(f"got {method!r}, wanted connection.close")

    def ended(self):
        """What comes until the broker ends the connection."""
        rest, self.data = self.data, b""
        return rest + end_of(self.socket)

    def leave(self):
        """connection.close and its answer."""
        self.send(10, 50, struct.pack(">HBHH", 200, 0, 0, 0))
        self.expect(10, 51)
        self.socket.close()

    def drop(self):
        self.socket.close()
