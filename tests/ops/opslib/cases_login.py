"""Logging in without a name, what passwords must be like, users that the HTTP API leaves alone."""

import json
import shutil

from .api import Api
from .broker import Broker, run
from .raw import Raw, Refused
from .suite import case, equal, holds, refused


def anonymous(b, response=b"who cares"):
    client = Raw(b.port)
    client.greet()
    client.login(mechanism="ANONYMOUS", response=response)
    return client


@case
def anonymous_logins():
    with Broker() as b:
        equal(Raw(b.port).greet(), ["PLAIN", "AMQPLAIN", "ANONYMOUS"])
        client = anonymous(b)
        client.open()
        row, = b.connections("user", "auth_mechanism")
        equal(row, {"user": "guest", "auth_mechanism": "ANONYMOUS"})
        client.leave()
        b.told("change_password", "guest", "else")
        with refused(Refused):
            anonymous(b, b"")
        b.logged("ANONYMOUS login refused: user 'guest' - invalid credentials")
        b.told("add_user", "visitor", "v")
        b.told("set_permissions", "visitor", "", "", ".*")
        b.reload({"anonymous_login_user": "visitor", "anonymous_login_pass": "v"})
        anonymous(b).open().leave()
        b.reload({"anonymous_login_user": "none"})
        client = Raw(b.port)
        equal(client.greet(), ["PLAIN", "AMQPLAIN"])
        with refused(Refused):
            client.login(mechanism="ANONYMOUS", response=b"")
        b.logged("mechanism 'ANONYMOUS', which is not offered")
        holds(" v\n" not in b.told("environment"), "the password is not shown")


BY_LENGTH = {"credential_validator.validation_backend": "rabbit_credential_validator_min_password_length"}
BY_FORM = {"credential_validator.validation_backend": "rabbit_credential_validator_password_regexp",
           "credential_validator.regexp": "^[a-z]+[0-9]$"}


@case
def what_passwords_must_be_like():
    with Broker({"management": {"listeners": ["127.0.0.1:0"]}} | BY_LENGTH, listeners=["127.0.0.1:0"]) as b:
        api = Api(b)
        too_short = "minimum required password length is 5"
        equal(b.ctl("-q", "add_user", "u", "four"), (65, "", f"Error:\n{too_short}\n"))
        b.told("add_user", "u", "fiver")
        equal(b.ctl("-q", "change_password", "u", "x")[0], 65)
        equal(api.ask("PUT", "users/v", {"password": "x", "tags": ""}), (400, {"error": "bad_request", "reason": too_short}))
        _, hashed, _ = b.ctl("-q", "hash_password", "x")
        equal(api.put("users/v", {"password_hash": hashed.strip(), "tags": ""}), 201)  # nobody can tell what it is
        b.told("clear_password", "u")
        b.reload({"management": {"listeners": ["127.0.0.1:0"]}} | BY_FORM)
        form = "provided password does not match the validator regular expression"
        equal(b.ctl("-q", "change_password", "u", "fiver"), (65, "", f"Error:\n{form}\n"))
        b.told("change_password", "u", "fiver5")
        b.reload({"management": {"listeners": ["127.0.0.1:0"]}})
        b.told("change_password", "u", "x")


@case
def rules_for_passwords_that_cannot_be():
    for regexp, said in (("", "credential_validator.regexp is not set"), ("a(", "credential_validator.regexp: ")):
        b = Broker(BY_FORM | {"credential_validator.regexp": regexp})
        code, _, err = run("--config", b.path("jackalope.yaml"), "--check")
        equal(code, 78)
        holds(said in err, err)
        shutil.rmtree(b.dir)
    # the default user's is one too
    b = Broker(BY_LENGTH | {"credential_validator.min_length": 9})
    b.launch()
    equal(b.wait(), 78)
    holds("minimum required password length is 9" in b.log(), b.log())
    b.settle(78)


@case
def how_passwords_are_hashed():
    with Broker({"auth_backends": ["rabbit_auth_backend_internal"], "heartbeat": 7, "frame_max": 9000}) as b:
        client = Raw(b.port)
        client.greet()
        equal(client.login()[1:], (9000, 7))
        client.drop()
        b.told("add_user", "a", "x")
        b.reload({"password_hashing_module": "rabbit_password_hashing_sha512"})
        b.told("add_user", "b", "x")
        holds(len(b.told("hash_password", "x").strip()) == 92, "base64 of 68 bytes")
        out = b.path("out.json")
        b.told("export_definitions", out)
        with open(out) as f:
            users = {user["name"]: user["hashing_algorithm"] for user in json.load(f)["users"]}
        equal(users, {"a": "rabbit_password_hashing_sha256", "b": "rabbit_password_hashing_sha512",
                      "guest": "rabbit_password_hashing_sha256"})
        for user in "ab":
            b.told("authenticate_user", user, "x")


@case
def protected_users():
    with Broker({"management": {"listeners": ["127.0.0.1:0"]}}, listeners=["127.0.0.1:0"]) as b:
        api = Api(b)
        equal(api.put("users/p", {"password": "x", "tags": "management,protected"}), 201)
        equal(api.get("users/p")["tags"], ["management", "protected"])
        equal(api.as_user("p").get("whoami"), {"name": "p", "tags": ["management", "protected"]})
        equal(api.ask("PUT", "users/p", {"password": "y", "tags": ""}),
              (400, {"error": "bad_request", "reason": "User updates via API are disabled for this user"}))
        no_deletion = (400, {"error": "bad_request", "reason": "User deletion via API is disabled for this user"})
        equal(api.ask("DELETE", "users/p"), no_deletion)
        equal(api.put("users/q", {"password": "x", "tags": ""}), 201)
        equal(api.post("users/bulk-delete", {"users": ["q", "p"]}), no_deletion)
        equal(api.ask("GET", "users/q")[0], 200)
        b.told("set_user_tags", "p", "management")
        equal(api.delete("users/p"), 204)
