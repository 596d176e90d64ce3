"""SIGHUP: the difference is told, what can apply at once does, what is wrong changes nothing."""

import contextlib
import json
import os
import socket
import stat
import tempfile
import threading

import pika

from crew import free_port

from .broker import Broker, round_trip
from .certs import once, server, authority, serial_of, trusting
from .raw import Raw, Refused, dial
from .suite import case, equal, holds, refused, until


def open_at(address, **more):
    try:
        Raw(address, **more).connect().leave()
        return True
    except (ConnectionRefusedError, FileNotFoundError):
        return False


@case
def nothing_changed():
    with Broker({"amqp.heartbeat": 30}) as b:
        for _ in range(5):
            said = b.reload()
            equal(said.count("\n"), 1, said)
            holds("[info] config: configuration reloaded, 0 keys changed" in said, said)
        code, _, err = b.ctl("reload")
        equal((code, err), (0, ""))


@case
def for_new_connections():
    with Broker({"amqp": {"heartbeat": 30, "channel_max": 100, "frame_max": 10000}}) as b:
        old = Raw(b.port)
        old.greet()
        equal(old.login(), (100, 10000, 30))
        old.open()
        said = b.reload({"amqp": {"heartbeat": 31, "channel_max": 3, "frame_max": 20000, "max_message_size": 10},
                         "auth_mechanisms": ["AMQPLAIN", "PLAIN"]})
        for line in ("amqp.heartbeat: 31s, was 30s; applies to new connections",
                     "amqp.channel_max: 3, was 100; applies to new connections",
                     "amqp.frame_max: 20000, was 10000; applies to new connections",
                     'auth_mechanisms: ["AMQPLAIN", "PLAIN"], was ["PLAIN", "AMQPLAIN", "ANONYMOUS"]; applies to new connections',
                     "configuration reloaded, 5 keys changed"):
            holds(f"[info] config: {line}" in said, f"{line}: {said}")
        new = Raw(b.port)
        equal(new.greet(), ["AMQPLAIN", "PLAIN"])
        equal(new.login(), (3, 20000, 31))
        new.open()
        for channel in (1, 2, 3):
            new.open_channel(channel)
        with refused(Refused, text="530"):
            new.open_channel(4)
        new.send(10, 51)
        new.drop()
        for channel in range(1, 20):
            old.open_channel(channel + 1)
        old.round_trip().leave()
        with refused(pika.exceptions.AMQPError):
            with contextlib.closing(b.pika()) as connection:
                round_trip(connection, body=b"longer than ten bytes")


@case
def what_needs_a_restart_is_said():
    with Broker({"shards": 2}) as b:
        said = b.reload({"shards": 3, "node_name": "other@host", "loopback_users": [], "control.mode": "0660",
                         "pid_file": b.path("pid"), "default_pass": "secret-pass",
                         "definitions": {"queues": [{"name": "q"}]}})
        for key in ("node_name: \"other@host\", was ", "loopback_users: [], was [\"guest\"]", "control.mode: 0660, was 0600",
                    "pid_file: ", "default_pass: <hidden>, was <hidden>", "definitions.queues: "):
            holds(f"[warning] config: {key}" in said, f"{key}: {said}")
        equal(said.count("applies at the next start"), 6, said)
        equal(b.reload().count("applies at the next start"), 6, "it is told again")
        holds("secret-pass" not in said, "no password is told")
        holds("shards" not in said, "the flag counts for more than the file")
        equal(b.rows("list_queues"), [])
        holds(not os.path.exists(b.path("pid")), "no pid file yet")
        for command in ("status", "environment"):
            holds("other@host" not in b.told(command), f"the node's name stays in {command}")
        Raw(b.port).connect().leave()


@case
def data_directory_and_control_socket_stay():
    with Broker() as b:
        said = b.reload({"control.path": b.path("elsewhere.sock"), "amqp.heartbeat": 3})
        holds("control.path: " in said and "applies at the next start" in said, said)
        holds(not os.path.exists(b.path("elsewhere.sock")), "not moved")
        status = b.told("status")
        holds(b.data in status, status)


