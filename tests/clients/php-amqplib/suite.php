<?php
// php-amqplib over both of its transports: streams and sockets.

declare(strict_types=1);

require_once '/usr/share/php/PhpAmqpLib/autoload.php';

use PhpAmqpLib\Channel\AMQPChannel;
use PhpAmqpLib\Connection\AbstractConnection;
use PhpAmqpLib\Connection\AMQPConnectionConfig;
use PhpAmqpLib\Connection\AMQPConnectionFactory;
use PhpAmqpLib\Connection\AMQPLazyConnection;
use PhpAmqpLib\Connection\AMQPSocketConnection;
use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Exception\AMQPBasicCancelException;
use PhpAmqpLib\Exception\AMQPChannelClosedException;
use PhpAmqpLib\Exception\AMQPConnectionClosedException;
use PhpAmqpLib\Exception\AMQPProtocolChannelException;
use PhpAmqpLib\Exception\AMQPTimeoutException;
use PhpAmqpLib\Exchange\AMQPExchangeType;
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPDecimal;
use PhpAmqpLib\Wire\AMQPTable;

ini_set('display_errors', 'stderr');
error_reporting(E_ALL & ~E_DEPRECATED);

define('HOST', getenv('AMQP_HOST') ?: '127.0.0.1');
define('PORT', getenv('AMQP_PORT') ?: '5672');
define('USER', getenv('AMQP_USER') ?: 'guest');
define('PASSWORD', getenv('AMQP_PASSWORD') ?: 'guest');
define('VHOST', getenv('AMQP_VHOST') ?: '/');

$names = 0;
$cases = [];
$open = [];

function test(string $title, callable $body, int $seconds = 30): void
{
    global $cases;
    $cases[] = [$title, $body, $seconds];
}

function name(string $what = 'q'): string
{
    global $names;
    return sprintf('php-amqplib.%d.%d.%s', getmypid(), ++$names, $what);
}

/** A connection that is closed when its case ends. */
function connect(string $class = AMQPStreamConnection::class, array $changes = []): AbstractConnection
{
    global $open;
    $s = $changes + ['user' => USER, 'password' => PASSWORD, 'vhost' => VHOST, 'mechanism' => 'AMQPLAIN', 'heartbeat' => 0];
    $connection = $class === AMQPSocketConnection::class
        ? new AMQPSocketConnection(HOST, PORT, $s['user'], $s['password'], $s['vhost'], false, $s['mechanism'], null, 'en_US',
            10.0, false, 10.0, $s['heartbeat'], 5.0)
        : new $class(HOST, PORT, $s['user'], $s['password'], $s['vhost'], false, $s['mechanism'], null, 'en_US', 5.0, 10.0,
            null, false, $s['heartbeat'], 5.0);
    $open[] = $connection;
    return $connection;
}

function channel(string $class = AMQPStreamConnection::class): AMQPChannel
{
    return connect($class)->channel();
}

function queue(AMQPChannel $channel, array $arguments = []): string
{
    return $channel->queue_declare('', false, false, true, true, false, new AMQPTable($arguments))[0];
}

function count_of(AMQPChannel $channel, string $queue): int
{
    return $channel->queue_declare($queue, true)[1];
}

function get(AMQPChannel $channel, string $queue): AMQPMessage
{
    for ($end = microtime(true) + 5; microtime(true) < $end; usleep(10000)) {
        if ($message = $channel->basic_get($queue, true)) {
            return $message;
        }
    }
    throw new RuntimeException('no message came');
}

function equal($wanted, $got, string $what = 'value'): void
{
    if ($wanted !== $got) {
        throw new RuntimeException("$what: got " . var_export($got, true) . ', wanted ' . var_export($wanted, true));
    }
}

function holds(bool $condition, string $what): void
{
    if (!$condition) {
        throw new RuntimeException($what);
    }
}

function refused(int $code, string $text, callable $call, string $class = AMQPProtocolChannelException::class): void
{
    try {
        $call();
    } catch (Exception $error) {
        holds($error instanceof $class, get_class($error) . ': ' . $error->getMessage());
        equal($code, $error->getCode(), 'reply code');
        holds(str_contains($error->getMessage(), $text), $error->getMessage() . " lacks $text");
        return;
    }
    throw new RuntimeException("no error $code");
}

