/* A sink that does what networks do: refuses, fails, is slow, takes a part. What it did it counts itself. */
#ifndef FAULTY_SINK_H
#define FAULTY_SINK_H

#include "pipeline/sink.h"

enum { FAULTY_HELD_MAX = 8 };

struct faulty_plan {
    unsigned again_percent, reject_percent, partial_percent;
    unsigned slow_percent, slow_ms; /* an answer comes so much later */
    bool dead;                      /* nothing is ever answered with anything but "again" */
    uint64_t seed;
};

struct faulty_held {
    struct sm_sink_batch *batch;
    int64_t due_ns;
};

struct faulty_sink {
    struct faulty_plan plan;
    uint64_t random;
    int64_t now_ns; /* set by faulty_sink_step */
    struct faulty_held held[FAULTY_HELD_MAX];
    unsigned held_count;
    uint64_t delivered, rejected; /* spans */
    bool closed;
};

extern const struct sm_sink_ops faulty_sink_ops;

/* Time goes on: answers that are due are given. */
void faulty_sink_step(struct faulty_sink *f, int64_t now_ns);

#endif
