"""Celery: a worker, 1,000 tasks with their results over rpc://, and what its users do besides."""

import datetime
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from tap import admin, broker_ports, case, equal, holds, name, run

os.environ["JOBS_PREFIX"] = name("jobs")

import jobs
from celery import chain, group
from celery.exceptions import TaskRevokedError

HERE = os.path.dirname(os.path.abspath(__file__))


class Worker:
    """A worker process that the cases share."""

    def __init__(self):
        self.process = None
        self.log = open(os.path.join(os.environ.get("CLIENT_LOGS", tempfile.gettempdir()), "celery-worker.log"), "w")

    def start(self):
        self.process = subprocess.Popen(
            ["/usr/bin/python3", "-m", "celery", "-A", "jobs", "worker", "--pool", "prefork", "--concurrency", "2",
             "--events", "--without-mingle", "--hostname", f"worker@{os.getpid()}", "--loglevel", "INFO"],
            cwd=HERE, stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True)
        end = time.monotonic() + 40
        while not jobs.app.control.ping(timeout=0.5):
            holds(self.process.poll() is None and time.monotonic() < end, "the worker did not start:\n" + self.tail())

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def state_of(self, result):
        """What the worker says of a task: "reserved", "active", or None when it does not have it, or no longer."""
        answer = jobs.app.control.inspect(timeout=PATIENCE, limit=1).query_task(result.id)
        holds(answer, "the worker does not answer:\n" + self.tail())
        return next(iter(answer.values())).get(result.id, [None])[0]

    def until(self, result, state, seconds=20):
        end = time.monotonic() + seconds
        while (found := self.state_of(result)) != state:
            holds(time.monotonic() < end, f"the task is {found}, not {state}:\n" + self.tail())

    def tail(self):
        with open(self.log.name) as log:
            return log.read()[-3000:]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            # It answers this signal with the stacks of its threads.
            self.process.send_signal(signal.SIGUSR1)
            time.sleep(1)
            raise AssertionError("the worker did not stop:\n" + self.tail()) from None


worker = Worker()
PATIENCE = 20  # seconds for what the worker answers at once, on a machine that has nothing else to do


def told(command, *words):
    """A command that the one worker must have answered."""
    answer = getattr(jobs.app.control, command)(*words, reply=True, timeout=PATIENCE, limit=1)
    holds(answer, f"the worker does not answer {command}:\n" + worker.tail())
    return answer


def leave_alone(queue):
    """The worker consumes from a queue no longer. It answers before it has cancelled its consumer."""
    told("cancel_consumer", queue)
    with jobs.app.connection_for_read() as connection:
        channel = connection.channel()
        end = time.monotonic() + PATIENCE
        while channel.queue_declare(queue, passive=True).consumer_count:
            holds(time.monotonic() < end, f"{queue} still has a consumer")
            time.sleep(0.01)


@case(seconds=60)
def a_worker_starts_and_answers_ping():
    worker.start()
    equal(list(jobs.app.control.ping(timeout=5)[0].values()), [{"ok": "pong"}])


@case(seconds=120)
def a_thousand_tasks_with_results_over_rpc():
    seen = []
    results = []
    for number in range(1000):
        results.append(jobs.add.delay(number, number))
        # Makes it known: one that comes while the client only waits for others would cost its get() a second.
        results[-1].then(seen.append)
    equal([r.get(timeout=60) for r in results], [2 * n for n in range(1000)])
    equal(len(seen), 1000, "results that were announced")


@case(seconds=120)
def a_thousand_tasks_in_one_group():
    result = group(jobs.add.s(n, 1) for n in range(1000)).apply_async()
    equal(result.get(timeout=60), [n + 1 for n in range(1000)])


@case(seconds=60)
def tasks_without_results():
    for number in range(200):
        jobs.forget.delay(number)
    equal(jobs.echo.delay("after").get(timeout=30), "after")


@case
def big_and_odd_arguments():
    for value in ("x" * (1 << 20), {"a": [1, {"b": None}], "ü": "ß"}, [], "", 2**60):
        equal(jobs.echo.delay(value).get(timeout=20), value)


@case
def an_exception_comes_back():
    try:
        jobs.fail.delay().get(timeout=20)
    except ValueError as error:
        equal(str(error), "as asked")
    else:
        raise AssertionError("no exception")


@case
def a_task_retries():
    equal(jobs.third_time.delay().get(timeout=20), 2)


@case
def a_chain_passes_results_on():
    equal(chain(jobs.add.s(1, 2), jobs.add.s(3), jobs.add.s(4))().get(timeout=20), 10)


@case
def a_countdown_waits():
    began = time.monotonic()
    equal(jobs.echo.apply_async(["later"], countdown=1).get(timeout=20), "later")
    holds(time.monotonic() - began > 0.9, "it came too early")


@case
def an_eta_waits():
    began = time.monotonic()
    eta = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=1)
    equal(jobs.echo.apply_async(["then"], eta=eta).get(timeout=20), "then")
    holds(time.monotonic() - began > 0.9, "it came too early")


@case
def urgent_tasks_overtake_others():
    urgent = f"{jobs.PREFIX}.urgent"
    leave_alone(urgent)
    for priority in (1, 9, 0, 5):
        jobs.forget.apply_async([priority], exchange=f"{jobs.PREFIX}.topic", routing_key="urgent.later", priority=priority)
    with jobs.app.connection_for_read() as connection:
        channel = connection.channel()
        end = time.monotonic() + 10
        while channel.queue_declare(urgent, passive=True).message_count < 4 and time.monotonic() < end:
            time.sleep(0.02)
        order = [channel.basic_get(urgent, no_ack=True).properties["priority"] for _ in range(4)]
        equal(order, [9, 5, 1, 0])
    told("add_consumer", urgent)


