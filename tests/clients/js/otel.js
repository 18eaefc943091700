// The cart's trace by OpenTelemetry's SDK for JavaScript:  node otel.js PROTOCOL URL START_MS
// PROTOCOL: grpc, http/protobuf, http/json, each also with +gzip; zipkin. Prints {"trace": id, "spans": {name: id}}.
'use strict';
const {trace, context, SpanKind, SpanStatusCode} = require('@opentelemetry/api');
const {BasicTracerProvider, BatchSpanProcessor} = require('@opentelemetry/sdk-trace-base');
const {resourceFromAttributes} = require('@opentelemetry/resources');

const [protocol, url, startText] = process.argv.slice(2);
const start = Number(startText);
const [kind, compression = 'none'] = protocol.split('+');
const packages = {
  'grpc': '@opentelemetry/exporter-trace-otlp-grpc',
  'http/protobuf': '@opentelemetry/exporter-trace-otlp-proto',
  'http/json': '@opentelemetry/exporter-trace-otlp-http',
};

function exporter() {
  if (kind === 'zipkin')
    return new (require('@opentelemetry/exporter-zipkin').ZipkinExporter)({url});
  const {OTLPTraceExporter} = require(packages[kind]);
  return new OTLPTraceExporter({url, compression});
}

function provider(service) {
  return new BasicTracerProvider({
    resource: resourceFromAttributes({'service.name': service, 'service.version': '1.2.3', 'zone': 'north', 'replicas': 3}),
    spanProcessors: [new BatchSpanProcessor(exporter())],
  });
}

const made = {};
function span(tracer, parent, name, kind, from, to, attributes, fill = () => {}, links = []) {
  const above = parent ? trace.setSpan(context.active(), parent) : context.active();
  const one = tracer.startSpan(name, {kind, attributes, links, startTime: start + from}, above);
  fill(one);
  one.end(start + to);
  made[name] = one.spanContext().spanId;
  return one;
}

async function main() {
  const shopProvider = provider('shop'), mailProvider = provider('mail');
  const shop = shopProvider.getTracer('cart.test', '4.5.6'), mail = mailProvider.getTracer('mail.test');
  const root = span(shop, null, 'GET /cart', SpanKind.SERVER, 0, 250, {
    'http.request.method': 'GET', 'note': '\u20ac \u00fc \u6f22', 'cached': true, 'rows': 42, 'negative': -7, 'ratio': 0.25,
    'names': ['a', 'b'], 'sizes': [1, 2], 'flags': [true, false],
  }, (one) => one.addEvent('cache miss', {key: 'k1', attempts: 2}, start + 5));
  span(shop, root, 'load', SpanKind.CLIENT, 10, 60, {'db.system.name': 'postgresql', 'server.address': 'db'}, (one) => {
    one.recordException({name: 'TimeoutError', message: 'timed out'}, start + 59);
    one.setStatus({code: SpanStatusCode.ERROR, message: 'timed out'});
  });
  const publish = span(shop, root, 'publish', SpanKind.PRODUCER, 70, 75,
                       {'messaging.system': 'kafka', 'messaging.destination.name': 'orders'});
  const deliver = span(mail, publish, 'deliver', SpanKind.CONSUMER, 100, 200,
                       {'messaging.system': 'kafka', 'messaging.destination.name': 'orders'}, undefined,
                       [{context: root.spanContext(), attributes: {reason: 'batch'}}]);
  span(mail, deliver, 'render', SpanKind.INTERNAL, 120, 150, {}, (one) => one.setStatus({code: SpanStatusCode.OK}));
  await Promise.all([shopProvider.forceFlush(), mailProvider.forceFlush()]);
  await Promise.all([shopProvider.shutdown(), mailProvider.shutdown()]);
  console.log(JSON.stringify({trace: root.spanContext().traceId, spans: made}));
}

main().then(() => process.exit(0)); // without waiting for idle connections
