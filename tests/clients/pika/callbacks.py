"""pika's callback-driven adapters: one list of cases, run by adapter_select.py and adapter_asyncio.py.

A case is a generator. It yields a function that starts something and takes the callback to be called at its end, and
is resumed with what the callback got: `frame = yield lambda done: channel.queue_declare(q, callback=done)`.
"""

import asyncio
import functools
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

import pika
from pika.adapters.asyncio_connection import AsyncioConnection
from tap import HOST, PASSWORD, PORT, USER, VHOST, admin, equal, holds, name
from tap import case as register


def parameters(**changes):
    settings = dict(host=HOST, port=PORT, virtual_host=VHOST, credentials=pika.PlainCredentials(USER, PASSWORD),
                    heartbeat=30, connection_attempts=1)
    settings.update(changes)
    return pika.ConnectionParameters(**settings)


class Select:
    """SelectConnection with the loop it makes itself."""

    def connect(self, settings, **callbacks):
        self.connection = pika.SelectConnection(settings, **callbacks)
        self.loop = self.connection.ioloop

    def run(self):
        self.loop.start()

    def finish(self):
        self.loop.close()


class Asyncio:
    """AsyncioConnection on a fresh event loop."""

    def connect(self, settings, **callbacks):
        self.loop = asyncio.new_event_loop()
        self.connection = AsyncioConnection(settings, custom_ioloop=self.loop, **callbacks)

    def run(self):
        self.loop.run_forever()

    def finish(self):
        self.loop.close()


class Play:
    """Runs one case on one connection of an adapter."""

    def __init__(self, adapter, body, settings):
        self.adapter = adapter
        self.body = body
        self.steps = None
        self.failure = None
        self.ended = False
        self.open_error = None
        self.close_reason = None
        self.on_closed = None
        adapter.connect(settings, on_open_callback=self.on_open, on_open_error_callback=self.on_open_error,
                        on_close_callback=self.on_close)

    def run(self):
        self.adapter.run()
        self.adapter.finish()
        if self.failure:
            raise self.failure
        return self

    def on_open(self, connection):
        self.steps = self.body(self, connection)
        self.step()

    def on_open_error(self, connection, error):
        self.open_error = error
        self.adapter.loop.stop()

    def on_close(self, connection, reason):
        self.close_reason = reason
        if self.ended:
            self.adapter.loop.stop()
        elif self.on_closed:
            self.on_closed(reason)
        else:
            self.failure = reason
            self.adapter.loop.stop()

    def closed(self, done):
        """A step that ends when the broker has closed the connection."""
        self.on_closed = done

    def pause(self, seconds):
        return lambda done: self.adapter.loop.call_later(seconds, done)

    def step(self, *results):
        if self.ended:
            return
        try:
            start = self.steps.send(results[0] if len(results) == 1 else (results or None))
            start(self.later)
        except StopIteration:
            self.end()
        except BaseException as error:
            self.failure = error
            self.end()

    def later(self, *results):
        """Steps in the next turn: a callback may come before the call that asked for it has returned."""
        self.adapter.loop.call_later(0, functools.partial(self.step, *results))

    def end(self):
        self.ended = True
        if self.adapter.connection.is_open:
            self.adapter.connection.close()
        elif self.adapter.connection.is_closed:
            self.adapter.loop.stop()


bodies = []


def case(body):
    bodies.append(body)
    return body


def register_all(adapter):
    """Makes every case a TAP case on this adapter."""
    for body in bodies:
        def perform(body=body):
            if body.__code__.co_argcount == 1:
                body(adapter)
            else:
                Play(adapter(), body, parameters()).run()
        perform.__name__ = body.__name__
        register(perform)


def refused(reason, code, text):
    equal(reason.reply_code, code, "reply code")
    holds(text in reason.reply_text, f"reply text {reason.reply_text!r} lacks {text!r}")


def opened(connection, number=None):
    return lambda done: connection.channel(number, on_open_callback=done)


def declared(channel, q="", **arguments):
    arguments.setdefault("exclusive", True)
    return lambda done: channel.queue_declare(q, callback=done, **arguments)


@case
def a_queue_lives_and_dies(play, connection):
    channel = yield opened(connection)
    q = name()
    frame = yield declared(channel, q, exclusive=False, arguments={"x-max-length": 5})
    equal(frame.method.queue, q)
    for _ in range(3):
        channel.basic_publish("", q, b"x")
    frame = yield lambda done: channel.queue_purge(q, callback=done)
    equal(frame.method.message_count, 3)
    frame = yield lambda done: channel.queue_delete(q, callback=done)
    equal(frame.method.message_count, 0)
    yield lambda done: channel.close() or channel.add_on_close_callback(done)


