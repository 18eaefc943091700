#include "base/log.h"
#include "base/pb.h"
#include "otlp_peer.h"
#include "pipeline/fanout.h"
#include "sinks/otlp.h"
#include "traces.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum protocol { HTTP1, HTTP2, GRPC, PROTOCOLS };

/* The end of a write. */
struct ended {
    unsigned count;
    enum sm_sink_result result;
    uint64_t rejected_spans;
    int64_t retry_after_ns;
    char why[256];
};

static struct otlp_peer peer;
static struct traces fixture;
static struct ended ended;
static char endpoint[64];
static struct sm_otlp_options options;
static const struct sm_sink_ops *ops;
static void *sink;
static struct sm_trace *traces[4];
static struct sm_sink_batch batch;

static void on_done(struct sm_sink_batch *b, enum sm_sink_result result, uint64_t rejected_spans, int64_t retry_after_ns,
                    const char *why)
{
    cr_assert_eq(b->count, 4);
    ended.count++;
    ended.result = result;
    ended.rejected_spans = rejected_spans;
    ended.retry_after_ns = retry_after_ns;
    snprintf(ended.why, sizeof ended.why, "%s", why ? why : "");
}

static void set_up(void)
{
    sm_log_setup(&(struct sm_log_config){.level = SM_LOG_ERROR, .fd = open("/dev/null", O_WRONLY)});
    otlp_peer_open(&peer);
    traces_init(&fixture);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", peer.port);
    options = (struct sm_otlp_options){.endpoint = endpoint, .timeout_ns = 20 * SM_SEC};
    uint32_t scope = traces_scope(&fixture, "shop", "http");
    for (unsigned i = 0; i < 4; i++) {
        traces[i] = trace_new(i + 1);
        for (unsigned k = 1; k <= 5; k++)
            trace_add(traces[i], scope, k, "a name that is not too short to be cut", NULL, SM_STR(""));
    }
    batch = batch_of((const struct sm_trace **)traces, 4);
    batch.done = on_done;
}

static void tear_down(void)
{
    for (unsigned i = 0; i < 4; i++)
        trace_free(traces[i]);
    traces_fini(&fixture);
    otlp_peer_close(&peer);
}

TestSuite(otlp_export, .init = set_up, .fini = tear_down, .timeout = 60);

static void sink_make(enum protocol protocol)
{
    options.http2 = protocol == HTTP2;
    ops = protocol == GRPC ? &sm_otlp_grpc_ops : &sm_otlp_http_ops;
    sink = protocol == GRPC ? sm_otlp_grpc_new(&options) : sm_otlp_http_new(&options);
}

static void sink_open(enum protocol protocol)
{
    struct sm_err err = {.rc = SM_OK};
    struct sm_sink_env env = {.names = fixture.names, .scopes = fixture.scopes, .loop = peer.loop};
    sink_make(protocol);
    cr_assert_eq(ops->open(sink, &env, &err), SM_OK, "%s", err.text);
}

static void write_and_wait(void)
{
    unsigned before = ended.count;
    ops->write(sink, &batch);
    cr_assert(otlp_peer_turn(&peer, &ended.count, before + 1), "no end in time");
}

static unsigned connections(void)
{
    return (unsigned)atomic_load(&sm_http_server_counters(peer.server)->connections);
}

Test(otlp_export, a_batch_arrives_and_the_connection_is_kept)
{
    for (int protocol = 0; protocol < PROTOCOLS; protocol++) {
        unsigned connections_before = connections();
        peer.spans = 0;
        sink_open((enum protocol)protocol);
        for (unsigned i = 0; i < 3; i++) {
            batch.spans_done = batch.spans_rejected = 0;
            write_and_wait();
            cr_assert_eq(ended.result, SM_SINK_OK, "%s", ended.why);
            cr_assert_eq(ended.rejected_spans, 0);
            cr_assert_eq(batch.spans_done, 20);
        }
        cr_assert_eq(peer.spans, 60);
        cr_assert_eq(connections() - connections_before, 1);
        cr_assert_eq(peer.is_http2, protocol != HTTP1);
        cr_assert_str_eq(peer.path, protocol == GRPC ? "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
                                                     : "/v1/traces");
        cr_assert_str_eq(peer.type, protocol == GRPC ? "application/grpc" : "application/x-protobuf");
        cr_assert_str_eq(peer.te, protocol == GRPC ? "trailers" : "");
        cr_assert_str_eq(peer.encoding, "", "not compressed to this machine itself");
        ops->close(sink);
    }
}

