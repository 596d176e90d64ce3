"""What operators and the system do to the daemon."""

import os
import random
import re
import signal
import socket
import subprocess
import threading
import time

from . import amqp
from .broker import Broker, Failure, check, own_port, wait_until
from .suite import Witness, case


class Traffic(threading.Thread):
    """A client that publishes, consumes and acknowledges as fast as it may, until it is closed."""

    def __init__(self, broker, name):
        super().__init__(daemon=True)
        self.client = broker.client()
        self.client.declare(name)
        self.client.send(amqp.confirm_select(1) + amqp.qos(1, 100) + amqp.consume(1, name, "c"))
        self.name_, self.code, self.text, self.count = name, None, "", 0
        self.start()

    def run(self):
        try:
            while True:
                self.client.send(amqp.publish(1, self.name_, bytes(200)) * 20)
                for _ in range(20):
                    event = self.client.expect("deliver")
                    self.count += 1
                    self.client.send(amqp.ack(1, event.tag()))
        except amqp.Closed as closed:
            self.code, self.text = closed.code, closed.text
        except (OSError, amqp.Silence) as error:
            self.code, self.text = 0, str(error)


@case("SIGTERM during traffic")
def sigterm(broker):
    traffic = [Traffic(broker, f"t{n}") for n in range(6)]
    idle = [broker.client() for _ in range(50)]
    half = [amqp.connect(broker.port) for _ in range(20)]
    half[0].sendall(amqp.HEADER)
    deaf = broker.client(small=True)
    deaf.declare("deaf")
    deaf.send(amqp.consume(1, "deaf", "c", amqp.NO_ACK) + amqp.publish(1, "deaf", bytes(100000)) * 100)
    wait_until(lambda: all(t.count > 50 for t in traffic), 20, "traffic runs")
    began = time.monotonic()
    broker.signal(signal.SIGTERM)
    for client in idle:
        code, text = client.fate(10)
        check(code == 320 and "CONNECTION_FORCED" in text, f"{code} {text}")
        client.sock.close()
    deaf.kill()
    check(broker.wait(20) == 0, "exit code 0")
    took = time.monotonic() - began
    check(took < 5 * (3 if broker.programs.slow else 1), f"it took {took:.1f} s")
    for t in traffic:
        t.join(5)
        check(t.code in (320, 0), f"{t.code} {t.text}")
    check(sum(t.code == 320 for t in traffic) >= 4, f"clients were told: {[t.code for t in traffic]}")
    for sock in half:
        sock.close()


@case("SIGTERM and clients that do not answer", config="shutdown_timeout: 2s\n")
def sigterm_mute(broker):
    mute = [broker.client() for _ in range(20)]
    began = time.monotonic()
    broker.signal(signal.SIGTERM)
    try:
        wait_until(lambda: refused(broker.port), 5, "nobody is taken in any more")
    finally:
        code = broker.wait(20)
    check(code == 0, f"exit code {code}")
    check(1.5 < time.monotonic() - began < 8, "it waited for shutdown_timeout, no longer")
    for client in mute:
        client.sock.close()


def refused(port):
    try:
        amqp.connect(port, 1).close()
    except OSError:
        return True
    return False


@case("a second SIGTERM does not wait")
def sigterm_twice(broker):
    mute = [broker.client() for _ in range(5)]
    broker.signal(signal.SIGTERM)
    broker.logged("connections are asked to leave")
    began = time.monotonic()
    broker.signal(signal.SIGTERM)
    check(broker.wait(10) == 0 and time.monotonic() - began < 3, "it ended at once")
    for client in mute:
        client.sock.close()


@case("SIGINT")
def sigint(broker):
    with broker.client() as client:
        client.declare("q")
    broker.signal(signal.SIGINT)
    check(broker.wait(10) == 0, "exit code 0")


@case("kill -9 under traffic, and start again")
def kill_nine(broker):
    for _ in range(3):
        traffic = [Traffic(broker, f"t{n}") for n in range(3)]
        wait_until(lambda: all(t.count > 20 for t in traffic), 20, "traffic runs")
        broker.signal(signal.SIGKILL)
        check(broker.wait(10) == -signal.SIGKILL, "killed")
        for t in traffic:
            t.join(10)
        os.truncate(broker.log_path, 0)
        broker.start()
        with broker.client() as client:
            client.declare("after")


