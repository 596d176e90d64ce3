'use strict'
// amqplib 0.10: what its own mocha tests leave out.

const amqp = require('amqplib')
const { admin, assert, broker, mailbox, name, refused, run, sleep, soon, test, until, url } = require('./tap')

const equal = assert.deepStrictEqual

/** Runs a case on a connection that is closed afterwards; `error` events are kept on it. */
async function session(work, query = '') {
  const connection = await amqp.connect(url({}, query))
  connection.errors = []
  connection.on('error', (error) => connection.errors.push(error))
  let open = true
  connection.on('close', () => { open = false })
  try {
    await work(connection, await connection.createChannel())
  } finally {
    if (open) await connection.close()
  }
}

async function get(channel, queue) {
  let message
  await until(async () => (message = await channel.get(queue, { noAck: true })))
  return message
}

const exclusive = async (channel, options = {}) => (await channel.assertQueue('', { exclusive: true, ...options })).queue

test('a wrong password is refused', async () => {
  await refused('ACCESS_REFUSED', () => amqp.connect(url({ password: 'wrong' })))
})

test('an unknown virtual host is refused', async () => {
  // This client does not pass the broker's text on here.
  await refused('Expected ConnectionOpenOk; got <ConnectionClose', () => amqp.connect(url({ vhost: 'nowhere' })))
})

test('tuning by URL: frame size, channels, heartbeat', async () => {
  await session(async (connection, channel) => {
    const queue = await exclusive(channel)
    const body = Buffer.alloc(100000, 'ab')
    channel.sendToQueue(queue, body)
    equal((await get(channel, queue)).content.equals(body), true)
    await connection.createChannel()
    await refused('No channels left', () => connection.createChannel())
  }, '?frameMax=4096&channelMax=2&heartbeat=7')
})

test('heartbeats keep an idle connection', async () => {
  await session(async (connection, channel) => {
    await sleep(5000)
    await exclusive(channel)
    equal(connection.errors, [])
  }, '?heartbeat=2')
})

test('a channel error emits and leaves the connection', async () => {
  await session(async (connection, channel) => {
    const errors = mailbox()
    channel.on('error', errors.push)
    await refused("NOT_FOUND - no queue 'nowhere' in vhost", () => channel.checkQueue('nowhere'))
    equal((await errors.take()).code, 404)
    const next = await connection.createChannel()
    next.on('error', errors.push)
    const { queue } = await next.assertQueue(name(), { exclusive: true })
    await refused("inequivalent arg 'x-max-length'", () =>
      next.assertQueue(queue, { exclusive: true, maxLength: 3 }))
    equal((await errors.take()).code, 406)
    equal(connection.errors, [])
  })
})

test('a connection error emits and closes', async () => {
  await session(async (connection, channel) => {
    const closed = new Promise((resolve) => connection.on('close', resolve))
    channel.on('error', () => {})
    channel.assertExchange(name('x'), 'x-nothing').catch(() => {})
    await soon(closed, 'the close')
    assert(connection.errors[0].message.includes('unknown exchange type'), connection.errors[0].message)
    equal(connection.errors[0].code, 503)
  })
})

test('the operator closes a connection', async () => {
  await session(async (connection) => {
    const closed = new Promise((resolve) => connection.on('close', resolve))
    await admin('close-connection', connection.connection.stream.localPort, 'maintenance')
    const reason = await soon(closed, 'the close')
    assert(reason.message.includes('CONNECTION_FORCED - maintenance'), reason.message)
  })
})

test('blocked and unblocked are told', async () => {
  await session(async (connection, channel) => {
    const events = mailbox()
    connection.on('blocked', events.push)
    connection.on('unblocked', () => events.push('unblocked'))
    const queue = await exclusive(channel)
    await admin('alarm', 'on')
    try {
      channel.sendToQueue(queue, Buffer.from('late'))
      equal(await events.take(), 'low on memory')
    } finally {
      await admin('alarm', 'off')
    }
    equal(await events.take(), 'unblocked')
    equal((await get(channel, queue)).content.toString(), 'late')
  })
}, 60)

test('a thousand confirms are waited for', async () => {
  await session(async (connection) => {
    const channel = await connection.createConfirmChannel()
    const queue = await exclusive(channel)
    for (let n = 0; n < 1000; n++) channel.sendToQueue(queue, Buffer.from(String(n)), { persistent: true })
    await channel.waitForConfirms()
    equal((await channel.checkQueue(queue)).messageCount, 1000)
  })
})

