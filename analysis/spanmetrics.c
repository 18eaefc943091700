/* Span metrics: deltas per shard, totals. */
#include "analysis/spanmetrics.h"

#include "analysis/handover.h"
#include "analysis/table.h"
#include "base/hash.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    BOUNDS = 14,
    UNTIMED = BOUNDS + 1, /* the count of spans without a duration stands behind the buckets */
    COUNTS = BOUNDS + 2,
    DELTA_SERIES_MAX = 1 << 17, /* in one delta */
    DELTA_EXEMPLARS_MAX = 1 << 16,
    DELTA_TEXT_MAX = 16 << 20,   /* bytes of dimensions' values */
    EXEMPLAR_SERIES_MAX = 20000, /* series that keep exemplars */
    PREFETCH_AHEAD = 6, /* spans */
};
#define FIRST_BOUND_NS 2000000

/* Where the numbers of a series stand. */
enum { AT_CALLS, AT_SIZE, AT_LATENCY, AT_SUM_S = AT_LATENCY + BOUNDS + 1, AT_SUM_NS, NUMBERS };

static const struct sm_series_family families[] = {
    {"traces_spanmetrics_calls_total", "spans", SM_SERIES_COUNTER, AT_CALLS, 0, 0, false},
    {"traces_spanmetrics_latency", "durations of spans in seconds", SM_SERIES_HISTOGRAM, AT_LATENCY, BOUNDS,
     FIRST_BOUND_NS, true},
    {"traces_spanmetrics_size_total", "bytes of spans in OTLP", SM_SERIES_COUNTER, AT_SIZE, 0, 0, false},
};

static const struct sm_str intrinsic_labels[] = {
    {"service", 7}, {"span_name", 9}, {"span_kind", 9}, {"status_code", 11}, {"metric_overflow", 15},
};
enum { LABEL_SERVICE, LABEL_NAME, LABEL_KIND, LABEL_STATUS, LABEL_OVERFLOW, INTRINSIC_LABELS };

struct key {
    uint32_t service, name; /* names ids */
    uint64_t dims;          /* seeded hash of the dimensions' text; 0: there are none */
    uint8_t kind_status;
    uint8_t zero[7];
};

/* One series in a delta: two cache lines. */
struct change {
    struct key key;
    uint32_t text;   /* 1 + offset of the dimensions' text in delta.text, 0: none */
    uint32_t number; /* 1 + its number in the table; 0: it is new */
    uint64_t size;
    uint64_t sum_ns;
    uint64_t first_ns, last_ns; /* arrival */
    uint32_t counts[COUNTS];
};
_Static_assert(sizeof(struct change) == 128, "two cache lines");

/* The newest exemplar of a bucket in a delta. */
struct exemplar_key {
    uint32_t series; /* number of the change in its table */
    uint32_t bucket;
};
struct exemplar_change {
    struct exemplar_key key;
    struct sm_series_exemplar exemplar;
};

struct delta {
    struct sm_table changes;
    struct sm_table exemplars;
    struct sm_buf text; /* of dimensions: length (u32) and bytes */
    struct change overflow;
    uint64_t overflowed; /* spans that went there */
};

struct shard {
    struct sm_spanmetrics *global;
    struct sm_dims_reader *dims; /* NULL: none are configured */
    struct sm_handover handover;
    struct delta deltas[2];
};

struct total {
    struct key key;
    char *text; /* of the dimensions; NULL */
    uint32_t text_size;
    uint64_t size;
    uint64_t sum_s, sum_ns;
    uint64_t first_ns, last_ns;
    uint64_t counts[COUNTS];
    struct sm_series_exemplar *exemplars; /* BOUNDS + 1, or NULL */
};

struct sm_spanmetrics {
    struct sm_spanmetrics_config config;
    struct sm_str label_names[INTRINSIC_LABELS + SM_DIMS_MAX];
    pthread_mutex_t mutex; /* guards all below */
    struct sm_table totals;
    struct total overflow;
    uint32_t exemplar_series;
    uint64_t overflowed; /* spans */
    uint64_t expired;    /* series */
};

struct sm_spanmetrics_config sm_spanmetrics_config_default(const struct sm_names *names)
{
    return (struct sm_spanmetrics_config){
        .names = names,
        .series_max = 20000,
        .stale_ns = 15 * 60 * (uint64_t)SM_SEC,
        .exemplars = true,
        .trace_label = "traceID",
    };
}

enum sm_rc sm_spanmetrics_config_dim(struct sm_spanmetrics_config *config, struct sm_wanted *wanted, struct sm_str key,
                                     struct sm_err *err)
{
    return sm_dims_add(&config->dims, wanted, key, intrinsic_labels, INTRINSIC_LABELS, err);
}

