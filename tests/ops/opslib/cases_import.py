"""RabbitMQ's configuration made one of ours: --import-rabbitmq-conf. Every setting is in the result, or named with its
place and the reason."""

import os
import re
import tempfile

from . import certs
from .broker import run
from .suite import case, equal, holds

LISTENERS = {"listeners": ['{address: ":5672"}']}


def convert(files, target="", **env):
    """(exit code, {key: value or [item, ...]}, notes) of files in a directory; the result has to be loaded."""
    with tempfile.TemporaryDirectory(prefix="jackalope-ops-") as d:
        for name, text in files.items():
            os.makedirs(os.path.dirname(f"{d}/{name}"), exist_ok=True)
            with open(f"{d}/{name}", "wb") as f:
                f.write(text if isinstance(text, bytes) else text.encode())
        code, out, err = run("--import-rabbitmq-conf", f"{d}/{target}" if target else d, **env)
        with open(f"{d}/jackalope.yaml", "w") as f:
            f.write(out)
        checked, _, problems = run("--check", "--config", f"{d}/jackalope.yaml")
        holds(checked == 0 or "the result: " in err, f"{problems}\nof\n{out}")
        keys, last = {}, None
        for line in out.replace(f"{d}/", "").splitlines():
            line = re.sub(r"  # .*", "", line)
            if line.startswith("  - "):
                keys[last].append(line[4:])
            elif line.startswith("    "):
                keys[last][-1] += "; " + line[4:]
            elif not line.startswith("#"):
                last, value = line.split(":", 1)
                keys[last] = value.strip() or []
        return code, keys, err.replace(f"{d}/", "").splitlines()


def one(text, **env):
    return convert({"rabbitmq.conf": text}, "rabbitmq.conf", **env)


@case
def an_empty_file():
    for text in ("", "\n", "# heartbeat = 1\n\n   ## more", "\ufeff"):
        equal(one(text), (0, LISTENERS, []))


@case
def keys_of_the_same_name():
    for setting, key, value in (
            ("heartbeat = 30", "amqp.heartbeat", "30s"),
            ("heartbeat=30# comment", "amqp.heartbeat", "30s"),
            ("  channel_max\t=  128  ", "amqp.channel_max", "128"),
            ("max_channels_per_connection = 7", "amqp.channel_max", "7"),
            ("max_connections = infinity", "connection_max", "infinity"),
            ("frame_max = 128KB", "amqp.frame_max", "128KiB"),
            ("consumer_timeout = 900000\r", "consumer_timeout", "900s"),
            ("vm_memory_high_watermark.relative = 0.6", "vm_memory_high_watermark", "0.6"),
            ("vm_memory_high_watermark.absolute = 2GB", "vm_memory_high_watermark", "2GB"),
            ("disk_free_limit.absolute = 50mb", "disk_free_limit", "50mb"),
            ("disk_free_limit.absolute = 50000", "disk_free_limit", "50000"),
            ("disk_free_limit.relative = 2.0", "disk_free_limit", "2.0"),
            ("total_memory_available_override_value = 2GB", "total_memory_available_override_value", "2GB"),
            ("default_pass = it's", "default_pass", '"it\'s"'),
            ("default_vhost = a: [b]", "default_vhost", '"a: [b]"'),
            ("tcp_listen_options.linger.on = true", "tcp_listen_options.linger.on", "true"),
            ("quorum_queue.property_equivalence.relaxed_checks_on_redeclaration = true",
             "quorum_queue.property_equivalence.relaxed_checks_on_redeclaration", "true"),
            ("event_exchange.vhost = a", "event_exchange.vhost", '"a"'),
            ("ssl_cert_login_from = subject_alt_name", "ssl_cert_login_from", "subject_alternative_name"),
            ("message_interceptors.incoming.set_header_timestamp.overwrite = true",
             "message_interceptors.incoming.set_header_timestamp.overwrite", "true"),
            ("runtime_parameters.limits.shovel = 5", "runtime_parameters.limits.shovel", "5"),
            ("default_queue_type = quorum", "default_queue_type", '"quorum"'),
            ("credential_validator.min_length = 9", "credential_validator.min_length", "9"),
            ("management.load_definitions = /a/b.json", "load_definitions", '"/a/b.json"'),
            ("default_users.mon-1.tags = monitoring , management", "default_users.mon-1.tags",
             '["monitoring", "management"]'),
            ("definitions.import_backend = rabbit_definitions_import_local_filesystem", "definitions.import_backend",
             "local_filesystem"),
            ("default_limits.vhosts.a.max_queues = 3", "default_limits.vhosts.a.max_queues", "3"),
            ("default_policies.operator.a.message_ttl = 1d12h", "default_policies.operator.a.message_ttl", "129600s"),
            ("default_policies.operator.a.max_length_bytes = 1KB", "default_policies.operator.a.max_length_bytes", "1KiB"),
            ("definitions.tls.versions.1 = tlsv1.3", "definitions.tls.versions", '["tlsv1.3"]')):
        equal(one(setting), (0, {**LISTENERS, key: value}, []), setting)


