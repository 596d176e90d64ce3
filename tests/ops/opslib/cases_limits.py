"""Limits of the node: what is refused with which words, what a reload changes, what is shown."""

import contextlib

from .broker import Broker
from .raw import Raw
from .suite import case, equal, holds, refused, until


def says(text):
    return refused(Exception, text=text)


@case
def connections_and_channels_of_the_node():
    with Broker({"connection_max": 2, "channel_max_per_node": 3, "node_name": "jk@here"}) as b:
        first, second = b.pika(), b.pika()
        with says("connection refused: node connection limit (2) is reached"):
            b.pika()
        first.close()
        until(lambda: b.rows("status")["totals"]["connection_count"] == 1, "it is gone")
        first = b.pika()
        channels = [first.channel(), second.channel(), second.channel()]
        with says("number of channels opened on node 'jk@here' has reached the maximum allowed limit of (3)"):
            first.channel()
        until(lambda: b.rows("status")["totals"]["connection_count"] == 1, "the whole connection is gone")
        second.channel()
        channels[1].close()
        second.channel()
        second.close()


@case
def consumers_of_a_channel():
    with Broker({"consumer_max_per_channel": 2}) as b:
        c = b.pika()
        ch = c.channel()
        ch.queue_declare("q")
        tags = [ch.basic_consume("q", lambda *_: None) for _ in range(2)]
        ch.basic_cancel(tags[0])
        ch.basic_consume("q", lambda *_: None)
        with says("NOT_ALLOWED - reached maximum (2) of consumers per channel"):
            ch.basic_consume("q", lambda *_: None)
        holds(c.is_closed, "530 closes the connection")


@case
def queues_exchanges_and_vhosts():
    with Broker({"cluster_queue_limit": 2, "cluster_exchange_limit": 8, "vhost_max": 1}) as b:
        with contextlib.closing(b.pika()) as c:
            for name in ("a", "b", "a"):
                c.channel().queue_declare(name)
            with says("PRECONDITION_FAILED - cannot declare queue 'c': queue limit in cluster (2) is reached"):
                c.channel().queue_declare("c", exclusive=True)
            c.channel().queue_delete("a")
            c.channel().queue_declare("c", exclusive=True)
            for name in ("x", "x", "amq.direct"):
                c.channel().exchange_declare(name, "direct", durable=name != "x")
            with says("PRECONDITION_FAILED - cannot declare exchange 'y' in vhost '/': exchange limit of 8 is reached"):
                c.channel().exchange_declare("y")
        code, _, err = b.ctl("add_vhost", "more")
        holds(code == 64 and "cannot create vhost 'more': vhost limit of 1 is reached" in err, f"{code} {err}")


@case
def limits_reload():
    with Broker({"connection_max": 1}) as b:
        first = b.pika()
        equal(b.rows("status")["limits"]["connection_max"], 1)
        equal(b.rows("status")["limits"]["vhost_max"], "infinity")
        said = b.reload({"max_connections": "infinity", "cluster_queue_limit": 0})
        for line in ("connection_max: infinity, was 1; applies now", "cluster_queue_limit: 0, was infinity; applies now"):
            holds(line in said, said)
        b.pika().close()
        with says("queue limit in cluster (0) is reached"):
            first.channel().queue_declare("q")
        holds("Queues: 0, limit: 0" in b.ctl("status")[1], "shown")
        holds("cluster_queue_limit" in b.ctl("environment")[1], "shown")
        b.reload({"connection_max": 1})
        with says("node connection limit (1) is reached"):
            b.pika()
        first.channel()
        first.close()


@case
def names_of_channel_max():
    for name in ("channel_max", "max_channels_per_connection", "amqp.channel_max"):
        with Broker({name: 7}) as b:
            raw = Raw(b.port)
            raw.greet()
            equal(raw.login()[0], 7)
            raw.drop()


@case
def connections_of_a_listener():
    with Broker(listeners=[{"address": "127.0.0.1:0", "max_connections": 2}]) as b:
        first, second = Raw(b.port), Raw(b.port)
        first.greet()
        second.greet()
        third = Raw(b.port)
        third.socket.settimeout(0.3)
        with refused(TimeoutError):
            third.greet()
        third.drop()
        first.drop()
        fourth = Raw(b.port)
        fourth.greet()
        fourth.drop()
        second.drop()
