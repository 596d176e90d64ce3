"""Disks that are full, that fail, and processes that die at every step of a checkpoint."""

import contextlib
import os
import random
import re
import subprocess
import threading
import time

from . import amqp
from .broker import Broker, Failure, check, wait_until
from .ledger import Ledger
from .load import Publisher, drain
from .powercut import PowerCut, fast_folder, remove
from .scene import Scene
from .suite import Skip, case, option, seed

MIB = 1 << 20


class Stage:
    """A broker with two durable queues, a publisher or several, and the ledger of what it promised them."""

    def __init__(self, programs, folder, extra=None, config=""):
        self.ledger = Ledger()
        self.queues = [self.ledger.queue("a"), self.ledger.queue("b")]
        self.ending, self.killing = threading.Event(), threading.Event()
        self.random = random.Random(seed())
        self.data = os.path.join(folder, "data")
        self.broker = Broker(programs, config, folder=folder, data=self.data, extra=extra)
        with self.broker.client() as client:
            for queue in self.queues:
                client.ask(queue.declaration(), "declare-ok")

    def publish(self, size, count=2, window=60):
        self.ending.clear()
        self.killing.clear()
        self.actors = [Publisher(self, self.random.getrandbits(32), self.queues, None, window, size=size, fixed=True)
                       for _ in range(count)]
        for actor in self.actors:
            actor.start()
        return self.actors

    def confirmed(self):
        return sum(actor.confirmed for actor in self.actors)

    def blocked(self):
        return any(actor.blocked for actor in self.actors)

    def join(self):
        self.ending.set()
        for actor in self.actors:
            actor.join(60)
            check(not actor.is_alive() and not actor.error, f"a publisher: {actor.error}")

    def kill(self):
        self.killing.set()
        self.broker.kill()
        self.join()

    def look(self):
        """After a restart: everything that was promised is there. Then it is taken out."""
        with self.broker.client() as client:
            for queue in self.queues:
                content = drain(self.ledger, client, queue, client.messages(queue.name))
                seen = [one for _, one in content]
                self.ledger.observe(queue, seen)
                self.ledger.close_books(queue, seen)
                if content:
                    client.send(amqp.ack(2, content[-1][0], True))
                client.ask(amqp.channel_close(2), "channel.close-ok")
                for copy in queue.copies.values():
                    copy.settle()
        if self.ledger.complaints:
            raise Failure(f"{len(self.ledger.complaints)} complaints\n" + "\n".join(self.ledger.complaints[:10])
                          + "\nlog:\n" + self.broker.tail(10))


