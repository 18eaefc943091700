#include "app/config.h"
#include "app/config_help.h"
#include "app/config_key.h"
#include "app/config_value.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

/* Reads one text and keeps what was said about it. */
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

TestSuite(config, .init = setup, .fini = teardown);

static const char *problems_of(bool ok)
{
    const char *text = sm_config_report_text(&report);
    cr_assert_eq(ok, *text == '\0');
    return text;
}

static const char *load(const char *yaml)
{
    return problems_of(sm_config_load_text(config, "f.yaml", sm_str_c(yaml), &report));
}

static const char *set(const char *assignment)
{
    return problems_of(sm_config_set(config, assignment, &report));
}

static const char *validate(void)
{
    return problems_of(sm_config_validate(config, &report));
}

static void clear(void)
{
    sm_config_report_fini(&report);
}

/* ---- defaults ---- */

Test(config, defaults_are_sound)
{
    cr_expect_str_eq(validate(), "");
    cr_expect_str_eq(config->listen.otlp_http, "127.0.0.1:4318");
    cr_expect_eq(config->windows.after_root_ns, 6 * SM_SEC);
    cr_expect_eq(config->windows.idle_ns, 15 * SM_SEC);
    cr_expect_eq(config->windows.max_age_ns, 120 * SM_SEC);
    cr_expect_eq(config->windows.max_spans, 100000u);
    cr_expect_eq(config->windows.max_bytes, 64 * SM_MIB);
    cr_expect(fabs(config->memory.budget.share - 0.75) < 1e-9);
    cr_expect_str_eq(config->store.path, "./data");
    cr_expect_eq(config->store.retention_ns, 7 * 86400 * SM_SEC);
    cr_expect_eq(config->log.level, SM_LOG_INFO);
    cr_expect_eq(config->log.format, SM_LOG_AUTO);
    cr_expect_eq(config->rules.n, 0u);
}

Test(config, defaults_of_limits_are_those_of_the_code)
{
    cr_expect_eq(memcmp(&config->http, &sm_http_limits_default, sizeof config->http), 0);
    cr_expect_eq(memcmp(&config->codec, &sm_codec_limits_default, sizeof config->codec), 0);
}

Test(config, every_key_has_sound_range_default_and_help)
{
    for (size_t i = 0; i < sm_config_key_count; i++) {
        const struct sm_config_key *key = &sm_config_keys[i];
        cr_expect(key->help && strlen(key->help) > 5, "%s", key->path);
        if (key->type == SM_CONFIG_SECTION)
            continue;
        cr_expect_eq(sm_config_key_find(sm_str_c(key->path)), key, "%s stands twice", key->path);
        char member[64] = {0};
        struct sm_err err = {0};
        bool number = key->type == SM_CONFIG_INT || key->type == SM_CONFIG_NUMBER || key->type == SM_CONFIG_RATIO ||
                      key->type == SM_CONFIG_SIZE || key->type == SM_CONFIG_DURATION || key->type == SM_CONFIG_AMOUNT;
        if (number) {
            cr_assert(key->size <= sizeof member);
            cr_expect_eq(sm_config_value_parse(key, sm_str_c(key->least), member, &err), SM_OK, "%s: %s", key->path, err.text);
            cr_expect_eq(sm_config_value_parse(key, sm_str_c(key->most), member, &err), SM_OK, "%s: %s", key->path, err.text);
        }
    }
}

Test(config, defaults_of_sinks_are_those_of_the_code)
{
    cr_assert_str_eq(load("sinks: [{name: a, type: otlp_http, endpoint: h}, {name: b, type: otlp_grpc, endpoint: h}]"), "");
    const struct sm_sink_ops *ops[] = {&sm_otlp_http_ops, &sm_otlp_grpc_ops};
    struct sm_sink_retry retry = SM_SINK_RETRY_DEFAULT;
    for (size_t i = 0; i < config->sinks.n; i++) {
        const struct sm_config_sink *sink = &config->sinks.items[i];
        cr_expect_eq(sink->batch.spans_max, ops[i]->batch_spans_max);
        cr_expect_eq(sink->batch.linger_ns, ops[i]->batch_linger_ns);
        cr_expect_eq(sink->in_flight_max, ops[i]->in_flight_max);
        cr_expect_eq(memcmp(&sink->retry, &retry, sizeof retry), 0);
    }
}

/* ---- types ---- */

struct value_case {
    const char *assignment;
    const char *problem; /* "" when fine */
};

static void check_cases(const struct value_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        cr_expect_str_eq(set(cases[i].assignment), cases[i].problem, "%s", cases[i].assignment);
        clear();
    }
}

Test(config, booleans)
{
    static const struct value_case cases[] = {
        {"store.enabled=false", ""},
        {"store.enabled=true", ""},
        {"store.enabled=yes", "--set: store.enabled: \"yes\" is neither true nor false\n"},
        {"store.enabled=", "--set: store.enabled: \"\" is neither true nor false\n"},
    };
    check_cases(cases, SM_ARRAY_LEN(cases));
    cr_assert_str_eq(set("store.enabled=false"), "");
    cr_assert(!config->store.enabled);
}

