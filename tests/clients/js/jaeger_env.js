// One span by jaeger-client for Node.js, as variables say:  node jaeger_env.js
'use strict';
const tracer = require('jaeger-client').initTracerFromEnv();

function attempt(left) { // a remote sampler asks first
  const span = tracer.startSpan('GET /cart', {tags: {'span.kind': 'server'}});
  span.finish();
  if (span.context().isSampled())
    tracer.close(() => process.exit(0));
  else if (left === 0)
    throw new Error('never sampled');
  else
    setTimeout(() => attempt(left - 1), 25);
}

attempt(400);
