"""Files of definitions at the start."""

import contextlib
import json
import os
import socket
import ssl
import threading
import time

from . import certs
from .broker import Broker
from .suite import case, equal, holds

HASH = "oWrXXIielgMDQYnaxnDNBPvmOFEZjpscnv0BimYekKNcGnWJ"  # of "pw"
TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
RABBITMQ = os.path.join(TOP, "tests", "fuzz", "corpus", "definitions", "rabbitmq-3.10.json")


def definitions(queue="q"):
    return {"users": [{"name": "app", "password_hash": HASH, "hashing_algorithm": "rabbit_password_hashing_sha256",
                       "tags": ["monitoring"]}],
            "vhosts": [{"name": "/"}, {"name": "shop", "metadata": {"description": "of the shop", "tags": []}}],
            "permissions": [{"user": "app", "vhost": "shop", "configure": ".*", "write": ".*", "read": ".*"}],
            "queues": [{"name": queue, "vhost": "shop", "durable": True, "auto_delete": False,
                        "arguments": {"x-max-length": 5}}],
            "bindings": [{"source": "amq.direct", "vhost": "shop", "destination": queue, "destination_type": "queue",
                          "routing_key": "k", "arguments": {}}]}


def queues(b, vhost="shop"):
    return sorted(row["name"] for row in b.rows("list_queues", "-p", vhost, "name"))


def again(b):
    equal(b.stop(), 0, "exit code")
    b.start()


@case
def file_at_the_start():
    b = Broker()
    path = b.write("definitions.json", json.dumps(definitions()))
    b.write_config({"load_definitions": path})
    with b:
        b.pika(user="app", password="pw", virtual_host="shop").close()
        equal(queues(b), ["q"])
        equal([row["user"] for row in b.rows("list_users")], ["app"], "no default user")
        b.told("delete_queue", "-p", "shop", "q")
        b.told("change_password", "app", "other")
        again(b)
        equal(queues(b), ["q"], "what is missing is made at every start")
        b.pika(user="app", password="pw", virtual_host="shop").close()
        b.write("definitions.json", json.dumps(definitions("r")))
        again(b)
        equal(queues(b), ["q", "r"], "nothing is deleted")


@case
def directory_that_does_not_change():
    b = Broker()
    os.mkdir(b.path("d"))
    b.write("d/1.json", json.dumps(definitions()))
    b.write("d/2.json", json.dumps({"queues": definitions("second")["queues"]}))
    b.write("d/3.txt", "no definitions")
    b.write_config({"definitions": {"import_backend": "local_filesystem", "local": {"path": b.path("d")},
                                    "skip_if_unchanged": True}})
    with b:
        equal(queues(b), ["q", "second"])
        b.told("delete_queue", "-p", "shop", "q")
        again(b)
        equal(queues(b), ["second"], "files that did not change are left alone")
        b.write("d/1.json", json.dumps(definitions("new")))
        again(b)
        equal(queues(b), ["new", "second"])


@case
def file_that_is_refused():
    wrong = definitions()
    wrong["queues"][0]["durable"] = 3
    unknown = definitions()
    unknown["queues"][0]["vhost"] = "none"
    impossible = definitions()
    impossible["queues"][0]["arguments"] = {"x-max-length": -1}
    for text, said in ((json.dumps(wrong), "queues[0].durable: wanted a boolean, got a number (line 1)"), ("{", "premature EOF"),
                       (json.dumps(unknown), 'queues[0] (line 1): Please create virtual host "none"'),
                       (json.dumps(impossible), "invalid arg 'x-max-length' for queue 'q'"), ("", "there is nothing in it")):
        b = Broker()
        b.write_config({"load_definitions": b.write("definitions.json", text)})
        b.launch()
        equal(b.wait(), 78, "exit code")
        holds(said in b.log() and "definitions.json: " in b.log(), b.log())
        b.settle(78)
    b = Broker({"load_definitions": "/nowhere/definitions.json"})
    b.launch()
    equal(b.wait(), 78, "exit code")
    holds("/nowhere/definitions.json: No such file" in b.log(), b.log())
    b.settle(78)


