"""SIGTERM in the middle of everything durable, with room on the disk and without: it ends in time, and nothing is lost."""

import contextlib
import os
import random
import subprocess
import time

from . import amqp
from .broker import Broker, Failure, check
from .cases_disk import Mount
from .powercut import fast_folder, remove
from .scene import Scene
from .suite import case, option, seed

# shutdown_timeout for clients that do not leave, the store's five seconds, and what a busy machine takes
PATIENCE = 60


def stop(scene, source):
    """One SIGTERM, or a second one soon after it. The exit code."""
    broker = scene.broker
    scene.killing.set()
    scene.given_back()
    began = time.monotonic()
    broker.signal(15)
    if source.random() < 0.5:
        time.sleep(source.random() * 0.3)
        broker.signal(15)
    try:
        code = broker.process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        raise Failure(f"still there {PATIENCE} s after SIGTERM:\n{broker.tail(8)}\n{stacks(broker.process.pid)}") from None
    scene.stopped.append(time.monotonic() - began)
    return code


def stacks(pid):
    """Of all threads, where there is a gdb."""
    try:
        return subprocess.run(["gdb", "-p", str(pid), "-batch", "-ex", "thread apply all bt 12"], capture_output=True,
                              text=True, timeout=60, check=False).stdout[-12000:]
    except (OSError, subprocess.TimeoutExpired):
        return ""


def summary(scene):
    print(f"     {scene.summary()}; the longest stop took {max(scene.stopped):.1f} s")


@case("stopped at random moments under load", broker=False)
def stopped(programs):
    scene = Scene(programs, seed(), broker=Broker(programs, shards=3))
    scene.stopped = []

    def between():
        time.sleep(scene.random.uniform(0.02, 0.8))
        code = stop(scene, scene.random)
        check(code == 0, f"exit code {code}:\n{scene.broker.tail()}")
        scene.broker.look_over()

    try:
        for _ in range(option("rounds", 5 if programs.slow else 10)):
            scene.round(between=between)
        summary(scene)
        scene.broker.stop()
    except Failure as failure:
        raise Failure(f"seed {scene.seed}: {failure}") from None
    finally:
        scene.broker.end()


def stop_without_room(scene, mount, source):
    """Fills the disk under load and stops. 74: the store could not write all, and said so."""
    broker = scene.broker
    time.sleep(source.uniform(0.05, 0.4))
    mark = broker.mark()
    mount.fill()
    time.sleep(source.choice((0, 0.1, 0.5, 2)) * source.random())
    check(broker.alive(), "the broker is gone:\n" + broker.tail())
    code = stop(scene, source)
    text = broker.log(mark)
    check(code in (0, 74), f"exit code {code}:\n{text[-2000:]}")
    check(code == 0 or "writing the journal at the stop failed" in text, f"exit code 74:\n{text[-2000:]}")
    broker.look_over()


def start_without_room(scene, source):
    """It may start, or say why not; stopped at any moment of that it ends."""
    broker = scene.broker
    broker.start(False)
    deadline = time.monotonic() + source.random() ** 2 * 3
    while broker.alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    if broker.alive():
        stop(scene, source)
    code = broker.process.returncode
    check(code in (0, -15) or 64 <= code <= 78, f"exit code {code} of a start without room:\n{broker.tail()}")
    broker.look_over()


def without_room(programs, place, size):
    folder, number = fast_folder(), seed()
    source = random.Random(number)
    data = os.path.join(folder, "data")
    mount, broker = None, None
    try:
        mount = Mount(os.path.join(data, place), size)
        broker = Broker(programs, folder=folder, data=data)
        scene = Scene(programs, number, broker=broker)
        scene.stopped = []

        def before_restart():
            if source.random() < 0.4:
                start_without_room(scene, source)
            mount.empty()
            # half of the time nobody is blocked before the store itself has no room
            broker.write_config("disk_free_limit: 1kB\n" if source.random() < 0.5 else "")

        for _ in range(option("rounds", 3 if programs.slow else 4)):
            scene.heavy = source.random() < 0.5
            scene.round(between=lambda: stop_without_room(scene, mount, source), before_restart=before_restart)
        summary(scene)
        broker.stop()
    except Failure as failure:
        raise Failure(f"seed {number}: {failure}") from None
    finally:
        if broker:
            broker.end()
        if mount:
            mount.end()
        remove(folder)


@case("stopped with a full disk: all of the data directory", broker=False)
def full_all(programs):
    without_room(programs, "", "500m")


@case("stopped with a full disk: the journal's", broker=False)
def full_journal(programs):
    without_room(programs, "journal", "300m")


@case("stopped with a full disk: the database's", broker=False)
def full_database(programs):
    without_room(programs, "db", "300m")


@case("stopped with a full disk: that of large bodies", broker=False)
def full_blobs(programs):
    without_room(programs, "blobs", "300m")


@case("stopped with a full database and a journal that may not grow", broker=False)
def nowhere_to_write(programs):
    """Definitions are not blocked: they fill the journal, which nothing can be taken from."""
    folder = fast_folder()
    mount, broker = None, None
    declared = []
    try:
        mount = Mount(os.path.join(folder, "data", "db"), "64m")
        broker = Broker(programs, "journal:\n  segment_size: 16MiB\n  segments_max: 3\ndisk_free_limit: 1kB\nshutdown_timeout: 1s\n",
                        folder=folder, data=os.path.join(folder, "data"))
        mount.fill()
        client = broker.client()
        with contextlib.suppress(amqp.Silence):
            for number in range(1000):
                name = f"large-{number}"
                client.ask(amqp.exchange_declare(1, name, "topic", amqp.DURABLE, amqp.table({"x": "y" * 100000})),
                           "exchange.declare-ok", 3)
                declared.append(name)
        check(100 < len(declared) < 1000, f"the journal took {len(declared)} definitions")
        began = time.monotonic()
        broker.signal(15)
        code = broker.wait(PATIENCE)
        took = time.monotonic() - began
        check(code == 74 and "at the stop failed: as many segments" in broker.log(), f"exit code {code}\n{broker.tail()}")
        broker.look_over()
        mount.empty()
        broker.start()
        there = {row["name"] for row in broker.control("list_exchanges", "name")}
        check(there >= set(declared), f"{len(set(declared) - there)} of {len(declared)} definitions are lost")
        print(f"     {len(declared)} definitions, the stop took {took:.1f} s")
        broker.stop()
    finally:
        if broker:
            broker.end()
        if mount:
            mount.end()
        remove(folder)