test('a full queue nacks', async () => {
  await session(async (connection) => {
    const channel = await connection.createConfirmChannel()
    const full = await exclusive(channel, { maxLength: 1, arguments: { 'x-overflow': 'reject-publish' } })
    const verdicts = await Promise.all([1, 2, 3].map(() => new Promise((resolve) => {
      channel.sendToQueue(full, Buffer.from('x'), {}, (error) => resolve(error === null))
    })))
    equal(verdicts, [true, false, false])
  })
})

test('an unroutable mandatory message returns before its ack', async () => {
  await session(async (connection) => {
    const channel = await connection.createConfirmChannel()
    const events = []
    channel.on('return', (message) => events.push([message.fields.replyCode, message.fields.replyText,
      message.content.toString()]))
    await new Promise((resolve) => channel.publish('amq.direct', 'nobody', Buffer.from('back'), { mandatory: true },
      () => resolve(events.push('ack'))))
    equal(events, [[312, 'NO_ROUTE', 'back'], 'ack'])
  })
})

test('properties and headers come back', async () => {
  await session(async (connection, channel) => {
    const queue = await exclusive(channel)
    const headers = {
      text: 'grün', int: 42, negative: -70000, big: 2 ** 40, double: 1.5, yes: true, nothing: null,
      list: [1, 'two', { three: [4] }], table: { a: { b: 'c' } }, bytes: Buffer.from([0, 255]),
      when: { '!': 'timestamp', value: 1700000000 }, price: { '!': 'decimal', value: { digits: 314, places: 2 } },
    }
    const sent = {
      contentType: 'text/plain', contentEncoding: 'utf-8', deliveryMode: 2, priority: 3, correlationId: 'c', replyTo: 'r',
      expiration: '60000', messageId: 'm', timestamp: 1700000000, type: 't', userId: broker.user, appId: 'a',
    }
    channel.sendToQueue(queue, Buffer.from('x'), { ...sent, headers })
    const { properties } = await get(channel, queue)
    for (const key of Object.keys(sent)) equal(properties[key], sent[key], key)
    equal(properties.headers, headers)
  })
})

test('large messages', async () => {
  await session(async (connection, channel) => {
    const queue = await exclusive(channel)
    for (const size of [0, 1 << 20, 10 << 20]) {
      const body = require('node:crypto').randomBytes(size)
      channel.sendToQueue(queue, body)
      assert((await get(channel, queue)).content.equals(body), `${size} bytes came back changed`)
    }
  })
}, 60)

test('every exchange type and exchange bindings', async () => {
  await session(async (connection, channel) => {
    for (const [type, bound, key, match] of [['direct', 'k', 'k', {}], ['fanout', '', 'any', {}],
      ['topic', '#.b.*', 'a.b.c', {}], ['headers', '', '', { 'x-match': 'any', h: 'v', n: 2 }]]) {
      const source = name(type)
      const target = name('target')
      await channel.assertExchange(source, type, { durable: false })
      await channel.assertExchange(target, 'fanout', { durable: false, internal: true })
      await channel.bindExchange(target, source, bound, match)
      const queue = await exclusive(channel)
      await channel.bindQueue(queue, target, '')
      channel.publish(source, key, Buffer.from(type), { headers: { h: 'v', n: 1 } })
      equal((await get(channel, queue)).content.toString(), type)
      await channel.unbindExchange(target, source, bound, match)
      await channel.deleteExchange(target)
      await channel.deleteExchange(source)
    }
  })
})

test('prefetch per consumer and per channel', async () => {
  for (const [global, wanted] of [[false, 4], [true, 2]]) {
    await session(async (connection, channel) => {
      const queue = await exclusive(channel)
      const got = []
      await channel.prefetch(2, global)
      await channel.consume(queue, (message) => got.push(message))
      await channel.consume(queue, (message) => got.push(message))
      for (let n = 0; n < 8; n++) channel.sendToQueue(queue, Buffer.from('x'))
      await until(() => got.length >= wanted)
      await sleep(200)
      equal(got.length, wanted)
      channel.ackAll()
      await until(() => got.length >= 2 * wanted)
    })
  }
})

