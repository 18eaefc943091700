/* Copies of traces that are open or on their way to the store: taken on the workers' threads by a visitor, read afterwards by the thread that asked.
 *
 * While copying, texts are kept as offsets, since the buffer moves as it grows; sm_open_copy_finish turns them into views. Start
 * zero-initialised; sm_open_copy_reset keeps the memory. One thread at a time: the pipeline's errands see to that. */
#ifndef SM_QUERY_OPEN_COPY_H
#define SM_QUERY_OPEN_COPY_H

#include "base/base.h"
#include "base/buf.h"
#include "span/codec/codec.h"
#include "span/scope.h"
#include "span/trace.h"

struct sm_open_trace {
    struct sm_trace_id id;
    uint64_t start_ns; /* 0: none */
    uint32_t first, count; /* of spans */
    bool in_window;    /* not only on its way to the store */
    bool done;         /* the reader has given it out */
};

struct sm_open_copy {
    struct sm_buf text; /* its size_max is the limit */
    struct sm_encode_span *spans;
    uint32_t span_count, span_capacity;
    struct sm_open_trace *traces;
    uint32_t trace_count, trace_capacity;
};

void sm_open_copy_reset(struct sm_open_copy *copy, uint64_t bytes_max);
void sm_open_copy_fini(struct sm_open_copy *copy);

/* Copies a settled trace; false when it does not fit, then nothing of it is there. */
bool sm_open_copy_add(struct sm_open_copy *copy, const struct sm_trace *trace, bool in_window, const struct sm_names *names,
                      const struct sm_scopes *scopes);

/* After the last addition. Parts with one id become one trace, in which spans may be twice. */
void sm_open_copy_finish(struct sm_open_copy *copy);

#endif
