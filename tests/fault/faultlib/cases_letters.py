"""Dead letters over chains of queues on all shards while the broker is killed: a message that was confirmed is in its
queue or in one behind it, perhaps in both, and what a transaction rejected is behind it once."""

import random
import struct
import threading
import time
import traceback

from . import amqp
from .broker import Broker, Failure, check, wait_until
from .load import DEATHS, Confirms
from .suite import case, option, seed

PERSISTENT = b"\x10\x00\x02"


class Chains:
    """By time to a queue that is short, by length to another with a time, from there to the end; by rejection, and
    by the delivery limit of a quorum queue, straight to the end. Each step is on a shard of its own."""
    WIDTH = 3
    SHORT = 40
    answers = ("ack",)

    def __init__(self):
        self.arguments = {}
        self.add_all()

    def properties(self, _source):
        return PERSISTENT

    def add_all(self):
        for n in range(self.WIDTH):
            letters = {"x-dead-letter-exchange": ""}
            self.add(f"timed-{n}", {**letters, "x-dead-letter-routing-key": f"short-{n}", "x-message-ttl": 15})
            self.add(f"short-{n}", {**letters, "x-dead-letter-routing-key": f"late-{n}", "x-max-length": self.SHORT})
            self.add(f"late-{n}", {**letters, "x-dead-letter-routing-key": f"end-{n}", "x-message-ttl": 25})
            self.add(f"refused-{n}", {**letters, "x-dead-letter-routing-key": f"end-{n}"})
            self.add(f"worn-{n}", {**letters, "x-dead-letter-routing-key": f"end-{n}", "x-queue-type": "quorum",
                                   "x-delivery-limit": 1})
            self.add(f"end-{n}", {})

    def add(self, name, arguments):
        self.arguments[name] = arguments

    def moving(self):
        """Those that a message leaves by time."""
        return [name for name, arguments in self.arguments.items() if "x-message-ttl" in arguments]

    def names(self, *starts):
        return [name for name in self.arguments if name.startswith(starts)]

    def declare(self, client):
        for name, arguments in self.arguments.items():
            client.ask(amqp.queue_declare(1, name, amqp.DURABLE, amqp.table(arguments)), "declare-ok")


class Client(threading.Thread):
    """Goes on until the broker dies."""

    def __init__(self, life):
        super().__init__(daemon=True)
        self.life, self.error = life, None
        self.random = random.Random(life.random.getrandbits(32))

    def run(self):
        try:
            self.act(self.life.broker.client())
        except DEATHS as error:
            if not self.life.killing.is_set():
                self.error = f"{type(error).__name__}: {error}"
        except Exception:  # noqa: BLE001
            self.error = traceback.format_exc()


class Writer(Client):
    def act(self, client):
        life, confirms = self.life, Confirms()
        names = life.chains.names("timed", "refused", "worn", "short")
        client.ask(amqp.confirm_select(1), "confirm-ok")
        while True:
            data, crowd = [], self.random.random() < 0.1
            one = self.random.choice(life.chains.names("timed"))
            for _ in range(1500 if crowd else self.random.randint(1, 60)):
                uid = life.new(one if crowd else self.random.choice(names))
                confirms.add(uid)
                body = struct.pack(">Q", uid) + bytes(self.random.choice((0, 10, 500, 500, 5000, 70000))
                                                      if not crowd and self.random.random() < 0.2 else 50)
                data.append(amqp.publish(1, life.where[uid], body, properties=life.chains.properties(self.random)))
            client.send(b"".join(data))
            while len(confirms.open) > 300 or (confirms.open and client.readable()):
                event = client.next()
                check(event.name in life.chains.answers, f"a publisher got {event.name}")
                if event.name == "ack":
                    life.confirmed.update(confirms.take(event))
                else:
                    confirms.take(event)


