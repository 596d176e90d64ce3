"""Clients that do everything durable at once until the broker dies under them; the ledger knows what they did."""

import collections
import random
import select
import socket
import sys
import threading
import time
import traceback

from . import amqp
from .broker import check
from .ledger import EXCHANGE, GONE, LEAVING, Seen

sys.setswitchinterval(0.0005)
DEATHS = (amqp.Closed, OSError, amqp.Silence)


def some_size(source, large=0.04):
    """0 B to 300 KiB, now and then 2 MiB."""
    pick = source.random()
    if pick < 0.1:
        return 0
    if pick < 0.5:
        return source.randint(1, 100)
    if pick < 1 - 3 * large:
        return source.randint(100, 4500)
    if pick < 1 - large:
        return source.randint(4000, 66000)
    if pick < 1 - large / 20:
        return source.randint(65000, 300 << 10)
    return (2 << 20) + source.randint(-3, 3)


class Actor(threading.Thread):
    """One client. act() goes on until it is told to end or the broker is gone."""

    def __init__(self, scene, seed):
        super().__init__(daemon=True)
        self.scene, self.ledger, self.random = scene, scene.ledger, random.Random(seed)
        self.source = next(self.ledger.next_source)
        self.error, self.client = None, None
        self.blocked, self.blocks = False, 0
        self.last_answer = time.monotonic()

    def run(self):
        try:
            self.client = self.scene.broker.client()
            self.prepare()
            while not self.scene.ending.is_set():
                self.act()
            self.finish()
        except DEATHS as error:
            if not self.scene.killing.is_set():
                self.error = f"{type(self).__name__}: {type(error).__name__}: {error}"
        except Exception:  # noqa: BLE001
            self.error = traceback.format_exc()

    def prepare(self):
        pass

    def finish(self):
        """Told to end, with the broker still there."""
        self.client.close()

    def heard(self, event):
        """Whether it is about being blocked."""
        if event.name == "blocked":
            self.blocked, self.blocks = True, self.blocks + 1
        elif event.name == "unblocked":
            self.blocked, self.last_answer = False, time.monotonic()
        return event.name in ("blocked", "unblocked")

    def next(self, timeout=30):
        """The next event that is not about being blocked."""
        while True:
            event = self.client.next(timeout)
            if not self.heard(event):
                return event

    def put(self, data):
        """Sends, and hears meanwhile that it is blocked: the broker reads no more from then on."""
        client, left = self.client, memoryview(data)
        while left:
            readable, writable, _ = select.select([client.sock], [client.sock], [], 30)
            if readable:
                client.receive(1)
                client.events = collections.deque(event for event in client.events if not self.heard(event))
            if writable:
                left = left[client.sock.send(left, socket.MSG_DONTWAIT) :]
            check(readable or writable or self.blocked, "nothing could be sent for 30 s")

    def expect(self, name, timeout=30):
        while True:
            event = self.next(timeout)
            if event.name == name:
                return event
            self.on_event(event)

    def on_event(self, event):
        pass

    def ask(self, data, answer, timeout=30):
        self.client.send(data)
        return self.expect(answer, timeout)


class Confirms:
    """The sequence numbers of a channel in confirm mode and what waits for each."""

    def __init__(self):
        self.last, self.open = 0, {}

    def add(self, what):
        self.last += 1
        self.open[self.last] = what

    def take(self, event):
        """What an ack speaks of."""
        tag = event.tag()
        if not event.multiple():
            return [self.open.pop(tag)] if tag in self.open else []
        tags = [t for t in self.open if t <= tag or not tag]
        return [self.open.pop(t) for t in tags]


class Publisher(Actor):
    """Batches with confirms within a window, to one queue or through the exchange to several."""

    def __init__(self, scene, seed, queues, fan, window=None, large=0.04, size=None, fixed=None,
                 most=None):
        """size: of each, or any; fixed: all persistent; most: bytes, then it rests."""
        super().__init__(scene, seed)
        self.most = most
        self.queues, self.fan, self.large = queues, fan, large
        self.window = window or self.random.choice((1, 10, 100, 500, 2000))
        self.size, self.fixed = size, fixed
        self.confirms = Confirms()
        self.confirmed = 0

    def prepare(self):
        self.ask(amqp.confirm_select(1), "confirm-ok")

    def one(self):
        source = self.random
        size = self.size if self.size is not None else some_size(source, self.large)
        level = source.randint(0, 11) if source.random() < 0.7 else None
        persistent = source.random() < 0.85 or self.fixed is not None
        if self.fan and source.random() < 0.2:
            message, copies = self.ledger.publish(self.fan, size, persistent, level, EXCHANGE, self.source)
        else:
            message, copies = self.ledger.publish([source.choice(self.queues)], size, persistent, level, "", self.source)
        self.confirms.add(copies)
        if self.most is not None:
            self.most -= size
        return message.frames(1)

    def on_event(self, event):
        self.last_answer = time.monotonic()
        if event.name == "ack":
            for copies in self.confirms.take(event):
                self.confirmed += 1
                for copy in copies:
                    copy.confirm()
        elif event.name == "nack":
            self.confirms.take(event)

    def act(self):
        if self.blocked or (self.most is not None and self.most < 0):
            try:
                self.on_event(self.next(0.05))
            except amqp.Silence:
                pass
            return
        room = self.window - len(self.confirms.open)
        if room > 0:
            self.put(b"".join([self.one() for _ in range(self.random.randint(1, min(room, 100)))]))
        full = len(self.confirms.open) >= self.window
        while (self.confirms.open and full and not self.blocked) or self.client.readable():
            try:
                self.on_event(self.next(0.5))
            except amqp.Silence:
                check(time.monotonic() - self.last_answer < 30, "no confirm for 30 s")
            full = len(self.confirms.open) >= self.window

    def finish(self):
        while self.confirms.open:
            self.on_event(self.next())
        super().finish()


