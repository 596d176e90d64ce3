"""The process: systemd's notifications, stop under traffic, exit codes, pid file, data directory, limits."""

import contextlib
import ctypes
import errno
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pika

from crew import free_port

from .broker import NOBODY, Broker, as_nobody, programs, round_trip, run
from .raw import Raw, Refused, dial, end_of
from .suite import LeftOut, case, equal, holds, refused, until

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WALL = 0x40000000  # waitpid: threads, too


# ---- sd_notify ----
class Notified:
    """What a process tells systemd, and when."""

    def __init__(self, abstract=False):
        self.dir = tempfile.mkdtemp(prefix="jackalope-ops-")
        self.name = f"\0jackalope-ops-{os.getpid()}" if abstract else f"{self.dir}/notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.name)
        self.heard = []

    def variable(self):
        return self.name.replace("\0", "@")

    def take(self, seconds):
        self.socket.settimeout(seconds)
        with contextlib.suppress(TimeoutError):
            self.heard += [(time.monotonic(), line) for line in self.socket.recv(8192).decode().splitlines()]

    def wait(self, start, after=0):
        """The first line behind position after that begins so."""
        def look():
            self.take(0.05)
            return next((line for _, line in self.heard[after:] if line.startswith(start)), None)
        return until(look, lambda: f"{start} in {self.heard}")

    def drain(self, seconds=0.2):
        """Until nothing was said for so long."""
        def silent():
            self.take(0.05)
            return not self.heard or time.monotonic() - self.heard[-1][0] >= seconds
        until(silent, "silence")

    def close(self):
        self.socket.close()
        shutil.rmtree(self.dir)


@case
def notifications():
    for abstract in (False, True):
        notified = Notified(abstract)
        with Broker(env={"NOTIFY_SOCKET": notified.variable()}) as b:
            notified.wait("READY=1")
            holds(f"127.0.0.1:{b.port}" in notified.wait("STATUS=listens on "), notified.heard)
            at = len(notified.heard)
            b.reload()
            notified.wait("READY=1", at)
            lines = [line for _, line in notified.heard[at:]]
            holds(lines.index("RELOADING=1") < lines.index("READY=1"), lines)
            holds(f"STATUS=listens on 127.0.0.1:{b.port}" in lines, lines)  # what a reload made of it
            usec = int(next(line for line in lines if line.startswith("MONOTONIC_USEC=")).split("=")[1])
            holds(0 <= time.monotonic() * 1e6 - usec < 30e6, "the time of the reload")
            at = len(notified.heard)
            b.write("jackalope.yaml", "bogus: 1\n")
            b.signal(signal.SIGHUP)
            notified.wait("RELOADING=1", at)
            notified.wait("READY=1", at)  # also of one that is refused, or systemd would wait
            client = Raw(b.port).connect()
            b.signal(signal.SIGTERM)
            notified.wait("STOPPING=1")
            notified.wait("EXTEND_TIMEOUT_USEC=130000000")  # shutdown_timeout and what the unit has
            notified.wait("STATUS=stopping, 1 connections")
            equal(client.refusal()[0], 320)
            client.drop()
            equal(b.wait(), 0)
        notified.close()


@case
def ready_means_ready():
    """Whoever connects upon READY=1 is served."""
    notified = Notified()
    port = free_port()
    b = Broker(listeners=[f"127.0.0.1:{port}"], env={"NOTIFY_SOCKET": notified.variable()})
    began = time.monotonic()
    b.launch()
    notified.wait("READY=1")
    took = time.monotonic() - began
    Raw(port).connect().leave()
    holds(took < 10, f"it took {took} s")
    equal(b.stop(), 0)
    b.settle()
    notified.close()


