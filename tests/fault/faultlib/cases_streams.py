"""Streams: killed, without power, on disks that are full, fail or bend what they keep; and what many of them, or many
readers, take. What was confirmed is there, every offset keeps its message, publishers' order holds."""

import contextlib
import glob
import os
import random
import re
import struct
import subprocess
import threading
import time

from . import amqp
from .broker import Broker, Failure, check, wait_until
from .cases_disk import Mount
from .load import DEATHS, Confirms
from .powercut import PowerCut, fast_folder, remove
from .suite import case, option, seed

MIB = 1 << 20
OFFSET = b"\x0fx-stream-offset"
# small segments, so that new ones are begun all the time; and one of ordinary ones
STREAMS = {"small": {"x-queue-type": "stream", "x-stream-max-segment-size-bytes": 100000},
           "other": {"x-queue-type": "stream"}}


def declare(client, name, arguments=None, channel=1):
    return client.ask(amqp.queue_declare(channel, name, amqp.DURABLE, amqp.table(arguments or STREAMS["other"])), "declare-ok")


def offset_of(event):
    at = event.properties.find(OFFSET)
    check(at >= 0, "a delivery of a stream without its offset")
    at += len(OFFSET)
    check(event.properties[at:at + 1] == b"l", f"an offset of the type {event.properties[at:at + 1]}")
    return struct.unpack_from(">q", event.properties, at + 1)[0]