@case
def lists():
    for text, key, value in (
            ("auth_mechanisms.2 = PLAIN\nauth_mechanisms.10 = AMQPLAIN\nauth_mechanisms.1 = EXTERNAL",
             "auth_mechanisms", '["EXTERNAL", "PLAIN", "AMQPLAIN"]'),
            ("loopback_users.guest = false", "loopback_users", "[]"),
            ("loopback_users = none", "loopback_users", "[]"),
            ("loopback_users.a = true\nloopback_users.guest = false", "loopback_users", '["a"]'),
            ("loopback_users.john\\.doe = true", "loopback_users", '["john.doe"]'),
            ("default_user_tags.management = true\ndefault_user_tags.x = false", "default_user_tags", '["management"]'),
            ("auth_backends.1 = rabbit_auth_backend_internal", "auth_backends", '["internal"]'),
            ("auth_backends.1.authn = internal\nauth_backends.1.authz = internal", "auth_backends", '["internal"]')):
        equal(one(text), (0, {**LISTENERS, key: value}, []), text)
    code, keys, notes = one("auth_backends.1 = ldap\nauth_backends.2.authn = oauth2\nauth_backends.2.authz = internal")
    equal((code, keys["auth_backends"]), (0, '["internal"]'))
    equal([note.split(": ")[1] for note in notes], ["auth_backends.1", "auth_backends.2.authn"])


@case
def listeners():
    for text, items in (
            ("listeners.tcp.default = 5673", ['{address: ":5673"}']),
            ("listeners.tcp.1 = 127.0.0.1:5672\nlisteners.tcp.2 = ::1:5672",
             ['{address: "127.0.0.1:5672"}', '{address: "[::1]:5672"}']),
            ("listeners.tcp.a = unix:/run/r.sock:0\nlisteners.tcp.b = local:/run/s.sock:0",
             ['{address: "unix:/run/r.sock"}', '{address: "unix:/run/s.sock"}']),
            ("proxy_protocol = true", ['{address: ":5672", proxy_protocol: true}'])):
        equal(one(text), (0, {"listeners": items}, []), text)
    equal(one("listeners.tcp = none\nlisteners.ssl.1 = 5671")[1]["listeners"], ['{address: ":5671", tls: true}'])
    equal(one("", RABBITMQ_NODE_PORT="5680", RABBITMQ_NODE_IP_ADDRESS="::1")[1]["listeners"], ['{address: "[::1]:5680"}'])
    code, keys, notes = one("listeners.tcp.1 = 5672", RABBITMQ_NODE_PORT="5680")
    equal((code, keys, notes), (0, LISTENERS, ["environment: RABBITMQ_NODE_PORT: listeners.tcp counts"]))
    for value in ("0", "65536", "127.0.0.1", "localhost:", "a:b", "unix"):
        code, keys, notes = one(f"listeners.tcp.1 = {value}")
        equal((code, notes), (78, [f"rabbitmq.conf:1: listeners.tcp.1: '{value}' is neither PORT nor ADDRESS:PORT"]))


