/* The shard's inside: what its files share. Only tests include it beside them.
 *
 *   shard.c     a shard's life, ticks, housekeeping                        (shard.h is what others see)
 *   assemble.c  spans of a batch into their traces                         calls open.c, decide.c
 *   open.c      windows for spans whose trace is not open, late ones too
 *   decide.c    a window closes: lay out, propose, park, analyse, hand on  calls open.c
 *
 * What does not need the whole is by itself: windows.h, trace_memory.h, trace_map.h, wheel.h, decided.h, skeletons.h. */
#ifndef SM_SHARD_INTERNAL_H
#define SM_SHARD_INTERNAL_H

#include "pipeline/decided.h"
#include "pipeline/high_water.h"
#include "pipeline/shard.h"
#include "pipeline/skeletons.h"
#include "pipeline/trace_map.h"
#include "pipeline/trace_memory.h"
#include "pipeline/wheel.h"

/* A sealed trace that waits for its limiter. */
struct sm_parked {
    struct sm_trace *trace;
    struct sm_proposal proposal;
};

struct sm_parked_list {
    struct sm_parked *items;
    size_t count, capacity;
};

struct sm_shard {
    struct sm_shard_config config;
    struct sm_trace_map map;  /* traces with an open window, and parked ones */
    struct sm_trace_map kept; /* traces that the fan-out has; only with config.show_kept */
    struct sm_wheel wheel;   /* traces with an open window */
    struct sm_trace_memory memory;
    struct sm_epochs *epochs;
    struct sm_decided *decided;
    struct sm_skeletons *skeletons;
    struct sm_span *context; /* what sm_open_context read last */
    uint32_t context_capacity;
    /* Assembly. */
    struct sm_trace *over; /* a limit: the span just copied was its last one */
    uint32_t ids_joined;   /* in the group at hand */
    bool closed_over;      /* a window was closed for its size since figures were published */
    /* Decisions. */
    struct sm_view_scratch *scratch;
    void *policy_scratch;
    void **analyzer_states;
    struct sm_parked_list waiting; /* posted with the tick that is being solved */
    struct sm_parked_list asking;  /* will be posted with the next tick */
    bool posted;
    /* Ticks and figures. */
    bool firing;                     /* in the middle of a tick */
    uint64_t spans_open, bytes_open; /* in windows and parked */
    struct sm_high_water high_water;
    struct sm_shard_gauges gauges;
};

#endif
