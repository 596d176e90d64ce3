"""Cores that are kept awake: under paced work only, and what the broker says where it may not."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request

from .broker import NOBODY, PATIENCE, Broker, as_nobody, environment, programs
from .suite import LeftOut, case, equal, holds

DEVICE = "/dev/cpu_dma_latency"
DRIVER = "/sys/devices/system/cpu/cpuidle/current_driver"
EAGER = {"cpu_latency": 0, "cpu_latency_rate": 500}  # other cases run beside it


def why_not():
    """What keeps this process from the device, None if nothing does."""
    try:
        os.close(os.open(DEVICE, os.O_WRONLY))
    except OSError as error:
        return os.strerror(error.errno)
    return None


def is_haltpoll():
    try:
        with open(DRIVER) as f:
            return f.read() == "haltpoll\n"
    except OSError:
        return False


def latency(b):
    return json.loads(b.told("--formatter", "json", "status"))["cpu_latency"]


def line(b):
    return next(text for text in b.told("status").splitlines() if text.startswith("CPU latency: "))


def slowly(condition, what):
    """Asked so seldom that the questions are no load."""
    end = time.monotonic() + PATIENCE
    while not condition():
        holds(time.monotonic() < end, what)
        time.sleep(0.25)


@contextlib.contextmanager
def paced(b, rate=3000):
    perf = os.path.join(os.path.dirname(programs["jackaloped"]), "jackalope-perf")
    with subprocess.Popen([perf, "run", "--uri", f"amqp://guest:guest@127.0.0.1:{b.port}", "-r", str(rate), "-d", "60s"],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()) as process:
        yield
        process.terminate()


def refuses(b, why):
    """The device is not to be had: it runs on, and says so."""
    with paced(b):
        time.sleep(0.5)
        equal(latency(b), {"asked": True, "held": False, "held_seconds": 0, "microseconds": 0, "error": why})
        equal(line(b), f"CPU latency: cannot be asked for: {why}")


@case
def held_while_work_is_paced():
    config = {**EAGER, "prometheus": {"listeners": ["127.0.0.1:0"]}, "log": {"level": "debug"}}
    with Broker(config, listeners=["127.0.0.1:0"]) as b:
        why = why_not()
        if why:
            b.logged(r"\[warning\] .*cannot open /dev/cpu_dma_latency: " + why)
            refuses(b, why)
            return
        port = int(b.logged(r"listening on 127\.0\.0\.1:(\d+) \(http/prometheus\)").group(1))

        def series(name):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                return next(float(text.split()[1]) for text in answer.read().decode().splitlines()
                            if text.startswith(f"jackalope_cpu_latency_{name} "))
        with paced(b):
            slowly(lambda: latency(b)["held"], "held")
            holds("us held now" in line(b), line(b))
            equal(series("held"), 1)
        slowly(lambda: not latency(b)["held"], "let go")
        done = latency(b)
        equal((done["asked"], done["microseconds"], "error" in done), (True, 0, False))
        holds(done["held_seconds"] > 0.2 and "us not held now" in line(b), done)
        equal(series("held"), 0)
        holds(abs(series("held_seconds_total") - done["held_seconds"]) < 0.002, done)
        b.logged("CPU latency: no request any more")


@case
def let_go_within_a_second():
    if why_not():
        raise LeftOut("the device cannot be opened")
    with Broker(EAGER) as b:
        with paced(b):
            slowly(lambda: latency(b)["held"], "held")
        time.sleep(1)
        holds(not latency(b)["held"], "held after a second")


@case
def idle_broker_asks_for_nothing():
    with Broker({"cpu_latency": 20}) as b:
        for _ in range(4):
            time.sleep(0.5)
            equal({**latency(b), "error": ""},
                  {"asked": True, "held": False, "held_seconds": 0, "microseconds": 20, "error": ""})


@case
def by_itself_only_under_haltpoll():
    with Broker() as b:
        equal(latency(b)["asked"], is_haltpoll())
        if not is_haltpoll():
            equal(line(b), "CPU latency: not asked for")


@case
def switched_off():
    with Broker({"cpu_latency": "off"}) as b, paced(b):
        time.sleep(0.5)
        equal(latency(b), {"asked": False, "held": False, "held_seconds": 0})
        equal(line(b), "CPU latency: not asked for")


@case
def without_permission():
    if os.getuid():
        raise LeftOut("not root")
    try:
        if os.stat(DEVICE).st_mode & 0o002:
            raise LeftOut("everybody may write to the device")
        why = "Permission denied"
    except FileNotFoundError:
        why = "No such file or directory"
    for setting, level in ((0, "warning"), ("auto", "info")):
        with tempfile.TemporaryDirectory(prefix="jackalope-ops-") as d:
            os.chmod(d, 0o755)
            os.mkdir(f"{d}/data", 0o700)
            os.chown(f"{d}/data", NOBODY, NOBODY)
            b = Broker({"cpu_latency": setting}, data=f"{d}/data", preexec=as_nobody)
            b.words[0] = shutil.copy(programs["jackaloped"], f"{d}/jackaloped")
            os.chmod(b.dir, 0o755)
            with b:
                if setting == "auto" and not is_haltpoll():
                    continue
                hint = r"\. The rule for udev that comes with the package " if "denied" in why else r"\n"
                b.logged(rf"\[{level}\] default: cpu_latency: cannot open {DEVICE}: {why}; [a-z ]+{hint}")
                refuses(b, why)
