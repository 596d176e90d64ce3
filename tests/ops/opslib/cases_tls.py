"""TLS as the operator sets it up: certificates, names, versions, ciphers, reload, what speaks no TLS."""

import hashlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading

from . import certs
from .broker import Broker, round_trip, run
from .certs import authority, make, once, path, serial_of, server, trusting
from .raw import Raw, Refused, dial, end_of
from .suite import case, equal, holds, refused, until

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def listener(**more):
    return {"address": "127.0.0.1:0", "tls": True, **more}


def options(certificate=None, **more):
    return {**(certificate or server()).pair(), **more}


def shake(port, context=None, name="localhost"):
    """A TLS socket."""
    return (context or trusting()).wrap_socket(dial(port), server_hostname=name)


def serial_at(port, context=None, name="localhost"):
    with shake(port, context or trusting(check=False), name) as s:
        return serial_of(s.getpeercert(True))


@case
def certificates_that_expire_are_found():
    late = make("late-server", names=["DNS:localhost"], issuer=authority(), days=-1)
    check = ("check_certificate_expiration", "--within")
    with Broker({"ssl_options": options()}, [listener()]) as b:
        holds("No certificates are expiring within 2 days." in b.ctl(*check, "2", "--unit", "days")[1], "a good one")
        done = b.ctl(*check, "2", "--unit", "months", "--formatter", "json")
        expired = json.loads(done[2])["expired"]
        equal((done[0], {(one["protocol"], one["port"]) for one in expired}), (69, {("amqp/ssl", b.port)}))
        holds(server().cert in [one.get("certfile") for one in expired], expired)
        b.reload({"ssl_options": options(late)})
        done = b.ctl(*check, "0")
        equal(done[0], 69)
        holds("late-server" in done[2] and "expired on 2020-01-02 00:00:00" in done[2], done[2])


@case
def pika_over_tls():
    with Broker({"ssl_options": options()}, [listener(), "127.0.0.1:0", listener(address="[::1]:0")]) as b:
        equal([p for _, _, p in b.listeners()], ["amqp/ssl", "amqp", "amqp/ssl"])
        ports = b.ports()
        secret, plain = b.pika(ports[0], tls=trusting()), b.pika(ports[1])
        six = b.pika(ports[2], host="::1", tls=trusting())
        for connection in (secret, plain, six):
            round_trip(connection)
        columns = ("ssl", "ssl_protocol", "ssl_cipher", "peer_cert_subject", "port", "host", "ssl_key_exchange", "ssl_hash")
        rows = {row["port"]: row for row in b.connections(*columns)}
        row = rows[ports[0]]
        equal((row["ssl_key_exchange"], row["ssl_hash"]), ("any", "aead"))
        cipher = secret._impl._transport._sock.cipher()[0]
        equal((row["ssl"], row["ssl_protocol"], row["ssl_cipher"], row["peer_cert_subject"], row["host"]),
              (True, "tlsv1.3", cipher, "", "127.0.0.1"))
        equal((rows[ports[1]]["ssl"], rows[ports[1]]["ssl_protocol"], rows[ports[1]]["ssl_cipher"]), (False, "", ""))
        equal(rows[ports[2]]["host"], "::1")
        for connection in (secret, plain, six):
            connection.close()


@case
def the_port_for_whom_does_not_trust():
    with Broker({"ssl_options": options()}, [listener()]) as b:
        since = b.mark()
        with refused(ssl.SSLCertVerificationError, text="unable to get local issuer"):
            shake(b.port, ssl.create_default_context())
        b.logged(r"TLS handshake failed: .*unknown ca", since)
        with refused(ssl.SSLCertVerificationError, text="Hostname mismatch"):
            shake(b.port, name="elsewhere.example")
        Raw(b.port, tls=trusting()).connect().leave()


