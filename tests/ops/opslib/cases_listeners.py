"""Listeners: TCP of both families, unix sockets, many at once, the spread over shards, several brokers."""

import collections
import contextlib
import ctypes
import errno
import os
import socket
import stat
import struct
import tempfile
import threading

from crew import free_port

from . import certs
from .broker import Broker, round_trip, run
from .raw import Raw, Refused, dial, short
from .suite import LeftOut, case, equal, holds, refused, until

PIDFD_GETFD = 438


@case
def ipv4():
    with Broker(listeners=["127.0.0.1:0"]) as b:
        (host, port, protocol), = b.listeners()
        equal((host, protocol), ("127.0.0.1", "amqp"))
        connection = b.pika(port)
        round_trip(connection)
        row, = b.connections("host", "port", "peer_host", "peer_port", "ssl", "name", "protocol")
        mine = connection._impl._transport._sock.getsockname()[1]
        equal((row["host"], row["port"], row["peer_host"], row["peer_port"], row["ssl"]),
              ("127.0.0.1", port, "127.0.0.1", mine, False))
        equal(row["name"], f"127.0.0.1:{mine} -> 127.0.0.1:{port}")
        with refused(OSError):
            dial(("::1", port))
        with refused(OSError):
            dial(("127.0.0.2", port))
        connection.close()


@case
def ipv6():
    with Broker(listeners=["[::1]:0"]) as b:
        (host, port, _), = b.listeners()
        equal(host, "[::1]")
        connection = b.pika(port, host="::1")
        round_trip(connection)
        row, = b.connections("host", "peer_host", "name")
        equal((row["host"], row["peer_host"]), ("::1", "::1"))
        holds(row["name"].startswith("[::1]:") and row["name"].endswith(f" -> [::1]:{port}"), row["name"])
        with refused(OSError):
            dial(("127.0.0.1", port))
        connection.close()


@case
def unix_socket():
    with tempfile.TemporaryDirectory() as d:
        path = f"{d}/amqp.sock"
        with Broker(listeners=[{"address": f"unix:{path}", "mode": "0620"}]) as b:
            equal(stat.S_IMODE(os.stat(path).st_mode), 0o620, "mode")
            client = Raw(path).connect().round_trip(body=b"x" * 1000)
            row, = b.connections("name", "peer_host", "port", "ssl")
            holds(path in row["name"], row)
            client.leave()
            clients = [Raw(path).connect() for _ in range(5)]
            names = {row["name"] for row in b.connections("name")}
            equal(len(names), 5, f"different names in {names}")
            for c in clients:
                c.drop()
        holds(not os.path.exists(path), "the file is gone")


@case
def unix_socket_file_that_is_in_the_way():
    with tempfile.TemporaryDirectory() as d:
        path = f"{d}/amqp.sock"
        left = socket.socket(socket.AF_UNIX)
        left.bind(path)
        left.close()  # the file of a broker that was killed
        with Broker(listeners=[f"unix:{path}"]):
            Raw(path).connect().leave()
            code, _, err = run("--data", f"{d}/other", "--listen", f"unix:{path}")
            equal(code, 69)
            holds(f"cannot listen on unix:{path}" in err and "in use" in err, err)
            Raw(path).connect().leave()
        with open(path, "w"):
            pass
        code, _, err = run("--data", f"{d}/other", "--listen", f"unix:{path}")
        equal(code, 69)
        holds("is no socket" in err, err)
        code, _, err = run("--data", f"{d}/other", "--listen", f"unix:{d}/missing/amqp.sock")
        equal(code, 69)
        holds("No such file" in err, err)


@case
def every_address():
    port = free_port(socket.AF_INET6)
    with Broker(listeners=[f":{port}"]) as b:
        equal(b.listeners(), [("[::]", port, "amqp")])
        four, six = b.pika(port), b.pika(port, host="::1")
        round_trip(four, "four")
        round_trip(six, "six")
        equal(sorted(row["peer_host"] for row in b.connections("peer_host")), ["127.0.0.1", "::1"])
        Raw(("127.0.0.3", port)).connect().leave()
        four.close()
        six.close()