Test(otlp_export, batches_in_flight_share_a_connection_where_they_can)
{
    struct sm_sink_batch several[6];
    for (int protocol = 0; protocol < PROTOCOLS; protocol++) {
        unsigned connections_before = connections(), ended_before = ended.count;
        peer.spans = 0;
        sink_open((enum protocol)protocol);
        for (unsigned round = 1; round <= 3; round++) {
            for (unsigned i = 0; i < SM_ARRAY_LEN(several); i++) {
                several[i] = batch;
                ops->write(sink, &several[i]);
            }
            cr_assert(otlp_peer_turn(&peer, &ended.count, ended_before + round * 6));
            cr_assert_eq(ended.result, SM_SINK_OK);
        }
        cr_assert_eq(peer.spans, 18 * 20);
        unsigned opened = connections() - connections_before;
        cr_assert_leq(opened, protocol == HTTP1 ? 6 : 1, "%d: %u", protocol, opened);
        ops->close(sink);
    }
}

Test(otlp_export, a_server_that_restarts_is_found_again)
{
    for (int protocol = 0; protocol < PROTOCOLS; protocol++) {
        sink_open((enum protocol)protocol);
        for (unsigned i = 0; i < 3; i++) {
            batch.spans_done = 0;
            write_and_wait();
            cr_assert_eq(ended.result, SM_SINK_OK, "%d %u %s", protocol, i, ended.why);
            otlp_peer_restart(&peer);
        }
        ops->close(sink);
    }
}

Test(otlp_export, requests_are_compressed_when_wanted)
{
    static const struct {
        enum sm_otlp_compression compression;
        const char *name;
    } cases[] = {{SM_OTLP_COMPRESSION_GZIP, "gzip"}, {SM_OTLP_COMPRESSION_ZSTD, "zstd"}};
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        options.compression = cases[i].compression;
        sink_open(HTTP1);
        batch.spans_done = peer.spans = 0;
        write_and_wait();
        cr_assert_eq(ended.result, SM_SINK_OK, "%s", ended.why);
        cr_assert_str_eq(peer.encoding, cases[i].name);
        cr_assert_eq(peer.spans, 20);
        ops->close(sink);
    }
    options.compression = SM_OTLP_COMPRESSION_GZIP;
    sink_open(GRPC);
    batch.spans_done = peer.spans = 0;
    write_and_wait();
    cr_assert_eq(ended.result, SM_SINK_OK, "%s", ended.why);
    cr_assert_str_eq(peer.encoding, "gzip");
    cr_assert_eq(peer.spans, 20);
    ops->close(sink);
}

Test(otlp_export, own_headers_and_paths_are_sent)
{
    static const char *const headers[] = {"Authorization: Bearer xyz", NULL};
    strcat(endpoint, "/in/traces");
    options.headers = headers;
    sink_open(HTTP1);
    write_and_wait();
    cr_assert_str_eq(peer.auth, "Bearer xyz");
    cr_assert_str_eq(peer.path, "/in/traces");
    ops->close(sink);
}

Test(otlp_export, the_servers_wish_to_wait_is_passed_on)
{
    peer.status = 503;
    peer.headers[0] = (struct sm_http_header){SM_STR("retry-after"), SM_STR("17")};
    peer.headers_n = 1;
    sink_open(HTTP1);
    write_and_wait();
    cr_assert_eq(ended.result, SM_SINK_AGAIN);
    cr_assert_eq(ended.retry_after_ns, 17 * SM_SEC);
    cr_assert_eq(batch.spans_done, 0);
    ops->close(sink);
}

Test(otlp_export, grpc_errors_with_details_arrive_in_trailers)
{
    uint8_t duration[16], info[32], any[128], status[256];
    uint8_t *p = sm_pb_put_uint(duration, 1, 11);
    p = sm_pb_put_bytes(info, 1, duration, (size_t)(p - duration));
    size_t info_size = (size_t)(p - info);
    p = sm_pb_put_bytes(any, 1, "type.googleapis.com/google.rpc.RetryInfo", 40);
    p = sm_pb_put_bytes(p, 2, info, info_size);
    p = sm_pb_put_bytes(status, 3, any, (size_t)(p - any));
    peer.grpc_status = SM_GRPC_RESOURCE_EXHAUSTED;
    peer.grpc_details = sm_str(status, (size_t)(p - status));
    sink_open(GRPC);
    write_and_wait();
    cr_assert_eq(ended.result, SM_SINK_AGAIN, "%s", ended.why);
    cr_assert_eq(ended.retry_after_ns, 11 * SM_SEC);
    peer.grpc_status = SM_GRPC_INVALID_ARGUMENT;
    write_and_wait();
    cr_assert_eq(ended.result, SM_SINK_OK, "the batch is dealt with");
    cr_assert_eq(ended.rejected_spans, 20);
    cr_assert_str_eq(ended.why, "gRPC status 3: as told");
    ops->close(sink);
}

