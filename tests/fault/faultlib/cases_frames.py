"""Bytes that no client should send: each gets its reply code or a clean close, a log line, and disturbs nobody."""

import random
import struct

from . import amqp
from .broker import check, wait_until
from .suite import Witness, case


def deep(levels):
    """A table in a table in a table."""
    sizes = [0]
    for _ in range(levels - 1):
        sizes.append(sizes[-1] + 6)
    return b"".join(b"\0F" + struct.pack(">I", size) for size in reversed(sizes))


def opened(broker, **options):
    return broker.client(**options)


def before_open(stage):
    """A connection that has done a part of the handshake."""
    steps = {"header": amqp.HEADER, "start": amqp.HEADER + amqp.start_ok(),
             "tuned": amqp.HEADER + amqp.start_ok() + amqp.tune_ok()}
    answers = {"header": "start", "start": "tune", "tuned": "tune"}

    def connect(broker, **_):
        client = amqp.Client(broker.port, handshake=False)
        client.send(steps[stage])
        client.expect(answers[stage])
        return client
    return connect


# name, how to connect, bytes, reply codes that are right (0: closed without a close frame)
FRAMING, UNEXPECTED, STATE, UNKNOWN, SYNTAX = {501}, {505}, {503, 504}, {503, 540}, {501, 502, 541}
WRONG = [
    ("end of a method frame", opened, amqp.frame(1, 1, b"\0\x32\0\x0a" + bytes(9), b"\0"), FRAMING),
    ("end of a header frame", opened, amqp.publish_method(1, "q")
     + amqp.frame(2, 1, struct.pack(">HHQ", 60, 0, 3) + b"\0\0", b"\xcf"), FRAMING),
    ("end of a body frame", opened, amqp.publish_method(1, "q") + amqp.content_header(1, 3)
     + amqp.frame(3, 1, b"abc", b"\0"), FRAMING),
    ("end of a large body frame", opened, amqp.publish_method(1, "q") + amqp.content_header(1, 100000)
     + amqp.frame(3, 1, bytes(100000), b"\0"), FRAMING),
    ("end of a heartbeat", opened, amqp.frame(8, 0, b"", b"\0"), FRAMING),
    ("type 0", opened, amqp.frame(0, 1, b"abc"), FRAMING),
    ("type 4", opened, amqp.frame(4, 1, b"abc"), FRAMING),
    ("type 7", opened, amqp.frame(7, 1, b"abc"), FRAMING),
    ("type 255", opened, amqp.frame(255, 1, b"abc"), FRAMING),
    ("a frame of 4 GiB", opened, struct.pack(">BHI", 1, 1, 0xffffffff), FRAMING),
    ("a body frame of 4 GiB", opened, amqp.publish_method(1, "q") + amqp.content_header(1, 1000)
     + struct.pack(">BHI", 3, 1, 0xffffffff), FRAMING),
    ("a frame one larger than tuned", opened, struct.pack(">BHI", 1, 1, 131073), FRAMING),
    ("a large frame before login", before_open("header"), struct.pack(">BHI", 1, 0, 131072), FRAMING | {0}),
    ("a heartbeat on a channel", opened, amqp.frame(8, 1, b""), UNEXPECTED),
    ("an empty method frame", opened, amqp.frame(1, 1, b""), FRAMING),
    ("half a method id", opened, amqp.frame(1, 1, b"\0\x32\0"), FRAMING),
    ("class 0", opened, amqp.method(1, 0, 0), UNKNOWN),
    ("class 65535", opened, amqp.method(1, 65535, 65535), UNKNOWN),
    ("an unknown method of queue", opened, amqp.method(1, 50, 99), UNKNOWN),
    ("an unknown method of connection", opened, amqp.method(0, 10, 99), UNKNOWN | STATE),
    ("a method of a closed channel", opened, amqp.queue_declare(9, "q"), {504}),
    ("a header on a closed channel", opened, amqp.content_header(9, 1), {504, 505}),
    ("a body on a closed channel", opened, amqp.frame(3, 9, b"x"), {504, 505}),
    ("a method of queue on channel 0", opened, amqp.queue_declare(0, "q"), STATE),
    ("channel.open on channel 0", opened, amqp.channel_open(0), {504}),
    ("a header on channel 0", opened, amqp.content_header(0, 1), UNEXPECTED),
    ("a body on channel 0", opened, amqp.frame(3, 0, b"x"), UNEXPECTED),
    ("a connection method on a channel", opened, amqp.method(1, 10, 40, b"\1/\0\0"), {503}),
    ("a second channel.open", opened, amqp.channel_open(1), {504}),
    ("a server's method", opened, amqp.method(1, 50, 11, b"\1q" + bytes(8)), {503}),
    ("a second open", opened, amqp.connection_open(), STATE),
    ("channel.open before connection.open", before_open("tuned"), amqp.channel_open(1), STATE | UNEXPECTED),
    ("a body before connection.open", before_open("tuned"), amqp.frame(3, 1, b"x"), STATE | UNEXPECTED),
    ("open before login", before_open("header"), amqp.connection_open(), STATE | UNEXPECTED | {0}),
    ("tune-ok before login", before_open("header"), amqp.tune_ok(), STATE | UNEXPECTED | {0}),
    ("a frame_max of 1", before_open("start"), amqp.tune_ok(frame_max=1), {501, 530}),
    ("a frame_max of 4 GiB", before_open("start"), amqp.tune_ok(frame_max=0xffffffff), {501, 530}),
    ("a channel_max of 0", before_open("start"), amqp.tune_ok(channel_max=0), {501, 530}),
    ("a header without a publish", opened, amqp.content_header(1, 1), UNEXPECTED),
    ("a body without a header", opened, amqp.publish_method(1, "q") + amqp.frame(3, 1, b"x"), UNEXPECTED),
    ("two headers", opened, amqp.publish_method(1, "q") + amqp.content_header(1, 5) * 2, UNEXPECTED),
    ("a method within a content", opened, amqp.publish_method(1, "q") + amqp.content_header(1, 5)
     + amqp.frame(3, 1, b"abc") + amqp.qos(1, 1), UNEXPECTED),
    ("a header of class 50", opened, amqp.publish_method(1, "q") + amqp.content_header(1, 5, klass=50), UNEXPECTED),
    ("a weight", opened, amqp.publish_method(1, "q") + amqp.content_header(1, 5, weight=1), UNEXPECTED),
    ("a body longer than announced", opened, amqp.publish_method(1, "q") + amqp.content_header(1, 2)
     + amqp.frame(3, 1, b"abcdef") + amqp.qos(1, 1), UNEXPECTED | FRAMING),
    ("a short content header", opened, amqp.publish_method(1, "q") + amqp.frame(2, 1, b"\0\x3c\0"), FRAMING | {541}),
    ("properties cut off", opened, amqp.publish_method(1, "q") + amqp.content_header(1, 1, b"\x80\0\x05ab"), {501, 541}),
    ("a property table that lies", opened, amqp.publish_method(1, "q")
     + amqp.content_header(1, 1, b"\x20\0" + struct.pack(">I", 0xfffffff0)), {501, 541}),
    ("property flags without end", opened, amqp.publish_method(1, "q") + amqp.content_header(1, 1, b"\xff\xff" * 200),
     {501, 541}),
    ("a field type unknown in a header", opened, amqp.publish_method(1, "q")
     + amqp.content_header(1, 1, b"\x20\0" + amqp.long(b"\1aZ\0")), {501, 541}),
    ("arguments shorter than said", opened, amqp.method(1, 50, 10, b"\0\0\1q\0\0\0\0\x05"), SYNTAX),
    ("arguments of 4 GiB", opened, amqp.method(1, 50, 10, b"\0\0\1q\0\xff\xff\xff\xff"), SYNTAX),
    ("a text of 4 GiB in a table", opened, amqp.queue_declare(1, "q", 0, b"\1aS\xff\xff\xff\xff"), SYNTAX),
    ("a table longer than its table", opened, amqp.queue_declare(1, "q", 0, b"\1aF\0\0\0\x09\1bt\1"), SYNTAX),
    ("an array longer than its table", opened, amqp.queue_declare(1, "q", 0, b"\1aA\x7f\xff\xff\xff"), SYNTAX),
    ("a field type unknown", opened, amqp.queue_declare(1, "q", 0, b"\1aZ\0"), SYNTAX),
    ("a key longer than its table", opened, amqp.queue_declare(1, "q", 0, b"\xffab"), SYNTAX),
    ("a short string longer than its frame", opened, amqp.method(1, 50, 10, b"\0\0\xffq"), SYNTAX),
    ("octets behind the arguments", opened, amqp.method(1, 60, 10, bytes(7) + b"more"), SYNTAX),
    ("a name that is not UTF-8", opened, amqp.queue_declare(1, b"\xff\xfe"), SYNTAX),
    ("client properties that lie", before_open("header"),
     amqp.method(0, 10, 11, b"\xff\xff\xff\xff" + amqp.short("PLAIN") + amqp.long(b"x") + amqp.short("en_US")),
     SYNTAX | {0}),
]


