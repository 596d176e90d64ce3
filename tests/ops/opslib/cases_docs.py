"""The shell blocks of the pages in docs/, as they are written."""

import glob
import os
import re
import shutil
import subprocess
import tempfile

import pika

from . import broker
from .broker import Broker
from .suite import LeftOut, case, equal, holds, refused

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
DOCS = os.path.join(TOP, "docs")
RABBITMQ = os.path.join(TOP, "tests", "fuzz", "corpus", "definitions", "rabbitmq-3.10.json")


def blocks_of(page, language="sh"):
    with open(os.path.join(DOCS, page), encoding="utf-8") as f:
        return re.findall(rf"^```{language}\n(.*?)^```$", f.read(), re.M | re.S)


def run_page(b, page, here=()):
    """In order, in a directory with RabbitMQ's definitions, the programs in PATH; here: pairs of a text and what takes its
    place. What the blocks printed."""
    place = b.path("page")
    os.makedirs(place)
    shutil.copy(RABBITMQ, os.path.join(place, "definitions.json"))
    env = broker.environment(PATH=f"{os.path.dirname(broker.programs['jackaloped'])}:{os.environ['PATH']}",
                             JACKALOPE_CONTROL=os.path.join(b.data, "control.sock"))
    said = ""
    blocks = blocks_of(page)
    for block in blocks:
        for text, other in ("@127.0.0.1:5672", f"@127.0.0.1:{b.port}"), *here:
            block = block.replace(text, other)
        done = subprocess.run(["sh", "-ec", block], cwd=place, capture_output=True, text=True, check=False, env=env,
                              timeout=60)
        equal(done.returncode, 0, block + done.stdout + done.stderr)
        said += done.stdout
    holds(blocks, page)
    return said


@case
def pages_with_commands_have_a_case():
    pages = {os.path.basename(p) for p in glob.glob(os.path.join(DOCS, "*.md"))}
    equal({p for p in pages if blocks_of(p)}, {"definitions.md", "getting-started.md", "migration.md", "operations.md", "plugins.md", "protocols.md"}, "pages")


@case
def settings_are_taken():
    pages = [os.path.basename(p) for p in glob.glob(os.path.join(DOCS, "*.md"))]
    found = [(page, block) for page in pages for block in blocks_of(page, "yaml")]
    holds(len(found) >= 5, found)
    with tempfile.TemporaryDirectory() as d:
        for page, block in found:
            with open(f"{d}/a.yaml", "w") as f:
                f.write(block)
            equal(broker.run("--check", "--config", f"{d}/a.yaml")[0::2], (0, ""), f"{page}:\n{block}")


@case
def streams_page():
    with Broker() as b, b.pika() as client:
        got, names = [], {"channel": client.channel()}
        names["on_message"] = lambda channel, method, properties, body: got.append(body)
        for block in blocks_of("streams.md", "python"):
            exec(block, names)  # noqa: S102  the page's own words
        names["channel"].basic_publish("", "log", b"x")
        client.process_data_events(0)
        for _ in range(100):
            if got:
                break
            client.process_data_events(0.1)
        equal(got, [b"x"])


@case
def performance_page():
    """Its commands, each for a moment and with few of everything."""
    short = ((r"-d \d+s", "-d 200ms"), (r"-w \d+s", "-w 50ms"), (r"--hold \d+s?", "--hold 0"), (r"-n \d+", "-n 200"),
             (r"-([qb]) \d{3,}", r"-\1 50"), (r"-k \d{3,}", "-k 10"), ("COUNT", "200"), ("HALF", "100"), ("NAME", "page"))
    perf = os.path.join(os.path.dirname(broker.programs["jackaloped"]), "jackalope-perf")
    lines = [line for block in blocks_of("performance.md", "") for line in block.splitlines()]
    holds(len(lines) > 30, lines)
    with Broker() as b:
        for line in lines:
            for pattern, text in short:
                line = re.sub(pattern, text, line)
            name, mode, *words = line.split()
            equal(name, "jackalope-perf")
            done = subprocess.run([perf, mode, "--uri", f"amqp://guest:guest@127.0.0.1:{b.port}", *words], timeout=60,
                                  capture_output=True, text=True, check=False, env=broker.environment())
            equal(done.returncode, 0, f"{line}: {done.stdout}{done.stderr}")


