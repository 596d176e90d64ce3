"""Who is let in: definitions of the configuration, hashes, the default user, loopback, wrong passwords."""

import base64
import hashlib
import shutil
import socket
import struct

import pika

from crew import free_port

from .broker import Broker, round_trip, run
from .raw import Raw, Refused, long, short
from .suite import LeftOut, case, equal, holds, refused


def hashed(password, algorithm, salt=b"\x90\x8d\xc6\x0a"):
    """RabbitMQ's form: base64 of a salt of four bytes and the digest of salt and password."""
    return base64.b64encode(salt + hashlib.new(algorithm, salt + password.encode()).digest()).decode()


def logs_in(b, user, password, **how):
    client = Raw(b.port)
    client.greet()
    try:
        client.login(user, password, **how)
    except Refused:
        return False
    finally:
        client.drop()
    return True


DEFINITIONS = {
    "vhosts": [{"name": "shop", "description": "of the shop", "tags": ["a", "b"], "default_queue_type": "classic"}, "plain"],
    "users": [
        {"name": "admin", "password": "a-pw", "tags": ["administrator"]},
        {"name": "sha256", "password_hash": hashed("pw256", "sha256"), "tags": ["monitoring", "policymaker"]},
        {"name": "sha512", "password_hash": hashed("pw512", "sha512"), "hashing_algorithm": "rabbit_password_hashing_sha512"},
        {"name": "md5", "password_hash": hashed("pwmd5", "md5"), "hashing_algorithm": "rabbit_password_hashing_md5"},
        {"name": "by-rabbitmq", "password_hash": "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"},
        {"name": "nopassword"}],
    "permissions": [
        {"user": "admin", "vhost": "shop", "configure": ".*", "write": ".*", "read": ".*"},
        {"user": "admin", "configure": ".*", "write": ".*", "read": ".*"},
        {"user": "sha256", "vhost": "shop", "configure": "^mine-.*", "write": "^(mine-.*|orders)$", "read": "^mine-.*"}],
    "topic_permissions": [{"user": "sha256", "vhost": "shop", "exchange": "orders", "write": "^eu\\.", "read": ".*"}],
    "exchanges": [
        {"name": "orders", "vhost": "shop", "type": "topic", "arguments": {"alternate-exchange": "lost"}},
        {"name": "lost", "vhost": "shop", "type": "fanout", "durable": False},
        {"name": "inner", "vhost": "shop", "type": "direct", "internal": True, "auto_delete": False}],
    "queues": [
        {"name": "all-orders", "vhost": "shop", "arguments": {"x-max-length": 3, "x-overflow": "reject-publish"}},
        {"name": "strays", "vhost": "shop", "durable": False},
        {"name": "via", "vhost": "shop"}],
    "bindings": [
        {"source": "orders", "vhost": "shop", "destination": "all-orders", "routing_key": "*.order.#"},
        {"source": "lost", "vhost": "shop", "destination": "strays"},
        {"source": "orders", "vhost": "shop", "destination": "inner", "destination_type": "exchange", "routing_key": "eu.via"},
        {"source": "inner", "vhost": "shop", "destination": "via", "routing_key": "eu.via"}]}


@case
def definitions():
    with Broker({"definitions": DEFINITIONS}) as b:
        equal({r["user"]: sorted(r["tags"]) for r in b.rows("list_users")},
              {"admin": ["administrator"], "sha256": ["monitoring", "policymaker"], "sha512": [], "md5": [], "by-rabbitmq": [],
               "nopassword": []})
        vhosts = {r["name"]: r for r in b.rows("list_vhosts", "name", "description", "tags", "default_queue_type")}
        equal(sorted(vhosts), ["/", "plain", "shop"])
        equal((vhosts["shop"]["description"], sorted(vhosts["shop"]["tags"])), ("of the shop", ["a", "b"]))
        for user, password in (("admin", "a-pw"), ("sha256", "pw256"), ("sha512", "pw512"), ("md5", "pwmd5"), ("by-rabbitmq", "test12")):
            equal((logs_in(b, user, password), logs_in(b, user, password + "x")), (True, False), user)
        for user, password in (("nopassword", ""), ("guest", "guest"), ("nobody", "")):
            equal(logs_in(b, user, password), False, user)
        rows = {r["name"]: r for r in b.rows("-p", "shop", "list_exchanges", "name", "type", "durable", "internal", "arguments")}
        equal([(rows[n]["type"], rows[n]["durable"], rows[n]["internal"]) for n in ("orders", "lost", "inner")],
              [("topic", True, False), ("fanout", False, False), ("direct", True, True)])
        holds("lost" in str(rows["orders"]["arguments"]), rows["orders"])
        rows = {r["name"]: r for r in b.rows("-p", "shop", "list_queues", "name", "durable", "arguments")}
        equal([(n, rows[n]["durable"]) for n in sorted(rows)], [("all-orders", True), ("strays", False), ("via", True)])
        connection = b.pika(user="admin", password="a-pw", virtual_host="shop")
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish("orders", "eu.order.1", b"1")
        channel.basic_publish("orders", "elsewhere", b"2")  # the alternate exchange
        channel.basic_publish("orders", "eu.via", b"3")
        for queue, body in (("all-orders", b"1"), ("strays", b"2"), ("via", b"3")):
            equal(channel.basic_get(queue, auto_ack=True)[2], body, queue)
        for _ in range(3):
            channel.basic_publish("orders", "eu.order", b"x")
        with refused(pika.exceptions.NackError):
            channel.basic_publish("orders", "eu.order", b"one too many")
        channel.queue_declare("all-orders", durable=True, arguments={"x-max-length": 3, "x-overflow": "reject-publish"})
        connection.close()