@case
def watchdog():
    notified = Notified()
    with Broker(env={"NOTIFY_SOCKET": notified.variable(), "WATCHDOG_USEC": "300000"}) as b:
        notified.wait("READY=1")
        until(lambda: notified.take(0.5) or len([1 for _, line in notified.heard if line == "WATCHDOG=1"]) >= 6, "signs of life")
        times = [t for t, line in notified.heard if line == "WATCHDOG=1"]
        holds(all(b - a < 0.3 for a, b in zip(times, times[1:])), f"at least every 300 ms: {times}")
        b.signal(signal.SIGSTOP)  # a process that hangs says nothing
        notified.drain()
        count = len(notified.heard)
        notified.take(0.5)
        equal(len(notified.heard), count)
        b.signal(signal.SIGCONT)
        notified.wait("WATCHDOG=1", count)
    notified.close()
    notified = Notified()  # meant for another process
    with Broker(env={"NOTIFY_SOCKET": notified.variable(), "WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"}):
        notified.wait("READY=1")
        notified.take(0.4)
        holds("WATCHDOG=1" not in [line for _, line in notified.heard], notified.heard)
    notified.close()


def ptrace(request, thread):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    if libc.ptrace(request, thread, None, None) < 0:
        number = ctypes.get_errno()
        if request == PTRACE_SEIZE and number in (errno.EPERM, errno.EACCES):
            raise LeftOut("no right to hold a thread")
        raise OSError(number, "ptrace")


@case
def watchdog_of_one_thread():
    """A shard that hangs is missed, although the others go on; once it is back, so are the signs of life."""
    notified = Notified()
    with Broker({"gather_shards": False}, shards=2, env={"NOTIFY_SOCKET": notified.variable(), "WATCHDOG_USEC": "300000"}) as b:
        notified.wait("WATCHDOG=1")
        threads = {Path(f"/proc/{b.process.pid}/task/{tid}/comm").read_text().strip(): int(tid) for tid in os.listdir(f"/proc/{b.process.pid}/task")}
        thread = threads["shard-1"]
        ptrace(PTRACE_SEIZE, thread)
        ptrace(PTRACE_INTERRUPT, thread)
        os.waitpid(thread, WALL)
        try:
            b.logged("shard 1 has not answered for 150 ms")
            notified.drain(0.6)
            count = len(notified.heard)
        finally:
            ptrace(PTRACE_DETACH, thread)  # or it could not even be killed
        notified.wait("WATCHDOG=1", count)
    notified.close()


@case
def notify_socket_that_is_gone():
    with Broker(env={"NOTIFY_SOCKET": "/nonexistent/notify", "WATCHDOG_USEC": "100000"}) as b:
        Raw(b.port).connect().leave()


# ---- stop ----
@case
def stop_under_traffic():
    """Every client, publishing or consuming, hears 320 and nothing is torn."""
    with Broker(shards=3) as b:
        port, ends = b.port, []

        def publish(n):
            try:
                channel = b.pika(port).channel()
                channel.queue_declare(f"q{n % 2}")
                if n % 2:
                    channel.confirm_delivery()
                while True:
                    channel.basic_publish("", f"q{n % 2}", b"x" * 500)
            except pika.exceptions.ConnectionClosedByBroker as error:
                ends.append((error.reply_code, error.reply_text))
            except Exception as error:  # told by the case
                ends.append(error)

        def consume(n):
            try:
                channel = b.pika(port).channel()
                channel.queue_declare(f"q{n % 2}")
                channel.basic_qos(prefetch_count=50)
                channel.basic_consume(f"q{n % 2}", lambda ch, m, p, body: ch.basic_ack(m.delivery_tag))
                channel.start_consuming()
                ends.append("ended")
            except pika.exceptions.ConnectionClosedByBroker as error:
                ends.append((error.reply_code, error.reply_text))
            except Exception as error:  # told by the case
                ends.append(error)

        threads = [threading.Thread(target=f, args=(n,)) for f in (publish, consume) for n in range(4)]
        for t in threads:
            t.start()
        until(lambda: len(b.connections()) == 8, "eight clients")
        time.sleep(0.3)
        began = time.monotonic()
        b.signal(signal.SIGTERM)
        code = b.wait()
        took = time.monotonic() - began
        for t in threads:
            t.join(20)
        text = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"
        equal(ends, [(320, text)] * 8)
        equal(code, 0)
        holds(took < 8, f"it took {took} s")
        holds("stopping, 8 connections are asked to leave" in b.log() and "all connections are closed" in b.log(), b.log())


