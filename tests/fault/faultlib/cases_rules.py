"""All that lets a message go otherwise than by acknowledgement, on the same queues at once, while the broker is killed;
and the same by policies that change under the load. Every rule makes a dead letter: what was confirmed is somewhere."""

import os
import subprocess
import time

from . import amqp
from .broker import check
from .cases_letters import Chains, Client, Life, Refuser, Returner, Writer, live
from .suite import case, option, seed

LEVELS = 5


class Rules(Chains):
    """As the chains, but each queue has priorities, a limit of deliveries, of length or of both, and a time."""
    answers = ("ack", "nack")

    def properties(self, source):
        """Persistent, of some level, some with an expiration."""
        level = source.randrange(LEVELS)
        if source.random() < 0.2:
            return bytes([0x19, 0, 2, level]) + amqp.short(b"%d" % source.choice((1, 10, 100)))
        return bytes([0x18, 0, 2, level])

    def add_all(self):
        common = {"x-dead-letter-exchange": "", "x-max-priority": LEVELS - 1, "x-delivery-limit": 1}
        quorum = {"x-queue-type": "quorum"}
        for n in range(self.WIDTH):
            short, late, end = ({**common, "x-dead-letter-routing-key": f"{name}-{n}"} for name in ("short", "late", "end"))
            self.add(f"timed-{n}", {**short, "x-message-ttl": 15, "x-max-length": 300})
            self.add(f"timed-quorum-{n}", {**short, **quorum, "x-message-ttl": 15, "x-max-length-bytes": 100000})
            self.add(f"timed-full-{n}", {**short, "x-message-ttl": 15, "x-max-length": 20, "x-overflow": "reject-publish-dlx"})
            self.add(f"short-{n}", {**late, "x-max-length": self.SHORT})
            self.add(f"late-{n}", {**end, "x-message-ttl": 25, "x-max-length": 1000})
            self.add(f"refused-{n}", {**end, "x-message-ttl": 300, "x-max-length": 500})
            self.add(f"worn-{n}", {**end, **quorum, "x-message-ttl": 300, "x-max-length": 500})
            self.add(f"worn-classic-{n}", {**end, "x-message-ttl": 300, "x-max-length": 500})
            self.add(f"end-{n}", {"x-max-priority": LEVELS - 1})


class Bare(Rules):
    """Queues that have a place for their dead letters, and the rest from policies."""

    def add_all(self):
        for n in range(self.WIDTH):
            for start in ("timed", "short", "refused", "worn"):
                for kind in ("classic", "quorum"):
                    self.add(f"{start}-{kind}-{n}", {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"end-{n}",
                                                     "x-queue-type": kind, "x-max-priority": LEVELS - 1})
            self.add(f"end-{n}", {})

    def moving(self):
        return []


def operate(broker, *words):
    """Whether it was done; the broker may be gone meanwhile."""
    return subprocess.run([broker.programs.ctl, "--control", os.path.join(broker.dir, "control"), "-q", *words],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30, check=False,
                          env=broker.programs.environment()).returncode == 0


class Operator(Client):
    """Sets and clears policies, of both kinds, all the time. None makes a queue lose what it has to keep."""
    DEFINITIONS = ('{"message-ttl":20}', '{"max-length":30}', '{"max-length-bytes":20000}', '{"message-ttl":10,"max-length":5}',
                   '{"max-length":10,"overflow":"reject-publish-dlx"}', '{"max-length":10,"overflow":"reject-publish"}',
                   '{"max-length":0}', '{"message-ttl":0}')
    PATTERNS = ("^timed", "^short", "^refused", "^worn", "-quorum-", "^[a-df-z]")

    def act(self, _client):
        while not self.life.killing.is_set():
            self.life.changes += self.change()

    def change(self):
        source, broker = self.random, self.life.broker
        name, kind = source.choice(("one", "two")), source.choice(("", "operator_"))
        if source.random() < 0.2:
            return operate(broker, f"clear_{kind}policy", name)
        definition, apply_to = source.choice(self.DEFINITIONS), "queues"
        if source.random() < 0.15:
            definition, apply_to = '{"delivery-limit":0}', source.choice(("classic_queues", "quorum_queues"))
        return operate(broker, f"set_{kind}policy", name, source.choice(self.PATTERNS), definition, "--apply-to", apply_to,
                       "--priority", str(source.randrange(3)))


class RuledLife(Life):
    changes = 0

    def clients(self):
        return [Writer(self), Writer(self), Refuser(self), Returner(self), Operator(self)]

    def look(self):
        """By the last policies that were answered, or one more; then without any."""
        for kind in ("", "operator_"):
            for name in ("one", "two"):
                operate(self.broker, f"clear_{kind}policy", name)
        super().look()

    def at_rest(self):
        """What had a time has left."""
        before = self.counts()
        time.sleep(0.15)
        return before == self.counts()


@case("limits, times, priorities, deliveries and dead letters at once: killed at random moments", broker=False)
def rules_killed(programs):
    live(Life(programs, seed(), Rules()), option("rounds", 3 if programs.slow else 10))


@case("policies that change under load: killed at random moments", broker=False)
def policies_killed(programs):
    life = RuledLife(programs, seed(), Bare())
    live(life, option("rounds", 3 if programs.slow else 10))
    check(life.changes, "no policy was set")