@case
def imported_definitions_are_kept():
    for end in ("stopped", "killed"):
        with Broker() as b:
            code, _, err = b.ctl("import_definitions", RABBITMQ)
            equal(code, 0, err)
            before = b.told("export_definitions", "-")
            if end == "killed":
                b.kill()
                b.start()
            else:
                again(b)
            wanted, got = json.loads(before), json.loads(b.told("export_definitions", "-"))
            for key, items in wanted.items():
                if isinstance(items, list):
                    durable = [x for x in items if x.get("durable", True) and key != "bindings"]
                    holds(all(x in got[key] for x in durable), f"{key} {end}")
            b.pika(user="app", password="pw", virtual_host="shop").close()


@case
def links_to_other_brokers_are_kept():
    """Federation and shovels: parameters and policies are checked, shown, exported, there again after a start."""
    parameters = {
        ("federation-upstream", "up"): {"uri": ["amqp://a", "amqps://b/v?verify=verify_peer"], "max-hops": 2},
        ("federation-upstream-set", "some"): [{"upstream": "up", "exchange": "x"}],
        ("shovel", "s"): {"src-uri": "amqp://a", "src-queue": "q", "dest-uri": "amqp://", "dest-exchange": "x"}}
    keys = [{"federation-upstream": "up"}, {"federation-upstream-set": "all"}, {"federation-upstream-pattern": "^u"},
            {"shards-per-node": 2, "routing-key": "k"}]
    with Broker() as b:
        for (component, name), value in parameters.items():
            b.told("set_parameter", component, name, json.dumps(value))
            b.logged(f"{component} '{name}' of virtual host '/' is kept, but moves no messages")
        for number, definition in enumerate(keys):
            b.told("set_policy", f"p{number}", "^q", json.dumps(definition))
        for words, said in ((("set_parameter", "shovel", "t", "{}"), "Validation failed\n\nMust specify 'src-exchange' or "
                             "'src-queue'\nKey \"dest-uri\" not found in t\nKey \"src-uri\" not found in t"),
                            (("set_policy", "p", "^q", '{"federation-upstream": "a", "federation-upstream-set": "b"}'),
                             "cannot specify federation-upstream, federation-upstream-set or federation-upstream-pattern"),
                            (("set_policy", "p", "^q", '{"federation-upstream-pattern": "a("}'), "could not compile pattern a("),
                            (("set_policy", "p", "^q", '{"federation-upstream": 5}'),
                             "5 is not a valid federation upstream name")):
            code, _, err = b.ctl("-q", *words)
            equal(code, 69 if words[0] == "set_parameter" else code)
            holds(code and said in err, err)
        again(b)
        out = b.path("out.json")
        b.told("export_definitions", out)
        with open(out) as f:
            written = json.load(f)
        equal({(p["component"], p["name"]): p["value"] for p in written["parameters"]}, parameters)
        equal([p["definition"] for p in written["policies"]], keys)
        written["parameters"].append({"vhost": "/", "component": "shovel", "name": "odd", "value": {"new-key": 1}})
        written["parameters"].append({"vhost": "/", "component": "federation-upstream", "name": "odd",
                                      "value": {"uri": ["amqp://joe:hid/den@h:x/v", "amqp://joe:hidden@h"]}})
        for component, name in parameters:
            b.told("clear_parameter", component, name)
        _, _, err = b.ctl("import_definitions", b.write("in.json", json.dumps(written)))
        holds("shovel: Must specify 'src-exchange' or 'src-queue'; left out" in err, err)
        holds('federation-upstream: "amqp://***@h:x/v" not a valid URI; left out' in err and "hid" not in err, err)
        equal(len(b.rows("list_parameters")), 3)
        b.reload({"runtime_parameters": {"limits": {"shovel": 1, "federation-upstream": 0}}})
        b.told("set_parameter", "shovel", "s", json.dumps(parameters["shovel", "s"]))  # it is there
        b.told("add_vhost", "v")
        equal(b.ctl("-q", "set_parameter", "-p", "v", "shovel", "t", json.dumps(parameters["shovel", "s"]))[::2],
              (69, "Error:\nValidation failed\n\ncomponent shovel is limited to 1\n"))
        equal(b.ctl("set_parameter", "-p", "v", "federation-upstream", "t", '{"uri": "amqp://"}')[0], 69)