class Refuser(Client):
    """Rejects all, in transactions or without."""

    def act(self, client):
        life, count = self.life, self.random.choice((1, 5, 20))
        in_tx = self.random.random() < 0.6
        if in_tx:
            client.ask(amqp.tx_select(1), "tx-ok")
        client.send(amqp.qos(1, 100))
        client.expect("qos-ok")
        for name in life.chains.names("refused"):
            client.ask(amqp.consume(1, name), "consume-ok")
        held = []
        while True:
            event = client.next(60)
            if event.name == "deliver":
                held.append((event.tag(), uid_of(event)))
            if len(held) >= count:
                client.send(amqp.nack(1, held[-1][0], True, False))
                if in_tx:
                    client.send(amqp.tx_commit(1))
                    while client.readable(0) or True:
                        event = client.next(30)
                        if event.name == "commit-ok":
                            break
                        late = (event.tag(), uid_of(event))
                        held.append(late)
                    done, held = held[:count], held[count:]
                    life.committed.update(uid for _, uid in done)
                else:
                    held = []


class Returner(Client):
    """Gives back all from the queues with a limit of deliveries."""

    def act(self, client):
        client.send(amqp.qos(1, 50))
        client.expect("qos-ok")
        for name in self.life.chains.names("worn"):
            client.ask(amqp.consume(1, name), "consume-ok")
        while True:
            event = client.next(60)
            if event.name == "deliver":
                client.send(amqp.nack(1, event.tag(), False, True))


def uid_of(event):
    return struct.unpack_from(">Q", event.body)[0]


class Life:
    """A data directory over many lives of its broker."""

    def __init__(self, programs, number, chains=None):
        self.seed, self.random = number, random.Random(number)
        self.chains, self.killing = chains or Chains(), threading.Event()
        self.lock, self.last = threading.Lock(), 0
        self.where, self.confirmed, self.committed = {}, set(), set()
        self.doubles = self.seen = 0
        self.broker = Broker(programs, shards=3)
        with self.broker.client() as client:
            self.chains.declare(client)

    def new(self, name):
        with self.lock:
            self.last += 1
            self.where[self.last] = name
            return self.last

    def clients(self):
        return [Writer(self), Writer(self), Refuser(self), Refuser(self), Returner(self)]

    def round(self):
        self.killing.clear()
        clients = self.clients()
        for one in clients:
            one.start()
        time.sleep(self.random.uniform(0.05, 0.5))
        self.killing.set()
        self.broker.kill()
        for one in clients:
            one.join(30)
            check(not one.is_alive() and not one.error, f"{type(one).__name__}: {one.error}")
        self.broker.start()
        self.look()

    def counts(self):
        return {row["name"]: int(row["messages"]) for row in self.broker.control("list_queues", "name", "messages")}

    def at_rest(self):
        counts = self.counts()
        moving = sum(counts[name] for name in self.chains.moving())
        over = sum(counts[name] > Chains.SHORT for name in self.chains.names("short"))
        return not moving and not over

    def look(self):
        """Nobody consumes: time and length alone move on what is there, and come to an end."""
        wait_until(self.at_rest, 60, lambda: f"messages that are late or too many leave: {self.counts()}")
        found = {}
        with self.broker.client() as client:
            for name in self.chains.arguments:
                for event in self.take_all(client, name):
                    found.setdefault(uid_of(event), []).append(name)
        self.seen += len(found)
        self.doubles += sum(len(names) > 1 for names in found.values())
        lost = self.confirmed - found.keys()
        check(not lost, f"{len(lost)} of {len(self.confirmed)} confirmed messages are lost, published to "
              f"{sorted((uid, self.where[uid]) for uid in lost)[:10]}\n{self.broker.tail(5)}")
        check(all(uid <= self.last for uid in found), "there is what was never published")
        for uid in self.committed:
            check([name[:3] for name in found[uid]] == ["end"],
                  f"{uid} was rejected in a transaction and is in {found[uid]}")
        self.where.clear()
        self.confirmed.clear()
        self.committed.clear()

    def take_all(self, client, name):
        events = []
        count = client.messages(name)
        client.send(amqp.channel_open(2) + amqp.qos(2, 0) + amqp.consume(2, name))
        client.expect("channel.open-ok")
        client.expect("consume-ok")
        for _ in range(count):
            try:
                events.append(client.expect("deliver", 20))
            except amqp.Silence:
                raise Failure(f"{name}: {count} messages are counted, {len(events)} came") from None
        if events:
            client.send(amqp.ack(2, events[-1].tag(), True))
        client.ask(amqp.channel_close(2), "channel.close-ok")
        check(client.messages(name) == 0, f"{name} has more than it says")
        return events


