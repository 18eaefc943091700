/* Windows, duplicates and late spans once more, by plain arrays; what comes out must be what the engine did.
 *
 * A verdict is not predicted: a window of the model was kept when the sink got a trace with its id that closed at its time.
 * Then every span of it must have come, and nothing else. */
#include "sim.h"

#include "pipeline/shard.h"
#include "pipeline/wheel.h"
#include "tests/support/plain_linker.h"

#include <stdlib.h>

enum { NAMES = 4, KINDS = SM_KIND_CONSUMER + 1, STATUSES = SM_STATUS_ERROR + 1, SAME_ID_MAX = 32 };

struct list {
    uint32_t *items;
    uint32_t count;
};

struct window {
    bool open, late;
    bool reopened; /* news of a dropped trace: decided by itself, linked to what went before */
    int64_t opened_ns, last_ns;
    bool has_root;
    uint64_t bytes;
    struct list spans;
};

enum fate { UNDECIDED, KEPT, DROPPED };

/* What is known of a trace. */
struct known {
    struct window window;
    enum fate fate;
    struct list skeleton; /* spans that were analysed */
    int64_t sealed_ns;
    bool has_skeleton;
};

struct model {
    const struct sim_run *run;
    const struct sim_traffic *traffic;
    const struct sm_config *config;
    struct sm_buf *text;
    bool wrong;
    struct known *known;      /* by trace */
    struct list opened;       /* traces with an open window */
    uint32_t *deliveries;     /* numbers of deliveries, sorted by the low half of their trace's id */
    bool *matched;            /* by delivery */
    int64_t tick;
    bool clashed[SIM_POOLS]; /* has traces that the model does not look at */
    bool tainted[SIM_POOLS]; /* spans came late: its graph is not compared either */
    uint64_t calls[SIM_POOLS][SIM_POOL_SERVICES][NAMES][KINDS][STATUSES];
    struct plain_links links;
    struct sim_checked *sums;
};

static void push(struct list *l, uint32_t item)
{
    if ((l->count & (l->count - 1)) == 0)
        l->items = sm_xrealloc(l->items, (l->count ? l->count * 2 : 1) * sizeof *l->items);
    l->items[l->count++] = item;
}

static const struct sim_span *span_of(const struct model *m, uint32_t i)
{
    return &m->traffic->spans[i];
}

static void differ(struct model *m, uint32_t trace, const char *what)
{
    char id[SM_TRACE_ID_HEX_SIZE];
    sm_trace_id_hex(m->traffic->traces[trace].id, id);
    sm_buf_printf(m->text, "trace %s (%u): %s\n", id, trace, what);
    m->wrong = true;
}

/* ---- Duplicates ---- */

static bool server_side(const struct sim_span *s)
{
    return s->kind == SM_KIND_SERVER || s->kind == SM_KIND_CONSUMER || (s->head.flags & SM_SPAN_SHARED);
}

static bool same_record(const struct sim_span *a, const struct sim_span *b, bool heads_only)
{
    if (a->span_id != b->span_id || a->head.size != b->head.size || server_side(a) != server_side(b))
        return false;
    if (heads_only)
        return a->head.parent_id == b->head.parent_id && a->start_ns == b->start_ns &&
               a->head.duration_ns == b->head.duration_ns && a->name == b->name &&
               ((a->head.flags ^ b->head.flags) & ~SM_SPAN_PRIVATE) == 0 && a->head.kind_status == b->head.kind_status;
    if (a->service != b->service && a->service >= 0 && b->service >= 0)
        return false;
    return memcmp(a->bytes, b->bytes, a->head.size) == 0;
}