@case
def a_late_task_expires():
    result = jobs.echo.apply_async(["too late"], countdown=1, expires=0.2)
    try:
        result.get(timeout=20)
    except TaskRevokedError:
        return
    raise AssertionError("it was run")


@case
def topic_routing_and_priority():
    result = jobs.where.apply_async(exchange=f"{jobs.PREFIX}.topic", routing_key="urgent.now", priority=9)
    equal(result.get(timeout=20), [f"{jobs.PREFIX}.topic", "urgent.now", 9])


@case
def a_broadcast_reaches_the_worker():
    result = jobs.where.apply_async(exchange=f"{jobs.PREFIX}.everyone", routing_key="all")
    equal(result.get(timeout=20)[0], f"{jobs.PREFIX}.everyone")


@case
def a_requeued_task_is_redelivered():
    equal(jobs.redelivered.delay().get(timeout=20), True)


@case
def a_refused_task_is_dead_lettered():
    leave_alone(f"{jobs.PREFIX}.dead")
    jobs.refuse.apply_async(exchange=f"{jobs.PREFIX}.default", routing_key="fragile")
    with jobs.app.connection_for_read() as connection:
        channel = connection.channel()
        end = time.monotonic() + 10
        message = None
        while message is None and time.monotonic() < end:
            message = channel.basic_get(f"{jobs.PREFIX}.dead", no_ack=True)
            time.sleep(0.02)
        holds(message is not None, "nothing came to the dead letter queue")
        equal(message.headers["x-death"][0]["reason"], "rejected")
        equal(message.headers["task"], "jobs.refuse")


@case(seconds=60)
def a_revoked_task_is_not_run():
    result = jobs.echo.apply_async(["no"], countdown=5)
    told("revoke", result.id)
    try:
        result.get(timeout=20)
    except TaskRevokedError:
        return
    raise AssertionError("it was run")


@case(seconds=60)
def remote_control_inspects_the_worker():
    inspect = jobs.app.control.inspect(timeout=PATIENCE, limit=1)
    queues = {q["name"] for q in next(iter(inspect.active_queues().values()))}
    holds(f"{jobs.PREFIX}.default" in queues, str(queues))
    stats = next(iter(inspect.stats().values()))
    holds(stats["total"]["jobs.add"] >= 2000, str(stats["total"]))
    holds("jobs.add" in next(iter(inspect.registered().values())), "registered")
    equal(told("add_consumer", f"{jobs.PREFIX}.extra")[0].popitem()[1].keys(), {"ok"})
    equal(jobs.echo.apply_async(["extra"], queue=f"{jobs.PREFIX}.extra").get(timeout=20), "extra")


@case(seconds=60)
def events_are_seen():
    seen = []
    wanted = {"task-received", "task-started", "task-succeeded"}

    def watch():
        with jobs.app.connection_for_read() as connection:
            receiver = jobs.app.events.Receiver(connection, handlers={"*": lambda event: seen.append(event["type"])})
            for _ in receiver.itercapture(limit=None, timeout=10, wakeup=True):
                if wanted <= set(seen):
                    return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    end = time.monotonic() + 15
    # The wakeup makes the worker send a heartbeat: from then on the receiver listens.
    while "worker-heartbeat" not in seen and time.monotonic() < end:
        time.sleep(0.05)
    jobs.echo.delay("look").get(timeout=20)
    watcher.join(15)
    holds(wanted <= set(seen), f"saw only {sorted(set(seen))}")


@case(seconds=90)
def a_killed_worker_gives_its_task_to_the_next():
    result = jobs.endless.delay()
    worker.until(result, "active")
    worker.kill()
    # What the worker had taken and not acknowledged is back in its queue, marked as redelivered.
    worker.start()
    equal(result.get(timeout=40), "redelivered")


@case(seconds=60)
def a_worker_comes_back_after_its_connection_was_closed():
    closed = 0
    for port in broker_ports(worker.process.pid):
        try:
            admin("close-connection", port, "maintenance")
            closed += 1
        except RuntimeError:
            # Having lost one connection, the worker leaves its others by itself.
            pass
    holds(closed > 0, "the worker has no connection")
    equal(jobs.echo.delay("after").get(timeout=40), "after")


@case(seconds=60)
def a_worker_stops_when_told():
    # A fresh one: a child ends when its parent has counted all its results, and otherwise 30 s later. The parent does
    # not count those of a task that it had not yet seen begin when it lost its connection, or when it began to stop.
    worker.kill()
    worker.start()
    result = jobs.echo.delay("last")
    equal(result.get(timeout=20), "last")
    # The result came from the child: the parent may have to count it yet.
    worker.until(result, None)
    equal(worker.stop(), 0)
    jobs.echo.delay("nobody is there")
    with jobs.app.connection_for_read() as connection:
        channel = connection.channel()
        holds(channel.basic_get(f"{jobs.PREFIX}.default", no_ack=True) is not None, "the task waits in its queue")


def clean():
    with jobs.app.connection_for_write() as connection:
        channel = connection.channel()
        for queue in jobs.app.conf.task_queues:
            channel.queue_delete(queue.name)
            channel.exchange_delete(queue.exchange.name)
        channel.queue_delete(f"{jobs.PREFIX}.extra")
        channel.exchange_delete(f"{jobs.PREFIX}.extra")


if __name__ == "__main__":
    run(clean)
