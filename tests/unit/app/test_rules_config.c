#include "app/rules_config.h"

#include <criterion/criterion.h>

static struct sm_config *config;
static struct sm_config_report report;

static void setup(void)
{
    config = sm_config_new();
}

static void teardown(void)
{
    sm_config_free(config);
    sm_config_report_fini(&report);
}

TestSuite(rules_config, .init = setup, .fini = teardown);

static void load(const char *yaml)
{
    cr_assert(sm_config_load_text(config, "f.yaml", sm_str_c(yaml), &report), "%s", sm_config_report_text(&report));
}

Test(rules_config, good_rules_compile_to_a_policy)
{
    load("rules:\n"
         "  - {name: a, when: '{ status = error }', keep: true}\n"
         "  - {name: b, when: '{ span.http.method = \"GET\" }', ratio: 10%, of: arriving}\n"
         "  - {name: c, rate: {spans_per_second: 5}, else: next}\n"
         "  - {name: d, drop: true}\n");
    sm_rules_config_check(config, true, &report);
    cr_assert_eq(report.count, 0u);
    struct sm_wanted *wanted = sm_wanted_new(1);
    struct sm_rules *rules;
    struct sm_err err;
    cr_assert_eq(sm_rules_config_compile(config, wanted, &rules, &err), SM_OK);
    const struct sm_policy *policy = sm_rules_policy(rules);
    cr_expect_eq(policy->rule_count, 5u); /* and the implicit one */
    cr_expect_str_eq(policy->rule_name(policy->rules, 1), "a");
    cr_expect_eq(policy->limiter_count, 1u);
    sm_rules_free(rules);
    sm_wanted_free(wanted);
}

Test(rules_config, every_wrong_query_is_reported_where_it_stands)
{
    load("rules:\n"
         "  - {name: a, when: '{ status = eror }', keep: true}\n"
         "  - {name: b, when: '{ kind = server }', keep: true}\n"
         "  - name: c\n"
         "    when: |\n"
         "      { status = error\n"
         "        && name =~ \"(\" }\n"
         "    keep: true\n"
         "  - {name: d, when: '{ status = ${SM_TEST_NOT_SET:-eror} }', keep: true}\n");
    sm_rules_config_check(config, true, &report);
    const char *text = sm_config_report_text(&report);
    cr_expect_eq(report.count, 3u, "%s", text);
    cr_expect_not_null(strstr(text, "f.yaml:2:33: rules[0].when: "), "%s", text);
    cr_expect_not_null(strstr(text, "\nf.yaml:7:20: rules[2].when: "), "%s", text);
    cr_expect_not_null(strstr(text, "\nf.yaml:9:22: rules[3].when: "), "%s", text);
    cr_expect_not_null(strstr(text, "(line 1, column 12 of the query)\n"), "%s", text);
}

Test(rules_config, queries_are_looked_at_beside_other_mistakes)
{
    cr_assert_not(sm_config_load_text(config, "f.yaml",
                                      SM_STR("rules:\n"
                                             "  - {name: a, when: '{ status = eror }', ratio: 110%}\n"
                                             "  - {name: a, when: '{ status = error }', wen: x}\n"
                                             "  - {when: '{ kind = sever }'}\n"),
                                      &report));
    unsigned before = report.count;
    sm_rules_config_check(config, false, &report);
    const char *text = sm_config_report_text(&report);
    cr_expect_eq(report.count, before + 2, "%s", text);
    cr_expect_not_null(strstr(text, "\nf.yaml:2:33: rules[0].when: "), "%s", text);
    cr_expect_not_null(strstr(text, "\nf.yaml:4:22: rules[2].when: "), "%s", text);
}

Test(rules_config, compile_names_the_first_mistake)
{
    load("rules:\n  - {name: a, when: '{ status = eror }', keep: true}\n");
    struct sm_wanted *wanted = sm_wanted_new(1);
    struct sm_rules *rules;
    struct sm_err err;
    cr_assert_eq(sm_rules_config_compile(config, wanted, &rules, &err), SM_E_INVALID);
    cr_expect_eq(strncmp(err.text, "f.yaml:2:33: rules[0].when: ", 28), 0, "%s", err.text);
    sm_wanted_free(wanted);
}

Test(rules_config, more_attribute_keys_than_the_table_holds_is_no_mistake)
{
    struct sm_buf yaml = {0};
    sm_buf_puts(&yaml, "rules:\n");
    for (int i = 0; i < 400; i++)
        sm_buf_printf(&yaml, "  - {name: r%d, when: '{ span.key%d = 1 }', drop: true}\n", i, i);
    sm_buf_putc(&yaml, '\0');
    load((const char *)yaml.data);
    sm_buf_fini(&yaml);
    sm_rules_config_check(config, true, &report);
    cr_expect_eq(report.count, 0u, "%s", sm_config_report_text(&report));
}