struct sm_spanmetrics *sm_spanmetrics_new(struct sm_spanmetrics_config *config)
{
    struct sm_spanmetrics *m = sm_xcalloc(1, sizeof *m);
    m->config = *config;
    config->dims = (struct sm_dims){0};
    memcpy(m->label_names, intrinsic_labels, sizeof intrinsic_labels);
    for (unsigned i = 0; i < m->config.dims.count; i++)
        m->label_names[INTRINSIC_LABELS + i] = sm_str_c(m->config.dims.dims[i].label);
    pthread_mutex_init(&m->mutex, NULL);
    sm_table_init(&m->totals, sizeof(struct key), sizeof(struct total),
                  SM_MIN(m->config.series_max, SM_SPANMETRICS_SERIES_MAX));
    return m;
}

static void fini_total(struct total *t)
{
    free(t->text);
    free(t->exemplars);
}

void sm_spanmetrics_free(struct sm_spanmetrics *m)
{
    if (!m)
        return;
    for (uint32_t i = 0; i < m->totals.count; i++)
        fini_total(sm_table_at(&m->totals, i));
    fini_total(&m->overflow);
    sm_table_fini(&m->totals);
    sm_dims_fini(&m->config.dims);
    pthread_mutex_destroy(&m->mutex);
    free(m);
}

/* ---- Shard ---- */

static void *shard_new(void *global, unsigned number)
{
    (void)number;
    struct shard *s = sm_xcalloc(1, sizeof *s);
    s->global = global;
    if (s->global->config.dims.count)
        s->dims = sm_dims_reader_new(&s->global->config.dims);
    sm_handover_init(&s->handover);
    for (unsigned i = 0; i < 2; i++) {
        sm_table_init(&s->deltas[i].changes, sizeof(struct key), sizeof(struct change), DELTA_SERIES_MAX);
        sm_table_init(&s->deltas[i].exemplars, sizeof(struct exemplar_key), sizeof(struct exemplar_change),
                      DELTA_EXEMPLARS_MAX);
        s->deltas[i].text.size_max = DELTA_TEXT_MAX;
    }
    return s;
}

static void shard_free(void *shard)
{
    struct shard *s = shard;
    if (!s)
        return;
    for (unsigned i = 0; i < 2; i++) {
        sm_table_fini(&s->deltas[i].changes);
        sm_table_fini(&s->deltas[i].exemplars);
        sm_buf_fini(&s->deltas[i].text);
    }
    sm_dims_reader_free(s->dims);
    free(s);
}

static uint64_t key_hash(const struct key *key)
{
    uint64_t names = (uint64_t)key->service << 32 | key->name;
    return sm_hash_u64((names + key->kind_status * UINT64_C(0x9e3779b97f4a7c15)) ^ key->dims);
}

/* Keeps the dimensions' text for whoever merges the change; false at the limit. */
static bool keep_text(struct delta *d, struct change *c, struct sm_str text)
{
    uint32_t size = (uint32_t)text.len;
    if (!sm_buf_reserve(&d->text, sizeof size + size))
        return false;
    c->text = (uint32_t)d->text.size + 1;
    sm_buf_put(&d->text, &size, sizeof size);
    sm_buf_put_str(&d->text, text);
    return true;
}

/* Without dimensions. */
static struct key key_of(const struct sm_view_span *span)
{
    return (struct key){.service = span->resource ? span->resource->service_id : SM_NAME_EMPTY,
                        .name = span->span->name_id,
                        .kind_status = span->span->kind_status};
}

static struct change *change_of(struct shard *s, struct delta *d, const struct sm_view_span *span)
{
    struct key key = key_of(span);
    struct sm_str text = SM_STR("");
    if (s->dims) {
        text = sm_dims_read(s->dims, span);
        key.dims = sm_hash_bytes(text.ptr, text.len) | 1;
    }
    struct change *c = sm_table_add(&d->changes, key_hash(&key), &key, sizeof key);
    if (c && !c->number)
        c->number = d->changes.count;
    bool kept = c && (c->text || !s->dims || keep_text(d, c, text));
    return kept ? c : NULL;
}

static void add_sum(uint64_t *sum, uint64_t ns)
{
    if (__builtin_add_overflow(*sum, ns, sum))
        *sum = UINT64_MAX;
}

/* Whether `a` is to replace `b`: later arrival; the rest only makes the order total. */
static bool newer(const struct sm_series_exemplar *a, const struct sm_series_exemplar *b)
{
    if (a->time_ns != b->time_ns)
        return a->time_ns > b->time_ns;
    int order = sm_trace_id_cmp(a->trace, b->trace);
    return order ? order > 0 : a->value_ns > b->value_ns;
}

