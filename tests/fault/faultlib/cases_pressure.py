"""Clients that take nothing, give without end, or both: bounded memory, and the others go on."""

import json
import os
import select
import signal
import socket
import struct
import subprocess
import threading
import time

from . import amqp
from .broker import check, wait_until
from .suite import Witness, case

KIB, MIB = 1024, 1024 * 1024


def push(client, data, seconds, patience=1.5):
    """Sends data over and over without reading, until it blocks for a while or the time is up. MiB sent."""
    client.sock.setblocking(False)
    view, at, sent, quiet = memoryview(data), 0, 0, time.monotonic()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and time.monotonic() - quiet < patience:
        if not select.select([], [client.sock], [], 0.1)[1]:
            continue
        try:
            n = client.sock.send(view[at:])
        except BlockingIOError:
            continue
        quiet = time.monotonic()
        sent += n
        at = (at + n) % len(view)
    client.sock.setblocking(True)
    return sent / MIB


@case("a consumer gets its share of a queue that grows without end", alone=True)
def share(broker):
    with Witness(broker):
        done = subprocess.run([broker.programs.perf, "run", "-d", "3s", "--json", "--quiet",
                               "--uri", f"amqp://guest:guest@127.0.0.1:{broker.port}"],
                              stdout=subprocess.PIPE, timeout=300, check=True, env=broker.programs.environment())
    rates = json.loads(done.stdout)["rates"]
    print(f"     published {rates['published']:.0f} a second, delivered {rates['delivered']:.0f}")
    check(rates["delivered"] > rates["published"] / 20,
          f"{rates['delivered']:.0f} delivered of {rates['published']:.0f} published a second")


