/* A trace: the spans of one trace id that one shard collected in one window.
 *
 * While open it belongs to its shard. When it is kept it becomes immutable and is shared by sinks through its reference
 * count; the last sink hands it back to the shard, which alone releases its memory.
 *
 * Spans lie in a chain of chunks. In each, heads (struct sm_span with side records) grow from the front and canonical bytes
 * from the back, so that the free room is one piece and a span costs one place in memory, not two. A span never straddles
 * chunks. Decisions read heads and leave the cold bytes alone. Bytes lie there without their lead (span/lead.h). */
#ifndef SM_TRACE_H
#define SM_TRACE_H

#include "base/base.h"
#include "base/mpsc.h"
#include "span/lead.h"
#include "span/span.h"

#include <stdatomic.h>

struct sm_chunk {
    struct sm_chunk *next;
    uint32_t heads_size; /* bytes at the front of `data` that hold heads */
    uint32_t size;       /* of `data` */
    uint8_t data[];
};

/* What closed the window. */
enum sm_trigger {
    SM_TRIGGER_NONE,
    SM_TRIGGER_ROOT,     /* the root is there and the trace has been quiet */
    SM_TRIGGER_IDLE,     /* no root, and no span for windows.idle */
    SM_TRIGGER_AGE,      /* open for windows.max_age */
    SM_TRIGGER_SPANS,    /* windows.max_spans */
    SM_TRIGGER_BYTES,    /* windows.max_bytes */
    SM_TRIGGER_MEMORY,   /* memory pressure: decided early */
    SM_TRIGGER_SHUTDOWN, /* drained */
    SM_TRIGGER_LATE,     /* spans that followed a decision already made */
    SM_TRIGGER_COUNT
};

const char *sm_trigger_name(enum sm_trigger t);

/* Verdicts. */
enum sm_verdict { SM_VERDICT_OPEN, SM_VERDICT_KEPT, SM_VERDICT_DROPPED };

#define SM_RULE_DEFAULT UINT16_MAX /* no rule matched: the default (keep) */

/* Sampling threshold and randomness have 56 bits: keep iff threshold <= randomness. */
#define SM_THRESHOLD_ALWAYS UINT64_C(0)
#define SM_THRESHOLD_NEVER  (UINT64_C(1) << 56)

/* More sources than one: the oldest epoch of each further source. */
struct sm_epoch_ref {
    struct sm_epoch_ref *next;
    uint32_t epoch;
    uint16_t source;
};

struct sm_trace {
    /* Written for every span: the first two cache lines. */
    struct sm_trace_id id;
    uint8_t *head_at; /* where the next head begins; while open the last chunk's heads_size lags behind: sm_trace_settle */
    uint8_t *data_at; /* where the next span's bytes end */
    uint64_t start_ns; /* smallest span start that is present; UINT64_MAX: none */
    uint64_t end_ns;   /* largest span end */
    int64_t last_ns;   /* arrival of the newest span */
    uint32_t span_count;
    uint32_t bytes;      /* of canonical bytes */
    uint32_t memory;     /* bytes of chunks and this struct */
    uint32_t group_size; /* what the spans of the batch being copied will still take */
    uint16_t span_flags; /* OR of the spans' flags */
    uint16_t source;     /* of the first span; its clock drives the window */
    uint32_t epoch;      /* oldest epoch of its source */
    bool has_root;       /* a span without parent is there */
    bool parked;         /* the window closed, the decision waits for a limiter */
    bool late;           /* spans that follow a decision already made */
    uint8_t trigger;     /* enum sm_trigger */

    struct sm_chunk *chunks, *chunks_last;
    int64_t opened_ns;   /* arrival of the first span, in the source's time */
    int64_t deadline_ns; /* when the window closed or will be looked at again */
    struct sm_epoch_ref *more_epochs;
    union {
        struct sm_trace *next;    /* list of whoever owns it now */
        struct sm_mpsc_node home; /* on its way back to its shard */
    };
    struct sm_trace *prev;
    uint32_t bucket;              /* of the timing wheel */
    uint16_t shard;
    uint16_t rule;       /* index of the rule that decided, SM_RULE_DEFAULT */
    uint64_t threshold;  /* decided sampling threshold, 0..SM_THRESHOLD_NEVER */
    uint64_t randomness; /* R, 56 bits */
    uint8_t verdict;     /* enum sm_verdict */
    bool counted_out;    /* kept for a linked one only: out of adjusted counts */
    bool reopened;       /* news of a dropped trace that asks for a decision of its own */
    bool randomness_derived; /* R came from our hash of the id: written out as rv */
    _Atomic uint32_t refs;
};