static void offer_exemplar(struct delta *d, const struct change *c, unsigned bucket, uint64_t duration_ns,
                           const struct sm_trace *trace)
{
    struct exemplar_key key = {c->number - 1, bucket};
    uint64_t hash = sm_hash_u64((uint64_t)key.series << 32 | key.bucket);
    struct exemplar_change *e = sm_table_add(&d->exemplars, hash, &key, sizeof key);
    struct sm_series_exemplar candidate = {trace->id, duration_ns, (uint64_t)trace->last_ns};
    if (e && newer(&candidate, &e->exemplar))
        e->exemplar = candidate;
}

static void observe_span(struct shard *s, struct delta *d, const struct sm_view_span *span,
                         const struct sm_trace *trace, bool exemplars)
{
    struct change *c = change_of(s, d, span);
    if (SM_UNLIKELY(!c)) {
        c = &d->overflow;
        d->overflowed++;
        exemplars = false;
    }
    uint64_t arrived_ns = (uint64_t)trace->last_ns;
    if (!c->last_ns || arrived_ns < c->first_ns)
        c->first_ns = arrived_ns;
    if (arrived_ns > c->last_ns)
        c->last_ns = arrived_ns;
    c->size += span->span->size;
    if (span->span->flags & SM_SPAN_NO_DURATION) {
        c->counts[UNTIMED]++;
        return;
    }
    uint64_t duration_ns = span->span->duration_ns;
    unsigned bucket = sm_series_bucket(duration_ns, FIRST_BOUND_NS, BOUNDS);
    c->counts[bucket]++;
    add_sum(&c->sum_ns, duration_ns);
    if (exemplars)
        offer_exemplar(d, c, bucket, duration_ns, trace);
}

static void observe(void *shard, const struct sm_view *view, const struct sm_view_scratch *scratch)
{
    (void)scratch;
    struct shard *s = shard;
    struct delta *d = &s->deltas[s->handover.active];
    bool exemplars = s->global->config.exemplars && view->trace->verdict == SM_VERDICT_KEPT;
    for (uint32_t i = view->context; i < view->count; i++) {
        if (i + PREFETCH_AHEAD < view->count && !s->dims) {
            struct key ahead = key_of(&view->spans[i + PREFETCH_AHEAD]);
            sm_table_prefetch(&d->changes, key_hash(&ahead));
        }
        observe_span(s, d, &view->spans[i], view->trace, exemplars);
    }
}

static void ship(void *shard)
{
    struct shard *s = shard;
    const struct delta *d = &s->deltas[s->handover.active];
    if (d->changes.count || d->overflowed)
        sm_handover_ship(&s->handover);
}

/* ---- Totals ---- */

static void add_change(struct total *t, const struct change *c)
{
    t->size += c->size;
    t->sum_s += c->sum_ns / SM_SEC;
    t->sum_ns += c->sum_ns % SM_SEC;
    t->sum_s += t->sum_ns / SM_SEC;
    t->sum_ns %= SM_SEC;
    for (unsigned i = 0; i < COUNTS; i++)
        t->counts[i] += c->counts[i];
    if (!t->last_ns || c->first_ns < t->first_ns)
        t->first_ns = c->first_ns;
    t->last_ns = SM_MAX(t->last_ns, c->last_ns);
}

static uint64_t calls_of(const struct total *t)
{
    uint64_t calls = 0;
    for (unsigned i = 0; i < COUNTS; i++)
        calls += t->counts[i];
    return calls;
}

/* The total that a change belongs to; the overflow series at the limit. */
static struct total *total_of(struct sm_spanmetrics *m, const struct delta *d, const struct change *c)
{
    struct total *t = sm_table_add(&m->totals, key_hash(&c->key), &c->key, sizeof c->key);
    if (!t)
        return &m->overflow;
    if (c->text && !t->text) {
        memcpy(&t->text_size, d->text.data + c->text - 1, sizeof t->text_size);
        t->text = sm_xstrndup((const char *)d->text.data + c->text - 1 + sizeof t->text_size, t->text_size);
    }
    return t;
}

static uint64_t spans_of(const struct change *c)
{
    uint64_t spans = 0;
    for (unsigned i = 0; i < COUNTS; i++)
        spans += c->counts[i];
    return spans;
}

