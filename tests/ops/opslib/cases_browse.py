"""Messages of a queue where they are, over HTTP: looked at, searched, moved, dropped. Nothing else changes."""

import time
from threading import Thread

import pika

from .api import Api
from .broker import Broker
from .suite import case, equal, holds, until

MANY = 3000  # so many that most are in the store alone


def started(**more):
    return Broker({"management": {"listeners": ["127.0.0.1:0"]}} | more, listeners=["127.0.0.1:0"])


def publish(b, queue, bodies, **properties):
    connection = b.pika()
    channel = connection.channel()
    channel.tx_select()
    for body in bodies:
        channel.basic_publish("", queue, body.encode(), pika.BasicProperties(delivery_mode=2, **properties))
    channel.tx_commit()
    connection.close()


def restarted(b):
    """The API of the next life."""
    b.stop()
    since = b.mark()
    b.start()
    return Api(b, since=since)


def all_of(api, queue, **params):
    """Every message, page by page."""
    found, more = [], {"count": 500} | params
    while True:
        page = api.get(f"queues/%2F/{queue}/messages?" + "&".join(f"{k}={v}" for k, v in more.items()))
        found += page["items"]
        if not page["next"]:
            return found
        more["from"] = page["next"]


def taken(api, queue):
    """Takes all out: payloads, and whether any was redelivered."""
    found = []
    while True:
        status, got = api.post(f"queues/%2F/{queue}/get", {"count": 1000, "ackmode": "ack_requeue_false", "encoding": "auto"})
        equal(status, 200)
        if not got:
            return [m["payload"] for m in found], any(m["redelivered"] for m in found)
        found += got


def counters(api, queue):
    facts = api.get(f"queues/%2F/{queue}")
    return [facts[key] for key in ("messages", "messages_ready", "messages_unacknowledged")] + \
        [facts["message_stats"].get(key, 0) for key in ("publish", "deliver_get", "ack", "redeliver")]


@case
def looking_changes_nothing():
    with started() as b:
        api = Api(b)
        api.put("queues/%2F/q", {"durable": True})
        publish(b, "q", [f"m{i}" for i in range(250)])
        before = counters(api, "q")
        equal([m["payload"] for m in all_of(api, "q")], [f"m{i}" for i in range(250)])
        equal(len(all_of(api, "q", count=7)), 250)
        first = api.get("queues/%2F/q/messages?count=1&truncate=1")["items"][0]
        equal((first["payload"], first["payload_bytes"], first["redelivered"], first["routing_key"], first["state"]),
              ("m", 2, False, "q", "ready"))
        equal([m["payload"] for m in api.get("queues/%2F/q/messages?search=m24&count=3")["items"]], ["m24", "m240", "m241"])
        equal(counters(api, "q"), before)
        equal(taken(api, "q"), ([f"m{i}" for i in range(250)], False))
        equal(api.get("queues/%2F/q/messages"), {"items": [], "looked_at": 0, "next": None})


@case
def one_out_of_the_middle_wherever_it_is():
    """In memory, in the store alone, and after a start."""
    wanted = [f"m{i}" for i in range(MANY)]
    with started() as b:
        api = Api(b)
        for queue in "q", "to":
            api.put(f"queues/%2F/{queue}", {"durable": True})
        publish(b, "q", wanted[:-5])
        api = restarted(b)
        publish(b, "q", wanted[-5:])
        found = all_of(api, "q")
        equal([m["payload"] for m in found], wanted)
        picked = [found[i]["id"] for i in (0, 7, 1500, 1501, MANY - 300, MANY - 1)]
        status, answer = api.post("queues/%2F/q/messages/move", {"ids": [*picked, picked[2], "0-99999999"], "to": "to"})
        equal((status, answer), (200, {"moved": 6, "gone": [picked[2], "0-99999999"]}))
        equal(api.delete(f"queues/%2F/q/messages/{found[2000]['id']}"), 204)
        equal(api.delete(f"queues/%2F/q/messages/{found[2000]['id']}"), 404)
        moved = ["m0", "m7", "m1500", "m1501", f"m{MANY - 300}", f"m{MANY - 1}"]
        left = [m for m in wanted if m not in moved and m != "m2000"]
        equal([m["payload"] for m in all_of(api, "q")], left)
        api = restarted(b)
        equal(api.get("queues/%2F/q")["messages"], len(left))
        equal(taken(api, "to"), (moved, False))
        equal(taken(api, "q"), (left, False))