@case
def tls_and_http():
    cert = certs.server()
    files = "".join(f"{{0}}.{name}file = {path}\n" for name, path in (("cert", cert.cert), ("key", cert.key)))
    text = (files.format("ssl_options") + files.format("management.ssl") +
            "ssl_options.versions.1 = tlsv1.3\nssl_options.versions.2 = tlsv1.1\nssl_options.honor_ecc_order = true\n"
            "ssl_options.ciphers.1 = TLS_AES_256_GCM_SHA384\nssl_options.ciphers.2 = ECDHE-RSA-AES256-GCM-SHA384\n"
            "ssl_options.ciphers.3 = ECDHE-RSA-AES128-GCM-SHA256\nssl_options.verify = verify_none\nlisteners.ssl.1 = 5671\n"
            "management.ssl.port = 15671\nmanagement.tcp.port = 15672\nmanagement.tcp.ip = 127.0.0.1\n"
            "management.tcp.idle_timeout = 3\nmanagement.ssl.idle_timeout = 3\nprometheus.tcp.port = 9090\n")
    code, keys, notes = one(text)
    equal(code, 0, notes)
    equal(keys["listeners"], ['{address: ":5672"}', '{address: ":5671", tls: true}'])
    equal(keys["management.listeners"], ['{address: "127.0.0.1:15672"}', '{address: ":15671", tls: true, tls_set: management}'])
    equal(keys["prometheus.listeners"], ['{address: ":9090"}'])
    equal(keys["tls_sets"], [f'name: management; certfile: "{cert.cert}"; keyfile: "{cert.key}"'])
    equal(keys["ssl_options.versions"], "[tlsv1.3]")
    equal(keys["ssl_options.ciphersuites"], '"TLS_AES_256_GCM_SHA384"')
    equal(keys["ssl_options.ciphers"], '"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256"')
    equal(sorted(note.split(": ")[1] for note in notes),
          ["management.ssl.idle_timeout", "management.tcp.idle_timeout", "ssl_options.honor_ecc_order", "ssl_options.versions.2"])
    code, keys, notes = one("listeners.ssl.1 = 5671\n")
    equal((code, len(notes)), (78, 1), "TLS without a certificate is told of")
    holds(notes[0].startswith("the result: line 4: "), notes)


@case
def logs():
    for text, keys in (
            ("log.console = true\nlog.console.level = debug\nlog.console.formatter = json",
             {"log.output": "stderr", "log.level": "debug", "log.format": "json"}),
            ("log.file = false\nlog.console = true", {"log.output": "stderr"}),
            ("log.file = a.log\nlog.dir = /var/log/rabbitmq\nlog.file.level = notice",
             {"log.output": "file", "log.file": '"/var/log/rabbitmq/a.log"', "log.level": "info"}),
            ("log.file = /a/b.log\nlog.file.formatter = plaintext",
             {"log.output": "file", "log.file": '"/a/b.log"', "log.format": "text"}),
            ("log.journald = true", {"log.output": "journald"}),
            ("log.file.level = error", {"log.level": "error"}),
            ("log.exchange = true\nlog.exchange.level = alert",
             {"log_exchange.enabled": "true", "log_exchange.level": "critical"}),
            ("log.connection.level = none\nlog.default.level = warning",
             {"log.connection.level": "none", "log.default.level": "warning"})):
        equal(one(text), (0, {**LISTENERS, **keys}, []), text)
    code, keys, notes = one("log.file = a.log\nlog.dir = /a", RABBITMQ_LOG_BASE="/b")
    equal((code, keys["log.file"], notes), (0, '"/b/a.log"', ["rabbitmq.conf:2: log.dir: RABBITMQ_LOG_BASE counts"]))
    code, keys, notes = one("", RABBITMQ_LOGS="exchange:x")
    equal((code, keys), (78, LISTENERS), notes)
    equal(one("", RABBITMQ_LOGS="-", RABBITMQ_LOG="debug,queue=error")[1],
          {**LISTENERS, "log.output": "stderr", "log.level": "debug", "log.queue.level": "error"})
    code, keys, notes = one("log.file = a.log\nlog.console = true\nlog.console.level = info\nlog.upgrade.file = u.log\n"
                            "log.federation.level = debug\nlog.file.rotation.size = 9\nlog.syslog = true\nlog.file.level = <warning")
    equal((code, keys["log.file"], len(notes)), (78, '"/var/log/jackalope/a.log"', 8))


