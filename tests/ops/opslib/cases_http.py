"""The HTTP API: RabbitMQ's paths, statuses and fields, as observed on 3.10.8, and what the server makes of odd clients."""

import base64
import concurrent.futures
import datetime
import http.client
import json
import os
import re
import resource
import socket
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

import pika

from . import certs
from .api import Api, basic, quote
from .broker import Broker
from .suite import LeftOut, case, equal, holds, refused, until

RABBITMQADMIN = "/usr/lib/rabbitmq/lib/rabbitmq_server-3.10.8/plugins/rabbitmq_management-3.10.8/priv/www/cli/rabbitmqadmin"


def config(**more):
    return {"management": {"listeners": ["127.0.0.1:0"]}, "node_name": "jk@here"} | more


def started(**more):
    return Broker(config(**more), listeners=["127.0.0.1:0"])


def names(items):
    return [item["name"] for item in items]


@case
def who_asks_and_what_they_may():
    with started() as b:
        api = Api(b)
        equal(api.get("whoami"), {"name": "guest", "tags": ["administrator"]})
        effective = api.get("config/effective")
        equal((effective["node_name"], effective["default_pass"], effective["loopback_users"], effective["management.listeners"][0]["address"]),
              ("jk@here", "<hidden>", ["guest"], "127.0.0.1:0"))
        equal([api.delete("reset"), api.delete("reset/jk@here"), api.delete("reset/none")], [204, 204, 404])
        equal(api.get("nodes/jk@here/memory/relative")["memory"]["total"], 100)
        status, _, body = Api(b, "guest", "wrong").raw("GET", "/api/whoami")
        equal((status, body), (401, b'{"error":"not_authorized","reason":"Login failed"}'))
        api.connection.request("GET", "/api/whoami")
        answer = api.connection.getresponse()
        equal((answer.status, answer.headers["www-authenticate"][:5]), (401, "Basic"))
        answer.read()
        for tag in "none", "management", "monitoring", "policymaker":
            equal(api.put(f"users/t{tag}", {"password": "x", "tags": tag}), 201)
        refused = {
            "none": {"whoami": "Not management user", "users": "Not management user"},
            "management": {"nodes": "Not monitor user", "users": "Not administrator user",
                           "queues/%2F": "User not authorised to access virtual host",
                           "parameters": "User not authorised to access object",
                           "definitions": "Not administrator user"},
            "monitoring": {"permissions": "Not administrator user", "parameters": "User not authorised to access object"},
            "policymaker": {"nodes": "Not monitor user", "vhosts/%2F": "Not administrator user"}}
        for tag, paths in refused.items():
            user = api.as_user("t" + tag)
            for path, reason in paths.items():
                equal(user.ask("GET", path), (401, {"error": "not_authorised", "reason": reason}), f"{tag} {path}")
        equal(api.as_user("tmanagement").get("vhosts"), [])
        equal(names(api.as_user("tmonitoring").get("vhosts")), ["/"])
        equal(api.as_user("tmanagement").get("queues"), [])
        equal(api.put("permissions/%2F/tmanagement", {"configure": "^$", "write": "^$", "read": "^$"}), 201)
        own = api.as_user("tmanagement")
        equal(own.get("queues/%2F"), [])
        equal(own.ask("PUT", "queues/%2F/q", {}), (401, {"error": "not_authorised", "reason": "Access refused."}))
        equal(own.put("policies/%2F/p", {"pattern": "a", "definition": {"max-length": 1}}), 401)
        equal(own.ask("POST", "exchanges/%2F/amq.direct/publish",
                      {"properties": {}, "routing_key": "", "payload": "", "payload_encoding": "string"})[0], 401)


@case
def logging_in_with_a_form():
    with started() as b:
        api = Api(b)
        api.put("users/t%3A%2B", {"password": "a#&=b", "tags": "management"})
        api.put("users/none", {"password": "x", "tags": ""})
        form = {"content_type": "application/x-www-form-urlencoded"}

        def ask(method, path, body=None, **headers):
            c = http.client.HTTPConnection("127.0.0.1", api.port, timeout=20)
            c.request(method, "/api/" + path, body, {k.replace("_", "-"): v for k, v in headers.items()})
            answer = c.getresponse()
            return answer.status, answer.headers.get("set-cookie"), answer.read()
        status, cookie, body = ask("POST", "login", "username=guest&password=guest", **form)
        equal((status, cookie, body), (200, "auth=Z3Vlc3Q6Z3Vlc3Q=; Path=/; HttpOnly; SameSite=Strict", b'"ok"'))
        equal(ask("GET", "whoami", cookie="a=b; auth=Z3Vlc3Q6Z3Vlc3Q=; c"), (200, None, b'{"name":"guest","tags":["administrator"]}'))
        equal(ask("GET", "whoami", cookie="xauth=Z3Vlc3Q6Z3Vlc3Q="), (401, None, b'{"error":"not_authorized","reason":"Login failed"}'))
        equal(ask("GET", "whoami", cookie="auth=Z3Vlc3Q6Z3Vlc3Q=", authorization=basic("none", "x"))[2],
              b'{"error":"not_authorised","reason":"Not management user"}')
        cookie = ask("POST", "login", "username=t%3A%2B&password=a%23%26%3Db", content_type="Application/X-WWW-Form-URLencoded; charset=utf-8")[1]
        equal(cookie, "auth=" + basic("t:+", "a#&=b")[6:] + "; Path=/; HttpOnly; SameSite=Strict")
        equal(ask("POST", "login", "username=none&password=x", **form),
              (401, None, b'{"error":"not_authorised","reason":"Not management user"}'))
        for body in "username=guest&password=wrong", "password=guest", "", "username=guest":
            equal(ask("POST", "login", body, **form), (401, None, b'{"error":"not_authorized","reason":"Login failed"}'), body)
        equal(ask("POST", "login", "{}", content_type="application/json")[0], 415)
        equal(ask("POST", "login", "username=%zz", **form)[0], 400)
        equal(ask("POST", "login", "a" * 5000, **form)[0], 413)
        equal(ask("GET", "login")[0], 405)
        equal(ask("POST", "login", "username=guest&password=guest", sec_fetch_site="cross-site", **form)[:2], (403, None))


@case
def who_guesses_passwords():
    with started(failed_logins={"of_user": 5, "of_address": 20}, track_auth_attempt_source=True) as b:
        api, wrong = Api(b), Api(b, "guest", "wrong")
        equal(api.put("users/u", {"password": "x", "tags": "management"}), 201)
        with concurrent.futures.ThreadPoolExecutor(9) as many:  # each is answered late
            answers = [many.submit(lambda: Api(b, "guest", "wrong").ask("GET", "whoami")[0]) for _ in range(9)]
            equal(sorted(a.result() for a in answers)[:5], [401] * 5)
        equal(wrong.ask("GET", "whoami"), (429, {"error": "too_many_requests",
                                                 "reason": "Too many failed logins, try again later"}))
        equal(api.ask("GET", "whoami")[0], 429, "the right one, too: it is not looked at")
        with refused(pika.exceptions.ProbableAuthenticationError, text="403"):
            b.pika()
        b.logged("user 'guest' - too many failed logins")
        user = api.as_user("u")
        equal(user.get("whoami")["name"], "u", "others are let in")
        b.reload(config(failed_logins={"of_user": 0, "of_address": 20}, track_auth_attempt_source=True), ["127.0.0.1:0"])
        b.pika().close()
        counts = api.get("auth/attempts/jk@here/source")
        equal({(c["protocol"], c["remote_address"], c["username"]): c["auth_attempts_succeeded"] > 0 for c in counts},
              {("http", "127.0.0.1", "guest"): True, ("http", "127.0.0.1", "u"): True, ("amqp091", "127.0.0.1", "guest"): True})
        failed = {c["protocol"]: c["auth_attempts_failed"] for c in api.get("auth/attempts/jk@here")}
        equal(failed, {"http": 11, "amqp091": 1})
        equal(user.ask("GET", "auth/attempts/jk@here")[0], 401)
        equal([api.ask("GET", "auth/attempts/none")[0], api.delete("auth/attempts/jk@here")], [404, 204])
        equal([(c["protocol"], c["auth_attempts"]) for c in api.get("auth/attempts/jk@here")], [("http", 1)])


@case
def virtual_hosts_users_permissions():
    with started() as b:
        api = Api(b)
        equal([api.put("vhosts/v%2Fx", {"description": "d", "tags": ["a", "b"]}), api.put("vhosts/v%2Fx")], [201, 204])
        vhost = api.get("vhosts/v%2Fx")
        equal((vhost["name"], vhost["description"], vhost["tags"], vhost["tracing"]), ("v/x", "d", ["a", "b"], False))
        equal(api.get("permissions/v%2Fx/guest")["configure"], ".*")
        equal(api.ask("PUT", "users/u", {"password": "x"}), (400, {"error": "bad_request", "reason": "tags_not_present"}))
        equal([api.put("users/u", {"password": "x", "tags": "management"}),
               api.put("users/u", {"password_hash": api.get("users/u")["password_hash"], "tags": ["monitoring"]})],
              [201, 204])
        equal(api.as_user("u").get("whoami"), {"name": "u", "tags": ["monitoring"]})
        equal(api.put("users/w", {"password_hash": "x", "tags": ""}), 400)
        equal(names(api.get("users/without-permissions")), ["u"])
        right = {"configure": "a", "write": "b", "read": "c"}
        equal(api.ask("PUT", "permissions/v%2Fx/u", {"configure": "a"}),
              (400, {"error": "bad_request", "reason": "[{key_missing,write},{key_missing,read}]"}))
        for path in "permissions/v%2Fx/nobody", "permissions/nowhere/u":
            equal(api.ask("PUT", path, right), (400, {"error": "bad_request", "reason": "vhost_or_user_not_found"}))
        equal([api.put("permissions/v%2Fx/u", right), api.put("permissions/v%2Fx/u", right)], [201, 204])
        wanted = {"user": "u", "vhost": "v/x"} | right
        equal((api.get("permissions/v%2Fx/u"), api.get("users/u/permissions")), (wanted, [wanted]))
        equal(sorted(p["user"] for p in api.get("vhosts/v%2Fx/permissions")), ["guest", "u"])
        topic = {"exchange": "amq.topic", "write": "a", "read": "b"}
        equal(api.put("topic-permissions/v%2Fx/u", topic), 201)
        equal(api.get("topic-permissions/v%2Fx/u"), [{"user": "u", "vhost": "v/x"} | topic])
        equal(api.put("topic-permissions/v%2Fx/u", topic | {"exchange": ""}), 201)
        equal(api.delete("topic-permissions/v%2Fx/u/amq.default"), 204)
        equal(api.get("topic-permissions/v%2Fx/u"), [{"user": "u", "vhost": "v/x"} | topic])
        equal([api.delete("topic-permissions/v%2Fx/u"), api.delete("permissions/v%2Fx/u"),
               api.delete("permissions/v%2Fx/u")], [204, 204, 404])
        equal(api.post("users/bulk-delete", {"users": ["u", "nobody"]})[0], 204)
        equal([api.ask("GET", "users/u")[0], api.delete("users/u"), api.delete("vhosts/v%2Fx"), api.delete("vhosts/v%2Fx")],
              [404, 404, 204, 404])


