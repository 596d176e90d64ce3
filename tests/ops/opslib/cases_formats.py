"""Data directories that earlier releases wrote: ../data/*.tar.xz, made by ../make-old-data with a jackaloped of then.

fill() says what is in them, check() what has to be there when a broker of now has taken one over."""

import glob
import json
import os
import tarfile

import pika

from .broker import Broker, run
from .cases_messages import channel_of, counts, restart, take_all
from .suite import case, equal, holds, until

DATA = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data")
SMALL = {"journal.segment_size": "16MiB"}
LATER = 60000  # ms: not over when the broker of then is killed, long over when the one of now starts
PLAIN, FIRST = 30, 20
LEVELS = (0, 1, 100, 254, 255)
LETTERS = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
QUEUES = {
    "plain": {}, "left": {}, "right": {}, "held": {}, "end": {}, "dead": {}, "committed": {},
    "levels": {"x-max-priority": 255},
    "counted": {"x-queue-type": "quorum"},
    "once": {"x-message-deduplication": True},
    "dying": {"x-message-ttl": LATER, **LETTERS},
    "slow": {"x-delay": LATER},
    "slow-levels": {"x-delay": LATER, "x-max-priority": 255},
    "again": {"x-delayed-retry-type": "all", "x-delayed-retry-min": LATER},
    "log": {"x-queue-type": "stream"},
}


def body_of(queue, n):
    """Short ones, one that fills more than a block, one that is a file of its own."""
    return f"{queue} {n} ".encode() * {5: 500, 7: 12000}.get(n, 1)


def publish(channel, queue, numbers, exchange="", key=None, **properties):
    for n in numbers:
        channel.basic_publish(exchange, queue if key is None else key, body_of(queue, n),
                              pika.BasicProperties(delivery_mode=2, **properties))


def settle(channel, queue, keep):
    """Acknowledges all of the queue but those whose place says keep; these are given back."""
    tags = []
    while (method := channel.basic_get(queue)[0]) is not None:
        tags.append(method.delivery_tag)
    for at, tag in enumerate(tags):
        if keep(at):
            channel.basic_nack(tag)
        else:
            channel.basic_ack(tag)


def define(b, channel):
    b.told("add_vhost", "shop")
    b.told("add_user", "app", "secret")
    b.told("set_user_tags", "app", "monitoring")
    b.told("set_permissions", "-p", "shop", "app", "^a", "^b", "^c")
    b.told("set_policy", "limit", "^left$", '{"max-length":100}', "--apply-to", "queues")
    channel.exchange_declare("both", "fanout", durable=True, arguments={"alternate-exchange": "late"})
    channel.exchange_declare("late", "x-delayed-message", durable=True, arguments={"x-delayed-type": "direct"})
    for name, arguments in QUEUES.items():
        channel.queue_declare(name, durable=True, arguments=arguments)
    for name in ("left", "right"):
        channel.queue_bind(name, "both")
    channel.queue_bind("end", "late", "k")


def fill(b):
    """In two lives: what the first leaves is in the database, what the second leaves is in the journal alone."""
    channel = channel_of(b)
    define(b, channel)
    for n, (first, last) in enumerate(((0, FIRST), (FIRST, PLAIN))):
        publish(channel, "plain", range(first, last))
        publish(channel, "both", (10 * n, 10 * n + 5), exchange="both")
        publish(channel, "late", (n,), exchange="late", key="k", headers={"x-delay": LATER})
        for queue in ("once", "counted", "dying", "slow", "slow-levels", "again", "held", "log"):
            publish(channel, queue, (n,), headers={"x-deduplication-header": n})
        for level in LEVELS:
            publish(channel, "levels", (level + 1000 * n,), priority=level)
        if n == 0:
            settle(channel, "again", keep=lambda at: True)
            restart(b, "stopped")
            channel = channel_of(b)
    method = channel.basic_get("counted")[0]
    channel.basic_nack(method.delivery_tag)
    settle(channel, "plain", keep=lambda at: at % 3)
    transaction = channel.connection.channel()
    transaction.tx_select()
    publish(transaction, "committed", range(3))
    transaction.tx_commit()
    channel.basic_get("held")  # and the process is killed
    channel.queue_declare("behind", durable=True)  # is in the journal, so all before is