Test(config, integers)
{
    static const struct value_case cases[] = {
        {"workers=256", ""},
        {"windows.max_spans=10_000", ""},
        {"workers=257", "--set: workers: 257 is out of range (0 to 256)\n"},
        {"workers=-1", "--set: workers: \"-1\" is not an integer; write for example 1000 or 1_000\n"},
        {"workers=1.5", "--set: workers: \"1.5\" is not an integer; write for example 1000 or 1_000\n"},
        {"workers=", "--set: workers: \"\" is not an integer; write for example 1000 or 1_000\n"},
        {"workers=_1", "--set: workers: \"_1\" is not an integer; write for example 1000 or 1_000\n"},
        {"workers=1__0", "--set: workers: \"1__0\" is not an integer; write for example 1000 or 1_000\n"},
        {"workers=99999999999999999999",
         "--set: workers: \"99999999999999999999\" is not an integer; write for example 1000 or 1_000\n"},
        {"workers=4294967296", "--set: workers: 4294967296 is out of range (0 to 256)\n"},
        {"workers=0x10", "--set: workers: \"0x10\" is not an integer; write for example 1000 or 1_000\n"},
    };
    check_cases(cases, SM_ARRAY_LEN(cases));
    set("windows.max_spans=10_000");
    cr_assert_eq(config->windows.max_spans, 10000u);
}

Test(config, sizes)
{
    static const struct {
        const char *assignment;
        uint64_t bytes;
    } good[] = {
        {"windows.max_bytes=4096", 4096},       {"windows.max_bytes=64KiB", 65536},
        {"windows.max_bytes=1.5MiB", 1572864},  {"windows.max_bytes=2GiB", UINT64_C(2) << 30},
        {"windows.max_bytes=5MB", 5000000},     {"windows.max_bytes=100kB", 100000},
        {"windows.max_bytes=4096B", 4096},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(good); i++) {
        cr_expect_str_eq(set(good[i].assignment), "");
        cr_expect_eq(config->windows.max_bytes, good[i].bytes, "%s", good[i].assignment);
    }
    static const struct value_case bad[] = {
        {"windows.max_bytes=1KiB", "--set: windows.max_bytes: 1KiB is out of range (4KiB to 4GiB)\n"},
        {"windows.max_bytes=64mib",
         "--set: windows.max_bytes: \"64mib\" is not a size; write for example 512KiB, 64MiB or 2GiB\n"},
        {"windows.max_bytes=MiB", "--set: windows.max_bytes: \"MiB\" is not a size; write for example 512KiB, 64MiB or 2GiB\n"},
        {"windows.max_bytes=99999999999TiB",
         "--set: windows.max_bytes: \"99999999999TiB\" is not a size; write for example 512KiB, 64MiB or 2GiB\n"},
    };
    check_cases(bad, SM_ARRAY_LEN(bad));
}

Test(config, durations)
{
    static const struct {
        const char *assignment;
        int64_t ns;
    } good[] = {
        {"windows.after_root=0", 0},           {"windows.after_root=250us", 250 * SM_US},
        {"windows.after_root=1.5s", 1500 * SM_MS}, {"windows.after_root=1m30s", 90 * SM_SEC},
        {"windows.after_root=1h", 3600 * SM_SEC},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(good); i++) {
        cr_expect_str_eq(set(good[i].assignment), "");
        cr_expect_eq(config->windows.after_root_ns, good[i].ns, "%s", good[i].assignment);
    }
#define NOT_A_DURATION(v) "--set: windows.idle: \"" v "\" is not a duration; write for example 500ms, 6s, 1h30m or 7d\n"
    static const struct value_case bad[] = {
        {"windows.idle=5", NOT_A_DURATION("5")},
        {"windows.idle=", NOT_A_DURATION("")},
        {"windows.idle=5sec", NOT_A_DURATION("5sec")},
        {"windows.idle=s", NOT_A_DURATION("s")},
        {"windows.idle=-5s", NOT_A_DURATION("-5s")},
        {"windows.idle=1s 2s", NOT_A_DURATION("1s 2s")},
        {"windows.idle=200000d200000d", NOT_A_DURATION("200000d200000d")},
        {"windows.idle=99999999999d", NOT_A_DURATION("99999999999d")},
        {"windows.idle=1.0000000000001s", NOT_A_DURATION("1.0000000000001s")},
        {"windows.idle=1ms", "--set: windows.idle: 1ms is out of range (10ms to 1h)\n"},
        {"windows.idle=2h", "--set: windows.idle: 2h is out of range (10ms to 1h)\n"},
    };
    check_cases(bad, SM_ARRAY_LEN(bad));
}

Test(config, shares_and_amounts)
{
    cr_expect_str_eq(set("memory.soft=0.5"), "");
    cr_expect(fabs(config->memory.soft - 0.5) < 1e-12);
    cr_expect_str_eq(set("memory.soft=62.5%"), "");
    cr_expect(fabs(config->memory.soft - 0.625) < 1e-12);
    cr_expect_str_eq(set("memory.budget=2GiB"), "");
    cr_expect_eq(config->memory.budget.bytes, UINT64_C(2) << 30);
    cr_expect(config->memory.budget.share == 0);
    static const struct value_case bad[] = {
        {"memory.soft=5%", "--set: memory.soft: 5% is out of range (10% to 100%)\n"},
        {"memory.soft=50", "--set: memory.soft: \"50\" is not a share of at most 100%; write for example 10% or 0.1\n"},
        {"memory.soft=%", "--set: memory.soft: \"%\" is not a share; write for example 10% or 0.1\n"},
        {"memory.soft=nan", "--set: memory.soft: \"nan\" is not a share; write for example 10% or 0.1\n"},
        {"memory.budget=0%", "--set: memory.budget: 0% is too little\n"},
        {"memory.budget=1MiB", "--set: memory.budget: 1MiB is out of range (16MiB to 16TiB)\n"},
        {"memory.budget=101%",
         "--set: memory.budget: \"101%\" is not a share of at most 100%; write for example 10% or 0.1\n"},
    };
    check_cases(bad, SM_ARRAY_LEN(bad));
    cr_expect_eq(config->memory.budget.bytes, UINT64_C(2) << 30, "a bad value leaves the key as it was");
}