@case
def what_has_no_counterpart():
    """Each by its line, with a reason, and without a complaint."""
    settings = ("num_acceptors.tcp = 10", "vm_memory_high_watermark_paging_ratio = 0.5", "cluster_name = a", "net_ticktime = 60",
                "cluster_formation.k8s.host = h", "cluster_formation.consul.svc = s", "cluster_formation.dns.hostname = d",
                "cluster_partition_handling = autoheal", "queue_leader_locator = balanced", "queue_master_locator = min-masters",
                "mqtt.vhost = /", "mqtt.listeners.tcp.default = 1883", "stomp.default_user = guest", "web_mqtt.tcp.port = 15675",
                "web_stomp.tcp.port = 15674", "stream.listeners.tcp.1 = 5552", "federation.pool_size = 1",
                "shovel.delete_after_duration_floor = 60", "auth_ldap.servers.1 = s", "auth_http.user_path = http://h/u",
                "auth_oauth2.resource_server_id = r", "auth_cache.cache_ttl = 1", "trust_store.directory = /d",
                "management.path_prefix = /p", "management.cors.allow_origins.1 = *",
                "management.sample_retention_policies.global.minute = 5", "management.csp.policy = default-src 'self'",
                "prometheus.return_per_object_metrics = true", "collect_statistics_interval = 5000", "node_tags.a = b",
                "background_gc_enabled = false", "raft.wal_max_size_bytes = 1048576", "quorum_queue.commands_soft_limit = 32",
                "queue_index_embed_msgs_below = 4kb", "product.name = x", "motd_file = /m", "deprecated_features.permit.a = true",
                "log.file.rotation.count = 5", "log.syslog.ip = 10.0.0.1", "ssl_options.client_renegotiation = false",
                "mnesia_table_loading_retry_limit = 1", "distribution.listener.port_range.min = 1", "tcp_listen_options.tos = 1",
                "socket_writer.gc_threshold = off", "metadata_store.khepri.default_timeout = 1", "tracing.dir = /t")
    code, keys, notes = one("\n".join(settings))
    equal((code, keys), (0, LISTENERS))
    found = {}
    for note in notes:
        place, key, reason = note.split(": ", 2)
        found[key] = place, len(reason) > 10
    equal(found, {setting.split(" = ")[0]: (f"rabbitmq.conf:{i + 1}", True) for i, setting in enumerate(settings)})


@case
def wrong_keys_and_values():
    for text, note in (
            ("hartbeat = 5", "hartbeat: is not known; did you mean 'amqp.heartbeat'?"),
            ("zzzzzz.x = 1", "zzzzzz.x: is not known"),
            ("listeners.udp.1 = 1", "listeners.udp.1: is not known"),
            ("ssl_options.certifile = /c", "ssl_options.certifile: is not known"),
            ("heartbeat = soon", "heartbeat: 'soon' is not a duration such as 60, 60s or 2min"),
            ("vm_memory_high_watermark.relative = 7", "vm_memory_high_watermark.relative: '7' is out of range, at most 1"),
            ("disk_free_limit.absolute = lots", "disk_free_limit.absolute: 'lots' is not a size such as 4096, 64MB or 1GiB"),
            ("proxy_protocol = yes", "proxy_protocol: is neither true nor false"),
            ("loopback_users.guest = 1", "loopback_users.guest: is neither true nor false"),
            ("auth_mechanisms.1 = GSSAPI", None),
            ("log.console.level = loud", "log.console.level: 'loud' is not a level"),
            ("heartbeat", "'heartbeat' is not KEY = VALUE"),
            ("heartbeat =", "heartbeat: has no value, or something follows it"),
            ("heartbeat = # 5", "heartbeat: has no value, or something follows it"),
            ("default_pass = 'a' b", "default_pass: has no value, or something follows it"),
            ("= 5", "what stands before '=' is not a key"),
            ("a b = 5", "what stands before '=' is not a key"),
            ("include nowhere.conf", None),
            ("default_pass = encrypted:abcd", None),
            ("default_user = $(USER)", None)):
        code, keys, notes = one(f"\n{text}\n")
        keys.pop("loopback_users", None)
        equal((code, keys, len(notes)), (78, LISTENERS, 1), text)
        holds(notes[0].startswith("rabbitmq.conf:2: "), notes)
        holds(not note or notes[0] == f"rabbitmq.conf:2: {note}", notes)
    holds("hidden" not in "".join(one("default_pass = encrypted:hidden")[2]), "a secret is told")
    equal(one("default_pass = \"x\"")[1:], ({**LISTENERS, "default_pass": '"\\"x\\""'},
          ["rabbitmq.conf:1: default_pass: the quotation marks are part of the value, as in RabbitMQ"]))
    equal(run("--import-rabbitmq-conf", "/nowhere/rabbitmq.conf")[0::2],
          (78, "/nowhere/rabbitmq.conf: cannot be read: No such file or directory\n"))
    for text in (b"heartbeat = \xff\xfe", b"heartbeat = 5\0\n", b"\0\0\0", b"a" * 100000, b"a" * 100000 + b" = 1", b"=" * 5000):
        equal(one(text)[0], 78, text[:20])


