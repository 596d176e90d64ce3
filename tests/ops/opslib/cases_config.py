"""What the broker is told: files, conf.d, environment, flags; mistakes; --check, --dump-config, --dump-docs."""

import contextlib
import os
import re
import shutil
import tempfile

from .broker import Broker, run, yaml
from .raw import Raw
from .suite import case, equal, holds


@contextlib.contextmanager
def directory(**files):
    """A directory with files; conf_d__x is conf.d/x.yaml."""
    with tempfile.TemporaryDirectory(prefix="jackalope-ops-") as d:
        os.mkdir(f"{d}/conf.d")
        for name, text in files.items():
            with open(f"{d}/{name.replace('conf_d__', 'conf.d/')}.yaml", "w") as f:
                f.write(yaml(text))
        yield d


def check(text, *words, **env):
    """(exit code, stderr without the file's path) of --check."""
    with directory(a=text) as d:
        code, out, err = run("--check", "--config", f"{d}/a.yaml", *words, **env)
        holds((out == "the configuration is good\n") == (code == 0), f"{out}{err}")
        return code, err.replace(f"{d}/", "")


def origins(out):
    """Where the values of --dump-config are from: {key's last word: (value, origin)}"""
    return {m[1]: (m[2], m[3]) for m in re.finditer(r"^ *([a-z_]+): (.*?)(?: # (.*))?$", out, re.M)}


@case
def precedence():
    with directory(a="amqp: {heartbeat: 1, channel_max: 1, frame_max: 5000, max_message_size: 1000}\nshards: 1\n",
                   conf_d__20="amqp.channel_max: 3\namqp.frame_max: 7000\namqp.max_message_size: 3000\n",
                   conf_d__10="amqp.channel_max: 2\n") as d:
        file = f"{d}/a.yaml"
        code, out, err = run("--config", file, "--dump-config", "--amqp.max_message_size", "5000",
                             JACKALOPE_AMQP_FRAME_MAX="9000", JACKALOPE_AMQP_MAX_MESSAGE_SIZE="4000")
        equal((code, err), (0, ""))
        found = origins(out)
        for key, value, origin in (("heartbeat", "1s", f"{file}:1"), ("channel_max", "3", f"{d}/conf.d/20.yaml:1"),
                                   ("frame_max", "9000", "environment JACKALOPE_AMQP_FRAME_MAX"),
                                   ("max_message_size", "5000", "--amqp.max_message_size"), ("shards", "1", f"{file}:2"),
                                   ("handshake_timeout", "10s", None)):
            equal(found[key], (value, origin), key)


@case
def conf_d():
    with directory(a="log.level: error\n", conf_d__a="log: {connection: {level: debug}}\n",
                   conf_d__B="log.connection.level: info\n") as d:
        for name, text in (("z.yml", "bogus: 1"), ("z.yaml~", "bogus: 1"), (".hidden.yaml", "bogus: 1"), ("README", "bogus: 1")):
            with open(f"{d}/conf.d/{name}", "w") as f:
                f.write(text)
        code, out, _ = run("--config", f"{d}/a.yaml", "--dump-config")
        equal(code, 0)
        holds(f"level: debug # {d}/conf.d/a.yaml:1" in out, "a comes after B")
        with open(f"{d}/conf.d/bad.yaml", "w") as f:
            f.write("\n\namqp.heartbeet: 1\n")
        code, _, err = run("--config", f"{d}/a.yaml", "--check")
        equal((code, err), (78, f"{d}/conf.d/bad.yaml:3: unknown key 'amqp.heartbeet'; did you mean 'amqp.heartbeat'?\n"))


@case
def lists_of_several_sources():
    with directory(a={"listeners": ["127.0.0.1:1", "127.0.0.1:2"], "loopback_users": ["a", "b"],
                      "definitions": {"users": [{"name": "u1", "password": "p"}]}},
                   conf_d__1={"definitions": {"users": [{"name": "u2", "password": "p"}]}}) as d:
        words = ["--config", f"{d}/a.yaml", "--dump-config"]
        out = run(*words)[1]
        holds('"127.0.0.1:1"' in out and '"127.0.0.1:2"' in out and '["a", "b"]' in out, out)
        holds('name: "u1"' in out and 'name: "u2"' in out, "definitions grow")
        out = run(*words, "--listen", "127.0.0.1:3", "--listen", "127.0.0.1:4", JACKALOPE_LOOPBACK_USERS="c,d")[1]
        holds(':3"' in out and ':4"' in out and ':1"' not in out and '["c", "d"]' in out, out)
        out = run(*words, JACKALOPE_LISTENERS="127.0.0.1:5,unix:/x/y")[1]
        holds(':5"' in out and "unix:/x/y" in out and ':1"' not in out, out)


