/* W3C tracestate: reading and rewriting OpenTelemetry's member, `ot=th:...;rv:...`.
 *
 * th is the sampling threshold that let the span through (span/threshold.h), rv its explicit randomness. Other sub-keys of
 * `ot` and other members are passed on in their order. What is not well-formed is left out when rewriting and otherwise
 * ignored: never an error, since a bad tracestate must not cost a span.
 * Specs: W3C Trace Context level 2; opentelemetry-specification trace/tracestate-handling.md. Pure functions, no allocation,
 * any thread. */
#ifndef SM_TRACESTATE_H
#define SM_TRACESTATE_H

#include "base/base.h"
#include "span/threshold.h"

#define SM_TRACESTATE_UNSET       UINT64_MAX /* no such sub-key */
#define SM_TRACESTATE_MEMBERS_MAX 32         /* further ones are dropped from the right, as W3C asks */
#define SM_TRACESTATE_SIZE_MAX    8192       /* bytes of text that are read; the rest is ignored */
#define SM_TRACESTATE_OT_SIZE_MAX 256        /* bytes of the `ot` value; sub-keys that do not fit are dropped */
#define SM_TRACESTATE_GROWTH      39         /* sm_tracestate_write adds at most this many bytes */

struct sm_tracestate {
    uint64_t threshold;  /* th, 0 .. 2^56 - 1, or SM_TRACESTATE_UNSET */
    uint64_t randomness; /* rv, or SM_TRACESTATE_UNSET */
    bool malformed;      /* a th or rv was there and unreadable; it counts as unset */
};

void sm_tracestate_parse(struct sm_str text, struct sm_tracestate *out);

/* Field 3 of a span's canonical bytes; empty when absent. */
struct sm_str sm_tracestate_of_span(const uint8_t *bytes, size_t size);

/* Writes `incoming` with its th and rv replaced by those given (SM_TRACESTATE_UNSET: without), `ot` first. `out` needs room
 * for SM_MIN(incoming.len, SM_TRACESTATE_SIZE_MAX) + SM_TRACESTATE_GROWTH bytes and is not terminated. Returns the length,
 * 0 when nothing is left. */
size_t sm_tracestate_write(struct sm_str incoming, uint64_t threshold, uint64_t randomness, char *out);

#endif
