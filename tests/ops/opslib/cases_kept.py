"""What is kept over a restart: definitions, whoever made them and however the process ended."""

import json
import signal
import threading

import pika

from .broker import Broker
from .suite import case, equal, holds, refused

ENDS = ("stopped", "killed")
LISTS = {"list_vhosts": ("name", "description", "tags", "default_queue_type"), "list_users": (),
         "list_permissions": (), "list_topic_permissions": (),
         "list_policies": (), "list_operator_policies": (), "list_parameters": (), "list_global_parameters": (),
         "list_exchanges": ("name", "type", "durable", "auto_delete", "internal", "arguments"),
         "list_queues": ("name", "durable", "auto_delete", "arguments", "exclusive", "policy", "operator_policy",
                         "effective_policy_definition"),
         "list_bindings": ("source_name", "destination_name", "destination_kind", "routing_key", "arguments")}
OF_ALL = ("list_vhosts", "list_users", "list_global_parameters")


def restart(b, how):
    if how == "killed":
        b.kill()
    else:
        equal(b.stop(), 0, "exit code")
    b.start()


def everything(b):
    """All that is listed, in an order of its own."""
    rows = {name: b.rows(name, *columns) for name, columns in LISTS.items() if name in OF_ALL}
    for vhost in rows["list_vhosts"]:
        for name, columns in LISTS.items():
            if name not in OF_ALL:
                rows[f"{vhost['name']} {name}"] = b.rows("-p", vhost["name"], name, *columns)
    return {name: sorted(json.dumps(row, sort_keys=True) for row in listed) for name, listed in rows.items()}


def same(b, wanted):
    got = everything(b)
    equal(sorted(got), sorted(wanted), "lists")
    for name, rows in wanted.items():
        equal(got[name], rows, name)


def make_all(b):
    """Only what is durable."""
    b.told("add_vhost", "shop", "--description", "of the shop", "--tags", "a,b")
    b.told("add_user", "app", "pw")
    b.told("set_user_tags", "app", "monitoring", "other")
    b.told("set_permissions", "-p", "shop", "app", "^c", "w$", ".*")
    b.told("set_permissions", "-p", "shop", "guest", ".*", ".*", ".*")
    b.told("set_topic_permissions", "-p", "shop", "app", "events", "^a", "^{username}")
    b.told("set_policy", "-p", "shop", "--priority", "-2", "--apply-to", "queues", "p", "^q", '{"max-length":5}')
    b.told("set_operator_policy", "-p", "shop", "o", "", '{"max-length":4,"message-ttl":1000000}')
    b.told("set_vhost_limits", "-p", "shop", '{"max-queues":100,"max-connections":-1}')
    b.told("set_user_limits", "app", '{"max-channels":7}')
    b.told("set_global_parameter", "g", '{"a":[1,2.5,null,"x"]}')
    for vhost in ("/", "shop"):
        connection = b.pika(virtual_host=vhost)
        channel = connection.channel()
        channel.exchange_declare("events", "topic", durable=True, arguments={"alternate-exchange": "lost"})
        channel.exchange_declare("lost", "fanout", durable=True, internal=True)
        channel.exchange_declare("auto", "headers", durable=True, auto_delete=True)
        channel.queue_declare("q", durable=True, arguments={"x-max-length": 10, "x-message-ttl": 100000})
        channel.queue_declare("auto", durable=True, auto_delete=True)
        channel.queue_declare("quorum", durable=True, arguments={"x-queue-type": "quorum"})
        channel.queue_declare("ø" * 100, durable=True)
        for key in ("a.#", "b.*", ""):
            channel.queue_bind("q", "events", key)
        channel.queue_bind("q", "auto", "", {"x-match": "any", "n": 1, "s": "text"})
        channel.queue_bind("ø" * 100, "amq.direct", "å" * 120)
        channel.exchange_bind("lost", "events", "#")
        connection.close()