@case
def stop_takes_nobody_in():
    with Broker({"shutdown_timeout": "60s"}) as b:
        port = b.port
        stays, half, quiet = Raw(port).connect(), Raw(port), Raw(port)
        half.greet()
        b.signal(signal.SIGTERM)
        b.logged("no longer listening")
        equal(stays.refusal()[0], 320)
        with refused(ConnectionRefusedError):
            dial(port)
        equal((half.ended(), quiet.ended()), (b"", b""))
        stays.drop()
        equal(b.wait(5), 0)


@case
def stop_by_command():
    b = Broker()
    with b:
        client = Raw(b.port).connect()
        done = []
        thread = threading.Thread(target=lambda: done.append(b.ctl("stop")))
        thread.start()
        code, text = client.refusal()
        equal((code, "shutdown" in text), (320, True))
        client.drop()
        thread.join()
        equal(done[0][0], 0)
        equal(b.wait(), 0)
        holds(not os.path.exists(os.path.join(b.data, "control.sock")), "the control socket is gone")


@case
def second_and_third_signal():
    for first, second in ((signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT)):
        with Broker({"shutdown_timeout": "60s"}) as b:
            silent = Raw(b.port).connect()
            b.signal(first)
            b.logged(f"{first.name} received")
            equal(b.process.poll(), None)
            began = time.monotonic()
            b.signal(second)
            equal(b.wait(5), 0)
            holds(time.monotonic() - began < 5, "at once")
            holds("stopping at once" in b.log(), b.log())
            silent.drop()


@case
def reload_while_it_stops():
    with Broker({"shutdown_timeout": "60s"}) as b:
        silent = Raw(b.port).connect()
        b.signal(signal.SIGTERM)
        b.logged("are asked to leave")
        for _ in range(5):
            b.signal(signal.SIGHUP)
            time.sleep(0.01)
        holds("listening on" not in b.log().split("SIGTERM received")[1].replace("no longer listening on", ""), b.log())
        equal(silent.refusal()[0], 320)
        silent.drop()
        equal(b.wait(5), 0)


@case
def killed_and_started_again():
    with tempfile.TemporaryDirectory(prefix="jackalope-ops-") as d:
        for _ in range(3):
            b = Broker(data=f"{d}/data", listeners=[f"unix:{d}/amqp.sock"], words=["--pid-file", f"{d}/pid"])
            with b:
                Raw(f"{d}/amqp.sock").connect().leave()
                equal(int(open(f"{d}/pid").read()), b.process.pid)
                b.kill()
                b.process.returncode = 0
        holds(os.path.exists(f"{d}/pid"), "what a killed one leaves")


# ---- exit codes, pid file, data directory ----
@case
def exit_codes():
    with Broker() as b, tempfile.TemporaryDirectory(prefix="jackalope-ops-") as d, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with open(f"{d}/file", "w"):
            pass
        with open(f"{d}/bad.yaml", "w") as f:
            f.write("definitions: {permissions: [{user: nobody, read: .*}]}\n")
        here = ["--data", f"{d}/data", "--listen", "127.0.0.1:0"]
        for words, code, text in (
                (["--nonsense"], 64, "unknown flag"), (["--config", f"{d}/none"], 78, "cannot be read"),
                ([*here, "--shards", "x"], 78, "not a whole number"), ([*here, "--config", f"{d}/bad.yaml"], 78, "bad.yaml:1: "),
                (["--data", b.data, "--listen", "127.0.0.1:0"], 75, f"process {b.process.pid} uses it"),
                (["--data", f"{d}/data", "--listen", f"127.0.0.1:{taken.getsockname()[1]}"], 69, "Address already in use"),
                ([*here, "--control", os.path.join(b.data, "control.sock")], 69, "in use"),
                ([*here, "--control", f"{d}/no/such/socket"], 69, "No such file or directory"),
                (["--data", f"{d}/file", "--listen", "127.0.0.1:0"], 73, "it is not a directory"),
                ([*here, "--pid-file", f"{d}/no/pid"], 73, "No such file or directory"),
                ([*here, "--log-file", f"{d}/no/log"], 73, "No such file or directory")):
            got, out, err = run(*words)
            equal((got, out), (code, ""), f"{words}: {err}")
            holds(text in err, f"{words}: {err}")
            holds(sum("[info]" not in line for line in err.splitlines()) <= 2, f"lines: {err}")
        equal(run("--version")[0], 0)
        Raw(b.port).connect().leave()


