// The Java client: confirms, returns, transactions, consumers, topology, recovery, RPC, blocking I/O and NIO.

import com.rabbitmq.client.*;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

public class Suite {
    interface Body {
        void run() throws Exception;
    }

    interface Work {
        void run(Connection connection, Channel channel) throws Exception;
    }

    static class Case {
        final String title;
        final Body body;
        int seconds = 30;

        Case(String title, Body body) {
            this.title = title;
            this.body = body;
        }
    }

    static final String HOST = env("AMQP_HOST", "127.0.0.1");
    static final int PORT = Integer.parseInt(env("AMQP_PORT", "5672"));
    static final String USER = env("AMQP_USER", "guest");
    static final String PASSWORD = env("AMQP_PASSWORD", "guest");
    static final String VHOST = env("AMQP_VHOST", "/");
    static final List<Case> cases = new ArrayList<>();
    static final AtomicInteger names = new AtomicInteger();

    static String env(String key, String otherwise) {
        String value = System.getenv(key);
        return value == null || value.isEmpty() ? otherwise : value;
    }

    // What the cases are made of.

    static Case test(String title, Body body) {
        Case added = new Case(title, body);
        cases.add(added);
        return added;
    }

    static Case session(String title, Work work) {
        return test(title, () -> with(factory(), work));
    }

    static void with(ConnectionFactory factory, Work work) throws Exception {
        Connection connection = factory.newConnection();
        try {
            work.run(connection, connection.createChannel());
        } finally {
            if (connection.isOpen()) {
                connection.close(5000);
            }
        }
    }

    static ConnectionFactory factory() {
        ConnectionFactory factory = new ConnectionFactory();
        factory.setHost(HOST);
        factory.setPort(PORT);
        factory.setUsername(USER);
        factory.setPassword(PASSWORD);
        factory.setVirtualHost(VHOST);
        factory.setAutomaticRecoveryEnabled(false);
        factory.setRequestedHeartbeat(30);
        factory.setChannelRpcTimeout(10000);
        return factory;
    }

    static String name(String what) {
        return "java." + ProcessHandle.current().pid() + "." + names.incrementAndGet() + "." + what;
    }

