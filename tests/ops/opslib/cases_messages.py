"""What messages and queues obey after a start, before any client has asked for anything."""

import os
import struct
import threading
import time

import pika

from . import raw
from .broker import Broker, run
from .suite import case, equal, holds, until

ENDS = ("stopped", "killed")


def restart(b, how, pause=0.0):
    if how == "killed":
        b.kill()
    else:
        for connection in b.opened:
            connection.close()
        equal(b.stop(), 0, "exit code")
    b.opened = []
    time.sleep(pause)
    b.start()


def channel_of(b):
    connection = b.pika()
    b.opened = [*getattr(b, "opened", []), connection]
    channel = connection.channel()
    channel.confirm_delivery()
    return channel


def publish(channel, queue, *bodies, **properties):
    for body in bodies:
        channel.basic_publish("", queue, body, pika.BasicProperties(**{"delivery_mode": 2, **properties}))


def counts(b):
    return {row["name"]: int(row["messages"]) for row in b.rows("list_queues", "name", "messages")}


def take_all(b, queue):
    """(body, redelivered) of each."""
    channel, taken = channel_of(b), []
    while True:
        method, _, body = channel.basic_get(queue, auto_ack=True)
        if method is None:
            return taken
        taken.append((body, method.redelivered))


def letters_to(queue):
    return {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue}


@case
def limits_of_length_hold_at_once():
    """What consumers held is ready again, and with it more than the queue may have."""
    limits = {"count": {"x-max-length": 5}, "bytes": {"x-max-length-bytes": 10},
              "refuses": {"x-max-length": 5, "x-overflow": "reject-publish"},
              "letters": {"x-max-length": 5, **letters_to("dead")}}
    with Broker({"shutdown_timeout": "1s"}) as b:
        channel = channel_of(b)
        channel.queue_declare("dead", durable=True)
        for name, arguments in limits.items():
            channel.queue_declare(name, durable=True, arguments=arguments)
            publish(channel, name, b"0a", b"0b", b"0c", b"0d", b"0e")
            for _ in range(5):
                channel.basic_get(name)
            publish(channel, name, b"1a", b"1b", b"1c", b"1d", b"1e")
        restart(b, "killed")
        wanted = {"count": 5, "bytes": 5, "refuses": 10, "letters": 5, "dead": 5}
        until(lambda: counts(b) == wanted, lambda: f"{counts(b)}, not {wanted}", 5)
        for name in ("count", "bytes", "letters"):
            equal([body[:1] for body, _ in take_all(b, name)], [b"1"] * 5, f"what {name} kept")
        equal([body for body, _ in take_all(b, "dead")], [b"0a", b"0b", b"0c", b"0d", b"0e"])


@case
def what_expired_meanwhile_goes_at_once():
    for how in ENDS:
        with Broker({"shutdown_timeout": "1s"}) as b:
            channel = channel_of(b)
            channel.queue_declare("dead", durable=True)
            channel.queue_declare("timed", durable=True, arguments={"x-message-ttl": 1500, **letters_to("dead")})
            channel.queue_declare("own", durable=True)
            publish(channel, "timed", b"a", b"b")
            publish(channel, "own", b"long", expiration="60000")
            publish(channel, "own", b"short", expiration="1500")
            publish(channel, "own", b"ever")
            restart(b, how, 2)
            wanted = {"dead": 2, "timed": 0, "own": 2}
            until(lambda: counts(b) == wanted, lambda: f"{how}: {counts(b)}, not {wanted}", 5)
            equal([body for body, _ in take_all(b, "own")], [b"long", b"ever"])


@case
def what_expires_later_does_so():
    """The time goes on while the broker is down, and ends when it would have ended."""
    for how in ENDS:
        with Broker({"shutdown_timeout": "1s"}) as b:
            channel = channel_of(b)
            channel.queue_declare("timed", durable=True, arguments={"x-message-ttl": 4000})
            publish(channel, "timed", b"a")
            began = time.monotonic()
            restart(b, how, 0.5)
            if time.monotonic() - began < 3.5:
                equal(counts(b), {"timed": 1}, f"{how}: too early")
            until(lambda: counts(b) == {"timed": 0}, f"{how}: it expires", 5)
            holds(3.9 < time.monotonic() - began < 8, f"{how}: after {time.monotonic() - began:.1f} s")


@case
def the_time_of_an_unused_queue_begins_anew():
    for how in ENDS:
        with Broker({"shutdown_timeout": "1s"}) as b:
            channel = channel_of(b)
            channel.queue_declare("idle", durable=True, arguments={"x-expires": 2500})
            publish(channel, "idle", b"a")
            time.sleep(1.5)
            restart(b, how)
            began = time.monotonic()
            until(lambda: not counts(b), f"{how}: it goes", 10)
            holds(time.monotonic() - began > 1.7, f"{how}: gone after {time.monotonic() - began:.1f} s")


