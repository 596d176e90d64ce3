"""Many of everything: channels, connections that say nothing or half of it, more connections than descriptors."""

import select
import socket
import time

from . import amqp
from .broker import Failure, check, wait_until
from .suite import Witness, case


@case("2,047 channels on many connections")
def channels(broker):
    per, count = 2047, 10 if broker.programs.slow else 30
    with Witness(broker):
        before = broker.rss()
        clients = [broker.client(channels=per) for _ in range(count)]
        each = (broker.rss() - before) * 1024 / (per * count)
        for client in clients[:3]:
            client.send(amqp.channel_open(2048))
            code, text = client.fate()
            check(code == 530, f"one channel more: {code} {text}")
            client.sock.close()
        for client in clients[3:10]:
            client.close()
        for client in clients[10:]:
            client.kill()
        wait_until(lambda: broker.open_files() < 40, 20, "connections gone")
        if not broker.programs.slow:
            check(each < 3, f"{each:.1f} KiB a channel")
            wait_until(lambda: broker.rss() < before + 12, 15,
                       lambda: f"memory returns: {broker.rss():.0f} MiB, {before:.0f} before")


@case("channels opened and closed without end")
def channel_churn(broker):
    rounds = 20 if broker.programs.slow else 100
    with Witness(broker), broker.client(channels=0) as client:
        start = None
        for n in range(rounds):
            client.send(b"".join(amqp.channel_open(c) + amqp.confirm_select(c) + amqp.channel_close(c)
                                 for c in range(1, 201)))
            for _ in range(200):
                client.expect("channel.close-ok")
            if n == 4:
                start = broker.rss()
        if not broker.programs.slow:
            check(broker.rss() < start + 8, f"{broker.rss():.0f} MiB, {start:.0f} after the first rounds")


TIMEOUT = "amqp:\n  handshake_timeout: 2s\n"


def drop_all(sockets, timeout):
    """Waits until the peer has closed every one of them."""
    poll = select.poll()
    by_fd = {s.fileno(): s for s in sockets}
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    deadline = time.monotonic() + timeout
    while by_fd and time.monotonic() < deadline:
        for fd, _ in poll.poll(100):
            try:
                ended = not by_fd[fd].recv(65536)
            except OSError:
                ended = True
            if ended:
                poll.unregister(fd)
                by_fd.pop(fd).close()
    left = len(by_fd)
    for sock in by_fd.values():
        sock.close()
    return left


@case("half-open connections: nothing is ever said", config=TIMEOUT)
def half_open(broker):
    count = 1000 if broker.programs.slow else 3000
    with Witness(broker):
        before, mark = broker.rss(), broker.mark()
        sockets = [amqp.connect(broker.port) for _ in range(count)]
        wait_until(lambda: broker.open_files() > count, 10, "all accepted")
        each = (broker.rss() - before) * 1024 / count
        left = drop_all(sockets, 15)
        check(not left, f"{left} of {count} were not closed")
        check(broker.log(mark).count("handshake_timeout") == count, "a log line for each")
        if not broker.programs.slow:
            check(each < 6, f"{each:.1f} KiB for each")
            wait_until(lambda: broker.rss() < before + 8, 10, lambda: f"{broker.rss():.0f} MiB, {before:.0f} before")


@case("handshakes broken off at every step", config=TIMEOUT)
def half_done(broker):
    steps = [amqp.HEADER[:4], amqp.HEADER, amqp.HEADER + amqp.start_ok()[:30], amqp.HEADER + amqp.start_ok(),
             amqp.HEADER + amqp.start_ok() + amqp.tune_ok(), amqp.HEADER + amqp.start_ok() + amqp.tune_ok()
             + amqp.connection_open()[:9], amqp.HEADER + amqp.frame(8, 0, b"") * 3,
             amqp.HEADER + b"\1\0\0\0\0\x1f\xf0"]
    count = 60 if broker.programs.slow else 200
    with Witness(broker):
        sockets = []
        for step in steps:
            for _ in range(count):
                sock = amqp.connect(broker.port)
                sock.sendall(step)
                sockets.append(sock)
        left = drop_all(sockets, 20)
        check(not left, f"{left} of {len(sockets)} were not closed")


@case("a handshake an octet at a time", config=TIMEOUT)
def slow_loris(broker):
    octets = amqp.HEADER + amqp.start_ok() + amqp.tune_ok() + amqp.connection_open()
    with Witness(broker):
        began = time.monotonic()
        sockets = [amqp.connect(broker.port) for _ in range(50)]
        alive = list(sockets)
        for n, octet in enumerate(octets):
            for sock in list(alive):
                try:
                    sock.sendall(bytes([octet]))
                except OSError:
                    alive.remove(sock)
            time.sleep(0.1)
            if time.monotonic() - began > 4:
                break
        check(n < len(octets) - 1, "the handshake was over too early for the test")
        left = drop_all(sockets, 5)
        check(not left, f"{left} were not closed")
        broker.logged("handshake_timeout")


@case("wrong passwords without end")
def passwords(broker):
    with Witness(broker):
        sockets = []
        for _ in range(200):
            client = amqp.Client(broker.port, handshake=False)
            client.send(amqp.HEADER + amqp.start_ok(user="mallory", password="wrong", capabilities=["authentication_failure_close"])
                        + amqp.tune_ok() + amqp.connection_open())
            sockets.append(client)
        for client in sockets:
            code, text = client.fate()
            check(code == 403, f"{code} {text}")
            client.sock.close()
        broker.logged("login refused")


@case("more connections than descriptors", files=120, config=TIMEOUT)
def descriptors(broker):
    sockets = []
    with Witness(broker):
        mark = broker.mark()
        steady = broker.client()
        steady.declare("steady")
        for _ in range(300):
            sock = socket.socket()
            sock.settimeout(5)
            try:
                sock.connect(("127.0.0.1", broker.port))
            except OSError:
                break
            sockets.append(sock)
        broker.logged("cannot accept connections", mark)
        cpu = broker.cpu()
        for n in range(50):
            steady.send(amqp.publish(1, "steady", b"%d" % n))
            check(steady.ask(amqp.get(1, "steady", True), "get-ok").body == b"%d" % n, "others go on")
            time.sleep(0.01)
        spent = broker.cpu() - cpu
        check(spent < 0.4 * (5 if broker.programs.slow else 1), f"{spent:.2f} s of CPU within half a second: it spins")
        check(broker.log(mark).count("cannot accept connections") < 5, "one line, not a flood of them")
        for sock in sockets:
            sock.close()
        wait_until(lambda: broker.open_files() < 40, 15, "connections gone")
        with broker.client() as client:
            client.declare("late")
        steady.close()


@case("connect, login, vanish: without end")
def vanish(broker):
    rounds = 300 if broker.programs.slow else 1500
    with Witness(broker):
        start = None
        for n in range(rounds):
            client = broker.client()
            if n % 3 == 0:
                client.kill()
            elif n % 3 == 1:
                client.sock.close()
            else:
                client.close()
            if n == rounds // 4:
                start = broker.rss()
        wait_until(lambda: broker.open_files() < 40, 10, "connections gone")
        if not broker.programs.slow and broker.rss() > start + 6:
            raise Failure(f"{broker.rss():.0f} MiB, {start:.0f} after the first quarter")
