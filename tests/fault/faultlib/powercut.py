"""The preloaded library and the program that takes back what was not synced."""

import os
import re
import shutil
import subprocess
import tempfile

from .broker import check
from .suite import Skip


class PowerCut:
    """Of one data directory. environment(): what its daemon is started with."""

    def __init__(self, programs, data=None):
        folder = os.path.join(os.path.dirname(programs.jackaloped), "tests", "fault")
        self.shim, self.program = os.path.join(folder, "powercut.so"), os.path.join(folder, "powercut")
        if not os.path.exists(self.shim) or not os.path.exists(self.program):
            raise Skip("powercut is not built: make tests/fault/powercut tests/fault/powercut.so")
        self.data = data
        self.said = []
        linked = subprocess.run(["ldd", programs.jackaloped], capture_output=True, text=True, check=True).stdout
        first = re.findall(r"=> (\S*lib[at]san\S*)", linked)
        self.preload = ":".join(first + [self.shim])

    def environment(self, rules="", trigger=None, delay=0, lies=None):
        env = {"LD_PRELOAD": self.preload, "POWERCUT_RULES": rules, "POWERCUT_DELAY": str(delay)}
        if trigger:
            env["POWERCUT_TRIGGER"] = trigger
        if lies:
            env["POWERCUT_LIES"] = lies
        if self.data:
            env["POWERCUT"] = self.data
        return env

    def crash(self, seed):
        if os.environ.get("FAULT_KEEP"):
            done = subprocess.run([self.program, "list", self.data], capture_output=True, text=True, check=True)
            with open(self.data + ".lost", "w", encoding="utf-8") as file:
                file.write(done.stdout)
        done = subprocess.run([self.program, "crash", self.data, str(seed)], capture_output=True, text=True, check=False)
        check(done.returncode == 0, f"powercut crash: {done.returncode} {done.stderr}")
        self.said.append(done.stdout.strip())
        return done.stdout

    def forget(self):
        subprocess.run([self.program, "forget", self.data], check=True)


def fast_folder():
    """Where syncs cost nothing, if there is such a place: what they do is modelled."""
    for base in ("/dev/shm", tempfile.gettempdir()):
        room = shutil.disk_usage(base).free if os.path.isdir(base) and os.access(base, os.W_OK) else 0
        if room > 4 << 30 or base != "/dev/shm":
            return os.path.realpath(tempfile.mkdtemp(prefix="fault-", dir=base))
    raise Skip("no room")


def remove(folder):
    """With FAULT_KEEP it stays, for a look."""
    if not os.environ.get("FAULT_KEEP"):
        shutil.rmtree(folder, ignore_errors=True)
