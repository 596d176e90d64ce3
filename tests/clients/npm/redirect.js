'use strict'
// Loaded before amqplib's own tests: some of them connect to the default port of localhost, whatever they are told. That
// port becomes the broker's; the address family they ask for stays.

const net = require('node:net')
const { connect } = net

net.connect = net.createConnection = function (options, ...rest) {
  if (options && Number(options.port) === 5672) {
    const host = options.host === '::1' ? '::1' : process.env.AMQP_HOST
    return connect.call(net, { ...options, host, port: Number(process.env.AMQP_PORT) }, ...rest)
  }
  return connect.call(net, options, ...rest)
}
