"""Clients that die or close in the middle of everything: no message is lost, doubled or out of order, nothing leaks."""

import random
import struct
import time

from . import amqp
from .broker import check, wait_until
from .suite import Witness, case


def take_all(client, queue):
    """Bodies and redelivered flags of what is in the queue, fetched without acknowledgement."""
    out = []
    while True:
        client.send(amqp.get(1, queue, True))
        event = client.next()
        if event.name == "get-empty":
            return out
        out.append((event.body, event.redelivered()))


@case("killed within a frame")
def killed_mid_frame(broker):
    with Witness(broker), broker.client() as keeper:
        keeper.declare("q")
        whole = amqp.publish(1, "q", bytes(100000)) + amqp.publish(1, "q", b"small")
        for n in range(150):
            client = broker.client()
            client.send(whole[: 1 + n * (len(whole) - 60) // 150])
            if n % 2:
                client.kill()
            else:
                client.sock.close()
        for n in range(len(amqp.publish(1, "q", b"small"))):
            client = broker.client()
            client.send(amqp.publish(1, "q", b"small")[:n])
            client.kill()
        wait_until(lambda: broker.open_files() < 40, 10, "connections gone")
        left = {body for body, _ in take_all(keeper, "q")}
        check(left <= {bytes(100000)}, "only whole messages arrived")


@case("1,000 clients killed at once with unacknowledged messages")
def thousand_killed(broker):
    count, per = 300 if broker.programs.slow else 1000, 10
    total = count * per
    with Witness(broker, 6), broker.client() as keeper:
        keeper.declare("held")
        keeper.ask(amqp.confirm_select(1), "confirm-ok")
        keeper.send(b"".join(amqp.publish(1, "held", b"%d" % n) for n in range(total)))
        clients = [broker.client() for _ in range(count)]
        for client in clients:
            client.send(amqp.qos(1, per) + amqp.consume(1, "held", "c"))
        got = []
        for client in clients:
            for _ in range(per):
                got.append(int(client.expect("deliver").body))
        check(sorted(got) == list(range(total)), "each message went to one of them")
        check(keeper.messages("held") == 0, "all are out")
        for client in clients:
            client.kill()
        wait_until(lambda: keeper.messages("held") == total, 20, "all came back")
        back = take_all(keeper, "held")
        check([int(body) for body, _ in back] == list(range(total)), "in their original order")
        check(all(flag for _, flag in back), "each marked as redelivered")
        wait_until(lambda: keeper.declare("held", amqp.PASSIVE).counts()[1] == 0, 10, "no consumer is left")
        wait_until(lambda: broker.open_files() < 40, 10, "connections gone")


@case("1,000 clients killed at once: exclusive queues, auto-delete queues, transactions")
def thousand_owners_killed(broker):
    count = 300 if broker.programs.slow else 1000
    with Witness(broker, 6), broker.client() as keeper:
        keeper.ask(amqp.exchange_declare(1, "all", "fanout"), "exchange.declare-ok")
        before = broker.rss()
        clients = [broker.client() for _ in range(count)]
        for n, client in enumerate(clients):
            client.send(amqp.queue_declare(1, f"own-{n}", amqp.EXCLUSIVE) + amqp.queue_bind(1, f"own-{n}", "all")
                        + amqp.queue_declare(1, f"auto-{n}", amqp.AUTO_DELETE) + amqp.consume(1, f"auto-{n}", "c")
                        + amqp.tx_select(1) + amqp.publish(1, f"auto-{n}", b"never"))
        for client in clients:
            client.expect("tx-ok")
        for _ in range(20):
            keeper.send(amqp.publish(1, "", b"to all", exchange="all"))
        for client in clients:
            client.kill()

        def gone(name):
            try:
                with broker.client() as client:
                    client.messages(name)
            except amqp.Closed as closed:
                return closed.code == 404
            return False
        for n in (0, count // 2, count - 1):
            wait_until(lambda name=f"own-{n}": gone(name), 20, "an exclusive queue is gone")
            wait_until(lambda name=f"auto-{n}": gone(name), 20, "an auto-delete queue is gone")
        for n in range(count):
            check(gone(f"own-{n}") and gone(f"auto-{n}"), f"the queues of client {n} are gone")
        wait_until(lambda: broker.open_files() < 40, 10, "connections gone")
        if not broker.programs.slow:
            wait_until(lambda: broker.rss() < before + 24, 10, lambda: f"{broker.rss():.0f} MiB, {before:.0f} before")


ENDS = ("kill", "close", "shut", "connection.close", "channel.close", "wrong frame")


def end_client(client, how):
    try:
        if how == "kill":
            client.kill()
        elif how == "shut":
            client.sock.shutdown(1)
        elif how == "connection.close":
            client.send(amqp.connection_close())
        elif how == "channel.close":
            client.send(amqp.channel_close(1))
        elif how == "wrong frame":
            client.send(amqp.frame(99, 1, b""))
    except OSError:
        pass


def let_go(client):
    try:
        client.sock.close()
    except OSError:
        pass


@case("closed while deliveries are on their way")
def race_deliveries(broker):
    source = random.Random(2)
    rounds = 60 if broker.programs.slow else 200
    with Witness(broker), broker.client() as keeper:
        names = ["race-0", "race-1", "race-2", "race-3"]  # on both shards
        for name in names:
            keeper.declare(name)
        keeper.ask(amqp.confirm_select(1), "confirm-ok")
        sent = 0
        for n in range(rounds):
            name = names[n % 4]
            client = broker.client()
            client.send(amqp.qos(1, source.choice((0, 1, 50)), n % 3 == 0))
            client.expect("qos-ok")
            client.send(amqp.consume(1, name, "c"))
            keeper.send(b"".join(amqp.publish(1, name, b"%d" % (sent + k)) for k in range(100)))
            sent += 100
            if n % 5 == 0:
                client.expect("consume-ok")
            if n % 7 == 0:
                client.expect("deliver")
                client.send(amqp.reject(1, 1, True) + amqp.cancel(1, "c"))
            time.sleep(source.random() * 0.004)
            end_client(client, ENDS[n % len(ENDS)])
            let_go(client)
        left = sum(1 for _ in wait_acks(keeper, sent))
        check(left, "confirms came")
        wait_until(lambda: broker.open_files() < 40, 10, "connections gone")
        wait_until(lambda: sum(keeper.messages(name) for name in names) == sent, 10,
                   lambda: f"{sum(keeper.messages(name) for name in names)} of {sent} messages")
        for name in names:
            back = [int(body) for body, _ in take_all(keeper, name)]
            check(back == sorted(set(back)), "in order, none twice")
            check(keeper.declare(name, amqp.PASSIVE).counts()[1] == 0, "no consumer is left")


def wait_acks(client, count):
    acked = 0
    while acked < count:
        event = client.expect("ack")
        acked = event.tag() if event.multiple() else acked + 1
        yield acked


@case("closed while confirms, returns, get-ok and commit-ok are on their way")
def race_answers(broker):
    source = random.Random(4)
    rounds = 60 if broker.programs.slow else 240
    with Witness(broker), broker.client() as keeper:
        names = ["race-0", "race-1", "race-2", "race-3"]
        files = broker.open_files()
        keeper.ask(amqp.exchange_declare(1, "race-x", "fanout"), "exchange.declare-ok")
        for name in names:
            keeper.declare(name)
            keeper.ask(amqp.queue_bind(1, name, "race-x"), "bind-ok")
        for n in range(rounds):
            client = broker.client(channels=3)
            client.send(amqp.confirm_select(1) + b"".join(amqp.publish(1, "", b"c%d" % k, "race-x") for k in range(30)))
            client.send(amqp.tx_select(2) + b"".join(amqp.publish(2, names[k % 4], b"t%d" % k) for k in range(20))
                        + amqp.tx_commit(2))
            client.send(b"".join(amqp.get(3, names[k % 4]) for k in range(10)) + amqp.publish(3, "nowhere", b"r", mandatory=True)
                        + amqp.queue_declare(3, "", amqp.EXCLUSIVE) + amqp.queue_bind(3, "", "race-x")
                        + amqp.consume(3, "", "own") + amqp.queue_purge(3, names[0]) + amqp.queue_declare(3, names[1]))
            time.sleep(source.random() * 0.003)
            end_client(client, ENDS[n % len(ENDS)])
            let_go(client)
        wait_until(lambda: broker.open_files() <= files + 1, 10, "connections gone")
        for name in names:  # nothing is held by the dead: all that is counted can be fetched
            count = -1
            while count != keeper.messages(name):
                count = keeper.messages(name)
                time.sleep(0.1)
            got = len(take_all(keeper, name))
            check(got == count > 0, f"{got} messages fetched, {count} counted")
            keeper.delete(name)


@case("confirmed and committed, then the publisher dies")
def confirmed(broker):
    """What was confirmed is there, in order and once; a transaction is there whole or not at all."""
    source = random.Random(10)
    with Witness(broker), broker.client() as keeper:
        for n in range(20 if broker.programs.slow else 60):
            names = [f"sure-{n}", f"tx-{n}"]
            for name in names:
                keeper.declare(name)
            client = broker.client(channels=2)
            client.ask(amqp.confirm_select(1), "confirm-ok")
            client.ask(amqp.tx_select(2), "tx-ok")
            client.send(b"".join(amqp.publish(1, names[0], b"%d" % k) for k in range(300)))
            for turn in range(10):
                client.send(b"".join(amqp.publish(2, names[1], b"%d %d" % (turn, k)) for k in range(10)) + amqp.tx_commit(2))
            acked = set()
            commits = 0
            for _ in range(source.randrange(1, 12)):
                event = client.next()
                if event.name == "ack":
                    acked |= set(range(1, event.tag() + 1)) if event.multiple() else {event.tag()}
                commits += event.name == "commit-ok"
            client.kill()
            files = -1
            while files != broker.open_files():
                files = broker.open_files()
                time.sleep(0.02)
            got = [int(body) for body, _ in take_all(keeper, names[0])]
            check(got == sorted(set(got)), "in order, none twice")
            check({tag - 1 for tag in acked} <= set(got), f"{len(acked)} confirmed, {len(got)} there")
            turns = [body for body, _ in take_all(keeper, names[1])]
            check(len(turns) % 10 == 0 and len(turns) >= 10 * commits, f"{commits} commits, {len(turns)} messages")
            check(turns == [b"%d %d" % (t, k) for t in range(len(turns) // 10) for k in range(10)], "whole and in order")
            for name in names:
                keeper.delete(name)


@case("a channel closed while its requests are on their way")
def race_channel(broker):
    """The same connection goes on: answers of a former channel of that number must not reach the next one."""
    source = random.Random(6)
    rounds = 100 if broker.programs.slow else 500
    with Witness(broker), broker.client(channels=2) as client:
        names = ["race-0", "race-1", "race-2"]
        for name in names:
            client.declare(name, channel=2)
            client.send(b"".join(amqp.publish(2, name, b"%d" % k) for k in range(50)))
        for n in range(rounds):
            name = source.choice(names)
            client.send(source.choice((
                amqp.consume(1, name, "t"),
                amqp.consume(1, name, "t") + amqp.cancel(1, "t"),
                amqp.get(1, name) * 5,
                amqp.confirm_select(1) + amqp.publish(1, name, b"more") * 3,
                amqp.tx_select(1) + amqp.publish(1, name, b"more") + amqp.tx_commit(1),
                amqp.queue_declare(1, f"new-{n}", amqp.AUTO_DELETE) + amqp.consume(1, f"new-{n}", "t"),
                amqp.queue_declare(1, f"new-{n}", amqp.EXCLUSIVE) + amqp.queue_delete(1, f"new-{n}"),
                amqp.consume(1, name, "t", amqp.NO_ACK) + amqp.publish_method(1, name) + amqp.content_header(1, 5),
            )))
            if n % 3 == 0:  # the broker closes it
                client.send(amqp.frame(1, 1, b"\0\x3c\0\x50" + struct.pack(">QB", 999, 0))
                            if source.random() < 0.5 and n % 2 else amqp.queue_declare(1, "missing", amqp.PASSIVE))
                event = client.next(raise_closed=False)
                while event.name not in ("channel.close", "connection.close"):
                    event = client.next(raise_closed=False)
                if event.name == "connection.close":  # the method fell into a content
                    check(event.reason()[0] == 505, str(event.reason()))
                    client.sock.close()
                    client.__init__(broker.port, 2)
                    continue
                client.send(amqp.method(1, 20, 41))
            else:
                client.send(amqp.channel_close(1))
                try:
                    client.expect("channel.close-ok")
                except amqp.Closed as closed:
                    if closed.channel:
                        client.events.clear()
                        client.ask(amqp.channel_open(1), "channel.open-ok")
                        continue
                    check(closed.code == 505, str(closed))
                    client.sock.close()
                    client.__init__(broker.port, 2)
                    continue
            client.ask(amqp.channel_open(1), "channel.open-ok")
        for name in names:
            count = client.messages(name, 2)
            got = 0
            while client.ask(amqp.get(2, name, True), "get-ok" if got < count else "get-empty").name == "get-ok":
                got += 1
            check(got == count, "all that is counted can be fetched")


@case("queues deleted while everything is on its way")
def race_delete(broker):
    source = random.Random(8)
    rounds = 60 if broker.programs.slow else 300
    with Witness(broker), broker.client() as killer:
        clients = [broker.client(channels=2) for _ in range(4)]
        for n in range(rounds):
            name = f"doomed-{n % 3}"
            for client in clients:
                client.send(amqp.queue_declare(1, name) + amqp.consume(1, name, "", source.choice((0, 2)))
                            + amqp.publish(2, name, b"x") * 20 + amqp.get(1, name) + amqp.queue_purge(1, name))
            time.sleep(source.random() * 0.002)
            killer.delete(name)
            for client in clients:
                while client.readable(0):
                    event = client.next(raise_closed=False)
                    check(event.name != "connection.close", str(event.args))
                    if event.name == "channel.close":
                        client.send(amqp.method(event.channel, 20, 41) + amqp.channel_open(event.channel))
        for client in clients:
            client.close()


@case("a second client takes over what a killed one held, in order, many times")
def takeover(broker):
    count = 200
    with Witness(broker), broker.client() as keeper:
        keeper.declare("chain")
        keeper.send(b"".join(amqp.publish(1, "chain", b"%d" % n) for n in range(count)))
        expected = 0
        for turn in range(20):
            client = broker.client()
            client.send(amqp.qos(1, 50) + amqp.consume(1, "chain", "c"))
            batch = [client.expect("deliver") for _ in range(min(50, count - expected))]
            check([int(e.body) for e in batch] == list(range(expected, expected + len(batch))), "in order")
            client.send(amqp.ack(1, batch[9].tag(), True))  # ten of them
            client.ask(amqp.channel_flow(1), "flow-ok")
            client.kill()
            expected += 10
            wait_until(lambda: keeper.messages("chain") == count - expected, 10, "the rest came back")
            if expected == count:
                break
