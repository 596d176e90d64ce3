"""aio-pika, plain and robust, with its patterns."""

import asyncio
import datetime
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

import aio_pika
import aiormq
from aio_pika import DeliveryMode, ExchangeType, Message
from aio_pika.exceptions import DeliveryError, QueueEmpty
from aio_pika.patterns import RPC, Master, NackMessage, RejectMessage
from aio_pika.pool import Pool
from pamqp.exceptions import AMQPInternalError
from tap import HOST, PASSWORD, PORT, URI, USER, VHOST, admin, broker_ports, case, equal, holds, name, run
from yarl import URL


def connect(**changes):
    return aio_pika.connect(str(URL(URI).update_query(changes)) if changes else URI)


async def refused(kind, text, awaitable):
    try:
        await awaitable
    except kind as error:
        # Some of its errors cannot be printed.
        holds(not text or text in str(error), f"{type(error)} lacks {text!r}")
        return
    raise AssertionError(f"{kind.__name__} was not raised")


async def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        holds(time.monotonic() < end, "waited too long")
        await asyncio.sleep(0.01)


@case
async def connect_and_close():
    connection = await connect(heartbeat=20)
    channel = await connection.channel()
    holds(not channel.is_closed and not connection.is_closed, "open")
    await channel.close()
    await connection.close()
    holds(connection.is_closed, "closed")


@case
async def a_wrong_password_is_refused():
    await refused(aiormq.exceptions.AMQPConnectionError, "ACCESS_REFUSED",
                  aio_pika.connect(host=HOST, port=PORT, login=USER, password="wrong", virtualhost=VHOST))


@case
async def an_unknown_virtual_host_is_refused():
    try:
        await aio_pika.connect(host=HOST, port=PORT, login=USER, password=PASSWORD, virtualhost="nowhere")
    except AMQPInternalError as error:
        # What it expected, and what it got instead.
        equal((error.args[1].reply_code, error.args[1].reply_text), (530, "NOT_ALLOWED - vhost nowhere not found"))
    else:
        raise AssertionError("connected")


@case
async def queues_declared_counted_purged_deleted():
    async with await connect() as connection:
        channel = await connection.channel()
        q = await channel.declare_queue(name(), durable=True, arguments={"x-max-length": 50})
        equal(q.declaration_result.message_count, 0)
        for _ in range(5):
            await channel.default_exchange.publish(Message(b"x"), q.name)
        passive = await channel.declare_queue(q.name, passive=True)
        equal(passive.declaration_result.message_count, 5)
        equal((await q.purge()).message_count, 5)
        await channel.default_exchange.publish(Message(b"x"), q.name)
        equal((await q.delete(if_unused=False, if_empty=False)).message_count, 1)


@case
async def channel_errors_close_only_the_channel():
    async with await connect() as connection:
        channel = await connection.channel()
        await refused(aiormq.exceptions.ChannelNotFoundEntity, "no queue 'nowhere'",
                      channel.declare_queue("nowhere", passive=True))
        channel = await connection.channel()
        q = await channel.declare_queue(name(), auto_delete=True)
        await refused(aiormq.exceptions.ChannelPreconditionFailed, "inequivalent arg 'durable'",
                      channel.declare_queue(q.name, durable=True, auto_delete=True))
        channel = await connection.channel()
        await refused(aiormq.exceptions.ChannelNotFoundEntity, "no exchange 'nowhere'",
                      channel.get_exchange("nowhere", ensure=True))
        channel = await connection.channel()
        await refused(aiormq.exceptions.ChannelAccessRefused, "reserved prefix", channel.declare_queue("amq.mine"))
        channel = await connection.channel()
        await (await channel.declare_queue(q.name, passive=True)).delete()


@case
async def an_exclusive_queue_is_locked():
    async with await connect() as one, await connect() as two:
        q = await (await one.channel()).declare_queue(name(), exclusive=True)
        await refused(aiormq.exceptions.ChannelLockedResource, "RESOURCE_LOCKED",
                      (await two.channel()).declare_queue(q.name, passive=True))