Test(config, addresses)
{
    static const char *const good[] = {"127.0.0.1:4318", "[::1]:0", ":4318", "*:80", "localhost:65535", "my-host.example:1"};
    for (size_t i = 0; i < SM_ARRAY_LEN(good); i++) {
        char assignment[100];
        snprintf(assignment, sizeof assignment, "listen.zipkin=%s", good[i]);
        cr_expect_str_eq(set(assignment), "");
        cr_expect_str_eq(config->listen.zipkin, good[i]);
    }
    static const char *const off[] = {"listen.zipkin=off", "listen.zipkin=", "listen.zipkin=false"};
    for (size_t i = 0; i < SM_ARRAY_LEN(off); i++) {
        cr_assert_str_eq(set("listen.zipkin=:1"), "");
        cr_expect_str_eq(set(off[i]), "");
        cr_expect_null(config->listen.zipkin);
    }
    static const char *const bad[] = {"4318", "1.2.3.4", "::1:4318:x", "[::1]", "[::g]:1", "a:65536", "a:-1", "a b:1", "a:", "[]:1"};
    for (size_t i = 0; i < SM_ARRAY_LEN(bad); i++) {
        char assignment[100];
        snprintf(assignment, sizeof assignment, "listen.zipkin=%s", bad[i]);
        cr_expect_not_null(strstr(set(assignment), "is not an address"), "%s", bad[i]);
        clear();
    }
}

Test(config, endpoints_of_zeromq)
{
    cr_expect_null(config->listen.zeromq_pull);
    cr_expect_str_eq(set("listen.zeromq_pull=connect:tcp://host:5570"), "");
    cr_expect_str_eq(config->listen.zeromq_pull, "connect:tcp://host:5570");
    cr_expect_not_null(strstr(set("listen.zeromq_pull=127.0.0.1:5570"), "is not a ZeroMQ endpoint"));
    clear();
    cr_expect_str_eq(set("listen.zeromq_pull=off"), "");
    cr_expect_null(config->listen.zeromq_pull);
}

Test(config, texts_have_lengths_and_no_control_characters)
{
    cr_expect_str_eq(set("store.path=/var/lib/spanmill"), "");
    cr_expect_str_eq(config->store.path, "/var/lib/spanmill");
    cr_expect_str_eq(set("store.path="), "--set: store.path: must not be empty\n");
    clear();
    cr_expect_str_eq(set("store.path=a\nb"), "--set: store.path: contains the control character 0x0a\n");
    clear();
    char longer[300] = "query.base_path=/";
    memset(longer + 17, 'x', 250);
    cr_expect_str_eq(set(longer), "--set: query.base_path: has 251 bytes, not 1 to 200\n");
}

Test(config, choices_name_the_nearest)
{
    cr_expect_str_eq(set("log.level=debug"), "");
    cr_expect_eq(config->log.level, SM_LOG_DEBUG);
    cr_expect_str_eq(set("log.level=error"), "");
    cr_expect_eq(config->log.level, SM_LOG_ERROR);
    cr_expect_str_eq(set("log.level=wran"),
                     "--set: log.level: \"wran\" is none of debug|info|warn|error; did you mean \"warn\"?\n");
    clear();
    cr_expect_str_eq(set("log.level=loud"), "--set: log.level: \"loud\" is none of debug|info|warn|error\n");
}

/* ---- YAML ---- */

static const char whole_file[] =
    "listen:\n"
    "  otlp_http: :4318\n"
    "  zipkin: off\n"
    "windows: {idle: 2s, max_bytes: 1MiB}\n"
    "rules:\n"
    "  - name: errors\n"
    "    when: '{ status = error }'\n"
    "    keep: true\n"
    "  - {name: some, ratio: 10%}\n"
    "  - name: limited\n"
    "    when: |\n"
    "      { duration > 1s }\n"
    "    rate: {spans_per_second: 1000.5}\n"
    "    else: next\n"
    "  - {name: rest, drop: true, shadow: true}\n"
    "analysis:\n"
    "  span_metrics:\n"
    "    dimensions: [http.method, \"http.status_code\"]\n"
    "sinks:\n"
    "  - name: tempo\n"
    "    type: otlp_http\n"
    "    endpoint: https://tempo.example:4318/v1/traces\n"
    "    headers: {Authorization: Bearer abc, x-tenant: \"1\"}\n"
    "    batch: {spans_max: 100, linger: 1s}\n";

Test(config, whole_file)
{
    cr_assert_str_eq(load(whole_file), "");
    cr_assert_str_eq(validate(), "");
    cr_expect_str_eq(config->listen.otlp_http, ":4318");
    cr_expect_null(config->listen.zipkin);
    cr_expect_eq(config->windows.idle_ns, 2 * SM_SEC);
    cr_expect_eq(config->windows.max_bytes, SM_MIB);
    cr_assert_eq(config->rules.n, 4u);
    const struct sm_config_rule *rule = config->rules.items;
    cr_expect_str_eq(rule[0].name, "errors");
    cr_expect_str_eq(rule[0].when.text, "{ status = error }");
    cr_expect(rule[0].keep && !rule[0].drop && rule[0].ratio < 0 && rule[0].rate.spans_per_second < 0);
    cr_expect_eq(rule[0].pos.line, 6u);
    cr_expect_null(rule[1].when.text);
    cr_expect(fabs(rule[1].ratio - 0.1) < 1e-12);
    cr_expect(fabs(rule[2].rate.spans_per_second - 1000.5) < 1e-9 && rule[2].rate.burst < 0);
    cr_expect_eq(rule[2].otherwise, SM_CONFIG_ELSE_NEXT);
    cr_expect(rule[3].drop && rule[3].shadow);
    cr_assert_eq(config->analysis.span_metrics.dimensions.n, 2u);
    cr_expect_str_eq(config->analysis.span_metrics.dimensions.items[1], "http.status_code");
    cr_assert_eq(config->sinks.n, 1u);
    const struct sm_config_sink *sink = config->sinks.items;
    cr_expect_eq(sink->type, SM_CONFIG_SINK_OTLP_HTTP);
    cr_expect_eq(sink->compression, SM_OTLP_COMPRESSION_AUTO);
    cr_expect_eq(sink->batch.spans_max, 100u);
    cr_expect_eq(sink->timeout_ns, 5 * SM_SEC);
    cr_assert_eq(sink->headers.n, 2u);
    cr_expect_str_eq(sink->headers.items[0].name, "Authorization");
    cr_expect(sm_str_eq(sm_secret_reveal(&sink->headers.items[0].value), SM_STR("Bearer abc")));
}

