"""Limits of the node: what is refused with which words, what a reload changes, what is shown."""

import contextlib
import json

from .broker import Broker
from .raw import Raw
from .suite import case, equal, holds, refused, until


SHOWN = ["connection_max", "channel_max_per_node", "consumer_max_per_channel", "vhost_max", "cluster_queue_limit",
         "cluster_exchange_limit", "runtime_parameters.limits.shovel", "runtime_parameters.limits.federation-upstream",
         "runtime_parameters.limits.federation-upstream-set"]


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
        equal(list(b.rows("status")["limits"]), SHOWN)
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


@case
def types_of_queues():
    with Broker({"default_queue_type": "quorum", "queue_types.classic.enabled": False}) as b:
        c = b.pika()
        c.channel().queue_declare("q", durable=True)
        equal(b.rows("list_queues", "name", "type"), [{"name": "q", "type": "quorum"}])
        with says("of type 'rabbit_classic_queue': the corresponding feature flag is disabled"):
            c.channel().queue_declare("k", durable=True, arguments={"x-queue-type": "classic"})
        c = b.pika()
        b.told("add_vhost", "own", "--default-queue-type", "classic")
        b.reload({"queue_types": {"classic": {"enabled": True}, "quorum": {"enabled": False}}})
        c.channel().queue_declare("k", durable=True)
        c.channel().queue_declare("q", durable=True, passive=True)
        with says("of type 'rabbit_quorum_queue'"):
            c.channel().queue_declare("other", durable=True, arguments={"x-queue-type": "quorum"})


@case
def a_quorum_queue_is_declared_as_a_classic_one():
    key = "quorum_queue.property_equivalence.relaxed_checks_on_redeclaration"
    with Broker({key: True}) as b:
        c = b.pika()
        c.channel().queue_declare("q", durable=True, arguments={"x-queue-type": "quorum"})
        other = b.pika()
        for connection in (c, other):
            connection.channel().queue_declare("q", exclusive=True, arguments={"x-queue-type": "classic"})
            with says("inequivalent arg"):
                connection.channel().queue_declare("q", auto_delete=True, durable=True)
        b.reload({key: False})
        with says("inequivalent arg 'x-queue-type'"):
            c.channel().queue_declare("q", durable=True, arguments={"x-queue-type": "classic"})
        c.close()
        other.close()


@case
def a_virtual_host_is_protected_from_deletion():
    with Broker() as b:
        b.told("add_vhost", "v", "--description", "kept")
        b.told("enable_vhost_protection_from_deletion", "v")
        for _ in range(2):
            code, _, err = b.ctl("delete_vhost", "v")
            holds(code == 65 and "Cannot delete this virtual host: it is protected from deletion." in err, f"{code} {err}")
            b.stop()
            b.start()
        b.told("add_vhost", "v", "--description", "another")
        holds({"name": "v", "description": "another", "protected_from_deletion": True} in
              b.rows("list_vhosts", "name", "description", "protected_from_deletion"), "kept over a start and a change")
        exported = b.rows("export_definitions", "-")
        equal([v["metadata"].get("protected_from_deletion") for v in exported["vhosts"] if v["name"] == "v"], [True])
        b.told("disable_vhost_protection_from_deletion", "v")
        b.told("delete_vhost", "v")
        b.write("defs.json", json.dumps(exported))
        b.told("import_definitions", b.path("defs.json"))
        equal(b.ctl("delete_vhost", "v")[0], 65)
        equal(b.ctl("enable_vhost_protection_from_deletion", "none")[0], 65)
