# bunny, the Ruby client: topology, confirms, consumers, errors, recovery.

require "bunny"
require "open3"
require "set"
require "timeout"

HOST = ENV.fetch("AMQP_HOST", "127.0.0.1")
PORT = ENV.fetch("AMQP_PORT", "5672").to_i
USER = ENV.fetch("AMQP_USER", "guest")
PASSWORD = ENV.fetch("AMQP_PASSWORD", "guest")
VHOST = ENV.fetch("AMQP_VHOST", "/")
ADMIN = File.expand_path("../lib/admin", __dir__)
LOGGER = Logger.new(IO::NULL)

CASES = []
$names = 0

def test(title, seconds: 30, &body)
  CASES << [title, seconds, body]
end

def name(what = "q")
  "bunny.#{Process.pid}.#{$names += 1}.#{what}"
end

def connect(**changes)
  settings = { host: HOST, port: PORT, user: USER, password: PASSWORD, vhost: VHOST, heartbeat: 30, logger: LOGGER,
               automatically_recover: false, continuation_timeout: 10_000 }
  connection = Bunny.new(settings.merge(changes))
  connection.start
  return connection unless block_given?
  begin
    yield connection
  ensure
    connection.close if connection.open?
  end
end

def channel(**changes)
  connect(**changes) { |connection| yield connection.create_channel, connection }
end

def equal(wanted, got, what = "value")
  raise "#{what}: got #{got.inspect}, wanted #{wanted.inspect}" unless wanted == got
end

def holds(condition, what)
  raise what unless condition
end

def wait(seconds = 10)
  finish = Process.clock_gettime(Process::CLOCK_MONOTONIC) + seconds
  until yield
    raise "waited too long" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > finish
    sleep 0.01
  end
end

def refused(kind, text)
  yield
rescue kind => error
  holds(error.message.include?(text), "#{error.message.inspect} lacks #{text.inspect}")
else
  raise "#{kind} was not raised"
end

def get(queue)
  message = nil
  wait(5) { (message = queue.pop)[0] }
  message
end

def admin(*words)
  out, status = Open3.capture2e(ADMIN, *words.map(&:to_s))
  raise "admin #{words}: #{out}" unless status.success?
end

test "connects by URL and introduces itself" do
  connection = Bunny.new(ENV.fetch("AMQP_URI"), logger: LOGGER)
  connection.start
  holds(connection.open?, "open")
  equal(true, connection.server_capabilities["publisher_confirms"])
  equal(true, connection.server_capabilities["consumer_cancel_notify"])
  connection.close
  holds(connection.closed?, "closed")
end

test "a wrong password raises" do
  refused(Bunny::AuthenticationFailureError, "Authentication with") { connect(password: "wrong") }
end

test "an unknown vhost raises" do
  refused(Bunny::NotAllowedError, "vhost nowhere not found") { connect(vhost: "nowhere") }
end

test "limits are negotiated" do
  channel(frame_max: 4096, channel_max: 3, heartbeat: 9) do |ch, connection|
    equal([4096, 3, 9], [connection.frame_max, connection.channel_max, connection.heartbeat])
    q = ch.queue("", exclusive: true)
    body = Random.bytes(100_000)
    q.publish(body)
    equal(body, get(q)[2])
  end
end

test "queues are declared, counted, purged and deleted" do
  channel do |ch, connection|
    q = ch.queue(name, durable: true, arguments: { "x-max-length" => 10 })
    equal(0, q.message_count)
    ch.confirm_select
    4.times { q.publish("x") }
    ch.wait_for_confirms
    equal(4, q.message_count)
    equal({ message_count: 4, consumer_count: 0 }, q.status)
    q.purge
    equal(0, q.message_count)
    holds(connection.queue_exists?(q.name), "exists")
    q.delete
    holds(!connection.queue_exists?(q.name), "deleted")
    holds(!connection.exchange_exists?("nowhere"), "no such exchange")
    holds(connection.exchange_exists?("amq.topic"), "a predeclared exchange")
  end
end

test "errors close their channel with the right class" do
  connect do |connection|
    ch = connection.create_channel
    refused(Bunny::NotFound, "NOT_FOUND - no queue 'nowhere' in vhost '#{VHOST}'") do
      ch.queue("nowhere", passive: true)
    end
    holds(ch.closed?, "closed")
    ch = connection.create_channel
    q = ch.queue(name, auto_delete: true)
    refused(Bunny::PreconditionFailed, "inequivalent arg 'durable' for queue") do
      ch.queue_declare(q.name, durable: true, auto_delete: true)
    end
    refused(Bunny::PreconditionFailed, "inequivalent arg 'type' for exchange 'amq.fanout'") do
      connection.create_channel.exchange_declare("amq.fanout", :direct, durable: true)
    end
    refused(Bunny::AccessRefused, "reserved prefix") { connection.create_channel.queue("amq.mine") }
    refused(Bunny::NotFound, "no exchange 'nowhere'") do
      ch = connection.create_channel
      ch.queue("", exclusive: true).bind("nowhere", routing_key: "k")
    end
    holds(connection.open?, "the connection is open")
    connection.create_channel.queue_delete(q.name)
  end