Test(config, empty_files_and_sections_are_fine)
{
    static const char *const files[] = {"", "# only a comment\n", "---\n", "windows:\n", "rules:\n", "rules: []\n", "{}\n", "sinks: ~\n"};
    for (size_t i = 0; i < SM_ARRAY_LEN(files); i++)
        cr_expect_str_eq(load(files[i]), "", "%s", files[i]);
}

Test(config, problems_name_file_line_column_key_and_the_nearest)
{
    static const struct {
        const char *yaml, *problems;
    } cases[] = {
        {"windows:\n  idel: 2s\n", "f.yaml:2:3: windows: unknown key \"idel\"; did you mean \"idle\"?\n"},
        {"window:\n  idle: 2s\n", "f.yaml:1:1: unknown key \"window\"; did you mean \"windows\"?\n"},
        {"idle: 2s\n", "f.yaml:1:1: unknown key \"idle\"; did you mean \"windows.idle\"?\n"},
        {"windows.idle: 2s\n", "f.yaml:1:1: unknown key \"windows.idle\"; write the parts of \"windows.idle\" as nested maps\n"},
        {"log:\n  zzz: 1\n", "f.yaml:2:3: log: unknown key \"zzz\"; valid here: level, format\n"},
        {"windows:\n  idle: 2x\n",
         "f.yaml:2:9: windows.idle: \"2x\" is not a duration; write for example 500ms, 6s, 1h30m or 7d\n"},
        {"windows:\n  idle:\n", "f.yaml:2:3: windows.idle: needs a value (duration)\n"},
        {"windows:\n  idle: [1s]\n", "f.yaml:2:10: windows.idle: needs a value (duration)\n"},
        {"windows: 5s\n", "f.yaml:1:10: windows: needs a map of keys, not a single value\n"},
        {"windows: [5s]\n", "f.yaml:1:11: windows: needs a map of keys, not a list\n"},
        {"rules[]: {name: x}\n", "f.yaml:1:1: unknown key \"rules[]\"; did you mean \"rules\"?\n"},
        {"rules[]:\n  name: x\n", "f.yaml:1:1: unknown key \"rules[]\"; did you mean \"rules\"?\n"},
        {"rules: {name: x}\n", "f.yaml:1:9: rules: needs a list of at most 1000 items\n"},
        {"rules: [x]\n", "f.yaml:1:9: rules[0]: needs a map of keys, not a single value\n"},
        {"rules:\n  - keep: true\n", "f.yaml:2:5: rules[0]: the key \"name\" is missing\n"},
        {"rules:\n  - {name: a, when: { status = error }}\n",
         "f.yaml:2:23: rules[0].when: YAML takes the braces for a map; put the query in quotes: '{ ... }'\n"},
        {"rules:\n  - {name: a, rate: {burts: 3}}\n", "f.yaml:2:22: rules[0].rate: unknown key \"burts\"; did you mean \"burst\"?\n"},
        {"sinks:\n  - {name: a, type: otlp, endpoint: x}\n",
         "f.yaml:2:21: sinks[0].type: \"otlp\" is none of otlp_grpc|otlp_http\n"},
        {"sinks:\n  - {name: a, type: otlp_http, endpoint: x, headers: {\"a b\": c}}\n",
         "f.yaml:2:56: sinks[0].headers: not a header name\n"},
        {"sinks:\n  - {name: a, type: otlp_http, endpoint: x, headers: [a]}\n",
         "f.yaml:2:55: sinks[0].headers: needs a map of at most 200 headers\n"},
        {"analysis: {span_metrics: {dimensions: [{a: b}]}}\n",
         "f.yaml:1:41: analysis.span_metrics.dimensions: needs texts as values\n"},
        {"gr\xc3\xbc\xc3\x9f: 1\n", "f.yaml:1:1: unknown key \"gr\xc3\xbc\xc3\x9f\"; valid here: workers, listen, tls, auth, cors, listeners, kafka, zipkin, zeromq, files, windows, late, memory, "
                                     "limits, rules, sampling, analysis, store, sinks, query, log\n"},
        {"a: 1\n---\nb: 2\n", NULL},
        {"workers: 1\n---\nworkers: 2\n", "f.yaml:1:1: holds more than one YAML document\n"},
        {"workers: 1\nworkers: 2\n", "f.yaml:2:1: not valid YAML: duplicate key\n"},
        {"a: [1\n", NULL},
        {"windows:\n\tidle: 1s\n", "f.yaml:2:1: not valid YAML: tab character may not be used as indentation\n"},
        {"workers: *nothing\n", "f.yaml:1:11: workers: alias of something unknown\n"},
        {"workers: 1\nlog: {level: \xff}\n", "f.yaml:2:14: not UTF-8: byte 0xff\n"},
        {"workers: 1\nlog: {level: \x01}\n", "f.yaml:2:14: control character 0x01\n"},
        {"? [a]\n: 1\n", "f.yaml:1:4: keys must be plain names\n"},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        const char *problems = load(cases[i].yaml);
        if (cases[i].problems)
            cr_expect_str_eq(problems, cases[i].problems);
        else
            cr_expect_eq(strncmp(problems, "f.yaml:", 7), 0, "%s", problems);
        clear();
    }
}