@case
def names_and_stars():
    with Broker(listeners=["localhost:0", "*:0", "0.0.0.0:0", "[::]:0"]) as b:
        ports = b.ports()
        equal(len(set(ports)), 4, "different ports")
        for port in ports[:3]:
            Raw(("127.0.0.1", port)).connect().leave()
        for port in (ports[1], ports[3]):
            Raw(("::1", port)).connect().leave()
        with refused(OSError):
            dial(("127.0.0.1", ports[3]))  # [::] is of its own family alone


@case
def several_at_once():
    with tempfile.TemporaryDirectory() as d:
        wanted = ["127.0.0.1:0", "[::1]:0", f"unix:{d}/a", {"address": f"unix:{d}/b"}, "127.0.0.2:0"]
        with Broker(listeners=wanted) as b:
            ports = b.ports()
            where = [("127.0.0.1", ports[0]), ("::1", ports[1]), f"{d}/a", f"{d}/b", ("127.0.0.2", ports[4])]
            clients = [Raw(address).connect() for address in where]
            for i, client in enumerate(clients):
                client.round_trip(f"q{i}")
            equal(len(b.connections("pid")), 5)
            for client in clients:
                client.leave()


@case
def listen_flag():
    with tempfile.TemporaryDirectory() as d:
        words = ["--listen", "127.0.0.1:0", "--listen", f"unix:{d}/x", "--listen", "[::1]:0,127.0.0.2:0"]
        with Broker(listeners=["127.0.0.9:0"], words=words) as b:
            until(lambda: len(b.listeners()) == 4, b.listeners)
            equal([host for host, _, _ in b.listeners()], ["127.0.0.1", f"unix:{d}/x", "[::1]", "127.0.0.2"])


@case
def addresses_that_cannot_be():
    with tempfile.TemporaryDirectory() as d, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for address, code, text in (
                (f"127.0.0.1:{taken.getsockname()[1]}", 69, "Address already in use"),
                ("192.0.2.1:5672", 69, "Cannot assign requested address"),
                ("nosuchhost.invalid:5672", 69, "cannot listen on nosuchhost.invalid:5672"),
                ("::1:5672", 78, "is not an address such as"), ("127.0.0.1", 78, "is not an address such as"),
                ("127.0.0.1:70000", 78, "is not an address such as"), ("[::1]", 78, "is not an address such as"),
                ("unix:", 78, "is not an address such as"), (f"unix:/{'x' * 110}", 78, "is not an address such as")):
            got, out, err = run("--data", f"{d}/data", "--listen", address)
            equal((got, out), (code, ""), f"{address}: {err}")
            holds(text in err, f"{address}: {err}")
            equal(sum("[info]" not in line for line in err.splitlines()), 1, f"lines: {err}")


@case
def taken_port_stops_all_of_the_start():
    with tempfile.TemporaryDirectory() as d, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, _, err = run("--data", f"{d}/data", "--listen", f"unix:{d}/first", "--listen",
                           f"127.0.0.1:{taken.getsockname()[1]}", "--pid-file", f"{d}/pid")
        equal(code, 69)
        equal(sorted(os.listdir(d)), ["data"], "what is left over")
        holds("start failed (listeners)" in err, err)


@case
def connections_are_spread_over_all_shards():
    for shards in (1, 3, 4):
        with Broker(shards=shards) as b:
            port = b.port
            clients = [Raw(port).connect() for _ in range(4 * shards)]
            count = collections.Counter(row["shard"] for row in b.connections("shard"))
            equal(count, {i: 4 for i in range(shards)}, "connections of each shard")
            equal(len(b.told("ops").strip().splitlines()) >= shards, True, "rows of ops")
            for c in clients:
                c.drop()


@case
def queues_are_spread_and_reached_from_everywhere():
    with Broker(shards=4) as b:
        first, second = b.pika(), b.pika()
        channel = first.channel()
        for i in range(40):
            channel.queue_declare(f"q{i}")
        shards = {row["shard"] for row in b.rows("list_queues", "name", "shard")}
        holds(len(shards) >= 2, f"queues live on shards {shards}")
        channel.confirm_delivery()
        for i in range(40):
            channel.basic_publish("", f"q{i}", f"{i}".encode())
        other = second.channel()
        for i in range(40):
            equal(other.basic_get(f"q{i}", auto_ack=True)[2], f"{i}".encode())
        first.close()
        second.close()