@case
def exchanges_route(play, connection):
    channel = yield opened(connection)
    for kind, bound, sent in (("direct", "k", "k"), ("fanout", "", "any"), ("topic", "a.#", "a.b.c"),
                              ("headers", "", "")):
        exchange = name(kind)
        yield lambda done: channel.exchange_declare(exchange, kind, callback=done)
        q = (yield declared(channel)).method.queue
        arguments = {"x-match": "all", "h": 1} if kind == "headers" else None
        yield lambda done: channel.queue_bind(q, exchange, bound, arguments=arguments, callback=done)
        channel.basic_publish(exchange, sent, kind.encode(), pika.BasicProperties(headers={"h": 1}))
        got = yield lambda done: channel.basic_get(q, callback=done, auto_ack=True)
        equal(got[3], kind.encode())
        yield lambda done: channel.queue_unbind(q, exchange, bound, arguments=arguments, callback=done)
        yield lambda done: channel.exchange_delete(exchange, callback=done)


@case
def exchanges_bind_to_exchanges(play, connection):
    channel = yield opened(connection)
    source, target = name("source"), name("target")
    for exchange in (source, target):
        yield lambda done: channel.exchange_declare(exchange, "fanout", auto_delete=False, callback=done)
    yield lambda done: channel.exchange_bind(target, source, callback=done)
    q = (yield declared(channel)).method.queue
    yield lambda done: channel.queue_bind(q, target, callback=done)
    channel.basic_publish(source, "", b"through")
    got = yield lambda done: channel.basic_get(q, callback=done, auto_ack=True)
    equal(got[3], b"through")
    yield lambda done: channel.exchange_unbind(target, source, callback=done)
    for exchange in (source, target):
        yield lambda done: channel.exchange_delete(exchange, callback=done)


@case
def confirms_count_every_publish(play, connection):
    channel = yield opened(connection)
    q = (yield declared(channel)).method.queue
    confirmed = set()
    wanted = 2000
    finished = []

    def on_confirm(frame):
        holds(isinstance(frame.method, pika.spec.Basic.Ack), "an ack")
        tag = frame.method.delivery_tag
        confirmed.update(range(max(confirmed, default=0) + 1, tag + 1) if frame.method.multiple else [tag])
        if len(confirmed) == wanted:
            finished[0]()

    yield lambda done: channel.confirm_delivery(on_confirm, callback=done)

    def publish(done):
        finished.append(done)
        for number in range(wanted):
            channel.basic_publish("", q, str(number).encode())

    yield publish
    equal(confirmed, set(range(1, wanted + 1)))
    frame = yield declared(channel, q, passive=True)
    equal(frame.method.message_count, wanted)


@case
def returns_come_before_their_ack(play, connection):
    channel = yield opened(connection)
    events = []
    channel.add_on_return_callback(lambda ch, method, properties, body: events.append(("return", body)))

    def publish(done):
        channel.confirm_delivery(lambda frame: events.append(("ack", frame.method.delivery_tag)) or done())
        channel.basic_publish("", "nowhere at all", b"back", mandatory=True)

    yield publish
    equal(events, [("return", b"back"), ("ack", 1)])


@case
def a_full_queue_nacks(play, connection):
    channel = yield opened(connection)
    q = (yield declared(channel, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})).method.queue
    verdicts = {}

    def publish(done):
        def on_confirm(frame):
            tag = frame.method.delivery_tag
            for told in range(1, tag + 1) if frame.method.multiple else [tag]:
                verdicts.setdefault(told, type(frame.method).__name__)
            if len(verdicts) == 3:
                done()

        channel.confirm_delivery(on_confirm)
        for _ in range(3):
            channel.basic_publish("", q, b"x")

    yield publish
    equal(verdicts, {1: "Ack", 2: "Nack", 3: "Nack"})


@case
def consuming_with_prefetch_and_multiple_acks(play, connection):
    channel = yield opened(connection)
    q = (yield declared(channel)).method.queue
    yield lambda done: channel.basic_qos(prefetch_count=10, callback=done)
    got = []

    def consume(done):
        def on_message(ch, method, properties, body):
            got.append(int(body))
            holds(len(got) % 10 or method.delivery_tag == len(got), "tags count up")
            if len(got) % 10 == 0:
                ch.basic_ack(method.delivery_tag, multiple=True)
            if len(got) == 500:
                done()

        channel.basic_consume(q, on_message)
        for number in range(500):
            channel.basic_publish("", q, str(number).encode())

    yield consume
    equal(got, list(range(500)))


@case
def cancel_is_answered(play, connection):
    channel = yield opened(connection)
    q = (yield declared(channel)).method.queue
    tag = name("tag")
    frame = yield lambda done: channel.basic_consume(q, lambda *_: None, consumer_tag=tag, callback=done)
    equal(frame.method.consumer_tag, tag)
    frame = yield lambda done: channel.basic_cancel(tag, callback=done)
    equal(frame.method.consumer_tag, tag)
    frame = yield declared(channel, q, passive=True)
    equal(frame.method.consumer_count, 0)