@case
def the_last_one_counts():
    code, keys, notes = convert({"rabbitmq.conf": "heartbeat = 1\nheartbeat = 2\ninclude more/*.conf\nvm_memory_high_watermark.relative = 0.3",
                                 "more/b.conf": "channel_max = 5", "conf.d/20.conf": "heartbeat = 4", "conf.d/10.conf": "heartbeat = 3",
                                 "conf.d/30.conf~": "heartbeat = 9", "conf.d/40.conf": "vm_memory_high_watermark.absolute = 1GB",
                                 "advanced.config": "[{rabbit, [{heartbeat, 5}]}]."})
    equal((code, keys), (0, {**LISTENERS, "amqp.heartbeat": "5s", "amqp.channel_max": "5", "vm_memory_high_watermark": "0.3"}))
    equal(notes, ["rabbitmq.conf:1: heartbeat: rabbitmq.conf:2 counts", "rabbitmq.conf:2: heartbeat: conf.d/10.conf:1 counts",
                  "conf.d/10.conf:1: heartbeat: conf.d/20.conf:1 counts", "conf.d/20.conf:1: heartbeat: advanced.config:1 counts",
                  "conf.d/40.conf:1: vm_memory_high_watermark.absolute: vm_memory_high_watermark.relative counts"])
    code, keys, notes = convert({"rabbitmq.conf": "max_connections = 5\nconnection_max = 6"})
    equal((code, keys["connection_max"], len(notes)), (0, "6", 1))
    equal(convert({"rabbitmq.conf": "include rabbitmq.conf"})[0], 78, "a file that includes itself")


@case
def advanced_config():
    code, keys, notes = convert({"rabbitmq.conf": "", "advanced.config": """%% of before 3.7
[{rabbit, [{tcp_listeners, [5672, {"127.0.0.1", 5673}, {"::1", 5674}]}, {ssl_listeners, []},
  {vm_memory_high_watermark, {absolute, "2GB"}}, {disk_free_limit, {mem_relative, 1.5}},
  {loopback_users, [<<"guest">>, 'x']}, {default_user_tags, [administrator]}, {auth_mechanisms, ['PLAIN', 'AMQPLAIN']},
  {default_permissions, [<<".*">>, <<"w">>, <<"r">>]}, {ssl_options, [{depth, 3}, {versions, ['tlsv1.2']}]},
  {log, [{console, [{enabled, true}, {level, debug}]}, {categories, [{connection, [{level, error}]}]}]},
  {default_pass, <<"p\\"w">>}, {cluster_nodes, {['a@b'], disc}}, {credit_flow, #{a => 1}}]},
 {rabbitmq_management, [{listener, [{port, 8080}, {ip, "127.0.0.1"}]}]},
 {kernel, [{net_ticktime, 60}]}, {rabbitmq_shovel, [{shovels, [{a, []}]}]}, {empty, []}].
"""})
    equal(keys, {"listeners": ['{address: ":5672"}', '{address: "127.0.0.1:5673"}', '{address: "[::1]:5674"}'],
                 "management.listeners": ['{address: "127.0.0.1:8080"}'], "vm_memory_high_watermark": "2GB", "disk_free_limit": "1.5",
                 "loopback_users": '["guest", "x"]', "default_user_tags": '["administrator"]',
                 "auth_mechanisms": '["PLAIN", "AMQPLAIN"]', "default_permissions.configure": '".*"',
                 "default_permissions.write": '"w"', "default_permissions.read": '"r"', "ssl_options.depth": "3",
                 "ssl_options.versions": "[tlsv1.2]", "log.output": "stderr", "log.level": "debug",
                 "log.connection.level": "error", "default_pass": '"p\\"w"'})
    equal((code, sorted(note.split(": ")[1] for note in notes)),
          (78, ["cluster_nodes", "credit_flow", "kernel.net_ticktime", "rabbitmq_shovel.shovels.a"]))
    holds(any(note.startswith("advanced.config:7: credit_flow: is a term") for note in notes), notes)
    for text in ("", "[]", "[].", "%x\n"):
        equal(convert({"a.config": text}, "a.config")[0], 78 if text == "[]" else 0, text)
    for text in ("[{rabbit, [}].", "[{rabbit, [{a, \"b}]}].", "[{rabbit, [{a, Foo}]}].", "{rabbit, []}.", "[1].", "[" * 5000,
                 "[{rabbit, [{heartbeat 5}]}].", "[{rabbit, [{heartbeat, fun() -> ok end}]}]."):
        code, keys, notes = convert({"a.config": text}, "a.config")
        equal((code, keys), (78, LISTENERS), text[:40])
        holds(notes[0].startswith("a.config:1: "), notes)