RELOADED = "log:\n  level: info\namqp:\n  heartbeat: {beat}\n"


@case("SIGHUP under traffic: good and broken files", config=RELOADED.replace("{beat}", "60"))
def sighup(broker):
    source = random.Random(9)
    with Witness(broker):
        traffic = [Traffic(broker, f"t{n}") for n in range(3)]
        for n in range(30):
            mark = broker.mark()
            if n % 3 == 2:
                broken = source.choice(("amqp:\n  channel_maxx: 5\n", "amqp: [\n", "\0\1\2", "listeners:\n  - addres: 1.2.3.4\n",
                                        "vm_memory_high_watermark: lots\n", "amqp:\n\t- x\n"))
                broker.write_config(broken)
                broker.signal(signal.SIGHUP)
                broker.logged("the former one stays", mark)
                line = re.search(r"\[error\] config: (.*)", broker.log(mark))
                check(line and "jackalope.yaml:" in line[1] and re.search(r":\d+", line[1]), f"a line number: {line and line[1]}")
            else:
                broker.write_config(RELOADED.replace("{beat}", str(100 + n)))
                broker.signal(signal.SIGHUP)
                broker.logged("configuration reloaded", mark)
                time.sleep(0.02)
                client = amqp.Client(broker.port, handshake=False)
                client.send(amqp.HEADER + amqp.start_ok())
                check(client.expect("tune").args[6:] == bytes([0, 100 + n]), "the new heartbeat is offered")
                client.sock.close()
        for t in traffic:
            check(t.code is None, f"traffic ended: {t.code} {t.text}")
            before = t.count
            wait_until(lambda t=t, before=before: t.count > before, 10, "traffic goes on")
        for t in traffic:
            t.client.sock.shutdown(2)
            t.join(10)


@case("SIGHUP: listeners come and go", config="listeners: [127.0.0.1:{port+1}]\n", listen=False)
def sighup_listeners(broker):
    broker.port = own_port(1)
    with Witness(broker):
        for n in range(6):
            mark = broker.mark()
            other = own_port(2 + n % 2)
            broker.write_config(f"listeners: [127.0.0.1:{own_port(1)}, 127.0.0.1:{other}]\n")
            broker.signal(signal.SIGHUP)
            broker.logged("configuration reloaded", mark)
            with amqp.Client(other) as client:
                client.declare("q")
            check(refused(own_port(2 + (n + 1) % 2)), "the former listener is gone")
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", own_port(4)))
            taken.listen()
            mark = broker.mark()
            broker.write_config("listeners: [127.0.0.1:{port+1}, 127.0.0.1:{port+4}]\n")
            broker.signal(signal.SIGHUP)
            broker.logged("cannot listen on .*Address already in use", mark)


