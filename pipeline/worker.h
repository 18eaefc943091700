/* Worker: the thread that owns an event loop, a decoder and a shard; what receivers submit payloads to.
 *
 * A payload is accepted whole or refused whole (apart from single spans that break a limit). sm_worker_submit decodes it,
 * routes its spans and, for spans of the worker's own shard, assembles them at once. */
#ifndef SM_WORKER_H
#define SM_WORKER_H

#include "base/base.h"
#include "base/payload.h"
#include "span/codec/codec.h"

struct sm_worker;

/* Source 0 is live traffic on sockets, whose clock is the wall clock. */
#define SM_SOURCE_LIVE 0

struct sm_submit {
    enum sm_rc rc;           /* SM_OK: taken (perhaps without some spans); SM_E_AGAIN: overloaded, retry after
                                retry_after_ns; SM_E_INVALID, _TRUNCATED, _LIMIT, _UNSUPPORTED: undecodable, `text`
                                says why */
    uint32_t accepted;       /* spans taken */
    uint32_t rejected;       /* spans refused one by one (partial success); reject_text names the first reason */
    int64_t retry_after_ns;
    char text[256];
};

/* The worker's thread. Takes the payload (*payload becomes NULL), whose arrived_ns must be set. */
void sm_worker_submit(struct sm_worker *w, const struct sm_codec *codec, uint16_t source, struct sm_payload **payload,
                      struct sm_submit *result);

/* Time as recorded spans tell it: the running maximum of span ends, over single jumps. Zero-initialised at first. */
struct sm_recorded_clock {
    int64_t now_ns;
    int64_t jump_ns; /* a time far ahead that one payload claimed and no other has confirmed yet; 0: none */
};

/* Inline placement: submits a recorded payload at the time its spans tell; ticks up to that time fire before its spans are
 * assembled. payload->arrived_ns is set here. */
void sm_worker_replay(struct sm_worker *w, const struct sm_codec *codec, uint16_t source, struct sm_payload **payload,
                      struct sm_recorded_clock *clock, struct sm_submit *result);

/* The worker's thread: true when a payload would be refused now (checked at HEADERS, before a body is read). */
bool sm_worker_overloaded(struct sm_worker *w);

/* Any thread: true above the hard mark of the memory budget. */
bool sm_worker_is_full(const struct sm_worker *w);
/* For sources that acknowledge (Kafka offsets), the worker's thread: the epoch of the payload that was submitted last, and the
 * low-water mark of a source whose payloads are all submitted by this worker. Every payload of the source that was submitted in an
 * earlier epoch is through: all of its spans are decided, and the sinks have let go of the traces that were kept. SM_EPOCH_NONE:
 * everything is. */
uint32_t sm_worker_epoch(const struct sm_worker *w);
uint32_t sm_worker_low_epoch(struct sm_worker *w, uint16_t source);

/* Any thread: what is kept is not written as fast as it comes (sm_fanout_behind). Sources that can wait should. */
bool sm_worker_sinks_behind(const struct sm_worker *w);

struct sm_payload_pool *sm_worker_payloads(struct sm_worker *w);
struct sm_loop *sm_worker_loop(struct sm_worker *w);
struct sm_stats *sm_worker_stats(struct sm_worker *w);

/* The worker's thread: the listener refused a payload before it could be submitted (undecodable compression, ...). */
void sm_worker_count_undecodable(struct sm_worker *w);
/* The same for one that was refused because of sm_worker_overloaded. */
void sm_worker_count_overload(struct sm_worker *w);
/* The same for one with metrics or logs, which are not taken here. */
void sm_worker_count_not_traces(struct sm_worker *w);

#endif