static bool is_duplicate(const struct model *m, const struct list *context, const struct list *fresh, uint32_t span)
{
    const struct sim_span *s = span_of(m, span);
    unsigned same_id = 0;
    for (uint32_t i = 0; context && i < context->count && same_id < SAME_ID_MAX; i++) {
        same_id += span_of(m, context->items[i])->span_id == s->span_id;
        if (same_record(span_of(m, context->items[i]), s, true))
            return true;
    }
    for (uint32_t i = 0; i < fresh->count && same_id < SAME_ID_MAX; i++) {
        same_id += span_of(m, fresh->items[i])->span_id == s->span_id;
        if (same_record(span_of(m, fresh->items[i]), s, false))
            return true;
    }
    return false;
}

/* ---- What a window means ---- */

static void count_calls(struct model *m, const struct list *spans)
{
    for (uint32_t i = 0; i < spans->count; i++) {
        const struct sim_span *s = span_of(m, spans->items[i]);
        enum sm_status status = s->format == SIM_ZIPKIN && s->error_tag ? SM_STATUS_ERROR : s->status;
        if (s->service >= 0)
            m->calls[m->traffic->traces[s->trace].pool][s->service][s->name][s->kind][status]++;
    }
}

static void count_links(struct model *m, const struct list *spans)
{
    struct plain_span *plain = sm_xcalloc(spans->count + 1, sizeof *plain);
    for (uint32_t i = 0; i < spans->count; i++) {
        const struct sim_span *s = span_of(m, spans->items[i]);
        struct plain_span *p = &plain[i];
        *p = (struct plain_span){.kind = s->kind == SM_KIND_INTERNAL ? SM_KIND_UNSPECIFIED : s->kind,
                                 .id = s->span_id,
                                 .parent = s->parent_id,
                                 .shared = s->shared,
                                 .zipkin = s->format == SIM_ZIPKIN,
                                 .start_ns = s->head.start_ns,
                                 .duration_ns = s->head.flags & SM_SPAN_NO_DURATION ? UINT64_MAX : s->head.duration_ns,
                                 .error_tag = s->error_tag || s->status == SM_STATUS_ERROR};
        sim_service_name(m->traffic, s, p->service);
        sim_peer_name(m->traffic, s, p->peer);
        if (s->address)
            memcpy(p->ip, (const uint8_t[]){10, 0, 0, s->address}, 4);
    }
    m->links.nested_servers = true;
    plain_links_add(&m->links, plain, spans->count);
    free(plain);
}

static uint64_t low_of(const struct model *m, uint32_t delivery)
{
    return m->run->truth.traces[delivery].id.lo;
}

/* One trace may have several windows that close at one time. */
static bool starts_with(const struct model *m, const struct capture_trace *t, const struct list *spans)
{
    const struct sim_span *first = spans->count ? span_of(m, spans->items[0]) : NULL;
    return first && t->spans[0].head.size == first->head.size && memcmp(t->spans[0].bytes, first->bytes, first->head.size) == 0;
}

/* The delivery of this window; NULL when there is none. */
static const struct capture_trace *delivery_of(struct model *m, uint32_t trace, const struct list *spans, int64_t closed_ns)
{
    uint64_t lo = m->traffic->traces[trace].id.lo;
    size_t from = 0, to = m->run->truth.count;
    while (from < to) {
        size_t middle = (from + to) / 2;
        if (low_of(m, m->deliveries[middle]) < lo)
            from = middle + 1;
        else
            to = middle;
    }
    for (; from < m->run->truth.count && low_of(m, m->deliveries[from]) == lo; from++) {
        uint32_t d = m->deliveries[from];
        const struct capture_trace *t = &m->run->truth.traces[d];
        if (m->matched[d] || t->late != m->known[trace].window.late || t->deadline_ns != closed_ns || !starts_with(m, t, spans))
            continue;
        m->matched[d] = true;
        return t;
    }
    return NULL;
}

