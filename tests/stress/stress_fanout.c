/* The fan-out with its real threads: shard threads offer traces as fast as they can to three sinks (one always ready, one on
 * the shared I/O thread that answers later and sometimes refuses or asks for another attempt, one too slow for the traffic),
 * collect what comes home, and at the end every span must be accounted for at every sink and every trace be home once.
 *
 * usage: stress_fanout [traces per shard] */
#include "base/log.h"
#include "base/net/loop.h"
#include "pipeline/fanout.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

enum { SHARDS = 2, SINKS = 3, LATER_MAX = 4, OUT_MAX = 4000 };

struct fake {
    struct sm_loop *loop;
    struct sm_loop_timer *timer;
    struct sm_sink_batch *later[LATER_MAX];
    unsigned later_count;
    unsigned random;
    uint64_t ids_sum; /* reads what the shard wrote */
};

struct shard {
    struct sm_fanout *fanout;
    unsigned index;
    uint64_t to_offer;
    uint64_t offered_spans;
    uint64_t taken, home;
};

static void read_traces(struct fake *f, const struct sm_sink_batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++)
        f->ids_sum += batch->traces[i]->id.lo;
}

static void answer_later(void *arg)
{
    struct fake *f = arg;
    while (f->later_count) {
        struct sm_sink_batch *batch = f->later[--f->later_count];
        read_traces(f, batch);
        unsigned dice = (unsigned)rand_r(&f->random) % 8;
        if (dice == 0)
            sm_sink_done(batch, SM_SINK_AGAIN, 0, SM_MS, "busy");
        else if (dice == 1)
            sm_sink_done(batch, SM_SINK_REJECT, 0, 0, "no");
        else
            sm_sink_done(batch, SM_SINK_OK, dice == 2, 0, NULL);
    }
}

static enum sm_rc fake_open(void *sink, const struct sm_sink_env *env, struct sm_err *err SM_UNUSED)
{
    struct fake *f = sink;
    f->loop = env->loop;
    f->timer = sm_loop_timer_new(f->loop, SM_MS, answer_later, f);
    return SM_OK;
}

static void later_write(void *sink, struct sm_sink_batch *batch)
{
    struct fake *f = sink;
    SM_ASSERT(f->later_count < LATER_MAX);
    f->later[f->later_count++] = batch;
}

static void ready_write(void *sink, struct sm_sink_batch *batch)
{
    read_traces(sink, batch);
    sm_sink_done(batch, SM_SINK_OK, 0, 0, NULL);
}

static void slow_write(void *sink, struct sm_sink_batch *batch)
{
    for (int i = 0; i < 200; i++)
        sched_yield();
    ready_write(sink, batch);
}

static void fake_cancel(void *sink)
{
    struct fake *f = sink;
    while (f->later_count)
        sm_sink_done(f->later[--f->later_count], SM_SINK_AGAIN, 0, 0, "stopping");
}

static void fake_close(void *sink)
{
    struct fake *f = sink;
    sm_loop_timer_free(f->timer);
}

#define FAKE_OPS(write_fn, thread_kind)                                                                                \
    {                                                                                                                  \
        .type = "fake", .thread = thread_kind, .batch_spans_max = 300, .batch_linger_ns = 2 * SM_MS,                   \
        .in_flight_max = LATER_MAX, .open = fake_open, .write = write_fn, .cancel = fake_cancel, .close = fake_close   \
    }

static const struct sm_sink_ops ready_ops = FAKE_OPS(ready_write, SM_SINK_THREAD_OWN);
static const struct sm_sink_ops later_ops = FAKE_OPS(later_write, SM_SINK_THREAD_SHARED);
static const struct sm_sink_ops slow_ops = FAKE_OPS(slow_write, SM_SINK_THREAD_OWN);

static void collect(struct shard *s)
{
    struct sm_trace *t = sm_fanout_collect(s->fanout, s->index);
    while (t) {
        struct sm_trace *next = t->next;
        SM_ASSERT(t->shard == s->index && t->deadline_ns == 1);
        t->deadline_ns = 0;
        free(t);
        s->home++;
        t = next;
    }
}

