#include "app/config_listeners.h"

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

TestSuite(config_listeners, .init = setup, .fini = teardown);

/* What is wrong with it; "" when nothing is. */
static const char *load(const char *yaml)
{
    bool ok = sm_config_load_text(config, "f.yaml", sm_str_c(yaml), &report) && sm_config_validate(config, &report);
    const char *text = sm_config_report_text(&report);
    cr_assert_eq(ok, *text == '\0');
    return text;
}

Test(config_listeners, nothing_is_guarded_by_default)
{
    struct sm_config_door door = sm_config_listeners_door(config, "otlp_http");
    cr_assert(!door.cert && !door.key && !door.client_ca && !door.tokens && !door.users && !door.origins);
    cr_assert_eq(memcmp(&door.http, &sm_http_limits_default, sizeof door.http), 0);
    cr_assert_eq(memcmp(&door.inflate, &sm_inflate_limits_default, sizeof door.inflate), 0);
    cr_assert_eq(sm_config_listeners_socket_mode(config), 0660);
}

Test(config_listeners, what_is_said_for_one_stands_before_what_is_said_for_all)
{
    cr_assert_str_eq(load("tls: {cert: a.crt, key: a.key, client_ca: ca.crt}\n"
                          "auth: {tokens: tokens, users: users}\n"
                          "cors: {origins: ['*']}\n"
                          "limits: {body_bytes_max: 1MiB, idle_timeout: 5s, inflate_ratio_max: 10}\n"
                          "listeners:\n"
                          "- name: zipkin\n"
                          "  tls: {client_ca: off}\n"
                          "  auth: {users: other}\n"
                          "  limits: {body_bytes_max: 2MiB, zstd_window_max: 3MiB, connection_age: 10m, inflated_bytes_max: 8MiB}\n"
                          "- name: metrics\n"
                          "  tls: {cert: off}\n"
                          "  auth: {tokens: off, users: off}\n"
                          "  cors: {origins: off}\n"
                          "- name: query\n"
                          "  tls: {cert: q.crt, key: q.key}\n"),
                     "");
    struct sm_config_door all = sm_config_listeners_door(config, "otlp_http"), zipkin = sm_config_listeners_door(config, "zipkin"),
                          metrics = sm_config_listeners_door(config, "metrics"), query = sm_config_listeners_door(config, "query");
    cr_assert_str_eq(all.cert, "a.crt");
    cr_assert_str_eq(all.key, "a.key");
    cr_assert_str_eq(all.client_ca, "ca.crt");
    cr_assert_str_eq(all.tokens, "tokens");
    cr_assert_eq(all.origins->n, 1);
    cr_assert_eq(all.http.body_bytes_max, SM_MIB);
    cr_assert_eq(all.inflate.ratio_max, 10);
    cr_assert_eq(all.inflate.zstd_window_log_max, 23);

    cr_assert_str_eq(zipkin.cert, "a.crt");
    cr_assert_null(zipkin.client_ca);
    cr_assert_str_eq(zipkin.tokens, "tokens");
    cr_assert_str_eq(zipkin.users, "other");
    cr_assert_eq(zipkin.http.body_bytes_max, 2 * SM_MIB);
    cr_assert_eq(zipkin.http.idle_ns, 5 * SM_SEC);
    cr_assert_eq(zipkin.http.connection_age_ns, 600 * SM_SEC);
    cr_assert_eq(zipkin.inflate.bytes_max, 8 * SM_MIB);
    cr_assert_eq(zipkin.inflate.ratio_max, 10);
    cr_assert_eq(zipkin.inflate.zstd_window_log_max, 21);

    cr_assert(!metrics.cert && !metrics.key && !metrics.client_ca && !metrics.tokens && !metrics.users && !metrics.origins);
    cr_assert_str_eq(query.cert, "q.crt");
    cr_assert_str_eq(query.key, "q.key");
    cr_assert_str_eq(query.client_ca, "ca.crt");
}