class Dealer(Actor):
    """Transactions: publishes to several queues and acknowledges from one, in one commit."""

    def __init__(self, scene, seed, queues, fan, origin):
        super().__init__(scene, seed)
        self.queues, self.fan, self.origin = queues, fan, origin

    def prepare(self):
        self.ask(amqp.tx_select(1), "tx-ok")

    def act(self):
        source, deal = self.random, self.ledger.begin()
        data = []
        for _ in range(source.choice((1, 2, 3, 10, 40))):
            size, level = some_size(source, 0.01), source.randint(0, 9)
            if source.random() < 0.3:
                message, _ = self.ledger.publish(self.fan, size, True, level, EXCHANGE, self.source, deal)
            else:
                message, _ = self.ledger.publish([source.choice(self.queues)], size, True, level, "", self.source, deal)
            data.append(message.frames(1))
        message, _ = self.ledger.publish([self.origin], 20, True, None, "", self.source, deal)
        data.append(message.frames(1))
        self.client.send(b"".join(data))
        for _ in range(source.randint(0, 3)):
            self.client.send(amqp.get(1, self.origin.name))
            event = self.next()
            if event.name == "get-empty":
                break
            copy = self.ledger.deliver(self.origin, event)
            if copy:
                self.client.send(amqp.ack(1, event.tag()))
                deal.settled.append(copy)
        if source.random() < 0.1:
            self.client.send(amqp.tx_rollback(1))
            self.expect("rollback-ok")
            deal.rollback()
            if deal.settled:  # still held by this channel: begin anew, so that they go back
                self.ask(amqp.channel_close(1), "channel.close-ok")
                self.origin.closes += 1
                self.client.send(amqp.channel_open(1) + amqp.tx_select(1))
                self.expect("tx-ok")
            return
        deal.send()
        self.client.send(amqp.tx_commit(1))
        self.expect("commit-ok")
        deal.commit()


class Consumer(Actor):
    """Acknowledges, gives back, keeps; now and then makes sure, by a confirmed message, what it settled."""

    def __init__(self, scene, seed, queue):
        super().__init__(scene, seed)
        self.queue = queue
        self.held, self.confirms = {}, Confirms()
        self.settled, self.returned = [], []
        self.tag, self.since = "", 0

    def prepare(self):
        self.held.clear()
        prefetch = self.random.choice((1, 5, 50, 300))
        self.client.send(amqp.confirm_select(1) + amqp.qos(1, prefetch) + amqp.consume(1, self.queue.name))
        self.expect("consume-ok")
        self.prefetch = prefetch

    def on_event(self, event):
        if event.name == "deliver":
            copy = self.ledger.deliver(self.queue, event)
            if copy:
                self.held[event.tag()] = copy
        elif event.name == "ack":
            for settled, returned, marker in self.confirms.take(event):
                marker.confirm()
                for copy in settled:
                    if copy.state is LEAVING:
                        copy.state = GONE
                for copy, count in returned:
                    copy.returned_safely = max(copy.returned_safely, count)

    def act(self):
        try:
            self.on_event(self.next(0.02))
        except amqp.Silence:
            pass
        if self.held and (len(self.held) >= self.prefetch or self.random.random() < 0.3):
            self.settle()
        if self.since >= 30:
            self.make_sure()
        if self.random.random() < 0.002:
            self.begin_anew()

    def settle(self):
        source = self.random
        tag = source.choice(list(self.held))
        multiple = source.random() < 0.5
        tags = [t for t in self.held if t <= tag] if multiple else [tag]
        back = source.random() < 0.25
        for one in tags:
            copy = self.held.pop(one)
            if back:
                copy.returned += 1
                copy.moved = copy.moved or self.queue.tail
                self.returned.append((copy, copy.returned))
            else:
                copy.settle()
                self.settled.append(copy)
        self.since += len(tags)
        self.client.send(amqp.nack(1, tag, multiple) if back else amqp.ack(1, tag, multiple))

    def make_sure(self):
        message, copies = self.ledger.publish([self.queue], 30, True, 0, "", self.source)
        self.confirms.add((self.settled, self.returned, copies[0]))
        self.settled, self.returned, self.since = [], [], 0
        self.client.send(message.frames(1))

    def begin_anew(self):
        self.queue.closes += 1
        for copy in self.queue.copies.copy().values() if self.queue.tail else ():
            copy.moved = True
        self.ask(amqp.channel_close(1), "channel.close-ok")
        self.held.clear()
        self.confirms = Confirms()
        self.settled, self.returned = [], []
        self.source = next(self.ledger.next_source)
        self.ask(amqp.channel_open(1), "channel.open-ok")
        self.prepare()