@case
def pid_file():
    with tempfile.TemporaryDirectory(prefix="jackalope-ops-") as d:
        b = Broker(words=["--pid-file", f"{d}/pid"])
        with open(f"{d}/pid", "w") as f:
            f.write("1\n")  # left over
        with b:
            equal(open(f"{d}/pid").read().strip(), str(b.process.pid))
            equal(os.stat(f"{d}/pid").st_mode & 0o022, 0, "nobody else writes to it")
            equal(b.stop(), 0)
        equal(os.listdir(d), [])


@case
def data_directory():
    with tempfile.TemporaryDirectory(prefix="jackalope-ops-") as d:
        with Broker(data=f"{d}/a/b/data") as b:  # parents are made
            equal(os.stat(f"{d}/a/b/data").st_mode & 0o777, 0o700)
            Raw(b.port).connect().leave()
        os.symlink(f"{d}/a/b/data", f"{d}/link")
        with Broker(data=f"{d}/link") as b:
            code, _, err = run("--data", f"{d}/a/b/data", "--listen", "127.0.0.1:0")
            equal(code, 75, err)
        # the default is ./var
        os.mkdir(f"{d}/cwd")
        process = subprocess.Popen([programs["jackaloped"], "--listen", "127.0.0.1:0"], cwd=f"{d}/cwd", stderr=subprocess.PIPE,
                                   text=True)
        try:
            until(lambda: os.path.exists(f"{d}/cwd/var/control.sock"), "./var")
        finally:
            process.terminate()
            err = process.communicate()[1]
        equal(process.returncode, 0, err)


@case
def directory_that_cannot_be_written():
    if os.getuid():
        raise LeftOut("not root")
    with tempfile.TemporaryDirectory(prefix="jackalope-ops-") as d:
        os.chmod(d, 0o755)
        program = shutil.copy(programs["jackaloped"], f"{d}/jackaloped")
        os.mkdir(f"{d}/mine", 0o700)
        os.mkdir(f"{d}/shown", 0o755)
        for path, code in ((f"{d}/mine", 77), (f"{d}/shown", 77), (f"{d}/new", 73), (f"{d}/shown/below", 73)):
            done = subprocess.run([program, "--data", path, "--listen", "127.0.0.1:0"], preexec_fn=as_nobody, cwd="/", timeout=20,
                                  capture_output=True, text=True, check=False)
            equal(done.returncode, code, done.stderr)
            holds("Permission denied" in done.stderr and path in done.stderr, done.stderr)
        os.mkdir(f"{d}/theirs", 0o700)
        os.chown(f"{d}/theirs", NOBODY, NOBODY)
        b = Broker(data=f"{d}/theirs", preexec=as_nobody)
        b.words[0] = program
        os.chmod(b.dir, 0o755)
        with b:
            equal(os.stat(f"/proc/{b.process.pid}").st_uid, NOBODY)
            Raw(b.port).connect().leave()


# ---- limits ----
def limited(soft, hard, which=resource.RLIMIT_NOFILE):
    return lambda: resource.setrlimit(which, (soft, hard))


@case
def soft_limit_of_files_is_raised():
    with Broker(preexec=limited(32, 500)) as b:
        with open(f"/proc/{b.process.pid}/limits") as f:
            equal(re.search(r"Max open files +(\S+) +(\S+)", f.read()).groups(), ("500", "500"))
        port = b.port
        clients = [Raw(port).connect() for _ in range(100)]
        for client in clients:
            client.leave()