/* Makes the last chunk's heads_size true, so that the spans of an open trace can be walked. */
SM_INLINE void sm_trace_settle(struct sm_trace *t)
{
    if (t->chunks_last)
        t->chunks_last->heads_size = (uint32_t)(t->head_at - t->chunks_last->data);
}

/* Bytes that still fit, heads and bytes of spans together. */
SM_INLINE size_t sm_trace_room(const struct sm_trace *t)
{
    return (size_t)(t->data_at - t->head_at);
}

/* Further spans go into this chunk, whose `size` is set. */
SM_INLINE void sm_trace_add_chunk(struct sm_trace *t, struct sm_chunk *chunk)
{
    uint32_t size = chunk->size; /* first, so that no memory is waited for where it has just been written */
    sm_trace_settle(t);
    chunk->next = NULL;
    chunk->heads_size = 0;
    if (t->chunks_last)
        t->chunks_last->next = chunk;
    else
        t->chunks = chunk;
    t->chunks_last = chunk;
    t->head_at = chunk->data;
    t->data_at = chunk->data + size;
}

/* What a span takes in a chunk. */
SM_INLINE uint32_t sm_trace_span_size(const struct sm_span *span)
{
    return sm_span_head_size(span) + span->size - span->lead;
}

/* Copies a span behind the others; there must be room for it. `bytes` are whole. Counts nothing. */
SM_INLINE void sm_trace_put(struct sm_trace *t, const struct sm_span *span, const uint8_t *bytes)
{
    uint32_t head_size = sm_span_head_size(span);
    memcpy(t->head_at, span, sizeof *span);
    for (uint32_t i = sizeof *span; i < head_size; i += 8) /* of unknown sizes the compiler makes slow string instructions */
        memcpy(t->head_at + i, (const uint8_t *)span + i, 8);
    t->head_at += head_size;
    struct sm_str rest = sm_lead_rest(span, bytes);
    t->data_at -= rest.len;
    memcpy(t->data_at, rest.ptr, rest.len);
}

/* Walks the spans of a settled trace in order of arrival. */
struct sm_trace_iter {
    const struct sm_chunk *chunk;
    const uint8_t *head, *heads_end;
    const uint8_t *bytes; /* end of the next span's */
};

SM_INLINE void sm_trace_iter_enter(struct sm_trace_iter *it, const struct sm_chunk *chunk)
{
    it->chunk = chunk;
    if (!chunk)
        return;
    it->head = chunk->data;
    it->heads_end = chunk->data + chunk->heads_size;
    it->bytes = chunk->data + chunk->size;
}

SM_INLINE struct sm_trace_iter sm_trace_iter(const struct sm_trace *t)
{
    struct sm_trace_iter it;
    sm_trace_iter_enter(&it, t->chunks);
    return it;
}

/* The next span and its bytes, which are not to be read before their lead ends; duplicates left out. False at the end. */
SM_INLINE bool sm_trace_next(struct sm_trace_iter *it, const struct sm_span **span, const uint8_t **bytes)
{
    while (it->chunk) {
        if (it->head == it->heads_end) {
            sm_trace_iter_enter(it, it->chunk->next);
            continue;
        }
        const struct sm_span *s = (const struct sm_span *)it->head;
        it->head += sm_span_head_size(s);
        it->bytes -= s->size - s->lead;
        if (SM_LIKELY(!(s->flags & SM_SPAN_DUPLICATE))) {
            *span = s;
            *bytes = (const uint8_t *)((uintptr_t)it->bytes - s->lead); /* as a number: it may be outside of the chunk */
            return true;
        }
    }
    return false;
}

#endif