@case
def queues_exchanges_bindings():
    with started() as b:
        api = Api(b)
        equal([api.put("queues/%2F/q", {"durable": True}), api.put("queues/%2F/q", {"durable": "true"}),
               api.put("exchanges/%2F/x", {"type": "topic"})], [201, 204, 201])
        equal(api.ask("PUT", "queues/%2F/q", {}), (400, {"error": "bad_request", "reason":
              "inequivalent arg 'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'"}))
        equal(api.ask("PUT", "queues/%2F/r", {"durable": "maybe"}),
              (400, {"error": "bad_request", "reason": ["not_boolean", "maybe"]}))
        for body in "[1]", "{bad", "{} {}":
            equal(api.ask("PUT", "queues/%2F/r", body), (400, {"error": "bad_request", "reason": "not_json"}), body)
        equal(api.ask("PUT", "queues/nowhere/q", {}), (404, {"error": "not_found", "reason": "vhost_not_found"}))
        equal(api.ask("PUT", "exchanges/%2F/y", {"type": "z"}),
              (400, {"error": "bad_request", "reason": "unknown exchange type 'z'"}))
        gone = (404, {"error": "Object Not Found", "reason": "Not Found"})
        for path in "queues/%2F/none", "queues/nowhere", "exchanges/%2F/none", "none", "connections/none", "channels/none":
            equal(api.ask("GET", path), gone, path)
        equal(api.post("bindings/%2F/e/x/q/q", {"routing_key": "a.b"})[0], 201)
        equal(api.headers["location"], "q/a.b")
        equal(api.post("bindings/%2F/e/x/q/q", {"routing_key": "c", "arguments": {"k": 1}})[0], 201)
        equal(api.post("bindings/%2F/e/x/e/amq.fanout", {"routing_key": "#"})[0], 201)
        refusal = 401, {"error": "not_authorised", "reason": "Access refused."}
        for method, path in (("POST", "amq.default/q/q"), ("POST", "x/e/amq.default"), ("DELETE", "amq.default/q/q/q")):
            equal(api.ask(method, "bindings/%2F/e/" + path, {"routing_key": "q"} if method == "POST" else None), refusal, path)
        equal(api.post("bindings/%2F/e/x/q/none", {})[1], {"error": "not_found", "reason": "no queue 'none' in vhost '/'"})
        both = api.get("bindings/%2F/e/x/q/q")
        equal([k["properties_key"].split("~")[0] for k in both], ["a.b", "c"])
        equal(api.get("bindings/%2F/e/x/q/q/a.b"), {"source": "x", "vhost": "/", "destination": "q",
              "destination_type": "queue", "routing_key": "a.b", "arguments": {}, "properties_key": "a.b"})
        equal(len(api.get("exchanges/%2F/x/bindings/source")), 3)
        equal(len(api.get("exchanges/%2F/amq.fanout/bindings/destination")), 1)
        equal(len(api.get("queues/%2F/q/bindings")), 3)
        explicit = api.get("bindings/%2F?explicit=true")
        equal((len(explicit), {b["source"] for b in explicit}), (3, {"x"}))
        equal(explicit, [b for b in api.get("bindings") if b["source"] != ""])
        equal(api.get("bindings?explicit=true"), explicit)
        equal([api.delete("bindings/%2F/e/x/q/q/none"), api.delete("bindings/%2F/e/x/q/q/a.b"),
               api.delete("bindings/%2F/e/x/q/q/" + quote(both[1]["properties_key"]))], [404, 204, 204])
        equal(len(api.get("bindings/%2F/e/x/q/q")), 0)
        equal(api.ask("DELETE", "exchanges/%2F/amq.direct")[0], 401)
        equal([api.delete("exchanges/%2F/x?if-unused=true"), api.delete("exchanges/%2F/x"), api.delete("exchanges/%2F/x"),
               api.delete("queues/%2F/q"), api.delete("queues/%2F/q")], [400, 204, 404, 204, 404])
        equal(api.post("queues/%2F/q", {})[0], 405)
        equal(api.put("queues/%2F/s"), 201)
        equal([api.post("queues/%2F/" + q + "/actions", {"action": a})[0]
               for q, a in (("s", "sync"), ("s", "none"), ("none", "sync"))], [204, 400, 404])
        equal(names(api.get("queues/detailed")), ["s"])


@case
def messages():
    with started() as b:
        api = Api(b)
        equal(api.put("queues/%2F/q"), 201)

        def publish(body, exchange="amq.default"):
            return api.post(f"exchanges/%2F/{exchange}/publish",
                            {"properties": {}, "routing_key": "q", "payload": "hello", "payload_encoding": "string"} | body)
        equal(publish({}), (200, {"routed": True}))
        equal(publish({"payload": "/wA=", "payload_encoding": "base64",
                       "properties": {"delivery_mode": 2, "headers": {"a": 1}, "priority": 3, "expiration": "60000",
                                      "timestamp": 7, "app_id": "t"}}), (200, {"routed": True}))
        equal(publish({"routing_key": "none"}), (200, {"routed": False}))
        equal(publish({}, "none"), (400, {"error": "bad_request",
                                         "reason": "404 NOT_FOUND - no exchange 'none' in vhost '/'"}))
        equal(publish({"payload": "!", "payload_encoding": "base64"})[0], 400)
        equal(publish({"properties": {"expiration": "soon"}})[0], 400)
        equal(publish({"properties": {"user_id": "other"}})[0], 400)
        want = {"count": 5, "ackmode": "ack_requeue_true", "encoding": "auto"}
        first = api.post("queues/%2F/q/get", want)[1]
        equal(first[0], {"payload_bytes": 5, "redelivered": False, "exchange": "", "routing_key": "q", "message_count": 1,
                         "properties": [], "payload": "hello", "payload_encoding": "string"})
        equal(first[1]["payload"], "/wA=")
        equal(first[1]["properties"], {"delivery_mode": 2, "headers": {"a": 1}, "priority": 3, "expiration": "60000",
                                       "timestamp": 7, "app_id": "t"})
        again = api.post("queues/%2F/q/get", want | {"truncate": 2})[1]
        equal([(m["payload"], m["redelivered"]) for m in again], [("he", True), ("/wA=", True)])
        equal(api.post("queues/%2F/q/get", {"count": 1})[1]["reason"], "[{key_missing,ackmode},{key_missing,encoding}]")
        equal(api.post("queues/%2F/q/get", want | {"ackmode": "no"})[0], 400)
        equal(len(api.post("queues/%2F/q/get", want | {"count": 1, "ackmode": "ack_requeue_false"})[1]), 1)
        equal(api.get("queues/%2F/q")["messages"], 1)
        equal([api.delete("queues/%2F/q?if-empty=true"), api.delete("queues/%2F/q/contents"),
               api.delete("queues/%2F/q?if-empty=true")], [400, 204, 204])


@case
def lists_in_pages():
    with started() as b:
        api = Api(b)
        c = b.pika()
        channel = c.channel()
        for i in range(250):
            channel.queue_declare(f"q{i:03}", arguments={"x-max-length": 1000 - i})
        page = api.get("queues/%2F?page=2&page_size=100&columns=name,vhost")
        equal({k: v for k, v in page.items() if k != "items"},
              {"filtered_count": 250, "item_count": 100, "page": 2, "page_count": 3, "page_size": 100, "total_count": 250})
        equal(page["items"][0], {"name": "q100", "vhost": "/"})
        equal(names(page["items"]), [f"q{i:03}" for i in range(100, 200)])
        equal(names(api.get("queues")), [f"q{i:03}" for i in range(250)])
        equal(names(api.get("queues?sort=arguments.x-max-length&sort_reverse=true&columns=name"))[:1], ["q249"])
        equal(names(api.get("queues?page=1&page_size=500&name=q01&columns=name")["items"]), [f"q{i:03}" for i in range(10, 20)])
        equal(len(api.get("queues?page=1&name=%5Eq..9%24&use_regex=true")["items"]), 25)
        equal(api.get("queues?page=1&name=%5EQ..9%24&use_regex=true")["filtered_count"], 25)
        equal(api.get("queues?page=1&name=%5E(q%2B)%2Bx&use_regex=true")["filtered_count"], 0)
        equal(api.get("queues?page=1&name=Q01")["filtered_count"], 10)
        equal(len(api.get("queues?page_size=7&name=q01")), 250)
        for query, error in (("page=9&page_size=100", "page_out_of_range"), ("page=0&page_size=2", "invalid_pagination_parameters"),
                             ("page=1&page_size=2000", "invalid_pagination_parameters"), ("page=x", "bad_request"),
                             ("page_size=x", "bad_request"),
                             ("page=1&name=%5B&use_regex=true", "bad_request")):
            status, value = api.ask("GET", "queues?" + query)
            equal((status, value["error"]), (400, error), query)
        status, value = api.ask("GET", "queues", accept_encoding="gzip")
        equal((status, len(value), api.headers["content-encoding"]), (200, 250, "gzip"))
        equal(api.raw("HEAD", "/api/queues")[2], b"")
        c.close()


