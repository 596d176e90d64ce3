// @cloudamqp/amqp-client: its channels, and the session that reconnects.

import crypto from 'node:crypto'
import { AMQPClient, AMQPSession } from '@cloudamqp/amqp-client'
import tap from './tap.js'

const { admin, assert, broker, mailbox, name, refused, run, sleep, test, until, url } = tap
const equal = assert.deepStrictEqual

async function session(work, query = '') {
  const client = new AMQPClient(url({}, query))
  client.logger = null
  client.onerror = () => {}
  const connection = await client.connect()
  try {
    await work(connection, await connection.channel())
  } finally {
    if (!connection.closed) await connection.close()
  }
}

async function get(channel, queue) {
  let message
  await until(async () => (message = await channel.basicGet(queue, { noAck: true })))
  return message
}

const exclusive = async (channel, args = {}) =>
  (await channel.queueDeclare('', { exclusive: true, durable: false, autoDelete: false }, args)).name

test('connects, tunes and closes', async () => {
  await session(async (connection) => {
    equal([connection.frameMax, connection.heartbeat, connection.channelMax], [8192, 9, 5])
    assert(!connection.closed, 'open')
  }, '?frameMax=8192&heartbeat=9&channelMax=5')
})

test('a wrong password is refused', async () => {
  await refused('ACCESS_REFUSED', () => new AMQPClient(url({ password: 'wrong' }), undefined, null).connect())
})

test('an unknown virtual host is refused', async () => {
  await refused('vhost nowhere not found', () => new AMQPClient(url({ vhost: 'nowhere' }), undefined, null).connect())
})

test('queues are declared, counted, purged and deleted', async () => {
  await session(async (connection, channel) => {
    const queue = name()
    equal(await channel.queueDeclare(queue, { durable: true }, { 'x-max-length': 9 }),
      { name: queue, messageCount: 0, consumerCount: 0 })
    await channel.confirmSelect()
    for (let n = 0; n < 3; n++) await channel.basicPublish('', queue, 'x')
    equal((await channel.queueDeclare(queue, { passive: true })).messageCount, 3)
    equal((await channel.queuePurge(queue)).messageCount, 3)
    equal((await channel.queueDelete(queue)).messageCount, 0)
    await refused("no queue '" + queue, () => channel.queueDeclare(queue, { passive: true }))
    const next = await connection.channel()
    await exclusive(next)
  })
})

test('errors close the channel or the connection', async () => {
  await session(async (connection) => {
    const next = () => connection.channel()
    const queue = (await (await next()).queueDeclare(name(), { exclusive: true, durable: false })).name
    await refused('inequivalent arg', async () => (await next()).queueDeclare(queue, { exclusive: true, durable: false },
      { 'x-expires': 1000 }))
    await refused('reserved prefix', async () => (await next()).queueDeclare('amq.x'))
    await refused("no exchange 'nowhere'", async () => (await next()).queueBind(queue, 'nowhere', 'k'))
    await refused('unknown exchange type', async () => (await next()).exchangeDeclare(name('x'), 'x-nothing'))
    await until(() => connection.closed)
  })
})

test('every exchange type routes', async () => {
  await session(async (connection, channel) => {
    for (const [type, bound, key, args] of [['direct', 'k', 'k', {}], ['fanout', '', 'any', {}], ['topic', 'a.#', 'a.b.c', {}],
      ['headers', '', '', { 'x-match': 'all', h: 'v', n: 1 }]]) {
      const exchange = name(type)
      await channel.exchangeDeclare(exchange, type, { durable: false })
      const queue = await exclusive(channel)
      await channel.queueBind(queue, exchange, bound, args)
      await channel.basicPublish(exchange, key, type, { headers: { h: 'v', n: 1 } })
      equal((await get(channel, queue)).bodyString(), type)
      await channel.queueUnbind(queue, exchange, bound, args)
      await channel.exchangeDelete(exchange)
    }
  })
})

test('exchanges bind to exchanges', async () => {
  await session(async (connection, channel) => {
    const [source, target] = [name('source'), name('target')]
    await channel.exchangeDeclare(source, 'topic', { durable: false })
    await channel.exchangeDeclare(target, 'fanout', { durable: false, internal: true })
    await channel.exchangeBind(target, source, '*.b')
    const queue = await exclusive(channel)
    await channel.queueBind(queue, target, '')
    await channel.basicPublish(source, 'a.b', 'through')
    equal((await get(channel, queue)).bodyString(), 'through')
    await channel.exchangeUnbind(target, source, '*.b')
    await channel.exchangeDelete(source)
    await channel.exchangeDelete(target)
  })
})

