/* The control loop on a clock of its own. A model of clients samples by the rates that it asks for now and then. */
#include "analysis/adaptive.h"

#include <criterion/criterion.h>
#include <math.h>

#define MINUTE (60 * SM_SEC)

static struct sm_names *names;
static struct sm_adaptive_config config;
static struct sm_adaptive *adaptive;
static uint32_t service, operation;
static int64_t now_ns;

static void setup(void)
{
    names = sm_names_new(1000, 1 << 20);
    service = sm_names_intern(names, SM_STR("shop"));
    operation = sm_names_intern(names, SM_STR("GET /"));
    config = (struct sm_adaptive_config){.names = names,
                                         .target = 1,
                                         .initial = 0.001,
                                         .least = 1e-5,
                                         .lower_bound = 1.0 / 60,
                                         .tolerance = 0.3,
                                         .interval_ns = MINUTE,
                                         .intervals = 1,
                                         .operations_max = 3};
}

static void start(void)
{
    sm_adaptive_free(adaptive);
    adaptive = sm_adaptive_new(&config, now_ns);
}

static void teardown(void)
{
    sm_adaptive_free(adaptive);
    sm_names_free(names);
}

TestSuite(adaptive, .init = setup, .fini = teardown);

static uint32_t units(double probability)
{
    return (uint32_t)lround(probability * SM_ADAPTIVE_UNIT);
}

static void seen(double probability, uint64_t count)
{
    sm_adaptive_seen(adaptive, service, operation, units(probability), false, count);
}

static void seen_by_bound(double probability, uint64_t count)
{
    sm_adaptive_seen(adaptive, service, operation, units(probability), true, count);
}

/* The probability of the operation; 0: it has none. */
static double probability(void)
{
    struct sm_rates *rates = sm_adaptive_rates(adaptive);
    uint32_t count;
    const struct sm_rate *rate = sm_rates_find(rates, SM_STR("shop"), &count);
    double p = count ? rate->probability : 0;
    cr_assert_eq(rates->initial, config.initial);
    cr_assert_eq(rates->lower_bound, config.lower_bound);
    sm_rates_free(rates);
    return p;
}

static double after_a_minute(void)
{
    now_ns += MINUTE;
    (void)sm_adaptive_step(adaptive, now_ns);
    return probability();
}

static void expect_near(double found, double wanted)
{
    cr_expect_float_eq(found, wanted, wanted * 1e-6, "%.9g instead of %.9g", found, wanted);
}

Test(adaptive, too_many_samples_are_cut_at_once)
{
    start();
    seen(0.1, 600); /* 10 a second */
    expect_near(after_a_minute(), 0.01);
    seen(0.01, 60000);
    expect_near(after_a_minute(), 1e-5);
    seen(1e-5, 600000); /* far more than the least probability can help */
    expect_near(after_a_minute(), 1e-5);
}

Test(adaptive, too_few_samples_at_most_double_the_probability)
{
    start();
    seen(0.1, 6); /* a tenth of the target */
    expect_near(after_a_minute(), 0.2);
    seen(0.2, 36); /* 0.6 of it */
    expect_near(after_a_minute(), 0.2 / 0.6);
    seen_by_bound(0.2 / 0.6, 1); /* none but by the client's bound */
    expect_near(after_a_minute(), 0.4 / 0.6);
    seen_by_bound(0.4 / 0.6, 1);
    expect_near(after_a_minute(), 1);
    seen(1, 1);
    expect_near(after_a_minute(), 1);
}

Test(adaptive, within_the_tolerance_nothing_changes)
{
    start();
    seen(0.1, 60);
    expect_near(after_a_minute(), 0.1);
    cr_expect_not(sm_adaptive_step(adaptive, now_ns), "nothing to publish");
    seen(0.1, 43);
    expect_near(after_a_minute(), 0.1);
    seen(0.1, 77);
    expect_near(after_a_minute(), 0.1);
    seen(0.1, 79);
    expect_near(after_a_minute(), 0.1 * 60 / 79);
}

/* While clients go over from one probability to the next, spans of both come in: each counts by its own. */
Test(adaptive, spans_count_by_the_inverse_of_their_probability)
{
    start();
    seen(0.1, 600); /* 100 traces a second */
    expect_near(after_a_minute(), 0.01);
    seen(0.1, 300); /* half of the minute by each */
    seen(0.01, 30);
    expect_near(after_a_minute(), 0.01);
    seen(0.01, 60);
    expect_near(after_a_minute(), 0.01);
}

Test(adaptive, a_probability_that_nobody_uses_stays)
{
    start();
    seen(0.5, 600);
    expect_near(after_a_minute(), 0.05);
    for (unsigned i = 0; i < 5; i++) { /* a client that does not ask */
        seen(0.5, 6000);
        expect_near(after_a_minute(), 0.05);
    }
    seen(0.5, 5940); /* one that has asked appears */
    seen(0.05, 6);
    expect_near(after_a_minute(), 1.0 / 200);
}

Test(adaptive, the_initial_probability_is_taken_for_ours)
{
    start();
    seen(0.001, 0);
    seen_by_bound(0.002, 1); /* of a client that has another idea */
    expect_near(after_a_minute(), 0.002);
}