@case
def a_deleted_queue_cancels_its_consumer(play, connection):
    channel = yield opened(connection)
    other = yield opened(connection)
    q = (yield declared(channel)).method.queue
    tag = channel.basic_consume(q, lambda *_: None)

    def delete(done):
        channel.add_on_cancel_callback(done)
        other.queue_delete(q)

    frame = yield delete
    equal(frame.method.consumer_tag, tag)


@case
def nacked_messages_come_again(play, connection):
    channel = yield opened(connection)
    q = (yield declared(channel)).method.queue
    seen = []

    def consume(done):
        def on_message(ch, method, properties, body):
            seen.append((body, method.redelivered))
            if not method.redelivered:
                ch.basic_nack(method.delivery_tag, requeue=True)
            else:
                ch.basic_reject(method.delivery_tag, requeue=False)
                done()

        channel.basic_consume(q, on_message)
        channel.basic_publish("", q, b"again")

    yield consume
    equal(seen, [(b"again", False), (b"again", True)])


@case
def transactions(play, connection):
    channel = yield opened(connection)
    q = (yield declared(channel)).method.queue
    yield lambda done: channel.tx_select(callback=done)
    channel.basic_publish("", q, b"dropped")
    yield lambda done: channel.tx_rollback(callback=done)
    channel.basic_publish("", q, b"kept")
    yield lambda done: channel.tx_commit(callback=done)
    other = yield opened(connection)
    got = yield lambda done: other.basic_get(q, callback=done)
    equal(got[3], b"kept")


@case
def a_channel_error_leaves_the_connection(play, connection):
    channel = yield opened(connection)

    def fail(done):
        channel.add_on_close_callback(lambda ch, reason: done(reason))
        channel.queue_declare("nowhere", passive=True)

    reason = yield fail
    refused(reason, 404, f"NOT_FOUND - no queue 'nowhere' in vhost '{VHOST}'")
    again = yield opened(connection, channel.channel_number)
    frame = yield declared(again)
    holds(frame.method.queue.startswith("amq.gen-"), "the number works again")


@case
def a_connection_error_closes_everything(play, connection):
    channel = yield opened(connection)
    channel.exchange_declare(name("x"), "x-nothing")
    reason = yield play.closed
    refused(reason, 503, "COMMAND_INVALID - unknown exchange type")


@case
def the_operator_closes_the_connection(play, connection):
    port = connection._transport._sock.getsockname()[1]
    admin("close-connection", port, "maintenance")
    reason = yield play.closed
    refused(reason, 320, "CONNECTION_FORCED - maintenance")


@case
def many_channels_at_once(play, connection):
    channels = []

    def open_all(done):
        def on_open(channel):
            channels.append(channel)
            if len(channels) == 500:
                done()

        for _ in range(500):
            connection.channel(on_open_callback=on_open)

    yield open_all
    equal(sorted(c.channel_number for c in channels), list(range(1, 501)))


@case
def a_large_message_is_framed_and_joined(play, connection):
    channel = yield opened(connection)
    q = (yield declared(channel)).method.queue
    body = os.urandom(3 << 20)

    def consume(done):
        channel.basic_consume(q, lambda ch, method, properties, got: done(got), auto_ack=True)
        channel.basic_publish("", q, body)

    got = yield consume
    holds(got == body, "the body came back changed")


@case
def direct_reply_to(play, connection):
    channel = yield opened(connection)
    q = (yield declared(channel)).method.queue
    answers = []

    def call(done):
        def on_answer(ch, method, properties, body):
            answers.append((properties.correlation_id, body))
            if len(answers) == 10:
                done()

        channel.basic_consume("amq.rabbitmq.reply-to", on_answer, auto_ack=True)
        channel.basic_consume(q, lambda ch, m, p, body: ch.basic_publish(
            "", p.reply_to, body[::-1], pika.BasicProperties(correlation_id=p.correlation_id)), auto_ack=True)
        for number in range(10):
            channel.basic_publish("", q, b"abc", pika.BasicProperties(reply_to="amq.rabbitmq.reply-to",
                                                                      correlation_id=str(number)))

    yield call
    equal(answers, [(str(n), b"cba") for n in range(10)])


@case
def heartbeats_keep_an_idle_connection(adapter):
    def body(play, connection):
        yield play.pause(5)
        channel = yield opened(connection)
        yield declared(channel)

    Play(adapter(), body, parameters(heartbeat=2)).run()


@case
def a_wrong_password_is_refused(adapter):
    play = Play(adapter(), None, parameters(credentials=pika.PlainCredentials(USER, "wrong"))).run()
    holds(isinstance(play.open_error, pika.exceptions.AMQPConnectionError), repr(play.open_error))
    holds("ACCESS_REFUSED" in repr(play.open_error.args[0]) or "ACCESS_REFUSED" in repr(play.open_error),
          repr(play.open_error))


@case
def an_unknown_virtual_host_is_refused(adapter):
    play = Play(adapter(), None, parameters(virtual_host="nowhere")).run()
    holds("vhost nowhere not found" in repr(play.open_error) + repr(play.open_error.args), repr(play.open_error))