Test(config, every_problem_is_reported)
{
    const char *problems = load("windows:\n  idel: 2s\n  max_age: never\nworkers: many\n");
    cr_assert_not_null(strstr(problems, "f.yaml:2:3:"));
    cr_assert_not_null(strstr(problems, "f.yaml:3:12:"));
    cr_assert_not_null(strstr(problems, "f.yaml:4:10:"));
    cr_assert_eq(report.count, 3u);
}

Test(config, report_is_bounded)
{
    struct sm_buf yaml = {0};
    for (int i = 0; i < 200; i++)
        sm_buf_printf(&yaml, "unknown%d: 1\n", i);
    sm_buf_putc(&yaml, '\0');
    const char *problems = load((const char *)yaml.data);
    cr_assert_not_null(strstr(problems, "... and 150 more\n"));
    sm_buf_fini(&yaml);
}

Test(config, anchors_and_aliases)
{
    cr_assert_str_eq(load("windows: {idle: &t 3s, after_root: *t}\n"), "");
    cr_assert_eq(config->windows.after_root_ns, 3 * SM_SEC);
}

Test(config, later_files_and_assignments_win)
{
    cr_assert_str_eq(load("windows: {idle: 3s}\nrules: [{name: a, keep: true}]\n"), "");
    cr_assert_str_eq(load("windows: {max_age: 9s}\nrules: [{name: b, drop: true}]\n"), "");
    cr_assert_eq(config->windows.idle_ns, 3 * SM_SEC);
    cr_assert_eq(config->windows.max_age_ns, 9 * SM_SEC);
    cr_assert_eq(config->rules.n, 1u);
    cr_assert_str_eq(config->rules.items[0].name, "b");
    cr_assert_str_eq(set("windows.idle=4s"), "");
    cr_assert_eq(config->windows.idle_ns, 4 * SM_SEC);
}

Test(config, files_that_cannot_be_read)
{
    cr_assert_not(sm_config_load(config, "/nonexistent/f.yaml", &report));
    cr_assert_str_eq(sm_config_report_text(&report), "/nonexistent/f.yaml: cannot be opened: No such file or directory\n");
    clear();
    cr_assert_not(sm_config_load(config, "/", &report));
    cr_assert_not_null(strstr(sm_config_report_text(&report), "cannot be read"));
    clear();
    cr_assert_not(sm_config_load(config, "/dev/zero", &report));
    cr_assert_not_null(strstr(sm_config_report_text(&report), "is larger than"));
}

/* ---- queries ---- */

static void check_place(const char *yaml, const char *needle, unsigned line, unsigned column)
{
    cr_assert_str_eq(load(yaml), "");
    const struct sm_config_query *query = &config->rules.items[0].when;
    const char *found = strstr(query->text, needle);
    cr_assert_not_null(found, "%s", query->text);
    struct sm_config_pos pos = sm_config_query_pos(query, (size_t)(found - query->text));
    cr_expect(pos.line == line && pos.column == column, "%s: %u:%u, not %u:%u", yaml, pos.line, pos.column, line, column);
    cr_expect_str_eq(pos.file, "f.yaml");
}

Test(config, bytes_of_queries_have_their_place_in_the_file)
{
    check_place("rules:\n- name: a\n  when: '{ status = eror }'\n", "eror", 3, 21);
    check_place("rules:\n- {name: a, when: '{ name = \"\xc3\xa9\" && eror }'}\n", "eror", 2, 36);
    check_place("rules:\n- name: a\n  when: \"{ name = \\\"x\\\" && eror }\"\n", "eror", 3, 28);
    check_place("rules:\n- name: a\n  when: |\n    { status = ok\n      && eror }\n", "eror", 5, 10);
    check_place("rules:\n- name: a\n  when: >\n    { status = ok\n    && eror }\n", "eror", 5, 8);
    check_place("rules:\n- name: a\n  when: |\n\n    { status = ok\n\n    && eror }\n", "eror", 7, 8);
    check_place("rules:\n- name: a\n  when: '{ status = ''x''\n    && eror }'\n", "eror", 4, 8);
    check_place("rules:\n- name: a\n  when: '{ ${NOT_SET_HERE:-status} = eror }'\n", "eror", 3, 10); /* the start */
    check_place("rules:\n- name: a\n  when: \"{ \\x65ror }\"\n", "eror", 3, 10);
}

/* ---- environment ---- */

