"""PROXY headers, versions 1 and 2: the true peer is shown, and counts for who may log in."""

import ipaddress
import struct
import tempfile
import time

import pika

from .broker import Broker
from .certs import server, trusting
from .raw import Raw, Refused
from .suite import case, equal, holds, refused

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LISTENERS = [{"address": "127.0.0.1:0", "proxy_protocol": True}]


def v1(source, destination="10.0.0.1", port=40000, to=5672):
    family = 6 if ":" in source else 4
    return f"PROXY TCP{family} {source} {destination} {port} {to}\r\n".encode()


def v2(source=None, destination=None, port=40000, to=5672, command=1, family=None, tail=b"", body=None):
    """source None: no addresses."""
    if body is None:
        body = b""
        if source:
            a, b = ipaddress.ip_address(source), ipaddress.ip_address(destination)
            family = 0x11 if a.version == 4 else 0x21
            body = a.packed + b.packed + struct.pack(">HH", port, to)
    body += tail
    return SIGNATURE + bytes([0x20 | command, family or 0]) + struct.pack(">H", len(body)) + body


def tlv(kind, value):
    return struct.pack(">BH", kind, len(value)) + value


def ask(b, header, **more):
    """What is shown of a connection that came behind this header."""
    client = Raw(b.port, first=header, **more)
    client.greet()
    client.login("app", "pw")
    client.open()
    row, = b.connections("peer_host", "peer_port", "host", "port", "name", "ssl")
    client.leave()
    return row


USERS = {"definitions": {"users": [{"name": "app", "password": "pw"}, {"name": "guest", "password": "guest"}],
                         "permissions": [{"user": u, "configure": ".*", "write": ".*", "read": ".*"} for u in ("app", "guest")]}}


def same(row, host, port, local, local_port):
    equal((row["peer_host"], row["peer_port"], row["host"], row["port"]), (host, port, local, local_port))


