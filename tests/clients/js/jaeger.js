// A checkout by jaeger-client for Node.js:  node jaeger.js udp|http HOST:PORT_OR_URL START_MS 64|128
// UDP is thrift's binary protocol, for port 6832. Prints {"trace": id, "spans": {name: id}}.
'use strict';
const {Tags, followsFrom, FORMAT_TEXT_MAP} = require('opentracing');
const {Tracer, RemoteReporter, ConstSampler} = require('jaeger-client');
const UDPSender = require('jaeger-client/dist/src/reporters/udp_sender').default;
const HTTPSender = require('jaeger-client/dist/src/reporters/http_sender').default;

const [transport, address, startText, bits] = process.argv.slice(2);
const start = Number(startText);

function sender() {
  if (transport === 'http')
    return new HTTPSender({endpoint: address});
  const [host, port] = address.split(':');
  return new UDPSender({host, port: Number(port)});
}

function tracerOf(service) {
  return new Tracer(service, new RemoteReporter(sender()), new ConstSampler(true),
                    {traceId128bit: bits === '128', tags: {zone: 'north'}});
}

const made = {};
function finish(name, span, at) {
  span.finish(start + at);
  made[name] = span.context().spanIdStr.padStart(16, '0');
}

const shop = tracerOf('shop'), stock = tracerOf('stock');
const root = shop.startSpan('POST /checkout', {startTime: start, tags: {[Tags.SPAN_KIND]: 'server'}});
root.addTags({note: '\u20ac \u00fc', gift: true, items: 3, total: 19.5});
const reserve = shop.startSpan('reserve', {startTime: start + 10, childOf: root, tags: {[Tags.SPAN_KIND]: 'client'}});
const carrier = {};
shop.inject(reserve.context(), FORMAT_TEXT_MAP, carrier);
const serve = stock.startSpan('serve', {startTime: start + 20, childOf: stock.extract(FORMAT_TEXT_MAP, carrier),
                                        tags: {[Tags.SPAN_KIND]: 'server', [Tags.ERROR]: true}});
serve.log({event: 'error', message: 'sold out', left: 0}, start + 70);
finish('serve', serve, 80);
finish('reserve', reserve, 90);
finish('notify', shop.startSpan('notify', {startTime: start + 100, references: [followsFrom(root.context())]}), 110);
finish('POST /checkout', root, 100);
shop.close(() => stock.close(() => console.log(JSON.stringify({trace: root.context().traceIdStr, spans: made}))));