@case
def files_run_out():
    """The broker says so, serves those it has, and goes on when there is room again."""
    with Broker(preexec=limited(60, 60)) as b:
        port = b.port
        first = b.pika(port)
        clients = [dial(port) for _ in range(80)]
        b.logged(r"\[error\] connection: cannot accept connections on 127.0.0.1:\d+: Too many open files")
        round_trip(first)
        before = cpu_of(b.process.pid)
        time.sleep(0.5)
        holds(cpu_of(b.process.pid) - before < 0.3, "it does not spin")
        for s in clients:
            s.close()
        until(lambda: port_serves(port), "new ones are served")
        round_trip(first)
        first.close()


def cpu_of(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def port_serves(port):
    try:
        client = Raw(port)
        client.socket.settimeout(1)
        client.connect().leave()
        return True
    except (OSError, Refused):
        return False


@case
def files_may_not_grow():
    """A log that has reached the limit of a file's size is no reason to die."""
    with tempfile.TemporaryDirectory(prefix="jackalope-ops-") as d:
        most = 17 << 20  # a file of the journal fits
        with open(f"{d}/log", "wb") as f:
            f.truncate(most - 2048)
        words = ["--log-file", f"{d}/log", "--journal.segment_size", "16MiB"]
        with Broker(preexec=limited(most, most, resource.RLIMIT_FSIZE), words=words) as b:
            for _ in range(30):
                Raw(b.port).connect().leave()
            equal(os.path.getsize(f"{d}/log"), most)


@case
def standard_files_that_are_closed():
    def close_all():
        for fd in (0, 1, 2):
            os.close(fd)
    with Broker(preexec=close_all) as b:
        connection = b.pika()
        round_trip(connection)
        for fd in (0, 1, 2):
            equal(os.readlink(f"/proc/{b.process.pid}/fd/{fd}"), "/dev/null")
        connection.close()


@case
def signals_that_mean_nothing():
    with Broker() as b:
        b.signal(signal.SIGPIPE)
        connection = b.pika()
        b.signal(signal.SIGSTOP)
        b.signal(signal.SIGCONT)
        round_trip(connection)
        connection.close()


@case
def idle_costs_nothing():
    with Broker(shards=4) as b:
        port = b.port
        clients = [Raw(port).connect() for _ in range(20)]
        time.sleep(0.2)
        before = cpu_of(b.process.pid)
        time.sleep(1)
        used = cpu_of(b.process.pid) - before
        holds(used <= 0.05, f"{used} s of CPU in an idle second")
        for client in clients:
            client.drop()


@case
def terminal_is_told_where():
    """On a terminal the start says where it listens; Ctrl-C stops it."""
    import pty
    master, slave = pty.openpty()
    with tempfile.TemporaryDirectory(prefix="jackalope-ops-") as d:
        process = subprocess.Popen([programs["jackaloped"], "--data", f"{d}/data", "--listen", "127.0.0.1:0"], stdin=slave, stdout=slave,
                                   stderr=slave, start_new_session=True)
        os.close(slave)
        shown = b""
        end = time.monotonic() + 20
        while b"Ctrl-C" not in shown and time.monotonic() < end:
            shown += os.read(master, 65536)
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # the terminal's end
            while True:
                shown += os.read(master, 65536)
        equal(process.wait(20), 0)
        os.close(master)
        text = shown.decode()
        holds(re.search(r"jackaloped \S+ listens on 127\.0\.0\.1:\d+", text) and f"{d}/data" in text, text)


@case
def end_of_a_connection_that_is_full():
    """A client that does not read does not hold the stop up for longer than it may."""
    with Broker({"shutdown_timeout": "500ms"}) as b:
        feeder = b.pika()
        channel = feeder.channel()
        channel.queue_declare("q")
        for _ in range(30):
            channel.basic_publish("", "q", bytes(1 << 20))
        deaf = Raw(b.port).connect()
        deaf.open_channel()
        deaf.send(60, 20, b"\0\0\1q\0\2\0\0\0\0", 1)
        deaf.expect(60, 21)
        feeder.close()
        began = time.monotonic()
        b.signal(signal.SIGTERM)
        equal(b.wait(), 0)
        holds(time.monotonic() - began < 5, "it did not wait for ever")
        end_of(deaf.socket)
