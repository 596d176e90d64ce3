"""py-amqp, the client under kombu and Celery."""

import datetime
import decimal
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

import amqp
from amqp import exceptions
from tap import HOST, PASSWORD, PORT, USER, VHOST, admin, case, equal, holds, name, run


def connect(**changes):
    settings = dict(host=f"{HOST}:{PORT}", userid=USER, password=PASSWORD, virtual_host=VHOST, heartbeat=30,
                    connect_timeout=10)
    settings.update(changes)
    connection = amqp.Connection(**settings)
    connection.connect()
    return connection


def refused(kind, text, call):
    try:
        call()
    except kind as error:
        holds(text in error.reply_text, f"reply text {error.reply_text!r} lacks {text!r}")
        equal(error.reply_code, kind.code, "reply code")
        return
    raise AssertionError(f"{kind.__name__} was not raised")


def until(connection, condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        holds(time.monotonic() < end, "waited too long")
        try:
            connection.drain_events(timeout=0.1)
        except OSError:
            pass


def get(channel, q):
    end = time.monotonic() + 15
    while time.monotonic() < end:
        message = channel.basic_get(q, no_ack=True)
        if message:
            return message
    raise AssertionError("no message came")


@case
def mechanisms_plain_and_amqplain():
    for method in ("PLAIN", "AMQPLAIN"):
        with connect(login_method=method) as connection:
            holds(connection.connected, method)
            equal(connection.server_properties["capabilities"]["publisher_confirms"], True)


@case
def a_wrong_password_is_refused():
    for method in ("PLAIN", "AMQPLAIN"):
        refused(exceptions.AccessRefused, "ACCESS_REFUSED - Login was refused using authentication mechanism " + method,
                lambda: connect(password="wrong", login_method=method))


@case
def an_unknown_virtual_host_is_refused():
    refused(exceptions.NotAllowed, "NOT_ALLOWED - vhost nowhere not found", lambda: connect(virtual_host="nowhere"))


@case
def limits_are_negotiated():
    # This client takes the server's channel_max and frame_max as they are.
    with connect(heartbeat=7) as connection:
        equal((connection.channel_max, connection.frame_max, connection.heartbeat), (2047, 131072, 7))
        channel = connection.channel()
        q = channel.queue_declare(exclusive=True).queue
        body = os.urandom(100_000)
        channel.basic_publish(amqp.Message(body), routing_key=q)
        equal(get(channel, q).body, body)


@case
def heartbeats_keep_the_connection():
    with connect(heartbeat=2) as connection:
        channel = connection.channel()
        end = time.monotonic() + 5
        while time.monotonic() < end:
            try:
                connection.drain_events(timeout=0.5)
            except OSError:
                pass
            connection.heartbeat_tick()
        channel.queue_declare(exclusive=True)


@case
def a_queue_is_declared_counted_and_deleted():
    with connect(confirm_publish=True) as connection:
        channel = connection.channel()
        q = name()
        equal(tuple(channel.queue_declare(q, durable=True, auto_delete=False)), (q, 0, 0))
        for _ in range(4):
            channel.basic_publish(amqp.Message("x"), routing_key=q)
        equal(tuple(channel.queue_declare(q, passive=True)), (q, 4, 0))
        equal(channel.queue_purge(q), 4)
        channel.basic_publish(amqp.Message("x"), routing_key=q)
        equal(channel.queue_delete(q), 1)
        refused(exceptions.NotFound, f"NOT_FOUND - no queue '{q}' in vhost '{VHOST}'",
                lambda: channel.queue_declare(q, passive=True))
        holds(connection.connected and channel.is_open, "this client opens the channel again by itself")
        equal(channel.queue_delete(q), 0)


@case
def no_wait_methods_need_no_answer():
    with connect() as connection:
        channel = connection.channel()
        q, exchange = name(), name("x")
        channel.queue_declare(q, auto_delete=False, nowait=True)
        channel.exchange_declare(exchange, "direct", auto_delete=False, nowait=True)
        channel.queue_bind(q, exchange, "k", nowait=True)
        channel.basic_publish(amqp.Message("x"), exchange, "k")
        equal(get(channel, q).body, "x")
        channel.basic_consume(q, consumer_tag="quiet", callback=lambda m: None, nowait=True)
        channel.basic_cancel("quiet", nowait=True)
        channel.queue_purge(q, nowait=True)
        channel.queue_unbind(q, exchange, "k", nowait=True)
        channel.exchange_delete(exchange, nowait=True)
        channel.queue_delete(q, nowait=True)
        refused(exceptions.NotFound, "no queue", lambda: channel.queue_declare(q, passive=True))


@case
def an_inequivalent_redeclaration_is_refused():
    with connect() as connection:
        channel = connection.channel()
        q, exchange = name(), name("x")
        channel.queue_declare(q, auto_delete=True)
        refused(exceptions.PreconditionFailed, "inequivalent arg 'auto_delete' for queue",
                lambda: channel.queue_declare(q, auto_delete=False))
        channel = connection.channel()
        channel.exchange_declare(exchange, "direct", auto_delete=False)
        refused(exceptions.PreconditionFailed, "inequivalent arg 'type' for exchange",
                lambda: channel.exchange_declare(exchange, "topic", auto_delete=False))
        channel = connection.channel()
        channel.exchange_delete(exchange)
        channel.queue_delete(q)


@case
def an_exclusive_queue_is_locked():
    with connect() as owner, connect() as other:
        q = owner.channel().queue_declare(name(), exclusive=True).queue
        refused(exceptions.ResourceLocked, "RESOURCE_LOCKED", lambda: other.channel().basic_get(q))


@case
def exchanges_of_all_types_route():
    with connect(confirm_publish=True) as connection:
        channel = connection.channel()
        for kind, bound, hit, miss, arguments in (
            ("direct", "a", "a", "b", None),
            ("topic", "*.b.#", "a.b.c.d", "b.b", None),
            ("headers", "", "", "", {"x-match": "any", "colour": "red", "n": 1}),
        ):
            exchange = name(kind)
            channel.exchange_declare(exchange, kind, auto_delete=True)
            q = channel.queue_declare(exclusive=True).queue
            channel.queue_bind(q, exchange, bound, arguments=arguments)
            channel.basic_publish(amqp.Message("hit", application_headers={"colour": "red", "n": 2}), exchange, hit)
            if kind == "direct":
                channel.basic_publish(amqp.Message("miss"), exchange, miss)
            if kind == "headers":
                channel.basic_publish(amqp.Message("miss", application_headers={"colour": "blue", "n": 2}), exchange)
            equal(get(channel, q).body, "hit")
            holds(channel.basic_get(q) is None, f"{kind} let a message through")


@case
def exchange_bindings_and_unbindings():
    with connect(confirm_publish=True) as connection:
        channel = connection.channel()
        source, target = name("source"), name("target")
        channel.exchange_declare(source, "topic", auto_delete=False)
        channel.exchange_declare(target, "fanout", auto_delete=False)
        channel.exchange_bind(target, source, "k.*")
        q = channel.queue_declare(exclusive=True).queue
        channel.queue_bind(q, target)
        channel.basic_publish(amqp.Message("one"), source, "k.1")
        channel.exchange_unbind(target, source, "k.*")
        channel.basic_publish(amqp.Message("two"), source, "k.2")
        equal(get(channel, q).body, "one")
        holds(channel.basic_get(q) is None, "unbound")
        channel.exchange_delete(source)
        channel.exchange_delete(target)


@case
def confirmed_publishes_are_counted():
    with connect(confirm_publish=True) as connection:
        channel = connection.channel()
        q = channel.queue_declare(exclusive=True).queue
        for number in range(300):
            channel.basic_publish(amqp.Message(str(number), delivery_mode=2), routing_key=q)
        equal(channel.queue_declare(q, passive=True).message_count, 300)


@case
def a_refused_publish_raises():
    with connect(confirm_publish=True) as connection:
        channel = connection.channel()
        q = channel.queue_declare(exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"}).queue
        channel.basic_publish(amqp.Message("1"), routing_key=q)
        try:
            channel.basic_publish(amqp.Message("2"), routing_key=q)
        except exceptions.MessageNacked:
            return
        raise AssertionError("the full queue took a message")


@case
def unroutable_messages_return():
    with connect() as connection:
        channel = connection.channel()
        back = []
        channel.events["basic_return"].add(lambda *returned: back.append(returned))
        channel.basic_publish(amqp.Message("back"), "amq.direct", "nobody", mandatory=True)
        until(connection, lambda: back)
        error, exchange, key, message = back[0]
        equal((error.reply_code, exchange, key, message.body), (312, "amq.direct", "nobody", "back"))


@case
def publishing_to_nowhere_closes_the_channel():
    with connect() as connection:
        channel = connection.channel()
        channel.basic_publish(amqp.Message("x"), "nowhere", "k")
        refused(exceptions.NotFound, "NOT_FOUND - no exchange 'nowhere'", lambda: channel.queue_declare(exclusive=True))
        connection.channel().queue_declare(exclusive=True)


@case
def consumers_ack_one_or_many():
    with connect() as connection:
        channel = connection.channel()
        q = channel.queue_declare(exclusive=True, auto_delete=False).queue
        channel.basic_qos(0, 20, False)
        got = []

        def on_message(message):
            got.append(int(message.body))
            if len(got) % 10 == 0:
                channel.basic_ack(message.delivery_tag, multiple=True)

        tag = channel.basic_consume(q, callback=on_message)
        for number in range(400):
            channel.basic_publish(amqp.Message(str(number)), routing_key=q)
        until(connection, lambda: len(got) == 400)
        equal(got, list(range(400)))
        channel.basic_cancel(tag)
        equal(tuple(channel.queue_declare(q, passive=True))[1:], (0, 0))


@case
def reject_and_recover():
    with connect() as connection:
        channel = connection.channel()
        q = channel.queue_declare(exclusive=True).queue
        channel.basic_publish(amqp.Message("x"), routing_key=q)
        seen = []
        channel.basic_consume(q, callback=lambda m: seen.append((m.delivery_tag, m.delivery_info["redelivered"])))
        until(connection, lambda: len(seen) == 1)
        channel.basic_recover(requeue=True)
        until(connection, lambda: len(seen) == 2)
        channel.basic_reject(seen[1][0], requeue=True)
        until(connection, lambda: len(seen) == 3)
        channel.basic_recover_async(requeue=True)
        until(connection, lambda: len(seen) == 4)
        channel.basic_reject(seen[3][0], requeue=False)
        equal([again for _, again in seen], [False, True, True, True])
        equal(channel.queue_declare(q, passive=True).message_count, 0)


@case
def the_broker_cancels_a_consumer():
    with connect() as connection:
        channel, other = connection.channel(), connection.channel()
        q = channel.queue_declare(exclusive=True).queue
        cancelled = []
        tag = channel.basic_consume(q, callback=lambda m: None, on_cancel=cancelled.append)
        other.queue_delete(q)
        try:
            until(connection, lambda: cancelled)
        except exceptions.ConsumerCancelled:
            cancelled.append(tag)
        equal(cancelled[0], tag)


@case
def an_exclusive_consumer_keeps_others_out():
    with connect() as connection:
        channel = connection.channel()
        q = channel.queue_declare(exclusive=True).queue
        channel.basic_consume(q, exclusive=True, callback=lambda m: None)
        refused(exceptions.AccessRefused, "in exclusive use",
                lambda: connection.channel().basic_consume(q, callback=lambda m: None))


@case
def transactions():
    with connect() as connection:
        channel, other = connection.channel(), connection.channel()
        q = channel.queue_declare(exclusive=True).queue
        channel.tx_select()
        channel.basic_publish(amqp.Message("no"), routing_key=q)
        channel.tx_rollback()
        channel.basic_publish(amqp.Message("yes"), routing_key=q)
        channel.tx_commit()
        equal(get(other, q).body, "yes")
        holds(other.basic_get(q) is None, "the rolled back message came")
        refused(exceptions.PreconditionFailed, "cannot switch from tx to confirm mode", channel.confirm_select)


@case
def properties_and_headers_come_back():
    headers = {
        "text": "grün",
        "int": 7,
        "long": 2**45,
        "true": True,
        "none": None,
        "float": 1.5,
        "decimal": decimal.Decimal("12.25"),
        "time": datetime.datetime(2023, 4, 5, 6, 7, 8),
        "list": [1, "a", {"b": [2]}],
        "table": {"x": {"y": 1}},
    }
    properties = dict(content_type="text/plain", content_encoding="utf-8", delivery_mode=2, priority=3,
                      correlation_id="c", reply_to="r", expiration="99999", message_id="m", type="t", user_id=USER,
                      app_id="a", cluster_id="cl", timestamp=1700000000)
    with connect() as connection:
        channel = connection.channel()
        q = channel.queue_declare(exclusive=True).queue
        channel.basic_publish(amqp.Message("body", application_headers=headers, **properties), routing_key=q)
        message = get(channel, q)
        equal(message.properties.pop("application_headers"), headers)
        equal(message.properties, properties)
        equal(message.body, "body")


@case
def large_bodies():
    with connect() as connection:
        channel = connection.channel()
        q = channel.queue_declare(exclusive=True).queue
        for size in (0, 1 << 20, 10 << 20):
            body = os.urandom(size)
            channel.basic_publish(amqp.Message(body), routing_key=q)
            got = get(channel, q).body
            holds((got or b"") == body, f"{size} bytes came back changed")


@case
def channels_open_and_close_by_the_hundred():
    with connect() as connection:
        for _ in range(3):
            channels = [connection.channel() for _ in range(200)]
            for channel in channels:
                channel.queue_declare(exclusive=True)
            for channel in channels:
                channel.close()


@case
def flow_is_answered():
    with connect() as connection:
        channel = connection.channel()
        channel.flow(True)
        channel.queue_declare(exclusive=True)


@case(seconds=60)
def the_alarm_blocks_and_unblocks():
    events = []
    with connect(on_blocked=lambda reason: events.append(reason), on_unblocked=lambda: events.append("on")) as connection:
        channel = connection.channel()
        q = channel.queue_declare(exclusive=True).queue
        admin("alarm", "on")
        try:
            channel.basic_publish(amqp.Message("late"), routing_key=q)
            until(connection, lambda: events)
        finally:
            admin("alarm", "off")
        until(connection, lambda: len(events) == 2)
        equal(events, ["connection blocked, see broker logs", "on"])
        equal(get(channel, q).body, "late")


@case
def the_operator_closes_the_connection():
    connection = connect()
    admin("close-connection", connection.sock.getsockname()[1], "bye")
    refused(exceptions.ConnectionForced, "CONNECTION_FORCED - bye", lambda: connection.drain_events(timeout=5))


@case
def an_unknown_method_of_a_class_closes_the_connection():
    connection = connect()
    channel = connection.channel()
    try:
        channel.send_method((50, 99))
        connection.drain_events(timeout=5)
    except (exceptions.ConnectionError, OSError):
        return
    raise AssertionError("the broker let an unknown method pass")


@case
def unexpected_commands_get_their_codes():
    for send, code in (
        (lambda channel: channel.send_method((10, 40), "ssb", ("/", "", False)), 503),
        (lambda channel: channel.send_method((60, 72), "s", ("",)), 503),
    ):
        connection = connect()
        channel = connection.channel()
        try:
            send(channel)
            connection.drain_events(timeout=5)
        except exceptions.ConnectionError as error:
            equal(error.reply_code, code)
        else:
            raise AssertionError("nothing happened")


if __name__ == "__main__":
    run()
