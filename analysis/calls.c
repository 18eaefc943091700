/* Counters of the service graph. */
#include "analysis/calls.h"

#include "base/hash.h"

#include <stdlib.h>

enum { BOUNDS = SM_CALLS_BOUNDS, DELTA_MAX = 1 << 17 };
#define FIRST_BOUND_NS 100000000

/* Where the numbers of a series stand. */
enum {
    AT_TOTAL,
    AT_FAILED,
    AT_SERVER,
    AT_SERVER_SUM = AT_SERVER + BOUNDS + 1,
    AT_CLIENT = AT_SERVER_SUM + 2,
    AT_CLIENT_SUM = AT_CLIENT + BOUNDS + 1,
    NUMBERS = AT_CLIENT_SUM + 2
};

static const struct sm_series_family families[] = {
    {"traces_service_graph_request_total", "calls between services", SM_SERIES_COUNTER, AT_TOTAL, 0, 0, false},
    {"traces_service_graph_request_failed_total", "calls that failed on either side", SM_SERIES_COUNTER, AT_FAILED, 0,
     0, false},
    {"traces_service_graph_request_server_seconds", "durations of calls as the server saw them", SM_SERIES_HISTOGRAM,
     AT_SERVER, BOUNDS, FIRST_BOUND_NS, false},
    {"traces_service_graph_request_client_seconds", "durations of calls as the client saw them", SM_SERIES_HISTOGRAM,
     AT_CLIENT, BOUNDS, FIRST_BOUND_NS, false},
};

static const struct sm_str labels[] = {{"client", 6}, {"server", 6}, {"connection_type", 15}, {"metric_overflow", 15}};
enum { LABEL_CLIENT, LABEL_SERVER, LABEL_TYPE, LABEL_OVERFLOW };

struct key {
    uint32_t client, server; /* node ids */
    uint32_t connection;
    uint32_t zero;
};

/* One series in a delta: two cache lines. */
struct change {
    struct key key;
    uint32_t total, failed;
    uint64_t server_ns, client_ns; /* sums */
    uint64_t first_ns, last_ns;    /* arrival */
    uint32_t server[BOUNDS + 1], client[BOUNDS + 1];
};
_Static_assert(sizeof(struct change) == 128, "two cache lines");

struct total {
    struct key key;
    uint64_t first_ns, last_ns;
    uint64_t numbers[NUMBERS];
};

static uint64_t key_hash(const struct key *key)
{
    return sm_hash_combine((uint64_t)key->client << 32 | key->server, key->connection);
}

void sm_calls_delta_init(struct sm_calls_delta *d)
{
    sm_table_init(&d->changes, sizeof(struct key), sizeof(struct change), DELTA_MAX);
    d->overflowed = 0;
}

void sm_calls_delta_fini(struct sm_calls_delta *d)
{
    sm_table_fini(&d->changes);
}

void sm_calls_delta_clear(struct sm_calls_delta *d)
{
    sm_table_clear(&d->changes);
    d->overflowed = 0;
}

static void observe(uint32_t *counts, uint64_t *sum, uint64_t ns)
{
    if (ns == SM_LINKER_NO_TIME)
        return;
    counts[sm_series_bucket(ns, FIRST_BOUND_NS, BOUNDS)]++;
    if (__builtin_add_overflow(*sum, ns, sum))
        *sum = UINT64_MAX;
}

void sm_calls_delta_add(struct sm_calls_delta *d, const struct sm_call *call, uint64_t arrived_ns)
{
    struct key key = {call->client, call->server, call->connection, 0};
    struct change *c = sm_table_add(&d->changes, key_hash(&key), &key, sizeof key);
    if (!c) {
        d->overflowed++;
        return;
    }
    if (!c->total || arrived_ns < c->first_ns)
        c->first_ns = arrived_ns;
    if (arrived_ns > c->last_ns)
        c->last_ns = arrived_ns;
    c->total++;
    c->failed += call->failed;
    observe(c->server, &c->server_ns, call->server_ns);
    observe(c->client, &c->client_ns, call->client_ns);
}

void sm_calls_init(struct sm_calls *c, uint32_t series_max, uint64_t stale_ns)
{
    *c = (struct sm_calls){.stale_ns = stale_ns, .overflow = sm_xcalloc(1, sizeof(struct total))};
    sm_table_init(&c->totals, sizeof(struct key), sizeof(struct total), SM_MIN(series_max, SM_TABLE_COUNT_MAX));
}

