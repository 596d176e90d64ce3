"""Wrong bytes where TLS or a PROXY header is expected."""

import os
import random
import shutil
import ssl
import struct
import subprocess

from . import amqp
from .broker import Broker, check, own_port, wait_until
from .suite import Skip, Witness, case

TLS, PROXY, BOTH = 1, 2, 3  # which of the ports

CONFIG = """
listeners:
  - 127.0.0.1:{port+0}
  - address: "127.0.0.1:{port+1}"
    tls: true
  - address: "127.0.0.1:{port+2}"
    proxy_protocol: true
  - address: "127.0.0.1:{port+3}"
    tls: true
    proxy_protocol: true
ssl_handshake_timeout: 2s
ssl_options:
  certfile: {dir}/cert.pem
  keyfile: {dir}/key.pem
"""


def start(programs):
    if not shutil.which("openssl"):
        raise Skip("there is no openssl program to make a certificate with")
    broker = Broker(programs, "", wait=False, listen=False, arguments=["--check"])
    broker.wait()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-subj", "/CN=localhost", "-keyout", os.path.join(broker.dir, "key.pem"),
                    "-out", os.path.join(broker.dir, "cert.pem")], check=True, capture_output=True)
    return Broker(programs, CONFIG, listen=False, folder=broker.dir)


def context():
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    return c


