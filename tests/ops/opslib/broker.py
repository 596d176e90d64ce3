"""A jackaloped of a case: its directory, configuration, log, the control tool, clients."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import pika

PATIENCE = 20
NOBODY = 65534
programs = {}
alive = []  # brokers of the running case


def use(program):
    programs["jackaloped"] = program
    programs["jackalopectl"] = os.path.join(os.path.dirname(program), "jackalopectl")


def forget_all():
    """Ends what a case left over; lines that explain a failure."""
    said = []
    while alive:
        said += alive.pop().abandon()
    return said


def environment(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("JACKALOPE", "NOTIFY_SOCKET", "WATCHDOG_"))}
    return env | more


def as_nobody():
    """In the child, before it becomes the broker: no rights of root's."""
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def run(*words, **more):
    """(exit code, stdout, stderr) of a jackaloped that ends by itself."""
    done = subprocess.run([programs["jackaloped"], *words], capture_output=True, text=True, timeout=PATIENCE,
                          env=environment(**more), check=False)
    return done.returncode, done.stdout, done.stderr


def yaml(config):
    """A mapping as YAML, one line a key; text stays as it is."""
    if isinstance(config, str):
        return config
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in config.items())


class Broker:
    """Starts with `with`. config is a mapping or text; listeners are its items (default: one on 127.0.0.1)."""

    def __init__(self, config=None, listeners=None, words=(), shards=2, env=None, before=(), data=None, preexec=None):
        self.dir = tempfile.mkdtemp(prefix="jackalope-ops-")
        self.log_file = self.path("stderr")
        self.data = data or self.path("data")
        self.listeners_wanted = ["127.0.0.1:0"] if listeners is None else listeners
        self.write_config(config or {})
        self.words = [*before, programs["jackaloped"], "--data", self.data, "--shards", str(shards), "--config",
                      self.path("jackalope.yaml"), *words]
        self.env = environment(**(env or {}))
        self.preexec = preexec
        self.process = None

    # ---- files ----
    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        """In one go, so that a reload never reads half of it."""
        with open(self.path(name) + "~", "w") as f:
            f.write(text)
        os.replace(self.path(name) + "~", self.path(name))
        return self.path(name)

    def write_config(self, config, listeners=None):
        if listeners is not None:
            self.listeners_wanted = listeners
        self.config = config
        self.write("jackalope.yaml", yaml(config) + "listeners: " + json.dumps(self.listeners_wanted) + "\n")

    def log(self):
        with open(self.log_file, errors="replace") as f:
            return f.read()

    def mark(self):
        return len(self.log())

    def logged(self, pattern, since=0, seconds=PATIENCE):
        """The match of a pattern in the log behind a mark, waited for."""
        end = time.monotonic() + seconds
        while True:
            found = re.search(pattern, self.log()[since:])
            if found:
                return found
            if time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError(f"the log does not say {pattern!r}")
            time.sleep(0.01)

    # ---- life ----
    def launch(self):
        """Starts the process and does not wait."""
        alive.append(self)
        with open(self.path("stderr"), "a") as err:
            self.process = subprocess.Popen(self.words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err,
                                            env=self.env, preexec_fn=self.preexec)

    def start(self):
        self.launch()
        wanted = len(self.listeners_wanted)
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < end:
            if len(self.listeners()) >= wanted:
                return self
            time.sleep(0.01)
        raise AssertionError(f"it did not start: {self.process.poll()}")

    def signal(self, which):
        self.process.send_signal(which)

    def wait(self, seconds=PATIENCE):
        return self.process.wait(seconds)

    def stop(self):
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def abandon(self):
        """The case failed."""
        self.kill()
        lines = self.log().splitlines() if os.path.exists(self.log_file) else []
        if os.environ.get("OPS_KEEP"):
            return [f"{self.dir}:"] + lines[-40:]
        shutil.rmtree(self.dir, ignore_errors=True)
        return lines[-40:]

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, error, trace):
        if kind is not None:
            return
        if self.process.poll() is None:
            self.stop()
        self.settle()

    def settle(self, code=0):
        """It has ended: how, and nothing was wrong inside."""
        with open(self.path("stderr"), errors="replace") as f:
            text = f.read()
        if self.process.returncode != code or "Sanitizer" in text or "runtime error" in text:
            raise AssertionError(f"exit code {self.process.returncode}: {text[-4000:]}")
        alive.remove(self)
        shutil.rmtree(self.dir, ignore_errors=True)

    def reload(self, config=None, listeners=None):
        """SIGHUP; the part of the log that it made."""
        if config is not None or listeners is not None:
            self.write_config(self.config if config is None else config, listeners)
        since = self.mark()
        self.signal(signal.SIGHUP)
        self.logged("configuration (was not )?reloaded", since)
        return self.log()[since:]

    # ---- operators ----
    def ctl(self, *words, stdin=""):
        """(exit code, stdout, stderr)"""
        socket_path = os.path.join(self.data, "control.sock")
        done = subprocess.run([programs["jackalopectl"], "--control", socket_path, *words], input=stdin,
                              capture_output=True, text=True, timeout=PATIENCE, env=environment(), check=False)
        return done.returncode, done.stdout, done.stderr

    def told(self, *words):
        """stdout of a command that must succeed."""
        code, out, err = self.ctl("-q", *words)
        if code:
            raise AssertionError(f"{words}: exit code {code}, {err}")
        return out

    def rows(self, *words):
        """A listing as mappings."""
        return json.loads(self.told("--formatter", "json", *words))

    def listeners(self):
        """(interface, port, protocol) of each listener for clients, in the order of the configuration."""
        code, out, _ = self.ctl("-s", "list_listeners")
        rows = [line.split("\t") for line in out.splitlines()] if code == 0 else []
        return [(host, int(port), protocol) for host, port, protocol in
                (r for r in rows if len(r) == 3 and r[1].isdigit()) if protocol != "control"]

    @property
    def port(self):
        return self.listeners()[0][1]

    def ports(self):
        return [port for _, port, _ in self.listeners()]

    def connections(self, *columns):
        return self.rows("list_connections", *(columns or ("name", "state")))

    # ---- clients ----
    def pika(self, port=None, host="127.0.0.1", user="guest", password="guest", tls=None, name="localhost", **more):
        """A blocking connection of pika; tls is an ssl.SSLContext."""
        return pika.BlockingConnection(pika_parameters(port or self.port, host, user, password, tls, name, **more))


def pika_parameters(port, host="127.0.0.1", user="guest", password="guest", tls=None, name="localhost", **more):
    more.setdefault("heartbeat", 0)
    more.setdefault("blocked_connection_timeout", PATIENCE)
    more.setdefault("credentials", pika.PlainCredentials(user, password))
    if tls:
        more["ssl_options"] = pika.SSLOptions(tls, name)
    return pika.ConnectionParameters(host=host, port=port, socket_timeout=PATIENCE, stack_timeout=PATIENCE,
                                     connection_attempts=1, **more)


def round_trip(connection, queue="q", body=b"hello"):
    """Publishes with a confirm, gets it back."""
    channel = connection.channel()
    channel.queue_declare(queue)
    channel.confirm_delivery()
    channel.basic_publish("", queue, body)
    method, _, got = channel.basic_get(queue, auto_ack=True)
    if method is None or got != body:
        raise AssertionError(f"{queue}: {len(got or b'')} bytes came back of {len(body)}")
    channel.close()