def check_definitions(b):
    equal(b.rows("list_permissions", "-p", "shop"), [{"user": "app", "configure": "^a", "write": "^b", "read": "^c"}])
    b.told("authenticate_user", "app", "secret")
    holds({"user": "app", "tags": ["monitoring"]} in b.rows("list_users"), "the user")
    policy, = b.rows("list_policies")
    equal((policy["name"], json.loads(policy["definition"])), ("limit", {"max-length": 100}))
    kinds = {row["name"]: row["type"] for row in b.rows("list_exchanges", "name", "type")}
    equal((kinds["both"], kinds["late"]), ("fanout", "x-delayed-message"))
    bound = {(row["source_name"], row["destination_name"], row["routing_key"]) for row in b.rows("list_bindings")}
    holds({("both", "left", "left"), ("both", "right", "right"), ("late", "end", "k")} <= bound, bound)
    equal(set(counts(b)), {*QUEUES, "behind"}, "queues")


def bodies(queue, numbers):
    return [body_of(queue, n) for n in numbers]


def check_messages(b):
    wanted = {"plain": bodies("plain", [n for n in range(PLAIN) if n % 3]),
              "left": bodies("both", (0, 5, 10, 15)), "right": bodies("both", (0, 5, 10, 15)),
              "held": bodies("held", (0, 1)), "end": bodies("late", (0, 1)), "dead": bodies("dying", (0, 1)),
              "committed": bodies("committed", range(3)), "once": bodies("once", (0, 1)), "dying": [],
              "levels": bodies("levels", [level + 1000 * n for level in reversed(LEVELS) for n in (0, 1)]),
              "slow": bodies("slow", (0, 1)), "slow-levels": bodies("slow-levels", (0, 1)), "behind": []}
    until(lambda: all(counts(b)[queue] == len(there) for queue, there in wanted.items()), lambda: counts(b))
    for queue, there in wanted.items():
        got = take_all(b, queue)
        equal([body for body, _ in got], there, queue)
        holds(queue != "held" or got[0][1], "what a consumer had is redelivered")
    equal(sorted(body for body, _ in take_all(b, "again")), bodies("again", (0, 1)), "again")
    equal(sorted(body for body, _ in take_all(b, "counted")), bodies("counted", (0, 1)), "counted")


def check_log(channel):
    got = []
    channel.basic_qos(prefetch_count=10)
    for _, _, body in channel.consume("log", arguments={"x-stream-offset": "first"}, inactivity_timeout=10):
        got.append(body)
        if len(got) == 2 or body is None:
            break
    equal(got, bodies("log", (0, 1)), "log")
    channel.cancel()


def unpack(file, folder):
    with tarfile.open(file) as archive:
        archive.extractall(folder)
    return os.path.join(folder, "data")


@case
def data_of_earlier_releases_is_taken_over():
    """And looked at as it is before that."""
    files = sorted(glob.glob(os.path.join(DATA, "*.tar.xz")))
    holds(files, "there is one")
    for file in files:
        b = Broker(SMALL)
        unpack(file, b.dir)
        code, out, err = run("--data", b.data, "--dump-data")
        holds(code == 0 and "plain" in out, (code, out, err))
        with b:
            check_definitions(b)
            check_messages(b)
            channel = channel_of(b)
            check_log(channel)
            publish(channel, "plain", (0, 1))
            restart(b, "killed")
            equal([body for body, _ in take_all(b, "plain")], bodies("plain", (0, 1)), "published since")
            b.opened.pop().close()
