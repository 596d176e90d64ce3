"""The broker under test: a jackaloped of our own or a running one, and its admin tool."""

import os
import shlex
import signal
import socket
import subprocess
import tempfile
import threading
import time

from . import session
from .codec import Table, Typed

PASSWORD = "pw"


class BrokerError(Exception):
    """The broker did not start, or its admin tool failed."""


def erlang(text):
    return '<<"' + str(text).replace("\\", "\\\\").replace('"', '\\"') + '">>'


class Account:
    """A user that a script asks for: its variable, real name, tags and rights."""

    def __init__(self, holder, prefix):
        self.variable = holder.words[0]
        self.name = f"{prefix}-{self.variable}"
        rights = {f.name: f.value.octets.decode() for f in holder.fields}
        self.tags = rights.get("tags", "").split()
        self.rights = [rights.get(k, "") for k in ("configure", "write", "read")]


class Broker:
    """Where to connect, which product it is, how to administer it."""

    def __init__(self, spec, address, ctl, kind=None):
        self.address = address
        self.spec = spec
        self.ctl_command = ctl
        product = kind or session.product(spec, address)
        self.kind = "reference" if product in ("rabbitmq", "reference") else "jackalope"
        self.lock = threading.Lock()
        self.features = {}

    def ctl(self, command):
        """(exit status, output) of one admin command."""
        words = shlex.split(command) if isinstance(command, str) else command
        try:
            done = subprocess.run(self.ctl_command + words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired) as err:
            return -1, str(err)
        return done.returncode, done.stdout.decode(errors="replace")

    def must(self, *words):
        code, out = self.ctl(list(words))
        if code:
            raise BrokerError(f"{' '.join(words)}: exit {code}: {out}")

    def has(self, feature):
        """Whether the broker has what a script's 'requires' names; each is tried once."""
        if feature in ("reference", "jackalope"):
            return self.kind == feature
        if feature == "restart":
            return hasattr(self, "restart")
        with self.lock:
            if feature not in self.features:
                self.features[feature] = self.probe(feature)
            return self.features[feature]

    def probe(self, feature):
        """Queue types are found by declaring one, 'command:X' by its help, the rest by its list command."""
        if feature.startswith("command:"):
            return self.ctl(["help", feature[8:]])[0] == 0
        if feature not in ("quorum", "stream"):
            return self.ctl(["list_" + feature, "-p", "/"])[0] == 0
        conn = session.Connection("probe", self.spec, self.address, lambda text: None)
        deadline = time.monotonic() + 10
        try:
            if conn.handshake({"user": b"guest", "password": b"guest", "mechanism": b"PLAIN", "vhost": b"/",
                               "capabilities": ()}, deadline):
                return False
            name = f"wire-probe-{os.getpid()}".encode()
            conn.send_method(1, "channel.open", {})
            conn.send_method(1, "queue.declare", {"queue": name, "durable": True, "arguments": Table(
                [(b"x-queue-type", Typed("S", feature.encode()))])})
            if conn.get(1, deadline).name != "channel.open-ok" or conn.get(1, deadline).name != "queue.declare-ok":
                return False
            conn.send_method(1, "queue.delete", {"queue": name})
            return conn.get(1, deadline).name == "queue.delete-ok"
        except (session.Timeout, OSError):
            return False
        finally:
            conn.drop()

    def prepare(self, homes):
        """Makes the vhost and the users of each home (see Home)."""
        if self.kind == "reference":
            self.eval([line for home in homes for line in home.reference_setup()])
            return
        for home in homes:
            for command in home.setup():
                self.must(*command)

    def clean(self, homes):
        if self.kind == "reference":
            self.eval([line for home in homes for line in home.reference_cleanup()])
            return
        for home in homes:
            for command in home.cleanup():
                self.ctl(list(command))

    def eval(self, lines):
        """One control command for all, where each one starts a virtual machine."""
        for start in range(0, len(lines), 100):
            code, out = self.ctl(["eval", ", ".join(lines[start : start + 100]) + "."])
            if code:
                raise BrokerError(f"eval: exit {code}: {out}")

    def alive(self):
        return True

    def stop(self):
        return None


