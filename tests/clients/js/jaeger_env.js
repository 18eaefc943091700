// One span by jaeger-client for Node.js, set by variables alone:  node jaeger_env.js
'use strict';
const tracer = require('jaeger-client').initTracerFromEnv();
tracer.startSpan('GET /cart', {tags: {'span.kind': 'server'}}).finish();
tracer.close();