@case
def what_is_moved_is_not_refused_and_keeps_what_it_says():
    with started() as b:
        api = Api(b)
        api.put("queues/%2F/q", {"durable": True, "arguments": {"x-max-priority": 5}})
        api.put("queues/%2F/full", {"arguments": {"x-max-length": 1, "x-overflow": "reject-publish"}})
        api.put("queues/%2F/quorum", {"durable": True, "arguments": {"x-queue-type": "quorum"}})
        for priority in 1, 3, 2:
            publish(b, "q", [f"p{priority}"], priority=priority, headers={"h": "v"}, message_id="id")
        publish(b, "full", ["first"])
        found = all_of(api, "q")
        equal([m["payload"] for m in found], ["p3", "p2", "p1"])
        ids = [m["id"] for m in found]
        equal(api.post("queues/%2F/q/messages/move", {"ids": ids[:2], "to": "full"})[1]["moved"], 2)
        until(lambda: api.get("queues/%2F/full")["messages"] == 3, "it is known")
        one = all_of(api, "full")[1]
        equal((one["payload"], one["exchange"], one["routing_key"], one["properties"]),
              ("p3", "", "q", {"delivery_mode": 2, "priority": 3, "headers": {"h": "v"}, "message_id": "id"}))
        equal(api.post("queues/%2F/q/messages/move", {"ids": ids, "to": "quorum"})[1], {"moved": 1, "gone": ids[:2]})
        until(lambda: api.get("queues/%2F/quorum")["messages"] == 1, "it is known")


@case
def what_moves_to_a_queue_that_goes_is_kept():
    with started() as b:
        api, mover = Api(b), Api(b)
        api.put("queues/%2F/q", {"durable": True})
        connection = b.pika()
        channel = connection.channel()
        gone, ids = 0, []
        for attempt in range(6):  # until it goes in the midst of it
            if not 0 < gone < len(ids):
                publish(b, "q", [f"m{i}" for i in range(1000 - len(ids) + gone)])
                ids = [m["id"] for m in all_of(api, "q")]
                api.put("queues/%2F/to", {"durable": True})
                thread = Thread(target=mover.post, args=("queues/%2F/q/messages/move", {"ids": ids, "to": "to"}))
                thread.start()
                time.sleep((attempt + 1) / 1000)
                gone = channel.queue_delete("to").method.message_count
                thread.join()
        connection.close()
        until(lambda: api.get("queues/%2F/q")["messages"] == len(ids) - gone, "each is in one of both")
        equal(len(all_of(api, "q")), len(ids) - gone)


@case
def what_waits_and_what_is_held():
    with started() as b:
        api = Api(b)
        api.put("queues/%2F/slow", {"arguments": {"x-delay": 3600000}})
        api.put("queues/%2F/q", {})
        publish(b, "slow", ["later"])
        one = all_of(api, "slow")[0]
        equal((one["payload"], one["state"]), ("later", "waiting"))
        holds(3500000 < one["due_in"] <= 3600000, one)
        equal(api.post("queues/%2F/slow/messages/move", {"ids": [one["id"]], "to": "q"})[1]["moved"], 1)
        publish(b, "q", ["held", "free"])
        connection = b.pika()
        channel = connection.channel()
        equal(channel.basic_get("q")[2], b"later")
        equal(channel.basic_get("q")[2], b"held")
        equal([m["payload"] for m in all_of(api, "q")], ["free"])
        equal(api.post("queues/%2F/q/messages/move", {"ids": ["0-1", "0-2"], "to": "slow"})[1]["moved"], 0)
        connection.close()
        until(lambda: api.get("queues/%2F/q")["messages_ready"] == 3, "it is known")
        equal([(m["payload"], m["redelivered"]) for m in all_of(api, "q")], [("later", True), ("held", True), ("free", False)])


@case
def who_may_and_what_is_refused():
    with started() as b:
        api = Api(b)
        api.put("queues/%2F/q", {})
        api.put("queues/%2F/to", {})
        api.put("queues/%2F/s", {"durable": True, "arguments": {"x-queue-type": "stream"}})
        publish(b, "q", ["x"])
        api.put("users/u", {"password": "x", "tags": "management"})
        user = api.as_user("u")
        for read, write, seen, moved in ("^$", ".*", 401, 401), (".*", "^$", 200, 401), (".*", ".*", 200, 200):
            api.put("permissions/%2F/u", {"configure": "^$", "write": write, "read": read})
            until(lambda: api.get("permissions/%2F/u")["write"] == write, "it is known")
            equal(user.ask("GET", "queues/%2F/q/messages")[0], seen)
            equal(user.post("queues/%2F/q/messages/move", {"ids": [], "to": "to"})[0], moved)
        for path in "queues/%2F/none/messages", "queues/%2F/q/messages/x/y":
            equal(api.ask("GET", path)[0], 404)
        for path in "queues/%2F/s/messages", "queues/%2F/q/messages?from=x", "queues/%2F/q/messages?from=300-1", \
                "queues/%2F/q/messages?count=-1", "queues/%2F/q/messages?encoding=y":
            equal(api.ask("GET", path)[0], 400, path)
        for body in {}, {"ids": "0-1", "to": "to"}, {"ids": [1], "to": "to"}, {"ids": ["0-1"], "to": "none"}, \
                {"ids": ["0-1"], "to": "q"}, {"ids": ["0-1"] * 1001, "to": "to"}, {"ids": ["0--1"], "to": "to"}:
            equal(api.post("queues/%2F/q/messages/move", body)[0], 400, body)
        for place, seen in ("7-1", 1), ("255-0", 1), ("0-2", 0):
            equal(len(api.get(f"queues/%2F/q/messages?from={place}")["items"]), seen, place)
        equal([api.delete("queues/%2F/q/messages/x"), api.delete("queues/%2F/q/messages/255-1")], [404, 404])
        equal([m["payload"] for m in all_of(api, "q")], ["x"])