@case
def queues_by_name():
    """Those that are kept sorted by name are shown as those that are sorted by a key that is the same for all."""
    with started() as b:
        api, all_of_it = Api(b), []
        for vhost in "v", "/", "a", "none", "v2":
            if vhost != "/":
                equal(api.put("vhosts/" + vhost), 201)
            made = [f"{vhost}-{i * 7919 % 701:03}" for i in range(0 if vhost == "none" else 701)]
            all_of_it += sorted((vhost, q) for q in made)
            equal(api.post("definitions", {"queues": [{"name": q, "vhost": vhost, "durable": True} for q in made]})[0], 204)
        all_of_it.sort()
        shown = lambda rows: [(q["vhost"], q["name"]) for q in rows]
        equal(shown(api.get("queues")), all_of_it)
        equal(shown(api.get("queues?sort_reverse=true")), all_of_it[::-1])
        equal(names(api.get("queues/v?sort=name&sort_reverse=true")), [q for v, q in all_of_it[::-1] if v == "v"])
        for some in "", "&name=-01", "&name=%5E[av].*5$&use_regex=true", "&name=V2", "&name=no":
            for size in 500, 37:
                for page in 1, 2, 4, 76:
                    for order in "", "&sort_reverse=true":
                        query = f"?page={page}&page_size={size}{some}{order}&columns=name,vhost"
                        for path in "queues", "queues/v", "queues/none":
                            by_name, by_key = api.ask("GET", path + query), api.ask("GET", path + query + "&sort=durable")
                            equal(by_name, by_key, path + query)
        for vhost, queue, count in (("v", "v-500", 3), ("/", "/-007", 12), ("v2", "v2-600", 3)):
            c = b.pika(virtual_host=vhost)
            channel = c.channel()
            for _ in range(count):
                channel.basic_publish("", queue, b"m")
            c.close()
        until(lambda: api.get("overview")["queue_totals"].get("messages") == 18, "18 messages")
        depth = {("v", "v-500"): 3, ("/", "/-007"): 12, ("v2", "v2-600"): 3}
        by_depth = sorted(all_of_it, key=lambda q: (depth.get(q, 0), q))
        for member in "messages", "messages_ready", "messages_ready_ram":
            equal(shown(api.get(f"queues?page=1&page_size=500&sort={member}")["items"]), by_depth[:500])
            equal(shown(api.get(f"queues?page=1&page_size=500&sort={member}&sort_reverse=true")["items"]), by_depth[::-1][:500])
        equal(shown(api.get("queues?sort=message_stats.publish"))[-3:], by_depth[-3:])
        equal(shown(api.get("queues?sort=name")), sorted(all_of_it, key=lambda q: q[::-1]))
        api.put("users/u", {"password": "p", "tags": "management"})
        for vhost in "v", "none":
            api.put(f"permissions/{vhost}/u", {"configure": "", "write": "", "read": ""})
        few = Api(b, "u", "p")
        page = few.get("queues?page=15&page_size=50")
        equal((page["total_count"], page["item_count"], page["items"][0]["name"]), (701, 1, "v-700"))
        equal(shown(few.get("queues")), [(v, q) for v, q in all_of_it if v == "v"])
        equal(few.ask("GET", "queues?page=16&page_size=50")[0], 400)
        for n in range(0, 700, 3):
            equal(api.delete(f"queues/v/v-{n:03}"), 204)
        equal(api.delete("vhosts/a"), 204)
        left = [(v, q) for v, q in all_of_it if v != "a" and (v != "v" or q == "v-700" or int(q[2:]) % 3)]
        equal(shown(api.get("queues")), [(v, q) for v, q in left if not (v == "v" and q == "v-699")])


@case
def what_is_idle():
    with started() as b:
        api, connection = Api(b), b.pika()
        channel = connection.channel()
        channel.queue_declare("q")
        before = time.time()
        queue, = until(lambda: [q for q in api.get("queues") if "idle_since" in q], "the queue is idle")
        equal(queue["state"], "running")
        since = datetime.datetime.fromisoformat(queue["idle_since"]).timestamp()
        holds(before - 5 < since < before + 1, f"{queue['idle_since']} is no time near {before}")
        until(lambda: "idle_since" in api.get("channels")[0], "the channel is idle")
        channel.basic_publish("", "q", b"x")
        until(lambda: "idle_since" not in api.get("queues/%2F/q") and "idle_since" not in api.get("channels")[0], "they are not")
        connection.close()


@case
def members_of_quorum_queues():
    with started() as b:
        api = Api(b)
        [node] = names(api.get("nodes"))
        equal(api.put("queues/%2F/q", {"durable": True, "arguments": {"x-queue-type": "quorum"}}), 201)
        equal(api.put("queues/%2F/c", {}), 201)
        equal(api.put("users/g", {"password": "x", "tags": "management"}), 201)
        equal(api.put("permissions/%2F/g", {"configure": "", "write": "", "read": ""}), 201)
        status = "queues/quorum/%2F/q/status"
        equal(api.get(status), [{"Node Name": node, "Raft State": "leader", "Membership": "voter"}])
        equal(api.as_user("g").get(status)[0]["Node Name"], node)

        def refused_with(reason):
            return 503, {"error": "service_unavailable", "reason": reason}
        for verb, place, body, answer in (
                ("GET", "quorum/%2F/c/status", None, refused_with("classic_queue_not_supported")),
                ("GET", "quorum/%2F/none/status", None, (404, {"error": "Object Not Found", "reason": "Not Found"})),
                ("POST", "quorum/%2F/q/replicas/add", {"node": node}, (204, None)),
                ("POST", "quorum/%2F/q/replicas/add", {"node": "jk@there"}, refused_with("node_not_running")),
                ("DELETE", "quorum/%2F/q/replicas/delete", {"node": node}, refused_with("last_node")),
                ("DELETE", "quorum/%2F/q/replicas/delete", {"node": "jk@there"}, (202, None)),
                ("POST", f"quorum/replicas/on/{node}/grow", {"vhost_pattern": ".*", "queue_pattern": ".*", "strategy": "all"}, (204, None)),
                ("POST", f"quorum/replicas/on/{node}/grow", {}, (400, {"error": "bad_request",
                     "reason": "[{key_missing,vhost_pattern},{key_missing,queue_pattern},{key_missing,strategy}]"})),
                ("POST", "quorum/replicas/on/jk@there/grow", {}, (404, {"error": "Object Not Found", "reason": "Not Found"})),
                ("DELETE", f"quorum/replicas/on/{node}/shrink", None, (202, None))):
            equal(api.ask(verb, "queues/" + place, body), answer, place)
        api.connection.request("DELETE", f"/api/queues/quorum/replicas/on/{node}/shrink", headers={"authorization": basic("guest", "guest")})
        accepted = api.connection.getresponse()
        equal((accepted.status, accepted.reason, accepted.read()), (202, "Accepted", b""))
        equal(api.as_user("g").ask("DELETE", f"queues/quorum/replicas/on/{node}/shrink")[0], 401)
        equal(api.ask("GET", "connections/any/sessions"),
              (400, {"error": "bad_request", "reason": "connection does not use AMQP 1.0"}))
        shares = api.get(f"nodes/{node}/memory/relative")["memory"]
        holds(shares.pop("total") == 100 and 92 <= sum(shares.values()) <= 108, shares)
        memory = api.get(f"nodes/{node}/memory")["memory"]
        total = memory.pop("total")
        equal((memory.pop("strategy"), sum(memory.values())), ("rss", total["rss"]))
        holds({"queues", "connections", "messages", "code"} <= set(memory) and 0 < memory["code"] < total["rss"], memory)