/** Lets the channel take in what comes until the condition holds. */
function until(AMQPChannel $channel, callable $condition, float $seconds = 10): void
{
    for ($end = microtime(true) + $seconds; !$condition();) {
        holds(microtime(true) < $end, 'waited too long');
        try {
            $channel->wait(null, false, 0.1);
        } catch (AMQPTimeoutException $none) {
        }
    }
}

function admin(string ...$words): void
{
    exec(implode(' ', array_map('escapeshellarg', [__DIR__ . '/../lib/admin', ...$words])) . ' 2>&1', $out, $status);
    holds($status === 0, 'admin: ' . implode("\n", $out));
}

foreach (['stream' => AMQPStreamConnection::class, 'socket' => AMQPSocketConnection::class] as $transport => $class) {
    test("$transport: connects, also lazily, with PLAIN and AMQPLAIN", function () use ($class) {
        foreach (['PLAIN', 'AMQPLAIN'] as $mechanism) {
            $connection = connect($class, ['mechanism' => $mechanism]);
            holds($connection->isConnected(), $mechanism);
            holds($connection->getServerProperties()['capabilities'][1]['publisher_confirms'][1] === 1, 'confirms');
            $connection->close();
            holds(!$connection->isConnected(), 'closed');
        }
    });

    test("$transport: a wrong password is refused", function () use ($class) {
        refused(403, 'ACCESS_REFUSED', fn() => connect($class, ['password' => 'wrong']),
            AMQPConnectionClosedException::class);
    });

    test("$transport: an unknown virtual host is refused", function () use ($class) {
        refused(530, 'vhost nowhere not found', fn() => connect($class, ['vhost' => 'nowhere']),
            AMQPConnectionClosedException::class);
    });

    test("$transport: publishes, gets and consumes", function () use ($class) {
        $channel = channel($class);
        $queue = queue($channel);
        for ($n = 0; $n < 200; $n++) {
            $channel->basic_publish(new AMQPMessage((string)$n), '', $queue);
        }
        equal('0', get($channel, $queue)->getBody());
        $got = [];
        $channel->basic_qos(0, 20, false);
        $channel->basic_consume($queue, '', false, false, false, false, function (AMQPMessage $message) use (&$got) {
            $got[] = (int)$message->getBody();
            $message->ack();
        });
        until($channel, function () use (&$got) {
            return count($got) === 199;
        });
        equal(range(1, 199), $got);
    });

    test("$transport: large messages", function () use ($class) {
        $channel = channel($class);
        $queue = queue($channel);
        foreach ([0, 1 << 20, 10 << 20] as $size) {
            $body = $size ? random_bytes($size) : '';
            $channel->basic_publish(new AMQPMessage($body), '', $queue);
            holds(get($channel, $queue)->getBody() === $body, "$size bytes came back changed");
        }
    }, 60);

    test("$transport: heartbeats keep an idle connection", function () use ($class) {
        $connection = connect($class, ['heartbeat' => 4]);
        $channel = $connection->channel();
        for ($end = microtime(true) + 7; microtime(true) < $end; usleep(200000)) {
            $connection->checkHeartBeat();
        }
        queue($channel);
    });
}

test('a lazy connection and one from the factory', function () {
    $lazy = connect(AMQPLazyConnection::class);
    holds(!$lazy->isConnected(), 'not yet');
    queue($lazy->channel());
    holds($lazy->isConnected(), 'now');
    $config = new AMQPConnectionConfig();
    $config->setHost(HOST);
    $config->setPort((int)PORT);
    $config->setUser(USER);
    $config->setPassword(PASSWORD);
    $config->setVhost(VHOST);
    $config->setConnectionName('php suite');
    $made = AMQPConnectionFactory::create($config);
    queue($made->channel());
    $made->close();
});