def outcome(programs, arguments, timeout=30, **options):
    """Exit code and everything it said, of a daemon that is not to start."""
    done = subprocess.run([programs.jackaloped, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=timeout, env=programs.environment(), check=False, **options)
    return done.returncode, done.stdout.decode(errors="replace")


@case("a second jackaloped on the same data directory")
def second(broker):
    with Witness(broker):
        code, text = outcome(broker.programs, ["--data", os.path.join(broker.dir, "data"), "--listen",
                                               f"127.0.0.1:{own_port(1)}"])
        check(code == 75, f"exit code {code}: {text}")
        check(f"process {broker.process.pid} uses it" in text, text)


@case("a port that is taken")
def port_taken(broker):
    with Witness(broker):
        other = os.path.join(broker.dir, "other")
        code, text = outcome(broker.programs, ["--data", other, "--listen", f"127.0.0.1:{broker.port}"])
        check(code == 69 and "Address already in use" in text and str(broker.port) in text, f"{code}: {text}")


@case("a data directory that cannot be used", broker=False)
def data_directory(programs):
    broker = Broker(programs, listen=False, arguments=["--check"], wait=False)
    broker.wait()
    try:
        blocker = os.path.join(broker.dir, "file")
        with open(blocker, "w", encoding="ascii"):
            pass
        for path in (os.path.join(blocker, "data"), blocker, "/proc/nothing/data"):
            code, text = outcome(programs, ["--data", path, "--listen", f"127.0.0.1:{own_port()}"])
            check(code in (73, 77) and path in text and "data directory" in text, f"{path}: {code}: {text}")
        locked = os.path.join(broker.dir, "locked")
        os.mkdir(locked)
        os.chmod(locked, 0o500)
        os.chmod(broker.dir, 0o755)
        nobody = (lambda: os.setuid(65534)) if os.geteuid() == 0 else None
        try:
            code, text = outcome(programs, ["--data", locked, "--control", "/tmp/fault-none", "--listen",
                                            f"127.0.0.1:{own_port()}"], preexec_fn=nobody)
        except PermissionError:
            return  # the program itself is out of that user's reach
        check(code in (73, 77) and locked in text and "Permission denied" in text, f"{code}: {text}")
    finally:
        broker.end()


WRONG_FILES = [
    ("an unknown key", "amqp:\n  heartbeat: 10\n\n  heartbeet: 11\n", 4, "heartbeet"),
    ("an unknown key at the top", "# a comment\nlissteners: [':1']\n", 2, "lissteners"),
    ("a value that is no number", "amqp:\n  channel_max: many\n", 2, "channel_max"),
    ("a value out of range", "log:\n  level: info\namqp:\n  channel_max: 70000\n", 4, "channel_max"),
    ("a word that is none of those", "\n\nlog:\n  level: loud\n", 4, "level"),
    ("broken YAML", "amqp: {\n", None, ""),
    ("a list where a value belongs", "amqp:\n  heartbeat: [1, 2]\n", 2, "heartbeat"),
    ("an unknown key of a listener", "listeners:\n  - address: ':5600'\n    tlss: true\n", 3, "tlss"),
]


@case("configuration files with mistakes, and --check", broker=False)
def configuration(programs):
    broker = Broker(programs, "amqp:\n  heartbeat: 10\n", arguments=["--check"], wait=False)
    try:
        check(broker.wait() == 0, f"--check of a correct file: {broker.tail()}")
        for name, text, line, key in WRONG_FILES:
            broker.write_config(text)
            for extra in (["--check"], []):
                code, said = outcome(programs, ["--config", broker.config_path, "--data", os.path.join(broker.dir, "d"),
                                                "--listen", f"127.0.0.1:{own_port()}", *extra])
                check(code == 78, f"{name} {extra}: exit code {code}: {said}")
                where = f"jackalope.yaml:{line}" if line else "jackalope.yaml"
                check(where in said and key in said, f"{name}: '{where}' and '{key}' in: {said}")
        code, said = outcome(programs, ["--config", "/nonexistent/file.yaml"])
        check(code and "/nonexistent/file.yaml" in said, f"{code}: {said}")
        code, said = outcome(programs, ["--no-such-flag"])
        check(code == 64 and "no-such-flag" in said, f"{code}: {said}")
    finally:
        broker.end()


@case("standard error closed, log file gone")
def log_gone(broker):
    """Logging that fails must not stop anything."""
    broker.write_config("log:\n  output: file\n  file: {dir}/jk.log\n")
    mark = broker.mark()
    broker.signal(signal.SIGHUP)
    path = os.path.join(broker.dir, "jk.log")
    wait_until(lambda: os.path.exists(path), 10, "the log file is there")
    with Witness(broker):
        os.rename(path, path + ".1")
        broker.signal(signal.SIGHUP)
        wait_until(lambda: os.path.exists(path), 10, "the log was opened again")
        os.unlink(path)
        os.mkdir(path)
        broker.signal(signal.SIGHUP)
        for _ in range(20):
            client = broker.client()
            client.kill()
    if not broker.alive():
        raise Failure(f"gone: {broker.log(mark)}")
    os.rmdir(path)
    broker.write_config("")
    broker.signal(signal.SIGHUP)
    time.sleep(0.2)