@case
def quorum_queues_store_what_is_called_transient():
    for how in ENDS:
        with Broker({"shutdown_timeout": "1s"}) as b:
            channel = channel_of(b)
            channel.queue_declare("classic", durable=True)
            channel.exchange_declare("both", "fanout", durable=True)
            for name in ("quorum", "second"):
                channel.queue_declare(name, durable=True, arguments={"x-queue-type": "quorum"})
            for name in ("classic", "quorum", "second"):
                channel.queue_bind(name, "both")
            for size in (3, 200000):
                for mode in (None, 1):
                    channel.basic_publish("both", "", bytes(size), pika.BasicProperties(delivery_mode=mode))
            publish(channel, "quorum", b"alone", delivery_mode=1)
            restart(b, how)
            equal(counts(b), {"classic": 0, "quorum": 5, "second": 4}, how)
            channel, modes = channel_of(b), []
            for _ in range(5):
                _, properties, body = channel.basic_get("quorum", auto_ack=True)
                modes.append((len(body), properties.delivery_mode))
            equal(modes, [(3, None), (3, 1), (200000, None), (200000, 1), (5, 1)])
            equal([len(body) for body, _ in take_all(b, "second")], [3, 3, 200000, 200000])


@case
def a_clean_stop_keeps_what_was_given_back():
    """Only that is marked as redelivered then; after a kill all that could have been delivered."""
    for how in ENDS:
        with Broker({"shutdown_timeout": "1s"}) as b:
            channel = channel_of(b)
            channel.queue_declare("read", durable=True)
            channel.queue_declare("unread", durable=True)
            channel.queue_declare("quorum", durable=True, arguments={"x-queue-type": "quorum", "x-delivery-limit": 9})
            publish(channel, "read", b"a", b"b", b"c")
            publish(channel, "unread", b"d")
            publish(channel, "quorum", b"e", b"f")
            for _ in range(3):
                method, _, _ = channel.basic_get("quorum")
                channel.basic_nack(method.delivery_tag)
            method, _, _ = channel.basic_get("read")
            channel.basic_nack(method.delivery_tag)
            publish(channel, "read", b"z")
            publish(channel, "quorum", b"g")
            restart(b, how)
            killed = how == "killed"
            equal(take_all(b, "read"), [(b"a", True), (b"b", killed), (b"c", killed), (b"z", killed)], how)
            equal(take_all(b, "unread"), [(b"d", False)], how)
            channel, seen = channel_of(b), []
            for _ in range(3):
                _, properties, body = channel.basic_get("quorum", auto_ack=True)
                seen.append((body, properties.headers["x-delivery-count"]))
            equal(seen, [(b"e", 3), (b"f", 0), (b"g", 0)], how)


@case
def what_a_transaction_pushed_out_stays_out():
    """Whether what pushed is stored or not; and nothing waits for a commit that is over."""
    for mode in (1, 2):
        with Broker({"shutdown_timeout": "1s"}) as b:
            channel = channel_of(b)
            channel.queue_declare("short", durable=True, arguments={"x-max-length": 3})
            publish(channel, "short", b"a", b"b", b"c")
            inside = channel.connection.channel()
            inside.tx_select()
            publish(inside, "short", b"d", delivery_mode=mode)
            inside.tx_commit()
            time.sleep(0.3)  # more than the records of settlements wait
            b.kill()
            _, said, _ = run("--dump-data", "--data", b.data)
            holds("\n0 transactions without commit" in said, said[-600:])
            b.opened = []
            b.start()
            left = [b"b", b"c"] + [b"d"] * (mode == 2)
            equal([body for body, _ in take_all(b, "short")], left, f"delivery mode {mode}")


@case
def what_nobody_waits_for_is_written_soon():
    """Publishes without confirms, settlements, purges: a tenth of a second later they are on the disk."""
    with Broker({"shutdown_timeout": "1s"}) as b:
        quiet = b.pika().channel()
        for name in ("published", "settled", "purged", "given back"):
            quiet.queue_declare(name, durable=True, arguments={"x-queue-type": "quorum", "x-delivery-limit": 5})
        channel = channel_of(b)
        publish(channel, "settled", b"a", b"b", b"c")
        publish(channel, "given back", b"d")
        publish(channel, "purged", b"e")
        for settle in (channel.basic_ack, lambda tag: channel.basic_reject(tag, requeue=False)):
            settle(channel.basic_get("settled")[0].delivery_tag)
        channel.basic_nack(channel.basic_get("given back")[0].delivery_tag)
        quiet.queue_purge("purged")
        publish(quiet, "published", b"f")
        time.sleep(0.6)
        restart(b, "killed")
        equal(counts(b), {"published": 1, "settled": 1, "purged": 0, "given back": 1})
        _, properties, _ = channel_of(b).basic_get("given back", auto_ack=True)
        equal(properties.headers["x-delivery-count"], 1)


