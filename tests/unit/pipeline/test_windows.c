#include "pipeline/windows.h"

#include "tests/support/pipeline_rig.h"

#define T0 RIG_START_NS
#define MS(n) ((n) * SM_MS)

static struct rig r;

Test(windows, with_a_root_it_closes_after_quiet)
{
    rig_open(&r);
    rig_span(&r, T0, (struct rig_span){.trace = 1, .id = 2, .parent = 1});
    rig_advance(&r, T0 + MS(5000));
    rig_span(&r, T0 + MS(5000), (struct rig_span){.trace = 1, .id = 1});
    rig_advance(&r, T0 + MS(9000));
    rig_span(&r, T0 + MS(9050), (struct rig_span){.trace = 1, .id = 3, .parent = 1});
    rig_expect_closes(&r, T0 + MS(15050), SM_TRIGGER_ROOT);
    cr_expect_eq(r.seen[0].spans, 3);
    cr_expect_eq(rig_stat(&r, SM_STAT_CLOSED_ROOT), 1);
    rig_close(&r);
}

Test(windows, without_a_root_it_closes_when_idle)
{
    rig_open(&r);
    rig_span(&r, T0, (struct rig_span){.trace = 1, .id = 2, .parent = 1});
    rig_span(&r, T0 + MS(4000), (struct rig_span){.trace = 1, .id = 3, .parent = 1});
    rig_expect_closes(&r, T0 + MS(19000), SM_TRIGGER_IDLE);
    rig_close(&r);
}

Test(windows, a_root_that_comes_late_shortens_the_wait)
{
    rig_open(&r);
    rig_span(&r, T0, (struct rig_span){.trace = 1, .id = 2, .parent = 1});
    rig_advance(&r, T0 + MS(8000));
    rig_span(&r, T0 + MS(8000), (struct rig_span){.trace = 1, .id = 1});
    rig_expect_closes(&r, T0 + MS(14000), SM_TRIGGER_ROOT);
    rig_close(&r);
}

Test(windows, a_trace_that_never_rests_closes_by_age)
{
    rig_open(&r);
    for (int64_t at = 0; at < 120; at++) {
        rig_advance(&r, T0 + at * SM_SEC);
        rig_span(&r, T0 + at * SM_SEC, (struct rig_span){.trace = 1, .id = (uint64_t)at + 1});
    }
    rig_expect_closes(&r, T0 + 120 * SM_SEC, SM_TRIGGER_AGE);
    cr_expect_eq(rig_only_seen(&r)->spans, 120);
    rig_close(&r);
}

Test(windows, windows_longer_than_the_wheel)
{
    r.windows = sm_windows_default;
    r.windows.idle_ns = 600 * SM_SEC;
    r.windows.max_age_ns = 3600 * SM_SEC;
    rig_open(&r);
    rig_span(&r, T0, (struct rig_span){.trace = 1, .id = 2, .parent = 1});
    rig_expect_closes(&r, T0 + 600 * SM_SEC, SM_TRIGGER_IDLE);
    rig_close(&r);
}

Test(windows, windows_shorter_than_a_tick)
{
    r.windows = sm_windows_default;
    r.windows.after_root_ns = r.windows.idle_ns = 1;
    rig_open(&r);
    rig_span(&r, T0, (struct rig_span){.trace = 1, .id = 1});
    rig_advance(&r, T0 + 2 * SM_TICK_NS);
    cr_expect_eq(rig_only_seen(&r)->trigger, SM_TRIGGER_ROOT);
    rig_close(&r);
}

Test(windows, idle_is_for_windows_without_a_root)
{
    r.windows = sm_windows_default;
    r.windows.idle_ns = MS(4600);
    r.windows.after_root_ns = MS(5000);
    rig_open(&r);
    rig_span(&r, T0, (struct rig_span){.trace = 1, .id = 1, .parent = 100});
    rig_advance(&r, T0 + MS(300));
    rig_span(&r, T0 + MS(300), (struct rig_span){.trace = 1, .id = 2});
    rig_expect_closes(&r, T0 + MS(5300), SM_TRIGGER_ROOT);
    rig_close(&r);
}

Test(windows, a_short_idle_is_kept)
{
    r.windows = sm_windows_default;
    r.windows.idle_ns = MS(200);
    r.windows.after_root_ns = MS(5000);
    rig_open(&r);
    rig_span(&r, T0, (struct rig_span){.trace = 1, .id = 1, .parent = 100});
    rig_expect_closes(&r, T0 + MS(200), SM_TRIGGER_IDLE);
    rig_close(&r);
}

/* Looked at no later than it is due, and due at the very moment. */
Test(windows, they_are_looked_at_when_they_are_due)
{
    const struct sm_windows w = {.after_root_ns = 60, .idle_ns = 150, .max_age_ns = 1000, .late_ns = 20};
    for (unsigned kind = 0; kind < 3; kind++) {
        for (int64_t last_ns = 100; last_ns < 1200; last_ns += 50) {
            struct sm_trace t = {.opened_ns = 100, .last_ns = last_ns, .has_root = kind == 1, .late = kind == 2};
            int64_t now_ns = last_ns, at_ns;
            while ((at_ns = sm_windows_look_at_ns(&w, &t, now_ns)) > now_ns && !sm_windows_due(&w, &t, at_ns)) {
                cr_assert(kind == 0 && at_ns == now_ns + w.after_root_ns, "a root may come meanwhile");
                now_ns = at_ns;
            }
            cr_expect_eq(sm_windows_due(&w, &t, at_ns - 1), SM_TRIGGER_NONE, "kind %u, last %ld", kind, (long)last_ns);
            cr_expect_neq(sm_windows_due(&w, &t, at_ns), SM_TRIGGER_NONE, "kind %u, last %ld", kind, (long)last_ns);
        }
    }
}