@case
def unknown_keys():
    for text, error in (
            ("hartbeat: 1\n", "a.yaml:1: unknown key 'hartbeat'"),
            ("amqp:\n  heartbeat: 2\n\n  chanel_max: 5\n", "a.yaml:4: unknown key 'chanel_max' in 'amqp'; did you mean 'channel_max'?"),
            ("# one\nlog:\n  conection:\n    level: info\n", "a.yaml:3: unknown key 'conection' in 'log'; did you mean 'connection'?"),
            ("listeners:\n  - 127.0.0.1:1\n  - adress: 127.0.0.1:2\n", "a.yaml:3: unknown key 'adress'; did you mean 'address'?"),
            ("ssl_options: {certfil: x}\n", "a.yaml:1: unknown key 'certfil' in 'ssl_options'; did you mean 'certfile'?"),
            ("definitions:\n  queues:\n    - name: q\n      durabel: true\n", "a.yaml:4: unknown key 'durabel'; did you mean 'durable'?"),
            ("zzzzzzzz: 1\n", "a.yaml:1: unknown key 'zzzzzzzz'\n")):
        code, err = check(text)
        equal(code, 78, text)
        holds(error in err, f"{text!r}: {err}")


@case
def wrong_values():
    for text, error in (
            ("amqp.heartbeat: soon", "amqp.heartbeat: 'soon' is not a duration such as 60, 60s or 2min"),
            ("amqp.heartbeat: 70000", "amqp.heartbeat: '70000' is out of range"),
            ("amqp.channel_max: -1", "amqp.channel_max: '-1' is not a whole number"),
            ("amqp.channel_max: 1.5", "amqp.channel_max: '1.5' is not a whole number"),
            ("amqp.frame_max: 100", "amqp.frame_max: '100' is out of range, 0 or at least 4096"),
            ("amqp.frame_max: 5 parsecs", "is not a size such as"),
            ("shards: many", "shards: 'many' is not a whole number"), ("shards: 65", "shards: '65' is out of range, 0 to 64"),
            ("shards: [1]", "shards: expected a single value, not a list"), ("shards:", "shards: has no value"),
            ("listeners: {address: x}", "listeners: expected a list, not a mapping"),
            ("listeners: [{tls: perhaps, address: ':0'}]", "'perhaps' is neither true nor false"),
            ("listeners: [{tls: true}]", "listeners[]: 'address' is missing"),
            ("listeners: ['127.0.0.1:5', '127.0.0.1:5']", "address 127.0.0.1:5 is there twice"),
            ("log.level: verbose", "'verbose' is not one of: debug, info, warning, error, critical, none"),
            ("log.output: file", "log.output: file needs log.file"),
            ("log: debug", "log"), ("control.mode: 888", "'888' is not an octal mode such as 0660"),
            ("vm_memory_high_watermark: lots", "is neither a share such as 0.6 nor a size such as 2GiB"),
            ("auth_mechanisms: []", "auth_mechanisms: is empty"), ("auth_mechanisms: [DIGEST]", "'DIGEST' is not one of"),
            ("shards: 1\nshards: 2", "a.yaml:2: 'shards' is there twice, first on line 1"),
            ("amqp: {heartbeat: 1}\namqp.heartbeat: 2", "a.yaml:2: 'amqp.heartbeat' is there twice"),
            ("definitions: {users: [{name: u, password_hash: '!'}]}", "user 'u': password_hash is not base64 of a salt"),
            ("definitions: {users: [{name: u}, {name: u}]}", "user 'u' is already at"),
            ("default_pass: ''", "default_pass: may not be empty while there is a default_user")):
        code, err = check(text + "\n")
        equal(code, 78, f"{text}: {err}")
        holds(error in err and err.startswith("a.yaml:"), f"{text}: {err}")
    code, err = check("shards: x\namqp:\n  heartbeat: y\n  bogus: 1\nlog.level: z\n")
    equal([line.split(":")[1] for line in err.splitlines()], ["1", "3", "4", "5"], "every problem in one go")


