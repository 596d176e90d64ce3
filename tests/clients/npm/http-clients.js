'use strict'
// Clients of the HTTP API: http-rabbitmq-manager, rabbitmq-admin, and rascal, which makes its virtual hosts with it.

const { promisify } = require('node:util')
const amqplib = require('amqplib')
const manager = require('http-rabbitmq-manager')
const { RabbitAdmin } = require('rabbitmq-admin')
const { BrokerAsPromised } = require('rascal')
const { assert, broker, mailbox, name, refused, run, test, until, url } = require('./tap')

const equal = assert.deepStrictEqual
const web = new URL(process.env.HTTP_URI || `http://${broker.host}:15672/`)
const names = (list) => list.map((item) => item.name)

/** http-rabbitmq-manager with promises; what it asks for is in the name of the method. */
function old(password = broker.password) {
  const client = manager.client({ host: web.hostname, port: web.port, user: broker.user, password })
  return new Proxy(client, {
    get: (target, method) => (...words) => promisify(target[method]).call(target, ...words),
  })
}

function admin(user = broker.user, pass = broker.password) {
  return RabbitAdmin({ rabbitHost: web.href.replace(/\/$/, ''), user, pass })
}

test('http-rabbitmq-manager looks around', async () => {
  const client = old()
  const overview = await client.overview()
  assert(overview.rabbitmq_version && overview.node, JSON.stringify(overview))
  equal((await client.getClusterName()).name.length > 0, true)
  const [node] = await client.listNodes()
  equal((await client.getNode({ name: node.name, memory: true })).running, true)
  assert(Array.isArray(await client.listExtensions()), 'extensions')
  assert((await client.listDefinitions()).exchanges, 'definitions')
  for (const list of ['listConnections', 'listChannels', 'listConsumers', 'listExchanges', 'listQueues', 'listBindings', 'listVhosts']) {
    assert(Array.isArray(await (list === 'listConnections' ? client[list]() : client[list]({}))), list)
  }
})

test('http-rabbitmq-manager is told of a wrong password', async () => {
  await refused('Status 401', () => old('wrong').overview())
})

test('http-rabbitmq-manager makes and deletes', async () => {
  const client = old()
  const vhost = name('v/host'), queue = name('q'), exchange = name('x')
  await client.createVhost({ vhost })
  equal((await client.listVhosts({ vhost })).name, vhost)
  equal((await client.getVhostPermissions({ vhost }))[0].configure, '.*')
  await client.createExchange({ vhost, exchange, type: 'topic', durable: true, auto_delete: false, internal: false, arguments: {} })
  equal((await client.getExchange({ vhost, exchange })).type, 'topic')
  await client.createQueue({ vhost, queue, durable: true, auto_delete: false, arguments: { 'x-max-length': 10 } })
  equal((await client.getQueue({ vhost, queue })).arguments, { 'x-max-length': 10 })
  equal(names(await client.listQueues({ vhost })), [queue])
  equal((await client.getQueueBindings({ vhost, queue })).length, 1)
  equal(await client.getBindingsForSource({ vhost, exchange }), [])
  await client.purgeQueue({ vhost, queue })
  await client.deleteQueue({ vhost, queue })
  await refused('Status 404', () => client.getQueue({ vhost, queue }))
  await client.deleteExchange({ vhost, exchange })
  await client.deleteVhost({ vhost })
})

test('rabbitmq-admin looks around', async () => {
  const client = admin()
  const { node } = await client.getOverview()
  equal(names(await client.getNodes()), [node])
  equal((await client.getNode(node)).name, node)
  assert(await client.getClusterName(), 'cluster')
  equal((await client.listVhosts()).filter((v) => v.name === '/').length, 1)
  assert((await client.getDefinitions('/')).queues, 'definitions of a virtual host')
  assert((await client.getDefinitions()).users, 'all definitions')
  const page = await client.getExchanges('/', { page: 1, pageSize: 3, name: 'amq' })
  equal([page.items.length, page.page_size], [3, 3])
  equal(await client.getVhost(name('none')), null)
  await refused('401', () => admin('guest', 'wrong').getOverview())
})