@case
def log_levels():
    with Broker({"log.level": "warning"}) as b:
        Raw(b.port).connect().leave()
        holds("authenticated" not in b.log(), b.log())
        said = None
        b.write_config({"log": {"level": "warning", "connection": {"level": "info"}, "config": {"level": "info"}}})
        since = b.mark()
        b.signal(1)
        b.logged("configuration reloaded, 2 keys changed", since)
        Raw(b.port).connect().leave()
        b.logged("authenticated", since)
        # an operator's word stays over a reload that changes no level
        b.told("set_log_level", "--category", "connection", "error")
        said = b.reload({"log": {"level": "warning", "connection": {"level": "info"}, "config": {"level": "info"}},
                         "amqp.heartbeat": 7})
        since = b.mark()
        Raw(b.port).connect().leave()
        equal(b.log()[since:], "")
        b.reload({"log": {"level": "info", "connection": {"level": "info"}, "config": {"level": "info"}}})
        Raw(b.port).connect().leave()
        b.logged("authenticated", since)
        holds(said, "said")


@case
def log_output_and_format():
    with Broker() as b:
        b.reload()
        b.write_config({"log": {"file": b.path("log"), "format": "json"}})
        b.signal(1)
        until(lambda: os.path.exists(b.path("log")) and "reloaded" in open(b.path("log")).read(), "the log in the file")
        lines = [json.loads(line) for line in open(b.path("log"))]
        holds(any(line["msg"].startswith("log.format: json, was text; applies now") for line in lines), lines)
        before = b.log()
        Raw(b.port).connect().leave()
        until(lambda: "authenticated" in open(b.path("log")).read(), "lines go to the file")
        equal(b.log(), before, "stderr")
        size = os.path.getsize(b.path("log"))
        b.write_config({"log": {"file": "/nonexistent/log"}})
        b.signal(1)
        until(lambda: "reloaded" in open(b.path("log")).read()[size:], "the log stays in the file")
        holds("the log stays where it was: No such file or directory" in open(b.path("log")).read(), "it says so")
        os.mkdir(b.path("later"))
        b.write_config({"log.file": b.path("later/gone/log")})
        b.signal(1)
        until(lambda: open(b.path("log")).read().count("the log stays where it was") == 2, "it cannot be opened yet")
        os.mkdir(b.path("later/gone"))
        b.signal(1)
        until(lambda: os.path.exists(b.path("later/gone/log")), "the file that could not be opened before")
        b.write_config({"log.output": "stderr"})
        b.signal(1)
        until(lambda: "reloaded" in b.log()[len(before):], b.log)


@case
def listeners_come_and_go():
    one, two, six = free_port(), free_port(), free_port(socket.AF_INET6)
    with tempfile.TemporaryDirectory() as d:
        path = f"{d}/amqp.sock"
        with Broker(listeners=[f"127.0.0.1:{one}"]) as b:
            old = b.pika(one)
            said = b.reload(listeners=[f"127.0.0.1:{one}", f"127.0.0.1:{two}", f"[::1]:{six}", {"address": f"unix:{path}", "mode": "0600"}])
            for word in (f"listening on 127.0.0.1:{two}", f"listening on [::1]:{six}", f"listening on unix:{path}"):
                holds(f"[info] connection: {word} (amqp)" in said, said)
            holds("no longer listening" not in said and f"listening on 127.0.0.1:{one}" not in said, said)
            equal(b.ports(), [one, two, six, 0])
            for address in (one, two, ("::1", six), path):
                holds(open_at(address), f"{address} listens")
            staying = Raw(path).connect()
            said = b.reload(listeners=[f"127.0.0.1:{two}", {"address": f"unix:{path}", "mode": "0666"}])
            holds(f"no longer listening on 127.0.0.1:{one}" in said and f"no longer listening on [::1]:{six}" in said, said)
            equal(stat.S_IMODE(os.stat(path).st_mode), 0o666)
            for address, wanted in ((one, False), (two, True), (("::1", six), False), (path, True)):
                equal(open_at(address), wanted, f"{address} listens")
            staying.round_trip().leave()
            said = b.reload(listeners=[f"127.0.0.1:{two}"])
            holds(not os.path.exists(path), "the socket's file is gone")
            round_trip(old)
            old.close()


