/* What the parts of one store share: the replaceable system calls and the counters. Any thread. */
#ifndef SM_STORE_ENV_H
#define SM_STORE_ENV_H

#include "base/base.h"
#include "store/store.h"

#include <stdatomic.h>

struct sm_store_counters {
    _Atomic uint64_t appended_traces, appended_spans;
    _Atomic uint64_t written_bytes, write_errors, syncs, seals;
    _Atomic uint64_t removed_segments, removed_traces;
    _Atomic uint64_t tails_cut, tail_bytes_cut;
    _Atomic uint64_t damaged_ranges, damaged_bytes, damaged_blocks;
    _Atomic uint64_t footers_rebuilt, segments_set_aside, names_overflowed;
};

struct sm_store_env {
    struct sm_store_io io;
    bool read_only;
    struct sm_store_counters counters;
};

static inline void sm_env_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

#endif
