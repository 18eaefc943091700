/* The worker: decode, route, and the turns of its shards. */
#include "pipeline/worker.h"

#include "base/clock.h"
#include "base/net/loop.h"
#include "pipeline/wheel.h"
#include "pipeline/worker_internal.h"

#include <stdlib.h>

enum { RING_CAPACITY = 4096, ROUTES_PER_TURN = 64, SPANS_PER_SLICE = 1000, PAYLOADS_IDLE_BYTES = 16 << 20 };

/* How far ahead one recorded payload may move the clock by itself. */
#define JUMP_NS (60 * SM_SEC)

/* What an overloaded sender is asked to wait. */
#define RETRY_AFTER_NS (1 * SM_SEC)

struct sm_payload_pool *sm_worker_payloads(struct sm_worker *w)
{
    return w->payloads;
}

struct sm_loop *sm_worker_loop(struct sm_worker *w)
{
    return w->loop;
}

struct sm_stats *sm_worker_stats(struct sm_worker *w)
{
    return &w->stats;
}

void sm_worker_count_undecodable(struct sm_worker *w)
{
    sm_stats_add(&w->stats, SM_STAT_PAYLOADS_UNDECODABLE, 1);
}

void sm_worker_count_overload(struct sm_worker *w)
{
    sm_stats_add(&w->stats, SM_STAT_PAYLOADS_OVERLOAD, 1);
}

void sm_worker_count_not_traces(struct sm_worker *w)
{
    sm_stats_add(&w->stats, SM_STAT_PAYLOADS_NOT_TRACES, 1);
}

/* --- flights --- */

static void flight_idle(struct sm_worker *w, struct sm_flight *f)
{
    if (f->away)
        sm_epochs_drop(w->away, f->batch.source, f->epoch);
    f->away = false;
    sm_batch_clear(&f->batch);
    f->next = w->flights_idle;
    w->flights_idle = f;
}

static void flights_collect(struct sm_worker *w)
{
    struct sm_mpsc_node *node = sm_mpsc_take(&w->flights_home);
    while (node) {
        struct sm_flight *f = SM_CONTAINER_OF(node, struct sm_flight, home);
        node = node->next;
        flight_idle(w, f);
    }
}

static struct sm_flight *flight_take(struct sm_worker *w)
{
    flights_collect(w);
    struct sm_flight *f = w->flights_idle;
    if (f) {
        w->flights_idle = f->next;
        return f;
    }
    f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->routes = calloc(w->pipeline->config.shards, sizeof *f->routes);
    if (!f->routes) {
        free(f);
        return NULL;
    }
    f->worker = w;
    return f;
}

