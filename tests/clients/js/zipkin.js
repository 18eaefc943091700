// An order by zipkin-js:  node zipkin.js v1|v2 URL
// Prints {"trace": id, "spans": {name: id}}; the server half shares the id of its client half.
'use strict';
const {Tracer, ExplicitContext, BatchRecorder, jsonEncoder, Annotation, InetAddress} = require('zipkin');
const {HttpLogger} = require('zipkin-transport-http');

const [version, url] = process.argv.slice(2);
const logger = new HttpLogger({endpoint: url, jsonEncoder: version === 'v1' ? jsonEncoder.JSON_V1 : jsonEncoder.JSON_V2});

function tracerOf(localServiceName) {
  return new Tracer({ctxImpl: new ExplicitContext(), recorder: new BatchRecorder({logger}), traceId128Bit: true, localServiceName,
                     defaultTags: {zone: 'north'}});
}

const shop = tracerOf('shop'), stock = tracerOf('stock');
const addresses = new Map([[shop, ['10.0.0.1', 80]], [stock, ['10.0.0.2', 8080]]]);

function on(tracer, id, record) {
  const [host, port] = addresses.get(tracer);
  tracer.scoped(() => {
    tracer.setId(id);
    tracer.recordServiceName(tracer.localEndpoint.serviceName);
    tracer.recordAnnotation(new Annotation.LocalAddr({host: new InetAddress(host), port}));
    record(tracer);
  });
}

const root = shop.createRootId();
let reserve, send;
on(shop, root, () => { reserve = shop.createChildId(); send = shop.createChildId(); });
const serve = stock.join(reserve);

on(shop, root, (t) => {
  t.recordRpc('post /checkout');
  t.recordAnnotation(new Annotation.ServerRecv());
  t.recordAnnotation(new Annotation.ClientAddr({host: new InetAddress('192.0.2.9'), port: 50000}));
  t.recordBinary('note', '\u20ac \u00fc');
  t.recordMessage('validated');
});
on(shop, reserve, (t) => { t.recordRpc('reserve'); t.recordAnnotation(new Annotation.ClientSend()); });
on(stock, serve, (t) => {
  t.recordRpc('serve');
  t.recordAnnotation(new Annotation.ServerRecv());
  t.recordBinary('error', 'sold out');
  t.recordAnnotation(new Annotation.ServerSend());
});
on(shop, reserve, (t) => t.recordAnnotation(new Annotation.ClientRecv()));
on(shop, send, (t) => {
  t.recordRpc('send');
  t.recordAnnotation(new Annotation.ProducerStart());
  t.recordAnnotation(new Annotation.MessageAddr({serviceName: 'kafka', host: new InetAddress('10.0.0.9'), port: 9092}));
  t.recordAnnotation(new Annotation.ProducerStop());
});
on(shop, root, (t) => t.recordAnnotation(new Annotation.ServerSend()));

logger.on('error', (error) => { throw error; });
logger.on('success', () => console.log(JSON.stringify({
  trace: root.traceId, spans: {'post /checkout': root.spanId, reserve: reserve.spanId, serve: serve.spanId, send: send.spanId},
})));
logger.processQueue(logger.fetchImplementation);