@case
def version_1():
    with Broker(USERS, LISTENERS) as b:
        row = ask(b, v1("203.0.113.9", "10.0.0.1", 41234, 5671))
        same(row, "203.0.113.9", 41234, "10.0.0.1", 5671)
        equal(row["name"], "203.0.113.9:41234 -> 10.0.0.1:5671")
        row = ask(b, v1("2001:db8::7", "2001:db8::1", 1, 65535))
        same(row, "2001:db8::7", 1, "2001:db8::1", 65535)
        equal(row["name"], "[2001:db8::7]:1 -> [2001:db8::1]:65535")
        for unknown in (b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ffff:: ffff:: 65535 65535\r\n"):
            row = ask(b, unknown)
            equal((row["peer_host"], row["host"], row["port"]), ("127.0.0.1", "127.0.0.1", b.port))
        equal(ask(b, v1("::ffff:192.0.2.1", "::ffff:10.0.0.1"))["peer_host"], "192.0.2.1")


@case
def version_2():
    with Broker(USERS, LISTENERS) as b:
        same(ask(b, v2("203.0.113.9", "10.0.0.1", 41234, 5671)), "203.0.113.9", 41234, "10.0.0.1", 5671)
        same(ask(b, v2("2001:db8::7", "2001:db8::1", 2, 3)), "2001:db8::7", 2, "2001:db8::1", 3)
        unix = b"/run/from.sock".ljust(108, b"\0") + b"/run/to.sock".ljust(108, b"\0")
        row = ask(b, v2(family=0x31, body=unix))
        holds("unix:/run/to.sock" in row["name"], row)
        for header in (v2(), v2(command=0), v2("192.0.2.1", "10.0.0.1", command=0), v2(command=0, family=0x11, tail=b"xyz")):
            equal(ask(b, header)["peer_host"], "127.0.0.1", f"{header}")
        more = tlv(0x02, b"broker.example") + tlv(0x04, bytes(1000)) + tlv(0xe0, b"")
        same(ask(b, v2("192.0.2.3", "10.0.0.1", tail=more)), "192.0.2.3", 40000, "10.0.0.1", 5672)


@case
def header_in_pieces():
    with Broker(USERS, LISTENERS) as b:
        for header in (v1("192.0.2.4"), v2("192.0.2.4", "10.0.0.1", tail=tlv(1, b"x" * 50))):
            client = Raw(b.port)
            for i in range(len(header)):
                client.socket.sendall(header[i:i + 1])
                time.sleep(0.0005)
            client.greet()
            client.login("app", "pw")
            client.open()
            equal(b.connections("peer_host")[0]["peer_host"], "192.0.2.4")
            client.leave()
            client = Raw(b.port, first=header + b"AMQP\0\0\x09\x01")  # in one go with what follows
            client.expect(10, 10)
            client.login("app", "pw")
            client.open().leave()


@case
def guest_from_behind_a_proxy():
    """guest may log in from this machine alone: the peer of the header counts, not the proxy."""
    with Broker(USERS, LISTENERS) as b:
        for header in (v1("203.0.113.9"), v2("203.0.113.9", "10.0.0.1"), v1("2001:db8::9", "2001:db8::1")):
            since = b.mark()
            client = Raw(b.port, first=header)
            client.greet()
            with refused(Refused, text="403 ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. "
                                       "For details see the broker logfile."):
                client.login("guest", "guest")
            client.drop()
            b.logged(r"PLAIN login refused: user 'guest' can only connect via localhost \(connection=", since)
        for header in (v1("127.0.0.1", "127.0.0.1"), v1("::1", "::1"), v2(command=0), b"PROXY UNKNOWN\r\n"):
            Raw(b.port, first=header).connect().leave()


@case
def header_is_required():
    with Broker({**USERS, "ssl_handshake_timeout": "400ms"}, LISTENERS) as b:
        port = b.port
        since = b.mark()
        client = Raw(port, first=b"AMQP\0\0\x09\x01")
        equal(client.ended(), b"")
        b.logged("bad PROXY header: the bytes are no PROXY header", since)
        with refused(pika.exceptions.AMQPConnectionError, OSError):
            b.pika(port)
        for silent in (b"", b"PRO", v2("192.0.2.1", "10.0.0.1")[:20]):
            since = b.mark()
            equal(Raw(port, first=silent).ended(), b"")
            b.logged("no PROXY header: timed out", since)


@case
def bad_headers():
    with Broker(USERS, LISTENERS) as b:
        port = b.port
        for header, text in (
                (b"PROXY TCP4 192.0.2.1 10.0.0.1 1 70000\r\n", "malformed port"),
                (b"PROXY TCP4 192.0.2.1 10.0.0.1 01 2\r\n", "malformed port"),
                (b"PROXY TCP4 192.0.2.999 10.0.0.1 1 2\r\n", "malformed address"),
                (b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", "malformed address"),
                (b"PROXY UDP4 192.0.2.1 10.0.0.1 1 2\r\n", "unknown protocol"),
                (b"PROXY TCP4 192.0.2.1 10.0.0.1 1 2\n", "ends in CR LF"),
                (b"PROXY " + b"x" * 200, "longer than 107 bytes"),
                (SIGNATURE + b"\x11\x11\0\0", "unknown version"), (SIGNATURE + b"\x2f\x11\0\0", "unknown command"),
                (SIGNATURE + b"\x21\x11\0\4abcd", "shorter than its addresses"),
                (SIGNATURE + b"\x21\x12\0\x0c" + bytes(12), "not a stream protocol"),
                (v2("192.0.2.1", "10.0.0.1", tail=b"\1\0\xffshort"), "malformed TLV"),
                (SIGNATURE + b"\x21\x11\xff\xff" + bytes(100), "longer than 4112 bytes"),
                (b"GET / HTTP/1.1\r\n\r\n", "no PROXY header")):
            since = b.mark()
            equal(Raw(port, first=header).ended(), b"", f"{header}")
            b.logged("bad PROXY header: .*" + text, since)
        equal(b.connections(), [])
        same(ask(b, v1("192.0.2.4")), "192.0.2.4", 40000, "10.0.0.1", 5672)


@case
def before_tls():
    tls = {"ssl_options": server().pair(), **USERS}
    with Broker(tls, [{"address": "127.0.0.1:0", "tls": True, "proxy_protocol": True}]) as b:
        for header in (v1("203.0.113.9"), v2("203.0.113.9", "10.0.0.1", tail=tlv(2, b"name"))):
            row = ask(b, header, tls=trusting())
            equal((row["peer_host"], row["ssl"]), ("203.0.113.9", True))
        since = b.mark()
        equal(Raw(b.port, first=v1("203.0.113.9") + b"AMQP\0\0\x09\x01").ended(), b"")
        b.logged(r"203\.0\.113\.9:40000 -> .*: no TLS: plain AMQP on a TLS port", since)
        since = b.mark()
        equal(Raw(b.port, first=b"\x16\x03\x01\0\xf8").ended(), b"")
        b.logged("bad PROXY header", since)
        guest = Raw(b.port, first=v1("203.0.113.9"), tls=trusting())
        guest.greet()
        with refused(Refused, text="403"):
            guest.login()
        guest.drop()


@case
def on_a_unix_socket():
    """A proxy on this machine may come by a unix socket as well."""
    with tempfile.TemporaryDirectory(prefix="jackalope-ops-") as d:
        with Broker(USERS, [{"address": f"unix:{d}/proxy.sock", "proxy_protocol": True}]) as b:
            client = Raw(f"{d}/proxy.sock", first=v2("203.0.113.9", "10.0.0.1"))
            client.greet()
            client.login("app", "pw")
            client.open()
            same(b.connections("peer_host", "peer_port", "host", "port")[0], "203.0.113.9", 40000, "10.0.0.1", 5672)
            client.leave()
            client = Raw(f"{d}/proxy.sock", first=v1("203.0.113.9"))
            client.greet()
            with refused(Refused, text="403"):
                client.login()
            client.drop()
            Raw(f"{d}/proxy.sock", first=v2(command=0)).connect().leave()


@case
def header_where_nobody_wants_one():
    with Broker(USERS) as b:
        client = Raw(b.port, first=v1("203.0.113.9"))
        equal(client.ended(), b"AMQP\0\0\x09\x01")
        b.logged("bad protocol header: the client does not speak AMQP")


@case
def log_names_the_true_peer():
    with Broker({**USERS, "log.level": "debug"}, LISTENERS) as b:
        ask(b, v1("203.0.113.9", port=4444))
        b.logged(r"203.0.113.9:4444 -> 10.0.0.1:5672: through the proxy 127\.0\.0\.1:\d+")
        b.logged(r"user 'app' authenticated .*\(connection=203\.0\.113\.9:4444 -> 10\.0\.0\.1:5672\)")


@case
def switched_on_and_off_at_reload():
    with Broker(USERS, ["127.0.0.1:0"]) as b:
        Raw(b.port).connect().leave()
        said = b.reload(listeners=[{"address": f"127.0.0.1:{b.port}", "proxy_protocol": True}])
        holds("proxy protocol" in said, said)
        equal(ask(b, v1("192.0.2.9"))["peer_host"], "192.0.2.9")
        b.reload(listeners=[f"127.0.0.1:{b.port}"])
        Raw(b.port).connect().leave()