Test(config, environment_variables_are_put_in)
{
    setenv("SM_TEST_IDLE", "7s", 1);
    setenv("SM_TEST_EMPTY", "", 1);
    unsetenv("SM_TEST_UNSET");
    static const struct {
        const char *yaml, *path;
    } cases[] = {
        {"windows: {idle: '${SM_TEST_IDLE}'}\nstore: {path: '${SM_TEST_UNSET:-/a b}'}\n", "/a b"},
        {"store: {path: 'x${SM_TEST_IDLE}y${SM_TEST_IDLE}'}\n", "x7sy7s"},
        {"store: {path: '${SM_TEST_EMPTY:-d}'}\n", "d"},
        {"store: {path: 'x${SM_TEST_EMPTY}'}\n", "x"},
        {"store: {path: '$${SM_TEST_IDLE} $5 $'}\n", "${SM_TEST_IDLE} $5 $"},
        {"store: {path: 'x${SM_TEST_UNSET:-}'}\n", "x"},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        cr_expect_str_eq(load(cases[i].yaml), "");
        cr_expect_str_eq(config->store.path, cases[i].path);
    }
    cr_expect_eq(config->windows.idle_ns, 7 * SM_SEC);
    cr_expect_str_eq(set("windows.idle=${SM_TEST_UNSET:-8s}"), "");
    cr_expect_eq(config->windows.idle_ns, 8 * SM_SEC);
}

Test(config, wrong_variables_are_reported)
{
    unsetenv("SM_TEST_UNSET");
    static const struct {
        const char *yaml, *problems;
    } cases[] = {
        {"workers: ${SM_TEST_UNSET}\n", "f.yaml:1:10: workers: environment variable SM_TEST_UNSET is not set; set it or write "
                                        "${SM_TEST_UNSET:-default}\n"},
        {"store: {path: '${'}\n", "f.yaml:1:16: store.path: \"${\" without \"}\"; write $${ for a plain ${\n"},
        {"store: {path: '${}'}\n",
         "f.yaml:1:16: store.path: \"${}\" is not a variable; write ${NAME}, ${NAME:-default} or $${ for a plain ${\n"},
        {"store: {path: '${1A}'}\n",
         "f.yaml:1:16: store.path: \"${1A}\" is not a variable; write ${NAME}, ${NAME:-default} or $${ for a plain ${\n"},
        {"store: {path: '${A:b}'}\n",
         "f.yaml:1:16: store.path: \"${A:b}\" is not a variable; write ${NAME}, ${NAME:-default} or $${ for a plain ${\n"},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        cr_expect_str_eq(load(cases[i].yaml), cases[i].problems);
        clear();
    }
}

Test(config, secrets_do_not_show_in_problems)
{
    setenv("SM_TEST_TOKEN", "hush\nhush", 1);
    const char *problems = load("sinks: [{name: a, type: otlp_http, endpoint: x, headers: {authorization: '${SM_TEST_TOKEN}'}}]\n");
    cr_assert_str_eq(problems, "f.yaml:1:59: sinks[0].headers: contains the control character 0x0a\n");
}

/* ---- assignments ---- */

Test(config, assignments_reach_items_lists_and_sections)
{
    cr_assert_str_eq(load(whole_file), "");
    cr_expect_str_eq(set("sinks[0].timeout=3s"), "");
    cr_expect_eq(config->sinks.items[0].timeout_ns, 3 * SM_SEC);
    cr_expect_str_eq(set("sinks[tempo].batch.spans_max=7"), "");
    cr_expect_eq(config->sinks.items[0].batch.spans_max, 7u);
    cr_expect_str_eq(set("rules[errors].when={ status = ok }"), "");
    cr_expect_str_eq(config->rules.items[0].when.text, "{ status = ok }");
    cr_expect_str_eq(sm_config_query_pos(&config->rules.items[0].when, 3).file, "--set");
    cr_expect_str_eq(set("rules=[{name: one, keep: true}]"), "");
    cr_expect_eq(config->rules.n, 1u);
    cr_expect_str_eq(set("windows={idle: 1s, max_age: 5s}"), "");
    cr_expect_eq(config->windows.max_age_ns, 5 * SM_SEC);
    cr_expect_str_eq(set("analysis.span_metrics.dimensions=[a, b, c]"), "");
    cr_expect_eq(config->analysis.span_metrics.dimensions.n, 3u);
    cr_expect_str_eq(set("analysis.span_metrics.dimensions=just.one"), "");
    cr_expect_eq(config->analysis.span_metrics.dimensions.n, 1u);
    cr_expect_str_eq(set("sinks[0].headers={a: b}"), "");
    cr_expect_eq(config->sinks.items[0].headers.n, 1u);
}

Test(config, wrong_assignments)
{
    load(whole_file);
    static const struct value_case cases[] = {
        {"windows.idle", "--set: \"windows.idle\" is not key=value\n"},
        {"=2", "--set: \"=2\" is not key=value\n"},
        {"windows.idel=2s", "--set: unknown key \"windows.idel\"; did you mean \"idle\"?\n"},
        {"windwos.idle=2s", "--set: unknown key \"windwos.idle\"; valid here: workers, listen, tls, auth, cors, listeners, kafka, zipkin, zeromq, files, windows, late, memory, limits, "
                            "rules, sampling, analysis, store, sinks, query, log\n"},
        {"idle=2s", "--set: unknown key \"idle\"; did you mean \"windows.idle\"?\n"},
        {"sinks[1].timeout=2s", "--set: sinks[1].timeout: there is no item \"1\"\n"},
        {"sinks[99999999999999999999999].timeout=2s",
         "--set: sinks[99999999999999999999999].timeout: there is no item \"99999999999999999999999\"\n"},
        {"sinks[].timeout=2s", "--set: sinks[].timeout: there is no item \"\"\n"},
        {"sinks[0]=x", "--set: sinks[0]: not a key; write for example sinks[0].timeout\n"},
        {"sinks[0.timeout=x", "--set: sinks[0.timeout: not a key; write for example sinks[0].timeout\n"},
        {"windows[0].idle=2s", "--set: windows[0].idle: not a key; write for example sinks[0].timeout\n"},
        {"sinks[0].tmeout=2s", "--set: unknown key \"sinks[0].tmeout\"; did you mean \"timeout\"?\n"},
        {"rules=[", NULL},
        {"rules=[{name: 1}", NULL},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        const char *problems = set(cases[i].assignment);
        if (cases[i].problem)
            cr_expect_str_eq(problems, cases[i].problem);
        else
            cr_expect_eq(strncmp(problems, "--set:", 6), 0, "%s", problems);
        clear();
    }
}