@case
def shards_default_to_the_cores():
    b = Broker()
    b.words = [w for i, w in enumerate(b.words) if w != "--shards" and b.words[i - 1] != "--shards"]
    with b:
        holds(f", {min(len(os.sched_getaffinity(0)), 64)} shards," in b.log(), b.log())


@case
def several_brokers_on_one_machine():
    with Broker() as a, Broker() as b, Broker(listeners=["[::1]:0"]) as c:
        hosts = [(a, "127.0.0.1"), (b, "127.0.0.1"), (c, "::1")]
        connections = [x.pika(host=host) for x, host in hosts]
        for i, connection in enumerate(connections):
            channel = connection.channel()
            channel.queue_declare("same")
            channel.confirm_delivery()
            for _ in range(i + 1):
                channel.basic_publish("", "same", f"{i}".encode())
        for i, (x, _) in enumerate(hosts):
            equal([(r["name"], r["messages"]) for r in x.rows("list_queues", "name", "messages")], [("same", i + 1)])
        for connection in connections:
            connection.close()
        equal(b.stop(), 0)
        equal([len(x.connections()) for x in (a, c)], [0, 0])


@case
def suspended_listeners():
    with Broker(listeners=["127.0.0.1:0", "[::1]:0"]) as b:
        port, six = b.ports()
        old = Raw(port).connect()
        b.told("suspend_listeners")
        for address in (("127.0.0.1", port), ("::1", six)):
            with refused(ConnectionRefusedError):
                Raw(address)
        old.round_trip()
        b.told("reload")  # does not open them
        with refused(ConnectionRefusedError):
            Raw(port)
        b.told("resume_listeners")
        for client in (Raw(port).connect(), Raw(("::1", six)).connect(), old):
            client.leave()


