"""What a broker was told and what it promised, and the judgement over what it has after it was killed.

A Ledger lives through many lives of one data directory. Actors note each intent before its bytes leave and each promise
when it arrives; after a restart observe() is given the contents of a queue, message by message, and complains about
everything that the promises do not allow. Afterwards the contents are known for certain and the next life begins."""

import itertools
import random
import struct
import zlib

from . import amqp

POOL_HALF = 4 << 20
POOL = random.Random(9).randbytes(2 * POOL_HALF)

# states of a copy: a message in one queue
SENT, KEPT, LEAVING, GONE = "may be there", "must be there", "may be gone", "must be gone"
EXCHANGE = "fan"


def stamp(uid, size):
    return struct.pack(">QI", uid, size)


def body_of(uid, size):
    """Bytes that belong to this message alone: its number, then a part of the pool that the number picks."""
    if size < 12:
        return stamp(uid, size)[8 - min(size, 8):max(size, 8)]
    at = zlib.crc32(stamp(uid, 0)) % POOL_HALF
    return stamp(uid, size) + POOL[at:at + size - 12]


class Message:
    __slots__ = ("uid", "size", "persistent", "level", "exchange", "key", "source", "order")

    def __init__(self, uid, size, persistent, level, exchange, key, source, order):
        self.uid, self.size, self.persistent, self.level = uid, size, persistent, level
        self.exchange, self.key, self.source, self.order = exchange, key, source, order

    def properties(self):
        uid = b"%d" % self.uid
        if self.level is None:
            return b"\x14\x00" + bytes([1 + self.persistent]) + amqp.short(uid)
        return b"\x1c\x00" + bytes([1 + self.persistent, self.level]) + amqp.short(uid)

    def frames(self, channel):
        return amqp.publish(channel, self.key, body_of(self.uid, self.size), self.exchange,
                            properties=self.properties())


class Copy:
    __slots__ = ("message", "state", "delivered", "returned", "returned_safely", "base", "moved", "deal")

    def __init__(self, message, deal):
        self.message, self.state, self.deal = message, GONE if deal else SENT, deal
        self.delivered = self.returned = self.returned_safely = 0
        self.base, self.moved = None, False

    def confirm(self):
        if self.state is SENT:
            self.state = KEPT

    def settle(self):
        self.state = LEAVING


class Queue:
    """kind: classic, priority, quorum (tail: what a client returns goes to the tail) or transient."""

    def __init__(self, name, kind="classic", tail=False):
        self.name, self.kind, self.tail = name, kind, tail
        self.copies = {}
        self.closes = 0  # of consumers: each may have returned what was on its way to them
        self.run = 0     # which observation comes next

    def levels(self):
        return 10 if self.kind == "priority" else 1

    def declaration(self):
        arguments = {}
        if self.kind == "priority":
            arguments["x-max-priority"] = self.levels() - 1
        if self.kind == "quorum":
            arguments["x-queue-type"] = "quorum"
            arguments["x-delivery-limit"] = -1 if self.tail else 1000000
        return amqp.queue_declare(1, self.name, 0 if self.kind == "transient" else amqp.DURABLE, amqp.table(arguments))

    def level_of(self, message):
        return min(message.level or 0, self.levels() - 1)

    def keeps(self, message):
        """Over a restart, too."""
        return message.persistent or self.kind == "quorum"

    def bounds(self, forgets):
        """How many messages there may be at least and at most."""
        states = [c.state for c in self.copies.values() if self.keeps(c.message) or not forgets]
        return states.count(KEPT), len(states) - states.count(GONE)


class Deal:
    """A transaction: what it publishes and what it settles, in one or not at all."""

    def __init__(self):
        self.published, self.settled, self.sent, self.done = [], [], False, False

    def send(self):
        """Before tx.commit leaves."""
        self.sent = True
        for copy in self.published:
            copy.state = SENT
        for copy in self.settled:
            copy.state, copy.deal = LEAVING, self

    def commit(self):
        """commit-ok came."""
        self.done = True
        for copy in self.published:
            copy.deal = None
            copy.confirm()
        for copy in self.settled:
            copy.deal, copy.state = None, GONE

    def rollback(self):
        for copy in self.published:
            copy.deal, copy.state = None, GONE