@case
def rsa_and_ecdsa_of_one_name():
    rsa, ec = server("rsa"), server("ec")
    with Broker({"ssl_options": options(rsa, certificates=[ec.pair()])}, [listener()]) as b:
        port = b.port
        for ciphers, wanted in (("ECDHE-RSA-AES128-GCM-SHA256", rsa), ("ECDHE-ECDSA-AES128-GCM-SHA256", ec)):
            context = trusting(versions=(TLS12, TLS12), ciphers=ciphers)
            equal(serial_at(port, context), wanted.serial, ciphers)
            client = Raw(port, tls=context).connect()
            row, = b.connections("ssl_cipher", "ssl_key_exchange", "ssl_hash")
            equal(row, {"ssl_cipher": ciphers, "ssl_key_exchange": f"ecdhe_{ciphers.split('-')[1].lower()}", "ssl_hash": "aead"})
            client.leave()
            until(lambda: not b.connections(), "it is gone")
        # TLS 1.3 chooses by the client's signature algorithms
        for algorithms, wanted in (("rsa_pss_rsae_sha256", rsa), ("ecdsa_secp256r1_sha256", ec)):
            done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost",
                                   "-tls1_3", "-sigalgs", algorithms], stdin=subprocess.DEVNULL, capture_output=True,
                                  text=True, timeout=20, check=False)
            pem = done.stdout[done.stdout.index("-----BEGIN"):done.stdout.index("-----END CERTIFICATE-----") + 26]
            equal(serial_of(ssl.PEM_cert_to_DER_cert(pem)), wanted.serial, algorithms)


@case
def several_names():
    one = once("one", names=["DNS:one.example", "DNS:uno.example"], issuer=authority())
    two = once("two", names=["DNS:two.example"], issuer=authority())
    two_rsa = once("two-rsa", common="two", names=["DNS:two.example"], kind="rsa", issuer=authority())
    wild = once("wild", names=["DNS:*.wild.example"], issuer=authority())
    exact = once("exact", names=["DNS:exact.wild.example"], issuer=authority())
    further = [c.pair() for c in (one, two, two_rsa, wild, exact)]
    with Broker({"ssl_options": options(certificates=further)}, [listener()]) as b:
        port = b.port
        for name, wanted in (("localhost", server()), ("one.example", one), ("uno.example", one), ("two.example", two),
                             ("ONE.example", one), ("a.wild.example", wild), ("exact.wild.example", exact),
                             ("unknown.example", server()), ("a.b.wild.example", server()), (None, server())):
            equal(serial_at(port, name=name), wanted.serial, f"serial for {name}")
        rsa_only = trusting(versions=(TLS12, TLS12), ciphers="ECDHE-RSA-AES128-GCM-SHA256")
        equal(serial_at(port, rsa_only, "two.example"), two_rsa.serial)
        for name in ("one.example", "a.wild.example"):  # the client checks it, too
            Raw(port, tls=trusting(), name=name).connect().leave()


@case
def oldest_version():
    with Broker({"ssl_options": options(min_version="1.3"), "tls_sets": [{"name": "old", **options()}]},
                [listener(), listener(address="127.0.0.1:0", tls_set="old")]) as b:
        new, old = b.ports()
        old_client, new_client = trusting(versions=(TLS12, TLS12)), trusting(versions=(TLS13, TLS13))
        since = b.mark()
        with refused(ssl.SSLError, text="PROTOCOL_VERSION"):
            shake(new, old_client)
        b.logged("TLS handshake failed: unsupported protocol", since)
        for port, context, version in ((new, new_client, "tlsv1.3"), (old, old_client, "tlsv1.2"),
                                       (old, new_client, "tlsv1.3")):
            client = Raw(port, tls=context).connect()
            equal([r["ssl_protocol"] for r in b.connections("ssl_protocol")], [version])
            client.leave()
            until(lambda: not b.connections(), "it is gone")
        for versions, context in ((["tlsv1.2"], new_client), (["tlsv1.3"], old_client)):
            b.reload({"ssl_options": options(min_version="1.3", versions=versions),
                      "tls_sets": [{"name": "old", **options()}]})
            with refused(ssl.SSLError, text="PROTOCOL_VERSION"):
                shake(new, context)
        ancient = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{old}", "-tls1_1", "-cipher",
                                  "DEFAULT@SECLEVEL=0"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                 timeout=20, check=False)
        holds(ancient.returncode != 0 and "alert protocol version" in ancient.stderr, "TLS 1.1 is refused")


@case
def ciphers():
    wanted = options(ciphers="ECDHE-ECDSA-AES256-GCM-SHA384", ciphersuites="TLS_CHACHA20_POLY1305_SHA256")
    with Broker({"ssl_options": wanted}, [listener()]) as b:
        port = b.port
        equal(shake(port).cipher()[0], "TLS_CHACHA20_POLY1305_SHA256")
        equal(shake(port, trusting(versions=(TLS12, TLS12))).cipher()[0], "ECDHE-ECDSA-AES256-GCM-SHA384")
        since = b.mark()
        with refused(ssl.SSLError):
            shake(port, trusting(versions=(TLS12, TLS12), ciphers="ECDHE-ECDSA-AES128-GCM-SHA256"))
        b.logged("TLS handshake failed: no shared cipher", since)