static void merge_exemplar(struct sm_spanmetrics *m, struct total *t, const struct exemplar_change *e)
{
    if (!t->exemplars) {
        if (m->exemplar_series >= EXEMPLAR_SERIES_MAX)
            return;
        m->exemplar_series++;
        t->exemplars = sm_xcalloc(BOUNDS + 1, sizeof *t->exemplars);
    }
    if (newer(&e->exemplar, &t->exemplars[e->key.bucket]))
        t->exemplars[e->key.bucket] = e->exemplar;
}

static void drain(struct sm_spanmetrics *m, struct delta *d)
{
    for (uint32_t i = 0; i < d->changes.count; i++) {
        const struct change *c = sm_table_at(&d->changes, i);
        if (!c->last_ns) /* there was no room for its text */
            continue;
        struct total *t = total_of(m, d, c);
        if (t == &m->overflow)
            m->overflowed += spans_of(c);
        add_change(t, c);
    }
    for (uint32_t i = 0; i < d->exemplars.count; i++) {
        const struct exemplar_change *e = sm_table_at(&d->exemplars, i);
        const struct change *c = sm_table_at(&d->changes, e->key.series);
        struct total *t = sm_table_find(&m->totals, key_hash(&c->key), &c->key, sizeof c->key, NULL);
        if (t)
            merge_exemplar(m, t, e);
    }
    if (d->overflowed) {
        add_change(&m->overflow, &d->overflow);
        m->overflowed += d->overflowed;
    }
}

static void clear_delta(struct delta *d)
{
    sm_table_clear(&d->changes);
    sm_table_clear(&d->exemplars);
    sm_buf_clear(&d->text);
    d->overflow = (struct change){0};
    d->overflowed = 0;
}

static void merge(void *global, void *shard)
{
    struct sm_spanmetrics *m = global;
    struct shard *s = shard;
    int away = sm_handover_away(&s->handover);
    if (away < 0)
        return;
    pthread_mutex_lock(&m->mutex);
    drain(m, &s->deltas[away]);
    pthread_mutex_unlock(&m->mutex);
    clear_delta(&s->deltas[away]);
    sm_handover_home(&s->handover);
}

const struct sm_analyzer_ops sm_spanmetrics_ops = {
    .name = "span_metrics",
    .shard_new = shard_new,
    .shard_free = shard_free,
    .observe = observe,
    .ship = ship,
    .merge = merge,
};

static bool is_stale(const struct sm_spanmetrics *m, const struct total *t, uint64_t now_ns)
{
    return t->last_ns < now_ns && now_ns - t->last_ns > m->config.stale_ns;
}

/* Moves what is not stale to a new table. */
static void expire_totals(struct sm_spanmetrics *m, uint64_t now_ns)
{
    struct sm_table fresh;
    sm_table_init(&fresh, m->totals.key_size, m->totals.entry_size, m->totals.count_max);
    for (uint32_t i = 0; i < m->totals.count; i++) {
        struct total *t = sm_table_at(&m->totals, i);
        if (is_stale(m, t, now_ns)) {
            m->exemplar_series -= t->exemplars != NULL;
            m->expired++;
            fini_total(t);
        } else {
            *(struct total *)sm_table_insert(&fresh, key_hash(&t->key), &t->key) = *t;
        }
    }
    sm_table_fini(&m->totals);
    m->totals = fresh;
}

void sm_spanmetrics_expire(struct sm_spanmetrics *m, uint64_t now_ns)
{
    pthread_mutex_lock(&m->mutex);
    bool any = false;
    for (uint32_t i = 0; i < m->totals.count && !any; i++)
        any = is_stale(m, sm_table_at(&m->totals, i), now_ns);
    if (any)
        expire_totals(m, now_ns);
    pthread_mutex_unlock(&m->mutex);
}

/* ---- Snapshots ---- */

static const struct sm_str kind_labels[] = {
    {"SPAN_KIND_UNSPECIFIED", 21}, {"SPAN_KIND_INTERNAL", 18}, {"SPAN_KIND_SERVER", 16},
    {"SPAN_KIND_CLIENT", 16},      {"SPAN_KIND_PRODUCER", 18}, {"SPAN_KIND_CONSUMER", 18},
};
static const struct sm_str status_labels[] = {
    {"STATUS_CODE_UNSET", 17},
    {"STATUS_CODE_OK", 14},
    {"STATUS_CODE_ERROR", 17},
};

/* A number from outside that is none of those that the protocol knows reads as the first one. */
static struct sm_str pick(const struct sm_str *labels, unsigned count, unsigned i)
{
    return labels[i < count ? i : 0];
}

