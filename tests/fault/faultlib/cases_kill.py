"""kill -9 at random moments under everything that is durable: each restart is judged message by message."""

import os
import shutil

from .broker import Failure, check
from .ledger import GONE, Ledger, Seen
from .scene import Scene
from .suite import case, option, seed


def live(scene, rounds):
    """So many rounds, then an ordinary stop, and everything is there afterwards."""
    try:
        for _ in range(rounds):
            scene.round()
        scene.broker.signal(15)
        code = scene.broker.wait()
        check(code == 0, f"exit code {code}:\n{scene.broker.tail()}")
        scene.ledger.forgets = True
        scene.broker.start()
        scene.look(everything=True)
        print("     " + scene.summary())
        scene.broker.stop()
    except Failure as failure:
        if os.environ.get("FAULT_KEEP"):
            shutil.copytree(scene.broker.data, scene.broker.data + ".found", dirs_exist_ok=True)
        raise Failure(f"seed {scene.seed}: {failure}") from None
    finally:
        scene.broker.end()


@case("killed at random moments under load", broker=False)
def kills(programs):
    live(Scene(programs, seed()), option("rounds", 10 if programs.slow else 50))


@case("clients killed at random moments under durable load", broker=False)
def clients_killed(programs):
    live(Scene(programs, seed(), clients_only=True), option("rounds", 5 if programs.slow else 15))


@case("the judgement notices a directory that was emptied", broker=False)
def emptied(programs):
    scene = Scene(programs, seed())
    scene.after_kill = lambda: shutil.rmtree(scene.broker.data, True)
    try:
        scene.round(0.3)
    except Failure as failure:
        for text in ("durable queue c-0 is gone", "lost with their queue", "the binding of"):
            check(any(text in c for c in scene.ledger.complaints), f"not noticed: {text}\n{failure}")
        return
    finally:
        scene.broker.end()
    raise Failure("nothing was noticed")


def found(ledger, copies):
    """What would be seen of these."""
    out = []
    for copy in copies:
        one = Seen.__new__(Seen)
        one.uid, one.redelivered, one.count, one.problem = copy.message.uid, True, copy.returned, None
        out.append(one)
    return out


@case("the judgement notices each wrong", broker=False)
def wrongs(_programs):
    def scene(kind="classic", tail=False):
        ledger = Ledger()
        queue = ledger.queue("q", kind, tail)
        copies = [ledger.publish([queue], 10, True, 0)[1][0] for _ in range(20)]
        for copy in copies:
            copy.confirm()
            copy.delivered = 1
        return ledger, queue, copies, found(ledger, copies)

    def notices(expected, change, kind="classic"):
        ledger, queue, copies, seen = scene(kind)
        check(not ledger.observe(queue, seen, True), "nothing is wrong yet")
        change(queue, copies, seen)
        texts = ledger.observe(queue, seen, True)
        check(any(expected in text for text in texts), f"not noticed: {expected}; {texts}")

    def swap(_queue, _copies, seen):
        seen[3], seen[9] = seen[9], seen[3]

    def known_swap(queue, copies, seen):
        for place, copy in enumerate(copies[:10]):
            copy.base = place
        swap(queue, copies, seen)

    def unlike_levels(_queue, copies, _seen):
        copies[7].message.level = 3
    notices("is lost", lambda q, c, s: s.pop(4))
    notices("is there twice", lambda q, c, s: s.insert(9, s[2]))
    notices("came back or was never", lambda q, c, s: q.copies.pop(c[5].message.uid))
    notices("although it must be gone", lambda q, c, s: setattr(c[5], "state", GONE))
    notices("comes without redelivered", lambda q, c, s: setattr(s[6], "redelivered", False))
    notices("is transient", lambda q, c, s: setattr(c[6].message, "persistent", False))
    notices("of the same sender", swap)
    notices("has left its place", known_swap)
    notices("comes behind one of level", unlike_levels, "priority")
    notices("has the delivery count", lambda q, c, s: setattr(s[6], "count", 2), "quorum")
    notices("its body", lambda q, c, s: setattr(s[6], "problem", "its body is another"))
    for half in (0, 1):
        ledger = Ledger()
        a, b = ledger.queue("a"), ledger.queue("b")
        old = ledger.publish([a], 10)[1][0]
        old.confirm()
        deal = ledger.begin()
        new = ledger.publish([b], 10, deal=deal)[1][0]
        deal.settled.append(old)
        deal.send()
        ledger.judge_deals({"a": set(), "b": {new.message.uid}})
        ledger.judge_deals({"a": {old.message.uid}, "b": set()})
        check(not ledger.complaints, "a whole transaction, or none")
        ledger.judge_deals({"a": {old.message.uid} if half else set(), "b": {new.message.uid} if half else set()})
        check("half a transaction" in "".join(ledger.complaints), "half a transaction is not noticed")
