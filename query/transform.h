/* Spans that a client brings along, as Jaeger's trace JSON: nothing of them is kept. */
#ifndef SM_QUERY_TRANSFORM_H
#define SM_QUERY_TRANSFORM_H

#include "base/base.h"
#include "base/buf.h"
#include "query/jaeger_json.h"

/* Appends the traces in an OTLP JSON document, separated by commas. SM_E_INVALID and the like when it cannot be decoded or no
 * span of it can: *err says why, and what was appended is nothing. *partly (zero-initialised) is filled when some spans had to be
 * left out. */
enum sm_rc sm_transform_otlp_json(struct sm_jaeger_json *w, struct sm_str document, struct sm_buf *out, struct sm_err *partly,
                                  struct sm_err *err) SM_MUST_USE;

#endif