static void compare_spans(struct model *m, uint32_t trace, const struct list *spans, const struct capture_trace *t)
{
    char service[32];
    if (t->span_count != spans->count) {
        sm_buf_printf(m->text, "%u spans, should be %u; ", t->span_count, spans->count);
        return differ(m, trace, "a window was delivered with another number of spans");
    }
    for (uint32_t i = 0; i < spans->count; i++) {
        const struct sim_span *s = span_of(m, spans->items[i]);
        sim_service_name(m->traffic, s, service);
        if (t->spans[i].head.size != s->head.size || memcmp(t->spans[i].bytes, s->bytes, s->head.size) != 0)
            return differ(m, trace, "a delivered span is not the one that was sent");
        if (!sm_str_eq(t->spans[i].service, sm_str_c(service)))
            return differ(m, trace, "a delivered span has another service");
    }
}

static void remember_skeleton(struct known *k, const struct list *context, const struct list *fresh, int64_t closed_ns)
{
    struct list all = {0};
    for (uint32_t i = 0; context && i < context->count; i++)
        push(&all, context->items[i]);
    for (uint32_t i = 0; i < fresh->count; i++)
        push(&all, fresh->items[i]);
    free(k->skeleton.items);
    k->skeleton = all;
    k->sealed_ns = context ? k->sealed_ns : closed_ns;
    k->has_skeleton = true;
}

/* Moves what is no duplicate of what went before, nor of another span of the list, to the front. */
static void take_out_duplicates(struct model *m, const struct list *context, struct list *spans)
{
    struct list fresh = {spans->items, 0};
    for (uint32_t i = 0; i < spans->count; i++) {
        if (is_duplicate(m, context, &fresh, spans->items[i]))
            m->sums->duplicates++;
        else
            fresh.items[fresh.count++] = spans->items[i];
    }
    spans->count = fresh.count;
}

static const struct list *context_of(const struct model *m, const struct known *k, int64_t at_ns)
{
    bool there = k->has_skeleton && m->config->late.grace_ns && at_ns - k->sealed_ns <= m->config->late.grace_ns;
    return there ? &k->skeleton : NULL;
}

static bool is_news(const struct model *m, const struct list *context, const struct sim_span *s)
{
    if (!(s->head.flags & (SM_SPAN_ERROR | SM_SPAN_DEBUG | SM_SPAN_PRIORITY)))
        return false;
    for (uint32_t i = 0; context && i < context->count; i++) {
        if (span_of(m, context->items[i])->span_id == s->span_id)
            return false;
    }
    return true;
}

static bool has_news(const struct model *m, const struct list *context, const struct list *spans)
{
    for (uint32_t i = 0; i < spans->count; i++) {
        if (is_news(m, context, span_of(m, spans->items[i])))
            return true;
    }
    return false;
}

static void close_window(struct model *m, uint32_t trace, enum sm_trigger trigger, int64_t closed_ns)
{
    struct known *k = &m->known[trace];
    struct window *w = &k->window;
    struct list *fresh = &w->spans;
    const struct list *context = w->late || w->reopened ? context_of(m, k, w->opened_ns) : NULL;
    take_out_duplicates(m, context, fresh);
    bool late = w->late;
    if (late && k->fate == DROPPED && has_news(m, context, fresh)) {
        w->late = false;
        w->reopened = true;
    }
    if (w->reopened) { /* walks along one span id are limited, so that each look may find more */
        take_out_duplicates(m, NULL, fresh);
        take_out_duplicates(m, context, fresh);
    }
    m->sums->spans += fresh->count;
    count_calls(m, fresh);
    if (!w->late && !context)
        count_links(m, fresh);
    else if (fresh->count)
        m->tainted[m->traffic->traces[trace].pool] = true;
    const struct capture_trace *t = delivery_of(m, trace, fresh, closed_ns);
    if (w->late && k->fate == KEPT && !t && fresh->count)
        differ(m, trace, "late spans of a kept trace were not delivered");
    if (w->late && k->fate == DROPPED && t)
        differ(m, trace, "late spans of a dropped trace were delivered");
    if (!w->late && fresh->count)
        k->fate = t ? KEPT : DROPPED;
    if (t && t->trigger != (late && trigger == SM_TRIGGER_SHUTDOWN ? SM_TRIGGER_LATE : trigger)) {
        sm_buf_printf(m->text, "closed by %s, should be %s; ", sm_trigger_name((enum sm_trigger)t->trigger),
                      sm_trigger_name(trigger));
        differ(m, trace, "something else closed the window");
    }
    if (t)
        compare_spans(m, trace, fresh, t);
    remember_skeleton(k, context, fresh, closed_ns);
    m->sums->windows++;
    m->sums->late_windows += late;
    free(w->spans.items);
    *w = (struct window){.open = false};
}