@case
def without_file_descriptors():
    """What the system tells through files is not known any more."""
    with started() as b:
        api = Api(b)
        equal(api.get("nodes/jk@here/memory/relative")["memory"]["total"], 100)
        b.told("set_vm_memory_high_watermark", "absolute", "1")
        b.logged("memory resource limit alarm set")
        hard = resource.prlimit(b.process.pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(b.process.pid, resource.RLIMIT_NOFILE, (3, hard))
        equal(api.get("nodes/jk@here/memory/relative")["memory"]["total"], 100)
        time.sleep(1)  # several looks at the memory
        node = api.get("nodes/jk@here")
        holds(node["mem_alarm"] and node["mem_used"] > 1000 and node["fd_total"] == 3, node)
        resource.prlimit(b.process.pid, resource.RLIMIT_NOFILE, (hard, hard))


@case
def what_others_have():
    with started() as b:
        api = Api(b)
        rights = {"configure": ".*", "write": ".*", "read": ".*"}
        for user, tag in ("m", "monitoring"), ("g", "management"), ("a", "administrator"):
            equal(api.put(f"users/{user}", {"password": "x", "tags": tag}), 201)
        equal([api.put("permissions/%2F/m", rights), api.put("permissions/%2F/g", rights)], [201, 201])
        m, g, a = map(api.as_user, "mga")
        mine, others = b.pika(), b.pika(user="g", password="x")
        for connection, tag in (mine, "first"), (others, "second"):
            channel = connection.channel()
            channel.queue_declare("q")
            channel.basic_consume("q", lambda *_: None, consumer_tag=tag)
            channel.queue_declare(tag, exclusive=True)
        equal(sorted(c["consumer_tag"] for c in m.get("consumers")), ["first", "second"])
        consumer, = g.get("consumers")
        equal((consumer["consumer_tag"], consumer["channel_details"]["user"]), ("second", "g"))
        equal(g.get("consumers/%2F?columns=consumer_tag"), [{"consumer_tag": "second"}])
        reason = ("cannot obtain exclusive access to locked queue 'first' in vhost '/'. It could be originally declared on another "
                  "connection or the exclusive property value does not match that of the original declaration.")
        for path in "queues/%2F/first", "queues/%2F/first/contents":
            equal(api.ask("DELETE", path), (400, {"error": "bad_request", "reason": reason}))
        equal(api.get("queues/%2F/first")["exclusive"], True)
        paths = {c["user"]: "connections/" + quote(c["name"]) for c in api.get("connections")}
        for path in paths["guest"], "connections/username/guest":
            for user in m, g:
                equal(user.ask("DELETE", path),
                      (401, {"error": "not_authorised", "reason": "User not authorised to access object"}), path)
        equal(m.delete("connections/none"), 404)
        equal(names(a.get("queues/%2F")), ["first", "q", "second"])
        equal([g.delete(paths["g"]), a.delete("connections/username/guest")], [204, 204])
        for connection in mine, others:
            with refused(pika.exceptions.ConnectionClosedByBroker, text="Closed via management plugin"):
                while True:
                    connection.process_data_events(1)
        until(lambda: not api.get("connections"), "both are closed")
        until(lambda: names(a.get("queues")) == ["q"], "their queues are gone")
        equal(a.ask("PUT", "queues/%2F/r", {}), (401, {"error": "not_authorised", "reason": "Access refused."}))
        equal(api.put("topic-permissions/%2F/a", {"exchange": "amq.topic", "write": "", "read": ""}), 201)
        equal(names(api.get("users/without-permissions")), ["a"])


@case
def values_of_the_wrong_type():
    with started() as b:
        api = Api(b)
        equal(api.put("users/u", {"password": "x", "tags": "management"}), 201)
        for path, body, key in (("users/u", {"password": 12345, "tags": ""}, "password"),
                                ("users/u", {"password": "y", "tags": 5}, "tags"),
                                ("users/u", {"password": "y", "tags": ["monitoring", 5]}, "tags"),
                                ("permissions/%2F/u", {"configure": 1, "write": "", "read": ""}, "configure"),
                                ("topic-permissions/%2F/u", {"exchange": True, "write": "", "read": ""}, "exchange"),
                                ("exchanges/%2F/x", {"type": 5}, "type"), ("vhosts/v", {"description": {}}, "description"),
                                ("vhosts/v", {"default_queue_type": 1}, "default_queue_type"),
                                ("policies/%2F/p", {"pattern": 7, "definition": {"max-length": 1}}, "pattern")):
            equal(api.ask("PUT", path, body), (400, {"error": "bad_request", "reason": key + "_is_no_text"}), path)
        equal(api.post("bindings/%2F/e/amq.direct/e/amq.fanout", {"routing_key": 1})[0], 400)
        equal(api.as_user("u").get("whoami"), {"name": "u", "tags": ["management"]})
        equal([[p["user"] for p in api.get("permissions")], api.get("topic-permissions"), names(api.get("vhosts"))],
              [["guest"], [], ["/"]])


@case
def what_clients_do():
    with started() as b:
        api = Api(b)
        c = b.pika(client_properties={"connection_name": "mine"})
        channel = c.channel()
        channel.confirm_delivery()
        channel.queue_declare("q")
        channel.basic_qos(prefetch_count=7)
        for _ in range(10):
            channel.basic_publish("", "q", b"x" * 10)
        channel.basic_consume("q", lambda *_: None, consumer_tag="tag")
        queue = until(lambda: (lambda q: q if q["messages_unacknowledged"] == 7 else None)(api.get("queues/%2F/q")), "7 are out")
        equal((queue["messages"], queue["messages_ready"], queue["consumers"], queue["message_bytes"]), (10, 3, 1, 100))
        equal((queue["message_stats"]["publish"], queue["message_stats"]["deliver_get"]), (10, 7))
        equal(queue["consumer_details"][0]["channel_details"]["number"], 1)
        connection, = api.get("connections")
        equal((connection["user"], connection["vhost"], connection["state"], connection["protocol"], connection["channels"],
               connection["user_provided_name"]), ("guest", "/", "running", "AMQP 0-9-1", 1, "mine"))
        equal(api.get("connections/" + quote(connection["name"]))["peer_port"], connection["peer_port"])
        one, = api.get("channels")
        equal((one["connection_details"]["name"], one["confirm"], one["prefetch_count"], one["consumer_count"]),
              (connection["name"], True, 7, 1))
        equal(api.get(f"connections/{quote(connection['name'])}/channels"), [one])
        details = api.get("channels/" + quote(one["name"]))
        equal((details["number"], details["consumer_details"]),
              (1, [{"consumer_tag": "tag", "ack_required": True, "exclusive": False, "arguments": {}, "prefetch_count": 7,
                    "queue": {"name": "q", "vhost": "/"}, "channel_details": queue["consumer_details"][0]["channel_details"]}]))
        consumer, = api.get("consumers/%2F")
        equal((consumer["consumer_tag"], consumer["queue"], consumer["ack_required"], consumer["active"]),
              ("tag", {"name": "q", "vhost": "/"}, True, True))
        equal((consumer["channel_details"]["name"], consumer["channel_details"]["user"]), (one["name"], "guest"))
        totals = api.get("overview")
        equal(totals["object_totals"], {"channels": 1, "connections": 1, "consumers": 1, "exchanges": 7, "queues": 1})
        equal(totals["queue_totals"]["messages"], 10)
        holds(totals["rabbitmq_version"].startswith("3."), "a version that tools know")
        equal(api.put("users/u", {"password": "x", "tags": "management"}), 201)
        equal(api.as_user("u").get("connections"), [])
        equal(api.ask("DELETE", "connections/" + quote(connection["name"]), x_reason="enough")[0], 204)
        with refused(pika.exceptions.ConnectionClosedByBroker, text="enough"):
            while True:
                c.process_data_events(1)
        until(lambda: not api.get("connections"), "the connection is closed")


@case
def persistent_messages():
    """Ready, unacknowledged, acknowledged; only of durable queues."""
    with started() as b:
        api = Api(b)
        c = b.pika()
        channel = c.channel()
        for name, durable in ("kept", True), ("lost", False):
            channel.queue_declare(name, durable=durable)
            for mode, body in (2, b"x" * 10), (1, b"x" * 100), (2, b"x" * 1000):
                channel.basic_publish("", name, body, pika.BasicProperties(delivery_mode=mode))

        def shown(name):
            queue = api.get(f"queues/%2F/{name}")
            return queue["messages"], queue["messages_persistent"], queue["message_bytes_persistent"]
        until(lambda: (shown("kept"), shown("lost")) == ((3, 2, 1010), (3, 0, 0)), lambda: (shown("kept"), shown("lost")))
        tag = channel.basic_get("kept")[0].delivery_tag
        equal(shown("kept"), (3, 2, 1010))
        channel.basic_ack(tag)
        until(lambda: shown("kept") == (2, 1, 1000), lambda: shown("kept"))
        channel.queue_purge("kept")
        equal(shown("kept"), (0, 0, 0))
        c.close()


PUBLISHING = "confirm", "drop_unroutable", "publish", "return_unroutable"
GIVING = "ack", "deliver", "deliver_get", "deliver_no_ack", "get", "get_empty", "get_no_ack", "redeliver"


def stats(shown):
    """message_stats without zeros, and whether all counters and rates of what happened are there."""
    given = shown.get("message_stats")
    if given is None:
        return None
    counters = [name for name in given if not name.endswith("_details")]
    for group in (PUBLISHING if "confirm" in given else ("publish",)), GIVING:
        holds(not set(group) & set(counters) or set(group) <= set(counters), counters)
    holds(all("rate" in given[f"{name}_details"] for name in counters), given)
    return {name: given[name] for name in counters if given[name]}


@case
def message_stats_of_queues_and_channels():
    """As RabbitMQ shows them with rates_mode basic: nothing of what never happened."""
    with started() as b:
        api = Api(b)
        c = b.pika()
        publisher, taker, eager, getter, idle = (c.channel() for _ in range(5))
        for name in "q1", "q2", "q3", "idle":
            publisher.queue_declare(name)
        publisher.exchange_declare("x", "fanout")
        for name in "q1", "q2":
            publisher.queue_bind(name, "x")
        publisher.confirm_delivery()
        for _ in range(10):
            publisher.basic_publish("x", "", b"x")
        publisher.basic_publish("", "nowhere", b"x")
        for _ in range(2):
            with refused(pika.exceptions.UnroutableError):
                publisher.basic_publish("", "nowhere", b"x", mandatory=True)
        taker.basic_qos(prefetch_count=5)
        tags = []
        taker.basic_consume("q1", lambda _, d, *__: tags.append(d.delivery_tag))
        eager.basic_consume("q2", lambda *_: None, auto_ack=True)
        until(lambda: c.process_data_events(0.1) or len(tags) == 5, "5 are out")
        taker.basic_ack(tags[0])
        until(lambda: c.process_data_events(0.1) or len(tags) == 6, "6 are out")
        taker.basic_nack(tags[1], requeue=True)
        until(lambda: c.process_data_events(0.1) or len(tags) == 7, "7 are out")
        for _ in range(3):
            getter.basic_publish("", "q3", b"x")
        getter.basic_get("q3")
        for _ in range(3):
            getter.basic_get("q3", auto_ack=True)

        wanted = {
            "q1": {"publish": 10, "deliver": 7, "deliver_get": 7, "redeliver": 1, "ack": 1},
            "q2": {"publish": 10, "deliver_no_ack": 10, "deliver_get": 10},
            "q3": {"publish": 3, "get": 1, "get_no_ack": 2, "get_empty": 1, "deliver_get": 3},
            "idle": None,
        }
        until(lambda: {name: stats(api.get(f"queues/%2F/{name}")) for name in wanted} == wanted,
              lambda: {name: stats(api.get(f"queues/%2F/{name}")) for name in wanted})
        equal({q["name"]: stats(q) for q in api.get("queues")}, wanted)
        wanted = [
            {"publish": 13, "confirm": 13, "return_unroutable": 2, "drop_unroutable": 1},
            {"deliver": 7, "deliver_get": 7, "redeliver": 1, "ack": 1},
            {"deliver_no_ack": 10, "deliver_get": 10},
            {"publish": 3, "get": 1, "get_no_ack": 2, "get_empty": 1, "deliver_get": 3},
            None,
        ]
        shown = sorted(api.get("channels"), key=lambda one: one["number"])
        equal([stats(one) for one in shown], wanted)
        details = [api.get("channels/" + quote(one["name"])) for one in shown]
        equal([stats(one) for one in details], wanted)
        equal([(one["publishes"], one["deliveries"]) for one in details], [([], [])] * 5)
        equal([(q["incoming"], q["deliveries"]) for q in (api.get("queues/%2F/q1"), api.get("queues/%2F/idle"))], [([], [])] * 2)
        exchange = api.get("exchanges/%2F/x")
        equal((exchange["incoming"], exchange["outgoing"]), ([], []))
        equal(names(api.get("queues?sort=message_stats.get_empty&sort_reverse=true&columns=name"))[0], "q3")
        c.close()


QUEUE = {"arguments", "auto_delete", "durable", "exclusive", "name", "node", "policy", "state", "type", "vhost"}
TOTALS = {"messages", "messages_ready", "messages_unacknowledged"}


def has_no_stats(api, more=""):
    """What RabbitMQ leaves when statistics are disabled; more: parameters."""
    def get(path):
        return api.get(f"{path}?{more}" if more else path)
    [queue] = get("queues")
    equal((set(queue), set(get("queues/%2F/q"))), (QUEUE, QUEUE))
    totals = "&".join(filter(None, (more, "enable_queue_totals=true")))
    [queue] = api.get(f"queues?{totals}")
    equal((set(queue), queue["messages"], queue["messages_ready"]), (QUEUE | TOTALS | {"leader", "members", "online"}, 1, 1))
    equal(set(api.get(f"queues/%2F/q?{totals}")), set(queue))
    [connection] = get("connections")
    equal(set(connection), {"name", "node", "user", "vhost"})
    equal(get(f"connections/{quote(connection['name'])}"), connection)
    equal((get("nodes"), get("nodes/jk@here")), ([{"name": "jk@here", "type": "disc", "running": True}], {"name": "jk@here", "type": "disc", "running": True}))
    holds(not {"messages", "recv_oct", "message_stats"} & set(get("vhosts/%2F")), "a virtual host")
    holds(not {"message_stats", "incoming", "outgoing"} & set(get("exchanges/%2F/amq.default")), "an exchange")
    overview = get("overview")
    equal((overview["disable_stats"], overview["object_totals"]), (True, {"connections": 1, "exchanges": 7, "queues": 1}))
    holds(not {"message_stats", "queue_totals", "churn_rates", "listeners"} & set(overview), overview)
    for path in "channels", "consumers", "consumers/%2F", f"connections/{quote(connection['name'])}/channels", "channels/any":
        equal(api.ask("GET", f"{path}?{more}"),
              (400, {"error": "bad_request", "reason": "Stats in management UI are disabled on this node"}))


@case
def statistics_that_are_disabled():
    with started() as b:
        api = Api(b)
        c = b.pika()
        channel = c.channel()
        channel.queue_declare("q", durable=True, arguments={"x-queue-type": "quorum"})
        channel.basic_publish("", "q", b"x")
        until(lambda: api.get("queues/%2F/q")["messages"] == 1 and len(api.get("connections")) == 1, "the message")
        has_no_stats(api, "disable_stats=true")
        shown = api.get("overview")
        equal((shown["disable_stats"], shown["enable_queue_totals"], shown["rates_mode"]), (False, False, "basic"))
        equal(len(api.get("channels")), 1)
        for settings in {"management": {"disable_stats": True}}, {"management_agent": {"disable_metrics_collector": True}}:
            management = {"management": config()["management"] | settings.get("management", {})}
            b.reload(config(**settings | management), ["127.0.0.1:0"])
            has_no_stats(api)
        b.reload(config(management=config()["management"] | {"disable_stats": True, "enable_queue_totals": True}), ["127.0.0.1:0"])
        equal((api.get("queues")[0]["messages"], api.get("overview")["enable_queue_totals"]), (1, True))
        b.reload(config(management=config()["management"] | {"rates_mode": "none"}), ["127.0.0.1:0"])
        shown = api.get("overview")
        equal((shown["rates_mode"], shown["message_stats"], "rate" in shown["queue_totals"]["messages_details"]), ("none", {}, True))
        for path in "queues", "channels", "vhosts":
            [one] = api.get(path)
            holds("message_stats" not in one, one)
        holds(not any("message_stats" in exchange for exchange in api.get("exchanges")), "an exchange")
        b.reload(config(), ["127.0.0.1:0"])
        equal(stats(api.get("queues/%2F/q")), {"publish": 1})
        c.close()


@case
def metrics_of_exchanges_without_an_api():
    """What they sum up is gathered for those who scrape alone."""
    with Broker({"prometheus": {"listeners": ["127.0.0.1:0"]}}, listeners=["127.0.0.1:0"]) as b:
        c = b.pika()
        c.channel().basic_publish("amq.fanout", "", b"x")
        port = int(b.logged(r"listening on 127\.0\.0\.1:(\d+) \(http/prometheus\)").group(1))

        def scraped():
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics/per-object") as answer:
                return 'rabbitmq_exchange_messages_published_total{vhost="/",exchange="amq.fanout"} 1' in answer.read().decode()
        until(scraped, "the publish")
        c.close()


def limit_up(api, name):
    for n in range(100, 141):
        equal(api.put("vhost-limits/%2F/" + name, {"value": n}), 204)
        equal(api.get("vhost-limits/%2F")[0]["value"][name], n)


@case
def policies_parameters_limits():
    with started() as b:
        api = Api(b)
        equal((api.get("cluster-name"), api.get("overview")["cluster_name"]), ({"name": "jk@here"}, "jk@here"))
        equal([api.put("cluster-name", {}), api.put("cluster-name", {"name": 1}), api.put("cluster-name", {"name": "eu"})],
              [400, 400, 204])
        equal((api.get("cluster-name"), api.get("overview")["cluster_name"]), ({"name": "eu"}, "eu"))
        equal(api.get("global-parameters/cluster_name")["value"], "eu")
        equal(api.ask("DELETE", "global-parameters/cluster_name")[0], 204)
        rule = {"pattern": "^a", "definition": {"max-length": 10}, "priority": 1, "apply-to": "queues"}
        equal(api.put("policies/%2F/p", rule), 201)
        equal(api.get("policies/%2F/p"), {"vhost": "/", "name": "p"} | rule)
        equal(api.ask("PUT", "policies/%2F/p", {"pattern": "a"}),
              (400, {"error": "bad_request", "reason": "[{key_missing,definition}]"}))
        equal(api.put("policies/%2F/r", {"pattern": "a", "definition": {"none": 1}}), 400)
        equal(api.put("operator-policies/%2F/o", rule), 201)
        equal(api.get("operator-policies"), [{"vhost": "/", "name": "o"} | rule])
        equal([api.delete("policies/%2F/p"), api.delete("policies/%2F/p"), api.delete("operator-policies/%2F/o")],
              [204, 404, 204])
        equal(api.put("global-parameters/g", {"name": "g", "value": {"a": [1, "b"]}}), 201)
        equal(api.get("global-parameters"), [{"name": "g", "value": {"a": [1, "b"]}}])
        equal([api.delete("global-parameters/g"), api.ask("GET", "global-parameters/g")[0]], [204, 404])
        equal(api.put("parameters/none/%2F/n", {"value": 1}), 400)
        equal([api.put("vhost-limits/%2F/max-queues", {"value": 7}), api.put("vhost-limits/%2F/max-connections", {"value": "9"})],
              [204, 204])
        equal(api.get("vhost-limits"), [{"vhost": "/", "value": {"max-queues": 7, "max-connections": 9}}])
        equal([api.delete("vhost-limits/%2F/max-queues"), api.delete("vhost-limits/%2F/max-connections")], [204, 204])
        equal(api.get("vhost-limits"), [])
        equal(api.put("vhost-limits/%2F/none", {"value": 7}), 400)
        equal(api.put("user-limits/guest/max-channels", {"value": 7}), 204)
        equal(api.get("user-limits/guest"), [{"user": "guest", "value": {"max-channels": 7}}])
        equal(api.delete("user-limits/guest/max-channels"), 204)
        with concurrent.futures.ThreadPoolExecutor(2) as both:
            for change in [both.submit(limit_up, Api(b), name) for name in ("max-queues", "max-connections")]:
                change.result()
        equal(api.get("vhost-limits/%2F")[0]["value"], {"max-queues": 140, "max-connections": 140}, "no change is lost")


@case
def definitions():
    with started() as b:
        api = Api(b)
        equal([api.put("queues/%2F/q", {"durable": True}), api.put("vhosts/v"), api.put("queues/v/r", {"durable": True})],
              [201, 201, 201])
        whole = api.get("definitions")
        equal(sorted((q["vhost"], q["name"]) for q in whole["queues"]), [("/", "q"), ("v", "r")])
        equal(names(api.get("definitions/v")["queues"]), ["r"])
        equal([api.delete("queues/%2F/q"), api.delete("vhosts/v")], [204, 204])
        equal(api.post("definitions", whole), (204, None))
        equal(names(api.get("queues")), ["q", "r"])
        equal(api.post("definitions/v", {"queues": [{"name": "s", "durable": True, "auto_delete": False, "arguments": {}}]})[0], 204)
        equal(names(api.get("queues/v")), ["r", "s"])
        form = ("--xx\r\ncontent-disposition: form-data; name=\"file\"; filename=\"d\"\r\n\r\n"
                + json.dumps({"queues": [{"name": "f", "vhost": "/", "durable": True}]}) + "\r\n--xx--\r\n")
        equal(api.ask("POST", "definitions", form, content_type="multipart/form-data; boundary=xx")[0], 204)
        equal(api.delete("queues/%2F/f"), 204)
        for body in "{", '{"queues": 7}', '{"queues": [{"name": 1}]}', "":
            status, value = Api(b).ask("POST", "definitions", body)
            equal((status, value["error"]), (400, "bad_request"), body)
        large = {"queues": [{"name": f"m{i}", "vhost": "/", "durable": True} for i in range(3000)]}
        equal(api.post("definitions", large)[0], 204)
        equal(api.get("queues?page=1&page_size=1")["total_count"], 3003)
        body = json.dumps({"queues": [{"name": f"n{i}", "vhost": "/", "durable": True} for i in range(3001)]}).encode()
        with socket.create_connection(("127.0.0.1", api.port)) as s:  # does not wait
            s.sendall(head("POST", "/api/definitions", f"content-length: {len(body)}") + body)
        b.logged("definitions imported by guest: 3001 queues")
        equal(api.get("queues?page=1&page_size=1")["total_count"], 6004)


@case
def live_log():
    with started() as b:
        api = Api(b)
        with socket.create_connection(("127.0.0.1", api.port), timeout=20) as s, s.makefile("rb") as lines:
            s.sendall(head("GET", "/api/livelog?level=warning", version="1.0"))
            for line in lines:
                if line == b":\n":
                    break
            equal(api.put("users/u", {"password": "x", "tags": "administrator"}), 201)
            with socket.create_connection(("127.0.0.1", api.port), timeout=20) as other:  # one that is not there any more
                other.sendall(b"GET /api/livelog HTTP/1.0\r\nauthorization: " + basic("u", "x").encode() + b"\r\n\r\n")
                holds(other.recv(12) == b"HTTP/1.1 200", "whoever may follows")
                equal(api.put("users/u", {"password": "x", "tags": "monitoring"}), 204)
                arrived(other)
            equal(api.as_user("u").ask("GET", "livelog")[0], 401)
            equal(Api(b, "guest", "wrong").ask("GET", "whoami")[0], 401)
            for line in lines:
                holds(not line.startswith(b"event: info"), line)
                if b"HTTP access denied from 127.0.0.1: user 'guest'" in line:
                    break
        for bad in ("level=loud", "lines=many", "lines=-1"):
            equal(api.ask("GET", "livelog?" + bad)[0], 400, bad)
        with socket.create_connection(("127.0.0.1", api.port), timeout=20) as s, s.makefile("rb") as lines:
            s.sendall(head("GET", "/api/livelog?level=warning&lines=1000", version="1.0"))  # what was said before comes too
            holds(any(b"HTTP access denied from 127.0.0.1: user 'guest'" in line for line in lines), "the last lines come first")
        equal(api.raw("HEAD", "/api/livelog")[0], 200)


@case
def health_checks():
    with started() as b:
        api = Api(b)
        ok = {"status": "ok"}
        for path in ("alarms", "local-alarms", "virtual-hosts", "certificate-expiration/1/months", "ready-to-serve-clients"):
            equal(api.get("health/checks/" + path)["status"], "ok", path)
        equal(api.get("aliveness-test/%2F"), ok)
        for path in ("metadata-store/initialized", "metadata-store/initialized/with-data",
                     "quorum-queues-without-elected-leaders/all-vhosts/pattern/a",
                     "quorum-queues-without-elected-leaders/vhost/%2F"):
            equal(api.get("health/checks/" + path)["status"], "ok", path)
        equal(api.get("health/checks/below-node-connection-limit"), {"status": "ok", "connections": 0, "limit": "infinity"})
        equal(api.get("healthchecks/node"), ok)
        equal(api.get(f"health/checks/port-listener/{b.port}")["port"], b.port)
        status, value = api.ask("GET", "health/checks/port-listener/1")
        equal((status, value["missing"], b.port in value["ports"]), (503, 1, True))
        equal(api.ask("GET", "health/checks/port-listener/x")[0], 400)
        equal(api.get("health/checks/protocol-listener/amqp091")["status"], "ok")
        equal(api.ask("GET", "health/checks/protocol-listener/amqps")[1]["missing"], "amqp/ssl")
        equal(api.get("health/checks/node-is-quorum-critical")["status"], "ok")
        equal(api.ask("GET", "health/checks/certificate-expiration/1/eons")[0], 400)
        equal(b.ctl("set_vm_memory_high_watermark", "absolute", "1")[0], 0)
        status, value = until(lambda: (lambda a: a if a[0] == 503 else None)(api.ask("GET", "health/checks/alarms")), "an alarm")
        equal(value["alarms"], [{"node": "jk@here", "resource": "memory"}])
        holds({"quorum_queue", "stream_queue"} <= set(names(api.get("feature-flags"))), "feature flags")
        node, = api.get("nodes")
        equal((node["name"], node["running"], node["mem_alarm"]), ("jk@here", True, True))
        equal(api.get("nodes/jk@here")["os_pid"], str(b.process.pid))


@case
def out_of_service():
    with started() as b:
        api, late = Api(b), Api(b)
        late.get("whoami")  # and stays connected
        b.told("stop_app")
        equal(late.ask("GET", "whoami"),
              (503, {"error": "service_unavailable", "reason": "the node was taken out of service"}))
        with refused(ConnectionRefusedError):
            late.ask("GET", "whoami")
        b.told("start_app")
        equal(api.get("health/checks/alarms")["status"], "ok")


def exchange(port, data, seconds=5):
    """What comes back on a socket of its own until it is closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as s:
        s.sendall(data)
        got = b""
        while True:
            try:
                more = s.recv(65536)
            except (socket.timeout, ConnectionResetError):
                return got
            if not more:
                return got
            got += more


def head(method="GET", path="/api/whoami", *lines, version="1.1"):
    return "\r\n".join([f"{method} {path} HTTP/{version}", "host: here", "authorization: " + basic("guest", "guest"),
                        *lines, "", ""]).encode()


@case
def odd_clients():
    with started() as b:
        port = Api(b).port
        last = head("GET", "/api/whoami", "connection: close")
        for data, status in ((b"\0\1\2\3\r\n\r\n", 400), (b"GET / FTP/1.0\r\n\r\n", 400), (head(version="3.0"), 505),
                             (head("GET", "/" + "a" * 9000), 414), (head("GET", "/", "x: " + "b" * 40000), 431),
                             (head("GET", "/", *["y: 1"] * 200), 431), (head("PUT", "/api/vhosts/a%zz", "connection: close"), 400),
                             (head("PUT", "/api/queues/%2F/q", f"content-length: {1 << 40}"), 413),
                             (head("PUT", "/api/vhosts/a", "content-length: 2", "transfer-encoding: chunked"), 400),
                             (head("PUT", "/api/vhosts/a", "origin: http://evil", "connection: close"), 403),
                             (head("PUT", "/api/vhosts/a", "sec-fetch-site: cross-site", "connection: close"), 403),
                             (head("PUT", "/api/vhosts/a", "origin: https://of.a.proxy", "connection: close"), 403),
                             (head("PUT", "/api/vhosts/a", "origin: https://of.a.proxy", "sec-fetch-site: same-site", "connection: close"), 403),
                             (head("PUT", "/api/vhosts/a", "origin: https://of.a.proxy", "sec-fetch-site: same-origin", "connection: close"), 201),
                             (head("GET", "/api/../etc/passwd", "connection: close"), 404),
                             (head("BREW", "/api/whoami", "connection: close"), 400),
                             (head("PATCH", "/api/whoami", "connection: close"), 405)):
            got = exchange(port, data)
            holds(got.startswith(f"HTTP/1.1 {status} ".encode()), f"{data[:60]}: wanted {status}, got {got[:200]}")
        equal(exchange(port, head() * 3 + last).count(b'{"name":"guest"'), 4, "requests in one go")
        chunked = head("PUT", "/api/vhosts/c", "transfer-encoding: chunked", "connection: close") + b"2\r\n{}\r\n0\r\n\r\n"
        holds(exchange(port, chunked).startswith(b"HTTP/1.1 201"), "a body in chunks")
        waits = exchange(port, head("PUT", "/api/vhosts/d", "expect: 100-continue", "content-length: 2", "connection: close")
                         + b"{}")
        holds(waits.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201"), "it is told to go on")
        old = exchange(port, head(path="/api/exchanges", version="1.0"))
        holds(b"chunked" not in old and old.endswith(b"]"), "HTTP/1.0 gets no chunks, and an end")
        with socket.create_connection(("127.0.0.1", port)) as s:  # one byte a packet
            for byte in last:
                s.sendall(bytes([byte]))
            holds(s.recv(65536).startswith(b"HTTP/1.1 200"), "a slow head")
        began = time.monotonic()
        equal(Api(b, "guest", "wrong").raw("GET", "/api/whoami")[0], 401)
        holds(time.monotonic() - began > 0.25, "wrong passwords are answered late")
        with socket.create_connection(("127.0.0.1", port)) as s:  # leaves in the middle
            s.sendall(head("POST", "/api/definitions", "content-length: 1000") + b'{"queues":[')
        equal(Api(b).get("whoami")["name"], "guest")
        holds("wrong" not in b.log(), "no password in the log")


def arrived(sock, data=b""):
    """What comes on a socket until it is closed."""
    pieces = [data]
    while piece := sock.recv(1 << 20):
        pieces.append(piece)
    return b"".join(pieces)


@case
def large_gets_and_refused_publishes():
    with started() as b:
        api = Api(b)
        equal(api.put("queues/%2F/full", {"arguments": {"x-max-length": 1, "x-overflow": "reject-publish"}}), 201)
        body = {"properties": {}, "routing_key": "full", "payload": "x", "payload_encoding": "string"}
        equal(api.post("exchanges/%2F/amq.default/publish", body), (200, {"routed": True}))
        equal(api.post("exchanges/%2F/amq.default/publish", body), (400, {
            "error": "bad_request", "reason": "rejected Unable to publish message. Check queue limits."}))
        b.reload(config(amqp={"max_message_size": 1000}), ["127.0.0.1:0"])
        equal(api.post("exchanges/%2F/amq.default/publish", body | {"payload": "x" * 1001}), (400, {
            "error": "bad_request",
            "reason": "406 PRECONDITION_FAILED - message size 1001 is larger than configured max size 1000"}))
        equal(api.post("exchanges/%2F/amq.default/publish", body | {"payload": "x" * 1000, "routing_key": ""}), (200, {"routed": False}))
        b.reload(config(), ["127.0.0.1:0"])
        equal(api.put("queues/%2F/q"), 201)
        with pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", b.port)) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            for mark in b"a\0", b"b\0", b"c\0":
                channel.basic_publish("", "q", mark * (2 << 20))
            channel.basic_publish("", "q", b"d" * (9 << 20))
        want = {"count": 10, "ackmode": "ack_requeue_false", "encoding": "base64"}
        got = api.post("queues/%2F/q/get", want)[1]
        equal([m["payload"][:4] for m in got], ["YQBh"], "what does not fit stays")
        got = api.post("queues/%2F/q/get", want | {"encoding": "auto"})[1]
        equal([(m["payload"] == "b\0" * (2 << 20), m["redelivered"], m["message_count"]) for m in got], [(True, False, 2)])
        equal(api.post("queues/%2F/q/get", want)[1][0]["payload"][:4], "YwBj")
        status, why = api.post("queues/%2F/q/get", want)
        equal((status, why["error"]), (400, "bad_request"))
        holds("payload of 9437184 bytes" in why["reason"], why)
        got = api.post("queues/%2F/q/get", want | {"truncate": 3 << 20, "ackmode": "ack_requeue_true"})[1]
        equal([(len(m["payload"]), m["payload_bytes"]) for m in got], [(4 << 20, 9 << 20)], "it was not lost")
        asked = json.dumps(want | {"truncate": 8 << 20}).encode()
        with socket.socket() as s:  # reads late, what fits in no buffer of the system
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.settimeout(20)
            s.connect(("127.0.0.1", api.port))
            s.sendall(head("POST", "/api/queues/%2F/q/get", "connection: close", f"content-length: {len(asked)}") + asked)
            began = s.recv(1)
            time.sleep(2.2)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            whole = arrived(s, began)
        holds(whole.endswith(b"0\r\n\r\n") and len(whole) > 11_000_000, f"an end after {len(whole)} bytes: {whole[-40:]}")


def threads_of(b):
    return [Path(f"/proc/{b.process.pid}/task/{tid}/comm").read_text().strip() for tid in os.listdir(f"/proc/{b.process.pid}/task")]


@case
def large_bodies():
    """What a large body says is read on a thread of its own; what is read as it comes, in many turns."""
    with started() as b:
        api = Api(b)
        equal(api.put("queues/%2F/q"), 201)
        message = {"properties": {}, "routing_key": "q", "payload_encoding": "string"}
        text, data = "\u00e4 \"" * 300_000, os.urandom(2_900_000)

        def publish(**more):
            return api.post("exchanges/%2F/amq.default/publish", message | more)
        equal(publish(payload="small"), (200, {"routed": True}))
        holds("http" not in threads_of(b), "a small one needs no thread")
        equal(publish(payload=text), (200, {"routed": True}))
        holds("http" in threads_of(b), threads_of(b))
        encoded = base64.b64encode(data).decode()
        equal(publish(payload=encoded, payload_encoding="base64"), (200, {"routed": True}))
        equal(publish(payload=encoded + "!", payload_encoding="base64"), (400, {"error": "bad_request", "reason": "payload is no base64"}))
        equal(publish(payload=text, routing_key=7)[0], 400)
        equal(api.ask("POST", "exchanges/%2F/amq.default/publish", "[" * 20_000), (400, {"error": "bad_request", "reason": "not_json"}))
        want = {"count": 3, "ackmode": "ack_requeue_true", "encoding": "auto"}
        got = api.post("queues/%2F/q/get", want)[1]
        equal([m["payload_bytes"] for m in got], [5, len(text.encode()), len(data)])
        holds(got[1]["payload"] == text and got[2]["payload"] == encoded, "they are as they were sent")
        body = json.dumps(message | {"payload": encoded, "payload_encoding": "base64"}).encode()
        for _ in range(5):  # leave at once
            with socket.create_connection(("127.0.0.1", api.port)) as s:
                s.sendall(head("POST", "/api/exchanges/%2F/amq.default/publish", f"content-length: {len(body)}") + body)
        turns = lambda: sum(int(shard["turns"]) for shard in b.rows("ops"))
        body = json.dumps({"metadata": [1] * 1_300_000}).encode()
        before = turns()
        equal(api.ask("POST", "definitions", body)[0], 204)
        holds(turns() - before >= len(body) // (16 << 10), f"{turns() - before} turns for {len(body)} bytes")


@case
def lists_of_slow_clients():
    with started(log={"level": "debug"}) as b:
        api = Api(b)
        queues = [f"q{i:04}" for i in range(2000)]
        note = {"note": "x" * 4000}
        for some in queues[::2], queues[1::2]:
            made = {"queues": [{"name": q, "vhost": "/", "durable": True, "arguments": note} for q in some]}
            equal(api.post("definitions", made)[0], 204)
        for query in "?sort=vhost", "":  # with keys, and from those that are sorted by name
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                s.settimeout(20)
                s.connect(("127.0.0.1", api.port))
                s.sendall(head("GET", "/api/queues/%2F" + query, version="1.0"))
                began = s.recv(1)
                if query:
                    b.logged("is read slowly")
                equal([api.delete("queues/%2F/q1990"), api.put("queues/%2F/q1991x"), api.put("queues/%2F/a")], [204, 201, 201])
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
                whole = arrived(s, began)
            got = names(json.loads(whole.partition(b"\r\n\r\n")[2]))
            wanted = sorted(set(queues) - {"q1990"} | {"q1991x"})
            holds(got == wanted, f"{len(got)} of {len(wanted)} queues, among them {sorted(set(wanted) ^ set(got))[:5]}")
            equal([api.put("queues/%2F/q1990"), api.delete("queues/%2F/q1991x"), api.delete("queues/%2F/a")], [201, 204, 204])


@case
def many_requests_unread():
    with started() as b:
        api, count = Api(b), 15000
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.settimeout(20)
            s.connect(("127.0.0.1", api.port))
            sender = threading.Thread(target=s.sendall, args=(b"GET /api/whoami HTTP/1.1\r\n\r\n" * count + b"\0",))
            sender.start()
            equal(api.get("whoami")["name"], "guest", "others are served")
            answers = arrived(s)
            sender.join()
        equal(answers.count(b"HTTP/1.1 401 "), count, "each is answered, in the end")
        equal(answers.count(b"HTTP/1.1 400 "), 1)


@case
def rights_that_go_while_a_body_comes():
    with started() as b:
        api = Api(b)
        asked = (("PUT", "queues/v/q", 404), ("PUT", "exchanges/v/x", 404), ("POST", "queues/v/q/get", 404),
                 ("DELETE", "exchanges/v/amq.direct", 404), ("DELETE", "queues/v/q", 404),
                 ("POST", "exchanges/v/amq.direct/publish", 404), ("GET", "queues/v/q", 404))
        equal([api.put("vhosts/v"), api.put("queues/v/q")], [201, 201])
        waiting = []
        for verb, path, _ in asked:
            s = socket.create_connection(("127.0.0.1", api.port), timeout=20)
            s.sendall(head(verb, "/api/" + path, "expect: 100-continue", "content-length: 2", "connection: close"))
            holds(s.recv(100).startswith(b"HTTP/1.1 100 "), "a body is awaited")
            waiting.append(s)
        equal(api.delete("vhosts/v"), 204)
        for s, (verb, path, status) in zip(waiting, asked):
            s.sendall(b"{}")
            got = arrived(s)
            s.close()
            holds(got.startswith(f"HTTP/1.1 {status} ".encode()), f"{verb} {path}: {got[:100]}")
        equal(api.put("users/u", {"password": "x", "tags": "administrator"}), 201)
        s = socket.create_connection(("127.0.0.1", api.port), timeout=20)
        s.sendall(head("PUT", "/api/vhosts/w", "expect: 100-continue", "content-length: 2", "connection: close")
                  .replace(basic("guest", "guest").encode(), basic("u", "x").encode()))
        holds(s.recv(100).startswith(b"HTTP/1.1 100 "), "a body is awaited")
        equal(api.put("users/u", {"password": "x", "tags": "management"}), 204)
        s.sendall(b"{}")
        holds(arrived(s).startswith(b"HTTP/1.1 401 "), "no administrator any more")
        s.close()


@case
def over_tls_and_on_other_listeners_after_a_reload():
    wanted = {"ssl_options": certs.server().pair(), "node_name": "jk@here",
              "management": {"listeners": [{"address": "127.0.0.1:0", "tls": True}]}}
    with Broker(wanted, listeners=["127.0.0.1:0"]) as b:
        port = int(b.logged(r"listening on 127\.0\.0\.1:(\d+) \(http, tls\)").group(1))
        context = certs.trusting()

        def whoami():
            connection = http.client.HTTPSConnection("localhost", port, timeout=20, context=context)
            connection.request("GET", "/api/whoami", headers={"authorization": basic("guest", "guest")})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())["name"]
        equal(whoami(), (200, "guest"))
        equal([protocol for _, _, protocol in b.listeners()], ["amqp", "https"])
        since = b.mark()
        b.reload({"ssl_options": certs.server().pair(), "node_name": "jk@here",
                  "management": {"listeners": ["127.0.0.1:0"]}})
        b.logged(f"no longer listening on 127.0.0.1:{port}", since)
        b.logged(r"listening on 127\.0\.0\.1:\d+ \(http\)", since)
        equal([protocol for _, _, protocol in b.listeners()], ["amqp", "http"])


@case
def rabbitmqadmin_as_it_is():
    if not os.path.exists(RABBITMQADMIN):
        raise LeftOut("rabbitmqadmin of rabbitmq-server 3.10.8 is not there")
    with started() as b:
        port = str(Api(b).port)

        def admin(*words):
            done = subprocess.run(["/usr/bin/python3", RABBITMQADMIN, "-H", "127.0.0.1", "-P", port, "-f", "raw_json", *words],
                                  capture_output=True, text=True, timeout=20, check=False)
            if done.returncode:
                raise AssertionError(f"{words}: {done.stdout}{done.stderr}")
            return done.stdout
        for words in ("declare vhost name=v", "declare user name=u password=x tags=management",
                      "declare permission vhost=v user=u configure=.* write=.* read=.*", "declare queue name=q durable=true",
                      "declare exchange name=x type=topic", "declare binding source=x destination=q routing_key=a.#",
                      "publish exchange=x routing_key=a.b payload=hello", "declare vhost_limit vhost=v name=max-queues value=9"):
            admin(*words.split())
        admin("declare", "policy", "name=p", "pattern=^r", 'definition={"max-length":3}', "apply-to=queues")
        message, = json.loads(admin("get", "queue=q", "ackmode=ack_requeue_false"))
        equal((message["payload"], message["routing_key"]), ("hello", "a.b"))
        equal(names(json.loads(admin("list", "queues", "name"))), ["q"])
        equal(json.loads(admin("show", "overview"))[0]["object_totals"]["queues"], 1)
        admin("export", b.path("export.json"))
        admin("delete", "queue", "name=q")
        admin("import", b.path("export.json"))
        equal(names(json.loads(admin("list", "queues", "name"))), ["q"])
        for what in "nodes", "connections", "channels", "consumers", "bindings", "exchanges", "users", "permissions", "policies":
            json.loads(admin("list", what))
        admin("delete", "vhost", "name=v")


@case
def metrics_for_those_who_log_in():
    on = config(prometheus={"listeners": ["127.0.0.1:0"], "authentication": {"enabled": True}})
    with Broker(on, listeners=["127.0.0.1:0"]) as b:
        api = Api(b)
        api.put("users/watcher", {"password": "x", "tags": "monitoring"})
        api.put("users/other", {"password": "x", "tags": "management"})
        port = int(b.logged(r"listening on 127\.0\.0\.1:(\d+) \(http/prometheus\)").group(1))

        def scrape(*user, path="/metrics"):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", path, headers={"authorization": basic(*user)} if user else {})
            answer = connection.getresponse()
            return answer.status, answer.headers["www-authenticate"], b"rabbitmq_queues 0" in answer.read()
        realm = 'Basic realm="RabbitMQ Management"'
        for user in (), ("watcher", "wrong"), ("other", "x"):
            equal(scrape(*user), (401, realm, False), user)
        equal(scrape("watcher", "x"), (200, None, True))
        equal(scrape(path="/metrics/detailed")[0], 401)
        b.reload(on | {"prometheus": {"listeners": ["127.0.0.1:0"]}})
        equal(scrape(), (200, None, True))


@case
def samples_of_the_past():
    with started(prometheus={"listeners": ["127.0.0.1:0"]}) as b:
        api = Api(b)
        c = b.pika()
        channel = c.channel()
        channel.queue_declare("a")
        for _ in range(3):
            channel.basic_publish("", "a", b"x")
        every = "&".join(f"{what}_age=20&{what}_incr=5" for what in ("lengths", "msg_rates", "data_rates", "node_stats"))
        connection = until(lambda: api.get("connections"), "the connection")[0]
        [one] = api.get(f"connections?{every}")
        equal((one["recv_oct_details"]["samples"], "avg" in one["recv_oct_details"]), ([], False))

        def publish():
            return api.get(f"overview?{every}")["message_stats"]["publish_details"]
        past = until(lambda: publish()["samples"][0]["sample"] and publish(), publish)
        equal(past["samples"][0]["sample"], 3)
        times = [s["timestamp"] for s in past["samples"]]
        equal((len(times), times[0] % 5000, {a - b for a, b in zip(times, times[1:])}), (5, 0, {5000}))
        samples = [s["sample"] for s in past["samples"]]
        equal((past["avg"], past["avg_rate"]), (sum(samples) / 5, (samples[0] - samples[-1]) / 20))
        got = until(lambda: api.get(f"queues/%2F/a?{every}")["messages_ready_details"]["samples"], "samples of the queue")
        equal((got[0]["sample"], got[0]["timestamp"] % 5000), (3, 0))
        until(lambda: api.get(f"connections/{quote(connection['name'])}?{every}")["recv_oct_details"]["samples"], "samples of the connection")
        [node] = api.get(f"nodes?{every}")
        holds(node["mem_used_details"]["samples"][0]["sample"] > 1e6 and node["fd_used_details"]["samples"], node)
        equal(list(api.get("overview")["queue_totals"]["messages_details"]), ["rate"])
        equal(api.get("overview?columns=object_totals.queues,message_stats.publish"), {"message_stats": {"publish": 3}, "object_totals": {"queues": 1}})
        equal(api.get("nodes?columns=name,running"), [{"name": "jk@here", "running": True}])
        stats = until(lambda: api.get("exchanges/%2F/amq.default").get("message_stats"), "what was published to an exchange")
        equal((stats["publish_in"], stats["publish_out"], list(stats["publish_in_details"])), (3, 3, ["rate"]))
        holds("message_stats" not in api.get("exchanges/%2F/amq.topic"), "nobody used it")
        equal(api.get(f"exchanges/%2F/amq.topic?{every}").get("message_stats"), None)
        api.get(f"exchanges/%2F/amq.default?{every}")

        def exchanged():
            return api.get(f"exchanges/%2F/amq.default?{every}")["message_stats"]["publish_out_details"]["samples"]
        got = until(exchanged, "samples of an exchange from when they were asked for")
        equal((got[0]["sample"], got[0]["timestamp"] % 5000), (3, 0))
        of_vhost = api.get(f"vhosts/%2F?{every}")
        for samples in of_vhost["messages_details"], of_vhost["message_stats"]["publish_details"]:
            equal((samples["samples"][0]["sample"], "avg" in samples, "avg_rate" in samples), (3, True, True))
        holds(0 < of_vhost["recv_oct_details"]["samples"][0]["sample"] <= of_vhost["recv_oct"], of_vhost)
        [listed] = api.get("vhosts?msg_rates_age=20&msg_rates_incr=5")
        equal((listed["message_stats"]["publish_details"]["samples"][0]["sample"], list(listed["messages_details"])), (3, ["rate"]))
        equal(api.put("vhosts/quiet", {}), 201)
        equal(api.get(f"vhosts/quiet?{every}")["messages_details"]["samples"], [])
        equal(api.ask("DELETE", "vhosts/quiet")[0], 204)
        [vhost] = api.get("vhosts")
        equal((vhost["messages"], vhost["messages_ready"], vhost["messages_unacknowledged"]), (3, 3, 0))
        equal({k: n for k, n in vhost["message_stats"].items() if isinstance(n, int) and n}, {"publish": 3})
        port = int(b.logged(r"listening on 127\.0\.0\.1:(\d+) \(http/prometheus\)").group(1))
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics/per-object") as answer:
            lines = [line for line in answer.read().decode().splitlines() if "exchange=" in line]
        equal(lines, [f'{name}{{vhost="/",exchange=""}} 3' for name in ("rabbitmq_exchange_messages_published_total",
                                                                       "jackalope_exchange_messages_routed_total")])
        for path in "overview", "nodes", "queues", "queues/%2F/a", "connections", "vhosts", "exchanges/%2F/amq.default":
            equal(api.ask("GET", f"{path}?lengths_age=600&lengths_incr=1"),
                  (400, {"error": "bad_request", "reason": "Invalid range parameters: age 600, incr 1"}))
        c.close()


@case
def octets_of_virtual_hosts():
    """Of open connections as of closed ones, each once."""
    with started() as b:
        api = Api(b)
        equal(api.put("vhosts/other", {}), 201)
        c = b.pika()
        channel = c.channel()
        channel.queue_declare("q")
        channel.basic_publish("", "q", b"x" * 100000)
        channel.queue_declare("q", passive=True)

        def octets():
            vhost = api.get("vhosts/%2F")
            equal((list(vhost["recv_oct_details"]), list(vhost["send_oct_details"])), (["rate"], ["rate"]))
            return vhost["recv_oct"], vhost["send_oct"]
        [one] = until(lambda: api.get("connections"), "the connection")
        open_one = one["recv_oct"], one["send_oct"]
        until(lambda: octets() == open_one, lambda: (octets(), open_one))
        holds(open_one[0] > 100000, open_one)
        c.close()
        until(lambda: all(now > then for now, then in zip(octets(), open_one)), "the octets of closing")
        closed = octets()
        holds(closed[0] < open_one[0] + 1000, closed)
        other = api.get("vhosts/other")
        equal((other["recv_oct"], other["send_oct"]), (0, 0))


@case
def lists_sorted_by_rates():
    with started() as b:
        api = Api(b)
        c = b.pika()
        channel, other = c.channel(), c.channel()
        for name in "a", "b", "c":
            channel.queue_declare(name)

        def first(path):
            other.basic_publish("", "b", b"x" * 10)
            return api.get(f"{path}sort_reverse=true&columns=name,number")[0]
        until(lambda: first("queues?sort=message_stats.publish_details.rate&") == {"name": "b"}, "the queue that gets most")
        equal(first("queues?sort=messages_details.rate&"), {"name": "b"})
        until(lambda: api.get("channels") and first("channels?sort=message_stats.publish_details.rate&")["number"] == 2,
              "the channel that publishes")
        c.close()


@case
def samples_of_many_queues():
    """More than one turn takes, and not too many to be sampled unasked."""
    with started() as b:
        api = Api(b)
        c = b.pika()
        channel = c.channel()
        names = [f"q{n}" for n in range(240)]
        for name in names:
            channel.queue_declare(name)
            channel.basic_publish("", name, b"x")
        c.close()
        for name in names[0], names[-1]:
            path = f"queues/%2F/{name}?lengths_age=20&lengths_incr=5"
            until(lambda: api.get(path)["messages_details"]["samples"], f"samples of {name}")


@case
def metrics():
    with started(prometheus={"listeners": ["127.0.0.1:0"]}) as b:
        api = Api(b)
        port = int(b.logged(r"listening on 127\.0\.0\.1:(\d+) \(http/prometheus\)").group(1))
        c = b.pika()
        channel = c.channel()
        channel.confirm_delivery()
        for name in "a", 'b"\\':
            channel.queue_declare(name)
        for _ in range(3):
            channel.basic_publish("", "a", b"xy")
        channel.basic_publish("", "none", b"")

        def scrape(path):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
                holds(answer.headers["content-type"].startswith("text/plain; version=0.0.4"), "the form of Prometheus")
                text = answer.read().decode()
            series, families = {}, []
            for line in text.splitlines():
                if line.startswith("# TYPE"):
                    families.append(line.split()[2])
                elif not line.startswith("#"):
                    key, value = line.rsplit(" ", 1)
                    holds(key not in series, f"{key} is there twice")
                    name = key.split("{")[0]
                    holds(families[-1] in (name, re.sub("_(bucket|sum|count)$", "", name)), f"{key} stands with its family")
                    series[key] = float(value)
            equal(len(families), len(set(families)), "families")
            return series
        got = scrape("/metrics")
        for key, value in {"rabbitmq_queues": 2, "rabbitmq_connections": 1, "rabbitmq_channels": 1, "rabbitmq_consumers": 0,
                           "rabbitmq_queue_messages_ready": 3, "rabbitmq_queue_messages_bytes": 6,
                           'rabbitmq_global_messages_received_total{protocol="amqp091"}': 4,
                           'rabbitmq_global_messages_confirmed_total{protocol="amqp091"}': 4,
                           'rabbitmq_global_messages_unroutable_dropped_total{protocol="amqp091"}': 1,
                           'rabbitmq_global_publishers{protocol="amqp091"}': 1,
                           'rabbitmq_message_size_bytes_bucket{protocol="amqp091",le="100"}': 4,
                           'rabbitmq_message_size_bytes_sum{protocol="amqp091"}': 6,
                           'rabbitmq_auth_attempts_succeeded_total{protocol="amqp091"}': 1,
                           "rabbitmq_queues_declared_total": 2, "rabbitmq_channel_messages_published_total": 4,
                           "rabbitmq_alarms_memory_used_watermark": 0, "rabbitmq_connections_opened_total": 1}.items():
            equal(got.get(key), value, key)
        holds(got["rabbitmq_process_resident_memory_bytes"] > 1e6, "memory")
        each = scrape("/metrics/per-object")
        equal(each['rabbitmq_queue_messages_ready{vhost="/",queue="a"}'], 3)
        equal(each['rabbitmq_queue_messages_ready{vhost="/",queue="b\\"\\\\"}'], 0)
        some = scrape("/metrics/detailed?family=queue_coarse_metrics&vhost=%2F")
        equal(sorted(k.split("{")[0] for k in some if 'queue="a"' in k),
              ["rabbitmq_detailed_queue_messages", "rabbitmq_detailed_queue_messages_delayed",
               "rabbitmq_detailed_queue_messages_ready", "rabbitmq_detailed_queue_messages_unacked"])
        some = scrape("/metrics/detailed?family=queue_coarse_metrics&family=queue_consumer_count&queue=a")
        equal(some['rabbitmq_detailed_queue_consumers{vhost="/",queue="a"}'], 0)
        holds(not [k for k in some if 'queue="b' in k], some)

        def asked(path):
            """What it says of itself, and nothing else."""
            info, identity = sorted(scrape(path))
            holds(info.startswith("rabbitmq_build_info{rabbitmq_version="), info)
            holds('rabbitmq_node="jk@here",rabbitmq_cluster="jk@here"' in identity, identity)
            return identity.split("rabbitmq_endpoint=")[1]
        equal(asked("/metrics/detailed?family=queue_coarse_metrics&vhost=none"), '"detailed"}')
        equal(asked("/metrics/detailed?family=none"), '"detailed"}')
        api.put("cluster-name", {"name": "moon"})
        holds('rabbitmq_identity_info{rabbitmq_node="jk@here",rabbitmq_cluster="moon",rabbitmq_endpoint="aggregated"}' in
              scrape("/metrics"), "the name of the cluster")
        churn = scrape("/metrics/detailed?family=connection_churn_metrics")
        equal([churn[f"rabbitmq_detailed_{k}_total"] for k in ("connections_opened", "queues_declared", "queues_created",
                                                               "queues_deleted")], [1, 2, 2, 0])
        memory = scrape("/metrics/memory-breakdown")
        holds(memory["jackalope_memory_allocated_bytes"] > 1e6, "memory")
        used = {series: n for series, n in memory.items() if series.startswith("jackalope_memory_used_bytes{")}
        holds(used['jackalope_memory_used_bytes{use="queues"}'] > 0, used)
        resident = memory["jackalope_memory_resident_bytes"] + memory["jackalope_memory_files_bytes"]
        holds(abs(sum(used.values()) - resident) < resident * 0.1, f"{sum(used.values())} of {resident}")
        stats = api.get("overview")["message_stats"]
        equal((stats["publish"], stats["confirm"], stats["drop_unroutable"]), (4, 4, 1))
        equal(api.ask("GET", "metrics")[0], 404)
        once = {"x-max-length": 1, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "a"}
        channel.queue_declare("short", arguments=once)
        channel.queue_declare("sure", durable=True, arguments=once | {"x-queue-type": "quorum", "x-overflow": "reject-publish",
                                                                     "x-dead-letter-strategy": "at-least-once"})
        for queue in "short", "short", "short", "sure":
            channel.basic_publish("", queue, b"x")
        channel.basic_reject(channel.basic_get("sure")[0].delivery_tag, False)
        dead = [f'rabbitmq_global_messages_dead_lettered_{k}_total{{protocol="amqp091"}}' for k in ("maxlen", "rejected", "confirmed")]
        until(lambda: [scrape("/metrics")[key] for key in dead] == [2, 1, 1], lambda: scrape("/metrics"))
        equal(scrape("/metrics")["rabbitmq_exchange_messages_published_total"], 8)
        c.close()