@case
def definitions_page():
    with Broker() as b:
        run_page(b, "definitions.md")
        copy, first = ([row["name"] for row in b.rows("list_queues", "-p", v, "name")] for v in ("copy", "/"))
        equal(sorted(copy), sorted(first), "the copy")
        holds(first, "queues")


@case
def migration_page():
    with Broker() as b:
        said = run_page(b, "migration.md")
        for wanted in ("Listing vhosts ...", "Listing policies for vhost", '"user":"guest"'):
            holds(wanted in said, wanted + "\n" + said)


@case
def protocols_page():
    with Broker() as b:
        holds('{"exit":0}' in run_page(b, "protocols.md").replace(" ", ""), "the end of the answer")


@case
def plugins_page():
    """What it builds routes."""
    if not shutil.which("cc"):
        raise LeftOut("there is no C compiler")
    with Broker() as b:
        b.stop()
        modules = shutil.copytree(os.path.join(os.path.dirname(broker.programs["jackaloped"]), "plugins"), b.path("plugins"))
        b.write_config({"plugins": {"directory": modules}})
        b.start()
        source = os.path.join(TOP, "plugins", "example", "by_tenant.c")
        said = run_page(b, "plugins.md", [("$(pkg-config --cflags jackalope)", f"-I {os.path.join(TOP, 'src', 'plugin')}"),
                                          ("$(pkg-config --variable=plugindir jackalope)", modules),
                                          (" by_tenant.c", " " + source)])
        holds("started 1 plugins." in said, said)
        with b.pika() as client:
            channel = client.channel()
            channel.exchange_declare("x", "x-by-tenant")
            for tenant in "ab":
                channel.queue_declare(tenant)
                channel.queue_bind(tenant, "x", tenant)
                channel.basic_publish("x", "", tenant.encode(), pika.BasicProperties(headers={"tenant": tenant}))
            channel.basic_publish("x", "a", b"none")
            equal([(q, channel.queue_declare(q, passive=True).method.message_count) for q in "ab"], [("a", 1), ("b", 1)])
            with refused(pika.exceptions.ChannelClosedByBroker, text="names its tenant by its key"):
                channel.queue_bind("a", "x", "")


@case
def getting_started_page():
    with Broker() as b:
        said = run_page(b, "getting-started.md")
        for wanted in ("Hello, Jackalope!", "all confirmed", "orders\t100\t100", "delivery_limit",
                       "reader 1: 10 events"):
            holds(wanted in said, wanted + "\n" + said)


@case
def operations_page():
    with Broker({"node_name": "rabbit@broker", "management": {"listeners": ["127.0.0.1:0"]},
                 "prometheus": {"listeners": ["127.0.0.1:0"]}}) as b:
        client = b.pika()
        client.channel().queue_declare("orders", durable=True)
        client.close()
        ports = {kind: b.logged(rf"listening on 127\.0\.0\.1:(\d+) \({kind}\)").group(1) for kind in ("http", "http/prometheus")}
        said = run_page(b, "operations.md", [("--port 15672", f"--port {ports['http']}"), (":15692", f":{ports['http/prometheus']}"),
                                             ("/usr/share/jackalope", os.path.join(TOP, "etc"))])
        holds(os.path.getsize(os.path.join(b.path("page"), "monday.json")), "definitions of a backup")
        for wanted in ("No alarms are in effect", "Is under maintenance?: true", "orders", "RABBITMQ_QUEUE OK", "20 rules found",
                       'rabbitmq_detailed_queue_messages{vhost="/",queue="orders"} 0'):
            holds(wanted in said, wanted + "\n" + said)
