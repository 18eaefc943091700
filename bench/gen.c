/* Builds traces top-down, then deals their spans into the requests of their services. */
#include "bench/gen.h"

#include "bench/random.h"
#include "bench/topology.h"

#include <stdlib.h>

enum { DEPTH_MAX = 16, RECENT_HOSTS = 8, MEAN_TRACE_SPANS = 18, LARGEST_TRACE_AT = 3000 };
#define TRACE_LEAVES_NS_MAX (900 * SM_MS)
#define BATCH_AGE_NS_MAX    (1 * SM_SEC)

/* One trace while it grows. Hosts are the spans that may have children. */
struct trace_builder {
    struct bench_random *random;
    struct bench_span *spans;
    uint32_t n;
    uint32_t target;
    uint16_t hosts[BENCH_GEN_TRACE_SPANS_MAX];
    uint32_t hosts_n;
    uint16_t parents[BENCH_GEN_TRACE_SPANS_MAX];
    uint8_t depths[BENCH_GEN_TRACE_SPANS_MAX];
};

static uint32_t draw_trace_size(struct bench_random *r, uint32_t trace)
{
    if (trace == LARGEST_TRACE_AT)
        return BENCH_GEN_TRACE_SPANS_MAX;
    double u = bench_random_unit(r);
    double size;
    if (u < 0.9700)
        size = bench_random_log_normal(r, 8, 0.9);
    else if (u < 0.9994)
        size = bench_random_log_normal(r, 150, 0.8);
    else
        size = 1000.0 + 4001.0 * bench_random_unit(r) * bench_random_unit(r);
    return size < 1 ? 1 : size > BENCH_GEN_TRACE_SPANS_MAX ? BENCH_GEN_TRACE_SPANS_MAX : (uint32_t)size;
}

static struct bench_span *add_span(struct trace_builder *b, uint32_t parent, uint32_t service,
                                   enum bench_span_type type)
{
    uint32_t i = b->n++;
    struct bench_span *s = &b->spans[i];
    *s = (struct bench_span){
        .trace_hi = b->spans[0].trace_hi,
        .trace_lo = b->spans[0].trace_lo,
        .id = bench_random_u64(b->random) | 1,
        .parent = b->spans[parent].id,
        .seed = (uint32_t)bench_random_u64(b->random),
        .service = (uint8_t)service,
        .type = (uint8_t)type,
        .operation = (uint8_t)bench_random_below(b->random, BENCH_TOPOLOGY_OPERATIONS),
    };
    b->parents[i] = (uint16_t)parent;
    b->depths[i] = (uint8_t)(b->depths[parent] + 1);
    return s;
}

static void add_host(struct trace_builder *b, const struct bench_span *s)
{
    uint32_t i = (uint32_t)(s - b->spans);
    if (b->depths[i] < DEPTH_MAX)
        b->hosts[b->hosts_n++] = (uint16_t)i;
}

/* Somewhere inside the parent. */
static void set_times_within(struct trace_builder *b, struct bench_span *s, const struct bench_span *parent)
{
    double room = (double)(parent->end_ns - parent->start_ns);
    s->start_ns = parent->start_ns + (int64_t)(room * 0.5 * bench_random_unit(b->random));
    s->end_ns = s->start_ns + (int64_t)(room * (0.05 + 0.45 * bench_random_unit(b->random)));
}

/* The server's side of a call: the client's less the way there and back. */
static void set_times_of_callee(struct trace_builder *b, struct bench_span *server, const struct bench_span *client)
{
    double room = (double)(client->end_ns - client->start_ns);
    double way = 50e3 + 400e3 * bench_random_unit(b->random);
    way = SM_MIN(way, room / 8);
    server->start_ns = client->start_ns + (int64_t)way;
    server->end_ns = client->end_ns - (int64_t)way;
}

static void add_call(struct trace_builder *b, uint32_t host)
{
    uint32_t caller = b->spans[host].service;
    uint32_t callee = bench_topology_callee(caller, bench_random_below(b->random, bench_topology_callees(caller)));
    bool rpc = bench_topology_services[callee].rpc;
    struct bench_span *client = add_span(b, host, caller, rpc ? BENCH_SPAN_RPC_CLIENT : BENCH_SPAN_HTTP_CLIENT);
    client->peer = (uint8_t)callee;
    set_times_within(b, client, &b->spans[host]);
    struct bench_span *server =
        add_span(b, (uint32_t)(client - b->spans), callee, rpc ? BENCH_SPAN_RPC_SERVER : BENCH_SPAN_HTTP_SERVER);
    server->peer = (uint8_t)caller;
    server->operation = client->operation;
    set_times_of_callee(b, server, client);
    add_host(b, server);
}