@case
def listener_that_cannot_be():
    with socket.socket() as taken, Broker() as b:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = taken.getsockname()[1]
        said = b.reload(listeners=["127.0.0.1:0", f"127.0.0.1:{busy}"])
        holds(f"[error] config: cannot listen on 127.0.0.1:{busy}: Address already in use" in said, said)
        Raw(b.port).connect().leave()
        taken.close()
        said = b.reload()  # the next one tries again
        holds(f"listening on 127.0.0.1:{busy}" in said, said)
        holds(open_at(busy), "it listens")


@case
def all_listeners_go():
    with Broker() as b:
        port = b.port
        old = Raw(port).connect()
        b.reload(listeners=[])
        equal(b.listeners(), [])
        holds(not open_at(port), "nobody listens")
        old.round_trip().leave()
        b.reload(listeners=[f"127.0.0.1:{port}"])
        holds(open_at(port), "it listens again")


@case
def tls_comes_to_a_port_and_goes():
    port = free_port()
    tls = {"address": f"127.0.0.1:{port}", "tls": True}
    with Broker(listeners=[f"127.0.0.1:{port}"]) as b:
        said = b.reload({"ssl_options": {"certfile": "/nonexistent", "keyfile": "/nonexistent"}}, [tls])
        holds("[error] config: cannot load the certificate /nonexistent: No such file" in said, said)
        holds(open_at(port), "the plain one stays rather than none")
        said = b.reload({"ssl_options": server().pair()}, [tls])
        holds(f"listening on 127.0.0.1:{port} (amqp, tls)" in said, said)
        Raw(port, tls=trusting()).connect().leave()
        b.reload({}, [f"127.0.0.1:{port}"])
        holds(open_at(port), "plain again")


@case
def tls_sets_come_and_go():
    other = once("other-server", common="localhost", names=["DNS:localhost"], issuer=authority())

    def serial(port):
        with trusting(check=False).wrap_socket(dial(port)) as s:
            return serial_of(s.getpeercert(True))

    with Broker({"ssl_options": server().pair()}, [{"address": "127.0.0.1:0", "tls": True}]) as b:
        first = b.port
        second = free_port()
        item = {"address": f"127.0.0.1:{second}", "tls": True, "tls_set": "other"}
        both = [{"address": "127.0.0.1:0", "tls": True}, item]
        b.reload({"ssl_options": server().pair(), "tls_sets": [{"name": "other", **other.pair()}]}, both)
        equal((serial(first), serial(second)), (server().serial, other.serial))
        b.reload({"ssl_options": server().pair(), "tls_sets": [{"name": "renamed", **server("rsa").pair()}]},
                 [both[0], {**item, "tls_set": "renamed"}])
        equal((serial(first), serial(second)), (server().serial, server("rsa").serial))
        said = b.reload({"ssl_options": server().pair()}, [both[0], item])
        holds("there is no item 'other' in tls_sets" in said and "the former one stays" in said, said)
        equal(serial(second), server("rsa").serial)


@case
def memory_watermark():
    with Broker({"vm_memory_high_watermark": 0.6}) as b:
        connection = b.pika()
        blocked = []
        connection.add_on_connection_blocked_callback(lambda *_: blocked.append(True))
        connection.add_on_connection_unblocked_callback(lambda *_: blocked.append(False))
        channel = connection.channel()
        channel.queue_declare("q")
        said = b.reload({"vm_memory_high_watermark": "1MiB"})
        holds("vm_memory_high_watermark: 1MiB, was 0.6; applies now" in said, said)
        b.logged("memory resource limit alarm set")
        holds("Memory alarm" in b.told("alarms"), "the alarm is shown")
        channel.basic_publish("", "q", b"x")
        until(lambda: connection.process_data_events(0.05) or blocked, "connection.blocked")
        equal(blocked, [True])
        equal(b.connections("state")[0]["state"], "blocked")
        b.reload({"vm_memory_high_watermark": 0.6})
        b.logged("memory resource limit alarm cleared")
        until(lambda: connection.process_data_events(0.05) or blocked[-1] is False, "connection.unblocked")
        until(lambda: channel.basic_get("q", auto_ack=True)[0], "the message")
        connection.close()