@case
def sets_of_options():
    """Two TLS ports with different certificates and rules beside a plain one."""
    other = once("other-server", common="localhost", names=["DNS:localhost"], issuer=authority())
    strict = {"name": "strict", **options(other), "cacertfile": authority().cert, "verify": "verify_peer",
              "fail_if_no_peer_cert": True}
    with Broker({"ssl_options": options(), "tls_sets": [strict]}, [listener(), listener(address="127.0.0.1:0", tls_set="strict"), "127.0.0.1:0"]) as b:
        lax, strict_port, plain = b.ports()
        equal(serial_at(lax), server().serial)
        with_cert = trusting(certs.client())
        equal(serial_at(strict_port, with_cert), other.serial)
        with refused(ssl.SSLError, Refused, ConnectionError):
            Raw(strict_port, tls=trusting()).connect()
        for client in (Raw(lax, tls=trusting()), Raw(strict_port, tls=with_cert), Raw(plain)):
            client.connect().leave()


@case
def key_with_a_password():
    locked = once("locked", common="localhost", names=["DNS:localhost"], issuer=authority(), password="open sesame")
    with Broker({"ssl_options": options(locked, password="open sesame")}, [listener()]) as b:
        Raw(b.port, tls=trusting()).connect().leave()
        holds("sesame" not in b.told("environment") + b.log(), "the password is shown nowhere")
    with open(path("secret"), "w") as f:
        f.write("open sesame\nand no more\n")
    with Broker({"ssl_options": options(locked, password_file=path("secret"))}, [listener()]) as b:
        Raw(b.port, tls=trusting()).connect().leave()
    for password in ("wrong", ""):
        b = Broker({"ssl_options": options(locked, password=password)}, [listener()])
        code, _, err = run("--check", "--config", b.path("jackalope.yaml"))
        equal(code, 78)
        holds(f"cannot load the key {locked.key}" in err, err)
        shutil.rmtree(b.dir)


@case
def files_that_do_not_fit():
    stray = once("stray", issuer=authority())
    broken = path("broken.pem")
    with open(broken, "w") as f:
        f.write("-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----\n")
    good = server()
    for pair, text in (((good.cert, stray.key), f"the key {stray.key} is not that of certificate {good.cert}"),
                       ((broken, good.key), f"cannot load the certificate {broken}"),
                       (("/nonexistent", good.key), "cannot load the certificate /nonexistent: No such file"),
                       ((good.key, good.key), f"cannot load the certificate {good.key}: no start line"),
                       ((good.cert, good.cert), f"cannot load the key {good.cert}")):
        b = Broker({"ssl_options": {"certfile": pair[0], "keyfile": pair[1]}}, [listener()])
        code, _, err = run("--check", "--config", b.path("jackalope.yaml"))
        equal((code, err.count("\n")), (78, 1), err)
        holds(text in err, err)
        code, _, err = run("--data", b.data, "--config", b.path("jackalope.yaml"))
        equal(code, 69, err)
        holds(text in err, err)
        shutil.rmtree(b.dir)
    b = Broker({}, [listener()])
    code, _, err = run("--check", "--config", b.path("jackalope.yaml"))
    equal(code, 78)
    holds("tls needs a certificate in ssl_options" in err, err)
    shutil.rmtree(b.dir)


def put(certificate, name):
    """The certificate's files under another name."""
    for ending, source in ((".pem", certificate.cert), (".key", certificate.key)):
        shutil.copy(source, path(f"new-{name}{ending}"))
        os.replace(path(f"new-{name}{ending}"), path(name + ending))
    return {"certfile": path(name + ".pem"), "keyfile": path(name + ".key")}


@case
def certificates_change_and_connections_stay():
    first = make("renew-1", common="localhost", names=["DNS:localhost"], issuer=authority())
    second = make("renew-2", common="localhost", names=["DNS:localhost"], kind="rsa", issuer=authority())
    pair = put(first, "renewed")
    with Broker({"ssl_options": pair}, [listener()], shards=3) as b:
        port = b.port
        olds = [b.pika(port, tls=trusting()) for _ in range(3)]
        equal(serial_at(port), first.serial)
        ended, sent, stop = [], [0], threading.Event()

        def traffic():
            try:
                connection = b.pika(port, tls=trusting())
                while not stop.is_set():
                    round_trip(connection, "busy", b"z" * 30000)
                    sent[0] += 1
                connection.close()
            except Exception as error:  # told by the case
                ended.append(error)

        thread = threading.Thread(target=traffic)
        thread.start()
        until(lambda: sent[0] > 3 or ended, "traffic")
        put(second, "renewed")
        said = b.reload()
        holds("TLS certificates of ssl_options were read again" in said and "0 keys changed" in said, said)
        equal(serial_at(port), second.serial)
        before = sent[0]
        until(lambda: sent[0] > before + 3 or ended, "traffic goes on")
        stop.set()
        thread.join()
        equal(ended, [])
        for connection in olds:
            round_trip(connection)
            connection.close()
        holds("no longer listening" not in b.log(), "the port stayed open")