def strip_count(properties):
    """(delivery count or None, the properties without headers): headers are the broker's, ours have none."""
    flags = struct.unpack_from(">H", properties)[0]
    if not flags & 0x2000:
        return None, properties
    size = struct.unpack_from(">I", properties, 2)[0]
    headers = properties[6:6 + size]
    rest = struct.pack(">H", flags & ~0x2000) + properties[6 + size:]
    at = headers.find(b"\x10x-delivery-count")
    if at < 0:
        return None, rest
    kind, value = headers[at + 17:at + 18], headers[at + 18:]
    width = {b"l": ">q", b"I": ">i", b"i": ">I", b"s": ">h", b"b": ">b", b"B": ">B", b"L": ">Q"}.get(kind)
    return (struct.unpack_from(width, value)[0] if width else None), rest


class Seen:
    """A delivery as it came: what a queue is observed to hold."""
    __slots__ = ("uid", "redelivered", "count", "problem")

    def __init__(self, ledger, event):
        args, at = event.args, 0
        if event.name == "deliver":
            at = 1 + args[0]
        self.redelivered = bool(args[at + 8])
        names = args[at + 9:]
        self.count, properties = strip_count(event.properties)
        self.problem = None
        self.uid = -1
        try:
            self.uid = uid_of(properties)
        except (ValueError, IndexError, struct.error):
            self.problem = f"properties {event.properties!r}"
            return
        message = ledger.messages.get(self.uid)
        if not message:
            self.problem = "never published"
        elif event.body != body_of(self.uid, message.size):
            self.problem = f"its body of {message.size} bytes is another: {len(event.body)} bytes, {event.body[:16]!r}"
        elif properties != message.properties():
            self.problem = f"properties {properties!r}, not {message.properties()!r}"
        elif not names.startswith(amqp.short(message.exchange) + amqp.short(message.key)):
            self.problem = f"names {names[:40]!r}, not '{message.exchange}' '{message.key}'"


def uid_of(properties):
    flags = struct.unpack_from(">H", properties)[0]
    at = 2 + bool(flags & 0x1000) + bool(flags & 0x0800)
    return int(properties[at + 1:at + 1 + properties[at]])