@case
def broken_configuration_changes_nothing():
    with Broker({"amqp.heartbeat": 30}) as b:
        port = b.port
        old = Raw(port).connect()
        for text, error in (("amqp.heartbeat: 31\nbogus: 1\n", "a.yaml:2: unknown key 'bogus'"),
                            ("amqp: [\n", "not YAML"), ("amqp.heartbeat: x\nshards: y\n", "shards: 'y' is not a whole number"),
                            ("listeners: nonsense\n", "listeners"), ("", None)):
            b.write("jackalope.yaml", text)
            if error is None:
                os.unlink(b.path("jackalope.yaml"))
                error = "cannot be read: No such file"
            since = b.mark()
            b.signal(1)
            b.logged("the configuration was not reloaded, the former one stays", since)
            said = b.log()[since:]
            holds(error.replace("a.yaml", "jackalope.yaml") in said and "[error] config" in said, said)
            code, _, err = b.ctl("reload")
            holds(code != 0 and error.replace("a.yaml", "jackalope.yaml") in err, f"{code}: {err}")
            client = Raw(port)
            client.greet()
            equal(client.login()[2], 30)
            client.open().leave()
        equal(b.ports(), [port])
        old.round_trip().leave()
        said = b.reload({"amqp.heartbeat": 32})
        holds("amqp.heartbeat: 32s, was 30s" in said, said)


@case
def conf_d_is_read_again():
    with Broker({"amqp.heartbeat": 30}) as b:
        os.mkdir(b.path("conf.d"))
        b.write("conf.d/10.yaml", "amqp.heartbeat: 40\n")
        holds("amqp.heartbeat: 40s, was 30s" in b.reload(), "a file came")
        os.unlink(b.path("conf.d/10.yaml"))
        holds("amqp.heartbeat: 30s, was 40s" in b.reload(), "a file went")


@case
def flags_stay_above_the_file():
    with Broker({"amqp.heartbeat": 30}, words=["--amqp.heartbeat", "50"]) as b:
        holds("0 keys changed" in b.reload({"amqp.heartbeat": 31}), "the flag counts")
        client = Raw(b.port)
        client.greet()
        equal(client.login()[2], 50)
        client.drop()


@case
def many_at_once():
    """A flood of SIGHUP under traffic, with listeners that come and go."""
    extra = free_port()
    with Broker(shards=3) as b:
        failures, rounds, stop = [], [0], threading.Event()

        def traffic(n):
            try:
                connection = b.pika()
                while not stop.is_set():
                    round_trip(connection, f"q{n}")
                    rounds[0] += 1
                connection.close()
            except Exception as error:  # told by the case
                failures.append(error)

        threads = [threading.Thread(target=traffic, args=(n,)) for n in range(2)]
        for t in threads:
            t.start()
        for i in range(30):
            b.write_config({"amqp.heartbeat": 20 + i}, ["127.0.0.1:0"] + [f"127.0.0.1:{extra}"] * (i % 2))
            b.signal(1)
            if i % 3 == 0:
                b.reload()
        until(lambda: rounds[0] > 20 or failures, "traffic")
        stop.set()
        for t in threads:
            t.join()
        equal(failures, [])
        b.reload({"amqp.heartbeat": 5}, ["127.0.0.1:0"])
        client = Raw(b.port)
        client.greet()
        equal(client.login()[2], 5)
        client.drop()


@case
def shutdown_timeout():
    with Broker({"shutdown_timeout": "60s"}) as b:
        silent = Raw(b.port).connect()
        b.reload({"shutdown_timeout": "200ms"})
        b.signal(15)
        equal(b.wait(5), 0)
        silent.drop()