@case
def hash_rings_stay_as_they_are():
    """Keys go on to the queues they went to: the order of bindings is that of their making."""
    queues = [f"q{n}" for n in (10, 2, 33, 1, 7, 21, 5)]

    def where(b):
        """Which queue each key goes to, for both types."""
        found = []
        with b.pika() as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            for kind in ("ring", "modulus"):
                for key in range(40):
                    channel.basic_publish(kind, str(key), b"")
                    counts = [channel.queue_purge(queue).method.message_count for queue in queues]
                    equal(sum(counts), 1, "copies")
                    found.append(counts.index(1))
        return found

    with Broker() as b:
        connection = b.pika()
        channel = connection.channel()
        channel.exchange_declare("ring", "x-consistent-hash", durable=True)
        channel.exchange_declare("modulus", "x-modulus-hash", durable=True)
        for n, queue in enumerate(queues):
            channel.queue_declare(queue, durable=True)
            channel.queue_bind(queue, "ring", str(1 + n % 3))
            channel.queue_bind(queue, "modulus", "")
        channel.queue_unbind(queues[2], "ring", "3")
        channel.queue_bind(queues[2], "ring", "4")
        connection.close()
        ring = b.told("consistent_hash_exchange_ring_state", "ring")
        equal(len(ring.splitlines()), 14, "buckets")
        ways = where(b)
        for how in ENDS:
            restart(b, how)
            equal(b.told("consistent_hash_exchange_ring_state", "ring"), ring, "ring")
            equal(where(b), ways, "ways")


@case
def definitions_come_back():
    for how in ENDS:
        with Broker() as b:
            make_all(b)
            wanted = everything(b)
            for _ in range(2):
                restart(b, how)
                same(b, wanted)
            connection = b.pika(virtual_host="shop")
            channel = connection.channel()
            channel.queue_declare("q", durable=True, arguments={"x-max-length": 10, "x-message-ttl": 100000})
            channel.confirm_delivery()
            channel.basic_publish("events", "a.b.c", b"routed")
            equal(channel.basic_get("q", auto_ack=True)[2], b"routed")
            connection.close()
            b.pika(user="app", password="pw", virtual_host="shop").close()


@case
def what_was_deleted_stays_deleted():
    for how in ENDS:
        with Broker() as b:
            before = everything(b)
            make_all(b)
            restart(b, how)
            connection = b.pika()
            channel = connection.channel()
            channel.queue_delete("q")
            channel.queue_delete("ø" * 100)
            channel.exchange_delete("events")
            connection.close()
            for queue in ("auto", "quorum"):
                b.told("delete_queue", queue)
            connection = b.pika()
            connection.channel().exchange_delete("lost")
            connection.close()
            b.told("delete_user", "app")
            b.told("clear_global_parameter", "g")
            b.told("delete_vhost", "shop")
            restart(b, how)
            same(b, before)  # the exchange auto went with its last binding


@case
def transient_things_do_not_come_back():
    for how in ENDS:
        with Broker() as b:
            before = everything(b)
            connection = b.pika()
            channel = connection.channel()
            channel.queue_declare("transient")
            channel.queue_declare("mine", durable=True, exclusive=True)
            channel.exchange_declare("x", "topic")
            channel.queue_bind("transient", "x", "k")
            channel.queue_bind("mine", "amq.topic", "k")
            b.told("set_permissions", "guest", ".*", ".*", ".*")
            if how == "killed":
                restart(b, how)
            else:
                connection.close()
                restart(b, how)
            same(b, before)


@case
def answers_mean_what_they_say():
    """Whatever was answered before the process was killed is there."""
    with Broker() as b:
        for round_ in range(5):
            told, ready = [], threading.Event()

            def declare(n):
                try:
                    connection = b.pika()
                    channel = connection.channel()
                    for i in range(100000):
                        name = f"{round_}-{n}-{i}"
                        channel.queue_declare(name, durable=True)
                        channel.queue_bind(name, "amq.direct", name)
                        told.append(name)
                        if i % 3 == 0:
                            told.remove(name)
                            channel.queue_delete(name)
                            told.append("-" + name)
                        if i > 20:
                            ready.set()
                except (pika.exceptions.AMQPError, OSError):
                    pass

            threads = [threading.Thread(target=declare, args=(n,)) for n in range(4)]
            for t in threads:
                t.start()
            ready.wait(20)
            b.kill()
            for t in threads:
                t.join(20)
            b.start()
            queues = {row["name"] for row in b.rows("list_queues", "name")}
            bound = {row["destination_name"] for row in b.rows("list_bindings") if row["source_name"] == "amq.direct"}
            for name in told:
                if name.startswith("-"):
                    holds(name[1:] not in queues, f"{name[1:]} was deleted")
                else:
                    holds(name in queues and name in bound, f"{name} is lost")
            equal(bound - queues, set(), "bindings without queue")