test('five hundred confirms resolve', async () => {
  await session(async (connection, channel) => {
    await channel.confirmSelect()
    const queue = await exclusive(channel)
    const tags = await Promise.all(Array.from({ length: 500 }, (_, n) => channel.basicPublish('', queue, String(n))))
    equal(tags.length, 500)
    equal((await channel.queueDeclare(queue, { passive: true })).messageCount, 500)
  })
})

test('a full queue nacks', async () => {
  await session(async (connection, channel) => {
    await channel.confirmSelect()
    const full = await exclusive(channel, { 'x-max-length': 1, 'x-overflow': 'reject-publish' })
    await channel.basicPublish('', full, '1')
    await refused('rejected', () => channel.basicPublish('', full, '2'))
  })
})

test('an unroutable mandatory message returns before its ack', async () => {
  await session(async (connection, channel) => {
    const events = []
    channel.onReturn = (message) => events.push([message.replyCode, message.replyText, message.bodyString()])
    await channel.confirmSelect()
    await channel.basicPublish('amq.direct', 'nobody', 'back', {}, true)
    events.push('ack')
    equal(events, [[312, 'NO_ROUTE', 'back'], 'ack'])
  })
})

test('transactions commit and roll back', async () => {
  await session(async (connection, channel) => {
    const other = await connection.channel()
    const queue = await exclusive(channel)
    await channel.txSelect()
    await channel.basicPublish('', queue, 'lost')
    await channel.txRollback()
    await channel.basicPublish('', queue, 'kept')
    equal((await other.queueDeclare(queue, { passive: true })).messageCount, 0)
    await channel.txCommit()
    equal((await get(other, queue)).bodyString(), 'kept')
  })
})

test('consuming by callback and by generator', async () => {
  await session(async (connection, channel) => {
    const queue = await exclusive(channel)
    await channel.prefetch(10)
    const got = []
    const consumer = await channel.basicConsume(queue, { noAck: false }, async (message) => {
      got.push(Number(message.bodyString()))
      await message.ack()
    })
    for (let n = 0; n < 200; n++) await channel.basicPublish('', queue, String(n))
    await until(() => got.length === 200)
    equal(got, Array.from({ length: 200 }, (_, n) => n))
    await consumer.cancel()
    const generator = await channel.basicConsume(queue, { noAck: false })
    await channel.basicPublish('', queue, 'one')
    for await (const message of generator.messages) {
      equal(message.bodyString(), 'one')
      await message.ack()
      break
    }
  })
})

test('nack, reject, recover, global prefetch', async () => {
  await session(async (connection, channel) => {
    const queue = await exclusive(channel)
    const got = mailbox()
    await channel.basicQos(1, 0, true)
    await channel.basicConsume(queue, { noAck: false }, got.push)
    await channel.basicPublish('', queue, 'x')
    await channel.basicPublish('', queue, 'y')
    let message = await got.take()
    equal(message.redelivered, false)
    await sleep(100)
    equal(got.items.length, 0)
    await message.nack(true)
    message = await got.take()
    equal([message.bodyString(), message.redelivered], ['x', true])
    await message.reject(true)
    await got.take()
    await channel.basicRecover(true)
    message = await got.take()
    await channel.basicAck(message.deliveryTag)
    equal((await got.take()).bodyString(), 'y')
  })
})

test('a deleted queue ends its consumer', async () => {
  await session(async (connection, channel) => {
    const queue = (await channel.queueDeclare(name(), { durable: false })).name
    const consumer = await channel.basicConsume(queue, {}, () => {})
    const waiting = consumer.wait().then(() => 'ended', (error) => error.message)
    await (await connection.channel()).queueDelete(queue)
    assert(String(await waiting).length > 0, 'ended')
  })
})

test('properties and headers come back', async () => {
  await session(async (connection, channel) => {
    const queue = await exclusive(channel)
    const properties = {
      contentType: 'text/plain', contentEncoding: 'utf-8', deliveryMode: 2, priority: 3, correlationId: 'c', replyTo: 'r',
      expiration: '60000', messageId: 'm', timestamp: new Date(1700000000000), type: 't', userId: broker.user, appId: 'a',
      headers: {
        text: 'grün', int: 42, negative: -70000, big: 2 ** 40, double: 1.5, yes: true, nothing: null,
        list: [1, 'two', { three: [4] }], table: { a: { b: 'c' } }, when: new Date(1700000000000),
      },
    }
    await channel.basicPublish('', queue, 'x', properties)
    const got = (await get(channel, queue)).properties
    equal(got.headers.list.length, 3)
    for (const key of Object.keys(properties)) equal(JSON.stringify(got[key]), JSON.stringify(properties[key]), key)
  })
})