Test(otlp_export, partial_success_counts_rejected_spans)
{
    uint8_t partial[32], body[64];
    uint8_t *p = sm_pb_put_uint(partial, 1, 4);
    p = sm_pb_put_bytes(body, 1, partial, (size_t)(p - partial));
    peer.body = sm_str(body, (size_t)(p - body));
    peer.content_type = "application/x-protobuf";
    for (int protocol = 0; protocol < PROTOCOLS; protocol++) {
        sink_open((enum protocol)protocol);
        batch.spans_done = batch.spans_rejected = 0;
        write_and_wait();
        cr_assert_eq(ended.result, SM_SINK_OK);
        cr_assert_eq(ended.rejected_spans, 4);
        ops->close(sink);
    }
}

Test(otlp_export, a_huge_reply_is_not_read_to_its_end)
{
    size_t size = 20 << 20;
    char *huge = calloc(1, size);
    peer.body = sm_str(huge, size);
    for (int protocol = 0; protocol < PROTOCOLS; protocol++) {
        sink_open((enum protocol)protocol);
        batch.spans_done = batch.spans_rejected = 0;
        write_and_wait();
        cr_assert_eq(ended.result, SM_SINK_OK, "%d %s", protocol, ended.why);
        cr_assert_eq(ended.rejected_spans, protocol == GRPC ? 20 : 0, "gRPC: nobody knows what the status was");
        ops->close(sink);
    }
    free(huge);
}

Test(otlp_export, too_many_reply_headers_end_the_attempt)
{
    size_t size = 20000;
    char *value = malloc(size);
    memset(value, 'x', size);
    for (unsigned i = 0; i < 4; i++)
        peer.headers[i] = (struct sm_http_header){SM_STR("x-long"), sm_str(value, size)};
    peer.headers_n = 4;
    sink_open(HTTP1);
    write_and_wait();
    cr_assert_eq(ended.result, SM_SINK_AGAIN);
    ops->close(sink);
    free(value);
}

Test(otlp_export, a_large_batch_goes_in_parts_and_a_retry_continues)
{
    options.request_bytes_max = 700;
    peer.status = 503;
    peer.fail_at = 3;
    sink_open(HTTP1);
    write_and_wait();
    cr_assert_eq(ended.result, SM_SINK_AGAIN);
    cr_assert_eq(peer.requests, 3);
    uint64_t done = batch.spans_done;
    cr_assert_gt(done, 0);
    cr_assert_lt(done, 20);
    unsigned spans_with_the_failed_part = peer.spans;
    batch.attempt = 1;
    write_and_wait();
    cr_assert_eq(ended.result, SM_SINK_OK);
    cr_assert_eq(batch.spans_done, 20);
    cr_assert_eq(peer.spans, spans_with_the_failed_part + 20 - done, "only what was missing came again");
    ops->close(sink);
}

Test(otlp_export, a_refused_part_does_not_take_the_others_along)
{
    options.request_bytes_max = 700;
    peer.status = 400;
    peer.fail_at = 2;
    sink_open(HTTP2);
    write_and_wait();
    cr_assert_eq(ended.result, SM_SINK_OK);
    cr_assert_gt(ended.rejected_spans, 0);
    cr_assert_lt(ended.rejected_spans, 20);
    cr_assert_eq(strncmp(ended.why, "HTTP 400", 8), 0);
    ops->close(sink);
}

Test(otlp_export, no_server_and_no_answer_are_tried_again)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, size), 0); /* a port on which nobody listens */
    getsockname(fd, (struct sockaddr *)&address, &size);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", ntohs(address.sin_port));
    for (int protocol = 0; protocol < PROTOCOLS; protocol++) {
        sink_open((enum protocol)protocol);
        write_and_wait();
        cr_assert_eq(ended.result, SM_SINK_AGAIN);
        cr_assert(ended.why[0]);
        ops->close(sink);
    }
    close(fd);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", peer.port);
    options.timeout_ns = 30 * SM_MS;
    peer.status = 0;
    for (int protocol = 0; protocol < PROTOCOLS; protocol++) {
        sink_open((enum protocol)protocol);
        write_and_wait();
        cr_assert_eq(ended.result, SM_SINK_AGAIN);
        ops->close(sink);
    }
}