@case
def environment_and_plugins():
    code, keys, notes = convert({
        "rabbitmq-env.conf": "# comment\nNODENAME=bunny@host\nexport RABBITMQ_NODE_PORT=\"5680\"  # a\nLOG_BASE=/logs\nPID_FILE='/p'\n"
                             "SERVER_ADDITIONAL_ERL_ARGS='+S 4'\nMNESIA_BASE=/m\nUSE_LONGNAME=true\n",
        "enabled_plugins": "[rabbitmq_management, rabbitmq_prometheus,\n rabbitmq_mqtt,rabbitmq_event_exchange].\n",
        "rabbitmq.conf": ""}, RABBITMQ_NODENAME="env@host", RABBITMQ_DEFAULT_USER="me")
    equal((code, keys), (0, {
        "node_name": '"env@host"', "listeners": ['{address: ":5680"}'], "pid_file": '"/p"', "default_user": '"me"',
        "log.output": "file", "log.file": '"/logs/jackalope.log"', "event_exchange.enabled": "true",
        "management.listeners": ['{address: ":15672"}'], "prometheus.listeners": ['{address: ":15692"}']}))
    equal(sorted(note.split(": ")[0] + " " + note.split(": ")[1] for note in notes), [
        "enabled_plugins:2 enabled_plugins.rabbitmq_mqtt",
        "rabbitmq-env.conf:2 RABBITMQ_NODENAME", "rabbitmq-env.conf:6 RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
        "rabbitmq-env.conf:7 RABBITMQ_MNESIA_BASE", "rabbitmq-env.conf:8 RABBITMQ_USE_LONGNAME"])
    for line in ("X=$(hostname)", "if true; then", "A=a b", "NODENAME=r@$HOSTNAME", "A='b"):
        code, keys, notes = convert({"rabbitmq-env.conf": line}, "rabbitmq-env.conf")
        equal((code, keys, notes), (78, LISTENERS, ["rabbitmq-env.conf:1: needs a shell, which is not run here"]), line)
    with tempfile.TemporaryDirectory() as d:
        with open(f"{d}/other.conf", "w") as f:
            f.write("heartbeat = 7\n")
        equal(convert({"rabbitmq.conf": "heartbeat = 1"}, RABBITMQ_CONFIG_FILE=f"{d}/other")[1]["amqp.heartbeat"], "7s")
    code, _, notes = one("", RABBITMQ_CONFIG_FILE="/x")
    equal((code, notes), (78, ["environment: RABBITMQ_CONFIG_FILE: names another file: convert the directory, or that file too"]))


@case
def which_setting_counts():
    """As cuttlefish's schema of RabbitMQ has it: a share before a size, `none` before single items, in either order."""
    for text, key, value, left in (
            ("vm_memory_high_watermark.absolute = 1GB\nvm_memory_high_watermark.relative = 0.3", "vm_memory_high_watermark", "0.3", 1),
            ("disk_free_limit.relative = 1.5\ndisk_free_limit.absolute = 1GB", "disk_free_limit", "1.5", 1),
            ("loopback_users = none\nloopback_users.guest = true", "loopback_users", "[]", 1),
            ("loopback_users.guest = true\nloopback_users = none", "loopback_users", "[]", 1),
            ("listeners.tcp = none\nlisteners.tcp.1 = 5672\nlisteners.tcp.2 = 5673", "listeners", "[]", 2),
            ("listeners.tcp.1 = 5672\nlisteners.tcp = none", "listeners", "[]", 1),
            ("listeners.ssl.1 = 5671\nlisteners.ssl = none", "listeners", LISTENERS["listeners"], 1)):
        code, keys, notes = one(text)
        equal((code, keys[key], len(notes)), (0, value, left), (text, notes))


