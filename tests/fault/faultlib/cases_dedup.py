"""A queue that takes each value once, killed while publishers send everything again and again: what was confirmed is in
it once, whatever was sent twice, and what was not confirmed and never came may come later."""

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

    def __init__(self, programs, number):
        self.seed, self.random = number, random.Random(number)
        self.killing, self.lock = threading.Event(), threading.Lock()
        self.last = self.sent = 0
        self.confirmed, self.errors = set(), []
        self.broker = Broker(programs, shards=2)
        with self.broker.client() as client:
            client.ask(amqp.queue_declare(1, "once", amqp.DURABLE, amqp.table({"x-message-deduplication": True})),
                       "declare-ok")

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
                        data.append(amqp.publish(1, "once", struct.pack(">Q", value) + bytes(chance.choice((0, 100, 2000))),
                                                 properties=properties(f"v{value}"), mandatory=True))
                    self.sent += len(data)
                    client.send(b"".join(data))
                    while len(confirms.open) > 500 or (confirms.open and client.readable()):
                        event = client.next()
                        check(event.name == "ack", f"a publisher got {event.name}")
                        self.confirmed.update(confirms.take(event))
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

    def look(self):
        """Takes all out."""
        found = {}
        with self.broker.client() as client:
            count = client.messages("once")
            client.send(amqp.consume(1, "once", flags=2))
            client.expect("consume-ok")
            for _ in range(count):
                value = struct.unpack_from(">Q", client.expect("deliver", 20).body)[0]
                found[value] = found.get(value, 0) + 1
        twice = sorted(value for value, times in found.items() if times > 1)
        lost = self.confirmed - found.keys()
        check(not twice, f"{len(twice)} of {len(found)} are there twice: {twice[:10]}")
        check(not lost, f"{len(lost)} of {len(self.confirmed)} confirmed are lost: {sorted(lost)[:10]}")
        print(f"     {self.sent} sent, {len(self.confirmed)} confirmed, {len(found)} there")


@case("deduplication: killed at random moments", broker=False)
def deduplicated_killed(programs):
    life = Life(programs, seed())
    try:
        for _ in range(option("rounds", 4 if programs.slow else 12)):
            life.round()
        life.look()
        life.broker.stop()
    except Failure as failure:
        raise Failure(f"seed {life.seed}: {failure}") from None
    finally:
        life.broker.end()
