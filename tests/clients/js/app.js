// An application that knows nothing of tracing: serves one request, its own.  node --require MODULE app.js
'use strict';
const http = require('http');

const server = http.createServer((request, response) => response.end('ok'));
server.listen(0, '127.0.0.1', () => {
  http.get({port: server.address().port, host: '127.0.0.1', path: '/cart', agent: false}, (reply) => {
    reply.resume();
    reply.on('end', () => server.close());
  });
});