/* ---- Time ---- */

static enum sm_trigger due(const struct model *m, const struct window *w, int64_t now_ns)
{
    bool old = now_ns >= w->opened_ns + m->config->windows.max_age_ns;
    if (w->late)
        return old || now_ns >= w->last_ns + sm_windows_default.late_ns ? SM_TRIGGER_LATE : SM_TRIGGER_NONE;
    if (w->has_root && now_ns >= w->last_ns + m->config->windows.after_root_ns)
        return SM_TRIGGER_ROOT;
    if (!w->has_root && now_ns >= w->last_ns + m->config->windows.idle_ns)
        return SM_TRIGGER_IDLE;
    return old ? SM_TRIGGER_AGE : SM_TRIGGER_NONE;
}

static void pass_time(struct model *m, int64_t now_ns)
{
    while ((m->tick + 1) * SM_TICK_NS <= now_ns) {
        if (!m->opened.count)
            m->tick = now_ns / SM_TICK_NS - 1;
        int64_t at_ns = ++m->tick * SM_TICK_NS;
        uint32_t left = 0;
        for (uint32_t i = 0; i < m->opened.count; i++) {
            uint32_t trace = m->opened.items[i];
            enum sm_trigger trigger = due(m, &m->known[trace].window, at_ns);
            if (trigger == SM_TRIGGER_NONE)
                m->opened.items[left++] = trace;
            else
                close_window(m, trace, trigger, at_ns);
        }
        m->opened.count = left;
    }
}

/* ---- Spans ---- */

static void open_window(struct model *m, uint32_t trace, bool late, int64_t at_ns)
{
    m->known[trace].window = (struct window){.open = true, .late = late, .opened_ns = at_ns, .last_ns = at_ns};
    m->opened.items = sm_xrealloc(m->opened.items, (m->opened.count + 1) * sizeof *m->opened.items);
    m->opened.items[m->opened.count++] = trace;
}

/* False when the span needs no window: it came too late for a dropped trace. */
static bool find_window(struct model *m, const struct sim_span *s, int64_t at_ns)
{
    struct known *k = &m->known[s->trace];
    if (k->window.open)
        return true;
    if (k->fate == DROPPED) {
        const struct list *context = context_of(m, k, at_ns);
        bool news = is_news(m, context, s);
        if (!news && !context)
            return false;
        open_window(m, s->trace, !news, at_ns);
        k->window.reopened = news;
    } else {
        open_window(m, s->trace, k->fate == KEPT, at_ns);
    }
    return true;
}

static void take_span(struct model *m, uint32_t index, int64_t at_ns)
{
    const struct sim_span *s = span_of(m, index);
    struct window *w = &m->known[s->trace].window;
    if (m->traffic->traces[s->trace].clash || !find_window(m, s, at_ns))
        return;
    push(&w->spans, index);
    w->last_ns = at_ns;
    w->has_root |= s->head.parent_id == 0;
    w->bytes += s->head.size;
    enum sm_trigger over = w->spans.count >= m->config->windows.max_spans ? SM_TRIGGER_SPANS
                           : w->bytes >= m->config->windows.max_bytes     ? SM_TRIGGER_BYTES
                                                                          : SM_TRIGGER_NONE;
    if (!over)
        return;
    close_window(m, s->trace, over, at_ns);
    uint32_t i = 0;
    while (m->opened.items[i] != s->trace)
        i++;
    m->opened.items[i] = m->opened.items[--m->opened.count];
}

