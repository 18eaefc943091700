/* Counting sampled root spans: deltas per shard, the control loop's input. */
#include "analysis/throughput.h"

#include "analysis/handover.h"
#include "analysis/table.h"
#include "base/hash.h"
#include "span/attr.h"

#include <pthread.h>
#include <stdlib.h>

enum { DELTA_MAX = 1 << 16, BY_BOUND = 1 << 30 };
_Static_assert(SM_ADAPTIVE_UNIT < BY_BOUND, "a flag behind the probability");

struct key {
    uint32_t service, operation; /* names ids */
    uint32_t sampled;            /* probability | BY_BOUND */
};

struct change {
    struct key key;
    uint32_t count;
};

struct shard {
    struct sm_throughput *global;
    struct sm_handover handover;
    struct sm_table deltas[2];
};

struct sm_throughput {
    struct sm_throughput_config config;
    struct sm_published *published;
    pthread_mutex_t mutex; /* guards all below */
    struct sm_adaptive *adaptive;
    uint64_t roots;
};

enum sm_rc sm_throughput_config_keys(struct sm_throughput_config *config, struct sm_wanted *wanted, struct sm_err *err)
{
    static const struct {
        struct sm_str type, param;
    } forms[SM_THROUGHPUT_FORMS] = {
        {{"sampler.type", 12}, {"sampler.param", 13}},
        {{"jaeger.sampler.type", 19}, {"jaeger.sampler.param", 20}},
    };
    for (unsigned i = 0; i < SM_THROUGHPUT_FORMS; i++) {
        if (sm_wanted_add(wanted, forms[i].type, &config->type_slots[i]) != SM_OK ||
            sm_wanted_add(wanted, forms[i].param, &config->param_slots[i]) != SM_OK)
            return sm_err_set(err, SM_E_LIMIT, "sampling: too many attribute keys are wanted");
    }
    return SM_OK;
}

struct sm_throughput *sm_throughput_new(const struct sm_throughput_config *config, int64_t now_ns)
{
    struct sm_throughput *t = sm_xcalloc(1, sizeof *t);
    t->config = *config;
    t->published = sm_published_new(sm_rates_free);
    t->adaptive = sm_adaptive_new(&config->adaptive, now_ns);
    pthread_mutex_init(&t->mutex, NULL);
    sm_throughput_step(t, now_ns);
    return t;
}

void sm_throughput_free(struct sm_throughput *t)
{
    if (!t)
        return;
    sm_published_free(t->published);
    sm_adaptive_free(t->adaptive);
    pthread_mutex_destroy(&t->mutex);
    free(t);
}

/* ---- shard ---- */

static void *shard_new(void *global, unsigned number SM_UNUSED)
{
    struct shard *s = sm_xcalloc(1, sizeof *s);
    s->global = global;
    sm_handover_init(&s->handover);
    for (unsigned i = 0; i < 2; i++)
        sm_table_init(&s->deltas[i], sizeof(struct key), sizeof(struct change), DELTA_MAX);
    return s;
}

static void shard_free(void *shard)
{
    struct shard *s = shard;
    if (!s)
        return;
    for (unsigned i = 0; i < 2; i++)
        sm_table_fini(&s->deltas[i]);
    free(s);
}

static double number_of(const struct sm_value *v)
{
    char text[32], *end;
    switch (v->type) {
    case SM_VALUE_DOUBLE:
        return v->d;
    case SM_VALUE_INT:
        return (double)v->i;
    case SM_VALUE_STRING:
        if (v->bytes.len == 0 || v->bytes.len >= sizeof text)
            return 0;
        memcpy(text, v->bytes.ptr, v->bytes.len);
        text[v->bytes.len] = '\0';
        double number = strtod(text, &end);
        return *end ? 0 : number;
    default:
        return 0;
    }
}

/* The probability in units, with BY_BOUND; 0: not sampled with one. */
static uint32_t sampled_by(const struct sm_throughput_config *config, const struct sm_view_span *s, unsigned form)
{
    struct sm_value type, param;
    if (!sm_span_value(s->span, s->bytes, config->type_slots[form], &type) || type.type != SM_VALUE_STRING ||
        !sm_span_value(s->span, s->bytes, config->param_slots[form], &param))
        return 0;
    bool by_bound = sm_str_eq(type.bytes, SM_STR("lowerbound"));
    double probability = number_of(&param);
    if ((!by_bound && !sm_str_eq(type.bytes, SM_STR("probabilistic"))) || !(probability > 0 && probability <= 1))
        return 0;
    uint32_t units = (uint32_t)(probability * SM_ADAPTIVE_UNIT + 0.5);
    return units ? units | (by_bound ? BY_BOUND : 0) : 0;
}