@case("a broker that has just had work, and has none, sleeps")
def sleeps(broker):
    def used():
        with open(f"/proc/{broker.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    with broker.client() as client:
        client.declare("now-and-then")
        for _ in range(2000):
            client.send(amqp.publish(1, "now-and-then", b"x"))
            client.ask(amqp.get(1, "now-and-then", True), "get-ok")
        before = used()
        time.sleep(2)
        check(used() - before < 0.2, f"{used() - before:.2f} s of 2 without work")


def in_flight(broker, client):
    """Octets that the broker has written to a client and that it has not read: the system keeps them, at both ends."""
    ours = f"{client.sock.getsockname()[1]:04X}"
    found = 0
    with open("/proc/net/tcp", encoding="ascii") as file:
        for line in file.readlines()[1:]:
            fields = line.split()
            here, there = (address.split(":")[1] for address in fields[1:3])
            unsent, unread = (int(count, 16) for count in fields[4].split(":"))
            if (here, there) == (f"{broker.port:04X}", ours):
                found += unsent
            elif (here, there) == (ours, f"{broker.port:04X}"):
                found += unread
    return found


@case("a consumer that never reads")
def never_reads(broker):
    body = bytes(64 * KIB)
    count = 400 if broker.programs.slow else 4000
    with Witness(broker), broker.client() as producer:
        producer.declare("deaf")
        producer.ask(amqp.confirm_select(1), "confirm-ok")
        deaf = broker.client(small=True)
        deaf.send(amqp.consume(1, "deaf", "d", amqp.NO_ACK))
        time.sleep(0.2)
        before = broker.rss()
        acked = 0
        for n in range(1, count + 1):
            producer.send(amqp.publish(1, "deaf", body))
            while n - acked > 50:
                event = producer.expect("ack")
                acked = event.tag() if event.multiple() else acked + 1
        left = producer.messages("deaf")
        # a consumer has a window of 512 messages, and gets more until 1 MiB waits to be written to its connection,
        # with one that is written in part; each is stored once
        written = (in_flight(broker, deaf) + MIB) // len(body)
        check(left >= count - 512 - 1 - written, f"{left} of {count} wait in the queue, {written} were written")
        used = broker.rss() - before
        limit = count / 16 * 1.1 + 24 + (100 if broker.programs.slow else 0)
        check(used < limit, f"{used:.0f} MiB for {count / 16:.0f} MiB of messages")
        with broker.client() as other:
            other.send(amqp.qos(1, 100) + amqp.consume(1, "deaf", "o"))
            other.expect("consume-ok")
            for n in range(left):
                event = other.expect("deliver")
                if n % 50 == 49 or n == left - 1:
                    other.send(amqp.ack(1, event.tag(), True))
            check(other.messages("deaf") == 0, "another consumer got the rest")
        deaf.kill()
        producer.send(amqp.queue_delete(1, "deaf"))
        producer.expect("delete-ok")
    if not broker.programs.slow:
        wait_until(lambda: broker.rss() < before + 24, 10, lambda: f"{broker.rss():.0f} MiB after, {before:.0f} before")


@case("many consumers that never read")
def many_never_read(broker):
    with Witness(broker), broker.client() as producer:
        producer.declare("deaf")
        deaf = [broker.client(small=True) for _ in range(50)]
        for client in deaf:
            client.send(amqp.consume(1, "deaf", "d", amqp.NO_ACK if deaf.index(client) % 2 else 0))
        time.sleep(0.3)
        before = broker.rss()
        total = 20000 if broker.programs.slow else 200000
        for _ in range(total // 1000):
            producer.send(amqp.publish(1, "deaf", bytes(100)) * 1000)
        with broker.client() as asker:
            wait_until(lambda: asker.messages("deaf") >= total - 50 * (512 + 9000), 30, "published")
        used = broker.rss() - before
        check(used < 120 * (4 if broker.programs.slow else 1), f"{used:.0f} MiB for {total} messages of 100 octets")
        for client in deaf:
            client.kill()
        with broker.client() as asker:
            asker.delete("deaf")


class Peak:
    """The most memory within its block."""

    def __init__(self, broker):
        self.broker, self.most, self.ending = broker, 0, None

    def watch(self):
        while not self.ending.wait(0.02):
            self.most = max(self.most, self.broker.rss())

    def __enter__(self):
        self.most, self.ending = 0, threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def __exit__(self, *rest):
        self.ending.set()
        self.thread.join()
        self.most = max(self.most, self.broker.rss())


ANSWERED = [
    ("channel.flow", lambda client: amqp.channel_flow(1) * 2000),
    ("queue.declare passive", lambda client: amqp.queue_declare(1, "there", amqp.PASSIVE) * 1000),
    ("queue.declare", lambda client: amqp.queue_declare(1, "there") * 1000),
    ("queue.bind", lambda client: amqp.queue_bind(1, "there", "amq.direct", "k") * 1000),
    ("basic.get of nothing", lambda client: amqp.get(1, "there") * 1000),
    ("basic.get of a large message", lambda client: amqp.get(1, "large", True) * 1000),
    ("basic.qos", lambda client: amqp.qos(1, 5) * 1000),
    ("tx.commit", lambda client: amqp.tx_commit(1) * 1000),
    ("channel.open and close", lambda client: (amqp.channel_open(2) + amqp.channel_close(2)) * 1000),
    *[(f"basic.consume and cancel, connection {n}",  # on the queue's shard and on the other: each waits for the last
       lambda client: (amqp.consume(1, "there", "t") + amqp.cancel(1, "t")) * 500) for n in (1, 2, 3)],
    ("mandatory publish of 60 KiB", lambda client: amqp.publish(1, "nowhere", bytes(60000), mandatory=True) * 20),
    ("publish with confirms", lambda client: amqp.publish(2, "nowhere", b"") * 1000),
    ("channels that fail", lambda client: (amqp.channel_open(3) + amqp.queue_declare(3, "missing" * 30, amqp.PASSIVE)
                                           + amqp.method(3, 20, 41)) * 300),
]


@case("a client that asks and never reads the answers")
def answers_unread(broker):
    """What is to be sent to one client is bounded; once it reads, every answer is there."""
    peak = Peak(broker)
    with Witness(broker), broker.client() as keeper:
        keeper.declare("there")
        keeper.declare("large")
        for name, build in ANSWERED:
            keeper.send(amqp.publish(1, "large", bytes(60000)) * 1000)
            check(keeper.messages("large") == 1000, "filled")
            client = broker.client(channels=1, small=True)
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
            if name == "tx.commit":
                client.ask(amqp.tx_select(1), "tx-ok")
            if "confirms" in name:
                client.ask(amqp.channel_open(2), "channel.open-ok")
                client.ask(amqp.confirm_select(2), "confirm-ok")
            before = broker.rss()
            with peak:
                sent = push(client, build(client), 1.0, 0.4)
            used = peak.most - before
            limit = 80 * (3 if broker.programs.slow else 1)  # half of it for the store, which pages the rest out
            check(used < limit, f"{name}: {used:.0f} MiB kept after {sent:.1f} MiB of requests")
            if "consume" in name:
                check(sent < 30, f"{name}: {sent:.1f} MiB taken, with answers to few of them")
            client.kill()
            keeper.ask(amqp.queue_purge(1, "large"), "purge-ok")


@case("a client that reads late gets every answer")
def answers_late(broker):
    with Witness(broker), broker.client() as client:
        client.sock.settimeout(0.5)
        client.declare("q")
        asked = 0
        request = amqp.queue_declare(1, "q", amqp.PASSIVE)
        client.sock.setblocking(False)
        pending = b""
        quiet = time.monotonic()
        while time.monotonic() - quiet < 1 and asked < 400000:
            if not pending:
                pending = request * 1000
                asked += 1000
            try:
                pending = pending[client.sock.send(pending):]
                quiet = time.monotonic()
            except BlockingIOError:
                time.sleep(0.01)
        client.sock.setblocking(True)
        answers = 0
        asked -= len(pending) // len(request)
        while answers < asked:
            client.expect("declare-ok")
            answers += 1
            if pending and answers == asked // 2:
                client.sock.setblocking(False)
                try:
                    pending = pending[client.sock.send(pending):]
                except BlockingIOError:
                    pass
                client.sock.setblocking(True)


class Holder:
    """A consumer that takes all and acknowledges nothing: what it holds stays in the broker's memory."""

    def __init__(self, broker, queue):
        self.client = broker.client()
        self.client.ask(amqp.consume(1, queue, "holder"), "consume-ok")
        self.thread = threading.Thread(target=self.swallow, daemon=True)
        self.thread.start()

    def swallow(self):
        self.client.sock.settimeout(None)
        try:
            while self.client.sock.recv(1 << 20):
                pass
        except OSError:
            pass

    def end(self):
        """Gives all of it back to the queue, which keeps little of it in memory."""
        self.client.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.client.kill()


def watermark(mib):
    return f"vm_memory_high_watermark: {mib}MiB\n"


def relieve(broker, mark):
    """Waits for the alarm's end. A sanitizer's allocator keeps what was freed: there the watermark is raised."""
    if broker.programs.slow:
        broker.write_config(watermark(4000))
        broker.signal(signal.SIGHUP)
    broker.logged("publishers go on", mark, 15)


@case("a producer that never stops", config=watermark(300))
def never_stops(broker):
    body = bytes(32 * KIB)
    with broker.client() as control, broker.client() as consumer:
        control.declare("grow")
        start = broker.rss()
        holder = Holder(broker, "grow")
        consumer.ask(amqp.qos(1, 50), "qos-ok")
        consumer.ask(amqp.consume(1, "grow", "c"), "consume-ok")
        producer = broker.client()
        mute = broker.client(capabilities=())
        mark = broker.mark()
        data = amqp.publish(1, "grow", body) * 16
        sent = push(producer, data, 60)
        broker.logged("publishers are blocked", mark)
        check(producer.readable(5) and producer.next().name == "blocked", "connection.blocked was sent")
        check((20 if broker.programs.slow else 150) < sent < 900, f"held after {sent:.0f} MiB")
        peak = broker.rss()
        check(peak < 300 + 120, f"{peak:.0f} MiB over a watermark of 300")
        # a connection that only now begins to publish is held as well, and told if it wants to be
        late = broker.client()
        late.send(amqp.publish(1, "grow", b"late"))
        check(late.next().name == "blocked", "a new publisher is told")
        held = push(mute, data, 5)
        check(held < 40 and not mute.readable(), f"a publisher without the capability is held silently, after {held:.0f} MiB")
        # everybody else goes on
        control.ask(amqp.exchange_declare(1, "during", "fanout"), "exchange.declare-ok")
        control.declare("during")
        control.ask(amqp.queue_bind(1, "during", "during"), "bind-ok")
        for _ in range(50):
            consumer.expect("deliver")
        consumer.send(amqp.ack(1, 0, True) + amqp.cancel(1, "c"))
        consumer.expect("cancel-ok")
        holder.end()
        consumer.kill()
        relieve(broker, mark)
        check(producer.next(10).name == "unblocked", "connection.unblocked was sent")
        check(late.next(10).name == "unblocked", "to all")
        control.ask(amqp.queue_purge(1, "grow"), "purge-ok")
        for client in (producer, mute, late):
            client.kill()
        control.delete("grow")
        wait_until(lambda: broker.open_files() < 40, 10, "connections gone")
        if not broker.programs.slow:
            wait_until(lambda: broker.rss() < start + 48, 15, lambda: f"{broker.rss():.0f} MiB, {start:.0f} before")
        with broker.client() as again:
            again.ask(amqp.confirm_select(1), "confirm-ok")
            again.send(amqp.publish(1, "during", b"x"))
            again.expect("ack")


@case("blocked publishers: close, die, and heartbeats", config=watermark(200))
def blocked_leave(broker):
    with broker.client() as control:
        control.declare("grow")
        holder = Holder(broker, "grow")
        filler = broker.client()
        push(filler, amqp.publish(1, "grow", bytes(64 * KIB)) * 8, 60)
        check(filler.next(10).name == "blocked", "blocked")
        dying = [broker.client() for _ in range(20)]
        for client in dying:
            client.send(amqp.publish(1, "grow", b"x"))
            check(client.next(10).name == "blocked", "told")
        for client in dying[:10]:
            client.kill()
        for client in dying[10:]:
            client.sock.close()
        beating = broker.client(heartbeat=1)
        beating.send(amqp.publish(1, "grow", b"x"))
        check(beating.next(10).name == "blocked", "told")
        began = time.monotonic()
        while time.monotonic() - began < 3:
            beating.send(amqp.frame(8, 0, b""))
            time.sleep(0.4)
        check(not beating.readable() or beating.sock.recv(8)[:1] == b"\x08", "the broker's heartbeats go on while blocked")
        filler.kill()
        holder.end()
        control.delete("grow")
        beating.buffer.clear()
        relieve(broker, 0)
        with broker.client() as late:
            late.ask(amqp.confirm_select(1), "confirm-ok")
            late.send(amqp.publish(1, "nowhere", b"x"))
            late.expect("ack")
        wait_until(lambda: broker.open_files() < 45, 15, "the dead are gone")
        beating.kill()


@case("publishers blocked for longer than their heartbeat")
def blocked_long(broker):
    """Their heartbeats lie in the sockets all the while; none of them may count as missed when the alarm ends."""
    count = 60 if broker.programs.slow else 300
    clients = [broker.client(heartbeat=1) for _ in range(count)]
    beat = amqp.frame(8, 0, b"")

    def live(seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for client in clients:
                client.send(beat)
            time.sleep(0.3)

    def alarm(mib, text):
        mark = broker.mark()
        broker.write_config(watermark(mib))
        broker.signal(signal.SIGHUP)
        broker.logged(text, mark, 10)

    for client in clients:
        client.send(amqp.publish(1, "nowhere", b"x"))
    live(0.5)
    for _ in range(3):
        alarm(1, "publishers are blocked")
        live(2.5)
        alarm(4000, "publishers go on")
        live(0.5)
    check("missed heartbeats" not in broker.log(), "nobody was closed for heartbeats that were sent")
    for client in clients:
        client.declare("alive")
        client.kill()


@case("one burst to a thousand queues", alone=True)
def burst_to_many(broker):
    """A message is an op for each queue: those of one read from a socket must not all be made at once."""
    queues, count = (200, 2000) if broker.programs.slow else (1000, 5000)
    short_queue = amqp.short("x-max-length") + b"I" + struct.pack(">i", 10)
    with Witness(broker, 1.0), broker.client() as client:
        client.ask(amqp.exchange_declare(1, "many", "fanout"), "exchange.declare-ok")
        for n in range(queues):
            client.ask(amqp.queue_declare(1, f"many-{n}", 0, short_queue), "declare-ok")
            client.ask(amqp.queue_bind(1, f"many-{n}", "many"), "bind-ok")
        before = broker.rss()
        highest = before
        client.send(amqp.publish(1, "", b"x", exchange="many") * count)
        for n in range(50):
            client.messages(f"many-{queues - 1}")
            highest = max(highest, broker.rss())
        check(client.messages("many-0") == 10, "all came")
        used = highest - before
        check(broker.programs.slow or used < 60, f"{used:.0f} MiB for a burst")


@case("a queue that only grows", config=watermark(250))
def only_grows(broker):
    """Small messages, several publishers, no consumer: they leave memory, or the watermark holds all publishers."""
    with broker.client() as control:
        for n in range(4):
            control.declare(f"grow-{n}")
        producers = [broker.client() for _ in range(4)]
        data = [amqp.publish(1, f"grow-{n}", bytes(100)) * 500 for n in range(4)]
        ends = [0.0] * 4
        at = [0] * 4
        for client in producers:
            client.sock.setblocking(False)
        deadline = time.monotonic() + 10
        blocked = set()
        while len(blocked) < 4 and time.monotonic() < deadline:
            readable, writable, _ = select.select([p.sock for p in producers], [p.sock for p in producers], [], 0.5)
            for n, client in enumerate(producers):
                if client.sock in readable and b"\0\x0a\0\x3c" in client.sock.recv(4096):
                    blocked.add(n)
                if client.sock in writable:
                    try:
                        at[n] = (at[n] + client.sock.send(memoryview(data[n])[at[n]:])) % len(data[n])
                        ends[n] = time.monotonic()
                    except BlockingIOError:
                        pass
        time.sleep(0.3)
        most = 250 + (400 if broker.programs.slow else 100)  # a sanitizer keeps what was freed for a while
        check(broker.rss() < most, f"{broker.rss():.0f} MiB over a watermark of 250")
        held = sum(control.messages(f"grow-{n}") for n in range(4))
        check(held > (20000 if broker.programs.slow else 500000), f"{held} messages are there")
        for client in producers:
            client.kill()
        for n in range(4):
            control.delete(f"grow-{n}")
        if blocked:
            relieve(broker, 0)


@case("a transaction that is never committed", config=watermark(200))
def endless_transaction(broker):
    with broker.client() as control:
        control.declare("tx")
        client = broker.client()
        client.ask(amqp.tx_select(1), "tx-ok")
        sent = push(client, amqp.publish(1, "tx", bytes(64 * KIB)) * 8, 60)
        check(client.next(10).name == "blocked", "held by the watermark")
        check(broker.rss() < 330, f"{broker.rss():.0f} MiB after {sent:.0f} MiB")
        check(control.messages("tx") == 0, "nothing was committed")
        client.kill()
        relieve(broker, 0)
