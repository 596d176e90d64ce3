"""Memory comes back after a million messages, 100,000 queues, 10,000 connections."""

import resource
import subprocess

from . import amqp
from .broker import check, wait_until
from .suite import Skip, case


def settle(broker, before, allowed):
    """Waits for memory to return. A sanitizer's allocator keeps it: then only the work itself is tested."""
    if not broker.programs.slow:
        wait_until(lambda: broker.rss() < before + allowed, 20,
                   lambda: f"memory returns: {broker.rss():.0f} MiB, {before:.0f} before")


# What pools, the journal's buffers and the mapped part of the database may keep: a fixed amount.
STORE = 24


def perf(broker, *arguments):
    done = subprocess.run([broker.programs.perf, *arguments, "--uri", f"amqp://guest:guest@127.0.0.1:{broker.port}"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False,
                          env=broker.programs.environment())
    check(done.returncode == 0, f"jackalope-perf {arguments}: {done.returncode}: {done.stdout.decode(errors='replace')[-1500:]}")


@case("a million messages through, with acknowledgements")
def million(broker):
    count = 100000 if broker.programs.slow else 1000000
    with broker.client() as client:
        client.declare("m")
    before = broker.rss()
    perf(broker, "run", "-n", str(count), "--confirm", "1000", "--prefetch", "1000", "-a", "100")
    settle(broker, before, STORE)


@case("a backlog of a million messages, filled and drained")
def backlog(broker):
    count = 50000 if broker.programs.slow else 1000000
    before = broker.rss()
    data = b"".join(amqp.publish(1, "big", b"%08d" % n) for n in range(1000))
    with broker.client() as client:
        client.declare("big")
        for _ in range(count // 1000):
            client.send(data)
        wait_until(lambda: client.messages("big") == count, 30, lambda: f"{client.messages('big')} of {count}")
        each = (broker.rss() - before) * 1048576 / count
        if not broker.programs.slow:
            check(each < 300, f"{each:.0f} octets a message of 8 octets")
        client.ask(amqp.consume(1, "big", "c", amqp.NO_ACK), "consume-ok")
        for n in range(count):
            event = client.next()
            if n % 9973 == 0:
                check(event.body == b"%08d" % (n % 1000), f"message {n} is {event.body}")
        check(client.messages("big") == 0, "empty")
        settle(broker, before, STORE)
        for _ in range(count // 1000):
            client.send(amqp.cancel(1, "c", True) + data)
        wait_until(lambda: client.messages("big") == count, 30, "filled again")
        check(client.ask(amqp.queue_purge(1, "big"), "purge-ok").count() == count, "purged")
    settle(broker, before, STORE)


@case("100,000 queues declared, bound, and deleted")
def queues(broker):
    count = 10000 if broker.programs.slow else 100000
    with broker.client(channels=2) as client:
        client.ask(amqp.exchange_declare(1, "many", "direct"), "exchange.declare-ok")
        before = broker.rss()
        for start in range(0, count, 5000):
            client.send(b"".join(amqp.queue_declare(1, f"many-{n}", amqp.NO_WAIT) for n in range(start, start + 5000)))
        client.messages(f"many-{count - 1}")
        each = (broker.rss() - before) * 1024 / count
        if not broker.programs.slow:
            check(each < 4, f"{each:.1f} KiB an empty queue")
        for start in range(0, count, 5000):
            client.send(b"".join(amqp.queue_bind(1, f"many-{n}", "many", f"key-{n}", True) for n in range(start, start + 5000)))
        client.send(amqp.publish(1, f"key-{count - 1}", b"x", "many"))
        check(client.ask(amqp.get(1, f"many-{count - 1}", True), "get-ok").body == b"x", "routed")
        for start in range(0, count, 5000):
            client.send(b"".join(amqp.queue_delete(1, f"many-{n}", True) for n in range(start, start + 5000)))
        client.declare("last", amqp.EXCLUSIVE)
        settle(broker, before, 24)


@case("10,000 connections opened and closed")
def connections(broker):
    count = 2000 if broker.programs.slow else 10000
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < count + 200:
        raise Skip(f"the hard limit of open files is {hard}, {count + 200} are needed: ulimit -Hn")
    with broker.client() as client:
        client.declare("steady")
        before = broker.rss()
        clients = []
        hello = (amqp.HEADER + amqp.start_ok() + amqp.tune_ok() + amqp.connection_open() + amqp.channel_open(1))
        for n in range(count):
            fresh = amqp.Client(broker.port, handshake=False)
            fresh.send(hello)
            clients.append(fresh)
            if n % 200 == 199:
                for one in clients[-200:]:
                    one.expect("channel.open-ok")
        each = (broker.rss() - before) * 1024 / count
        if not broker.programs.slow:
            check(each < 14, f"{each:.1f} KiB a connection with a channel")
        for n, one in enumerate(clients):
            if n % 2:
                one.kill()
            else:
                one.send(amqp.connection_close())
        for one in clients[::2]:
            one.expect("connection.close-ok")
            one.sock.close()
        wait_until(lambda: broker.open_files() < 60, 30, lambda: f"{broker.open_files()} files are open")
        client.messages("steady")
        settle(broker, before, 24)


@case("large messages through and back")
def large(broker):
    before = broker.rss()
    sizes = [128 * 1024 * 1024, 50_000_000, 131064, 131065, 65536, 65537, 4096, 4097]
    if broker.programs.slow:
        sizes[0] = 20_000_000
    with broker.client() as client:
        client.declare("large")
        for size in sizes:
            body = bytes([size % 251]) * size
            client.send(amqp.publish(1, "large", body))
            check(client.ask(amqp.get(1, "large", True), "get-ok").body == body, f"{size} octets")
        settle(broker, before, 32)


@case("what a consumer that dies held is given back at once, more than a queue keeps in memory")
def given_back(broker):
    count, body = 12000, b"x" * 4000
    data = b"".join(amqp.publish(1, "held", body) for _ in range(500))
    with broker.client() as client:
        client.declare("held", amqp.DURABLE)
        with broker.client() as consumer:
            consumer.ask(amqp.consume(1, "held", "c"), "consume-ok")
            for _ in range(count // 500):
                client.send(data)
                for _ in range(500):
                    check(len(consumer.next().body) == len(body), "delivered")
        wait_until(lambda: client.messages("held") == count, 30, lambda: f"{client.messages('held')} of {count}")
        for n in range(count):
            check(client.ask(amqp.get(1, "held", True), "get-ok").body == body, f"message {n}")
        check(client.messages("held") == 0, "empty")


@case("what durable queues have done with, a queue that is not durable still has")
def outlived(broker):
    count, body = 12000, b"x" * 4000
    data = b"".join(amqp.publish(1, "", body, "shared", properties=b"\x10\0\2") for _ in range(500))
    with broker.client() as client:
        client.ask(amqp.exchange_declare(1, "shared", "fanout"), "exchange.declare-ok")
        for name, flags in (("done-1", amqp.DURABLE), ("done-2", amqp.DURABLE), ("behind", 0)):
            client.declare(name, flags)
            client.ask(amqp.queue_bind(1, name, "shared"), "bind-ok")
        with broker.client() as consumer:
            consumer.ask(amqp.consume(1, "behind", "c"), "consume-ok")
            for _ in range(count // 500):
                client.send(data)
                for _ in range(500):
                    check(len(consumer.next().body) == len(body), "delivered")
            for name in ("done-1", "done-2"):
                client.messages(name)
                client.ask(amqp.queue_purge(1, name), "purge-ok")
        wait_until(lambda: client.messages("behind") == count, 30, lambda: f"{client.messages('behind')} of {count}")
        for n in range(count):
            check(client.ask(amqp.get(1, "behind", True), "get-ok").body == body, f"message {n}")
        check(client.messages("behind") == 0, "empty")
