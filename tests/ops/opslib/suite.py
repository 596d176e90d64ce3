"""The list of cases, what a case may claim, and the run of them all."""

import contextlib
import shlex
import sys
import time
import traceback

import crew

from . import broker, certs

CASES = []
PATIENCE = 20  # seconds that something is waited for which should be there at once


class LeftOut(Exception):
    """The machine lacks what the case needs."""


def case(function):
    """Decorator; the name is the function's, behind that of its file."""
    group = function.__module__.rsplit("_", 1)[-1] if "tls" not in function.__module__ else "tls"
    CASES.append((f"{group}: {function.__name__.replace('_', ' ')}", function))
    return function


def equal(got, wanted, what="value"):
    if got != wanted:
        raise AssertionError(f"{what}: got {got!r}, wanted {wanted!r}")


def holds(condition, what):
    if not condition:
        raise AssertionError(what)


def until(condition, what, seconds=PATIENCE):
    """The first true answer."""
    end = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        holds(time.monotonic() < end, f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.01)


@contextlib.contextmanager
def refused(*kinds, text=""):
    """The body must fail with one of these exceptions, and say text."""
    try:
        yield
    except kinds as error:
        holds(text in repr(error), f"{error!r} does not say {text!r}")
        return
    raise AssertionError(f"nothing was refused ({text})")


def play(item, _place):
    """In the process of this case: prints how it ended, and returns it."""
    name, function = item
    certs.leave()
    began = time.monotonic()
    try:
        function()
        print(f"ok {name} ({time.monotonic() - began:.1f}s)")
        how = "passed"
    except LeftOut as reason:
        print(f"skipped {name}: {reason}")
        how = "skipped"
    except Exception as error:  # every case is reported
        print(f"FAIL {name}: {type(error).__name__}: {error}")
        for line in traceback.format_exc().splitlines():
            print(f"    {line}")
        print("    again: " + " ".join(map(shlex.quote, (sys.argv[0], "--jackaloped", broker.programs["jackaloped"],
                                                         "-k", name))))
        how = "failed"
    for line in broker.forget_all():
        print(f"    {line}")
    certs.forget()
    return how


def run(program, pattern, jobs, only_list):
    broker.use(program)
    chosen = crew.insist([c for c in CASES if pattern in c[0]], pattern)
    if only_list:
        print(*(name for name, _ in chosen), sep="\n")
        return 0
    count = {"passed": 0, "failed": 0, "skipped": 0}

    def show(item, _place, how, text):
        if how is None:
            print(f"FAIL {item[0]}")
        count[how or "failed"] += 1
        print(text, end="", flush=True)

    certs.prepare()
    try:
        crew.run(chosen, jobs, play, show)
    finally:
        certs.forget()
    print("{passed} passed, {failed} failed".format(**count) + (", {skipped} skipped".format(**count) if count["skipped"] else ""))
    return 1 if count["failed"] or not count["passed"] else 0