test('rabbitmq-admin makes, binds, publishes, gets and deletes', async () => {
  const client = admin()
  const vhost = name('v'), queue = name('q'), exchange = name('x')
  await client.createVhost(vhost)
  await client.setUserPermissions(vhost, broker.user, { configure: '.*', write: '.*', read: '.*' })
  equal((await client.getUserPermissions(vhost, broker.user)).read, '.*')
  await client.createExchange(vhost, { name: exchange, type: 'headers', durable: true })
  await client.createQueue(vhost, queue, { durable: true, arguments: {} })
  await client.createBinding({ vhost, source: exchange, destination: queue, type: 'queue', routingKey: 'k', args: {} })
  const [binding] = await client.getSourceExchangeBindings(vhost, exchange)
  equal([binding.destination, binding.routing_key], [queue, 'k'])
  equal((await client.getBindings({ vhost, source: exchange, destination: queue, type: 'queue' })).length, 1)
  const sent = { properties: { content_type: 'text/plain' }, routing_key: 'k', payload: 'hello', payload_encoding: 'string' }
  equal(await client.publishToExchange(vhost, exchange, sent), { routed: true })
  const [message] = await client.getMessages(vhost, queue, { count: 1, ackmode: 'ack_requeue_false', encoding: 'auto' })
  equal([message.payload, message.properties.content_type, message.message_count], ['hello', 'text/plain', 0])
  await client.deleteBinding({ vhost, source: exchange, destination: queue, type: 'queue', props: binding.properties_key })
  equal((await client.getQueueBindings(vhost, queue)).length, 1)
  await client.deleteQueue(vhost, queue, { ifEmpty: true })
  await client.deleteExchange(vhost, exchange)
  await client.deleteVhost(vhost)
})

test('rabbitmq-admin sees a connection and closes it', async () => {
  const client = admin()
  const connection = await amqplib.connect(url(), { clientProperties: { connection_name: name('watched') } })
  const closed = mailbox()
  connection.on('close', closed.push)
  const { queue } = await (await connection.createChannel()).assertQueue(name(), { exclusive: true })
  const mine = async () => (await client.getConnections({ pageSize: 100 })).items.find((c) => c.user_provided_name?.includes('watched'))
  await until(mine)
  const { name: id } = await mine()
  await until(async () => (await client.getConnection(id)).channels === 1)
  const [channel] = await client.getConnectionChannels(id)
  equal((await client.getChannel(channel.name)).connection_details.name, id)
  equal((await client.getQueue('/', queue)).exclusive, true)
  await client.closeConnection(id, 'time is up')
  const error = await closed.take()
  assert(/CONNECTION_FORCED|CONNECTION-FORCED/.test(error.message) && /time is up/.test(error.message), error.message)
  await until(async () => (await client.getConnection(id)) === null)
})

test('rascal makes its virtual host, works in it and checks it', async () => {
  const vhost = name('rascal')
  const config = (how) => ({
    vhosts: {
      [vhost]: {
        ...how,
        connection: { ...broker, hostname: broker.host, vhost, management: { hostname: web.hostname, port: web.port } },
        exchanges: ['x'], queues: ['q'], bindings: ['x[k] -> q'],
        publications: { out: { exchange: 'x', routingKey: 'k' } },
        subscriptions: { in: { queue: 'q' } },
      },
    },
  })
  await refused('returned status 404', () => BrokerAsPromised.create(config({ check: true })))
  const worker = await BrokerAsPromised.create(config({ assert: true }))
  const got = mailbox()
  const subscription = await worker.subscribe('in')
  subscription.on('message', (_, content, ack) => { ack(); got.push(content) })
  const publication = await worker.publish('out', { n: 1 })
  await new Promise((resolve, reject) => publication.on('success', resolve).on('error', reject))
  equal(await got.take(), { n: 1 })
  await worker.shutdown()
  await admin().deleteVhost(vhost)
})

run()
