"""Delayed messages while the broker is killed: each that was confirmed comes once its time is over, and none before."""

import random
import struct
import time

from . import amqp
from .broker import Broker, Failure, check, wait_until
from .load import Confirms
from .suite import case, option, seed


def delayed(ms):
    """Properties of a persistent message with that delay."""
    return b"\x30\x00" + amqp.long(amqp.table({"x-delay": ms})) + b"\x02"


class Life:
    """A data directory over many lives of its broker."""
    LONGEST = 2500
    EARLY = 0.03  # clocks are read in different places

    def __init__(self, programs, number):
        self.seed, self.random = number, random.Random(number)
        self.last, self.due, self.confirmed = 0, {}, set()
        self.seen, self.early = {}, 0
        self.broker = Broker(programs, shards=2)
        with self.broker.client() as client:
            client.ask(amqp.exchange_declare(1, "late", "x-delayed-message", amqp.DURABLE,
                                             amqp.table({"x-delayed-type": "direct"})), "exchange.declare-ok")
            client.ask(amqp.queue_declare(1, "end", amqp.DURABLE), "declare-ok")
            slow = amqp.table({"x-delay": self.LONGEST // 2, "x-max-priority": 255})
            client.ask(amqp.queue_declare(1, "slow", amqp.DURABLE, slow), "declare-ok")
            client.ask(amqp.queue_bind(1, "end", "late", "k"), "bind-ok")

    def message(self):
        """To the exchange, or to the queue that delays."""
        self.last += 1
        body = struct.pack(">Q", self.last) + bytes(self.random.choice((0, 50, 50, 50, 3000, 70000)))
        if self.random.random() < 0.25:
            self.due[self.last] = time.time() + self.LONGEST / 2000
            return amqp.publish(1, "slow", body, properties=b"\x10\x00\x02")
        ms = self.random.randint(1, self.LONGEST)
        self.due[self.last] = time.time() + ms / 1000
        return amqp.publish(1, "k", body, exchange="late", properties=delayed(ms))

    def take(self, client):
        """Whatever has come by now."""
        for name in ("end", "slow"):
            while True:
                client.send(amqp.get(1, name, no_ack=True))
                event = client.next()
                if event.name == "get-empty":
                    break
                uid = struct.unpack_from(">Q", event.body)[0]
                self.early = max(self.early, self.due[uid] - time.time())
                self.seen[uid] = self.seen.get(uid, 0) + 1

    def round(self):
        confirms = Confirms()
        with self.broker.client() as client:
            client.ask(amqp.confirm_select(1), "confirm-ok")
            for _ in range(self.random.randint(1, 8)):
                data = []
                for _ in range(self.random.randint(1, 400)):
                    data.append(self.message())
                    confirms.add(self.last)
                client.send(b"".join(data))
                while len(confirms.open) > 200 or (confirms.open and client.readable()):
                    self.confirmed.update(confirms.take(client.next()))
            self.broker.kill()
            client.kill()
        time.sleep(self.random.choice((0, 0, 0.5)))
        self.broker.start()
        with self.broker.client() as client:
            self.take(client)

    def end(self):
        """Everything comes in the end."""
        def left():
            return sum(int(row["messages"]) for row in self.broker.control("list_delayed", "messages"))
        wait_until(lambda: left() == 0, 30, lambda: f"{left()} are still delayed")
        with self.broker.client() as client:
            wait_until(lambda: self.take(client) or not self.confirmed - self.seen.keys(), 10,
                       lambda: f"{len(self.confirmed - self.seen.keys())} of {len(self.confirmed)} confirmed messages "
                               f"are lost: {sorted(self.confirmed - self.seen.keys())[:10]}\n{self.broker.tail(5)}")
        check(self.early < self.EARLY, f"a message came {self.early:.3f} s before its time")


@case("delayed messages: killed at random moments", broker=False)
def delays_killed(programs):
    life = Life(programs, seed())
    try:
        for _ in range(option("rounds", 4 if programs.slow else 10)):
            life.round()
        life.end()
        twice = sum(count > 1 for count in life.seen.values())
        print(f"     {len(life.seen)} messages came, {len(life.confirmed)} were confirmed, {twice} came twice")
        life.broker.stop()
    except Failure as failure:
        raise Failure(f"seed {life.seed}: {failure}") from None
    finally:
        life.broker.end()


@case("delayed retry: what was given back waits on after a crash, and is not lost", broker=False)
def retries_killed(programs):
    chance, wait = random.Random(seed()), 1500
    retry = amqp.table({"x-delayed-retry-type": "all", "x-delayed-retry-min": wait,
                        "x-max-priority": chance.choice((254, 255))})
    broker = Broker(programs, shards=2)
    try:
        last, open_, early = 0, {}, 0
        with broker.client() as client:
            client.ask(amqp.queue_declare(1, "again", amqp.DURABLE, retry), "declare-ok")
        for _ in range(option("rounds", 2 if programs.slow else 4)):
            confirms = Confirms()
            with broker.client() as client:
                client.ask(amqp.confirm_select(1), "confirm-ok")
                for _ in range(chance.randint(1, 200)):
                    last += 1
                    open_[last] = 0
                    confirms.add(last)
                    client.send(amqp.publish(1, "again", struct.pack(">Q", last), properties=b"\x10\x00\x02"))
                while confirms.open:
                    confirms.take(client.next())
                client.send(amqp.get(1, "again"))
                while (event := client.next()).name != "get-empty":
                    if event.body == b"last one":
                        client.send(amqp.ack(1, event.tag()) + amqp.get(1, "again"))
                        continue
                    uid = struct.unpack(">Q", event.body)[0]
                    early = max(early, open_[uid] - time.time())
                    open_[uid] = time.time() + wait / 1000
                    client.send(chance.choice((amqp.nack, amqp.reject))(1, event.tag()) + amqp.get(1, "again"))
                client.send(amqp.publish(1, "again", b"last one", properties=b"\x10\x00\x02"))
                client.expect("ack")
                time.sleep(0.2)  # a settlement is on the disk within 100 ms
                broker.kill()
                client.kill()
            broker.start()
            time.sleep(chance.choice((0, 0, wait / 1000)))
        seen = set()
        with broker.client() as client:
            client.send(amqp.consume(1, "again", flags=2))
            client.expect("consume-ok")
            while open_.keys() - seen:
                event = client.expect("deliver", 20)
                if event.body != b"last one":
                    uid = struct.unpack(">Q", event.body)[0]
                    seen.add(uid)
                    early = max(early, open_[uid] - time.time())
        check(early < Life.EARLY, f"a message came {early:.3f} s before its time")
        broker.stop()
    finally:
        broker.end()


@case("more delayed messages than memory keeps: killed, and each comes once it is due", broker=False)
def long_line(programs):
    count, spread, ahead = 3000 if programs.slow else 40000, 3000, 6000
    broker = Broker(programs, shards=2)
    try:
        confirms, chance = Confirms(), random.Random(seed())
        with broker.client() as client:
            client.ask(amqp.exchange_declare(1, "late", "x-delayed-message", amqp.DURABLE,
                                             amqp.table({"x-delayed-type": "fanout"})), "exchange.declare-ok")
            client.ask(amqp.queue_declare(1, "end", amqp.DURABLE), "declare-ok")
            client.ask(amqp.queue_bind(1, "end", "late"), "bind-ok")
            client.ask(amqp.confirm_select(1), "confirm-ok")
            begun = time.time()
            for first in range(0, count, 500):
                data = []
                for uid in range(first, first + 500):
                    passed = int((time.time() - begun) * 1000)
                    ms = max(1, ahead - passed) + chance.randrange(spread)
                    confirms.add(uid)
                    data.append(amqp.publish(1, "", struct.pack(">Qd", uid, time.time() + ms / 1000) + bytes(84),
                                             exchange="late", properties=delayed(ms)))
                client.send(b"".join(data))
                while len(confirms.open) > 4000 or (confirms.open and client.readable()):
                    confirms.take(client.next())
            while confirms.open:
                confirms.take(client.next())
            broker.kill()
            client.kill()
        broker.start()
        seen, early = set(), 0
        with broker.client() as client:
            client.send(amqp.consume(1, "end", flags=2))
            client.expect("consume-ok")
            while len(seen) < count:
                event = client.expect("deliver", 30)
                uid, due = struct.unpack_from(">Qd", event.body)
                seen.add(uid)
                early = max(early, due - time.time())
        check(early < Life.EARLY, f"a message came {early:.3f} s before its time")
        check("are not there any more" not in broker.log(), broker.tail())
        broker.stop()
    finally:
        broker.end()
