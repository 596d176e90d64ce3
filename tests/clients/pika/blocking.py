"""pika's BlockingConnection: most of AMQP 0-9-1 in the order an application's author meets it."""

import datetime
import decimal
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

import pika
from pika import exceptions
from pika.exchange_type import ExchangeType
from tap import HOST, PASSWORD, PORT, URI, USER, VHOST, admin, case, equal, holds, name, run


def parameters(**changes):
    settings = dict(
        host=HOST,
        port=PORT,
        virtual_host=VHOST,
        credentials=pika.PlainCredentials(USER, PASSWORD),
        heartbeat=30,
        blocked_connection_timeout=20,
    )
    settings.update(changes)
    return pika.ConnectionParameters(**settings)


class Session:
    """A connection and a channel for one case."""

    def __init__(self, **changes):
        self.connection = pika.BlockingConnection(parameters(**changes))
        self.channel = self.connection.channel()

    def __enter__(self):
        return self.connection, self.channel

    def __exit__(self, *failure):
        if self.connection.is_open:
            self.connection.close()


def queue(channel, **arguments):
    arguments.setdefault("exclusive", True)
    return channel.queue_declare(arguments.pop("queue", ""), **arguments).method.queue


def get(channel, q, seconds=5):
    """The next message of a queue, waiting for it: a publish without confirms may still be on its way."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        method, properties, body = channel.basic_get(q, auto_ack=True)
        if method:
            return method, properties, body
        time.sleep(0.01)
    raise AssertionError("no message came")


def bodies(channel, q, count):
    return [get(channel, q)[2] for _ in range(count)]


def empty(channel, q):
    method, _, _ = channel.basic_get(q, auto_ack=True)
    holds(method is None, "the queue should be empty")


def refused(code, text, call, closed=exceptions.ChannelClosedByBroker):
    """Expects the broker to close the channel (or connection) with a code and a text."""
    try:
        call()
    except closed as error:
        equal(error.reply_code, code, "reply code")
        holds(text in error.reply_text, f"reply text {error.reply_text!r} lacks {text!r}")
        return
    raise AssertionError(f"no error {code}")


# Connecting.


@case
def a_url_connects():
    with pika.BlockingConnection(pika.URLParameters(URI)) as connection:
        holds(connection.is_open, "open")


@case
def the_server_introduces_itself():
    with Session() as (connection, _):
        server = connection._impl.server_properties
        for key in ("product", "version", "platform", "copyright", "information", "cluster_name"):
            holds(server.get(key), f"server property {key}")
        for key in (
            "publisher_confirms",
            "exchange_exchange_bindings",
            "basic.nack",
            "consumer_cancel_notify",
            "connection.blocked",
            "consumer_priorities",
            "authentication_failure_close",
            "per_consumer_qos",
            "direct_reply_to",
        ):
            holds(server["capabilities"].get(key) is True, f"capability {key}")
        holds(connection.publisher_confirms_supported, "confirms")
        holds(connection.basic_nack_supported, "nack")
        holds(connection.consumer_cancel_notify_supported, "cancel notify")
        holds(connection.exchange_exchange_bindings_supported, "exchange bindings")


@case
def tuning_is_negotiated_downwards():
    with Session(channel_max=7, frame_max=8192, heartbeat=11) as (connection, channel):
        tuned = connection._impl.params
        equal((tuned.channel_max, tuned.frame_max, tuned.heartbeat), (7, 8192, 11))
        q = queue(channel)
        body = os.urandom(50_000)
        channel.basic_publish("", q, body)
        equal(get(channel, q)[2], body)
        for _ in range(6):
            connection.channel()


@case
def a_wrong_password_is_refused_with_403():
    try:
        pika.BlockingConnection(parameters(credentials=pika.PlainCredentials(USER, "wrong"), connection_attempts=1))
    except exceptions.ProbableAuthenticationError as error:
        holds("ACCESS_REFUSED" in str(error) and "403" in str(error), str(error))
        return
    raise AssertionError("a wrong password was accepted")


@case
def an_unknown_virtual_host_is_refused_with_530():
    try:
        pika.BlockingConnection(parameters(virtual_host="no-such-vhost"))
    except exceptions.ConnectionClosedByBroker as error:
        equal(error.reply_code, 530)
        holds("vhost no-such-vhost not found" in error.reply_text, error.reply_text)
    except exceptions.ProbableAccessDeniedError as error:
        holds("530" in str(error) and "vhost no-such-vhost not found" in str(error), str(error))
    else:
        raise AssertionError("an unknown virtual host was opened")


@case
def an_unknown_protocol_header_is_answered_with_the_known_one():
    with socket.create_connection((HOST, PORT), timeout=5) as peer:
        peer.sendall(b"AMQP\x07\x07\x07\x07")
        answer = peer.recv(8, socket.MSG_WAITALL)
    equal(answer, b"AMQP\x00\x00\x09\x01")


@case(seconds=60)
def heartbeats_keep_an_idle_connection():
    with Session(heartbeat=2) as (connection, channel):
        q = queue(channel)
        connection.process_data_events(time_limit=7)
        channel.basic_publish("", q, b"still here")
        equal(get(channel, q)[2], b"still here")


@case(seconds=60)
def a_silent_client_is_dropped():
    connection = pika.BlockingConnection(parameters(heartbeat=1))
    time.sleep(6)
    try:
        connection.channel()
    except exceptions.AMQPConnectionError:
        return
    raise AssertionError("the connection outlived its heartbeats")


@case
def the_operator_closes_a_connection():
    connection = pika.BlockingConnection(parameters())
    admin("close-connection", connection._impl._transport._sock.getsockname()[1], "time to go")
    refused(
        320,
        "CONNECTION_FORCED - time to go",
        lambda: connection.process_data_events(time_limit=5),
        exceptions.ConnectionClosedByBroker,
    )


@case(seconds=60)
def a_memory_alarm_blocks_publishers():
    with Session() as (connection, channel):
        q = queue(channel)
        seen = []
        connection.add_on_connection_blocked_callback(lambda c, method: seen.append(method.method.reason))
        connection.add_on_connection_unblocked_callback(lambda c, method: seen.append("unblocked"))
        admin("alarm", "on")
        try:
            channel.basic_publish("", q, b"during the alarm")
            until(connection, lambda: len(seen) == 1)
            equal(seen, ["low on memory"])
        finally:
            admin("alarm", "off")
        until(connection, lambda: len(seen) == 2)
        equal(seen[1], "unblocked")
        equal(get(channel, q)[2], b"during the alarm")


def settle(connection, seconds=0.3):
    """Takes in whatever comes for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        connection.process_data_events(time_limit=0.05)


