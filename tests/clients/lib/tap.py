"""What every Python suite here shares: where the broker is, fresh names, and test cases reported as TAP.

A suite decorates its cases with @case and ends in run(). A case is a function or a coroutine function without
arguments; it passes when it returns, fails when it raises, and is given up after its time.
"""

import asyncio
import inspect
import itertools
import os
import signal
import subprocess
import sys
import traceback

HOST = os.environ.get("AMQP_HOST", "127.0.0.1")
PORT = int(os.environ.get("AMQP_PORT", "5672"))
USER = os.environ.get("AMQP_USER", "guest")
PASSWORD = os.environ.get("AMQP_PASSWORD", "guest")
VHOST = os.environ.get("AMQP_VHOST", "/")
URI = os.environ.get("AMQP_URI", "amqp://guest:guest@127.0.0.1:5672/%2F")
ADMIN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "admin")

DEFAULT_TIME = 30

cases = []
numbers = itertools.count(1)


def case(function=None, *, seconds=DEFAULT_TIME):
    """Registers a test case; its title is the function's name with spaces."""

    def register(body):
        cases.append((body, seconds))
        return body

    return register(function) if function else register


def name(what="q"):
    """A name that no other run and no other case uses."""
    return f"{os.path.basename(sys.argv[0]).removesuffix('.py')}.{os.getpid()}.{next(numbers)}.{what}"


def admin(*words):
    """Asks the broker's operator to do something; see lib/admin."""
    done = subprocess.run([ADMIN, *map(str, words)], capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(f"admin {words}: {done.stdout}{done.stderr}")
    return done.stdout


def equal(got, wanted, what="value"):
    if got != wanted:
        raise AssertionError(f"{what}: got {got!r}, wanted {wanted!r}")


def holds(condition, what):
    if not condition:
        raise AssertionError(what)


def broker_ports(pid):
    """The local TCP ports of a process's connections to the broker."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    ports = []
    with open("/proc/net/tcp") as table:
        for row in list(table)[1:]:
            words = row.split()
            if words[9] in inodes and int(words[2].split(":")[1], 16) == PORT:
                ports.append(int(words[1].split(":")[1], 16))
    return ports


class TooLong(BaseException):
    """Not an Exception, so that no client's error handling swallows it."""


def on_alarm(signum, frame):
    raise TooLong("the case took too long")


def perform(body, seconds):
    signal.alarm(seconds)
    try:
        result = body()
        if inspect.isawaitable(result):
            asyncio.run(wait(result))
    finally:
        signal.alarm(0)


async def wait(result):
    await result


def run(clean=None):
    """Runs the cases whose titles contain one of the arguments (all by default), then clean(); exits 1 when one fails."""
    signal.signal(signal.SIGALRM, on_alarm)
    wanted = sys.argv[1:]
    failures = 0
    chosen = [c for c in cases if not wanted or any(w in c[0].__name__ for w in wanted)]
    print(f"1..{len(chosen)}", flush=True)
    for number, (body, seconds) in enumerate(chosen, 1):
        title = body.__name__.replace("_", " ").strip()
        try:
            perform(body, seconds)
            print(f"ok {number} - {title}", flush=True)
        except (Exception, TooLong):
            failures += 1
            print(f"not ok {number} - {title}", flush=True)
            for line in traceback.format_exc().splitlines():
                print(f"# {line}", flush=True)
    if clean:
        clean()
    sys.stdout.flush()
    # A client's leftover threads must not keep the suite from ending.
    os._exit(1 if failures else 0)
