"""TLS with certificates of clients: who is let in, who is refused and why, logins by EXTERNAL."""

import os
import ssl

import pika
from pika.credentials import ExternalCredentials

from . import certs
from .broker import Broker, round_trip
from .certs import authority, client, once, server, stranger, trusting
from .raw import Raw, Refused
from .suite import case, equal, holds, refused, until

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def options(**more):
    return {**server().pair(), "cacertfile": authority().cert, "verify": "verify_peer", **more}


def listener(**more):
    return {"address": "127.0.0.1:0", "tls": True, **more}


def is_refused(b, port, context, text):
    """The log tells why a handshake failed; the client sees an alert, in TLS 1.3 with its first read."""
    since = b.mark()
    with refused(ssl.SSLError, Refused, ConnectionError):
        Raw(port, tls=context).greet()
    b.logged(r"\[warning\] connection: .*TLS handshake failed: " + text, since)


@case
def certificate_of_the_client_is_demanded():
    with Broker({"ssl_options": options(fail_if_no_peer_cert=True)}, [listener()]) as b:
        port = b.port
        for versions in ((TLS12, TLS12), (TLS13, TLS13)):
            connection = b.pika(port, tls=trusting(client(), versions))
            round_trip(connection)
            row, = b.connections("ssl", "peer_cert_subject", "peer_cert_issuer", "peer_cert_validity", "user")
            equal((row["ssl"], row["peer_cert_subject"], row["peer_cert_issuer"], row["user"]),
                  (True, "CN=app,OU=Tests,O=Ops", "CN=Ops Test Authority", "guest"))
            holds(row["peer_cert_validity"].count("T") == 2 and " - 20" in row["peer_cert_validity"], row)
            connection.close()
            is_refused(b, port, trusting(None, versions), "peer did not return a certificate")
            is_refused(b, port, trusting(stranger(), versions),
                       "the client's certificate was refused: unable to get local issuer certificate")
            until(lambda: not b.connections(), "nobody is left")
        late = once("late", issuer=authority(), days=-1)
        is_refused(b, port, trusting(late), "the client's certificate was refused: certificate has expired")
        own = once("own")
        is_refused(b, port, trusting(own), "the client's certificate was refused: self-signed certificate")
        Raw(port, tls=trusting(client())).connect().leave()


@case
def certificate_of_the_client_is_asked_for():
    """Without fail_if_no_peer_cert: none is fine, a wrong one is not."""
    with Broker({"ssl_options": options()}, [listener()]) as b:
        Raw(b.port, tls=trusting()).connect().leave()
        Raw(b.port, tls=trusting(client())).connect().leave()
        is_refused(b, b.port, trusting(stranger()), "the client's certificate was refused: unable to get local issuer")


@case
def certificate_that_nobody_asked_for():
    with Broker({"ssl_options": server().pair()}, [listener()]) as b:
        held = Raw(b.port, tls=trusting(stranger())).connect()
        equal(b.connections("peer_cert_subject")[0]["peer_cert_subject"], "")
        held.leave()


@case
def intermediates():
    between = once("between", common="Ops Intermediate", authority=True, issuer=authority())
    deep = once("deep", issuer=between)
    with open(deep.cert, "a") as f:
        f.write(between.pem())
    with Broker({"ssl_options": options(fail_if_no_peer_cert=True),
                 "tls_sets": [{"name": "shallow", **options(fail_if_no_peer_cert=True, depth=0)}]},
                [listener(), listener(tls_set="shallow")]) as b:
        deep_port, shallow_port = b.ports()
        for port in (deep_port, shallow_port):
            Raw(port, tls=trusting(client())).connect().leave()
        Raw(deep_port, tls=trusting(deep)).connect().leave()
        is_refused(b, shallow_port, trusting(deep), "the client's certificate was refused: certificate chain too long")


def external(b, certificate, port=None, **more):
    return b.pika(port, tls=trusting(certificate), credentials=ExternalCredentials(), **more)


def with_users(*names, **more):
    return {"ssl_options": options(), "auth_mechanisms": ["PLAIN", "EXTERNAL"],
            "definitions": {"users": [{"name": n, "tags": []} for n in names] + [{"name": "guest", "password": "guest"}],
                            "permissions": [{"user": n, "configure": ".*", "write": ".*", "read": ".*"}
                                            for n in (*names, "guest")]}, **more}