test('queues are declared, counted, purged and deleted', function () {
    $channel = channel();
    $queue = name();
    equal([$queue, 0, 0], $channel->queue_declare($queue, false, true, false, false));
    $channel->confirm_select();
    for ($n = 0; $n < 3; $n++) {
        $channel->basic_publish(new AMQPMessage('x'), '', $queue);
    }
    $channel->wait_for_pending_acks(5);
    equal(3, count_of($channel, $queue));
    equal(3, $channel->queue_purge($queue));
    equal(0, $channel->queue_delete($queue));
    equal(0, $channel->queue_delete($queue));
});

test('errors close the channel, not the connection', function () {
    $connection = connect();
    $channel = $connection->channel();
    refused(404, "NOT_FOUND - no queue 'nowhere' in vhost '" . VHOST . "'",
        fn() => $channel->queue_declare('nowhere', true));
    holds(!$channel->is_open(), 'closed');
    $queue = name();
    $connection->channel()->queue_declare($queue, false, true, false, false);
    refused(406, "inequivalent arg 'durable' for queue '$queue'",
        fn() => $connection->channel()->queue_declare($queue, false, false, false, false));
    refused(406, "inequivalent arg 'type' for exchange 'amq.topic'",
        fn() => $connection->channel()->exchange_declare('amq.topic', 'fanout', false, true, false));
    refused(403, 'reserved prefix', fn() => $connection->channel()->queue_declare('amq.mine'));
    refused(404, "no exchange 'nowhere'", fn() => $connection->channel()->queue_bind($queue, 'nowhere', 'k'));
    holds($connection->isConnected(), 'connected');
    $connection->channel()->queue_delete($queue);
});

test('an exclusive queue is locked', function () {
    $queue = name();
    channel()->queue_declare($queue, false, false, true);
    refused(405, 'RESOURCE_LOCKED', fn() => channel()->queue_declare($queue, true));
});

test('an unknown exchange type closes the connection', function () {
    refused(503, 'unknown exchange type', fn() => channel()->exchange_declare(name(), 'x-nothing'),
        AMQPConnectionClosedException::class);
});

test('every exchange type routes', function () {
    $channel = channel();
    foreach ([[AMQPExchangeType::DIRECT, 'k', 'k', []], [AMQPExchangeType::FANOUT, '', 'any', []],
        [AMQPExchangeType::TOPIC, 'a.*.#', 'a.b.c.d', []],
        [AMQPExchangeType::HEADERS, '', '', ['x-match' => 'all', 'h' => 'v', 'n' => 1]]] as [$type, $bound, $key, $arguments]) {
        $exchange = name($type);
        $channel->exchange_declare($exchange, $type, false, false, false);
        $queue = queue($channel);
        $channel->queue_bind($queue, $exchange, $bound, false, new AMQPTable($arguments));
        $message = new AMQPMessage($type, ['application_headers' => new AMQPTable(['h' => 'v', 'n' => 1])]);
        $channel->basic_publish($message, $exchange, $key);
        equal($type, get($channel, $queue)->getBody());
        $channel->queue_unbind($queue, $exchange, $bound, new AMQPTable($arguments));
        $channel->basic_publish($message, $exchange, $key);
        equal(0, count_of($channel, $queue));
        $channel->exchange_delete($exchange);
    }
});

test('exchanges bind to exchanges', function () {
    $channel = channel();
    [$source, $target] = [name('source'), name('target')];
    $channel->exchange_declare($source, 'topic', false, false, false);
    $channel->exchange_declare($target, 'fanout', false, false, false);
    $channel->exchange_bind($target, $source, '#');
    $queue = queue($channel);
    $channel->queue_bind($queue, $target);
    $channel->basic_publish(new AMQPMessage('through'), $source, 'any.key');
    equal('through', get($channel, $queue)->getBody());
    $channel->exchange_unbind($target, $source, '#');
    $channel->exchange_delete($source);
    $channel->exchange_delete($target);
});

