"""A client of the HTTP API: one connection, answers as (status, value)."""

import base64
import gzip
import http.client
import json
import urllib.parse

PATIENCE = 20


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def quote(name):
    return urllib.parse.quote(name, safe="")


class Api:
    def __init__(self, broker, user="guest", password="guest", since=0):
        self.port = int(broker.logged(r"listening on 127\.0\.0\.1:(\d+) \(http\)", since).group(1))
        self.user, self.password = user, password
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        self.headers = {}

    def as_user(self, user, password="x"):
        other = Api.__new__(Api)
        other.port, other.user, other.password, other.headers = self.port, user, password, {}
        other.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        return other

    def raw(self, method, path, body=None, **headers):
        """(status, headers, bytes)"""
        sent = {"authorization": basic(self.user, self.password)} | {k.replace("_", "-"): v for k, v in headers.items()}
        self.connection.request(method, path, body=body, headers=sent)
        answer = self.connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def ask(self, method, path, body=None, **headers):
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        status, got, data = self.raw(method, "/api/" + path, body, **headers)
        self.headers = got
        if got.get("content-encoding") == "gzip":
            data = gzip.decompress(data)
        return status, json.loads(data) if data else None

    def get(self, path, **headers):
        """What an answer of 200 has."""
        status, value = self.ask("GET", path, **headers)
        if status != 200:
            raise AssertionError(f"GET {path}: {status} {value}")
        return value

    def put(self, path, body=None):
        return self.ask("PUT", path, {} if body is None else body)[0]

    def post(self, path, body=None):
        return self.ask("POST", path, {} if body is None else body)

    def delete(self, path):
        return self.ask("DELETE", path)[0]
