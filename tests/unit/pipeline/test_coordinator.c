#include "pipeline/coordinator.h"
#include "pipeline/sample/rules.h"

#include <criterion/criterion.h>

static struct sm_wanted *wanted;
static struct sm_rules *rules;
static struct sm_coordinator *c;

static void open_with(const struct sm_rule_spec *specs, size_t n, unsigned shards)
{
    struct sm_rules_error error;
    struct sm_rules_config config = {.rules = specs, .count = n, .priority = SM_RULES_PRIORITY_OFF};
    wanted = sm_wanted_new(1);
    cr_assert_eq(sm_rules_new(&config, wanted, &rules, &error), SM_OK, "%s", error.text);
    c = sm_coordinator_new(sm_rules_policy(rules), shards);
}

static void close_all(void)
{
    sm_coordinator_free(c);
    sm_rules_free(rules);
    sm_wanted_free(wanted);
}

static struct sm_limiter_candidate candidate(uint64_t randomness, uint32_t cost)
{
    return (struct sm_limiter_candidate){randomness, {.lo = randomness + 1}, cost, 0};
}

static bool granted(uint16_t limiter, uint64_t randomness, uint32_t cost)
{
    struct sm_limiter_candidate k = candidate(randomness, cost);
    uint64_t threshold;
    return sm_coordinator_granted(c, limiter, &k, &threshold);
}

static const struct sm_rule_spec two_limits[] = {
    {.name = "a", .when = "{ status = error }", .action = SM_RULE_RATE, .spans_per_second = 10, .burst_spans = 10},
    {.name = "b", .action = SM_RULE_RATE, .spans_per_second = 4, .burst_spans = 4}};

Test(coordinator, the_last_shard_to_post_solves_for_all)
{
    open_with(two_limits, 2, 3);
    for (unsigned shard = 0; shard < 3; shard++)
        cr_expect(sm_coordinator_solved(c, shard), "nothing posted, nothing to wait for");
    sm_coordinator_post(c, 2, SM_SEC);
    cr_expect_not(sm_coordinator_solved(c, 2));
    cr_expect(sm_coordinator_solved(c, 0));
    sm_coordinator_post(c, 0, SM_SEC);
    cr_expect_not(sm_coordinator_solved(c, 0));
    sm_coordinator_post(c, 1, SM_SEC);
    for (unsigned shard = 0; shard < 3; shard++)
        cr_expect(sm_coordinator_solved(c, shard));
    close_all();
}

/* Eight candidates of cost 1 spread over the shards: the four of highest randomness, wherever they came from. */
Test(coordinator, spends_from_the_top_over_all_shards)
{
    for (unsigned shards = 1; shards <= 4; shards++) {
        open_with(two_limits, 2, shards);
        for (unsigned i = 0; i < 8; i++) {
            struct sm_limiter_candidate k = candidate((uint64_t)(i * 5 % 8) << 48, 1);
            sm_coordinator_ask(c, i % shards, 1, &k);
        }
        for (unsigned shard = 0; shard < shards; shard++)
            sm_coordinator_post(c, shard, SM_SEC);
        for (uint64_t i = 0; i < 8; i++)
            cr_expect_eq(granted(1, i << 48, 1), i >= 4, "%u shards, candidate %lu", shards, (unsigned long)i);
        cr_expect(granted(0, 0, 1), "nobody asked the other limit, it is open");
        close_all();
    }
}

Test(coordinator, candidates_belong_to_their_tick)
{
    open_with(two_limits, 2, 1);
    struct sm_limiter_candidate k = candidate(1, 4);
    sm_coordinator_ask(c, 0, 1, &k);
    sm_coordinator_post(c, 0, SM_SEC);
    cr_expect(granted(1, 1, 4));
    sm_coordinator_ask(c, 0, 1, &k);
    sm_coordinator_post(c, 0, SM_SEC + SM_SEC / 10);
    cr_expect_not(granted(1, 1, 4), "the bucket is empty");
    sm_coordinator_post(c, 0, 3 * SM_SEC);
    sm_coordinator_ask(c, 0, 1, &k);
    sm_coordinator_post(c, 0, 3 * SM_SEC + SM_SEC / 10);
    cr_expect(granted(1, 1, 4), "full again, and what was asked before does not count twice");
    close_all();
}
