"""Heartbeats: negotiated, sent, missed; clients that hang."""

import contextlib
import signal
import subprocess
import sys
import threading
import time

from .broker import Broker, round_trip
from .raw import Raw, Refused
from .suite import case, equal, holds, until


def idle_client(port, heartbeat, script="connection.sleep(60)"):
    """A process with a pika connection that holds a message without acknowledging it."""
    text = f"""
import pika
connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", {port}, heartbeat={heartbeat}))
channel = connection.channel()
channel.queue_declare("held")
print(channel.basic_get("held")[2][:20], flush=True)
{script}
"""
    return subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextlib.contextmanager
def running(process):
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


@case
def negotiated():
    for offered, asked, wanted in ((60, None, 60), (60, 20, 20), (60, 0, 0), (10, 600, 600), (0, 30, 30), (0, None, 0),
                                   (60, lambda connection, proposed: proposed // 2, 30)):
        with Broker({"amqp.heartbeat": offered}) as b:
            connection = b.pika(heartbeat=asked)
            equal(b.connections("timeout")[0]["timeout"], wanted, f"offered {offered}, asked {asked}")
            round_trip(connection)
            connection.close()


@case
def sent_and_received():
    """Clients side by side for a while: two that are alive, one that listens only, one without heartbeats."""
    with Broker({"amqp.heartbeat": 1}) as b:
        good = b.pika(heartbeat=1)
        deaf = Raw(b.port).connect(heartbeat=0)
        mute = Raw(b.port).connect(heartbeat=1)
        busy = Raw(b.port).connect(heartbeat=1)
        alive = threading.Event()

        def work():
            while not alive.wait(0.2):  # traffic counts as well as heartbeats
                busy.open_channel()
                busy.send(20, 40, b"\0\xc8\0\0\0\0\0", 1)
                busy.expect(20, 41)

        threads = [threading.Thread(target=lambda: good.sleep(4)), threading.Thread(target=work)]
        for t in threads:
            t.start()
        began = time.monotonic()
        frames = []
        with contextlib.suppress(Refused, ConnectionError):
            while time.monotonic() - began < 20:
                frames.append((mute.frame(), time.monotonic() - began))
        ended = time.monotonic() - began
        holds(all(f == (8, 0, b"") for f, _ in frames) and len(frames) >= 2, f"heartbeats of the broker: {frames}")
        holds(1.8 <= ended <= 4, f"dropped after {ended} s")
        b.logged("missed heartbeats from client, timeout: 1s")
        threads[0].join()
        alive.set()
        threads[1].join()
        round_trip(good)
        good.close()
        busy.leave()
        deaf.round_trip().leave()
        equal(b.log().count("missed heartbeats from client"), 1)


@case
def stopped_client_is_dropped():
    with Broker() as b:
        feeder = b.pika()
        channel = feeder.channel()
        channel.queue_declare("held")
        channel.confirm_delivery()
        channel.basic_publish("", "held", b"precious")
        with running(idle_client(b.port, 1)) as client:
            equal(client.stdout.readline(), "b'precious'\n")
            equal(b.rows("list_queues", "messages_unacknowledged"), [{"messages_unacknowledged": 1}])
            time.sleep(2.5)  # it answers, so it stays
            equal(len(b.connections()), 2)
            began = time.monotonic()
            client.send_signal(signal.SIGSTOP)
            b.logged("missed heartbeats from client, timeout: 1s")
            took = time.monotonic() - began
            holds(1 <= took <= 4, f"noticed after {took} s")
            until(lambda: len(b.connections()) == 1, "it is gone")
            method, _, body = channel.basic_get("held", auto_ack=True)
            equal((body, method.redelivered), (b"precious", True))
            client.send_signal(signal.SIGCONT)
            holds(client.wait(20) != 0, "the client learns of it")
        feeder.close()


@case
def client_that_never_reads_is_dropped():
    """A consumer that hangs with its socket full is found out as well."""
    with Broker() as b:
        feeder = b.pika()
        channel = feeder.channel()
        channel.queue_declare("held")
        channel.confirm_delivery()
        for _ in range(20):
            channel.basic_publish("", "held", bytes(1 << 20))
        script = ("channel.basic_consume('held', lambda *_: None)\n"
                  "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\n")
        with running(idle_client(b.port, 1, script)) as client:
            until(lambda: client.poll() is None and state_of(client.pid) == "T", "it hangs")
            until(lambda: len(b.connections()) == 1, "it is dropped", 10)
            b.logged("missed heartbeats from client")
            equal(b.rows("list_queues", "messages_ready"), [{"messages_ready": 20}])
        feeder.close()


def state_of(pid):
    with open(f"/proc/{pid}/stat") as f:
        return f.read().rsplit(")", 1)[1].split()[0]


@case
def long_work_without_heartbeats():
    """A client that switched them off may be silent for as long as it likes."""
    with Broker({"amqp.heartbeat": 1}) as b:
        connection = b.pika(heartbeat=0)
        time.sleep(3)
        round_trip(connection)
        connection.close()
        holds("missed" not in b.log(), b.log())