class Ledger:
    def __init__(self):
        self.queues, self.messages, self.complaints = {}, {}, []
        self.next_uid = itertools.count(1)
        self.next_source = itertools.count(1)
        self.published = self.observed = 0
        self.deals = []
        self.forgets = True  # transient messages, at what comes between two observations

    def queue(self, name, kind="classic", tail=False):
        self.queues[name] = queue = Queue(name, kind, tail)
        return queue

    def complain(self, text):
        if len(self.complaints) < 1000:
            self.complaints.append(text)

    # ---- intents and promises ----
    def publish(self, queues, size, persistent=True, level=None, exchange="", source=0, deal=None):
        """(message, its copies), before it is sent."""
        message = Message(next(self.next_uid), size, persistent, level, exchange,
                          "" if exchange else queues[0].name, source, 0)
        message.order = message.uid
        self.messages[message.uid] = message
        self.published += 1
        copies = []
        for queue in queues:
            copy = Copy(message, deal)
            queue.copies[message.uid] = copy
            copies.append(copy)
        if deal:
            deal.published += copies
        return message, copies

    def begin(self):
        deal = Deal()
        self.deals.append(deal)
        return deal

    def deliver(self, queue, event):
        """A consumer got this; its copy, or None with a complaint."""
        seen = Seen(self, event)
        copy = queue.copies.get(seen.uid)
        if seen.problem or not copy:
            self.complain(f"{queue.name}: message {seen.uid} was delivered: {seen.problem or 'it is not in this queue'}")
            return None
        if copy.state in (GONE, LEAVING):
            self.complain(f"{queue.name}: message {seen.uid} was delivered although it {copy.state}")
        if copy.delivered and not seen.redelivered:
            self.complain(f"{queue.name}: message {seen.uid} was delivered before and comes without redelivered")
        if queue.kind == "quorum" and copy.returned and (seen.count or 0) < copy.returned:
            self.complain(f"{queue.name}: message {seen.uid} was returned {copy.returned} times and says {seen.count}")
        copy.delivered += 1
        return copy

    # ---- after a restart ----
    def observe(self, queue, seen_list, dry=False):
        """seen_list: everything in the queue, in its order, right after a start that followed a kill."""
        complaints = []

        def complain(uid, text):
            complaints.append(f"{queue.name}: message {uid} {text}")
        present = {}
        for place, seen in enumerate(seen_list):
            if seen.problem:
                complain(seen.uid, seen.problem)
            elif seen.uid in present:
                complain(seen.uid, "is there twice")
            else:
                present[seen.uid] = place
                self.judge_seen(queue, seen, complain)
        for uid, copy in queue.copies.items():
            if copy.state is KEPT and uid not in present and (queue.keeps(copy.message) or not self.forgets):
                complain(uid, f"is lost (size {copy.message.size}, delivered {copy.delivered} times)")
        self.judge_order(queue, seen_list, complain)
        if not dry:
            self.complaints += complaints[:200]
            self.observed += len(seen_list)
        return complaints

    def judge_seen(self, queue, seen, complain):
        copy = queue.copies.get(seen.uid)
        if not copy:
            complain(seen.uid, "came back or was never in this queue")
            return
        if copy.state is GONE:
            complain(seen.uid, "is back although it must be gone" if not copy.deal else
                     "of a transaction without commit is there")
        if not queue.keeps(copy.message) and self.forgets:
            complain(seen.uid, "is transient and outlived the broker")
        if copy.delivered and not seen.redelivered:
            complain(seen.uid, f"was delivered {copy.delivered} times and comes without redelivered")
        if queue.kind == "quorum":
            count = seen.count or 0
            if not copy.returned_safely <= count <= copy.returned + queue.closes:
                complain(seen.uid, f"has the delivery count {count}: returned {copy.returned_safely} times for sure, "
                         f"{copy.returned} in all, {queue.closes} closes")

    @staticmethod
    def judge_order(queue, seen_list, complain):
        """Higher levels first; within one what was observed before in its order, then by sender as it was sent."""
        level_before = 99
        base = {}
        last = {}
        for seen in seen_list:
            copy = queue.copies.get(seen.uid)
            if seen.problem or not copy:
                continue
            message = copy.message
            level = queue.level_of(message)
            if level > level_before:
                complain(seen.uid, f"of level {level} comes behind one of level {level_before}")
            level_before = level
            if copy.moved:
                continue
            if copy.base is not None:
                if base.get(level, -1) >= copy.base:
                    complain(seen.uid, "has left its place" if base[level] < 1 << 60 else "comes behind newer ones")
                base[level] = max(base.get(level, -1), copy.base)
                continue
            if not queue.tail:
                base[level] = 1 << 60
            key = (level, message.source)
            if last.get(key, -1) >= message.order:
                complain(seen.uid, f"comes behind {last[key]} of the same sender")
            last[key] = message.order

    def judge_deals(self, observed):
        """observed: queue name -> set of uids. Each transaction must be there whole or not at all."""
        where = {}
        for name, uids in observed.items():
            for uid, copy in self.queues[name].copies.items():
                if copy.deal:
                    where[id(copy)] = (name, uid in uids)
        for deal in self.deals:
            if not deal.sent or deal.done:
                continue
            facts = []
            for copy in deal.published:
                if copy.deal is deal and copy.state is SENT and id(copy) in where:
                    facts.append((where[id(copy)][1], f"{copy.message.uid} in {where[id(copy)][0]}"))
            for copy in deal.settled:
                if copy.deal is deal and copy.state is LEAVING and id(copy) in where:
                    facts.append((not where[id(copy)][1], f"{copy.message.uid} settled in {where[id(copy)][0]}"))
            if len({fact for fact, _ in facts}) > 1:
                self.complain("half a transaction: " + ", ".join(f"{'' if fact else 'not '}{text}" for fact, text in facts))

    def close_books(self, queue, seen_list):
        """What is in the queue is known now: it must stay, the rest must not come."""
        copies = queue.copies
        queue.copies = {}
        for place, seen in enumerate(seen_list):
            copy = copies.get(seen.uid)
            if seen.problem or not copy or seen.uid in queue.copies:
                continue
            copy.state, copy.deal, copy.base, copy.moved = KEPT, None, place, False
            copy.delivered += 1
            copy.returned_safely = seen.count or 0
            copy.returned = copy.returned_safely
            queue.copies[seen.uid] = copy
        queue.closes = 0