end

test "an exclusive queue is locked" do
  channel do |ch|
    q = ch.queue(name, exclusive: true)
    channel do |other|
      refused(Bunny::ResourceLocked, "RESOURCE_LOCKED") { other.queue(q.name, passive: true) }
    end
  end
end

test "an unknown exchange type ends the connection" do
  connection = connect(continuation_timeout: 2000)
  ch = connection.create_channel
  # Its reader thread ends at connection.close, not always with the exception meant for the caller.
  refused(StandardError, "") { ch.exchange_declare(name, "x-nothing") }
  refused(StandardError, "") { connection.create_channel }
end

test "every exchange type routes" do
  channel do |ch|
    [[:direct, "k", "k", {}], [:fanout, "", "any", {}], [:topic, "*.b.#", "a.b.c.d", {}],
     [:headers, "", "", { "x-match" => "any", "a" => 1, "b" => "no" }]].each do |kind, bound, sent, arguments|
      x = ch.exchange(name(kind), type: kind, auto_delete: true)
      q = ch.queue("", exclusive: true).bind(x, routing_key: bound, arguments: arguments)
      x.publish(kind.to_s, routing_key: sent, headers: { "a" => 1, "b" => "yes" })
      equal(kind.to_s, get(q)[2])
      q.unbind(x, routing_key: bound, arguments: arguments)
    end
  end
end

test "exchanges bind to exchanges" do
  channel do |ch|
    source = ch.topic(name("source"))
    target = ch.fanout(name("target"), auto_delete: true)
    target.bind(source, routing_key: "a.#")
    q = ch.queue("", exclusive: true).bind(target)
    source.publish("in", routing_key: "a.b")
    source.publish("out", routing_key: "b")
    equal("in", get(q)[2])
    target.unbind(source, routing_key: "a.#")
    source.publish("unbound", routing_key: "a.b")
    equal(0, q.message_count)
    source.delete
  end
end

test "an alternate exchange takes what is unroutable" do
  channel do |ch|
    spare = ch.fanout(name("spare"), auto_delete: true)
    main = ch.direct(name("main"), arguments: { "alternate-exchange" => spare.name })
    q = ch.queue("", exclusive: true).bind(spare)
    main.publish("astray", routing_key: "other")
    equal("astray", get(q)[2])
    main.delete
  end
end

test "dead letters carry their history" do
  channel do |ch|
    grave = ch.queue("", exclusive: true)
    arguments = { "x-dead-letter-exchange" => "", "x-dead-letter-routing-key" => grave.name }
    q = ch.queue("", exclusive: true, arguments: arguments)
    q.publish("dead")
    delivery = nil
    wait { (delivery, = q.pop(manual_ack: true))[0] }
    ch.reject(delivery.delivery_tag)
    _, properties, body = get(grave)
    equal("dead", body)
    equal(["rejected", q.name, 1], properties.headers["x-death"][0].values_at("reason", "queue", "count"))
  end
end

test "confirms in a batch" do
  channel do |ch|
    ch.confirm_select
    q = ch.queue("", exclusive: true)
    1000.times { |n| q.publish(n.to_s, persistent: true) }
    holds(ch.wait_for_confirms, "all acknowledged")
    equal([], ch.nacked_set.to_a)
    equal(Set.new, ch.unconfirmed_set)
    equal(1000, q.message_count)
  end
end

test "a full queue nacks" do
  channel do |ch|
    ch.confirm_select
    q = ch.queue("", exclusive: true, arguments: { "x-max-length" => 1, "x-overflow" => "reject-publish" })
    3.times { q.publish("x") }
    holds(!ch.wait_for_confirms, "some are refused")
    equal([2, 3], ch.nacked_set.to_a.sort)
  end
end

test "an unroutable mandatory message returns" do
  channel do |ch|
    back = Queue.new
    x = ch.default_exchange
    x.on_return { |info, properties, body| back << [info.reply_code, info.reply_text, properties.message_id, body] }
    x.publish("back", routing_key: "nowhere at all", mandatory: true, message_id: "9")
    equal([312, "NO_ROUTE", "9", "back"], Timeout.timeout(5) { back.pop })
  end
end

