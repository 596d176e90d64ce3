"""Plug-ins: enabled and disabled, exchanges whose type is gone, modules that are no good."""

import contextlib
import json
import os
import shutil
import subprocess
import time

import pika

from . import broker
from .broker import Broker
from .cases_disk import fill, small_disk
from .suite import LeftOut, case, equal, holds, refused, until

TYPE_GONE = "its type 'x-rtopic' was not there when the broker started"


def built():
    """Where the modules of this build lie."""
    return os.path.join(os.path.dirname(broker.programs["jackaloped"]), "plugins")


def own_directory(b, *names):
    """One that belongs to the case, with copies of some modules."""
    os.makedirs(b.path("plugins"), mode=0o755, exist_ok=True)
    for name in names:
        shutil.copy(os.path.join(built(), f"{name}.so"), b.path("plugins"))
    return b.path("plugins")


def make_module(b, name, text, *flags):
    """A module made of C source."""
    if not shutil.which("cc"):
        raise LeftOut("there is no C compiler")
    header = os.path.join(os.path.dirname(__file__), "..", "..", "..", "src", "plugin")
    b.write(f"{name}.c", text)
    target = os.path.join(own_directory(b), f"{name}.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-I", header, *flags, "-o", target, b.path(f"{name}.c")], check=True)


def marks(b):
    """What list_plugins says of each plug-in of the directory: "E*", " !"."""
    rows = b.told("-q", "list_plugins").splitlines()
    return {row.split("]")[1].split()[0]: row[1:3] for row in rows if row.startswith("[") and "rabbitmq_" not in row}


def reached(channel, exchange, key, queues):
    channel.basic_publish(exchange, key, b"x")
    return [q for q in queues if channel.basic_get(q, auto_ack=True)[0]]


@case
def plugin_that_is_enabled_stays_so():
    """Its type is there at once, routes at every start, and its exchanges outlive starts without it."""
    with Broker({"plugins": {"directory": built()}}) as b:
        equal(b.ctl("is_plugin_enabled", "rtopic")[0], 69)
        with b.pika() as c, refused(pika.exceptions.ConnectionClosedByBroker, text="unknown exchange type 'x-rtopic'"):
            c.channel().exchange_declare("r", "x-rtopic", durable=True)
        holds("started 1 plugins." in b.told("enable_plugin", "rtopic"), "enable")
        holds("unchanged" in b.told("enable_plugin", "rtopic"), "enable twice")
        b.told("is_plugin_enabled", "rtopic")
        holds("exchange type x-rtopic" in b.told("list_plugins", "-v"), "provides")
        with b.pika() as c:
            ch = c.channel()
            ch.confirm_delivery()
            ch.exchange_declare("r", "x-rtopic", durable=True)
            for queue, key in (("a", "berlin.sensor.1"), ("b", "paris.sensor.1")):
                ch.queue_declare(queue, durable=True)
                ch.queue_bind(queue, "r", key)
            equal([reached(ch, "r", key, "ab") for key in ("berlin.#", "*.sensor.1", "paris.*")], [["a"], ["a", "b"], []])
        b.stop()
        b.start()
        with b.pika() as c:
            equal(reached(c.channel(), "r", "#", "ab"), ["a", "b"])
        told = b.told("disable_plugin", "rtopic")
        holds("rtopic goes at the next start" in told, told)
        equal(marks(b)["rtopic"], " *")
        b.stop()
        b.start()
        b.logged(f"exchange 'r' in vhost '/' routes nothing: {TYPE_GONE}")
        with b.pika() as c, refused(pika.exceptions.ChannelClosedByBroker, text=TYPE_GONE):
            ch = c.channel()
            ch.confirm_delivery()
            ch.exchange_declare("r", "x-rtopic", durable=True)  # it is there
            ch.queue_bind("a", "r", "berlin.sensor.1")
            ch.queue_unbind("b", "r", "paris.sensor.1")
            ch.basic_publish("r", "#", b"x")
        with b.pika() as c, refused(pika.exceptions.ChannelClosedByBroker, text=TYPE_GONE):
            c.channel().queue_bind("a", "r", "new")
        holds("Offline change" in b.told("enable_plugin", "--offline", "rtopic"), "offline")
        equal(marks(b)["rtopic"], "E ")
        b.stop()
        b.start()
        with b.pika() as c:
            equal(reached(c.channel(), "r", "#", "ab"), ["a"])


