#include "faulty_sink.h"

#include "base/hash.h"

static unsigned percent(struct faulty_sink *f)
{
    f->random += UINT64_C(0x9e3779b97f4a7c15);
    return (unsigned)(sm_hash_fixed64(f->random, f->plan.seed) % 100);
}

static void answer(struct faulty_sink *f, struct sm_sink_batch *batch)
{
    unsigned p = percent(f);
    if (f->plan.dead || p < f->plan.again_percent) {
        sm_sink_done(batch, SM_SINK_AGAIN, 0, percent(f) < 20 ? 300 * SM_MS : 0, NULL);
        return;
    }
    p -= f->plan.again_percent;
    if (p < f->plan.reject_percent) {
        f->rejected += batch->spans;
        sm_sink_done(batch, SM_SINK_REJECT, 0, 0, NULL);
        return;
    }
    p -= f->plan.reject_percent;
    uint64_t refused = p < f->plan.partial_percent ? batch->spans / 2 : 0;
    f->rejected += refused;
    f->delivered += batch->spans - refused;
    sm_sink_done(batch, SM_SINK_OK, refused, 0, NULL);
}

static enum sm_rc faulty_open(void *sink, const struct sm_sink_env *env, struct sm_err *err)
{
    (void)env, (void)err;
    struct faulty_sink *f = sink;
    f->random = f->plan.seed;
    return SM_OK;
}

static void faulty_write(void *sink, struct sm_sink_batch *batch)
{
    struct faulty_sink *f = sink;
    if (f->held_count < FAULTY_HELD_MAX && percent(f) < f->plan.slow_percent)
        f->held[f->held_count++] = (struct faulty_held){batch, f->now_ns + f->plan.slow_ms * SM_MS};
    else
        answer(f, batch);
}

void faulty_sink_step(struct faulty_sink *f, int64_t now_ns)
{
    f->now_ns = now_ns;
    for (unsigned i = 0; i < f->held_count;) {
        if (f->held[i].due_ns > now_ns) {
            i++;
            continue;
        }
        struct sm_sink_batch *batch = f->held[i].batch;
        f->held[i] = f->held[--f->held_count];
        answer(f, batch);
    }
}

static void faulty_cancel(void *sink)
{
    struct faulty_sink *f = sink;
    while (f->held_count)
        sm_sink_done(f->held[--f->held_count].batch, SM_SINK_AGAIN, 0, 0, NULL);
}

static void faulty_close(void *sink)
{
    struct faulty_sink *f = sink;
    f->closed = true;
}

const struct sm_sink_ops faulty_sink_ops = {
    .type = "faulty",
    .thread = SM_SINK_THREAD_OWN,
    .batch_spans_max = 200,
    .batch_linger_ns = 200 * SM_MS,
    .in_flight_max = 3,
    .open = faulty_open,
    .write = faulty_write,
    .cancel = faulty_cancel,
    .close = faulty_close,
};