static void observe_root(const struct sm_throughput_config *config, struct sm_table *delta, const struct sm_view_span *s)
{
    struct key key = {.service = s->resource ? s->resource->service_id : SM_NAME_EMPTY, .operation = s->span->name_id};
    for (unsigned i = 0; i < SM_THROUGHPUT_FORMS && !key.sampled; i++)
        key.sampled = sampled_by(config, s, i);
    if (!key.sampled || key.service <= SM_NAME_EMPTY || key.operation <= SM_NAME_EMPTY)
        return;
    uint64_t hash = sm_hash_u64(((uint64_t)key.service << 32 | key.operation) + key.sampled * UINT64_C(0x9e3779b97f4a7c15));
    struct change *c = sm_table_add(delta, hash, &key, sizeof key);
    if (c)
        c->count++;
}

static void observe(void *shard, const struct sm_view *view, const struct sm_view_scratch *scratch SM_UNUSED)
{
    struct shard *s = shard;
    for (uint32_t i = view->context; i < view->count; i++) {
        if (!view->spans[i].span->parent_id && view->spans[i].span->n_wanted)
            observe_root(&s->global->config, &s->deltas[s->handover.active], &view->spans[i]);
    }
}

static void ship(void *shard)
{
    struct shard *s = shard;
    if (s->deltas[s->handover.active].count)
        sm_handover_ship(&s->handover);
}

/* ---- control thread ---- */

static void merge(void *global, void *shard)
{
    struct sm_throughput *t = global;
    struct shard *s = shard;
    int away = sm_handover_away(&s->handover);
    if (away < 0)
        return;
    struct sm_table *delta = &s->deltas[away];
    pthread_mutex_lock(&t->mutex);
    for (uint32_t i = 0; i < delta->count; i++) {
        const struct change *c = sm_table_at(delta, i);
        t->roots += c->count;
        sm_adaptive_seen(t->adaptive, c->key.service, c->key.operation, c->key.sampled & (BY_BOUND - 1), c->key.sampled & BY_BOUND,
                         c->count);
    }
    pthread_mutex_unlock(&t->mutex);
    sm_table_clear(delta);
    sm_handover_home(&s->handover);
}

const struct sm_analyzer_ops sm_throughput_ops = {
    .name = "throughput",
    .shard_new = shard_new,
    .shard_free = shard_free,
    .observe = observe,
    .ship = ship,
    .merge = merge,
};

void sm_throughput_step(struct sm_throughput *t, int64_t now_ns)
{
    pthread_mutex_lock(&t->mutex);
    if (sm_adaptive_step(t->adaptive, now_ns))
        sm_published_set(t->published, sm_adaptive_rates(t->adaptive));
    pthread_mutex_unlock(&t->mutex);
}

struct sm_published *sm_throughput_published(struct sm_throughput *t)
{
    return t->published;
}

void sm_throughput_collect(void *ctx, struct sm_prom *p)
{
    struct sm_throughput *t = ctx;
    pthread_mutex_lock(&t->mutex);
    uint64_t operations = sm_adaptive_operations(t->adaptive), roots = t->roots, overflowed = sm_adaptive_overflowed(t->adaptive);
    pthread_mutex_unlock(&t->mutex);
    sm_prom_family(p, "spanmill_sampling_operations", SM_PROM_GAUGE, "operations that have a sampling probability of their own");
    sm_prom_uint(p, SM_STR(""), operations);
    sm_prom_family(p, "spanmill_sampling_roots_total", SM_PROM_COUNTER, "root spans that told the probability by which they were sampled");
    sm_prom_uint(p, SM_STR(""), roots);
    sm_prom_family(p, "spanmill_sampling_roots_overflowed_total", SM_PROM_COUNTER,
                   "of those, spans of operations beyond `sampling.adaptive.operations_max`");
    sm_prom_uint(p, SM_STR(""), overflowed);
}