@case("wrong frames: reply code, log line, nobody disturbed")
def wrong_frames(broker):
    with Witness(broker):
        for name, connect, octets, codes in WRONG:
            mark = broker.mark()
            client = connect(broker)
            client.send(octets)
            try:
                code, text = client.fate(10)
            except amqp.Silence:
                check(False, f"{name}: nothing happened")
            client.sock.close()
            check(code in codes, f"{name}: {code} {text}, not one of {sorted(codes)}")
            broker.logged(r"\[(error|warning)\]", mark)
            check(broker.alive(), f"{name}: the broker is gone")


@case("wrong frames: while channels hold consumers, messages, transactions")
def wrong_frames_loaded(broker):
    with Witness(broker), broker.client() as keeper:
        keeper.declare("held")
        for name, connect, octets, codes in WRONG:
            if connect is not opened:
                continue
            keeper.send(b"".join(amqp.publish(1, "held", b"%d" % n) for n in range(10)))
            client = broker.client(channels=4)
            client.declare("", amqp.EXCLUSIVE)
            client.send(amqp.consume(2, "held", "c") + amqp.tx_select(3) + amqp.publish(3, "held", b"never")
                        + amqp.confirm_select(4) + amqp.publish(4, "nowhere", b"x") + amqp.get(1, "held"))
            client.send(octets)
            code, text = client.fate(10)
            client.sock.close()
            check(code in codes, f"{name}: {code} {text}")
            wait_until(lambda: keeper.messages("held") == 10, 10, f"{name}: 10 messages again")
            keeper.ask(amqp.queue_purge(1, "held"), "purge-ok")


