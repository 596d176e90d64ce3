"""Free space on the disk: the limit, the alarm and what goes on under it; what status says about the store."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile

import pika

from .broker import Broker, run
from .suite import LeftOut, case, equal, holds, until

MUCH = "1000TB"
STORE_KEYS = {"journal_lsn", "journal_durable_lsn", "journal_frames", "journal_bytes", "journal_syncs", "journal_segments",
              "journal_segments_free", "last_sync_us", "pending_bytes", "database_bytes", "database_free_bytes", "checkpoints",
              "last_checkpoint_us"}


def watched(b):
    """A connection, and what it is told about being blocked."""
    connection, events = b.pika(), []
    connection.add_on_connection_blocked_callback(lambda _, frame: events.append(frame.method.reason))
    connection.add_on_connection_unblocked_callback(lambda *_: events.append("unblocked"))
    return connection, events


def waited(connection, events, wanted):
    until(lambda: connection.process_data_events(0.05) or events == wanted, lambda: f"{wanted}, got {events}")


@contextlib.contextmanager
def small_disk(megabytes):
    if os.getuid():
        raise LeftOut("not root")
    path = tempfile.mkdtemp(prefix="jackalope-ops-")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "tmpfs", path], capture_output=True,
                          text=True, check=False)
    try:
        if done.returncode:
            raise LeftOut(f"nothing can be mounted here: {done.stderr.strip()}")
        yield path
    finally:
        subprocess.run(["umount", "-l", path], capture_output=True, check=False)
        shutil.rmtree(path, ignore_errors=True)


def room(path):
    return os.statvfs(path).f_bavail * os.statvfs(path).f_frsize


def fill(path, left):
    """The broker may write at the same time."""
    with open(f"{path}/filler", "wb", 0) as f:
        while room(path) > left:
            f.write(bytes(min(1 << 20, room(path) - left)))


# ---- the limit ----
@case
def limit_in_every_spelling():
    for words, shown in (((), "50000000"), (("--disk_free_limit", "2GiB"), "2GiB"), (("--disk_free_limit", "2.0"), "2.0"),
                         (("--disk_free_limit.absolute", "1GiB"), "1GiB"), (("--disk_free_limit.relative", "2"), "2.0")):
        code, out, err = run("--dump-config", *words)
        equal(code, 0, err)
        holds(f"\ndisk_free_limit: {shown}" in out, f"{words}: {[line for line in out.splitlines() if 'disk' in line]}")
    equal(run("--check", JACKALOPE_DISK_FREE_LIMIT_RELATIVE="1.5")[0], 0)
    for words, text in ((("--disk_free_limit.relative", "1GB"), "'1GB' is not a share such as 0.6"),
                        (("--disk_free_limit", "x"), "'x' is neither a share such as 0.6 nor a size such as 2GiB"),
                        (("--disk_free_limit", "1000000.0"), "is out of range, at most 1000")):
        code, _, err = run("--check", *words)
        equal((code, text in err), (78, True), f"{words}: {err}")


@case
def relative_limit_is_a_multiple_of_the_memory():
    with Broker({"disk_free_limit": {"relative": 2}, "total_memory_available_override_value": "1GiB"}) as b:
        equal(b.rows("status")["disk_free_limit"], 2 << 30)
        b.told("set_disk_free_limit", "mem_relative", "0.5")
        equal(b.rows("status")["disk_free_limit"], 1 << 29)
        b.reload({"disk_free_limit": "7MB"})
        equal(b.rows("status")["disk_free_limit"], 7000000)


# ---- the alarm ----
@case
def publishers_wait_and_others_go_on():
    with Broker() as b:
        connection, events = watched(b)
        other = b.pika()
        channel, reader = connection.channel(), other.channel()
        channel.queue_declare("q", durable=True)
        for n in range(3):
            channel.basic_publish("", "q", b"%d" % n)
        until(lambda: reader.queue_declare("q", passive=True).method.message_count == 3, "three messages")
        b.told("set_disk_free_limit", MUCH)
        b.logged(r"disk resource limit alarm set on node \S+ \d+ bytes are free, the limit is 1000000000000000;")
        channel.basic_publish("", "q", b"late")
        waited(connection, events, ["low on disk"])
        equal(b.told("alarms"), "Free disk space alarm: below 1000000000000000 bytes\n")
        # get, ack, consume, declare, purge, delete
        method, _, body = reader.basic_get("q")
        equal(body, b"0")
        reader.basic_ack(method.delivery_tag)
        got = []
        tag = reader.basic_consume("q", lambda c, m, p, body: got.append(body) or c.basic_ack(m.delivery_tag))
        until(lambda: other.process_data_events(0.05) or got == [b"1", b"2"], lambda: f"deliveries: {got}")
        reader.basic_cancel(tag)
        reader.queue_declare("another", durable=True)
        reader.queue_purge("another")
        reader.queue_delete("another")
        equal(reader.queue_declare("q", passive=True).method.message_count, 0, "what was published late waits")
        b.told("set_disk_free_limit", "1")
        waited(connection, events, ["low on disk", "unblocked"])
        until(lambda: reader.basic_get("q", auto_ack=True)[2] == b"late", "the message that waited")
        equal(b.told("alarms"), "No alarms are in effect\n")
        connection.close()
        other.close()


@case
def both_alarms():
    with Broker() as b:
        connection, events = watched(b)
        channel = connection.channel()
        b.told("set_disk_free_limit", MUCH)
        channel.basic_publish("", "nowhere", b"x")
        waited(connection, events, ["low on disk"])
        b.told("set_vm_memory_high_watermark", "absolute", "1")
        b.logged("memory resource limit alarm set")
        equal(b.told("alarms").count("alarm: "), 2)
        equal(b.rows("status")["alarms"], ["memory", "disk"])
        late, told = watched(b)
        late.channel().basic_publish("", "nowhere", b"x")
        waited(late, told, ["low on memory & disk"])
        b.told("set_disk_free_limit", "1")
        b.logged("disk resource limit alarm cleared")
        connection.process_data_events(0.3)
        holds("unblocked" not in events, f"one of the two alarms stands: {events}")
        b.told("set_vm_memory_high_watermark", "0.9")
        until(lambda: connection.process_data_events(0.05) or events[-1] == "unblocked", lambda: events)
        until(lambda: late.process_data_events(0.05) or told[-1] == "unblocked", lambda: told)
        connection.close()
        late.close()


@case
def alarm_at_the_start():
    with Broker({"disk_free_limit": MUCH}) as b:
        connection, events = watched(b)
        connection.channel().basic_publish("", "nowhere", b"x")
        waited(connection, events, ["low on disk"])
        b.reload({})
        waited(connection, events, ["low on disk", "unblocked"])
        connection.close()


@case
def disk_that_fills_up_and_empties():
    """The alarm comes and goes by itself, with the disk."""
    config = {"disk_free_limit": "100MB", "journal.segment_size": "16MiB"}
    with small_disk(400) as mount, Broker(config, data=f"{mount}/data") as b:
        connection, events = watched(b)
        channel = connection.channel()
        channel.queue_declare("q", durable=True)
        facts = b.rows("status")
        free = room(mount)
        holds(abs(facts["disk_free"] - free) < 100 << 20, f"{facts['disk_free']} is told, {free} is free")
        equal(facts["alarms"], [])
        fill(mount, 50 << 20)
        b.logged("disk resource limit alarm set")
        channel.basic_publish("", "q", b"x")
        waited(connection, events, ["low on disk"])
        holds(b.rows("status")["disk_free"] < 100000000, "status tells")
        os.unlink(f"{mount}/filler")
        b.logged("disk resource limit alarm cleared")
        waited(connection, events, ["low on disk", "unblocked"])
        until(lambda: channel.basic_get("q", auto_ack=True)[2] == b"x", "the message that waited")
        connection.close()


# ---- status ----
@case
def status_of_the_store():
    with Broker() as b:
        connection = b.pika()
        channel = connection.channel()
        channel.queue_declare("q", durable=True)
        before = b.rows("status")["store"]
        equal(set(before), STORE_KEYS)
        holds(before["journal_segments"] and before["database_bytes"], before)
        channel.confirm_delivery()
        channel.basic_publish("", "q", bytes(100000), pika.BasicProperties(delivery_mode=2))
        after = b.rows("status")["store"]
        for key, least in (("journal_durable_lsn", 1), ("journal_frames", 1), ("journal_syncs", 1), ("journal_bytes", 100000)):
            holds(after[key] >= before[key] + least, f"{key}: {before[key]}, {after[key]} after a confirm")
        text = b.told("status")
        for part in ("Free Disk Space", "Low free disk space watermark: 0.05 gb", "Free disk space: ", "Store", "Journal: frame ",
                     "Journal segments: ", "Waiting to be written: 0 gb", "Database: ", "Checkpoints since the start: "):
            holds(part in text, f"{part}: {text}")
        holds("Database: " in b.told("status", "--unit", "kb"), "units")
        connection.close()


# ---- --dump-data ----
def snapshot(path):
    out = {}
    for where, _, names in os.walk(path):
        for name in names:
            file = os.path.join(where, name)
            if not os.path.isfile(file):
                continue  # the control socket of one that was killed
            with open(file, "rb") as f:
                out[os.path.relpath(file, path)] = (os.stat(file).st_mtime_ns, hashlib.sha256(f.read()).hexdigest())
    return out


@case
def data_directory_is_dumped():
    with tempfile.TemporaryDirectory(prefix="jackalope-ops-") as d:
        data = f"{d}/data"
        for ending in ("kill", "stop"):
            with Broker({"journal.segment_size": "16MiB"}, data=data) as b:
                connection = b.pika()
                channel = connection.channel()
                channel.confirm_delivery()
                channel.queue_declare("kept", durable=True)
                channel.queue_declare("fleeting", exclusive=True)
                for body in (b"x", bytes(100000)):
                    channel.basic_publish("", "kept", body, pika.BasicProperties(delivery_mode=2))
                code, out, err = run("--dump-data", "--data", data)
                equal((code, out, err), (75, "", f"jackaloped: cannot use data directory {data}: process {b.process.pid} uses it\n"))
                b.told("add_user", "reader", "secret") if ending == "kill" else b.told("list_users")
                if ending == "kill":
                    b.kill()
                    b.process.returncode = 0
                else:
                    connection.close()
            before = snapshot(data)
            code, out, err = run("--dump-data", "--data", data)
            equal((code, err), (0, ""), out)
            equal(snapshot(data), before, "the directory is as it was")
            count = 2 if ending == "kill" else 4
            for part in ("queue 'kept' in vhost '/', id ", "user 'reader', tags []", "user 'guest', tags [administrator]",
                         f" persistent: {count} messages, {count // 2 * 100001} bytes", "0 damaged blocks set aside"):
                holds(part in out, f"after {ending}: {part!r} in {out}")
            holds("fleeting" not in out, out)


@case
def data_directory_that_cannot_be_dumped():
    with tempfile.TemporaryDirectory(prefix="jackalope-ops-") as d:
        os.mkdir(f"{d}/empty")
        with open(f"{d}/file", "w"):
            pass
        for name, codes in (("none", (66,)), ("empty", (66, 74)), ("file", (66,))):
            code, out, err = run("--dump-data", "--data", f"{d}/{name}")
            holds(code in codes and not out and err.count("\n") == 1 and name in err, f"{name}: {code} {out} {err}")
        equal(os.listdir(f"{d}/empty"), [])


@case
def limits_of_the_store():
    for words, text in ((("--journal.segments_max", "2"), "out of range"), (("--journal.segment_size", "1MiB"), "out of range"),
                        (("--database.checkpoint_interval", "0"), "out of range"), (("--database.size_max", "x"), "is not a size")):
        code, _, err = run("--check", *words)
        equal((code, text in err), (78, True), f"{words}: {err}")
    config = {"journal.segment_size": "16MiB", "database.checkpoint_interval": "1s", "database.size_max": "64MiB"}
    with Broker(config) as b:
        equal(os.path.getsize(f"{b.data}/journal/segment-0000"), 16 << 20)
        connection = b.pika()
        before = b.rows("status")["store"]["checkpoints"]
        connection.channel().queue_declare("q", durable=True)
        until(lambda: b.rows("status")["store"]["checkpoints"] > before, "a checkpoint")
        connection.close()
