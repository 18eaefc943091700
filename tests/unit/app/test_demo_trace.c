#include "app/demo_trace.h"

#include <criterion/criterion.h>

enum { TRACES = 2000 };

#define END_NS (INT64_C(1772366400) * SM_SEC)

/* Trace `number` of a seed, all earlier ones drawn before it. */
static struct sm_demo_trace *trace_of(struct sm_demo_random *r, uint64_t number)
{
    static struct sm_demo_trace t;
    sm_demo_trace_make(&t, r, number, END_NS);
    return &t;
}

static const struct sm_demo_span *parent_of(const struct sm_demo_trace *t, const struct sm_demo_span *s)
{
    for (unsigned i = 0; i < t->count; i++)
        if (t->spans[i].id == s->parent_id)
            return &t->spans[i];
    return NULL;
}

static void check_whole(const struct sm_demo_trace *t)
{
    unsigned roots = 0;
    int64_t last_ns = 0;
    for (unsigned i = 0; i < t->count; i++) {
        const struct sm_demo_span *s = &t->spans[i], *parent = parent_of(t, s);
        roots += s->parent_id == 0 && !s->shared;
        last_ns = SM_MAX(last_ns, s->end_ns);
        cr_assert(s->id && s->name && *s->name && s->attribute_count);
        cr_assert(s->start_ns < s->end_ns);
        if (s->parent_id) {
            cr_assert_not_null(parent);
            cr_assert_leq(parent->start_ns, s->start_ns);
            cr_assert(s->kind == SM_KIND_CONSUMER || s->end_ns <= parent->end_ns);
        }
    }
    cr_assert_eq(roots, 1u);
    cr_assert_eq(last_ns, END_NS);
    cr_assert(t->id.hi && t->id.lo);
}

static unsigned distinct_ids(const struct sm_demo_trace *t)
{
    unsigned n = 0;
    for (unsigned i = 0; i < t->count; i++) {
        unsigned k = 0;
        while (t->spans[k].id != t->spans[i].id)
            k++;
        n += k == i;
    }
    return n;
}

Test(demo_trace, every_trace_is_whole)
{
    struct sm_demo_random r = {7};
    for (uint64_t i = 0; i < TRACES; i++) {
        const struct sm_demo_trace *t = trace_of(&r, i);
        check_whole(t);
        if (i % SM_DEMO_PROXIED_EVERY != SM_DEMO_PROXIED_EVERY - 1)
            cr_assert_eq(distinct_ids(t), t->count);
    }
}

Test(demo_trace, proxied_traces_have_three_spans_and_two_ids)
{
    struct sm_demo_random r = {7};
    const struct sm_demo_trace *t = trace_of(&r, SM_DEMO_PROXIED_EVERY - 1);
    const struct sm_demo_span *ingress = &t->spans[0], *sidecar = &t->spans[1], *application = &t->spans[2];
    cr_assert_eq(t->count, 3u);
    cr_expect_eq(distinct_ids(t), 2u);
    cr_expect(ingress->service == SM_DEMO_INGRESS && ingress->kind == SM_KIND_CLIENT && !ingress->shared);
    cr_expect(sidecar->service == SM_DEMO_SIDECAR && sidecar->kind == SM_KIND_SERVER && sidecar->shared);
    cr_expect(ingress->id == sidecar->id && ingress->parent_id == 0 && sidecar->parent_id == 0);
    cr_expect(application->service == SM_DEMO_FRONTEND && application->parent_id == ingress->id);
    cr_expect(sm_demo_span_is_zipkin(ingress) && sm_demo_span_is_zipkin(sidecar) &&
              !sm_demo_span_is_zipkin(application));
    cr_expect(ingress->start_ns < sidecar->start_ns && sidecar->start_ns < application->start_ns);
    cr_expect(application->end_ns < sidecar->end_ns && sidecar->end_ns < ingress->end_ns);
}

/* A failure is told on the way up to where it was optional, and every failure has one that raised it. */
Test(demo_trace, failures_go_up)
{
    struct sm_demo_random r = {11};
    unsigned failed = 0;
    for (uint64_t i = 0; i < TRACES; i++) {
        const struct sm_demo_trace *t = trace_of(&r, i);
        bool any = false, source = false;
        for (unsigned k = 0; k < t->count; k++) {
            const struct sm_demo_span *s = &t->spans[k], *parent = parent_of(t, s);
            any |= s->failed;
            source |= s->error != NULL;
            cr_assert(!s->error || s->failed);
            if (s->failed && s->kind == SM_KIND_SERVER && parent && parent->kind == SM_KIND_CLIENT)
                cr_assert(parent->failed);
        }
        cr_assert_eq(any, source);
        failed += any;
    }
    cr_expect(failed > TRACES / 100 && failed < TRACES / 5, "%u of %u traces failed", failed, TRACES);
}

Test(demo_trace, every_service_and_slow_paths_are_seen)
{
    struct sm_demo_random r = {13};
    unsigned spans[SM_DEMO_SERVICE_COUNT] = {0}, databases = 0, slow = 0;
    for (uint64_t i = 0; i < TRACES; i++) {
        const struct sm_demo_trace *t = trace_of(&r, i);
        for (unsigned k = 0; k < t->count; k++) {
            spans[t->spans[k].service]++;
            databases += strcmp(t->spans[k].attributes[0].key, "db.system.name") == 0;
        }
        slow += t->spans[0].end_ns - t->spans[0].start_ns > 100 * SM_MS;
    }
    for (unsigned i = 0; i < SM_DEMO_SERVICE_COUNT; i++)
        cr_expect(spans[i] > 0, "%s", sm_demo_services[i].name);
    cr_expect(databases > TRACES / 2);
    cr_expect(slow > TRACES / 100 && slow < TRACES / 4, "%u of %u traces are slow", slow, TRACES);
}

Test(demo_trace, a_seed_draws_the_same_traces)
{
    static struct sm_demo_trace first;
    struct sm_demo_random a = {42}, b = {42}, c = {43};
    first = *trace_of(&a, 0);
    const struct sm_demo_trace *second = trace_of(&b, 0);
    cr_expect(sm_trace_id_eq(first.id, second->id));
    cr_assert_eq(first.count, second->count);
    for (unsigned i = 0; i < first.count; i++) {
        cr_expect_eq(first.spans[i].id, second->spans[i].id);
        cr_expect_eq(first.spans[i].start_ns, second->spans[i].start_ns);
    }
    cr_expect_not(sm_trace_id_eq(first.id, trace_of(&c, 0)->id));
}
