"""Runs the cases of a suite, each in a process of its own, several at a time. What a case prints is kept and shown in
one piece when it ends. Cases that must be alone come last, one after the other."""

import os
import pickle
import select
import signal
import socket
import sys
import tempfile
import traceback

PORTS, EACH = range(12000, 32000), 500  # those of cases: below the ports that the system gives to clients
LIMIT = 400  # seconds for one case: long before the whole run is given up, so that it can be named


class Overdue(Exception):
    """A case has not come to its end."""


def overdue(_signal, _frame):
    raise Overdue(f"no end within {LIMIT} s")


def insist(chosen, wanted):
    """A run of nothing must not look like one that went well."""
    if not chosen:
        sys.exit(f"nothing to run: no name has {wanted!r}")
    return chosen


def cores():
    return len(os.sched_getaffinity(0))


class Ports:
    """Of the process of a case: no other case of this run has the same."""

    def __init__(self):
        self.run, self.next = os.getpid(), 0
        self.begin(0)

    def begin(self, place):
        blocks = len(PORTS) // EACH
        self.first = PORTS[(self.run * 7 + place) % blocks * EACH]
        self.next = 0

    def take(self, family):
        for _ in range(EACH):
            port, self.next = self.first + self.next, (self.next + 1) % EACH
            with socket.socket(family) as sock:
                try:
                    sock.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", port))
                    return port
                except OSError:
                    continue
        raise OSError(f"no free port from {self.first} on")


ports = Ports()


def free_port(family=socket.AF_INET):
    """A port that nobody has at this moment, nor gets by chance."""
    return ports.take(family)


class Running:
    """One case in its process."""

    def __init__(self, item, place, work):
        self.item, self.place = item, place
        self.printed, self.answer = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self.be_child(work)
        self.handle = os.pidfd_open(self.pid)

    def fileno(self):
        return self.handle

    def be_child(self, work):
        code = 1
        try:
            os.dup2(self.printed.fileno(), 1)
            os.dup2(self.printed.fileno(), 2)
            signal.signal(signal.SIGALRM, overdue)
            signal.alarm(LIMIT)
            ports.begin(self.place)
            pickle.dump(work(self.item, self.place), self.answer)
            self.answer.flush()
            code = 0
        except BaseException:  # noqa: BLE001  the parent is not to go on in two processes
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def ended(self):
        """(what work returned or None, what it printed)"""
        status = os.waitpid(self.pid, 0)[1]
        os.close(self.handle)
        with self.printed, self.answer:
            self.printed.seek(0)
            text = self.printed.read().decode(errors="replace")
            if status:
                return None, text + f"its process ended with {os.waitstatus_to_exitcode(status)}\n"
            self.answer.seek(0)
            return pickle.load(self.answer), text


def together(items, jobs, work, show):
    waiting, places, running = list(items), list(range(jobs)), []
    while waiting or running:
        while waiting and places:
            running.append(Running(waiting.pop(0), places.pop(0), work))
        for one in select.select(running, [], [])[0]:
            running.remove(one)
            show(one.item, one.place, *one.ended())
            places.append(one.place)


def run(items, jobs, work, show, alone=lambda item: False):
    """For each item work(item, place) in a process, then show(item, place, what it returned, what it printed) in this
    one; None was returned by a process that broke. place: from 0 on; no other process has the same meanwhile."""
    together([item for item in items if not alone(item)], max(1, jobs), work, show)
    together([item for item in items if alone(item)], 1, work, show)