def client_hello():
    """The first flight of a correct client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    try:
        session.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def tls_client(port, before=b""):
    sock = amqp.connect(port)
    sock.sendall(before)
    return amqp.Client(port, sock=context().wrap_socket(sock, server_hostname="localhost"))


def ends(sock, timeout=10):
    """True once the peer has closed."""
    sock.settimeout(timeout)
    try:
        while sock.recv(65536):
            pass
    except (ConnectionResetError, BrokenPipeError):
        pass
    except TimeoutError:
        return False
    finally:
        sock.close()
    return True


@case("garbage on a TLS port", broker=False)
def tls_garbage(programs):
    broker = start(programs)
    source, hello = random.Random(3), client_hello()
    wrong = [amqp.HEADER, b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100, b"\x16\x03\x01\xff\xff" + bytes(70000), b"\x16" * 50,
             b"\x16\x03\x01\0\0", hello[:5] + source.randbytes(len(hello)), hello[: len(hello) // 2] + b"\xff" * 2000,
             hello + b"garbage behind it" * 20, b"\x80\x2e\x01\x03\x01\0\x15\0\0\0\x10" + bytes(40), b"\x15\x03\x01\0\2\2\x28"]
    wrong += [b"\x16\x03\x01" + struct.pack(">H", n) + source.randbytes(n) for n in (1, 4, 100, 1000, 16384)]
    wrong += [source.randbytes(source.randint(1, 2000)) for _ in range(40)]
    for _ in range(60):
        bent = bytearray(hello)
        for _ in range(source.randint(1, 4)):
            bent[source.randrange(len(bent))] = source.randrange(256)
        wrong.append(bytes(bent))
    try:
        with Witness(broker):
            before = broker.rss()
            for octets in wrong:
                sock = amqp.connect(own_port(TLS))
                try:
                    sock.sendall(octets)
                    sock.shutdown(1)
                except OSError:
                    pass
                check(ends(sock), f"open still after {octets[:20]!r}...")
            broker.logged("TLS handshake failed|no TLS")
            for n in range(0, len(hello), 7 if not programs.slow else 40):
                sock = amqp.connect(own_port(TLS))
                sock.sendall(hello[:n])
                sock.close()
            half = [amqp.connect(own_port(TLS)) for _ in range(200)]
            for n, sock in enumerate(half):
                sock.sendall(hello[: n * len(hello) // 200])
            check(all(ends(sock) for sock in half), "half-done handshakes are over after their time")
            broker.logged("timed out")
            for _ in range(10):
                with tls_client(own_port(TLS)) as client:
                    client.declare("over-tls")
            if not programs.slow:
                wait_until(lambda: broker.rss() < before + 24, 10, lambda: f"{broker.rss():.0f} MiB, {before:.0f} before")
        broker.stop()
    finally:
        broker.end()


@case("garbage within TLS", broker=False)
def garbage_within(programs):
    broker = start(programs)
    try:
        with Witness(broker):
            for n in range(30):
                client = tls_client(own_port(TLS))
                client.declare("inside", amqp.AUTO_DELETE)
                raw = client.sock.unwrap if n % 3 == 0 else None
                if n % 3 == 1:  # a wrong frame
                    client.send(b"\x09" * 50)
                    code, text = client.fate()
                    check(code == 501, f"{code} {text}")
                elif n % 3 == 2:  # bytes that are not of the session, past the TLS layer
                    fd = os.dup(client.sock.fileno())
                    os.write(fd, b"\x17\x03\x03\0\x20" + bytes(32))
                    os.close(fd)
                    try:
                        check(client.fate()[0] == 0, "a clean close")
                    except ssl.SSLError:
                        pass
                elif raw:
                    client.sock.setblocking(True)
                    client.sock.settimeout(5)
                    try:
                        raw()
                    except (OSError, ssl.SSLError):
                        pass
                client.sock.close()
        wait_until(lambda: broker.open_files() < 50, 10, "connections gone")
        broker.stop()
    finally:
        broker.end()


def v2(command=0x21, family=0x11, body=bytes([10, 0, 0, 1, 127, 0, 0, 1, 0x30, 0x39, 0x16, 0x28]), length=None):
    return (b"\r\n\r\n\0\r\nQUIT\n" + bytes([command, family])
            + struct.pack(">H", len(body) if length is None else length) + body)


@case("garbage instead of a PROXY header", broker=False)
def proxy_garbage(programs):
    broker = start(programs)
    source = random.Random(5)
    wrong = [amqp.HEADER, b"PROXY\r\n", b"PROXY TCP4 1.2.3.4\r\n", b"PROXY TCP4 1.2.3.4 5.6.7.8 99999 1\r\n",
             b"PROXY TCP6 1.2.3.4 5.6.7.8 1 1\r\n", b"PROXY TCP4 " + b"1" * 200, b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
             b"PROXY UNKNOWN" + b" " * 200 + b"\r\n", v2(command=0x31), v2(command=0x2f), v2(family=0x11, body=b"\1"),
             v2(family=0x21, body=bytes(12)), v2(length=65535), b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\0\1\0"]
    wrong += [source.randbytes(source.randint(1, 300)) for _ in range(30)]
    try:
        with Witness(broker):
            for port in (own_port(PROXY), own_port(BOTH)):
                for octets in wrong:
                    sock = amqp.connect(port)
                    try:
                        sock.sendall(octets)
                        sock.shutdown(1)
                    except OSError:
                        pass
                    check(ends(sock), f"open still after {octets[:20]!r}")
            broker.logged("bad PROXY header")
            idle = [amqp.connect(own_port(PROXY)) for _ in range(100)]
            for sock in idle[::2]:
                sock.sendall(b"PROXY TCP4 1.2")
            check(all(ends(sock) for sock in idle), "those that send no header are gone after their time")
            broker.logged("no PROXY header: timed out")
            good = [b"PROXY TCP4 127.0.0.1 127.0.0.2 1000 2000\r\n", b"PROXY UNKNOWN\r\n", v2(command=0x20, family=0, body=b""),
                    v2(body=bytes([127, 0, 0, 1, 127, 0, 0, 1, 0x30, 0x39, 0x16, 0x28]) + b"\4\0\3abc")]
            for header in good:
                sock = amqp.connect(own_port(PROXY))
                sock.sendall(header)
                with amqp.Client(own_port(PROXY), sock=sock) as client:
                    client.declare("by-proxy")
                with tls_client(own_port(BOTH), header) as client:
                    client.declare("by-proxy")
        broker.stop()
    finally:
        broker.end()