void sm_calls_fini(struct sm_calls *c)
{
    sm_table_fini(&c->totals);
    free(c->overflow);
}

static void add_sum(uint64_t *sum, uint64_t ns)
{
    sum[1] += ns % SM_SEC;
    sum[0] += ns / SM_SEC + sum[1] / SM_SEC;
    sum[1] %= SM_SEC;
}

static void add_change(struct total *t, const struct change *c)
{
    if (!t->numbers[AT_TOTAL] || c->first_ns < t->first_ns)
        t->first_ns = c->first_ns;
    t->last_ns = SM_MAX(t->last_ns, c->last_ns);
    t->numbers[AT_TOTAL] += c->total;
    t->numbers[AT_FAILED] += c->failed;
    for (unsigned i = 0; i <= BOUNDS; i++) {
        t->numbers[AT_SERVER + i] += c->server[i];
        t->numbers[AT_CLIENT + i] += c->client[i];
    }
    add_sum(&t->numbers[AT_SERVER_SUM], c->server_ns);
    add_sum(&t->numbers[AT_CLIENT_SUM], c->client_ns);
}

void sm_calls_merge(struct sm_calls *c, const struct sm_calls_delta *d)
{
    for (uint32_t i = 0; i < d->changes.count; i++) {
        const struct change *change = sm_table_at(&d->changes, i);
        struct total *t = sm_table_add(&c->totals, key_hash(&change->key), &change->key, sizeof change->key);
        if (!t) {
            t = c->overflow;
            c->overflowed += change->total;
        }
        add_change(t, change);
    }
    c->overflowed += d->overflowed;
    ((struct total *)c->overflow)->numbers[AT_TOTAL] += d->overflowed;
}

static bool is_stale(const struct sm_calls *c, const struct total *t, uint64_t now_ns)
{
    return t->last_ns < now_ns && now_ns - t->last_ns > c->stale_ns;
}

void sm_calls_expire(struct sm_calls *c, uint64_t now_ns)
{
    uint32_t stale = 0;
    for (uint32_t i = 0; i < c->totals.count; i++)
        stale += is_stale(c, sm_table_at(&c->totals, i), now_ns);
    if (!stale)
        return;
    struct sm_table fresh;
    sm_table_init(&fresh, c->totals.key_size, c->totals.entry_size, c->totals.count_max);
    for (uint32_t i = 0; i < c->totals.count; i++) {
        const struct total *t = sm_table_at(&c->totals, i);
        if (!is_stale(c, t, now_ns))
            *(struct total *)sm_table_insert(&fresh, key_hash(&t->key), &t->key) = *t;
    }
    sm_table_fini(&c->totals);
    c->totals = fresh;
    c->expired += stale;
}

static void fill(const struct total *t, struct sm_series_set *set, size_t i)
{
    set->series[i].created_ns = t->first_ns;
    set->series[i].updated_ns = t->last_ns;
    memcpy(set->numbers + i * NUMBERS, t->numbers, sizeof t->numbers);
}

void sm_calls_snapshot(const struct sm_calls *c, const struct sm_names *nodes, struct sm_series_set *set)
{
    *set = (struct sm_series_set){.families = families,
                                  .family_count = SM_ARRAY_LEN(families),
                                  .label_names = labels,
                                  .label_count = SM_ARRAY_LEN(labels),
                                  .number_count = NUMBERS};
    sm_series_set_alloc(set, c->totals.count + (size_t)(c->overflowed > 0));
    for (uint32_t i = 0; i < c->totals.count; i++) {
        const struct total *t = sm_table_at(&c->totals, i);
        struct sm_str *values = set->values + (size_t)i * SM_ARRAY_LEN(labels);
        values[LABEL_CLIENT] = sm_names_get(nodes, t->key.client);
        values[LABEL_SERVER] = sm_names_get(nodes, t->key.server);
        values[LABEL_TYPE] = sm_str_c(sm_connection_name((enum sm_connection)t->key.connection));
        fill(t, set, i);
    }
    if (c->overflowed) {
        set->values[(size_t)c->totals.count * SM_ARRAY_LEN(labels) + LABEL_OVERFLOW] = SM_STR("true");
        fill(c->overflow, set, c->totals.count);
    }
}