    static String queue(Channel channel) throws IOException {
        return channel.queueDeclare().getQueue();
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static String text(byte[] body) {
        return new String(body, StandardCharsets.UTF_8);
    }

    static void equal(Object wanted, Object got) {
        if (!Objects.equals(wanted, got)) {
            throw new AssertionError("got " + got + ", wanted " + wanted);
        }
    }

    static void holds(boolean condition, String what) {
        if (!condition) {
            throw new AssertionError(what);
        }
    }

    static void until(Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + 10_000_000_000L;
        while (!condition.call()) {
            holds(System.nanoTime() < end, "waited too long");
            Thread.sleep(5);
        }
    }

    static <T> T take(BlockingQueue<T> queue) throws InterruptedException {
        T taken = queue.poll(10, TimeUnit.SECONDS);
        holds(taken != null, "nothing came");
        return taken;
    }

    static GetResponse get(Channel channel, String queue) throws Exception {
        GetResponse[] got = new GetResponse[1];
        until(() -> (got[0] = channel.basicGet(queue, true)) != null);
        return got[0];
    }

    static void publish(Channel channel, String queue, String body) throws IOException {
        channel.basicPublish("", queue, null, bytes(body));
    }

    /** Expects a close with a code and a text, of the channel or, when hard, of the connection. */
    static void refused(int code, String text, boolean hard, Body body) throws Exception {
        ShutdownSignalException signal;
        try {
            body.run();
            throw new AssertionError("no error " + code);
        } catch (IOException error) {
            if (!(error.getCause() instanceof ShutdownSignalException)) {
                throw error;
            }
            signal = (ShutdownSignalException) error.getCause();
        } catch (ShutdownSignalException error) {
            signal = error;
        }
        judge(signal, code, text, hard);
    }

    static void judge(ShutdownSignalException signal, int code, String text, boolean hard) {
        equal(hard, signal.isHardError());
        Method reason = signal.getReason();
        int gotCode = hard ? ((AMQP.Connection.Close) reason).getReplyCode() : ((AMQP.Channel.Close) reason).getReplyCode();
        String gotText = hard ? ((AMQP.Connection.Close) reason).getReplyText() : ((AMQP.Channel.Close) reason).getReplyText();
        equal(code, gotCode);
        holds(gotText.contains(text), gotText + " lacks " + text);
    }

    static void refused(int code, String text, Body body) throws Exception {
        refused(code, text, false, body);
    }

    static void admin(Object... words) throws Exception {
        List<String> command = new ArrayList<>();
        command.add(env("AMQP_ADMIN", Path.of("tests/clients/lib/admin").toString()));
        for (Object word : words) {
            command.add(word.toString());
        }
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String said = text(process.getInputStream().readAllBytes());
        holds(process.waitFor() == 0, "admin " + command + ": " + said);
    }

    static int localPort(Connection connection) {
        if (connection instanceof com.rabbitmq.client.impl.recovery.AutorecoveringConnection) {
            return ((com.rabbitmq.client.impl.recovery.AutorecoveringConnection) connection).getLocalPort();
        }
        return ((com.rabbitmq.client.impl.AMQConnection) connection).getLocalPort();
    }

    /** A consumer that puts what it gets into a queue. */
    static class Collector extends DefaultConsumer {
        final BlockingQueue<GetResponse> messages = new LinkedBlockingQueue<>();
        final BlockingQueue<String> cancelled = new LinkedBlockingQueue<>();

        Collector(Channel channel) {
            super(channel);
        }

        @Override
        public void handleDelivery(String tag, Envelope envelope, AMQP.BasicProperties properties, byte[] body) {
            messages.add(new GetResponse(envelope, properties, body, 0));
        }

        @Override
        public void handleCancel(String tag) {
            cancelled.add(tag);
        }
    }

    // The cases.

    static void connecting() {
        session("the server introduces itself", (connection, channel) -> {
            Map<String, Object> server = connection.getServerProperties();
            for (String key : List.of("product", "version", "platform", "copyright", "information")) {
                holds(server.get(key) != null, key);
            }
            Map<?, ?> capabilities = (Map<?, ?>) server.get("capabilities");
            for (String key : List.of("publisher_confirms", "exchange_exchange_bindings", "basic.nack",
                    "consumer_cancel_notify", "connection.blocked", "authentication_failure_close")) {
                equal(true, capabilities.get(key));
            }
        });
        test("a URI connects", () -> {
            ConnectionFactory factory = new ConnectionFactory();
            factory.setUri(env("AMQP_URI", "amqp://guest:guest@127.0.0.1:5672/%2F"));
            with(factory, (connection, channel) -> holds(channel.isOpen(), "open"));
        });
        test("a wrong password is refused", () -> {
            ConnectionFactory factory = factory();
            factory.setPassword("wrong");
            try {
                factory.newConnection();
                throw new AssertionError("connected");
            } catch (AuthenticationFailureException error) {
                holds(error.getMessage().contains("ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN"),
                    error.getMessage());
            }
        });
        test("an unknown virtual host is refused", () -> {
            ConnectionFactory factory = factory();
            factory.setVirtualHost("nowhere");
            refused(530, "NOT_ALLOWED - vhost nowhere not found", true, factory::newConnection);
        });
        test("limits are negotiated", () -> {
            ConnectionFactory factory = factory();
            factory.setRequestedChannelMax(4);
            factory.setRequestedFrameMax(4096);
            factory.setRequestedHeartbeat(13);
            with(factory, (connection, channel) -> {
                equal(List.of(4, 4096, 13), List.of(connection.getChannelMax(), connection.getFrameMax(),
                    connection.getHeartbeat()));
                for (int i = 0; i < 3; i++) {
                    connection.createChannel();
                }
                equal(null, connection.createChannel());
            });
        });
        test("heartbeats keep an idle connection", () -> {
            ConnectionFactory factory = factory();
            factory.setRequestedHeartbeat(1);
            with(factory, (connection, channel) -> {
                Thread.sleep(4000);
                queue(channel);
            });
        });
        test("the operator closes a connection", () -> {
            Connection connection = factory().newConnection();
            BlockingQueue<ShutdownSignalException> closed = new LinkedBlockingQueue<>();
            connection.addShutdownListener(closed::add);
            admin("close-connection", localPort(connection), "maintenance");
            judge(take(closed), 320, "CONNECTION_FORCED - maintenance", true);
        });
        session("blocked and unblocked are told", (connection, channel) -> {
            BlockingQueue<String> events = new LinkedBlockingQueue<>();
            connection.addBlockedListener(reason -> events.add(reason), () -> events.add("unblocked"));
            String q = queue(channel);
            admin("alarm", "on");
            try {
                publish(channel, q, "late");
                equal("low on memory", take(events));
            } finally {
                admin("alarm", "off");
            }
            equal("unblocked", take(events));
            equal("late", text(get(channel, q).getBody()));
        }).seconds = 60;
    }

    static void topology() {
        session("queues are declared, counted, purged and deleted", (connection, channel) -> {
            String q = name("q");
            AMQP.Queue.DeclareOk ok = channel.queueDeclare(q, true, false, false, Map.of("x-max-length", 10));
            equal(q, ok.getQueue());
            channel.confirmSelect();
            for (int i = 0; i < 3; i++) {
                publish(channel, q, "x");
            }
            channel.waitForConfirmsOrDie(5000);
            equal(3L, channel.messageCount(q));
            equal(0L, channel.consumerCount(q));
            equal(3, channel.queuePurge(q).getMessageCount());
            publish(channel, q, "x");
            channel.waitForConfirmsOrDie(5000);
            equal(1, channel.queueDelete(q).getMessageCount());
            equal(0, channel.queueDelete(q).getMessageCount());
            channel.queueDeclareNoWait(q, false, false, false, null);
            channel.queueDeclarePassive(q);
            channel.queueDeleteNoWait(q, false, false);
            refused(404, "no queue '" + q + "' in vhost '" + VHOST + "'", () -> channel.queueDeclarePassive(q));
            holds(connection.isOpen(), "the connection stays");
        });
        session("inequivalent and forbidden declarations", (connection, channel) -> {
            String q = name("q");
            channel.queueDeclare(q, false, false, true, null);
            refused(406, "inequivalent arg 'durable' for queue '" + q + "' in vhost '" + VHOST
                + "': received 'true' but current is 'false'", () -> channel.queueDeclare(q, true, false, true, null));
            refused(406, "inequivalent arg 'x-expires' for queue", () ->
                connection.createChannel().queueDeclare(q, false, false, true, Map.of("x-expires", 1000)));
            refused(403, "reserved prefix", () -> connection.createChannel().queueDeclare("amq.x", false, false, false, null));
            refused(406, "inequivalent arg 'type' for exchange", () ->
                connection.createChannel().exchangeDeclare("amq.direct", "topic", true));
            refused(404, "no exchange 'nowhere'", () -> connection.createChannel().exchangeDeclarePassive("nowhere"));
            refused(503, "unknown exchange type", true, () -> connection.createChannel().exchangeDeclare(name("x"), "x-no"));
            with(factory(), (other, again) -> again.queueDelete(q));
        });
        session("an exclusive queue is locked and dies with its connection", (connection, channel) -> {
            String q = name("q");
            Connection owner = factory().newConnection();
            owner.createChannel().queueDeclare(q, false, true, false, null);
            refused(405, "RESOURCE_LOCKED", () -> connection.createChannel().queueDeclarePassive(q));
            owner.close();
            refused(404, "no queue", () -> channel.queueDeclarePassive(q));
        });
        session("every exchange type routes", (connection, channel) -> {
            Map<String, Object> match = Map.of("x-match", "all", "h", "v", "n", 1);
            Object[][] rows = {{"direct", "k", "k", Map.of()}, {"fanout", "", "any", Map.of()},
                {"topic", "*.b.#", "a.b.c", Map.of()}, {"headers", "", "", match}};
            for (Object[] row : rows) {
                String type = (String) row[0];
                String x = name(type);
                String q = queue(channel);
                @SuppressWarnings("unchecked") Map<String, Object> arguments = (Map<String, Object>) row[3];
                channel.exchangeDeclare(x, BuiltinExchangeType.valueOf(type.toUpperCase()), false, false, null);
                channel.queueBind(q, x, (String) row[1], arguments);
                AMQP.BasicProperties properties = new AMQP.BasicProperties.Builder().headers(Map.of("h", "v", "n", 1)).build();
                channel.basicPublish(x, (String) row[2], properties, bytes(type));
                equal(type, text(get(channel, q).getBody()));
                channel.queueUnbind(q, x, (String) row[1], arguments);
                channel.basicPublish(x, (String) row[2], properties, bytes(type));
                equal(0L, channel.messageCount(q));
                channel.exchangeDelete(x);
            }
        });
        session("exchange bindings, alternate exchanges, internal ones", (connection, channel) -> {
            String source = name("source");
            String target = name("target");
            channel.exchangeDeclare(target, "fanout", false, false, true, null);
            channel.exchangeDeclare(source, "topic", false, false, Map.of("alternate-exchange", target));
            channel.exchangeBind(target, source, "a.*");
            String q = queue(channel);
            channel.queueBind(q, target, "");
            channel.basicPublish(source, "a.b", null, bytes("bound"));
            channel.basicPublish(source, "b", null, bytes("alternate"));
            equal("bound", text(get(channel, q).getBody()));
            equal("alternate", text(get(channel, q).getBody()));
            channel.exchangeUnbind(target, source, "a.*");
            Channel other = connection.createChannel();
            other.basicPublish(target, "", null, bytes("x"));
            refused(403, "cannot publish to internal exchange", () -> other.queueDeclare());
            channel.exchangeDelete(source);
            channel.exchangeDelete(target);
        });
        session("if-unused and if-empty", (connection, channel) -> {
            String q = name("q");
            channel.queueDeclare(q, false, false, false, null);
            channel.basicPublish("", q, null, bytes("x"));
            refused(406, "not empty", () -> connection.createChannel().queueDelete(q, false, true));
            channel.basicConsume(q, new Collector(channel));
            refused(406, "in use", () -> connection.createChannel().queueDelete(q, true, false));
            channel.queueDelete(q);
        });
    }

    static void publishing() {
        session("confirms: waiting, batches, listeners", (connection, channel) -> {
            String q = queue(channel);
            channel.confirmSelect();
            Set<Long> open = new ConcurrentSkipListSet<>();
            NavigableSet<Long> left = (NavigableSet<Long>) open;
            channel.addConfirmListener(
                (tag, multiple) -> (multiple ? left.headSet(tag, true) : Set.of(tag)).stream().collect(Collectors.toList())
                    .forEach(open::remove),
                (tag, multiple) -> { });
            for (int i = 0; i < 1000; i++) {
                open.add(channel.getNextPublishSeqNo());
                channel.basicPublish("", q, MessageProperties.PERSISTENT_TEXT_PLAIN, bytes("" + i));
            }
            holds(channel.waitForConfirms(10000), "all acknowledged");
            until(open::isEmpty);
            equal(1000L, channel.messageCount(q));
        });
        session("a full queue nacks", (connection, channel) -> {
            String q = channel.queueDeclare("", false, true, true,
                Map.of("x-max-length", 1, "x-overflow", "reject-publish")).getQueue();
            channel.confirmSelect();
            publish(channel, q, "1");
            publish(channel, q, "2");
            equal(false, channel.waitForConfirms(5000));
        });
        session("an unroutable mandatory message returns before its ack", (connection, channel) -> {
            List<String> events = Collections.synchronizedList(new ArrayList<>());
            channel.addReturnListener(back -> events.add(back.getReplyCode() + " " + back.getReplyText() + " "
                + back.getExchange() + " " + back.getRoutingKey() + " " + text(back.getBody())));
            channel.addConfirmListener((tag, multiple) -> events.add("ack"), (tag, multiple) -> events.add("nack"));
            channel.confirmSelect();
            channel.basicPublish("amq.direct", "nobody", true, null, bytes("back"));
            until(() -> events.size() == 2);
            equal(List.of("312 NO_ROUTE amq.direct nobody back", "ack"), events);
        });
        session("publishing to a missing exchange closes the channel", (connection, channel) -> {
            BlockingQueue<ShutdownSignalException> closed = new LinkedBlockingQueue<>();
            channel.addShutdownListener(closed::add);
            channel.basicPublish("nowhere", "k", null, bytes("x"));
            judge(take(closed), 404, "no exchange 'nowhere' in vhost '" + VHOST + "'", false);
            connection.createChannel().queueDeclare();
        });
        session("immediate is not implemented", (connection, channel) -> {
            BlockingQueue<ShutdownSignalException> closed = new LinkedBlockingQueue<>();
            connection.addShutdownListener(closed::add);
            channel.basicPublish("", "x", false, true, null, bytes("x"));
            judge(take(closed), 540, "NOT_IMPLEMENTED - immediate=true", true);
        });
        session("transactions", (connection, channel) -> {
            String q = queue(channel);
            Channel other = connection.createChannel();
            channel.txSelect();
            publish(channel, q, "lost");
            channel.txRollback();
            publish(channel, q, "a");
            publish(channel, q, "b");
            equal(0L, other.messageCount(q));
            channel.txCommit();
            equal(2L, other.messageCount(q));
            GetResponse got = channel.basicGet(q, false);
            channel.basicAck(got.getEnvelope().getDeliveryTag(), false);
            channel.txRollback();
            channel.basicNack(got.getEnvelope().getDeliveryTag(), false, true);
            channel.txCommit();
            equal(2L, other.messageCount(q));
            refused(406, "cannot switch from tx to confirm mode", channel::confirmSelect);
        });
        session("every property and header type comes back", (connection, channel) -> {
            Map<String, Object> headers = new HashMap<>();
            headers.put("string", "grün");
            headers.put("int", 42);
            headers.put("short", (short) -7);
            headers.put("byte", (byte) 5);
            headers.put("long", 1L << 40);
            headers.put("double", 2.5);
            headers.put("float", 1.5f);
            headers.put("boolean", true);
            headers.put("null", null);
            headers.put("decimal", new BigDecimal("12.34"));
            headers.put("date", new Date(1700000000000L));
            headers.put("list", List.of(1, "two", Map.of("three", 3L)));
            headers.put("table", Map.of("a", Map.of("b", "c")));
            headers.put("bytes", new byte[] {0, -1, 7});
            AMQP.BasicProperties sent = new AMQP.BasicProperties.Builder().contentType("text/plain").contentEncoding("utf-8")
                .headers(headers).deliveryMode(2).priority(6).correlationId("c").replyTo("r").expiration("60000")
                .messageId("m").timestamp(new Date(1700000000000L)).type("t").userId(USER).appId("a").clusterId("cl").build();
            String q = queue(channel);
            channel.basicPublish("", q, sent, bytes("x"));
            AMQP.BasicProperties got = get(channel, q).getProps();
            equal(plain(headers), plain(got.getHeaders()));
            equal(sent.builder().headers(null).build().toString(), got.builder().headers(null).build().toString());
        });
        session("large messages", (connection, channel) -> {
            String q = queue(channel);
            for (int size : new int[] {0, 1 << 20, 10 << 20}) {
                byte[] body = new byte[size];
                new Random(size).nextBytes(body);
                channel.basicPublish("", q, null, body);
                holds(Arrays.equals(body, get(channel, q).getBody()), size + " bytes came back changed");
            }
        }).seconds = 60;
    }

    /** Comparable values: the client gives long strings and arrays back as objects of its own. */
    static Object plain(Object value) {
        if (value instanceof LongString) {
            return value.toString();
        }
        if (value instanceof byte[]) {
            return Arrays.toString((byte[]) value);
        }
        if (value instanceof List) {
            return ((List<?>) value).stream().map(Suite::plain).collect(Collectors.toList());
        }
        if (value instanceof Map) {
            Map<Object, Object> made = new TreeMap<>();
            ((Map<?, ?>) value).forEach((key, inner) -> made.put(key, plain(inner)));
            return made;
        }
        return value;
    }

    static void consuming() {
        session("prefetch and multiple acks", (connection, channel) -> {
            String q = queue(channel);
            Collector collector = new Collector(channel);
            channel.basicQos(10);
            channel.basicConsume(q, collector);
            for (int i = 0; i < 500; i++) {
                publish(channel, q, "" + i);
            }
            for (int i = 0; i < 500; i++) {
                GetResponse got = take(collector.messages);
                equal("" + i, text(got.getBody()));
                equal(false, got.getEnvelope().isRedeliver());
                if (i % 10 == 9) {
                    holds(collector.messages.isEmpty(), "more than the prefetch came");
                    channel.basicAck(got.getEnvelope().getDeliveryTag(), true);
                }
            }
            equal(0L, channel.messageCount(q));
        });
        session("a global limit holds for all consumers of the channel", (connection, channel) -> {
            String q = queue(channel);
            Collector collector = new Collector(channel);
            channel.basicQos(3, true);
            channel.basicConsume(q, collector);
            channel.basicConsume(q, collector);
            for (int i = 0; i < 9; i++) {
                publish(channel, q, "x");
            }
            until(() -> collector.messages.size() == 3);
            Thread.sleep(200);
            equal(3, collector.messages.size());
        });
        session("nack, reject and recover", (connection, channel) -> {
            String q = queue(channel);
            for (String body : List.of("1", "2", "3")) {
                publish(channel, q, body);
            }
            until(() -> channel.messageCount(q) == 3);
            long last = 0;
            for (int i = 0; i < 3; i++) {
                last = channel.basicGet(q, false).getEnvelope().getDeliveryTag();
            }
            channel.basicNack(last, true, true);
            GetResponse first = channel.basicGet(q, false);
            equal("1", text(first.getBody()));
            equal(true, first.getEnvelope().isRedeliver());
            channel.basicReject(first.getEnvelope().getDeliveryTag(), false);
            channel.basicGet(q, false);
            channel.basicRecover(true);
            equal("2", text(channel.basicGet(q, true).getBody()));
            equal("3", text(channel.basicGet(q, true).getBody()));
        });
        session("an unknown tag closes the channel", (connection, channel) -> {
            BlockingQueue<ShutdownSignalException> closed = new LinkedBlockingQueue<>();
            channel.addShutdownListener(closed::add);
            channel.basicAck(17, false);
            judge(take(closed), 406, "unknown delivery tag 17", false);
        });
        session("the broker cancels a consumer", (connection, channel) -> {
            String q = name("q");
            channel.queueDeclare(q, false, false, false, null);
            Collector collector = new Collector(channel);
            String tag = channel.basicConsume(q, collector);
            connection.createChannel().queueDelete(q);
            equal(tag, take(collector.cancelled));
            holds(channel.isOpen(), "the channel stays");
        });
        session("cancel and exclusive consumers", (connection, channel) -> {
            String q = channel.queueDeclare("", false, true, false, null).getQueue();
            String tag = channel.basicConsume(q, true, "mine", false, true, null, new Collector(channel));
            equal("mine", tag);
            refused(403, "in exclusive use", () -> {
                Channel other = connection.createChannel();
                other.basicConsume(q, new Collector(other));
            });
            channel.basicCancel(tag);
            Channel again = connection.createChannel();
            again.basicConsume(q, true, new Collector(again));
            equal(1L, channel.consumerCount(q));
        });
        session("lambda consumers, consumer priorities", (connection, channel) -> {
            String q = queue(channel);
            BlockingQueue<String> got = new LinkedBlockingQueue<>();
            channel.basicConsume(q, true, Map.of("x-priority", 1), (tag, delivery) -> got.add("low"), tag -> { });
            channel.basicConsume(q, true, Map.of("x-priority", 2), (tag, delivery) -> got.add("high"), tag -> { });
            for (int i = 0; i < 4; i++) {
                publish(channel, q, "x");
            }
            for (int i = 0; i < 4; i++) {
                equal("high", take(got));
            }
        });
        session("dead letters tell their story", (connection, channel) -> {
            String grave = queue(channel);
            String q = channel.queueDeclare("", false, true, true,
                Map.of("x-dead-letter-exchange", "", "x-dead-letter-routing-key", grave, "x-message-ttl", 30)).getQueue();
            publish(channel, q, "old");
            Map<?, ?> death = (Map<?, ?>) ((List<?>) get(channel, grave).getProps().getHeaders().get("x-death")).get(0);
            equal("expired", death.get("reason").toString());
            equal(q, death.get("queue").toString());
            equal(1L, death.get("count"));
            holds(death.get("time") instanceof Date, "time");
        });
        session("a retry topology of dead-letter exchanges, as Spring users build it", (connection, channel) -> {
            String work = name("work"), retry = name("retry");
            channel.exchangeDeclare(work, "direct", false, true, null);
            channel.exchangeDeclare(retry, "direct", false, true, null);
            channel.queueDeclare(work, false, true, true, Map.of("x-dead-letter-exchange", retry));
            channel.queueDeclare(retry, false, true, true,
                Map.of("x-dead-letter-exchange", work, "x-message-ttl", 40, "x-max-priority", 5));
            channel.queueBind(work, work, "job");
            channel.queueBind(retry, retry, "job");
            channel.basicPublish(work, "job", null, "hard".getBytes());
            for (long round = 0; round <= 3; round++) {
                GetResponse got = null;
                for (int i = 0; i < 500 && got == null; i++) {
                    got = channel.basicGet(work, false);
                    Thread.sleep(got == null ? 10 : 0);
                }
                holds(got != null, "it comes again");
                if (round > 0) {
                    List<?> deaths = (List<?>) got.getProps().getHeaders().get("x-death");
                    equal(2, deaths.size());
                    equal("expired", ((Map<?, ?>) deaths.get(0)).get("reason").toString());
                    equal("rejected", ((Map<?, ?>) deaths.get(1)).get("reason").toString());
                    equal(round, ((Map<?, ?>) deaths.get(1)).get("count"));
                }
                channel.basicReject(got.getEnvelope().getDeliveryTag(), false);
            }
        });
        session("many channels and threads", (connection, channel) -> {
            String q = channel.queueDeclare(name("q"), false, true, false, null).getQueue();
            ExecutorService pool = Executors.newFixedThreadPool(8);
            List<Future<Boolean>> done = IntStream.range(0, 100).mapToObj(n -> pool.submit(() -> {
                Channel own = connection.createChannel();
                own.confirmSelect();
                for (int i = 0; i < 20; i++) {
                    publish(own, q, n + "." + i);
                }
                boolean all = own.waitForConfirms(10000);
                own.close();
                return all;
            })).collect(Collectors.toList());
            for (Future<Boolean> one : done) {
                holds(one.get(), "confirmed");
            }
            pool.shutdown();
            equal(2000L, channel.messageCount(q));
        });
        session("RPC client and server, also by direct reply-to", (connection, channel) -> {
            String q = queue(channel);
            StringRpcServer server = new StringRpcServer(channel, q) {
                @Override
                public String handleStringCall(String request, AMQP.BasicProperties reply) {
                    return request.toUpperCase();
                }
            };
            Thread loop = new Thread(() -> {
                try {
                    server.mainloop();
                } catch (Exception ended) {
                    return;
                }
            });
            loop.setDaemon(true);
            loop.start();
            Channel own = connection.createChannel();
            RpcClient direct = new RpcClient(own, "", q, "amq.rabbitmq.reply-to", 5000);
            for (int i = 0; i < 50; i++) {
                equal("CALL " + i, direct.stringCall("call " + i));
            }
            Channel third = connection.createChannel();
            RpcClient queued = new RpcClient(third, "", q, queue(third), 5000);
            equal("BY QUEUE", queued.stringCall("by queue"));
            server.terminateMainloop();
        });
    }

    static void recovering() {
        test("a closed connection recovers with its topology", () -> {
            ConnectionFactory factory = factory();
            factory.setAutomaticRecoveryEnabled(true);
            factory.setTopologyRecoveryEnabled(true);
            factory.setNetworkRecoveryInterval(200);
            with(factory, (connection, channel) -> {
                BlockingQueue<String> recovered = new LinkedBlockingQueue<>();
                ((Recoverable) connection).addRecoveryListener(new RecoveryListener() {
                    @Override
                    public void handleRecovery(Recoverable what) {
                        recovered.add("done");
                    }

                    @Override
                    public void handleRecoveryStarted(Recoverable what) {
                    }
                });
                channel.basicQos(5);
                channel.confirmSelect();
                String x = name("x");
                channel.exchangeDeclare(x, "topic", false, true, null);
                String q = channel.queueDeclare().getQueue();
                channel.queueBind(q, x, "a.#");
                BlockingQueue<String> got = new LinkedBlockingQueue<>();
                channel.basicConsume(q, false, (tag, delivery) -> {
                    got.add(text(delivery.getBody()));
                    channel.basicAck(delivery.getEnvelope().getDeliveryTag(), false);
                }, tag -> { });
                channel.basicPublish(x, "a.b", null, bytes("before"));
                equal("before", take(got));
                for (int i = 1; i <= 2; i++) {
                    admin("close-connection", localPort(connection), "maintenance");
                    take(recovered);
                    channel.basicPublish(x, "a.b", null, bytes("after " + i));
                    holds(channel.waitForConfirms(5000), "confirmed");
                    equal("after " + i, take(got));
                }
            });
        }).seconds = 60;
    }

    static void nio() {
        test("NIO: publishes, confirms, consumes, large bodies, recovery", () -> {
            ConnectionFactory factory = factory();
            factory.useNio();
            factory.setAutomaticRecoveryEnabled(true);
            factory.setNetworkRecoveryInterval(200);
            with(factory, (connection, channel) -> {
                String q = channel.queueDeclare(name("q"), false, false, true, null).getQueue();
                Collector collector = new Collector(channel);
                channel.basicConsume(q, true, collector);
                channel.confirmSelect();
                for (int i = 0; i < 500; i++) {
                    publish(channel, q, "" + i);
                }
                holds(channel.waitForConfirms(10000), "confirmed");
                for (int i = 0; i < 500; i++) {
                    equal("" + i, text(take(collector.messages).getBody()));
                }
                byte[] body = new byte[2 << 20];
                new Random(1).nextBytes(body);
                channel.basicPublish("", q, null, body);
                holds(Arrays.equals(body, take(collector.messages).getBody()), "the body came back changed");
                refused(404, "no queue", () -> connection.createChannel().queueDeclarePassive("nowhere"));
            });
        });
        test("SASL PLAIN by configuration; bad responses are refused", () -> {
            ConnectionFactory factory = factory();
            factory.setSaslConfig(DefaultSaslConfig.PLAIN);
            with(factory, (connection, channel) -> queue(channel));
            factory.setSaslConfig(mechanisms -> new SaslMechanism() {
                @Override
                public String getName() {
                    return "PLAIN";
                }

                @Override
                public LongString handleChallenge(LongString challenge, String user, String password) {
                    return com.rabbitmq.client.impl.LongStringHelper.asLongString("no zeros at all");
                }
            });
            boolean connected = true;
            try {
                factory.newConnection();
            } catch (IOException refusal) {
                connected = false;
            }
            holds(!connected, "connected");
        });
    }

    // The runner.

    static String attempt(Case one) {
        ExecutorService runner = Executors.newSingleThreadExecutor(body -> {
            Thread thread = new Thread(body);
            thread.setDaemon(true);
            return thread;
        });
        try {
            runner.submit(() -> {
                one.body.run();
                return null;
            }).get(one.seconds, TimeUnit.SECONDS);
            return null;
        } catch (ExecutionException error) {
            StringWriter trace = new StringWriter();
            error.getCause().printStackTrace(new PrintWriter(trace, true));
            return trace.toString();
        } catch (TimeoutException error) {
            return "the case took too long";
        } catch (InterruptedException error) {
            return "interrupted";
        } finally {
            runner.shutdownNow();
        }
    }

    public static void main(String[] wanted) {
        connecting();
        topology();
        publishing();
        consuming();
        recovering();
        nio();
        List<Case> chosen = cases.stream().filter(one -> wanted.length == 0
            || Arrays.stream(wanted).anyMatch(one.title::contains)).collect(Collectors.toList());
        System.out.println("1.." + chosen.size());
        int failures = 0;
        for (int i = 0; i < chosen.size(); i++) {
            String failure = attempt(chosen.get(i));
            System.out.println((failure == null ? "ok " : "not ok ") + (i + 1) + " - " + chosen.get(i).title);
            if (failure != null) {
                failures++;
                failure.lines().forEach(line -> System.out.println("# " + line));
            }
        }
        System.out.flush();
        Runtime.getRuntime().halt(failures == 0 ? 0 : 1);
    }
}
