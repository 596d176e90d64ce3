"""kombu on py-amqp: its objects, serializers, pools, mixins and mailboxes."""

import os
import socket
import sys
import threading
import time
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from amqp.exceptions import AMQPError
from kombu import Connection, Consumer, Exchange, Producer, Queue, binding, eventloop
from kombu.common import collect_replies, drain_consumer, itermessages, maybe_declare, send_reply
from kombu.exceptions import MessageStateError, OperationalError
from kombu.mixins import ConsumerMixin, ConsumerProducerMixin
from kombu.pidbox import Mailbox
from kombu.pools import connections, producers
from tap import HOST, PASSWORD, PORT, URI, USER, VHOST, admin, case, equal, holds, name, run


def connect(**changes):
    return Connection(URI, heartbeat=30, **changes)


def until(connection, condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        holds(time.monotonic() < end, "waited too long")
        try:
            connection.drain_events(timeout=0.1)
        except socket.timeout:
            pass


def get(bound):
    end = time.monotonic() + 10
    while (message := bound.get(no_ack=True)) is None:
        holds(time.monotonic() < end, "no message came")
    return message


def until_told(connection):
    """Reads until the connection is found to be closed."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            connection.drain_events(timeout=1)
        except socket.timeout:
            pass
        except connection.connection_errors:
            return
    raise AssertionError("the connection was not closed")


def until_settled(queue):
    """Waits until the broker has the acknowledgement of all that the queue had."""
    end = time.monotonic() + 10
    while f"{queue.name} 0" not in admin("list-queues").splitlines():
        holds(time.monotonic() < end, "the message was not acknowledged")


@case
def the_connection_describes_itself():
    with Connection(hostname=HOST, port=PORT, userid=USER, password=PASSWORD, virtual_host=VHOST) as connection:
        connection.connect()
        holds(connection.connected, "connected")
        equal(connection.transport.driver_type, "amqp")
        holds(connection.supports_exchange_type("fanout"), "fanout")
        equal(connection.get_heartbeat_interval(), 0)
        connection.close()
        holds(not connection.connected, "closed")


@case
def simple_queues():
    with connect() as connection:
        queue = connection.SimpleQueue(name("simple"))
        for number in range(50):
            queue.put({"n": number})
        for number in range(50):
            message = queue.get(timeout=5)
            equal(message.payload, {"n": number})
            message.ack()
        equal(len(queue), 0)
        try:
            queue.get(block=False)
        except queue.Empty:
            pass
        queue.consumer.cancel()
        queue.queue.delete()
        queue.close()
        buffer = connection.SimpleBuffer(name("buffer"))
        buffer.put("transient")
        equal(buffer.get(timeout=5).payload, "transient")
        buffer.close()


@case
def serializers_and_compression():
    payload = {"text": "ü" * 2000, "list": [1, 2, {"three": None}], "f": 1.5}
    with connect() as connection:
        queue = Queue(name(), exclusive=True, channel=connection)
        queue.declare()
        for serializer in ("json", "pickle", "yaml"):
            for compression in (None, "zlib", "bzip2"):
                connection.Producer().publish(payload, routing_key=queue.name, serializer=serializer,
                                              compression=compression)
                message = None
                while message is None:
                    message = queue.get(accept=["json", "pickle", "application/x-yaml"])
                equal(message.payload, payload, f"{serializer} with {compression}")
                message.ack()
        connection.Producer().publish(b"\x00\xff" * 1000, routing_key=queue.name, content_type="application/data",
                                      content_encoding="binary")
        message = None
        while message is None:
            message = queue.get()
        equal(bytes(message.body), b"\x00\xff" * 1000)


@case
def declarations_bindings_and_deletions():
    with connect() as connection:
        channel = connection.channel()
        events = Exchange(name("events"), "topic", durable=False, channel=channel)
        logs = Exchange(name("logs"), "fanout", durable=False, auto_delete=False, channel=channel)
        queue = Queue(name(), bindings=[binding(events, "a.*"), binding(events, "b.#")], durable=False, expires=60,
                      message_ttl=30, max_length=100, max_priority=5, channel=channel)
        maybe_declare(queue, channel)
        logs.declare()
        logs.bind_to(events, routing_key="#")
        tail = Queue(name("tail"), logs, exclusive=True, channel=channel)
        tail.declare()
        producer = Producer(channel, exchange=events, auto_declare=True)
        for key in ("a.1", "b.1.2", "c.1"):
            producer.publish({"key": key}, routing_key=key)
        until(connection, lambda: channel.queue_declare(queue.name, passive=True).message_count == 2)
        until(connection, lambda: channel.queue_declare(tail.name, passive=True).message_count == 3)
        equal(queue.purge(), 2)
        queue.unbind_from(events, routing_key="a.*")
        producer.publish({}, routing_key="a.1")
        equal(channel.queue_declare(queue.name, passive=True).message_count, 0)
        logs.unbind_from(events, routing_key="#")
        queue.delete()
        events.delete()
        logs.delete()


@case
def consumers_with_qos_callbacks_and_states():
    with connect() as connection:
        queue = Queue(name(), exclusive=True)
        got = []
        with connection.channel() as channel:
            with Consumer(channel, queue, prefetch_count=5, on_message=got.append) as consumer:
                producer = Producer(channel)
                for number in range(20):
                    producer.publish(number, routing_key=queue.name)
                until(connection, lambda: len(got) == 5)
                got[0].ack()
                until(connection, lambda: len(got) == 6)
                try:
                    got[0].ack()
                except MessageStateError:
                    pass
                else:
                    raise AssertionError("acknowledged twice")
                got[1].reject()
                got[2].requeue()
                until(connection, lambda: len(got) == 8)
                acked = set()
                while len(got) < 21:
                    for message in got:
                        if not message.acknowledged and id(message) not in acked:
                            acked.add(id(message))
                            message.ack()
                    until(connection, lambda seen=len(got): len(got) > seen)
                equal(sorted(m.payload for m in got if m.delivery_info["redelivered"]), [2])
                consumer.recover(requeue=True)


@case
def a_consumer_reads_several_queues_and_cancels():
    with connect() as connection:
        queues = [Queue(name(), exclusive=True) for _ in range(3)]
        got = []
        with connection.Consumer(queues, callbacks=[lambda body, m: (got.append(body), m.ack())]) as consumer:
            producer = connection.Producer()
            for queue in queues:
                producer.publish(queue.name, routing_key=queue.name)
            until(connection, lambda: len(got) == 3)
            equal(sorted(got), sorted(q.name for q in queues))
            consumer.cancel_by_queue(queues[0].name)
            holds(not consumer.consuming_from(queues[0].name), "cancelled")
            consumer.flow(True)


@case
def publishing_with_confirms_and_retry():
    with connect(transport_options={"confirm_publish": True}) as connection:
        queue = Queue(name(), Exchange(name("x"), "direct", durable=False), "k", durable=False, auto_delete=False)
        producer = connection.Producer()
        for number in range(100):
            producer.publish(number, exchange=queue.exchange, routing_key="k", declare=[queue], retry=True,
                             retry_policy={"max_retries": 2})
        equal(queue(connection).queue_declare(passive=True).message_count, 100)
        queue(connection).delete()
        queue.exchange(connection).delete()


@case
def a_producer_survives_a_closed_connection():
    with connect() as connection:
        queue = Queue(name(), durable=False, auto_delete=False)
        producer = connection.Producer()
        producer.publish("one", routing_key=queue.name, declare=[queue], retry=True)
        admin("close-connection", connection.connection.sock.getsockname()[1], "maintenance")
        # The first write after the close may still go into the dead socket; a read tells the client.
        until_told(connection)
        producer.publish("two", routing_key=queue.name, retry=True,
                         retry_policy={"max_retries": 5, "interval_start": 0.1})
        connection.ensure_connection(max_retries=3)
        bound = queue(connection.channel())
        equal([get(bound).payload for _ in range(2)], ["one", "two"])
        bound.delete()


@case
def a_wrong_password_and_an_unknown_vhost_are_told():
    for settings in (dict(password="wrong", virtual_host=VHOST), dict(password=PASSWORD, virtual_host="nowhere")):
        connection = Connection(hostname=HOST, port=PORT, userid=USER, **settings)
        try:
            connection.connect()
        except connection.recoverable_connection_errors + (AMQPError, OperationalError) as error:
            holds("403" in str(error) or "530" in str(error), str(error))
        else:
            raise AssertionError("connected")


@case
def pools_hand_out_connections_and_producers():
    connection = connect()
    queue = Queue(name(), durable=False, auto_delete=False)
    failures = []

    def publish():
        try:
            for number in range(50):
                with producers[connection].acquire(block=True, timeout=10) as producer:
                    producer.publish(number, routing_key=queue.name, declare=[queue], retry=True)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=publish) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(failures, [])
    with connections[connection].acquire(block=True) as pooled:
        bound = queue(pooled.channel())
        got = 0
        end = time.monotonic() + 15
        while got < 250 and time.monotonic() < end:
            got += bound.get(no_ack=True) is not None
        equal(got, 250)
        bound.delete()
    producers[connection].force_close_all()
    connections[connection].force_close_all()


@case
def a_consumer_mixin_runs_and_reconnects():
    queue = Queue(name(), durable=False, auto_delete=False)
    got = []

    class Worker(ConsumerMixin):
        def __init__(self, connection):
            self.connection = connection

        def get_consumers(self, Consumer, channel):
            return [Consumer([queue], callbacks=[self.on_message], prefetch_count=10)]

        def on_message(self, body, message):
            message.ack()
            got.append(body)
            self.should_stop = len(got) == 2

    worker = Worker(connect())
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    with connect() as connection:
        producer = connection.Producer()
        producer.publish("before", routing_key=queue.name, declare=[queue])
        end = time.monotonic() + 10
        while not got and time.monotonic() < end:
            time.sleep(0.01)
        until_settled(queue)
        admin("close-connection", worker.connection.connection.sock.getsockname()[1], "maintenance")
        producer.publish("after", routing_key=queue.name)
        thread.join(20)
        equal(got, ["before", "after"])
        queue(connection).delete()


@case
def rpc_with_mixins():
    requests = Queue(name("requests"), durable=False, auto_delete=False)

    class Server(ConsumerProducerMixin):
        def __init__(self, connection):
            self.connection = connection

        def get_consumers(self, Consumer, channel):
            return [Consumer([requests], on_message=self.on_request, prefetch_count=1)]

        def on_request(self, message):
            self.producer.publish({"result": message.payload["n"] ** 2}, exchange="",
                                  routing_key=message.properties["reply_to"],
                                  correlation_id=message.properties["correlation_id"], retry=True)
            message.ack()

    server = Server(connect())
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    with connect() as connection:
        answers = {}
        mine = Queue(name("answers"), exclusive=True, auto_delete=True, channel=connection)
        mine.declare()
        with connection.Consumer([mine], no_ack=True,
                                 on_message=lambda m: answers.update({m.properties["correlation_id"]: m.payload})):
            for number in range(20):
                connection.Producer().publish({"n": number}, routing_key=requests.name, declare=[requests],
                                              reply_to=mine.name, correlation_id=str(number))
            until(connection, lambda: len(answers) == 20)
        equal(answers, {str(n): {"result": n * n} for n in range(20)})
        server.should_stop = True
        thread.join(20)
        requests(connection).delete()


@case
def a_mailbox_broadcasts_and_collects():
    mailbox = Mailbox(name("mailbox"), type="fanout", accept=["json"])
    with connect() as one, connect() as two, connect() as caller:
        nodes = []
        for connection, hostname in ((one, "one"), (two, "two")):
            node = mailbox(connection).Node(hostname, state={}, channel=connection.channel())
            node.handlers["whoami"] = lambda state, hostname=hostname, **_: hostname
            node.listen(callback=node.handle_message)
            nodes.append(connection)

        stop = threading.Event()

        def serve(connection):
            while not stop.is_set():
                try:
                    connection.drain_events(timeout=0.2)
                except socket.timeout:
                    pass

        threads = [threading.Thread(target=serve, args=(connection,)) for connection in nodes]
        for thread in threads:
            thread.start()
        try:
            replies = mailbox(caller).multi_call("whoami", timeout=5, limit=2)
            equal(sorted(next(iter(r.values())) for r in replies), ["one", "two"])
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        for exchange in (mailbox.exchange, mailbox.reply_exchange):
            exchange(caller.default_channel).delete()


@case
def replies_are_collected():
    with connect() as connection:
        requests = Queue(name("requests"), exclusive=True)
        replies = Queue(str(uuid.uuid4()), Exchange(name("reply"), "direct", auto_delete=True), exclusive=True,
                        routing_key="back")
        channel = connection.channel()
        requests(channel).declare()
        replies(channel).declare()

        def answer(body, message):
            send_reply(replies.exchange, message, {"ok": body}, producer=Producer(channel))
            message.ack()

        connection.Producer().publish({"say": "hello"}, routing_key=requests.name, reply_to="back", correlation_id="1")
        with connection.Consumer([requests], callbacks=[answer]):
            connection.drain_events(timeout=5)
        equal(list(collect_replies(connection, channel, replies, limit=1, timeout=5)), [{"ok": {"say": "hello"}}])


@case
def generators_and_event_loops():
    with connect() as connection:
        queue = Queue(name(), exclusive=True)
        channel = connection.channel()
        queue(channel).declare()
        producer = Producer(channel)
        for number in range(10):
            producer.publish(number, routing_key=queue.name)
        got = []
        for body, message in itermessages(connection, channel, queue, limit=10, timeout=5):
            got.append(body)
            message.ack()
        equal(got, list(range(10)))
        # Exclusive implies auto-delete here: the first consumer's end deleted the queue, the next declares it again.
        consumer = connection.Consumer([queue], no_ack=True)
        producer.publish("last", routing_key=queue.name)
        for body, _ in drain_consumer(consumer, limit=1, timeout=5):
            got.append(body)
        equal(got[10:], ["last"])
        list(eventloop(connection, limit=1, timeout=0.1, ignore_timeouts=True))


@case
def headers_and_properties_travel():
    with connect() as connection:
        queue = Queue(name(), exclusive=True, channel=connection)
        queue.declare()
        connection.Producer().publish("x", routing_key=queue.name, headers={"a": 1, "b": {"c": [True, None]}}, priority=4,
                                      expiration=30, message_id="m", app_id="kombu", type="t", timestamp=1700000000,
                                      delivery_mode="transient")
        message = None
        while message is None:
            message = queue.get()
        equal(message.headers["b"], {"c": [True, None]})
        for key, value in (("priority", 4), ("expiration", "30000"), ("message_id", "m"), ("app_id", "kombu"),
                           ("type", "t"), ("timestamp", 1700000000), ("delivery_mode", 1)):
            equal(message.properties[key], value, key)


if __name__ == "__main__":
    run()