/** Publishes 60 messages as a batch: how many are acknowledged, how many refused. */
function verdicts(array $arguments): array
{
    $channel = channel();
    $channel->confirm_select();
    $queue = queue($channel, $arguments);
    $acked = $nacked = 0;
    $channel->set_ack_handler(function () use (&$acked) {
        $acked++;
    });
    $channel->set_nack_handler(function () use (&$nacked) {
        $nacked++;
    });
    for ($n = 0; $n < 60; $n++) {
        $channel->batch_basic_publish(new AMQPMessage("$n", ['delivery_mode' => 2]), '', $queue);
    }
    $channel->publish_batch();
    $channel->wait_for_pending_acks(5);
    return [$acked, $nacked];
}

test('a batch is confirmed', function () {
    equal([60, 0], verdicts([]));
});

test('a full queue nacks', function () {
    equal([50, 10], verdicts(['x-max-length' => 50, 'x-overflow' => 'reject-publish']));
});

test('an unroutable mandatory message returns before its ack', function () {
    $channel = channel();
    $channel->confirm_select();
    $events = [];
    $channel->set_return_listener(function ($code, $text, $exchange, $key, $message) use (&$events) {
        $events[] = [$code, $text, $exchange, $key, $message->getBody()];
    });
    $channel->set_ack_handler(function () use (&$events) {
        $events[] = 'ack';
    });
    $channel->basic_publish(new AMQPMessage('back'), 'amq.direct', 'nobody', true);
    $channel->wait_for_pending_acks_returns(5);
    equal([[312, 'NO_ROUTE', 'amq.direct', 'nobody', 'back'], 'ack'], $events);
});

test('publishing to a missing exchange closes the channel', function () {
    $channel = channel();
    $channel->confirm_select();
    $channel->basic_publish(new AMQPMessage('x'), 'nowhere', 'k');
    refused(404, "no exchange 'nowhere'", fn() => $channel->wait_for_pending_acks(5));
});

test('transactions commit and roll back', function () {
    $connection = connect();
    [$channel, $other] = [$connection->channel(), $connection->channel()];
    $queue = queue($channel);
    $channel->tx_select();
    $channel->basic_publish(new AMQPMessage('lost'), '', $queue);
    $channel->tx_rollback();
    $channel->basic_publish(new AMQPMessage('kept'), '', $queue);
    equal(0, count_of($other, $queue));
    $channel->tx_commit();
    equal('kept', get($other, $queue)->getBody());
    refused(406, 'cannot switch from tx to confirm mode', fn() => $channel->confirm_select());
});

test('prefetch, multiple acks, nack and reject', function () {
    $channel = channel();
    $queue = queue($channel);
    $tags = $bodies = [];
    $channel->basic_qos(0, 4, false);
    $channel->basic_consume($queue, '', false, false, false, false, function ($message) use (&$tags, &$bodies) {
        $tags[] = $message->getDeliveryTag();
        $bodies[] = $message->getBody() . ($message->isRedelivered() ? ' again' : '');
    });
    for ($n = 0; $n < 8; $n++) {
        $channel->basic_publish(new AMQPMessage((string)$n), '', $queue);
    }
    $sees = function (int $count) use (&$tags) {
        return function () use (&$tags, $count) {
            return count($tags) >= $count;
        };
    };
    until($channel, $sees(4));
    equal(4, count_of($channel, $queue));
    $channel->basic_ack(3, true);
    until($channel, $sees(7));
    $channel->basic_nack(4, false, true);
    until($channel, $sees(8));
    equal('3 again', $bodies[7]);
    $channel->basic_reject($tags[7], false);
    until($channel, $sees(9));
    $channel->basic_nack(0, true, false);
    equal(['0', '1', '2', '3', '4', '5', '6', '3 again', '7'], $bodies);
    equal(0, count_of($channel, $queue));
});

test('recover delivers again', function () {
    $channel = channel();
    $queue = queue($channel);
    $seen = [];
    $channel->basic_consume($queue, '', false, false, false, false, function ($message) use (&$seen) {
        $seen[] = $message->isRedelivered();
    });
    $channel->basic_publish(new AMQPMessage('x'), '', $queue);
    until($channel, function () use (&$seen) {
        return count($seen) === 1;
    });
    $channel->basic_recover(true);
    until($channel, function () use (&$seen) {
        return count($seen) === 2;
    });
    equal([false, true], $seen);
});

