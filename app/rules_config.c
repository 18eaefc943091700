/* Turning struct sm_config_rule into struct sm_rule_spec. */
#include "app/rules_config.h"

#include <stdlib.h>

static struct sm_rule_spec spec_of(const struct sm_config_rule *r)
{
    struct sm_rule_spec s = {
        .name = r->name,
        .when = r->when.text,
        .else_next = r->otherwise == SM_CONFIG_ELSE_NEXT,
        .of_arriving = r->of == SM_CONFIG_OF_ARRIVING,
        .shadow = r->shadow,
    };
    if (r->keep) {
        s.action = SM_RULE_KEEP;
    } else if (r->drop) {
        s.action = SM_RULE_DROP;
    } else if (r->ratio >= 0) {
        s.action = SM_RULE_RATIO;
        s.ratio = r->ratio;
    } else {
        s.action = SM_RULE_RATE;
        s.spans_per_second = r->rate.spans_per_second;
        s.burst_spans = r->rate.burst > 0 ? r->rate.burst : 0;
    }
    return s;
}

/* Where the error is, as exactly as it is known. */
static struct sm_config_pos place_of(const struct sm_config *c, const struct sm_rules_error *e)
{
    const struct sm_config_rule *r = &c->rules.items[e->rule];
    bool in_query = r->when.text && strcmp(e->part, "when") == 0;
    return in_query ? sm_config_query_pos(&r->when, e->query.offset) : r->pos;
}

static void report_error(const struct sm_config *c, const struct sm_rules_error *e, struct sm_config_report *report)
{
    if (e->rule >= c->rules.n) {
        sm_config_report_add(report, NULL, "%s", e->text);
        return;
    }
    const struct sm_config_rule *r = &c->rules.items[e->rule];
    struct sm_config_pos pos = place_of(c, e);
    if (strcmp(e->part, "when") == 0 && r->when.text && !r->when.places)
        sm_config_report_add(report, &pos, "rules[%zu].when: %s (line %u, column %u of the query)", e->rule, e->text,
                             e->query.line, e->query.column);
    else
        sm_config_report_add(report, &pos, "rules[%zu].%s: %s", e->rule, e->part, e->text);
}

static enum sm_rc compile(const struct sm_config *config, const struct sm_rule_spec *specs, size_t n,
                          struct sm_wanted *wanted, struct sm_rules **rules, struct sm_rules_error *error)
{
    _Static_assert((int)SM_CONFIG_PRIORITY_RATE == (int)SM_RULES_PRIORITY_RATE &&
                       (int)SM_CONFIG_PRIORITY_OFF == (int)SM_RULES_PRIORITY_OFF,
                   "the configuration's choices are the rules'");
    struct sm_rules_config rules_config = {
        .rules = specs,
        .count = n,
        .priority = (enum sm_rules_priority)config->sampling.priority,
        .priority_spans_per_second = config->sampling.priority_spans_per_second,
    };
    return sm_rules_new(&rules_config, wanted, rules, error);
}

static struct sm_rule_spec *specs_of(const struct sm_config *config)
{
    struct sm_rule_spec *specs = sm_xcalloc(SM_MAX(config->rules.n, (size_t)1), sizeof *specs);
    for (size_t i = 0; i < config->rules.n; i++)
        specs[i] = spec_of(&config->rules.items[i]);
    return specs;
}

enum sm_rc sm_rules_config_compile(const struct sm_config *config, struct sm_wanted *wanted, struct sm_rules **rules,
                                   struct sm_err *err)
{
    struct sm_rule_spec *specs = specs_of(config);
    struct sm_rules_error error;
    enum sm_rc rc = compile(config, specs, config->rules.n, wanted, rules, &error);
    free(specs);
    if (rc == SM_OK)
        return SM_OK;
    struct sm_config_report report = {0};
    report_error(config, &error, &report);
    const char *text = sm_config_report_text(&report);
    sm_err_set(err, rc, "%.*s", (int)strcspn(text, "\n"), text);
    sm_config_report_fini(&report);
    return rc;
}

/* The first error of rules[from] and what follows it; true when there was one. */
static bool check_rules(const struct sm_config *config, const struct sm_rule_spec *specs, size_t from, size_t n,
                        struct sm_config_report *report)
{
    struct sm_wanted *wanted = sm_wanted_new(1);
    struct sm_rules *rules;
    struct sm_rules_error error;
    enum sm_rc rc = compile(config, specs + from, n, wanted, &rules, &error);
    if (rc == SM_OK) {
        sm_rules_free(rules);
    } else {
        error.rule = error.rule < n ? error.rule + from : config->rules.n;
        report_error(config, &error, report);
    }
    sm_wanted_free(wanted);
    return rc != SM_OK;
}

/* What is left of a rule when names and actions may be wrong, which has been reported. */
static void leave_queries(struct sm_rule_spec *specs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        specs[i] = (struct sm_rule_spec){.name = "query", .when = specs[i].when, .action = SM_RULE_KEEP};
}

void sm_rules_config_check(const struct sm_config *config, bool is_valid, struct sm_config_report *report)
{
    struct sm_rule_spec *specs = specs_of(config);
    bool wrong = !is_valid;
    if (!is_valid)
        leave_queries(specs, config->rules.n);
    for (size_t i = 0; i < config->rules.n; i++)
        wrong = check_rules(config, specs, i, 1, report) || wrong;
    if (!wrong) /* one by one they are fine; together they may be too many */
        check_rules(config, specs, 0, config->rules.n, report);
    free(specs);
}
