/* A request to a query API as its handler sees it, and the reply that it fills; reading of parameter values.
 *
 * The path comes in segments, each percent-decoded on its own, so that a service named "a/b" can be one. Parameters keep their
 * order and may repeat. Everything decoded belongs to the request. One thread at a time. */
#ifndef SM_QUERY_REQUEST_H
#define SM_QUERY_REQUEST_H

#include "base/base.h"
#include "base/buf.h"
#include "span/span.h"

#define SM_QUERY_SEGMENTS_MAX 8
#define SM_QUERY_PARAMS_MAX   1200 /* room for a thousand trace ids, one parameter each */

struct sm_query_param {
    struct sm_str name, value;
};

struct sm_query_request {
    struct sm_str segments[SM_QUERY_SEGMENTS_MAX]; /* "/api/traces/1f" -> "api", "traces", "1f" */
    unsigned segment_count;
    struct sm_query_param *params;
    uint32_t param_count;
    struct sm_str body; /* of a POST */
    int64_t now_ns; /* wall clock when the request arrived */
    char *text;     /* what the views above point into */
};

/* Takes path and query as they came (still encoded). base_path ("/", "/jaeger"; NULL: none) is cut off where it is in front,
 * so that one service answers behind a proxy and beside it. SM_E_NOTFOUND: too many segments. SM_E_INVALID: bad
 * percent-encoding or bytes that are not UTF-8. SM_E_LIMIT: too many parameters. Only on SM_OK is there something for
 * sm_query_request_fini. */
enum sm_rc sm_query_request_init(struct sm_query_request *r, struct sm_str path, struct sm_str query, const char *base_path,
                                 int64_t now_ns) SM_MUST_USE;
void sm_query_request_fini(struct sm_query_request *r);

/* Value of the first parameter with this name; {NULL, 0} when absent, {"", 0} when empty. */
struct sm_str sm_query_param(const struct sm_query_request *r, const char *name);
/* The same under the first of two names that is there and not empty (API v3 has each name in two spellings). */
struct sm_str sm_query_param_either(const struct sm_query_request *r, const char *name, const char *other);

/* What a handler answers. Start zero-initialised. */
struct sm_query_reply {
    uint16_t status;
    const char *content_type; /* static */
    uint32_t max_age_s;       /* how long caches may keep it; 0: not said */
    struct sm_buf body;
};

/* ---- values ---- */

/* Decimal, optional sign, the whole text. */
enum sm_rc sm_query_int(struct sm_str text, int64_t *value) SM_MUST_USE;

/* Go's duration syntax: "1.2s", "100ms", "500us", "1h2m", "0"; units ns, us (also with a micro sign), ms, s, m, h. */
enum sm_rc sm_query_go_duration(struct sm_str text, int64_t *ns) SM_MUST_USE;

/* A time of Jaeger's first API. It is in microseconds, but some clients send milliseconds: below 10^14 it is taken for that. */
enum sm_rc sm_query_epoch(struct sm_str text, int64_t *ns) SM_MUST_USE;

/* A trace id: 1-32 hex digits or, as Jaeger takes it, base64 of 8 or 16 bytes (standard or URL alphabet, padded or not). */
enum sm_rc sm_query_trace_id(struct sm_str text, struct sm_trace_id *id) SM_MUST_USE;

#endif