@case
def web_listeners_without_a_port():
    """Any option of a section makes its listener, as in the plug-in: TLS alone is not answered without TLS."""
    cert = certs.server()
    files = f"management.ssl.certfile = {cert.cert}\nmanagement.ssl.keyfile = {cert.key}\n"
    tls = '{address: ":15671", tls: true, tls_set: management}'
    for text, items in ((files, [tls]), (files + "management.tcp.compress = true", ['{address: ":15672"}', tls]),
                        (files + "management.tcp.port = 8080\nmanagement.listener.port = 9090", ['{address: ":8080"}', tls]),
                        ("management.tcp.ip = ::1", ['{address: "[::1]:15672"}']), ("management.path_prefix = /a", ['{address: ":15672"}'])):
        code, keys, notes = convert({"rabbitmq.conf": text, "enabled_plugins": "[rabbitmq_management]."})
        equal((code, keys["management.listeners"]), (0, items), (text, notes))
    equal(one("prometheus.tcp.idle_timeout = 5")[1]["prometheus.listeners"], ['{address: ":15692"}'])


@case
def advanced_config_replaces_whole_keys():
    """What a key of an application said before is gone, and each setting that goes is named."""
    conf = ("listeners.tcp.1 = 5672\nloopback_users.guest = true\nvm_memory_high_watermark.relative = 0.3\nssl_options.depth = 5\n"
            "log.dir = /l\nlog.console = true\n")
    code, keys, notes = convert({"rabbitmq.conf": conf, "advanced.config": """[{rabbit, [{tcp_listeners, []},
        {loopback_users, [<<"ops">>]}, {vm_memory_high_watermark, {absolute, 1000000}}, {ssl_options, [{verify, verify_none}]},
        {log, [{file, [{file, "a.log"}]}]}, {heartbeat, 5}, {heartbeat, 6}]}]."""})
    equal((code, keys), (0, {"listeners": "[]", "loopback_users": '["ops"]', "vm_memory_high_watermark": "1000000",
                             "ssl_options.verify": "verify_none", "log.output": "file", "log.file": '"/l/a.log"',
                             "amqp.heartbeat": "6s"}), notes)
    equal(sorted(note.split(": ")[1] for note in notes),
          ["heartbeat", "listeners.tcp.1", "log.console", "loopback_users.guest", "ssl_options.depth", "vm_memory_high_watermark.relative"])
    code, keys, notes = convert({"advanced.config": """[{rabbit, [{auth_backends, [{rabbit_auth_backend_ldap, rabbit_auth_backend_internal}]},
        {tcp_listen_options, [binary, {packet, raw}, {linger, {true, 0}}, {backlog, 7}]}]}]."""})
    equal((code, keys), (0, {**LISTENERS, "auth_backends": '["internal"]', "tcp_listen_options.linger.on": "true",
                             "tcp_listen_options.linger.timeout": "0s", "tcp_listen_options.backlog": "7"}), notes)
    equal(sorted(note.split(": ")[1] for note in notes),
          ["auth_backends.1.authn", "tcp_listen_options.binary", "tcp_listen_options.packet"])
    equal(convert({"rabbitmq.conf": "consumer_timeout = 5000", "advanced.config": "[{rabbit, [{consumer_timeout, undefined}]}]."}),
          (0, {**LISTENERS, "consumer_timeout": "0s"}, ["rabbitmq.conf:1: consumer_timeout: advanced.config:1 counts"]), "no timeout")
    code, keys, notes = convert({"advanced.config": "[{rabbit, [heartbeat]}]."})
    equal((code, keys, notes), (78, LISTENERS, ["advanced.config:1: rabbit: is not {KEY, VALUE}"]))


@case
def erlang_texts():
    for text, value in ((r'<<"a\x41\x{20ac}\101\s\"">>', r'"aA\u20acA \""'), (r'"\^a\d\v\t"', r'"\u0001\u007f\u000b\u0009"'),
                        (r'"\q\\"', r'"q\\"')):
        code, keys, notes = convert({"a.config": f"[{{rabbit, [{{default_pass, {text}}}]}}]."}, "a.config")
        equal((code, keys["default_pass"].replace("\u20ac", r"\u20ac")), (0, value), (text, notes))
    for text in (r'"a\0b"', '"a\0b"', r'"a\x{110000}"', r'"a\x{d800}"', r'"a\xg"', '"a\\\0"'):
        code, keys, notes = convert({"a.config": f"[{{rabbit, [{{default_pass, {text}}}]}}]."}, "a.config")
        equal((code, keys, notes), (78, LISTENERS, ["a.config:1: a quotation has a character that no setting may have"]), text)
    code, _, notes = convert({"a.config": "[{rabbit, [{heartbeat, 5}]}].\n[{rabbit, [{channel_max, 5}]}].\n"}, "a.config")
    equal((code, notes), (78, ["a.config:2: something follows the one term that such a file has"]))