class Server:
    """Serves texts by path over https, and counts; a number is a status with a place to go on."""

    def __init__(self, pages, certificate=None, authority=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain((certificate or certs.server()).cert, (certificate or certs.server()).key)
        if authority:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(authority.cert)
        self.pages, self.asked, self.context = pages, [], context
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                plain, _ = self.socket.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), self.context.wrap_socket(plain, server_side=True) as s:
                s.settimeout(20)
                head = b""
                while b"\r\n\r\n" not in head:
                    head += s.recv(4096)
                path = head.split()[1].decode()
                self.asked.append(path)
                s.sendall(self.pages[path.split("?")[0]](self))
                s.unwrap()

    def url(self, path, host="localhost"):
        return f"https://{host}:{self.port}{path}"

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(20)


def page(text, status="200 OK", **fields):
    lines = "".join(f"{key.replace('_', '-')}: {value}\r\n" for key, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n{text}".encode()


@case
def definitions_over_https():
    text = json.dumps(definitions())
    server = Server({"/d": lambda s: page(text, content_length=len(text)), "/open": lambda s: page(text),
                     "/moved": lambda s: page("", "302 Found", location=s.url("/open", "127.0.0.1")),
                     "/near": lambda s: page("", "302 Found", location="/open"),
                     "/named": lambda s: page("", "302 Found", location="https://joe:hidden@localhost/d"),
                     "/round": lambda s: page("", "301 Moved", location=s.url("/round")),
                     "/plain": lambda s: page("", "301 Moved", location="http://localhost/d"),
                     "/none": lambda s: page("", "404 Not Found"), "/half": lambda s: page(text[:50], content_length=len(text)),
                     "/odd": lambda s: b"odd\r\n\r\n", "/wrong": lambda s: page("[")}, authority=certs.authority())
    tls = {"cacertfile": certs.authority().cert, **certs.client().pair()}

    def config(path, host="localhost", skip=False, **more):
        return {"definitions": {"import_backend": "https", "https": {"url": server.url(path, host), "timeout": 5000},
                                "skip_if_unchanged": skip, "tls": {**tls, **more}}}

    b = Broker(config("/d?secret=1", skip=True))
    with b:
        equal(queues(b), ["q"])
        equal([row["user"] for row in b.rows("list_users")], ["app"], "no default user")
        b.logged(r"definitions of https://localhost:\d+/d: put .*1 queues")
        again(b)
        b.logged(r"definitions of https://localhost:\d+/d are those that were imported last")
        equal(server.asked, ["/d?secret=1"] * 2)
        holds("secret" not in b.log(), "queries are told to nobody")
        b.write_config(config("/moved", versions=["tlsv1.2"]))
        again(b)
        b.logged(r"definitions of https://localhost:\d+/moved: put ")
        b.write_config(config("/moved", "127.0.0.1", verify="verify_none", cacertfile=""))
        again(b)
        b.write_config(config("/near?secret=2"))
        b.reload()
        again(b)
        b.logged(r"definitions of https://localhost:\d+/near: put ")
        holds("secret=" not in b.log(), "also when it changes")
    for bad, said in ((config("/none"), "the answer is 404"), (config("/half"), "the answer is not whole"),
                      (config("/odd"), "the answer is no HTTP"), (config("/wrong"), "wanted an object of definitions, got a list"),
                      (config("/round"), "too many redirections"), (config("/d", "joe:hidden@localhost"), "it is no https://host/path"),
                      (config("/named"), "cannot fetch https://localhost/d: "), (config("/plain"), "it is no https://host/path"),
                      (config("/d", cacertfile=certs.stranger().cert), "self-signed certificate in certificate chain"),
                      (config("/d", server_name_indication="other"), "hostname mismatch"),
                      (config("/d", certfile="", keyfile=""), "cannot fetch")):
        b = Broker(bad)
        b.launch()
        equal(b.wait(), 78)
        holds(said in b.log() and "hidden" not in b.log(), f"{said}: {b.log()}")
        b.settle(78)
    server.close()


@case
def definitions_that_come_too_slowly():
    """The time counts for all of it, however often a byte comes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        b = Broker({"definitions": {"import_backend": "https",
                                    "https": {"url": f"https://localhost:{server.getsockname()[1]}/d", "timeout": 1500}}})
        b.launch()
        server.settimeout(30)
        peer, _ = server.accept()
        with peer, contextlib.suppress(OSError):
            peer.sendall(bytes.fromhex("1603034000"))  # a record of 16 KiB
            for _ in range(100):
                peer.sendall(b"x")
                if b.process.poll() is not None:
                    break
                time.sleep(0.1)
        equal(b.wait(), 78)
        holds("timed out" in b.log(), b.log())
        b.settle(78)
