'use strict'
// rabbitmq-client: a connection that repairs itself, its consumers, publishers and RPC clients.

const crypto = require('node:crypto')
const { Connection, ConsumerStatus } = require('rabbitmq-client')
const { admin, assert, broker, mailbox, name, refused, run, sleep, soon, test, until, url } = require('./tap')

const equal = assert.deepStrictEqual

function connect(options = {}) {
  const connection = new Connection({ url: url(), retryLow: 100, ...options })
  connection.errors = []
  connection.on('error', (error) => connection.errors.push(error))
  return connection
}

async function session(work, options) {
  const connection = connect(options)
  try {
    await work(connection)
  } finally {
    await soon(connection.close(), 'close').catch(() => connection.unsafeDestroy())
  }
}

async function get(channel, queue) {
  let message
  await until(async () => (message = await channel.basicGet({ queue, noAck: true })))
  return message
}

/** The error that an unusable address gets: this client tries again for ever, and tells each failure. */
async function failure(changes) {
  const connection = new Connection({ url: url(changes), retryLow: 10000 })
  try {
    return await soon(new Promise((resolve) => connection.once('error', resolve)), 'the error')
  } finally {
    connection.unsafeDestroy()
  }
}

test('connects and tunes', async () => {
  await session(async (connection) => {
    await connection.onConnect(5000)
    assert(connection.ready, 'ready')
    const { queue } = await connection.queueDeclare({ queue: name(), autoDelete: true })
    const body = crypto.randomBytes(100000)
    const channel = await connection.acquire()
    await channel.basicPublish(queue, body)
    assert((await get(channel, queue)).body.equals(body), 'the body came back changed')
    await channel.queueDelete(queue)
    await channel.close()
  }, { frameMax: 4096, heartbeat: 9, maxChannels: 5 })
})

test('a wrong password is refused', async () => {
  const error = await failure({ password: 'wrong' })
  assert(/ACCESS_REFUSED/.test(error.message + error.code), error.message)
})

test('an unknown virtual host is refused', async () => {
  const error = await failure({ vhost: 'nowhere' })
  assert(error.message.includes('vhost nowhere not found'), error.message)
})

test('queues are declared, counted, purged and deleted', async () => {
  await session(async (connection) => {
    const queue = name()
    equal(await connection.queueDeclare({ queue, durable: true, arguments: { 'x-max-length': 9 } }),
      { queue, messageCount: 0, consumerCount: 0 })
    const publisher = connection.createPublisher({ confirm: true })
    for (let n = 0; n < 3; n++) await publisher.send(queue, 'x')
    equal((await connection.queueDeclare({ queue, passive: true })).messageCount, 3)
    equal((await connection.queuePurge(queue)).messageCount, 3)
    equal((await connection.queueDelete(queue)).messageCount, 0)
    await publisher.close()
  })
})

test('channel errors are told and survived', async () => {
  await session(async (connection) => {
    await refused("no queue 'nowhere'", () => connection.queueDeclare({ queue: 'nowhere', passive: true }))
    await refused('reserved prefix', () => connection.queueDeclare({ queue: 'amq.x' }))
    await refused("no exchange 'nowhere'", () => connection.exchangeDeclare({ exchange: 'nowhere', passive: true }))
    const queue = name()
    await connection.queueDeclare({ queue, exclusive: true })
    await refused('inequivalent arg', () => connection.queueDeclare({ queue, exclusive: true, autoDelete: true }))
    const channel = await connection.acquire()
    channel.on('error', () => {})
    const closed = new Promise((resolve) => channel.on('close', resolve))
    channel.basicAck({ deliveryTag: 99 })
    await soon(closed, 'the close')
    equal((await connection.queueDeclare({ queue, passive: true })).messageCount, 0)
  })
})

test('every exchange type routes, exchanges bind to exchanges', async () => {
  await session(async (connection) => {
    const channel = await connection.acquire()
    for (const [type, routingKey, key, args] of [['direct', 'k', 'k', {}], ['fanout', '', 'any', {}],
      ['topic', '*.b', 'a.b', {}], ['headers', '', '', { 'x-match': 'all', h: 'v', n: 1 }]]) {
      const [source, destination, queue] = [name(type), name('target'), name()]
      await channel.exchangeDeclare({ exchange: source, type })
      await channel.exchangeDeclare({ exchange: destination, type: 'fanout', internal: true })
      await channel.exchangeBind({ destination, source, routingKey, arguments: args })
      await channel.queueDeclare({ queue, exclusive: true })
      await channel.queueBind({ queue, exchange: destination })
      await channel.basicPublish({ exchange: source, routingKey: key, headers: { h: 'v', n: 1 } }, type)
      equal((await get(channel, queue)).body, type)
      await channel.queueUnbind({ queue, exchange: destination, routingKey: '' })
      await channel.exchangeUnbind({ destination, source, routingKey, arguments: args })
      await channel.exchangeDelete({ exchange: destination })
      await channel.exchangeDelete({ exchange: source })
    }
    await channel.close()
  })
})