Test(otlp_export, cancelling_ends_writes_in_flight)
{
    peer.status = 0;
    for (int protocol = 0; protocol < PROTOCOLS; protocol++) {
        unsigned ended_before = ended.count;
        sink_open((enum protocol)protocol);
        ops->write(sink, &batch);
        cr_assert(otlp_peer_turn(&peer, &peer.requests, (unsigned)protocol + 1));
        ops->cancel(sink);
        cr_assert_eq(ended.count, ended_before + 1);
        cr_assert_eq(ended.result, SM_SINK_AGAIN);
        ops->close(sink);
    }
}

Test(otlp_export, wrong_options_are_told_when_opening)
{
    static const char *const broken_header[] = {"A: b\r\nC: d", NULL};
    static const struct {
        enum protocol protocol;
        const char *endpoint, *ca_file;
        const char *const *headers;
        const char *text;
    } cases[] = {
        {HTTP1, "", NULL, NULL, "endpoint \"\" is not a URL"},
        {HTTP1, "ftp://x/", NULL, NULL, "not an http or https URL: \"ftp://x/v1/traces\""},
        {GRPC, "http://x:1/path", NULL, NULL, "endpoint \"http://x:1/path\": gRPC takes no path"},
        {GRPC, "https://x:1", "/no/such/file", NULL, "cannot read /no/such/file"},
        {HTTP1, "x:1", NULL, broken_header, "a header holds a line break"},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        struct sm_err err = {.rc = SM_OK};
        struct sm_sink_env env = {.names = fixture.names, .scopes = fixture.scopes, .loop = peer.loop};
        options.endpoint = cases[i].endpoint;
        options.ca_file = cases[i].ca_file;
        options.headers = cases[i].headers;
        sink_make(cases[i].protocol);
        cr_assert_neq(ops->open(sink, &env, &err), SM_OK);
        cr_assert_str_eq(err.text, cases[i].text);
        ops->close(sink);
    }
}

/* The whole way: fan-out, sink, server in trouble, recovery. The fan-out's time is virtual, the sockets' is not. */
Test(otlp_export, behind_the_fan_out_every_span_is_accounted_for)
{
    sink_make(GRPC);
    struct sm_fanout_sink use = {.name = "otlp", .ops = ops, .sink = sink, .batch_spans_max = 5};
    struct sm_fanout_config config = {.sinks = &use,
                                      .sink_count = 1,
                                      .shards = 1,
                                      .placement = SM_FANOUT_INLINE,
                                      .queue_bytes_max = SM_MIB,
                                      .names = fixture.names,
                                      .scopes = fixture.scopes};
    struct sm_err err;
    struct sm_fanout *f = sm_fanout_new(&config, &err);
    cr_assert_not_null(f, "%s", err.text);
    peer.grpc_status = SM_GRPC_UNAVAILABLE;
    for (unsigned i = 0; i < 4; i++)
        cr_assert(sm_fanout_offer(f, 0, traces[i]));
    int64_t now = 0;
    unsigned turns = 0;
    while (sm_fanout_stat(f, 0, SM_FANOUT_RETRIES) < 6) {
        cr_assert_lt(turns++, 10000000);
        sm_loop_poll(peer.loop);
        sm_fanout_poll(f, now += 100 * SM_US);
    }
    cr_assert_eq(sm_fanout_stat(f, 0, SM_FANOUT_QUEUED), 20);
    peer.grpc_status = SM_GRPC_OK;
    while (!sm_fanout_idle(f)) {
        cr_assert_lt(turns++, 10000000);
        sm_loop_poll(peer.loop);
        sm_fanout_poll(f, now += 100 * SM_US);
    }
    cr_assert_eq(sm_fanout_stat(f, 0, SM_FANOUT_DELIVERED), 20);
    unsigned home = 0;
    for (struct sm_trace *t = sm_fanout_collect(f, 0); t; t = t->next)
        home++;
    cr_assert_eq(home, 4);
    sm_fanout_stop(f, 0);
    sm_fanout_free(f);
}
