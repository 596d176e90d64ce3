"""The list of cases, what a case may claim, and the run of them all."""

import contextlib
import sys
import time
import traceback

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


def run(program, pattern, only_list):
    broker.use(program)
    chosen = [c for c in CASES if pattern in c[0]]
    if only_list:
        print(*(name for name, _ in chosen), sep="\n")
        return 0
    passed = failed = skipped = 0
    for name, function in chosen:
        began = time.monotonic()
        try:
            function()
        except LeftOut as reason:
            skipped += 1
            print(f"skipped {name}: {reason}", flush=True)
            continue
        except Exception as error:  # every case is reported
            failed += 1
            print(f"FAIL {name}: {type(error).__name__}: {error}", flush=True)
            for line in traceback.format_exc().splitlines():
                print(f"    {line}")
        else:
            passed += 1
            print(f"ok {name} ({time.monotonic() - began:.1f}s)", flush=True)
        for line in broker.forget_all():
            print(f"    {line}")
        sys.stdout.flush()
    certs.forget()
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not passed else 0