@case
def what_is_no_yaml():
    for text, line in (("a: [1,\nb: }\n", 2), ("amqp:\n\theartbeat: 1\n", 2), ("shards: 'one\n", 2), ("shards: \"\\q\"\n", 1),
                       ("&a [*a]\n", 1), ("- 1\n", 1), ("just text\n", 1), ("--- {}\n--- {}\n", 2), ("shards: \x01\n", None),
                       ("shards: \udcff\n".encode("utf-8", "surrogateescape").decode("latin-1"), None)):
        code, err = check(text)
        equal(code, 78, f"{text!r}: {err}")
        holds(err.startswith("a.yaml:" if line is None else f"a.yaml:{line}:"), f"{text!r}: {err}")
    for text in ("", "# nothing\n", "---\n", "{}\n", "shards: 1 # one\n...\n"):
        equal(check(text), (0, ""), repr(text))
    deep = "[" * 100000
    code, err = check(f"definitions: {deep}")
    equal(code, 78)
    holds(len(err) < 1000, "a short answer")


@case
def files_that_are_not_there():
    with directory() as d:
        for name, error in ((f"{d}/none.yaml", "No such file or directory"), (d, "Is a directory")):
            for words in (["--check"], ["--dump-config"], ["--data", f"{d}/data"]):
                code, out, err = run("--config", name, *words)
                equal((code, out, err), (78, "", f"{name}: cannot be read: {error}\n"))
        equal(run("--check", JACKALOPE_CONFIG=f"{d}/none.yaml")[0], 78)
        holds(not os.path.exists(f"{d}/data"), "nothing was begun")


@case
def environment():
    code, out, err = run("--dump-config", JACKALOPE_SHARDS="3", JACKALOPE_LOG_CONNECTION_LEVEL="debug",
                         JACKALOPE_SSL_OPTIONS_VERIFY="verify_none", JACKALOPE_DATA_DIR="/x", JACKALOPE_DEFAULT_PASS="hush")
    equal((code, err), (0, ""))
    for line in ("shards: 3 # environment JACKALOPE_SHARDS\n", "level: debug # environment JACKALOPE_LOG_CONNECTION_LEVEL\n",
                 'data_dir: "/x" # environment JACKALOPE_DATA_DIR\n'):
        holds(line in out, f"{line}: {out}")
    holds("hush" not in out, "the password is not printed")
    code, _, err = run("--check", JACKALOPE_SHARDS="-3")
    equal((code, err), (78, "environment JACKALOPE_SHARDS: shards: '-3' is not a whole number\n"))
    code, _, err = run("--check", JACKALOPE_SHARD="3", JACKALOPE_PORT_5672_TCP_ADDR="10.0.0.1", JACKALOPE_SERVICE_HOST="10.0.0.1")
    equal(code, 0)
    holds("JACKALOPE_SHARD: no key has this variable" in err and "SERVICE" not in err and "PORT" not in err, err)
    # a variable that is empty
    equal(run("--check", JACKALOPE_DEFAULT_USER="")[0], 0)
    equal(run("--check", JACKALOPE_SHARDS="")[0], 78)


@case
def flags():
    out = run("--dump-config", "--data=/d", "--listen=127.0.0.1:1", "--control", "/c", "--node", "n@h", "--log-level", "error",
              "--log-file", "/l", "--pid-file", "/p", "--shards", "2", "--amqp.heartbeat=9", "--default_permissions.read", "")[1]
    found = origins(out)
    holds('control:\n  path: "/c"' in out, out)
    for key, value in (("data_dir", '"/d"'), ("node_name", '"n@h"'), ("file", '"/l"'), ("output", "file"),
                       ("pid_file", '"/p"'), ("shards", "2"), ("heartbeat", "9s"), ("read", '""')):
        equal(found[key][0], value, key)
    for words, code, text in ((["--bogus"], 64, "unknown flag --bogus"), (["--amqp.bogus", "1"], 64, "unknown flag --amqp.bogus"),
                              (["--definitions.users", "x"], 64, "unknown flag"), (["--shards"], 64, "needs a value"),
                              (["start"], 64, "unexpected argument 'start'"), (["-v"], 64, "unexpected argument '-v'"),
                              (["--shards", "x", "--check"], 78, "--shards: shards: 'x' is not a whole number"),
                              (["--listen", "nonsense", "--check"], 78, "'nonsense' is not an address")):
        got, out, err = run(*words)
        equal((got, out), (code, ""), f"{words}: {err}")
        holds(text in err, f"{words}: {err}")


