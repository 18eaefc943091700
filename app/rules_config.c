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

static enum sm_rc explain(const struct sm_config *c, const struct sm_rules_error *e, enum sm_rc rc, struct sm_err *err)
{
    if (e->rule >= c->rules.n)
        return sm_err_set(err, rc, "%s", e->text);
    const struct sm_config_rule *r = &c->rules.items[e->rule];
    struct sm_config_pos pos = r->pos;
    if (r->when.text && e->part && strcmp(e->part, "when") == 0)
        pos = sm_config_query_pos(&r->when, e->query.offset);
    return sm_err_set(err, rc, "%s:%u:%u: rules[%zu].%s: %s", pos.file ? pos.file : "(default)", pos.line, pos.column, e->rule,
                      e->part, e->text);
}

enum sm_rc sm_rules_config_compile(const struct sm_config *config, struct sm_wanted *wanted, struct sm_rules **rules,
                                   struct sm_err *err)
{
    size_t n = config->rules.n;
    struct sm_rule_spec *specs = sm_xcalloc(SM_MAX(n, (size_t)1), sizeof *specs);
    for (size_t i = 0; i < n; i++)
        specs[i] = spec_of(&config->rules.items[i]);
    struct sm_rules_config rc_config = {.rules = specs, .count = n, 
                                        .priority = (enum sm_rules_priority)config->sampling.priority,
                                        .priority_spans_per_second = config->sampling.priority_spans_per_second};
    _Static_assert((int)SM_CONFIG_PRIORITY_RATE == (int)SM_RULES_PRIORITY_RATE &&
                       (int)SM_CONFIG_PRIORITY_OFF == (int)SM_RULES_PRIORITY_OFF,
                   "the configuration's choices are the rules'");
    struct sm_rules_error error;
    enum sm_rc rc = sm_rules_new(&rc_config, wanted, rules, &error);
    free(specs);
    return rc == SM_OK ? SM_OK : explain(config, &error, rc, err);
}