test('a full queue nacks', async () => {
  await session(async (connection) => {
    const full = name('full')
    const publisher = connection.createPublisher({
      confirm: true, maxAttempts: 1,
      queues: [{ queue: full, exclusive: true, arguments: { 'x-max-length': 1, 'x-overflow': 'reject-publish' } }],
    })
    await publisher.send(full, '1')
    await refused('NACK', () => publisher.send(full, '2'))
    await publisher.close()
  })
})

test('a publisher confirms and gets returns', async () => {
  await session(async (connection) => {
    const back = mailbox()
    const publisher = connection.createPublisher({ confirm: true })
    publisher.on('basic.return', back.push)
    await publisher.send({ exchange: 'amq.direct', routingKey: 'nobody', mandatory: true }, 'back')
    const returned = await back.take()
    equal([returned.replyCode, returned.replyText, returned.body], [312, 'NO_ROUTE', 'back'])
    await Promise.all(Array.from({ length: 500 }, () => publisher.send({ routingKey: 'nobody at all', durable: true }, 'x')))
    await publisher.close()
  })
})

test('transactions commit and roll back', async () => {
  await session(async (connection) => {
    const channel = await connection.acquire()
    const queue = name()
    await channel.queueDeclare({ queue, exclusive: true })
    await channel.txSelect()
    await channel.basicPublish(queue, 'lost')
    await channel.txRollback()
    await channel.basicPublish(queue, 'kept')
    equal((await connection.queueDeclare({ queue, passive: true })).messageCount, 0)
    await channel.txCommit()
    equal((await connection.basicGet({ queue, noAck: true })).body, 'kept')
    await channel.close()
  })
})

test('a consumer acknowledges, requeues and drops', async () => {
  await session(async (connection) => {
    const queue = name()
    const seen = []
    const consumer = connection.createConsumer({
      queue, queueOptions: { exclusive: true }, qos: { prefetchCount: 5 }, concurrency: 3,
    }, async (message) => {
      seen.push([message.body, message.redelivered])
      if (message.body === 'drop') return ConsumerStatus.DROP
      if (message.body === 'again' && !message.redelivered) return ConsumerStatus.REQUEUE
      return ConsumerStatus.ACK
    })
    await new Promise((resolve) => consumer.once('ready', resolve))
    const publisher = connection.createPublisher({ confirm: true })
    await publisher.send(queue, 'again')
    await until(() => seen.length === 2)
    await publisher.send(queue, 'drop')
    for (let n = 0; n < 100; n++) await publisher.send(queue, n)
    await until(() => seen.length === 103)
    equal(seen.slice(0, 2), [['again', false], ['again', true]])
    await until(() => consumer.stats.acknowledged === 101)
    equal([consumer.stats.requeued, consumer.stats.dropped], [1, 1])
    await consumer.close()
    equal((await connection.queueDeclare({ queue, passive: true })).messageCount, 0)
    await publisher.close()
  })
})

test('plain channels: consume, qos, nack, recover, cancel', async () => {
  await session(async (connection) => {
    const channel = await connection.acquire()
    const queue = name()
    await channel.queueDeclare({ queue, exclusive: true })
    await channel.basicQos({ prefetchCount: 2 })
    const got = mailbox()
    const { consumerTag } = await channel.basicConsume({ queue }, got.push)
    for (const body of ['a', 'b', 'c']) await channel.basicPublish(queue, body)
    const [first, second] = [await got.take(), await got.take()]
    await sleep(100)
    equal(got.items.length, 0)
    channel.basicNack({ deliveryTag: second.deliveryTag, multiple: true, requeue: true })
    equal([(await got.take()).body, (await got.take()).body], [first.body, second.body])
    await channel.basicRecover({ requeue: true })
    equal((await got.take()).redelivered, true)
    const last = await got.take()
    channel.basicAck({ deliveryTag: last.deliveryTag, multiple: true })
    equal((await got.take()).body, 'c')
    equal((await channel.basicCancel(consumerTag)).consumerTag, consumerTag)
    await channel.close()
    equal((await connection.queueDeclare({ queue, passive: true })).messageCount, 1)
  })
})