class Purger(Actor):
    """Fills a queue and empties it at once; a confirmed message behind makes it certain."""

    def __init__(self, scene, seed, queue):
        super().__init__(scene, seed)
        self.queue, self.confirms = queue, Confirms()

    def prepare(self):
        self.ask(amqp.confirm_select(1), "confirm-ok")

    def on_event(self, event):
        if event.name == "ack":
            for copies in self.confirms.take(event):
                for copy in copies:
                    copy.confirm()

    def fill(self, count, persistent=True):
        data = []
        for _ in range(count):
            message, copies = self.ledger.publish([self.queue], some_size(self.random, 0.01), persistent, None, "",
                                                  self.source)
            self.confirms.add(copies)
            data.append(message.frames(1))
        self.client.send(b"".join(data))
        while self.confirms.open:
            self.on_event(self.next())

    def act(self):
        self.fill(self.random.randint(1, 60))
        copies = list(self.queue.copies.values())
        for copy in copies:
            if copy.state is not GONE:
                copy.settle()
        self.empty()
        if self.random.random() < 0.7:
            self.fill(1)
            for copy in copies:
                copy.state = GONE

    def empty(self):
        self.ask(amqp.queue_purge(1, self.queue.name), "purge-ok")


class Undertaker(Purger):
    """The same by deleting the queue; once delete-ok came, nothing of it may come back."""

    def empty(self):
        scene, queue = self.scene, self.queue
        scene.doubtful.add(queue.name)
        self.ask(amqp.queue_delete(1, queue.name), "delete-ok")
        for copy in queue.copies.values():
            copy.state = GONE
        if self.random.random() < 0.3:
            scene.doubtful.discard(queue.name)
            scene.absent.add(queue.name)
            time.sleep(self.random.random() * 0.02)
            scene.absent.discard(queue.name)
            scene.doubtful.add(queue.name)
        self.ask(queue.declaration(), "declare-ok")
        scene.doubtful.discard(queue.name)


class Definer(Actor):
    """Declares, binds and deletes durable exchanges and queues; the scene remembers which must be there."""

    def act(self):
        names, number = self.scene.defined, self.random.randrange(12)
        queue, exchange = f"d-queue-{number}", f"d-exchange-{number}"
        state = names.get(number)
        names[number] = "unknown"
        if state == "declared":
            self.ask(amqp.queue_delete(1, queue), "delete-ok")
            self.ask(amqp.exchange_delete(1, exchange), "exchange.delete-ok")
            names[number] = "deleted"
        else:
            self.ask(amqp.queue_declare(1, queue, amqp.DURABLE), "declare-ok")
            self.ask(amqp.exchange_declare(1, exchange, "topic", amqp.DURABLE), "exchange.declare-ok")
            self.ask(amqp.queue_bind(1, queue, exchange, f"a.{number}.#"), "bind-ok")
            names[number] = "declared"
        time.sleep(self.random.random() * 0.01)


def drain(ledger, client, queue, count):
    """Everything in a queue, by a consumer of its own channel that acknowledges nothing yet: [(tag, Seen)]."""
    out = []
    client.send(amqp.channel_open(2))
    client.expect("channel.open-ok")
    client.send(amqp.qos(2, 65535 if queue.kind == "quorum" else 0) + amqp.consume(2, queue.name))
    client.expect("consume-ok")
    while len(out) < count:
        try:
            event = client.expect("deliver", 20)
        except amqp.Silence:
            ledger.complain(f"{queue.name}: {count} messages are counted, {len(out)} came")
            break
        out.append((event.tag(), Seen(ledger, event)))
    client.send(amqp.get(2, queue.name))
    while True:
        event = client.next(20)
        if event.name == "get-empty":
            return out
        if event.name in ("deliver", "get-ok"):
            out.append((event.tag(), Seen(ledger, event)))
            ledger.complain(f"{queue.name}: {count} messages are counted, more came")
            if event.name == "get-ok":
                client.send(amqp.get(2, queue.name))


__all__ = ["Actor", "Confirms", "Consumer", "Dealer", "Definer", "Publisher", "Purger", "Undertaker", "drain",
           "some_size"]