@case("garbage instead of a protocol header")
def garbage_header(broker):
    source = random.Random(1)
    first = [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\0\1\0", b"AMQP\0\1\0\0", b"AMQP\3\1\0\0", b"AMQPxxxx",
             b"\0" * 8, b"\xff" * 100, b"AMQ", b"HELO mail\r\n", b"\0\0\0\x14\0\3\0\0\0\0\0\0\0\0\0\0", b"A",
             b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n"]
    first += [source.randbytes(source.randint(1, 3000)) for _ in range(60)]
    with Witness(broker):
        for octets in first:
            mark = broker.mark()
            sock = amqp.connect(broker.port)
            sock.sendall(octets)
            if octets in (b"AMQ", b"A"):  # a beginning that may become right
                sock.close()
                continue
            answer = b""
            try:
                while data := sock.recv(100):
                    answer += data
            except ConnectionResetError:
                pass
            sock.close()
            tls = octets[:2] == b"\x16\x03"
            check(answer == amqp.HEADER or tls and not answer, f"{octets[:20]!r}: {answer!r}")
            broker.logged("TLS" if tls else "bad protocol header", mark)


def whole_session():
    """A session with most kinds of frames, as a list of frames behind the header."""
    return [amqp.start_ok(), amqp.tune_ok(), amqp.connection_open(), amqp.channel_open(1), amqp.channel_open(2),
            amqp.queue_declare(1, "session", amqp.AUTO_DELETE), amqp.exchange_declare(1, "session-x", "topic"),
            amqp.queue_bind(1, "session", "session-x", "a.#"), amqp.qos(1, 10), amqp.confirm_select(2),
            amqp.consume(1, "session", "tag"), amqp.publish_method(2, "a.b", "session-x"),
            amqp.content_header(2, 6, b"\xb0\0" + amqp.short("text/plain") + amqp.long(b"\1kS\0\0\0\1v") + b"\1"),
            amqp.frame(3, 2, b"abc"), amqp.frame(8, 0, b""), amqp.frame(3, 2, b"def"), amqp.publish(2, "session", b"x" * 50),
            amqp.ack(1, 1), amqp.reject(1, 2), amqp.get(1, "session", True), amqp.cancel(1, "tag"),
            amqp.exchange_delete(1, "session-x"), amqp.channel_close(2)]


def drain(client, timeout):
    """Reads until the end or silence."""
    try:
        while True:
            client.next(timeout, raise_closed=False)
    except (amqp.Closed, amqp.Silence):
        pass


@case("a session broken off behind every octet")
def truncated(broker):
    octets = amqp.HEADER + b"".join(whole_session())
    step = 3 if broker.programs.slow else 1
    with Witness(broker):
        for n in range(1, len(octets), step):
            sock = amqp.connect(broker.port)
            sock.sendall(octets[:n])
            if n % 3 == 0:
                amqp.Client.kill(type("End", (), {"sock": sock}))
            elif n % 3 == 1:
                sock.shutdown(1)
                sock.settimeout(10)
                try:
                    while sock.recv(65536):
                        pass
                except ConnectionResetError:
                    pass
                sock.close()
            else:
                sock.close()
    wait_until(lambda: broker.open_files() < 60, 15, lambda: f"connections gone, {broker.open_files()} files are open")


@case("sessions in pieces of every size")
def pieces(broker):
    octets = amqp.HEADER + b"".join(f for f in whole_session()[:-6])
    for size in (1, 2, 3, 7, 8, 9, 64, 200):
        client = amqp.Client(broker.port, handshake=False)
        for at in range(0, len(octets), size):
            client.send(octets[at : at + size])
        acks = set()
        while acks != {1, 2}:
            event = client.next()
            if event.name == "ack":
                acks |= set(range(1, event.tag() + 1)) if event.multiple() else {event.tag()}
        client.close()


@case("sessions with octets changed at random")
def mutated(broker):
    source = random.Random(7)
    rounds = 150 if broker.programs.slow else 300
    with Witness(broker):
        for n in range(rounds):
            frames = [bytearray(f) for f in whole_session()]
            if n % 4 == 0:  # frames left out, twice, or elsewhere
                at, to = source.randrange(3, len(frames)), source.randrange(3, len(frames))
                frames.insert(to, frames[at] if source.random() < 0.5 else frames.pop(at))
            for _ in range(source.choice((0, 1, 1, 2, 5))):
                victim = source.choice(frames[3:] if source.random() < 0.9 else frames)
                at = source.randrange(len(victim))
                victim[at] = source.choice((0, 1, 0x7f, 0x80, 0xff, source.randrange(256)))
            client = amqp.Client(broker.port, handshake=False)
            try:
                client.send(amqp.HEADER + b"".join(frames) + source.choice((b"", amqp.connection_close())))
                drain(client, 0.02 if n % 16 else 0.2)
            except OSError:
                pass
            client.sock.close()
            if n % 50 == 0:
                check(broker.alive(), "the broker is gone")


@case("random octets after the handshake")
def random_octets(broker):
    source = random.Random(11)
    with Witness(broker):
        for n in range(60):
            client = broker.client()
            octets = source.randbytes(source.randint(8, 20000))
            if n % 2:  # a correct frame header, random payload
                size = source.randint(0, 500)
                octets = amqp.frame(source.choice((1, 2, 3)), source.choice((0, 1)), source.randbytes(size)) * 3
            try:
                client.send(octets)
                code, _ = client.fate(2)
                check(code in (0, 501, 502, 503, 504, 505, 530, 540, 541), f"code {code}")
            except (amqp.Silence, OSError):
                pass  # a frame that happens to begin, or a socket that was closed under us
            client.sock.close()


@case("tables nested 18,000 deep")
def deep_tables(broker):
    table = deep(18000)
    with Witness(broker), broker.client() as client:
        before = broker.rss()
        for _ in range(5):
            client.ask(amqp.queue_declare(1, "deep", 0, table), "declare-ok")
            client.send(amqp.publish_method(1, "deep") + amqp.content_header(1, 1, b"\x20\0" + amqp.long(table))
                        + amqp.frame(3, 1, b"x"))
            event = client.ask(amqp.get(1, "deep", True), "get-ok")
            check(event.body == b"x", "the message came back")
            client.delete("deep")
        client.ask(amqp.exchange_declare(1, "deep-h", "headers"), "exchange.declare-ok")
        client.declare("deep")
        client.ask(amqp.method(1, 50, 20, b"\0\0" + amqp.short("deep") + amqp.short("deep-h") + b"\0\0" + amqp.long(table)),
                   "bind-ok")
        client.send(amqp.publish_method(1, "k", "deep-h") + amqp.content_header(1, 1, b"\x20\0" + amqp.long(table))
                    + amqp.frame(3, 1, b"x"))
        check(client.ask(amqp.get(1, "deep", True), "get-ok").body == b"x", "routed by a deep table")
        client.delete("deep")
        client.ask(amqp.exchange_delete(1, "deep-h"), "exchange.delete-ok")
        arrays = b"\1a" + b"".join(b"A" + struct.pack(">I", 5 * n) for n in range(18000, -1, -1))
        client.ask(amqp.queue_declare(1, "deep", 0, arrays), "declare-ok")
        client.delete("deep")
        check(broker.rss() < before + 64, f"{broker.rss():.0f} MiB after {before:.0f}")
    props = amqp.Client(broker.port, handshake=False)
    props.send(amqp.HEADER + amqp.start_ok(properties=b"\1d" + deep(1200)[1:]) + amqp.tune_ok() + amqp.connection_open())
    props.expect("open-ok")
    props.close()


@case("content headers that announce what never comes")
def lengths_lie(broker):
    count = 2047
    with Witness(broker):
        before = broker.rss()
        for size in (128 * 1024 * 1024, 65536, 65537):
            clients = [broker.client(channels=count) for _ in range(3)]
            for client in clients:
                client.send(b"".join(amqp.publish_method(n, "nowhere") + amqp.content_header(n, size)
                                     for n in range(1, count + 1)))
                client.send(amqp.frame(8, 0, b""))
                client.send(b"".join(amqp.frame(3, n, b"x" * 10) for n in range(1, count + 1)))
            with broker.client() as late:  # has been answered: what came before was read
                late.declare("late", amqp.EXCLUSIVE)
            used = broker.rss() - before
            for client in clients:
                client.kill()
            # 6,141 channels at 4 KiB of their own; the pages that ten octets of body touch
            limit = 400 if broker.programs.slow else 96
            check(used < limit, f"{used:.0f} MiB for {3 * count} announced bodies of {size}")
        wait_until(lambda: broker.open_files() < 40, 10, "connections gone")
    if not broker.programs.slow:
        wait_until(lambda: broker.rss() < before + 16, 10, lambda: f"{broker.rss():.0f} MiB after, {before:.0f} before")
    with broker.client() as client:
        for size in (128 * 1024 * 1024 + 1, 2**63, 2**64 - 1):
            client.send(amqp.publish_method(1, "q") + amqp.content_header(1, size))
            try:
                client.next()
            except amqp.Closed as closed:
                check(closed.code == 406 and closed.channel == 1, f"{size}: {closed}")
            client.ask(amqp.channel_open(1), "channel.open-ok")


@case("a channel that fails within a body")
def fails_within_body(broker):
    """The answer that closes the channel comes while a body frame is half read."""
    with Witness(broker), broker.client() as holder:
        holder.declare("mine")
        holder.ask(amqp.consume(1, "mine", "c", amqp.CONSUME_EXCLUSIVE), "consume-ok")
        for size in (100, 200000):
            client = broker.client()
            body = amqp.frame(3, 1, bytes(min(size, 131064)))
            client.send(amqp.consume(1, "mine", "d") + amqp.publish_method(1, "mine") + amqp.content_header(1, size) + body[:20])
            event = client.next(raise_closed=False)
            check(event.name == "channel.close" and event.reason()[0] == 403, f"{event.name} {event.args}")
            client.send(body[20:] + amqp.method(1, 20, 41))
            client.ask(amqp.channel_open(1), "channel.open-ok")
            client.ask(amqp.channel_flow(1), "flow-ok")
            client.close()