static void fill_labels(const struct sm_spanmetrics *m, const struct total *t, struct sm_str *values, char **text)
{
    values[LABEL_SERVICE] =
        t->key.service == SM_NAME_EMPTY ? SM_STR("unknown_service") : sm_names_get(m->config.names, t->key.service);
    values[LABEL_NAME] = sm_names_get(m->config.names, t->key.name);
    values[LABEL_KIND] = pick(kind_labels, SM_ARRAY_LEN(kind_labels), t->key.kind_status & 15);
    values[LABEL_STATUS] = pick(status_labels, SM_ARRAY_LEN(status_labels), t->key.kind_status >> 4);
    if (!t->text)
        return;
    memcpy(*text, t->text, t->text_size);
    sm_dims_split(&m->config.dims, sm_str(*text, t->text_size), values + INTRINSIC_LABELS);
    *text += t->text_size;
}

static void fill_numbers(const struct total *t, struct sm_series *series, uint64_t *numbers)
{
    series->created_ns = t->first_ns;
    series->updated_ns = t->last_ns;
    numbers[AT_CALLS] = calls_of(t);
    numbers[AT_SIZE] = t->size;
    memcpy(numbers + AT_LATENCY, t->counts, (BOUNDS + 1) * sizeof *numbers);
    numbers[AT_SUM_S] = t->sum_s;
    numbers[AT_SUM_NS] = t->sum_ns;
}

static void fill_exemplars(const struct total *t, struct sm_series *series, struct sm_series_exemplar **at)
{
    if (!t->exemplars)
        return;
    memcpy(*at, t->exemplars, (BOUNDS + 1) * sizeof **at);
    series->exemplars = *at;
    *at += BOUNDS + 1;
}

static void fill_set(const struct sm_spanmetrics *m, struct sm_series_set *set)
{
    size_t text_size = 0;
    for (uint32_t i = 0; i < m->totals.count; i++)
        text_size += ((const struct total *)sm_table_at(&m->totals, i))->text_size;
    char *text = set->text = sm_xmalloc(text_size + 1);
    struct sm_series_exemplar *exemplars = set->exemplars =
        sm_xmalloc(((size_t)m->exemplar_series * (BOUNDS + 1) + 1) * sizeof *exemplars);
    bool overflow = m->overflow.last_ns != 0;
    sm_series_set_alloc(set, m->totals.count + (size_t)overflow);
    for (uint32_t i = 0; i < m->totals.count; i++) {
        const struct total *t = sm_table_at(&m->totals, i);
        fill_labels(m, t, set->values + (size_t)i * set->label_count, &text);
        fill_numbers(t, &set->series[i], set->numbers + (size_t)i * NUMBERS);
        fill_exemplars(t, &set->series[i], &exemplars);
    }
    if (overflow) {
        size_t last = m->totals.count;
        set->values[last * set->label_count + LABEL_OVERFLOW] = SM_STR("true");
        fill_numbers(&m->overflow, &set->series[last], set->numbers + last * NUMBERS);
    }
}

void sm_spanmetrics_snapshot(struct sm_spanmetrics *m, struct sm_series_set *set)
{
    *set = (struct sm_series_set){.families = families,
                                  .family_count = SM_ARRAY_LEN(families),
                                  .label_names = m->label_names,
                                  .label_count = INTRINSIC_LABELS + m->config.dims.count,
                                  .number_count = NUMBERS,
                                  .trace_label = m->config.trace_label};
    pthread_mutex_lock(&m->mutex);
    fill_set(m, set);
    pthread_mutex_unlock(&m->mutex);
    sm_series_set_sort(set);
}

void sm_spanmetrics_collect(void *ctx, struct sm_prom *p)
{
    struct sm_series_set set;
    sm_spanmetrics_snapshot(ctx, &set);
    sm_series_set_write(&set, p);
    sm_series_set_fini(&set);
}

void sm_spanmetrics_collect_own(void *ctx, struct sm_prom *p)
{
    struct sm_spanmetrics *m = ctx;
    pthread_mutex_lock(&m->mutex);
    uint64_t series = m->totals.count, overflowed = m->overflowed, expired = m->expired;
    pthread_mutex_unlock(&m->mutex);
    sm_prom_family(p, "spanmill_spanmetrics_series", SM_PROM_GAUGE, "label sets of span metrics");
    sm_prom_uint(p, SM_STR(""), series);
    sm_prom_family(p, "spanmill_spanmetrics_overflowed_spans_total", SM_PROM_COUNTER,
                   "spans counted in the overflow series because of the limit of label sets");
    sm_prom_uint(p, SM_STR(""), overflowed);
    sm_prom_family(p, "spanmill_spanmetrics_expired_series_total", SM_PROM_COUNTER, "label sets forgotten as stale");
    sm_prom_uint(p, SM_STR(""), expired);
}