test('a deleted queue cancels its consumer', async () => {
  await session(async (connection) => {
    const channel = await connection.acquire()
    const queue = name()
    await channel.queueDeclare({ queue })
    const cancelled = mailbox()
    channel.on('basic.cancel', cancelled.push)
    const { consumerTag } = await channel.basicConsume({ queue, noAck: true }, () => {})
    await connection.queueDelete(queue)
    equal(await cancelled.take(), consumerTag)
    assert(channel.active, 'the channel stays')
    await channel.close()
  })
})

test('properties and headers come back', async () => {
  await session(async (connection) => {
    const channel = await connection.acquire()
    const queue = name()
    await channel.queueDeclare({ queue, exclusive: true })
    const sent = {
      routingKey: queue, contentType: 'application/x-thing', contentEncoding: 'gzip', durable: true, priority: 3,
      correlationId: 'c', replyTo: 'r', expiration: '60000', messageId: 'm', timestamp: 1700000000, type: 't',
      userId: broker.user, appId: 'a',
      headers: { text: 'grün', int: 42, negative: -70000, big: 2 ** 40, double: 1.5, yes: true, nothing: null,
        list: [1, 'two', { three: [4] }], table: { a: { b: 'c' } } },
    }
    await channel.basicPublish(sent, Buffer.from('octets'))
    const got = await get(channel, queue)
    equal(got.body.toString(), 'octets')
    await channel.basicPublish(queue, { json: [1] })
    equal((await get(channel, queue)).body, { json: [1] })
    for (const key of Object.keys(sent)) equal(got[key], sent[key], key)
    await channel.close()
  })
})

test('large messages', async () => {
  await session(async (connection) => {
    const channel = await connection.acquire()
    const queue = name()
    await channel.queueDeclare({ queue, exclusive: true })
    for (const size of [1 << 20, 10 << 20]) {
      const body = crypto.randomBytes(size)
      await channel.basicPublish(queue, body)
      assert((await get(channel, queue)).body.equals(body), `${size} bytes came back changed`)
    }
    await channel.close()
  })
}, 60)

test('an RPC client calls a consumer that replies', async () => {
  await session(async (connection) => {
    const queue = name()
    const server = connection.createConsumer({ queue, queueOptions: { exclusive: true } }, async (message, reply) => {
      await reply(message.body.toUpperCase())
    })
    await new Promise((resolve) => server.once('ready', resolve))
    const client = connection.createRPCClient({ confirm: true, timeout: 5000 })
    const answers = await Promise.all(Array.from({ length: 50 }, (_, n) => client.send(queue, `call ${n}`)))
    equal(answers.map((answer) => answer.body), Array.from({ length: 50 }, (_, n) => `CALL ${n}`))
    await client.close()
    await server.close()
  })
})

test('heartbeats keep an idle connection', async () => {
  await session(async (connection) => {
    await connection.onConnect(5000)
    await sleep(5000)
    equal(connection.errors, [])
    await connection.queueDeclare({ queue: name(), exclusive: true })
  }, { heartbeat: 2 })
})

test('blocked and unblocked are told', async () => {
  await session(async (connection) => {
    const events = mailbox()
    connection.on('connection.blocked', events.push)
    connection.on('connection.unblocked', () => events.push('unblocked'))
    const queue = name()
    await connection.queueDeclare({ queue, exclusive: true })
    const publisher = connection.createPublisher({ confirm: true })
    let sending
    await admin('alarm', 'on')
    try {
      sending = publisher.send(queue, 'late')
      equal(await events.take(), 'low on memory')
    } finally {
      await admin('alarm', 'off')
    }
    equal(await events.take(), 'unblocked')
    await sending
    equal((await connection.basicGet({ queue, noAck: true })).body, 'late')
    await publisher.close()
  })
}, 60)

test('a closed connection is repaired with its consumers', async () => {
  await session(async (connection) => {
    const queue = name()
    const got = mailbox()
    const consumer = connection.createConsumer({ queue, queueOptions: { autoDelete: true }, requeue: true }, (message) => {
      got.push(message.body)
    })
    consumer.on('error', () => {})
    await new Promise((resolve) => consumer.once('ready', resolve))
    const publisher = connection.createPublisher({ confirm: true, maxAttempts: 5 })
    await publisher.send(queue, 'before')
    equal(await got.take(), 'before')
    const ready = new Promise((resolve) => consumer.once('ready', resolve))
    await admin('close-connection', connection._socket.localPort, 'maintenance')
    await soon(ready, 'the repair', 20000)
    assert(connection.errors.some((error) => error.message.includes('maintenance')), String(connection.errors))
    await publisher.send(queue, 'after')
    equal(await got.take(), 'after')
    await consumer.close()
    await publisher.close()
  })
}, 60)

run()
