"""A data directory that lives through many lives of a broker: load, death, restart, judgement, and again."""

import random
import socket
import threading
import time

from . import amqp
from .broker import Broker, Failure, check, wait_until
from .ledger import EXCHANGE, Ledger
from .load import Consumer, Dealer, Definer, Publisher, Purger, Undertaker, drain


class Scene:
    """after_kill(): what else befalls the data directory before the next start. clients_only: not the broker is
    killed but its clients are, and it must have everything, transient or not."""

    def __init__(self, programs, seed, after_kill=None, broker=None, clients_only=False, heavy=False):
        self.programs, self.seed, self.random = programs, seed, random.Random(seed)
        self.after_kill = after_kill or (lambda: None)
        self.clients_only, self.heavy, self.died = clients_only, heavy, False
        self.ledger, self.doubtful, self.absent, self.defined = Ledger(), set(), set(), {}
        self.ending, self.killing = threading.Event(), threading.Event()
        self.round_number, self.took = 0, {"load": 0.0, "start": 0.0, "look": 0.0}
        self.pending, self.acknowledged, self.presence = [], [], {}
        self.ledger.forgets = not clients_only
        self.broker = broker or Broker(programs)
        self.make_queues()

    # ---- what there is ----
    def make_queues(self):
        ledger = self.ledger
        self.shared = [ledger.queue("c-0"), ledger.queue("c-1"), ledger.queue("p-0", "priority"),
                       ledger.queue("q-0", "quorum"), ledger.queue("q-1", "quorum", tail=True)]
        self.quiet = ledger.queue("quiet")  # nobody consumes from it meanwhile
        self.deep = ledger.queue("deep")    # long, looked over now and then
        self.origin = ledger.queue("origin")
        self.purged, self.mortal = ledger.queue("purged"), ledger.queue("mortal")
        self.volatile = ledger.queue("volatile", "transient")
        self.fan = [self.shared[0], self.shared[2], self.shared[3], self.quiet]
        with self.broker.client() as client:
            for queue in ledger.queues.values():
                client.ask(queue.declaration(), "declare-ok")
            client.ask(amqp.exchange_declare(1, EXCHANGE, "fanout", amqp.DURABLE), "exchange.declare-ok")
            for queue in self.fan:
                client.ask(amqp.queue_bind(1, queue.name, EXCHANGE), "bind-ok")

    def actors(self):
        source, shared = self.random, self.shared
        pick = lambda: source.getrandbits(40)  # noqa: E731
        large = source.choice((0.002, 0.01, 0.04, 0.3)) if source.random() < 0.5 else 0.01
        if self.heavy:
            return [Publisher(self, pick(), [self.quiet, shared[0], self.deep], self.fan, 300, size=size, most=12 << 20)
                    for size in (20000, 20000, 200, 150000)] + [Consumer(self, pick(), shared[0])]
        out = [Publisher(self, pick(), shared + [self.quiet], self.fan, large=large),
               Publisher(self, pick(), [source.choice(shared + [self.volatile])], None, large=0.01),
               Publisher(self, pick(), [self.deep], None, large=0.001, size=source.choice((None, 100, 1000))),
               Dealer(self, pick(), shared + [self.quiet], self.fan, self.origin),
               Purger(self, pick(), self.purged), Undertaker(self, pick(), self.mortal), Definer(self, pick())]
        return out + [Consumer(self, pick(), queue) for queue in shared if source.random() < 0.75]

    # ---- a round ----
    def round(self, load=None, between=None, before_restart=None):
        """load: seconds; between(): while the load is on, instead of the wait; before_restart(): after the kill."""
        self.round_number += 1
        self.ending.clear()
        self.killing.clear()
        began = time.monotonic()
        actors = self.actors()
        for actor in actors:
            actor.start()
        if between:
            between()
        else:
            time.sleep(self.random.uniform(0.02, 0.6) if load is None else load)
        self.killing.set()
        if self.clients_only:
            self.cut_off(actors)
        else:
            self.died = not self.broker.alive()
            self.broker.kill()
        self.ending.set()
        for actor in actors:
            actor.join(60)
            check(not actor.is_alive(), f"{type(actor).__name__} hangs")
            check(not actor.error, f"before the broker was killed: {actor.error}")
        self.took["load"] += time.monotonic() - began
        if before_restart:
            before_restart()
        if not self.clients_only:
            self.restart()
        self.look(everything=self.heavy)

    def cut_off(self, actors):
        for actor in actors:
            if actor.client:
                actor.client.sock.shutdown(socket.SHUT_RDWR)
        self.ending.set()  # one that was about to connect leaves by itself
        self.given_back()
        wait_until(lambda: not self.broker.control("list_connections", "pid"), 20, "the connections are gone")

    def given_back(self):
        """The connections end while the broker lives: what they held is given back, and counts."""
        for queue in self.ledger.queues.values():
            queue.closes += 1
            for copy in queue.copies.copy().values() if queue.tail else ():
                copy.moved = True

    def restart(self):
        """The next life; sometimes it dies as it begins, and the one after it takes over."""
        began = time.monotonic()
        while True:
            self.after_kill()
            self.broker.start(False)
            if self.random.random() > 0.15:
                break
            time.sleep(self.random.random() ** 2 * 0.1)
            self.broker.kill()
        self.broker.started()
        self.took["start"] += time.monotonic() - began

    def look(self, everything=False):
        """The judgement. Raises Failure with all complaints."""
        began, ledger = time.monotonic(), self.ledger
        client = self.broker.client()
        counts = {row["name"]: int(row["messages"]) for row in self.broker.control("list_queues", "name", "messages")}
        self.look_definitions(client, counts)
        everything = everything or self.round_number % 6 == 0
        for queue in ledger.queues.values():
            if queue.name not in counts:
                continue
            count = counts[queue.name]
            if queue is self.deep and not everything:
                low, high = queue.bounds(ledger.forgets)
                if not low <= count <= high:
                    ledger.complain(f"{queue.name}: {count} messages, should be {low} to {high}")
                continue
            content = drain(ledger, client, queue, count)
            seen = [s for _, s in content]
            ledger.observe(queue, seen)
            self.settle(client, queue, content)
        ledger.judge_deals(self.presence)
        self.forget()
        client.close()
        self.took["look"] += time.monotonic() - began
        if ledger.complaints:
            raise Failure(self.report())

    def look_definitions(self, client, counts):
        ledger, complain = self.ledger, self.ledger.complain
        self.presence = {}
        if self.ledger.forgets:
            if "volatile" in counts:
                complain("a queue that is not durable outlived the broker")
            self.volatile.copies.clear()
        for name, queue in ledger.queues.items():
            if queue is self.volatile and self.ledger.forgets:
                continue
            if name in counts and name in self.absent:
                complain(f"queue {name} was deleted and is there")
            if name not in counts and name not in self.doubtful | self.absent:
                complain(f"durable queue {name} is gone")
            if name not in counts:
                lost = queue.bounds(True)[0]
                if lost and name not in self.doubtful | self.absent:
                    complain(f"{name}: {lost} messages are lost with their queue")
                queue.copies.clear()
        for number, state in self.defined.items():
            there = f"d-queue-{number}" in counts
            if state == "declared" and not there or state == "deleted" and there:
                complain(f"queue d-queue-{number} was {state} and is {'there' if there else 'gone'}")
            if there or state == "unknown":
                self.defined[number] = "declared" if there and state == "declared" else "unknown"
        bindings = {(row["source_name"], row["destination_name"]) for row in self.broker.control("list_bindings")}
        for number, state in self.defined.items():
            if state == "declared" and (f"d-exchange-{number}", f"d-queue-{number}") not in bindings:
                complain(f"the binding of d-queue-{number} is gone")
        for queue in self.fan:
            if (EXCHANGE, queue.name) not in bindings:
                complain(f"the binding of {queue.name} is gone")
        self.doubtful.clear()
        self.absent.clear()
        for name, queue in ledger.queues.items():
            if name not in counts:
                client.ask(queue.declaration(), "declare-ok")

    def settle(self, client, queue, content):
        """The transactions are judged by what is there; then part of it is acknowledged, the rest goes back."""
        self.presence[queue.name] = {seen.uid for _, seen in content}
        self.pending.append((queue, [seen for _, seen in content]))
        source = self.random
        share = 1 if len(content) > 4000 or self.heavy else source.choice((0, 0.3, 0.8, 0.8, 1))
        chosen = [(tag, seen) for tag, seen in content if source.random() < share]
        self.acknowledged.append((queue, [seen.uid for _, seen in chosen]))
        if share == 1 and content:
            client.send(amqp.ack(2, content[-1][0], True))
        elif chosen:
            client.send(b"".join(amqp.ack(2, tag) for tag, _ in chosen))
        client.ask(amqp.channel_close(2), "channel.close-ok")

    def forget(self):
        """What was found is what there is."""
        for queue, seen in self.pending:
            self.ledger.close_books(queue, seen)
            queue.closes = 1
        for queue, uids in self.acknowledged:
            for uid in uids:
                if uid in queue.copies:
                    queue.copies[uid].settle()
            for copy in queue.copies.values():
                copy.moved = queue.tail
        self.pending, self.acknowledged = [], []
        self.ledger.deals.clear()
        if self.round_number % 10 == 0:
            alive = {uid for queue in self.ledger.queues.values() for uid in queue.copies}
            self.ledger.messages = {uid: m for uid, m in self.ledger.messages.items() if uid in alive}

    def report(self):
        ledger = self.ledger
        return (f"round {self.round_number}, seed {self.seed}: {len(ledger.complaints)} complaints\n"
                + "\n".join(ledger.complaints[:12]) + "\nlog:\n" + self.broker.tail(8))

    def summary(self):
        return (f"{self.round_number} rounds, {self.ledger.published} published, {self.ledger.observed} looked over, "
                + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.took.items()))