static void add_message(struct trace_builder *b, uint32_t host)
{
    uint32_t from = b->spans[host].service;
    uint32_t to = bench_topology_consumer(from);
    struct bench_span *producer = add_span(b, host, from, BENCH_SPAN_PRODUCER);
    producer->peer = (uint8_t)to;
    set_times_within(b, producer, &b->spans[host]);
    struct bench_span *consumer = add_span(b, (uint32_t)(producer - b->spans), to, BENCH_SPAN_CONSUMER);
    consumer->peer = (uint8_t)from;
    consumer->operation = producer->operation;
    consumer->linked = bench_random_chance(b->random, 0.5);
    consumer->start_ns = producer->end_ns + (int64_t)bench_random_exponential(b->random, 5e6);
    consumer->end_ns = consumer->start_ns + (int64_t)bench_random_log_normal(b->random, 10e6, 0.8);
    add_host(b, consumer);
}

static void add_leaf(struct trace_builder *b, uint32_t host, enum bench_span_type type)
{
    struct bench_span *s = add_span(b, host, b->spans[host].service, type);
    s->peer = (uint8_t)bench_topology_database(s->service);
    set_times_within(b, s, &b->spans[host]);
    if (type == BENCH_SPAN_INTERNAL)
        add_host(b, s);
}

static uint32_t pick_host(struct trace_builder *b)
{
    uint32_t n = b->hosts_n;
    if (n > RECENT_HOSTS && bench_random_chance(b->random, 0.7))
        return b->hosts[n - 1 - bench_random_below(b->random, RECENT_HOSTS)];
    return b->hosts[bench_random_below(b->random, n)];
}

static void grow(struct trace_builder *b)
{
    uint32_t host = pick_host(b);
    uint32_t service = b->spans[host].service;
    bool two = b->target - b->n >= 2;
    double u = bench_random_unit(b->random);
    if (two && u < 0.45 && bench_topology_callees(service))
        add_call(b, host);
    else if (two && u < 0.49 && bench_topology_consumer(service) != service)
        add_message(b, host);
    else if (u < 0.80)
        add_leaf(b, host, BENCH_SPAN_DB);
    else
        add_leaf(b, host, BENCH_SPAN_INTERNAL);
}

static void add_root(struct trace_builder *b, int64_t now_ns)
{
    struct bench_random *r = b->random;
    double length_ns = bench_random_log_normal(r, 60e6, 1.12);
    struct bench_span *root = &b->spans[0];
    *root = (struct bench_span){
        .trace_hi = (uint64_t)b->target << 48 | bench_random_u64(r) >> 16,
        .trace_lo = bench_random_u64(r),
        .id = bench_random_u64(r) | 1,
        .start_ns = now_ns,
        .end_ns = now_ns + (int64_t)SM_MIN(length_ns, 4e9),
        .seed = (uint32_t)bench_random_u64(r),
        .service = (uint8_t)bench_random_below(r, BENCH_TOPOLOGY_ENTRIES),
        .type = BENCH_SPAN_HTTP_SERVER,
        .operation = (uint8_t)bench_random_below(r, BENCH_TOPOLOGY_OPERATIONS),
    };
    root->peer = root->service;
    b->n = 1;
    b->depths[0] = 0;
    b->hosts_n = 0;
    add_host(b, root);
}

/* An error starts at a span and is passed on to most of its callers. */
static void add_errors(struct trace_builder *b)
{
    for (uint32_t sources = 1 + b->n / 25; sources-- > 0;) {
        uint32_t i = bench_random_below(b->random, b->n);
        b->spans[i].error = true;
        while (i != 0 && bench_random_chance(b->random, 0.8)) {
            i = b->parents[i];
            b->spans[i].error = true;
        }
    }
}

static void set_leaving_times(struct trace_builder *b)
{
    int64_t latest = b->spans[0].start_ns + TRACE_LEAVES_NS_MAX;
    for (uint32_t i = 0; i < b->n; i++)
        b->spans[i].leaves_ns = SM_MIN(b->spans[i].end_ns, latest);
}

static uint32_t build_trace(struct trace_builder *b, struct bench_span *at, uint32_t size, int64_t now_ns)
{
    b->spans = at;
    b->target = size;
    add_root(b, now_ns);
    while (b->n < b->target)
        grow(b);
    if (bench_random_chance(b->random, 0.06))
        add_errors(b);
    set_leaving_times(b);
    return b->n;
}