# ---- full ----
class Mount:
    """A file system of its own in memory."""

    def __init__(self, path, size):
        self.path, self.root = path, [] if os.geteuid() == 0 else ["sudo", "-n"]
        os.makedirs(path, exist_ok=True)
        options = f"size={size},mode=0700,uid={os.geteuid()},gid={os.getegid()}"
        done = subprocess.run(self.root + ["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], capture_output=True,
                              text=True, check=False)
        if done.returncode:
            raise Skip(f"nothing can be mounted here: {done.stderr.strip()}")

    def fill(self, left=0):
        stat = os.statvfs(self.path)
        count = stat.f_bavail * stat.f_bsize - left
        with open(os.path.join(self.path, "filler"), "wb", 0) as file, contextlib.suppress(OSError):
            while count > 0:  # the broker may be faster
                count -= file.write(bytes(min(count, MIB)))

    def empty(self):
        os.unlink(os.path.join(self.path, "filler"))

    def end(self):
        subprocess.run(self.root + ["umount", "-l", self.path], check=False)


def life_goes_on(stage):
    """With publishers blocked: gets, acknowledgements, purges and deletes of others are answered at once."""
    patience = 15 if stage.broker.programs.slow else 5
    began = time.monotonic()
    with stage.broker.client() as client:
        queue = stage.queues[0]
        for _ in range(20):
            client.send(amqp.get(1, queue.name))
            event = client.next(patience)
            if event.name == "get-empty":
                break
            copy = stage.ledger.deliver(queue, event)
            if copy:
                copy.settle()
            client.send(amqp.ack(1, event.tag()))
        client.ask(amqp.queue_purge(1, "doomed-1"), "purge-ok", patience)
        client.ask(amqp.queue_delete(1, "doomed-1"), "delete-ok", patience)
        client.ask(amqp.queue_delete(1, "doomed-2"), "delete-ok", patience)
    check(time.monotonic() - began < 2 * patience, "gets, acknowledgements and deletes are slow on a full disk")


def doom(stage):
    with stage.broker.client() as client:
        client.ask(amqp.confirm_select(1), "confirm-ok")
        for name in ("doomed-1", "doomed-2"):
            client.declare(name, amqp.DURABLE)
            client.ask(amqp.publish(1, name, bytes(1000), properties=b"\x10\0\2"), "ack")


def until_blocked(stage, must, budget):
    """Publishes until the broker blocks, or so many bytes were confirmed that it does without the room."""
    before, size = stage.confirmed(), stage.actors[0].size
    deadline = time.monotonic() + 60
    while not stage.blocked():
        if not must and (stage.confirmed() - before) * size > budget:
            return False
        check(time.monotonic() < deadline, f"not blocked after {(stage.confirmed() - before) * size >> 20} MiB were "
              f"confirmed:\n{stage.broker.tail(5)}")
        check(stage.broker.alive(), "the broker is gone:\n" + stage.broker.tail())
        time.sleep(0.02)
    return True


def full(programs, place, size, message, must):
    folder = fast_folder()
    mount, stage = None, None
    try:
        mount = Mount(os.path.join(folder, "data", place) if place else os.path.join(folder, "data"), size)
        stage = Stage(programs, folder)
        doom(stage)
        stage.publish(message)
        wait_until(lambda: stage.confirmed() > 20, 20, "publishing")
        mount.fill()
        blocked = until_blocked(stage, must, 400 * MIB)
        life_goes_on(stage)
        check(stage.broker.alive(), "the broker is gone:\n" + stage.broker.tail())
        mount.empty()
        wait_until(lambda: not stage.blocked(), 20, lambda: "unblocked with room:\n" + stage.broker.tail(5))
        before = stage.confirmed()
        wait_until(lambda: stage.confirmed() > before + 100, 30, lambda: "confirms again:\n" + stage.broker.tail(5))
        mount.fill()
        until_blocked(stage, must, 200 * MIB)
        stage.kill()
        # a start without any room may end, if it says why
        stage.broker.start(False)
        try:
            stage.broker.started()
            early = "it starts without room"
            stage.look()
        except Failure:
            code = stage.broker.process.poll()
            check(code is not None and 64 <= code <= 78, f"exit code {code} with a full disk\n{stage.broker.tail()}")
            early = f"exit {code} without room"
        if stage.broker.alive():
            stage.broker.kill()
        mount.empty()
        stage.broker.start()
        stage.look()
        print(f"     {'blocked' if blocked else 'not blocked'}, {early}")
        stage.broker.stop()
    finally:
        if stage:
            stage.broker.end()
        if mount:
            mount.end()
        remove(folder)


@case("the disk is full: all of the data directory", broker=False)
def full_all(programs):
    full(programs, "", "500m", 20000, True)


@case("the disk is full: the journal's", broker=False)
def full_journal(programs):
    full(programs, "journal", "300m", 20000, False)


@case("the disk is full: the database's", broker=False)
def full_database(programs):
    full(programs, "db", "400m", 20000, True)


@case("the disk is full: that of large bodies", broker=False)
def full_blobs(programs):
    full(programs, "blobs", "400m", 200000, True)


def unread_queues(stage, count):
    with stage.broker.client() as client:
        client.ask(amqp.confirm_select(1), "confirm-ok")
        for n in range(count):
            client.declare(f"unread-{n}", amqp.DURABLE)
            for _ in range(2):
                client.ask(amqp.publish(1, f"unread-{n}", b"%d" % n, properties=b"\x10\0\2"), "ack")


def first_reads(stage, count):
    """The first get from a queue has a record of its own that is to be on the disk before the message leaves."""
    patience = 15 if stage.broker.programs.slow else 5
    longest = 0.0
    with stage.broker.client() as client:
        for n in range(count):
            began = time.monotonic()
            event = client.ask(amqp.get(1, f"unread-{n}"), "get-ok", patience)
            check(event.body == b"%d" % n, f"unread-{n} has {event.body}")
            longest = max(longest, time.monotonic() - began)
            client.send(amqp.ack(1, event.tag()))
            if n % 2:
                client.ask(amqp.queue_delete(1, f"unread-{n}"), "delete-ok", patience)
    return longest


def full_while_unread(programs, config):
    count, folder, mount, stage = 200, fast_folder(), None, None
    try:
        mount = Mount(os.path.join(folder, "data"), "600m")
        stage = Stage(programs, folder, config=config)
        unread_queues(stage, count)
        stage.publish(20000)
        wait_until(lambda: stage.confirmed() > 200, 20, "publishing")
        mount.fill()
        until_blocked(stage, True, 0)
        longest = first_reads(stage, count)
        until_blocked(stage, True, 0)  # again, if a checkpoint freed a segment of the journal meanwhile
        stage.kill()
        mount.empty()
        stage.broker.start()
        with stage.broker.client() as client:
            for n in range(0, count, 2):
                event = client.ask(amqp.get(1, f"unread-{n}"), "get-ok")
                check(event.redelivered(), f"unread-{n} was read before it was killed, and comes as if it was not")
        print(f"     {config.strip()}: the longest answer to a get took {longest * 1000:.0f} ms")
        stage.broker.stop()
    finally:
        if stage:
            stage.broker.end()
        if mount:
            mount.end()
        remove(folder)


@case("the disk is full: first reads of queues, acknowledgements and deletes go on", broker=False)
def full_first_reads(programs):
    """With publishers blocked for lack of space, and where nothing is done before there is none."""
    for limit in ("50MB", "0"):
        full_while_unread(programs, f"disk_free_limit: {limit}\n")


# ---- failing ----
FAILURES = [("a sync of the journal", "eio:sync:/journal/segment:3", 3000),
            ("a write of the journal", "eio:write:/journal/segment:4", 3000),
            ("a sync of the database", "eio:sync:/db/data.mdb:1", 20000),
            ("a write of the database", "eio:write:/db/data.mdb:7", 20000),
            ("the last write of a commit", "eio:head:/db/data.mdb:1", 20000),
            ("the last write of a commit, and to take it back", "eio:head:/db/data.mdb:1+", 20000),
            ("the last write of a later commit", "eio:head:/db/data.mdb:3", 20000),
            ("a write of a large body", "eio:write:/blobs/:2", 200000),
            ("a sync of a large body", "eio:sync:/blobs/:2", 200000)]


def fail(programs, name, rule, size):
    folder = fast_folder()
    trigger = os.path.join(folder, "trigger")
    os.mkdir(os.path.join(folder, "data"), 0o700)
    cut = PowerCut(programs, os.path.join(folder, "data"))
    stage = Stage(programs, folder, cut.environment(rule, trigger))
    try:
        stage.publish(size)
        wait_until(lambda: stage.confirmed() > 50, 20, "publishing")
        stage.killing.set()
        with open(trigger, "wb"):
            pass
        mark = stage.broker.mark()
        try:
            code = stage.broker.process.wait(40)
        except subprocess.TimeoutExpired:
            raise Failure(f"{name} fails, the broker goes on\n{stage.broker.tail(5)}") from None
        stage.join()
        text = stage.broker.log(mark)
        check(code == 74, f"{name} fails: exit code {code}\n{text[-1500:]}")
        lines = re.findall(r"^.*\[(?:critical|error)\].*$", text, re.M)
        check(any("Input/output error" in line for line in lines), f"{name} fails: no line says so:\n{text[-1500:]}")
        check(len(lines) <= 2, f"{name} fails: not one clear line but\n" + "\n".join(lines[:10]))
        # what is not on the disk is not there any more: the pages were dropped
        cut.crash(stage.random.getrandbits(32))
        stage.broker.extra = {}
        stage.broker.start()
        stage.look()
        stage.broker.stop()
    finally:
        stage.broker.end()
        remove(folder)


@case("the disk fails: the process ends and says why, no confirm is wrong", broker=False)
def failing(programs):
    for name, rule, size in FAILURES:
        fail(programs, name, rule, size)


@case("no room for single calls, with room again later", broker=False)
def short_of_room(programs):
    for rule, size in (("enospc:write:/journal/segment:5+", 3000), ("enospc:create:/journal/:1+", 20000),
                       ("enospc:write:/db/data.mdb:3+", 20000), ("enospc:write:/blobs/:3+", 200000),
                       ("enospc:create:/blobs/:1+", 200000)):
        folder = fast_folder()
        trigger = os.path.join(folder, "trigger")
        stage = Stage(programs, folder, PowerCut(programs).environment(rule, trigger))
        try:
            doom(stage)
            stage.publish(size)
            wait_until(lambda: stage.confirmed() > 50, 20, "publishing")
            with open(trigger, "wb"):
                pass
            until_blocked(stage, "db" in rule or "write:/blobs" in rule, 100 * MIB)
            time.sleep(0.3)
            if "journal" not in rule:
                life_goes_on(stage)
            os.unlink(trigger)
            wait_until(lambda: not stage.blocked(), 20, lambda: f"{rule}: unblocked\n{stage.broker.tail(5)}")
            before = stage.confirmed()
            wait_until(lambda: stage.confirmed() > before + 100, 30, lambda: f"{rule}: confirms\n{stage.broker.tail(5)}")
            stage.kill()
            stage.broker.start()
            stage.look()
            stage.broker.stop()
        except Failure as failure:
            raise Failure(f"{rule}: {failure}") from None
        finally:
            stage.broker.end()
            remove(folder)


# ---- dying in a checkpoint ----
@case("killed at any step of a checkpoint", broker=False)
def checkpoint_killed(programs):
    """The process dies at its n-th write or sync of the database or of large bodies, in half of the rounds the power
    with it, and in some once more while it recovers."""
    folder = fast_folder()
    trigger = os.path.join(folder, "trigger")
    cut = PowerCut(programs, os.path.join(folder, "data"))
    os.mkdir(cut.data, 0o700)
    number, hits = seed(), 0
    source = random.Random(number)
    broker = Broker(programs, folder=folder, data=cut.data, extra=cut.environment())
    scene = Scene(programs, number, broker=broker, heavy=True)
    scene.after_kill = lambda: cut.crash(source.getrandbits(40)) if source.random() < 0.5 else None

    def wait_for_death():
        with open(trigger, "wb"):
            pass
        deadline = time.monotonic() + 4
        scene.killing.set()
        while broker.alive() and time.monotonic() < deadline:
            time.sleep(0.01)

    points = option("points", 4 if programs.slow else 16)
    try:
        for point in range(points):
            what = source.choice(("any:/db/data.mdb", "sync:/db/data.mdb", "any:/blobs/", "any:/db/data.mdb"))
            most = 4 if what.startswith("sync") else 60 if "blobs" in what else 300
            at = int(most ** source.random())
            rule = f"{source.choice(('kill', 'kill', 'tear'))}:{what}:{at}"
            broker.kill()
            broker.extra = cut.environment(rule, trigger)
            broker.start()
            try:
                scene.round(between=wait_for_death, before_restart=lambda: recover(broker, trigger, source))
            except Failure as failure:
                raise Failure(f"{rule}, power cut: {cut.said}: {failure}") from None
            hits += scene.died
        print(f"     {scene.summary()}; {hits} of {points} died in a checkpoint")
        check(hits >= points // 2, "the rules were met too seldom")
        broker.stop()
    finally:
        broker.end()
        remove(folder)


def recover(broker, trigger, source):
    """Once more with the rule, which may be met while it recovers; then without."""
    if source.random() < 0.4:
        broker.start(False)
        deadline = time.monotonic() + 0.5
        while broker.alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        broker.kill()
    os.unlink(trigger)