@case
def rights():
    with Broker({"definitions": DEFINITIONS}) as b:
        connection = b.pika(user="sha256", password="pw256", virtual_host="shop")

        def denied(action, text):
            with refused(pika.exceptions.ChannelClosedByBroker, text=text):
                channel = connection.channel()
                action(channel)
                channel.queue_declare("mine-x")  # a publish has no answer of its own

        channel = connection.channel()
        channel.queue_declare("mine-q")
        channel.basic_publish("orders", "eu.order", b"ok")
        channel.basic_publish("orders", "eu.order", b"ok")
        denied(lambda c: c.queue_declare("other"),
               "(403) \"ACCESS_REFUSED - access to queue 'other' in vhost 'shop' refused for user 'sha256'\"")
        denied(lambda c: c.basic_publish("orders", "us.order", b""),
               "ACCESS_REFUSED - access to topic 'us.order' in exchange 'orders' in vhost 'shop' refused for user 'sha256'")
        denied(lambda c: c.basic_get("all-orders"),
               "ACCESS_REFUSED - access to queue 'all-orders' in vhost 'shop' refused for user 'sha256'")
        denied(lambda c: c.basic_publish("lost", "", b""),
               "ACCESS_REFUSED - access to exchange 'lost' in vhost 'shop' refused for user 'sha256'")
        connection.close()
        for user, password, vhost, text in (("sha256", "pw256", "/", "access to vhost '/' refused for user 'sha256'"),
                                            ("admin", "a-pw", "nowhere", "vhost nowhere not found"),
                                            ("sha512", "pw512", "shop", "access to vhost 'shop' refused for user 'sha512'")):
            client = Raw(b.port)
            client.greet()
            client.login(user, password)
            with refused(Refused, text=f"530 NOT_ALLOWED - {text}"):
                client.open(vhost)
            client.drop()


@case
def definitions_that_are_wrong():
    for wrong, line, text in (
            ("permissions: [{user: nobody, read: .*}]", 2, "nobody"),
            ("users:\n  - {name: u, password: p}\n permissions:\n  - {user: u, vhost: none, read: .*}", 5, "none"),
            ("queues:\n  - {name: q, vhost: none}", 3, "none"), ("queues:\n  - {name: q, arguments: {x-max-length: -1}}", 3, "x-max-length"),
            ("exchanges:\n  - {name: e, type: strange}", 3, "strange"), ("bindings:\n  - {source: none, destination: none}", 3, "none"),
            ("users:\n  - {name: u, password: p}\n permissions:\n  - {user: u, read: '('}", 5, "(")):
        b = Broker(f"definitions:\n {wrong}\n")
        code, _, err = run("--config", b.path("jackalope.yaml"), "--data", b.data)
        equal(code, 78, f"{wrong}: {err}")
        holds(f"{b.path('jackalope.yaml')}:{line}: " in err and text in err, f"{wrong}: {err}")
        shutil.rmtree(b.dir)


@case
def hash_of_the_tool_works_in_definitions():
    with Broker() as b:
        made = b.told("hash_password", "round trip").strip().split()[-1]
    with Broker({"definitions": {"users": [{"name": "u", "password_hash": made}]}}) as b:
        equal((logs_in(b, "u", "round trip"), logs_in(b, "u", "other")), (True, False))


@case
def default_user():
    with Broker({"default_user": "op", "default_pass": "secret", "default_vhost": "work", "default_user_tags": ["management"],
                 "default_permissions": {"configure": "^a", "write": ".*", "read": ""}}) as b:
        equal(b.rows("list_users"), [{"user": "op", "tags": ["management"]}])
        equal([r["name"] for r in b.rows("list_vhosts")], ["work"])
        equal(b.rows("-p", "work", "list_permissions"), [{"user": "op", "configure": "^a", "write": ".*", "read": ""}])
        connection = b.pika(user="op", password="secret", virtual_host="work")
        connection.channel().queue_declare("a1")
        with refused(pika.exceptions.ChannelClosedByBroker, text="403"):
            connection.channel().queue_declare("b1")
        connection.close()
        equal(logs_in(b, "guest", "guest"), False)
    with Broker({"default_user": ""}) as b:
        equal(b.rows("list_users"), [])
        equal(logs_in(b, "guest", "guest"), False)
        equal(logs_in(b, "", ""), False)


