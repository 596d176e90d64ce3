"""The jackaloped of a case: started on a port of its own, watched, and looked over at its end."""

import fcntl
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from . import amqp

PORTS = 10


def free(port):
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def claim(first):
    """A lock, if these ten ports are used by nobody, and by no other run of these tests on this machine."""
    lock = open(os.path.join(tempfile.gettempdir(), f"fault-ports-{first}-{os.geteuid()}"), "w", encoding="ascii")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    if all(free(first + n) for n in range(PORTS)):
        return lock
    lock.close()
    return None


class Ports:
    """Those of this run: ten for each case of those that run at the same time."""

    def __init__(self):
        self.firsts, self.locks, self.place = [], [], 0

    def take(self, count):
        first = int(os.environ.get("FAULT_PORT", 5600))
        for at in range(first, first + 100, PORTS):
            lock = claim(at) if len(self.firsts) < count else None
            if lock:
                self.firsts.append(at)
                self.locks.append(lock)
        if len(self.firsts) < count:
            raise SystemExit(f"too few free ports between {first} and {first + 99}; FAULT_PORT names others")


ports = Ports()


def own_port(n=0):
    """The n-th port of the case that runs."""
    return ports.firsts[ports.place] + n


class Failure(AssertionError):
    """A case did not hold."""


def check(condition, text):
    if not condition:
        raise Failure(text)


def wait_until(question, timeout, text):
    """Asks until the answer is true; returns it."""
    deadline = time.monotonic() + timeout
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise Failure(f"not within {timeout:g} s: {text() if callable(text) else text}")
        time.sleep(0.01)


class Programs:
    """What is under test."""

    def __init__(self, jackaloped):
        self.jackaloped = os.path.abspath(jackaloped)
        self.perf = os.path.join(os.path.dirname(self.jackaloped), "jackalope-perf")
        self.ctl = os.path.join(os.path.dirname(self.jackaloped), "jackalopectl")
        with open(self.jackaloped, "rb") as file:
            binary = file.read()
        self.asan = b"__asan_init" in binary
        self.tsan = b"__tsan_init" in binary
        self.slow = self.asan or self.tsan

    def environment(self):
        """Of every daemon; what a case adds is in extra."""
        env = dict(os.environ)
        env["ASAN_OPTIONS"] = "quarantine_size_mb=4:allocator_release_to_os_interval_ms=100:exitcode=99"
        env["TSAN_OPTIONS"] = "exitcode=99:halt_on_error=0"
        env["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1:exitcode=99"
        for name in list(env):
            if name.startswith("JACKALOPE"):
                del env[name]
        return env


class Broker:
    """One process. config: text of a YAML file, '{dir}' is the broker's own directory, '{port+1}' one of its ports."""

    def __init__(self, programs, config="", arguments=(), files=None, listen=None, port=None, wait=True,
                 shards=2, folder=None, extra=None, data=None):
        self.programs, self.port, self.extra = programs, port or own_port(), extra or {}
        self.dir = folder or tempfile.mkdtemp(prefix="fault-")
        self.data = data or os.path.join(self.dir, "data")
        self.since = 0
        self.log_path = os.path.join(self.dir, "log")
        self.config_path = os.path.join(self.dir, "jackalope.yaml")
        self.write_config(config)
        self.command = [programs.jackaloped, "--config", self.config_path, "--data", self.data,
                        "--control", os.path.join(self.dir, "control")]
        if listen is None:
            self.command += ["--listen", f"127.0.0.1:{self.port}"]
        if shards:
            self.command += ["--shards", str(shards)]
        self.command += arguments
        self.files = files
        self.process = None
        self.start(wait)

    def write_config(self, text):
        with open(self.config_path, "w", encoding="utf-8") as file:
            text = re.sub(r"\{port\+(\d)\}", lambda found: str(own_port(int(found[1]))), text)
            file.write(text.replace("{dir}", self.dir))

    def limit(self):
        if self.files:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self.files, self.files))

    def start(self, wait=True):
        with open(self.log_path, "ab") as log:
            self.since = log.tell()
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            preexec_fn=self.limit if self.files else None,
                                            env={**self.programs.environment(), **self.extra})
        if wait:
            self.started()

    def started(self):
        wait_until(self.listening, 30, lambda: "the broker listens:\n" + self.tail())

    def listening(self):
        if self.process.poll() is not None:
            raise Failure(f"jackaloped ended with {self.process.returncode}:\n{self.tail()}")
        return re.search(r"started: node", self.log(self.since))

    def kill(self):
        """-9, at once."""
        self.process.kill()
        return self.process.wait()

    def control(self, *words, timeout=20):
        """What jackalopectl answers, from JSON."""
        done = subprocess.run([self.programs.ctl, "--control", os.path.join(self.dir, "control"), *words, "--formatter",
                               "json"], capture_output=True, text=True, timeout=timeout, env=self.programs.environment(),
                              check=False)
        check(done.returncode == 0, f"jackalopectl {' '.join(words)}: {done.returncode} {done.stderr}")
        return json.loads(done.stdout)

    def log(self, since=0):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            file.seek(since)
            return file.read()

    def mark(self):
        return os.path.getsize(self.log_path)

    def tail(self, lines=25):
        return "\n".join(self.log().splitlines()[-lines:])

    def logged(self, pattern, since=0, timeout=10):
        return wait_until(lambda: re.search(pattern, self.log(since)), timeout, f"a log line like '{pattern}'")

    def client(self, channels=1, **options):
        return amqp.Client(self.port, channels, **options)

    def rss(self):
        """MiB of its own: without pages of files, such as the database's, which the system can take back."""
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            resident, shared = (int(field) for field in file.read().split()[1:3])
            return (resident - shared) * 4096 / 1048576

    def open_files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def cpu(self):
        """Seconds of CPU so far."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def alive(self):
        return self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def look_over(self):
        """Nothing that a sanitizer or a bug check says may be in the log."""
        text = self.log()
        found = re.search(r"(ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:|BUG|panic)", text)
        if found:
            raise Failure("the log has:\n" + text[found.start() : found.start() + 6000])
        panic = os.path.join(self.data, "panic.log")
        if os.path.exists(panic) and os.path.getsize(panic):
            with open(panic, encoding="utf-8", errors="replace") as file:
                raise Failure("panic.log:\n" + file.read()[:4000])

    def wait(self, timeout=30):
        """Its exit code."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failure(f"jackaloped did not end within {timeout} s:\n{self.tail()}") from None

    def stop(self, timeout=60):
        """Ends it as an operator would, and looks it over."""
        try:
            if self.process.poll() is None:
                self.signal(signal.SIGTERM)
                code = self.wait(timeout)
                self.look_over()
                check(code == 0, f"exit code {code}:\n{self.tail()}")
            else:
                self.look_over()
                check(self.process.returncode in (0, -signal.SIGKILL),
                      f"jackaloped had ended with {self.process.returncode}:\n{self.tail()}")
        finally:
            self.end()

    def end(self):
        """Whatever happened before: no process, no files."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if os.environ.get("FAULT_KEEP"):
            print(f"# kept: {self.dir}")
        else:
            shutil.rmtree(self.dir, ignore_errors=True)
