"""Logs: categories and levels, text and JSON, files and their rotation, journald, context, hostile text, secrets."""

import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile

import pika

from .broker import Broker
from .raw import Raw, Refused, long, short
from .suite import LeftOut, case, equal, holds, refused, until

LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d \[(debug|info|warning|error|critical)\] "
                  r"(default|connection|channel|queue|user|config|admin): (.*?)(?: \((connection=.*)\))?$")
CATEGORIES = ("default", "connection", "channel", "queue", "user", "config", "admin")


def do_a_bit_of_everything(b):
    """Lines of many categories."""
    connection = b.pika()
    channel = connection.channel()
    channel.queue_declare("q")
    with refused(pika.exceptions.ChannelClosedByBroker, text="404"):
        channel.queue_declare("missing", passive=True)
    connection.close()
    client = Raw(b.port)
    client.greet()
    with refused(Refused, text="403"):
        client.login(password="wrong")
    client.drop()
    b.told("delete_queue", "q")
    b.told("close_all_connections", "--global", "for the test")
    b.signal(signal.SIGHUP)


def lines_of(b):
    found = []
    for line in b.log().splitlines():
        m = LINE.match(line)
        holds(m, f"not a line of a log: {line!r}")
        found.append(m.groups())
    return found


@case
def text():
    with Broker({"log.level": "debug"}) as b:
        do_a_bit_of_everything(b)
        b.logged("configuration reloaded")
        found = lines_of(b)
        holds({c for _, c, _, _ in found} >= {"default", "connection", "channel", "user", "config", "admin"}, found)


@case
def levels_of_categories():
    with Broker({"log": {"level": "none", "user": {"level": "error"}, "channel": {"level": "error"}}}) as b:
        do_a_bit_of_everything(b)
        b.logged("login refused")
        equal({(level, category) for level, category, _, _ in lines_of(b)}, {("error", "user"), ("error", "channel")})
    with Broker({"log": {"level": "warning", "connection": {"level": "none"}}}) as b:
        do_a_bit_of_everything(b)
        b.logged("login refused")
        holds("] connection:" not in b.log() and "[info]" not in b.log(), b.log())
        for category in CATEGORIES:
            b.told("set_log_level", "--category", category, "critical")
        since = b.mark()
        do_a_bit_of_everything(b)
        equal(b.log()[since:], "")
        b.told("set_log_level", "debug")
        do_a_bit_of_everything(b)
        b.logged(r"\[debug\] connection", since)
    with Broker(words=["--log-level", "none"]) as b:
        do_a_bit_of_everything(b)
        equal(b.stop(), 0)
        equal(b.log(), "")


@case
def context_of_connection_and_channel():
    with Broker() as b:
        connection = b.pika()
        name = b.connections("name")[0]["name"]
        connection.channel()
        channel = connection.channel(7)
        with refused(pika.exceptions.ChannelClosedByBroker):
            channel.queue_declare("missing", passive=True)
        connection.close()
        b.logged(re.escape(f"(connection={name})"))
        b.logged(r"\[error\] channel: .*404 NOT_FOUND - no queue 'missing' in vhost '/'.*" +
                 re.escape(f"(connection={name}, channel=7)"))
    with Broker({"log.format": "json"}) as b:
        connection = b.pika()
        name = b.connections("name")[0]["name"]
        with refused(pika.exceptions.ChannelClosedByBroker):
            connection.channel(9).queue_declare("missing", passive=True)
        connection.close()
        entries = [json.loads(line) for line in b.log().splitlines()]
        of_channel, = (e for e in entries if e["category"] == "channel")
        equal((of_channel["connection"], of_channel["channel"], of_channel["level"]), (name, "9", "error"))