test "publishing to a missing exchange closes the channel" do
  connect do |connection|
    ch = connection.create_channel
    ch.basic_publish("x", "nowhere", "k")
    wait(5) { ch.closed? }
    refused(Bunny::ChannelAlreadyClosed, "NOT_FOUND - no exchange 'nowhere'") { ch.queue("", exclusive: true) }
    connection.create_channel.queue("", exclusive: true)
  end
end

test "transactions commit and roll back" do
  connect do |connection|
    ch, other = connection.create_channel, connection.create_channel
    q = ch.queue("", exclusive: true)
    seen = other.queue(q.name, passive: true)
    ch.tx_select
    q.publish("lost")
    ch.tx_rollback
    q.publish("kept")
    equal(0, seen.message_count)
    ch.tx_commit
    equal(1, seen.message_count)
    equal("kept", get(seen)[2])
  end
end

test "consuming with prefetch and multiple acks" do
  channel do |ch|
    ch.prefetch(10)
    q = ch.queue("", exclusive: true)
    got = Queue.new
    q.subscribe(manual_ack: true) do |delivery, _, body|
      got << body.to_i
      ch.ack(delivery.delivery_tag, true) if (body.to_i % 10) == 9
    end
    300.times { |n| q.publish(n.to_s) }
    wait { got.size == 300 }
    equal((0...300).to_a, Array.new(300) { got.pop })
  end
end

test "nack and reject requeue, redelivered is told" do
  channel do |ch|
    q = ch.queue("", exclusive: true)
    seen = Queue.new
    q.subscribe(manual_ack: true) do |delivery, _, body|
      seen << [body, delivery.redelivered?]
      if !delivery.redelivered?
        body == "n" ? ch.nack(delivery.delivery_tag, false, true) : ch.reject(delivery.delivery_tag, true)
      else
        ch.ack(delivery.delivery_tag)
      end
    end
    q.publish("n")
    wait { seen.size == 2 }
    q.publish("r")
    wait { seen.size == 4 }
    equal([["n", false], ["n", true], ["r", false], ["r", true]], Array.new(4) { seen.pop })
  end
end

test "recover delivers again" do
  channel do |ch|
    q = ch.queue("", exclusive: true)
    seen = Queue.new
    q.subscribe(manual_ack: true) { |delivery, _, _| seen << delivery.redelivered? }
    q.publish("x")
    wait { seen.size == 1 }
    ch.basic_recover(true)
    wait { seen.size == 2 }
    equal([false, true], [seen.pop, seen.pop])
  end
end

test "cancel, by us and by the broker" do
  connect do |connection|
    ch = connection.create_channel
    q = ch.queue(name)
    cancelled = Queue.new
    consumer = q.subscribe(on_cancellation: ->(*) { cancelled << true }) { |*| nil }
    equal(1, q.consumer_count)
    consumer.cancel
    equal(0, q.consumer_count)
    other = Bunny::Consumer.new(ch, q)
    other.on_cancellation { |_| cancelled << :broker }
    q.subscribe_with(other)
    connection.create_channel.queue_delete(q.name)
    equal(:broker, Timeout.timeout(5) { cancelled.pop })
  end
end

test "an exclusive consumer keeps others out" do
  connect do |connection|
    ch = connection.create_channel
    q = ch.queue("", exclusive: true)
    q.subscribe(exclusive: true) { |*| nil }
    refused(Bunny::AccessRefused, "in exclusive use") do
      connection.create_channel.basic_consume(q.name) { |*| nil }
    end
  end
end

test "consumer priorities" do
  channel do |ch|
    q = ch.queue("", exclusive: true)
    seen = Queue.new
    q.subscribe(arguments: { "x-priority" => 1 }) { |*| seen << :low }
    q.subscribe(arguments: { "x-priority" => 9 }) { |*| seen << :high }
    5.times { q.publish("x") }
    wait { seen.size == 5 }
    equal([:high] * 5, Array.new(5) { seen.pop })
  end
end

test "an unknown delivery tag closes the channel" do
  channel do |ch, connection|
    closed = Queue.new
    ch.on_error { |_, close| closed << close.reply_text }
    ch.basic_ack(99)
    holds(Timeout.timeout(5) { closed.pop }.include?("unknown delivery tag 99"), "text")
    holds(connection.open?, "open")
  end
end

test "properties and headers come back" do
  headers = { "text" => "grün".b, "int" => 7, "negative" => -70_000, "big" => 2**40, "true" => true, "nil" => nil,
              "float" => 1.25, "time" => Time.at(1_700_000_000), "list" => [1, "a", { "b" => [2] }],
              "table" => { "x" => { "y" => 1 } } }
  sent = { content_type: "text/plain", content_encoding: "utf-8", persistent: true, priority: 4, correlation_id: "c",
           reply_to: "r", expiration: "60000", message_id: "m", timestamp: 1_700_000_000, type: "t", user_id: USER,
           app_id: "a" }
  channel do |ch|
    q = ch.queue("", exclusive: true)
    q.publish("body", **sent, headers: headers)
    _, got, = get(q)
    equal(headers, got.headers)
    (sent.keys - %i[persistent timestamp]).each { |key| equal(sent[key], got[key], key) }
    equal(2, got.delivery_mode)
    equal(1_700_000_000, got.timestamp.to_i)
  end