def live(life, rounds):
    try:
        for _ in range(rounds):
            life.round()
        print(f"     {life.seen} messages looked over, {life.doubles} were there twice")
        life.broker.stop()
    except Failure as failure:
        raise Failure(f"seed {life.seed}: {failure}") from None
    finally:
        life.broker.end()


class Kept(Chains):
    """By time and by rejection to an exchange that is not there: they stay until it is."""
    LETTERS = {"x-dead-letter-exchange": "later", "x-dead-letter-strategy": "at-least-once",
               "x-overflow": "reject-publish"}

    def add_all(self):
        for n in range(self.WIDTH):
            self.add(f"timed-{n}", {**self.LETTERS, "x-message-ttl": 15, "x-max-priority": 254 + n % 2})
            self.add(f"refused-{n}", {**self.LETTERS, **({"x-queue-type": "quorum"} if n else {})})
        self.add("end", {})


class KeptLife(Life):
    def clients(self):
        return [Writer(self), Writer(self), Refuser(self), Refuser(self)]

    def kept(self):
        rows = self.broker.control("list_queues", "name", "messages_ready", "messages_dlx")
        return sum(int(row["messages_dlx"]) for row in rows) + sum(
            int(row["messages_ready"]) for row in rows if row["name"].startswith("timed"))

    def look(self):
        found = set()
        with self.broker.client() as client:
            client.ask(amqp.exchange_declare(1, "later", "fanout"), "exchange.declare-ok")
            client.ask(amqp.queue_bind(1, "end", "later"), "bind-ok")
            wait_until(lambda: not self.kept(), 30, lambda: f"{self.kept()} letters are kept though there is a queue")
            for name in self.chains.arguments:
                found.update(uid_of(event) for event in self.take_all(client, name))
            client.ask(amqp.exchange_delete(1, "later"), "exchange.delete-ok")
        self.seen += len(found)
        lost = (self.confirmed | self.committed) - found
        check(not lost, f"{len(lost)} of {len(self.confirmed)} confirmed messages are lost, published to "
              f"{sorted((uid, self.where[uid]) for uid in lost)[:10]}\n{self.broker.tail(5)}")
        self.where.clear()
        self.confirmed.clear()
        self.committed.clear()


@case("dead letters: killed at random moments", broker=False)
def letters_killed(programs):
    live(Life(programs, seed()), option("rounds", 6 if programs.slow else 20))


@case("dead letters of a queue that is longer than memory, each once", shards=3)
def long_queue(broker):
    """Part of it expires in the midst of what stays, all of it in the end."""
    count, confirms = 12000 if broker.programs.slow else 120000, Confirms()
    with broker.client() as client:
        client.ask(amqp.queue_declare(1, "end", amqp.DURABLE), "declare-ok")
        client.ask(amqp.queue_declare(1, "long", amqp.DURABLE, amqp.table(
            {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "end", "x-message-ttl": 9000})), "declare-ok")
        client.ask(amqp.confirm_select(1), "confirm-ok")
        for first in range(0, count, 500):
            data = []
            for uid in range(first, first + 500):
                confirms.add(uid)
                early = b"\x11\x00\x02" + amqp.short(b"%d" % (1500 + uid % 3000)) if uid % 3 == 0 else PERSISTENT
                data.append(amqp.publish(1, "long", struct.pack(">Q", uid) + bytes(92), properties=early))
            client.send(b"".join(data))
            while len(confirms.open) > 4000 or (confirms.open and client.readable()):
                confirms.take(client.next())
        while confirms.open:
            confirms.take(client.next())
        wait_until(lambda: client.messages("long") == 0, 60, lambda: f"all expires: {client.messages('long')} are left")
        wait_until(lambda: client.messages("end") >= count, 10, lambda: f"{client.messages('end')} dead letters")
        check(client.messages("end") == count, f"{client.messages('end')} dead letters of {count}")
        client.send(amqp.consume(1, "end", flags=2))
        seen = {uid_of(client.expect("deliver")) for _ in range(count)}
        check(len(seen) == count, f"{len(seen)} different ones of {count}")
    check("are not there any more" not in broker.log(), broker.tail())


@case("dead letters that are kept: killed at random moments", broker=False)
def kept_killed(programs):
    live(KeptLife(programs, seed(), Kept()), option("rounds", 1 if programs.slow else 2))