@case
def json_lines():
    with Broker({"log": {"format": "json", "level": "debug"}}) as b:
        do_a_bit_of_everything(b)
        until(lambda: "configuration reloaded" in b.log(), b.log)
        entries = [json.loads(line) for line in b.log().splitlines()]
        holds(len(entries) > 10, entries)
        for e in entries:
            holds(list(e)[:4] == ["time", "level", "category", "msg"] and set(e) <= {"time", "level", "category", "msg", "connection",
                                                                                    "channel"}, e)
            holds(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d", e["time"]), e)


@case
def time_is_that_of_the_place():
    with Broker(env={"TZ": "Asia/Kolkata"}) as b:
        holds(re.match(r"^\S+ \S+\+05:30 \[info\]", b.log()), b.log())
    with Broker(env={"TZ": "America/St_Johns"}) as b:
        holds(re.match(r"^\S+ \S+-0[23]:30 \[info\]", b.log()), b.log())


@case
def file_and_rotation():
    for how in ("SIGHUP", "rotate_logs"):
        b = Broker(words=["--log-file", "LOG"])
        b.words[-1] = b.path("log")
        b.log_file = b.path("log")
        with b:
            Raw(b.port).connect().leave()
            b.logged("authenticated")
            equal(os.stat(b.path("log")).st_mode & 0o777, 0o640, "mode of the file")
            equal(b.told("log_location"), b.log_file + "\n")
            lines = open(b.log_file).readlines()
            holds(len(lines) > 3 and b.told("log_tail", "-N", "2") == "".join(lines[-2:]), "the last two lines")
            equal(b.told("log_tail").splitlines(), [line.rstrip("\n") for line in lines[-50:]])
            os.rename(b.path("log"), b.path("log.1"))
            Raw(b.port).connect().leave()
            if how == "SIGHUP":
                b.signal(signal.SIGHUP)
            else:
                b.told("rotate_logs")
            until(lambda: os.path.exists(b.path("log")), "a new file")
            Raw(b.port).connect().leave()
            b.logged("authenticated")
            equal(open(b.path("log.1")).read().count("authenticated"), 2, "the old file has what came before")
            equal(open(b.path("log")).read().count("authenticated"), 1)
            equal(open(b.path("stderr")).read(), "")
            size = os.path.getsize(b.path("log"))
        # appended to at the next start
        b = Broker(words=["--log-file", "LOG"])
        b.words[-1] = b.log_file = b.write("log", "before\n")
        with b:
            holds(b.log().startswith("before\n") and size > 0, b.log())


@case
def file_that_cannot_be_written():
    with Broker(words=["--log-file", "/dev/full"]) as b:
        do_a_bit_of_everything(b)
        Raw(b.port).connect().leave()


@case
def nobody_reads_stderr():
    """A pipe that is full costs lines, never the broker."""
    read_end, write_end = os.pipe()
    b = Broker({"log.level": "debug"}, shards=2)
    b.preexec = lambda: os.dup2(write_end, 2)
    with b:
        os.close(write_end)
        port = b.port
        os.set_blocking(read_end, False)
        for _ in range(400):
            Raw(port).connect().leave()
        b.told("ping")
        text = b""
        while True:
            try:
                text += os.read(read_end, 65536)
            except BlockingIOError:
                break
        holds(len(text) > 60000, f"the pipe was full: {len(text)}")
        Raw(port).connect().leave()
        until(lambda: b"authenticated" in os.read(read_end, 65536), "lines go on once there is room")
        os.close(read_end)
        Raw(port).connect().leave()
        b.told("ping")


@case
def hostile_text():
    nasty = "x\n2026-01-01 [critical] fake: y\r\t\x1b[31m\x7f\x00\u0085\u202e\u2028\u2066"
    for form in ("text", "json"):
        with Broker({"log": {"format": form, "level": "debug"}}) as b:
            for user in (nasty.replace("\0", ""), "\x1b]0;title\x07", "\udcff\udcfe", "A" * 5000):
                client = Raw(b.port)
                client.greet()
                with refused(Refused):
                    client.login(response=b"\0" + user.encode("utf-8", "surrogateescape") + b"\0pw")
                client.drop()
            client = Raw(b.port)  # the name of a vhost, of a mechanism, of a queue
            client.greet()
            client.login()
            with refused(Refused, text="530"):
                client.open(vhost="\x1b[2J\nfake")
            client.drop()
            client = Raw(b.port)
            client.greet()
            with refused(Refused):
                client.login(mechanism="A\nB\x1b")
            client = Raw(b.port).connect()
            client.open_channel()
            with refused(Refused, text="404"):
                client.send(50, 10, b"\0\0" + short("\x1b[31mq\x07") + b"\1\0\0\0\0", 1)
                client.expect(50, 11)
            client.drop()
            # what an operator is told, too
            b.ctl("close_connection", "no\x1bsuch\npid", "because\x1b[31m")
            b.ctl("add_user", "evil\x1b[0m", "pw")
            b.told("ping")
            raw = open(b.log_file, "rb").read()
            holds(not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", raw), "no control characters")
            raw.decode()
            holds(b"\xc2\x85" not in raw, "no C1 characters")
            for line in raw.splitlines():
                holds(len(line) <= 8192, f"a line of {len(line)} bytes")
                if form == "text":
                    holds(LINE.match(line.decode()), line)
                else:
                    json.loads(line)
            holds(b"\\n2026-01-01 [critical] fake" in raw or form == "json", raw)
            holds(b"\xe2\x80\xae" not in raw, "nothing turns the direction of writing")


@case
def secrets_are_not_logged():
    secret = "correct-horse-battery"
    config = {"log.level": "debug", "default_user": "op", "default_pass": secret + "0"}
    with Broker(config) as b:
        table = short("LOGIN") + b"S" + long(b"op") + short("PASSWORD") + b"S" + long((secret + "4").encode())
        for response, mechanism in ((f"\0op\0{secret}1".encode(), "PLAIN"), (f"op\0op\0{secret}2".encode(), "PLAIN"),
                                    (f"op:{secret}3".encode(), "PLAIN"), (table, "AMQPLAIN")):
            client = Raw(b.port)
            client.greet()
            with refused(Refused):
                client.login(response=response, mechanism=mechanism)
            client.drop()
        b.pika(user="op", password=secret + "0").close()
        b.told("add_user", "new", secret + "5")
        b.told("change_password", "new", secret + "6")
        b.ctl("authenticate_user", "new", secret + "7")
        client = Raw(b.port).connect(user="op", password=secret + "0")
        client.send(10, 70, long((secret + "8").encode()) + short("renewed"))
        client.expect(10, 71)
        client.leave()
        b.reload({**config, "default_pass": secret + "9"})
        log = b.log()
        holds("login refused" in log and "updated its secret" in log, log)
        holds(secret not in log and base64.b64encode(secret.encode())[:20].decode() not in log, "a secret is in the log")


def fields_of(datagram):
    """A datagram of journald's own protocol."""
    fields = {}
    while datagram:
        line, datagram = datagram.split(b"\n", 1)
        if b"=" in line:
            key, value = line.split(b"=", 1)
        else:
            size = int.from_bytes(datagram[:8], "little")
            key, value, datagram = line, datagram[8:8 + size], datagram[9 + size:]
        fields[key.decode()] = value.decode()
    return fields


@case
def journald():
    if not shutil.which("unshare") or subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        raise LeftOut("no mount namespace to put a socket of journald in")
    with tempfile.TemporaryDirectory(prefix="jackalope-ops-") as d, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(f"{d}/socket")
        journal.settimeout(5)
        script = f'mount -t tmpfs none /run && mkdir -p /run/systemd/journal && mount --bind {d} /run/systemd/journal && exec "$@"'
        with Broker({"log.output": "journald"}, before=["unshare", "-m", "sh", "-c", script, "sh"]) as b:
            with refused(pika.exceptions.ChannelClosedByBroker):
                connection = b.pika()
                name = b.connections("name")[0]["name"]
                connection.channel(5).queue_declare("miss\ting\x1b", passive=True)
            connection.close()
            entries = []
            while not any("404" in e["MESSAGE"] for e in entries):
                entries.append(fields_of(journal.recv(65536)))
            for e in entries:
                equal(e["SYSLOG_IDENTIFIER"], "jackaloped")
                holds("\x1b" not in e["MESSAGE"], e)
            first, last = entries[0], entries[-1]
            equal((first["PRIORITY"], first["CATEGORY"]), ("6", "connection"))
            equal((last["PRIORITY"], last["CATEGORY"], last["CONNECTION"], last["CHANNEL"]), ("3", "channel", name, "5"))
            equal(b.log(), "")
