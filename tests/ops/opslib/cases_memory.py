"""The memory there is, the watermark, the alarm and what goes on under it."""

import os
import subprocess

from .broker import Broker, run
from .cases_disk import waited, watched
from .suite import LeftOut, case, equal, holds, until

GIB = 1 << 30
# The pid is that of the broker to be; what mount does in a namespace of its own ends with it.
IN_GROUP = ["unshare", "-m", "sh", "-c",
            'mount --bind "$0/groups" /proc/$$/cgroup && mount --bind "$0/tree" /sys/fs/cgroup && exec "$@"']


def watermark(b):
    return b.rows("status")["vm_memory_high_watermark_limit"]


@case
def watermark_in_every_spelling():
    for words, shown in (((), "0.6"), (("--vm_memory_high_watermark", "0.25"), "0.25"),
                         (("--vm_memory_high_watermark", "2GiB"), "2GiB"),
                         (("--vm_memory_high_watermark.absolute", "1073741824"), "1GiB"),
                         (("--vm_memory_high_watermark.relative", "1"), "1")):
        code, out, err = run("--dump-config", *words)
        equal(code, 0, err)
        holds(f"\nvm_memory_high_watermark: {shown}" in out, f"{words}: {[x for x in out.splitlines() if 'watermark' in x]}")
    equal(run("--check", JACKALOPE_VM_MEMORY_HIGH_WATERMARK_ABSOLUTE="1GB")[0], 0)
    for words, text in ((("--vm_memory_high_watermark.relative", "1GB"), "'1GB' is not a share such as 0.6"),
                        (("--vm_memory_high_watermark", "x"), "'x' is neither a share such as 0.6 nor a size such as 2GiB"),
                        (("--vm_memory_high_watermark", "1.5"), "is out of range, at most 1"),
                        (("--vm_memory_high_watermark.absolute", "0.5"), "'0.5'")):
        code, _, err = run("--check", *words)
        if words[0].endswith("absolute") and code == 0:
            continue  # half a byte is no size, or none at all
        equal((code, text in err), (78, True), f"{words}: {err}")


@case
def watermark_at_the_start_and_set_at_runtime():
    with Broker({"total_memory_available_override_value": "1GiB", "vm_memory_high_watermark": 0.5}) as b:
        equal(watermark(b), GIB // 2)
        b.told("set_vm_memory_high_watermark", "0.75")
        equal(watermark(b), GIB // 4 * 3)
        b.told("set_vm_memory_high_watermark", "absolute", "300MB")
        equal(watermark(b), 300000000)
        b.told("set_vm_memory_high_watermark", "absolute", "2GiB")
        equal(watermark(b), 2 * GIB)
        b.reload({"total_memory_available_override_value": "1GiB", "vm_memory_high_watermark": {"absolute": "700MiB"}})
        equal(watermark(b), 700 << 20)
        b.told("set_vm_memory_high_watermark", "0.9")
        b.reload({"total_memory_available_override_value": "2GiB"})
        equal(watermark(b), int(0.6 * 2 * GIB))


@case
def memory_of_a_cgroup():
    """Trees of both versions, bound over the real one where only the broker sees it."""
    if os.getuid():
        raise LeftOut("not root")
    for groups, files, limit in (("0::/a/b\n", {"a/b/memory.max": "max", "a/memory.max": str(GIB)}, GIB),
                                 ("7:memory:/x\n0::/\n", {"memory/x/memory.limit_in_bytes": str(GIB // 2)}, GIB // 2)):
        b = Broker({"vm_memory_high_watermark": 0.5})
        for name, text in files.items():
            os.makedirs(os.path.dirname(b.path(f"tree/{name}")), exist_ok=True)
            b.write(f"tree/{name}", text + "\n")
        b.write("groups", groups)
        b.words = [*IN_GROUP, b.dir, *b.words]
        probe = subprocess.run([*IN_GROUP, b.dir, "true"], capture_output=True, text=True, check=False)
        if probe.returncode:
            raise LeftOut(f"nothing can be mounted here: {probe.stderr.strip()}")
        with b:
            equal(watermark(b), limit // 2, groups)
            b.told("set_vm_memory_high_watermark", "0.25")
            equal(watermark(b), limit // 4, groups)


@case
def publishers_wait_and_others_go_on():
    with Broker() as b:
        connection, events = watched(b)
        other, unheard = watched(b)
        channel, reader = connection.channel(), other.channel()
        channel.queue_declare("q", durable=True)
        for n in range(3):
            channel.basic_publish("", "q", b"%d" % n)
        until(lambda: reader.queue_declare("q", passive=True).method.message_count == 3, "three messages")
        b.told("set_vm_memory_high_watermark", "absolute", "1")
        b.logged(r"memory resource limit alarm set on node \S+ \d+ bytes in use, the high watermark is 1;")
        channel.basic_publish("", "q", b"late")
        waited(connection, events, ["low on memory"])
        equal(b.rows("status")["alarms"], ["memory"])
        got = []
        tag = reader.basic_consume("q", lambda c, m, p, body: got.append(body) or c.basic_ack(m.delivery_tag))
        until(lambda: other.process_data_events(0.05) or got == [b"0", b"1", b"2"], lambda: f"deliveries: {got}")
        reader.basic_cancel(tag)
        reader.queue_declare("another", durable=True)
        reader.queue_delete("another")
        equal(reader.queue_declare("q", passive=True).method.message_count, 0, "what was published late waits")
        equal(unheard, [], "who does not publish is not told")
        b.told("set_vm_memory_high_watermark", "0.9")
        waited(connection, events, ["low on memory", "unblocked"])
        until(lambda: reader.basic_get("q", auto_ack=True)[2] == b"late", "the message that waited")
        equal(b.told("alarms"), "No alarms are in effect\n")
        connection.close()
        other.close()


@case
def alarm_at_the_start():
    with Broker({"vm_memory_high_watermark": {"absolute": 1}}) as b:
        connection, events = watched(b)
        connection.channel().basic_publish("", "nowhere", b"x")
        waited(connection, events, ["low on memory"])
        b.reload({})
        waited(connection, events, ["low on memory", "unblocked"])
        connection.close()
