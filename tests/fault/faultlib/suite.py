"""Cases, the witness that watches the broker meanwhile, and the running of it all."""

import os
import random
import shlex
import sys
import threading
import time
import traceback

import crew

from . import amqp
from .broker import Broker, Failure, check, ports

CASES = []
OPTIONS = {}


def option(name, default):
    """What the command line says, or else the default."""
    given = OPTIONS.get(name)
    return default if given is None else given


class Skip(Exception):
    """The machine cannot do it; the text says why."""


class Case:
    def __init__(self, name, function, alone, options):
        self.name, self.function, self.alone, self.options = name, function, alone, options


def case(name, alone=False, **options):
    """Registers a case. Options are the broker's; broker=False: the case starts its own, from a Programs. alone: what
    it measures is not to be disturbed by cases that run at the same time."""
    def register(function):
        CASES.append(Case(name, function, alone, options))
        return function
    return register


SEEDS = []


def seed():
    """Where the choices of the case that runs come from: FAULT_SEED, or another number in every run."""
    if not SEEDS:
        SEEDS.append(int(os.environ.get("FAULT_SEED") or random.SystemRandom().getrandbits(32)))
    return SEEDS[0]


class Witness(threading.Thread):
    """A well-behaved connection: publishes with confirms, consumes, acknowledges, declares; one after the other.

    Whatever others do to the broker, it must go on and wait no longer than patience seconds for any answer."""

    def __init__(self, broker, patience=3.0):
        super().__init__(daemon=True)
        self.broker = broker
        self.patience = patience * (3 if broker.programs.slow else 1)
        self.rounds, self.longest, self.error = 0, 0.0, None
        self.ending = threading.Event()

    def round(self, client, number):
        body = b"witness %d" % number
        client.send(amqp.publish(1, "witness", body))
        seen = set()
        while seen != {"ack", "deliver"}:
            event = client.next(self.patience)
            if event.name in ("blocked", "unblocked"):
                continue
            seen.add(event.name)
            if event.name == "deliver":
                check(event.body == body, f"the witness got {event.body!r} for {body!r}")
                client.send(amqp.ack(1, event.tag()))
        if number % 8 == 0:
            client.ask(amqp.queue_declare(1, "witness-2", amqp.EXCLUSIVE), "declare-ok", self.patience)
            client.ask(amqp.queue_delete(1, "witness-2"), "delete-ok", self.patience)

    def run(self):
        try:
            client = self.broker.client()
            client.ask(amqp.queue_declare(1, "witness", amqp.EXCLUSIVE), "declare-ok")
            client.ask(amqp.confirm_select(1), "confirm-ok")
            client.ask(amqp.consume(1, "witness"), "consume-ok")
            while not self.ending.is_set():
                began = time.monotonic()
                self.round(client, self.rounds)
                self.longest = max(self.longest, time.monotonic() - began)
                self.rounds += 1
                time.sleep(0.01)
            client.close()
        except amqp.Silence:
            self.error = f"no answer for {self.patience:g} s"
        except Exception as error:  # noqa: BLE001
            self.error = f"{type(error).__name__}: {error}"

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, *rest):
        before = self.rounds
        if not kind:
            deadline = time.monotonic() + self.patience
            while self.rounds < before + 2 and not self.error and time.monotonic() < deadline:
                time.sleep(0.01)
        self.ending.set()
        self.join(self.patience + 5)
        if kind:
            return
        check(not self.error, f"the witness, after {self.rounds} rounds: {self.error}")
        check(self.rounds >= before + 2, "the witness stood still at the end")


def run_case(programs, item):
    """None, or what went wrong."""
    broker = None
    try:
        if item.options.get("broker") is False:
            item.function(programs)
        else:
            broker = Broker(programs, **item.options)
            item.function(broker)
            check(broker.alive() or broker.process.returncode in (0, -9),
                  f"jackaloped ended with {broker.process.returncode}")
            broker.stop()
        return None
    except Skip:
        if broker:
            broker.end()
        raise
    except (Failure, amqp.Closed) as error:
        text = str(error)
    except amqp.Silence:
        text = "no answer in time\n" + "".join(traceback.format_exc().splitlines(True)[-12:])
    except Exception:  # noqa: BLE001
        text = traceback.format_exc()
    if broker:
        try:
            if broker.process.poll() is not None and "ended with" not in text:
                text += f"\njackaloped ended with {broker.process.returncode}"
            broker.look_over()
            text += "\nlog:\n" + broker.tail(12)
        except Failure as error:
            text += "\n" + str(error)
        finally:
            broker.end()
    return text


def alone(programs, item):
    """The command that repeats one case."""
    chosen = [f"FAULT_SEED={SEEDS[0]}"] if SEEDS else []
    return " ".join(chosen + [shlex.quote(word) for word in
                              (sys.argv[0], "--jackaloped", programs.jackaloped, "-k", item.name)])


def play(programs, item, place):
    """In the process of this case: prints how it ended, and returns it."""
    ports.place = place
    SEEDS.clear()
    began = time.monotonic()
    try:
        text = run_case(programs, item)
    except Skip as why:
        print(f"skip {item.name}: {why}")
        return "skipped"
    took = time.monotonic() - began
    if text is None:
        print(f"ok   {item.name} ({took:.1f} s)")
        return "passed"
    print(f"FAIL {item.name} ({took:.1f} s)")
    print("     " + text.rstrip().replace("\n", "\n     "))
    print(f"     again: {alone(programs, item)}")
    return "failed"


def run(programs, pattern, jobs, list_only=False):
    cases = crew.insist([c for c in CASES if pattern in c.name], pattern)
    if list_only:
        print("\n".join(item.name for item in cases))
        return 0
    ports.take(jobs)
    count = {"passed": 0, "failed": 0, "skipped": 0}

    def show(item, _place, how, text):
        if how is None:
            print(f"FAIL {item.name}")
        count[how or "failed"] += 1
        print(text, end="", flush=True)

    crew.run(cases, jobs, lambda item, place: play(programs, item, place), show, lambda item: item.alone)
    print("{passed} passed, {failed} failed".format(**count) + (", {skipped} skipped".format(**count) if count["skipped"] else ""))
    sys.stdout.flush()
    return 1 if count["failed"] or not cases else 0