/* A shard has copied its spans. */
static void flight_release(struct sm_flight *f, struct sm_worker *by)
{
    if (atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (f->worker == by)
        flight_idle(by, f);
    else
        sm_mpsc_push(&f->worker->flights_home, &f->home);
}

static void flight_free(struct sm_flight *f)
{
    sm_batch_fini(&f->batch);
    free(f->indexes);
    free(f->routes);
    free(f);
}

/* --- routing --- */

/* Sorts span indexes by shard (counting sort). False when memory is exhausted. */
static bool route(struct sm_worker *w, struct sm_flight *f)
{
    const struct sm_pipeline *p = w->pipeline;
    unsigned shards = p->config.shards;
    uint32_t n = f->batch.count;
    for (unsigned i = 0; i < shards; i++)
        f->routes[i] = (struct sm_route){f, p->shards[i], NULL, 0};
    if (shards == 1 || n == 0) {
        f->routes[0].count = n;
        return true;
    }
    if (f->indexes_capacity < n * 2) { /* second half: the shard of each span */
        uint32_t *bigger = realloc(f->indexes, (size_t)n * 4 * sizeof *bigger);
        if (!bigger)
            return false;
        f->indexes = bigger;
        f->indexes_capacity = n * 4;
    }
    uint32_t *shard_of = f->indexes + n;
    for (uint32_t i = 0; i < n; i++) {
        shard_of[i] = sm_pipeline_shard_of(p, f->batch.items[i].trace);
        f->routes[shard_of[i]].count++;
    }
    uint32_t starts[SM_PIPELINE_SHARDS_MAX];
    uint32_t at = 0;
    for (unsigned i = 0; i < shards; i++) {
        starts[i] = at;
        f->routes[i].indexes = f->indexes + at;
        at += f->routes[i].count;
    }
    for (uint32_t i = 0; i < n; i++)
        f->indexes[starts[shard_of[i]]++] = i;
    return true;
}

static unsigned owner_of(const struct sm_pipeline *p, unsigned shard)
{
    return shard % p->config.workers;
}

/* A slot in every target's ring, so that the payload goes to all of them or to none. */
static bool slots_are_free(struct sm_worker *w, const struct sm_flight *f)
{
    const struct sm_pipeline *p = w->pipeline;
    for (unsigned i = 0; i < p->config.shards; i++) {
        unsigned owner = owner_of(p, i);
        if (f->routes[i].count && owner != w->index &&
            sm_ring_free_slots(&p->workers[owner].rings[w->index], p->config.shards) < p->config.shards)
            return false;
    }
    return true;
}

static void note_stall(struct sm_worker *w, int64_t started_ns)
{
    uint64_t took = (uint64_t)(sm_clock_mono_ns() - started_ns);
    if (took > atomic_load_explicit(&w->stall_ns_max, memory_order_relaxed))
        atomic_store_explicit(&w->stall_ns_max, took, memory_order_relaxed);
}

static void ingest(struct sm_worker *w, const struct sm_route *r)
{
    int64_t started_ns = w->loop ? sm_clock_mono_ns() : 0;
    sm_shard_ingest(r->shard, &r->flight->batch, r->indexes, r->count);
    w->ingested += r->count;
    if (w->loop)
        note_stall(w, started_ns);
}

/* Rings first, so that other workers start while this one does its own part. */
static void dispatch(struct sm_worker *w, struct sm_flight *f)
{
    struct sm_pipeline *p = w->pipeline;
    uint32_t parts = 1; /* this call */
    for (unsigned i = 0; i < p->config.shards; i++)
        parts += f->routes[i].count != 0;
    atomic_store_explicit(&f->refs, parts, memory_order_relaxed);
    for (unsigned i = 0; i < p->config.shards; i++) {
        unsigned owner = owner_of(p, i);
        if (!f->routes[i].count || owner == w->index)
            continue;
        if (!f->away)
            f->epoch = sm_epochs_hold(w->away, f->batch.source, f->batch.epoch);
        f->away = true;
        bool pushed = sm_ring_push(&p->workers[owner].rings[w->index], &f->routes[i]);
        SM_ASSERT(pushed);
        sm_loop_wake(p->workers[owner].loop);
    }
    for (unsigned i = 0; i < p->config.shards; i++) {
        if (f->routes[i].count && owner_of(p, i) == w->index) {
            ingest(w, &f->routes[i]);
            flight_release(f, w);
        }
    }
    flight_release(f, w);
}

/* --- what is through --- */

uint32_t sm_worker_epoch(const struct sm_worker *w)
{
    return w->epoch;
}

/* Why no shard's mark can be too high. A payload of epoch E that still has spans on their way to another worker's shard counts in
 * w->away. It leaves w->away only here, on this thread, after the last shard has let go of it (acquire); by then each shard has
 * held E for every trace that took spans of it, which has lowered its mark to E at least (epochs.h), and it publishes a higher one
 * only when none of these traces lives any more. So the marks are read after the flights were collected. Spans of own shards
 * are taken in by sm_worker_submit itself, and own marks are published by this thread with epochs that are not above those of
 * later payloads. */
uint32_t sm_worker_low_epoch(struct sm_worker *w, uint16_t source)
{
    flights_collect(w);
    uint32_t low = sm_epochs_oldest(w->away, source);
    for (unsigned i = 0; i < w->pipeline->config.shards; i++)
        low = SM_MIN(low, sm_epochs_low(sm_shard_epochs(w->pipeline->shards[i]), source));
    return low;
}

bool sm_worker_sinks_behind(const struct sm_worker *w)
{
    return sm_fanout_behind(w->pipeline->config.fanout);
}

/* --- submitting --- */

static void pass_time(struct sm_worker *w, int64_t now_ns)
{
    if (now_ns <= w->now_ns)
        return;
    if (w->pipeline->base_ns == 0) /* inline: time starts with the first record */
        w->pipeline->base_ns = now_ns;
    w->now_ns = now_ns;
    w->epoch = (uint32_t)((now_ns - w->pipeline->base_ns) / SM_TICK_NS) + 1;
}

bool sm_worker_overloaded(struct sm_worker *w)
{
    const struct sm_pipeline *p = w->pipeline;
    return p->config.memory_bytes && sm_budget_used(&p->budget) > p->budget.soft_bytes;
}

bool sm_worker_is_full(const struct sm_worker *w)
{
    const struct sm_pipeline *p = w->pipeline;
    return p->config.memory_bytes && sm_budget_used(&p->budget) > p->budget.hard_bytes;
}

static void refuse_overload(struct sm_worker *w, struct sm_submit *result)
{
    sm_worker_count_overload(w);
    result->rc = SM_E_AGAIN;
    result->retry_after_ns = RETRY_AFTER_NS;
    snprintf(result->text, sizeof result->text, "overloaded, try again later");
}

static void count_taken(struct sm_worker *w, const struct sm_batch *b, size_t bytes)
{
    sm_stats_add(&w->stats, SM_STAT_PAYLOADS, 1);
    sm_stats_add(&w->stats, SM_STAT_PAYLOAD_BYTES, bytes);
    sm_stats_add(&w->stats, SM_STAT_SPANS_RECEIVED, b->count + b->rejected_total);
    sm_stats_add(&w->stats, SM_STAT_SPANS_REPAIRED, b->repaired);
    if (SM_LIKELY(!b->rejected_total))
        return;
    for (unsigned i = 0; i < SM_REJECT_COUNT; i++) {
        if (b->rejected[i])
            sm_stats_reject(&w->stats, (enum sm_reject)i, b->rejected[i]);
    }
}

/* Decodes into a flight; NULL when result says why not. */
static struct sm_flight *decode(struct sm_worker *w, const struct sm_codec *codec, uint16_t source,
                                struct sm_payload *payload, struct sm_submit *result)
{
    struct sm_flight *f = flight_take(w);
    if (!f) {
        refuse_overload(w, result);
        return NULL;
    }
    struct sm_batch *b = &f->batch;
    b->arrived_ns = payload->arrived_ns;
    b->epoch = w->epoch;
    b->source = source;
    struct sm_err err;
    result->rc = codec->decode(&w->decoder, payload, b, &err);
    if (result->rc == SM_OK)
        return f;
    bool unsupported = result->rc == SM_E_UNSUPPORTED;
    sm_stats_add(&w->stats, unsupported ? SM_STAT_PAYLOADS_UNSUPPORTED : SM_STAT_PAYLOADS_UNDECODABLE, 1);
    snprintf(result->text, sizeof result->text, "%s", err.text);
    flight_idle(w, f);
    return NULL;
}

static void route_and_dispatch(struct sm_worker *w, struct sm_flight *f, size_t payload_bytes, struct sm_submit *result)
{
    const struct sm_batch *b = &f->batch;
    if (!route(w, f) || !slots_are_free(w, f)) {
        refuse_overload(w, result);
        flight_idle(w, f);
        return;
    }
    count_taken(w, b, payload_bytes);
    result->accepted = b->count;
    result->rejected = b->rejected_total;
    if (b->rejected_total)
        snprintf(result->text, sizeof result->text, "%s", b->reject_text);
    dispatch(w, f);
}

static void result_init(struct sm_submit *result)
{
    result->rc = SM_OK;
    result->accepted = result->rejected = 0;
    result->retry_after_ns = 0;
    result->text[0] = '\0';
}

void sm_worker_submit(struct sm_worker *w, const struct sm_codec *codec, uint16_t source, struct sm_payload **payload,
                      struct sm_submit *result)
{
    result_init(result);
    struct sm_payload *p = *payload;
    *payload = NULL;
    pass_time(w, p->arrived_ns);
    if (SM_UNLIKELY(sm_worker_overloaded(w))) {
        refuse_overload(w, result);
    } else {
        struct sm_flight *f = decode(w, codec, source, p, result);
        if (SM_LIKELY(f != NULL))
            route_and_dispatch(w, f, p->size, result);
    }
    sm_payload_put(p);
}

static int64_t newest_end_ns(const struct sm_batch *b)
{
    uint64_t newest = 0;
    for (uint32_t i = 0; i < b->count; i++)
        newest = SM_MAX(newest, sm_span_end_ns(sm_batch_span(b, i)));
    return newest > INT64_MAX ? 0 : (int64_t)newest;
}

/* A payload that claims a time more than JUMP_NS ahead moves the clock only when the next such claim agrees with it: one
 * broken clock among the recorded services must not close every window. */
static void recorded_clock_pass(struct sm_recorded_clock *c, int64_t end_ns)
{
    if (end_ns <= c->now_ns)
        return;
    bool near = c->now_ns == 0 || end_ns - c->now_ns <= JUMP_NS;
    int64_t apart = end_ns > c->jump_ns ? end_ns - c->jump_ns : c->jump_ns - end_ns;
    if (near || (c->jump_ns && apart <= JUMP_NS)) {
        c->now_ns = end_ns;
        c->jump_ns = 0;
    } else {
        c->jump_ns = end_ns;
    }
}

void sm_worker_replay(struct sm_worker *w, const struct sm_codec *codec, uint16_t source, struct sm_payload **payload,
                      struct sm_recorded_clock *clock, struct sm_submit *result)
{
    result_init(result);
    struct sm_payload *p = *payload;
    *payload = NULL;
    struct sm_flight *f = decode(w, codec, source, p, result);
    if (f) {
        recorded_clock_pass(clock, newest_end_ns(&f->batch));
        sm_pipeline_advance(w->pipeline, clock->now_ns);
        f->batch.arrived_ns = clock->now_ns;
        f->batch.epoch = w->epoch;
        route_and_dispatch(w, f, p->size, result);
    }
    sm_payload_put(p);
}

/* --- turns --- */

static bool take_routes(struct sm_worker *w)
{
    bool worked = false;
    for (unsigned i = 0; i < w->pipeline->config.workers; i++) {
        void *routes[ROUTES_PER_TURN];
        uint32_t n = i == w->index ? 0 : sm_ring_pop_n(&w->rings[i], routes, ROUTES_PER_TURN);
        for (uint32_t k = 0; k < n; k++) {
            struct sm_route *r = routes[k];
            pass_time(w, r->flight->batch.arrived_ns);
            ingest(w, r);
            flight_release(r->flight, w);
        }
        worked |= n != 0;
    }
    return worked;
}

/* Everything that is in the rings by now, however fast more comes. */
void sm_worker_catch_up(struct sm_worker *w)
{
    for (unsigned i = 0; i < RING_CAPACITY / ROUTES_PER_TURN && take_routes(w); i++)
        ;
}

/* Payload memory is charged to the worker's first shard. */
static void tend_shard(struct sm_worker *w, unsigned i)
{
    sm_shard_tend(w->shards[i], w->now_ns, w->epoch, i == 0 ? sm_payload_pool_bytes_out(w->payloads) : 0);
}

void sm_worker_tend(struct sm_worker *w)
{
    for (unsigned i = 0; i < w->shard_count; i++)
        tend_shard(w, i);
}

static enum sm_shard_fired fire_slice(struct sm_worker *w, unsigned i)
{
    int64_t started_ns = w->loop ? sm_clock_mono_ns() : 0;
    enum sm_shard_fired fired = sm_shard_fire(w->shards[i], w->now_ns);
    if (fired == SM_SHARD_TICK)
        tend_shard(w, i);
    if (w->loop)
        note_stall(w, started_ns);
    return fired;
}

/* Slices of a tick in proportion to what came in, so that closing windows keeps up with opening them at any load. */
static enum sm_shard_fired fire_shard(struct sm_worker *w, unsigned i)
{
    enum sm_shard_fired fired = SM_SHARD_IDLE;
    for (uint32_t slices = 1 + w->ingested / SPANS_PER_SLICE; slices && sm_shard_next_fire_ns(w->shards[i]) <= w->now_ns;
         slices--) {
        fired = fire_slice(w, i);
        if (fired != SM_SHARD_SLICE)
            break;
    }
    return fired;
}

static void close_windows(struct sm_worker *w)
{
    bool quiet = true;
    for (unsigned i = 0; i < w->shard_count; i++) {
        sm_shard_close_all(w->shards[i], w->now_ns);
        quiet = quiet && sm_shard_quiet(w->shards[i]);
        tend_shard(w, i);
    }
    atomic_store_explicit(&w->quiet, quiet, memory_order_release);
}

bool sm_worker_turn(struct sm_worker *w, int64_t now_ns)
{
    pass_time(w, now_ns);
    bool worked = take_routes(w);
    flights_collect(w);
    bool ticked = false;
    for (unsigned i = 0; i < w->shard_count; i++) {
        enum sm_shard_fired fired = fire_shard(w, i);
        worked |= fired != SM_SHARD_IDLE;
        ticked |= fired == SM_SHARD_TICK;
        worked |= sm_shard_settle(w->shards[i]);
        worked |= sm_shard_collect(w->shards[i]);
    }
    w->ingested = 0;
    if (ticked) {
        sm_scopes_cache_quiescent(w->decoder.scopes);
        for (unsigned i = 0; i < w->shard_count; i++)
            sm_fanout_tick(w->pipeline->config.fanout, sm_shard_index(w->shards[i]));
    }
    if (SM_UNLIKELY(w->closing))
        close_windows(w);
    return worked;
}

/* --- life --- */

enum sm_rc sm_worker_init(struct sm_worker *w, struct sm_pipeline *p, unsigned index, struct sm_err *err)
{
    const struct sm_pipeline_config *c = &p->config;
    w->pipeline = p;
    w->index = index;
    w->payloads = sm_payload_pool_new(PAYLOADS_IDLE_BYTES);
    w->away = sm_epochs_new();
    w->decoder.names = c->names;
    w->decoder.names_cache = sm_names_cache_new(c->names);
    w->decoder.scopes = sm_scopes_cache_new(c->scopes, w->decoder.names_cache);
    w->decoder.wanted = c->wanted;
    w->decoder.limits = c->limits;
    w->decoder.pool = w->payloads;
    w->rings = aligned_alloc(SM_CACHE_LINE, c->workers * sizeof *w->rings);
    SM_ASSERT(w->rings);
    for (unsigned i = 0; i < c->workers; i++)
        sm_ring_init(&w->rings[i], i == index ? 2 : RING_CAPACITY);
    if (c->placement == SM_PLACEMENT_INLINE)
        return SM_OK;
    w->loop = sm_loop_new(&(struct sm_loop_clock){sm_pipeline_clock, p}, err);
    return w->loop ? SM_OK : err->rc;
}

void sm_worker_fini(struct sm_worker *w)
{
    if (w->loop)
        sm_loop_free(w->loop);
    flights_collect(w);
    sm_epochs_free(w->away);
    while (w->flights_idle) {
        struct sm_flight *f = w->flights_idle;
        w->flights_idle = f->next;
        flight_free(f);
    }
    for (unsigned i = 0; w->rings && i < w->pipeline->config.workers; i++)
        sm_ring_fini(&w->rings[i]);
    free(w->rings);
    sm_scopes_cache_free(w->decoder.scopes);
    sm_names_cache_free(w->decoder.names_cache);
    sm_payload_pool_free(w->payloads);
}
