#include "query/open_copy.h"

#include "tests/support/trace_maker.h"

static struct maker m;
static struct sm_open_copy copy;

/* Makes a trace of spans with ids from `first` on, and copies it. */
static void add_trace(uint64_t lo, uint64_t first, unsigned spans, uint64_t start_ms, bool in_window)
{
    maker_restart(&m, (struct sm_trace_id){.hi = 1, .lo = lo});
    maker_resource(&m);
    maker_str(&m.resource, 1, "service.name", "shop");
    for (unsigned i = 0; i < spans; i++)
        maker_span(&m, (struct maker_span){.id = first + i, .name = "op", .start_ms = start_ms, .duration_ms = 1});
    (void)maker_view(&m);
    cr_assert(sm_open_copy_add(&copy, &m.trace, in_window, m.decoder.names, m.scopes));
}

static uint64_t id_at(uint32_t i)
{
    const uint8_t *p = (const uint8_t *)copy.spans[i].bytes.ptr, *end = sm_pb_end(p, copy.spans[i].bytes.len);
    struct sm_pb_field f;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number == 2)
            return sm_load_be64(f.bytes);
    }
    return 0;
}

Test(open_copy, parts_of_one_trace_become_one)
{
    maker_init(&m, NULL);
    sm_open_copy_reset(&copy, 1 << 20);
    add_trace(1, 10, 2, 500, true);
    add_trace(2, 20, 1, 400, false);
    add_trace(1, 30, 3, 300, false);
    add_trace(2, 40, 1, 600, false);
    sm_open_copy_finish(&copy);
    cr_assert_eq(copy.trace_count, 2);
    const struct sm_open_trace *a = &copy.traces[0], *b = &copy.traces[1];
    cr_expect(a->id.lo == 1 && a->count == 5 && a->in_window && a->start_ns == 300 * (uint64_t)SM_MS);
    cr_expect(b->id.lo == 2 && b->count == 2 && !b->in_window && b->start_ns == 400 * (uint64_t)SM_MS);
    static const uint64_t ids[] = {10, 11, 30, 31, 32, 20, 40};
    for (uint32_t i = 0; i < SM_ARRAY_LEN(ids); i++)
        cr_expect_eq(id_at((i < 5 ? a->first : b->first - 5) + i), ids[i], "span %u", i);
    cr_expect(sm_str_eq(copy.spans[a->first].resource, copy.spans[b->first].resource));
    sm_open_copy_fini(&copy);
    maker_fini(&m);
}

Test(open_copy, what_does_not_fit_leaves_no_trace)
{
    maker_init(&m, NULL);
    sm_open_copy_reset(&copy, 200);
    add_trace(1, 10, 1, 500, true);
    maker_restart(&m, (struct sm_trace_id){.lo = 2});
    maker_resource(&m);
    for (unsigned i = 0; i < 9; i++)
        maker_span(&m, (struct maker_span){.id = 1 + i, .name = "a long name for a span, as they are"});
    (void)maker_view(&m);
    cr_expect_not(sm_open_copy_add(&copy, &m.trace, true, m.decoder.names, m.scopes));
    sm_open_copy_finish(&copy);
    cr_expect(copy.trace_count == 1 && copy.span_count == 1 && id_at(0) == 10);
    sm_open_copy_fini(&copy);
    maker_fini(&m);
}
