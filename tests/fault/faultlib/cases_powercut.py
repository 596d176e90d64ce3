"""The power goes: after a kill -9 any part of what was not synced is taken back from the broker's files."""

import os
import random
import re
import shutil
import subprocess
import sys

from .broker import Broker, Failure, check
from .cases_kill import live
from .powercut import PowerCut, fast_folder, remove
from .scene import Scene
from .suite import case, option, seed

WRITER = """
import os, signal, sys
root, manner = sys.argv[1:]
os.chdir(root)
sync = manner != "forgets"
old = os.open("old", os.O_RDWR)
new = os.open("new", os.O_RDWR | os.O_CREAT, 0o600)
for n in range(64):
    os.pwrite(old, bytes([n + 1]) * 700, n * 700)
    os.pwrite(new, bytes([n + 1]) * 700, n * 700)
os.rename("from", "to")
os.unlink("gone")
if sync:
    os.fdatasync(old)
    os.fsync(new)
    os.fsync(os.open(".", os.O_RDONLY))
if manner == "later":
    os.pwrite(old, b"later" * 1000, 2048)
    meta = os.open("old", os.O_RDWR | os.O_DSYNC)
    os.pwrite(meta, b"m" * 100, 100)
os.kill(os.getpid(), signal.SIGKILL)
"""


def written():
    return b"".join(bytes([n + 1]) * 700 for n in range(64))


def contents(root):
    out = {}
    for name in sorted(os.listdir(root)):
        with open(os.path.join(root, name), "rb") as file:
            out[name] = file.read()
    return out


def one_crash(programs, manner, number):
    folder = fast_folder()
    try:
        cut = PowerCut(programs, os.path.join(folder, "data"))
        os.mkdir(cut.data)
        for name in ("old", "from", "to", "gone"):
            with open(os.path.join(cut.data, name), "wb") as file:
                file.write(name.encode() * (20000 if name == "old" else 1))
        library = re.sub(r"[^:]*lib[at]san[^:]*:", "", cut.preload)
        subprocess.run([sys.executable, "-c", WRITER, cut.data, manner], check=False,
                       env={**cut.environment(), "LD_PRELOAD": library})
        cut.crash(number)
        return contents(cut.data)
    finally:
        shutil.rmtree(folder)


@case("the power cut bites who does not sync, and nobody else", broker=False)
def bites(programs):
    names = set()
    old_before = b"old" * 20000
    tail = old_before[len(written()):]
    lost = kept = torn = 0
    for number in range(60):
        after = one_crash(programs, "forgets", number)
        names.add(tuple(after))
        old = after["old"]
        check(len(old) == len(old_before) and old[len(written()):] == tail, "what was not written to has changed")
        sectors = [old[:44800][at:at + 512] for at in range(0, 44800, 512)]
        intact = sum(s == written()[n * 512:n * 512 + 512] for n, s in enumerate(sectors))
        lost += intact == 0
        kept += intact == len(sectors)
        torn += 0 < intact < len(sectors)
        check(after.get("to") in (b"to", b"from") and ("from" in after) == (after["to"] == b"to"), f"a rename in half: {after}")
        if "new" in after:
            check(len(after["new"]) <= 44800, "new has grown")
    check(lost and kept and torn, f"old: {lost} times as before, {kept} times as written, {torn} times mixed")
    check(len(names) >= 3, f"the names were always {names}")
    for number in range(20):
        after = one_crash(programs, "syncs", number)
        check(after == {"new": written(), "old": written() + tail, "to": b"from"}, "something synced is lost")
    last = set()
    for number in range(40):
        old = one_crash(programs, "later", number)["old"]
        check(old[:512] == written()[:100] + b"m" * 100 + written()[200:512], "a write with O_DSYNC is lost")
        check(old[512:2048] == written()[512:2048] and old[7048:] == (written() + tail)[7048:], "something synced is lost")
        last.add(old[2048:7048])
    check(len(last) > 3 and b"later" * 1000 in last and written()[2048:7048] in last, "later writes are lost or kept")


@case("a disk that lies about its journal is found out", broker=False)
def lies(programs):
    folder = fast_folder()
    cut = PowerCut(programs, os.path.join(folder, "data"))
    os.mkdir(cut.data, 0o700)
    source = random.Random(seed())
    broker = Broker(programs, folder=folder, data=cut.data, extra=cut.environment(lies="/journal/segment"))
    try:
        scene = Scene(programs, source.getrandbits(32), after_kill=lambda: cut.crash(source.getrandbits(40)), broker=broker)
        for _ in range(10):
            scene.round(0.2)
    except Failure as failure:
        print(f"     round {scene.round_number}: {(scene.ledger.complaints or [str(failure)])[0]}")
        return
    finally:
        broker.end()
        remove(folder)
    raise Failure("ten times the journal lost what it was told to keep, and nobody noticed")


@case("the power is cut at random moments under load", broker=False)
def cuts(programs):
    folder = fast_folder()
    cut = PowerCut(programs, os.path.join(folder, "data"))
    os.mkdir(cut.data, 0o700)
    number = seed()
    source = random.Random(number)
    broker = Broker(programs, folder=folder, data=cut.data, extra=cut.environment(delay=3000))
    scene = Scene(programs, number, after_kill=lambda: cut.crash(source.getrandbits(40)), broker=broker)
    try:
        live(scene, option("cuts", 5 if programs.slow else 25))
    finally:
        lost = [text for text in cut.said if not re.search(r" 0 sectors", text)]
        print(f"     {len(lost)} of {len(cut.said)} cuts lost something; the last: {cut.said[-1] if cut.said else 'none'}")
        remove(folder)
