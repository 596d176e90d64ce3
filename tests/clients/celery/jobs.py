"""The Celery application that test_celery.py starts a worker for and sends tasks to."""

import os

from celery import Celery, Task
from celery.exceptions import Reject
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


@app.task(acks_late=True)
def refuse():
    raise Reject("never", requeue=False)


@app.task(bind=True)
def where(self: Task):
    info = self.request.delivery_info
    return [info["exchange"], info["routing_key"], info["priority"]]