def own_address():
    """An IPv4 address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))
            return s.getsockname()[0]
        except OSError as error:
            raise LeftOut("this machine has no address but loopback") from error


@case
def loopback_users():
    address = own_address()
    port = free_port()
    for users, guest, app in (("", False, True), ("loopback_users: []\n", True, True), ("loopback_users: [app, guest]\n", False, False)):
        config = users + "definitions: {users: [{name: app, password: app}, {name: guest, password: guest}]}\n"
        with Broker(config, [f":{port}"]) as b:
            for name, wanted in (("guest", guest), ("app", app)):
                for host, expected in (("127.0.0.1", True), ("::1", True), (address, wanted)):
                    client = Raw((host, port))
                    client.greet()
                    since = b.mark()
                    try:
                        client.login(name, name)
                        equal(expected, True, f"{name} from {host} with {users!r}")
                    except Refused as why:
                        equal(expected, False, f"{name} from {host} with {users!r}")
                        equal((why.code, why.text), (403, "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. "
                                                          "For details see the broker logfile."))
                        b.logged(f"user '{name}' can only connect via localhost", since)
                    client.drop()


@case
def wrong_password():
    with Broker() as b:
        port = b.port
        began = b.mark()
        client = Raw(port)  # one that wants to be told
        client.greet()
        with refused(Refused, text="403 ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. "
                                   "For details see the broker logfile."):
            client.login(password="wrong")
        client.drop()
        client = Raw(port)  # one that does not
        client.greet()
        with refused(Refused, text="the connection ended"):
            client.login(password="wrong", close=False)
        client.drop()
        equal(b.log()[began:].count("PLAIN login refused: user 'guest' - invalid credentials"), 2)
        with refused(pika.exceptions.ProbableAuthenticationError, text="403"):
            b.pika(password="wrong")
        with refused(pika.exceptions.ProbableAuthenticationError, text="403"):
            b.pika(user="nobody", password="guest")
        connection = b.pika()  # a wrong one spoils nothing
        round_trip(connection)
        connection.close()


@case
def mechanisms():
    table = short("LOGIN") + b"S" + long(b"guest") + short("PASSWORD") + b"S" + long(b"guest")
    for wanted in (["PLAIN", "AMQPLAIN"], ["AMQPLAIN"], ["PLAIN"]):
        with Broker({"auth_mechanisms": wanted}) as b:
            for mechanism, response in (("PLAIN", b"\0guest\0guest"), ("AMQPLAIN", table)):
                client = Raw(b.port)
                equal(client.greet(), wanted)
                if mechanism in wanted:
                    client.login(mechanism=mechanism, response=response)
                    client.open()
                    equal(b.connections("auth_mechanism")[0]["auth_mechanism"], mechanism)
                    client.leave()
                else:
                    with refused(Refused):
                        client.login(mechanism=mechanism, response=response)
                    client.drop()


@case
def mechanism_of_two_steps():
    with Broker({"auth_mechanisms": ["RABBIT-CR-DEMO"]}) as b:
        for answer, right in ((b"My password is guest", True), (b"My password is wrong", False), (b"guest", False)):
            client = Raw(b.port)
            equal(client.greet(), ["RABBIT-CR-DEMO"])
            client.send(10, 11, long(b"") + short("RABBIT-CR-DEMO") + long(b"guest") + short("en_US"))
            equal(client.expect(10, 20), long(b"Please tell me your password"))
            client.send(10, 21, long(answer))
            if right:
                client.tune = struct.unpack(">HIH", client.expect(10, 30))
                client.open()
                equal(b.connections("user", "auth_mechanism")[0]["user"], "guest")
                client.leave()
            else:
                with refused(Refused):
                    client.expect(10, 30)
                client.drop()


@case
def users_that_change_under_way():
    with Broker() as b:
        b.told("add_user", "u", "one")
        b.told("set_permissions", "u", ".*", ".*", ".*")
        connection = b.pika(user="u", password="one")
        b.told("change_password", "u", "two")
        equal((logs_in(b, "u", "one"), logs_in(b, "u", "two")), (False, True))
        round_trip(connection)  # who is in stays in
        b.told("set_permissions", "u", "^$", ".*", ".*")
        with refused(pika.exceptions.ChannelClosedByBroker, text="403"):
            connection.channel().queue_declare("new")
        b.told("delete_user", "u")
        with refused(pika.exceptions.ConnectionClosedByBroker, text="320"):
            connection.sleep(5)
        equal(logs_in(b, "u", "two"), False)