@case
def plugins_of_the_configuration():
    """They run without having been enabled, are told their settings, and RabbitMQ's file of enabled ones is understood."""
    with Broker({"plugins": {"directory": built(), "enabled": ["rtopic"], "settings": {"other.x": 1}}}) as b:
        b.logged("plug-in 'rtopic' .* runs: exchange type x-rtopic")
        b.logged("plugins.settings: 'other.x' is of no plug-in that is enabled")
        equal(marks(b)["rtopic"], "e*")
        holds("unchanged" in b.told("disable_plugin", "rtopic"), "disable")
        b.stop()
        with open(os.path.join(b.data, "enabled_plugins"), "w") as f:
            f.write("[rabbitmq_management,rtopic].\n")
        b.write_config({"plugins": {"directory": built()}})
        b.start()
        equal(marks(b)["rtopic"], "E*")
        b.told("set_plugins")
        with open(os.path.join(b.data, "enabled_plugins")) as f:
            equal(f.read(), "[rabbitmq_management].\n")
        b.stop()
        with open(os.path.join(b.data, "enabled_plugins"), "w") as f:
            f.write("[rtopic")
        b.launch()
        equal(b.wait(), 78)
        holds("enabled_plugins is not a list of plug-ins" in b.log(), b.log())
        os.remove(os.path.join(b.data, "enabled_plugins"))
        b.start()


@case
def plugins_of_a_backup():
    """A broker that is started on the copy has them."""
    with Broker({"plugins": {"directory": built()}}) as b:
        b.told("enable_plugin", "rtopic")
        with b.pika() as c:
            c.channel().exchange_declare("r", "x-rtopic", durable=True)
        b.told("backup", b.path("copy"))
        b.stop()
        shutil.rmtree(b.data)
        os.rename(b.path("copy"), b.data)
        b.start()
        equal(marks(b)["rtopic"], "E*")
        with b.pika() as c:
            c.channel().basic_publish("r", "#", b"x")


@case
def list_that_cannot_be_kept():
    """The command fails though the plug-in started; the next one keeps what this one could not."""
    b = Broker()
    kept = b.path("kept/enabled_plugins")
    b.write_config({"plugins": {"directory": built(), "enabled_file": kept}})
    with b:
        for _ in range(2):
            code, _, err = b.ctl("enable_plugin", "rtopic")
            holds(code == 70 and "cannot be kept" in err, err)
        os.mkdir(b.path("kept"))
        b.told("enable_plugin", "rtopic")
        with open(kept) as f:
            equal(f.read(), "[rtopic].\n")


EXAMPLE = os.path.join(os.path.dirname(__file__), "..", "..", "..", "plugins", "example", "by_tenant.c")


@case
def start_that_fails_half_way():
    """What a plug-in added before is not there."""
    b = Broker()
    with open(EXAMPLE) as f:
        text = f.read()
    add = "api->add_exchange_type(host, &type)"
    make_module(b, "by_tenant", text.replace(add, f"{add} || {add}"))
    b.write_config({"plugins": {"directory": b.path("plugins")}})
    with b:
        code, _, err = b.ctl("enable_plugin", "by_tenant")
        holds(code == 70 and "by_tenant" in err, err)
        with b.pika() as c, refused(pika.exceptions.ConnectionClosedByBroker, text="unknown exchange type 'x-by-tenant'"):
            c.channel().exchange_declare("r", "x-by-tenant")
        b.logged("exchange type 'x-by-tenant' is there already")


STUCK = """
#include <jackalope/plugin.h>
#include <unistd.h>
static void on_event(const struct jackalope_event *event)
{
    (void)event;
    for (;;)
        pause();
}
static const struct jackalope_event_sink sink = {.size = sizeof sink, .on_event = on_event};
static int start(const struct jackalope_api *api, struct jackalope_host *host, struct jackalope_why *why)
{
    (void)why;
    return api->add_event_sink(host, &sink);
}
JACKALOPE_PLUGIN(stuck) = {JACKALOPE_PLUGIN_HEAD(stuck), .version = "1", .text = "t", .start = start};
"""


@case
def sink_that_does_not_come_back():
    """Its thread has a name, clients and the end of the broker do not wait for it."""
    b = Broker()
    make_module(b, "stuck", STUCK)
    b.write_config({"plugins": {"directory": b.path("plugins"), "enabled": ["stuck"]}})
    with b:
        b.told("add_vhost", "v")
        names = [open(f"/proc/{b.process.pid}/task/{task}/comm").read() for task in os.listdir(f"/proc/{b.process.pid}/task")]
        equal(names.count("stuck\n"), 1)
        equal(b.stop(), 0)
        b.logged("plug-in 'stuck' did not take its last events in 5 s")