class Home:
    """A script's own vhost and users."""

    def __init__(self, script, run):
        prefix = f"wire-{run}-{script.name.split('-')[0]}"
        if script.kind:
            prefix += f"-{script.kind.name}"
        self.vhost = prefix
        self.accounts = [Account(holder, prefix) for holder in script.users]
        self.topics = []
        for holder in script.topics:
            rights = {f.name: f.value.octets.decode() for f in holder.fields}
            self.topics.append((f"{prefix}-{holder.words[0]}", rights["exchange"], rights.get("write", ""),
                                rights.get("read", "")))

    def variables(self):
        out = {a.variable: a.name.encode() for a in self.accounts}
        out["vhost"] = self.vhost.encode()
        return out

    def setup(self):
        yield "add_vhost", self.vhost
        yield "set_permissions", "-p", self.vhost, "guest", ".*", ".*", ".*"
        for account in self.accounts:
            yield "add_user", account.name, PASSWORD
            if account.tags:
                yield ("set_user_tags", account.name, *account.tags)
            yield ("set_permissions", "-p", self.vhost, account.name, *account.rights)
        for user, exchange, write, read in self.topics:
            yield "set_topic_permissions", "-p", self.vhost, user, exchange, write, read

    def cleanup(self):
        yield "delete_vhost", self.vhost
        for account in self.accounts:
            yield "delete_user", account.name

    def reference_setup(self):
        auth = "rabbit_auth_backend_internal:"
        vhost = erlang(self.vhost)
        yield f"rabbit_vhost:add({vhost}, {erlang('wire')})"

        def rights(user, three):
            three = ", ".join(map(erlang, three))
            return f"{auth}set_permissions({erlang(user)}, {vhost}, {three}, {erlang('wire')})"

        yield rights("guest", [".*"] * 3)
        for account in self.accounts:
            name = erlang(account.name)
            yield f"{auth}add_user({name}, {erlang(PASSWORD)}, {erlang('wire')})"
            if account.tags:
                yield f"{auth}set_tags({name}, [{', '.join(account.tags)}], {erlang('wire')})"
            yield rights(account.name, account.rights)
        for user, *rest in self.topics:
            yield (f"{auth}set_topic_permissions({erlang(user)}, {vhost}, "
                   f"{', '.join(map(erlang, rest))}, {erlang('wire')})")

    def reference_cleanup(self):
        yield f"catch rabbit_vhost:delete({erlang(self.vhost)}, {erlang('wire')})"
        for account in self.accounts:
            yield f"catch rabbit_auth_backend_internal:delete_user({erlang(account.name)}, {erlang('wire')})"


class OwnBroker(Broker):
    """A jackaloped that lives as long as the run."""

    def __init__(self, spec, program, port):
        self.folder = tempfile.mkdtemp(prefix="wire-")
        control = os.path.join(self.folder, "control")
        port = port or self.free_port()
        self.errors = os.path.join(self.folder, "stderr")
        self.command = [program, "--data", os.path.join(self.folder, "data"), "--listen", f"127.0.0.1:{port}",
                        "--control", control]
        self.start()
        try:
            self.wait(("127.0.0.1", port))
            tool = os.path.join(os.path.dirname(program), "jackalopectl")
            super().__init__(spec, ("127.0.0.1", port), [tool, "--control", control])
        except Exception:
            self.process.kill()
            self.process.wait()
            raise

    def start(self):
        with open(self.errors, "ab") as errors:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)

    def restart(self, kill):
        if kill:
            self.process.kill()
            self.process.wait()
        else:
            trouble = self.stop()
            if trouble:
                raise BrokerError(trouble)
        self.start()
        self.wait(self.address)

    @staticmethod
    def free_port():
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            return sock.getsockname()[1]

    def tail(self):
        with open(self.errors, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-30:])

    def wait(self, address):
        deadline = time.monotonic() + 30
        while True:
            if self.process.poll() is not None:
                raise BrokerError(f"jackaloped ended with {self.process.returncode}:\n{self.tail()}")
            try:
                socket.create_connection(address, 1).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise BrokerError(f"jackaloped does not listen:\n{self.tail()}") from None
                time.sleep(0.05)

    def alive(self):
        return self.process.poll() is None

    def stop(self):
        """Asks it to end; the text of what went wrong, or None."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            code = "no end within 30 s"
        if code:
            return f"jackaloped: {code}\n{self.tail()}"
        return None