@case
def external_login_by_each_part_of_the_name():
    for source, name in (("distinguished_name", "CN=app,OU=Tests,O=Ops"), ("common_name", "app"),
                         ("subject_alternative_name", "app.example")):
        with Broker(with_users(name, ssl_cert_login_from=source), [listener()]) as b:
            connection = external(b, client())
            round_trip(connection)
            row, = b.connections("user", "auth_mechanism")
            equal((row["user"], row["auth_mechanism"]), (name, "EXTERNAL"))
            connection.close()
            since = b.mark()
            with refused(pika.exceptions.AMQPConnectionError):
                external(b, client("nobody"))
            b.logged("EXTERNAL login refused: user '[^']*nobody[^']*' of the certificate is unknown", since)


@case
def external_needs_a_certificate():
    with Broker(with_users("app", ssl_cert_login_from="common_name"), [listener(), "127.0.0.1:0"]) as b:
        secure, plain = b.ports()
        for where, offered in ((Raw(secure, tls=trusting(client())), ["PLAIN", "EXTERNAL"]),
                               (Raw(secure, tls=trusting()), ["PLAIN"]), (Raw(plain), ["PLAIN"])):
            equal(where.greet(), offered)
            if "EXTERNAL" in offered:
                where.login(mechanism="EXTERNAL", response=b"")
                where.open().leave()
                continue
            since = b.mark()
            with refused(Refused):
                where.login(mechanism="EXTERNAL", response=b"")
            b.logged("mechanism 'EXTERNAL', which is not offered", since)
        # a password works beside it
        Raw(secure, tls=trusting(client())).connect().leave()


@case
def external_and_names_that_are_no_names():
    nameless = once("nameless", subject="/O=Only", issuer=authority())
    no_san = once("no-san", subject="/CN=plain", issuer=authority())
    odd = once("odd", subject="/O=Größe, Söhne\\+Co/CN=a,b\\\\c", issuer=authority())
    for source, certificate, text in (("common_name", nameless, "no name found in the client's certificate"),
                                      ("subject_alternative_name", no_san, "no name found in the client's certificate"),
                                      ("distinguished_name", nameless, "user 'O=Only' of the certificate is unknown")):
        with Broker(with_users("app", ssl_cert_login_from=source), [listener()]) as b:
            with refused(pika.exceptions.AMQPConnectionError):
                external(b, certificate)
            b.logged(f"EXTERNAL login refused: {text}")
    name = "CN=a\\,b\\\\c,O=Gr\\C3\\B6\\C3\\9Fe\\, S\\C3\\B6hne\\+Co"
    with Broker(with_users(name), [listener()]) as b:
        connection = external(b, odd)
        equal(b.connections("user")[0]["user"], name)
        connection.close()


@case
def external_guest_may_come_from_here_alone():
    """The rule of loopback_users holds for certificates, too."""
    guest = client("guest")
    config = {"ssl_options": options(), "auth_mechanisms": ["EXTERNAL"], "ssl_cert_login_from": "common_name"}
    with Broker(config, [listener(), listener(proxy_protocol=True)]) as b:
        direct, proxied = b.ports()
        external(b, guest, direct).close()
        stranger_line = b"PROXY TCP4 192.0.2.7 10.0.0.1 40000 5671\r\n"
        remote = Raw(proxied, first=stranger_line, tls=trusting(guest))
        remote.greet()
        with refused(Refused, text="403"):
            remote.login(mechanism="EXTERNAL", response=b"")
        remote.drop()


@case
def demands_change_at_reload():
    lax = {"ssl_options": options()}
    with Broker(lax, [listener()]) as b:
        port = b.port
        old = Raw(port, tls=trusting()).connect()
        session = old.socket.session
        b.reload({"ssl_options": options(fail_if_no_peer_cert=True)})
        is_refused(b, port, trusting(), "peer did not return a certificate")
        holds(session is not None, "a session")
        Raw(port, tls=trusting(client())).connect().leave()
        other = certs.make("authority-2", authority=True)
        with open(certs.path("both.pem"), "w") as f:
            f.write(authority().pem() + other.pem())
        newcomer = certs.make("newcomer", issuer=other)
        is_refused(b, port, trusting(newcomer), "the client's certificate was refused")
        b.reload({"ssl_options": options(fail_if_no_peer_cert=True, cacertfile=certs.path("both.pem"))})
        Raw(port, tls=trusting(newcomer)).connect().leave()
        said = b.reload({"ssl_options": options(fail_if_no_peer_cert=True, cacertfile="/nonexistent")})
        holds("TLS of ssl_options stays as it was: cannot load the CA file /nonexistent" in said, said)
        Raw(port, tls=trusting(newcomer)).connect().leave()
        old.round_trip().leave()


