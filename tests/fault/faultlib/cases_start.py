"""Starts that cannot succeed: one clear line each and the right exit code. And what a broker does not do twice."""

import os
import pwd
import re
import shutil
import signal
import stat
import struct
import subprocess
import tempfile

from . import amqp
from .broker import Broker, Failure, check, own_port
from .cases_disk import Mount
from .suite import case

NOPERM, TEMPFAIL, CANTCREAT, IOERR, DATAERR, CONFIG = 77, 75, 73, 74, 65, 78


def refused(programs, data, codes, pattern, as_user=None):
    """Starts a daemon on this directory; it ends with one line that matches."""
    folder = tempfile.mkdtemp(prefix="fault-")
    command = [programs.jackaloped, "--data", data, "--control", os.path.join(folder, "control"), "--listen",
               f"127.0.0.1:{own_port(1)}"]
    if as_user:
        os.chmod(folder, 0o777)
        command = ["setpriv", "--reuid", str(as_user.pw_uid), "--regid", str(as_user.pw_gid), "--clear-groups", *command]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, cwd="/", env=programs.environment(),
                              check=False)
    except subprocess.TimeoutExpired as runs:
        raise Failure(f"it starts, where it should say '{pattern}': {data}\n{(runs.stdout or b'').decode()[-600:]}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    text = done.stdout + done.stderr
    check(done.returncode in codes, f"exit code {done.returncode}, not {codes}\n{text}")
    lines = [line for line in text.splitlines() if not re.search(r"\[(info|debug|notice)\]", line)]
    check(len(lines) == 1, f"one line should tell:\n{text}")
    check(re.search(pattern, lines[0]), f"the line should match '{pattern}': {lines[0]}")


def prepared(programs, folder):
    """A data directory with messages in it, a large one too, stopped cleanly."""
    broker = Broker(programs, folder=folder, data=os.path.join(folder, "data"))
    with broker.client() as client:
        client.ask(amqp.confirm_select(1), "confirm-ok")
        client.declare("kept", amqp.DURABLE)
        client.ask(amqp.publish(1, "kept", b"kept", properties=b"\x10\0\2"), "ack")
        client.ask(amqp.publish(1, "kept", bytes(100000), properties=b"\x10\0\2"), "ack")
    broker.signal(signal.SIGTERM)
    check(broker.wait() == 0, "exit code")
    return broker


def kept(broker):
    broker.start()
    with broker.client() as client:
        check(client.messages("kept") == 2, "the messages are there")
    broker.signal(signal.SIGTERM)
    check(broker.wait() == 0, "exit code")
    broker.look_over()


@case("directories that a broker cannot have", broker=False)
def directories(programs):
    folder = tempfile.mkdtemp(prefix="fault-")
    data = os.path.join(folder, "data")
    mount = None
    try:
        broker = prepared(programs, folder)
        # while another has it
        broker.start()
        refused(programs, data, (TEMPFAIL,), rf"process {broker.process.pid} uses it")
        broker.kill()
        # not a directory, not to be made
        file = os.path.join(folder, "file")
        with open(file, "wb"):
            pass
        refused(programs, file, (CANTCREAT, NOPERM), "not a directory")
        refused(programs, os.path.join(file, "below"), (CANTCREAT, NOPERM), "cannot")
        refused(programs, "/proc/no/such", (CANTCREAT, NOPERM), "No such file|not permitted|Permission")
        if os.geteuid() == 0:
            user = pwd.getpwnam("nobody")
            os.chmod(folder, 0o755)
            refused(programs, data, (NOPERM,), "[Pp]ermission denied", user)
            for part in ("journal", "journal/segment-0000", "db", "db/data.mdb", "blobs"):
                foreign(programs, data, part, user)
            mount = Mount(os.path.join(folder, "mount"), "400m")
            shutil.copytree(data, os.path.join(mount.path, "data"))
            subprocess.run(["mount", "-o", "remount,ro", mount.path], check=True)
            refused(programs, os.path.join(mount.path, "data"), (CANTCREAT, IOERR, NOPERM), "[Rr]ead-only")
            refused(programs, os.path.join(mount.path, "new"), (CANTCREAT, IOERR, NOPERM), "[Rr]ead-only")
        kept(broker)
        for name in ("journal", "db", "blobs"):
            path = os.path.join(data, name)
            os.rename(path, path + ".away")
            with open(path, "wb"):
                pass
            refused(programs, data, (CANTCREAT, IOERR, DATAERR, NOPERM), name)
            os.unlink(path)
            os.rename(path + ".away", path)
        kept(broker)
        broker.end()
    finally:
        if mount:
            mount.end()
        shutil.rmtree(folder, ignore_errors=True)


def foreign(programs, data, part, user):
    """The directory is the user's, a part of it is root's."""
    copy = data + "-foreign"
    shutil.copytree(data, copy)
    try:
        for where, folders, files in os.walk(copy):
            for name in folders + files + ["."]:
                shutil.chown(os.path.join(where, name), user.pw_uid)
        path = os.path.join(copy, part)
        shutil.chown(path, 0)
        os.chmod(path, 0o700 if os.path.isdir(path) else 0o600)
        refused(programs, copy, (NOPERM, CANTCREAT, IOERR), rf"{part.split(chr(47))[0]}.*[Pp]ermission denied", user)
    finally:
        shutil.rmtree(copy, ignore_errors=True)


@case("files that are not for others", broker=False)
def private(programs):
    folder = tempfile.mkdtemp(prefix="fault-")
    try:
        broker = prepared(programs, folder)
        for where, folders, files in os.walk(broker.data):
            for name in folders + files:
                mode = os.stat(os.path.join(where, name)).st_mode
                check(not stat.S_IMODE(mode) & 0o077, f"{name} has mode {stat.S_IMODE(mode):o}")
        broker.end()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@case("a data directory of a newer format", broker=False)
def newer(programs):
    folder = tempfile.mkdtemp(prefix="fault-")
    try:
        broker = prepared(programs, folder)
        kept(broker)
        changed = 0
        for name in sorted(os.listdir(os.path.join(broker.data, "journal"))):
            changed += newer_segment(os.path.join(broker.data, "journal", name))
        check(changed, "no segment has the known head")
        refused(programs, broker.data, (DATAERR, CONFIG), "newer")
        broker.end()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def crc32c(data):
    crc = 0xFFFFFFFF
    for octet in data:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def newer_segment(path):
    """Raises the version in the head of a segment: magic, crc32c of the rest of 512 bytes, version."""
    with open(path, "r+b") as file:
        head = bytearray(file.read(512))
        if head[:8] != b"JKLJRNL\n":
            return 0
        check(struct.unpack_from("<I", head, 8)[0] == crc32c(head[12:]), "the checksum of a segment's head")
        struct.pack_into("<I", head, 12, struct.unpack_from("<I", head, 12)[0] + 1)
        struct.pack_into("<I", head, 8, crc32c(head[12:]))
        file.seek(0)
        file.write(head)
        return 1
