/* From configured rules to compiled ones. */
#ifndef SM_RULES_CONFIG_H
#define SM_RULES_CONFIG_H

#include "app/config.h"
#include "pipeline/sample/rules.h"

/* Compiles config->rules; keys they want are added to `wanted`. The error text has file, line and column of the mistake. */
enum sm_rc sm_rules_config_compile(const struct sm_config *config, struct sm_wanted *wanted, struct sm_rules **rules,
                                   struct sm_err *err) SM_MUST_USE;

/* Reports everything that is wrong with the rules, each with its place in the file; nothing is kept. Of a configuration that is
 * not valid in other respects only the queries are looked at. */
void sm_rules_config_check(const struct sm_config *config, bool is_valid, struct sm_config_report *report);

#endif