def until(connection, condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        holds(time.monotonic() < end, "waited too long")
        connection.process_data_events(time_limit=0.1)


# Channels.


@case
def many_channels_of_one_connection():
    with Session() as (connection, first):
        channels = [connection.channel() for _ in range(200)]
        equal(len({c.channel_number for c in channels}), 200)
        q = queue(first)
        for number, channel in enumerate(channels):
            channel.confirm_delivery()
            channel.basic_publish("", q, str(number).encode())
        equal(bodies(first, q, 200), [str(n).encode() for n in range(200)])
        for channel in channels:
            channel.close()
        holds(first.is_open, "the others do not mind")


@case
def a_channel_number_is_used_again_after_close():
    with Session() as (connection, _):
        for _ in range(20):
            channel = connection.channel(77)
            q = queue(channel)
            channel.basic_publish("", q, b"x")
            channel.close()


@case
def an_error_closes_its_channel_only():
    with Session() as (connection, channel):
        other = connection.channel()
        q = queue(other)
        refused(404, "NOT_FOUND - no queue 'nowhere' in vhost", lambda: channel.queue_declare("nowhere", passive=True))
        holds(channel.is_closed and other.is_open and connection.is_open, "only one channel closes")
        other.basic_publish("", q, b"x")
        equal(get(other, q)[2], b"x")
        equal(queue(connection.channel(channel.channel_number))[:8], "amq.gen-")


@case
def too_many_channels_are_refused():
    with Session(channel_max=3) as (connection, _):
        connection.channel()
        connection.channel()
        try:
            connection.channel()
        except exceptions.NoFreeChannels:
            return
        raise AssertionError("channel_max was not kept")


@case
def flow_is_answered():
    with Session() as (_, channel):
        equal(channel.flow(True), True)


# Queues.


@case
def a_queue_is_declared_counted_purged_and_deleted():
    with Session() as (_, channel):
        q = name()
        channel.confirm_delivery()
        equal(channel.queue_declare(q).method.queue, q)
        for _ in range(5):
            channel.basic_publish("", q, b"x")
        again = channel.queue_declare(q, passive=True).method
        equal((again.message_count, again.consumer_count), (5, 0))
        equal(channel.queue_purge(q).method.message_count, 5)
        equal(channel.queue_declare(q).method.message_count, 0)
        channel.basic_publish("", q, b"x")
        equal(channel.queue_delete(q).method.message_count, 1)
        equal(channel.queue_delete(q).method.message_count, 0)


@case
def the_server_names_queues():
    with Session() as (_, channel):
        names = {queue(channel) for _ in range(10)}
        equal(len(names), 10)
        holds(all(n.startswith("amq.gen-") for n in names), str(names))


@case
def a_redeclaration_must_be_equal():
    with Session() as (connection, channel):
        q = name()
        channel.queue_declare(q, durable=True, arguments={"x-max-length": 10})
        channel.queue_declare(q, durable=True, arguments={"x-max-length": 10})
        refused(
            406,
            f"PRECONDITION_FAILED - inequivalent arg 'durable' for queue '{q}' in vhost '{VHOST}': "
            "received 'false' but current is 'true'",
            lambda: channel.queue_declare(q),
        )
        refused(
            406,
            f"inequivalent arg 'x-max-length' for queue '{q}' in vhost '{VHOST}': "
            "received '11' but current is '10'",
            lambda: connection.channel().queue_declare(q, durable=True, arguments={"x-max-length": 11}),
        )
        refused(
            406,
            f"inequivalent arg 'auto_delete' for queue '{q}'",
            lambda: connection.channel().queue_declare(q, durable=True, auto_delete=True),
        )
        connection.channel().queue_delete(q)


@case
def bad_arguments_are_refused():
    with Session() as (connection, _):
        for arguments, text in (
            ({"x-expires": 0}, "invalid arg 'x-expires' for queue"),
            ({"x-message-ttl": "soon"}, "invalid arg 'x-message-ttl' for queue"),
            ({"x-max-length": -1}, "invalid arg 'x-max-length' for queue"),
            ({"x-queue-type": "heap"}, "invalid arg 'x-queue-type' for queue"),
        ):
            channel = connection.channel()
            refused(406, text, lambda: channel.queue_declare(name(), arguments=arguments))


@case
def reserved_names_are_refused():
    with Session() as (connection, channel):
        refused(403, "ACCESS_REFUSED", lambda: channel.queue_declare("amq.mine"))
        refused(403, "ACCESS_REFUSED", lambda: connection.channel().exchange_declare("amq.mine", "direct"))


@case
def a_queue_deletes_only_if_unused_and_empty():
    with Session() as (connection, channel):
        q = name()
        channel.queue_declare(q)
        channel.confirm_delivery()
        channel.basic_publish("", q, b"x")
        refused(406, f"PRECONDITION_FAILED - queue '{q}' in vhost '{VHOST}' not empty",
                lambda: channel.queue_delete(q, if_empty=True))
        channel = connection.channel()
        channel.basic_consume(q, lambda *_: None)
        refused(406, f"PRECONDITION_FAILED - queue '{q}' in vhost '{VHOST}' in use",
                lambda: connection.channel().queue_delete(q, if_unused=True))
        equal(connection.channel().queue_delete(q).method.message_count, 0)


@case
def an_exclusive_queue_is_locked_and_dies_with_its_connection():
    q = name()
    with Session() as (_, channel):
        channel.queue_declare(q, exclusive=True)
        with Session() as (_, other):
            refused(405, f"RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{q}'",
                    lambda: other.queue_declare(q, passive=True))
        with Session() as (_, other):
            refused(405, "RESOURCE_LOCKED", lambda: other.basic_get(q))
        channel.queue_declare(q, exclusive=True)
    with Session() as (_, other):
        refused(404, "NOT_FOUND", lambda: other.queue_declare(q, passive=True))


@case
def an_auto_delete_queue_goes_with_its_last_consumer():
    with Session() as (connection, channel):
        q = name()
        channel.queue_declare(q, auto_delete=True)
        one = channel.basic_consume(q, lambda *_: None)
        two = channel.basic_consume(q, lambda *_: None)
        channel.basic_cancel(one)
        equal(channel.queue_declare(q, passive=True).method.consumer_count, 1)
        channel.basic_cancel(two)
        refused(404, "no queue", lambda: channel.queue_declare(q, passive=True))


@case
def an_empty_name_means_the_last_declared_queue():
    with Session() as (_, channel):
        q = queue(channel)
        channel.queue_bind("", "amq.direct", "last")
        channel.basic_publish("amq.direct", "last", b"x")
        equal(get(channel, q)[2], b"x")


@case
def a_bounded_queue_drops_its_head():
    with Session() as (_, channel):
        channel.confirm_delivery()
        q = queue(channel, arguments={"x-max-length": 3})
        for number in range(6):
            channel.basic_publish("", q, str(number).encode())
        equal(bodies(channel, q, 3), [b"3", b"4", b"5"])


@case
def a_bounded_queue_may_refuse_instead():
    with Session() as (_, channel):
        channel.confirm_delivery()
        q = queue(channel, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
        channel.basic_publish("", q, b"first")
        try:
            channel.basic_publish("", q, b"second")
        except exceptions.NackError as error:
            equal(len(error.messages), 0)
        else:
            raise AssertionError("the full queue took a message")
        equal(bodies(channel, q, 1), [b"first"])


@case
def messages_and_queues_expire():
    with Session() as (_, channel):
        channel.confirm_delivery()
        q = queue(channel, arguments={"x-message-ttl": 100})
        keep = queue(channel)
        brief = channel.queue_declare(name(), arguments={"x-expires": 150}).method.queue
        channel.basic_publish("", q, b"x")
        channel.basic_publish("", keep, b"short", pika.BasicProperties(expiration="100"))
        channel.basic_publish("", keep, b"long")
        time.sleep(0.5)
        empty(channel, q)
        equal(bodies(channel, keep, 1), [b"long"])
        refused(404, "no queue", lambda: channel.queue_declare(brief, passive=True))


@case
def dead_letters_carry_their_history():
    with Session() as (_, channel):
        channel.confirm_delivery()
        grave = queue(channel)
        q = queue(channel, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": grave})
        channel.basic_publish("", q, b"rejected")
        method, _, _ = channel.basic_get(q)
        channel.basic_reject(method.delivery_tag, requeue=False)
        _, properties, body = get(channel, grave)
        equal(body, b"rejected")
        death = properties.headers["x-death"][0]
        equal((death["queue"], death["reason"], death["count"], death["exchange"]), (q, "rejected", 1, ""))
        equal(death["routing-keys"], [q])
        equal(properties.headers["x-first-death-queue"], q)


@case
def a_retry_loop_of_dead_letters_counts_its_rounds():
    """work rejects, wait lets go of it after a while, work gets it again: what Spring and many others build."""
    with Session() as (_, channel):
        channel.confirm_delivery()
        work, wait, parked = name("work"), name("wait"), queue(channel)
        letters = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": wait}
        queue(channel, queue=work, arguments=letters)
        queue(channel, queue=wait, arguments={**letters, "x-dead-letter-routing-key": work, "x-message-ttl": 40})
        channel.basic_publish("", work, b"hard", pika.BasicProperties(delivery_mode=2, headers={"mine": 1}))
        for method, properties, body in channel.consume(work, inactivity_timeout=5):
            holds(properties, "it comes again")
            deaths = (properties.headers or {}).get("x-death", [])
            rounds = [d["count"] for d in deaths if d["queue"] == work and d["reason"] == "rejected"]
            if rounds == [3]:
                channel.basic_publish("", parked, body, properties)
                break
            channel.basic_reject(method.delivery_tag, requeue=False)
        channel.cancel()
        _, properties, body = get(channel, parked)
        equal(body, b"hard")
        equal([(d["queue"], d["reason"], d["count"]) for d in properties.headers["x-death"]],
              [(wait, "expired", 3), (work, "rejected", 3)])
        equal((properties.headers["x-first-death-queue"], properties.headers["mine"]), (work, 1))


@case
def policies_hold_for_queues_that_are_there():
    with Session() as (_, channel):
        channel.confirm_delivery()
        q, grave, policy = queue(channel, queue=name("ruled")), queue(channel), name("policy")
        for number in range(5):
            channel.basic_publish("", q, b"%d" % number)
        admin("set-policy", policy, f"^{q}$", '{"max-length":2,"dead-letter-exchange":"","dead-letter-routing-key":"%s"}' % grave)
        for number in range(3):
            _, properties, body = get(channel, grave)
            equal((body, properties.headers["x-death"][0]["reason"]), (b"%d" % number, "maxlen"))
        admin("set-policy", policy, f"^{q}$", '{"message-ttl":50,"dead-letter-exchange":"","dead-letter-routing-key":"%s"}' % grave)
        channel.basic_publish("", q, b"short")
        equal(get(channel, grave)[2], b"short")
        admin("clear-policy", policy)
        channel.basic_publish("", q, b"stays")
        time.sleep(0.15)
        equal(bodies(channel, q, 3), [b"3", b"4", b"stays"])


@case
def every_queue_counts_deliveries_and_has_priorities():
    with Session() as (_, channel):
        channel.confirm_delivery()
        for kind in ("classic", "quorum"):
            grave, q = queue(channel), name(kind)
            queue(channel, queue=q, exclusive=False, durable=True, arguments={
                "x-queue-type": kind, "x-max-priority": 9, "x-delivery-limit": 1, "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": grave})
            channel.basic_publish("", q, b"low", pika.BasicProperties(priority=1))
            channel.basic_publish("", q, b"high", pika.BasicProperties(priority=7))
            for count in (0, 1):
                method, properties, body = channel.basic_get(q)
                equal((body, properties.headers["x-delivery-count"], properties.priority), (b"high", count, 7))
                channel.basic_nack(method.delivery_tag, requeue=True)
            equal(get(channel, grave)[1].headers["x-death"][0]["reason"], "delivery_limit")
            equal(bodies(channel, q, 1), [b"low"])
            channel.queue_delete(q)


@case
def delayed_messages_come_when_their_time_is_over():
    with Session() as (_, channel):
        channel.confirm_delivery()
        exchange, q = name("late"), queue(channel)
        channel.exchange_declare(exchange, "x-delayed-message", arguments={"x-delayed-type": "topic"})
        channel.queue_bind(q, exchange, "a.*")
        sent, confirmed = {}, {}
        for delay in (600, 200, 400):
            sent[delay] = time.monotonic()
            channel.basic_publish(exchange, "a.b", str(delay).encode(),
                                  pika.BasicProperties(headers={"x-delay": delay}, delivery_mode=2))
            confirmed[delay] = time.monotonic()
        channel.basic_publish(exchange, "b.b", b"nobody's", pika.BasicProperties(headers={"x-delay": 100}))
        for delay in (200, 400, 600):
            _, properties, body = get(channel, q)
            now = time.monotonic()
            equal(body, str(delay).encode())
            equal(properties.headers["x-delay"], -delay)
            holds(now - sent[delay] >= delay / 1000, f"{delay} ms are not over")
            late = (now - confirmed[delay]) * 1000 - delay
            holds(late < 150, f"{late:.0f} ms late")
        empty(channel, q)
        channel.exchange_delete(exchange)


@case
def a_queue_delays_what_comes():
    with Session() as (_, channel):
        channel.confirm_delivery()
        q = queue(channel, arguments={"x-delay": 300})
        begun = time.monotonic()
        channel.basic_publish("", q, b"later")
        empty(channel, q)
        equal(get(channel, q)[2], b"later")
        holds(time.monotonic() - begun >= 0.299, "not before its time")


@case
def what_is_given_back_waits_longer_each_time():
    with Session() as (_, channel):
        channel.confirm_delivery()
        for kind in ("classic", "quorum"):
            grave, q = queue(channel), name(kind)
            queue(channel, queue=q, exclusive=False, durable=True, arguments={
                "x-queue-type": kind, "x-delayed-retry-type": "all", "x-delayed-retry-min": 150,
                "x-delayed-retry-max": 300, "x-delivery-limit": 3, "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": grave})
            channel.basic_publish("", q, b"again", pika.BasicProperties(delivery_mode=2))
            given_back = time.monotonic()
            for count, wait in ((0, 0), (1, 0.150), (2, 0.300), (3, 0.300)):
                method, properties, body = next(channel.consume(q, inactivity_timeout=5))
                waited = time.monotonic() - given_back
                equal((body, (properties.headers or {}).get("x-delivery-count", 0)), (b"again", count))
                holds(waited >= wait - 0.001, f"{waited:.3f} s is less than {wait}")
                channel.basic_reject(method.delivery_tag, requeue=True)
                given_back = time.monotonic()
            equal(get(channel, grave)[1].headers["x-death"][0]["reason"], "delivery_limit")
            channel.cancel()
            channel.queue_delete(q)


@case
def a_stream_is_read_by_many_from_where_they_like():
    with Session() as (_, channel):
        channel.confirm_delivery()
        q, count = name("log"), 300
        channel.queue_declare(q, durable=True, arguments={"x-queue-type": "stream", "x-max-age": "1h"})
        for n in range(count):
            colour = {"x-stream-filter-value": "red" if n % 3 else "blue"}
            channel.basic_publish("", q, str(n).encode(), pika.BasicProperties(headers=colour))
        equal(channel.queue_declare(q, passive=True).method.message_count, count)
        for arguments, wanted in (({"x-stream-offset": "first"}, range(count)), ({"x-stream-offset": 0}, range(count)),
                                  ({"x-stream-offset": 250}, range(250, count)),
                                  ({"x-stream-offset": "1h"}, range(count)),
                                  ({"x-stream-offset": "last"}, range(count - 1, count)),
                                  ({"x-stream-offset": "first", "x-stream-filter": "blue"}, range(0, count, 3))):
            with Session() as (_, reader):
                reader.basic_qos(prefetch_count=20)
                for offset in wanted:
                    method, properties, body = next(reader.consume(q, arguments=arguments, inactivity_timeout=5))
                    equal((properties.headers["x-stream-offset"], body), (offset, str(offset).encode()), arguments)
                    reader.basic_ack(method.delivery_tag)
                reader.cancel()
        channel.queue_delete(q)


@case
def priorities_order_a_queue():
    with Session() as (_, channel):
        channel.confirm_delivery()
        q = queue(channel, arguments={"x-max-priority": 5})
        for priority in (1, 5, 3, 0, 9):
            channel.basic_publish("", q, str(priority).encode(), pika.BasicProperties(priority=priority))
        equal(bodies(channel, q, 5), [b"5", b"9", b"3", b"1", b"0"])


# Exchanges.


@case
def a_direct_exchange_routes_by_key():
    with Session() as (_, channel):
        exchange = name("direct")
        channel.exchange_declare(exchange, ExchangeType.direct)
        red, blue = queue(channel), queue(channel)
        channel.queue_bind(red, exchange, "red")
        channel.queue_bind(blue, exchange, "blue")
        channel.queue_bind(blue, exchange, "red")
        channel.confirm_delivery()
        channel.basic_publish(exchange, "red", b"1")
        channel.basic_publish(exchange, "blue", b"2")
        channel.basic_publish(exchange, "green", b"3")
        equal(bodies(channel, red, 1), [b"1"])
        equal(bodies(channel, blue, 2), [b"1", b"2"])
        channel.queue_unbind(blue, exchange, "red")
        channel.basic_publish(exchange, "red", b"4")
        empty(channel, blue)
        equal(bodies(channel, red, 1), [b"4"])
        channel.exchange_delete(exchange)


@case
def a_fanout_exchange_copies_to_all():
    with Session() as (_, channel):
        exchange = name("fanout")
        channel.exchange_declare(exchange, ExchangeType.fanout, auto_delete=True)
        queues = [queue(channel) for _ in range(20)]
        for q in queues:
            channel.queue_bind(q, exchange)
            channel.queue_bind(q, exchange, "twice counts once")
        channel.confirm_delivery()
        channel.basic_publish(exchange, "whatever", b"all")
        for q in queues:
            equal(bodies(channel, q, 1), [b"all"])
            empty(channel, q)
            channel.queue_unbind(q, exchange)
            channel.queue_unbind(q, exchange, "twice counts once")
        refused(404, "NOT_FOUND - no exchange", lambda: channel.exchange_declare(exchange, passive=True))


@case
def a_topic_exchange_matches_words():
    patterns = {
        "*.orange.*": {"quick.orange.rabbit", "lazy.orange.elephant"},
        "*.*.rabbit": {"quick.orange.rabbit", "lazy.pink.rabbit"},
        "lazy.#": {"lazy.orange.elephant", "lazy.pink.rabbit", "lazy", "lazy.orange.male.rabbit"},
        "#": None,
        "#.rabbit": {"quick.orange.rabbit", "lazy.pink.rabbit", "lazy.orange.male.rabbit"},
        "lazy.*.#.rabbit": {"lazy.pink.rabbit", "lazy.orange.male.rabbit"},
        "": {""},
        "quick": set(),
    }
    keys = ["quick.orange.rabbit", "lazy.orange.elephant", "lazy.pink.rabbit", "lazy", "lazy.orange.male.rabbit", "",
            "orange"]
    with Session() as (_, channel):
        channel.confirm_delivery()
        exchange = name("topic")
        channel.exchange_declare(exchange, ExchangeType.topic, auto_delete=True)
        bound = {pattern: queue(channel) for pattern in patterns}
        for pattern, q in bound.items():
            channel.queue_bind(q, exchange, pattern)
        for key in keys:
            channel.basic_publish(exchange, key, key.encode())
        for pattern, q in bound.items():
            wanted = [k.encode() for k in keys if patterns[pattern] is None or k in patterns[pattern]]
            equal(bodies(channel, q, len(wanted)), wanted, f"pattern {pattern!r}")
            empty(channel, q)


@case
def a_headers_exchange_matches_all_or_any():
    with Session() as (_, channel):
        channel.confirm_delivery()
        exchange = name("headers")
        channel.exchange_declare(exchange, ExchangeType.headers, auto_delete=True)
        both, either, present = queue(channel), queue(channel), queue(channel)
        channel.queue_bind(both, exchange, arguments={"x-match": "all", "kind": "pdf", "pages": 3})
        channel.queue_bind(either, exchange, arguments={"x-match": "any", "kind": "pdf", "pages": 3})
        channel.queue_bind(present, exchange, arguments={"kind": None})
        for body, headers in (
            (b"1", {"kind": "pdf", "pages": 3, "more": True}),
            (b"2", {"kind": "pdf", "pages": 4}),
            (b"3", {"kind": "txt"}),
            (b"4", {"pages": 3}),
            (b"5", None),
        ):
            channel.basic_publish(exchange, "", body, pika.BasicProperties(headers=headers))
        equal(bodies(channel, both, 1), [b"1"])
        equal(bodies(channel, either, 3), [b"1", b"2", b"4"])
        equal(bodies(channel, present, 3), [b"1", b"2", b"3"])
        for q in (both, either, present):
            empty(channel, q)


@case
def exchanges_bind_to_exchanges():
    with Session() as (_, channel):
        channel.confirm_delivery()
        source, target = name("source"), name("target")
        channel.exchange_declare(source, "topic")
        channel.exchange_declare(target, "fanout")
        channel.exchange_bind(target, source, "a.#")
        q = queue(channel)
        channel.queue_bind(q, target)
        channel.basic_publish(source, "a.b", b"in")
        channel.basic_publish(source, "b.a", b"out")
        equal(bodies(channel, q, 1), [b"in"])
        channel.exchange_unbind(target, source, "a.#")
        channel.basic_publish(source, "a.b", b"unbound")
        empty(channel, q)
        channel.exchange_delete(source)
        channel.exchange_delete(target)


@case
def an_alternate_exchange_takes_what_is_unroutable():
    with Session() as (_, channel):
        channel.confirm_delivery()
        spare, main = name("spare"), name("main")
        channel.exchange_declare(spare, "fanout")
        channel.exchange_declare(main, "direct", arguments={"alternate-exchange": spare})
        q = queue(channel)
        channel.queue_bind(q, spare)
        channel.basic_publish(main, "lost", b"found", mandatory=True)
        equal(bodies(channel, q, 1), [b"found"])
        channel.exchange_delete(main)
        channel.exchange_delete(spare)


@case
def an_internal_exchange_is_closed_to_publishers():
    with Session() as (connection, channel):
        inner = name("inner")
        channel.exchange_declare(inner, "fanout", internal=True)
        channel.basic_publish(inner, "", b"x")
        refused(403, "ACCESS_REFUSED - cannot publish to internal exchange",
                lambda: channel.queue_declare("", exclusive=True))
        connection.channel().exchange_delete(inner)


@case
def exchange_errors():
    with Session() as (connection, channel):
        exchange = name("x")
        channel.exchange_declare(exchange, "direct", durable=True)
        refused(406, f"inequivalent arg 'type' for exchange '{exchange}' in vhost '{VHOST}': "
                "received 'fanout' but current is 'direct'",
                lambda: channel.exchange_declare(exchange, "fanout", durable=True))
        channel = connection.channel()
        refused(404, f"no exchange 'nowhere' in vhost '{VHOST}'",
                lambda: channel.exchange_declare("nowhere", passive=True))
        channel = connection.channel()
        channel.queue_declare("", exclusive=True)
        refused(404, "no exchange 'nowhere'", lambda: channel.queue_bind("", "nowhere", "k"))
        channel = connection.channel()
        channel.queue_declare("", exclusive=True)
        channel.queue_bind("", exchange, "k")
        refused(406, f"PRECONDITION_FAILED - exchange '{exchange}' in vhost '{VHOST}' in use",
                lambda: channel.exchange_delete(exchange, if_unused=True))
        channel = connection.channel()
        refused(403, "ACCESS_REFUSED - operation not permitted on the default exchange",
                lambda: channel.exchange_delete(""))
        connection.channel().exchange_delete(exchange)
        connection.channel().exchange_delete(exchange)


@case
def an_unknown_exchange_type_closes_the_connection():
    with Session() as (connection, channel):
        refused(503, "COMMAND_INVALID - unknown exchange type 'x-nothing'",
                lambda: channel.exchange_declare(name("x"), "x-nothing"), exceptions.ConnectionClosedByBroker)


@case
def predeclared_exchanges_exist():
    with Session() as (_, channel):
        for exchange, kind in (("amq.direct", "direct"), ("amq.fanout", "fanout"), ("amq.topic", "topic"),
                               ("amq.headers", "headers"), ("amq.match", "headers")):
            channel.exchange_declare(exchange, kind, passive=True)
            channel.exchange_declare(exchange, kind, durable=True)


# Publishing.


@case
def confirms_come_for_every_publish():
    with Session() as (_, channel):
        channel.confirm_delivery()
        q = queue(channel)
        for number in range(500):
            channel.basic_publish("", q, str(number).encode(), pika.BasicProperties(delivery_mode=2))
        equal(channel.queue_declare(q, passive=True).method.message_count, 500)


@case
def an_unroutable_mandatory_message_returns():
    with Session() as (_, channel):
        channel.confirm_delivery()
        try:
            channel.basic_publish("amq.direct", "nobody", b"back", pika.BasicProperties(message_id="42"),
                                  mandatory=True)
        except exceptions.UnroutableError as error:
            back = error.messages[0]
            equal((back.method.reply_code, back.method.reply_text), (312, "NO_ROUTE"))
            equal((back.method.exchange, back.method.routing_key), ("amq.direct", "nobody"))
            equal((back.body, back.properties.message_id), (b"back", "42"))
        else:
            raise AssertionError("nothing came back")
        channel.basic_publish("amq.direct", "nobody", b"lost quietly")


@case
def returns_come_without_confirms_too():
    with Session() as (connection, channel):
        back = []
        channel.add_on_return_callback(lambda c, method, properties, body: back.append((method.reply_code, body)))
        for number in range(10):
            channel.basic_publish("", "nowhere at all", str(number).encode(), mandatory=True)
        until(connection, lambda: len(back) == 10)
        equal(back, [(312, str(n).encode()) for n in range(10)])


@case
def publishing_to_a_missing_exchange_closes_the_channel():
    with Session() as (connection, channel):
        channel.basic_publish("nowhere", "k", b"x")
        refused(404, f"NOT_FOUND - no exchange 'nowhere' in vhost '{VHOST}'",
                lambda: channel.queue_declare("", exclusive=True))
        channel = connection.channel()
        channel.confirm_delivery()
        refused(404, "NOT_FOUND", lambda: channel.basic_publish("nowhere", "k", b"x"))


@case
def transactions_commit_and_roll_back():
    with Session() as (connection, channel):
        q = queue(channel)
        other = connection.channel()
        channel.tx_select()
        channel.basic_publish("", q, b"rolled back")
        channel.tx_rollback()
        channel.basic_publish("", q, b"kept")
        empty(other, q)
        channel.tx_commit()
        equal(bodies(other, q, 1), [b"kept"])
        channel.basic_publish("", q, b"a")
        channel.basic_publish("", q, b"b")
        channel.tx_commit()
        method, _, body = channel.basic_get(q)
        channel.basic_ack(method.delivery_tag)
        channel.tx_rollback()
        channel.basic_ack(method.delivery_tag)
        channel.tx_commit()
        equal(other.queue_declare(q, passive=True).method.message_count, 1)
        channel.close()
        equal(bodies(other, q, 1), [b"b"])


@case
def tx_and_confirms_exclude_each_other():
    with Session() as (connection, channel):
        channel.tx_select()
        refused(406, "PRECONDITION_FAILED - cannot switch from tx to confirm mode", channel.confirm_delivery)
        channel = connection.channel()
        channel.confirm_delivery()
        refused(406, "PRECONDITION_FAILED - cannot switch from confirm to tx mode", channel.tx_select)
        refused(406, "PRECONDITION_FAILED - channel is not transactional", connection.channel().tx_commit)


HEADERS = {
    "text": "grün",
    "long text": "x" * 5000,
    "number": 42,
    "negative": -(2**31),
    "big": 2**40,
    "yes": True,
    "no": False,
    "nothing": None,
    "price": decimal.Decimal("3.14"),
    "when": datetime.datetime(2024, 2, 29, 12, 0, 1),
    "list": [1, "two", [3, {"four": 5}], None],
    "table": {"a": {"b": {"c": "d"}}, "empty": {}},
    "bytes": b"\x00\xff\x80",
}


@case
def every_property_and_header_type_comes_back():
    with Session() as (_, channel):
        q = queue(channel)
        sent = pika.BasicProperties(
            content_type="application/json",
            content_encoding="gzip",
            headers=HEADERS,
            delivery_mode=2,
            priority=7,
            correlation_id="c-1",
            reply_to="answers",
            expiration="60000",
            message_id="m-1",
            timestamp=1700000000,
            type="event",
            user_id=USER,
            app_id="suite",
            cluster_id="old",
        )
        channel.basic_publish("", q, b"{}", sent)
        _, got, _ = get(channel, q)
        equal({k: v for k, v in vars(got).items() if k != "headers"},
              {k: v for k, v in vars(sent).items() if k != "headers"})
        for key, value in HEADERS.items():
            equal(got.headers[key], value, f"header {key}")
        channel.basic_publish("", q, b"")
        _, bare, body = get(channel, q)
        equal(body, b"")
        equal({v for v in vars(bare).values()}, {None}, "properties of a bare message")


@case
def a_forged_user_id_is_refused():
    with Session() as (connection, channel):
        q = queue(channel)
        channel.basic_publish("", q, b"x", pika.BasicProperties(user_id="somebody"))
        refused(406, "PRECONDITION_FAILED - user_id property set to 'somebody' but authenticated user was",
                lambda: channel.queue_declare("", exclusive=True))


@case
def copies_go_to_cc_and_bcc():
    with Session() as (_, channel):
        channel.confirm_delivery()
        one, two, three = queue(channel), queue(channel), queue(channel)
        channel.basic_publish("", one, b"x", pika.BasicProperties(headers={"CC": [two], "BCC": [three]}))
        for q in (one, two, three):
            _, properties, _ = get(channel, q)
            equal(properties.headers, {"CC": [two]})


@case(seconds=60)
def large_messages_survive():
    with Session() as (_, channel):
        channel.confirm_delivery()
        q = queue(channel)
        for size in (1, 131_064, 131_065, 1 << 20, 10 << 20):
            body = os.urandom(size)
            channel.basic_publish("", q, body)
            holds(get(channel, q)[2] == body, f"{size} bytes came back changed")


# Consuming.


@case
def a_consumer_gets_all_in_order():
    with Session() as (_, channel):
        q = queue(channel)
        for number in range(1000):
            channel.basic_publish("", q, str(number).encode())
        got = []

        def on_message(ch, method, properties, body):
            got.append(body)
            ch.basic_ack(method.delivery_tag)
            if len(got) == 1000:
                ch.stop_consuming()

        channel.basic_qos(prefetch_count=50)
        channel.basic_consume(q, on_message)
        channel.start_consuming()
        equal(got, [str(n).encode() for n in range(1000)])
        equal(channel.queue_declare(q, passive=True).method.message_count, 0)


@case
def the_consume_generator_ends_and_requeues():
    with Session() as (connection, channel):
        q = queue(channel)
        for number in range(10):
            channel.basic_publish("", q, str(number).encode())
        got = []
        for method, _, body in channel.consume(q, inactivity_timeout=5):
            got.append(body)
            channel.basic_ack(method.delivery_tag)
            if len(got) == 4:
                break
        channel.cancel()
        equal(got, [b"0", b"1", b"2", b"3"])
        equal(bodies(connection.channel(), q, 6), [str(n).encode() for n in range(4, 10)])


@case
def prefetch_bounds_what_is_unacked():
    with Session() as (connection, channel):
        q = queue(channel)
        tags = []
        channel.basic_qos(prefetch_count=3)
        channel.basic_consume(q, lambda ch, method, p, b: tags.append(method.delivery_tag))
        for _ in range(10):
            channel.basic_publish("", q, b"x")
        settle(connection)
        equal(tags, [1, 2, 3])
        channel.basic_ack(2, multiple=True)
        settle(connection)
        equal(tags, [1, 2, 3, 4, 5])
        channel.basic_ack(0, multiple=True)
        settle(connection)
        equal(tags, [1, 2, 3, 4, 5, 6, 7, 8])


@case
def a_global_prefetch_is_shared_by_the_channel():
    with Session() as (connection, channel):
        q = queue(channel)
        tags = []
        channel.basic_qos(prefetch_count=4, global_qos=True)
        for _ in range(3):
            channel.basic_consume(q, lambda ch, method, p, b: tags.append(method.delivery_tag))
        for _ in range(10):
            channel.basic_publish("", q, b"x")
        settle(connection)
        equal(tags, [1, 2, 3, 4])


@case
def nack_and_reject_requeue_to_the_old_place():
    with Session() as (_, channel):
        q = queue(channel)
        channel.confirm_delivery()
        for body in (b"1", b"2", b"3"):
            channel.basic_publish("", q, body)
        tags = [channel.basic_get(q)[0] for _ in range(3)]
        holds(not any(t.redelivered for t in tags), "first deliveries")
        channel.basic_nack(tags[1].delivery_tag, multiple=True, requeue=True)
        channel.basic_reject(tags[2].delivery_tag, requeue=True)
        again = [channel.basic_get(q) for _ in range(3)]
        equal([body for _, _, body in again], [b"1", b"2", b"3"])
        holds(all(method.redelivered for method, _, _ in again), "redelivered")
        channel.basic_nack(0, multiple=True, requeue=False)
        equal(channel.queue_declare(q, passive=True).method.message_count, 0)


@case
def recover_delivers_again():
    with Session() as (connection, channel):
        q = queue(channel)
        channel.basic_publish("", q, b"x")
        got = []
        channel.basic_consume(q, lambda ch, method, p, body: got.append((method.redelivered, body)))
        until(connection, lambda: len(got) == 1)
        channel.basic_recover(requeue=True)
        until(connection, lambda: len(got) == 2)
        equal(got, [(False, b"x"), (True, b"x")])


@case
def a_closed_channel_gives_its_messages_back():
    with Session() as (connection, channel):
        q = queue(channel)
        channel.basic_publish("", q, b"x")
        other = connection.channel()
        end = time.monotonic() + 5
        while other.basic_get(q)[0] is None and time.monotonic() < end:
            time.sleep(0.01)
        other.close()
        method, _, body = get(channel, q)
        equal((method.redelivered, body), (True, b"x"))


@case
def an_unknown_tag_closes_the_channel():
    with Session() as (connection, channel):
        channel.basic_ack(99)
        refused(406, "PRECONDITION_FAILED - unknown delivery tag 99", lambda: channel.queue_declare("", exclusive=True))


@case
def consumers_take_turns():
    with Session() as (connection, channel):
        q = queue(channel)
        counts = {}
        for number in range(4):
            channel.basic_consume(q, lambda ch, m, p, b, n=number: counts.update({n: counts.get(n, 0) + 1}),
                                  auto_ack=True)
        for _ in range(40):
            channel.basic_publish("", q, b"x")
        until(connection, lambda: sum(counts.values()) == 40)
        equal(counts, {0: 10, 1: 10, 2: 10, 3: 10})


@case
def consumer_priorities_decide():
    with Session() as (connection, channel):
        q = queue(channel)
        got = []
        channel.basic_qos(prefetch_count=2)
        channel.basic_consume(q, lambda *_: got.append("low"), arguments={"x-priority": -1})
        channel.basic_consume(q, lambda *_: got.append("high"), arguments={"x-priority": 10})
        for _ in range(3):
            channel.basic_publish("", q, b"x")
        until(connection, lambda: len(got) == 3)
        equal(sorted(got), ["high", "high", "low"])


@case
def an_exclusive_consumer_is_alone():
    with Session() as (connection, channel):
        q = queue(channel)
        channel.basic_consume(q, lambda *_: None, exclusive=True)
        refused(403, f"ACCESS_REFUSED - queue '{q}' in vhost '{VHOST}' in exclusive use",
                lambda: connection.channel().basic_consume(q, lambda *_: None))


@case
def a_single_active_consumer_hands_over():
    with Session() as (connection, channel):
        q = queue(channel, arguments={"x-single-active-consumer": True})
        got = []
        first = channel.basic_consume(q, lambda *_: got.append("first"), auto_ack=True)
        channel.basic_consume(q, lambda *_: got.append("second"), auto_ack=True)
        for _ in range(4):
            channel.basic_publish("", q, b"x")
        until(connection, lambda: len(got) == 4)
        channel.basic_cancel(first)
        channel.basic_publish("", q, b"x")
        until(connection, lambda: len(got) == 5)
        equal(got, ["first"] * 4 + ["second"])


@case
def a_deleted_queue_cancels_its_consumers():
    with Session() as (connection, channel):
        q = name()
        channel.queue_declare(q)
        cancelled = []
        channel.add_on_cancel_callback(lambda method: cancelled.append(method.method.consumer_tag))
        tag = channel.basic_consume(q, lambda *_: None)
        with Session() as (_, other):
            other.queue_delete(q)
        until(connection, lambda: cancelled)
        equal(cancelled, [tag])


@case
def a_used_consumer_tag_closes_the_connection():
    with Session() as (connection, channel):
        q = queue(channel)
        channel._impl.basic_consume(q, lambda *_: None, consumer_tag="mine")
        channel._impl._consumers.pop("mine", None)
        channel._impl.basic_consume(q, lambda *_: None, consumer_tag="mine")
        refused(530, "NOT_ALLOWED - attempt to reuse consumer tag 'mine'",
                lambda: connection.process_data_events(time_limit=5), exceptions.ConnectionClosedByBroker)


@case
def consuming_a_missing_queue_closes_the_channel():
    with Session() as (connection, channel):
        refused(404, "no queue 'nowhere'", lambda: channel.basic_consume("nowhere", lambda *_: None))
        refused(404, "no queue 'nowhere'", lambda: connection.channel().basic_get("nowhere"))
        equal(queue(connection.channel())[:8], "amq.gen-")


@case
def immediate_and_prefetch_size_are_not_implemented():
    with Session() as (connection, channel):
        refused(540, "NOT_IMPLEMENTED", lambda: channel.basic_qos(prefetch_size=10),
                exceptions.ConnectionClosedByBroker)


# RPC and threads.


@case
def rpc_by_direct_reply_to():
    with Session() as (connection, channel):
        q = queue(channel)
        answers = []
        channel.basic_consume("amq.rabbitmq.reply-to", lambda ch, m, p, b: answers.append((p.correlation_id, b)),
                              auto_ack=True)

        def serve(ch, method, properties, body):
            holds(properties.reply_to.startswith("amq.rabbitmq.reply-to."), properties.reply_to)
            server.basic_publish("", properties.reply_to, body.upper(),
                                 pika.BasicProperties(correlation_id=properties.correlation_id))

        server = connection.channel()
        server.basic_consume(q, serve, auto_ack=True)
        for number in range(20):
            channel.basic_publish("", q, b"call %d" % number,
                                  pika.BasicProperties(reply_to="amq.rabbitmq.reply-to", correlation_id=str(number)))
        until(connection, lambda: len(answers) == 20)
        equal(answers, [(str(n), b"CALL %d" % n) for n in range(20)])


@case
def direct_reply_to_needs_a_consumer_first():
    with Session() as (_, channel):
        q = queue(channel)
        channel.basic_publish("", q, b"x", pika.BasicProperties(reply_to="amq.rabbitmq.reply-to"))
        refused(406, "PRECONDITION_FAILED - fast reply consumer does not exist",
                lambda: channel.queue_declare("", exclusive=True))


@case
def rpc_by_an_own_queue():
    with Session() as (connection, channel):
        q, mine = queue(channel), queue(channel)
        answers = []
        channel.basic_consume(mine, lambda ch, m, p, b: answers.append((p.correlation_id, b)), auto_ack=True)
        channel.basic_consume(
            q,
            lambda ch, m, p, b: (
                ch.basic_publish("", p.reply_to, b * 2, pika.BasicProperties(correlation_id=p.correlation_id)),
                ch.basic_ack(m.delivery_tag),
            ),
        )
        channel.basic_publish("", q, b"ab", pika.BasicProperties(reply_to=mine, correlation_id="1"))
        until(connection, lambda: answers)
        equal(answers, [("1", b"abab")])


@case
def a_queue_takes_each_message_once():
    """A publisher that is not sure sends again: it is confirmed, and the queue has the message once."""
    with Session() as (_, channel):
        q = queue(channel, arguments={"x-message-deduplication": True})
        channel.confirm_delivery()

        def send(value, body=b""):
            channel.basic_publish("", q, body, pika.BasicProperties(headers={"x-deduplication-header": value}), mandatory=True)

        for _ in range(3):
            for n in range(20):
                send(f"order-{n}", b"%d" % n)
        equal(channel.queue_declare(q, passive=True).method.message_count, 20)
        method, _, _ = channel.basic_get(q)
        send("order-0")
        equal(channel.queue_declare(q, passive=True).method.message_count, 19, "while a consumer has it")
        channel.basic_ack(method.delivery_tag)
        send("order-0", b"again")
        bodies = [get(channel, q)[2] for _ in range(20)]
        equal(bodies, [b"%d" % n for n in range(1, 20)] + [b"again"])


@case
def an_exchange_lets_each_message_in_once():
    """A publisher that is not sure sends again, to whatever is bound; an outbox that is played twice arrives once."""
    with Session() as (_, channel):
        x, queues = name("once"), [queue(channel) for _ in range(2)]
        channel.exchange_declare(x, "x-message-deduplication", auto_delete=True, arguments={"x-cache-size": 30, "x-cache-ttl": 60000})
        for q in queues:
            channel.queue_bind(q, x)
        channel.confirm_delivery()

        def send(value, body, **headers):
            headers["x-deduplication-header"] = value
            channel.basic_publish(x, "", body, pika.BasicProperties(headers=headers), mandatory=True)

        for _ in range(3):
            for n in range(20):
                send(f"order-{n}", b"%d" % n)
        for q in queues:
            equal(bodies(channel, q, 20), [b"%d" % n for n in range(20)])
            empty(channel, q)
        send("short", b"1", **{"x-cache-ttl": 100})
        send("short", b"2")
        time.sleep(0.3)
        send("short", b"3")
        send("order-19", b"late")
        for n in range(30):
            send(n, b"x")
        send("order-19", b"forgotten")
        equal(bodies(channel, queues[0], 33), [b"1", b"3"] + [b"x"] * 30 + [b"forgotten"])


@case
def late_comers_get_the_recent_history():
    """A chat room: who joins sees the last lines, then what comes."""
    with Session() as (_, channel):
        room = name("room")
        channel.exchange_declare(room, "x-recent-history", arguments={"x-recent-history-length": 5})
        for n in range(8):
            channel.basic_publish(room, "", b"%d" % n)
        channel.basic_publish(room, "", b"secret", pika.BasicProperties(headers={"x-recent-history-no-store": True}))
        first = queue(channel)
        channel.queue_bind(first, room)
        equal(bodies(channel, first, 5), [b"%d" % n for n in range(3, 8)])
        channel.basic_publish(room, "", b"8")
        second = queue(channel)
        channel.queue_bind(second, room)
        equal(bodies(channel, first, 1), [b"8"])
        equal(bodies(channel, second, 5), [b"%d" % n for n in range(4, 9)])
        empty(channel, first)
        empty(channel, second)
        channel.exchange_delete(room)


@case
def hash_exchanges_share_messages_out():
    """A client's keys stay with the queue they went to; one queue gets each message."""
    with Session() as (_, channel):
        channel.confirm_delivery()
        queues = [queue(channel) for _ in range(4)]
        for kind, keys in (("x-consistent-hash", "1234"), ("x-modulus-hash", ["", "", "", ""]), ("x-random", "abcd"),
                           ("x-local-random", ["", "", "", ""])):
            x = name(kind)
            channel.exchange_declare(x, kind, auto_delete=True)
            for q, key in zip(queues, keys):
                channel.queue_bind(q, x, key)
            way = {}
            for n in range(300):
                channel.basic_publish(x, str(n % 30), b"", mandatory=True)
                got = [q for q in queues if channel.basic_get(q, auto_ack=True)[0]]
                equal(len(got), 1, f"copies by {kind}")
                if kind.endswith("hash"):
                    equal(way.setdefault(n % 30, got[0]), got[0], "queue of a key")
                else:
                    way[n] = got[0]
            equal(len(set(way.values())), 4, f"queues that {kind} used")
            channel.exchange_delete(x)


@case
def threads_publish_on_connections_of_their_own():
    with Session() as (_, channel):
        q = queue(channel, queue=name(), exclusive=False)
        failures = []

        def publish(thread):
            try:
                with Session() as (_, mine):
                    mine.confirm_delivery()
                    for number in range(100):
                        mine.basic_publish("", q, b"%d.%d" % (thread, number))
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=publish, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        equal(failures, [])
        got = [get(channel, q)[2] for _ in range(800)]
        for thread in range(8):
            mine = [b for b in got if b.startswith(b"%d." % thread)]
            equal(mine, [b"%d.%d" % (thread, n) for n in range(100)], f"order of thread {thread}")
        channel.queue_delete(q)


@case
def permissions_are_kept():
    user = name("user")
    admin("add-user", user, "secret", "^mine", "^mine", "^mine")
    try:
        with Session(credentials=pika.PlainCredentials(user, "secret")) as (connection, channel):
            channel.queue_declare("mine", exclusive=True)
            refused(403, f"ACCESS_REFUSED - access to queue 'yours' in vhost '{VHOST}' refused for user '{user}'",
                    lambda: channel.queue_declare("yours"))
            channel = connection.channel()
            refused(403, "ACCESS_REFUSED - access to exchange 'amq.direct'",
                    lambda: channel.queue_bind("mine", "amq.direct", "k"))
    finally:
        admin("delete-user", user)


if __name__ == "__main__":
    run()
