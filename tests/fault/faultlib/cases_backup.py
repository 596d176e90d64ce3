"""A copy of a broker under load is that broker at one moment."""

import os
import subprocess
import threading
import time

from .broker import Broker, check, wait_until
from .suite import Skip, case

try:
    import pika
except ImportError:
    pika = None

TOGETHER = 7     # messages of a transaction, to each of its two queues
LARGE = 100_000  # such a body is a file of its own


class Writer(threading.Thread):
    """Publishes numbers, each after the one before is safe, until the broker is gone."""

    def __init__(self, port, queues, arguments=None, transactions=False):
        super().__init__(daemon=True)
        self.port, self.queues, self.arguments, self.transactions = port, queues, arguments, transactions
        self.safe, self.intended = 0, 0
        self.start()

    def run(self):
        try:
            with pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", self.port)) as connection:
                self.write(connection.channel())
        except (pika.exceptions.AMQPError, OSError):
            pass

    def write(self, channel):
        for queue in self.queues:
            channel.queue_declare(queue, durable=True, arguments=self.arguments)
        if self.transactions:
            channel.tx_select()
        else:
            channel.confirm_delivery()
        at_once = TOGETHER if self.transactions else 1
        while True:
            self.intended = self.safe + at_once
            for number in range(self.safe, self.intended):
                for queue in self.queues:
                    body = b"%d" % number + b"." * (LARGE if number % 40 == 0 else 0)
                    channel.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=2))
            if self.transactions:
                channel.tx_commit()
            self.safe = self.intended


class Taker(threading.Thread):
    """Takes and acknowledges."""

    def __init__(self, port, queue):
        super().__init__(daemon=True)
        self.port, self.queue, self.taken = port, queue, set()
        self.start()

    def run(self):
        try:
            with pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", self.port)) as connection:
                channel = connection.channel()
                channel.queue_declare(self.queue, durable=True)
                channel.basic_qos(prefetch_count=10)
                for method, _, body in channel.consume(self.queue):
                    self.taken.add(int(body.rstrip(b".")))
                    channel.basic_ack(method.delivery_tag)
                    time.sleep(0.003)  # so that some are always there
        except (pika.exceptions.AMQPError, OSError):
            pass


def content(channel, queue, stream=False):
    """The numbers, in their order."""
    numbers = []
    if stream:
        channel.basic_qos(prefetch_count=500)
        for method, _, body in channel.consume(queue, arguments={"x-stream-offset": "first"}, inactivity_timeout=0.5):
            if not method:
                channel.cancel()
                return numbers
            numbers.append(int(body.rstrip(b".")))
            channel.basic_ack(method.delivery_tag)
    while True:
        method, _, body = channel.basic_get(queue, auto_ack=True)
        if not method:
            return numbers
        numbers.append(int(body.rstrip(b".")))


class Load:
    def __init__(self, port):
        self.writers = [Writer(port, ["one"]), Writer(port, ["stream"], {"x-queue-type": "stream"}),
                        Writer(port, ["left", "right"], transactions=True), Writer(port, ["taken"])]
        self.taker = Taker(port, "taken")
        wait_until(lambda: all(w.safe > 50 for w in self.writers) and len(self.taker.taken) > 30, 30, "the load is on")

    def safe(self):
        return [w.safe for w in self.writers]

    def intended(self):
        return [w.intended for w in self.writers]

    def end(self):
        for thread in [*self.writers, self.taker]:
            thread.join(30)

    def judge(self, port, safe, intended):
        """safe: before the backup; intended: after it. Takes what is in the queues."""
        one, stream, both, taken = range(4)
        with pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port)) as connection:
            channel = connection.channel()
            for at, queue in ((one, "one"), (stream, "stream"), (both, "left"), (both, "right")):
                numbers = content(connection.channel(), queue, queue == "stream")
                check(numbers == list(range(len(numbers))), f"{queue}: not each once, in order: {numbers[-30:]}")
                check(safe[at] <= len(numbers) <= intended[at],
                      f"{queue}: {len(numbers)}, not from {safe[at]} to {intended[at]}")
                if at == both:
                    check(len(numbers) % TOGETHER == 0, f"{queue}: half a transaction: {len(numbers)}")
                    halves = len(numbers) if queue == "left" else halves
            check(len(numbers) == halves, f"left has {halves}, right {len(numbers)}")
            numbers = content(channel, "taken")
            check(numbers == sorted(set(numbers)), f"taken: not each once, in order: {numbers[:30]}")
            lost = set(range(safe[taken])) - set(numbers) - self.taker.taken
            check(not lost, f"taken: {len(lost)} are lost: {sorted(lost)[:20]}")
            check(not numbers or numbers[-1] < intended[taken], f"taken: {numbers[-1:]} is of after the backup")