@case
def a_clean_stop_leaves_nothing_to_replay():
    with Broker({"shutdown_timeout": "1s"}) as b:
        channel = channel_of(b)
        channel.queue_declare("q", durable=True)
        publish(channel, "q", *[b"%d" % n for n in range(100)])
        channel.basic_get("q")
        channel.connection.close()
        equal(b.stop(), 0, "exit code")
        _, said, _ = run("--dump-data", "--data", b.data)
        holds(" 0 frames beyond the database with 0 bytes" in said, said[-600:])
        b.opened = []
        b.start()
        equal(counts(b), {"q": 100})


def bend(path):
    with open(path, "r+b") as file:
        file.seek(50000)
        byte = file.read(1)[0]
        file.seek(50000)
        file.write(bytes([byte ^ 4]))


@case
def a_large_body_that_is_damaged_is_reported():
    """That message is left out, the others stay."""
    for damage in (bend, os.unlink, lambda path: os.truncate(path, 1000)):
        with Broker({"shutdown_timeout": "1s"}) as b:
            channel = channel_of(b)
            channel.queue_declare("q", durable=True)
            bodies = [b"%d" % n * 90000 for n in range(4)]
            publish(channel, "q", *bodies)
            restart(b, "stopped")
            files = sorted(os.path.join(b.data, "blobs", name) for name in os.listdir(os.path.join(b.data, "blobs")))
            equal(len(files), 4, "files of large bodies")
            since = b.mark()
            b.kill()
            damage(files[2])
            b.start()
            left = [body for body, _ in take_all(b, "q")]
            equal(len(left), 3, "messages that are left")
            holds(all(body in bodies for body in left), "they are what they were")
            b.logged(r"\[error\] store: damage in queue .*: a message cannot be read; it is left out", since)
            b.logged(r"\[error\] store: queue 'q' in vhost '/': 1 of its messages are not there any more", since)
            equal(counts(b), {"q": 0})


def deduplicated(values, body, queue="q"):
    """Publishes, as frames: one message for each value of x-deduplication-header."""
    route = raw.short("") + raw.short(queue) + b"\0"
    ask = struct.pack(">BHIHHH", 1, 1, len(route) + 6, 60, 40, 0) + route + b"\xce"
    last = struct.pack(">BHI", 3, 1, len(body)) + body + b"\xce" if body else b""
    name = raw.short("x-deduplication-header") + b"l"
    head = struct.pack(">BHIHHQH", 2, 1, 51, 60, 0, len(body), 0x3000)
    return b"".join(ask + head + raw.long(name + struct.pack(">q", value)) + b"\2\xce" + last for value in values)


def publisher(b):
    """Of confirmed messages, on channel 1."""
    client = raw.Raw(b.port).connect()
    client.send(20, 10, b"\0", 1)
    client.expect(20, 11)
    client.send(85, 10, b"\0", 1)
    client.expect(85, 11)
    return client


def confirmed(client, last):
    while struct.unpack(">Q", client.expect(60, 80)[:8])[0] < last:
        pass


@case
def publishers_wait_while_a_queue_reads_its_values():
    """More than a queue keeps of what comes meanwhile (READY_RECALL_BYTES), from two at a time, and as dead letters."""
    some, more, body = 100000, 400, b"x" * 20000
    with Broker() as b:
        channel = channel_of(b)
        channel.queue_declare("q", durable=True, arguments={"x-message-deduplication": True})
        channel.queue_declare("short", durable=True, arguments={
            "x-max-length": 10, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q"})
        client = publisher(b)
        client.socket.sendall(deduplicated(range(some), b""))
        confirmed(client, some)
        client.socket.close()
        restart(b, "stopped")
        parts = [(queue, range(some - 10 + n * more, some + (n + 1) * more)) for n, queue in enumerate(("q", "q", "short"))]
        clients = [publisher(b) for _ in parts]
        threads = [threading.Thread(target=client.socket.sendall, args=(deduplicated(part, body, queue),))
                   for client, (queue, part) in zip(clients, parts)]
        for thread in threads:
            thread.start()
        for client, (_, part) in zip(clients, parts):
            confirmed(client, len(part))
        for thread in threads:
            thread.join()
        for client in clients:
            client.socket.close()
        until(lambda: counts(b) == {"q": some + 3 * more - 10, "short": 10}, "messages")