test('consumers are cancelled by us and by the broker', function () {
    $connection = connect();
    $channel = $connection->channel();
    $queue = name();
    $channel->queue_declare($queue, false, false, false, false);
    $tag = $channel->basic_consume($queue, 'mine', false, true);
    equal('mine', $tag);
    holds($channel->is_consuming(), 'consuming');
    $channel->basic_cancel($tag);
    holds(!$channel->is_consuming(), 'cancelled');
    $channel->basic_consume($queue, 'yours', false, true);
    $connection->channel()->queue_delete($queue);
    try {
        $channel->wait(null, false, 5);
    } catch (AMQPBasicCancelException $cancelled) {
        equal('yours', $cancelled->consumerTag);
        return;
    }
    throw new RuntimeException('no cancel came');
});

test('an exclusive consumer keeps others out', function () {
    $connection = connect();
    $channel = $connection->channel();
    // Not auto-delete: a failed consumer must not be its last one.
    $queue = $channel->queue_declare('', false, false, true, false)[0];
    $channel->basic_consume($queue, '', false, true, true);
    refused(403, 'in exclusive use', fn() => $connection->channel()->basic_consume($queue));
});

test('properties and headers come back', function () {
    $channel = channel();
    $queue = queue($channel);
    $properties = ['content_type' => 'text/plain', 'content_encoding' => 'utf-8', 'delivery_mode' => 2, 'priority' => 5,
        'correlation_id' => 'c', 'reply_to' => 'r', 'expiration' => '60000', 'message_id' => 'm', 'timestamp' => 1700000000,
        'type' => 't', 'user_id' => USER, 'app_id' => 'a', 'cluster_id' => 'cl'];
    $headers = ['text' => 'grün', 'int' => 7, 'negative' => -70000, 'big' => 2 ** 40, 'true' => true, 'null' => null,
        'list' => [1, 'a', ['b', ['c' => 2]]], 'table' => ['x' => ['y' => 1]]];
    $table = new AMQPTable($headers);
    $table->set('price', new AMQPDecimal(314, 2));
    $table->set('when', new DateTime('@1700000000'));
    $channel->basic_publish(new AMQPMessage('x', $properties + ['application_headers' => $table]), '', $queue);
    $got = get($channel, $queue)->get_properties();
    $back = $got['application_headers']->getNativeData();
    unset($got['application_headers']);
    ksort($got);
    ksort($properties);
    equal($properties, $got, 'properties');
    equal([314, 2], [$back['price']->getN(), $back['price']->getE()], 'decimal');
    equal(1700000000, $back['when']->getTimestamp(), 'time');
    unset($back['price'], $back['when']);
    equal($headers, $back, 'headers');
});

test('an alternate exchange takes what is unroutable', function () {
    $channel = channel();
    $queue = queue($channel);
    $spare = name('spare');
    $channel->exchange_declare($spare, 'fanout', false, false, false);
    $main = name('main');
    $channel->exchange_declare($main, 'direct', false, false, false, false, false,
        new AMQPTable(['alternate-exchange' => $spare]));
    $channel->queue_bind($queue, $spare);
    $channel->basic_publish(new AMQPMessage('astray'), $main, 'none');
    equal('astray', get($channel, $queue)->getBody());
    $channel->exchange_delete($main);
    $channel->exchange_delete($spare);
});

test('expired messages are dead lettered', function () {
    $channel = channel();
    $grave = queue($channel);
    $queue = queue($channel, ['x-dead-letter-exchange' => '', 'x-dead-letter-routing-key' => $grave, 'x-message-ttl' => 50]);
    $channel->basic_publish(new AMQPMessage('old'), '', $queue);
    $message = get($channel, $grave);
    $death = $message->get('application_headers')->getNativeData()['x-death'][0];
    equal(['expired', $queue, 1], [$death['reason'], $death['queue'], $death['count']]);
});

