"""What virtual hosts are born with: default_limits.vhosts, default_policies.operator, default_users."""

import json
import shutil

import pika

from .broker import Broker, run
from .suite import case, equal, holds, refused

CONFIG = {
    "default_limits.vhosts.1": {"pattern": "^vip", "max_queues": "infinity"},
    "default_limits.vhosts.2": {"pattern": "^v", "max_connections": 10, "max_queues": 2},
    "default_policies.operator.cap.vhost_pattern": "^v",
    "default_policies.operator.cap.queue_pattern": "^q",
    "default_policies.operator.cap.max_length": 3,
    "default_policies.operator.cap.apply_to": "classic_queues",
    "default_policies.operator.old": {"vhost_pattern": "p$", "expires": "1h", "classic_queues": {"queue_version": 2}},
    "default_users": {"ops": {"vhost_pattern": "^v|^/$", "password": "hush", "tags": ["monitoring", "policymaker"],
                              "configure": "^c", "write": ".*", "read": ""}},
}


def policies(b, vhost):
    return {row["name"]: (row["pattern"], row["apply-to"], json.loads(row["definition"]), row["priority"])
            for row in b.rows("list_operator_policies", "-p", vhost)}


def permissions(b, user):
    return {row["vhost"]: (row["configure"], row["write"], row["read"]) for row in b.rows("list_user_permissions", user)}


@case
def every_virtual_host_that_matches_gets_them():
    with Broker(CONFIG) as b:
        equal(permissions(b, "ops"), {"/": ("^c", ".*", "")}, "the default virtual host")
        b.pika(user="ops", password="hush").close()
        for name in ("v", "vip", "w"):
            b.told("add_vhost", name)
        equal(policies(b, "v"), {"cap": ("^q", "classic_queues", {"max-length": 3}, 0)})
        equal(policies(b, "vip")["old"], (".*", "all", {"expires": 3600000, "queue-version": 2}, 0))
        equal((policies(b, "w"), policies(b, "/")), ({}, {}))
        shown = b.told("list_vhost_limits", "-p", "v")
        holds('"max-queues":2' in shown.replace(" ", "") and '"max-connections":10' in shown.replace(" ", ""), shown)
        holds("max-queues" not in b.told("list_vhost_limits", "-p", "vip"), "the first that matches counts")
        holds("max-queues" not in b.told("list_vhost_limits", "-p", "w"), "none matches")
        equal(sorted(permissions(b, "ops")), ["/", "v", "vip"])
        holds({"user": "ops", "tags": ["monitoring", "policymaker"]} in b.rows("list_users"), b.rows("list_users"))
        b.told("set_permissions", "-p", "v", "guest", ".*", ".*", ".*")
        with b.pika(virtual_host="v") as c:
            c.channel().queue_declare("q1")
            c.channel().queue_declare("q2")
            with refused(Exception, text="queue limit in vhost 'v' (2) is reached"):
                c.channel().queue_declare("q3")


@case
def what_operators_change_stays():
    with Broker(CONFIG) as b:
        b.told("add_vhost", "v")
        b.told("change_password", "ops", "other")
        b.told("clear_operator_policy", "-p", "v", "cap")
        b.told("add_vhost", "v")
        for _ in range(2):
            equal(policies(b, "v"), {})
            b.pika(user="ops", password="other").close()
            equal(b.stop(), 0)
            b.start()
        b.told("delete_user", "ops")
        equal(b.stop(), 0)
        b.start()
        equal([row["user"] for row in b.rows("list_users")], ["guest"], "a start brings nobody back")
        b.told("add_vhost", "v2")
        equal(permissions(b, "ops"), {"v2": ("^c", ".*", "")}, "a virtual host does")


@case
def a_reload_counts_for_later_ones():
    with Broker(CONFIG) as b:
        b.told("add_vhost", "v1")
        said = b.reload({"default_policies.operator.cap.max_length": 9})
        holds("default_policies.operator: " in said and "applies now" in said and "hush" not in said, said)
        b.told("add_vhost", "v2")
        equal(policies(b, "v1")["cap"][2], {"max-length": 3})
        equal(policies(b, "v2"), {"cap": (".*", "all", {"max-length": 9}, 0)})
        said = b.reload({"default_policies.operator.cap.vhost_pattern": "("})
        holds("default_policies.operator.cap: regular expression '(' is invalid" in said and "not reloaded" in said, said)
        b.told("add_vhost", "v3")
        equal(policies(b, "v3"), policies(b, "v2"))


@case
def virtual_hosts_of_an_import_get_them_too():
    file = {"vhosts": [{"name": "v"}], "users": [{"name": "ops", "password": "of the file"}],
            "parameters": [{"vhost": "v", "component": "vhost-limits", "name": "limits", "value": {"max-queues": 77}}]}
    b = Broker()
    b.write_config(CONFIG | {"load_definitions": b.write("definitions.json", json.dumps(file))})
    with b:
        equal(policies(b, "v")["cap"][2], {"max-length": 3})
        holds("77" in b.told("list_vhost_limits", "-p", "v"), "what the file says comes behind")
        equal(sorted(permissions(b, "ops")), ["/", "v"])
        b.pika(user="ops", password="of the file", virtual_host="v").close()
        with refused(pika.exceptions.ProbableAuthenticationError):
            b.pika(user="ops", password="hush")


@case
def mistakes_are_told_with_their_place():
    for text, error in (
            ("default_limits.vhosts.1.pattern: '('", "a.yaml:1: default_limits.vhosts.1: regular expression '(' is invalid"),
            ("\ndefault_policies.operator.p: {}", "a.yaml:2: default_policies.operator.p: no policy provided"),
            ("default_policies.operator.p: {max_length: 5, queue_pattern: '['}",
             "a.yaml:1: default_policies.operator.p: pattern should be regular expression but is invalid"),
            ("default_users.u.write: '*'", "a.yaml:1: default_users.u: regular expression '*' is invalid"),
            ("default_users.u.passwort: x", "a.yaml:1: unknown key 'passwort'; did you mean 'password'?"),
            ("default_limits.vhosts.1.max_queues: -1", "'-1' is neither a whole number nor infinity")):
        b = Broker()
        path = b.write("a.yaml", text + "\n")
        for words in (["--check"], ["--data", b.data]):
            code, out, err = run(*words, "--config", path)
            equal((code, out), (78, ""), f"{text}: {err}")
            holds(error in err.replace(b.dir + "/", ""), f"{text}: {err}")
        shutil.rmtree(b.dir)


@case
def secrets_are_not_shown():
    with Broker(CONFIG) as b:
        shown = b.told("environment") + b.log()
        holds("hush" not in shown and "vhost_pattern" in shown, shown)