Test(adaptive, unknown_operations_begin_with_the_smallest_probability_that_is_told)
{
    start();
    cr_expect(sm_adaptive_step(adaptive, now_ns), "the table without operations");
    cr_expect_eq(probability(), 0);
    cr_expect_not(sm_adaptive_step(adaptive, now_ns));
    seen(0.5, 1);
    cr_expect(sm_adaptive_step(adaptive, now_ns), "to be told at once");
    expect_near(probability(), 0.5);
    seen(0.25, 1);
    seen(0.75, 1);
    expect_near(probability(), 0.25);
    seen(0.25, 60); /* 0.25: 4 traces a second and a few */
    expect_near(after_a_minute(), 0.25);
    seen(0.1, 1);
    expect_near(probability(), 0.25);
    seen(1e-7, 1);
    expect_near(probability(), 0.25);
}

Test(adaptive, one_below_the_least_is_raised_to_it)
{
    start();
    seen(1e-7, 1);
    expect_near(probability(), 1e-5);
    (void)sm_adaptive_step(adaptive, now_ns);
    seen(1e-7, 1);
    cr_expect_not(sm_adaptive_step(adaptive, now_ns), "no news each time");
}

Test(adaptive, newer_intervals_weigh_more)
{
    config.intervals = 3;
    start();
    seen(0.1, 60);
    expect_near(after_a_minute(), 0.1);
    seen(0.1, 120); /* 2 a second: (16 * 2 + 1) / 17 */
    expect_near(after_a_minute(), 0.1 / (33.0 / 17));
    config.intervals = 1;
    start();
    seen(0.1, 60);
    expect_near(after_a_minute(), 0.1);
    seen(0.1, 120);
    expect_near(after_a_minute(), 0.05);
}

Test(adaptive, what_is_not_seen_is_kept_for_ten_intervals)
{
    start();
    seen(0.1, 600);
    expect_near(after_a_minute(), 0.01);
    for (unsigned i = 0; i < 9; i++)
        expect_near(after_a_minute(), 0.01);
    seen(0.01, 60);
    expect_near(after_a_minute(), 0.01);
    for (unsigned i = 0; i < 9; i++)
        expect_near(after_a_minute(), 0.01);
    cr_expect_eq(sm_adaptive_operations(adaptive), 1);
    cr_expect_eq(after_a_minute(), 0);
    cr_expect_eq(sm_adaptive_operations(adaptive), 0);
}

Test(adaptive, operations_have_a_limit)
{
    start();
    for (uint32_t i = 0; i < 5; i++)
        sm_adaptive_seen(adaptive, service, operation + i, units(0.5), false, 2);
    cr_expect_eq(sm_adaptive_operations(adaptive), 3);
    cr_expect_eq(sm_adaptive_overflowed(adaptive), 4);
}

Test(adaptive, clocks_that_jump)
{
    start();
    seen(0.1, 600);
    now_ns -= 10 * MINUTE;
    (void)sm_adaptive_step(adaptive, now_ns);
    expect_near(probability(), 0.1);
    seen(0.1, 600); /* 1,200 in the minute that follows */
    expect_near(after_a_minute(), 0.005);
}

Test(adaptive, huge_counts)
{
    start();
    sm_adaptive_seen(adaptive, service, operation, 1, false, UINT64_MAX);
    sm_adaptive_seen(adaptive, service, operation, 1, false, UINT64_MAX);
    expect_near(after_a_minute(), 1e-5);
}

/* Clients that ask every minute, in turn, about a traffic that changes: after a few minutes the target is met. */
Test(adaptive, clients_reach_the_target)
{
    enum { CLIENTS = 6, TICKS = 6 };
    static const struct {
        unsigned minutes;
        double traces_per_second; /* of all clients */
    } days[] = {{30, 2000}, {30, 50}, {30, 0.5}, {30, 20000}};
    double rates[CLIENTS];
    start();
    for (unsigned i = 0; i < CLIENTS; i++)
        rates[i] = config.initial;
    for (unsigned d = 0; d < SM_ARRAY_LEN(days); d++) {
        for (unsigned minute = 0; minute < days[d].minutes; minute++) {
            double samples = 0, per_tick = days[d].traces_per_second * 60 / CLIENTS / TICKS;
            for (unsigned tick = 0; tick < TICKS; tick++) {
                for (unsigned i = 0; i < CLIENTS; i++) {
                    static double part[CLIENTS]; /* of a sample, left over */
                    part[i] += per_tick * rates[i];
                    uint64_t whole = (uint64_t)part[i];
                    part[i] -= (double)whole;
                    samples += (double)whole;
                    if (whole)
                        seen(rates[i], whole);
                    else
                        seen_by_bound(rates[i], 1);
                }
                now_ns += MINUTE / TICKS;
                (void)sm_adaptive_step(adaptive, now_ns);
                double p = probability();
                rates[tick] = p > 0 ? p : config.initial; /* one client asks */
            }
            if (minute >= 20)
                cr_expect_float_eq(samples / 60, fmin(1, days[d].traces_per_second), 0.5, "%g a second at %g, minute %u", samples / 60,
                                   days[d].traces_per_second, minute);
        }
    }
}