GUARD = """
#include <jackalope/plugin.h>
#include <unistd.h>
static int on_publish(struct jackalope_message *message, struct jackalope_why *why)
{
    (void)message;
    (void)why;
    return 1;
}
static const struct jackalope_interceptor guard = {.size = sizeof guard, .on_publish = on_publish};
static int start(const struct jackalope_api *api, struct jackalope_host *host, struct jackalope_why *why)
{
    (void)why;
    sleep(1);
    return api->add_interceptor(host, &guard);
}
JACKALOPE_PLUGIN(guard) = {JACKALOPE_PLUGIN_HEAD(guard), .version = "1", .text = "t", .start = start};
"""


@case
def operator_that_does_not_wait():
    """All shards learn what was started, though nobody waits for the answer."""
    b = Broker()
    make_module(b, "guard", GUARD)
    b.write_config({"plugins": {"directory": b.path("plugins")}})
    with b, contextlib.ExitStack() as stack:
        with subprocess.Popen([broker.programs["jackalopectl"], "--control", os.path.join(b.data, "control.sock"), "enable_plugin", "guard"], stdout=subprocess.DEVNULL) as command:
            time.sleep(0.3)
            command.kill()
        until(lambda: marks(b)["guard"] == "E*", "it runs")
        clients = [stack.enter_context(b.pika()) for _ in range(6)]
        for client in clients:
            with refused(pika.exceptions.ChannelClosedByBroker, text="a plug-in refused the message"):
                channel = client.channel()
                channel.confirm_delivery()
                channel.basic_publish("", "q", b"x")


@case
def modules_that_are_no_good():
    """Each is refused with its file and what is wrong; the broker starts without it, or does not if it is required."""
    with contextlib.ExitStack() as stack:
        b = Broker()
        plugins = own_directory(b, "rtopic")
        head = '#include <jackalope/plugin.h>\nstatic int start(const struct jackalope_api *a, struct jackalope_host *h, ' \
               'struct jackalope_why *w) { (void)a; (void)h; w->text[0] = 0; return START; }\n'
        good = ".version = \"1\", .text = \"t\", .start = start};\n"
        make_module(b, "old", head + "#undef JACKALOPE_ABI\n#define JACKALOPE_ABI 77\nJACKALOPE_PLUGIN(old) = "
                    "{JACKALOPE_PLUGIN_HEAD(old), " + good, "-DSTART=0")
        make_module(b, "newer", head + "#undef JACKALOPE_LEVEL\n#define JACKALOPE_LEVEL 4711\nJACKALOPE_PLUGIN(newer) = "
                    "{JACKALOPE_PLUGIN_HEAD(newer), " + good, "-DSTART=0")
        make_module(b, "wrong_name", head + "JACKALOPE_PLUGIN(x) = {JACKALOPE_PLUGIN_HEAD(x), " + good, "-DSTART=0")
        make_module(b, "no_start", head + "JACKALOPE_PLUGIN(x) = {JACKALOPE_PLUGIN_HEAD(no_start), .version = \"1\", "
                    ".text = START ? \"\" : \"t\", .stop = (void (*)(void))start};\n", "-DSTART=0")
        make_module(b, "failing", head + "JACKALOPE_PLUGIN(x) = {JACKALOPE_PLUGIN_HEAD(failing), " + good, "-DSTART=1")
        make_module(b, "no_plugin", "int x;\n")
        make_module(b, "missing_symbol", "void nowhere(void); void f(void) { nowhere(); }\n")
        with open(os.path.join(plugins, "rtopic.so"), "rb") as f:
            whole = f.read()
        for name, data in (("garbage", b"\x7fELF" + bytes(200)), ("empty", b""), ("cut", whole[:5000])):
            with open(os.path.join(plugins, f"{name}.so"), "wb") as f:
                f.write(data)
        shutil.copy(os.path.join(plugins, "rtopic.so"), os.path.join(plugins, "open_to_all.so"))
        os.chmod(os.path.join(plugins, "open_to_all.so"), 0o666)
        os.mkdir(os.path.join(plugins, "folder.so"))
        wanted = {"old": "was built for plug-in interface 77", "newer": "header of a newer broker .level 4711",
                  "wrong_name": "is plug-in 'x', not 'wrong_name'", "no_start": "does not say all",
                  "failing": "its start failed", "no_plugin": "defines no jackalope_plugin",
                  "missing_symbol": "undefined symbol", "garbage": "not a shared object", "empty": "not a shared object",
                  "cut": "not a shared object", "open_to_all": "written to by everybody", "folder": "is not a file",
                  "absent": "No such file"}
        config = {"plugins": {"directory": plugins, "enabled": [*wanted, "rtopic", "../rtopic"]}}
        b.write_config(config)
        stack.enter_context(b)
        for name, text in wanted.items():
            b.logged(rf"\[error\][^\n]*{name}[^\n]*{text}")
        b.logged("'../rtopic' is no name of a plug-in")
        listed = marks(b)
        equal({listed[name] for name in wanted}, {"e!"})
        equal(listed["rtopic"], "e*")
        code, _, err = b.ctl("enable_plugin", "cut")
        holds(code == 70 and "not all of it" in err, err)
        b.stop()
        config["plugins"] |= {"required": True, "enabled": ["rtopic", "old"]}
        b.write_config(config)
        b.launch()
        equal(b.wait(), 78)
        os.chmod(plugins, 0o777)
        b.write_config({"plugins": {"directory": plugins, "enabled": ["rtopic"]}})
        b.start()
        b.logged("plugins may be written to by everybody")


