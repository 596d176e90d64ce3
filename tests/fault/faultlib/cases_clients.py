"""A real client, pika, with the habits of an application: publish until it is confirmed, reconnect, go on."""

import collections
import random
import threading
import time

from .broker import Broker, check, wait_until
from .suite import Skip, case, seed

try:
    import pika
except ImportError:
    pika = None

QUEUE = "orders"


class Application(threading.Thread):
    """Works on a connection until it breaks, then on another."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.parameters = pika.ConnectionParameters("127.0.0.1", port, heartbeat=0, socket_timeout=2)
        self.ending, self.idle = threading.Event(), threading.Event()
        self.error, self.connections = None, 0

    def run(self):
        while not self.ending.is_set():
            try:
                connection = pika.BlockingConnection(self.parameters)
                self.connections += 1
                self.work(connection)
                connection.close()
            except (pika.exceptions.AMQPError, OSError):
                time.sleep(0.02)
            except Exception as error:  # noqa: BLE001
                self.error = f"{type(self).__name__}: {type(error).__name__}: {error}"
                return


class Shop(Application):
    """Publishes orders, each again and again until it is confirmed."""

    def __init__(self, port):
        super().__init__(port)
        self.number, self.safe, self.attempts = 0, set(), collections.Counter()

    def work(self, connection):
        channel = connection.channel()
        channel.queue_declare(QUEUE, durable=True)
        channel.confirm_delivery()
        while not self.ending.is_set():
            self.attempts[self.number] += 1
            channel.basic_publish("", QUEUE, b"%d" % self.number, pika.BasicProperties(delivery_mode=2), mandatory=True)
            self.safe.add(self.number)
            self.number += 1


class Storehouse(Application):
    """Takes orders, 20 at a time, and acknowledges each; slower than they come as long as the shop is open."""

    def __init__(self, port):
        super().__init__(port)
        self.fresh, self.again = collections.Counter(), collections.Counter()
        self.slow = True

    def work(self, connection):
        channel = connection.channel()
        channel.queue_declare(QUEUE, durable=True)
        channel.basic_qos(prefetch_count=20)
        for method, _, body in channel.consume(QUEUE, inactivity_timeout=0.05):
            if method:
                (self.again if method.redelivered else self.fresh)[int(body)] += 1
                channel.basic_ack(method.delivery_tag)
                if self.slow:
                    time.sleep(0.002)
            else:
                self.idle.set()
                if self.ending.is_set():
                    return


@case("pika publishes with confirms while the broker is killed twenty times", broker=False)
def orders(programs):
    if not pika:
        raise Skip("python3-pika is not installed")
    source = random.Random(seed())
    broker = Broker(programs)
    shop, house = Shop(broker.port), Storehouse(broker.port)
    try:
        shop.start()
        house.start()
        for _ in range(8 if programs.slow else 20):
            time.sleep(source.uniform(0.05, 0.5))
            broker.kill()
            time.sleep(source.uniform(0, 0.05))
            broker.start()
        before = len(shop.safe)
        wait_until(lambda: len(shop.safe) > before + 10, 20, "the shop goes on")
        shop.ending.set()
        shop.join(30)
        house.slow = False
        house.idle.clear()
        check(house.idle.wait(30), "the storehouse finds an end")
        house.ending.set()
        house.join(30)
        check(not shop.error and not house.error, shop.error or house.error)
        taken = set(house.fresh) | set(house.again)
        lost = sorted(shop.safe - taken)
        check(not lost, f"{len(lost)} confirmed orders never came: {lost[:10]}")
        odd = sorted(taken - set(shop.attempts))
        check(not odd, f"orders that nobody gave: {odd[:10]}")
        twice = [n for n, count in house.fresh.items() if count > shop.attempts[n]]
        check(not twice, f"{len(twice)} orders came twice without being called redelivered: {twice[:10]}")
        print(f"     {len(shop.safe)} confirmed over {shop.connections} connections, {sum(house.again.values())} redelivered")
        broker.stop()
    finally:
        broker.end()