def make(programs, broker, name):
    done = subprocess.run([programs.ctl, "--control", os.path.join(broker.dir, "control"), "backup",
                           os.path.join(broker.dir, name)], capture_output=True, text=True, timeout=60, check=False)
    check(done.returncode == 0, f"no backup: {done.returncode}, {done.stderr}")


def look_at_copy(programs, broker, load, name, safe, intended):
    """kill -9 changes nothing about it."""
    copy = Broker(programs, port=broker.port + 1, folder=os.path.join(broker.dir, f"{name}.home"),
                  data=os.path.join(broker.dir, name))
    try:
        copy.kill()
        copy.start()
        load.judge(copy.port, safe, intended)
        copy.stop()
    finally:
        copy.end()


@case("a backup under load is the broker at one moment", broker=False)
def backup(programs):
    if not pika:
        raise Skip("python3-pika is not installed")
    broker = Broker(programs)
    try:
        load, moments = Load(broker.port), []
        for number in range(2):
            os.mkdir(os.path.join(broker.dir, f"copy{number}.home"))
            safe = load.safe()
            make(programs, broker, f"copy{number}")
            moments.append((safe, load.intended()))
            wait_until(lambda s=safe: load.safe() > s, 10, "the load goes on")
        check(not os.path.exists(os.path.join(broker.data, "backup")), "links are left")
        # one that the broker does not live to finish
        half = subprocess.Popen([programs.ctl, "--control", os.path.join(broker.dir, "control"), "backup",
                                 os.path.join(broker.dir, "half")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: os.path.exists(os.path.join(broker.dir, "half.partial")) or half.poll() is not None, 10, "it begins")
        broker.kill()
        check(half.wait(10) != 0 or os.path.exists(os.path.join(broker.dir, "half")), "it is said to be whole, and is not there")
        load.end()
        for number, (safe, intended) in enumerate(moments):
            look_at_copy(programs, broker, load, f"copy{number}", safe, intended)
        broker.start()
        check(not os.path.exists(os.path.join(broker.data, "backup")), "links are left by the one that was killed")
        make(programs, broker, "whole")
        load.judge(broker.port, load.safe(), load.intended())
        broker.stop()
    finally:
        broker.end()


@case("a backup that cannot be made says why and leaves nothing", broker=False)
def refused(programs):
    broker = Broker(programs)
    try:
        full = os.path.join(broker.dir, "full")
        os.mkdir(full)
        with open(os.path.join(full, "file"), "w", encoding="ascii"):
            pass
        for target, text in (("relative/path", "no absolute path"), ("/", "no absolute path"), (full, "is not empty"),
                             (os.path.join(broker.dir, "none/below"), "cannot make"),
                             (os.path.join(full, "file"), "cannot use"), (broker.data, "is not empty")):
            done = subprocess.run([programs.ctl, "--control", os.path.join(broker.dir, "control"), "backup", target],
                                  capture_output=True, text=True, timeout=20, check=False)
            check(done.returncode != 0 and text in done.stderr, f"{target}: {done.returncode}, {done.stderr!r}")
        check(os.listdir(full) == ["file"] and not os.path.exists(os.path.join(broker.data, "backup")), "something is left")
        broker.stop()
    finally:
        broker.end()