test('nack, reject, recover and redelivery', async () => {
  await session(async (connection, channel) => {
    const queue = await exclusive(channel)
    const got = mailbox()
    await channel.consume(queue, got.push)
    channel.sendToQueue(queue, Buffer.from('x'))
    let message = await got.take()
    equal(message.fields.redelivered, false)
    channel.nack(message)
    message = await got.take()
    equal(message.fields.redelivered, true)
    channel.reject(message, true)
    await got.take()
    await channel.recover()
    message = await got.take()
    channel.nackAll(false)
    equal((await channel.checkQueue(queue)).messageCount, 0)
  })
})

test('a deleted queue cancels its consumer', async () => {
  await session(async (connection, channel) => {
    const queue = (await channel.assertQueue(name(), { durable: false })).queue
    const got = mailbox()
    await channel.consume(queue, (message) => got.push(String(message)))
    await (await connection.createChannel()).deleteQueue(queue)
    equal(await got.take(), 'null')
    await channel.assertQueue('', { exclusive: true })
  })
})

test('an exclusive queue and an exclusive consumer', async () => {
  await session(async (connection, channel) => {
    const queue = await exclusive(channel)
    await channel.consume(queue, () => {}, { exclusive: true })
    const other = await connection.createChannel()
    other.on('error', () => {})
    await refused('in exclusive use', () => other.consume(queue, () => {}))
    await session(async (second, foreign) => {
      foreign.on('error', () => {})
      await refused('RESOURCE_LOCKED', () => foreign.checkQueue(queue))
    })
  })
})

test('dead letters after expiry', async () => {
  await session(async (connection, channel) => {
    const grave = await exclusive(channel)
    const queue = await exclusive(channel, { messageTtl: 30, deadLetterExchange: '', deadLetterRoutingKey: grave })
    channel.sendToQueue(queue, Buffer.from('old'))
    const death = (await get(channel, grave)).properties.headers['x-death'][0]
    equal([death.reason, death.queue, death.count], ['expired', queue, 1])
  })
})

test('priorities, limits of length and of deliveries', async () => {
  await session(async (connection, channel) => {
    const grave = await exclusive(channel)
    const letters = { deadLetterExchange: '', deadLetterRoutingKey: grave }
    const queue = await exclusive(channel, { maxPriority: 10, maxLength: 2, ...letters })
    for (const priority of [1, 9, 5]) channel.sendToQueue(queue, Buffer.from(String(priority)), { priority })
    equal((await get(channel, grave)).properties.headers['x-first-death-reason'], 'maxlen')
    equal(String((await get(channel, queue)).content), '5')
    equal(String((await get(channel, queue)).content), '1')
    const limited = await exclusive(channel, { arguments: { 'x-delivery-limit': 0 }, ...letters })
    channel.sendToQueue(limited, Buffer.from('once'))
    let message
    await until(async () => (message = await channel.get(limited)))
    channel.nack(message)
    equal((await get(channel, grave)).properties.headers['x-death'][0].reason, 'delivery_limit')
  })
})

test('RPC by direct reply-to', async () => {
  await session(async (connection, client) => {
    const server = await connection.createChannel()
    const queue = await exclusive(server)
    await server.consume(queue, ({ content, properties }) => server.sendToQueue(properties.replyTo,
      Buffer.from(content.toString().toUpperCase()), { correlationId: properties.correlationId }), { noAck: true })
    const answers = mailbox()
    await client.consume('amq.rabbitmq.reply-to', ({ content, properties }) =>
      answers.push([properties.correlationId, content.toString()]), { noAck: true })
    for (let n = 0; n < 20; n++) {
      client.sendToQueue(queue, Buffer.from('call'), { replyTo: 'amq.rabbitmq.reply-to', correlationId: String(n) })
    }
    for (let n = 0; n < 20; n++) equal(await answers.take(), [String(n), 'CALL'])
  })
})

test('many channels', async () => {
  await session(async (connection) => {
    const channels = await Promise.all(Array.from({ length: 200 }, () => connection.createChannel()))
    const queues = await Promise.all(channels.map((channel) => exclusive(channel)))
    equal(new Set(queues).size, 200)
    await Promise.all(channels.map((channel) => channel.close()))
  })
})

run()
