/* What receivers over HTTP share: one server per worker, back-pressure, decompression, submission. */
#ifndef SM_HTTP_INGEST_H
#define SM_HTTP_INGEST_H

#include "ingest/receiver.h"

struct sm_receiver {
    const struct sm_listener *listener;
    struct sm_worker *worker;
    struct sm_http_server *server;
    struct sm_inflater *inflater;
    struct sm_loop_timer *pressure_timer;
    unsigned held_back; /* looks in a row at which the server was paused */
    int64_t refusal_told_ns; /* when the log last told of a refused payload */
    void *own; /* what else a receiver keeps; its close frees it */
};

struct sm_receiver *sm_http_ingest_open(const struct sm_listener *listener, struct sm_worker *worker,
                                        const struct sm_http_handler *handler, uint16_t *port, struct sm_err *err);
void sm_http_ingest_drain(struct sm_receiver *r);
void sm_http_ingest_close(struct sm_receiver *r);
const struct sm_http_counters *sm_http_ingest_counters(const struct sm_receiver *r);

/* The exchange's body as it is or inflated; the caller puts it. NULL when `result` says why not. */
struct sm_payload *sm_http_ingest_take(struct sm_receiver *r, struct sm_http_exchange *x, struct sm_str coding,
                                       struct sm_submit *result) SM_MUST_USE;
/* Submits what sm_http_ingest_take gave, and puts it. */
void sm_http_ingest_submit_payload(struct sm_receiver *r, struct sm_http_exchange *x, const struct sm_codec *codec,
                                   struct sm_payload *payload, struct sm_submit *result);

/* Takes the exchange's body, inflates it as `coding` says, and submits it. result->rc: SM_E_UNSUPPORTED for an unknown coding,
 * SM_E_LIMIT for a body that inflates beyond the limits, otherwise as sm_worker_submit. `result` is always filled. False when
 * the body could not be had or inflated, so that no codec saw it. */
bool sm_http_ingest_submit(struct sm_receiver *r, struct sm_http_exchange *x, struct sm_str coding,
                           const struct sm_codec *codec, struct sm_submit *result);

/* For a body whose coding is not known: 415 in text, naming those that are. */
#define SM_HTTP_INGEST_CODING_TEXT "unsupported content encoding, supported, one at a time: [" SM_CODINGS_TAKEN "]"
bool sm_http_ingest_knows_coding(const struct sm_http_exchange *x);
void sm_http_ingest_refuse_coding(struct sm_receiver *r, struct sm_http_exchange *x);

/* 405 for a path that takes POST only. */
void sm_http_ingest_refuse_method(struct sm_http_exchange *x);

/* True when the media type of a Content-Type value (parameters aside, any case) is `type`. */
bool sm_http_ingest_type_is(struct sm_str content_type, const char *type);

/* The Retry-After value for a result, in whole seconds, at least 1. */
unsigned sm_http_ingest_retry_after_s(const struct sm_submit *result);

#endif