def body_of(publisher, number, size):
    head = struct.pack(">QQQ", publisher, number, size)
    return head + bytes((number + n) & 0xff for n in range(min(size, 64))) * (size // 64 + 1)


def parse(body):
    publisher, number, size = struct.unpack_from(">QQQ", body)
    check(body == body_of(publisher, number, size), f"message {number} of publisher {publisher} is bent")
    return publisher, number


def read_all(client, name, hole=False):
    """(offset, publisher, number) of all that is there, from the first on; hole: of what can be read."""
    count, out, owed = client.messages(name), [], None
    if not count:
        return out
    client.ask(amqp.qos(1, 1000), "qos-ok")
    client.ask(amqp.consume(1, name, "all", arguments=amqp.table({"x-stream-offset": "first"})), "consume-ok")
    while len(out) < count:
        try:
            event = client.expect("deliver", 2 if hole else 20)
        except amqp.Silence:
            check(hole, f"{len(out)} of {count} messages of {name} came")
            break
        check(not event.redelivered(), "a stream's delivery is marked as redelivered")
        out.append((offset_of(event), *parse(event.body)))
        owed = event.tag()
        if len(out) % 400 == 0:
            client.send(amqp.ack(1, owed, True))
            owed = None
    if owed:
        client.send(amqp.ack(1, owed, True))
    client.ask(amqp.cancel(1, "all"), "cancel-ok")
    return out


class Book:
    """What became of the messages of one stream."""

    def __init__(self):
        self.lock = threading.Lock()
        self.confirmed, self.seen, self.sent = set(), {}, 0

    def saw(self, offset, message):
        with self.lock:
            before = self.seen.setdefault(offset, message)
        check(before == message, f"offset {offset} was {before}, and is {message}")

    def compare(self, content, hole=False):
        """hole: offsets may be missing, and what they had."""
        next_offset, last = 0, {}
        for offset, publisher, number in content:
            check(offset == next_offset or (hole and offset > next_offset), f"offset {offset} comes behind {next_offset - 1}")
            check(last.get(publisher, -1) < number, f"message {number} of publisher {publisher} behind {last.get(publisher)}")
            self.saw(offset, (publisher, number))
            next_offset, last[publisher] = offset + 1, number
        there = {(publisher, number) for _, publisher, number in content}
        lost = self.confirmed - there
        check(hole or not lost, f"{len(lost)} of {len(self.confirmed)} confirmed are lost: {sorted(lost)[:5]}")
        check(hole or len(self.seen) == len(content), f"{len(self.seen)} were seen, {len(content)} are there")
        return len(lost)


class Life:
    """A data directory over the lives of its broker, with clients that publish to streams and read them."""

    def __init__(self, programs, number, sizes=(0, 40, 300, 3000, 60000), window=300, **options):
        self.seed, self.random, self.sizes, self.window = number, random.Random(number), sizes, window
        self.killing, self.ending = threading.Event(), threading.Event()
        self.books = {name: Book() for name in STREAMS}
        self.errors, self.publishers, self.threads = [], 0, []
        self.broker = Broker(programs, **options)
        with self.broker.client() as client:
            for name, arguments in STREAMS.items():
                declare(client, name, arguments)

    def guard(self, function, *arguments):
        try:
            function(*arguments)
        except DEATHS as error:
            if not self.killing.is_set():
                self.errors.append(f"{type(error).__name__}: {error}")
        except Failure as error:
            self.errors.append(str(error))

    def publish(self, publisher, number):
        chance, sent, confirms = random.Random(number), 0, Confirms()
        with self.broker.client() as client:
            client.ask(amqp.confirm_select(1), "confirm-ok")
            while not self.ending.is_set() or confirms.open:
                data = []
                while len(confirms.open) < self.window and len(data) < 60 and not self.ending.is_set():
                    name = chance.choice(list(STREAMS))
                    confirms.add((name, (publisher, sent)))
                    self.books[name].sent += 1
                    data.append(amqp.publish(1, name, body_of(publisher, sent, chance.choice(self.sizes))))
                    sent += 1
                client.send(b"".join(data), 120)
                while client.readable(0 if data else 0.05):
                    event = client.next()
                    if event.name == "ack":
                        for where, message in confirms.take(event):
                            self.books[where].confirmed.add(message)

    def follow(self, name, number):
        """Reads from anywhere, acknowledges now and then."""
        chance, book = random.Random(number), self.books[name]
        with self.broker.client() as client:
            client.ask(amqp.qos(1, chance.choice((1, 50, 1000))), "qos-ok")
            start = chance.choice(("first", "next", "last", chance.randrange(len(book.seen) + 1)))
            client.ask(amqp.consume(1, name, arguments=amqp.table({"x-stream-offset": start})), "consume-ok")
            before = -1
            while not self.ending.is_set():
                with contextlib.suppress(amqp.Silence):
                    event = client.next(0.1)
                    offset = offset_of(event)
                    check(before < 0 or offset == before + 1, f"offset {offset} comes behind {before}")
                    book.saw(offset, parse(event.body))
                    before = offset
                    client.send(amqp.ack(1, event.tag(), chance.random() < 0.5))

    def begin(self, publishers=3):
        self.killing.clear()
        self.ending.clear()
        self.threads = []
        for _ in range(publishers):
            self.publishers += 1
            self.threads.append(threading.Thread(target=self.guard, daemon=True,
                                                 args=(self.publish, self.publishers, self.random.getrandbits(32))))
        for name in STREAMS:
            self.threads.append(threading.Thread(target=self.guard, daemon=True,
                                                 args=(self.follow, name, self.random.getrandbits(32))))
        for one in self.threads:
            one.start()

    def end(self, text="a client does not end"):
        self.ending.set()
        for one in self.threads:
            one.join(40)
            check(not one.is_alive(), text)
        check(not self.errors, "; ".join(self.errors[:5]))

    def kill(self):
        self.killing.set()
        self.broker.kill()
        self.end()

    def confirmed(self):
        return sum(len(book.confirmed) for book in self.books.values())

    def look(self, hole=False):
        lost = 0
        with self.broker.client() as client:
            for name, book in self.books.items():
                try:
                    lost += book.compare(read_all(client, name, hole), hole)
                except Failure as failure:
                    raise Failure(f"{name}: {failure}") from None
        return lost

    def summary(self):
        return (f"{sum(book.sent for book in self.books.values())} sent, {self.confirmed()} confirmed, "
                f"{sum(len(book.seen) for book in self.books.values())} there")


def lives(life, rounds, after_kill=lambda: None):
    try:
        for _ in range(rounds):
            life.begin()
            time.sleep(life.random.uniform(0.05, 0.5))
            life.kill()
            after_kill()
            life.broker.start()
            life.look()
        print(f"     {life.summary()}")
        life.broker.stop()
    except Failure as failure:
        raise Failure(f"seed {life.seed}: {failure}") from None
    finally:
        life.broker.end()


@case("streams: killed at random moments", broker=False)
def streams_killed(programs):
    lives(Life(programs, seed()), option("rounds", 4 if programs.slow else 10))


@case("streams: the power cut at random moments", broker=False)
def streams_powercut(programs):
    folder = fast_folder()
    try:
        cut, source = PowerCut(programs, os.path.join(folder, "data")), random.Random(seed())
        os.mkdir(cut.data, 0o700)
        life = Life(programs, seed(), folder=folder, data=cut.data, extra=cut.environment())
        lives(life, option("cuts", 3 if programs.slow else 8), lambda: cut.crash(source.getrandbits(40)))
    finally:
        remove(folder)


# ---- the disk ----
def fill_stream(broker, name, mib):
    with broker.client() as client:
        client.ask(amqp.confirm_select(1), "confirm-ok")
        declare(client, name)
        client.send(amqp.publish(1, name, bytes(100000)) * (mib * 10))
        last = 0
        while last < mib * 10:
            last = max(last, client.expect("ack").tag())


def stands_still(life):
    before = life.confirmed()
    time.sleep(0.5)
    return life.confirmed() == before


def others_go_on(broker, publish=True):
    """publish: else all publishers are blocked, and nobody else."""
    patience = 15 if broker.programs.slow else 5
    with broker.client() as client:
        client.ask(amqp.confirm_select(1), "confirm-ok")
        for n in range(20):
            client.ask(amqp.queue_declare(1, "q", amqp.DURABLE), "declare-ok", patience)
            if publish:
                client.ask(amqp.publish(1, "q", b"%d" % n, properties=b"\x10\0\2"), "ack", patience)
            client.ask(amqp.get(1, "q", True), "get-ok" if publish else "get-empty", patience)
            client.ask(amqp.queue_delete(1, "q"), "delete-ok", patience)


@case("streams: the disk is full; what is deleted gives room; a stop ends", broker=False)
def streams_full(programs):
    folder, mount, life = fast_folder(), None, None
    try:
        mount = Mount(os.path.join(folder, "data", "partitions"), "60m")
        life = Life(programs, seed(), sizes=(1000, 20000), window=3000, folder=folder, data=os.path.join(folder, "data"),
                    config="disk_free_limit: 1kB\n")
        fill_stream(life.broker, "doomed", 15)
        life.begin()
        wait_until(lambda: life.confirmed() > 50, 20, "publishing")
        mount.fill()
        wait_until(lambda: stands_still(life), 60, "confirms end with the room")
        life.broker.logged("no room on the disk for streams")
        life.broker.logged("alarm set")
        others_go_on(life.broker, publish=False)
        before = life.confirmed()
        with life.broker.client() as client:
            client.delete("doomed")
        wait_until(lambda: life.confirmed() > before + 50, 20, lambda: "confirms, with the room of a stream that was "
                   f"deleted:\n{life.broker.tail(5)}")
        mount.fill()
        wait_until(lambda: stands_still(life), 60, "confirms end again")
        life.kill()
        mount.empty()
        life.broker.start()
        life.look()
        life.begin()
        mount.fill()
        wait_until(lambda: stands_still(life), 60, "confirms end with the room")
        life.killing.set()
        life.broker.signal(15)
        code = life.broker.wait(60)
        life.end()
        check(code == 0, f"exit code {code} of a stop without room for streams:\n{life.broker.tail()}")
        mount.empty()
        life.broker.start()
        life.look()
        print(f"     {life.summary()}")
        life.broker.stop()
    except Failure as failure:
        raise Failure(f"seed {life.seed if life else 0}: {failure}") from None
    finally:
        if life:
            life.broker.end()
        if mount:
            mount.end()
        remove(folder)


# an index is a hint: the process goes on without
FAILURES = [("a sync of a stream", "eio:sync:.segment:3"), ("a write of a stream", "eio:write:.segment:9"),
            ("a new file of a stream", "eio:create:.segment:1")]


def fail(programs, name, rule):
    folder, source = fast_folder(), random.Random(seed())
    trigger = os.path.join(folder, "trigger")
    cut = PowerCut(programs, os.path.join(folder, "data"))
    os.mkdir(cut.data, 0o700)
    life = Life(programs, seed(), folder=folder, data=cut.data, extra=cut.environment(rule, trigger))
    try:
        life.begin()
        wait_until(lambda: life.confirmed() > 100, 20, "publishing")
        life.killing.set()
        mark, before = life.broker.mark(), life.confirmed()
        with open(trigger, "wb"):
            pass
        try:
            code = life.broker.process.wait(40)
        except subprocess.TimeoutExpired:
            said = life.errors or f"{life.confirmed() - before} were confirmed meanwhile"
            raise Failure(f"{name} fails, the broker goes on; {said}\n{life.broker.tail(5)}") from None
        life.end()
        text = life.broker.log(mark)
        check(code == 74, f"{name} fails: exit code {code}\n{text[-1500:]}")
        lines = re.findall(r"^.*\[(?:critical|error)\].*$", text, re.M)
        check(len(lines) == 1 and "Input/output error" in lines[0], f"{name} fails: not one clear line:\n{text[-1500:]}")
        cut.crash(source.getrandbits(32))
        life.broker.extra = {}
        life.broker.start()
        life.look()
        life.broker.stop()
    finally:
        life.broker.end()
        remove(folder)


@case("streams: the disk fails: the process ends and says why", broker=False)
def streams_failing(programs):
    for name, rule in FAILURES:
        fail(programs, name, rule)


@case("streams: no room for single calls, with room again later", broker=False)
def streams_short(programs):
    for rule in ("enospc:write:/partitions/:9+", "enospc:create:/partitions/:1+"):
        folder = fast_folder()
        trigger = os.path.join(folder, "trigger")
        life = Life(programs, seed(), folder=folder, data=os.path.join(folder, "data"),
                    extra=PowerCut(programs).environment(rule, trigger))
        try:
            life.begin()
            wait_until(lambda: life.confirmed() > 100, 20, "publishing")
            with open(trigger, "wb"):
                pass
            wait_until(lambda: stands_still(life), 30, f"{rule}: confirms end")
            others_go_on(life.broker, publish=False)
            os.unlink(trigger)
            before = life.confirmed()
            wait_until(lambda: life.confirmed() > before + 100, 30, f"{rule}: confirms again")
            life.kill()
            life.broker.start()
            life.look()
            life.broker.stop()
        except Failure as failure:
            raise Failure(f"{rule}: {failure}") from None
        finally:
            life.broker.end()
            remove(folder)


def bend(source, path):
    """Not at the end: what nothing follows is taken for torn."""
    with open(path, "r+b") as file:
        at = source.randrange(os.path.getsize(path) // 2)
        file.seek(at)
        was = file.read(1)
        file.seek(at)
        if source.random() < 0.5:
            file.write(bytes(source.choice((1, 512, 4096))))
        else:
            file.write(bytes([was[0] ^ 1 << source.randrange(8)]))


@case("streams: damaged segments cost what is in the damage", broker=False)
def streams_damaged(programs):
    life, source = Life(programs, seed()), random.Random(seed())
    folder = os.path.join(life.broker.data, "partitions")
    try:
        life.begin()
        wait_until(lambda: life.confirmed() > 2000, 60, "publishing")
        life.kill()
        paths = sorted(glob.glob(os.path.join(folder, "*.segment")))
        last = {os.path.basename(path).split("-")[0]: path for path in paths}
        large = [path for path in paths if os.path.getsize(path) > MIB or path not in last.values()]
        for path in source.sample(large, min(4, len(large))):
            bend(source, path)
        for path in glob.glob(os.path.join(folder, "*.index")):
            if source.random() < 0.3:
                os.unlink(path)
        life.broker.start()
        lost = life.look(hole=True)
        check(not lost or "damage in partition" in life.broker.log(life.broker.since), "no line tells of the damage")
        check(lost < life.confirmed() / 2, f"{lost} of {life.confirmed()} lost")
        print(f"     {life.summary()}, {lost} confirmed of them lost")
        life.broker.stop()
    except Failure as failure:
        raise Failure(f"seed {life.seed}: {failure}") from None
    finally:
        life.broker.end()


@case("streams: segments that cannot be read for a while keep their readers waiting", broker=False)
def streams_unreadable(programs):
    folder = fast_folder()
    trigger = os.path.join(folder, "trigger")
    broker = Broker(programs, folder=folder, data=os.path.join(folder, "data"),
                    extra=PowerCut(programs).environment("eio:read:/partitions/:1+", trigger))
    try:
        fill_stream(broker, "s", 10)
        mark = broker.mark()
        with open(trigger, "wb"):
            pass
        with broker.client(channels=2) as client:
            for channel, start in ((1, 40), (2, "1h")):
                client.ask(amqp.qos(channel, 200), "qos-ok")
                client.send(amqp.consume(channel, "s", arguments=amqp.table({"x-stream-offset": start})))
                client.expect("consume-ok")
            others_go_on(broker)
            for _ in range(200):  # what is published meanwhile must not lead to a read each
                client.send(amqp.publish(1, "s", b"x"))
            try:
                raise Failure(f"a delivery that could not be read: {client.next(2.5)}")
            except amqp.Silence:
                pass
            lines = len(re.findall("cannot be read at offset.*Input/output error", broker.log(mark)))
            check(1 <= lines <= 2, f"{lines} lines tell of it")
            os.unlink(trigger)
            next_offset = {1: 40, 2: 0}
            for _ in range(60 + 100):
                event = client.expect("deliver", 10)
                check(offset_of(event) == next_offset[event.channel], f"offset {offset_of(event)}")
                next_offset[event.channel] += 1
        broker.stop()
    finally:
        broker.end()
        remove(folder)


@case("streams: a policy drops what is being read")
def streams_shrunk(broker):
    def column(name):
        return broker.control("list_queues", name)[0][name]

    with broker.client() as client:
        declare(client, "s", {"x-queue-type": "stream", "x-stream-max-segment-size-bytes": MIB})
        client.send(amqp.publish(1, "s", bytes(100000)) * 300)
        wait_until(lambda: client.messages("s") == 300, 20, lambda: f"{client.messages('s')} of 300")
        client.ask(amqp.qos(1, 10), "qos-ok")
        client.ask(amqp.consume(1, "s", arguments=amqp.table({"x-stream-offset": "first"})), "consume-ok")
        offsets = [offset_of(client.expect("deliver")) for _ in range(10)]
        done = subprocess.run([broker.programs.ctl, "--control", os.path.join(broker.dir, "control"), "set_policy", "p", "^s$",
                               '{"max-length-bytes":5000000}', "--apply-to", "streams"], check=False, capture_output=True)
        check(done.returncode == 0, f"set_policy: {done.stderr}")
        wait_until(lambda: column("first_offset") > 200, 20, lambda: f"the first offset is {column('first_offset')}")
        while offsets[-1] < 299:
            client.send(amqp.ack(1, 0, True))
            for _ in range(10):
                offsets.append(offset_of(client.expect("deliver", 20)))
                if offsets[-1] == 299:
                    break
        check(offsets == sorted(set(offsets)) and offsets[:10] == list(range(10)), f"offsets {offsets}")
        check(len(offsets) < 100, f"{len(offsets)} messages, of which most were dropped")

        def dropped():
            folder = f"/proc/{broker.process.pid}/fd"
            return [path for path in (os.readlink(os.path.join(folder, fd)) for fd in os.listdir(folder))
                    if "/partitions/" in path and "deleted" in path]

        wait_until(lambda: not dropped(), 10, lambda: f"files that were dropped are open: {dropped()}")


# ---- many ----
@case("streams: more of them than there are descriptors", broker=False)
def streams_many(programs):
    count = 400
    broker = Broker(programs, files=360)
    try:
        for again in range(2):
            with broker.client() as client:
                client.ask(amqp.confirm_select(1), "confirm-ok")
                confirms = Confirms()
                for n in range(count):
                    declare(client, f"s{n}")
                    confirms.add(n)
                    client.send(amqp.publish(1, f"s{n}", body_of(n, again, 100)))
                while confirms.open:
                    event = client.next(60)
                    if event.name == "ack":
                        confirms.take(event)
                for n in range(0, count, 3):
                    content = read_all(client, f"s{n}")
                    check(content == [(k, n, k) for k in range(again + 1)], f"s{n} has {content}")
            files = broker.open_files()
            check(files < 320, f"{files} files are open for {count} streams")
            print(f"     {count} streams, {files} files open, {broker.rss():.0f} MiB")
            broker.kill()
            broker.start()
        files = broker.open_files()
        check(files < 150, f"{files} files are open after a start with {count} streams")
        broker.stop()
    finally:
        broker.end()


@case("streams: a thousand readers at places of their own that take nothing")
def streams_readers(broker):
    count = 200 if broker.programs.slow else 1000
    fill_stream(broker, "s", 120)
    with broker.client(channels=10) as client:
        before = broker.rss()
        for channel in range(1, 11):
            client.ask(amqp.qos(channel, 1), "qos-ok")
        for n in range(count):
            client.send(amqp.consume(n % 10 + 1, "s", f"{n}", arguments=amqp.table({"x-stream-offset": n * 1200 // count})))
        seen = 0
        while seen < count:
            event = client.next(60)
            if event.name == "deliver":
                seen += 1
                number = int(event.args[1:1 + event.args[0]])
                check(offset_of(event) == number * 1200 // count, f"reader {number} got offset {offset_of(event)}")
        time.sleep(1)
        grown = broker.rss() - before
        print(f"     {count} readers: {grown:.0f} MiB")
        check(broker.programs.slow or grown < 120, f"{count} readers take {grown:.0f} MiB")
        client.send(b"".join(amqp.ack(channel, 0, True) for channel in range(1, 11)))
        for _ in range(count):  # each goes on with its next one
            check(offset_of(client.expect("deliver", 60)) > 0, "an offset behind the first")


@case("streams: declared, filled, read and deleted without end")
def streams_loop(broker):
    with broker.client() as client:
        client.ask(amqp.confirm_select(1), "confirm-ok")
        client.ask(amqp.qos(1, 10), "qos-ok")
        files = rss = 0
        rounds = 60 if broker.programs.slow else 400
        for n in range(rounds):
            declare(client, "s")
            client.send(amqp.publish(1, "s", bytes(20000)) * 3)
            if n % 2:
                client.expect("ack")
                client.send(amqp.consume(1, "s", "c", arguments=amqp.table({"x-stream-offset": "first"})))
                client.expect("deliver")
            client.ask(amqp.queue_delete(1, "s"), "delete-ok")
            if n == rounds // 4:
                files, rss = broker.open_files(), broker.rss()
        folder = os.path.join(broker.data, "partitions")
        wait_until(lambda: not os.listdir(folder), 20, lambda: f"{len(os.listdir(folder))} files are left of streams that were deleted")
        wait_until(lambda: broker.open_files() <= files + 3, 20, lambda: f"{broker.open_files()} files are open, {files} before")
        check(broker.programs.slow or broker.rss() < rss + 30, f"{broker.rss():.0f} MiB, {rss:.0f} before")
