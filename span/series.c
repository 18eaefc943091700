/* Snapshots of time series. */
#include "span/series.h"

#include <stdlib.h>

void sm_series_set_alloc(struct sm_series_set *set, size_t count)
{
    set->count = count;
    set->series = sm_xcalloc(count + 1, sizeof *set->series);
    set->values = sm_xcalloc(count * set->label_count + 1, sizeof *set->values);
    set->numbers = sm_xcalloc(count * set->number_count + 1, sizeof *set->numbers);
    for (size_t i = 0; i < count; i++) {
        set->series[i].values = set->values + i * set->label_count;
        set->series[i].numbers = set->numbers + i * set->number_count;
    }
}

void sm_series_set_fini(struct sm_series_set *set)
{
    free(set->series);
    free(set->values);
    free(set->numbers);
    free(set->exemplars);
    free(set->text);
    *set = (struct sm_series_set){0};
}

static int compare_series(const void *a, const void *b, void *set)
{
    const struct sm_series *x = a, *y = b;
    int order = 0;
    for (unsigned i = 0; !order && i < ((const struct sm_series_set *)set)->label_count; i++)
        order = sm_str_cmp(x->values[i], y->values[i]);
    return order;
}

static uint64_t *numbers_of(struct sm_series_set *set, const struct sm_series *s)
{
    return set->numbers + (s->numbers - set->numbers);
}

static void carry_sums(const struct sm_series_set *set, uint64_t *numbers)
{
    for (unsigned i = 0; i < set->family_count; i++) {
        const struct sm_series_family *f = &set->families[i];
        uint64_t *sum = numbers + f->at + f->bound_count + 1;
        if (f->type == SM_SERIES_HISTOGRAM && sum[1] >= SM_SEC) {
            sum[0] += sum[1] / SM_SEC;
            sum[1] %= SM_SEC;
        }
    }
}

static void join(struct sm_series_set *set, struct sm_series *into, const struct sm_series *from)
{
    uint64_t *numbers = numbers_of(set, into);
    for (unsigned i = 0; i < set->number_count; i++)
        numbers[i] += from->numbers[i];
    carry_sums(set, numbers);
    into->created_ns = SM_MIN(into->created_ns, from->created_ns);
    into->updated_ns = SM_MAX(into->updated_ns, from->updated_ns);
    if (!into->exemplars)
        into->exemplars = from->exemplars;
}

void sm_series_set_sort(struct sm_series_set *set)
{
    qsort_r(set->series, set->count, sizeof *set->series, compare_series, set);
    size_t kept = 0;
    for (size_t i = 0; i < set->count; i++) {
        if (kept && compare_series(&set->series[kept - 1], &set->series[i], set) == 0)
            join(set, &set->series[kept - 1], &set->series[i]);
        else
            set->series[kept++] = set->series[i];
    }
    set->count = kept;
}

/* Labels of all series rendered once: series i has labels[ends[i-1]..ends[i]). */
struct rendered {
    struct sm_buf text;
    size_t *ends;
};

static void render_labels(const struct sm_series_set *set, struct rendered *r)
{
    struct sm_buf one = {0};
    r->ends = sm_xmalloc((set->count + 1) * sizeof *r->ends);
    for (size_t i = 0; i < set->count; i++) {
        sm_buf_clear(&one);
        for (unsigned l = 0; l < set->label_count; l++)
            if (set->series[i].values[l].len)
                sm_prom_label(&one, set->label_names[l], set->series[i].values[l]);
        sm_buf_put(&r->text, one.data, one.size);
        r->ends[i] = r->text.size;
    }
    sm_buf_fini(&one);
}

static struct sm_str slice(const struct sm_buf *b, size_t from, size_t to)
{
    return from == to ? SM_STR("") : sm_str(b->data + from, to - from);
}

static struct sm_str labels_of(const struct rendered *r, size_t i)
{
    return slice(&r->text, i ? r->ends[i - 1] : 0, r->ends[i]);
}

/* Exemplars of one series; `text` takes their labels. */
static void render_exemplars(const struct sm_series_set *set, const struct sm_series *s, unsigned count,
                             struct sm_buf *text, struct sm_prom_exemplar *out)
{
    size_t ends[SM_SERIES_BOUNDS_MAX + 1];
    sm_buf_clear(text);
    for (unsigned i = 0; i < count; i++) {
        const struct sm_series_exemplar *e = &s->exemplars[i];
        char hex[SM_TRACE_ID_HEX_SIZE];
        if (e->trace.hi || e->trace.lo) {
            sm_trace_id_hex(e->trace, hex);
            sm_buf_printf(text, "%s=\"%s\"", set->trace_label, hex);
        }
        ends[i] = text->size;
        out[i] = (struct sm_prom_exemplar){.value_ns = e->value_ns, .time_ns = e->time_ns};
    }
    for (unsigned i = 0; i < count; i++)
        out[i].labels = slice(text, i ? ends[i - 1] : 0, ends[i]);
}

static void write_histograms(const struct sm_series_set *set, const struct sm_series_family *f,
                             const struct rendered *r, struct sm_prom *p)
{
    uint64_t bounds[SM_SERIES_BOUNDS_MAX];
    struct sm_prom_exemplar exemplars[SM_SERIES_BOUNDS_MAX + 1];
    struct sm_buf text = {0};
    for (unsigned i = 0; i < f->bound_count; i++)
        bounds[i] = f->first_bound_ns << i;
    for (size_t i = 0; i < set->count; i++) {
        const struct sm_series *s = &set->series[i];
        const uint64_t *numbers = s->numbers + f->at;
        struct sm_prom_histogram h = {.bounds_ns = bounds,
                                      .counts = numbers,
                                      .bound_count = f->bound_count,
                                      .sum_s = numbers[f->bound_count + 1],
                                      .sum_ns = numbers[f->bound_count + 2],
                                      .created_ns = s->created_ns};
        if (f->exemplars && s->exemplars) {
            render_exemplars(set, s, f->bound_count + 1, &text, exemplars);
            h.exemplars = exemplars;
        }
        sm_prom_write_histogram(p, labels_of(r, i), &h);
    }
    sm_buf_fini(&text);
}

static void write_counters(const struct sm_series_set *set, const struct sm_series_family *f, const struct rendered *r,
                           struct sm_prom *p)
{
    for (size_t i = 0; i < set->count; i++) {
        sm_prom_uint(p, labels_of(r, i), set->series[i].numbers[f->at]);
        if (set->series[i].created_ns)
            sm_prom_created(p, labels_of(r, i), set->series[i].created_ns);
    }
}

void sm_series_set_write(const struct sm_series_set *set, struct sm_prom *p)
{
    struct rendered r = {0};
    render_labels(set, &r);
    for (unsigned i = 0; i < set->family_count; i++) {
        const struct sm_series_family *f = &set->families[i];
        bool histogram = f->type == SM_SERIES_HISTOGRAM;
        sm_prom_family(p, f->name, histogram ? SM_PROM_HISTOGRAM : SM_PROM_COUNTER, f->help);
        if (histogram)
            write_histograms(set, f, &r, p);
        else
            write_counters(set, f, &r, p);
    }
    sm_buf_fini(&r.text);
    free(r.ends);
}