@case
def broken_certificate_at_reload():
    first = make("stay-1", common="localhost", names=["DNS:localhost"], issuer=authority())
    second = make("stay-2", common="localhost", names=["DNS:localhost"], issuer=authority())
    pair = put(first, "stays")
    with Broker({"ssl_options": pair}, [listener()]) as b:
        port = b.port
        old = Raw(port, tls=trusting()).connect()
        for spoil, text in ((lambda: open(pair["certfile"], "w").write("rubbish"), "no start line"),
                            (lambda: shutil.copy(second.cert, pair["certfile"]), "is not that of certificate"),
                            (lambda: os.unlink(pair["certfile"]), "No such file or directory")):
            spoil()
            said = b.reload()
            holds("TLS of ssl_options stays as it was: " in said and text in said, said)
            holds("[error] config" in said, said)
            equal(serial_at(port), first.serial)
        code, _, err = b.ctl("reload")
        equal(serial_at(port), first.serial)
        put(second, "stays")
        b.reload()
        equal(serial_at(port), second.serial)
        old.round_trip().leave()


@case
def other_files_at_reload():
    """Keys of the TLS options change: the port does not close for it, not even one that the system gave."""
    first, second = server(), once("other-server", common="localhost", names=["DNS:localhost"], issuer=authority())
    with Broker({"ssl_options": options(first)}, [listener()]) as b:
        port = b.port
        old = Raw(port, tls=trusting()).connect()
        said = b.reload({"ssl_options": options(second, min_version="1.3"), "ssl_handshake_timeout": "3s"})
        holds("ssl_options.certfile" in said and "applies now" in said, said)
        equal(b.ports(), [port])
        equal(serial_at(port), second.serial)
        with refused(ssl.SSLError):
            shake(port, trusting(versions=(TLS12, TLS12)))
        said = b.reload({"ssl_options": options(second, ciphers="NOSUCH")})
        holds("TLS of ssl_options stays as it was: no TLS cipher is known by 'NOSUCH'" in said, said)
        equal(serial_at(port), second.serial)
        said = b.reload({"ssl_options": options(first)})
        equal(serial_at(port), first.serial)
        old.round_trip().leave()
        holds("no longer listening" not in b.log(), "the port stayed open")


@case
def plain_bytes_to_the_tls_port():
    with Broker({"ssl_options": options()}, [listener()]) as b:
        port = b.port
        for first, text in ((b"AMQP\0\0\x09\x01", "no TLS: plain AMQP on a TLS port"),
                            (b"GET / HTTP/1.1\r\n\r\n", "no TLS: plain HTTP on a TLS port"),
                            (b"\x80\x2e\x01\x03\x01" + bytes(40), "no TLS: the bytes are no TLS hello"),
                            (b"\x16\x03\x01\x00\x05hello", "TLS handshake failed")):
            since = b.mark()
            end_of_it = Raw(port, first=first)
            equal(b"AMQP" in end_of_it.ended(), False, "it is told nothing of AMQP")
            b.logged(text, since)
        since = b.mark()
        dial(port).close()
        Raw(port, tls=trusting()).connect().leave()
        holds("[warning]" not in b.log()[since:], "a port scan is not worth a warning")


@case
def tls_to_the_plain_port():
    with Broker() as b:
        with refused(ssl.SSLError, ConnectionError):
            shake(b.port)
        b.logged("bad protocol header: it looks like TLS, which this port does not speak")


@case
def handshake_that_never_ends():
    with Broker({"ssl_options": options(), "ssl_handshake_timeout": "300ms"}, [listener()]) as b:
        hello = bytes.fromhex("16030100f8010000f40303")  # the start of a client's hello
        sockets = [dial(b.port) for _ in range(4)]
        sockets[1].sendall(hello[:1])
        sockets[2].sendall(hello)
        for s in sockets:
            equal(end_of(s), b"")
        until(lambda: b.log().count("no TLS handshake: timed out") == 4, b.log)
        s = dial(b.port)
        s.sendall(hello)
        s.close()
        b.logged("TLS handshake failed: peer closed the connection")


