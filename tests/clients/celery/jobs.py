"""The Celery application that celery_tasks.py starts a worker for and sends tasks to."""

import os
import threading
import time

from celery import Celery, Task
from celery.exceptions import Reject
from celery.signals import worker_ready
from kombu import Exchange, Queue
from kombu.common import Broadcast

PREFIX = os.environ.get("JOBS_PREFIX", "jobs")

app = Celery("jobs", broker=os.environ["AMQP_URI"], backend="rpc://")
app.conf.update(
    task_default_queue=f"{PREFIX}.default",
    task_default_exchange=f"{PREFIX}.default",
    task_default_routing_key="default",
    task_queues=[
        Queue(f"{PREFIX}.default", Exchange(f"{PREFIX}.default", "direct"), routing_key="default"),
        Queue(f"{PREFIX}.urgent", Exchange(f"{PREFIX}.topic", "topic"), routing_key="urgent.#",
              queue_arguments={"x-max-priority": 10}),
        Queue(f"{PREFIX}.dead", Exchange(f"{PREFIX}.dead", "fanout")),
        Queue(f"{PREFIX}.fragile", Exchange(f"{PREFIX}.default", "direct"), routing_key="fragile",
              queue_arguments={"x-dead-letter-exchange": f"{PREFIX}.dead"}),
        Broadcast(f"{PREFIX}.everyone"),
    ],
    result_expires=60,
    result_persistent=False,
    event_queue_prefix=f"{PREFIX}.events",
    worker_hijack_root_logger=False,
    worker_prefetch_multiplier=8,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"confirm_publish": True},
    task_publish_retry=False,
    task_send_sent_event=True,
)


@worker_ready.connect
def keep_a_thread(**_):
    """Makes SIGTERM safe. A worker of one thread raises out of its signal handler, wherever it just was, up to Celery
    5.2: a frame of which it had read the header, or the lock of a counter it shares with a child, is then lost, and it
    waits for ever. With a second thread it only notes the signal and stops between two turns of its loop, which 5.3
    does always (https://github.com/celery/celery/pull/7339)."""
    threading.Thread(target=threading.Event().wait, name="keep", daemon=True).start()


@app.task
def add(a, b):
    return a + b


@app.task
def echo(value):
    return value


@app.task(ignore_result=True)
def forget(value):
    return value


@app.task
def fail():
    raise ValueError("as asked")


@app.task(bind=True, max_retries=3)
def third_time(self: Task):
    if self.request.retries < 2:
        raise self.retry(countdown=0.05)
    return self.request.retries


@app.task(bind=True, acks_late=True)
def redelivered(self: Task):
    """Rejected at first sight, told how it came the second time."""
    info = self.request.delivery_info
    if not info["redelivered"]:
        raise Reject("once more", requeue=True)
    return True


@app.task(bind=True, acks_late=True)
def endless(self: Task):
    """Is not done until its worker has died of it: tells then that it was redelivered."""
    if not self.request.delivery_info["redelivered"]:
        time.sleep(3600)
    return "redelivered"


@app.task(acks_late=True)
def refuse():
    raise Reject("never", requeue=False)


@app.task(bind=True)
def where(self: Task):
    info = self.request.delivery_info
    return [info["exchange"], info["routing_key"], info["priority"]]