/* ---- between keys ---- */

Test(config, contradictions_are_found)
{
    static const struct {
        const char *yaml, *problem;
    } cases[] = {
        {"rules: [{name: a}]", "f.yaml:1:10: rules[0]: needs exactly one of keep, drop, ratio and rate.spans_per_second, has none\n"},
        {"rules: [{name: a, keep: true, ratio: 10%}]",
         "f.yaml:1:10: rules[0]: needs exactly one of keep, drop, ratio and rate.spans_per_second, has several\n"},
        {"rules: [{name: a, keep: true}, {name: a, drop: true}]", "f.yaml:1:33: rules[1]: the name \"a\" is taken\n"},
        {"rules: [{name: a, keep: true, else: next}]", "f.yaml:1:10: rules[0]: else has a meaning only with rate\n"},
        {"rules: [{name: a, keep: true, of: arriving}]", "f.yaml:1:10: rules[0]: of has a meaning only with ratio\n"},
        {"rules: [{name: a, keep: true, rate: {burst: 5}}]", "f.yaml:1:10: rules[0]: rate.burst without rate.spans_per_second\n"},
        {"rules: []\nwindows: {idle: 10s, max_age: 5s}",
         "f.yaml:2:31: windows.max_age must not be shorter than windows.after_root\n"
         "f.yaml:2:31: windows.max_age must not be shorter than windows.idle\n"},
        {"windows: {max_age: 2m}\nmemory: {soft: 99%}", "f.yaml:2:16: memory.soft must not be above memory.hard\n"},
        {"memory: {soft: 50%}\nquery: {base_path: x}", "f.yaml:2:20: query.base_path must begin with /\n"},
        {"query: {base_path: /x}\nlisten: {zipkin: :4318, otlp_http: :4318}", "f.yaml:2:36: listen.otlp_http and listen.zipkin both want :4318\n"},
        {"listen: {zipkin: ':0', otlp_http: ':0'}\nsinks: [{name: a, type: otlp_grpc, endpoint: 'grpc://tempo:4317'}]",
         "f.yaml:2:10: sinks[0].endpoint: \"grpc://tempo:4317\" is no endpoint; write for example http://127.0.0.1:4318\n"},
        {"sinks: [{name: a, type: otlp_grpc, endpoint: 'http://:1'}]",
         "f.yaml:1:10: sinks[0].endpoint: \"http://:1\" is no endpoint; write for example http://127.0.0.1:4318\n"},
        {"sinks: [{name: a, type: otlp_grpc, endpoint: 'tempo:4317', http2: true}]",
         "f.yaml:1:10: sinks[0].http2 has a meaning only for otlp_http\n"},
        {"sinks: [{name: a, type: otlp_grpc, endpoint: 'tempo:4317', tls: {cert: x}}]",
         "f.yaml:1:10: sinks[0].tls: cert and key belong together\n"},
        {"sinks: [{name: a, type: otlp_grpc, endpoint: 'tempo:4317', tls: {ca: x, insecure: true}}]",
         "f.yaml:1:10: sinks[0].tls: insecure contradicts ca\n"},
        {"sinks: [{name: store, type: otlp_grpc, endpoint: 'http://x'}]", "f.yaml:1:10: sinks[0]: the name \"store\" is taken\n"},
        {"sinks: [{name: a, type: otlp_grpc, endpoint: 'http://x', retry: {initial: 1m}}]",
         "f.yaml:1:10: sinks[0].retry: initial is longer than max\n"},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        cr_assert_str_eq(load(cases[i].yaml), "");
        cr_expect_str_eq(validate(), cases[i].problem);
        clear();
    }
}

Test(config, contradictions_are_placed_at_what_was_written)
{
    cr_assert_str_eq(load("windows:\n  idle: 1h\n  max_age: 1h"), "");
    cr_assert_str_eq(set("windows.max_age=30m"), "");
    cr_expect_str_eq(validate(), "--set: windows.max_age must not be shorter than windows.idle\n");
    clear();
    cr_assert_str_eq(set("windows.max_age=1h"), "");
    cr_assert_str_eq(set("memory.hard=10%"), "");
    cr_expect_str_eq(validate(), "--set: memory.soft must not be above memory.hard\n");
}

Test(config, otlp_over_grpc_and_http_may_share_a_port)
{
    cr_assert_str_eq(load("listen: {otlp_grpc: :4319, otlp_http: :4319}"), "");
    cr_expect_str_eq(validate(), "");
    cr_assert_str_eq(load("listen: {query: :4319}"), "");
    cr_expect_str_eq(validate(), "f.yaml:1:21: listen.otlp_grpc and listen.query both want :4319\n"
                                 "f.yaml:1:39: listen.otlp_http and listen.query both want :4319\n");
}

/* ---- help ---- */

Test(config, help_shows_parts)
{
    struct sm_buf text = {0};
    cr_assert(sm_config_help_text("windows.idle", &text));
    sm_buf_putc(&text, '\0');
    cr_assert_not_null(strstr((const char *)text.data, "windows.idle (duration, 10ms to 1h; default 15s)"));
    cr_assert_null(strstr((const char *)text.data, "windows.max_age"));
    sm_buf_clear(&text);
    cr_assert(sm_config_help_text("rules", &text));
    sm_buf_putc(&text, '\0');
    cr_assert_not_null(strstr((const char *)text.data, "rules[].name (text, 1 to 64 bytes; required)"));
    sm_buf_clear(&text);
    cr_assert_not(sm_config_help_text("window", &text));
    sm_buf_fini(&text);
}

