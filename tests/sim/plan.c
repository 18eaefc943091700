/* From a seed to settings. */
#include "sim.h"

#include <stdlib.h>

/* What waits for a limiter is decided a little later than it closes. The model knows one such wait, at a tick. */
static void put_rule(struct sm_buf *out, struct sim_random *r, unsigned index, unsigned *rates)
{
    static const char *const conditions[] = {
        "{ status = error }",
        "{ traceDuration > 100ms }",
        "{ resource.service.name = \"p0s0\" }",
        "{ name = \"op1\" && kind = server }",
        "{ duration > 20ms }",
        "{ span.peer.service = \"p1x0\" }",
    };
    sm_buf_printf(out, "  - name: r%u\n", index);
    if (sim_percent(r, 80))
        sm_buf_printf(out, "    when: '%s'\n", conditions[sim_below(r, SM_ARRAY_LEN(conditions))]);
    switch (sim_below(r, *rates ? 6 : 4)) {
    case 0:
        sm_buf_puts(out, "    keep: true\n");
        break;
    case 1:
        sm_buf_puts(out, "    drop: true\n");
        break;
    case 2:
    case 3:
        sm_buf_printf(out, "    ratio: %u%%\n", (unsigned)sim_between(r, 0, 100));
        if (sim_percent(r, 30))
            sm_buf_puts(out, "    of: arriving\n");
        break;
    default:
        (*rates)--;
        sm_buf_printf(out, "    rate: {spans_per_second: %u, burst: %u}\n", (unsigned)sim_between(r, 1, 200),
                      (unsigned)sim_between(r, 1, 300));
        if (sim_percent(r, 50))
            sm_buf_puts(out, "    else: next\n");
        break;
    }
    if (sim_percent(r, 15))
        sm_buf_puts(out, "    shadow: true\n");
}

static void put_rules(struct sm_buf *out, struct sim_random *r, unsigned rates)
{
    unsigned count = (unsigned)sim_below(r, 5);
    if (count)
        sm_buf_puts(out, "rules:\n");
    for (unsigned i = 0; i < count; i++)
        put_rule(out, r, i, &rates);
}

static void make_config(struct sim_plan *plan, struct sim_random *r)
{
    struct sm_buf text = {0};
    sm_buf_printf(&text, "workers: 1\nsampling:\n  priority: %s\n",
                  (const char *const[]){"keep", "off", "rate"}[sim_below(r, plan->exact ? 2 : 3)]);
    put_rules(&text, r, !plan->exact ? 5 : plan->limits_split ? 0 : 1);
    plan->config = sm_config_new();
    struct sm_config_report report = {0};
    bool ok = sm_config_load_text(plan->config, "plan", sm_buf_str(&text), &report) &&
              sm_config_validate(plan->config, &report);
    if (!ok) {
        fprintf(stderr, "%s%.*s", sm_config_report_text(&report), SM_STR_ARG(sm_buf_str(&text)));
        abort();
    }
    sm_config_report_fini(&report);
    sm_buf_fini(&text);
}

static void make_windows(struct sim_plan *plan, struct sim_random *r)
{
    struct sm_config *c = plan->config;
    bool short_ones = sim_percent(r, 40);
    c->windows.after_root_ns = (int64_t)sim_between(r, short_ones ? 0 : 30, short_ones ? 20 : 80) * 100 * SM_MS;
    c->windows.idle_ns = (int64_t)sim_between(r, short_ones ? 1 : 60, 200) * 73 * SM_MS;
    c->windows.max_age_ns = (int64_t)sim_between(r, short_ones ? 2 : 30, 300) * SM_SEC;
    if (plan->limits_split) {
        c->windows.max_spans = (uint32_t)sim_between(r, 1, 60);
        c->windows.max_bytes = sim_between(r, 500, 60000);
    }
}

static void make_memory(struct sim_plan *plan, struct sim_random *r)
{
    struct sm_config *c = plan->config;
    plan->caches_hold = plan->exact || sim_percent(r, 50);
    c->late.memory_bytes = 32 * SM_MIB;
    c->late.grace_ns = (int64_t)sim_between(r, 0, 90) * SM_SEC;
    c->memory.budget = (struct sm_config_amount){.bytes = 256 * SM_MIB};
    if (!plan->caches_hold) {
        c->late.kept_max = (uint32_t)sim_below(r, 50);
        c->late.dropped_max = (uint32_t)sim_below(r, 50);
        c->late.memory_bytes = sim_below(r, 20000);
    }
    if (plan->memory) {
        c->memory.budget.bytes = sim_between(r, 60, 1500) * SM_KIB;
        c->memory.soft = 0.5;
        c->memory.hard = 0.7;
    }
}

static void make_faults(struct sim_plan *plan, struct sim_random *r)
{
    plan->fault_count = plan->ordered ? 0 : (unsigned)sim_below(r, 4);
    plan->fault_queue_bytes = sim_percent(r, 50) ? sim_between(r, 1, 200) * SM_KIB : 0;
    plan->retry = (struct sm_sink_retry){(int64_t)sim_between(r, 10, 3000) * SM_MS, 5 * SM_SEC,
                                         (int64_t)sim_below(r, 30) * SM_SEC};
    for (unsigned i = 0; i < plan->fault_count; i++)
        plan->faults[i] = (struct faulty_plan){
            .again_percent = (unsigned)sim_below(r, 50),
            .reject_percent = (unsigned)sim_below(r, 20),
            .partial_percent = (unsigned)sim_below(r, 20),
            .slow_percent = (unsigned)sim_below(r, 100),
            .slow_ms = (unsigned)sim_between(r, 1, 20000),
            .dead = sim_percent(r, 15),
            .seed = sim_next(r),
        };
}

void sim_plan_make(struct sim_plan *plan, uint64_t seed)
{
    struct sim_random r = {seed * 2 + 1};
    *plan = (struct sim_plan){.seed = seed};
    plan->exact = sim_percent(&r, 60);
    plan->memory = !plan->exact && sim_percent(&r, 40);
    plan->ordered = sim_percent(&r, 30);
    plan->limits_split = sim_percent(&r, 25);
    make_config(plan, &r);
    make_windows(plan, &r);
    make_memory(plan, &r);
    make_faults(plan, &r);
    plan->traces = (unsigned)(sim_percent(&r, 20) ? sim_between(&r, 1, 10) : sim_between(&r, 20, 250));
    plan->span_ns = (int64_t)sim_between(&r, 1, 60) * SM_SEC;
    plan->late_ns = (int64_t)sim_between(&r, 5, 120) * SM_SEC;
    plan->late_percent = (unsigned)sim_below(&r, 30);
    plan->duplicate_percent = (unsigned)sim_below(&r, 12);
    plan->delay_ms = (unsigned)sim_between(&r, 10, 3000);
    plan->tail_ms = sim_percent(&r, 30) ? 0 : (unsigned)sim_below(&r, 200000);
    plan->jump_ns = sim_percent(&r, 15) ? sim_between(&r, 1, 100000) * (uint64_t)SM_SEC : 0;
}

void sim_plan_free(struct sim_plan *plan)
{
    sm_config_free(plan->config);
}