test('large messages', async () => {
  await session(async (connection, channel) => {
    const queue = await exclusive(channel)
    for (const size of [1 << 20, 10 << 20]) {
      const body = crypto.randomBytes(size)
      await channel.basicPublish('', queue, body)
      assert(body.equals((await get(channel, queue)).body), `${size} bytes came back changed`)
    }
  })
}, 60)

test('many channels', async () => {
  await session(async (connection) => {
    const channels = []
    for (let n = 0; n < 100; n++) channels.push(await connection.channel())
    equal(new Set(await Promise.all(channels.map((channel) => exclusive(channel)))).size, 100)
    for (const channel of channels) await channel.close()
  })
})

test('update-secret is answered', async () => {
  await session(async (connection, channel) => {
    await connection.updateSecret(broker.password, 'renewed')
    await exclusive(channel)
  })
})

test('heartbeats keep an idle connection', async () => {
  await session(async (connection, channel) => {
    await sleep(5000)
    assert(!connection.closed, 'open')
    await exclusive(channel)
  }, '?heartbeat=2')
})

test('blocked and unblocked are told', async () => {
  await session(async (connection, channel) => {
    const events = mailbox()
    connection.onblocked = events.push
    connection.onunblocked = () => events.push('unblocked')
    const queue = await exclusive(channel)
    await admin('alarm', 'on')
    try {
      await channel.basicPublish('', queue, 'late')
      equal(await events.take(), 'low on memory')
    } finally {
      await admin('alarm', 'off')
    }
    equal(await events.take(), 'unblocked')
    equal((await get(channel, queue)).bodyString(), 'late')
  })
}, 60)

test('RPC by direct reply-to', async () => {
  await session(async (connection, client) => {
    const server = await connection.channel()
    const queue = await exclusive(server)
    await server.basicConsume(queue, { noAck: true }, (message) =>
      server.basicPublish('', message.properties.replyTo, message.bodyString().toUpperCase()))
    const answers = mailbox()
    await client.basicConsume('amq.rabbitmq.reply-to', { noAck: true }, (message) => answers.push(message.bodyString()))
    for (let n = 0; n < 10; n++) await client.basicPublish('', queue, `call ${n}`, { replyTo: 'amq.rabbitmq.reply-to' })
    for (let n = 0; n < 10; n++) equal(await answers.take(), `CALL ${n}`)
  })
})

test('a session has queues, exchanges and RPC', async () => {
  const made = await AMQPSession.connect(url(), { logger: null })
  try {
    const exchange = await made.topicExchange(name('x'), { durable: false, autoDelete: true })
    const queue = await made.queue(name(), { durable: false, autoDelete: true })
    await queue.bind(exchange, 'a.*')
    const got = mailbox()
    const subscription = await queue.subscribe({ prefetch: 5 }, (message) => got.push(message.bodyString()))
    await exchange.publish('one', { routingKey: 'a.b' })
    equal(await got.take(), 'one')
    const requests = name('requests')
    await made.queue(requests, { durable: false, autoDelete: true })
    const server = await made.rpcServer(requests, (message) => message.bodyString().toUpperCase())
    equal((await made.rpcCall(requests, 'call', { timeout: 5000 })).bodyString(), 'CALL')
    await server.close()
    await subscription.cancel()
  } finally {
    await made.stop()
  }
})

test('a session reconnects and consumes on', async () => {
  const events = mailbox()
  const made = await AMQPSession.connect(url(), {
    logger: null, reconnectInterval: 100, onconnect: () => events.push('connected'), ondisconnect: () => {},
  })
  try {
    const queue = await made.queue(name(), { durable: false })
    const got = mailbox()
    await queue.subscribe((message) => got.push(message.bodyString()))
    await queue.publish('before')
    equal(await got.take(), 'before')
    events.items.length = 0
    await admin('close-connection', made.client.socket.localPort, 'maintenance')
    await events.take()
    await queue.publish('after')
    equal(await got.take(), 'after')
    await queue.delete()
  } finally {
    await made.stop()
  }
}, 60)

run()