Test(config, help_has_every_key)
{
    struct sm_buf text = {0}, page = {0};
    cr_assert(sm_config_help_text("", &text));
    sm_config_help_markdown(&page);
    sm_buf_putc(&text, '\0');
    sm_buf_putc(&page, '\0');
    for (size_t i = 0; i < sm_config_key_count; i++) {
        cr_expect_not_null(strstr((const char *)text.data, sm_config_keys[i].path));
        cr_expect_not_null(strstr((const char *)page.data, sm_config_keys[i].path));
    }
    sm_buf_fini(&text);
    sm_buf_fini(&page);
}

Test(config, help_wraps_at_words)
{
    struct sm_buf text = {0};
    cr_assert(sm_config_help_text("", &text));
    sm_buf_putc(&text, '\0');
    for (char *line = strtok((char *)text.data, "\n"); line; line = strtok(NULL, "\n")) {
        const char *words = line + strspn(line, " ");
        cr_expect(words - line != 6 || strlen(line) <= 100, "%s", line);
        cr_expect(!strstr(words, "  "), "%s", line);
    }
    sm_buf_fini(&text);
}

Test(config, reference_page_is_current)
{
    struct sm_buf page = {0};
    sm_config_help_markdown(&page);
    FILE *f = fopen(SM_SOURCE_DIR "/docs/reference/configuration.md", "r");
    cr_assert_not_null(f);
    char *written = calloc(1, page.size + 2);
    size_t n = fread(written, 1, page.size + 1, f);
    fclose(f);
    cr_assert(sm_str_eq(sm_str(written, n), sm_buf_str(&page)),
              "write it anew: spanmill help config --markdown > docs/reference/configuration.md");
    free(written);
    sm_buf_fini(&page);
}

/* ---- kafka ---- */

#define KAFKA "kafka:\n  - name: a\n    brokers: k1:9092\n    topics: spans\n"

Test(config, kafka_consumers)
{
    cr_expect_str_eq(load("kafka:\n  - name: a\n    brokers: [k1:9092, k2:9092]\n    topics: [spans, '^jaeger-.*']\n    encoding: jaeger_json\n"
                          "    initial_offset: earliest\n    dead_letter: dead\n    tls: {enabled: true, ca: /ca.pem}\n"
                          "    sasl: {mechanism: scram_sha_512, username: u, password_file: /p}\n"
                          "    options: {group.instance.id: i, session.timeout.ms: 6000}\n"),
                     "");
    cr_expect_str_eq(validate(), "");
    cr_assert_eq(config->kafka.n, 1);
    const struct sm_config_kafka *k = &config->kafka.items[0];
    cr_expect_eq(k->brokers.n, 2);
    cr_expect_str_eq(k->topics.items[1], "^jaeger-.*");
    cr_expect_str_eq(k->group, "spanmill");
    cr_expect_eq(k->encoding, SM_CONFIG_KAFKA_JAEGER_JSON);
    cr_expect_eq(k->initial_offset, SM_CONFIG_KAFKA_EARLIEST);
    cr_expect_eq(k->sasl.mechanism, SM_CONFIG_SASL_SCRAM_512);
    cr_expect_eq(k->options.n, 2);
    cr_expect_eq(k->message_bytes_max, 4 * SM_MIB);
}

Test(config, kafka_needs_brokers_and_topics)
{
    cr_expect_str_eq(load("kafka: [{name: a}]"), "f.yaml:1:10: kafka[0]: the key \"brokers\" is missing\n"
                                                 "f.yaml:1:10: kafka[0]: the key \"topics\" is missing\n");
}

Test(config, kafka_contradictions)
{
    static const struct {
        const char *more, *problem;
    } cases[] = {
        {"    tls: {ca: /ca.pem}\n", "kafka[0].tls: has a meaning only with enabled: true"},
        {"    tls: {enabled: true, cert: /c.pem}\n", "kafka[0].tls: cert and key belong together"},
        {"    tls: {enabled: true, ca: /c.pem, insecure: true}\n", "kafka[0].tls: insecure contradicts ca"},
        {"    sasl: {username: u}\n", "kafka[0].sasl: username and password_file need a mechanism"},
        {"    sasl: {mechanism: plain, username: u}\n", "kafka[0].sasl: needs username and password_file"},
        {"    topics: []\n", "kafka[0]: needs a broker and a topic"},
        {"    options: {enable.auto.commit: false}\n", "kafka[0].options: \"enable.auto.commit\" cannot be set here"},
        {"    options: {no.such.thing: 1}\n", "kafka[0].options: librdkafka knows no property \"no.such.thing\""},
        {"    options: {session.timeout.ms: hunter2}\n",
         "kafka[0].options: librdkafka does not take this value of \"session.timeout.ms\""},
        {"  - {name: a, brokers: k, topics: t}\n", "kafka[1]: the name \"a\" is taken"},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        char yaml[400];
        const char *topics = strstr(cases[i].more, "topics:") && cases[i].more[2] == ' ' ? "kafka:\n  - name: a\n    brokers: k\n" : KAFKA;
        snprintf(yaml, sizeof yaml, "%s%s", topics, cases[i].more);
        cr_expect_str_eq(load(yaml), "", "%s", yaml);
        const char *said = validate();
        cr_expect(strstr(said, cases[i].problem) != NULL, "%s: %s", cases[i].problem, said);
        cr_expect_null(strstr(said, "hunter2"));
        clear();
    }
}
