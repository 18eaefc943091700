#include "ingest/offsets.h"

#include <criterion/criterion.h>

static const struct sm_durable at_once;

Test(offsets, an_offset_is_given_out_behind_everything_that_is_through)
{
    struct sm_offsets o;
    sm_offsets_init(&o);
    cr_expect(sm_offsets_settled(&o));
    cr_expect_eq(sm_offsets_step(&o, 100, &at_once), SM_OFFSET_NONE, "nothing was read");
    sm_offsets_note(&o, 10, 501);
    sm_offsets_note(&o, 10, 502);
    sm_offsets_note(&o, 12, 503);
    cr_expect_eq(sm_offsets_step(&o, 10, &at_once), SM_OFFSET_NONE, "epoch 10 still lives");
    cr_expect_eq(sm_offsets_step(&o, 11, &at_once), 502);
    cr_expect_eq(sm_offsets_step(&o, 12, &at_once), SM_OFFSET_NONE, "given out once");
    cr_expect_not(sm_offsets_settled(&o));
    sm_offsets_note(&o, 12, 504);
    cr_expect_eq(sm_offsets_step(&o, 13, &at_once), 504);
    cr_expect(sm_offsets_settled(&o));
    sm_offsets_fini(&o);
}

Test(offsets, a_log_that_began_anew_is_followed)
{
    struct sm_offsets o;
    sm_offsets_init(&o);
    sm_offsets_note(&o, 1, 5000);
    sm_offsets_note(&o, 1, 1);
    sm_offsets_note(&o, 2, 2);
    cr_expect_eq(sm_offsets_step(&o, 2, &at_once), 1);
    cr_expect_eq(sm_offsets_step(&o, 3, &at_once), 2);
    sm_offsets_fini(&o);
}

struct progress {
    uint64_t written, durable;
};

static uint64_t written(void *ctx)
{
    return ((struct progress *)ctx)->written;
}

static uint64_t durable(void *ctx)
{
    return ((struct progress *)ctx)->durable;
}

Test(offsets, what_is_written_but_not_synced_waits)
{
    struct progress p = {.written = 7, .durable = 5};
    struct sm_durable store = {written, durable, &p};
    struct sm_offsets o;
    sm_offsets_init(&o);
    sm_offsets_note(&o, 1, 10);
    cr_expect_eq(sm_offsets_step(&o, 2, &store), SM_OFFSET_NONE);
    cr_expect_not(sm_offsets_settled(&o));
    sm_offsets_note(&o, 2, 20);
    p.written = 9; /* of later traces, for which the first offset need not wait */
    p.durable = 6;
    cr_expect_eq(sm_offsets_step(&o, 3, &store), SM_OFFSET_NONE);
    p.durable = 7;
    cr_expect_eq(sm_offsets_step(&o, 3, &store), 10);
    cr_expect_eq(sm_offsets_step(&o, 3, &store), SM_OFFSET_NONE, "the second one needs record 9");
    p.durable = 9;
    cr_expect_eq(sm_offsets_step(&o, 3, &store), 20);
    cr_expect(sm_offsets_settled(&o));
    sm_offsets_fini(&o);
}

Test(offsets, a_copy_on_its_way_holds_its_entry)
{
    struct sm_offsets o;
    sm_offsets_init(&o);
    sm_offsets_note(&o, 1, 1);
    sm_offsets_note(&o, 2, 2);
    uint64_t first = sm_offsets_copied(&o);
    sm_offsets_note(&o, 2, 3);
    uint64_t second = sm_offsets_copied(&o);
    sm_offsets_note(&o, 3, 4);
    cr_expect_eq(sm_offsets_step(&o, 9, &at_once), 1);
    sm_offsets_arrived(&o, second);
    cr_expect_eq(sm_offsets_step(&o, 9, &at_once), SM_OFFSET_NONE);
    sm_offsets_arrived(&o, first);
    sm_offsets_arrived(&o, first + 100);
    cr_expect_eq(sm_offsets_step(&o, 9, &at_once), 4);
    sm_offsets_arrived(&o, first);
    cr_expect(sm_offsets_settled(&o));
    sm_offsets_fini(&o);
}

/* Entries of epochs that are not through pile up; the ring grows to its limit, and then the newest entry takes up the rest. */
Test(offsets, memory_is_bounded)
{
    struct sm_offsets o;
    sm_offsets_init(&o);
    for (uint32_t i = 1; i <= 3 * SM_OFFSETS_ENTRIES_MAX; i++)
        sm_offsets_note(&o, i, 10 * (int64_t)i);
    cr_expect_eq(o.capacity, SM_OFFSETS_ENTRIES_MAX);
    cr_expect_eq(sm_offsets_step(&o, 3, &at_once), 20);
    cr_expect_eq(sm_offsets_step(&o, SM_OFFSETS_ENTRIES_MAX, &at_once), 10 * (SM_OFFSETS_ENTRIES_MAX - 1));
    cr_expect_eq(sm_offsets_step(&o, 3 * SM_OFFSETS_ENTRIES_MAX, &at_once), SM_OFFSET_NONE, "as new as its newest message");
    sm_offsets_note(&o, 3 * SM_OFFSETS_ENTRIES_MAX + 1, 7777777);
    cr_expect_eq(sm_offsets_step(&o, 3 * SM_OFFSETS_ENTRIES_MAX + 1, &at_once), 30 * SM_OFFSETS_ENTRIES_MAX);
    cr_expect_eq(sm_offsets_step(&o, UINT32_MAX, &at_once), 7777777);
    sm_offsets_fini(&o);
}