@case
async def exchanges_route():
    async with await connect() as connection:
        channel = await connection.channel()
        for kind, bound, sent, arguments in (
            (ExchangeType.DIRECT, "k", "k", None),
            (ExchangeType.FANOUT, "", "any", None),
            (ExchangeType.TOPIC, "#.end", "a.b.end", None),
            (ExchangeType.HEADERS, "", "", {"x-match": "all", "h": "v", "n": 1}),
        ):
            exchange = await channel.declare_exchange(name(kind.value), kind, auto_delete=True)
            q = await channel.declare_queue(exclusive=True)
            await q.bind(exchange, bound, arguments=arguments)
            await exchange.publish(Message(kind.value.encode(), headers={"h": "v", "n": 1}), sent)
            message = await q.get(timeout=5)
            equal(message.body, kind.value.encode())
            await message.ack()
            await q.unbind(exchange, bound, arguments=arguments)


@case
async def exchange_bindings():
    async with await connect() as connection:
        channel = await connection.channel()
        source = await channel.declare_exchange(name("source"), ExchangeType.TOPIC, auto_delete=True)
        target = await channel.declare_exchange(name("target"), ExchangeType.FANOUT, auto_delete=True)
        await target.bind(source, "a.*")
        q = await channel.declare_queue(exclusive=True)
        await q.bind(target)
        await source.publish(Message(b"x"), "a.b")
        equal((await q.get(timeout=5, no_ack=True)).body, b"x")
        await target.unbind(source, "a.*")


@case
async def confirms_one_by_one_and_together():
    async with await connect() as connection:
        channel = await connection.channel()
        q = await channel.declare_queue(exclusive=True)
        ack = await channel.default_exchange.publish(Message(b"first"), q.name)
        equal((type(ack).__name__, ack.delivery_tag), ("Ack", 1))
        await asyncio.gather(*(channel.default_exchange.publish(
            Message(str(n).encode(), delivery_mode=DeliveryMode.PERSISTENT), q.name) for n in range(1000)))
        equal((await channel.declare_queue(q.name, passive=True)).declaration_result.message_count, 1001)


@case
async def a_refused_publish_raises():
    async with await connect() as connection:
        channel = await connection.channel()
        q = await channel.declare_queue(exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
        await channel.default_exchange.publish(Message(b"1"), q.name)
        await refused(DeliveryError, "", channel.default_exchange.publish(Message(b"2"), q.name))


@case
async def unroutable_messages_return():
    async with await connect() as connection:
        channel = await connection.channel(on_return_raises=True)
        await refused(aio_pika.exceptions.PublishError, "NO_ROUTE",
                      channel.default_exchange.publish(Message(b"back"), "nowhere at all", mandatory=True))
        quiet = await connection.channel()
        back = []
        quiet.return_callbacks.add(lambda channel, message: back.append(message))
        await quiet.default_exchange.publish(Message(b"back", message_id="7"), "nowhere at all", mandatory=True)
        await until(lambda: back)
        equal((back[0].body, back[0].message_id), (b"back", "7"))


@case
async def publishing_without_confirms():
    async with await connect() as connection:
        channel = await connection.channel(publisher_confirms=False)
        q = await channel.declare_queue(exclusive=True)
        for number in range(300):
            await channel.default_exchange.publish(Message(str(number).encode()), q.name, mandatory=False)
        got = []
        async with q.iterator(no_ack=True) as messages:
            async for message in messages:
                got.append(int(message.body))
                if len(got) == 300:
                    break
        equal(got, list(range(300)))


@case
async def transactions():
    async with await connect() as connection:
        channel = await connection.channel(publisher_confirms=False)
        other = await connection.channel()
        q = await channel.declare_queue(exclusive=True)
        async with channel.transaction():
            await channel.default_exchange.publish(Message(b"kept"), q.name)
        try:
            async with channel.transaction():
                await channel.default_exchange.publish(Message(b"lost"), q.name)
                raise ValueError
        except ValueError:
            pass
        passive = await other.declare_queue(q.name, passive=True)
        equal(passive.declaration_result.message_count, 1)
        equal((await q.get(timeout=5)).body, b"kept")


@case
async def consumers_prefetch_and_ack():
    async with await connect() as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=5)
        q = await channel.declare_queue(exclusive=True)
        got = []

        async def on_message(message):
            got.append(message)

        tag = await q.consume(on_message)
        for number in range(12):
            await channel.default_exchange.publish(Message(str(number).encode()), q.name)
        await until(lambda: len(got) == 5)
        # The others wait: none is on its way.
        equal((await channel.declare_queue(q.name, passive=True)).declaration_result.message_count, 7)
        equal(len(got), 5)
        await got[4].ack(multiple=True)
        await until(lambda: len(got) == 10)
        await got[5].nack(requeue=True)
        await until(lambda: len(got) == 11)
        equal((got[10].body, got[10].redelivered), (b"5", True))
        await got[6].reject(requeue=False)
        await until(lambda: len(got) == 12)
        equal(got[11].body, b"10")
        await q.cancel(tag)