test('many channels', function () {
    $connection = connect();
    $first = $connection->channel();
    $queue = queue($first);
    $channels = [];
    for ($n = 0; $n < 100; $n++) {
        $channels[] = $channel = $connection->channel();
        $channel->basic_publish(new AMQPMessage((string)$n), '', $queue);
    }
    foreach ($channels as $channel) {
        $channel->close();
    }
    equal(100, count_of($first, $queue));
});

test('RPC by direct reply-to', function () {
    $connection = connect();
    [$client, $server] = [$connection->channel(), $connection->channel()];
    $queue = queue($server);
    $server->basic_consume($queue, '', false, true, false, false, function ($request) use ($server) {
        $server->basic_publish(new AMQPMessage(strtoupper($request->getBody()),
            ['correlation_id' => $request->get('correlation_id')]), '', $request->get('reply_to'));
    });
    $answers = [];
    $client->basic_consume('amq.rabbitmq.reply-to', '', false, true, false, false, function ($answer) use (&$answers) {
        $answers[$answer->get('correlation_id')] = $answer->getBody();
    });
    for ($n = 0; $n < 10; $n++) {
        $client->basic_publish(new AMQPMessage("call $n", ['correlation_id' => "c$n",
            'reply_to' => 'amq.rabbitmq.reply-to']), '', $queue);
        $server->wait(null, false, 5);
        $client->wait(null, false, 5);
    }
    equal(array_combine(array_map(fn($n) => "c$n", range(0, 9)), array_map(fn($n) => "CALL $n", range(0, 9))), $answers);
});

test('the operator closes a connection, and it is opened again', function () {
    $connection = connect();
    $channel = $connection->channel();
    $queue = queue($channel);
    $stream = stream_socket_get_name($connection->getIO()->getSocket(), false);
    admin('close-connection', substr(strrchr($stream, ':'), 1), 'maintenance');
    refused(320, 'CONNECTION_FORCED - maintenance', fn() => $channel->wait(null, false, 5),
        AMQPConnectionClosedException::class);
    $connection->reconnect();
    refused(404, 'no queue', fn() => $connection->channel()->queue_declare($queue, true));
});

test('blocked and unblocked are told', function () {
    $connection = connect();
    $channel = $connection->channel();
    $queue = queue($channel);
    $events = [];
    $connection->set_connection_block_handler(function ($reason) use (&$events) {
        $events[] = $reason;
    });
    $connection->set_connection_unblock_handler(function () use (&$events) {
        $events[] = 'unblocked';
    });
    admin('alarm', 'on');
    try {
        $channel->basic_publish(new AMQPMessage('late'), '', $queue);
        $take = function () use ($connection) {
            try {
                $connection->wait(null, false, 0.1);
            } catch (AMQPTimeoutException $none) {
            }
        };
        for ($end = microtime(true) + 10; !$events && microtime(true) < $end;) {
            $take();
        }
    } finally {
        admin('alarm', 'off');
    }
    for ($end = microtime(true) + 10; count($events) < 2 && microtime(true) < $end;) {
        $take();
    }
    equal(['low on memory', 'unblocked'], $events);
    equal('late', get($channel, $queue)->getBody());
}, 60);

pcntl_async_signals(true);
pcntl_signal(SIGALRM, function () {
    throw new RuntimeException('the case took too long');
});

$wanted = array_slice($argv, 1);
$chosen = array_values(array_filter($cases, fn($case) => !$wanted
    || array_filter($wanted, fn($word) => str_contains($case[0], $word))));
echo '1..', count($chosen), "\n";
$failures = 0;
foreach ($chosen as $number => [$title, $body, $seconds]) {
    try {
        pcntl_alarm($seconds);
        $body();
        pcntl_alarm(0);
        echo 'ok ', $number + 1, " - $title\n";
    } catch (Throwable $error) {
        pcntl_alarm(0);
        $failures++;
        echo 'not ok ', $number + 1, " - $title\n", preg_replace('/^/m', '# ', (string)$error), "\n";
    }
    foreach ($open as $connection) {
        try {
            $connection->close();
        } catch (Throwable $ignored) {
        }
    }
    $open = [];
}
exit($failures ? 1 : 0);
