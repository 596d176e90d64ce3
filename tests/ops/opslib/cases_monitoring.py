"""Debian's Prometheus with our series: every path is scraped, RabbitMQ's dashboard and ours find data, alerts fire; Nagios."""

import json
import os
import re
import shutil
import socket
import subprocess
import threading
import urllib.parse
import urllib.request

import pika
import yaml

from . import certs
from .broker import Broker
from .suite import LeftOut, case, equal, holds, until

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
RULES = os.path.join(TOP, "etc", "prometheus", "jackalope.rules.yml")
DASHBOARD = os.path.join(TOP, "etc", "grafana", "jackalope.json")
ALERTS = os.path.join(TOP, "tests", "ops", "prometheus", "alerts.yml")
FAMILIES = ("queue_coarse_metrics", "queue_consumer_count", "queue_metrics", "queue_delivery_metrics", "connection_coarse_metrics",
            "channel_metrics", "connection_churn_metrics", "node_metrics", "stream_consumer_metrics")


def need(*programs, package="prometheus"):
    for program in programs:
        if not shutil.which(program):
            raise LeftOut(f"{program} is not there: apt-get install {package}")


def promtool(*words, text=None):
    done = subprocess.run(["promtool", *words], input=text, capture_output=True, text=True, timeout=60, check=False)
    holds(done.returncode == 0 and "error" not in done.stderr, f"promtool {words}: {done.stdout}{done.stderr}")
    return done.stdout


class Prometheus:
    """Scrapes twice a second; jobs are the path of each, on plain and on TLS."""

    def __init__(self, broker, jobs):
        self.path = broker.path("prometheus")
        os.makedirs(self.path)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.jobs = jobs
        with open(os.path.join(self.path, "prometheus.yml"), "w") as f:
            json.dump({"global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"}, "rule_files": [RULES],
                       "scrape_configs": [{"job_name": name} | job for name, job in jobs.items()]}, f)

    def __enter__(self):
        self.log = open(os.path.join(self.path, "log"), "w")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={self.path}/prometheus.yml", f"--storage.tsdb.path={self.path}/data",
             f"--web.listen-address=127.0.0.1:{self.port}"], stdout=self.log, stderr=self.log)
        try:
            until(self.scraped, "every target was scraped twice")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()

    def ask(self, what, **words):
        holds(self.process.poll() is None, "prometheus ended")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{what}?" + urllib.parse.urlencode(words)) as a:
                return json.load(a)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 503:  # it starts
                return None
            raise AssertionError(f"{words}: {error.read().decode()}") from error
        except urllib.error.URLError:
            return None

    def query(self, expression):
        answer = self.ask("query", query=expression)
        return answer["result"] if answer else []

    def finds(self, expression, who):
        """A scrape that took too long on a loaded machine leaves a gap until the next one."""
        until(lambda: self.query(expression), f"{who} finds nothing: {expression}")

    def scraped(self):
        """Twice each, so that there are rates."""
        return len(self.query("sum_over_time(up[1m]) >= 2")) == len(self.jobs)


def target(port, path="/metrics", **more):
    parts = urllib.parse.urlsplit(path)
    return {"metrics_path": parts.path, "params": urllib.parse.parse_qs(parts.query), "static_configs":
            [{"targets": [f"127.0.0.1:{port}"]}]} | more


def work(b, stop):
    """A little of everything, as long as somebody looks."""
    port = b.port
    connection = b.pika(port)
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare("orders", durable=True, arguments={"x-max-length": 500, "x-dead-letter-exchange": "amq.fanout"})
    channel.queue_declare("lonely")
    channel.queue_declare("events", durable=True, arguments={"x-queue-type": "stream"})
    channel.exchange_declare("later", "x-delayed-message", arguments={"x-delayed-type": "direct"})
    channel.basic_publish("later", "orders", b"x", pika.BasicProperties(headers={"x-delay": 600000}))
    for _ in range(1200):
        channel.basic_publish("", "lonely", b"y")
    seen = []
    channel.basic_consume("orders", lambda ch, method, _, __: (seen.append(1), ch.basic_ack(method.delivery_tag)))
    while not stop.is_set():
        channel.basic_publish("", "orders", b"x" * 150)
        channel.basic_publish("", "events", b"x")
        channel.basic_publish("", "nobody", b"x")
        method, _, _ = channel.basic_get("lonely")
        channel.basic_nack(method.delivery_tag)
        b.pika(port).close()
        connection.process_data_events(0.05)
        stop.wait(0.05)
    connection.close()


# ---- RabbitMQ's dashboard ----