@case
def dump_reads_back():
    rich = """
listeners: [{address: '127.0.0.1:0', backlog: 7}, 'unix:/x/"y"#z']
tls_sets: [{name: 'a b', certfile: /c, keyfile: /k, certificates: [{certfile: /c2, keyfile: /k2}]}]
vm_memory_high_watermark: 2GiB
log: {connection: {level: debug}, format: json}
definitions:
  vhosts: [v1, {name: "v\\n2", tags: [a, b], description: 'it''s: #1'}]
  users: [{name: ü, password_hash: kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR, tags: [administrator]}]
  exchanges: [{name: e, type: topic, arguments: {alternate-exchange: x, n: 1, f: 1.5, b: true, v: null, s: '1'}}]
  queues: [{name: q, vhost: v1, durable: false, arguments: {x-max-length: 10}}]
  bindings: [{source: e, destination: q, routing_key: '*.#'}]
"""
    with directory(a=rich) as d:
        code, first, err = run("--config", f"{d}/a.yaml", "--dump-config")
        equal((code, err), (0, ""))
        with open(f"{d}/b.yaml", "w") as f:
            f.write(first)
        code, second, err = run("--config", f"{d}/b.yaml", "--dump-config")
        equal((code, err), (0, ""))

        def bare(out):
            return [re.sub(r" # (/.*:\d+|--.*|environment .*)$", "", line) for line in out.splitlines()]

        equal(bare(second), bare(first))


@case
def docs_name_every_key():
    with directory() as d:
        equal(run("--dump-docs", f"{d}/docs")[0], 0)
        with open(f"{d}/docs/config.md") as f:
            page = f.read()
        section, keys = [], []
        for line in run("--dump-config")[1].splitlines():
            m = re.match(r"^( *)(?:# )?([a-z_]+):( ?)", line)
            if not m:
                continue
            section = section[:len(m[1]) // 2] + [m[2]]
            keys.append(".".join(section))
        holds(len(keys) > 50, keys)
        missing = [k for k in keys if f"`{k}`" not in page and not any(o.startswith(k + ".") for o in keys)]
        equal(missing, [], "keys without a row")
        equal(run("--dump-docs", "/proc/none")[0], 73)
        equal(run("--dump-docs")[0], 64)


@case
def check_starts_nothing():
    b = Broker({"pid_file": "/nonexistent/pid", "log.file": "/nonexistent/log"}, ["192.0.2.1:1"])
    code, out, err = run("--check", "--config", b.path("jackalope.yaml"), "--data", b.data)
    equal((code, out, err), (0, "the configuration is good\n", ""))
    equal(sorted(os.listdir(b.dir)), ["jackalope.yaml"])
    shutil.rmtree(b.dir)


@case
def limits_of_amqp_are_those_of_the_configuration():
    with Broker({"amqp": {"heartbeat": 17, "channel_max": 33, "frame_max": "64KiB"}}) as b:
        client = Raw(b.port)
        client.greet()
        equal(client.login(), (33, 65536, 17))
        client.open().leave()


@case
def values_of_every_source_are_in_effect():
    b = Broker({"amqp.heartbeat": 11, "default_user": "op", "default_pass": "p1"}, env={"JACKALOPE_AMQP_CHANNEL_MAX": "44"},
               words=["--amqp.frame_max", "8192"])
    with b:
        client = Raw(b.port)
        client.greet()
        equal(client.login("op", "p1"), (44, 8192, 11))
        client.open().leave()
        shown = b.told("environment")
        holds("heartbeat: 11s" in shown and "channel_max: 44" in shown and "p1" not in shown, shown)
