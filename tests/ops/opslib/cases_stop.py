"""A graceful stop ends, whoever does not take his leave: within shutdown_timeout and what the store needs."""

import json
import os
import signal
import socket
import subprocess
import time

import pika

from . import certs
from .api import basic
from .broker import Broker, environment, programs
from .raw import Raw, dial
from .suite import case, equal

SLACK = 15  # seconds: what is durable is stored, on a busy machine
QUEUES, MANY = 3000, 20000


def filled(b):
    """Enough that no listing of it fits into buffers."""
    connection = b.pika()
    channel = connection.channel()
    for i in range(QUEUES):
        channel.queue_declare(f"{i:0200}", durable=False)
    channel.queue_declare("full", durable=True)
    for _ in range(300):
        channel.basic_publish("", "full", b"x" * 65536, pika.BasicProperties(delivery_mode=2))
    connection.close()


def command(b, *words, data=b""):
    """A client of the control socket that says what it wants and reads nothing."""
    s = socket.socket(socket.AF_UNIX)
    s.connect(os.path.join(b.data, "control.sock"))
    s.sendall(json.dumps({"control": 1, "words": list(words)}).encode() + b"\n" + data)
    return s


def web(b, request, body=b""):
    port = int(b.logged(r"listening on 127\.0\.0\.1:(\d+) \(http\)").group(1))
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.connect(("127.0.0.1", port))
    s.sendall(f"{request} HTTP/1.1\r\nhost: x\r\nauthorization: {basic('guest', 'guest')}\r\n".encode() + body)
    return s


def tls_port(b):
    return next(port for _, port, protocol in b.listeners() if protocol == "amqp/ssl")


def amqp_that_reads_nothing(b):
    connection = b.pika()
    channel = connection.channel()
    channel.basic_consume("full", lambda *_: None)
    return connection


def amqp_that_stays(b):
    return Raw(b.port).connect()


def amqp_that_says_nothing(b):
    return dial(b.port)


def tls_half_way(b):
    s = dial(tls_port(b))
    s.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
    return s


def tls_that_says_nothing(b):
    return dial(tls_port(b))


def live_log(b):
    return web(b, "GET /api/livelog", b"\r\n")


def page_that_nobody_reads(b):
    return [web(b, "GET /api/queues?disable_stats=false", b"\r\n") for _ in range(4)]


def definitions_that_nobody_reads(b):
    return [web(b, "GET /api/definitions", b"\r\n") for _ in range(4)]


def request_without_its_body(b):
    return web(b, "POST /api/definitions", b"content-type: application/json\r\ncontent-length: 1000000\r\n\r\n{")


def half_a_request(b):
    return web(b, "GET /api/overview", b"")


def many():
    """Definitions that take seconds to put."""
    return json.dumps({"queues": [{"name": f"q{i}", "vhost": "/", "durable": True, "auto_delete": False, "arguments": {}}
                                  for i in range(MANY)]})


def import_by_http(b):
    body = many().encode()
    return web(b, "POST /api/definitions", f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)


def search_of_messages(b):
    return [web(b, "GET /api/queues/%2F/full/messages?search=nowhere&count=100", b"\r\n") for _ in range(4)]


def listing_that_nobody_reads(b):
    return [command(b, "list_queues", "name", "arguments", "state") for _ in range(4)]


def observer(b):
    return command(b, "observer")


def live_streams(b):
    return [command(b, words) for words in ("log_tail_stream", "consume_event_stream")]


def trace(b):
    raw = Raw(b.port).connect()
    return raw, command(b, "trace", b.rows("list_connections", "pid")[0]["pid"])


def import_without_its_file(b):
    return command(b, "import_definitions", "/tmp/x")


def import_half_sent(b):
    return command(b, "import_definitions", "-", data=b'{"answer": null}\n{"data": 5}\n{"vho')


def import_at_work(b):
    b.write("big.json", many())
    words = [programs["jackalopectl"], "--control", os.path.join(b.data, "control.sock"), "import_definitions", b.path("big.json")]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())


def export_that_nobody_reads(b):
    return command(b, "export_definitions", "-", data=b'{"answer": null}\n')


def backup(b):
    return command(b, "backup", b.path("backup"))


def password_that_nobody_types(b):
    return command(b, "add_user", "x")


def half_a_command(b):
    s = socket.socket(socket.AF_UNIX)
    s.connect(os.path.join(b.data, "control.sock"))
    s.sendall(b'{"control": 1, "wo')
    return s


# those that AMQP's close reaches but who do not go are waited for
STAY = (amqp_that_reads_nothing, amqp_that_stays, trace)
OTHERS = (amqp_that_says_nothing, tls_half_way, tls_that_says_nothing, live_log, page_that_nobody_reads,
          definitions_that_nobody_reads, request_without_its_body, half_a_request, import_by_http, search_of_messages,
          listing_that_nobody_reads, observer, live_streams, import_without_its_file, import_half_sent, import_at_work,
          export_that_nobody_reads, backup, password_that_nobody_types, half_a_command)


def stop_with(hangers, timeout=1, second=False):
    with Broker({"shutdown_timeout": f"{timeout}s", "management": {"listeners": ["127.0.0.1:0"]},
                 "ssl_options": certs.server().pair()},
                listeners=["127.0.0.1:0", {"address": "127.0.0.1:0", "tls": True}]) as b:
        filled(b)
        kept = [hang(b) for hang in hangers]
        time.sleep(0.2)
        b.signal(signal.SIGTERM)
        if second:
            b.logged("SIGTERM received")
            b.signal(signal.SIGTERM)
        try:
            equal(b.wait(1 + SLACK), 0)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still there after {1 + SLACK} s") from None
        for one in kept:
            if isinstance(one, subprocess.Popen):
                one.wait(20)


@case
def clients_that_stay_are_waited_for():
    for hang in STAY:
        stop_with([hang])


@case
def nobody_else_is_waited_for():
    stop_with(OTHERS, timeout=60)


@case
def everybody_at_once():
    stop_with(STAY + OTHERS)


@case
def a_second_signal():
    stop_with(STAY + OTHERS, timeout=60, second=True)