static void build_traces(struct bench_gen *gen)
{
    struct bench_random random = {gen->options.seed};
    struct trace_builder *b = sm_xcalloc(1, sizeof *b);
    b->random = &random;
    double gap_ns = 1e9 * MEAN_TRACE_SPANS / gen->options.spans_per_second;
    double now_ns = 0;
    while (gen->spans_n < gen->options.spans) {
        uint32_t size = draw_trace_size(&random, gen->traces_n);
        gen->spans_n += build_trace(b, gen->spans + gen->spans_n, size, (int64_t)now_ns);
        gen->traces_n++;
        now_ns += bench_random_exponential(&random, gap_ns);
    }
    free(b);
}

static int by_leaving_time(const void *a, const void *b, void *context)
{
    const struct bench_span *spans = context;
    uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
    int64_t x = spans[i].leaves_ns, y = spans[j].leaves_ns;
    return x != y ? (x > y) - (x < y) : (i > j) - (i < j);
}

/* The batch that a service is filling. */
struct batch {
    uint32_t *spans;
    uint32_t n;
    int64_t first_ns;
};

struct packer {
    struct bench_gen *gen;
    struct batch batches[BENCH_TOPOLOGY_SERVICES];
    uint32_t packed;
    uint32_t capacity;
};

static void send_batch(struct packer *p, uint32_t service, int64_t now_ns)
{
    struct bench_gen *gen = p->gen;
    struct batch *batch = &p->batches[service];
    if (batch->n == 0)
        return;
    if (gen->requests_n == p->capacity) {
        p->capacity = p->capacity ? p->capacity * 2 : 1024;
        gen->requests = sm_xrealloc(gen->requests, p->capacity * sizeof *gen->requests);
    }
    gen->requests[gen->requests_n] = (struct bench_request){
        .first = p->packed,
        .n = batch->n,
        .leaves_ns = now_ns,
        .service = (uint8_t)service,
        .instance = (uint8_t)(gen->requests_n % BENCH_TOPOLOGY_INSTANCES),
    };
    gen->requests_n++;
    memcpy(gen->order + p->packed, batch->spans, batch->n * sizeof *batch->spans);
    p->packed += batch->n;
    batch->n = 0;
}

static void send_old_batches(struct packer *p, int64_t now_ns)
{
    for (uint32_t s = 0; s < BENCH_TOPOLOGY_SERVICES; s++) {
        if (p->batches[s].n && now_ns - p->batches[s].first_ns > BATCH_AGE_NS_MAX)
            send_batch(p, s, now_ns);
    }
}

static void pack_span(struct packer *p, uint32_t index)
{
    const struct bench_span *s = &p->gen->spans[index];
    struct batch *batch = &p->batches[s->service];
    if (batch->n == 0)
        batch->first_ns = s->leaves_ns;
    batch->spans[batch->n++] = index;
    if (batch->n == p->gen->options.spans_per_request)
        send_batch(p, s->service, s->leaves_ns);
}

static void pack_requests(struct bench_gen *gen)
{
    uint32_t *leaving = sm_xmalloc(gen->spans_n * sizeof *leaving);
    for (uint32_t i = 0; i < gen->spans_n; i++)
        leaving[i] = i;
    qsort_r(leaving, gen->spans_n, sizeof *leaving, by_leaving_time, gen->spans);

    struct packer p = {.gen = gen};
    for (uint32_t s = 0; s < BENCH_TOPOLOGY_SERVICES; s++)
        p.batches[s].spans = sm_xmalloc(gen->options.spans_per_request * sizeof(uint32_t));
    int64_t now_ns = 0;
    for (uint32_t i = 0; i < gen->spans_n; i++) {
        now_ns = gen->spans[leaving[i]].leaves_ns;
        pack_span(&p, leaving[i]);
        if (i % 1024 == 0)
            send_old_batches(&p, now_ns);
    }
    for (uint32_t s = 0; s < BENCH_TOPOLOGY_SERVICES; s++) {
        send_batch(&p, s, now_ns);
        free(p.batches[s].spans);
    }
    gen->length_ns = now_ns;
    free(leaving);
}

struct bench_gen *bench_gen_new(const struct bench_gen_options *options)
{
    struct bench_gen *gen = sm_xcalloc(1, sizeof *gen);
    gen->options = *options;
    size_t capacity = (size_t)options->spans + BENCH_GEN_TRACE_SPANS_MAX;
    gen->spans = sm_xmalloc(capacity * sizeof *gen->spans);
    build_traces(gen);
    gen->order = sm_xmalloc(gen->spans_n * sizeof *gen->order);
    pack_requests(gen);
    return gen;
}

void bench_gen_free(struct bench_gen *gen)
{
    if (!gen)
        return;
    free(gen->spans);
    free(gen->order);
    free(gen->requests);
    free(gen);
}