@case
def which_files_are_read():
    def heartbeat(files, **env):
        code, keys, notes = convert(files, **env)
        return code, keys.get("amqp.heartbeat"), notes
    equal(heartbeat({"conf.d/10-defaults.conf": "heartbeat = 1"}), (0, "1s", []))
    equal(heartbeat({"advanced.config": "[{rabbit, [{heartbeat, 2}]}]."}), (0, "2s", []))
    code, _, notes = heartbeat({"other": ""})
    equal((code, len(notes), notes[0].endswith(": has none of RabbitMQ's files")), (78, 1, True), notes)
    old = "[{rabbit, [{heartbeat, 3}]}]."
    equal(heartbeat({"rabbitmq.config": old, "rabbitmq.conf": "heartbeat = 1", "conf.d/1.conf": "heartbeat = 2",
                     "advanced.config": "[{rabbit, [{heartbeat, 4}]}]."}),
          (0, "3s", ["rabbitmq.conf: is not read by RabbitMQ beside rabbitmq.config",
                     "advanced.config: is not read by RabbitMQ beside rabbitmq.config",
                     "conf.d/1.conf:1: heartbeat: rabbitmq.config:1 counts"]))
    with tempfile.TemporaryDirectory() as d:
        for name, text in (("old.config", old), ("20.conf", "heartbeat = 7"), ("30", "heartbeat = 8")):
            with open(f"{d}/{name}", "w") as f:
                f.write(text)
        equal(heartbeat({"rabbitmq.conf": "heartbeat = 1"}, RABBITMQ_CONFIG_FILE=f"{d}/old"), (0, "3s", []))
        equal(heartbeat({"rabbitmq.conf": "heartbeat = 1"}, RABBITMQ_CONFIG_FILE=f"{d}/old.config"), (0, "3s", []))
        os.remove(f"{d}/old.config")
        equal(heartbeat({"a": ""}, RABBITMQ_CONFIG_FILES=d)[:2], (0, "8s"), "a directory that is named counts with all files")
    for variable in ("RABBITMQ_CONFIG_FILE", "RABBITMQ_CONFIG_FILES", "RABBITMQ_ADVANCED_CONFIG_FILE", "RABBITMQ_ENABLED_PLUGINS_FILE"):
        equal(heartbeat({"rabbitmq.conf": ""}, **{variable: "/nowhere/x"}),
              (78, None, [f"environment: {variable}: there is no file '/nowhere/x'"]))
    equal(one("include conf.d/*.conf\ninclude\tconf.e/*.conf"), (0, LISTENERS, []), "a pattern may match nothing")


@case
def variables():
    equal(convert({"rabbitmq.conf": "", "rabbitmq-env.conf": "NODE_PORT=\nPID_FILE=''\n"}, RABBITMQ_DEFAULT_USER="", RABBITMQ_LOGS=""),
          (0, LISTENERS, []), "an empty variable is none")
    for name in ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "RABBITMQ_SERVER_START_ARGS"):
        equal(one("", **{name: "+S 4 -rabbit consumer_timeout 36000000"}),
              (78, LISTENERS, [f"environment: {name}: sets keys with -rabbit..., which have to be written by hand"]))
        equal(one("", **{name: "+S 4"})[0::2], (0, [f"environment: {name}: it is about the Erlang runtime"]))
    for name in ("RABBITMQ_DEFAULT_PASS_FILE", "RABBITMQ_VM_MEMORY_HIGH_WATERMARK", "RABBITMQ_SSL_CERTFILE", "RABBITMQ_MANAGEMENT_SSL_KEYFILE"):
        code, keys, notes = one("", **{name: "x"})
        equal((code, keys, len(notes)), (78, LISTENERS, 1), name)


@case
def secrets_are_not_told():
    for text in ("default_pass hidden", "default_pass: hidden", "default_pass : 'hidden'", "ssl_options.password\thidden"):
        code, _, notes = one(text)
        equal((code, "hidden" in "".join(notes)), (78, False), text)
    equal(one("default_pass = 'a # b'  # comment"), (0, {**LISTENERS, "default_pass": '"a # b"'}, [
        "rabbitmq.conf:1: default_pass: the apostrophes are not part of the value, as in RabbitMQ from 3.13.7 on"]))