@case
async def message_context_managers():
    async with await connect() as connection:
        channel = await connection.channel()
        q = await channel.declare_queue(exclusive=True)
        await channel.default_exchange.publish(Message(b"x"), q.name)
        try:
            async with (await q.get(timeout=5)).process(requeue=True):
                raise ValueError
        except ValueError:
            pass
        async with (message := await q.get(timeout=5)).process():
            holds(message.redelivered, "redelivered")
        equal(await q.get(fail=False, timeout=5), None)
        await refused(QueueEmpty, "", q.get(timeout=5))


@case
async def a_deleted_queue_leaves_its_consumers_channel_open():
    async with await connect() as connection:
        channel, other = await connection.channel(), await connection.channel()
        q = await channel.declare_queue(name())
        await channel.default_exchange.publish(Message(b"x"), q.name)
        messages = []
        await q.consume(messages.append, no_ack=True)
        await until(lambda: messages)
        await other.queue_delete(q.name)
        passive = other.declare_queue(q.name, passive=True)
        await refused(aiormq.exceptions.ChannelNotFoundEntity, "no queue", passive)
        holds(not channel.is_closed, "the consumer's channel lives on")


@case
async def properties_and_headers_come_back():
    headers = {
        "text": "grün",
        "int": 5,
        "big": 2**40,
        "bool": True,
        "none": None,
        "bytes": b"\x00\xff",
        "list": [1, "two", {"three": [4]}],
        "table": {"a": {"b": "c"}},
    }
    sent = Message(b"body", headers=headers, content_type="text/plain", content_encoding="utf-8",
                   delivery_mode=DeliveryMode.PERSISTENT, priority=9, correlation_id="c", reply_to="r", expiration=90,
                   message_id="m", timestamp=datetime.datetime(2024, 1, 2, 3, 4, 5), type="t", user_id=USER, app_id="a")
    async with await connect() as connection:
        channel = await connection.channel()
        q = await channel.declare_queue(exclusive=True)
        await channel.default_exchange.publish(sent, q.name)
        got = await q.get(timeout=5, no_ack=True)
        for key in ("content_type", "content_encoding", "delivery_mode", "priority", "correlation_id", "reply_to",
                    "expiration", "message_id", "type", "user_id", "app_id"):
            equal(getattr(got, key), getattr(sent, key), key)
        for key, value in headers.items():
            equal(got.headers[key], value, f"header {key}")


@case(seconds=60)
async def large_messages():
    async with await connect() as connection:
        channel = await connection.channel()
        q = await channel.declare_queue(exclusive=True)
        for size in (1 << 20, 10 << 20):
            body = os.urandom(size)
            await channel.default_exchange.publish(Message(body), q.name)
            holds((await q.get(timeout=20, no_ack=True)).body == body, f"{size} bytes came back changed")


@case
async def many_channels():
    async with await connect() as connection:
        channels = await asyncio.gather(*(connection.channel() for _ in range(150)))
        queues = await asyncio.gather(*(c.declare_queue(exclusive=True) for c in channels))
        await asyncio.gather(*(c.default_exchange.publish(Message(b"x"), q.name) for c, q in zip(channels, queues)))
        for q in queues:
            equal((await q.get(timeout=5, no_ack=True)).body, b"x")
        await asyncio.gather(*(c.close() for c in channels))


@case
async def update_secret_is_answered():
    async with await connect() as connection:
        await connection.update_secret(PASSWORD, reason="renewed")
        await connection.channel()


@case
async def heartbeats_keep_an_idle_connection():
    async with await connect(heartbeat=2) as connection:
        await asyncio.sleep(6)
        channel = await connection.channel()
        await channel.declare_queue(exclusive=True)