def overview_queries(node):
    """What RabbitMQ's overview dashboard asks, of releases 3.8 to 4.x: its totals, rates and tables by node, each joined
    with the identity of the node by instance, or by instance and job."""
    every = []

    def joined(inner, by, labels="rabbitmq_cluster, rabbitmq_node"):
        chosen = f'rabbitmq_cluster="{node}", namespace=""'
        chosen += ', rabbitmq_endpoint="aggregated"' if "job" in by else ""
        return f"{inner} * on({by}) group_left({labels}) rabbitmq_identity_info{{{chosen}}}"
    totals = ["queue_messages_ready", "queue_messages_unacked", "connections", "channels", "channel_consumers", "queues",
              "global_publishers", "global_consumers", "build_info"]
    levels = ["queue_messages_ready", "queue_messages_unacked", "channel_messages_unconfirmed"]
    nodes = ["disk_space_available_bytes", "queues", "channels", "connections"]
    pairs = [("resident_memory_limit_bytes", "process_resident_memory_bytes"), ("process_max_fds", "process_open_fds"),
             ("process_max_tcp_sockets", "process_open_tcp_sockets")]
    rates = ["channel_messages_" + k for k in ("published", "confirmed", "unroutable_dropped", "unroutable_returned", "delivered",
                                               "delivered_ack", "redelivered", "acked")]
    rates += ["channel_get", "channel_get_ack", "channel_get_empty", "queue_messages_published"]
    rates += ["global_messages_" + k for k in (
        "received", "received_confirm", "confirmed", "routed", "unroutable_dropped", "unroutable_returned", "redelivered",
        "delivered_consume_auto_ack", "delivered_consume_manual_ack", "acknowledged", "delivered_get_auto_ack",
        "delivered_get_manual_ack", "get_empty")]
    rates += ["queues_declared", "queues_created", "queues_deleted", "channels_opened", "channels_closed", "connections_opened",
              "connections_closed"]
    for by in "instance", "instance, job":
        every += [f"sum({joined('rabbitmq_' + k, by, 'rabbitmq_cluster')})" for k in totals]
        every += [f"sum({joined('rabbitmq_' + k, by)}) by(rabbitmq_node)" for k in levels]
        every += [joined("rabbitmq_" + k, by) for k in nodes]
        every += [f"({joined('rabbitmq_' + a, by)}) - ({joined('rabbitmq_' + b, by)})" for a, b in pairs]
        every += [f"sum({joined(f'rate(rabbitmq_{k}_total[60s])', by)}) by(rabbitmq_node)" for k in rates]
        every.append(joined("rabbitmq_build_info", by))
        one, other = (joined(f"rate(rabbitmq_global_messages_{k}_total[60s])", by) for k in ("received_confirm", "confirmed"))
        every.append(f"sum({one} - {other}) by(rabbitmq_node)")
    by = "instance, job"
    every.append("rabbitmq_erlang_uptime_seconds * on(instance, job) group_left(rabbitmq_version, erlang_version) " +
                 joined("rabbitmq_build_info", by))
    size = "increase(rabbitmq_message_size_bytes_%s[5m])"
    every.append(f"sum({joined(size % 'sum', by)}) / sum({joined(size % 'count', by)})")
    for bound in 100, 1000, 10000, 100000, 1000000, 10000000, 50000000, 100000000, "+Inf":
        upto = joined(size % f'bucket{{le="{bound}"}}', by)
        every.append(f"sum({upto}) / sum({joined(size % 'count', by)})")
    return every


# ---- ours ----

def dashboard():
    with open(DASHBOARD, encoding="utf-8") as f:
        return json.load(f)


def dashboard_queries(board, values):
    asked = [t["expr"] for p in board["panels"] for t in p.get("targets", [])]
    asked += [re.sub(r"^label_values\((.*), (\w+)\)$", r"group by (\2) (\1)", v["query"]["query"])
              for v in board["templating"]["list"] if v["type"] == "query"]
    for expression in asked:
        for name, value in values.items():
            expression = expression.replace(f"${name}", value)
        holds("$" not in expression, expression)
        yield expression


def alerts():
    with open(RULES, encoding="utf-8") as f:
        return [rule for group in yaml.safe_load(f)["groups"] for rule in group["rules"]]


@case
def alert_rules_fire_and_say_what_to_do():
    need("promtool")
    promtool("check", "rules", RULES)
    promtool("test", "rules", ALERTS)
    with open(ALERTS, encoding="utf-8") as f:
        fired = re.findall(r'alertname="(\w+)"', f.read())
    equal(sorted(rule["alert"] for rule in alerts()), sorted(fired), "every alert is shown to fire")
    for rule in alerts():
        holds(rule["labels"]["severity"] in ("critical", "warning") and rule["annotations"]["summary"] and
              rule["annotations"]["action"], rule["alert"])


