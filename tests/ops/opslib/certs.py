"""Certificates, made by openssl in a directory; asked for again they are taken from there."""

import os
import shutil
import ssl
import subprocess
import tempfile

state = {"dir": None, "made": {}, "serial": 4096}


def directory():
    if not state["dir"]:
        state["dir"] = tempfile.mkdtemp(prefix="jackalope-ops-certs-")
    return state["dir"]


def forget():
    if state["dir"]:
        shutil.rmtree(state["dir"], ignore_errors=True)
    state.update(dir=None, made={})


def prepare():
    """What many cases want, before their processes begin."""
    server()
    client()


def leave():
    """In the process of a case: what is there is for all, what is made from now on is its own."""
    state["dir"] = None


def path(name):
    return os.path.join(directory(), name)


def openssl(*words):
    done = subprocess.run(["openssl", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"openssl {' '.join(words)}: {done.stderr}")
    return done.stdout


class Certificate:
    """A certificate with its key, in files."""

    def __init__(self, name, serial):
        self.cert, self.key, self.serial = path(f"{name}.pem"), path(f"{name}.key"), serial
        self.common = name

    def pem(self):
        with open(self.cert) as f:
            return f.read()

    def pair(self):
        return {"certfile": self.cert, "keyfile": self.key}


def make(name, common=None, names=(), kind="ec", issuer=None, authority=False, days=30, subject=None, password=None):
    """A certificate file NAME.pem with NAME.key, signed by issuer or by itself. Serials count upwards."""
    state["serial"] += 1
    serial = state["serial"]
    made = Certificate(name, serial)
    key = ["-newkey", "rsa:2048"] if kind == "rsa" else ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    secret = ["-passout", f"pass:{password}"] if password else ["-nodes"]
    extensions = ["basicConstraints=critical,CA:TRUE" if authority else "basicConstraints=CA:FALSE"]
    if names:
        extensions.append("subjectAltName=" + ",".join(names))
    words = ["req", "-utf8", "-x509" if not issuer else "-new", *key, *secret, "-subj", subject or f"/CN={common or name}",
             "-keyout", made.key]
    if not issuer:
        words += ["-out", made.cert, "-days", str(days), "-set_serial", str(serial)]
        for extension in extensions:
            words += ["-addext", extension]
        openssl(*words)
        return made
    openssl(*words, "-out", path(f"{name}.csr"))
    with open(path(f"{name}.ext"), "w") as f:
        f.write("\n".join(extensions) + "\n")
    when = ["-not_before", "20200101000000Z", "-not_after", "20200102000000Z"] if days < 0 else ["-days", str(days)]
    if days < 0:
        sign_expired(name, issuer, serial, when)
    else:
        openssl("x509", "-req", "-in", path(f"{name}.csr"), "-CA", issuer.cert, "-CAkey", issuer.key, "-set_serial",
                str(serial), *when, "-extfile", path(f"{name}.ext"), "-out", made.cert)
    return made


def sign_expired(name, issuer, serial, when):
    """openssl x509 of 3.0 sets no dates; openssl ca does."""
    base = path(f"{name}.ca")
    os.mkdir(base)
    with open(f"{base}/index", "w"), open(f"{base}/serial", "w") as f:
        f.write(f"{serial:X}\n")
    with open(f"{base}/conf", "w") as f:
        f.write(f"[ca]\ndefault_ca=d\n[d]\ndatabase={base}/index\nserial={base}/serial\nnew_certs_dir={base}\n"
                "default_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n")
    openssl("ca", "-batch", "-config", f"{base}/conf", "-in", path(f"{name}.csr"), "-cert", issuer.cert, "-keyfile",
            issuer.key, "-startdate", when[1], "-enddate", when[3], "-out", path(f"{name}.pem"), "-notext")


def once(name, **how):
    """The certificate of this name, made at its first use."""
    if name not in state["made"]:
        state["made"][name] = make(name, **how)
    return state["made"][name]


def authority():
    return once("authority", common="Ops Test Authority", authority=True)


def server(kind="ec"):
    """For localhost and 127.0.0.1."""
    return once(f"server-{kind}", common="localhost", names=["DNS:localhost", "IP:127.0.0.1", "IP:::1"], kind=kind,
                issuer=authority())


def client(name="app"):
    return once(f"client-{name}", subject=f"/O=Ops/OU=Tests/CN={name}", names=[f"DNS:{name}.example", f"email:{name}@x.example"],
                issuer=authority())


def stranger():
    """A client's certificate of an authority that nobody knows."""
    return once("stranger", issuer=once("other-authority", authority=True))


def trusting(certificate=None, versions=None, ciphers=None, check=True):
    """A client's ssl.SSLContext: trusts our authority, shows a certificate; versions: (lowest, highest)."""
    context = ssl.create_default_context(cafile=authority().cert)
    if certificate:
        context.load_cert_chain(certificate.cert, certificate.key)
    if versions:
        context.minimum_version, context.maximum_version = versions
    if ciphers:
        context.set_ciphers(ciphers)
    if not check:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def serial_of(der):
    """The number of a certificate in DER."""
    done = subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-serial"], input=der, capture_output=True,
                          check=True)
    return int(done.stdout.decode().strip().split("=")[1], 16)


class Revoker:
    """Lists of certificates that an authority has revoked."""

    def __init__(self, issuer):
        self.issuer, self.base = issuer, path(f"{issuer.common}.{state['serial']}.crl")
        os.mkdir(self.base)
        self.conf = f"{self.base}/conf"
        open(f"{self.base}/index", "w").close()
        with open(self.conf, "w") as f:
            f.write(f"[ca]\ndefault_ca=d\n[d]\ndatabase={self.base}/index\ndefault_md=sha256\n")

    def revoke(self, certificate):
        self.ca("-revoke", certificate.cert)

    def write(self, file, *when):
        """Signs the list; it lasts a day unless said otherwise."""
        self.ca("-gencrl", *(when or ("-crldays", "1")), "-out", file + "~")
        os.replace(file + "~", file)
        return file

    def ca(self, *words):
        openssl("ca", "-config", self.conf, "-cert", self.issuer.cert, "-keyfile", self.issuer.key, *words)