@case(seconds=60)
async def a_robust_connection_restores_everything():
    others = set(broker_ports(os.getpid()))
    connection = await aio_pika.connect_robust(URI, reconnect_interval=0.2)
    async with connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=10)
        exchange = await channel.declare_exchange(name("x"), ExchangeType.TOPIC, auto_delete=True)
        q = await channel.declare_queue(name(), auto_delete=True)
        await q.bind(exchange, "a.#")
        got = []

        async def on_message(message):
            async with message.process():
                got.append(message.body)

        await q.consume(on_message)
        await exchange.publish(Message(b"before"), "a.b")
        await until(lambda: got == [b"before"])
        (port,) = set(broker_ports(os.getpid())) - others
        await asyncio.get_running_loop().run_in_executor(None, admin, "close-connection", port, "maintenance")
        end = time.monotonic() + 20
        sent = [b"before"]
        while len(got) < 2:
            holds(time.monotonic() < end, f"not restored: {got}")
            # One that was given up may come all the same: each has its own body.
            sent.append(b"after %d" % len(sent))
            try:
                await exchange.publish(Message(sent[-1]), "a.b", timeout=2)
                await until(lambda: len(got) > 1, 2)
            except Exception:
                await asyncio.sleep(0.2)
        equal(got, [body for body in sent if body in got], "each at most once and in order")


@case
async def rpc_pattern():
    async with await connect() as connection:
        channel = await connection.channel()
        rpc = await RPC.create(channel)
        method = name("multiply")

        async def multiply(*, x, y):
            return x * y

        async def fail():
            raise KeyError("no")

        await rpc.register(method, multiply, auto_delete=True)
        await rpc.register(method + ".fail", fail, auto_delete=True)
        equal(await asyncio.gather(*(rpc.call(method, dict(x=n, y=2)) for n in range(100))),
              [2 * n for n in range(100)])
        await refused(KeyError, "no", rpc.call(method + ".fail"))
        await rpc.unregister(multiply)
        await rpc.unregister(fail)
        await rpc.close()


@case
async def master_and_worker_pattern():
    async with await connect() as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=4)
        master = Master(channel)
        task = name("task")
        done, tries = [], []

        async def work(*, n):
            if n == 3 and not tries:
                tries.append(n)
                raise NackMessage(requeue=True)
            if n == 4:
                raise RejectMessage(requeue=False)
            done.append(n)

        worker = await master.create_worker(task, work, auto_delete=True)
        for number in range(20):
            await master.create_task(task, kwargs=dict(n=number))
        await until(lambda: len(done) == 19)
        equal(sorted(done), [n for n in range(20) if n != 4])
        await worker.close()


@case
async def direct_reply_to():
    async with await connect() as connection:
        channel = await connection.channel()
        q = await channel.declare_queue(exclusive=True)
        replies = await channel.get_queue("amq.rabbitmq.reply-to")
        answers = asyncio.Queue()

        async def serve(message):
            await channel.default_exchange.publish(Message(message.body.upper()), message.reply_to)

        await replies.consume(answers.put, no_ack=True)
        await q.consume(serve, no_ack=True)
        await channel.default_exchange.publish(Message(b"call", reply_to="amq.rabbitmq.reply-to"), q.name)
        equal((await asyncio.wait_for(answers.get(), 5)).body, b"CALL")


@case
async def pools_of_connections_and_channels():
    connections = Pool(lambda: aio_pika.connect_robust(URI), max_size=2)

    async def get_channel():
        async with connections.acquire() as connection:
            return await connection.channel()

    channels = Pool(get_channel, max_size=8)
    q = name()

    async def publish(number):
        async with channels.acquire() as channel:
            await channel.declare_queue(q)
            await channel.default_exchange.publish(Message(str(number).encode()), q)

    async with connections, channels:
        await asyncio.gather(*(publish(n) for n in range(100)))
        async with channels.acquire() as channel:
            declared = await channel.declare_queue(q, passive=True)
            equal(declared.declaration_result.message_count, 100)
            await declared.delete(if_empty=False)


@case(seconds=60)
async def a_blocked_connection_still_gets_its_publishes_through():
    async with await connect() as connection:
        channel = await connection.channel()
        q = await channel.declare_queue(exclusive=True)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, admin, "alarm", "on")
        try:
            publish = asyncio.ensure_future(channel.default_exchange.publish(Message(b"late"), q.name))
            await asyncio.sleep(0.5)
            holds(not publish.done(), "the alarm should hold the publish back")
        finally:
            await loop.run_in_executor(None, admin, "alarm", "off")
        await asyncio.wait_for(publish, 10)
        equal((await q.get(timeout=5, no_ack=True)).body, b"late")


if __name__ == "__main__":
    run()
