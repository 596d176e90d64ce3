"""Files of the data directory that are torn, bent, emptied or gone: a clear report, no crash, queues that work."""

import os
import random
import re
import shutil

from . import amqp
from .broker import Broker, Failure, check
from .powercut import fast_folder, remove
from .suite import case, seed

KINDS = {"journal": r"journal/segment-\d+$", "database": r"db/data\.mdb$", "lock of the database": r"db/lock\.mdb$",
         "large body": r"blobs/", "lock": r"/lock$"}


def files_of(data, pattern):
    out = []
    for folder, _, names in os.walk(data):
        out += [os.path.join(folder, name) for name in names if re.search(pattern, os.path.join(folder, name))]
    return sorted(out)


def used(path):
    """Where the last byte is that is not zero."""
    with open(path, "rb") as file:
        return len(file.read().rstrip(b"\0"))


def overwrite(path, at, data):
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(data)


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        octet = file.read(1)
        file.seek(at)
        file.write(bytes([(octet or b"\0")[0] ^ 0x40]))


def ways(source, kind, path):
    """Names of damages, and what does them to a copy of this file."""
    size, end = os.path.getsize(path), max(1, used(path))
    garbage = source.randbytes(min(size, 1 << 20))
    out = [("removed", os.unlink), ("emptied", lambda p: os.truncate(p, 0)),
           ("cut in half", lambda p: os.truncate(p, size // 2)), ("cut by a byte", lambda p: os.truncate(p, max(0, size - 1))),
           ("all zeros", lambda p: overwrite(p, 0, bytes(size))), ("garbage", lambda p: overwrite(p, 0, garbage))]
    flips, zeros = {}, {}
    for _ in range(3):
        at = source.randrange(end)
        flips[f"at {at}"] = at
        zeros[f"a sector of zeros at {at // 512 * 512}"] = (at // 512 * 512, 512)
    if kind == "journal":
        flips.update({"in the head of the segment": source.randrange(40),
                      "in the head of the first frame": 512 + source.randrange(32),
                      "in the first payload": 512 + 40 + source.randrange(200)})
        zeros[f"torn at {end // 2}"] = (end // 2, size - end // 2)
    if kind == "database":
        for page in range(2):
            flips[f"in meta page {page}"] = page * 4096 + source.randrange(150)
            zeros[f"meta page {page} of zeros"] = (page * 4096, 4096)
        place = find_in(path, MARK)
        if place >= 0:
            flips["in the text of a message"] = place + 20
            zeros["a part of a block of zeros"] = (place, 3000)
    out += [(f"a bit flipped {name}", lambda p, at=at: flip(p, at)) for name, at in flips.items()]
    return out + [(name, lambda p, at=at, n=n: overwrite(p, at, bytes(n))) for name, (at, n) in zeros.items()]


MARK = b"a message of the damage tests "


def find_in(path, text):
    with open(path, "rb") as file:
        return file.read().find(text)


def body(number, size):
    return (MARK + b"%08d " % number).ljust(size, b"%d" % (number % 10))[:size]


# What cannot be told from a segment in the making, or from the end of the log
SILENT = re.compile(r"segment-\d+: (removed|emptied|all zeros|torn|cut)")


class Wreck:
    """A data directory with known contents, copied for each damage."""

    def __init__(self, programs, folder, clean):
        self.programs, self.folder, self.clean = programs, folder, clean
        self.master = os.path.join(folder, "master")
        self.sizes = {}
        broker = Broker(programs, folder=folder, data=self.master)
        with broker.client() as client:
            client.ask(amqp.confirm_select(1), "confirm-ok")
            number = 0
            for name, sizes in (("small", [60] * 400), ("medium", [3000] * 40), ("large", [90000] * 6), ("other", [100] * 50)):
                client.declare(name, amqp.DURABLE)
                for size in sizes:
                    number += 1
                    self.sizes[number] = size
                    client.send(amqp.publish(1, name, body(number, size), properties=b"\x10\0\2"))
            last = 0
            while last < number:
                last = max(last, client.expect("ack").tag())
        if clean:
            broker.signal(15)
            check(broker.wait() == 0, "the exit code of a clean stop")
        else:
            broker.kill()
        os.unlink(broker.log_path)

    def with_damage(self, name, damage, path):
        """Starts a broker on a copy; what it does must be one of the allowed things."""
        data = os.path.join(self.folder, "data")
        shutil.rmtree(data, ignore_errors=True)
        os.rename(self.master, data)
        shutil.copytree(data, self.master)
        damage(path)
        broker = Broker(self.programs, folder=self.folder, data=data, wait=False)
        try:
            return self.judge(broker, SILENT.search(f"{path}: {name}"))
        except Failure as failure:
            raise Failure(f"{os.path.relpath(path, data)}: {name}: {failure}\n{broker.tail(12)}") from None
        finally:
            if broker.alive():
                broker.kill()
            os.unlink(broker.log_path)

    def judge(self, broker, silent):
        try:
            broker.started()
        except Failure:
            code = broker.process.poll()
            check(code is not None, "neither started nor ended")
            check(64 <= code <= 78, f"exit code {code}")
            lines = re.findall(r"^.*(?:\[critical\]|\[error\]|jackaloped: ).*$", broker.log(broker.since), re.M)
            check(1 <= len(lines) <= 3, f"{len(lines)} lines tell why it does not start")
            return "refused"
        found = self.look(broker)
        said = bool(re.search(r"\[(warning|error|critical)\]", broker.log(broker.since)))
        missing = len(self.sizes) - found
        check(not missing or said or silent, f"{missing} messages are missing and no line says so")
        broker.signal(15)
        check(broker.wait() == 0, "exit code of the stop")
        broker.look_over()
        # the second start is quiet, and everything is as the first left it
        broker.start()
        check(self.look(broker) == found, "another number of messages at the next start")
        self.use(broker)
        broker.signal(15)
        check(broker.wait() == 0, "exit code of the second stop")
        broker.look_over()
        return f"{missing} lost" if missing else "nothing lost"

    def look(self, broker):
        """How many messages there are; none may be bent, doubled or in a wrong place."""
        found = 0
        with broker.client() as client:
            for name in ("small", "medium", "large", "other"):
                try:
                    client.declare(name, amqp.DURABLE)
                except amqp.Closed as closed:
                    raise Failure(f"queue {name} cannot be declared: {closed}") from None
                before, got = 0, []
                client.send(amqp.consume(1, name, name) + amqp.get(1, name))
                while True:
                    event = client.next(20)
                    if event.name == "get-empty":
                        break
                    if event.name in ("deliver", "get-ok"):
                        got.append(event)
                    if event.name == "get-ok":
                        client.send(amqp.get(1, name))
                for event in got:
                    check(event.body.startswith(MARK), f"a message of {name} is bent: {event.body[:60]!r}")
                    number = int(event.body[len(MARK):len(MARK) + 8])
                    check(event.body == body(number, self.sizes[number]), f"message {number} of {name} is bent")
                    check(number > before, f"message {number} of {name} comes behind {before}")
                    before = number
                found += len(got)
                client.ask(amqp.cancel(1, name), "cancel-ok")
        return found

    @staticmethod
    def use(broker):
        """Queues take, give and forget, whatever they lost."""
        with broker.client() as client:
            client.ask(amqp.confirm_select(1), "confirm-ok")
            for name in ("small", "medium", "large", "other"):
                client.ask(amqp.publish(1, name, b"new", properties=b"\x10\0\2"), "ack")
                client.ask(amqp.queue_purge(1, name), "purge-ok")
                check(client.messages(name) == 0, f"{name} is empty after a purge")
                client.ask(amqp.publish(1, name, b"newer" * 20000, properties=b"\x10\0\2"), "ack")
                client.send(amqp.get(1, name))
                event = client.expect("get-ok")
                check(event.body == b"newer" * 20000, "what was published last")
                client.send(amqp.ack(1, event.tag()))
                client.delete(name)


def damage_all(programs, clean):
    folder, number = fast_folder(), seed()
    source = random.Random(number)
    said, problems = {}, []
    try:
        wreck = Wreck(programs, folder, clean)
        for kind, pattern in KINDS.items():
            paths = sorted(files_of(wreck.master, pattern), key=used, reverse=True)
            for path in paths[:1]:
                chosen = ways(source, kind, path)
                there = path.replace(wreck.master, os.path.join(folder, "data"))
                for name, damage in chosen[::3] if programs.slow else chosen:
                    try:
                        said[f"{kind}: {name}"] = wreck.with_damage(name, damage, there)
                    except Failure as failure:
                        problems.append(str(failure))
        for text, result in said.items():
            print(f"     {text}: {result}")
        check(not problems, f"seed {number}: {len(problems)} problems:\n" + "\n".join(problems))
    finally:
        remove(folder)


@case("files damaged after a clean stop", broker=False)
def damaged_clean(programs):
    damage_all(programs, True)


@case("files damaged after a kill", broker=False)
def damaged_killed(programs):
    damage_all(programs, False)