static void *run_shard(void *arg)
{
    struct shard *s = arg;
    unsigned random = s->index + 1;
    for (uint64_t i = 0; i < s->to_offer; i++) {
        struct sm_trace *t = sm_xcalloc(1, sizeof *t);
        t->id.lo = i;
        t->shard = (uint16_t)s->index;
        t->span_count = 1 + (uint32_t)rand_r(&random) % 40;
        t->memory = t->span_count * 500;
        t->deadline_ns = 1;
        s->offered_spans += t->span_count;
        if (sm_fanout_offer(s->fanout, s->index, t))
            s->taken++;
        else
            free(t);
        if (i % 64 == 0) {
            sm_fanout_tick(s->fanout, s->index);
            collect(s);
            while (s->taken - s->home > OUT_MAX) {
                collect(s);
                sched_yield();
            }
        }
    }
    sm_fanout_tick(s->fanout, s->index);
    return NULL;
}

static void check_sink(const struct sm_fanout *f, unsigned sink, uint64_t offered_spans)
{
    uint64_t v[SM_FANOUT_STAT_COUNT];
    for (int i = 0; i < SM_FANOUT_STAT_COUNT; i++)
        v[i] = sm_fanout_stat(f, sink, (enum sm_fanout_stat)i);
    printf("%s: delivered %lu, rejected %lu, queue full %lu, shutdown %lu, retries %lu, batches %lu\n",
           sm_fanout_sink_name(f, sink), v[SM_FANOUT_DELIVERED], v[SM_FANOUT_REJECTED], v[SM_FANOUT_DROPPED_QUEUE_FULL],
           v[SM_FANOUT_DROPPED_SHUTDOWN], v[SM_FANOUT_RETRIES], v[SM_FANOUT_BATCHES]);
    SM_ASSERT(v[SM_FANOUT_KEPT] == offered_spans && v[SM_FANOUT_QUEUED] == 0 && v[SM_FANOUT_QUEUE_BYTES] == 0);
    SM_ASSERT(offered_spans == v[SM_FANOUT_DELIVERED] + v[SM_FANOUT_REJECTED] + v[SM_FANOUT_DROPPED_QUEUE_FULL] +
                                   v[SM_FANOUT_DROPPED_RETRIES] + v[SM_FANOUT_DROPPED_SHUTDOWN]);
    SM_ASSERT(v[SM_FANOUT_DELIVERED] > 0);
}

int main(int argc, char **argv)
{
    static struct fake fakes[SINKS];
    sm_log_setup(&(struct sm_log_config){.level = SM_LOG_ERROR, .fd = 2});
    struct sm_fanout_sink sinks[SINKS] = {{.name = "ready", .ops = &ready_ops, .sink = &fakes[0]},
                                          {.name = "later", .ops = &later_ops, .sink = &fakes[1]},
                                          {.name = "slow", .ops = &slow_ops, .sink = &fakes[2]}};
    struct sm_fanout_config config = {
        .sinks = sinks, .sink_count = SINKS, .shards = SHARDS, .queue_bytes_max = SINKS * 8 * SM_MIB, .ring_capacity = 1024};
    struct sm_err err;
    struct sm_fanout *f = sm_fanout_new(&config, &err);
    if (!f) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    struct shard shards[SHARDS] = {0};
    pthread_t threads[SHARDS];
    for (unsigned i = 0; i < SHARDS; i++) {
        shards[i] = (struct shard){.fanout = f, .index = i, .to_offer = argc > 1 ? strtoull(argv[1], NULL, 10) : 50000};
        SM_ASSERT(pthread_create(&threads[i], NULL, run_shard, &shards[i]) == 0);
    }
    uint64_t offered_spans = 0;
    for (unsigned i = 0; i < SHARDS; i++) {
        pthread_join(threads[i], NULL);
        offered_spans += shards[i].offered_spans;
    }
    sm_fanout_stop(f, 20 * SM_SEC);
    for (unsigned i = 0; i < SHARDS; i++) {
        collect(&shards[i]);
        SM_ASSERT(shards[i].home == shards[i].taken);
    }
    for (unsigned i = 0; i < SINKS; i++)
        check_sink(f, i, offered_spans);
    sm_fanout_free(f);
    printf("ok\n");
    return 0;
}