def events(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


@case
def events_in_a_file():
    """From both shards, in order, filtered, on after the file was moved; off and on while it runs."""
    b = Broker()
    path = b.path("events.jsonl")
    b.write_config({"plugins": {"directory": built(), "enabled": ["event_file"], "settings": {"event_file.path": path}}})

    def keys():
        return [e["event"] for e in events(path)] if os.path.exists(path) else []

    with b:
        names = []
        for i in range(4):
            with b.pika(name=f"c{i}") as c:
                names.append(f"q\u00e9\"{i}")
                c.channel().queue_declare(names[-1], exclusive=True, arguments={"x-max-length": i})
        until(lambda: keys().count("connection.closed") == 4, "events")
        made = [e for e in events(path) if e["event"] == "queue.created"]
        equal(sorted(e["name"] for e in made), names)
        equal(sorted(e["arguments"][0] for e in made), [f'{{<<"x-max-length">>,signedint,{i}}}' for i in range(4)])
        holds(all(abs(e["timestamp_in_ms"] / 1000 - time.time()) < 60 for e in made), "times")
        kinds = [k for k in keys() if k.startswith("connection.")]
        holds(kinds.index("connection.created") < kinds.index("connection.closed"), str(kinds))
        os.rename(path, path + ".1")
        b.told("add_user", "one", "pw")
        until(lambda: "user.created" in keys(), "the new file")
        holds("stopped" not in b.told("disable_plugin", "event_file"), "it is the configuration's")
        equal(os.stat(path).st_mode & 0o777, 0o640)
        b.stop()
        b.write_config({"plugins": {"directory": built(), "settings": {
            "event_file.path": path, "event_file.keys": "user.deleted\nvhost.\n"}}})
        b.start()
        b.told("enable_plugin", "event_file")
        b.told("add_vhost", "v")
        b.told("delete_user", "one")
        until(lambda: keys()[-1] == "user.deleted", "filtered events")
        equal(keys().count("vhost.created"), 1 + (keys()[0] == "vhost.created"))
        holds("stopped 1 plugins." in b.told("disable_plugin", "event_file"), "disable")
        equal(marks(b)["event_file"], "  ")
        size = os.path.getsize(path)
        b.told("add_vhost", "w")
        b.told("enable_plugin", "event_file")
        equal(os.path.getsize(path), size)
        b.told("add_vhost", "x")
        until(lambda: os.path.getsize(path) > size, "events again")
        equal([e["name"] for e in events(path)][-1], "x")


@case
def file_of_events_without_room():
    """A line that was cut stays alone, by a broker before too, and what comes once there is room is whole."""
    with small_disk(1) as disk:
        path = os.path.join(disk, "events.jsonl")
        with open(path, "w", encoding="utf-8") as f:
            f.write('{"cut')
        with Broker({"plugins": {"directory": built(), "enabled": ["event_file"], "settings": {
                "event_file.path": path, "event_file.keys": "vhost.created"}}}) as b:
            b.told("add_vhost", "first")
            until(lambda: b'"first"' in open(path, "rb").read(), "the first event")
            fill(disk, 0)
            for n in range(100):
                b.told("add_vhost", f"some{n}")
                if n % 10 == 0 and "events.jsonl cannot be written" in b.log():
                    break
            b.logged("events.jsonl cannot be written: No space left on device; [1-9]")
            os.unlink(f"{disk}/filler")
            b.told("add_vhost", "last")
            until(lambda: b'"last"' in open(path, "rb").read(), "the last event")
        with open(path, encoding="utf-8") as f:
            lines = f.read().splitlines()
        names = []
        for line in lines:
            with contextlib.suppress(ValueError):
                names.append(json.loads(line)["name"])
        equal((names[0], names[-1]), ("first", "last"))
        holds(lines[0] == '{"cut' and len(lines) - len(names) <= 2, lines)


@case
def settings_that_are_wrong():
    with Broker({"plugins": {"directory": built(), "settings": {"event_file.paht": "/x", "rtopic.depth": 1}}}) as b:
        code, _, err = b.ctl("enable_plugin", "event_file")
        holds(code == 70 and "plug-in 'event_file' has no setting 'paht'" in err, err)
        code, _, err = b.ctl("enable_plugin", "rtopic")
        holds(code == 70 and "has no setting 'depth'" in err, err)
        os.mkfifo(b.path("fifo"))
        for path, text in (("x", "begins with /"), ("/nowhere/x", "No such file"), (b.path("fifo"), "No such device")):
            b.stop()
            b.write_config({"plugins": {"directory": built(), "settings": {"event_file.path": path}}})
            b.start()
            code, _, err = b.ctl("enable_plugin", "event_file")
            holds(code == 70 and text in err, err)
            code, _, err = b.ctl("enable_plugin", "event_file")
            holds(code == 70 and "failed before" in err, err)
            equal(marks(b)["event_file"], " !")


def published(channel, headers, exchange="", queue="q"):
    """The headers that come out of the queue."""
    channel.basic_publish(exchange, queue, b"body", pika.BasicProperties(headers=headers, message_id="m", delivery_mode=2))
    _, properties, body = channel.basic_get(queue, auto_ack=True)
    equal((body, properties.message_id, properties.delivery_mode), (b"body", "m", 2))
    return properties.headers


@case
def rules_for_headers():
    """On every shard, in transactions and confirms; a message that is refused closes its channel alone."""
    settings = {"header_rules.require": "x-tenant\n", "header_rules.remove": "x-internal",
                "header_rules.set": "x-by={user}@{vhost}\nx-to={exchange}/{key}.\n", "header_rules.default": "x-schema=1"}
    with Broker({"plugins": {"directory": built(), "settings": settings}}) as b, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(b.pika()) for _ in range(4)]
        ch = clients[0].channel()
        ch.queue_declare("q", durable=True)
        ch.queue_bind("q", "amq.direct", "q")
        equal(published(ch, None), None)
        b.told("enable_plugin", "header_rules")
        holds("interceptor of what is published" in b.told("list_plugins", "-v", "header_rules"), "provides")
        for client in clients:
            ch = client.channel()
            ch.confirm_delivery()
            equal(published(ch, {"x-tenant": "t", "x-internal": 1, "x-by": "me", "n": [1, {"a": None}]}, "amq.direct"),
                  {"x-tenant": "t", "x-by": "guest@/", "n": [1, {"a": None}], "x-to": "amq.direct/q.", "x-schema": "1"})
            equal(published(ch, {"x-tenant": 1, "x-schema": 2}), {"x-tenant": 1, "x-schema": 2, "x-by": "guest@/", "x-to": "/q."})
            with refused(pika.exceptions.ChannelClosedByBroker, text="PRECONDITION_FAILED - message lacks the header 'x-tenant'"):
                published(ch, {"x-other": 1})
        ch = clients[1].channel()
        ch.tx_select()
        ch.basic_publish("", "q", b"x", pika.BasicProperties(headers={"x-tenant": "t"}))
        ch.tx_commit()
        equal(ch.basic_get("q", auto_ack=True)[1].headers["x-by"], "guest@/")
        ch.queue_declare("q", passive=True)
        b.told("disable_plugin", "header_rules")
        for client in clients:
            equal(published(client.channel(), None), None)
        b.told("enable_plugin", "header_rules")
        stack.close()
        b.stop()
        for wrong, text in (({"set": "a"}, "'a' is not NAME=VALUE"), ({"require": "a=b"}, "not the name of a header"), ({}, "no rule"),
                            ({"set": " ".join(f"h{i}=x" for i in range(33))}, "more than 32")):
            b.write_config({"plugins": {"directory": built(), "required": True, "settings": {
                f"header_rules.{key}": value for key, value in wrong.items()}}})
            b.launch()
            equal(b.wait(), 78)
            holds(text in b.log(), text)
        b.write_config({"plugins": {"directory": built(), "settings": {"header_rules.set": "x-a={user", "header_rules.exchanges": "amq.direct"}}})
        b.start()
        with b.pika() as client:
            equal(published(client.channel(), None), None)
            equal(published(client.channel(), None, "amq.direct"), {"x-a": "{user"})
