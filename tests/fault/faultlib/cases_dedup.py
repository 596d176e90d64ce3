"""A queue that takes each value once, and an exchange that lets each value in once, killed while publishers send
everything again and again: what was confirmed is there, and nothing that was confirmed comes again. A queue has each value
once in any case; an exchange may let in again what it had not confirmed when it was killed."""

import random
import struct
import threading
import time

from . import amqp
from .broker import Broker, Failure, check
from .load import DEATHS, Confirms
from .suite import case, option, seed


def properties(value):
    return b"\x30\x00" + amqp.long(amqp.table({"x-deduplication-header": value})) + b"\x02"


class Life:
    """A data directory over many lives of its broker."""

    def __init__(self, programs, number, exchange):
        self.seed, self.random = number, random.Random(number)
        self.killing, self.lock = threading.Event(), threading.Lock()
        self.last = self.sent = self.life = 0
        self.confirmed, self.errors = {}, []  # confirmed: in which life first
        self.exchange = "sieve" if exchange else ""
        self.broker = Broker(programs, shards=2)
        with self.broker.client() as client:
            if not exchange:
                client.ask(amqp.queue_declare(1, "once", amqp.DURABLE, amqp.table({"x-message-deduplication": True})),
                           "declare-ok")
                return
            client.ask(amqp.exchange_declare(1, "sieve", "x-message-deduplication", amqp.DURABLE,
                                             amqp.table({"x-cache-size": 1000000, "x-cache-persistence": "disk"})),
                       "exchange.declare-ok")
            for queue in ("once", "other"):
                client.ask(amqp.queue_declare(1, queue, amqp.DURABLE), "declare-ok")
                client.ask(amqp.queue_bind(1, queue, "sieve"), "bind-ok")

    def values(self, chance):
        """New ones, and some of all that were sent before, confirmed or not."""
        with self.lock:
            first, self.last = self.last + 1, self.last + 1 + chance.randint(0, 200)
            return list(range(first, self.last + 1)) + [chance.randint(1, self.last) for _ in range(50)]

    def write(self, number):
        chance = random.Random(number)
        try:
            with self.broker.client() as client:
                client.ask(amqp.confirm_select(1), "confirm-ok")
                confirms = Confirms()
                while True:
                    data = []
                    for value in self.values(chance):
                        confirms.add(value)
                        body = struct.pack(">QI", value, self.life) + bytes(chance.choice((0, 100, 2000)))
                        data.append(amqp.publish(1, "once", body, self.exchange, properties=properties(f"v{value}"),
                                                 mandatory=True))
                    self.sent += len(data)
                    client.send(b"".join(data))
                    while len(confirms.open) > 500 or (confirms.open and client.readable()):
                        event = client.next()
                        check(event.name == "ack", f"a publisher got {event.name}")
                        for value in confirms.take(event):
                            self.confirmed.setdefault(value, self.life)
        except DEATHS as error:
            if not self.killing.is_set():
                self.errors.append(f"{type(error).__name__}: {error}")
        except Failure as error:
            self.errors.append(str(error))

    def round(self):
        self.killing.clear()
        writers = [threading.Thread(target=self.write, args=(self.random.getrandbits(32),), daemon=True) for _ in range(3)]
        for one in writers:
            one.start()
        time.sleep(self.random.uniform(0.05, 0.4))
        self.killing.set()
        self.broker.kill()
        for one in writers:
            one.join(30)
            check(not one.is_alive(), "a writer does not end")
        check(not self.errors, "; ".join(self.errors))
        self.broker.start()
        self.life += 1

    def is_twice(self, value, lives):
        if not self.exchange:
            return len(lives) > 1
        return len(lives) > len(set(lives)) or max(lives) > self.confirmed.get(value, self.life)

    def look(self, queue):
        """Takes all out."""
        found = {}  # the lives in which its copies were sent
        with self.broker.client() as client:
            count = client.messages(queue)
            client.send(amqp.consume(1, queue, flags=2))
            client.expect("consume-ok")
            for _ in range(count):
                value, life = struct.unpack_from(">QI", client.expect("deliver", 20).body)
                found.setdefault(value, []).append(life)
        twice = sorted(value for value, lives in found.items() if self.is_twice(value, lives))
        lost = self.confirmed - found.keys()
        check(not twice, f"{len(twice)} of {len(found)} are there twice: {twice[:10]}")
        check(not lost, f"{len(lost)} of {len(self.confirmed)} confirmed are lost: {sorted(lost)[:10]}")
        print(f"     {self.sent} sent, {len(self.confirmed)} confirmed, {len(found)} there")


def run(programs, exchange):
    life = Life(programs, seed(), exchange)
    try:
        for _ in range(option("rounds", 4 if programs.slow else 12)):
            life.round()
        for queue in ("once", "other") if exchange else ("once",):
            life.look(queue)
        life.broker.stop()
    except Failure as failure:
        raise Failure(f"seed {life.seed}: {failure}") from None
    finally:
        life.broker.end()


@case("deduplication: killed at random moments", broker=False)
def deduplicated_killed(programs):
    run(programs, False)


@case("deduplication by an exchange: killed at random moments", broker=False)
def exchange_killed(programs):
    run(programs, True)