/* Every limit that a listener may have of its own reaches it. */
Test(config_listeners, every_limit_of_a_listener_has_effect)
{
    cr_assert_str_eq(load("listeners: [{name: otlp_grpc, limits: {connections_max: 7, header_bytes_max: 2048, headers_max: 9, "
                          "body_bytes_max: 2KiB, inflated_bytes_max: 3KiB, inflate_ratio_max: 5, zstd_window_max: 4KiB, "
                          "grpc_message_bytes_max: 5KiB, header_timeout: 1s, request_timeout: 2s, idle_timeout: 3s, connection_age: 4s, "
                          "connection_age_grace: 5s, streams_max: 6}}]"),
                     "");
    struct sm_config_door d = sm_config_listeners_door(config, "otlp_grpc");
    cr_assert_eq(d.http.connections_max, 7);
    cr_assert_eq(d.http.header_bytes_max, 2048);
    cr_assert_eq(d.http.headers_max, 9);
    cr_assert_eq(d.http.body_bytes_max, 2048);
    cr_assert_eq(d.inflate.bytes_max, 3072);
    cr_assert_eq(d.inflate.ratio_max, 5);
    cr_assert_eq(d.inflate.zstd_window_log_max, 12);
    cr_assert_eq(d.http.grpc_message_bytes_max, 5120);
    cr_assert_eq(d.http.header_ns, SM_SEC);
    cr_assert_eq(d.http.request_ns, 2 * SM_SEC);
    cr_assert_eq(d.http.idle_ns, 3 * SM_SEC);
    cr_assert_eq(d.http.connection_age_ns, 4 * SM_SEC);
    cr_assert_eq(d.http.connection_grace_ns, 5 * SM_SEC);
    cr_assert_eq(d.http.streams_max, 6);
}

Test(config_listeners, contradictions)
{
    const struct {
        const char *yaml, *problem;
    } cases[] = {
        {"tls: {cert: a}", "f.yaml:1:13: tls.cert and tls.key belong together\n"},
        {"tls: {key: a}", "f.yaml:1:12: tls.cert and tls.key belong together\n"},
        {"tls: {client_ca: a}", "f.yaml:1:18: tls.client_ca has a meaning only with tls.cert\n"},
        {"listeners: [{name: zipkn}]", "f.yaml:1:14: listeners[0].name: there is no listen.zipkn; did you mean \"zipkin\"?\n"},
        {"listeners: [{name: zipkin}, {name: zipkin}]", "f.yaml:1:30: listeners[1]: the name \"zipkin\" is taken\n"},
        {"listeners: [{name: jaeger_udp_binary}]",
         "f.yaml:1:14: listeners[0]: jaeger_udp_binary receives datagrams, which can be guarded by no key of these\n"},
        {"listeners: [{name: zipkin, tls: {cert: a}}]", "f.yaml:1:14: listener zipkin: tls.cert and tls.key belong together\n"
                                                        "f.yaml:1:14: listener zipkin: a tls.cert of its own needs a tls.key of its own\n"},
        {"tls: {cert: a, key: b}\nlisteners: [{name: zipkin, tls: {cert: c}}]",
         "f.yaml:2:14: listener zipkin: a tls.cert of its own needs a tls.key of its own\n"},
        {"listen: {jaeger_udp_binary: 'unix:/a'}", "f.yaml:1:30: listen.jaeger_udp_binary: datagrams need host:port\n"},
        {"listen: {otlp_grpc: 'unix:/a', zipkin: 'unix:/a'}", "f.yaml:1:22: listen.otlp_grpc and listen.zipkin both want unix:/a\n"},
        {"listen: {otlp_grpc: ':1', otlp_http: ':1'}\nlisteners: [{name: otlp_http, tls: {cert: a, key: b}}]",
         "f.yaml:2:14: listeners[0]: otlp_http is at the address of otlp_grpc, whose settings hold for both\n"},
        {"listen: {socket_mode: '0999'}", "f.yaml:1:24: listen.socket_mode: \"0999\" is no mode; write for example 0660\n"},
        {"listen: {socket_mode: '7777'}", "f.yaml:1:24: listen.socket_mode: \"7777\" is no mode; write for example 0660\n"},
        {"cors: {origins: [app.example]}",
         "f.yaml:1:18: cors: \"app.example\" is no origin; write for example https://app.example.com or https://*.example.com\n"},
        {"listeners: [{name: zipkin, cors: {origins: [x]}}]",
         "f.yaml:1:14: listeners[].cors.origins: \"x\" is no origin; write for example https://app.example.com or "
         "https://*.example.com\n"},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        cr_expect_str_eq(load(cases[i].yaml), cases[i].problem);
        teardown();
        setup();
        memset(&report, 0, sizeof report);
    }
}

Test(config_listeners, sockets_in_the_file_system_are_addresses)
{
    cr_assert_str_eq(load("listen: {otlp_grpc: 'unix:/run/a.sock', query: 'unix:///run/b.sock', metrics: 'unix:c.sock'}"), "");
    cr_assert_str_eq(config->listen.otlp_grpc, "unix:/run/a.sock");
    const char *const bad[] = {"listen: {otlp_grpc: 'unix:'}", "listen: {otlp_grpc: /run/a.sock}", "listen: {otlp_grpc: '@3'}"};
    for (size_t i = 0; i < SM_ARRAY_LEN(bad); i++) {
        cr_assert_not(sm_config_load_text(config, "f.yaml", sm_str_c(bad[i]), &report), "%s", bad[i]);
    }
}