end

test "large messages", seconds: 60 do
  channel do |ch|
    q = ch.queue("", exclusive: true)
    [0, 1 << 20, 10 << 20].each do |size|
      body = Random.bytes(size)
      q.publish(body)
      holds(get(q)[2] == body, "#{size} bytes came back changed")
    end
  end
end

test "many channels and threads" do
  connect do |connection|
    q = connection.create_channel.queue("", exclusive: true)
    threads = Array.new(50) do |n|
      Thread.new do
        ch = connection.create_channel
        ch.confirm_select
        20.times { |i| ch.default_exchange.publish("#{n}.#{i}", routing_key: q.name) }
        holds(ch.wait_for_confirms, "confirmed")
        ch.close
      end
    end
    threads.each(&:join)
    equal(1000, q.message_count)
  end
end

test "heartbeats keep an idle connection" do
  channel(heartbeat: 2) do |ch, connection|
    sleep 5
    holds(connection.open?, "open")
    ch.queue("", exclusive: true)
  end
end

test "update-secret is answered" do
  channel do |ch, connection|
    connection.update_secret(PASSWORD, "renewed")
    ch.queue("", exclusive: true)
  end
end

test "RPC by direct reply-to" do
  connect do |connection|
    server = connection.create_channel
    q = server.queue("", exclusive: true)
    q.subscribe do |_, properties, body|
      server.default_exchange.publish(body.upcase, routing_key: properties.reply_to,
                                                   correlation_id: properties.correlation_id)
    end
    client = connection.create_channel
    answers = Queue.new
    client.basic_consume("amq.rabbitmq.reply-to", "", true) { |_, p, body| answers << [p.correlation_id, body] }
    10.times do |n|
      client.default_exchange.publish("call", routing_key: q.name, correlation_id: n.to_s,
                                              reply_to: "amq.rabbitmq.reply-to")
    end
    wait { answers.size == 10 }
    equal(Array.new(10) { |n| [n.to_s, "CALL"] }, Array.new(10) { answers.pop })
  end
end

test "blocked and unblocked are told", seconds: 60 do
  channel do |ch, connection|
    events = Queue.new
    connection.on_blocked { |blocked| events << blocked.reason }
    connection.on_unblocked { |_| events << "unblocked" }
    q = ch.queue("", exclusive: true)
    admin("alarm", "on")
    begin
      q.publish("late")
      equal("low on memory", Timeout.timeout(10) { events.pop })
      holds(connection.blocked?, "blocked")
    ensure
      admin("alarm", "off")
    end
    equal("unblocked", Timeout.timeout(10) { events.pop })
    equal("late", get(q)[2])
  end
end

test "a connection closed by the operator recovers with its topology", seconds: 60 do
  recovered = Queue.new
  connection = connect(automatically_recover: true, network_recovery_interval: 0.3, recover_from_connection_close: true)
  connection.after_recovery_completed { recovered << true }
  ch = connection.create_channel
  ch.prefetch(5)
  x = ch.topic(name("x"), auto_delete: true)
  q = ch.queue("", exclusive: true).bind(x, routing_key: "a.#")
  got = Queue.new
  q.subscribe(manual_ack: true) do |delivery, _, body|
    got << body
    ch.ack(delivery.delivery_tag)
  end
  x.publish("before", routing_key: "a.b")
  equal("before", Timeout.timeout(5) { got.pop })
  admin("close-connection", connection.local_port, "maintenance")
  Timeout.timeout(20) { recovered.pop }
  x.publish("after", routing_key: "a.b")
  equal("after", Timeout.timeout(10) { got.pop })
  connection.close
end

wanted = ARGV
chosen = CASES.select { |title, *| wanted.empty? || wanted.any? { |w| title.include?(w) } }
puts "1..#{chosen.size}"
failures = 0
chosen.each_with_index do |(title, seconds, body), index|
  Timeout.timeout(seconds) { body.call }
  puts "ok #{index + 1} - #{title}"
rescue StandardError, Timeout::ExitException => error
  failures += 1
  puts "not ok #{index + 1} - #{title}"
  ([error.full_message(highlight: false)].join("\n")).each_line { |line| puts "# #{line}" }
ensure
  $stdout.flush
end
exit!(failures.zero? ? 0 : 1)