@case
def prometheus_scrapes_and_dashboards_find_data():
    need("prometheus", "promtool")
    detailed = "/metrics/detailed?" + "&".join(f"family={name}" for name in FAMILIES)
    with Broker({"node_name": "jk@here", "ssl_options": certs.server().pair(),
                 "prometheus": {"listeners": ["127.0.0.1:0", {"address": "127.0.0.1:0", "tls": True}]}}) as b:
        port = int(b.logged(r"listening on 127\.0\.0\.1:(\d+) \(http/prometheus\)").group(1))
        tls = int(b.logged(r"listening on 127\.0\.0\.1:(\d+) \(http/prometheus, tls\)").group(1))
        stop = threading.Event()
        worker = threading.Thread(target=work, args=(b, stop))
        worker.start()
        try:
            jobs = {"jackalope": target(port), "objects": target(port, "/metrics/per-object"), "queues": target(port, detailed),
                    "memory": target(port, "/metrics/memory-breakdown"),
                    "tls": target(tls, scheme="https", tls_config={"ca_file": certs.authority().cert})}
            for number, job in enumerate(jobs.values()):  # RabbitMQ's older queries tell targets apart by instance alone
                job["static_configs"][0]["labels"] = {"instance": f"broker-{number}"}
            with Prometheus(b, jobs) as p:
                p.finds("sum(rate(rabbitmq_global_messages_acknowledged_total[1m])) > 0", "somebody who acknowledges")
                for query in overview_queries("jk@here"):
                    p.finds(query, "RabbitMQ's dashboard")
                board = dashboard()
                values = {"__rate_interval": "1m", "cluster": "jk@here", "detailed": "queues"}
                for query in dashboard_queries(board, values):
                    p.finds(query, "our dashboard")
                there = set(p.ask("label/__name__/values"))
                for rule in alerts():
                    named = set(re.findall(r"\b(?:rabbitmq|jackalope)_[a-z_]+", rule["expr"]))
                    holds(named <= there, f"{rule['alert']}: {named - there}")
                p.finds("count(count by (job) (rabbitmq_identity_info)) == 5", "each path")
                equal([r for r in p.ask("rules")["groups"][0]["rules"] if r["health"] == "err"], [], "rules")
        finally:
            stop.set()
            worker.join()
        for path in "/metrics", "/metrics/per-object", detailed, "/metrics/memory-breakdown":
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
                equal(promtool("check", "metrics", text=answer.read().decode()), "", path)


@case
def nagios_plugins_as_debian_has_them():
    need("check_rabbitmq_server", package="nagios-plugins-rabbitmq")
    with Broker({"node_name": "rabbit@here", "management": {"listeners": ["127.0.0.1:0"]}}) as b:
        port = b.logged(r"listening on 127\.0\.0\.1:(\d+) \(http\)").group(1)
        connection = b.pika()
        channel = connection.channel()
        channel.queue_declare("orders", durable=True)
        for _ in range(3):
            channel.basic_publish("", "orders", b"x")
        until(lambda: b.rows("list_queues", "messages")[0]["messages"] == 3, "messages")

        def check(plugin, *words):
            """(exit code, the first words of its line)"""
            done = subprocess.run([f"check_rabbitmq_{plugin}", "-H", "127.0.0.1", "--port", port, *words], capture_output=True,
                                  text=True, timeout=60, check=False)
            return done.returncode, done.stdout
        for plugin, words, code, said in (
                ("server", ["-n", "here"], 0, "Sockets OK"), ("server", ["-n", "there"], 3, "Not found"),
                ("server", ["-n", "here", "-p", "wrong"], 3, "Access refused"), ("aliveness", [], 0, "OK - vhost: /"),
                ("aliveness", ["--vhost", "none"], 3, "Not found"), ("watermark", ["-n", "here"], 0, "OK"),
                ("partition", ["-n", "here"], 0, "No Partitions"), ("overview", ["-w", "2,2,2"], 1, "messages WARNING (3)"),
                ("connections", [], 0, "connections OK"), ("objects", [], 0, "Gathered Object Counts"),
                ("queue", ["--queue", "orders"], 0, "messages OK (3)"), ("queue", ["--queue", "orders", "-c", "2"], 2, "CRITICAL (3)"),
                ("queue", ["--queue", "none"], 2, "Not Found")):
            got, line = check(plugin, *words)
            holds(got == code and said.lower() in line.lower(), f"{plugin} {words}: {got} {line}")
        connection.close()
        b.told("set_vm_memory_high_watermark", "absolute", "1")
        until(lambda: check("watermark", "-n", "here")[0] == 2, "the alarm")