@case
def default_user_is_of_the_first_start():
    with Broker() as b:
        b.told("change_password", "guest", "changed")
        restart(b, "killed")
        b.pika(password="changed").close()
        b.told("delete_user", "guest")
        b.told("delete_vhost", "/")
        restart(b, "killed")
        equal(b.rows("list_users"), [])
        equal(b.rows("list_vhosts"), [])
        restart(b, "stopped")
        equal(b.rows("list_users"), [])


DEFINITIONS = {"vhosts": [{"name": "v", "description": "as written"}],
               "users": [{"name": "u", "password": "pw", "tags": ["monitoring"]}],
               "permissions": [{"user": "u", "vhost": "v", "configure": ".*", "write": ".*", "read": ".*"}],
               "exchanges": [{"name": "x", "vhost": "v", "type": "topic"}, {"name": "t", "vhost": "v", "durable": False}],
               "queues": [{"name": "q", "vhost": "v"}],
               "bindings": [{"source": "x", "vhost": "v", "destination": "q", "routing_key": "k"},
                            {"source": "t", "vhost": "v", "destination": "q"}]}


@case
def definitions_of_the_configuration_are_put_at_every_start():
    with Broker({"definitions": DEFINITIONS}) as b:
        first = everything(b)
        restart(b, "killed")
        same(b, first)
        b.told("set_user_tags", "u", "other")
        b.told("set_permissions", "-p", "v", "u", "", "", "")
        b.told("add_user", "kept", "pw")
        b.told("-p", "v", "delete_queue", "q")
        connection = b.pika(user="u", password="pw", virtual_host="v")
        connection.close()
        restart(b, "stopped")
        b.told("delete_user", "kept")
        same(b, first)
        # what is there in another shape stays; what the file does not name any more too
        b.told("-p", "v", "delete_queue", "q")
        connection = b.pika(user="u", password="pw", virtual_host="v")
        connection.channel().queue_declare("q", durable=True, arguments={"x-max-length": 1})
        connection.close()
        since = b.mark()
        restart(b, "stopped")
        b.logged("inequivalent arg 'x-max-length' for queue 'q' in vhost 'v'.*; what is there stays as it is", since)
        equal(b.rows("-p", "v", "list_queues", "name", "arguments")[0]["arguments"] != [], True)
        b.write_config({})
        restart(b, "stopped")
        equal([r["name"] for r in b.rows("-p", "v", "list_queues", "name")], ["q"])
        equal([r["user"] for r in b.rows("list_users")], ["u"], "no default user, it is not the first start")


@case
def first_start_that_fails_is_none():
    b = Broker({"definitions": {"queues": [{"name": "q", "vhost": "none"}]}})
    b.launch()
    equal(b.wait(), 78)
    b.write_config({})
    b.start()
    equal([r["user"] for r in b.rows("list_users")], ["guest"])
    b.told("delete_user", "guest")
    equal(b.stop(), 0)
    b.start()
    equal(b.rows("list_users"), [])
    b.signal(signal.SIGTERM)
    equal(b.wait(), 0)
    b.settle()


@case
def wrong_passwords_stay_wrong():
    with Broker() as b:
        b.told("add_user", "u", "pw")
        b.told("set_permissions", "u", ".*", ".*", ".*")
        b.told("clear_password", "guest")
        restart(b, "killed")
        for user, password in (("guest", "guest"), ("u", "wrong"), ("u", "")):
            with refused(pika.exceptions.AMQPError):
                b.pika(user=user, password=password)
        b.pika(user="u", password="pw").close()


@case
def policies_hold_after_a_restart():
    for how in ENDS:
        with Broker() as b:
            b.told("set_policy", "p", "^q", '{"max-length":3,"overflow":"drop-head"}')
            b.told("set_user_limits", "guest", '{"max-channels":50}')
            restart(b, how)
            connection = b.pika()
            channel = connection.channel()
            channel.confirm_delivery()
            channel.queue_declare("q", durable=True)
            for n in range(5):
                channel.basic_publish("", "q", b"%d" % n, pika.BasicProperties(delivery_mode=2))
            connection.close()
            restart(b, how)
            equal([row["messages"] for row in b.rows("list_queues", "name", "messages")], [3], "messages")
            b.told("clear_policy", "p")
            restart(b, how)
            equal(b.rows("list_policies"), [], "policies")
            limits = [(row["user"], row["limits"]) for row in b.rows("list_user_limits", "--global")]
            equal(limits, [("guest", '{"max-channels":50}')], "limits")