@case
def crowd_that_connects_at_once():
    with Broker(shards=3) as b:
        port, failures = b.port, []

        def come_and_go():
            try:
                for _ in range(20):
                    Raw(port).connect().leave()
            except Exception as error:  # told by the case
                failures.append(error)

        threads = [threading.Thread(target=come_and_go) for _ in range(10)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        equal(failures, [])
        until(lambda: not b.connections(), "all are gone")
        equal(b.log().count("authenticated and granted access"), 200)


@case
def wrong_protocol():
    with Broker() as b:
        port = b.port
        for first, text in ((b"GET / HTTP/1.1\r\n\r\n", "it looks like HTTP"), (b"\x16\x03\x01\x02\x00\x01\x00", "it looks like TLS"),
                            (b"AMQP\0\1\0\0", "another version of AMQP"), (b"AMQP\3\1\0\0", "another version of AMQP"),
                            (b"SSH-2.0-x\r\n", "does not speak AMQP")):
            since = b.mark()
            client = Raw(port, first=first)
            equal(client.ended(), b"AMQP\0\0\x09\x01")
            b.logged(text, since)
        # half a header, then nothing
        since = b.mark()
        Raw(port, first=b"AMQ").drop()
        b.logged("closed without a closing handshake", since)
        Raw(port).connect().leave()


@case
def handshake_timeout():
    with Broker({"amqp.handshake_timeout": "300ms"}) as b:
        silent, started = Raw(b.port), Raw(b.port)
        started.greet()
        for client in (silent, started):
            equal(client.ended(), b"")
        b.logged("handshake_timeout: the client did not open the connection in time")
        with refused(Refused):
            started.expect(10, 30)


def socket_of(b, mine):
    """The broker's end of a connection, as a socket of this process."""
    pid, libc = os.pidfd_open(b.process.pid), ctypes.CDLL(None, use_errno=True)
    try:
        for name in os.listdir(f"/proc/{b.process.pid}/fd"):
            fd = libc.syscall(PIDFD_GETFD, pid, int(name), 0)
            if fd < 0:
                if ctypes.get_errno() == errno.EPERM:
                    raise LeftOut("its sockets cannot be looked at")
                continue
            if not stat.S_ISSOCK(os.fstat(fd).st_mode):
                os.close(fd)
                continue
            theirs = socket.socket(fileno=fd)
            with contextlib.suppress(OSError):
                if theirs.getpeername() == mine.getsockname():
                    return theirs
            theirs.close()
    finally:
        os.close(pid)
    raise AssertionError("there is no such socket")


@case
def options_of_tcp():
    wanted = {"nodelay": False, "keepalive": False, "linger": {"on": True, "timeout": 0}, "send_timeout": 7000,
              "sndbuf": 20000, "recbuf": 30000, "backlog": 10, "buffer": 1, "exit_on_close": False}
    names = ((socket.IPPROTO_TCP, socket.TCP_NODELAY), (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
             (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))

    def seen(b):
        with dial(b.port) as mine:
            until(lambda: b.connections(), "the broker has it")
            with socket_of(b, mine) as theirs:
                linger = struct.unpack("ii", theirs.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8))
                sizes = [theirs.getsockopt(socket.SOL_SOCKET, name) for name in (socket.SO_SNDBUF, socket.SO_RCVBUF)]
                options = [theirs.getsockopt(*name) for name in names]
        until(lambda: not b.connections(), "it has gone")
        return options, linger[0], sizes

    with Broker() as b:
        options, linger, default = seen(b)
        equal((options, linger), ([1, 1, 0], 0))
        holds(default[0] > 40000, default)
        b.reload({"tcp_listen_options": wanted})
        equal(seen(b), ([0, 0, 7000], 1, [40000, 60000]))  # the system doubles sizes
        b.reload({"tcp_listen_options": {"linger": {"on": True, "timeout": 5}}})
        equal(seen(b)[:2], ([1, 1, 0], 0))


@case
def clients_that_take_nothing():
    """With send_timeout they lose the connection."""
    with Broker({"tcp_listen_options": {"send_timeout": 400, "sndbuf": 10000}}) as b:
        connection = b.pika()
        channel = connection.channel()
        channel.queue_declare("q")
        for _ in range(40):
            channel.basic_publish("", "q", bytes(100000))
        deaf = Raw(b.port).connect()
        deaf.open_channel()
        deaf.send(60, 20, b"\0\0" + short("q") + short("t") + b"\0" + b"\0\0\0\0", channel=1)
        until(lambda: len(b.connections()) == 1, "it was thrown out")
        equal(channel.queue_declare("q", passive=True).method.message_count, 40)
        connection.close()
        deaf.drop()


@case
def names_of_clients():
    """reverse_dns_lookups: the system has a name for this machine."""
    known = socket.getnameinfo(("127.0.0.1", 0), 0)[0]
    if known == "127.0.0.1":
        raise LeftOut("127.0.0.1 has no name here")
    tls = {"address": "127.0.0.1:0", "tls": True}
    with Broker({"reverse_dns_lookups": True, "loopback_users": [], "ssl_options": certs.server().pair()},
                ["127.0.0.1:0", {"address": "127.0.0.1:0", "proxy_protocol": True}, tls]) as b:
        for port, first, context, shown in ((b.ports()[0], b"", None, known),
                                            (b.ports()[1], b"PROXY TCP4 127.0.0.1 10.0.0.1 99 5672\r\n", None, known),
                                            (b.ports()[1], b"PROXY TCP4 192.0.2.1 10.0.0.1 99 5672\r\n", None, "192.0.2.1"),
                                            (b.ports()[2], b"", certs.trusting(), known)):
            client = Raw(port, first=first, tls=context).connect()
            row, = b.connections("name", "peer_host", "peer_port")
            equal((row["peer_host"], row["name"].split(" -> ")[0]), (shown, f"{shown}:{row['peer_port']}"))
            client.leave()
            until(lambda: not b.connections(), "it has gone")
        port = b.ports()[0]
        crowd = [dial(port) for _ in range(200)]
        until(lambda: len(b.connections()) == 200, "all are there")
        for one in crowd:
            one.close()
        until(lambda: not b.connections(), "all have gone")
        b.reload({"ssl_options": certs.server().pair()})
        Raw(b.ports()[0]).connect().leave()