static void take_payload(struct model *m, const struct sim_payload *p)
{
    pass_time(m, p->at_ns);
    for (uint32_t i = 0; i < p->count; i++)
        take_span(m, p->spans[i], p->at_ns);
}

/* ---- Comparing ---- */

static void compare_calls(struct model *m)
{
    static uint64_t got[SIM_POOLS][SIM_POOL_SERVICES][NAMES][KINDS][STATUSES];
    static const char *const kinds[] = {"SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER",
                                        "SPAN_KIND_CLIENT",      "SPAN_KIND_PRODUCER", "SPAN_KIND_CONSUMER"};
    static const char *const statuses[] = {"STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"};
    struct sm_series_set set;
    memset(got, 0, sizeof got);
    sm_spanmetrics_snapshot(m->run->engine->span_metrics, &set);
    for (size_t i = 0; i < set.count; i++) {
        const struct sm_str *v = set.series[i].values;
        if (v[0].len != 4 || v[1].len != 3)
            continue; /* no service, or the overflow */
        unsigned kind = 0, status = 0;
        while (!sm_str_eq(v[2], sm_str_c(kinds[kind])))
            kind++;
        while (!sm_str_eq(v[3], sm_str_c(statuses[status])))
            status++;
        got[v[0].ptr[1] - '0'][v[0].ptr[3] - '0'][v[1].ptr[2] - '0'][kind][status] += set.series[i].numbers[0];
    }
    sm_series_set_fini(&set);
    for (unsigned i = 0; i < sizeof got / sizeof(uint64_t) && !m->wrong; i++) {
        uint64_t mine = ((const uint64_t *)m->calls)[i], theirs = ((const uint64_t *)got)[i];
        if (mine == theirs || m->clashed[i / (sizeof got[0] / sizeof(uint64_t))])
            continue;
        unsigned status = i % STATUSES, kind = i / STATUSES % KINDS, name = i / STATUSES / KINDS % NAMES;
        unsigned service = i / STATUSES / KINDS / NAMES % SIM_POOL_SERVICES, pool = i / STATUSES / KINDS / NAMES / SIM_POOL_SERVICES;
        sm_buf_printf(m->text, "span metrics of p%us%u op%u %s %s: %llu calls, should be %llu\n", pool, service, name,
                      kinds[kind], statuses[status], (unsigned long long)theirs, (unsigned long long)mine);
        m->wrong = true;
    }
}

static bool counts_for_graph(const struct model *m, struct sm_str service)
{
    return service.len == 4 && service.ptr[0] == 'p' && !m->tainted[service.ptr[1] - '0'] &&
           !m->clashed[service.ptr[1] - '0'];
}

static void compare_graph(struct model *m)
{
    struct sm_graph g;
    uint64_t mine = 0, theirs = 0;
    sm_dependency_snapshot(m->run->engine->dependency, 0, INT64_C(4000000000000), SM_EDGES_ANY_SOURCE, &g);
    for (unsigned i = 0; i < m->links.count && !m->wrong; i++) {
        const struct plain_link *l = &m->links.links[i];
        if (!counts_for_graph(m, sm_str_c(l->parent)))
            continue;
        const struct sm_graph_edge *e = sm_graph_find(&g, sm_str_c(l->parent), sm_str_c(l->child));
        mine += l->calls;
        if (e && e->calls == l->calls && e->errors == l->errors)
            continue;
        sm_buf_printf(m->text, "edge %s>%s: %llu/%llu calls/errors, should be %u/%u\n", l->parent, l->child,
                      e ? (unsigned long long)e->calls : 0, e ? (unsigned long long)e->errors : 0, l->calls, l->errors);
        m->wrong = true;
    }
    for (size_t i = 0; i < g.count; i++)
        theirs += counts_for_graph(m, g.edges[i].parent) ? g.edges[i].calls : 0;
    sm_graph_fini(&g);
    if (!m->wrong && mine != theirs) {
        sm_buf_printf(m->text, "the graph has %llu calls, should be %llu\n", (unsigned long long)theirs,
                      (unsigned long long)mine);
        m->wrong = true;
    }
    m->sums->graph_calls += mine;
}