@case
def revoked_certificates():
    good, bad, revoker = client("kept"), client("lost"), certs.Revoker(authority())
    revoker.revoke(bad)
    listed = revoker.write(certs.path("revoked.crl"))
    with Broker({"ssl_options": options(fail_if_no_peer_cert=True, crl_check=True, crlfile=listed),
                 "tls_check_interval": 1}, [listener()]) as b:
        Raw(b.port, tls=trusting(good)).connect().leave()
        for versions in ((TLS12, TLS12), (TLS13, TLS13)):
            is_refused(b, b.port, trusting(bad, versions), "the client's certificate was refused: certificate revoked")
        since = b.mark()
        revoker.revoke(good)
        revoker.write(listed)  # nobody asks for a reload
        b.logged("TLS files of ssl_options were changed, and read again", since)
        is_refused(b, b.port, trusting(good), "the client's certificate was refused: certificate revoked")
        since = b.mark()
        with open(listed, "w") as f:
            f.write("nonsense\n")
        b.logged("TLS of ssl_options stays as it was: cannot load the CRL file .*revoked.crl", since)
        is_refused(b, b.port, trusting(bad), "the client's certificate was refused: certificate revoked")


@case
def revocation_in_each_way():
    """What a chain with an intermediate meets that has no list, one that is over, or a good one, in a directory."""
    between = once("crl-between", common="Ops Intermediate of CRLs", authority=True, issuer=authority())
    deep, revoker, root = once("crl-deep", issuer=between), certs.Revoker(between), certs.Revoker(authority())
    with open(deep.cert, "a") as f:
        f.write(between.pem())
    lists = certs.path("lists")
    os.mkdir(lists)
    root.write(f"{lists}/root.pem")
    ways = "true", "peer", "best_effort"
    config = {"tls_sets": [{"name": way, **options(fail_if_no_peer_cert=True, crl_check=way, crldir=lists)} for way in ways]}
    with Broker(config, [listener(tls_set=way) for way in ways]) as b:
        def meets(*wanted):
            for port, text in zip(b.ports(), wanted, strict=True):
                if text:
                    is_refused(b, port, trusting(deep), "the client's certificate was refused: " + text)
                else:
                    Raw(port, tls=trusting(deep)).connect().leave()

        Raw(b.ports()[0], tls=trusting(client())).connect().leave()
        meets("unable to get certificate CRL", "unable to get certificate CRL", None)
        revoker.write(f"{lists}/between.pem", "-crl_lastupdate", "20200101000000Z", "-crl_nextupdate", "20200102000000Z")
        b.reload()
        meets("CRL has expired", "CRL has expired", None)
        os.unlink(f"{lists}/between.pem")
        revoker.write(certs.path("between.crl"))
        certs.openssl("crl", "-in", certs.path("between.crl"), "-outform", "DER", "-out", f"{lists}/between.der")
        b.reload()
        meets(None, None, None)
        root.revoke(between)
        root.write(f"{lists}/root.pem")
        b.reload()
        meets("certificate revoked", None, "certificate revoked")
    for way, text in ((options(crl_check=True), "crl_check needs a crlfile or a crldir"),
                      (options(crl_check=True, crldir=lists + "/none"), "cannot load the CRL directory"),
                      (options(crl_check=True, crlfile=server().key), "cannot load the CRL file")):
        b = Broker({"ssl_options": way}, [listener()])
        b.launch()
        b.wait()
        holds(text in b.log(), b.log())
        b.settle(69)


@case
def external_login_by_each_alternative_name():
    many = once("many", issuer=authority(), names=["DNS:first.example", "email:app@x.example", "IP:192.0.2.9", "IP:::2",
                                                   "DNS:second.example", "URI:urn:app"])
    with Broker(with_users("first.example", ssl_cert_login_from="subject_alternative_name"), [listener()]) as b:
        for kind, index, name in (("dns", 0, "first.example"), ("dns", 1, "second.example"), ("email", 0, "app@x.example"),
                                  ("ip", 0, "192.0.2.9"), ("ip", 1, "::2"), ("uri", 0, "urn:app")):
            b.reload(with_users(name, ssl_cert_login_from="subject_alternative_name", ssl_cert_login_san_type=kind,
                                ssl_cert_login_san_index=index))
            if name != "first.example":
                b.told("add_user", name, "x")
                b.told("set_permissions", name, "", "", "")
            connection = external(b, many)
            equal(b.connections("user")[0]["user"], name)
            connection.close()
        b.reload(with_users("a", ssl_cert_login_from="subject_alternative_name", ssl_cert_login_san_index=2))
        with refused(pika.exceptions.AMQPConnectionError):
            external(b, many)
        b.logged("EXTERNAL login refused: no name found in the client's certificate")