@case
def large_messages():
    body = os.urandom(1 << 20) * 24
    digest = hashlib.sha256(body).hexdigest()
    with Broker({"ssl_options": options()}, [listener(), "127.0.0.1:0"], shards=2) as b:
        secure, plain = b.ports()
        for version in (TLS12, TLS13):
            context = trusting(versions=(version, version))
            with_tls, without = b.pika(secure, tls=context), b.pika(plain)
            channel, other = with_tls.channel(), without.channel()
            channel.queue_declare("big")
            channel.confirm_delivery()
            other.confirm_delivery()
            channel.basic_publish("", "big", body)
            equal(hashlib.sha256(other.basic_get("big", auto_ack=True)[2]).hexdigest(), digest, "out of TLS")
            other.basic_publish("", "big", body)
            equal(hashlib.sha256(channel.basic_get("big", auto_ack=True)[2]).hexdigest(), digest, "into TLS")
            with_tls.close()
            without.close()


@case
def many_sizes():
    with Broker({"ssl_options": options()}, [listener()]) as b:
        connection = b.pika(tls=trusting())
        channel = connection.channel()
        channel.queue_declare("sizes")
        channel.confirm_delivery()
        sizes = [0, 1, 100, 4087, 4088, 16383, 16384, 16385, 32768, 131063, 131064, 131065, 262136, 1000003]
        for n in sizes:
            channel.basic_publish("", "sizes", bytes([n % 251]) * n)
        for n in sizes:
            equal(channel.basic_get("sizes", auto_ack=True)[2] == bytes([n % 251]) * n, True, f"{n} bytes")
        connection.close()


@case
def many_connections():
    with Broker({"ssl_options": options()}, [listener()], shards=3) as b:
        port, context, clients, failures = b.port, trusting(), [], []

        def come():
            try:
                for _ in range(15):
                    clients.append(Raw(port, tls=context).connect())
            except Exception as error:  # told by the case
                failures.append(error)

        threads = [threading.Thread(target=come) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        equal((failures, len(clients)), ([], 120))
        equal(len([r for r in b.connections("ssl", "shard") if r["ssl"]]), 120)
        for i, client in enumerate(clients[::10]):
            client.round_trip(f"q{i}")
        for client in clients[:60]:
            client.leave()
        for client in clients[60:]:
            client.drop()
        until(lambda: not b.connections(), "all are gone")


@case
def session_is_resumed():
    for version in (TLS12, TLS13):
        with Broker({"ssl_options": options()}, [listener()]) as b:
            context = trusting(versions=(version, version))
            first = Raw(b.port, tls=context).connect()
            session = first.socket.session
            first.leave()
            again = context.wrap_socket(dial(b.port), server_hostname="localhost", session=session)
            holds(again.session_reused, f"{version}: the session is resumed")
            again.close()
            b.reload({"ssl_options": options(reuse_sessions=False)})
            Raw(b.port, tls=context).connect().leave()
            again = context.wrap_socket(dial(b.port), server_hostname="localhost", session=session)
            holds(not again.session_reused, f"{version}: no more")
            again.close()


@case
def end_of_a_connection_is_told_by_tls():
    """close_notify comes before the socket ends, so that nobody mistakes an attack for an end."""
    with Broker({"ssl_options": options()}, [listener()]) as b:
        client = Raw(b.port, tls=trusting())
        client.socket.suppress_ragged_eofs = False
        client.connect()
        client.send(10, 50, b"\0\xc8\0\0\0\0\0")
        client.expect(10, 51)
        client.socket.unwrap().close()
        code = Raw(b.port, tls=trusting())
        code.socket.suppress_ragged_eofs = False
        code.greet()
        with refused(Refused, text="403"):
            code.login(password="wrong")
        code.send(10, 51)
        equal(code.ended(), b"")
        code.drop()
        until(lambda: not b.connections(), "both are gone")


@case
def peer_that_tears_the_line():
    with Broker({"ssl_options": options()}, [listener()]) as b:
        client = Raw(b.port, tls=trusting()).connect()
        since = b.mark()
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.socket.close()
        b.logged("closed without a closing handshake: connection reset by peer", since)
        garbage = Raw(b.port, tls=trusting()).connect()
        since = b.mark()
        raw = socket.socket(fileno=os.dup(garbage.socket.fileno()))
        raw.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))  # a record that nobody sealed
        b.logged("closed without a closing handshake: .*(decryption failed|bad record)", since)
        raw.close()
        garbage.drop()