static const struct capture_trace *sorting;

static int compare_deliveries(const void *x, const void *y)
{
    uint32_t i = *(const uint32_t *)x, k = *(const uint32_t *)y;
    if (sorting[i].id.lo != sorting[k].id.lo)
        return sorting[i].id.lo < sorting[k].id.lo ? -1 : 1;
    return (i > k) - (i < k);
}

static void model_init(struct model *m)
{
    const struct capture_sink *truth = &m->run->truth;
    m->known = sm_xcalloc(m->traffic->trace_count, sizeof *m->known);
    m->deliveries = sm_xmalloc((truth->count + 1) * sizeof *m->deliveries);
    m->matched = sm_xcalloc(truth->count + 1, sizeof *m->matched);
    for (uint32_t i = 0; i < truth->count; i++)
        m->deliveries[i] = i;
    sorting = truth->traces;
    qsort(m->deliveries, truth->count, sizeof *m->deliveries, compare_deliveries);
    for (uint32_t i = 0; i < m->traffic->trace_count; i++)
        m->clashed[m->traffic->traces[i].pool] |= m->traffic->traces[i].clash;
    m->tick = SIM_START_NS / SM_TICK_NS;
}

static void model_fini(struct model *m)
{
    for (uint32_t i = 0; i < m->traffic->trace_count; i++) {
        free(m->known[i].window.spans.items);
        free(m->known[i].skeleton.items);
    }
    free(m->known);
    free(m->opened.items);
    free(m->deliveries);
    free(m->matched);
    free(m);
}

static bool clashes(const struct model *m, uint64_t lo)
{
    for (uint32_t i = 0; i < m->traffic->trace_count; i++) {
        if (m->traffic->traces[i].id.lo == lo)
            return m->traffic->traces[i].clash;
    }
    return false;
}

bool sim_model_check(const struct sim_run *run, struct sim_checked *sums, struct sm_buf *text)
{
    struct model *m = sm_xcalloc(1, sizeof *m);
    m->run = run;
    m->traffic = run->traffic;
    m->config = run->plan->config;
    m->text = text;
    m->sums = sums;
    model_init(m);
    for (uint32_t i = 0; i < m->traffic->payload_count && !m->wrong; i++) {
        if (run->taken[i])
            take_payload(m, &m->traffic->payloads[i]);
    }
    pass_time(m, run->closed_ns);
    for (uint32_t i = 0; i < m->opened.count && !m->wrong; i++)
        close_window(m, m->opened.items[i], SM_TRIGGER_SHUTDOWN, run->closed_ns);
    for (uint32_t i = 0; i < run->truth.count && !m->wrong; i++) {
        const struct capture_trace *t = &run->truth.traces[i];
        if (m->matched[i] || clashes(m, t->id.lo))
            continue;
        char id[SM_TRACE_ID_HEX_SIZE];
        sm_trace_id_hex(t->id, id);
        sm_buf_printf(text, "trace %s: %u spans were delivered that closed (%s, late=%d) at an unexpected time: %.3f s\n", id,
                      t->span_count, sm_trigger_name((enum sm_trigger)t->trigger), t->late,
                      (double)(t->deadline_ns - SIM_START_NS) / 1e9);
        m->wrong = true;
    }
    if (!m->wrong)
        compare_calls(m);
    if (!m->wrong)
        compare_graph(m);
    bool ok = !m->wrong;
    model_fini(m);
    return ok;
}
